"""The basket at the counter before it is a sale: what a cashier has typed, and what it comes to.

Pure. The till prices every line again when it sells, so what is shown here is never what is booked: it
is the same formula, and where prices are without tax the till is asked for the sum.
"""

from __future__ import annotations

import re
from dataclasses import field, replace
from typing import Final

from crdt_pos.local import Message
from crdt_pos.money import decimal_text, parse_decimal, round_half_up
from crdt_pos.products import OPEN_PRICE
from merge_rules.dataclass import dataclass

_QUANTITY_FIRST: Final = re.compile(r"\s*(\d+(?:[.,]\d+)?)\s*\*\s*(.*)")
_PRICE_FIRST: Final = re.compile(r"(\d+(?:[.,]\d+)?)(?:\s+(\S.*))?")
CASH_TIMES_MAX: Final = 10
CASH_UNITS_MAX: Final = 1_000
UNNAMED: Final = "Sundries"
_BARCODE_DIGITS: Final = (8, 15)
_NAME_CHARACTERS_MAX: Final = 80
_PERCENT: Final = re.compile(r"(\d{1,3})\s*%\s*(.*)")


class NotUnderstood(Exception):
    """What was typed is no number, date or amount; says which."""


@dataclass(frozen=True, slots=True)
class BasketLine:
    """One line. ``quantity`` in 10**-quantity_exponent units."""

    product: int
    name: str
    quantity: int
    quantity_exponent: int = 0
    unit: str = ""
    unit_price_minor: int = 0
    unit_price_exponent: int = 0
    typed_price: bool = False
    """The price was typed in; else the catalogue's holds, whatever it is when the till sells."""
    code: str = ""
    discount_minor: int = 0
    discount_reason: str = ""

    @property
    def gross_minor(self) -> int:
        """Before the discount."""
        units = 10 ** (self.quantity_exponent + self.unit_price_exponent)
        return round_half_up(self.unit_price_minor * self.quantity, units)

    @property
    def total_minor(self) -> int:
        """After the discount."""
        return self.gross_minor - self.discount_minor

    @property
    def quantity_text(self) -> str:
        """``2``, ``0.250 kg``."""
        return f"{decimal_text(self.quantity, self.quantity_exponent)} {self.unit}".strip()

    def request(self) -> Message:
        """The line as ``sell`` takes it."""
        asked: Message = {
            "product": self.product,
            "quantity": self.quantity,
            "quantity_exponent": self.quantity_exponent,
        }
        if self.code:
            asked["code"] = self.code
        if self.product == OPEN_PRICE:
            asked["name"] = self.name
        if self.typed_price:
            asked |= {"unit_price_minor": self.unit_price_minor, "unit_price_exponent": self.unit_price_exponent}
        if self.discount_minor:
            asked |= {"discount_minor": self.discount_minor, "discount_reason": self.discount_reason}
        return asked


@dataclass(slots=True)
class Basket:
    """Lines, payments, member and points of the customer at the counter."""

    lines: list[BasketLine] = field(default_factory=list[BasketLine])
    tenders: list[tuple[str, int, str]] = field(default_factory=list[tuple[str, int, str]])
    """Kind, amount in minor units, reference."""
    member: str = ""
    points: int = 0
    minor_per_point: int = 1
    quoted_minor: int | None = None
    """What the till asks for the lines, tax included; ``None`` while it has not said."""

    @property
    def total_minor(self) -> int:
        """What there is to pay: what the till asks, else what the lines come to."""
        if self.quoted_minor is not None:
            return self.quoted_minor
        return sum(line.total_minor for line in self.lines)

    @property
    def due_minor(self) -> int:
        """What is still to pay; never below 0."""
        paid = sum(amount for _, amount, _ in self.tenders) + self.points * self.minor_per_point
        return max(self.total_minor - paid, 0)

    def add(self, line: BasketLine) -> int:
        """Add a line, or raise the quantity of the same one; the index of the line."""
        for index, held in enumerate(self.lines):
            if replace(held, quantity=line.quantity) == line and not line.quantity_exponent:
                self.lines[index] = replace(held, quantity=held.quantity + line.quantity)
                return index
        self.lines.append(line)
        return len(self.lines) - 1

    def request(self) -> Message:
        """The basket as ``sell`` takes it."""
        asked: Message = {
            "lines": [line.request() for line in self.lines],
            "tenders": [
                {"kind": kind, "amount_minor": amount, "reference": reference}
                for kind, amount, reference in self.tenders
            ],
            "points": self.points,
        }
        return asked | ({"member": self.member} if self.member else {})


