"""The books in words: what a shopkeeper reads, at most as wide as the screen.

One line at the top says whether everything is final; each figure says it again for itself.
"""

from __future__ import annotations

import datetime
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Final

import click

from crdt_pos import sharing_text, variance_list
from crdt_pos.books import Account, Awaited, Books, Query, TillDay, TillSum, day_documents
from crdt_pos.catalogue_views import CatalogueProducts
from crdt_pos.columns import INDENT, Column, listing, number, percent, plural, shortened, table
from crdt_pos.contradiction import contradictions
from crdt_pos.goods_rows import GoodsRow
from crdt_pos.looking import Looked
from crdt_pos.products import Product
from crdt_pos.receipt import Tender
from crdt_pos.schema import DAY
from crdt_pos.sharing import Shared
from gossip.document import day_number
from gossip.log import Reader

ROWS_SHOWN_MAX: Final = 15
"""Of products, tills' days and variances, unless all are asked for."""
AWAITED_SHOWN_MAX: Final = 3
CLAIMS_SHOWN_MAX: Final = 3
_FINAL: Final = "final"
_STATUS: Final = re.compile(r"(?<= )(final\b.*|waiting\b.*|disputed\b.*|a lower bound\b.*)$")
"""At the end of a row."""
_NAME: Final = Column(shorten=True)
_FIGURE: Final = Column(right=True)
_MS_PER_DAY: Final = 86_400_000


