"""What a till remembers of its last act is what the bytes in its log say."""

from __future__ import annotations

from collections.abc import Callable

from crdt_pos.day import Day
from crdt_pos.receipt import DrawerAct
from crdt_pos.requests import LineRequest, RefundRequest, SaleRequest, StockLine, TenderRequest
from crdt_pos.till_state import TillState
from tests.till.shop import BREAD, MILK, Place


def test_the_day_that_is_remembered_is_the_one_that_is_written(place: Place) -> None:
    till = place.till
    sold = till.sell(SaleRequest((LineRequest(MILK), LineRequest(BREAD, 2)), member=b"member-1"))
    acts: tuple[Callable[[], object], ...] = (
        lambda: till.sell(SaleRequest((LineRequest(MILK, total_minor=0),))),
        lambda: till.sell(SaleRequest((LineRequest(MILK, total_minor=0),), (TenderRequest("card", 0),))),
        lambda: till.sell(SaleRequest((LineRequest(BREAD),), training=True)),
        lambda: till.refund(RefundRequest(sold.number)),
        lambda: till.drawer(DrawerAct.NO_SALE, 0),
        lambda: till.drawer(DrawerAct.PICK_UP, 100),
        lambda: till.replenish([StockLine(MILK, 3)]),
    )
    for act in acts:
        act()
        with place.log.read() as reader:
            state = TillState.read(reader)
        assert Day.from_counters(state.day.counters()) == state.day
