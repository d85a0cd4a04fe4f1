"""The catalogue: what head office says of products, as Yjs documents of bounded size.

``catalogue/<shard>`` is one flat Yjs map per shard, text key → canonical CBOR. Every fact has a key of its own, so changes of
different facts at two cut-off head offices merge, and two changes of one fact settle on one value at everyone:

    <product>/name                              text
    <product>/unit                              text, "kg"
    <product>/exponent                          decimals of its quantities, for ever
    <product>/price/<currency>/<from ms>        [minor units per whole unit, exponent]; currency empty: any
    <product>/tax                               number of a tax code
    <product>/department                        text
    <product>/recipe                            [[component, quantity], …]
    <product>/liability                         programme that it tops up
    <product>/code/<code>                       true: this code means this product
    <product>/promotion/<name>                  its rule, kept and passed on
    <product>/retired                           true: no longer found by code or words

``catalogue/0`` holds what is not of one product: ``tax/<code>/<from ms>`` → millionths. A product's shard follows from its
id, so that two offices that write one product write into one document. No float appears anywhere.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, cast

from crdt_pos.money import RATE_PPM_MAX
from crdt_pos.products import Price, Product
from crdt_pos.schema import CATALOGUE, SCHEMA
from gossip.document import Document
from gossip.entry import Entry, FeedId
from gossip.log import Reader, entries_of
from gossip.own_feed import OwnFeed
from merge_rules import canonical
from merge_rules.dataclass import dataclass
from merge_rules.document_yjs import COVERS, UPDATE, DocumentYjs, OpenDocument
from merge_rules.errors import NotAllowed
from merge_rules.lattice import Author
from peers.keys import SecretKey

COMPANY_SHARD: Final = 0
PRODUCT_SHARDS: Final = 64
"""Shards 1 … 64. With 92,331 products the fullest holds 1,551."""
SHARD_PRODUCTS_MAX: Final = 5_000
ENTRY_CHANGE_BYTES_MAX: Final = 60_000
"""So that an entry stays below 64 KiB with what Yjs and COSE add."""
VALUE_BYTES_MAX: Final = 8_000
CODE_BYTES_MAX: Final = 64
_YJS_BYTES_PER_KEY: Final = 24


def shard_of(product: int) -> int:
    """The shard of a product: the same at every office, for ever."""
    return 1 + zlib.crc32(product.to_bytes(8, "big")) % PRODUCT_SHARDS


def document(shard: int) -> Document:
    """``catalogue/<shard>``."""
    return Document(CATALOGUE, 0, (shard,))


@dataclass(frozen=True, slots=True)
class Change:
    """One fact of one product (or of the company: product ``None``); value ``None`` takes it away."""

    product: int | None
    fact: str
    value: object

    @property
    def key(self) -> str:
        """The key in the Yjs map."""
        return self.fact if self.product is None else f"{self.product}/{self.fact}"

    @property
    def shard(self) -> int:
        """The shard it goes to."""
        return COMPANY_SHARD if self.product is None else shard_of(self.product)


def price_change(product: int, price: Price, currency: str = "") -> Change:
    """A price from a moment on. A second price from the same moment replaces the first.

    A price that has always been valid begins at 1: version 0 on a receipt means that the price was typed in.
    """
    return Change(product, f"price/{currency}/{max(price.valid_from_ms, 1)}", [price.amount_minor, price.exponent])


def tax_change(code: int, rate_ppm: int, valid_from_ms: int = 0) -> Change:
    """The rate of a tax code from a moment on, in millionths. Raises ``NotAllowed`` above 1,000 %."""
    if not 0 <= rate_ppm <= RATE_PPM_MAX:
        raise NotAllowed(f"tax {code}: a rate of {rate_ppm} millionths")
    return Change(None, f"tax/{code}/{valid_from_ms}", rate_ppm)


def code_change(product: int, code: str, *, means: bool = True) -> Change:
    """That ``code`` (a barcode) means ``product``, or no longer does. Raises ``NotAllowed`` for a code with a slash."""
    if not is_code(code):
        raise NotAllowed(f"'{code}' is no code: 1 to {CODE_BYTES_MAX} bytes without a slash")
    return Change(product, f"code/{code}", True if means else None)


def is_code(text: str) -> bool:
    """Whether ``text`` can stand for a code."""
    return "/" not in text and 0 < len(text.encode()) <= CODE_BYTES_MAX


def product_changes(product: Product, codes: Iterable[str] = (), currency: str = "") -> Iterator[Change]:
    """Everything that ``product`` says, fact by fact."""
    facts: dict[str, object] = {
        "name": product.name,
        "unit": product.unit,
        "exponent": product.quantity_exponent,
        "tax": product.tax_code,
        "department": product.department,
        "liability": product.liability,
        "recipe": [[part.product, part.quantity] for part in product.recipe],
    }
    for fact, value in facts.items():
        if value:
            yield Change(product.id, fact, value)
    for price in product.prices:
        yield price_change(product.id, price, currency)
    for code in codes:
        yield code_change(product.id, code)


def read(reader: Reader, shard: int) -> DocumentYjs:
    """A shard's document: the join of its entries."""
    return join_entries(stored.entry for stored in entries_of(reader, document(shard)))


