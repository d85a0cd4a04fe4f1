"""What is given back: by line, once, exactly; and what a void wins back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from crdt_pos.errors import BadQuantity, EmptyReceipt, NotRefundable, NotVoidable, ReasonMissing, UnknownReceipt
from crdt_pos.loyalty import Programme
from crdt_pos.receipt import DrawerAct, Receipt, ReceiptType, Tender, Undoes
from crdt_pos.requests import LineRequest, RefundLine, RefundRequest, SaleRequest, StockLine, TenderRequest
from crdt_pos.terms import Terms
from crdt_pos.till import Till
from crdt_pos.till_state import TillState
from crdt_pos.turn import Turn
from tests.till.shop import BREAD, CHEESE, CHF, DOUGH, MEMBER, MILK, PIZZA, Place, opened


def sold(place: Place, *lines: LineRequest, member: bytes | None = None) -> str:
    return place.till.sell(SaleRequest(lines, member=member)).number


def test_a_refund_names_receipt_line_and_hash(place: Place) -> None:
    number = sold(place, LineRequest(MILK, 3), LineRequest(BREAD, 2))
    refund = place.till.refund(RefundRequest(number, (RefundLine(2, 1),)))
    assert refund.type is ReceiptType.REFUND
    assert refund.undoes is not None
    assert refund.undoes.number == number
    with place.log.read() as reader:
        (original,) = [stored for stored in reader.arrivals(0, 100) if stored.entry.hash == refund.undoes.hash]
    assert Receipt.from_body(original.entry.body).number == number
    assert [(line.undoes_line, line.quantity, line.total_minor) for line in refund.lines] == [(2, -1, -250)]
    assert [(tender.kind, tender.amount_minor) for tender in refund.tenders] == [(Tender.CASH, -250)]


def test_a_line_is_given_back_once(place: Place) -> None:
    number = sold(place, LineRequest(MILK, 3))
    place.till.refund(RefundRequest(number, (RefundLine(1, 2),)))
    with pytest.raises(NotRefundable, match="line 1 has 1 left"):
        place.till.refund(RefundRequest(number, (RefundLine(1, 2),)))
    place.restart().refund(RefundRequest(number))
    for lines in ((), (RefundLine(1),), (RefundLine(1, 1),)):
        with pytest.raises(NotRefundable):
            place.till.refund(RefundRequest(number, lines))


def test_one_refund_cannot_name_a_line_twice_to_get_more(place: Place) -> None:
    number = sold(place, LineRequest(MILK, 3))
    with pytest.raises(NotRefundable):
        place.till.refund(RefundRequest(number, (RefundLine(1, 2), RefundLine(1, 2))))
    place.till.refund(RefundRequest(number, (RefundLine(1, 1), RefundLine(1, 1))))
    with pytest.raises(NotRefundable, match="has 1 left"):
        place.till.refund(RefundRequest(number, (RefundLine(1, 2),)))


def test_refunds_in_parts_add_up_to_the_line_to_the_cent(place: Place) -> None:
    number = sold(place, LineRequest(99, 3, total_minor=100, tax_code=2))
    parts = [place.till.refund(RefundRequest(number, (RefundLine(1, 1),))) for _ in range(3)]
    assert sum(part.total_minor for part in parts) == -100
    assert sum(part.tax_minor for part in parts) == -16
    assert place.rederived().tenders_net_minor == 0


def test_a_line_of_no_quantity_is_given_back_once(place: Place) -> None:
    number = sold(place, LineRequest(MILK, 0, total_minor=50))
    assert place.till.refund(RefundRequest(number)).total_minor == -50
    with pytest.raises(NotRefundable):
        place.till.refund(RefundRequest(number))


def test_a_refund_in_cash_is_rounded_like_the_sale() -> None:
    place = opened(terms=CHF)
    number = sold(place, LineRequest(99, unit_price_minor=1237))
    refund = place.till.refund(RefundRequest(number))
    assert (refund.rounding_minor, refund.tenders[0].amount_minor) == (2, -1235)
    day = place.rederived()
    assert (day.rounding.come_in, day.rounding.gone_out, day.balanced) == (2, 2, True)


def test_a_refund_can_go_back_to_a_card(place: Place) -> None:
    number = sold(place, LineRequest(BREAD))
    refund = place.till.refund(RefundRequest(number, tenders=(TenderRequest("card", 250, "auth 1"),)))
    assert refund.tenders[0].amount_minor == -250
    assert place.rederived().tenders[Tender.CARD].gone_out == 250


def test_a_refund_goes_back_as_the_receipt_was_paid_in_proportion(place: Place) -> None:
    place.till.sell(SaleRequest((LineRequest(99, total_minor=50_000),), member=MEMBER))
    paid = (
        TenderRequest("card", 301, "auth 1"),
        TenderRequest("voucher", 200, "V1"),
        TenderRequest("points", 100),
        TenderRequest("cash", 1_000),
    )
    sale = place.till.sell(SaleRequest((LineRequest(99, 3, total_minor=1_000),), paid, member=MEMBER))
    before = place.till.redeemable(MEMBER).here
    parts = [place.till.refund(RefundRequest(sale.number, (RefundLine(1, 1),))) for _ in range(3)]
    back: dict[tuple[Tender, str], int] = {}
    for tender in (tender for part in parts for tender in part.tenders):
        assert tender.amount_minor < 0
        key = tender.kind, tender.reference
        back[key] = back.get(key, 0) - tender.amount_minor
    assert back == {
        (Tender.CARD, "auth 1"): 301,
        (Tender.VOUCHER, "V1"): 200,
        (Tender.POINTS, ""): 100,
        (Tender.CASH, ""): 399,
    }
    assert [tender.amount_minor for tender in parts[0].tenders] == [-102, -66, -33, -132]
    assert place.till.redeemable(MEMBER).here == before + 100 - sale.movements[0].earned
    assert place.rederived().balanced


def test_a_refund_of_what_a_card_paid_is_no_cash(place: Place) -> None:
    number = place.till.sell(SaleRequest((LineRequest(BREAD),), (TenderRequest("card", 250, "auth 1"),))).number
    refund = place.till.refund(RefundRequest(number))
    assert [(tender.kind, tender.amount_minor, tender.reference) for tender in refund.tenders] == [
        (Tender.CARD, -250, "auth 1")
    ]


def test_cents_that_are_no_whole_point_go_back_in_cash() -> None:
    place = opened(terms=Terms(programme=Programme("stars", minor_per_point=7)))
    place.till.sell(SaleRequest((LineRequest(99, total_minor=5_000),), member=MEMBER))
    number = place.till.sell(SaleRequest((LineRequest(99, 2, total_minor=49),), member=MEMBER, points=7)).number
    refund = place.till.refund(RefundRequest(number, (RefundLine(1, 1),)))
    assert [(tender.kind, tender.amount_minor) for tender in refund.tenders] == [
        (Tender.POINTS, -21),
        (Tender.CASH, -4),
    ]


def test_an_act_that_is_asked_for_again_is_done_once(place: Place) -> None:
    number = sold(place, LineRequest(MILK, 3))
    shelf = (StockLine(MILK, 1),)
    acts: list[Callable[[Till, str], Receipt]] = [
        lambda till, once: till.drawer(DrawerAct.PICK_UP, 100, once=once),
        lambda till, once: till.refund(RefundRequest(number, (RefundLine(1, 1),), once=once)),
        lambda till, once: till.replenish(shelf, once=once),
        lambda till, once: till.write_off(shelf, "broken", once=once),
        lambda till, once: till.count(shelf, once=once),
        lambda till, once: till.transfer_out(shelf, 13, once=once),
        lambda till, once: till.transfer_in(shelf, 13, once=once),
    ]
    for at, act in enumerate(acts):
        first = act(place.till, f"act {at}")
        assert act(place.restart(), f"act {at}") == first
    assert act(place.till, "").number != first.number
    other = sold(place, LineRequest(MILK))
    assert place.till.void(other, "void") == place.till.void(other, "void")
    assert place.rederived().drawer[DrawerAct.PICK_UP] == 100


def test_what_is_discarded_does_not_go_back_on_the_shelf(place: Place) -> None:
    number = sold(place, LineRequest(MILK, 2))
    place.till.refund(RefundRequest(number, (RefundLine(1, 1), RefundLine(1, 1, discarded=True))))
    goods = place.rederived().goods[MILK]
    assert (goods.returned, goods.written_off, goods.stock) == (2, 1, -1)


def test_without_a_receipt_a_reason_must_be_given(place: Place) -> None:
    wish = (RefundLine(product=BREAD, quantity=1, total_minor=250),)
    with pytest.raises(ReasonMissing):
        place.till.refund(RefundRequest(lines=wish))
    refund = place.till.refund(RefundRequest(lines=wish, reason="present"))
    assert refund.undoes == Undoes()
    assert refund.unconfirmed is False
    assert (refund.total_minor, refund.tax_minor) == (-250, -16)
    with pytest.raises(EmptyReceipt):
        place.till.refund(RefundRequest(reason="nothing"))


def test_a_receipt_that_is_not_here_is_refunded_unconfirmed(place: Place) -> None:
    with pytest.raises(UnknownReceipt, match="7-1-a1-9"):
        place.till.refund(RefundRequest("7-1-a1-9", reason="moved here"))
    wish = (RefundLine(2, 1, product=BREAD, total_minor=250),)
    refund = place.till.refund(RefundRequest("7-1-a1-9", wish, reason="moved here"))
    assert refund.unconfirmed
    assert refund.undoes == Undoes("7-1-a1-9")
    assert refund.lines[0].undoes_line == 2


def test_a_receipt_of_the_neighbouring_till_can_be_refunded_here() -> None:
    mine, theirs = opened(), opened(number=4)
    number = sold(theirs, LineRequest(MILK, 2))
    theirs.tell(mine)
    assert mine.till.refund(RefundRequest(number, (RefundLine(1, 1),))).unconfirmed is False
    mine.tell(theirs)
    with pytest.raises(NotRefundable, match="has 1 left"):
        theirs.till.refund(RefundRequest(number, (RefundLine(1, 2),)))


def enter(place: Place, act: Receipt) -> None:
    """The till signs an act that it never did."""
    with place.log.read() as reader:
        turn = Turn(place.me, reader, place.clock(), place.terms, TillState.read(reader))
        turn.enter(act)
    place.log.append(*turn.batch())


def test_no_till_gives_a_receipt_in_another_tills_name() -> None:
    mine, theirs = opened(), opened(number=4)
    number = sold(theirs, LineRequest(99, total_minor=100))
    dear = mine.till.sell(SaleRequest((LineRequest(99, total_minor=99_900),)))
    liar = opened(number=5)
    enter(liar, replace(dear, n=1, till=4))
    liar.tell(mine)
    theirs.tell(mine)
    assert mine.till.refund(RefundRequest(number)).total_minor == -100


def test_a_neighbours_void_does_not_take_a_receipts_refund_away() -> None:
    mine, liar = opened(), opened(number=4)
    number = sold(mine, LineRequest(99, total_minor=100))
    mine.tell(liar)
    own = liar.till.sell(SaleRequest((LineRequest(99, total_minor=100),)))
    void = liar.till.void(own.number)
    assert void.undoes is not None
    enter(liar, replace(void, n=void.n + 1, undoes=Undoes(number, void.undoes.hash)))
    liar.tell(mine)
    assert mine.till.refund(RefundRequest(number)).total_minor == -100


def test_of_two_receipts_of_one_number_the_one_that_came_first_keeps_it() -> None:
    mine, liar = opened(), opened(number=4)
    cheap = liar.till.sell(SaleRequest((LineRequest(99, total_minor=100),)))
    liar.tell(mine)
    enter(liar, replace(liar.till.sell(SaleRequest((LineRequest(99, total_minor=99_900),))), n=cheap.n))
    liar.tell(mine)
    assert mine.till.receipt(cheap.number) == cheap


def test_a_void_leaves_nothing_behind_but_its_receipt(place: Place) -> None:
    place.till.sell(SaleRequest((LineRequest(MILK),)))
    before = place.rederived()
    number = sold(place, LineRequest(PIZZA, 2), LineRequest(CHEESE, 120, quantity_exponent=3), member=MEMBER)
    void = place.till.void(number)
    assert void.type is ReceiptType.VOID
    assert void.total_minor + 2 * 900 + 239 == 0
    after = place.rederived()
    assert after.tenders_net_minor == before.tenders_net_minor
    assert after.takings_minor - after.refunds_minor == before.takings_minor
    assert {product: goods.stock for product, goods in after.goods.items() if goods.stock} == {MILK: -1}
    assert after.goods[DOUGH].produced == after.goods[DOUGH].consumed == 500
    assert after.balanced
    assert place.till.redeemable(MEMBER).company == 0


def test_nothing_is_voided_twice(place: Place) -> None:
    number = sold(place, LineRequest(MILK))
    void = place.till.void(number)
    for refused in (number, void.number):
        with pytest.raises(NotVoidable):
            place.restart().void(refused)
    with pytest.raises(NotRefundable, match="was voided"):
        place.till.refund(RefundRequest(number))
    with pytest.raises(UnknownReceipt):
        place.till.void("12-3-a1-99")


def test_a_refund_that_is_voided_gives_the_right_to_refund_back(place: Place) -> None:
    number = sold(place, LineRequest(MILK, 2))
    refund = place.till.refund(RefundRequest(number, (RefundLine(1, 2, discarded=True),)))
    with pytest.raises(NotVoidable):
        place.till.void(number)
    place.till.void(refund.number)
    day = place.rederived()
    assert (day.goods[MILK].stock, day.tenders_net_minor, day.balanced) == (-2, 2 * 119, True)
    assert place.till.refund(RefundRequest(number)).total_minor == -2 * 119


def test_a_receipt_of_another_date_or_till_is_refunded_not_voided() -> None:
    mine, theirs = opened(), opened(number=4)
    number = sold(theirs, LineRequest(MILK))
    theirs.tell(mine)
    with pytest.raises(NotVoidable, match="till 4"):
        mine.till.void(number)
    theirs.till.close_date()
    theirs.clock.ms += 86_400_000
    theirs.till.open_date()
    with pytest.raises(NotVoidable, match="2026-11-20"):
        theirs.till.void(number)
    assert theirs.till.refund(RefundRequest(number)).business_date.day == 21


def test_a_quantity_must_be_one_that_was_sold(place: Place) -> None:
    number = sold(place, LineRequest(MILK, 2))
    for lines, error in (
        ((RefundLine(1, -1),), BadQuantity),
        ((RefundLine(1, 0),), BadQuantity),
        ((RefundLine(2),), NotRefundable),
    ):
        with pytest.raises(error):
            place.till.refund(RefundRequest(number, lines))
    training = place.till.sell(SaleRequest((LineRequest(MILK),), training=True))
    with pytest.raises(NotRefundable):
        place.till.refund(RefundRequest(training.number))
