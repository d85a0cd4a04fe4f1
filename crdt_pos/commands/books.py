"""``crdt-pos books``."""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.table import Table

from crdt_pos.books import Account, Awaited, Books, Query, read
from crdt_pos.catalogue_views import CatalogueProducts
from crdt_pos.looking import Looked, identities, look
from crdt_pos.money import decimal_text
from crdt_pos.receipt import Series, Tender
from gossip.log import Reader

GOODS_SHOWN_MAX: Final = 20
AWAITED_SHOWN_MAX: Final = 3
_DATE = click.DateTime(["%Y-%m-%d"])


@click.command("books")
@click.option("--at", "path", type=click.Path(path_type=Path), required=True, help="The folder of any replica.")
@click.option("--date", type=_DATE, help="One business date. Without dates: the newest that is here.")
@click.option("--from", "date_from", type=_DATE, help="The first business date.")
@click.option("--to", "date_to", type=_DATE, help="The last business date.")
@click.option("--store", type=int, help="One store.")
@click.option("--till", type=int, help="One till of each store.")
@click.option("--product", type=int, help="One product, by id.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def books(
    path: Path,
    date: datetime.datetime | None,
    date_from: datetime.datetime | None,
    date_to: datetime.datetime | None,
    store: int | None,
    till: int | None,
    product: int | None,
    as_json: bool,
) -> None:
    """Takings, tax, tenders, goods and points, on any replica's folder.

    Reads the folder, also while the replica runs, and changes nothing. Every figure says whether it is final, or which till
    it waits for. Nothing is added across legal entities or currencies.
    """
    if date is not None and (date_from is not None or date_to is not None):
        raise click.UsageError("Give either --date, or --from and --to")
    first, last = date or date_from, date or date_to
    query = Query(first.date() if first else None, last.date() if last else None, store, till, product)
    with look(path) as looked, looked.log.read() as reader:
        found = read(reader, looked.directory, query, identities(reader))
        shown = _Shown(looked, reader, found)
        if as_json:
            click.echo(json.dumps(shown.plain(), indent=2, ensure_ascii=False))
        else:
            shown.print(Console())


