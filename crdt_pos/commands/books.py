"""``crdt-pos books``."""

from __future__ import annotations

import dataclasses
import datetime
import json
import shutil
from pathlib import Path

import click

from crdt_pos import kept_books, sharing
from crdt_pos.books import Account, Books, Query
from crdt_pos.books_text import BooksText
from crdt_pos.clock import system_ms
from crdt_pos.goods_rows import GoodsRow
from crdt_pos.looking import Looked, identities, look
from crdt_pos.receipt import Series, Tender

_DATE = click.DateTime(["%Y-%m-%d"])


@click.command("books")
@click.option("--at", "path", type=click.Path(path_type=Path), required=True, help="The folder of any replica.")
@click.option("--date", type=_DATE, help="One business date. Without dates: the newest that is here.")
@click.option("--from", "date_from", type=_DATE, help="The first business date.")
@click.option("--to", "date_to", type=_DATE, help="The last business date.")
@click.option("--store", type=int, help="One store.")
@click.option("--till", type=int, help="One till of each store.")
@click.option("--product", type=int, help="One product, by id: all that moved it.")
@click.option("--all", "everything", is_flag=True, help="Every product, till and date, not only the first 15.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: everything, amounts in minor units.")
def books(
    path: Path,
    date: datetime.datetime | None,
    date_from: datetime.datetime | None,
    date_to: datetime.datetime | None,
    store: int | None,
    till: int | None,
    product: int | None,
    everything: bool,
    as_json: bool,
) -> None:
    """Takings, tax, tenders, goods and points, on any replica's folder.

    Reads the folder, also while the replica runs, and changes nothing. Every figure says whether it is final, or which till
    it waits for. Nothing is added across legal entities or currencies. Times are those of the store.

    \b
    --json prints one object:
      replica, from, to, final
      accounts: one for each legal entity and currency
        legal_entity, currency, exponent (decimals), stores, final, status, balanced
        waiting: till, date, heard_ms (0: never)
        takings, refunds, tax, tax_not_included, rounding, liabilities_sold:
          amount_minor, status
        taxes: code, base, tax, base_back, tax_back, status
        tenders: kind, in, out, status
        documents: receipts by series
        goods: product, name, joined, sold, takings, received, returned,
          refunded, written_off, consumed, produced, counted_up, counted_down,
          transferred_out, transferred_in, stock, status, parts (of a
          row that joins several: the same of each)
        tills: till, incarnation, date, closed, covers, takings_minor,
          refunds_minor, heard_ms, disputed, given_up, told_ms,
          published_by ("": folded here), claims (what others say of it
          and does not count): published_by, covers, takings_minor
      owed: programme, legal_entity, currency, exponent, accounts, earned,
        redeemed, owed (below 0: others issued what was redeemed here)
      variances: date, store, number, line, product, quantity,
        quantity_exponent, sold_minor, sold_exponent, due_minor, due_exponent
      to_settle: receipt, line, product, quantity, quantity_exponent,
        amount_minor, currency, exponent, refunds, date, unconfirmed
      conflicts: what 'crdt-pos product conflicts --json' prints
    """
    if date is not None and (date_from is not None or date_to is not None):
        raise click.UsageError("Give either --date, or --from and --to")
    first, last = date or date_from, date or date_to
    query = Query(first.date() if first else None, last.date() if last else None, store, till, product)
    with look(path) as looked, looked.log.read() as reader:
        known = identities(reader)
        found = kept_books.read(reader, looked.directory, query, known)
        conflicts = sharing.conflicts(sharing.read(reader, known, system_ms()), product)
        words = BooksText(looked, reader, found, conflicts)
        if as_json:
            plain = _Plain(looked, found, words).plain() | {"conflicts": [sharing.plain(one) for one in conflicts]}
            shown = json.dumps(plain, indent=2, ensure_ascii=False)
        else:
            width = shutil.get_terminal_size().columns
            shown = "\n".join(words.lines(query, width, everything=everything))
    click.echo(shown)


class _Plain:
    """Books for JSON."""

    def __init__(self, looked: Looked, books: Books, words: BooksText) -> None:
        self._looked = looked
        self._books = books
        self._words = words

    def plain(self) -> dict[str, object]:
        """Everything, amounts in minor units."""
        return {
            "replica": self._looked.folder.certificate.name,
            "from": self._books.date_from.isoformat(),
            "to": self._books.date_to.isoformat(),
            "final": self._words.final(),
            "accounts": [self._plain_account(account) for account in self._books.accounts],
            "owed": [dataclasses.asdict(one) for one in self._books.owed],
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
        money, status = account.money, self._words.account_status(account)

        def figure(amount_minor: int) -> dict[str, object]:
            return {"amount_minor": amount_minor, "status": status}

        return {
            "legal_entity": account.legal_entity,
            "currency": account.currency,
            "exponent": account.exponent,
            "stores": list(account.stores),
            "final": status == "final",
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
                self._plain_goods(row, status)
                | {"joined": list(row.joined), "parts": [self._plain_goods(part, status) for part in row.parts]}
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
                    "given_up": day.given_up,
                    "told_ms": day.told_ms,
                    "published_by": "" if day.publisher is None else self._looked.name_of(day.publisher),
                    "claims": [
                        {
                            "published_by": self._looked.name_of(one.publisher),
                            "covers": one.covers,
                            "takings_minor": one.takings_minor,
                        }
                        for one in day.claims
                    ],
                }
                for day in account.days
            ],
        }

    def _plain_goods(self, row: GoodsRow, status: str) -> dict[str, object]:
        named: dict[str, object] = {"product": row.product, "name": self._words.name(row.product)}
        return named | row.goods._asdict() | {"stock": row.stock, "status": status}


def _tender(kind: int) -> str:
    return Tender(kind).text if kind in set(Tender) else f"tender {kind}"


def _series(series: int) -> str:
    return Series(series).name.lower() if series in set(Series) else f"series {series}"
