"""What a peer is known to hold: per feed the newest entry that went over the session in either direction, bounded; and the newest
that it has announced.

Patches are made against the first and rebuilt from it. Both sides forget at different times, so a receiver that lacks the base
wants the whole entry. What a peer has announced need not be announced to it.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from gossip.document import FeedType
from gossip.entry import Entry, FeedId, Head

NAMED_MAX: Final = 4096
"""Announcements of a peer that are remembered: those of the last while, when others announce the same."""


class Held:
    """Least recently used entries of ``latest`` feeds."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._entries: OrderedDict[FeedId, Entry] = OrderedDict()
        self._named: OrderedDict[bytes, Head] = OrderedDict()

    def name(self, feed_key: bytes, head: Head) -> None:
        """The peer says that it holds this."""
        self._named.pop(feed_key, None)
        self._named[feed_key] = head
        if len(self._named) > NAMED_MAX:
            self._named.popitem(last=False)

    def names(self, feed_key: bytes, head: Head) -> bool:
        """Whether this is what the peer said last of a feed."""
        return self._named.get(feed_key) == head

    def add(self, entry: Entry) -> None:
        """The peer holds ``entry``, since it was just sent or received."""
        if entry.feed is not FeedType.LATEST or entry.memory_bytes > self._bytes_max:
            return
        before = self._entries.pop(entry.feed_id, None)
        if before is not None:
            self._bytes -= before.memory_bytes
            entry = max(before, entry, key=lambda either: either.seq)
        self._entries[entry.feed_id] = entry
        self._bytes += entry.memory_bytes
        while self._bytes > self._bytes_max:
            _, oldest = self._entries.popitem(last=False)
            self._bytes -= oldest.memory_bytes

    def get(self, feed: FeedId) -> Entry | None:
        """The newest entry of a feed that the peer holds, if it is still remembered."""
        return self._entries.get(feed)

    def forget(self, feed: FeedId) -> None:
        """The peer does not hold it after all."""
        entry = self._entries.pop(feed, None)
        if entry is not None:
            self._bytes -= entry.memory_bytes
