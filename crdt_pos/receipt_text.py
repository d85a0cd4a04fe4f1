"""Receipts and reports as text: 42 columns, what a till's printer has."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Final

from rich.cells import cell_len, set_cell_size

from crdt_pos.money import decimal_text
from crdt_pos.receipt import DrawerAct, Line, Receipt, ReceiptType, StockAct
from crdt_pos.reports import XReport, ZReport
from crdt_pos.terms import Terms

COLUMNS: Final = 42
_RULE: Final = "─" * COLUMNS

_TITLES: Final = {
    ReceiptType.SALE: "",
    ReceiptType.REFUND: "REFUND",
    ReceiptType.VOID: "VOID",
    ReceiptType.TRAINING: "TRAINING — NOT A SALE",
    ReceiptType.DRAWER: "DRAWER",
    ReceiptType.STOCK: "STOCK",
    ReceiptType.OPENING: "OPENED",
    ReceiptType.CLOSING: "CLOSED",
    ReceiptType.SETTLEMENT: "SETTLEMENT",
}


def receipt_text(receipt: Receipt, terms: Terms | None = None) -> str:
    """The receipt, lines of at most 42 columns. ``terms``: of its business date, with the store's name, address and tax id."""
    return "\n".join(_receipt_lines(receipt, terms or Terms()))


def _receipt_lines(receipt: Receipt, terms: Terms) -> Iterator[str]:
    money = _Money(receipt.exponent)
    yield from _head(receipt, terms)
    if receipt.type is ReceiptType.STOCK:
        yield _RULE
        for line in receipt.lines:
            yield _sides(line.name or f"#{line.product}", _quantity(line))
        return
    if receipt.drawer_minor:
        yield _sides("Amount", money.text(receipt.drawer_minor))
    if receipt.lines or receipt.tenders:
        yield _RULE
        for line in receipt.lines:
            yield from _line(line, money)
        yield _RULE
        yield from _payment(receipt, money)
        yield _RULE
        yield from _foot(receipt, money)


def _head(receipt: Receipt, terms: Terms) -> Iterator[str]:
    tax_id = f"Tax no. {terms.tax_id}" if terms.tax_id else ""
    for title in (receipt.legal_entity, terms.store_name, terms.address, tax_id, _title(receipt)):
        if title:
            yield title[:COLUMNS].center(COLUMNS).rstrip()
    yield _sides(receipt.number, local_time(receipt.stamp_ms, receipt.offset_minutes))
    if receipt.undoes:
        yield f"for {receipt.undoes.number}" if receipt.undoes.number else "without a receipt"
    if receipt.reason:
        yield receipt.reason[:COLUMNS]


def _payment(receipt: Receipt, money: _Money) -> Iterator[str]:
    if not receipt.prices_with_tax:
        yield _sides("Tax", money.text(receipt.tax_minor))
    if receipt.rounding_minor:
        yield _sides("Rounding", money.text(receipt.rounding_minor))
    yield _sides(f"TOTAL {receipt.currency}", money.text(receipt.due_minor))
    for tender in receipt.tenders:
        paid_back = tender.amount_minor < 0 <= receipt.due_minor
        name = "Change" if paid_back else tender.kind.text.replace("_", " ").capitalize()
        yield _sides(name, money.text(abs(tender.amount_minor) if paid_back else tender.amount_minor))


def _foot(receipt: Receipt, money: _Money) -> Iterator[str]:
    for tax in receipt.taxes:
        rate = decimal_text(tax.rate_ppm, 4).rstrip("0").rstrip(".")
        yield _sides(f"Tax {rate}% of {money.text(tax.base_minor)}", money.text(tax.tax_minor))
    for moved in receipt.movements:
        for word, amount in (("earned", moved.earned), ("redeemed", moved.redeemed), ("still owed", moved.owing)):
            if amount:
                yield _sides(f"{moved.programme.capitalize()} {word}", str(amount))


