"""What a roster entry says of which of an author's entries count, as gossip needs it. Pure.

A ``Revocation`` cuts off: ``counting`` holds entries, complete, ``reaches`` how far those feeds count that no head office holds
(a store's journals). A ``Readmission`` lets more count: by hash, and for ``latest`` feeds with the entry itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import cast

from gossip.document import Document
from gossip.entry import Entry, FeedId, Hash, decode
from gossip.errors import BadEntry
from gossip.log import feed_key
from gossip.schema import CutOff, Reach
from merge_rules import canonical
from merge_rules.errors import NotCanonical
from merge_rules.lattice import Author
from merge_rules.set_remove_wins import ELEMENT
from peers.errors import InvalidElement
from peers.roster import Readmission, Revocation, from_element

REACH_HASH_BYTES = 16


def cuts_of(body: object) -> Iterator[CutOff]:
    """The cut-offs that the body of a roster entry states. What cannot be read says nothing."""
    if not isinstance(body, dict) or ELEMENT not in body:
        return
    try:
        record = from_element(cast("dict[int, object]", body)[ELEMENT])
    except InvalidElement:
        return
    match record:
        case Revocation():
            entries = tuple(_entries(record.author, record.counting))
            yield CutOff(
                record.author, revokes=True, entries=entries, reaches=tuple(_reaches(record.author, record.reaches))
            )
        case Readmission():
            hashes = tuple(Hash(one) for one in record.hashes)
            entries = tuple(one for one in _entries(record.author, record.counting) if one.hash in hashes)
            yield CutOff(record.author, revokes=False, entries=entries, readmitted=hashes)
        case _:
            return


def _entries(author: Author, raw: Iterable[bytes]) -> Iterator[Entry]:
    for one in raw:
        try:
            entry = decode(one)
        except BadEntry:
            continue
        if entry.author == author:
            yield entry


def reach(document: Document, seq: int, beginning: bytes) -> bytes:
    """How far a feed counts, as it stands in a revocation."""
    keys = list(document.keys)
    return canonical.encode([document.kind, document.day, keys, seq, beginning[:REACH_HASH_BYTES]])


def _reaches(author: Author, stated: Iterable[bytes]) -> Iterator[Reach]:
    for one in stated:
        try:
            value = canonical.decode(one)
        except NotCanonical:
            continue
        match value:
            case [str(kind), int(day), list(), int(seq), bytes(beginning)] if (
                0 <= day < 2**16 and seq > 0 and len(beginning) == REACH_HASH_BYTES and not isinstance(day, bool)
            ):
                keys = cast("Sequence[object]", cast("list[object]", value)[2])
                named = tuple(key for key in keys if isinstance(key, (int, str, bytes)))
                if len(named) == len(keys):
                    yield Reach(feed_key(FeedId(Document(kind, day, named), author)), seq, beginning)
            case _:
                continue
