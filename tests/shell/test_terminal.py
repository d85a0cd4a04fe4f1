"""A real terminal: typed keys, a running till behind its socket, and what stands on the screen."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect  # type: ignore[import-untyped]
import pyte
import pytest

from crdt_pos.cli import child_command
from crdt_pos.shell import Replica, open_replica
from tests.node.company import Company
from tests.system.single import Single, single, until

COLUMNS, ROWS = 100, 30
PATIENCE_S = 20.0
TAB, CTRL_D = "\t", "\x04"


class Terminal:
    """A terminal of so many columns and rows, in which a command runs."""

    def __init__(self, words: list[str], state: Path) -> None:
        environment = {**os.environ, "XDG_STATE_HOME": str(state), "TERM": "xterm-256color", "PAGER": "cat"}
        self.process: Any = pexpect.spawn(
            words[0], words[1:], dimensions=(ROWS, COLUMNS), env=environment, timeout=PATIENCE_S
        )
        self._screen = pyte.HistoryScreen(COLUMNS, ROWS, history=1000)
        self._stream = pyte.ByteStream(self._screen)

    def type(self, text: str) -> None:
        """Send keys."""
        self.process.send(text)

    @property
    def text(self) -> str:
        """What stands on the screen, and what has left it at the top."""
        above = ("".join(row[at].data for at in range(COLUMNS)) for row in self._screen.history.top)
        return "\n".join([*above, *self._screen.display])

    def wait_for(self, what: str) -> str:
        """Until the screen shows it."""

        def shown() -> bool:
            try:
                seen = self.process.read_nonblocking(1 << 16, timeout=0.05)
            except pexpect.TIMEOUT:
                seen = b""
            if b"\x1b[6n" in seen:  # where is the cursor?
                self.process.send(f"\x1b[{self._screen.cursor.y + 1};{self._screen.cursor.x + 1}R")
            self._stream.feed(seen)
            return what in self.text

        until(shown, f"{what!r} on the screen:\n{self.text}", PATIENCE_S)
        return self.text

    def colour_of(self, text: str) -> str:
        """The colour of the first line on the screen that holds a text."""
        row = next(at for at, line in enumerate(self._screen.display) if text in line)
        at = self._screen.display[row].index(text)
        return str(self._screen.buffer[row][at].fg)


@pytest.fixture(scope="module")
def till(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Single]:
    """A running till that has sold something."""
    company = Company.found(tmp_path_factory.mktemp("running"), "12-1")
    with single(company.tills["12-1"]) as running:
        running.call("open")
        running.sell(250)
        yield running


@pytest.fixture
def attached(till: Single) -> Iterator[Replica]:
    with open_replica(till.folder.path, attach=True) as replica:
        yield replica


def test_a_person_types_completes_leaves_and_finds_the_line_again(till: Single, tmp_path: Path) -> None:
    words = [*child_command(), "shell", "--at", str(till.folder.path), "--attach"]
    terminal = Terminal(words, tmp_path)
    terminal.wait_for("12-1 a1 (attached)>")
    terminal.type("expl" + TAB)
    terminal.wait_for("> explain")
    terminal.type("\x15status\r")
    shown = terminal.wait_for("  with         nobody")
    assert "12-1 a1, till of store 12, of Corner Shops" in shown
    assert terminal.colour_of("It has a session with nobody") == "red"
    terminal.type("show nothing\r")
    terminal.wait_for("There is no document nothing here")
    terminal.type("show jou" + TAB)
    terminal.wait_for("> show journal/")
    terminal.type("\x15help\r")
    terminal.wait_for("Every command takes --all and --json.")  # by the pager, since it is longer than the screen
    terminal.type("python\r")
    terminal.wait_for(">>> ")
    terminal.type("print('in hand:', replica.status()['replica'])\r")
    terminal.wait_for("in hand: 12-1")
    terminal.type(CTRL_D)
    terminal.wait_for("12-1 a1 (attached)>")
    terminal.type(CTRL_D)
    terminal.process.expect(pexpect.EOF)
    terminal.process.close()
    assert terminal.process.exitstatus == 0
    history = tmp_path / "crdt-pos" / "shell-history"
    assert "+show nothing" in history.read_text()
    assert stat.S_IMODE(history.stat().st_mode) == 0o600


def test_attached_the_shell_tells_what_is_not_on_the_disk(attached: Replica, till: Single) -> None:
    said = attached.status()
    assert said["running"]["replica"] == "12-1"
    assert said["safe"]["waiting"] == 2
    assert any("It has a session with nobody" in one for one in said["trouble"])
    assert attached.sessions()["sessions"] == []
    assert attached.sessions()["schedule"]["wan"] == "live"
    before = attached.status()["arrivals"]
    till.sell(300)
    assert attached.status()["arrivals"] == before + 1, "every command takes a snapshot of its own"
