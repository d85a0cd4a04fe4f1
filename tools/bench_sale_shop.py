"""The till that sales are measured at: 92,331 products, a year of history, members, and 2,000 products sold that day.

What the till would have received or written in the course of a year is signed and appended here in large batches that are not
synced, since only its rows matter to a sale. Of the catalogue there is what a till sells by, its views; the entries that
they follow from are left out. The day that is measured, and whatever is timed, is the till's own doing.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import count, cycle, islice
from pathlib import Path
from typing import Final

from crdt_pos import catalogue, catalogue_views, journal
from crdt_pos.balance import balance_document
from crdt_pos.catalogue_views import CatalogueProducts
from crdt_pos.identity import Identity, Now
from crdt_pos.money import Currency
from crdt_pos.patrons import PATRONS, patron_key, patrons_document
from crdt_pos.products import Price, Product
from crdt_pos.receipt import ACCOUNT_BYTES, Line, Receipt, ReceiptType, TaxLine, Tender, TenderLine
from crdt_pos.requests import LineRequest, SaleRequest
from crdt_pos.schema import BALANCE, JOURNAL, SCHEMA
from crdt_pos.terms import Terms
from crdt_pos.till import Till
from gossip.document import day_number
from gossip.entry import Entry
from gossip.log import Arrival, View
from gossip.log_lmdb import LmdbLog
from gossip.own_feed import OwnFeed
from merge_rules import canonical
from merge_rules.counter_bounded import CounterBounded
from merge_rules.dataclass import dataclass
from merge_rules.set_grow import SetGrow
from peers.keys import SecretKey, author_of
from tools import baskets
from tools.baskets import Basket

STORE: Final = 367
"""The store of the data with most baskets."""
TODAY: Final = baskets.YEAR_TO
DAYS: Final = 365
ACTS_A_DAY: Final = 60
SOLD_TODAY: Final = 2_000
"""Products."""
SOLD_AT_ONCE: Final = 10
MEMBERS: Final = 2_469
COMPANY: Final = bytes(16)
TERMS: Final = Terms("Corner Shops Ltd", Currency("USD", 2))
_PRICE: Final = Price(199, 1)
_BATCH: Final = 5_000
_DAY_MS: Final = 12 * 3_600_000
_NOON: Final = datetime.datetime.combine(TODAY, datetime.time(12), datetime.UTC)


@dataclass(slots=True)
class Shop:
    """A till with all of it."""

    log: LmdbLog
    till: Till
    identity: Identity
    products: CatalogueProducts
    now: Callable[[], Now]
    sold: Iterator[int]
    """Products as customers of the data take them, for ever."""
    members: Iterator[bytes]
    entries: int
    """In the log, before anything is measured."""

    def basket(self, lines: int, *, member: bool = False) -> SaleRequest:
        """The next customer's."""
        wanted = tuple(map(LineRequest, islice(self.sold, lines)))
        return SaleRequest(wanted, member=next(self.members) if member else None)


def make(folder: Path, say: Callable[[str], None]) -> Shop:
    """Fill a log in ``folder`` and open a till on it; synced from then on. Raises ``DataMissing``."""
    key = SecretKey(bytes([12, 3]) * 16)
    me = Identity(key, author_of(key.public, "a1"), STORE, 3, "a1", COMPANY)
    rows = baskets.read_products()
    real = baskets.read_baskets(baskets.YEAR_FROM, baskets.YEAR_TO, [STORE])
    members = [hashlib.sha256(b"member %d" % one).digest()[:ACCOUNT_BYTES] for one in range(MEMBERS)]
    log = LmdbLog.open(folder, SCHEMA, COMPANY, sync=False)
    try:
        say(f"{len(rows):,} products")
        _append_catalogue(log, rows)
        say(f"{MEMBERS:,} members")
        _append(log, _members(me, members))
        say(f"{DAYS} days of {ACTS_A_DAY} sales")
        _append(log, _history(me, real))
        say(f"{SOLD_TODAY:,} products of today")
        ms = count(int(_NOON.timestamp() * 1000), 1000)
        shop = _open(log, me, lambda: Now(next(ms)), real, members)
        shop.till.open_date()
        taken = dict.fromkeys(islice(shop.sold, 10 * SOLD_TODAY))
        today = list(islice(taken, SOLD_TODAY))
        assert len(today) == SOLD_TODAY
        for first in range(0, SOLD_TODAY, SOLD_AT_ONCE):
            shop.till.sell(SaleRequest(tuple(map(LineRequest, today[first : first + SOLD_AT_ONCE]))))
    finally:
        log.close()
    return _open(LmdbLog.open(folder, SCHEMA, COMPANY), me, shop.now, real, members)


