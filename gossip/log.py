"""The log: one interface for everything that a replica keeps. Two implementations: ``log_lmdb`` (disk), ``log_memory``.

Entries are appended in batches; a batch is one transaction, synced before ``append`` returns. With the entries go the heads,
the fingerprints (feed → document → month → scope), the arrival numbers and whatever *views* the layers above derive, so that
no reader ever sees one without the other.

Laws (one suite for both implementations, ``tests/log``):

- what ``append`` has returned is there after a power cut; what it has not returned is there whole or not at all;
- appending again changes nothing;
- heads, fingerprints and the join of a feed do not depend on the order of arrival;
- a replica's own head is never evicted, but for those of a document that is shredded (``gossip.schema.Kind.shreds``): of that
  nobody holds anything, whatever comes first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from enum import Enum
from typing import Final, NamedTuple, Protocol

from gossip.document import Document, Key, Scope, order_key
from gossip.entry import Entry, FeedId, Hash, Head
from merge_rules.dataclass import dataclass
from merge_rules.lattice import Author, Rule

FINGERPRINT_MODULUS = 2**256
AS_OF: Final = b"kept/as-of"
"""The view that says up to where sums were kept. It goes whenever the log is mended: entries may go then without a trace."""


class Outcome(Enum):
    """What became of one entry of a batch."""

    NEW = "new"
    KNOWN = "known"
    """Already here, or replaced by a newer one that is."""
    FORK = "fork"
    """New, and it contradicts an entry that is here: both are kept, and the pair is a proof."""
    BACK = "back"
    """It was lost to a damaged disk, and has its place again."""
    GAP = "gap"
    """Not appended: the entry before it in its ``whole`` feed is not here yet."""
    TOO_MANY = "too many"
    """Not appended: its author, who sent it itself, contradicts itself in this ``whole`` feed too often."""


NOT_HERE: Final = frozenset({Outcome.GAP, Outcome.TOO_MANY})
"""After these an entry is missing: no cursor may say that it is here."""


@dataclass(frozen=True, slots=True)
class Appended:
    """The result for one entry: ``arrival`` is its number in this log (0 unless new), ``rival`` the entry it contradicts."""

    outcome: Outcome
    arrival: int = 0
    rival: Hash | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """An entry as the log holds it."""

    entry: Entry
    arrival: int
    """From 1, ascending in this log only."""
    received_from: Author | None
    """The peer that sent it; ``None`` for our own."""
    received_ms: int
    """Wall clock when it was appended, milliseconds since 1970. For people; nothing is decided by it."""


class Fingerprint(NamedTuple):
    """Sum of the feeds' hashes mod 2**256, and how many feeds it covers. Adding a feed is ``+``, so order does not matter."""

    value: int = 0
    feeds: int = 0

    def plus(self, other: Fingerprint) -> Fingerprint:
        return Fingerprint((self.value + other.value) % FINGERPRINT_MODULUS, self.feeds + other.feeds)

    def minus(self, other: Fingerprint) -> Fingerprint:
        return Fingerprint((self.value - other.value) % FINGERPRINT_MODULUS, self.feeds - other.feeds)


def feed_key(feed: FeedId) -> bytes:
    """Orders feeds: month, day, kind, keys, author. Never longer than 250 bytes."""
    return order_key(feed.document) + feed.author


def feed_fingerprint(feed: FeedId, heads: Iterable[Head]) -> Fingerprint:
    """The fingerprint of one feed: SHA-256(feed key ‖ head hashes in ascending order) as an integer; nothing for no heads."""
    return fingerprint_of(feed_key(feed), [head.hash for head in heads])


def fingerprint_of(key: bytes, hashes: Iterable[Hash]) -> Fingerprint:
    """The same by feed key and head hashes."""
    ascending = sorted(hashes)
    return Fingerprint(fingerprint_value(key, ascending), 1) if ascending else Fingerprint()


def fingerprint_value(key: bytes, hashes: Iterable[Hash]) -> int:
    """The number in it; 0 for no heads."""
    ascending = sorted(hashes)
    return int.from_bytes(hashlib.sha256(key + b"".join(ascending)).digest(), "big") if ascending else 0


