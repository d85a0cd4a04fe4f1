"""A till's own views, derived again from what it has signed: its disk was set back, and its entries have come back.

Law: whatever acts a till has done, ``rebuild`` yields the views that they wrote. Only the ids of requests are lost, which
nobody else is told. Reads nothing that is derived; O(entries of its own).

Where neighbours hold less of a journal than the till's own day entry covers, that date is over: nothing may ever be signed
into that journal again, since nobody knows how it goes on. What was published of it stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field, replace
from typing import Final

from crdt_pos import journal
from crdt_pos.day import PREVIOUS_HASH_BYTES, Day, Goods, goods_of
from crdt_pos.identity import Identity
from crdt_pos.patrons import PATRONS, accounts_of, patron_key
from crdt_pos.receipt import Receipt, ReceiptType
from crdt_pos.schema import BALANCE, DAY, JOURNAL
from crdt_pos.till_state import ONCE_PREFIX, TillState, fold_views, owing_left_views
from crdt_pos.turn import day_document
from gossip.document import Document, day_number
from gossip.entry import Entry, FeedId
from gossip.log import Reader, View, entries_of
from merge_rules.counter_covers import CounterCovers, Summary
from merge_rules.dataclass import dataclass

SIGNED_BY_ACTS: Final = (JOURNAL, DAY, BALANCE, PATRONS)
"""Kinds that are signed by the till's own clock."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a till has to remember, by its own entries."""

    state: TillState
    views: tuple[View, ...]
    """All others: those of its receipts, its running fold, what is owing, and its patrons."""
    over: Summary | None = None
    """What it published last of a date that cannot go on, unless it was closed."""
    contradicts: bool = False
    """A journal of its own has two heads: it went on from a disk that was set back. The branch that it is on goes on."""


@dataclass(slots=True)
class _Date:
    """One business date of the till."""

    day: int
    acts: list[tuple[Receipt, Entry]] = field(default_factory=list[tuple[Receipt, Entry]])
    """Its journal."""
    aside: list[Receipt] = field(default_factory=list[Receipt])
    """What contradicts that."""
    told: tuple[Entry, Summary] | None = None
    """The newest entry in which it sums up its own journal."""
    closing: Entry | None = None
    """The first in which that is closed."""

    @property
    def over(self) -> bool:
        """Whether more was published than is here of the journal."""
        return self.told is not None and not self.aside and self.told[1].covers.seq > len(self.acts)

    @property
    def stamp(self) -> int:
        told = self.told[0].stamp if self.told is not None and self.over else 0
        return max(told, self.acts[-1][1].stamp if self.acts else 0)

    @property
    def closed_ms(self) -> int:
        if self.acts and self.acts[-1][0].type is ReceiptType.CLOSING:
            return self.acts[-1][0].stamp_ms
        return self.told[0].stamp >> 16 if self.told is not None else 0


def rebuild(reader: Reader, identity: Identity) -> Rebuilt:
    """The views of the till that is ``identity``; those of request ids are deleted."""
    views: dict[bytes, bytes | None] = {key: None for key, _ in reader.views(ONCE_PREFIX)}
    owing: dict[tuple[str, bytes], int] = {}
    numbers: dict[int, int] = {}
    dates = _dates(reader, identity)
    for date in sorted(dates.values(), key=lambda one: one.stamp):
        for receipt, entry in date.acts:
            for key, value in journal.index(receipt, entry.hash):
                views[key] = reader.view(key) or value
            for moved in receipt.movements:
                account = moved.programme, moved.account
                owing[account] = owing.get(account, 0) + moved.owing - moved.settled
        for receipt in (*(act for act, _ in date.acts), *date.aside):
            given = [(one.series, one.last) for one in receipt.skipped]
            for series, n in (*given, (receipt.series, receipt.n)):
                numbers[int(series)] = max(numbers.get(int(series), 0), n)
        if date.told is not None and date.over:
            for number, told in _day(date.told[1]).series.items():
                numbers[number] = max(numbers.get(number, 0), told.last)
    last = max(dates.values(), key=lambda one: one.stamp, default=None)
    state, goods = _state(dates, last)
    views.update(fold_views(reader, goods))
    views.update(owing_left_views(reader, owing))
    views.update(_patrons(reader))
    over = last.told[1] if last is not None and last.told is not None and last.over else None
    if over is not None and _day(over).closed:
        over = None
    state = replace(state, numbers=numbers, stamp=_stamp(reader, identity))
    return Rebuilt(state, tuple(views.items()), over, any(date.aside for date in dates.values()))


