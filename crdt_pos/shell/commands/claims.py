"""``claims``: which products a code means, and who says so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from crdt_pos import sharing, sharing_text
from crdt_pos.errors import NothingHere
from crdt_pos.page import Page
from crdt_pos.shell.command import Argument, Command
from crdt_pos.shell.replica import Replica


def answer(replica: Replica, code: str = "") -> list[dict[str, Any]]:
    """The products that share a code; without one, every code that means several."""
    return [{**sharing.plain(one), "_shared": one} for one in _found(replica, code)]


def _found(replica: Replica, code: str) -> list[Any]:
    reader, now_ms = replica.reader, replica.now_ms()
    known = sharing.identities(reader)
    if not code:
        return list(sharing.read(reader, known, now_ms))
    one = sharing.of_code(reader, known, code, now_ms)
    if one is None:
        raise NothingHere(f"No product has the code {code} here.")
    return [one]


def lines(page: Page, answered: list[dict[str, Any]]) -> Iterator[str]:
    """Side by side."""
    for one in answered:
        yield from sharing_text.lines(one["_shared"], page.looked.currencies(), page.width)
    if not answered:
        yield "No code that is claimed means two products here."


COMMAND = Command(
    "claims",
    "Which products a code means, and who says so; without a code, all that share one.",
    "claims 4006381333931",
    answer,
    lines,
    (Argument("code", "A code as it is scanned.", optional=True),),
)
