"""A basket becomes a receipt: prices, discounts, tax, tenders, change, rounding, recipes."""

from __future__ import annotations

import doctest
from dataclasses import replace

import pytest

from crdt_pos import loyalty, money
from crdt_pos.errors import (
    AmountTooLarge,
    BadQuantity,
    EmptyReceipt,
    MemberMissing,
    NotOpen,
    PaysOut,
    TooLittleTendered,
    TooMuchTendered,
    UnknownProduct,
    UnknownTender,
)
from crdt_pos.receipt import Discount, Receipt, Series, Tender, TenderState
from crdt_pos.requests import LineRequest, Quote, RefundRequest, SaleRequest, TenderRequest
from crdt_pos.terms import Terms
from crdt_pos.till_state import ONCE_PREFIX
from tests.till.shop import BREAD, CHEESE, CHF, DOUGH, EUR, GIFT_CARD, MILK, PIZZA, USD, Place, opened


def sale(*lines: LineRequest, **fields: object) -> SaleRequest:
    return replace(SaleRequest(lines), **fields)


def tenders(receipt: Receipt) -> list[tuple[Tender, int]]:
    return [(tender.kind, tender.amount_minor) for tender in receipt.tenders]


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(money).attempted > 4
    assert doctest.testmod(money).failed == doctest.testmod(loyalty).failed == 0


def test_a_sale_is_in_the_log_when_its_receipt_is_given(place: Place) -> None:
    receipt = place.till.sell(sale(LineRequest(MILK, 2), LineRequest(BREAD)))
    assert receipt.number == "12-3-a1-1"
    assert receipt.total_minor == 2 * 119 + 250
    assert place.restart().receipt("12-3-a1-1") == receipt


def test_a_receipt_comes_back_from_its_entry_as_it_was_given(place: Place) -> None:
    receipt = place.till.sell(
        sale(
            LineRequest(CHEESE, 250, quantity_exponent=3, code="2101234"),
            LineRequest(PIZZA, discount_minor=90, discount_reason="happy hour"),
            tenders=(TenderRequest("card", 1308, "auth 77", stored_offline=True),),
            cashier="c7",
        )
    )
    assert receipt.tenders[0].state is TenderState.STORED_OFFLINE
    assert Receipt.from_body(receipt.body()) == receipt


def test_nothing_is_sold_while_no_date_is_open() -> None:
    place = Place()
    with pytest.raises(NotOpen, match="No business date is open: open the till first"):
        place.till.sell(sale(LineRequest(MILK)))
    with place.log.read() as reader:
        assert reader.last_arrival() == 0


def test_change_goes_out_in_cash(place: Place) -> None:
    receipt = place.till.sell(sale(LineRequest(MILK), tenders=(TenderRequest("cash", 500),)))
    assert tenders(receipt) == [(Tender.CASH, 500), (Tender.CASH, -381)]
    assert receipt.change_minor == 381


def test_tenders_can_be_mixed_and_only_cash_gives_change(place: Place) -> None:
    paid = (TenderRequest("voucher", 200), TenderRequest("card", 100), TenderRequest("cash", 1000))
    receipt = place.till.sell(sale(LineRequest(BREAD, 2), tenders=paid))
    assert tenders(receipt) == [
        (Tender.VOUCHER, 200),
        (Tender.CARD, 100),
        (Tender.CASH, 1000),
        (Tender.CASH, -800),
    ]
    with pytest.raises(TooMuchTendered, match=r"0\.50 EUR too much"):
        place.till.sell(sale(LineRequest(BREAD), tenders=(TenderRequest("voucher", 300),)))
    with pytest.raises(TooLittleTendered, match=r"0\.50 EUR missing"):
        place.till.sell(sale(LineRequest(BREAD), tenders=(TenderRequest("card", 200),)))
    with pytest.raises(TooLittleTendered, match=r"0\.50 EUR missing"):
        place.till.sell(sale(LineRequest(BREAD), tenders=(TenderRequest("cash", 200),)))
    with pytest.raises(UnknownTender, match="shells"):
        place.till.sell(sale(LineRequest(BREAD), tenders=(TenderRequest("shells", 250),)))


