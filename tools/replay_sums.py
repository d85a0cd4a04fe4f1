"""What a replay's books must say, computed apart, and what they do say: sums that are compared one by one.

``due`` comes straight from the parquet file: pyarrow's sums of decimals (``tools.truth``), and the rule by which members redeem
played on them in integers. It shares no code with tills. ``found`` comes from the day entries and balances that head office
holds, each read once, and from the receipts that the tills gave.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from crdt_pos import books
from crdt_pos.schema import BALANCE, DAY
from gossip.log import Reader
from merge_rules.counter_bounded import CounterBounded
from peers.roster import Directory
from tools import truth
from tools.replay_tills import Sold
from tools.selling import REDEEM_EVERY, account_of
from tools.truth import NetBasket

DIFFERENCES_KEPT: Final = 5

Place = tuple[int, datetime.date]
"""Store and date."""


@dataclass(slots=True)
class Sums:
    """Money in cents, quantities as in the data, points."""

    takings_minor: dict[Place, int] = field(default_factory=dict[Place, int])
    baskets: dict[Place, int] = field(default_factory=dict[Place, int])
    quantity: Counter[tuple[int, int]] = field(default_factory=Counter[tuple[int, int]])
    """Per store and product."""
    product_minor: Counter[int] = field(default_factory=Counter[int])
    product_net_minor: Counter[int] = field(default_factory=Counter[int])
    """Without tax: of the books and of the receipts."""
    member_minor: Counter[bytes] = field(default_factory=Counter[bytes])
    """Per member's account."""
    earned: Counter[bytes] = field(default_factory=Counter[bytes])
    redeemed: Counter[bytes] = field(default_factory=Counter[bytes])
    day_bytes: int = 0
    """Of the day entries, as signed."""
    unsound: list[str] = field(default_factory=list[str])
    """Till's dates that are not closed or do not balance, and accounts of which a till redeemed more than it earned."""


@dataclass(frozen=True, slots=True)
class Compared:
    """Two sets of sums, and where they differ."""

    what: str
    sums: int
    total: int
    """Of the sums that are due."""
    different: tuple[str, ...]
    """The first few."""
    differences: int


def compare(what: str, due: Mapping[Any, int], found: Mapping[Any, int]) -> Compared:
    """Every sum that either has; one that is missing is 0."""
    off = [key for key in {**due, **found} if due.get(key, 0) != found.get(key, 0)]
    shown = tuple(f"{_text(key)}: {found.get(key, 0)}, due are {due.get(key, 0)}" for key in off[:DIFFERENCES_KEPT])
    return Compared(what, len(due), sum(due.values()), shown, len(off))


def _text(key: object) -> str:
    return key.hex() if isinstance(key, bytes) else str(key)


# --- what is due -----------------------------------------------------------------------------------------------------


def due(date_from: datetime.date, date_to: datetime.date, stores: Sequence[int]) -> Sums:
    """From the parquet file alone."""
    table = truth.rows(date_from, date_to, stores)
    baskets = truth.net_baskets(table)
    sums = Sums()
    for store, date, cents, count in _grouped(
        table, ["store_id", "date"], ("cents", "sum"), ("basket_id", "count_distinct")
    ):
        sums.takings_minor[store, date], sums.baskets[store, date] = cents, count
    for store, product, quantity in _grouped(table, ["store_id", "product_id"], ("quantity", "sum")):
        sums.quantity[store, product] = quantity
    for product, cents in _grouped(table, ["product_id"], ("cents", "sum")):
        sums.product_minor[product] = cents
    for household, cents in _grouped(table, ["household_id"], ("cents", "sum")):
        sums.member_minor[account_of(household)] = cents
    redeem(baskets, sums)
    return sums


def _grouped(table: Any, keys: list[str], *wanted: tuple[str, str]) -> Iterable[tuple[Any, ...]]:
    sums = table.group_by(keys).aggregate(list(wanted))
    names = [*keys, *(f"{name}_{how}" for name, how in wanted)]
    return zip(*(sums[name].to_pylist() for name in names), strict=True)


def redeem(baskets: Iterable[NetBasket], sums: Sums) -> None:
    """At every third basket in a store a member redeems all that was earned and not redeemed there, up to what is due."""
    visits: Counter[tuple[int, int]] = Counter()
    rights: Counter[tuple[int, int]] = Counter()
    for basket in sorted(baskets, key=lambda one: (one.second, one.number)):
        account, here = account_of(basket.household), (basket.household, basket.store)
        visits[here] += 1
        if visits[here] % REDEEM_EVERY == 0:
            points = min(rights[here], basket.gross_minor)
            rights[here] -= points
            sums.redeemed[account] += points
        rights[here] += basket.points
        sums.earned[account] += basket.points


# --- what is found ---------------------------------------------------------------------------------------------------


def found(reader: Reader, directory: Directory) -> Sums:
    """From what head office holds: every day entry and every balance, read once."""
    sums = Sums()
    for document in reader.documents(DAY):
        sums.day_bytes += sum(len(stored.entry.raw) for stored in reader.head_entries(document))
        for one in books.till_days(reader, directory, document):
            place = one.store, one.date
            day = one.day
            sums.takings_minor[place] = sums.takings_minor.get(place, 0) + day.takings_minor - day.refunds_minor
            documents = sum(numbers.documents for numbers in day.series.values())
            sums.baskets[place] = sums.baskets.get(place, 0) + documents
            for product, goods in day.goods.items():
                sums.quantity[one.store, product] += goods.sold - goods.returned
                sums.product_net_minor[product] += goods.net_takings
            if not (one.closed and day.balanced and not one.disputed):
                sums.unsound.append(f"{one.name} on {one.date}")
    for document in reader.documents(BALANCE):
        account = document.keys[1]
        state = CounterBounded.bottom()
        for stored in reader.head_entries(document):
            state = state.join(CounterBounded.from_entry(stored.entry.author, stored.entry.seq, stored.entry.body))
        assert isinstance(account, bytes)
        for author in state.authors:
            earned, redeemed = state.earned(author), state.redeemed(author)
            sums.earned[account] += earned
            sums.redeemed[account] += redeemed
            if redeemed > earned:
                sums.unsound.append(f"{account.hex()} at {author.hex()}: {redeemed} of {earned} points")
    return sums


def compared(due: Sums, books: Sums, receipts: Sold) -> list[Compared]:
    """Every sum that is due, with what head office's books and the tills' receipts say."""
    paid = Counter({account_of(household): minor for household, minor in receipts.member_minor.items()})
    redeemed = Counter({account_of(household): points for household, points in receipts.member_redeemed.items()})
    return [
        compare("takings per store and date, books", due.takings_minor, books.takings_minor),
        compare("baskets per store and date, books", due.baskets, books.baskets),
        compare("quantity per store and product, books", due.quantity, books.quantity),
        compare("takings per product, receipts", due.product_minor, receipts.product_minor),
        compare("net takings per product, receipts and books", receipts.product_net_minor, books.product_net_minor),
        compare("takings per member, receipts", due.member_minor, paid),
        compare("points earned per member, books", due.earned, books.earned),
        compare("points redeemed per member, books", due.redeemed, books.redeemed),
        compare("points redeemed per member, receipts", due.redeemed, redeemed),
    ]
