"""The receiving half of a session: batches to be appended, what must be wanted first, and how far our cursor may move.

A batch is acknowledged when its entries are on our disk and what was wanted because of it has come. The cursor moves with
entries, in the same transaction, and only while nothing is wanted. Sans-I/O; reads the log in short snapshots.
"""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Collection, Sequence
from dataclasses import field
from typing import Final

from gossip import patch
from gossip.document import Scope, ScopeClass, fixed_scope
from gossip.entry import Entry, FeedId, decode
from gossip.errors import BadEntry, ProtocolError
from gossip.events import CaughtUp, CursorMoved, EntriesReceived, Event, Position
from gossip.held import Held
from gossip.in_flight import InFlight
from gossip.limits import Limits
from gossip.log import Log, Reader, feed_key
from gossip.messages import FRAME_BYTES_MAX, Announce, Announcement, Durable, Entries, Patch, Refused, Want, Wanted
from gossip.reasons import Reason
from merge_rules.dataclass import dataclass

WANTED_MAX: Final = 1 << 18
DEFERRED_LOOKS_MAX: Final = 2048
"""Announced entries that are looked for again in one go: the others wait their turn."""


def cursor_key(database: bytes, shared: frozenset[Scope]) -> bytes:
    """What a cursor is bound to: the peer's log and the shared scopes. A scope that is new to a session has no cursor."""
    return hashlib.sha256("\0".join(sorted(shared)).encode() + b"\0" + database).digest()[:16]


@dataclass(slots=True)
class _Batch:
    """A batch that is not acknowledged yet."""

    frame_bytes: int
    appending: bool = False
    needs: int = 0
    """How many of the feeds wanted so far must have come."""
    deferred: int = 0
    """Announced entries that another session is fetching."""
    completes: int = 0
    """How many of the feeds wanted so far have come once this is appended."""
    refused: tuple[Refused, ...] = ()

    def settled(self, came: int) -> bool:
        return not self.appending and not self.deferred and self.needs <= came


@dataclass(slots=True)
class _Deferred:
    announcement: Announcement
    batch: int


