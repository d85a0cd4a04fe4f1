"""Goods of a period out of kept sums: of some lives from their months, of the whole company from its dates and months. Pure.

Ranking looks at net takings alone; all columns are added up only of those products that somebody looks at.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cached_property
from heapq import nlargest
from itertools import compress
from operator import sub
from typing import Final, NamedTuple

from crdt_pos.books import by_takings
from crdt_pos.goods_rows import GoodsRow, GoodsRows, Key, Measure
from crdt_pos.kept import COUNT, DAY_OF, GOODS, NET, PRODUCT, Kept, Life
from crdt_pos.kept_table import Table
from gossip.document import EPOCH, month_of
from merge_rules.claims import Identities

_FEW_DATES: Final = 12
"""Are added up one by one."""
_FEW_PRODUCTS: Final = 32

Counts = dict[int, list[int]]
"""By product the columns of ``Goods``."""
MeasureOf = Callable[[int], Measure]


class Moved(ABC):
    """What moved in a period, and before it."""

    @abstractmethod
    def net(self) -> dict[int, int]:
        """Net takings of every product that moved in the period."""

    @abstractmethod
    def counts(self, products: Collection[int] | None) -> tuple[Counts, Counts]:
        """Of these products (or of all) the columns of what moved in the period, and before it; none for what did not."""


class OfLives(Moved):
    """Of some lives: O(what they moved)."""

    def __init__(self, kept: Kept, lives: Iterable[tuple[Life, Sequence[int]]], first: int, last: int) -> None:
        """``lives``: each with its days. ``first``, ``last``: the period."""
        self._kept = kept
        self._lives = list(lives)
        self._first, self._last = first, last

    @cached_property
    def _tables(self) -> list[Table]:
        return [
            table
            for life, days in self._lives
            for month in sorted({month_of(day) for day in days if day <= self._last})
            if (table := self._kept.moved(life, month)) is not None
        ]

    def net(self) -> dict[int, int]:
        found: dict[int, int] = {}
        for table in self._tables:
            low, high = self._rows(table)
            for product, net in zip(table.column(PRODUCT, low, high), table.column(NET, low, high), strict=True):
                found[product] = found.get(product, 0) + net
        return found

    def _rows(self, table: Table) -> tuple[int, int]:
        """Rows are by day."""
        days = table.column(DAY_OF)
        return bisect_left(days, self._first), bisect_left(days, self._last + 1)

    def counts(self, products: Collection[int] | None) -> tuple[Counts, Counts]:
        moved: Counts = {}
        before: Counts = {}
        for table in self._tables:
            low, high = self._rows(table)
            _gather(table, 0, low, products, before)
            _gather(table, low, high, products, moved)
        return moved, before


class OfCompany(Moved):
    """Of all lives that sell for one legal entity in one currency: O(its products)."""

    def __init__(self, kept: Kept, number: int, first: int, last: int) -> None:
        self._kept = kept
        self._number = number
        self._first, self._last = first, last
        self._days = kept.days_of(number)

    @cached_property
    def _at_end(self) -> _Sum:
        return self._until(self._last)

    @cached_property
    def _at_begin(self) -> _Sum:
        return self._until(self._first - 1)

    def _until(self, day: int) -> _Sum:
        """From the beginning to a day: the nearest end of a month, and what lies between."""
        month = month_of(day) if day > 0 else 0
        below = _last_day(month - 1)
        above = _last_day(month)
        back = [one for one in self._days if day < one <= above]
        on = [one for one in self._days if below < one <= day]
        if len(back) < len(on):
            return _Sum(self._kept.until(self._number, month), self._dates(back), -1)
        return _Sum(self._kept.until(self._number, month - 1), self._dates(on), 1)

    def _dates(self, days: Iterable[int]) -> list[Table]:
        return [table for day in days if (table := self._kept.of_date(self._number, day)) is not None]

    def net(self) -> dict[int, int]:
        within = [day for day in self._days if self._first <= day <= self._last]
        if len(within) <= _FEW_DATES:
            found: dict[int, int] = {}
            for table in self._dates(within):
                for product, net in zip(table.column(PRODUCT), table.column(NET), strict=True):
                    found[product] = found.get(product, 0) + net
            return found
        end, begin = self._at_end, self._at_begin
        return end.less(begin)

    def counts(self, products: Collection[int] | None) -> tuple[Counts, Counts]:
        end, begin = self._at_end.counts(products), self._at_begin.counts(products)
        moved: Counts = {}
        before: Counts = {}
        for product, counts in end.items():
            earlier = begin.get(product)
            if earlier is None:
                if counts[0]:
                    moved[product] = counts[1:]
                continue
            if earlier[0]:
                before[product] = earlier[1:]
            if counts[0] > earlier[0]:
                moved[product] = list(map(sub, counts, earlier))[1:]
        return moved, before


class _Sum(NamedTuple):
    """The end of a month, more or less what some dates moved."""

    base: Table | None
    dates: list[Table]
    sign: int

    def less(self, earlier: _Sum) -> dict[int, int]:
        """Net takings of what moved since an earlier one. Both bases are of one chain: the later's products begin with the
        earlier's."""
        products, nets, times = _columns(self.base)
        _, nets_before, times_before = _columns(earlier.base)
        shared = len(nets_before)
        nets[:shared], times[:shared] = map(sub, nets, nets_before), map(sub, times, times_before)
        if self.dates or earlier.dates:
            places = dict(zip(products, range(len(products)), strict=True))
            for one, sign in ((self, self.sign), (earlier, -earlier.sign)):
                for table in one.dates:
                    of = table.column(PRODUCT)
                    fresh = [product for product in of if product not in places]
                    places.update(zip(fresh, range(len(places), len(places) + len(fresh)), strict=True))
                    nets += [0] * len(fresh)
                    times += [0] * len(fresh)
                    columns = (table.column(name) for name in (NET, COUNT))
                    for place, much, often in zip(map(places.__getitem__, of), *columns, strict=True):
                        nets[place] += sign * much
                        times[place] += sign * often
            products = list(places)
        return dict(zip(compress(products, times), compress(nets, times), strict=True))

    def counts(self, products: Collection[int] | None) -> dict[int, list[int]]:
        """Till-days, then the columns of ``Goods``."""
        found: dict[int, list[int]] = {}
        if self.base is not None:
            _gather(self.base, 0, self.base.rows, products, found, (COUNT, *GOODS))
        for table in self.dates:
            _gather(table, 0, table.rows, products, found, (COUNT, *GOODS), self.sign)
        return found


