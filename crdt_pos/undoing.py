"""Refunds and voids: lines that mirror what they undo.

The right to refund a line belongs to the store that sold it, and is spent by what its journals say was given back. A
receipt that is not here can be refunded with a reason; that refund is *unconfirmed* until the journals meet. Pure but for
reading.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from crdt_pos.basket import bounded, quantity_of
from crdt_pos.day import line_net_minor
from crdt_pos.errors import BadQuantity, EmptyReceipt, NotRefundable, NotVoidable, UnknownProduct
from crdt_pos.journal import Undone
from crdt_pos.loyalty import Programme
from crdt_pos.money import share
from crdt_pos.products import Product
from crdt_pos.receipt import (
    AccountMovement,
    Consumed,
    Discount,
    Line,
    Receipt,
    ReceiptType,
    Tender,
    TenderLine,
    TenderState,
)
from crdt_pos.requests import RefundLine, RefundRequest


def refunded_lines(
    request: RefundRequest, original: Receipt, undone: Undone, *, prices_with_tax: bool
) -> tuple[Line, ...]:
    """The lines that give back what a request names of a receipt. Raises ``NotRefundable``, ``BadQuantity``."""
    if original.type is not ReceiptType.SALE:
        raise NotRefundable(f"{original.number} is no sale")
    if undone.voided:
        raise NotRefundable(f"{original.number} was voided")
    by_number = {line.number: line for line in original.lines}
    wanted: Sequence[RefundLine] = request.lines or [
        RefundLine(line.number)
        for line in original.lines
        if _left(line, undone.quantities) or (not line.quantity and line.number not in undone.quantities)
    ]
    if not wanted:
        raise NotRefundable(f"all of {original.number}")
    taken = dict(undone.quantities)
    lines: list[Line] = []
    for number, wish in enumerate(wanted, 1):
        sold = by_number.get(wish.line)
        if sold is None:
            raise NotRefundable(f"{original.number} has no line {wish.line}")
        if sold.quantity < 0 or sold.total_minor < 0:
            raise NotRefundable(f"line {sold.number} was a return itself")
        left = _left(sold, taken)
        if (not left and sold.quantity) or (not sold.quantity and sold.number in taken):
            raise NotRefundable(f"line {sold.number} of {original.number}")
        quantity = left if wish.quantity is None else wish.quantity
        if wish.quantity is not None and wish.quantity_exponent and wish.quantity_exponent != sold.quantity_exponent:
            raise BadQuantity(f"line {sold.number} has {sold.quantity_exponent} decimals")
        if quantity > left:
            raise NotRefundable(f"line {sold.number} has {left} left")
        if quantity < 0 or (not quantity and sold.quantity):
            raise BadQuantity(str(quantity))
        done = taken.get(sold.number, 0)
        lines.append(_given_back(number, sold, done, quantity, original, wish, prices_with_tax=prices_with_tax))
        taken[sold.number] = done + quantity
    return tuple(lines)


def unnamed_line(number: int, wish: RefundLine, product: Product | None) -> Line:
    """A line given back without its receipt, tax not yet computed. Raises ``TillError``."""
    if not wish.product:
        raise UnknownProduct("a refund without a receipt names product and amount")
    if wish.total_minor < 0:
        raise BadQuantity(str(wish.total_minor))
    quantity = 1 if wish.quantity is None else wish.quantity
    if quantity < 0:
        raise BadQuantity(str(quantity))
    if product is not None and product.liability:
        raise NotRefundable("an account is paid out with its receipt only")
    quantity, exponent = (
        (10**product.quantity_exponent, product.quantity_exponent)
        if wish.quantity is None and product is not None
        else quantity_of(product, quantity, wish.quantity_exponent)
    )
    tax_code = wish.tax_code if wish.tax_code is not None else product.tax_code if product is not None else 0
    return bounded(
        Line(
            number,
            wish.product,
            -quantity,
            exponent,
            product.unit if product is not None else "",
            product.name if product is not None else "",
            total_minor=-wish.total_minor,
            tax_code=tax_code,
            undoes_line=wish.line,
            discarded=wish.discarded,
        )
    )


def checked_refund(request: RefundRequest) -> None:
    """Raises ``EmptyReceipt`` for a refund of nothing."""
    if not request.lines and not request.number:
        raise EmptyReceipt


def voided(original: Receipt, undone: Undone) -> tuple[tuple[Line, ...], tuple[TenderLine, ...]]:
    """The mirror of a whole receipt: lines and tenders. Raises ``NotVoidable``."""
    if original.type not in (ReceiptType.SALE, ReceiptType.REFUND):
        raise NotVoidable(f"{original.number} is no sale or refund")
    if undone.anything:
        raise NotVoidable(f"{original.number} was given back already")
    lines = tuple(
        replace(
            line,
            quantity=-line.quantity,
            total_minor=-line.total_minor,
            tax_minor=-line.tax_minor,
            discounts=tuple(Discount(-discount.amount_minor, discount.reason) for discount in line.discounts),
            consumed=tuple(Consumed(part.product, -part.quantity) for part in line.consumed),
            undoes_line=line.number,
        )
        for line in original.lines
    )
    tenders = tuple(
        replace(
            tender,
            amount_minor=-tender.amount_minor,
            rounding_minor=-tender.rounding_minor,
            foreign_minor=-tender.foreign_minor,
            state=TenderState.REVERSED,
        )
        for tender in original.tenders
    )
    return lines, tenders


def tenders_back(
    original: Receipt, refunds: Sequence[Receipt], back_minor: int, minor_per_point: int
) -> tuple[TenderLine, ...]:
    """How ``back_minor`` goes back as the receipt was paid: in proportion to what earlier refunds have left of each tender.

    What was paid in cash, by cheque or in foreign coin is left to cash, as are the cents that are no whole point.
    """
    left: dict[tuple[Tender, bytes, str], int] = {}
    for tender in (tender for receipt in (original, *refunds) for tender in receipt.tenders):
        cash = tender.kind in (Tender.CASH, Tender.CHEQUE, Tender.FOREIGN_CASH)
        key = (Tender.CASH, b"", "") if cash else (tender.kind, tender.account, tender.reference)
        left[key] = left.get(key, 0) + tender.amount_minor - tender.rounding_minor
    left = {key: amount for key, amount in left.items() if amount > 0}
    whole = sum(left.values())
    back_minor = min(back_minor, whole)
    backs = {key: amount * back_minor // whole for key, amount in left.items()}
    odd_minor = back_minor - sum(backs.values())
    for key, amount in left.items():
        more = min(amount - backs[key], odd_minor)
        backs[key] += more
        odd_minor -= more
    lines: list[TenderLine] = []
    for (kind, account, reference), amount in backs.items():
        back = amount - amount % minor_per_point if kind is Tender.POINTS else amount
        if back and kind is not Tender.CASH:
            lines.append(TenderLine(kind, -back, reference=reference, account=account))
    return tuple(lines)


def points_to_take_back(
    programme: Programme, unit_minor: int, original: Receipt, refunds: Sequence[Receipt], act: Receipt
) -> int:
    """The points of a receipt that are earned no more after ``act``, less those that its earlier ``refunds`` took back.

    By what is left of the receipt, not by each refund: so it comes to the same in one refund and in many.
    """
    if not act.member:
        return 0
    moved = [_movement(receipt, programme.name, act.member) for receipt in (original, *refunds)]
    earned = moved[0].earned + moved[0].settled
    stays = min(programme.earned(sum(map(net_minor, (original, *refunds, act))), unit_minor), earned)
    return max(earned - stays - sum(one.redeemed + one.owing for one in moved[1:]), 0)


def net_minor(receipt: Receipt) -> int:
    """What a receipt counts for points: its goods without tax, and no liabilities; negative for a refund."""
    lines = (line for line in receipt.lines if not line.liability)
    return sum(line_net_minor(line, prices_with_tax=receipt.prices_with_tax) for line in lines)


def mirrored_movements(original: Receipt) -> tuple[AccountMovement, ...]:
    """What a void does to the accounts: earned and redeemed change places, as do what was owing and what was settled."""
    return tuple(
        AccountMovement(moved.programme, moved.account, moved.redeemed, moved.earned, moved.settled, moved.owing)
        for moved in original.movements
    )


def _movement(receipt: Receipt, programme: str, account: bytes) -> AccountMovement:
    found = (moved for moved in receipt.movements if (moved.programme, moved.account) == (programme, account))
    return next(found, AccountMovement(programme, account))


def _left(sold: Line, taken: Mapping[int, int]) -> int:
    return max(sold.quantity - taken.get(sold.number, 0), 0)


def _given_back(
    number: int,
    sold: Line,
    done: int,
    quantity: int,
    original: Receipt,
    wish: RefundLine,
    *,
    prices_with_tax: bool,
) -> Line:
    whole = sold.quantity or 1
    part = quantity if sold.quantity else 1
    total, tax = share(sold.total_minor, done, part, whole), share(sold.tax_minor, done, part, whole)
    if original.prices_with_tax != prices_with_tax and not sold.liability:
        total += tax if prices_with_tax else -tax
    return Line(
        number,
        sold.product,
        -quantity,
        sold.quantity_exponent,
        sold.unit,
        sold.name,
        sold.code,
        sold.unit_price_minor,
        sold.unit_price_exponent,
        sold.price_version,
        -total,
        sold.tax_code,
        -tax,
        liability=sold.liability,
        account=sold.account,
        undoes_line=sold.number,
        discarded=wish.discarded,
    )