@pytest.mark.parametrize(
    ("price", "paid", "rounding"), [(1237, 1235, -2), (1238, 1240, 2), (1235, 1235, 0), (1242, 1240, -2), (2, 0, -2)]
)
def test_swiss_cash_is_rounded_to_five_rappen(price: int, paid: int, rounding: int) -> None:
    place = opened(terms=CHF)
    receipt = place.till.sell(sale(LineRequest(99, unit_price_minor=price)))
    assert (sum(tender.amount_minor for tender in receipt.tenders), receipt.rounding_minor) == (paid, rounding)
    place.till.publish()
    _, day, _ = place.published()
    assert day.rounding.net == rounding
    assert day.balanced


def test_a_card_is_never_rounded_and_cash_rounds_only_the_rest() -> None:
    place = opened(terms=CHF)
    receipt = place.till.sell(sale(LineRequest(99, unit_price_minor=1237), tenders=(TenderRequest("card", 1237),)))
    assert receipt.rounding_minor == 0
    mixed = (TenderRequest("card", 1000), TenderRequest("cash", 500))
    receipt = place.till.sell(sale(LineRequest(99, unit_price_minor=1237), tenders=mixed))
    assert tenders(receipt) == [(Tender.CARD, 1000), (Tender.CASH, 500), (Tender.CASH, -265)]
    assert receipt.rounding_minor == -2


def test_tax_within_prices_is_rounded_once_and_shared_exactly(place: Place) -> None:
    receipt = place.till.sell(sale(*[LineRequest(99, unit_price_minor=10, tax_code=1) for _ in range(7)]))
    assert receipt.tax_minor == money.round_half_up(70 * 70_000, 1_070_000) == 5
    assert sum(line.tax_minor for line in receipt.lines) == 5
    assert all(line.tax_minor in (0, 1) for line in receipt.lines)


def test_tax_on_top_of_prices_is_due_as_well() -> None:
    place = opened(terms=USD)
    receipt = place.till.sell(sale(LineRequest(PIZZA), LineRequest(MILK)))
    assert receipt.total_minor == 1019
    assert receipt.due_minor == 1019 + 171 + 8
    place.till.publish()
    _, day, _ = place.published()
    assert (day.takings_minor, day.tax_not_included_minor, day.tenders_net_minor) == (1019, 179, 1198)
    assert day.balanced


@pytest.mark.parametrize("terms", [EUR, CHF, USD])
def test_a_quote_is_what_the_sale_asks_for_and_writes_nothing(terms: Terms) -> None:
    place = opened(terms=terms)
    basket = sale(LineRequest(PIZZA, 3), LineRequest(MILK), LineRequest(BREAD, 2, discount_minor=33))
    with place.log.read() as reader:
        before = reader.last_arrival()
    quote = place.till.quote(basket)
    with place.log.read() as reader:
        assert reader.last_arrival() == before
    receipt = place.till.sell(basket)
    assert quote == Quote(receipt.total_minor, receipt.tax_minor, receipt.due_minor - receipt.rounding_minor)
    with pytest.raises(UnknownProduct):
        place.till.quote(sale(LineRequest(99)))
    place.till.close_date()
    with pytest.raises(NotOpen):
        place.till.quote(basket)


def test_a_request_with_an_id_is_sold_once_also_by_a_till_that_was_started_again(place: Place) -> None:
    basket = replace(sale(LineRequest(MILK)), once="basket 7")
    first = place.till.sell(basket)
    assert place.till.sell(basket) == first
    assert place.restart().sell(basket) == first
    assert place.till.sell(replace(basket, once="basket 8")).n == 2
    assert [place.till.sell(replace(basket, once="")).n for _ in range(2)] == [3, 4]
    assert place.rederived().goods[MILK].sold == 4