def _columns(table: Table | None) -> tuple[list[int], list[int], list[int]]:
    if table is None:
        return [], [], []
    return table.column(PRODUCT).tolist(), table.column(NET).tolist(), table.column(COUNT).tolist()


def _places(of: array[int], products: Collection[int]) -> list[int]:
    """Where products stand. A few are found as bytes, without a look at each number."""
    if len(products) > _FEW_PRODUCTS:
        return [place for place, is_one in enumerate(map(products.__contains__, of)) if is_one]
    found: list[int] = []
    within, width = of.tobytes(), of.itemsize
    for product in products:
        sought = array("q", [product]).tobytes()
        at = within.find(sought)
        while at >= 0:
            if not at % width:
                found.append(at // width)
            at = within.find(sought, at + 1)
    return found


def _gather(
    table: Table,
    low: int,
    high: int,
    products: Collection[int] | None,
    into: Counts,
    names: Sequence[tuple[int, int, int]] = GOODS,
    sign: int = 1,
) -> None:
    """Add columns of a table's rows, of some products."""
    if low >= high:
        return
    of = table.column(PRODUCT, low, high)
    if products is not None and len(products) < len(of):
        places = _places(of, products)
    else:
        places = [place for place, product in enumerate(of) if products is None or product in products]
    columns = [(number, table.column(name, low, high)) for number, name in enumerate(names) if table.has(name)]
    for place in places:
        total = into.get(of[place])
        if total is None:
            total = into[of[place]] = [0] * len(names)
        for number, column in columns:
            total[number] += sign * column[place]


def _last_day(month: int) -> int:
    """The last day of a month by its number; before all days for none."""
    if month <= 0:
        return -1
    year, following = divmod(month, 12)
    return (EPOCH.replace(year=EPOCH.year + year, month=following + 1) - EPOCH).days - 1


class Goods:
    """Rows of what moved, joined under claims."""

    def __init__(
        self, moved: Moved, key: Key, identities: Identities, measure_of: MeasureOf, product: int | None
    ) -> None:
        self._moved = moved
        self._key = key
        self._identities = identities
        self._measure_of = measure_of
        self._product = product

    def all(self) -> tuple[GoodsRow, ...]:
        """By ascending number."""
        if self._product is None:
            return self._rows(None).rows(self._key)
        return self._of_product.rows(self._key)

    def anywhere(self) -> bool:
        """Whether the product asked for ever moved."""
        return self._of_product.anywhere()

    @cached_property
    def _of_product(self) -> GoodsRows:
        assert self._product is not None
        return self._rows({one for one in self._identities.group(self._product) if isinstance(one, int)})

    def best(self, count: int) -> tuple[Sequence[GoodsRow], int, int]:
        """See ``Brief.best``."""
        if self._product is not None:
            ordered = sorted(self.all(), key=by_takings)
            return ordered[:count], len(ordered[count:]), sum(row.goods.net_takings for row in ordered[count:])
        net = self._moved.net()
        joined = {one for group in self._identities.groups() for one in group if isinstance(one, int)}
        groups = [one for one in joined if one in net]
        special: list[GoodsRow] = []
        if groups:
            whole = {other for one in groups for other in self._identities.group(one) if isinstance(other, int)}
            special = list(self._rows(whole).rows(self._key))
            for one in whole:
                net.pop(one, None)
        least = nlargest(count, net.values())[-1:] or [0]
        chosen = sorted(
            (product for product, much in net.items() if much >= least[0]), key=lambda one: (-net[one], one)
        )
        chosen = chosen[:count]
        ordered = sorted([*special, *(self._rows(set(chosen)).rows(self._key) if chosen else ())], key=by_takings)
        shown = ordered[:count]
        total = sum(net.values()) + sum(row.goods.net_takings for row in special)
        left = len(net) + len(special) - len(shown)
        return shown, left, total - sum(row.goods.net_takings for row in shown)

    def _rows(self, products: Collection[int] | None) -> GoodsRows:
        rows = GoodsRows(self._identities, self._measure_of, self._product)
        moved, before = self._moved.counts(products)
        rows.add_counts(self._key, moved, moved=True)
        rows.add_counts(self._key, before, moved=False)
        return rows