@dataclass(slots=True)
class Inbound:
    """Created when sharing begins. ``reached`` is our cursor of the peer's log, 0 if a comparison must tell."""

    log: Log
    shared: frozenset[Scope]
    held: Held
    in_flight: InFlight
    limits: Limits
    key: bytes
    """What our cursor is stored under: ``cursor_key``."""
    base: int
    """The peer's last arrival in its HELLO."""
    reached: int
    caught_up: bool = False
    replies: list[Durable] = field(default_factory=list[Durable])
    """To be sent."""
    came: Counter[str] = field(default_factory=Counter[str])
    """Entries that came, by kind, also those that were here already."""
    _told: int = 0
    _number: int = 0
    _open: dict[int, _Batch] = field(default_factory=dict[int, _Batch])
    _base_batch: int | None = None
    _base_needs: int = 0
    _queue: deque[Wanted] = field(default_factory=deque[Wanted])
    _queued: int = 0
    _sent: deque[tuple[int, int]] = field(default_factory=deque[tuple[int, int]])
    """WANTs on their way: number, and how many feeds were wanted up to it."""
    _want: int = 0
    _came: int = 0
    _gaps: dict[FeedId, int] = field(default_factory=dict[FeedId, int])
    """After which number a feed was wanted last because something was missing in it."""
    _announced: dict[bytes, int] = field(default_factory=dict[bytes, int])
    """Feeds that are wanted because they were announced, and up to which number."""
    _deferred: list[_Deferred] = field(default_factory=list[_Deferred])

    def __post_init__(self) -> None:
        self._told = self.reached

    @property
    def wanted(self) -> int:
        """How many feeds were wanted and have not come."""
        return max(self._queued - self._came, 0)

    def begin(self, *, caught_up: bool) -> list[Event]:
        """Whether the cursor says that nothing is missing."""
        if not caught_up:
            return []
        self.caught_up = True
        return [CaughtUp()]

    # From the peer

    def entries(self, message: Entries, frame_bytes: int) -> list[Event]:
        """A batch of entries. Raises ``ProtocolError``."""
        completes = self._completed(message.answers)
        batch = self._begin(message.batch, message.upto, frame_bytes)
        batch.completes = completes
        entries: list[Entry] = []
        entries_bytes = 0
        queued = self._queued
        with self.log.read_all() as reader:
            for item in message.items:
                entry = self._entry(reader, item)
                if entry is None:
                    continue
                entries_bytes += len(entry.raw)
                if entries_bytes > self.limits.rebuilt_bytes_max:
                    raise ProtocolError(Reason.TOO_MUCH, "one batch of patches makes too many bytes of entries")
                self._check_scope(entry)
                self.held.add(entry)
                if reader.find(entry.hash) is None:
                    self.in_flight.came(entry.hash)
                    entries.append(entry)
        if self._queued > queued:
            batch.needs = self._queued
        self._note_base()
        batch.appending = bool(entries or message.answers)
        if batch.appending:
            return [EntriesReceived(message.batch, tuple(entries), self._position(), entries_bytes)]
        return [*self._moved(), *self._settle()]

    def announce(self, message: Announce, frame_bytes: int, now_ms: int) -> list[Event]:
        """A batch by name. Raises ``ProtocolError``."""
        batch = self._begin(message.batch, message.upto, frame_bytes)
        with self.log.read_all() as reader:
            for item in message.items:
                self.held.name(item.feed_key, item.head)
                if self._has(reader, item):
                    continue
                if self._fetches(reader, item, now_ms):
                    batch.needs = self._queued
                else:
                    batch.deferred += 1
                    self._deferred.append(_Deferred(item, message.batch))
        self._note_base()
        return [*self._moved(), *self._settle()]

    @property
    def waits(self) -> bool:
        """Whether announced entries are to be looked for again: another session was fetching them."""
        return bool(self._deferred)

    # From the node and the clock

    def appended(self, number: int, refused: Sequence[Refused], gaps: Collection[FeedId]) -> list[Event]:
        """The entries of a batch are on our disk."""
        batch = self._open.get(number)
        assert batch is not None, "a batch that was not received"
        assert batch.appending, "a batch appended twice"
        batch.appending = False
        batch.refused = tuple(refused)
        self._came = max(self._came, batch.completes)
        if self._came == self._queued:
            self._announced.clear()
        with self.log.read_all() as reader:
            # Twice a feed and session, the second time from its beginning, since it may branch before what is here. What the
            # peer sends after that it has not got, or we have put aside.
            for feed in sorted(set(gaps), key=feed_key):
                heads = () if feed in self._gaps else reader.heads(feed)
                if self._gaps.get(feed) != 0:
                    self._gaps[feed] = heads[-1].seq if heads else 0
                    self.want(Wanted(feed_key(feed), self._gaps[feed]))
        if gaps:
            self._told = 0  # what was told went too far: it is told again once nothing is wanted
        return [*self._moved(), *self._settle()] if gaps else self._settle()

    def tick(self, now_ms: int) -> list[Event]:
        """Look again for announced entries that another session was fetching."""
        if not self._deferred:
            return []
        waiting, self._deferred = self._deferred[:DEFERRED_LOOKS_MAX], self._deferred[DEFERRED_LOOKS_MAX:]
        with self.log.read_all() as reader:
            for item in waiting:
                batch = self._open[item.batch]
                if self._has(reader, item.announcement):
                    batch.deferred -= 1
                elif self._fetches(reader, item.announcement, now_ms):
                    batch.deferred -= 1
                    batch.needs = self._queued
                else:
                    self._deferred.append(item)
        return [*self._moved(), *self._settle()]

    def want(self, wanted: Wanted) -> None:
        """Something that the peer has and we lack. Raises ``ProtocolError``."""
        if len(self._queue) >= WANTED_MAX:
            raise ProtocolError(Reason.TOO_MUCH, f"more than {WANTED_MAX} feeds wanted at once")
        self._queue.append(wanted)
        self._queued += 1

    def wants(self) -> list[Want]:
        """WANTs to send now."""
        wants: list[Want] = []
        while self._queue and len(self._sent) < self.limits.wants_max:
            count = min(len(self._queue), self.limits.want_feeds_max)
            self._want += 1
            wants.append(Want(self._want, tuple(self._queue.popleft() for _ in range(count))))
            self._sent.append((self._want, self._queued - len(self._queue)))
        return wants

    # Inside

    def _begin(self, number: int, upto: int, frame_bytes: int) -> _Batch:
        if number != self._number + 1:
            raise ProtocolError(Reason.MALFORMED, f"batch {number} after {self._number}")
        # Two windows; a batch that begins while one is open may go over it by a frame.
        bytes_max = 2 * (self.limits.window_bytes_max + FRAME_BYTES_MAX)
        bytes_open = sum(batch.frame_bytes for batch in self._open.values()) + frame_bytes
        if len(self._open) >= 2 * self.limits.window_batches_max or bytes_open > bytes_max:
            raise ProtocolError(Reason.TOO_MUCH, "more batches open than the windows allow")
        self._number = number
        self.reached = max(self.reached, upto)
        batch = self._open[number] = _Batch(frame_bytes)
        return batch

    def _note_base(self) -> None:
        if self._base_batch is None and self.reached >= self.base:
            self._base_batch, self._base_needs = self._number, self._queued

    def _completed(self, answers: int) -> int:
        """How many of the wanted feeds have come with the answer to a WANT."""
        if not answers:
            return 0
        if not self._sent or self._sent[0][0] != answers:
            raise ProtocolError(Reason.MALFORMED, f"an answer to WANT {answers}, which is not the next")
        return self._sent.popleft()[1]

    def _entry(self, reader: Reader, item: bytes | Patch) -> Entry | None:
        """The entry of an item; ``None`` if its base is not here: then it is wanted."""
        try:
            if not isinstance(item, Patch):
                entry = decode(item)
                self.came[entry.document.kind] += 1
                return entry
            feed = reader.feed_at(item.feed_key)
            self.came[feed.document.kind] += 1
            change = patch.decode(item.changes)
            base = self._base(reader, feed, change.base)
            if base is None:
                heads = reader.heads(feed)
                self.want(Wanted(item.feed_key, heads[-1].seq if len(heads) == 1 else 0))
                return None
            return patch.apply(base, change)
        except BadEntry as error:
            raise ProtocolError(Reason.BAD_ENTRY, str(error)) from error

    def _base(self, reader: Reader, feed: FeedId, prefix: bytes) -> Entry | None:
        held = self.held.get(feed)
        if held is not None and held.hash.startswith(prefix):
            return held
        for stored in reader.entries(feed):
            if stored.entry.hash.startswith(prefix):
                return stored.entry
        return None

    def _check_scope(self, entry: Entry) -> None:
        scope = fixed_scope(entry.document, entry.scope)
        if entry.scope is ScopeClass.PATRONS:
            allowed = any(name.startswith("patrons/") for name in self.shared)
        else:
            allowed = scope in self.shared
        if not allowed:
            raise ProtocolError(Reason.SCOPE, f"an entry of {entry.document}, which is not shared")

    def _has(self, reader: Reader, item: Announcement) -> bool:
        # A higher number of the same feed counts as having it: if the author contradicts itself, fingerprints find it.
        heads = reader.heads(reader.feed_at(item.feed_key))
        return any(head.seq > item.head.seq or head == item.head for head in heads)

    def _fetches(self, reader: Reader, item: Announcement, now_ms: int) -> bool:
        """Want an announced entry, and all before it that is missing, unless another session does."""
        feed = reader.feed_at(item.feed_key)
        heads = reader.heads(feed)
        # What is held or on its way is not asked for again; what an author says under an old number is.
        reached = max(heads[-1].seq if heads else 0, self._announced.get(item.feed_key, 0))
        entries = max(item.head.seq - reached, 1)
        if not self.in_flight.claim(item.head.hash, self, now_ms, feed.author, entries):
            return False
        self.want(Wanted(item.feed_key, min(reached, item.head.seq - 1)))
        self._announced[item.feed_key] = max(reached, item.head.seq)
        return True

    def _position(self) -> Position | None:
        """The cursor to store with the entries of the event being made, if it may move."""
        wanting = self._queue or self._sent or self._deferred
        if wanting or self.reached <= self._told:
            return None
        self._told = self.reached
        return self.key, self.reached

    def _moved(self) -> list[Event]:
        position = self._position()
        return [] if position is None else [CursorMoved(position)]

    def _settle(self) -> list[Event]:
        """Acknowledge what is settled."""
        for number, batch in list(self._open.items()):
            if batch.settled(self._came):
                del self._open[number]
                self.replies.append(Durable(number, batch.refused))
        if self.caught_up or self._base_batch is None or self._came < self._base_needs or self._deferred:
            return []
        if any(number <= self._base_batch for number in self._open):
            return []
        self.caught_up = True
        return [CaughtUp()]