def test_a_refused_request_leaves_its_id_free(place: Place) -> None:
    basket = replace(sale(LineRequest(MILK)), once="basket 7")
    with pytest.raises(TooMuchTendered):
        place.till.sell(replace(basket, tenders=(TenderRequest("card", 120),)))
    assert place.till.sell(basket).n == 1


def test_ids_are_kept_until_the_date_is_closed(place: Place) -> None:
    basket = replace(sale(LineRequest(MILK)), once="basket 7")
    place.till.sell(basket)
    place.till.close_date()
    with place.log.read() as reader:
        assert list(reader.views(ONCE_PREFIX)) == []
    place.clock.ms += 86_400_000
    place.till.open_date()
    assert place.till.sell(basket).n == 2


def test_weights_are_integers_of_grams(place: Place) -> None:
    receipt = place.till.sell(sale(LineRequest(CHEESE, 253, quantity_exponent=3)))
    assert receipt.total_minor == money.round_half_up(253 * 1990, 1000) == 503
    assert place.till.sell(sale(LineRequest(CHEESE, 2))).lines[0].quantity == 2000
    with pytest.raises(BadQuantity, match="Milk is sold with 0 decimals"):
        place.till.sell(sale(LineRequest(MILK, 1500, quantity_exponent=3)))


def test_fuel_has_three_decimals_and_a_price_below_the_cent(place: Place) -> None:
    litres = LineRequest(77, 41_234, 1789, quantity_exponent=3, unit_price_exponent=1)
    assert place.till.sell(sale(litres)).total_minor == money.round_half_up(41_234 * 1789, 10_000) == 7377
    assert place.till.sell(sale(LineRequest(78, 31_337, total_minor=4_999))).total_minor == 4_999


def test_zero_quantities_and_zero_prices_are_lines_like_others(place: Place) -> None:
    receipt = place.till.sell(
        sale(LineRequest(MILK, 0, total_minor=50), LineRequest(BREAD, total_minor=0), LineRequest(MILK, 0))
    )
    assert [line.total_minor for line in receipt.lines] == [50, 0, 0]
    assert place.till.sell(sale(LineRequest(BREAD, unit_price_minor=0))).tenders == ()
    place.till.publish()
    assert place.published()[1] == place.rederived()


@pytest.mark.parametrize(
    "line",
    [
        LineRequest(BREAD, -2),
        LineRequest(BREAD, -2, total_minor=100),
        LineRequest(BREAD, total_minor=-1),
        LineRequest(BREAD, unit_price_minor=-1),
        LineRequest(BREAD, discount_minor=251, discount_reason="generous"),
        LineRequest(BREAD, discounts=(Discount(251, "generous"),)),
    ],
)
def test_a_sale_never_pays_out_since_a_refund_says_what_it_undoes(place: Place, line: LineRequest) -> None:
    with pytest.raises(PaysOut):
        place.till.sell(sale(LineRequest(PIZZA), line))
    assert place.till.sell(sale(LineRequest(BREAD, discount_minor=250, discount_reason="gift"))).due_minor == 0


def test_no_payment_is_negative(place: Place) -> None:
    paid = (TenderRequest("card", 350), TenderRequest("cash", -100))
    with pytest.raises(BadQuantity):
        place.till.sell(sale(LineRequest(BREAD), tenders=paid))
    number = place.till.sell(sale(LineRequest(BREAD))).number
    with pytest.raises(BadQuantity):
        place.till.refund(RefundRequest(number, tenders=paid))


def test_a_code_scanned_into_the_cash_is_not_taken_for_money(place: Place) -> None:
    with pytest.raises(TooMuchTendered, match="in cash"):
        place.till.sell(sale(LineRequest(BREAD), tenders=(TenderRequest("cash", 4_006_381_333_931),)))
    most = 100 * 250 + 10_000 * 100
    with pytest.raises(TooMuchTendered):
        place.till.sell(sale(LineRequest(BREAD), tenders=(TenderRequest("cash", most + 1),)))
    assert place.till.sell(sale(LineRequest(BREAD), tenders=(TenderRequest("cash", most),))).change_minor == most - 250


