"""``python``: a Python prompt with the replica in hand."""

from __future__ import annotations

import code
from collections.abc import Iterator
from typing import Final

from crdt_pos.page import Page
from crdt_pos.shell.command import Command
from crdt_pos.shell.replica import Replica

BANNER: Final = (
    "replica.explain('day/12/2026-11-22') and every other command; 'with replica.reading():' replica.reader is the log.\n"
    "Ctrl-D goes back."
)


def answer(replica: Replica) -> None:
    """Converse until the person leaves."""
    code.interact(BANNER, local={"replica": replica}, exitmsg="")


def lines(_page: Page, _answered: None) -> Iterator[str]:
    """Nothing is left to say."""
    yield from ()


COMMAND = Command("python", "A Python prompt with the replica in hand, as 'replica'.", "python", answer, lines)
