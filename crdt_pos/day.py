"""The day: what one till took and moved on one business date, folded from its journal.

The journal is the truth, the day its fold: ``fold`` over the acts of a date gives the same day, byte for byte, that the
running fold gave when it was published. Everything in it only grows; what is taken back stands in a column of its own.

    counters = {? 1: previous,                    ; the business date before, and the first 8 bytes of its entry's hash
                ? 2: {tax code: [base, tax, base back, tax back]},
                ? 3: {tender: [in, out]},
                ? 4: [first, last, count, skipped],                         ; sales, refunds and voids, by number
                ? 5: [perpetual sales, perpetual refunds],                  ; with tax, this date included
                ? 6: {product: [sold, net takings, received, consumed, produced, returned, net refunded,
                                written off, counted up, counted down, transferred out, transferred in]},
                ? 7: [rounded up, rounded down],
                ? 8: [liabilities sold, taken back],
                ? 9: {drawer act: amount},
                ? 10: 1,                                                    ; prices are without tax
                ? 11: 1,                                                    ; closed
                ? 12: [first, last, count, skipped]}                        ; training, which counts nowhere else
    previous = bstr .size 8                                                 ; it was the day before
             / [zigzag of the days back, bstr .size 8]

Rows end at their last count that is not 0. Drawer and stock acts are counted by what the entry covers.

Checked everywhere: takings − refunds + tax not included + rounding + liabilities sold = tenders in − tenders out. Pure.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import field
from operator import add
from typing import Final, NamedTuple, cast

from crdt_pos.receipt import DrawerAct, Line, Receipt, ReceiptType, Series, Skipped, StockAct
from merge_rules.counter_covers import CLOSED
from merge_rules.counter_nested import Nested
from merge_rules.dataclass import dataclass
from merge_rules.errors import InvalidBody

PREVIOUS_HASH_BYTES: Final = 8

_PREVIOUS, _TAXES, _TENDERS, _SALES, _PERPETUAL, _GOODS = range(1, 7)
_ROUNDING, _LIABILITIES, _DRAWER, _WITHOUT_TAX, _CLOSED, _TRAINING = 7, 8, 9, 10, CLOSED, 12
_SERIES_KEYS: Final = {Series.SALES: _SALES, Series.TRAINING: _TRAINING}


class Goods(NamedTuple):
    """One product's columns, each a grow-only count in the product's 10**-exponent units; takings in minor units.

    The columns of every day come first: zeros at the end take no bytes.
    """

    sold: int = 0
    takings: int = 0
    """Net: without tax, after discounts."""
    received: int = 0
    consumed: int = 0
    """Used up as a component of a dish, or a dish taken apart by a void."""
    produced: int = 0
    """A dish made of its components when it was sold; what a void wins back: components, discarded goods."""
    returned: int = 0
    refunded: int = 0
    """Net: what was given back of the takings."""
    written_off: int = 0
    counted_up: int = 0
    counted_down: int = 0
    transferred_out: int = 0
    transferred_in: int = 0

    @property
    def stock(self) -> int:
        """What is on the shelf because of this."""
        arrived = self.received + self.returned + self.produced + self.counted_up + self.transferred_in
        return arrived - self.sold - self.written_off - self.consumed - self.counted_down - self.transferred_out

    @property
    def net_takings(self) -> int:
        """Takings less refunds."""
        return self.takings - self.refunded

    def plus(self, other: Goods) -> Goods:
        """Column by column."""
        return Goods(*map(add, self, other))

    def trimmed(self) -> list[int]:
        """The columns without the zeros at the end."""
        if any(self[2:]):
            return _without_zeros(self)
        return [self[0], self[1]] if self[1] else [self[0]] if self[0] else []


class TaxTotals(NamedTuple):
    """One tax code: sales and what was given back."""

    base: int = 0
    tax: int = 0
    base_back: int = 0
    tax_back: int = 0


class Flow(NamedTuple):
    """In and out, both ≥ 0."""

    come_in: int = 0
    gone_out: int = 0

    @property
    def net(self) -> int:
        return self.come_in - self.gone_out

    def plus_signed(self, amount: int) -> Flow:
        """A positive amount comes in, a negative one goes out."""
        return Flow(self.come_in + max(amount, 0), self.gone_out + max(-amount, 0))


class Numbers(NamedTuple):
    """The documents of one series."""

    first: int = 0
    last: int = 0
    documents: int = 0
    skipped: int = 0
    """Numbers from ``first`` to ``last`` that will never be given, as an act states: ``Receipt.skipped``."""

    @property
    def missing(self) -> int:
        """Numbers that nothing accounts for."""
        return self.last - self.first + 1 - self.documents - self.skipped if self.last else 0


@dataclass(frozen=True, slots=True)
class Day:
    """One till's business date. ``plus`` adds an act; ``counters`` and ``from_counters`` are its codec."""

    previous: tuple[int, bytes] = (0, b"")
    """Days back to the previous business date (negative if that was dated later; 0 for none), and its entry's hash."""
    taxes: Mapping[int, TaxTotals] = field(default_factory=dict[int, TaxTotals])
    tenders: Mapping[int, Flow] = field(default_factory=dict[int, Flow])
    """By ``receipt.Tender``; a newer version may know more."""
    series: Mapping[int, Numbers] = field(default_factory=dict[int, Numbers])
    """Of ``receipt.Series`` those with a receipt for someone: sales and training."""
    perpetual_sales: int = 0
    perpetual_refunds: int = 0
    goods: Mapping[int, Goods] = field(default_factory=dict[int, Goods])
    rounding: Flow = field(default_factory=Flow)
    liabilities: Flow = field(default_factory=Flow)
    drawer: Mapping[int, int] = field(default_factory=dict[int, int])
    """By ``receipt.DrawerAct``."""
    prices_with_tax: bool = True
    closed: bool = False
    """Whether nothing more will come."""

    @property
    def takings_minor(self) -> int:
        """Sales as priced: with tax where prices are, else without."""
        return sum(tax.base + (tax.tax if self.prices_with_tax else 0) for tax in self.taxes.values())

    @property
    def refunds_minor(self) -> int:
        """What was given back, as priced."""
        return sum(tax.base_back + (tax.tax_back if self.prices_with_tax else 0) for tax in self.taxes.values())

    @property
    def tax_minor(self) -> int:
        """All tax, less what was given back."""
        return sum(tax.tax - tax.tax_back for tax in self.taxes.values())

    @property
    def tax_not_included_minor(self) -> int:
        """Tax that came on top of the prices, less what was given back."""
        return 0 if self.prices_with_tax else self.tax_minor

    @property
    def tenders_net_minor(self) -> int:
        """Tenders in less tenders out."""
        return sum(flow.net for flow in self.tenders.values())

    @property
    def balanced(self) -> bool:
        """Whether the books' equation holds, and the goods' net takings are the taxes' bases."""
        due = self.takings_minor - self.refunds_minor + self.tax_not_included_minor
        due += self.rounding.net + self.liabilities.net
        bases = sum(tax.base - tax.base_back for tax in self.taxes.values())
        return due == self.tenders_net_minor and bases == sum(goods.net_takings for goods in self.goods.values())

    def counters(self) -> dict[int, Nested]:
        """The nested counters that stand in the entry."""
        parts: dict[int, Nested] = {
            _PREVIOUS: _previous(*self.previous),
            _TAXES: _table(self.taxes),
            _TENDERS: _table(self.tenders),
            _PERPETUAL: _trimmed([self.perpetual_sales, self.perpetual_refunds]),
            _GOODS: _table(self.goods),
            _ROUNDING: _trimmed(self.rounding),
            _LIABILITIES: _trimmed(self.liabilities),
            _DRAWER: {key: amount for key, amount in self.drawer.items() if amount},
            _WITHOUT_TAX: 0 if self.prices_with_tax else 1,
            _CLOSED: 1 if self.closed else 0,
        }
        parts.update({_SERIES_KEYS[Series(series)]: _trimmed(numbers) for series, numbers in self.series.items()})
        return {key: part for key, part in parts.items() if part}

    @classmethod
    def from_counters(cls, counters: Mapping[int, Nested]) -> Day:
        """The day that nested counters are. Raises ``InvalidBody`` for a shape that is none; ignores unknown keys."""
        try:
            sales, refunds = Flow(*_row(counters.get(_PERPETUAL, 0), 2))
            return cls(
                _previous_of(counters.get(_PREVIOUS, 0)),
                {key: TaxTotals(*_row(row, 4)) for key, row in _rows(counters, _TAXES)},
                {key: Flow(*_row(row, 2)) for key, row in _rows(counters, _TENDERS)},
                {
                    int(series): Numbers(*_row(counters[key], 4))
                    for series, key in _SERIES_KEYS.items()
                    if key in counters
                },
                sales,
                refunds,
                {key: Goods(*_row(row, len(Goods._fields))) for key, row in _rows(counters, _GOODS)},
                Flow(*_row(counters.get(_ROUNDING, 0), 2)),
                Flow(*_row(counters.get(_LIABILITIES, 0), 2)),
                {key: _row([row], 1)[0] for key, row in _rows(counters, _DRAWER)},
                _WITHOUT_TAX not in counters,
                _CLOSED in counters,
            )
        except (TypeError, ValueError) as error:
            raise InvalidBody(f"day: {error}") from error

    def plus(self, act: Receipt) -> Day:
        """This day and one more act, goods included: O(products of the day). The till keeps goods apart instead."""
        goods = dict(self.goods)
        for product, moved in goods_of(act).items():
            goods[product] = goods.get(product, Goods()).plus(moved)
        return self.plus_money(act, goods)

    def plus_money(self, act: Receipt, goods: Mapping[int, Goods] | None = None) -> Day:
        """This day and one more act, its goods left out unless given."""
        series = dict(self.series)
        for stretch in act.skipped:
            if stretch.series in _SERIES_KEYS:
                series[int(stretch.series)] = _skipping(series.get(int(stretch.series), Numbers()), stretch)
        if act.series in _SERIES_KEYS:
            numbers = series.get(int(act.series), Numbers())
            series[int(act.series)] = numbers._replace(
                first=numbers.first or act.n, last=act.n, documents=numbers.documents + 1
            )
        previous, prices_with_tax = self.previous, self.prices_with_tax
        sales, refunds = self.perpetual_sales, self.perpetual_refunds
        taxes, tenders, drawer = dict(self.taxes), dict(self.tenders), dict(self.drawer)
        rounding, liabilities = self.rounding, self.liabilities
        if act.type is ReceiptType.OPENING and act.opening is not None:
            opening = act.opening
            if opening.previous_date is not None:
                previous = (act.business_date - opening.previous_date).days, opening.previous_hash
            prices_with_tax = act.prices_with_tax
            sales, refunds = opening.sales_minor, opening.refunds_minor
        if act.type is not ReceiptType.TRAINING:
            for code, moved in taxes_of(act).items():
                taxes[code] = TaxTotals(*map(sum, zip(taxes.get(code, TaxTotals()), moved, strict=True)))
                sales += moved.base + moved.tax
                refunds += moved.base_back + moved.tax_back
            for tender in act.tenders:
                if tender.amount_minor:
                    tenders[int(tender.kind)] = tenders.get(int(tender.kind), Flow()).plus_signed(tender.amount_minor)
                if tender.rounding_minor:
                    rounding = rounding.plus_signed(tender.rounding_minor)
            for line in act.lines:
                if line.liability:
                    liabilities = liabilities.plus_signed(line.total_minor)
            if act.drawer_minor:
                drawer[int(act.drawer)] = drawer.get(int(act.drawer), 0) + act.drawer_minor
        return Day(
            previous,
            taxes,
            tenders,
            series,
            sales,
            refunds,
            self.goods if goods is None else goods,
            rounding,
            liabilities,
            drawer,
            prices_with_tax,
            self.closed or act.type is ReceiptType.CLOSING,
        )


