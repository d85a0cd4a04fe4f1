"""How many bytes a day's entry takes, whole and as a patch: measured on the real body, printed with ``-rP``."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from crdt_pos.day import Day, Flow, Goods, Numbers, TaxTotals
from crdt_pos.receipt import Series, Tender
from crdt_pos.schema import DAY, SCHEMA
from gossip.document import Document, FeedType, ScopeClass
from gossip.entry import Entry, sign
from gossip.patch import apply, decode, diff
from merge_rules.counter_covers import CounterCovers, Covers
from tests.entries.drawn import AUTHOR, KEY

STAMP = 1_766_000_000_000 << 16


def day(products: int) -> Day:
    """A till's business date: whole quantities, takings in cents, one tax code, one tender.

    A till of three products numbers them with four digits; others use numbers as in the grocery data, of six to eight.
    """
    dice = random.Random(products)
    numbers = range(1000, 10_000) if products < 10 else range(800_000, 18_000_000)
    goods = {
        dice.choice(numbers): Goods(sold := dice.randint(1, 40), sold * dice.randint(50, 900)) for _ in range(products)
    }
    net = sum(columns.takings for columns in goods.values())
    tax = net * 7 // 100
    return Day(
        previous=(1, bytes(8)),
        taxes={1: TaxTotals(net, tax)},
        tenders={int(Tender.CASH): Flow(net + tax)},
        series={int(Series.SALES): Numbers(16, 16 + products // 2, products // 2 + 1)},
        perpetual_sales=12_345_678 + net + tax,
        goods=goods,
    )


def entry(of: Day, seq: int, covered: int) -> Entry:
    state = CounterCovers.publish(AUTHOR, AUTHOR, Covers(covered, bytes(range(16))), of.counters())
    document = Document(DAY, 20444, (12,))
    return sign(KEY, AUTHOR, document, FeedType.LATEST, ScopeClass.STORE, seq, STAMP + seq, state.entry_body(AUTHOR))


def after_one_more_sale(of: Day, products: int) -> Day:
    """The same day after a basket of ``products`` goods that were sold before."""
    goods = dict(of.goods)
    for product in list(goods)[:products]:
        goods[product] = goods[product].plus(Goods(1, 199))
    net, tax = 199 * products, 199 * products * 7 // 100
    numbers = of.series[int(Series.SALES)]
    return replace(
        of,
        taxes={1: TaxTotals(of.taxes[1].base + net, of.taxes[1].tax + tax)},
        tenders={int(Tender.CASH): of.tenders[int(Tender.CASH)].plus_signed(net + tax)},
        series={int(Series.SALES): Numbers(numbers.first, numbers.last + 1, numbers.documents + 1)},
        perpetual_sales=of.perpetual_sales + net + tax,
        goods=goods,
    )


def test_the_days_kind_is_what_is_measured_here() -> None:
    assert (SCHEMA[DAY].feed, SCHEMA[DAY].scope, SCHEMA[DAY].rule) == (FeedType.LATEST, ScopeClass.STORE, CounterCovers)


@pytest.mark.parametrize(
    ("products", "whole_bytes_max", "patch_bytes_max"), [(3, 200, 190), (300, 4_000, 300), (3_000, 36_000, 300)]
)
def test_a_days_entry_is_small_and_its_patch_smaller(products: int, whole_bytes_max: int, patch_bytes_max: int) -> None:
    before = entry(day(products), 1, 100)
    after = entry(after_one_more_sale(day(products), 3), 2, 101)
    assert day(products).balanced
    patch = diff(before, after)
    assert patch is not None
    assert apply(before, decode(patch)) == after
    print(f"{products} products: {len(before.raw)} bytes whole, {len(patch)} bytes as a patch of a sale of 3 products")
    assert len(before.raw) <= whole_bytes_max
    assert len(patch) <= patch_bytes_max