def own_summary(reader: Reader, identity: Identity, day: int) -> Summary | None:
    """How far the till has published a date of its own, and what."""
    told = _told(reader, identity, day)
    return told[-1][1] if told else None


def _dates(reader: Reader, identity: Identity) -> dict[int, _Date]:
    days = {document.day for kind in (JOURNAL, DAY) for document in reader.documents(kind) if _here(document, identity)}
    dates: dict[int, _Date] = {}
    kept = TillState.read(reader).head
    for day in days:
        date = _Date(day, *_acts(reader, identity, day, kept))
        told = _told(reader, identity, day)
        if told:
            date.told = told[-1]
            date.closing = next((entry for entry, summary in told if _day(summary).closed), None)
        if date.acts or date.told:
            dates[day] = date
    return dates


def _here(document: Document, identity: Identity) -> bool:
    return document.keys == (identity.store,)


def _acts(
    reader: Reader, identity: Identity, day: int, kept: bytes
) -> tuple[list[tuple[Receipt, Entry]], list[Receipt]]:
    """The journal of a date, and what contradicts it: of two branches the one that ends in ``kept`` is the journal."""
    feed = FeedId(journal.journal_document(identity.store, day), identity.author)
    found = {stored.entry.hash: stored.entry for stored in reader.entries(feed)}
    heads = [head.hash for head in reader.heads(feed)]
    branch: list[Entry] = []
    entry = found.get(next((head for head in heads if head == kept), heads[-1])) if heads else None
    while entry is not None:
        branch.append(entry)
        entry = found.get(entry.previous) if entry.previous is not None else None
    acts = [(Receipt.from_body(one.body), one) for one in reversed(branch)]
    on_branch = {one.hash for one in branch}
    return acts, [Receipt.from_body(one.body) for hash_, one in found.items() if hash_ not in on_branch]


def _told(reader: Reader, identity: Identity, day: int) -> list[tuple[Entry, Summary]]:
    found: list[tuple[Entry, Summary]] = []
    author = identity.author
    for stored in reader.entries(FeedId(day_document(identity.store, day), author)):
        body = CounterCovers.from_entry(author, stored.entry.seq, stored.entry.body)
        found += [(stored.entry, one) for one in body.published() if one.subject == author]
    return found


def _day(summary: Summary) -> Day:
    return Day.from_counters(summary.counters)


def _state(dates: Mapping[int, _Date], last: _Date | None) -> tuple[TillState, dict[int, Goods]]:
    if last is None:
        return TillState(), {}
    if last.told is not None and last.over:
        return _closed(last, _day(last.told[1])), {}
    day, goods = Day(), dict[int, Goods]()
    for act, _ in last.acts:
        day = day.plus_money(act)
        for product, moved in goods_of(act).items():
            goods[product] = goods.get(product, Goods()).plus(moved)
    if last.acts[-1][0].type is ReceiptType.CLOSING:
        return _closed(last, day), {}
    opening = last.acts[0][0].opening
    assert opening is not None  # every date begins with its opening
    before = day_number(opening.previous_date) if opening.previous_date else 0
    return (
        TillState(
            open_day=last.day,
            seq=last.acts[-1][1].seq,
            head=last.acts[-1][1].hash,
            day=day,
            published=last.told[1].covers.seq if last.told else 0,
            closed_day=before,
            closed_hash=opening.previous_hash,
            closed_ms=dates[before].closed_ms if before in dates else 0,
            sales_minor=opening.sales_minor,
            refunds_minor=opening.refunds_minor,
        ),
        goods,
    )


def _closed(last: _Date, day: Day) -> TillState:
    entry = last.closing or (last.told[0] if last.told else None)
    return TillState(
        closed_day=last.day,
        closed_hash=entry.hash[:PREVIOUS_HASH_BYTES] if entry else b"",
        closed_ms=last.closed_ms,
        sales_minor=day.perpetual_sales,
        refunds_minor=day.perpetual_refunds,
    )


def _patrons(reader: Reader) -> Iterator[View]:
    # Whoever made them patrons: what came back may have been on its way here before.
    for document in reader.documents(PATRONS):
        for stored in entries_of(reader, document):
            for account in accounts_of(stored.entry.body):
                yield patron_key(document, account), b"\1"


def _stamp(reader: Reader, identity: Identity) -> int:
    stamps = [0]
    for kind in SIGNED_BY_ACTS:
        for document in reader.documents(kind):
            for head in reader.heads(FeedId(document, identity.author)):
                stored = reader.find(head.hash)
                if stored is not None:
                    stamps.append(stored.entry.stamp)
    return max(stamps)
