"""What two tills gave back that only one could: a matter for people, found where their journals meet.

The right to refund a line is spent by what the journals here say was given back of it. Tills that are cut off from each other
can both spend it; no sale or refund waits for the other, so the excess shows at the join, and stays shown: it is settled by
adding, never by taking a receipt back. A refund of a receipt whose journal is not here stays *unconfirmed* until it is.

Only who holds the journals of a store can say this. Pure but for ``read``.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Mapping, Sequence

from crdt_pos import journal
from crdt_pos.receipt import Line, Receipt, ReceiptType
from gossip.log import Reader
from merge_rules.dataclass import dataclass

Undoings = Mapping[str, Sequence[Receipt]]
"""The number of a receipt → the refunds and voids that name it."""


@dataclass(frozen=True, slots=True)
class ToSettle:
    """A line of which more was given back than was sold, or of which nobody here can say whether it was."""

    receipt: str
    """The number of the receipt whose line it is."""
    line: int
    """0: the refund names no line of it."""
    product: int
    quantity: int
    """What was given back too much, or unconfirmed, in 10**-quantity_exponent units."""
    quantity_exponent: int
    amount_minor: int
    """The same in money, with tax."""
    currency: str
    exponent: int
    refunds: tuple[str, ...]
    """The numbers of the refunds and voids that gave it back, the oldest first."""
    date: datetime.date
    """The business date of the newest of them."""
    unconfirmed: bool
    """The receipt, or the line, is not here."""


def read(reader: Reader) -> list[ToSettle]:
    """Everything to settle, as far as the journals here show it."""
    return to_settle(journal.undoings(reader), lambda number: journal.find_receipt(reader, number))


def to_settle(undoings: Undoings, find: Callable[[str], Receipt | None]) -> list[ToSettle]:
    """Everything to settle, by receipt and line. Refunds that were voided themselves do not count.

    ``find`` gives the receipt of a number, ``None`` for one that is not here.
    """
    voided = {number for number, acts in undoings.items() if any(act.type is ReceiptType.VOID for act in acts)}
    found: list[ToSettle] = []
    for number, acts in sorted(undoings.items()):
        original = find(number)
        if original is not None and original.type is not ReceiptType.SALE:
            continue  # a refund that was voided: no right to it is left
        standing = [act for act in acts if act.number not in voided]
        standing.sort(key=lambda act: (act.stamp_ms, act.number))
        sold = {line.number: line for line in original.lines} if original else {}
        found += _unconfirmed(number, sold, standing)
        if original is not None:
            for line in original.lines:
                found += _excess(original, line, standing)
    return found


def _unconfirmed(number: str, sold: Mapping[int, Line], acts: Sequence[Receipt]) -> Iterator[ToSettle]:
    for act in acts:
        for line in act.lines:
            there = sold.get(line.undoes_line)
            if there is None or there.product != line.product:
                yield _row(number, line, act, -line.quantity, -_asked_minor(act, line), [act], unconfirmed=True)


def _excess(original: Receipt, sold: Line, acts: Sequence[Receipt]) -> Iterator[ToSettle]:
    gave: list[Receipt] = []
    quantity, amount_minor = -sold.quantity, -_asked_minor(original, sold)
    for act in acts:
        for line in act.lines:
            if (line.undoes_line, line.product) == (sold.number, sold.product):
                quantity -= line.quantity * 10**sold.quantity_exponent // 10**line.quantity_exponent
                amount_minor -= _asked_minor(act, line)
                gave.append(act)
    # Shares of a line are rounded as if nobody else gave any of it back: a cent may be too much without a piece.
    if gave and (quantity > 0 or amount_minor > 0):
        acts_once = list({act.number: act for act in gave}.values())
        yield _row(original.number, sold, original, quantity, amount_minor, acts_once, unconfirmed=False)


def _row(
    number: str,
    line: Line,
    priced: Receipt,
    quantity: int,
    amount_minor: int,
    acts: Sequence[Receipt],
    *,
    unconfirmed: bool,
) -> ToSettle:
    return ToSettle(
        number,
        line.undoes_line if unconfirmed else line.number,
        line.product,
        quantity,
        line.quantity_exponent,
        amount_minor,
        priced.currency,
        priced.exponent,
        tuple(act.number for act in acts),
        max(act.business_date for act in acts),
        unconfirmed,
    )


def _asked_minor(receipt: Receipt, line: Line) -> int:
    return line.total_minor + (0 if receipt.prices_with_tax else line.tax_minor)
