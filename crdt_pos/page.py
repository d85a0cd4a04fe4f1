"""A page: one snapshot of a folder, read by a person on a screen of so many columns."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

from crdt_pos.catalogue_views import CatalogueProducts
from crdt_pos.columns import percent, plural
from crdt_pos.looking import Looked
from crdt_pos.products import Product
from gossip.document import Document, date_of
from gossip.log import Reader
from merge_rules.dataclass import dataclass
from merge_rules.lattice import Author
from peers.roster import StoreRecord

T = TypeVar("T")

ROWS_SHOWN_MAX: Final = 15
HASH_DIGITS_SHOWN: Final = 12
_PRODUCTS: Final = CatalogueProducts()
_NOON_MS: Final = 43_200_000
_MS_PER_DAY: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Page:
    """What is read, and how much of it fits."""

    looked: Looked
    reader: Reader
    width: int
    everything: bool = False
    """Every row of a table, not only the first."""

    def name(self, author: Author) -> str:
        """``12-3 a1``."""
        return self.looked.name_of(author)

    def product(self, product: int) -> Product | None:
        """What the catalogue here says of a product."""
        return _PRODUCTS.find(self.reader, product)

    def tax_rate(self, code: int, date: datetime.date) -> str:
        """``7 %``; empty for a code that the catalogue here does not know."""
        noon_ms = (date - datetime.date(1970, 1, 1)).days * _MS_PER_DAY + _NOON_MS
        rate = _PRODUCTS.tax_rate_ppm(self.reader, code, noon_ms)
        return percent(rate) if rate else ""

    def store(self, document: Document) -> StoreRecord | None:
        """What the roster says of the store of a document, on the document's date."""
        store = document.keys[0] if document.keys else None
        return self.looked.directory.store(store, date_of(document.day)) if isinstance(store, int) else None

    def some(self, rows: Sequence[T]) -> Sequence[T]:
        """The rows that are shown."""
        return rows if self.everything else rows[:ROWS_SHOWN_MAX]

    def left(self, rows: Sequence[object], one: str) -> Iterator[str]:
        """How many rows are not."""
        count = len(rows) - len(self.some(rows))
        if count > 0:
            yield f"  … and {plural(count, one)} more: --all lists them."
