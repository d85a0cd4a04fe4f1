"""What is typed at the counter, and what it comes to."""

from __future__ import annotations

import doctest

import pytest

from crdt_pos import counter_basket
from crdt_pos.counter_basket import Basket, BasketLine, NotUnderstood, read_decimal, read_discount, split_quantity

MILK = BasketLine(7, "Milk", 2, unit_price_minor=129)
CHEESE = BasketLine(8, "Cheese", 250, quantity_exponent=3, unit="kg", unit_price_minor=1990)


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(counter_basket).failed == 0


def test_the_same_product_twice_is_one_line_but_two_weighed_pieces_are_two() -> None:
    basket = Basket()
    for line in (MILK, CHEESE, MILK, CHEESE):
        basket.add(line)
    assert [(line.name, line.quantity) for line in basket.lines] == [("Milk", 4), ("Cheese", 250), ("Cheese", 250)]
    assert basket.total_minor == 4 * 129 + 2 * 498


def test_payments_and_points_lower_what_is_due_and_never_below_nothing() -> None:
    basket = Basket([MILK], minor_per_point=2, points=10, tenders=[("cash", 100, "")])
    assert basket.due_minor == 258 - 100 - 20
    basket.tenders.append(("cash", 1000, ""))
    assert basket.due_minor == 0


def test_a_typed_price_travels_and_a_catalogue_price_does_not() -> None:
    assert "unit_price_minor" not in MILK.request()
    assert BasketLine(9, "#9", 1, unit_price_minor=500, typed_price=True).request()["unit_price_minor"] == 500


@pytest.mark.parametrize(
    ("typed", "amount", "reason"),
    [("0.50 bruised", 50, "bruised"), ("10% staff", 26, "staff"), ("0,5", 50, "discount"), ("100%", 258, "discount")],
)
def test_a_discount_is_an_amount_or_a_percentage_and_a_reason(typed: str, amount: int, reason: str) -> None:
    line = read_discount(typed, MILK, 2)
    assert (line.discount_minor, line.discount_reason, line.total_minor) == (amount, reason, 258 - amount)


@pytest.mark.parametrize("typed", ["3.00", "110%", "much", "-1", "0.505"])
def test_a_discount_that_makes_no_sense_is_said_and_not_taken(typed: str) -> None:
    with pytest.raises(NotUnderstood):
        read_discount(typed, MILK, 2)


@pytest.mark.parametrize("typed", ["", "1.2.3", "1e3", "½", "٣", "-4", "0x10", "1 000"])
def test_what_is_no_amount_is_refused_with_a_sentence(typed: str) -> None:
    with pytest.raises(NotUnderstood, match=r"\.$"):
        read_decimal(typed, 2)


def test_a_number_before_a_star_is_a_quantity_and_other_numbers_are_words() -> None:
    assert split_quantity("0,250*cheese") == ("0,250", "cheese")
    assert split_quantity("2x4 timber") == ("", "2x4 timber")
    assert split_quantity("5010000000017") == ("", "5010000000017")
