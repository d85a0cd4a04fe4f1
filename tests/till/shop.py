"""A shop for the tills of these tests: products, terms, and a clock that is told what to say."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from typing import Any

from crdt_pos import journal
from crdt_pos.day import Day, fold
from crdt_pos.identity import Identity, Now
from crdt_pos.money import Currency
from crdt_pos.products import Component, Price, Product, ProductTable
from crdt_pos.schema import SCHEMA
from crdt_pos.terms import Terms
from crdt_pos.till import Till
from crdt_pos.turn import day_document
from gossip.document import day_number
from gossip.log import Arrival, Log
from gossip.log_memory import MemoryLog
from merge_rules.counter_covers import CounterCovers, Covers
from merge_rules.lattice import Author
from peers.keys import SecretKey, author_of

DATE = datetime.date(2026, 11, 20)
NOON_MS = 1_795_176_000_000
"""2026-11-20 12:00 UTC."""
DAY_MS = 86_400_000

MILK, BREAD, CHEESE, PIZZA, DOUGH, GIFT_CARD = 1, 2, 3, 4, 5, 6
MEMBER = b"member-1"

PRODUCTS = ProductTable(
    {
        MILK: Product(MILK, "Milk", prices=(Price(119),), tax_code=1),
        BREAD: Product(BREAD, "Bread", prices=(Price(250), Price(270, NOON_MS + DAY_MS)), tax_code=1),
        CHEESE: Product(CHEESE, "Cheese", "kg", 3, (Price(1990),), tax_code=1),
        PIZZA: Product(
            PIZZA, "Pizza", prices=(Price(900),), tax_code=2, recipe=(Component(DOUGH, 250), Component(CHEESE, 120))
        ),
        DOUGH: Product(DOUGH, "Dough", "kg", 3, (Price(300),), tax_code=1),
        GIFT_CARD: Product(GIFT_CARD, "Gift card", prices=(Price(2000),), liability="gift"),
    },
    {1: 70_000, 2: 190_000},
)
EUR = Terms("Corner Shop Ltd", Currency("EUR", 2))
CHF = Terms("Eckladen AG", Currency("CHF", 2), cash_step_minor=5)
USD = Terms("Corner Store Inc", Currency("USD", 2), prices_with_tax=False)


@dataclass
class Clock:
    """Goes on by a second whenever it is read."""

    ms: int = NOON_MS
    offset_minutes: int = 60

    def __call__(self) -> Now:
        self.ms += 1000
        return Now(self.ms, self.offset_minutes)


NUMBERED_AS: dict[Author, tuple[int, int, str]] = {}
"""What the certificates of all tills of these tests would say."""


@dataclass
class Place:
    """One till, its log and its clock; ``restart`` is what a new process finds."""

    number: int = 3
    terms: Terms = EUR
    log: Log = field(default_factory=lambda: MemoryLog(SCHEMA))
    clock: Clock = field(default_factory=Clock)
    store: int = 12

    def __post_init__(self) -> None:
        key = SecretKey(bytes([self.store, self.number]) * 16)
        self.me = Identity(key, author_of(key.public, "a1"), self.store, self.number, "a1", b"c" * 32)
        NUMBERED_AS[self.me.author] = self.store, self.number, "a1"
        self.till = self.restart()

    def restart(self) -> Till:
        """A new till on the same log."""
        self.till = Till(self.log, self.me, self.clock, products=PRODUCTS, terms=self.terms)
        return self.till

    def tell(self, other: Place) -> None:
        """Everything that is here arrives at ``other``, with the views that are derived from it."""
        with self.log.read() as reader:
            entries = [stored.entry for stored in reader.arrivals(0, 1_000_000)]
        arrivals = [Arrival(entry, self.me.author) for entry in entries]
        with other.log.read() as reader:
            views = journal.derive(reader, arrivals, NUMBERED_AS.get)
        other.log.append(arrivals, views)

    def rederived(self, date: datetime.date = DATE) -> Day:
        """The fold of the journal."""
        with self.log.read() as reader:
            return fold(journal.acts(reader, self.store, day_number(date), self.me.author))

    def published(self, date: datetime.date = DATE) -> tuple[Covers, Day, int]:
        """What the published day entry covers and says, and its bytes."""
        with self.log.read() as reader:
            (stored,) = [
                stored
                for stored in reader.head_entries(day_document(self.store, day_number(date)))
                if stored.entry.author == self.me.author
            ]
        entry = stored.entry
        summary = CounterCovers.from_entry(entry.author, entry.seq, entry.body).summaries()[self.me.author]
        return summary.covers, Day.from_counters(summary.counters), len(entry.raw)


def opened(**fields: Any) -> Place:
    """A place whose till is open."""
    place = Place(**fields)
    place.till.open_date()
    return place
