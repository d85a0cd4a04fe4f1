"""The truth, computed apart: what the books must say, straight from the parquet file with pyarrow's own sums.

Shares no code path with the baskets that are sold (``tools.baskets`` only opens the file): amounts are summed as decimals by
pyarrow, grouped by store, day, product and household.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from tools.arrow import Table, pa, pc, pq
from tools.baskets import FOOD, FOOD_TAX, OTHER_TAX, TAX_RATES_PPM, data_file, read_transactions


@dataclass(frozen=True, slots=True)
class Truth:
    """Sums over the chosen stores and dates; money in cents, quantities as in the data."""

    takings_minor: dict[tuple[int, datetime.date], int]
    """Per store and date."""
    baskets: dict[tuple[int, datetime.date], int]
    quantity: dict[tuple[int, int], int]
    """Per store and product."""
    points: dict[int, int]
    """Points earned per household: the whole units of every basket's total without the tax that ``DERIVED`` states."""

    @property
    def total_minor(self) -> int:
        return sum(self.takings_minor.values())


@dataclass(frozen=True, slots=True)
class NetBasket:
    """A basket's total with and without the tax that ``DERIVED`` states, in cents."""

    household: int
    store: int
    second: int
    """Since 1970, by the data's clock."""
    number: int
    gross_minor: int
    net_minor: int

    @property
    def points(self) -> int:
        """What it earns: its whole units without tax."""
        return self.net_minor // 100


def rows(date_from: datetime.date, date_to: datetime.date, stores: Sequence[int] | None = None) -> Table:
    """The rows of the data set, with ``cents`` and ``date``."""
    table = read_transactions(date_from, date_to, stores)
    # Through decimals with two places, so that no sum of floats decides a cent.
    cents = pc.cast(pc.multiply(pc.cast(pc.round(table["sales_value"], 2), pa.decimal128(14, 2)), 100), pa.int64())
    date = pc.cast(pc.floor_temporal(table["transaction_timestamp"], unit="day"), pa.date32())
    return table.append_column("cents", cents).append_column("date", date)


def compute(date_from: datetime.date, date_to: datetime.date, stores: Sequence[int]) -> Truth:
    """Group and sum the rows of the data set."""
    table = rows(date_from, date_to, stores)
    per_day = table.group_by(["store_id", "date"]).aggregate([("cents", "sum"), ("basket_id", "count_distinct")])
    per_product = table.group_by(["store_id", "product_id"]).aggregate([("quantity", "sum")])
    takings: dict[tuple[int, datetime.date], int] = {}
    baskets: dict[tuple[int, datetime.date], int] = {}
    for row in _rows(per_day):
        takings[row["store_id"], row["date"]] = row["cents_sum"]
        baskets[row["store_id"], row["date"]] = row["basket_id_count_distinct"]
    quantity = {(row["store_id"], row["product_id"]): row["quantity_sum"] for row in _rows(per_product)}
    points: dict[int, int] = {}
    for basket in net_baskets(table):
        points[basket.household] = points.get(basket.household, 0) + basket.points
    return Truth(takings, baskets, quantity, points)


def net_baskets(table: Table) -> list[NetBasket]:
    """Every basket of ``rows``. Tax is rounded once for each code of a basket."""
    products = pq.read_table(data_file("products"), columns=["product_id", "department"])
    food = products.filter(pc.is_in(products["department"], pa.array(sorted(FOOD))))["product_id"]
    second = pc.cast(pc.cast(table["transaction_timestamp"], pa.timestamp("s"), safe=False), pa.int64())
    table = table.append_column("food", pc.is_in(table["product_id"], food)).append_column("second", second)
    names = ["household_id", "store_id", "second", "basket_id"]
    groups = table.group_by([*names, "food"]).aggregate([("cents", "sum")])
    sums: dict[tuple[int, int, int, int], tuple[int, int]] = {}
    columns = (groups[name].to_pylist() for name in [*names, "food", "cents_sum"])
    for *key, is_food, gross in zip(*columns, strict=True):
        rate_ppm = TAX_RATES_PPM[FOOD_TAX if is_food else OTHER_TAX]
        tax = (2 * gross * rate_ppm + 1_000_000 + rate_ppm) // (2 * (1_000_000 + rate_ppm))
        basket = cast("tuple[int, int, int, int]", tuple(key))
        before = sums.get(basket, (0, 0))
        sums[basket] = before[0] + gross, before[1] + gross - tax
    return [NetBasket(*basket, *amounts) for basket, amounts in sums.items()]


def _rows(table: Table) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", table.to_pylist())
