"""The shapes of the local socket: requests read field by field, receipts and reports as JSON objects.

Fields keep the names of the till's own types, units last. Amounts and quantities are integers, dates ISO text, accounts and
hashes hexadecimal. A field that is not known is refused, so that a misspelt one is not silently left out of a sale.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Final, TypeVar, cast

from crdt_pos.journal_mark import Mark
from crdt_pos.local import Declined, Message
from crdt_pos.money import AMOUNT_MAX
from crdt_pos.new_product import NewProduct
from crdt_pos.products import Product
from crdt_pos.proxy import ClosedFor
from crdt_pos.receipt import ACCOUNT_BYTES, PRODUCT_MAX, Line, Receipt, TenderLine
from crdt_pos.reports import XReport, ZReport
from crdt_pos.requests import ONCE_CHARACTERS_MAX, LineRequest, RefundLine, StockLine, TenderRequest

T = TypeVar("T")

ITEMS_MAX: Final = 5_000
TEXT_CHARACTERS_MAX: Final = 400
NAME_CHARACTERS_MAX: Final = 80
"""Of goods whose name is typed in."""
UNIT_CHARACTERS_MAX: Final = 8


class Asked:
    """One request. Every method takes a field out; ``end`` refuses what is left. All raise ``Declined``."""

    def __init__(self, request: Message) -> None:
        self._left = dict(request)

    def integer(self, name: str, default: int | None = None, low: int = 0, high: int = AMOUNT_MAX) -> int:
        """An integer from ``low`` to ``high``; without a default it must be there."""
        value = self.maybe_integer(name, low, high)
        if value is None and default is None:
            raise _bad(f"'{name}' is missing")
        return cast("int", default if value is None else value)

    def maybe_integer(self, name: str, low: int = 0, high: int = AMOUNT_MAX) -> int | None:
        """An integer from ``low`` to ``high``, or ``None``."""
        value = self._left.pop(name, None)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high):
            raise _bad(f"'{name}' is not an integer from {low} to {high}")
        return value

    def text(self, name: str, default: str = "", characters_max: int = TEXT_CHARACTERS_MAX) -> str:
        """Text of at most 400 characters, or fewer."""
        value = self._left.pop(name, None)
        if value is None:
            return default
        if not isinstance(value, str) or len(value) > characters_max:
            raise _bad(f"'{name}' is not text of at most {characters_max} characters")
        return value

    def once(self) -> str:
        """The id of the request, under which it is done once; empty where absent."""
        return self.text("once", characters_max=ONCE_CHARACTERS_MAX)

    def anything(self, name: str) -> object:
        """Whatever JSON stands there; ``None`` where absent. It holds no float."""
        return self._left.pop(name, None)

    def flag(self, name: str) -> bool:
        """True or false; false where absent."""
        value = self._left.pop(name, False)
        if not isinstance(value, bool):
            raise _bad(f"'{name}' is neither true nor false")
        return value

    def date(self, name: str) -> datetime.date | None:
        """A date, or ``None``."""
        text = self.text(name)
        try:
            return datetime.date.fromisoformat(text) if text else None
        except ValueError as error:
            raise _bad(f"'{text}' is no date like 2026-11-22") from error

    def account(self, name: str) -> bytes:
        """A member's or card's account; empty where absent."""
        text = self.text(name)
        try:
            account = bytes.fromhex(text)
        except ValueError:
            account = b"?"
        if account and len(account) != ACCOUNT_BYTES:
            raise _bad(f"'{text}' is no account: {2 * ACCOUNT_BYTES} hexadecimal digits")
        return account

    def each(self, name: str, read: Callable[[Asked], T]) -> tuple[T, ...]:
        """A list of objects, each read by ``read``; empty where absent."""
        value = self._left.pop(name, None)
        if value is None:
            return ()
        items = cast("list[object]", value) if isinstance(value, list) else None
        if items is None or len(items) > ITEMS_MAX or not all(isinstance(item, dict) for item in items):
            raise _bad(f"'{name}' is not a list of at most {ITEMS_MAX} objects")
        found: list[T] = []
        for item in items:
            asked = Asked(cast("Message", item))
            found.append(read(asked))
            asked.end()
        return tuple(found)

    def end(self) -> None:
        """Nothing may be left."""
        if self._left:
            raise _bad(f"'{sorted(self._left)[0]}' is not known here")


def _bad(what: str) -> Declined:
    return Declined(f"{what[0].upper()}{what[1:]}.", "BadRequest")


# --- requests --------------------------------------------------------------------------------------------------------


UNRESOLVED: Final = -1
"""The product of a line that names a code instead."""


def line_request(asked: Asked) -> LineRequest:
    """A line to sell: with ``product``, or with a ``code`` that is still to be resolved."""
    product = asked.maybe_integer("product", high=PRODUCT_MAX)
    return LineRequest(
        product=UNRESOLVED if product is None else product,
        quantity=asked.integer("quantity", 1, low=-AMOUNT_MAX),
        unit_price_minor=asked.maybe_integer("unit_price_minor", low=-AMOUNT_MAX),
        discount_minor=asked.integer("discount_minor", 0, low=-AMOUNT_MAX),
        discount_reason=asked.text("discount_reason"),
        quantity_exponent=asked.integer("quantity_exponent", 0, high=9),
        total_minor=asked.maybe_integer("total_minor", low=-AMOUNT_MAX),
        unit_price_exponent=asked.integer("unit_price_exponent", 0, high=9),
        tax_code=asked.maybe_integer("tax_code"),
        code=asked.text("code"),
        name=asked.text("name", characters_max=NAME_CHARACTERS_MAX),
        account=asked.account("account"),
    )


def new_product(asked: Asked) -> NewProduct:
    """A product that is to be made."""
    return NewProduct(
        name=asked.text("name"),
        price_minor=asked.integer("unit_price_minor"),
        price_exponent=asked.integer("unit_price_exponent", 0, high=9),
        code=asked.text("code"),
        tax_code=asked.maybe_integer("tax_code"),
        tax_rate_ppm=asked.maybe_integer("tax_rate_ppm"),
        unit=asked.text("unit", characters_max=UNIT_CHARACTERS_MAX),
        quantity_exponent=asked.integer("quantity_exponent", 0, high=9),
        department=asked.text("department", characters_max=NAME_CHARACTERS_MAX),
        once=asked.once(),
    )


def tender_request(asked: Asked) -> TenderRequest:
    """A payment."""
    return TenderRequest(
        kind=asked.text("kind", "cash"),
        amount_minor=asked.integer("amount_minor"),
        reference=asked.text("reference"),
        account=asked.account("account"),
        currency=asked.text("currency"),
        foreign_minor=asked.integer("foreign_minor", 0),
        stored_offline=asked.flag("stored_offline"),
    )


def refund_line(asked: Asked) -> RefundLine:
    """A line to give back."""
    return RefundLine(
        line=asked.integer("line", 0),
        quantity=asked.maybe_integer("quantity"),
        product=asked.integer("product", 0, high=PRODUCT_MAX),
        total_minor=asked.integer("total_minor", 0),
        tax_code=asked.maybe_integer("tax_code"),
        quantity_exponent=asked.integer("quantity_exponent", 0, high=9),
        discarded=asked.flag("discarded"),
    )


def stock_line(asked: Asked) -> StockLine:
    """Goods that move."""
    return StockLine(
        product=asked.integer("product", high=PRODUCT_MAX),
        quantity=asked.integer("quantity"),
        quantity_exponent=asked.integer("quantity_exponent", 0, high=9),
        expected=asked.maybe_integer("expected", low=-AMOUNT_MAX),
    )


# --- answers ---------------------------------------------------------------------------------------------------------


def product_json(product: Product, ms: int) -> Message:
    """A product with the price that is valid at ``ms`` (``null`` if there is none)."""
    price = product.price_at(ms)
    return {
        "product": product.id,
        "name": product.name,
        "unit": product.unit,
        "quantity_exponent": product.quantity_exponent,
        "unit_price_minor": price.amount_minor if price else None,
        "unit_price_exponent": price.exponent if price else 0,
        "tax_code": product.tax_code,
        "department": product.department,
        "liability": product.liability,
        "recipe": [{"product": part.product, "quantity": part.quantity} for part in product.recipe],
    }


def receipt_json(receipt: Receipt, mark: Mark | None) -> Message:
    """A receipt; ``hash`` and ``signature`` are those of its journal entry, empty if that is not here."""
    return {
        "number": receipt.number,
        "type": receipt.type.name.lower(),
        "store": receipt.store,
        "till": receipt.till,
        "business_date": receipt.business_date.isoformat(),
        "stamp_ms": receipt.stamp_ms,
        "offset_minutes": receipt.offset_minutes,
        "legal_entity": receipt.legal_entity,
        "currency": receipt.currency,
        "exponent": receipt.exponent,
        "prices_with_tax": receipt.prices_with_tax,
        "cashier": receipt.cashier,
        "total_minor": receipt.total_minor,
        "tax_minor": receipt.tax_minor,
        "rounding_minor": receipt.rounding_minor,
        "due_minor": receipt.due_minor,
        "change_minor": receipt.change_minor,
        "lines": [_line_json(line) for line in receipt.lines],
        "tenders": [_tender_json(tender) for tender in receipt.tenders],
        "taxes": [
            {"code": tax.code, "rate_ppm": tax.rate_ppm, "base_minor": tax.base_minor, "tax_minor": tax.tax_minor}
            for tax in receipt.taxes
        ],
        "member": receipt.member.hex(),
        "movements": [
            {
                "programme": moved.programme,
                "account": moved.account.hex(),
                "earned": moved.earned,
                "redeemed": moved.redeemed,
                "owing": moved.owing,
                "settled": moved.settled,
            }
            for moved in receipt.movements
        ],
        "undoes": receipt.undoes.number if receipt.undoes else "",
        "unconfirmed": receipt.unconfirmed,
        "reason": receipt.reason,
        "reference": receipt.reference,
        "drawer": receipt.drawer.name.lower(),
        "drawer_minor": receipt.drawer_minor,
        "stock": receipt.stock.name.lower(),
        "other_store": receipt.other_store,
        "hash": mark.hash.hex() if mark else "",
        "signature": mark.signature.hex() if mark else "",
    }


def _line_json(line: Line) -> Message:
    return {
        "number": line.number,
        "product": line.product,
        "name": line.name,
        "code": line.code,
        "quantity": line.quantity,
        "quantity_exponent": line.quantity_exponent,
        "unit": line.unit,
        "unit_price_minor": line.unit_price_minor,
        "unit_price_exponent": line.unit_price_exponent,
        "total_minor": line.total_minor,
        "tax_code": line.tax_code,
        "tax_minor": line.tax_minor,
        "discounts": [{"amount_minor": off.amount_minor, "reason": off.reason} for off in line.discounts],
        "undoes_line": line.undoes_line,
        "expected": line.expected,
    }


def _tender_json(tender: TenderLine) -> Message:
    return {
        "kind": tender.kind.text,
        "amount_minor": tender.amount_minor,
        "rounding_minor": tender.rounding_minor,
        "reference": tender.reference,
        "state": tender.state.name.lower(),
    }


def report_json(report: XReport) -> Message:
    """An X or Z report."""
    found: Message = {
        "business_date": report.business_date.isoformat(),
        "store": report.store,
        "till": report.till,
        "incarnation": report.incarnation,
        "currency": report.currency,
        "exponent": report.exponent,
        "sales_minor": report.sales_minor,
        "refunds_minor": report.refunds_minor,
        "tax": [
            {"code": code, "base_minor": base, "tax_minor": tax} for code, (base, tax) in sorted(report.tax.items())
        ],
        "tax_not_included_minor": report.tax_not_included_minor,
        "rounding_minor": report.rounding_minor,
        "liabilities_sold_minor": report.liabilities_sold_minor,
        "tenders": [
            {"kind": kind.text, "in_minor": came, "out_minor": went}
            for kind, (came, went) in sorted(report.tenders.items())
        ],
        "documents": [
            {"series": series.name.lower(), "first": first, "last": last, "count": count}
            for series, (first, last, count) in sorted(report.documents.items())
        ],
        "acts": report.covers,
        "float_minor": report.float_minor,
        "pick_ups_minor": report.pick_ups_minor,
        "paid_in_minor": report.paid_in_minor,
        "paid_out_minor": report.paid_out_minor,
        "cash_expected_minor": report.cash_expected_minor,
        "perpetual_sales_minor": report.perpetual_sales_minor,
        "perpetual_refunds_minor": report.perpetual_refunds_minor,
    }
    if isinstance(report, ZReport):
        found |= {
            "cash_counted_minor": report.cash_counted_minor,
            "difference_minor": report.difference_minor,
            "closed_ms": report.closed_ms,
        }
    return found


def closed_json(closed: ClosedFor, incarnation: str) -> Message:
    """A date that was closed for another till."""
    return {
        "incarnation": incarnation,
        "business_date": closed.date.isoformat(),
        "acts": closed.acts,
        "takings_minor": closed.takings_minor,
        "last_ms": closed.last_ms,
    }
