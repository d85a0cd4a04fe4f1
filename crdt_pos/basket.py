"""From a basket to lines, taxes and tenders. Pure but for reading the catalogue.

Tax is computed once for each code over the whole receipt, half up, and shared among its lines so that it adds up exactly:
a line's share is the step that it adds to the rounded sum. Cash rounding is done last, and only where cash settles the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from crdt_pos.errors import (
    AmountTooLarge,
    BadQuantity,
    EmptyReceipt,
    MemberMissing,
    NoPrice,
    PaysOut,
    TooLittleTendered,
    TooMuchTendered,
    UnknownProduct,
    UnknownTender,
)
from crdt_pos.money import AMOUNT_MAX, Currency, round_half_up, round_to_step, tax_upon, tax_within
from crdt_pos.products import OPEN_PRICE, Price, Product
from crdt_pos.receipt import (
    ACCOUNT_BYTES,
    EXPONENT_MAX,
    PRODUCT_MAX,
    Consumed,
    Discount,
    Line,
    TaxLine,
    Tender,
    TenderLine,
    TenderState,
)
from crdt_pos.requests import LineRequest, TenderRequest

LINES_MAX = 2_000
CASH_TIMES_MAX = 100
CASH_UNITS_MAX = 10_000
"""Cash beyond so many times what is due, and so many whole units, is a code that was scanned into the amount."""
PROGRAMME_OF = {Tender.GIFT: "gift", Tender.CREDIT: "credit"}
"""The programmes whose balances pay, beside the loyalty programme's points."""


class Taxing:
    """Shares the tax of each code among a receipt's lines, in their order."""

    def __init__(self, rate_ppm: Callable[[int], int], *, prices_with_tax: bool) -> None:
        self._rate_ppm = rate_ppm
        self._tax_of = tax_within if prices_with_tax else tax_upon
        self._totals: dict[int, int] = {}
        self.rates: dict[int, int] = {}
        """Code → millionths, of the codes that were met."""

    def share(self, code: int, total_minor: int) -> int:
        """The tax of a receipt's next line."""
        rate = self.rates.get(code)
        if rate is None:
            rate = self.rates[code] = self._rate_ppm(code)
        before = self._totals.get(code, 0)
        after = self._totals[code] = before + total_minor
        return self._tax_of(after, rate) - self._tax_of(before, rate)


def sold_line(number: int, request: LineRequest, product: Product | None, now_ms: int, taxing: Taxing) -> Line:
    """The line that a request makes. Raises ``TillError``."""
    if product is None and request.unit_price_minor is None and request.total_minor is None:
        raise UnknownProduct(str(request.product))
    if not 0 <= request.product <= PRODUCT_MAX:
        raise UnknownProduct(str(request.product))
    quantity, exponent = quantity_of(product, request.quantity, request.quantity_exponent)
    if quantity < 0:
        raise PaysOut(f"{quantity} pieces")
    price = _price(request, product, now_ms)
    discounts = tuple(discount for discount in request.discounts if discount.amount_minor or discount.reason)
    if request.discount_minor:
        discounts = (Discount(request.discount_minor, request.discount_reason), *discounts)
    total = request.total_minor
    if total is None:
        gross = round_half_up(quantity * price.amount_minor, 10 ** (exponent + price.exponent))
        total = gross - sum(discount.amount_minor for discount in discounts)
    if total < 0:
        raise PaysOut(product.name if product is not None else str(request.product))
    liability = product.liability if product is not None else ""
    if liability and len(request.account) != ACCOUNT_BYTES:
        raise MemberMissing(f"an account to top up for {product.name if product else request.product}")
    consumed = product.consumed(quantity) if product is not None and quantity > 0 else ()
    tax_code = request.tax_code if request.tax_code is not None else product.tax_code if product is not None else 0
    return bounded(
        Line(
            number,
            request.product,
            quantity,
            exponent,
            product.unit if product is not None else "",
            product.name if product is not None and (product.id != OPEN_PRICE or not request.name) else request.name,
            request.code,
            price.amount_minor,
            price.exponent,
            price.valid_from_ms,
            total,
            0 if liability else tax_code,
            0 if liability else taxing.share(tax_code, total),
            discounts,
            liability,
            request.account if liability else b"",
            tuple(Consumed(part.product, part.quantity) for part in consumed if part.quantity) if consumed else (),
        )
    )


def quantity_of(product: Product | None, quantity: int, exponent: int) -> tuple[int, int]:
    """A quantity in the product's own units, and their exponent. Raises ``BadQuantity`` where digits would be lost."""
    if not 0 <= exponent <= EXPONENT_MAX:
        raise BadQuantity(f"{exponent} decimals")
    if product is None or product.quantity_exponent == exponent:
        return quantity, exponent
    scaled, left = divmod(quantity * 10**product.quantity_exponent, 10**exponent)
    if left:
        raise BadQuantity(f"{product.name} is sold with {product.quantity_exponent} decimals")
    return scaled, product.quantity_exponent


