"""Keeping sums up to date: in small pieces, while nothing else is to be done.

What is written before the last piece holds no sooner than that: a day that has arrived since is read again anyway, so rows that
know of it already change no answer. Where nothing holds yet, a mark stands in the place of ``as-of``; mending the log removes
it, and the pieces that were under way then are dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from crdt_pos import kept
from crdt_pos.kept import AsOf, Kept, Rows
from gossip.document import Document
from gossip.log import AS_OF, Log, View
from peers.roster import Directory

DOCUMENTS_AT_ONCE: Final = 200
ACCOUNTS_AT_ONCE: Final = 500


class Piece:
    """Views to be written, if ``as-of`` is still what it was when they were derived."""

    def __init__(self, views: list[View], before: bytes | None) -> None:
        self._views = views
        self._before = before

    def write(self, log: Log) -> bool:
        """Write it, in the writer's turn. ``False``: something else came between, and no further piece is to be written."""
        with log.read() as reader:
            if reader.view(AS_OF) != self._before:
                return False
        log.append([], self._views)
        return True


def pieces(log: Log, directory: Directory) -> Iterator[Piece]:
    """What is to be written, one after the other: the next is derived once the one before is. Raises ``OverflowError``."""
    with log.read() as reader:
        before = reader.view(AS_OF)
        sums = Kept.read(reader, directory)
        first: list[View] = []
        if sums is None:
            sums = Kept.anew(reader, directory)
            if sums is None:
                return
            first = [*sums.rows.changed.items(), (AS_OF, kept.BEGUN)]
        elif not sums.stale:
            return
        as_of = AsOf(reader.last_arrival(), kept.basis(reader))
        stale, balances = sums.taken()
    if first:
        yield Piece(first, before)
        before = kept.BEGUN
    dirty: set[int] = set()
    for some in _some(stale):
        with log.read() as reader:
            sums = Kept(reader, directory, Rows(reader), some, ())
            sums.refresh()
        dirty |= sums.dirty
        yield Piece(list(sums.rows.changed.items()), before)
    accounts = sorted(balances)
    for begin in range(0, len(accounts), ACCOUNTS_AT_ONCE):
        with log.read() as reader:
            sums = Kept(reader, directory, Rows(reader), {}, accounts[begin : begin + ACCOUNTS_AT_ONCE])
            sums.refresh_balances()
        yield Piece(list(sums.rows.changed.items()), before)
    done = 0
    while True:
        with log.read() as reader:
            sums = Kept(reader, directory, Rows(reader), {}, (), dirty)
            keys, lives = sums.assign()
            assigned = sums.rows.changed.pop(kept.ASSIGNED, None)
            month = next((one for one in sums.months(keys) if one > done), None)
            if month is not None:
                sums.add_up_month(month, keys, lives)
        if month is None:
            break
        yield Piece(list(sums.rows.changed.items()), before)
        done = month
    # Whose money it is comes last: as long as it is not here, everything of who is not in it is added up again.
    yield Piece([*([] if assigned is None else [(kept.ASSIGNED, assigned)]), as_of.view()], before)


def _some(stale: Mapping[int, set[Document]]) -> Iterator[dict[int, set[Document]]]:
    """By stores, so many documents at once and a few more."""
    some: dict[int, set[Document]] = {}
    for store, documents in sorted(stale.items()):
        some[store] = documents
        if sum(map(len, some.values())) >= DOCUMENTS_AT_ONCE:
            yield some
            some = {}
    if some:
        yield some


def keep(log: Log, directory: Directory, done: Callable[[], None] = lambda: None) -> None:
    """Bring what is kept up to date, at once."""
    try:
        for piece in pieces(log, directory):
            if not piece.write(log):
                return
            done()
    except OverflowError:
        return
