"""Which tills of a store are there now, and which of them reach a head office: a table that neighbours tell one another.

Every till counts beats of its own; a table is who is there, with the highest beat that was heard of each. Joining two tables
keeps the higher beat, so order and repetition do not matter. Whose beat has not risen for ``LAPSE_S`` is not there any more,
however its last sessions ended. Sans-I/O: the clock is an argument, in seconds of a clock that nobody sets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

from merge_rules import canonical
from merge_rules.dataclass import dataclass
from merge_rules.errors import NotCanonical
from merge_rules.lattice import AUTHOR_BYTES, Author

BEAT_S: Final = 2.0
"""How often a till says that it is there."""
LAPSE_S: Final = 7.0
TILLS_MAX: Final = 256
"""Rows of a table; further tills are not heard."""
BEAT_MAX: Final = 2**53

TOPIC: Final = "presence"


@dataclass(slots=True)
class _Row:
    beat: int
    reaches: bool
    heard_s: float


class Presence:
    """What one till knows of the tills of its store, itself included."""

    def __init__(self, me: Author, beat: int) -> None:
        """``beat``: the first; higher than any of an earlier run, such as the time in milliseconds."""
        self._me = me
        self._beat = beat
        self._reaches = False
        self._rows: dict[Author, _Row] = {}

    def say(self, *, reaches: bool) -> bool:
        """Count a beat, and whether this till has a session with a head office now; returns whether that is new."""
        changed = reaches is not self._reaches
        self._beat += 1
        self._reaches = reaches
        return changed

    def hear(self, table: bytes, now_s: float, believes: Callable[[Author], bool]) -> bool:
        """Join a neighbour's table, those rows whose author ``believes``; returns whether anything but beats is new.

        Content that is no table is a neighbour's mistake, and says nothing.
        """
        changed = False
        for author, beat, reaches in decode(table):
            if author == self._me:
                self._beat = max(self._beat, beat)  # an earlier run of mine, when the clock was ahead
                continue
            row = self._rows.get(author)
            if (row is not None and beat <= row.beat) or not believes(author):
                continue
            if row is None and len(self._rows) >= TILLS_MAX:
                continue
            changed |= row is None or row.reaches is not reaches or not self._there(row, now_s)
            self._rows[author] = _Row(beat, reaches, now_s)
        return changed

    def lapse(self, author: Author) -> None:
        """A till is gone, as far as can be seen from here, until a higher beat of it is heard."""
        row = self._rows.get(author)
        if row is not None:
            row.heard_s = float("-inf")

    def excuse(self, late_s: float) -> None:
        """This till itself was asleep or too busy for so long: nobody else is to blame that it heard nothing."""
        for row in self._rows.values():
            row.heard_s += late_s

    def reaching(self, now_s: float) -> dict[Author, bool]:
        """The tills that are there, this one included, and whether each reaches a head office."""
        there = {author: row.reaches for author, row in self._rows.items() if self._there(row, now_s)}
        return {**there, self._me: self._reaches}

    def table(self, now_s: float) -> bytes:
        """What to tell neighbours: who is there."""
        rows = {author: (row.beat, row.reaches) for author, row in self._rows.items() if self._there(row, now_s)}
        rows[self._me] = self._beat, self._reaches
        return canonical.encode([[author, *rows[author]] for author in sorted(rows)])

    @staticmethod
    def _there(row: _Row, now_s: float) -> bool:
        return now_s - row.heard_s <= LAPSE_S


def decode(table: bytes) -> list[tuple[Author, int, bool]]:
    """The rows of a table; none of what is no table."""
    try:
        value = canonical.decode(table)
    except NotCanonical:
        return []
    rows: list[tuple[Author, int, bool]] = []
    for row in cast("list[object]", value) if isinstance(value, list) else []:
        match row:
            case [bytes(author), int(beat), bool(reaches)] if (
                len(author) == AUTHOR_BYTES and not isinstance(beat, bool) and 0 <= beat <= BEAT_MAX
            ):
                rows.append((Author(author), beat, reaches))
            case _:
                return []
    return rows
