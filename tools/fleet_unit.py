"""The unit of work of a fleet: what one till tells head office of a business date, in two messages.

One dish at 500.00, sold 1, 2 and 1 times, made of three products that came in that morning; every seventh till voids its third
sale. Morning's replenishment is told, and the close. What a production till signs of it is ``till_dates``; what the books must
say of many is ``expected``, from the constants below and nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from crdt_pos.identity import Identity, Now
from crdt_pos.money import Currency
from crdt_pos.products import Component, Price, Product, ProductTable
from crdt_pos.requests import LineRequest, SaleRequest, StockLine
from crdt_pos.schema import DAY, SCHEMA
from crdt_pos.terms import Terms
from crdt_pos.till import Till
from gossip.entry import FeedId
from gossip.log_memory import MemoryLog
from peers.keys import SecretKey, author_of
from tools.fleet_till import VOID_EVERY, TillDate

DISH: Final = 1
PRICE_MINOR: Final = 50_000
SALES: Final = (1, 2, 1)
"""Dishes in each."""
RECIPE: Final = {133: 4, 134: 1, 135: 1}
FIRST_MS: Final = 1_795_176_000_000
DAY_MS: Final = 86_400_000
ENTITY: Final = "Fleet Ltd"


@dataclass(frozen=True, slots=True)
class Figures:
    """What the books say of a fleet, or must say. Amounts in minor units, goods in pieces."""

    dates: int = 0
    """Tills' dates, each counted once, all of them closed."""
    takings_minor: int = 0
    refunds_minor: int = 0
    cash_minor: int = 0
    documents: int = 0
    sold: int = 0
    stock: Counter[int] = field(default_factory=Counter[int])
    """What is left, by product; nothing where nothing is."""
    waited_for: int = 0
    disputed: int = 0
    clashes: int = 0
    """Documents whose number is another's too."""


def expected(tills: int, dates: int) -> Figures:
    """What ``tills`` tills must come to on ``dates`` dates."""
    sold, voided = sum(SALES), SALES[-1]
    whole, void_dates = tills * dates, (tills // VOID_EVERY) * dates
    takings, refunds = sold * PRICE_MINOR * whole, voided * PRICE_MINOR * void_dates
    stock = Counter({product: quantity * voided * void_dates for product, quantity in RECIPE.items() if void_dates})
    documents = len(SALES) * whole + void_dates
    return Figures(whole, takings, refunds, takings - refunds, documents, sold * whole, stock)


def till_dates(dates: int, *, voiding: bool) -> list[TillDate]:
    """What a production till publishes on so many dates, one after the other: its numbers and totals go on."""
    products = ProductTable({DISH: Product(DISH, "Unit", prices=(Price(PRICE_MINOR),), recipe=_recipe())}, {})
    key = SecretKey(bytes(32))
    me = Identity(key, author_of(key.public, "a1"), 1, 1, "a1", bytes(16))
    log, clock = MemoryLog(SCHEMA), _Clock(FIRST_MS - DAY_MS)
    till = Till(log, me, clock, products=products, terms=Terms(ENTITY, Currency("EUR", 2)))
    for number in range(dates):
        clock.ms = FIRST_MS + number * DAY_MS
        _work(till, voiding=voiding)
    found: list[TillDate] = []
    with log.read() as reader:
        for document in reader.documents(DAY):
            morning, close = (stored.entry for stored in reader.entries(FeedId(document, me.author)))
            found.append(TillDate(document.day, morning.stamp >> 16, morning.body, close.body))
    return found


def _work(till: Till, *, voiding: bool) -> None:
    till.open_date()
    till.replenish([StockLine(part.product, sum(SALES) * part.quantity) for part in _recipe()])
    till.publish()
    *_, third = [till.sell(SaleRequest((LineRequest(DISH, quantity),))) for quantity in SALES]
    if voiding:
        till.void(third.number)
    till.close_date()


def _recipe() -> tuple[Component, ...]:
    return tuple(Component(product, quantity) for product, quantity in RECIPE.items())


@dataclass(slots=True)
class _Clock:
    ms: int

    def __call__(self) -> Now:
        self.ms += 1_000
        return Now(self.ms, 60)


def clashing(runs: Iterable[tuple[int, int]]) -> int:
    """How many numbers stand in more than one of these runs, first and last, of one till's series."""
    clashes = reached = 0
    for first, last in sorted(runs):
        clashes += max(min(reached, last) - first + 1, 0)
        reached = max(reached, last)
    return clashes
