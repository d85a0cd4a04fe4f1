"""Safe elsewhere: how much of what this replica wrote has been acknowledged by others, from their disks.

What counts is the journal: the sales that nobody else could write again. An acknowledgement is kept as a view, so that after a
restart the lamp does not forget.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final, cast

from crdt_pos.schema import JOURNAL
from gossip.entry import FeedId, Head
from gossip.log import Log, Reader, View, feed_key
from merge_rules import canonical
from merge_rules.lattice import Author

_PREFIX: Final = b"safe/"
DOCUMENTS_MAX: Final = 3
"""How many of the newest business dates are looked at."""


class Safety:
    """What peers hold of this replica's journal feeds."""

    def __init__(self, log: Log, me: Author) -> None:
        self._log = log
        self._me = me
        self._held: dict[FeedId, dict[Author, int]] = {}
        self._unsaved: set[FeedId] = set()
        self._saving: set[FeedId] = set()
        # Acknowledgements come on the event loop, transactions are made up on worker threads.
        self._lock = threading.Lock()

    def acknowledged(self, peer: Author, heads: Sequence[tuple[FeedId, Head]]) -> None:
        """A peer has these on its disk."""
        with self._lock:
            for feed, head in heads:
                if feed.author == self._me and feed.document.kind == JOURNAL:
                    held = self._of(feed)
                    if head.seq > held.get(peer, 0):
                        held[peer] = head.seq
                        self._unsaved.add(feed)

    def unsaved(self) -> list[View]:
        """Views to write with the next transaction; the same again until ``saved``."""
        with self._lock:
            self._saving |= self._unsaved
            self._unsaved.clear()
            return [(_PREFIX + feed_key(feed), canonical.encode(dict(self._held[feed]))) for feed in self._saving]

    def saved(self) -> None:
        """The transaction with what ``unsaved`` returned is on the disk."""
        with self._lock:
            self._saving.clear()

    def count(self) -> tuple[int, int]:
        """How many peers hold all of this replica's newest journals, and how many of its acts no peer holds."""
        waiting = 0
        holders: set[Author] | None = None
        with self._log.read() as reader:
            documents = list(reader.documents(JOURNAL))[-DOCUMENTS_MAX:]
            for document in documents:
                feed = FeedId(document, self._me)
                heads = reader.heads(feed)
                if not heads:
                    continue
                held = self._of(feed)
                last = heads[-1].seq
                waiting += last - min(last, max(held.values(), default=0))
                having = {peer for peer, seq in held.items() if seq >= last}
                holders = having if holders is None else holders & having
        return len(holders or ()), waiting

    def _of(self, feed: FeedId) -> dict[Author, int]:
        if feed not in self._held:
            with self._log.read() as reader:
                self._held[feed] = held_by(reader, feed)
        return self._held[feed]


def held_by(reader: Reader, feed: FeedId) -> dict[Author, int]:
    """Who has acknowledged a feed of this replica's own, and up to which number."""
    saved = reader.view(_PREFIX + feed_key(feed))
    return {} if saved is None else _decoded(saved)


def _decoded(saved: bytes) -> dict[Author, int]:
    value = cast("dict[bytes, int]", canonical.decode(saved))  # our own view
    return {Author(peer): seq for peer, seq in value.items()}