@dataclass(frozen=True, slots=True)
class Arrival:
    """An entry to append: checked (signature, permission, body) by the caller, unless ``quarantine`` says why it does not
    count: then it is kept apart, neither joined nor passed on."""

    entry: Entry
    received_from: Author | None = None
    quarantine: str | None = None
    body: Rule | None = None
    """What the rule of its kind has made of its body, if that is known: then it need not be made again."""


View = tuple[bytes, bytes | None]
"""A key of the views and its new value; ``None`` deletes. Keys are at most 400 bytes."""


@dataclass(frozen=True, slots=True)
class Looked:
    """A stretch of the log that was looked at row by row."""

    rows: int
    entries: tuple[Stored, ...]
    """Taken apart again from the disk's bytes, and found under their hashes; their signatures are not looked at."""
    damaged: bool
    """Whether any row of it is."""
    next: bytes
    """Where to go on; empty at the end."""


@dataclass(frozen=True, slots=True)
class Mended:
    """What was damaged, and has been put right or put aside."""

    rows: int = 0
    """Damaged rows that were removed."""
    lost: tuple[tuple[FeedId, Head], ...] = ()
    """Entries whose bytes are gone: to be fetched from peers."""
    derived: bool = False
    """Whether heads, hash index and sums were derived again from the entries."""
    views: tuple[bytes, ...] = ()
    """Views that are gone: to be derived again by whoever made them."""


