"""The sending half of a session: our log in order of arrival, what the peer was found to lack, and what it wants.

Two windows of unacknowledged bytes: one for what we send unasked, one for answers to WANT, which must not wait behind
announcements that only they can settle. Sans-I/O; reads the log in short snapshots.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import field
from typing import Final, NamedTuple

from gossip import patch
from gossip.document import FeedType, Scope, ScopeClass
from gossip.entry import Entry, FeedId, Hash, Head
from gossip.errors import ProtocolError
from gossip.events import Acknowledged
from gossip.held import Held
from gossip.limits import Limits
from gossip.log import Log, Reader, Stored, feed_key
from gossip.messages import Announce, Announcement, Durable, Entries, Message, Patch, Want
from gossip.reasons import Reason
from gossip.reconcile import Send, SendAll, priority
from merge_rules.dataclass import dataclass
from merge_rules.lattice import Author

REBUILT_BYTES: Final = 16 << 20
"""A batch that makes so many bytes of entries is full: half of what the peer takes."""
BATCH_ITEMS_MAX: Final = 1024
SCAN_MAX: Final = 512
SCANS_MAX: Final = 4096
"""Arrivals looked at in one go: then the event loop has its turn, and the peer's cursor moves."""
WISHES_AT_ONCE: Final = 512
"""After an answer to a WANT of more feeds the event loop has its turn."""
CLAIM_EVERY: Final = 1024
"""An empty batch moves the peer's cursor when so many arrivals were not for it."""
JOBS_MAX: Final = 1 << 18
ITEM_BYTES: Final = 80
"""What an announcement weighs in a window."""


@dataclass(slots=True)
class _Sent:
    heads: list[tuple[FeedId, Head]]
    weight: int
    answers: bool


@dataclass(slots=True)
class _Batch:
    """A batch being filled."""

    room: int
    items: list[bytes | Patch] = field(default_factory=list[bytes | Patch])
    heads: list[tuple[FeedId, Head]] = field(default_factory=list[tuple[FeedId, Head]])
    weight: int = 0
    rebuilt_bytes: int = 0
    """Of the entries, patches rebuilt."""

    def fits(self, size: int) -> bool:
        room = self.weight + size <= self.room and self.rebuilt_bytes < REBUILT_BYTES
        return not self.items or (room and len(self.items) < BATCH_ITEMS_MAX)

    def add(self, item: bytes | Patch, entry: Entry) -> None:
        self.items.append(item)
        self.heads.append((entry.feed_id, entry.head))
        self.rebuilt_bytes += len(entry.raw)
        self.weight += len(item) if isinstance(item, bytes) else len(item.changes) + len(item.feed_key)


@dataclass(slots=True)
class _Wish:
    """A WANT being answered."""

    number: int
    feeds: deque[Send]


class New(NamedTuple):
    """An entry that a log has grown by."""

    entry: Entry
    arrival: int
    received_from: Author | None
    scopes: Set[Scope]
    feed_key: bytes


@dataclass(frozen=True, slots=True)
class Grown:
    """By what a log has grown."""

    after: int
    """The arrivals from the next one on,"""
    upto: int
    """and up to this one, are new,"""
    senders: Mapping[Scope, Set[Author | None]]
    """and belong to these scopes: by whom they came, ``None`` for our own."""
    new: Sequence[New] = ()
    """They themselves, all of them in order; none: whoever wants them reads them."""

    @classmethod
    def since(cls, reader: Reader, after: int, limit: int) -> Grown | None:
        """By what a log has grown after an arrival; ``None`` for more than ``limit``."""
        upto = reader.last_arrival()
        if upto - after > limit:
            return None
        return cls.by(after, upto, list(_read(reader, after, limit)))

    @classmethod
    def by(cls, after: int, upto: int, new: Sequence[New]) -> Grown:
        """By what it has grown if that is known."""
        senders: dict[Scope, set[Author | None]] = {}
        for one in new:
            for scope in one.scopes:
                senders.setdefault(scope, set()).add(one.received_from)
        return cls(after, upto, senders, new if len(new) < SCAN_MAX else ())

    def has_for(self, peer: Author, shared: Set[Scope]) -> bool:
        """Whether there may be something for a peer in the scopes that are shared with it."""
        return any(scope in shared and senders != {peer} for scope, senders in self.senders.items())