def line_of(product: Message, quantity: int, code: str = "", price_minor: int | None = None) -> BasketLine:
    """A line for a product of ``lookup``; ``price_minor`` where the price was typed in."""
    listed: int | None = product["unit_price_minor"]
    return BasketLine(
        product=product["product"],
        name=product["name"],
        quantity=quantity,
        quantity_exponent=product["quantity_exponent"],
        unit=product["unit"],
        unit_price_minor=price_minor if price_minor is not None else listed or 0,
        unit_price_exponent=product["unit_price_exponent"] if price_minor is None else 0,
        typed_price=price_minor is not None,
        code=code,
    )


def open_price(typed: str, exponent: int) -> Message | None:
    """Goods that nobody has listed, as a product of ``lookup``, if ``typed`` begins with a price; else ``None``.

    >>> goods = open_price("2.50 daisies", 2)
    >>> goods["name"], goods["unit_price_minor"]
    ('Daisies', 250)

    A number without decimals is a code or a product's number; in a currency without decimals, unless words follow it.
    """
    found = _PRICE_FIRST.fullmatch(typed)
    if found is None or not (re.search("[.,]", found[1]) if exponent else found[2]):
        return None
    try:
        price_minor = read_decimal(found[1], exponent)
    except NotUnderstood:
        return None
    words = (found[2] or UNNAMED)[:_NAME_CHARACTERS_MAX]
    return {
        "product": OPEN_PRICE,
        "name": words[:1].upper() + words[1:],
        "unit": "",
        "quantity_exponent": 0,
        "unit_price_minor": price_minor,
        "unit_price_exponent": 0,
    }


def is_barcode(typed: str) -> bool:
    """Whether a scanner reads this: 8 to 14 digits. Fewer are the number of a product.

    >>> is_barcode("4006381333931"), is_barcode("4711")
    (True, False)
    """
    return typed.isascii() and typed.isdigit() and len(typed) in range(*_BARCODE_DIGITS)


def split_quantity(typed: str) -> tuple[str, str]:
    """Quantity and words of what was typed.

    >>> split_quantity("3*oat milk"), split_quantity("oat milk")
    (('3', 'oat milk'), ('', 'oat milk'))
    """
    found = _QUANTITY_FIRST.fullmatch(typed)
    return (found[1], found[2].strip()) if found else ("", typed.strip())


def read_decimal(typed: str, exponent: int, what: str = "number") -> int:
    """The integer of 10**-exponent units that was typed, with a point or a comma. Raises ``NotUnderstood``.

    >>> read_decimal("2,5", 2)
    250
    """
    try:
        value = parse_decimal(typed.strip().replace(",", "."), exponent)
    except ValueError as error:
        decimals = f" with at most {exponent} decimals" if exponent else " without decimals"
        raise NotUnderstood(f"'{typed}' is no {what}: a number{decimals}.") from error
    if value < 0:
        raise NotUnderstood(f"'{typed}' is no {what}: it must not be negative.")
    return value


def checked_cash(amount_minor: int, due_minor: int, exponent: int) -> int:
    """The cash itself. Raises ``NotUnderstood`` for more than ten times what is due and more than 1000 whole units: that is
    a code that was scanned into the amount."""
    if amount_minor > max(CASH_TIMES_MAX * due_minor, CASH_UNITS_MAX * 10**exponent):
        given, due = decimal_text(amount_minor, exponent), decimal_text(due_minor, exponent)
        raise NotUnderstood(f"{given} in cash for {due}? If it is no scanned code, take it in smaller payments.")
    return amount_minor


def read_discount(typed: str, line: BasketLine, exponent: int) -> BasketLine:
    """The line with the discount that was typed: ``0.50 bruised`` or ``10% staff``. Raises ``NotUnderstood``."""
    percent = _PERCENT.fullmatch(typed.strip())
    if percent:
        amount, reason = round_half_up(line.gross_minor * int(percent[1]), 100), percent[2]
    else:
        number, _, reason = typed.strip().partition(" ")
        amount = read_decimal(number, exponent, "discount")
    if amount > line.gross_minor:
        raise NotUnderstood("The discount is more than the line.")
    return replace(line, discount_minor=amount, discount_reason=reason.strip() or "discount")
