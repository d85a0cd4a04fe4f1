"""What a fleet must prove: what the head office's folder says, read through the code that runs in shops."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from crdt_pos import books, verify
from crdt_pos.books import Books, Query, TillDay
from crdt_pos.errors import NothingHere
from crdt_pos.looking import look
from crdt_pos.receipt import Tender
from crdt_pos.schema import SCHEMA
from gossip.document import Scope, date_of
from gossip.entry import FeedId
from gossip.log import Log, Reader
from peers.roster import Directory
from tools.fleet_unit import Figures, clashing

Acknowledged = Mapping[int, Collection[int]]
"""By store, the places of its batches."""
Heads = Mapping[int, Sequence[Sequence[tuple[FeedId, int, bytes]]]]
"""By store, feed, number and hash of every entry in each batch."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a folder holds, as far as two of them can be compared."""

    fingerprints: tuple[tuple[int, int], ...]
    """Of every store's scope, in order: sum and number of feeds."""
    last_arrival: int


@dataclass(frozen=True, slots=True)
class Verified:
    """Every signature, chain and sum checked again, and the books read."""

    entries: int
    findings: int
    figures: Figures
    checked_s: float
    """Processor seconds of the check,"""
    read_s: float
    """and of reading the books."""


def figures(folder: Path, first_day: int, last_day: int) -> Figures:
    """The books of a folder from one day number to another, in the shape of what must stand in them."""
    with look(folder) as looked, looked.log.read() as reader:
        return _figures(_read(reader, looked.directory, first_day, last_day))


def _read(reader: Reader, directory: Directory, first_day: int, last_day: int) -> Books | None:
    try:
        return books.read(reader, directory, Query(date_of(first_day), date_of(last_day)))
    except NothingHere:
        return None


def _figures(read: Books | None) -> Figures:
    if read is None:
        return Figures()
    days: list[TillDay] = []
    takings = refunds = cash = documents = sold = 0
    stock: Counter[int] = Counter()
    for account in read.accounts:
        money = account.money
        takings += money.takings_minor
        refunds += money.refunds_minor
        cash += money.tenders[int(Tender.CASH)].net if int(Tender.CASH) in money.tenders else 0
        documents += sum(money.documents.values())
        for row in account.goods:
            sold += row.goods.sold
            stock[row.product] += row.stock
        days += account.days
    waited_for = sum(len(account.waiting) for account in read.accounts)
    return Figures(
        sum(day.closed for day in days),
        takings,
        refunds,
        cash,
        documents,
        sold,
        Counter({product: left for product, left in stock.items() if left}),
        waited_for,
        sum(day.disputed for day in days),
        _clashes(days),
    )


def _clashes(days: Iterable[TillDay]) -> int:
    runs: dict[tuple[str, str, int], list[tuple[int, int]]] = {}
    missing = 0
    for day in days:
        for series, numbers in day.day.series.items():
            runs.setdefault((day.name, day.incarnation, series), []).append((numbers.first, numbers.last))
            missing += numbers.missing
    return missing + sum(map(clashing, runs.values()))


def differences(must: Figures, said: Figures) -> list[str]:
    """What the books say otherwise than they must."""
    return [
        f"{name}: {getattr(said, name)} instead of {getattr(must, name)}"
        for name in Figures.__dataclass_fields__
        if getattr(said, name) != getattr(must, name)
    ]


def contents(folder: Path, stores: int) -> Contents:
    """What is in a folder, also while its replica runs."""
    with look(folder) as looked:
        return contents_of(looked.log, stores)


def contents_of(log: Log, stores: int) -> Contents:
    """What is in a log of these many stores."""
    with log.read_all() as reader:
        sums = tuple(reader.fingerprint(Scope(f"store/{store}")) for store in range(1, stores + 1))
        return Contents(tuple((one.value, one.feeds) for one in sums), reader.last_arrival())


def lost(folder: Path, acknowledged: Acknowledged, heads: Heads) -> int:
    """How many acknowledged entries a folder does not hold, nor what their authors wrote after them."""
    missing = 0
    with look(folder) as looked, looked.log.read_all() as reader:
        for store, places in acknowledged.items():
            for place in places:
                for feed, seq, hash_ in heads[store][place]:
                    missing += not any(
                        head.seq > seq or (head.seq == seq and head.hash == hash_) for head in reader.heads(feed)
                    )
    return missing


def verified(folder: Path, first_day: int, last_day: int) -> Verified:
    """Check a folder as ``crdt-pos verify`` does, and read its books of these days; in this process, on one core."""
    with look(folder) as looked, looked.log.read() as reader:
        began_s = time.process_time()
        report = verify.verify(reader, looked.directory, SCHEMA)
        checked_s = time.process_time() - began_s
        said = _read(reader, looked.directory, first_day, last_day)
        read_s = time.process_time() - began_s - checked_s
    return Verified(report.entries, len(report.findings) + report.left_off, _figures(said), checked_s, read_s)
