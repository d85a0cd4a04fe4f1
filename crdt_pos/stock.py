"""Stock: lines that move goods, and what a store should have on its shelves according to its entries."""

from __future__ import annotations

from crdt_pos.basket import bounded, quantity_of
from crdt_pos.counted import counted
from crdt_pos.day import Goods
from crdt_pos.errors import BadQuantity
from crdt_pos.products import Product
from crdt_pos.receipt import Line, StockAct
from crdt_pos.requests import StockLine
from crdt_pos.schema import DAY
from gossip.document import Document
from gossip.log import Reader
from merge_rules.lattice import Author


def stock_line(number: int, wish: StockLine, product: Product | None, act: StockAct, expected: int) -> Line:
    """The line of a stock movement. Raises ``BadQuantity``."""
    if wish.quantity < 0 or (not wish.quantity and act is not StockAct.COUNTED):
        raise BadQuantity(str(wish.quantity))
    quantity, exponent = quantity_of(product, wish.quantity, wish.quantity_exponent)
    return bounded(
        Line(
            number,
            wish.product,
            quantity,
            exponent,
            product.unit if product is not None else "",
            product.name if product is not None else "",
            expected=expected if act is StockAct.COUNTED else 0,
        )
    )


def store_stock(reader: Reader, store: int, product: int, author: Author, open_day: int, so_far: Goods) -> int:
    """What the day entries here say is on the shelf, with ``author``'s own open date as it stands: O(days × tills)."""
    stock = so_far.stock
    for document in reader.documents(DAY):
        if document.keys == (store,):
            stock += _moved(reader, document, product, author if document.day == open_day else None)
    return stock


def _moved(reader: Reader, document: Document, product: int, without: Author | None) -> int:
    days = (one for one in counted(reader, document, as_published=True) if one.subject != without)
    return sum(one.day.goods.get(product, Goods()).stock for one in days)