class _Shown:
    """Books in words."""

    def __init__(self, looked: Looked, reader: Reader, books: Books) -> None:
        self._looked = looked
        self._reader = reader
        self._books = books
        self._products = CatalogueProducts()

    # ---- words ----------------------------------------------------------------------------------------------------------

    def status(self, waiting: Sequence[Awaited]) -> str:
        """``final``, or ``waiting for 12-3, last heard 14:02``."""
        if not waiting:
            return "final"
        tills = list({one.till: one for one in waiting}.values())
        said = "; ".join(f"{one.till}, {self._heard(one.heard_ms)}" for one in tills[:AWAITED_SHOWN_MAX])
        more = len(tills) - AWAITED_SHOWN_MAX
        return f"waiting for {said}" + (f" and {more} more" if more > 0 else "")

    def _heard(self, ms: int) -> str:
        if not ms:
            return "never heard"
        moment = datetime.datetime.fromtimestamp(ms / 1000, datetime.UTC).astimezone()
        on_the_day = self._books.date_from == self._books.date_to == moment.date()
        return f"last heard {moment:%H:%M}" if on_the_day else f"last heard {moment:%Y-%m-%d %H:%M}"

    def name(self, product: int) -> str:
        """What the catalogue here calls a product."""
        found = self._products.find(self._reader, product)
        return found.name if found else ""

    def quantity(self, product: int, quantity: int) -> str:
        """A quantity with its decimals and unit."""
        found = self._products.find(self._reader, product)
        text = decimal_text(quantity, found.quantity_exponent if found else 0)
        return f"{text} {found.unit}" if found and found.unit else text

    # ---- JSON -----------------------------------------------------------------------------------------------------------

    def plain(self) -> dict[str, object]:
        """Everything, amounts in minor units."""
        return {
            "replica": self._looked.folder.certificate.name,
            "from": self._books.date_from.isoformat(),
            "to": self._books.date_to.isoformat(),
            "final": not any(account.waiting for account in self._books.accounts),
            "accounts": [self._plain_account(account) for account in self._books.accounts],
            "owed": [
                {"programme": one.programme, "accounts": one.accounts, "earned": one.earned}
                | {"redeemed": one.redeemed, "owed": one.owed}
                for one in self._books.owed
            ],
            "variances": [
                {
                    "date": date.isoformat(),
                    "store": store,
                    "number": one.number,
                    "line": one.line,
                    "product": one.product,
                    "quantity": one.quantity,
                    "quantity_exponent": one.quantity_exponent,
                    "sold_minor": one.sold.amount_minor,
                    "sold_exponent": one.sold.exponent,
                    "due_minor": one.due.amount_minor,
                    "due_exponent": one.due.exponent,
                }
                for date, store, one in self._books.variances
            ],
            "to_settle": [{**dataclasses.asdict(one), "date": one.date.isoformat()} for one in self._books.to_settle],
        }

    def _plain_account(self, account: Account) -> dict[str, object]:
        money, status = account.money, self.status(account.waiting)

        def figure(amount_minor: int) -> dict[str, object]:
            return {"amount_minor": amount_minor, "status": status}

        return {
            "legal_entity": account.legal_entity,
            "currency": account.currency,
            "exponent": account.exponent,
            "stores": list(account.stores),
            "final": not account.waiting,
            "status": status,
            "waiting": [
                {"till": one.till, "date": one.date.isoformat(), "heard_ms": one.heard_ms} for one in account.waiting
            ],
            "balanced": money.balanced,
            "takings": figure(money.takings_minor),
            "refunds": figure(money.refunds_minor),
            "tax": figure(money.tax_minor),
            "tax_not_included": figure(money.tax_not_included_minor),
            "rounding": figure(money.rounding.net),
            "liabilities_sold": figure(money.liabilities.net),
            "taxes": [{"code": code, **tax._asdict(), "status": status} for code, tax in sorted(money.taxes.items())],
            "tenders": [
                {"kind": _tender(kind), "in": flow.come_in, "out": flow.gone_out, "status": status}
                for kind, flow in sorted(money.tenders.items())
            ],
            "documents": {_series(series): count for series, count in sorted(money.documents.items())},
            "goods": [
                {"product": row.product, "name": self.name(row.product), "joined": list(row.joined)}
                | row.goods._asdict()
                | {"stock": row.stock, "status": status}
                for row in account.goods
            ],
            "tills": [
                {
                    "till": day.name,
                    "incarnation": day.incarnation,
                    "date": day.date.isoformat(),
                    "closed": day.closed,
                    "covers": day.covers,
                    "takings_minor": day.day.takings_minor,
                    "refunds_minor": day.day.refunds_minor,
                    "heard_ms": day.heard_ms,
                    "disputed": day.disputed,
                    "published_by": "" if day.publisher is None else self._looked.name_of(day.publisher),
                }
                for day in account.days
            ],
        }

    # ---- tables ---------------------------------------------------------------------------------------------------------

    def print(self, console: Console) -> None:
        """Tables for people."""
        books = self._books
        period = str(books.date_from) if books.date_from == books.date_to else f"{books.date_from} to {books.date_to}"
        console.print(f"Books of {period}, as known at {self._looked.folder.certificate.name}", style="bold")
        for account in books.accounts:
            self._print_account(console, account)
        if books.owed:
            table = Table("programme", "accounts", "earned", "redeemed", "owed", title="Owed, as known here")
            for one in books.owed:
                table.add_row(one.programme, *(f"{n:,}" for n in (one.accounts, one.earned, one.redeemed, one.owed)))
            console.print(table)
        if books.variances:
            table = Table("date", "receipt", "line", "product", "quantity", "sold at", "due", title="Price variances")
            for date, store, variance in books.variances:
                record = self._looked.directory.store(store, date)
                exponent = record.exponent if record else 2
                table.add_row(
                    str(date),
                    variance.number,
                    str(variance.line),
                    f"{variance.product} {self.name(variance.product)}",
                    decimal_text(variance.quantity, variance.quantity_exponent),
                    decimal_text(variance.sold.amount_minor, exponent + variance.sold.exponent),
                    decimal_text(variance.due.amount_minor, exponent + variance.due.exponent),
                )
            console.print(table)
        if books.to_settle:
            columns = ("date", "receipt", "line", "product", "quantity", "amount", "given back by", "why")
            table = Table(*columns, title="To settle")
            for row in books.to_settle:
                table.add_row(
                    str(row.date),
                    row.receipt,
                    str(row.line or ""),
                    f"{row.product} {self.name(row.product)}",
                    decimal_text(row.quantity, row.quantity_exponent),
                    decimal_text(row.amount_minor, row.exponent),
                    " and ".join(row.refunds),
                    "unconfirmed: the line is not here" if row.unconfirmed else "given back more often than sold",
                )
            console.print(table)

    def _print_account(self, console: Console, account: Account) -> None:
        money, status = account.money, self.status(account.waiting)

        def text(amount_minor: int) -> str:
            return decimal_text(amount_minor, account.exponent)

        stores = ", ".join(map(str, account.stores))
        title = f"{account.legal_entity or 'legal entity unknown'}, {account.currency or 'currency unknown'}: stores {stores}"
        table = Table(title=title, show_header=False)
        table.add_column()
        table.add_column(justify="right")
        table.add_column()
        rows = [
            ("takings", money.takings_minor),
            ("refunds", money.refunds_minor),
            ("tax not included", money.tax_not_included_minor),
            ("rounding", money.rounding.net),
            ("liabilities sold", money.liabilities.net),
            *((f"tax {code}, base", tax.base - tax.base_back) for code, tax in sorted(money.taxes.items())),
            *((f"tax {code}", tax.tax - tax.tax_back) for code, tax in sorted(money.taxes.items())),
            *((f"tender {_tender(kind)}", flow.net) for kind, flow in sorted(money.tenders.items())),
        ]
        for name, amount_minor in rows:
            if amount_minor or name in ("takings", "refunds"):
                table.add_row(name, text(amount_minor), status)
        console.print(table)
        if not money.balanced:
            console.print("These books do not balance: run verify to see whose entry is wrong.", style="red")
        tills = Table("till", "date", "takings", "refunds", "documents", "status", title="Tills")
        for day in account.days:
            waiting = [one for one in account.waiting if (one.till, one.date) == (day.name, day.date)]
            said = "disputed: a lower bound" if day.disputed else self.status(waiting)
            documents = sum(numbers[2] for numbers in day.day.series.values())
            tills.add_row(
                day.name, str(day.date), text(day.day.takings_minor), text(day.day.refunds_minor), str(documents), said
            )
        console.print(tills)
        self._print_goods(console, account, status)

    def _print_goods(self, console: Console, account: Account, status: str) -> None:
        ordered = sorted(account.goods, key=lambda row: (-row.goods.net_takings, row.product))
        if not ordered:
            return
        columns = ("product", "sold", "returned", "received", "written off", "net takings", "stock", "status")
        table = Table(*columns, title=f"Goods: {len(ordered):,} products")
        for row in ordered[:GOODS_SHOWN_MAX]:
            also = f" (with {', '.join(map(str, row.joined[1:]))})" if row.joined else ""
            quantities = (row.goods.sold, row.goods.returned, row.goods.received, row.goods.written_off)
            table.add_row(
                f"{row.product} {self.name(row.product)}{also}",
                *(self.quantity(row.product, quantity) for quantity in quantities),
                decimal_text(row.goods.net_takings, account.exponent),
                self.quantity(row.product, row.stock),
                status,
            )
        console.print(table)
        if len(ordered) > GOODS_SHOWN_MAX:
            console.print(f"{len(ordered) - GOODS_SHOWN_MAX:,} more products: --json lists all, --product one.")


def _tender(kind: int) -> str:
    return Tender(kind).text if kind in set(Tender) else f"tender {kind}"


def _series(series: int) -> str:
    return Series(series).name.lower() if series in set(Series) else f"series {series}"
