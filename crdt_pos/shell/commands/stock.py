"""``stock``: what is on the shelves of a product and why, store by store, down to the receipts where the journal is here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from crdt_pos import code_views, sharing
from crdt_pos.catalogue_views import CatalogueProducts
from crdt_pos.cli import Refused
from crdt_pos.columns import Column, listing, number, plural, table
from crdt_pos.counted import Counted, counted
from crdt_pos.day import Goods
from crdt_pos.errors import NothingHere
from crdt_pos.page import Page
from crdt_pos.schema import DAY, JOURNAL
from crdt_pos.shell import acts, colours
from crdt_pos.shell.command import ALL, Argument, Command, Completes, Option
from crdt_pos.shell.replica import Replica
from gossip.document import Document, date_of
from gossip.log import Reader
from merge_rules import canonical

DAYS_MAX: Final = 10
RECEIPTS_MAX: Final = 20
_PRODUCTS: Final = CatalogueProducts()
_NONE: Final = Goods()
STORE = Option("store", "One store.", "STORE", Completes.STORE)


def answer(replica: Replica, product: str, store: str = "", all: bool = False) -> dict[str, Any]:  # noqa: A002
    """Of each store the sum of every till's days, its newest days, and the acts that moved it, newest first."""
    found = meant(replica.reader, product)
    known = _PRODUCTS.find(replica.reader, found)
    documents = [one for one in replica.reader.documents(DAY) if store in ("", str(one.keys[0]))]
    needle = canonical.encode(found)
    sums: dict[int, Goods] = {}
    days: dict[int, list[tuple[Document, Counted, Goods]]] = {}
    for document in replica.counted(documents, "adding up days", len(documents)):
        for one in _counted(replica.reader, document, needle):
            goods = one.day.goods.get(found, _NONE)
            at = document.keys[0]
            if goods != _NONE and isinstance(at, int):
                sums[at] = sums.get(at, _NONE).plus(goods)
                days.setdefault(at, []).append((document, one, goods))
    if known is None and not sums:
        raise NothingHere(f"Product {found} has never moved, as far as it is known here.")
    one_with = [one for one in sharing.identities(replica.reader).group(found) if one != found]
    return {
        "product": found,
        "name": "" if known is None else known.name,
        "unit": "" if known is None else known.unit,
        "quantity_exponent": 0 if known is None else known.quantity_exponent,
        "read_as_one_with": one_with,
        "stock": sum(one.stock for one in sums.values()),
        "stores": [_store(replica, at, found, sums[at], days[at], everything=all) for at in sorted(sums)],
    }


def _counted(reader: Reader, document: Document, needle: bytes) -> list[Counted]:
    """What counts of a day; nothing, without taking it apart, where neither its entries nor a journal can name the product."""
    heads = list(reader.head_entries(document))
    journal = any(True for _ in reader.authors(Document(JOURNAL, document.day, document.keys)))
    if not journal and not any(needle in one.entry.raw for one in heads):
        return []
    return counted(reader, document, heads, as_published=True)


def meant(reader: Reader, text: str) -> int:
    """The product of a number, a code, or words. Raises ``NothingHere``; ``Refused`` where several are meant."""
    if text.isascii() and text.isdigit():
        if len(text) <= 15 and _PRODUCTS.find(reader, int(text)) is not None:
            return int(text)
        products = code_views.find(reader, text)
        if not products and len(text) <= 15:
            return int(text)  # it may have moved without being in the catalogue here
    else:
        products = [one.id for one in _PRODUCTS.by_words(reader, text)]
    if not products:
        raise NothingHere(f"No product here has the code or the words '{text}'.")
    if len(products) > 1:
        raise Refused(f"'{text}' means several products: say which of {listing([str(one) for one in products])}.")
    return products[0]