def fold(acts: Iterable[Receipt]) -> Day:
    """The day of a date's acts, in the order of the journal."""
    day = Day()
    for act in acts:
        day = day.plus(act)
    return day


def line_net_minor(line: Line, *, prices_with_tax: bool) -> int:
    """A line's total without tax."""
    return line.total_minor - line.tax_minor if prices_with_tax else line.total_minor


def taxes_of(act: Receipt) -> dict[int, TaxTotals]:
    """What an act adds by tax code: lines of positive totals sell, of negative ones give back."""
    totals: dict[int, TaxTotals] = {}
    if act.type is ReceiptType.TRAINING:
        return totals
    for line in act.lines:
        if line.liability or not (line.total_minor or line.tax_minor):
            continue
        net, tax = line_net_minor(line, prices_with_tax=act.prices_with_tax), line.tax_minor
        before = totals.get(line.tax_code, TaxTotals())
        totals[line.tax_code] = TaxTotals(
            before.base + max(net, 0),
            before.tax + max(tax, 0),
            before.base_back + max(-net, 0),
            before.tax_back + max(-tax, 0),
        )
    return totals


def goods_of(act: Receipt) -> dict[int, Goods]:
    """What an act adds to each product's columns."""
    moved: dict[int, Goods] = {}

    def move(product: int, goods: Goods) -> None:
        moved[product] = moved[product].plus(goods) if product in moved else goods

    if act.type is ReceiptType.STOCK:
        for line in act.lines:
            move(line.product, _stock_moved(act.stock, line))
    elif act.type is not ReceiptType.TRAINING:
        for line in act.lines:
            given, back = max(line.quantity, 0), max(-line.quantity, 0)
            net = 0 if line.liability else line_net_minor(line, prices_with_tax=act.prices_with_tax)
            move(
                line.product,
                Goods(
                    sold=given,
                    takings=max(net, 0),
                    returned=back,
                    refunded=max(-net, 0),
                    written_off=back if line.discarded else 0,
                    consumed=back if line.consumed else 0,
                    produced=given if line.consumed or line.discarded else 0,
                ),
            )
            for part in line.consumed:
                move(part.product, Goods(consumed=max(part.quantity, 0), produced=max(-part.quantity, 0)))
    return {product: goods for product, goods in moved.items() if any(goods)}


