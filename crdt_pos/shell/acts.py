"""Receipts of a till's date, as far as its journal is here: what each adds to the takings, and to the stock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from crdt_pos.day import Day, Goods, goods_of
from crdt_pos.receipt import DrawerAct, Receipt, ReceiptType, StockAct
from crdt_pos.schema import JOURNAL
from crdt_pos.shell.evidence import utc
from gossip.document import Document
from gossip.entry import FeedId
from gossip.log import Reader, Stored
from merge_rules.errors import InvalidBody
from merge_rules.lattice import Author

_NONE: Final = Goods()


def journal_of(day: Document, author: Author) -> FeedId:
    """The feed in which a till's acts of a ``day`` document stand."""
    return FeedId(Document(JOURNAL, day.day, day.keys), author)


def acts(reader: Reader, day: Document, author: Author) -> Iterator[tuple[Stored, Receipt]]:
    """A till's acts of a date that are here and can be read, in order."""
    for stored in reader.entries(journal_of(day, author)):
        try:
            yield stored, Receipt.from_body(stored.entry.body)
        except InvalidBody:
            continue  # of a kind that is not known here


def what(receipt: Receipt) -> str:
    """``sale``, ``refund``, ``pick up``, ``received`` …"""
    if receipt.type is ReceiptType.DRAWER:
        return DrawerAct(receipt.drawer).name.lower().replace("_", " ")
    if receipt.type is ReceiptType.STOCK and receipt.stock is not StockAct.NONE:
        return StockAct(receipt.stock).name.lower().replace("_", " ")
    return receipt.type.name.lower()


def row(stored: Stored, receipt: Receipt) -> dict[str, Any]:
    """One act, as it stands in its journal."""
    return {
        "number": receipt.number,
        "act": stored.entry.seq,
        "what": what(receipt),
        "at": utc(receipt.stamp_ms),
        "hash": stored.entry.hash.hex(),
    }


def takings(receipt: Receipt) -> int:
    """What an act adds to the takings less refunds, in minor units."""
    day = Day(prices_with_tax=receipt.prices_with_tax).plus_money(receipt)
    return day.takings_minor - day.refunds_minor


def moved(receipt: Receipt, product: int) -> Goods:
    """What an act adds to the columns of a product."""
    return goods_of(receipt).get(product, _NONE)
