"""One's own feed in one document: the number, stamp and previous hash of every next entry follow from the one before.

This is the one place where a replica signs. Entries are signed here and appended by the caller, all of them and in this order.
"""

from __future__ import annotations

from collections.abc import Iterable

from gossip.document import Document, FeedType
from gossip.entry import Entry, FeedId, Hash, sign
from gossip.log import Arrival, Reader
from gossip.schema import Kind
from merge_rules.dataclass import dataclass
from merge_rules.lattice import Author
from peers.keys import SecretKey


@dataclass(slots=True)
class OwnFeed:
    """Where one's own feed stands, and the key that carries it on."""

    key: SecretKey
    author: Author
    document: Document
    kind: Kind
    """The row of the schema table for ``document``."""
    seq: int = 0
    """Number of the last entry; 0 for none."""
    last: Hash | None = None
    """Its hash."""
    stamp: int = 0
    """Its stamp."""

    @classmethod
    def read(cls, reader: Reader, key: SecretKey, author: Author, document: Document, kind: Kind) -> OwnFeed:
        """The feed as the log has it; of a feed that contradicts itself, after its highest number."""
        heads = reader.heads(FeedId(document, author))
        if not heads:
            return cls(key, author, document, kind)
        found = reader.find(heads[-1].hash)
        # An entry may be lost to a damaged disk; its place in the feed is not.
        stamp = found.entry.stamp if found is not None else 0
        return cls(key, author, document, kind, heads[-1].seq, heads[-1].hash, stamp)

    def sign(self, body: object, stamp: int) -> Entry:
        """Sign the next entry; its stamp is ``stamp``, or just above the last one's where that is not less.

        Raises ``NotCanonical`` for a body that no entry can carry; then the feed has not moved.
        """
        kind, previous = self.kind, self.last if self.kind.feed is FeedType.WHOLE else None
        stamp = max(stamp, self.stamp + 1)
        entry = sign(self.key, self.author, self.document, kind.feed, kind.scope, self.seq + 1, stamp, body, previous)
        self.seq, self.last, self.stamp = entry.seq, entry.hash, stamp
        return entry

    def arrivals(self, bodies: Iterable[object], stamp: int) -> list[Arrival]:
        """Sign one entry after the other, ready to append."""
        return [Arrival(self.sign(body, stamp)) for body in bodies]