def _title(receipt: Receipt) -> str:
    if receipt.type is ReceiptType.DRAWER and receipt.drawer is not DrawerAct.NO_SALE:
        return receipt.drawer.name.replace("_", " ")
    if receipt.type is ReceiptType.STOCK and receipt.stock is not StockAct.NONE:
        return receipt.stock.name.replace("_", " ")
    return _TITLES[receipt.type]


def _line(line: Line, money: _Money) -> Iterator[str]:
    name = line.name or f"#{line.product}"
    single = line.quantity == 10**line.quantity_exponent and not line.discounts
    if single and not line.unit:
        yield _sides(name, money.text(line.total_minor))
        return
    yield set_cell_size(name, min(cell_len(name), COLUMNS))
    price = decimal_text(line.unit_price_minor, money.exponent + line.unit_price_exponent)
    before = line.total_minor + sum(off.amount_minor for off in line.discounts)
    yield _sides(f"  {_quantity(line)} × {price}", money.text(before))
    for off in line.discounts:
        yield _sides(f"  {off.reason or 'discount'}", money.text(-off.amount_minor))


def _quantity(line: Line) -> str:
    text = decimal_text(line.quantity, line.quantity_exponent)
    return f"{text} {line.unit}" if line.unit else text


class _Money:
    def __init__(self, exponent: int) -> None:
        self.exponent = exponent

    def text(self, amount_minor: int) -> str:
        return decimal_text(amount_minor, self.exponent)


def _sides(left: str, right: str) -> str:
    room = max(COLUMNS - cell_len(right) - 1, 1)
    return f"{set_cell_size(left, room)} {right}"


def local_time(stamp_ms: int, offset_minutes: int) -> str:
    """``2026-11-22 14:02`` in the till's local time."""
    zone = datetime.timezone(datetime.timedelta(minutes=offset_minutes))
    return f"{datetime.datetime.fromtimestamp(stamp_ms // 1000, zone):%Y-%m-%d %H:%M}"


def report_text(report: XReport) -> str:
    """An X or Z report, lines of at most 42 columns."""
    return "\n".join(_report_lines(report))


def _report_lines(report: XReport) -> Iterator[str]:
    money = _Money(report.exponent)
    final = isinstance(report, ZReport)
    yield ("Z REPORT" if final else "X REPORT").center(COLUMNS).rstrip()
    yield _sides(f"{report.store}-{report.till}-{report.incarnation}", report.business_date.isoformat())
    yield _RULE
    amounts = [
        ("Sales", report.sales_minor, True),
        ("Refunds", -report.refunds_minor, True),
        ("Tax not included", report.tax_not_included_minor, False),
        ("Rounding", report.rounding_minor, False),
        ("Gift cards and credit sold", report.liabilities_sold_minor, False),
    ]
    for name, amount, always in amounts:
        if amount or always:
            yield _sides(name, money.text(amount))
    for code, (base, tax) in sorted(report.tax.items()):
        yield _sides(f"Tax code {code} on {money.text(base)}", money.text(tax))
    yield _RULE
    for kind, (came, went) in sorted(report.tenders.items()):
        name = kind.text.replace("_", " ").capitalize()
        yield _sides(name, money.text(came - went))
    yield _RULE
    for name, amount in (
        ("Float", report.float_minor),
        ("Paid in", report.paid_in_minor),
        ("Paid out", -report.paid_out_minor),
        ("Pick-ups", -report.pick_ups_minor),
    ):
        if amount:
            yield _sides(name, money.text(amount))
    yield _sides("Cash that should be in the drawer", money.text(report.cash_expected_minor))
    if isinstance(report, ZReport) and report.cash_counted_minor is not None:
        yield _sides("Cash counted", money.text(report.cash_counted_minor))
        yield _sides("Difference", money.text(report.difference_minor or 0))
    yield _RULE
    for series, (first, last, count) in sorted(report.documents.items()):
        yield _sides(f"{series.name.capitalize()} {series.letter}{first}…{series.letter}{last}", str(count))
    yield _sides("Sales ever", money.text(report.perpetual_sales_minor))
    yield _sides("Refunds ever", money.text(report.perpetual_refunds_minor))