def days_between(day: Day, date: datetime.date) -> datetime.date | None:
    """The previous business date of a day on ``date``; ``None`` for a till's first."""
    back = day.previous[0]
    return date - datetime.timedelta(days=back) if back else None


def drawer_cash_minor(day: Day, cash: int) -> int:
    """What should lie in the drawer: float, cash in and out by sales, paid in and out, less pick-ups."""
    moved = day.drawer
    come_in = moved.get(DrawerAct.FLOAT, 0) + moved.get(DrawerAct.PAID_IN, 0)
    return come_in - moved.get(DrawerAct.PICK_UP, 0) - moved.get(DrawerAct.PAID_OUT, 0) + cash


def _stock_moved(act: StockAct, line: Line) -> Goods:
    if act is StockAct.COUNTED:
        over = line.quantity - line.expected
        return Goods(counted_up=max(over, 0), counted_down=max(-over, 0))
    column = {
        StockAct.RECEIVED: "received",
        StockAct.WRITTEN_OFF: "written_off",
        StockAct.TRANSFERRED_OUT: "transferred_out",
        StockAct.TRANSFERRED_IN: "transferred_in",
    }[act]
    return Goods(**{column: line.quantity})


def _skipping(numbers: Numbers, stretch: Skipped) -> Numbers:
    count = max(stretch.last - stretch.first + 1, 0)
    first, last = numbers.first or stretch.first, max(numbers.last, stretch.last)
    return numbers._replace(first=first, last=last, skipped=numbers.skipped + count)