class BooksText:
    """One reading of the books, and the words for it."""

    def __init__(self, looked: Looked, reader: Reader, books: Books, conflicts: Sequence[Shared] = ()) -> None:
        """``conflicts``: products that share a code and differ."""
        self._looked = looked
        self._reader = reader
        self._books = books
        self._conflicts = conflicts
        self._products = CatalogueProducts()
        self._found: dict[int, Product | None] = {}

    # ---- words ----------------------------------------------------------------------------------------------------------

    def status(self, waiting: Sequence[Awaited], disputed: Sequence[TillDay] = ()) -> str:
        """``final``, or ``waiting for 12-3, last heard 14:02``; what is disputed is never final."""
        parts: list[str] = []
        if waiting:
            tills = list({one.till: one for one in waiting}.values())
            said = "; ".join(f"{one.till}, {self._heard(one)}" for one in tills[:AWAITED_SHOWN_MAX])
            more = len(tills) - AWAITED_SHOWN_MAX
            parts.append(f"waiting for {said}" + (f" and {more} more" if more > 0 else ""))
        if names := sorted({day.name for day in disputed if not day.claims}):
            parts.append(f"a lower bound, since {listing(names)} contradicts itself")
        if names := sorted({day.name for day in disputed if day.claims}):
            parts.append(f"disputed, since others say otherwise of {listing(names)}")
        return "; ".join(parts) or _FINAL

    def account_status(self, account: Account) -> str:
        """Of every figure of an account."""
        brief = account.brief()
        return self.status(brief.awaited, [day for day in brief.notable if day.disputed])

    def final(self) -> bool:
        """Whether every figure is."""
        return all(self.account_status(account) == _FINAL for account in self._books.accounts)

    def _heard(self, awaited: Awaited) -> str:
        if not awaited.heard_ms:
            return "never heard"
        moment = self._looked.local(awaited.heard_ms, int(awaited.till.partition("-")[0]))
        on_the_day = self._books.date_from == self._books.date_to == moment.date()
        return f"last heard {moment:%H:%M}" if on_the_day else f"last heard {moment:%Y-%m-%d %H:%M}"

    def product(self, product: int) -> Product | None:
        """What the catalogue here says of a product."""
        if product not in self._found:
            self._found[product] = self._products.find(self._reader, product)
        return self._found[product]

    def name(self, product: int) -> str:
        """What the catalogue here calls a product; empty if it does not know it."""
        found = self.product(product)
        return found.name if found else ""

    def _quantity(self, product: int, quantity: int) -> str:
        found = self.product(product)
        return number(quantity, found.quantity_exponent if found else 0)

    def _unit(self, product: int) -> str:
        found = self.product(product)
        return found.unit if found else ""

    # ---- lines ----------------------------------------------------------------------------------------------------------

    def lines(self, query: Query, width: int, *, everything: bool) -> Iterator[str]:
        """All of it. With a product asked for, only what concerns that one."""
        for line in self._lines(query, width, everything=everything):
            status = _STATUS.search(line) if line.startswith(INDENT) else None
            if status is None:
                yield line
            else:
                colour = "green" if status[0] == _FINAL else "yellow"
                yield line[: status.start()] + click.style(status[0], fg=colour)

    def _lines(self, query: Query, width: int, *, everything: bool) -> Iterator[str]:
        books = self._books
        period = str(books.date_from) if books.date_from == books.date_to else f"{books.date_from} to {books.date_to}"
        yield click.style(f"Books of {period}, as known at {self._looked.folder.certificate.name}", bold=True)
        yield from self._verdict(width)
        for account in books.accounts:
            yield ""
            yield click.style(_title(account), bold=True)
            if query.product is None:
                yield from self._money(account, width)
                yield from self._tills(account, width, everything=everything)
                yield from self._goods(account, width, everything=everything)
            else:
                yield from self._one_product(account, width)
        if query.product is None:
            yield from self._owed(width)
        yield from self._one_code_for_several(width)
        yield from self._variances(width, everything=everything)
        yield from self._to_settle(width)
        yield from self._contradictions(query, width)

    def _verdict(self, width: int) -> Iterator[str]:
        said = list(
            dict.fromkeys(one for account in self._books.accounts if (one := self.account_status(account)) != _FINAL)
        )
        text = "Final." if not said else f"Not final: {'; '.join(said)}."
        yield from _paragraph(text, width, fg="yellow" if said else "green")
        if not all(account.money.balanced for account in self._books.accounts):
            text = "These books do not balance: 'crdt-pos verify' says whose entry is wrong."
            yield from _paragraph(text, width, fg="red")
        for day in (day for account in self._books.accounts for day in account.brief().notable if day.given_up):
            text = (
                f"{day.name}, life {day.incarnation}, is not expected any more: its {day.date} was not closed and counts as it "
                f"told at {self._told(day)}. What it took after that is lost."
            )
            yield from _paragraph(text, width, fg="yellow")
        for account in self._books.accounts:
            for day in account.brief().notable:
                for text in self._told_by_others(account, day):
                    yield from _paragraph(text, width, fg="yellow")

    def _told_by_others(self, account: Account, day: TillDay) -> Iterator[str]:
        """Who says what of a till's date in its name: what counts, and what does not."""
        whose, acts = f"{day.name}, life {day.incarnation}", plural(day.covers, "act")
        if day.proxy is not None and day.closed:
            yield (
                f"{whose}, did not close its {day.date} itself: {self._looked.name_of(day.proxy)} "
                f"did, with the {acts} that are known. What it took after them is lost."
            )
        elif day.proxy is not None:
            yield f"{whose}, has not told of its {day.date} itself: {self._looked.name_of(day.proxy)} told of {acts}."
        for claim in day.claims[:CLAIMS_SHOWN_MAX]:
            much = f"{number(claim.takings_minor, account.exponent)} {account.currency}".rstrip()
            yield (
                f"{self._looked.name_of(claim.publisher)} says that {whose}, took {much} on {day.date} in "
                f"{plural(claim.covers, 'act')}. That excludes what counts here, and does not count."
            )
        if len(day.claims) > CLAIMS_SHOWN_MAX:
            yield f"{len(day.claims) - CLAIMS_SHOWN_MAX} more say otherwise of {whose}, {day.date}: see --json."

    def _money(self, account: Account, width: int) -> Iterator[str]:
        money, status = account.money, self._short(account)

        def text(amount_minor: int) -> str:
            return number(amount_minor, account.exponent)

        terms = [
            ("takings", "", money.takings_minor),
            ("refunds", "- ", money.refunds_minor),
            ("tax not included", "+ ", money.tax_not_included_minor),
            ("rounding", "+ ", money.rounding.net),
            ("gift cards and credit sold", "+ ", money.liabilities.net),
        ]
        shown = [term for term in terms if term[2] or term[0] in ("takings", "refunds")]
        rows = [(sign + name, text(amount), status) for name, sign, amount in shown]
        sign = "=" if money.balanced else "IS NOT"
        rows.append((f"{sign} tenders in, less out", text(money.tenders_net_minor), status))
        yield from table((_NAME, _FIGURE, Column()), rows, width)
        if money.taxes:
            yield ""
            taxes = [
                (self._tax(code), text(tax.base - tax.base_back), text(tax.tax - tax.tax_back), status)
                for code, tax in sorted(money.taxes.items())
            ]
            if len(taxes) > 1:
                base = sum(tax.base - tax.base_back for tax in money.taxes.values())
                taxes.append(("all", text(base), text(money.tax_minor), status))
            columns = (Column("tax", shorten=True), Column("base", right=True), Column("tax", right=True), Column())
            yield from table(columns, taxes, width)
        if money.tenders:
            yield ""
            tenders = [
                (tender_text(kind), text(flow.come_in), text(flow.gone_out), text(flow.net), status)
                for kind, flow in sorted(money.tenders.items())
            ]
            amounts = (Column(title, right=True) for title in ("in", "out", "net"))
            yield from table((Column("tender", shorten=True), *amounts, Column()), tenders, width)

    def _short(self, account: Account) -> str:
        status = self.account_status(account)
        # The line at the top has all of them; here one till may stand for the figure.
        awaited = account.brief().awaited_dates
        return status if awaited < 2 and len(status) < 40 else "waiting" if awaited else "disputed"

    def _tax(self, code: int) -> str:
        """The code and its rate; two rates, if it changed in the period."""
        dates = self._books.date_from, self._books.date_to
        noons = [(date - datetime.date(1970, 1, 1)).days * _MS_PER_DAY + _MS_PER_DAY // 2 for date in dates]
        rates = dict.fromkeys(self._products.tax_rate_ppm(self._reader, code, ms) for ms in noons)
        known = [percent(rate) for rate in rates if rate]
        return f"{code}, {' and '.join(known)}" if known else str(code)

    def _tills(self, account: Account, width: int, *, everything: bool) -> Iterator[str]:
        yield ""
        brief = account.brief()
        told = None
        if everything or brief.days <= ROWS_SHOWN_MAX:
            told = self._dates(account)
        if told is None or (len(told) > ROWS_SHOWN_MAX and not everything):
            told = [self._till(account, one) for one in brief.tills]
        amounts = (Column(title, right=True) for title in ("receipts", "takings", "refunds"))
        columns = (Column("till"), Column("date"), *amounts, Column("", shorten=True))
        yield from table(columns, told, width)

    def _dates(self, account: Account) -> list[Sequence[str]]:
        """A row for each till's date."""
        waiting: dict[tuple[str, datetime.date], list[Awaited]] = {}
        for one in account.waiting:
            waiting.setdefault((one.till, one.date), []).append(one)
        here = {(day.name, day.date) for day in account.days}
        rows: list[tuple[str, str, Sequence[str]]] = []
        for day in account.days:
            # Another life of this till may be the one that is waited for.
            awaited = () if day.closed or day.given_up else waiting.get((day.name, day.date), ())
            receipts = sum(numbers.documents for numbers in day.day.series.values())
            texts = [number(amount, account.exponent) for amount in (day.day.takings_minor, day.day.refunds_minor)]
            disputed = (day.disputed, bool(day.claims))
            status = self._of_till(
                awaited[0] if awaited else None, len(awaited), *disputed, day if day.given_up else None
            )
            rows.append((str(day.date), day.name, (day.name, str(day.date), number(receipts), *texts, status)))
        for (name, date), awaited in waiting.items():
            if (name, date) not in here:
                status = self._of_till(awaited[0], len(awaited))
                rows.append((str(date), name, (name, str(date), "", "", "", status)))
        return [cells for *_, cells in sorted(rows)]

    def _till(self, account: Account, one: TillSum) -> Sequence[str]:
        """A row for a till."""
        status = self._of_till(one.heard, one.awaited, one.disputed, one.claimed, one.given_up)
        if not one.dates:
            return one.name, "none", "", "", "", status
        texts = [number(amount, account.exponent) for amount in (one.takings_minor, one.refunds_minor)]
        return one.name, plural(one.dates, "date"), number(one.receipts), *texts, status

    def _of_till(
        self,
        heard: Awaited | None,
        awaited: int,
        disputed: bool = False,
        claimed: bool = False,
        given_up: TillDay | None = None,
    ) -> str:
        """The status in a till's own row, which names the till already."""
        parts: list[str] = []
        if heard is not None:
            dates = f" for {awaited} dates" if awaited > 1 else ""
            parts.append(f"waiting{dates}, {self._heard(heard)}".replace("last ", ""))
        if disputed:
            parts.append("disputed" if claimed else "disputed: a lower bound")
        if given_up is not None and not parts:
            parts.append(f"{_FINAL} as told {self._told(given_up)}")
        return "; ".join(parts) or _FINAL

    def _told(self, day: TillDay) -> str:
        moment = self._looked.local(day.told_ms, day.store)
        return f"{moment:%H:%M}" if moment.date() == day.date else f"{moment:%Y-%m-%d %H:%M}"

    def _goods(self, account: Account, width: int, *, everything: bool) -> Iterator[str]:
        brief = account.brief()
        shown, left, left_minor = brief.best(sys.maxsize if everything else ROWS_SHOWN_MAX)
        if not shown:
            return
        status = "final" if self.account_status(account) == _FINAL else "waiting" if brief.awaited else "disputed"
        columns = (
            Column("product", right=True),
            Column("", shorten=True),
            *(Column(title, right=True) for title in ("sold", "returned", "received", "written off", "stock")),
            Column("unit"),
            Column("takings", right=True),
            Column(),
        )
        rows: list[Sequence[str]] = []
        for row in shown:
            rows.append(self._moved(row, account.exponent, status))
            # Each number below what it is one with: a claim that is taken back pulls them apart again.
            rows += [self._moved(part, account.exponent, status, below=True) for part in row.parts]
        yield ""
        yield from table(columns, rows, width)
        if left:
            takings = number(left_minor, account.exponent)
            yield f"  … and {plural(left, 'product')} more with takings of {takings}: --all lists them."
        if any(row.joined for row in shown):
            yield "  Those that share a claimed code are read as one; = is what each of them moved."
        yield "  Takings of goods are net: without tax, less refunds."

    def _moved(self, row: GoodsRow, exponent: int, status: str, *, below: bool = False) -> Sequence[str]:
        goods = row.goods
        given = [self._quantity(row.product, part) for part in (goods.sold, goods.received, row.stock)]
        back = [self._quantity(row.product, n) if n else "" for n in (goods.returned, goods.written_off)]
        return (
            f"= {row.product}" if below else str(row.product),
            self.name(row.product),
            given[0],
            back[0],
            given[1],
            back[1],
            given[2],
            self._unit(row.product),
            number(goods.net_takings, exponent),
            status,
        )

    def _one_product(self, account: Account, width: int) -> Iterator[str]:
        """Of one product every column, one a line."""
        status = self._short(account)
        for row in account.goods:
            unit = self._unit(row.product)
            yield f"  {shortened(f'{row.product} {self.name(row.product)}', width - 2)}"
            columns = row.goods._asdict()
            money = {"takings": columns.pop("takings"), "refunded": columns.pop("refunded")}
            rows = [
                (name.replace("_", " "), self._quantity(row.product, count), unit, status)
                for name, count in columns.items()
                if count or name in ("sold", "received")
            ]
            rows.append(("stock", self._quantity(row.product, row.stock), unit, status))
            money["net takings"] = row.goods.net_takings
            rows += [
                (name, number(amount, account.exponent), account.currency, status)
                for name, amount in money.items()
                if amount or name == "net takings"
            ]
            yield from table((_NAME, _FIGURE, Column(), Column()), rows, width)
            if row.joined:
                parts: list[Sequence[str]] = []
                for one in row.parts:
                    counts = [self._quantity(one.product, count) for count in (one.goods.sold, one.stock)]
                    parts.append((f"= {one.product}", self.name(one.product), *counts, status))
                yield "  They share a claimed code and are read as one:"
                figures = (Column(title, right=True) for title in ("sold", "stock"))
                yield from table((Column("product"), Column("", shorten=True), *figures, Column()), parts, width)

    def _one_code_for_several(self, width: int) -> Iterator[str]:
        if self._conflicts:
            yield ""
            yield click.style("One code, several products: a person should settle it", bold=True)
            exponents = self._looked.currencies()
            for shared in self._conflicts:
                yield from sharing_text.lines(shared, exponents, width)
            yield from sharing_text.advice(width)

    def _owed(self, width: int) -> Iterator[str]:
        if not self._books.owed:
            return
        rows = [
            (
                one.programme,
                one.legal_entity,
                one.currency,
                number(one.accounts),
                *(number(n, one.exponent) for n in (one.earned, one.redeemed, one.owed)),
            )
            for one in self._books.owed
        ]
        figures = (Column(title, right=True) for title in ("accounts", "earned", "redeemed", "owed"))
        yield ""
        yield click.style("Owed to members, as known here, whatever the date", bold=True)
        titles = (Column("programme", shorten=True), Column("of", shorten=True), Column("currency"))
        yield from table((*titles, *figures), rows, width)

    def _variances(self, width: int, *, everything: bool) -> Iterator[str]:
        found = [
            variance_list.of(self._reader, self._looked.directory, date, store, variance)
            for date, store, variance in self._books.variances
        ]
        if not found:
            return
        shown = found if everything else found[:ROWS_SHOWN_MAX]
        yield ""
        yield click.style("Price variances: sold before a new price was known there", bold=True)
        yield from variance_list.lines(shown, width)
        if len(shown) < len(found):
            yield f"  … and {len(found) - len(shown):,} more: --all lists them."

    def _contradictions(self, query: Query, width: int) -> Iterator[str]:
        """Who said two things of a date of the books, also in stores whose books are not here."""
        said: list[str] = []
        directory = self._looked.directory
        first, last = day_number(self._books.date_from), day_number(self._books.date_to)
        documents = self._books.forked
        if documents is None:
            documents = tuple(one for one in day_documents(self._reader, query) if first <= one.day <= last)
        for one in contradictions(self._reader, documents):
            document = one.first.document
            of_books = document.kind == DAY and first <= document.day <= last
            if of_books and query.store in (None, document.keys[0]) and one.proven(directory) is not False:
                said.append(one.sentence(directory))
        if said:
            yield ""
            title = "Contradictions: of each counts what both entries say at most; the proof is kept ('show forks' in the shell)"
            yield from _paragraph(title, width, bold=True)
        for sentence in said:
            yield from _paragraph(f"{sentence}.", width, fg="red")

    def _to_settle(self, width: int) -> Iterator[str]:
        if not self._books.to_settle:
            return
        rows = [
            (
                str(one.date),
                f"{one.receipt} line {one.line}" if one.line else one.receipt,
                self.name(one.product) or f"#{one.product}",
                number(one.quantity, one.quantity_exponent),
                number(one.amount_minor, one.exponent),
                "not here" if one.unconfirmed else "too much",
                listing(one.refunds),
            )
            for one in self._books.to_settle
        ]
        yield ""
        title = "To settle: given back more often than sold (too much), or of receipts that are not here"
        yield from _paragraph(title, width, bold=True)
        columns = (
            *(Column("date"), Column("receipt"), Column("product", shorten=True)),
            *(Column("quantity", right=True), Column("amount", right=True), Column("why"), Column("given back by")),
        )
        yield from table(columns, rows, width)


def _paragraph(text: str, width: int, *, fg: str | None = None, bold: bool = False) -> Iterator[str]:
    for line in click.wrap_text(text, width).splitlines():
        yield click.style(line, fg=fg, bold=bold)


def _title(account: Account) -> str:
    known = account.legal_entity or "legal entity unknown", account.currency or "currency unknown"
    word = "store" if len(account.stores) == 1 else "stores"
    stores = [str(store) for store in account.stores]
    return ", ".join([*known, *([f"{word} {listing(stores, 12)}"] if stores else [])])


def tender_text(kind: int) -> str:
    """``cash``, ``gift card``."""
    return Tender(kind).text.replace("_", " ") if kind in set(Tender) else f"tender {kind}"
