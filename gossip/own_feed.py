"""The next entries of one's own feed: number, stamp and previous hash follow from what the log holds."""

from __future__ import annotations

from collections.abc import Iterable

from gossip.document import Document, FeedType
from gossip.entry import Entry, FeedId, sign
from gossip.log import Reader
from gossip.schema import Kind
from merge_rules.lattice import Author
from peers.keys import SecretKey


def next_entries(
    reader: Reader, key: SecretKey, author: Author, document: Document, kind: Kind, bodies: Iterable[object], stamp: int
) -> list[Entry]:
    """Sign ``bodies`` as the next entries of ``author`` in ``document``; stamps ascend from ``stamp`` or the last entry's.

    Append all of them, in this order, before asking again.
    """
    heads = reader.heads(FeedId(document, author))
    last = reader.find(heads[-1].hash) if heads else None
    seq, previous = (last.entry.seq, last.entry.hash) if last is not None else (0, None)
    stamp = max(stamp, last.entry.stamp + 1) if last is not None else stamp
    signed: list[Entry] = []
    for number, body in enumerate(bodies):
        chained = previous if kind.feed is FeedType.WHOLE else None
        entry = sign(
            key, author, document, kind.feed, kind.scope, seq + 1 + number, stamp + number, body, chained
        )
        previous = entry.hash
        signed.append(entry)
    return signed
