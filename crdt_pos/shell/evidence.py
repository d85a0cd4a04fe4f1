"""An entry as evidence: who signed it, whether the signature holds now, when it came and from whom, and whether it counts."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterator, Mapping
from typing import Any, Final

from crdt_pos.inspection import entry_row
from crdt_pos.looking import Looked
from crdt_pos.page import HASH_DIGITS_SHOWN
from crdt_pos.shell import colours
from crdt_pos.shell.replica import Replica
from gossip.document import Document
from gossip.entry import Entry, FeedId
from gossip.log import Stored
from gossip.log_counted import QUARANTINED

GOOD: Final = "good"
BAD: Final = "BAD"
UNKNOWN: Final = "unknown: the certificate of its author is not here"


def signature(replica: Replica, entry: Entry) -> str:
    """Verify it now: ``GOOD``, ``BAD`` or ``UNKNOWN``. Costs some 60 µs."""
    certificate = replica.directory.certificate(entry.author)
    if certificate is None:
        return UNKNOWN
    return GOOD if entry.verify(certificate.public_key) else BAD


def row(replica: Replica, stored: Stored) -> dict[str, Any]:
    """An entry, how it came here, and what its signature is worth."""
    entry = stored.entry
    return {
        **dataclasses.asdict(entry_row(stored, replica.name_of)),
        "stamp": utc(entry.stamp >> 16),
        "stamp_counter": entry.stamp & 0xFFFF,
        "signature": signature(replica, entry),
        "counts": replica.reader.counts(entry),
    }


def utc(ms: int) -> str:
    """``2026-11-22T14:30:00.123Z``."""
    try:
        moment = datetime.datetime.fromtimestamp(ms / 1000, datetime.UTC)
    except (OverflowError, ValueError, OSError):
        return f"{ms} ms after 1970"
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def quarantined(replica: Replica, document: Document) -> list[tuple[Stored, str]]:
    """The entries of a document that are held apart or do not count, with the reason."""
    apart = [(stored, why) for stored, why in replica.held.quarantined() if stored.entry.document == document]
    revoked = replica.reader.revoked()
    authors = [author for author in replica.held.authors(document) if author in revoked]
    held = (stored for author in authors for stored in replica.held.entries(FeedId(document, author)))
    return apart + [(stored, QUARANTINED) for stored in held if not replica.reader.counts(stored.entry)]


def said(looked: Looked, one: Mapping[str, Any], held: str = "") -> Iterator[str]:
    """Three lines: which entry, how it came here, and its signature."""
    came = (
        f"came {moment(looked, one['received_ms'])} from {one['received_from']}"
        if one["received_from"]
        else "made here"
    )
    yield f"entry {one['seq']} ({one['hash'][:HASH_DIGITS_SHOWN]}…), {one['size_bytes']:,} bytes{held}"
    yield f"stamped {one['stamp']} by its author's clock; {came}"
    yield f"signature {signature_text(one['signature'])}{'' if one['counts'] else colours.broken('; IT DOES NOT COUNT')}"


def signature_text(worth: str) -> str:
    """In its colour."""
    return {GOOD: colours.safe, BAD: colours.broken}.get(worth, colours.pending)(worth)


def moment(looked: Looked, ms: int) -> str:
    """In the store's own time."""
    return f"{looked.local(ms):%Y-%m-%d %H:%M:%S}" if ms else "at an unknown time"
