"""Price variances: sold at 20 while 21 was due.

A till that is cut off sells at the last price it knows, and that price stands. When it learns of a price that had begun
before some of its sales, it writes down the difference: document number, line, product and both prices, no member and no
cashier. The entries go into ``variances/<store>/<business date>`` in the same transaction as the catalogue's, so that a
till that learned of a price has also said what it meant.

The newest entry for a line of a document counts; equal prices say that there is no variance any more.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import cast

from crdt_pos import catalogue_views, schema
from crdt_pos.catalogue_views import CatalogueProducts
from crdt_pos.identity import Identity
from crdt_pos.products import Price, Product
from crdt_pos.receipt import Receipt, ReceiptType
from crdt_pos.variance import Variance
from gossip.document import Document, day_number
from gossip.entry import Entry, FeedId
from gossip.log import Arrival, Reader, View, entries_of
from gossip.own_feed import OwnFeed
from merge_rules import canonical
from merge_rules.errors import InvalidBody

_PUT_OFF_PREFIX = b"variances/put-off/"
_MS_PER_DAY = 86_400_000
_DATE_SLACK_DAYS = 3
"""A business date may begin this long before the moment of a sale: it is fixed by opening the till, not by a clock."""


def derive(
    reader: Reader, arrivals: Sequence[Arrival], identity: Identity, currency: str, now_ms: int, stamp: int
) -> list[Arrival]:
    """The variances of this till's own sales that a batch of ``catalogue`` entries brings to light, signed.

    Append them in one transaction with the batch. ``currency`` is the store's; a price that begins after ``now_ms`` has no
    variance yet. Costs a walk over this till's journal from the earliest price that is new.
    """
    changed = catalogue_views.changed_prices(reader, arrivals, currency)
    begun = {product: since for product, (_, since) in changed.items() if since <= now_ms}
    return _signed(reader, identity, {product: changed[product][0] for product in begun}, begun, stamp)


def put_off(reader: Reader, arrivals: Sequence[Arrival], currency: str, now_ms: int) -> list[View]:
    """The views that remember what ``derive`` would look for, while this till may not sign. Written with the batch."""
    changed = catalogue_views.changed_prices(reader, arrivals, currency)
    waiting = _put_off(reader)
    return [
        (_PUT_OFF_PREFIX + product.to_bytes(8, "big"), canonical.encode(min(since, waiting.get(product, since))))
        for product, (_, since) in changed.items()
        if since <= now_ms
    ]


def catch_up(reader: Reader, identity: Identity, currency: str, stamp: int) -> tuple[list[Arrival], list[View]]:
    """What was put off, signed, and the views that say so."""
    begun = _put_off(reader)
    read_as = CatalogueProducts(currency)
    known = {product: read_as.product(product, catalogue_views.read_facts(reader, product)) for product in begun}
    return _signed(reader, identity, known, begun, stamp), [(key, None) for key, _ in reader.views(_PUT_OFF_PREFIX)]


def _put_off(reader: Reader) -> dict[int, int]:
    return {
        int.from_bytes(key[len(_PUT_OFF_PREFIX) :], "big"): cast("int", canonical.decode(since))
        for key, since in reader.views(_PUT_OFF_PREFIX)
    }


def _signed(
    reader: Reader, identity: Identity, known: Mapping[int, Product], begun: Mapping[int, int], stamp: int
) -> list[Arrival]:
    if not begun:
        return []
    sayings: dict[Document, _Sayings] = {}
    signed: list[Arrival] = []
    for receipt in _own_sales(reader, identity, min(begun.values())):
        document = Document(schema.VARIANCES, day_number(receipt.business_date), (identity.store,))
        for variance in _of_receipt(receipt, known, begun):
            if document not in sayings:
                sayings[document] = _Sayings(reader, identity, document)
            if (arrival := sayings[document].say(variance, stamp)) is not None:
                signed.append(arrival)
    return signed


class _Sayings:
    """What this till has said in one document, and its next entry."""

    def __init__(self, reader: Reader, identity: Identity, document: Document) -> None:
        kind = schema.SCHEMA[schema.VARIANCES]
        self._feed = OwnFeed.read(reader, identity.key, identity.author, document, kind)
        self._said = _newest(stored.entry for stored in reader.entries(FeedId(document, identity.author)))

    def say(self, variance: Variance, stamp: int) -> Arrival | None:
        """The entry that says it; ``None`` if that was said already. Equal prices need not be said at first."""
        said = self._said.get((variance.number, variance.line))
        if variance.settled if said is None else said.due == variance.due:
            return None
        self._said[variance.number, variance.line] = variance
        return Arrival(self._feed.sign(variance.body(), stamp))


def _own_sales(reader: Reader, identity: Identity, since_ms: int) -> Iterator[Receipt]:
    first_day = max(0, since_ms // _MS_PER_DAY - _DATE_SLACK_DAYS)
    for document in reversed(list(reader.documents(schema.JOURNAL))):
        receipts = list(_receipts(reader, FeedId(document, identity.author)))
        since = [receipt for receipt in receipts if receipt.stamp_ms >= since_ms]
        yield from (receipt for receipt in since if receipt.type is ReceiptType.SALE)
        # Business dates need not follow the clock, so the walk ends where both say that it may.
        if receipts and not since and document.day < first_day:
            return


def _receipts(reader: Reader, feed: FeedId) -> Iterator[Receipt]:
    for stored in reader.entries(feed):
        with contextlib.suppress(InvalidBody):
            yield Receipt.from_body(stored.entry.body)


def _of_receipt(receipt: Receipt, products: Mapping[int, Product], since: Mapping[int, int]) -> Iterator[Variance]:
    for line in receipt.lines:
        product = products.get(line.product)
        # A price that was typed in is the cashier's decision, not the catalogue's.
        if product is None or not line.price_version or receipt.stamp_ms < since[line.product]:
            continue
        due = product.price_at(receipt.stamp_ms)
        if due is not None:
            sold = Price(line.unit_price_minor, line.price_version, line.unit_price_exponent)
            yield Variance(receipt.number, line.number, line.product, line.quantity, line.quantity_exponent, sold, due)


def read(reader: Reader, document: Document) -> list[Variance]:
    """The variances of one store and date as they stand now, by receipt number."""
    newest = _newest(stored.entry for stored in entries_of(reader, document))
    return [variance for _, variance in sorted(newest.items()) if not variance.settled]


def _newest(entries: Iterable[Entry]) -> dict[tuple[str, int], Variance]:
    newest: dict[tuple[str, int], Variance] = {}
    for entry in entries:
        try:
            said = Variance.from_body(entry.body)
        except InvalidBody:
            continue
        newest[said.number, said.line] = said
    return newest
