"""What proves a receipt: hash and signature of its journal entry, and the line of text that its QR code holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from crdt_pos.receipt import Receipt
from crdt_pos.schema import JOURNAL
from gossip.document import Document, day_number
from gossip.entry import FeedId, Hash
from gossip.log import Reader, Stored
from peers.keys import Signature

_HASH_BYTES_SHOWN = 12
_SIGNATURE_BYTES_SHOWN = 8


class Mark(NamedTuple):
    """A receipt's journal entry."""

    hash: Hash
    signature: Signature


def find_mark(reader: Reader, receipt: Receipt) -> Mark | None:
    """The mark of a receipt, or ``None`` if its journal is not here. The newest of every till costs one read."""
    document = Document(JOURNAL, day_number(receipt.business_date), (receipt.store,))
    body = receipt.body()
    for stored in _newest_first(reader, document):
        if stored.entry.body == body:
            return Mark(stored.entry.hash, stored.entry.signature)
    return None


def _newest_first(reader: Reader, document: Document) -> Iterator[Stored]:
    yield from reader.head_entries(document)
    for author in reader.authors(document):
        yield from reader.entries(FeedId(document, author))


def qr_payload(receipt: Receipt, mark: Mark | None) -> str:
    """``POS1:12-3-A1-17:1234:EUR:<12 bytes of the hash>:<8 of the signature>``: all in the alphabet that QR packs tightest.

    The number's letters are upper case here; the amount is what was paid, in minor units.
    """
    shown = (mark.hash[:_HASH_BYTES_SHOWN].hex(), mark.signature[:_SIGNATURE_BYTES_SHOWN].hex()) if mark else ("", "")
    return ":".join(("POS1", receipt.number, str(receipt.due_minor), receipt.currency, *shown)).upper()
