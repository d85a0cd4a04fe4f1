"""A day in words: what each till's summary covers and counts, and what they add up to."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from crdt_pos.books import Money
from crdt_pos.books_text import tender_text
from crdt_pos.columns import Column, number, table
from crdt_pos.day import Day, Goods, days_between
from crdt_pos.forks import liars
from crdt_pos.page import HASH_DIGITS_SHOWN, Page
from crdt_pos.receipt import DrawerAct, Series
from crdt_pos.schema import DAY, JOURNAL
from gossip.document import Document, date_of
from gossip.entry import FeedId
from merge_rules.counter_covers import CounterCovers, Summary
from merge_rules.errors import InvalidBody

_TEXT: Final = Column()
_NAME: Final = Column(shorten=True)
_FIGURE: Final = Column(right=True)


class DayWording:
    """Words for ``day`` documents."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def lines(self, document: Document, state: CounterCovers) -> Iterator[str]:
        """What ``state`` says: all summaries that count, or those of one publisher."""
        date = date_of(document.day)
        record = self._page.store(document)
        exponent, currency = (record.exponent, record.currency) if record else (2, "")
        money, goods = Money(), dict[int, Goods]()
        choices = state.choices(liars(self._page.reader))
        for _, (summary, _) in sorted(choices.items()):
            try:
                day = Day.from_counters(summary.counters)
            except InvalidBody as error:
                yield f"  {self._page.name(summary.subject)}: {error}"
                continue
            money = money.plus(day)
            for product, moved in day.goods.items():
                goods[product] = goods.get(product, Goods()).plus(moved)
            yield from self._summary(document, summary, day, exponent)
        for subject, (counts, rivals) in sorted(choices.items()):
            for rival in rivals:
                who = self._page.name(rival.publisher)
                reach = f"up to act {rival.covers.seq}, which excludes what {self._page.name(counts.publisher)} says"
                yield f"  CONFLICT: {who} sums up the journal of {self._page.name(subject)} {reach}."
        yield from self._money(money, exponent, currency, date)
        yield from self._goods(goods, exponent)

    def _summary(self, document: Document, summary: Summary, day: Day, exponent: int) -> Iterator[str]:
        whose = f"the journal of {self._page.name(summary.subject)}"
        by = (
            ""
            if summary.publisher == summary.subject
            else f", summed up for it by {self._page.name(summary.publisher)}"
        )
        digits = summary.covers.hash.hex()[:HASH_DIGITS_SHOWN]
        yield f"  covers {whose} up to act {summary.covers.seq} ({digits}…){by}: {self._covered(document, summary)}"
        previous = days_between(day, date_of(document.day))
        if previous is None:
            before = "the first business date of this till"
        else:
            before = f"the business date before was {previous} ({self._previous(document, summary, day)})"
        yield f"  {'closed' if day.closed else 'not closed yet: more may come'}; {before}"
        said: list[str] = []
        for series, numbers in sorted(day.series.items()):
            missing = f", {numbers.missing} MISSING" if numbers.missing else ", none missing"
            if numbers.skipped:
                missing += f", {numbers.skipped} skipped since the disk was set back"
            letter = Series(series).letter
            first, last = f"{letter}{numbers.first}", f"{letter}{numbers.last}"
            said.append(f"{Series(series).name.lower()} {first} to {last}{missing}")
        if said:
            yield f"  receipts: {'; '.join(said)}"
        if day.perpetual_sales or day.perpetual_refunds:
            sales, refunds = number(day.perpetual_sales, exponent), number(day.perpetual_refunds, exponent)
            yield f"  since its first date, with tax: sales {sales}, refunds {refunds}"
        moved = [
            f"{DrawerAct(act).name.lower().replace('_', ' ') if act in set(DrawerAct) else act} {number(n, exponent)}"
            for act, n in sorted(day.drawer.items())
        ]
        if moved:
            yield f"  drawer: {', '.join(moved)}"
        if not day.balanced:
            yield "  IT DOES NOT BALANCE: takings and tenders do not agree."

    def _covered(self, document: Document, summary: Summary) -> str:
        feed = FeedId(Document(JOURNAL, document.day, document.keys), summary.subject)
        act = next(iter(self._page.reader.entries(feed, summary.covers.seq - 1)), None)
        if act is None:
            return "THAT ACT IS NOT HERE" if self._page.reader.heads(feed) else "its journal is not here"
        return "it is here" if act.entry.hash.startswith(summary.covers.hash) else "THE ACT HERE IS ANOTHER"

    def _previous(self, document: Document, summary: Summary, day: Day) -> str:
        before = Document(DAY, document.day - day.previous[0], document.keys)
        held = [stored.entry.hash for stored in self._page.reader.entries(FeedId(before, summary.subject))]
        digits = day.previous[1].hex()[:HASH_DIGITS_SHOWN]
        if any(entry_hash.startswith(day.previous[1]) for entry_hash in held):
            return f"{digits}…: it is here"
        return f"{digits}…: {'another entry of it is here' if held else 'it is not here'}"

    def _money(self, money: Money, exponent: int, currency: str, date: datetime.date) -> Iterator[str]:
        def text(amount_minor: int) -> str:
            return number(amount_minor, exponent)

        sums = {
            "takings": money.takings_minor,
            "refunds": money.refunds_minor,
            "tax not included": money.tax_not_included_minor,
            "rounding": money.rounding.net,
            "gift cards and credit sold": money.liabilities.net,
            "tenders, in less out": money.tenders_net_minor,
        }
        kept = {name: amount for name, amount in sums.items() if amount or name in ("takings", "refunds")}
        yield from table(
            (_NAME, _FIGURE, _TEXT), [(name, text(n), currency) for name, n in kept.items()], self._page.width
        )
        rows: list[Sequence[str]] = []
        for code, tax in sorted(money.taxes.items()):
            rate = self._page.tax_rate(code, date)
            rows.append((f"tax {code}, {rate}" if rate else f"tax {code}", *map(text, tax)))
        if rows:
            yield ""
            titles = ("base", "tax", "base back", "tax back")
            rows = [_without_zero_back(row, ("0", text(0))) for row in rows]
            yield from table((_NAME, *(Column(title, right=True) for title in titles)), rows, self._page.width)
        tenders = [
            (tender_text(kind), text(flow.come_in), text(flow.gone_out), text(flow.net))
            for kind, flow in sorted(money.tenders.items())
        ]
        if tenders:
            yield ""
            columns = (Column("tender", shorten=True), *(Column(title, right=True) for title in ("in", "out", "net")))
            yield from table(columns, tenders, self._page.width)

    def _goods(self, goods: Mapping[int, Goods], exponent: int) -> Iterator[str]:
        ordered = sorted(goods.items(), key=lambda item: (-item[1].net_takings, item[0]))
        shown = self._page.some(ordered)
        fields = [name for at, name in enumerate(Goods._fields) if any(row[at] for _, row in ordered)]
        rows: list[Sequence[str]] = []
        for product, moved in shown:
            known = self._page.product(product)
            decimals = known.quantity_exponent if known else 0
            values = moved._asdict()
            cells = [number(values[name], exponent if name in ("takings", "refunded") else decimals) for name in fields]
            rows.append((str(product), known.name if known else "", *cells, known.unit if known else ""))
        if rows:
            yield ""
            titles = (Column(name.replace("_", " "), right=True) for name in fields)
            columns = (Column("product", right=True), Column("", shorten=True), *titles, Column("unit"))
            yield from table(columns, rows, self._page.width)
        yield from self._page.left(ordered, "product")


def _without_zero_back(row: Sequence[str], zeros: Sequence[str]) -> Sequence[str]:
    """What nothing was given back of needs no columns for it."""
    return [*row[:3], *("" if cell in zeros else cell for cell in row[3:])]
