"""The line editor: the one file that knows ``prompt_toolkit``. History, completion, and the prompt; ``running`` does the rest."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import click
from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import FileHistory

from crdt_pos.shell import colours
from crdt_pos.shell.completing import candidates
from crdt_pos.shell.replica import Replica
from crdt_pos.shell.running import Screen, run
from gossip.errors import GossipError

LEAVES: Final = frozenset({"exit", "quit"})


class _Completer(Completer):
    """Runs on a thread of its own, with snapshots of its own."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        del complete_event
        typed = document.text_before_cursor
        word = typed.split(" ")[-1].lstrip("'\"")
        try:
            found = candidates(self._replica, typed)
        except GossipError:
            return
        for one in found:
            yield Completion(one.text, -len(word), display_meta=one.says)


def history_file() -> Path:
    """Where lines are remembered, for their owner only: they may name members."""
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    path = Path(state, "crdt-pos", "shell-history")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.chmod(0o600)
    return path


def converse(replica: Replica) -> None:
    """Ask for commands until the person leaves."""
    session = PromptSession[str](
        history=FileHistory(str(history_file())),
        completer=_Completer(replica),
        complete_in_thread=True,
        complete_while_typing=False,
    )
    click.echo(f"{replica.name}: nothing here is changed. 'help' lists the commands, Tab completes, Ctrl-D leaves.")
    place = f" at {replica.peer}" if replica.peer else " (attached)" if replica.client else ""
    prompt = FormattedText([("bold", replica.name), ("", f"{place}> ")])
    while True:
        try:
            line = session.prompt(prompt)
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        if line.strip() in LEAVES:
            return
        try:
            run(replica, line, Screen(paged=True))
        except KeyboardInterrupt:
            click.echo("interrupted")
        except Exception as error:  # noqa: BLE001  a mistake of ours in one command ends no conversation
            said = "".join(traceback.format_exception_only(error)).strip()
            click.echo(colours.broken(f"Something went wrong, and the mistake is ours: {said}"), err=True)