def open_shard(reader: Reader, shard: int, author: Author | None = None) -> OpenDocument:
    """A shard's document, open: quicker than ``read`` where every author is honest. Raises ``InvalidBody``."""
    opened = OpenDocument(author)
    for stored in entries_of(reader, document(shard)):
        opened.apply(update_of(stored.entry))
    return opened


def update_of(entry: Entry) -> bytes:
    """The Yjs update that an entry carries."""
    return cast("dict[int, bytes]", entry.body)[UPDATE]


def is_snapshot(entry: Entry) -> bool:
    """Whether an entry stands for others."""
    return COVERS in cast("dict[int, object]", entry.body)


def is_forked(reader: Reader, shard: int) -> bool:
    """Whether an author contradicts itself in a shard."""
    name = document(shard)
    return any(len(reader.heads(FeedId(name, author))) > 1 for author in reader.authors(name))


def join_entries(entries: Iterable[Entry]) -> DocumentYjs:
    """The join of ``catalogue`` entries of one shard."""
    state = DocumentYjs.bottom()
    for entry in entries:
        state = state.join(DocumentYjs.from_entry(entry.author, entry.seq, entry.body))
    return state


def write(reader: Reader, key: SecretKey, author: Author, changes: Iterable[Change], stamp: int) -> list[Entry]:
    """Sign the entries that bring ``changes`` about, each of at most 64 KiB; facts that already are so are left out.

    Append them in this order. Raises ``NotAllowed`` for a value over 8,000 bytes, or a shard with more than 5,000 products.
    """
    by_shard: dict[int, dict[str, bytes | None]] = {}
    for change in changes:
        value = None if change.value is None else canonical.encode(change.value)
        if value is not None and len(value) > VALUE_BYTES_MAX:
            raise NotAllowed(f"{change.key}: longer than {VALUE_BYTES_MAX} bytes")
        by_shard.setdefault(change.shard, {})[change.key] = value
    return [
        entry
        for shard, wanted in sorted(by_shard.items())
        for entry in _write_shard(reader, key, author, shard, wanted, stamp)
    ]


def _write_shard(
    reader: Reader, key: SecretKey, author: Author, shard: int, wanted: Mapping[str, bytes | None], stamp: int
) -> Iterator[Entry]:
    opened = None if is_forked(reader, shard) else open_shard(reader, shard, author)
    # Where something waits, or an author contradicts itself, the rule says how we may write on.
    state = read(reader, shard) if opened is None or opened.waiting else None
    held = opened.items() if state is None and opened else (state or DocumentYjs.bottom()).items()
    fresh = {name: value for name, value in wanted.items() if held.get(name) != value}
    if shard != COMPANY_SHARD:
        products = {name.partition("/")[0] for name in (*held, *fresh)}
        if len(products) > SHARD_PRODUCTS_MAX:
            raise NotAllowed(f"{document(shard)} would hold {len(products)} products, more than {SHARD_PRODUCTS_MAX}")
    feed = OwnFeed.read(reader, key, author, document(shard), SCHEMA[CATALOGUE])
    for part in _parts(fresh):
        if state is not None:
            body = state.edit_body(author, part)
            state = state if body is None else state.join(DocumentYjs.from_entry(author, feed.seq + 1, body))
        else:
            update = opened.edit(part) if opened else None
            body = None if update is None else {UPDATE: update}
        if body is not None:
            yield feed.sign(body, stamp)


def _parts(changes: Mapping[str, bytes | None]) -> Iterator[dict[str, bytes | None]]:
    part: dict[str, bytes | None] = {}
    size = 0
    for name, value in changes.items():
        cost = len(name.encode()) + len(value or b"") + _YJS_BYTES_PER_KEY
        if part and size + cost > ENTRY_CHANGE_BYTES_MAX:
            yield part
            part, size = {}, 0
        part[name] = value
        size += cost
    if part:
        yield part