class Reader(Protocol):
    """A snapshot of the log. Short-lived: an open snapshot keeps the disk from reusing pages."""

    def heads(self, feed: FeedId) -> tuple[Head, ...]:
        """The maximal entries of a feed: one of an honest author, none of an unknown one; ordered by (seq, hash)."""
        ...

    def authors(self, document: Document) -> Iterator[Author]:
        """The authors that have entries in a document, ascending."""
        ...

    def head_entries(self, document: Document) -> Iterator[Stored]:
        """The current entries of every author of a document (in ``whole`` feeds the tips only)."""
        ...

    def entries(self, feed: FeedId, after_seq: int = 0) -> Iterator[Stored]:
        """The entries of a feed that are held, by ascending (seq, hash). In ``latest`` feeds of others only the heads are.

        Those that are ``lost`` are left out of a ``whole`` feed. Raises ``EntryLost`` where a ``latest`` one is, which only
        can be our own: without it nothing may be signed.
        """
        ...

    def find(self, entry_hash: Hash) -> Stored | None:
        """The entry with this hash."""
        ...

    def beginning(self, digits: str, limit: int) -> Iterator[Stored]:
        """At most ``limit`` entries whose hash begins with these hexadecimal digits."""
        ...

    def documents(self, kind: str | None = None, day_from: int = 0, day_to: int = 2**16 - 1) -> Iterator[Document]:
        """The documents held, in log order. ``day_from`` and ``day_to`` are inclusive."""
        ...

    def last_arrival(self) -> int:
        """The newest arrival number; 0 in an empty log."""
        ...

    def arrivals(self, after: int, limit: int) -> Iterator[Stored]:
        """Entries in order of arrival, from ``after + 1``, at most ``limit``; entries replaced since then are left out. An
        account that becomes a store's patron arrives again, so that a cursor finds it."""
        ...

    def scopes(self, entry: Entry) -> frozenset[Scope]:
        """The scopes in which an entry travels now."""
        ...

    def fingerprint(self, scope: Scope, low: bytes = b"", high: bytes | None = None) -> Fingerprint:
        """The sum over the feeds of a scope whose feed key is in [low, high). Whole months and documents cost one read."""
        ...

    def feeds(
        self, scope: Scope, low: bytes = b"", high: bytes | None = None
    ) -> Iterator[tuple[bytes, tuple[Head, ...]]]:
        """Feed keys and heads of a scope in [low, high), in order."""
        ...

    def feed_at(self, key: bytes) -> FeedId:
        """The feed of a feed key (the reverse of ``feed_key``)."""
        ...

    def split(self, scope: Scope, low: bytes, high: bytes | None, parts: int) -> list[tuple[bytes | None, Fingerprint]]:
        """[low, high) cut into at most ``parts`` adjoining ranges of about equal count, each as the bound above it and its sum.

        Whole months and documents stay together where they are small enough. More than one range if there are two feeds.
        """
        ...

    def cursor(self, peer_database: bytes) -> int:
        """The arrival number of a peer's log up to which everything is here; 0 for an unknown log."""
        ...

    def view(self, key: bytes) -> bytes | None:
        """One derived value."""
        ...

    def views(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Derived values whose key has ``prefix`` and is at least ``start``, ascending."""
        ...

    def lost(self) -> Iterator[tuple[FeedId, Head]]:
        """Entries whose bytes were damaged on this disk, and which no peer has brought back yet."""
        ...

    def is_lost(self, entry_hash: Hash) -> bool:
        """Whether that is so of the entry with this hash."""
        ...

    def quarantined(self) -> Iterator[tuple[Stored, str]]:
        """Entries kept apart, with the reason; where only what counts is read, also those that do not."""
        ...

    def replaced(self) -> Iterator[int]:
        """The stamps of our own entries of ``latest`` feeds that a newer one has replaced. Costs a look at each."""
        ...

    @property
    def horizons(self) -> Mapping[tuple[str, Key], int]:
        """By kind and store, the day before which documents travel no more."""
        ...

    def shredded(self, document: Document) -> bool:
        """Whether a document is destroyed: nothing of it is here, and what comes of it is dropped."""
        ...

    def counts(self, entry: Entry) -> bool:
        """Whether an entry counts: that it lies after a cut-off of its author is the one reason why not."""
        ...

    def covers(self, feed: FeedId, seq: int, beginning: bytes) -> bool:
        """The same of an entry of a ``whole`` feed that is not here: its number and the beginning of its hash."""
        ...

    def revoked(self) -> frozenset[Author]:
        """The authors that are cut off."""
        ...

    def hides(self, entry_hash: Hash) -> bool:
        """Whether an entry is held and does not count."""
        ...

    def cut_off_digest(self) -> bytes:
        """Changes whenever something else may be cut off or readmitted; empty if nothing is."""
        ...


def entries_of(reader: Reader, document: Document) -> Iterator[Stored]:
    """Every entry of a document that is held: author by author, each author's by ascending (seq, hash)."""
    for author in reader.authors(document):
        yield from reader.entries(FeedId(document, author))


class Log(Protocol):
    """A replica's log. One handle per process and folder; ``append`` from one thread at a time."""

    @property
    def database(self) -> bytes:
        """A random 16-byte id of this log: cursors of peers are bound to it."""
        ...

    def append(
        self,
        arrivals: Sequence[Arrival],
        views: Iterable[View] = (),
        cursors: Iterable[tuple[bytes, int]] = (),
        received_ms: int = 0,
    ) -> list[Appended]:
        """Append a batch in one transaction and sync it. ``cursors`` stay where they are if an entry of it is a ``GAP``.

        Raises ``LogError``; then nothing of the batch is there.
        """
        ...

    def look(self, after: bytes, rows_max: int) -> Looked:
        """Look at the next rows after ``after`` (``b""``: from the beginning), in a snapshot of its own."""
        ...

    def mend(self, me: Author, spoilt: Collection[int] = (), *, derive: bool = False) -> Mended:
        """Remove every damaged row, and the entries with the arrival numbers ``spoilt``; in one synced transaction.

        What follows from entries is derived again, with ``derive`` even if it seems whole. An entry that is gone keeps its
        place in its ``whole`` feed, or, if it is the newest of ``me`` in a ``latest`` one; it is ``lost`` until appended again.
        Of others' ``latest`` feeds the entry is not known any more. Raises ``LogError``.
        """
        ...

    def prune(
        self, horizons: Mapping[tuple[str, Key], int], drop: Iterable[Document] = (), replaced_before_ms: int = 0
    ) -> int:
        """Let documents before their horizon (day, by kind and store) travel no more, remove those of them that are in ``drop``,
        and our own entries of ``latest`` feeds that were replaced and signed before a moment; in one synced transaction.

        Horizons only move on. What lies before one is in no scope and in no fingerprint, and is not taken from peers. Returns
        how many entries were removed. Raises ``LogError``.
        """
        ...

    def read(self) -> AbstractContextManager[Reader]:
        """A snapshot of what counts, for a ``with`` block. May be used from any thread."""
        ...

    def read_all(self) -> AbstractContextManager[Reader]:
        """The same of everything that is held, whether it counts or not: for what compares logs and passes entries on."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...
