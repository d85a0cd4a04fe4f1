"""What proves a receipt: hash and signature of its journal entry, and the line of text that its QR code holds."""

from __future__ import annotations

from typing import NamedTuple

from crdt_pos import journal
from crdt_pos.receipt import Receipt
from gossip.entry import Hash
from gossip.log import Reader
from peers.keys import Signature

_HASH_BYTES_SHOWN = 12
_SIGNATURE_BYTES_SHOWN = 8


class Mark(NamedTuple):
    """A receipt's journal entry."""

    hash: Hash
    signature: Signature


def find_mark(reader: Reader, number: str) -> Mark | None:
    """The mark of the receipt with this number, or ``None`` if its journal is not here."""
    found = journal.find(reader, number)
    return Mark(found.entry.hash, found.entry.signature) if found else None


def qr_payload(receipt: Receipt, mark: Mark | None) -> str:
    """``POS1:12-3-A1-17:1234:EUR:<12 bytes of the hash>:<8 of the signature>``: all in the alphabet that QR packs tightest.

    The number's letters are upper case here; the amount is what was paid, in minor units.
    """
    shown = (mark.hash[:_HASH_BYTES_SHOWN].hex(), mark.signature[:_SIGNATURE_BYTES_SHOWN].hex()) if mark else ("", "")
    return ":".join(("POS1", receipt.number, str(receipt.due_minor), receipt.currency, *shown)).upper()