def _store(
    replica: Replica,
    store: int,
    product: int,
    goods: Goods,
    days: list[tuple[Document, Counted, Goods]],
    *,
    everything: bool,
) -> dict[str, Any]:
    days = sorted(days, key=lambda row: (row[0].day, row[1].subject), reverse=True)
    newest = days if everything else days[:DAYS_MAX]
    rows = [
        {
            "date": date_of(document.day).isoformat(),
            "till": replica.name_of(one.subject),
            "moved": _moved(part),
            "stock": part.stock,
            "closed": one.day.closed,
            "disputed": one.disputed,
        }
        for document, one, part in newest
    ]
    receipts: list[dict[str, Any]] = []
    for document, one, _ in newest:
        of_day = [
            {
                **acts.row(stored, act),
                "moved": _moved(part),
                "stock": part.stock,
                "told": stored.entry.seq <= one.covers,
            }
            for stored, act in acts.acts(replica.reader, document, one.subject)
            if (part := acts.moved(act, product)) != _NONE
        ]
        receipts += reversed(of_day)
        if len(receipts) >= RECEIPTS_MAX and not everything:
            break
    return {
        "store": store,
        "stock": goods.stock,
        "moved": _moved(goods),
        "days": rows,
        "days_left": len(days) - len(newest),
        "receipts": receipts if everything else receipts[:RECEIPTS_MAX],
    }


def _moved(goods: Goods) -> dict[str, int]:
    """The columns that moved goods; money is in 'takings'."""
    columns = goods._asdict()
    return {name: count for name, count in columns.items() if count and name not in ("takings", "refunded")}


def lines(page: Page, answered: dict[str, Any]) -> Iterator[str]:
    """A sum for each store, then its days and its receipts."""
    exponent, unit = answered["quantity_exponent"], answered["unit"]
    name = f"{answered['product']} {answered['name']}".strip()
    yield colours.title(f"{name}: {number(answered['stock'], exponent)} {unit}".rstrip())
    if answered["read_as_one_with"]:
        others = listing([str(one) for one in answered["read_as_one_with"]])
        yield colours.pending(
            f"  read as one with {others}, which have stock of their own: 'claims' says by which code"
        )
    for one in answered["stores"]:
        yield ""
        yield colours.title(f"store {one['store']}: {number(one['stock'], exponent)} {unit}".rstrip())
        if one["stock"] < 0:
            yield colours.broken("  LESS THAN NOTHING: something was sold that nobody booked in")
        yield f"  since ever {_said(one['moved'], exponent)}"
        yield from _days(page, one, exponent)
        yield from _receipts(page, one, exponent)
    if not answered["stores"]:
        yield "  it has never moved, as far as it is known here"


def _days(page: Page, one: dict[str, Any], exponent: int) -> Iterator[str]:
    rows = one["days"]
    cells = [
        (
            row["date"],
            row["till"],
            _said(row["moved"], exponent),
            number(row["stock"], exponent),
            "DISPUTED" if row["disputed"] else "" if row["closed"] else "open",
        )
        for row in rows
    ]
    columns = (Column("date"), Column("till"), Column("moved", shorten=True), Column("stock", right=True), Column())
    shown = table(columns, cells, page.width) if cells else []
    yield from shown[:1]
    for line, row in zip(shown[1:], rows, strict=True):
        yield colours.broken(line) if row["disputed"] else line if row["closed"] else colours.pending(line)
    if one["days_left"]:
        yield f"  … and {plural(one['days_left'], 'older day')}: --all lists them."


def _receipts(page: Page, one: dict[str, Any], exponent: int) -> Iterator[str]:
    rows = one["receipts"]
    if not rows:
        yield "  no journal of these days is here: receipts stay with the tills of their store"
        return
    cells = [
        (row["number"], row["at"], row["what"], _said(row["moved"], exponent), "" if row["told"] else "not told yet")
        for row in rows
    ]
    columns = (Column("receipt"), Column("at (UTC)"), Column("what"), Column("moved", shorten=True), Column())
    shown = table(columns, cells, page.width)
    yield from shown[:1]
    for line, row in zip(shown[1:], rows, strict=True):
        yield line if row["told"] else colours.pending(line)


def _said(moved: dict[str, int], exponent: int) -> str:
    return (
        ", ".join(f"{name.replace('_', ' ')} {number(count, exponent)}" for name, count in moved.items()) or "nothing"
    )


COMMAND = Command(
    "stock",
    "What is on the shelves of a product and why: store by store, day by day, down to the receipts where the journal is here.",
    "stock 4006381333931 --store 12",
    answer,
    lines,
    (Argument("product", "Its number, a code, or words of its name.", Completes.PRODUCT),),
    (STORE, ALL),
)
