"""What a peer is known to hold: per feed the newest entry that went over the session in either direction, bounded; and the newest
that it has announced.

Patches are made against the first and rebuilt from it. Both sides forget at different times, so a receiver that lacks the base
wants the whole entry. What a peer has announced need not be announced to it.
"""

from __future__ import annotations

from collections import OrderedDict
from operator import itemgetter
from typing import Final

from gossip.document import FeedType
from gossip.entry import SEQ_MAX, Entry, FeedId, Head, decode_held
from gossip.log import feed_key

BESIDE_BYTES: Final = 300
"""What an entry's place takes in memory, about, without its bytes and its feed's key."""
NAMED_MAX: Final = 4096
"""Announcements of a peer that are remembered: those of the last while, when others announce the same."""


class Held:
    """Least recently used entries of ``latest`` feeds, as their bytes: taken apart they are some ten times as large."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._entries: OrderedDict[bytes, tuple[int, bytes]] = OrderedDict()
        """By feed key, number and bytes."""
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
        if entry.feed is not FeedType.LATEST:
            return
        key = feed_key(entry.feed_id)
        newest = max(self._forget(key), (entry.seq, entry.raw), key=itemgetter(0))
        if _weight(key, newest) > self._bytes_max:
            return
        self._entries[key] = newest
        self._bytes += _weight(key, newest)
        while self._bytes > self._bytes_max:
            self._forget(next(iter(self._entries)))

    def get(self, feed: FeedId, before: int = SEQ_MAX + 1) -> Entry | None:
        """The newest entry of a feed that the peer holds, if it is still remembered and its number is less than ``before``."""
        kept = self._entries.get(feed_key(feed))
        return None if kept is None or kept[0] >= before else decode_held(kept[1])

    def forget(self, feed: FeedId) -> None:
        """The peer does not hold it after all."""
        self._forget(feed_key(feed))

    def _forget(self, key: bytes) -> tuple[int, bytes]:
        kept = self._entries.pop(key, None)
        if kept is None:
            return _NOTHING
        self._bytes -= _weight(key, kept)
        return kept


_NOTHING: Final = 0, b""


def _weight(key: bytes, kept: tuple[int, bytes]) -> int:
    return len(key) + len(kept[1]) + BESIDE_BYTES