def _open(log: LmdbLog, me: Identity, now: Callable[[], Now], real: Sequence[Basket], members: Sequence[bytes]) -> Shop:
    products = CatalogueProducts(TERMS.currency.code, STORE)
    till = Till(log, me, now, products=products, terms=TERMS)
    with log.read() as reader:
        entries = reader.last_arrival()
        listed = set(catalogue_views.products(reader))
    sold = cycle([line.product for basket in real for line in basket.lines if line.product in listed])
    return Shop(log, till, me, products, now, sold, cycle(members), entries)


def _append_catalogue(log: LmdbLog, rows: Iterable[baskets.ProductRow]) -> None:
    shards: dict[int, dict[str, bytes | None]] = {}
    changes = [catalogue.tax_change(code, rate_ppm) for code, rate_ppm in baskets.TAX_RATES_PPM.items()]
    for row in rows:
        product = Product(row.product, row.name, "", row.exponent, (_PRICE,), row.tax_code, (), row.department.title())
        changes += catalogue.product_changes(product, [baskets.ean13(row.product)])
    for change in changes:
        shards.setdefault(change.shard, {})[change.key] = canonical.encode(change.value)
    for shard, values in shards.items():
        with log.read() as reader:
            views = catalogue_views.project(reader, shard, values)
        log.append([], views)


def _members(me: Identity, members: Iterable[bytes]) -> Iterator[tuple[Entry, Iterable[View]]]:
    document = patrons_document(STORE)
    feed = OwnFeed(me.key, me.author, document, SCHEMA[PATRONS])
    for account in members:
        yield feed.sign(SetGrow.add_body(account), 1), [(patron_key(document, account), b"\1")]
        name = balance_document(TERMS.balances(TERMS.programme.name), account)
        body = CounterBounded.bottom().earn(me.author, 500).entry_body(me.author)
        yield OwnFeed(me.key, me.author, name, SCHEMA[BALANCE]).sign(body, 1), []


def _history(me: Identity, real: Iterable[Basket]) -> Iterator[tuple[Entry, Iterable[View]]]:
    """The journals of a year: real baskets, as many a day as a busy till has."""
    basket, number = cycle(real), count(1)
    for back in range(DAYS, 0, -1):
        date = TODAY - datetime.timedelta(days=back)
        document = journal.journal_document(STORE, day_number(date))
        feed = OwnFeed(me.key, me.author, document, SCHEMA[JOURNAL])
        morning = int(datetime.datetime.combine(date, datetime.time(8), datetime.UTC).timestamp() * 1000)
        for act, one in enumerate(islice(basket, ACTS_A_DAY)):
            ms = morning + act * _DAY_MS // ACTS_A_DAY
            receipt = _receipt(me, one, next(number), date, ms)
            entry = feed.sign(receipt.body(), ms << 16)
            yield entry, journal.index(receipt, entry.hash)


def _receipt(me: Identity, basket: Basket, n: int, date: datetime.date, ms: int) -> Receipt:
    lines = tuple(
        Line(number, line.product, line.quantity, line.exponent, total_minor=line.total_minor)
        for number, line in enumerate(basket.lines, 1)
    )
    act = Receipt(ReceiptType.SALE, n, STORE, me.till, me.incarnation, TERMS.legal_entity, date, ms, 0, "USD", 2)
    total = basket.total_minor
    return replace(act, lines=lines, tenders=(TenderLine(Tender.CASH, total),), taxes=(TaxLine(0, 0, total, 0),))


def _append(log: LmdbLog, made: Iterator[tuple[Entry, Iterable[View]]]) -> None:
    while part := list(islice(made, _BATCH)):
        log.append([Arrival(entry) for entry, _ in part], [view for _, views in part for view in views])