class Outbound:
    """Created when sharing begins."""

    def __init__(
        self,
        log: Log,
        me: Author,
        peer: Author,
        shared: frozenset[Scope],
        held: Held,
        limits: Limits,
        *,
        base: int,
        after: int | None,
        announce: bool,
    ) -> None:
        """``base``: our last arrival in HELLO. ``after``: the peer's cursor, ``None`` if only a comparison can tell what it
        lacks."""
        self._log = log
        self._me = me
        self._peer = peer
        self._shared = shared
        self._held = held
        self._limits = limits
        self._base = base
        self._announce = announce
        self._position = base if after is None else after
        self._claimed = 0 if after is None else after
        self._claiming = after is not None
        self._compared = False
        self._jobs: list[tuple[int, int, Send | SendAll]] = []
        self._jobs_made = 0
        self._wishes: deque[_Wish] = deque()
        self._want = 0
        self._batch = 0
        self._base_batch: int | None = 0 if after == base else None
        self._unacknowledged: dict[int, _Sent] = {}
        self._weights = {False: 0, True: 0}
        self._counts = {False: 0, True: 0}
        self._idle = False
        self._waits_for_room = False
        """Whether a window kept something back."""
        self._scanned = 0
        self._grown: Grown | None = None
        """What comes next of the log, if that is known."""

    # What there is to do

    def wake(self, grown: Grown | None = None) -> bool:
        """The log has grown, as far as is known by so much; whether there may be something to send."""
        follows = grown is not None and self._idle and self._position == grown.after
        if grown is not None and follows and not self._has_for(grown):
            self._position = grown.upto  # as reading it would have found
            self._idle = grown.upto - self._claimed < CLAIM_EVERY
        else:
            self._idle = False
            known = self._grown
            if grown is None or known is None or not grown.after == grown.upto == known.upto:
                self._grown = grown  # else it adds nothing to what is known
        return not self._idle

    def _has_for(self, grown: Grown) -> bool:
        """Whether there may be something for the peer that it has not said itself to hold."""
        return grown.has_for(self._peer, self._shared) and (
            not self._announce or not grown.new or any(not self._named(one) for one in grown.new)
        )

    def _named(self, one: New) -> bool:
        if one.received_from == self._peer or self._shared.isdisjoint(one.scopes):
            return True  # not for it
        return one.received_from is not None and self._held.names(one.feed_key, one.entry.head)

    def lacks(self, sends: Sequence[Send | SendAll]) -> None:
        """A comparison has found what the peer lacks. Raises ``ProtocolError``."""
        if len(self._jobs) + len(sends) > JOBS_MAX:
            raise ProtocolError(Reason.TOO_MUCH, f"more than {JOBS_MAX} differences at once")
        for send in sends:
            self._jobs_made += 1
            heapq.heappush(self._jobs, (priority(send.scope), self._jobs_made, send))
        self._idle = False

    def compared(self) -> None:
        """The comparison has ended: when what it found is sent, the peer has everything up to our base."""
        self._compared = True
        self._idle = False

    def wanted(self, want: Want) -> None:
        """The peer wants entries. Raises ``ProtocolError``."""
        if want.number != self._want + 1:
            raise ProtocolError(Reason.MALFORMED, f"WANT {want.number} after {self._want}")
        if len(self._wishes) >= self._limits.wants_max:
            raise ProtocolError(Reason.TOO_MUCH, f"more than {self._limits.wants_max} WANTs open")
        self._want = want.number
        feeds = deque(Send(Scope(""), feed.feed_key, feed.after_seq) for feed in want.feeds)
        self._wishes.append(_Wish(want.number, feeds))
        self._idle = False

    def durable(self, durable: Durable) -> Acknowledged:
        """The peer has a batch on its disk. Raises ``ProtocolError`` for one that is not open."""
        sent = self._unacknowledged.pop(durable.batch, None)
        if sent is None:
            raise ProtocolError(Reason.MALFORMED, f"DURABLE for batch {durable.batch}, which is not open")
        self._weights[sent.answers] -= sent.weight
        self._counts[sent.answers] -= 1
        refused = {item.hash for item in durable.refused}
        for feed, head in sent.heads:
            if head.hash in refused:
                self._held.forget(feed)
        if self._waits_for_room:
            self._idle = False
        heads = tuple((feed, head) for feed, head in sent.heads if head.hash not in refused)
        return Acknowledged(heads, durable.refused)

    @property
    def delivered(self) -> bool:
        """Whether the peer has acknowledged everything up to our base."""
        return self._base_batch is not None and all(batch > self._base_batch for batch in self._unacknowledged)

    @property
    def position(self) -> int:
        """Up to which arrival our log was looked through for the peer."""
        return self._position

    @property
    def unacknowledged(self) -> int:
        """How many entries, sent or named, the peer has not acknowledged."""
        return sum(len(sent.heads) for sent in self._unacknowledged.values())

    @property
    def unacknowledged_hashes(self) -> list[Hash]:
        """Those entries."""
        return [head.hash for sent in self._unacknowledged.values() for _, head in sent.heads]

    # What is sent

    @property
    def idle(self) -> bool:
        """Whether ``messages`` has nothing to say."""
        return self._idle

    def messages(self) -> Iterator[Message]:
        """Batches, as far as the windows are open."""
        if self._idle:
            return
        scanned = self._scanned + SCANS_MAX
        with self._log.read_all() as reader:
            while self._wishes and self._open(answers=True):
                many = len(self._wishes[0].feeds) > WISHES_AT_ONCE
                yield self._answer(reader)
                if many:
                    return
            while self._open(answers=False):
                batches = self._next(reader)
                if not batches:
                    break
                yield from batches
                if self._scanned >= scanned:
                    return
        self._idle = True
        self._grown = None  # what waits for room is read when there is some
        self._waits_for_room = bool(self._wishes) or not self._open(answers=False)

    def _open(self, *, answers: bool) -> bool:
        bytes_open = self._weights[answers] < self._limits.window_bytes_max
        return bytes_open and self._counts[answers] < self._limits.window_batches_max

    def _next(self, reader: Reader) -> list[Message]:
        if self._claiming and (batches := self._stream(reader)):
            return batches
        if self._jobs and (batch := self._lacking(reader)).items:
            return [self._entries(batch)]
        if not self._claiming and self._compared:
            self._claiming = True
            return [self._entries(_Batch(0), upto=self._base)]
        return []

    def _stream(self, reader: Reader) -> list[Message]:
        """The next of our log in order of arrival: a batch of entries and one of announcements, or neither."""
        enough = self._scanned + SCANS_MAX
        if self._claimed == self._position == reader.last_arrival():
            return []
        while True:
            batch = _Batch(self._limits.batch_bytes_max)
            named: list[Announcement] = []
            last: dict[bytes, int] = {}
            scanned = 0
            position = self._position
            full = False
            new, last_arrival = self._next_new(reader)
            for entry, arrival, received_from, scopes, key in new:
                if received_from != self._peer and self._travels(reader, entry, scopes):
                    if self._announce and received_from is not None:
                        _name(named, last, entry, key)
                    else:
                        item = self._item(entry)
                        if not batch.fits(_weight(item)):
                            full = True
                            break
                        batch.add(item, entry)
                        self._held.add(entry)
                scanned += 1
                position = arrival
            self._scanned += scanned
            named = [one for one in named if not self._held.names(one.feed_key, one.head)]  # the peer said so first
            exhausted = not full and scanned < SCAN_MAX
            self._position = last_arrival if exhausted else position
            if batch.items or named:
                break
            if not exhausted and self._scanned >= enough:
                return [self._entries(batch, upto=self._position)]
            if exhausted:
                # A cursor of 0 says nothing to the next session, so the first claim is not put off.
                late = self._position - self._claimed >= (CLAIM_EVERY if self._claimed else 1)
                behind = self._claimed < self._base or late
                return [self._entries(batch, upto=self._position)] if behind else []
        if not named:
            return [self._entries(batch, upto=self._position)]
        entries: list[Message] = [self._entries(batch)] if batch.items else []
        return [*entries, self._announcement(reader, named)]

    def _next_new(self, reader: Reader) -> tuple[Iterable[New], int]:
        """The next ``SCAN_MAX`` entries of our log, and after which arrival there are more if there are fewer."""
        grown, self._grown = self._grown, None
        last = reader.last_arrival()
        if grown is not None and grown.new and grown.after == self._position and grown.upto == last:
            return grown.new, last
        return _read(reader, self._position, SCAN_MAX), last

    def _travels(self, reader: Reader, entry: Entry, scopes: Set[Scope]) -> bool:
        if self._shared.isdisjoint(scopes):
            return False
        # Of our own latest feeds the log keeps what was replaced; the peer needs the newest.
        return entry.feed is FeedType.WHOLE or entry.head in reader.heads(entry.feed_id)

    def _lacking(self, reader: Reader) -> _Batch:
        """The next of what a comparison has found."""
        batch = _Batch(self._limits.batch_bytes_max)
        while self._jobs:
            rank, number, job = heapq.heappop(self._jobs)
            if isinstance(job, Send):
                rest: Send | SendAll | None = self._fill(reader, batch, job, whole=False)
            else:
                rest = self._fill_all(reader, batch, job)
            if rest is not None:
                heapq.heappush(self._jobs, (rank, number, rest))
                break
        return batch

    def _fill_all(self, reader: Reader, batch: _Batch, job: SendAll) -> SendAll | None:
        for key, _ in reader.feeds(job.scope, job.low, job.high):
            rest = self._fill(reader, batch, Send(job.scope, key), whole=False)
            if rest is not None:
                self.lacks([rest])
                return SendAll(job.scope, key + b"\x00", job.high)
        return None

    def _answer(self, reader: Reader) -> Message:
        wish = self._wishes[0]
        batch = _Batch(self._limits.batch_bytes_max)
        while wish.feeds:
            rest = self._fill(reader, batch, wish.feeds[0], whole=True)
            if rest is not None:
                wish.feeds[0] = rest
                return self._entries(batch, answering=True)
            wish.feeds.popleft()
        self._wishes.popleft()
        return self._entries(batch, answers=wish.number, answering=True)

    def _fill(self, reader: Reader, batch: _Batch, job: Send, *, whole: bool) -> Send | None:
        """Add the entries of one feed; return what did not fit."""
        for entry in self._entries_of(reader, job):
            item = entry.raw if whole else self._item(entry)
            if not batch.fits(_weight(item)):
                # Entries of one number (a fork) are told apart by their hashes.
                sent = frozenset(head.hash for _, head in batch.heads[-64:] if head.seq == entry.seq)
                return Send(job.scope, job.feed_key, entry.seq - 1, job.known | sent)
            batch.add(item, entry)
            self._held.add(entry)
        return None

    def _entries_of(self, reader: Reader, job: Send) -> Iterator[Entry]:
        feed = reader.feed_at(job.feed_key)
        heads = reader.heads(feed)
        first = reader.find(heads[0].hash) if heads else None
        if first is None:
            return
        if first.entry.feed is FeedType.WHOLE:
            found: Iterator[Stored | None] = iter(reader.entries(feed, job.after_seq))
        else:
            found = (reader.find(head.hash) for head in heads if head.seq > job.after_seq)
            for hash_ in job.known:
                if (base := reader.find(hash_)) is not None:
                    self._held.add(base.entry)
        travels: dict[ScopeClass, bool] = {}
        for stored in found:
            if stored is None or stored.entry.hash in job.known:
                continue
            entry = stored.entry
            if entry.scope not in travels:
                travels[entry.scope] = not self._shared.isdisjoint(reader.scopes(entry))
            if travels[entry.scope]:
                yield entry

    def _item(self, entry: Entry) -> bytes | Patch:
        """The entry as a patch if the peer holds one before it and that is shorter."""
        base = self._held.get(entry.feed_id, before=entry.seq)
        if base is None:
            return entry.raw
        changes = patch.diff(base, entry)
        if changes is None:
            return entry.raw
        item = Patch(feed_key(entry.feed_id), changes)
        return item if _weight(item) < len(entry.raw) else entry.raw

    def _entries(self, batch: _Batch, *, upto: int = 0, answers: int = 0, answering: bool = False) -> Message:
        number = self._open_batch(batch.heads, batch.weight, upto, answers=answering)
        return Entries(number, upto, answers, tuple(batch.items))

    def _announcement(self, reader: Reader, named: list[Announcement]) -> Message:
        heads = [(reader.feed_at(item.feed_key), item.head) for item in named]
        number = self._open_batch(heads, ITEM_BYTES * len(named), self._position, answers=False)
        return Announce(number, self._position, tuple(named))

    def _open_batch(self, heads: list[tuple[FeedId, Head]], weight: int, upto: int, *, answers: bool) -> int:
        self._batch += 1
        self._claimed = max(self._claimed, upto)
        if self._base_batch is None and upto >= self._base:
            self._base_batch = self._batch
        self._unacknowledged[self._batch] = _Sent(heads, weight, answers)
        self._weights[answers] += weight
        self._counts[answers] += 1
        return self._batch


def _read(reader: Reader, after: int, limit: int) -> Iterator[New]:
    return (
        New(
            stored.entry,
            stored.arrival,
            stored.received_from,
            reader.scopes(stored.entry),
            feed_key(stored.entry.feed_id),
        )
        for stored in reader.arrivals(after, limit)
    )


def _name(named: list[Announcement], last: dict[bytes, int], entry: Entry, key: bytes) -> None:
    """Add an entry to what is announced: of a whole feed the last stands for all before it, which the peer wants with it."""
    announcement = Announcement(key, entry.head)
    if entry.feed is FeedType.WHOLE:
        before = last.get(announcement.feed_key)
        if before is not None and named[before].head.seq < entry.seq:
            named[before] = announcement
            return
        last[announcement.feed_key] = len(named)
    named.append(announcement)


def _weight(item: bytes | Patch) -> int:
    return len(item) if isinstance(item, bytes) else len(item.changes) + len(item.feed_key)
