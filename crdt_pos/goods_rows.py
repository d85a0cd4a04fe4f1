"""Goods of the books: what moved of each product, and what is on the shelves, by legal entity and currency.

Products that share a claimed code are one row, and each has its own row below it: the books keep every product's own number, so
that they come apart again, with their stock, when a claim is taken back. Pieces and kilograms are not added up: of products
that are read as one, those in another unit have a row of their own until a person has settled it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from crdt_pos.day import Goods
from merge_rules.claims import Identities
from merge_rules.dataclass import dataclass

Key = tuple[str, str, int]
"""Legal entity, currency and its exponent."""

Measure = tuple[str, int]
"""A unit, and decimals of its quantities."""


@dataclass(frozen=True, slots=True)
class GoodsRow:
    """One product, or several that share a claimed code and are read as one."""

    product: int
    """The smallest id."""
    joined: tuple[int, ...]
    """All ids, where there are several."""
    goods: Goods
    """What moved in the period."""
    stock: int
    """What is on the shelves at the end of the period, as far as the entries here say."""
    parts: tuple[GoodsRow, ...] = ()
    """Of a row that joins several: each that ever moved, by itself."""


class GoodsRows:
    """Sums by key and product, joined under claims when they are read."""

    def __init__(
        self, identities: Identities, measure_of: Callable[[int], Measure], product: int | None = None
    ) -> None:
        """``measure_of``: what a product's quantities count. ``product``: only that one, and what is one with it."""
        self._identities = identities
        self._measure_of = measure_of
        self._product = None if product is None else identities.same_as(product)
        self._moved: dict[Key, dict[int, list[int]]] = {}
        self._before: dict[Key, dict[int, list[int]]] = {}

    def add(self, key: Key, goods: Mapping[int, Goods], *, moved: bool) -> None:
        """Goods of one till's day; ``moved`` in the period, or before it."""
        sums = (self._moved if moved else self._before).setdefault(key, {})
        for product, counts in goods.items():
            if self._product is None or self._identities.same_as(product) == self._product:
                # Lists, changed in place: a year of days has a million rows.
                total = sums.get(product)
                if total is None:
                    sums[product] = list(counts)
                else:
                    for column, count in enumerate(counts):
                        if count:
                            total[column] += count

    def add_counts(self, key: Key, counts: Mapping[int, Sequence[int]], *, moved: bool) -> None:
        """The same of sums by product, each of which is given once."""
        (self._moved if moved else self._before).setdefault(key, {}).update(
            (one, list(row)) for one, row in counts.items()
        )

    def anywhere(self) -> bool:
        """Whether anything ever moved."""
        return any(self._moved.values()) or any(self._before.values())

    def rows(self, key: Key) -> tuple[GoodsRow, ...]:
        """By ascending number; with a product asked for also if it did not move in the period."""
        moved, before = self._moved.get(key, {}), self._before.get(key, {})
        groups: dict[int, list[int]] = {}
        for product in moved if self._product is None else {**before, **moved}:
            members = [one for one in self._identities.group(product) if isinstance(one, int)]
            if len(members) > 1:
                measure = self._measure_of(product)
                members = [one for one in members if self._measure_of(one) == measure]
            groups[members[0] if members else product] = members or [product]
        return tuple(_row(moved, before, members) for _, members in sorted(groups.items()))


def _row(moved: Mapping[int, Sequence[int]], before: Mapping[int, Sequence[int]], members: Sequence[int]) -> GoodsRow:
    goods, earlier = _sum(moved, members), _sum(before, members)
    if len(members) == 1:
        return GoodsRow(members[0], (), goods, goods.stock + earlier.stock)
    parts = tuple(_row(moved, before, [one]) for one in members if one in moved or one in before)
    return GoodsRow(members[0], tuple(members), goods, goods.stock + earlier.stock, parts)


def _sum(sums: Mapping[int, Sequence[int]], products: Iterable[int]) -> Goods:
    total = Goods()
    for product in products:
        if product in sums:
            total = total.plus(Goods(*sums[product]))
    return total
