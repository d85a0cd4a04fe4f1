"""What was given back too often, or of receipts that are not here, is on a list for people; nothing else is."""

from __future__ import annotations

import datetime
import json

import pytest
from click.testing import CliRunner

from crdt_pos import settling
from crdt_pos.cli import crdt_pos
from crdt_pos.receipt import Receipt
from crdt_pos.requests import LineRequest, RefundLine, RefundRequest, SaleRequest
from crdt_pos.settling import ToSettle
from tests.books.company import BREAD, MILK, Company, Replica, basket
from tests.till.shop import USD, opened


@pytest.fixture
def one(company: Company) -> Replica:
    return company.tills["12-1"]


@pytest.fixture
def two(company: Company) -> Replica:
    return company.tills["12-2"]


def sold(one: Replica, two: Replica, *lines: LineRequest) -> str:
    """A sale of the first till that has come to the second."""
    number = one.till.sell(SaleRequest(lines)).number
    one.tell(two)
    return number


def refund(replica: Replica, number: str, line: int, quantity: int | None = None) -> Receipt:
    return replica.till.refund(RefundRequest(number, (RefundLine(line, quantity),), reason="stale"))


def to_settle(replica: Replica) -> list[ToSettle]:
    with replica.log.read() as reader:
        return settling.read(reader)


def test_both_tills_show_the_same_excess_whoever_hears_first(one: Replica, two: Replica) -> None:
    number = sold(one, two, LineRequest(BREAD), LineRequest(MILK, 3))
    refunds = (refund(one, number, 2, 2).number, refund(two, number, 2, 2).number)
    one.tell(two)
    two.tell(one)
    (row,) = to_settle(one)
    assert to_settle(two) == [row]
    assert (row.receipt, row.line, row.product, row.quantity, row.amount_minor) == (number, 2, MILK, 1, 119)
    assert (set(row.refunds), row.unconfirmed) == (set(refunds), False)


def test_parts_that_make_up_the_line_are_nothing_to_settle(one: Replica, two: Replica) -> None:
    number = sold(one, two, LineRequest(MILK, 3))
    refund(one, number, 1, 1)
    refund(two, number, 1, 2)
    two.tell(one)
    assert to_settle(one) == []


def test_a_cent_that_rounding_gave_back_twice_is_shown(one: Replica, two: Replica) -> None:
    number = sold(one, two, LineRequest(99, 2, total_minor=101))
    amounts = [refund(replica, number, 1, 1).total_minor for replica in (one, two)]
    two.tell(one)
    assert [(row.quantity, row.amount_minor) for row in to_settle(one)] == [(0, 1)]
    assert amounts == [-51, -51]


def test_a_line_sold_by_its_amount_alone_can_be_given_back_too_often(one: Replica, two: Replica) -> None:
    number = sold(one, two, LineRequest(MILK, 0, total_minor=50))
    refund(one, number, 1)
    refund(two, number, 1)
    two.tell(one)
    assert [(row.quantity, row.amount_minor) for row in to_settle(one)] == [(0, 50)]


def test_a_line_that_cost_nothing_can_be_given_back_too_often(one: Replica, two: Replica) -> None:
    number = sold(one, two, LineRequest(MILK, total_minor=0))
    refund(one, number, 1)
    refund(two, number, 1)
    two.tell(one)
    assert [(row.quantity, row.amount_minor) for row in to_settle(one)] == [(1, 0)]


def test_where_prices_are_without_tax_the_excess_is_with_it() -> None:
    here, there = opened(terms=USD), opened(terms=USD, number=4)
    number = here.till.sell(SaleRequest((LineRequest(BREAD),))).number
    here.tell(there)
    for place in (here, there):
        assert place.till.refund(RefundRequest(number)).due_minor == -268
    there.tell(here)
    with here.log.read() as reader:
        assert [row.amount_minor for row in settling.read(reader)] == [268]


def test_voiding_one_of_the_refunds_settles_it(one: Replica, two: Replica) -> None:
    number = sold(one, two, LineRequest(BREAD))
    refund(one, number, 1)
    wrong = refund(two, number, 1)
    one.tell(two)
    assert len(to_settle(two)) == 1
    two.till.void(wrong.number)
    assert to_settle(two) == []


def test_a_sale_that_was_voided_here_and_refunded_there_is_shown(one: Replica, two: Replica) -> None:
    number = sold(one, two, LineRequest(BREAD), LineRequest(MILK))
    void = one.till.void(number)
    back = refund(two, number, 1)
    two.tell(one)
    assert [(row.line, row.amount_minor, set(row.refunds)) for row in to_settle(one)] == [
        (1, 250, {void.number, back.number})
    ]


def test_a_refund_of_a_receipt_that_is_not_here_is_unconfirmed_until_it_is(one: Replica, two: Replica) -> None:
    number = one.till.sell(basket(BREAD)).number
    wish = RefundRequest(number, (RefundLine(1, 1, product=BREAD, total_minor=250),), reason="stale")
    back = two.till.refund(wish)
    assert [(row.receipt, row.amount_minor, row.unconfirmed) for row in to_settle(two)] == [(number, 250, True)]
    one.tell(two)
    assert to_settle(two) == []
    again = refund(one, number, 1)
    one.tell(two)
    assert [(row.refunds, row.amount_minor, row.unconfirmed) for row in to_settle(two)] == [
        ((back.number, again.number), 250, False)
    ]


def test_a_refund_that_names_a_line_of_another_product_stays_unconfirmed(one: Replica, two: Replica) -> None:
    number = one.till.sell(basket(BREAD)).number
    two.till.refund(RefundRequest(number, (RefundLine(1, 1, product=MILK, total_minor=119),), reason="stale"))
    one.tell(two)
    assert [(row.product, row.amount_minor, row.unconfirmed) for row in to_settle(two)] == [(MILK, 119, True)]


def test_books_list_what_is_to_settle_by_the_till_and_date_that_gave_it_back(
    company: Company, one: Replica, two: Replica
) -> None:
    number = sold(one, two, LineRequest(BREAD))
    two.clock.ms += 60_000
    refunds = [refund(replica, number, 1).number for replica in (one, two)]
    two.tell(one)
    one.till.close_date()
    following = one.till.open_date(datetime.date(2026, 11, 21))
    one.till.close_date()
    company.close_logs()

    def listed(*asked: str) -> list[dict[str, object]]:
        arguments = ["books", "--at", str(one.folder.path), *asked, "--json"]
        return json.loads(CliRunner().invoke(crdt_pos, arguments, catch_exceptions=False).output)["to_settle"]

    first = "2026-11-20"
    (row,) = listed("--date", first)
    assert (row["receipt"], row["line"], row["amount_minor"], row["refunds"]) == (number, 1, 250, refunds)
    assert (row["date"], row["currency"], row["unconfirmed"]) == (first, "EUR", False)
    assert len(listed("--date", first, "--till", "2")) == 1
    assert listed("--date", str(following)) == []
    assert listed("--date", first, "--product", str(BREAD)) == [row]
    shown = CliRunner().invoke(crdt_pos, ["books", "--at", str(one.folder.path), "--date", first]).output
    assert "To settle" in shown
