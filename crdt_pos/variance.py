"""The shape of a variance: one line sold at another price than was due. No member and no cashier stands in it."""

from __future__ import annotations

from crdt_pos.codec import Extra, Fields, sparse
from crdt_pos.money import round_half_up
from crdt_pos.products import Price
from crdt_pos.receipt import EXPONENT_MAX, PRODUCT_MAX
from merge_rules.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Variance:
    """One line sold at another price than was due."""

    number: str
    """The receipt's, ``12-3-a1-17``."""
    line: int
    product: int
    quantity: int
    quantity_exponent: int
    sold: Price
    due: Price
    extra: Extra = ()

    @property
    def settled(self) -> bool:
        """Whether the prices are equal after all."""
        return (self.sold.amount_minor, self.sold.exponent) == (self.due.amount_minor, self.due.exponent)

    @property
    def difference_minor(self) -> int:
        """What was taken for the line less what was due, before discounts."""
        exponent = max(self.sold.exponent, self.due.exponent)
        sold, due = (price.amount_minor * 10 ** (exponent - price.exponent) for price in (self.sold, self.due))
        return round_half_up((sold - due) * self.quantity, 10 ** (exponent + self.quantity_exponent))

    def body(self) -> dict[int, object]:
        """The body of its entry."""
        return sparse(
            {
                0: self.number,
                1: self.line,
                2: self.product,
                3: self.quantity,
                4: self.quantity_exponent,
                5: self.sold.amount_minor,
                6: self.sold.exponent,
                7: self.sold.valid_from_ms,
                8: self.due.amount_minor,
                9: self.due.exponent,
                10: self.due.valid_from_ms,
            },
            self.extra,
        )

    @classmethod
    def from_body(cls, body: object) -> Variance:
        """Raises ``InvalidBody``."""
        fields = Fields(body, "variance")
        return cls(
            number=fields.text(0),
            line=fields.integer(1, 1),
            product=fields.integer(2, high=PRODUCT_MAX),
            quantity=fields.amount(3),
            quantity_exponent=fields.integer(4, high=EXPONENT_MAX),
            sold=_price(fields, 5),
            due=_price(fields, 8),
            extra=fields.rest(),
        )


def _price(fields: Fields, first: int) -> Price:
    amount, exponent, valid_from_ms = (
        fields.amount(first),
        fields.integer(first + 1, high=EXPONENT_MAX),
        fields.integer(first + 2),
    )
    return Price(amount, valid_from_ms, exponent)