def test_a_discount_carries_its_reason_and_a_coupon_may_be_a_tender(place: Place) -> None:
    line = LineRequest(BREAD, 2, discount_minor=50, discount_reason="2nd half", discounts=(Discount(20, "coupon"),))
    receipt = place.till.sell(sale(line, tenders=(TenderRequest("coupon", 30, "4711"), TenderRequest("card", 400))))
    assert receipt.lines[0].discounts == (Discount(50, "2nd half"), Discount(20, "coupon"))
    assert tenders(receipt) == [(Tender.COUPON, 30), (Tender.CARD, 400)]


def test_amounts_up_to_two_to_the_53_are_exact_and_no_further(place: Place) -> None:
    largest = 2**53
    receipt = place.till.sell(sale(LineRequest(99, unit_price_minor=largest)))
    assert place.till.receipt(receipt.number) == receipt
    assert receipt.total_minor == largest
    for too_large in (
        sale(LineRequest(99, unit_price_minor=largest + 1)),
        sale(LineRequest(99, 2, unit_price_minor=largest)),
        sale(LineRequest(99, unit_price_minor=largest), LineRequest(99, unit_price_minor=1)),
        sale(LineRequest(99, largest + 1, total_minor=1)),
    ):
        with pytest.raises(AmountTooLarge):
            place.till.sell(too_large)


def test_an_unknown_product_needs_a_price(place: Place) -> None:
    with pytest.raises(UnknownProduct, match="4711"):
        place.till.sell(sale(LineRequest(4711)))
    assert place.till.sell(sale(LineRequest(4711, unit_price_minor=100))).total_minor == 100
    with pytest.raises(EmptyReceipt):
        place.till.sell(sale())


def test_the_price_that_is_valid_now_is_charged_and_named(place: Place) -> None:
    assert place.till.sell(sale(LineRequest(BREAD))).lines[0].unit_price_minor == 250
    place.clock.ms += 86_400_000
    line = place.till.sell(sale(LineRequest(BREAD))).lines[0]
    assert (line.unit_price_minor, line.price_version) == (270, 1_795_176_000_000 + 86_400_000)


def test_a_dish_consumes_its_components_and_carries_the_takings(place: Place) -> None:
    place.till.sell(sale(LineRequest(PIZZA, 3)))
    day = place.rederived()
    assert (day.goods[DOUGH].consumed, day.goods[CHEESE].consumed) == (750, 360)
    assert (day.goods[DOUGH].takings, day.goods[DOUGH].stock) == (0, -750)
    assert (day.goods[PIZZA].sold, day.goods[PIZZA].takings, day.goods[PIZZA].stock) == (3, 2700 - 431, 0)


def test_training_has_its_own_numbers_and_counts_nowhere(place: Place) -> None:
    place.till.sell(sale(LineRequest(MILK)))
    before = place.rederived()
    practised = place.till.sell(sale(LineRequest(PIZZA, 5), training=True, member=b"member-1"))
    assert practised.number == "12-3-a1-T1"
    after = place.rederived()
    assert replace(after, series=before.series) == before
    assert after.series[Series.TRAINING].documents == 1
    assert place.till.redeemable(b"member-1").company == 0
    assert place.till.sell(sale(LineRequest(MILK))).number == "12-3-a1-2"


def test_a_gift_card_is_owed_when_sold_and_pays_later(place: Place) -> None:
    card = b"gift-001"
    with pytest.raises(MemberMissing):
        place.till.sell(sale(LineRequest(GIFT_CARD)))
    place.till.sell(sale(LineRequest(GIFT_CARD, account=card)))
    assert place.till.redeemable(card, "gift").here == 2000
    place.till.sell(sale(LineRequest(BREAD), tenders=(TenderRequest("gift", 250, account=card),)))
    assert place.till.redeemable(card, "gift").here == 1750
    day = place.rederived()
    assert (day.liabilities.net, day.takings_minor, day.tenders_net_minor, day.balanced) == (2000, 250, 2250, True)
