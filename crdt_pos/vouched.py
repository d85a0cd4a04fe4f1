"""How many receipts the days vouch for, and how many of them can be looked at.

A day's summary counts a till's receipts and says how far into its journal it reaches; the receipts themselves stand in the
journal, which stays with the tills of the store. Where every one of them burnt, the takings are known and the receipts are
not: so many cannot be recovered. What a till did after its last summary is in nobody's count; only that there is a till whose
date was never closed can be known, and until when it told. Pure.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from typing import Final

from crdt_pos.books import till_days
from crdt_pos.journal import journal_document
from crdt_pos.receipt import Receipt, Series
from crdt_pos.schema import DAY
from gossip.document import day_number
from gossip.entry import FeedId
from gossip.log import Reader
from merge_rules.dataclass import dataclass
from merge_rules.errors import InvalidBody
from merge_rules.lattice import Author
from peers.roster import Directory

FOR_SOMEONE: Final = frozenset({Series.SALES, Series.TRAINING})
"""The series whose receipts are given to someone, and which days count."""


@dataclass(frozen=True, slots=True)
class Vouched:
    """One life's business date."""

    author: Author
    store: int
    till: int
    incarnation: str
    date: datetime.date
    receipts: int
    """What its summary counts."""
    here: int
    """How many of them are in journals here."""
    closed: bool
    """Nothing came after the summary."""
    told_ms: int
    """When the summary was signed: of a date that is not closed, what came after it is not counted."""

    @property
    def missing(self) -> int:
        """Receipts that the summary counts and no journal here has."""
        return max(self.receipts - self.here, 0)

    @property
    def name(self) -> str:
        """``12-3``."""
        return f"{self.store}-{self.till}"


def vouched(reader: Reader, directory: Directory) -> Iterator[Vouched]:
    """Every life's dates of which a summary or a journal is here, in log order."""
    for document in reader.documents(DAY):
        for day in till_days(reader, directory, document):
            numbers = (day.day.series.get(int(series)) for series in FOR_SOMEONE)
            receipts = sum(one.documents for one in numbers if one is not None)
            feed = FeedId(journal_document(day.store, day_number(day.date)), day.author)
            here = _given(reader, feed, day.covers)
            yield Vouched(
                day.author, day.store, day.till, day.incarnation, day.date, receipts, here, day.closed, day.told_ms
            )


def everywhere(held: Iterable[Iterable[Vouched]]) -> list[Vouched]:
    """What several replicas hold together, each date once: the summary that counts most, the journal that has most of it.

    Tills of one store may each hold a part of a journal; a journal is a chain, so the longer one has all of the shorter.
    """
    found: dict[tuple[Author, datetime.date], Vouched] = {}
    for one in (one for many in held for one in many):
        key = one.author, one.date
        known = found.get(key, one)
        fuller = max(known, one, key=lambda row: (row.receipts, row.closed, row.told_ms))
        found[key] = Vouched(
            fuller.author,
            fuller.store,
            fuller.till,
            fuller.incarnation,
            fuller.date,
            fuller.receipts,
            max(known.here, one.here),
            fuller.closed,
            fuller.told_ms,
        )
    return sorted(found.values(), key=lambda row: (row.date, row.store, row.till, row.incarnation))


def _given(reader: Reader, feed: FeedId, covers: int) -> int:
    count = 0
    for stored in reader.entries(feed):
        if stored.entry.seq > covers:
            break
        try:
            count += Receipt.from_body(stored.entry.body).series in FOR_SOMEONE
        except InvalidBody:
            continue  # an act of a kind that this version does not know
    return count
