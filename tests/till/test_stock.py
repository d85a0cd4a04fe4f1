"""Goods that move without a sale."""

from __future__ import annotations

import pytest

from crdt_pos.errors import BadQuantity, EmptyReceipt, NotOpen, ReasonMissing
from crdt_pos.receipt import Receipt, StockAct
from crdt_pos.requests import LineRequest, SaleRequest, StockLine
from tests.till.shop import BREAD, CHEESE, DAY_MS, MILK, Place, opened


def test_a_replenishment_is_received(place: Place) -> None:
    receipt = place.till.replenish([StockLine(MILK, 40), StockLine(CHEESE, 2500, 3)], "note 17")
    assert (receipt.number, receipt.reference, receipt.stock) == ("12-3-a1-S1", "note 17", StockAct.RECEIVED)
    goods = place.rederived().goods
    assert (goods[MILK].received, goods[CHEESE].received) == (40, 2500)
    assert Receipt.from_body(receipt.body()) == receipt
    assert receipt.due_minor == 0


def test_every_movement_has_a_column_of_its_own(place: Place) -> None:
    place.till.replenish([StockLine(MILK, 40)])
    place.till.write_off([StockLine(MILK, 3)], "spilt")
    assert place.till.transfer_out([StockLine(MILK, 5)], 7, "T1").other_store == 7
    place.till.transfer_in([StockLine(BREAD, 2)], 7)
    goods = place.rederived().goods
    assert (goods[MILK].written_off, goods[MILK].transferred_out, goods[BREAD].transferred_in) == (3, 5, 2)
    assert (goods[MILK].stock, goods[BREAD].stock) == (32, 2)
    assert place.rederived().balanced


def test_a_count_corrects_by_adding(place: Place) -> None:
    place.till.replenish([StockLine(MILK, 10), StockLine(BREAD, 10)])
    place.till.sell(SaleRequest((LineRequest(MILK, 4),)))
    counted = place.till.count([StockLine(MILK, 5), StockLine(BREAD, 12)])
    assert [line.expected for line in counted.lines] == [6, 10]
    goods = place.rederived().goods
    assert (goods[MILK].counted_down, goods[BREAD].counted_up) == (1, 2)
    assert (goods[MILK].stock, goods[BREAD].stock) == (5, 12)


def test_a_count_expects_what_the_whole_store_has_moved_on_any_date() -> None:
    mine, theirs = opened(), opened(number=4)
    mine.till.replenish([StockLine(MILK, 100)])
    mine.till.close_date()
    mine.clock.ms += DAY_MS
    mine.till.open_date()
    theirs.till.sell(SaleRequest((LineRequest(MILK, 7),)))
    theirs.till.publish()
    theirs.tell(mine)
    mine.till.sell(SaleRequest((LineRequest(MILK, 1),)))
    mine.till.publish()
    mine.till.sell(SaleRequest((LineRequest(MILK, 2),)))
    assert mine.till.count([StockLine(MILK, 90)]).lines[0].expected == 90
    assert mine.till.count([StockLine(MILK, 80, expected=81)]).lines[0].expected == 81


def test_the_shelf_may_be_found_empty_but_nothing_negative_moves(place: Place) -> None:
    place.till.count([StockLine(MILK, 0)])
    for wrong in (StockLine(MILK, -1), StockLine(MILK, 0), StockLine(MILK, 15, 1)):
        with pytest.raises(BadQuantity):
            place.till.replenish([wrong])
    with pytest.raises(ReasonMissing):
        place.till.write_off([StockLine(MILK, 1)], "")
    with pytest.raises(EmptyReceipt):
        place.till.count([])
    place.till.close_date()
    with pytest.raises(NotOpen):
        place.till.replenish([StockLine(MILK, 1)])