def _trimmed(row: Iterable[int]) -> Nested:
    return cast("Nested", _without_zeros(tuple(row)) or 0)


def _without_zeros(columns: tuple[int, ...]) -> list[int]:
    end = len(columns)
    while end and not columns[end - 1]:
        end -= 1
    return list(columns[:end])


def _table(rows: Mapping[int, Iterable[int]]) -> Nested:
    table = {key: _trimmed(row) for key, row in rows.items()}
    return cast("Nested", {key: row for key, row in table.items() if row})


def _rows(counters: Mapping[int, Nested], key: int) -> Iterable[tuple[int, Nested]]:
    table = counters.get(key) or {}
    if not isinstance(table, dict):
        raise InvalidBody(f"day: part {key} is no table")
    return cast("Iterable[tuple[int, Nested]]", table.items())


def _row(row: Nested, columns: int) -> list[int]:
    """A newer version may have more columns: they are ignored."""
    values = cast("list[object]", row if isinstance(row, list) else [])
    counts = [value for value in values[:columns] if isinstance(value, int)]
    if (row and not values) or len(counts) < len(values[:columns]):
        raise InvalidBody("day: a row that is no list of counts")
    return [*counts, *[0] * (columns - len(counts))]


def _previous(back: int, previous_hash: bytes) -> Nested:
    if back == 1:
        return previous_hash
    return [2 * back - 1 if back > 0 else -2 * back, previous_hash] if back else 0


def _previous_of(value: Nested) -> tuple[int, bytes]:
    match value:
        case 0:
            return 0, b""
        case bytes():
            return 1, value
        case [int(zigzag), bytes(previous_hash)]:
            return (zigzag + 1) // 2 if zigzag % 2 else -(zigzag // 2), previous_hash
        case _:
            raise InvalidBody("day: no link to the previous date")
