"""A store's till in a replay: a production till with its node, which sells the store's real baskets and tells head office.

It is what runs in a shop: a folder with a key of its own, a certificate of the head office, a log whose every act is signed and
committed to the disk, and a session over TLS. It opens each business date that has a basket, sells in order of time, closes, and
now and then tells head office what it has closed. That is safe when head office has acknowledged it.
"""

from __future__ import annotations

import datetime
import time
from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final, cast

import trio

from crdt_pos.clock import system_ms
from crdt_pos.day import line_net_minor
from crdt_pos.folder import Folder
from crdt_pos.identity import Identity, Now
from crdt_pos.loyalty import Programme
from crdt_pos.money import Currency
from crdt_pos.patrons import PATRONS
from crdt_pos.products import Products
from crdt_pos.receipt import Receipt
from crdt_pos.requests import LineRequest, SaleRequest, TenderRequest
from crdt_pos.schema import BALANCE, DAY, SCHEMA
from crdt_pos.terms import Terms
from crdt_pos.till import Till
from crdt_pos.trust import RosterTrust
from gossip.document import Scope
from gossip.entry import FeedId, Head
from gossip.log import Log
from gossip.node import Hooks, Node
from gossip.session import Me
from merge_rules.lattice import Author
from tools import baskets as data
from tools.baskets import Basket, BasketLine
from tools.selling import REDEEM_EVERY, account_of

TILL: Final = 1
"""The data has no tills: a store has one."""
FLOAT_MINOR: Final = 20_000
ACKNOWLEDGED_TIMEOUT_S: Final = 120.0
TOLD: Final = (DAY, PATRONS, BALANCE)
"""What a till writes and head office must have: journals stay in the store."""


class NotAcknowledged(Exception):
    """Head office did not acknowledge a store's entries in time."""


@dataclass(slots=True)
class Sold:
    """Sums of the receipts that tills gave, each counted once it was committed; money in cents."""

    baskets: int = 0
    dates: int = 0
    redeemed_times: int = 0
    product_minor: Counter[int] = field(default_factory=Counter[int])
    """Product → what was paid for it, with tax."""
    product_net_minor: Counter[int] = field(default_factory=Counter[int])
    member_minor: Counter[int] = field(default_factory=Counter[int])
    member_redeemed: Counter[int] = field(default_factory=Counter[int])
    entries: int = 0
    """Of all logs of tills."""
    log_bytes: int = 0
    told: int = 0
    """Entries that head office has acknowledged."""
    cpu_ns: Counter[str] = field(default_factory=Counter[str])
    """By what the process was doing."""
    peak_bytes: int = 0

    def note(self, basket: Basket, receipt: Receipt) -> None:
        """Count a committed receipt."""
        self.baskets += 1
        for line in receipt.lines:
            self.product_minor[line.product] += line.total_minor
            self.product_net_minor[line.product] += line_net_minor(line, prices_with_tax=receipt.prices_with_tax)
        self.member_minor[basket.household] += sum(line.total_minor for line in receipt.lines)
        for moved in receipt.movements:
            self.member_redeemed[basket.household] += moved.redeemed
            self.redeemed_times += bool(moved.redeemed)

    def add(self, other: Sold) -> None:
        """Take another process's sums in."""
        for name in self.__slots__:
            mine, its = getattr(self, name), getattr(other, name)
            if isinstance(mine, Counter):
                cast("Counter[object]", mine).update(its)
            else:
                setattr(self, name, mine + its)


