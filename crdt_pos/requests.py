"""What a cashier asks a till to do."""

from __future__ import annotations

from typing import Final

from crdt_pos.receipt import Discount
from merge_rules.dataclass import dataclass

ONCE_CHARACTERS_MAX: Final = 40


@dataclass(frozen=True, slots=True)
class LineRequest:
    """A line to sell. Neither quantity nor total is negative: goods that come back are a ``RefundRequest``."""

    product: int
    quantity: int = 1
    """In 10**-quantity_exponent units."""
    unit_price_minor: int | None = None
    """``None``: the catalogue's."""
    discount_minor: int = 0
    discount_reason: str = ""
    quantity_exponent: int = 0
    """Ignored where the catalogue knows the product's own, unless it would lose digits: then refused."""
    total_minor: int | None = None
    """After discounts. ``None``: quantity × unit price - discounts. Given (a weighed label, a fixed sum), it stands."""
    unit_price_exponent: int = 0
    discounts: tuple[Discount, ...] = ()
    """More than one reason for money off; added to ``discount_minor``."""
    tax_code: int | None = None
    """``None``: the catalogue's."""
    code: str = ""
    """The code that was scanned."""
    name: str = ""
    """What was typed for goods that the catalogue does not have; for a product that it has, its own name stands."""
    account: bytes = b""
    """The account to top up, for a product that is a liability (a gift card)."""


@dataclass(frozen=True, slots=True)
class TenderRequest:
    """A payment. ``kind`` is a name of ``crdt_pos.receipt.Tender`` in lower case."""

    kind: str
    amount_minor: int
    reference: str = ""
    account: bytes = b""
    """Whose balance pays (gift cards, store credit); for points the member's."""
    currency: str = ""
    foreign_minor: int = 0
    stored_offline: bool = False


@dataclass(frozen=True, slots=True)
class SaleRequest:
    """A basket. Without tenders it is paid in exact cash; what is missing after the tenders is an error."""

    lines: tuple[LineRequest, ...]
    tenders: tuple[TenderRequest, ...] = ()
    member: bytes | None = None
    points: int = 0
    """Points of the member to pay with, in addition to the tenders."""
    cashier: str = ""
    training: bool = False
    reference: str = ""
    cashier_signature: bytes = b""
    once: str = ""
    """An id that its maker gives this sale alone, at most ``ONCE_CHARACTERS_MAX``: asked for again on the same date, it is not
    sold again. Empty: every request is a sale of its own."""


@dataclass(frozen=True, slots=True)
class Quote:
    """What a basket comes to, cash rounding left aside."""

    total_minor: int
    """The lines, as the prices are: with or without tax."""
    tax_minor: int
    """All tax, included or not."""
    due_minor: int
    """What is to be paid."""


@dataclass(frozen=True, slots=True)
class RefundLine:
    """A line to give back: by ``line`` of the named receipt, or by product and total where none is named."""

    line: int = 0
    """The line's number on the receipt; 0 without a receipt."""
    quantity: int | None = None
    """``None``: all that is left of the line. Positive."""
    product: int = 0
    total_minor: int = 0
    """Without a receipt: what is given back, positive, as the prices are (with or without tax)."""
    tax_code: int | None = None
    quantity_exponent: int = 0
    discarded: bool = False
    """Not fit for sale again: written off at once."""


@dataclass(frozen=True, slots=True)
class RefundRequest:
    """Goods that come back. ``number`` empty: no receipt is named, and ``reason`` must say why."""

    number: str = ""
    lines: tuple[RefundLine, ...] = ()
    """Empty with a number: everything that is left of that receipt."""
    tenders: tuple[TenderRequest, ...] = ()
    """How the money goes back, in positive amounts; empty: as the receipt was paid, in proportion, and without one in cash."""
    reason: str = ""
    cashier: str = ""
    member: bytes | None = None
    """Without a receipt: whose points to take back."""
    once: str = ""
    """As of a sale."""


@dataclass(frozen=True, slots=True)
class StockLine:
    """Goods that move."""

    product: int
    quantity: int
    """Positive, in 10**-quantity_exponent units; in a count: what is on the shelf, 0 or more."""
    quantity_exponent: int = 0
    expected: int | None = None
    """In a count: what should be there. ``None``: what the store's entries say, as far as they are here."""


@dataclass(frozen=True, slots=True)
class Redeemable:
    """What an account can pay with."""

    here: int
    """What this replica can redeem now, without asking anyone."""
    company: int
    """The account's balance as far as it is known here."""
