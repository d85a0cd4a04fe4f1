"""The first day of a shop, with the very commands that the README gives, up to the first receipt and the books of it."""

from __future__ import annotations

import contextlib
import json
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from crdt_pos.cli import child_command
from crdt_pos.local import LocalClient, LocalRefused, NotRunning
from tests.system.shops import PATIENCE_S
from tests.system.single import until
from tools.cable import LOOPBACK

ROOT = Path(__file__).resolve().parents[2]
SAFE_HERE = ("--listen", f"{LOOPBACK}:0", "--interface", LOOPBACK)
"""No port and no network that anything else on this machine might use."""


def commands() -> list[list[str]]:
    section = (ROOT / "README.md").read_text().partition("## How a real shop starts\n")[2].partition("\n## ")[0]
    block = section.partition("```sh\n")[2].partition("```")[0]
    return [shlex.split(line, comments=True)[1:] for line in block.splitlines() if line.startswith("crdt-pos ")]


def call(at: Path, *words: str) -> str:
    done = subprocess.run(
        [*child_command(), *words], cwd=at, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout


@contextlib.contextmanager
def running(at: Path, *words: str) -> Iterator[None]:
    with (at / "run.log").open("ab") as said:
        process = subprocess.Popen([*child_command(), *words], cwd=at, stdout=said, stderr=said)
    try:
        yield
    finally:
        process.terminate()
        assert process.wait(PATIENCE_S) == 0, (at / "run.log").read_text()


def runs(folder: Path) -> bool:
    try:
        LocalClient(folder).close()
    except NotRunning:
        return False
    return True


def listening(office: Path) -> str:
    """Where a head office can be reached."""
    with LocalClient(office) as client:
        return str(client.call("connections")["listening"])


def has(till: Path, code: str) -> bool:
    """Whether the head office's products have reached a till."""
    try:
        with LocalClient(till) as client:
            return bool(client.call("product", code=code))
    except (LocalRefused, NotRunning):
        return False


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Where the shop will be, with the sample list of products."""
    (tmp_path / "docs").mkdir()
    shutil.copy(ROOT / "docs" / "products.csv", tmp_path / "docs")
    return tmp_path


def test_the_commands_of_the_readme_lead_to_the_first_receipt(shop: Path) -> None:
    receipts: list[str] = []
    books = ticket = ""
    with contextlib.ExitStack() as processes:
        for words in commands():
            if words[:2] == ["company", "create"]:
                call(shop, *words, *SAFE_HERE)
            elif words[0] == "invite":
                ticket = json.loads(call(shop, *words, "--address", listening(shop / "office"), "--json"))["ticket"]
            elif words[0] == "join":
                call(shop, *(ticket if word == "TICKET" else word for word in words), *SAFE_HERE)
            elif words[1] == "run":
                processes.enter_context(running(shop, *words))
                until(lambda words=words: runs(shop / words[-1]), f"{words[-1]} runs")
            elif words[0] == "sell" and "--code" in words:
                till, code = shop / words[words.index("--at") + 1], words[words.index("--code") + 1]
                until(lambda till=till, code=code: has(till, code), "the products are at the till")
                receipts.append(call(shop, *words))
            elif words[0] == "sell":
                continue  # the screen, which needs a terminal
            elif words[0] == "books":
                with LocalClient(shop / "till-12-1") as client:
                    client.call("publish")  # as it does by itself within a minute
                until(lambda words=words: "1.85" in call(shop, *words), "the sale is in the books", PATIENCE_S)
                books = call(shop, *words, "--json")
            else:
                call(shop, *words)
    assert json.loads(books)
    (receipt,) = receipts
    assert "Whole milk 1 l" in receipt
    assert "Change: 3.15" in receipt