class StoreTill:
    """A store's till with its node, on an open log."""

    def __init__(self, folder: Folder, log: Log, products: Products) -> None:
        me = folder.certificate
        assert me.store is not None
        self._log = log
        self._now_ms = 0
        self._author = me.author
        self._acknowledged: dict[FeedId, Head] = {}
        self._heard = trio.Event()
        self._visits: Counter[int] = Counter()
        who = Identity(folder.key, me.author, me.store, TILL, me.incarnation, me.company)
        terms = Terms(folder.root.name, Currency(data.CURRENCY, 2), programme=Programme(data.POINTS_PROGRAMME))
        self._till = Till(log, who, lambda: Now(self._now_ms), products=products, terms=terms)
        scopes = frozenset({Scope(f"store/{me.store}"), Scope(f"patrons/{me.store}")})
        said, trust = Me(me.company, me.author, scopes), RosterTrust(folder, log)
        self.node = Node(log, said, folder.tls_contexts(), SCHEMA, trust, system_ms, Hooks(acknowledged=self._hear))

    def sell(self, baskets: Iterable[Basket], sold: Sold) -> None:
        """Date by date, in order of time. The log is written by this thread alone meanwhile."""
        for date, of_date in groupby(baskets, key=lambda basket: basket.date):
            self._sell_date(date, of_date, sold)

    def _sell_date(self, date: datetime.date, baskets: Iterable[Basket], sold: Sold) -> None:
        """Open, sell, close."""
        self._now_ms = _ms(datetime.datetime.combine(date, datetime.time()))
        with timed(sold, "open"):
            self._till.open_date(date, FLOAT_MINOR)
        for basket in baskets:
            self._now_ms = _ms(basket.at)
            with timed(sold, "sell"):
                receipt = self._sell(basket)
            sold.note(basket, receipt)
        with timed(sold, "close"):
            self._till.close_date()
        sold.dates += 1

    def _sell(self, basket: Basket) -> Receipt:
        member, points = account_of(basket.household), 0
        self._visits[basket.household] += 1
        if self._visits[basket.household] % REDEEM_EVERY == 0:
            points = min(self._till.redeemable(member).here, basket.total_minor)
        return self._till.sell(_request(basket, member, points))

    async def all_acknowledged(self) -> int:
        """Wait until head office has everything on its disk; how many feeds that are. Raises ``NotAcknowledged``."""
        with trio.move_on_after(ACKNOWLEDGED_TIMEOUT_S):
            while self._waiting():
                await self._heard.wait()
            return len(self._acknowledged)
        raise NotAcknowledged(f"{self._waiting()} feeds are not acknowledged after {ACKNOWLEDGED_TIMEOUT_S:.0f} s")

    def _hear(self, _peer: Author, heads: Sequence[tuple[FeedId, Head]]) -> None:
        self._acknowledged.update(heads)
        self._heard.set()
        self._heard = trio.Event()

    def _waiting(self) -> int:
        """How many feeds head office has not acknowledged as they are."""
        with self._log.read() as reader:
            feeds = (FeedId(document, self._author) for kind in TOLD for document in reader.documents(kind))
            return sum(self._acknowledged.get(feed) != head for feed in feeds for head in reader.heads(feed))


def _request(basket: Basket, member: bytes, points: int) -> SaleRequest:
    rest = basket.total_minor - points
    coupons = min(basket.coupon_minor, rest)
    rest -= coupons
    tenders = [TenderRequest("voucher", coupons, "coupons")] if coupons else []
    if rest:
        tenders.append(TenderRequest("cash" if basket.cash else "card", rest))
    number = str(basket.number)
    lines = tuple(map(_line, basket.lines))
    return SaleRequest(lines, tuple(tenders), member, points, reference=number, once=number)


def _line(line: BasketLine) -> LineRequest:
    reason = "loyalty" if line.discount_minor else ""
    return LineRequest(
        line.product, line.quantity, None, line.discount_minor, reason, line.exponent, total_minor=line.total_minor
    )


@contextmanager
def timed(sold: Sold, what: str) -> Generator[None]:
    """Add the CPU time of this thread to ``sold``."""
    began_ns = time.thread_time_ns()
    yield
    sold.cpu_ns[what] += time.thread_time_ns() - began_ns


def _ms(at: datetime.datetime) -> int:
    return int(at.replace(tzinfo=datetime.UTC).timestamp() * 1000)