def bounded(line: Line) -> Line:
    """The line itself. Raises ``AmountTooLarge`` if a figure of it is beyond 2**53."""
    figures = [line.quantity, line.unit_price_minor, line.total_minor, line.expected]
    figures += [part.quantity for part in line.consumed]
    figures += [discount.amount_minor for discount in line.discounts]
    if max(figures) > AMOUNT_MAX or min(figures) < -AMOUNT_MAX:
        raise AmountTooLarge(line.name or str(line.product))
    return line


def checked_sum(lines: Sequence[Line]) -> None:
    """Raises ``EmptyReceipt`` for no lines, ``AmountTooLarge`` for too many or too much."""
    if not lines:
        raise EmptyReceipt
    if len(lines) > LINES_MAX or sum(abs(line.total_minor) for line in lines) > AMOUNT_MAX:
        raise AmountTooLarge


def with_taxes(
    lines: Iterable[Line], rate_ppm: Callable[[int], int], *, prices_with_tax: bool
) -> tuple[tuple[Line, ...], tuple[TaxLine, ...]]:
    """The lines with their shares of the tax, and the tax by code."""
    taxing = Taxing(rate_ppm, prices_with_tax=prices_with_tax)
    taxed = [
        line if line.liability else replace(line, tax_minor=taxing.share(line.tax_code, line.total_minor))
        for line in lines
    ]
    return tuple(taxed), tax_lines(taxed, taxing.rates, prices_with_tax=prices_with_tax)


def tax_lines(lines: Iterable[Line], rates_ppm: Mapping[int, int], *, prices_with_tax: bool) -> tuple[TaxLine, ...]:
    """The tax by code that taxed lines add up to."""
    sums: dict[int, tuple[int, int]] = {}
    for line in lines:
        if not line.liability:
            base, tax = sums.get(line.tax_code, (0, 0))
            net = line.total_minor - line.tax_minor if prices_with_tax else line.total_minor
            sums[line.tax_code] = base + net, tax + line.tax_minor
    return tuple(TaxLine(code, rates_ppm.get(code, 0), base, tax) for code, (base, tax) in sorted(sums.items()))


def tender_line(request: TenderRequest, sign: int = 1) -> TenderLine:
    """The tender that a request means; ``sign`` -1 for money that goes back. Raises ``UnknownTender``, ``BadQuantity``."""
    try:
        kind = Tender.of(request.kind)
    except KeyError as error:
        raise UnknownTender(request.kind) from error
    if request.amount_minor < 0 or request.foreign_minor < 0:
        raise BadQuantity(f"{request.kind}: {request.amount_minor}")
    if request.amount_minor > AMOUNT_MAX or request.foreign_minor > AMOUNT_MAX:
        raise AmountTooLarge
    return TenderLine(
        kind,
        sign * request.amount_minor,
        currency=request.currency,
        foreign_minor=sign * request.foreign_minor,
        reference=request.reference,
        state=TenderState.STORED_OFFLINE if request.stored_offline else TenderState.APPROVED,
        account=request.account,
    )


def settle(
    due_minor: int, tenders: Sequence[TenderLine], step_minor: int, currency: Currency, *, cash_settles: bool
) -> tuple[TenderLine, ...]:
    """The tenders that settle what is due, change and cash rounding included: they add up to due + rounding.

    With ``cash_settles`` exact cash settles what the tenders leave. Negative amounts go to the customer. Raises
    ``TooLittleTendered``, ``TooMuchTendered``.
    """
    cash = [tender for tender in tenders if tender.kind is Tender.CASH]
    others = [tender for tender in tenders if tender.kind is not Tender.CASH]
    rest = due_minor - sum(tender.amount_minor for tender in others)
    if not cash and not (cash_settles and rest):
        _refuse_difference(-rest, due_minor, currency)
        return tuple(others)
    rounded = round_to_step(rest, step_minor)
    rounding = rounded - rest
    given = sum(tender.amount_minor for tender in cash) if cash else rounded
    if given in (rest, rounded):
        return (*others, TenderLine(Tender.CASH, rounded, rounding))
    if given > CASH_TIMES_MAX * max(due_minor, 0) + CASH_UNITS_MAX * currency.unit_minor:
        raise TooMuchTendered(f"{currency.text(given)} in cash")
    change = given - rounded
    if change < 0 or given < 0 or rounded < 0:
        _refuse_difference(change, due_minor, currency)
    return (*others, TenderLine(Tender.CASH, given, rounding), TenderLine(Tender.CASH, -change))


def _price(request: LineRequest, product: Product | None, now_ms: int) -> Price:
    if request.unit_price_minor is not None:
        if not 0 <= request.unit_price_exponent <= EXPONENT_MAX:
            raise BadQuantity(f"a price with {request.unit_price_exponent} more decimals")
        return Price(request.unit_price_minor, 0, request.unit_price_exponent)
    price = product.price_at(now_ms) if product is not None else None
    if price is None:
        if request.total_minor is None:
            raise NoPrice(product.name if product is not None else str(request.product))
        return Price(0)
    return price


def _refuse_difference(over_minor: int, due_minor: int, currency: Currency) -> None:
    # Of money that goes back, a tender above what is due (less negative) gives back too little.
    if (over_minor < 0) is (due_minor >= 0) and over_minor:
        raise TooLittleTendered(f"{currency.text(abs(over_minor))} missing")
    if over_minor:
        raise TooMuchTendered(f"{currency.text(abs(over_minor))} too much")
