"""Whatever a cashier does, in whatever order: the books' equation holds, and the journal yields the day."""

from __future__ import annotations

import datetime
import random

import pytest

from crdt_pos.basket import PROGRAMME_OF
from crdt_pos.errors import TillError
from crdt_pos.receipt import DrawerAct, Receipt, Series, Tender
from crdt_pos.requests import LineRequest, RefundLine, RefundRequest, SaleRequest, StockLine, TenderRequest
from crdt_pos.terms import Terms
from gossip.entry import Entry
from tests.till.shop import BREAD, CHEESE, CHF, DATE, DAY_MS, DOUGH, EUR, GIFT_CARD, MILK, PIZZA, USD, Place, opened

ACCOUNTS = (b"member-1", b"member-2")


def any_line(dice: random.Random) -> LineRequest:
    product = dice.choice((MILK, BREAD, CHEESE, PIZZA, GIFT_CARD, 99))
    account = dice.choice(ACCOUNTS)
    if product == GIFT_CARD:
        return LineRequest(product, account=account)
    if product == 99:
        total = dice.choice((0, dice.randrange(-500, 3_000)))
        return LineRequest(99, dice.choice((0, 1, 12_345)), total_minor=total, tax_code=dice.choice((0, 1, 2)))
    if product == CHEESE:
        return LineRequest(product, dice.randrange(1, 3_000), quantity_exponent=3)
    discount = dice.choice((0, 0, 13))
    return LineRequest(product, dice.choice((-1, 0, 1, 2, 30)), discount_minor=discount, discount_reason="why")


def any_sale(dice: random.Random) -> SaleRequest:
    lines = tuple(any_line(dice) for _ in range(dice.randrange(1, 6)))
    kind, amount = dice.choice(list(Tender)).text, dice.randrange(1, 500)
    paid = (TenderRequest(kind, amount, account=dice.choice(ACCOUNTS)), TenderRequest("cash", 1_000_000))
    member = dice.choice((None, *ACCOUNTS))
    points = dice.randrange(1, 50) if member and dice.random() < 0.3 else 0
    return SaleRequest(
        lines, dice.choice(((), paid)), member, points, cashier=f"c{dice.randrange(3)}", training=dice.random() < 0.1
    )


def any_act(place: Place, dice: random.Random, numbers: list[str]) -> Receipt | None:
    till = place.till
    match dice.randrange(12):
        case 0 | 1:
            number = dice.choice(numbers) if numbers else ""
            lines = dice.choice(((), (RefundLine(1, dice.choice((None, 1)), discarded=dice.random() < 0.2),)))
            credit = (TenderRequest("credit", 119, account=ACCOUNTS[0]),)
            return till.refund(RefundRequest(number, lines, dice.choice(((), (), credit))))
        case 2:
            line = RefundLine(
                product=BREAD, quantity=1, total_minor=dice.randrange(1000), tax_code=dice.choice((None, 2))
            )
            return till.refund(RefundRequest("", (line,), reason="no receipt", member=dice.choice((None, *ACCOUNTS))))
        case 3:
            return till.void(dice.choice(numbers) if numbers else "")
        case 4:
            return till.replenish([StockLine(dice.choice((MILK, DOUGH)), dice.randrange(1, 100))])
        case 5:
            return dice.choice((till.count, lambda lines: till.write_off(lines, "spoilt")))([StockLine(MILK, 3)])
        case 6:
            return till.drawer(
                dice.choice((DrawerAct.FLOAT, DrawerAct.PICK_UP, DrawerAct.PAID_OUT)), dice.randrange(100)
            )
        case 7:
            till.publish()
            return None
        case 8:
            place.restart()
            return None
        case _:
            return till.sell(any_sale(dice))


@pytest.mark.parametrize("terms", [EUR, CHF, USD], ids=["EUR", "CHF", "USD"])
@pytest.mark.parametrize("seed", range(5))
def test_every_receipt_and_every_day_balances_and_is_its_journals_fold(seed: int, terms: Terms) -> None:
    dice = random.Random(seed)
    place = opened(terms=terms)
    given: dict[Series, int] = {}
    refused = 0
    for date in range(2):
        today = DATE + datetime.timedelta(days=date)
        numbers: list[str] = []
        for _ in range(60):
            try:
                receipt = any_act(place, dice, numbers)
            except TillError:
                refused += 1
                continue
            if receipt is None:
                continue
            given[receipt.series] = given.get(receipt.series, 0) + 1
            if receipt.series is not Series.DRAWER:
                assert receipt.n == given[receipt.series]
            if receipt.series is Series.SALES:
                numbers.append(receipt.number)
                assert sum(tender.amount_minor for tender in receipt.tenders) == receipt.due_minor
                assert sum(line.tax_minor for line in receipt.lines) == receipt.tax_minor
            assert Receipt.from_body(receipt.body()) == receipt
            assert place.till.receipt(receipt.number) == receipt
            if dice.random() < 0.9:
                continue
            day = place.rederived(today)
            assert day.balanced
            assert day.series.get(Series.SALES) is None or day.series[Series.SALES].last == given[Series.SALES]
        place.till.close_date()
        covers, published, _ = place.published(today)
        again = place.rederived(today)
        assert published.counters() == again.counters()
        assert published.balanced
        assert published.closed
        owed_out = sum(published.tenders[kind].net for kind in PROGRAMME_OF if kind in published.tenders)
        owed = sum(place.till.redeemable(account, name).company for account in ACCOUNTS for name in ("gift", "credit"))
        if not date:
            assert owed == published.liabilities.net - owed_out
        with place.log.read() as reader:
            assert not list(reader.views(b"fold/"))
            assert covers.seq == sum(1 for stored in reader.arrivals(0, 10_000) if of_journal(stored.entry, today))
        place.clock.ms += DAY_MS
        place.till.open_date()
    assert refused > 5
    assert given[Series.SALES] > 20


def of_journal(entry: Entry, date: datetime.date) -> bool:
    return str(entry.document) == f"journal/12/{date.isoformat()}"
