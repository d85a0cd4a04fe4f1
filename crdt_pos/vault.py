"""The vault: a till seals what only its store has, segment after segment, and knows how far that is safe outside of the store.

Sealed is what this till has signed in its store's scopes: its journal, its patrons, variances and balances, and the summary
of a date once it is closed (until then it follows from the journal). And what others than tills have said in the store's own
scope: enrolments, cashiers. So a burnt store comes back from its vault and the company's scope alone. What may have to be
destroyed one day, persons' names and their keys, is never sealed.

A segment is safe outside once a replica of another store, a head office or a relay has acknowledged it from its disk
(``DURABLE``). A till that has no session with one asks its neighbours what they know of that: a table, author → head. Such a
word moves only a lamp.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Final, cast

from crdt_pos import own_heads
from crdt_pos.identity import Identity
from crdt_pos.persons import PERSON, PERSON_KEY
from crdt_pos.schema import DAY, JOURNAL, SCHEMA, VAULT
from crdt_pos.sealing_segments import Segment, seal_segment, split
from crdt_pos.till_state import TillState
from gossip.document import Document, FeedType, ScopeClass
from gossip.entry import HASH_BYTES, Entry, FeedId, Hash, Head
from gossip.ingest import AuthorRecord
from gossip.log import Log, Reader, Stored, View
from gossip.own_feed import OwnFeed
from merge_rules import canonical, shape
from merge_rules.dataclass import dataclass
from merge_rules.errors import InvalidBody, NotCanonical
from merge_rules.lattice import Author
from peers.certificates import Certificate
from peers.permissions import Role

TOPIC: Final = "vault"
SCAN_MAX: Final = 20_000
"""Arrivals looked at in one go."""
JOURNALS_MAX: Final = 3
"""How many of the newest business dates are looked at for what is not safe outside yet."""
SEQ_MAX: Final = 2**40

_SEALED_KEY: Final = b"vault/sealed"
_SEGMENT_PREFIX: Final = b"vault/segment/"
_OUTSIDE_KEY: Final = b"vault/outside"


def vault_document(store: int, till: int) -> Document:
    """``vault/<store>/<till>``."""
    return Document(VAULT, keys=(store, till))


class Vault:
    """A till's own, on its log. Call ``seal`` from the thread that appends."""

    def __init__(
        self, log: Log, identity: Identity, recovery_key: bytes, lookup: Callable[[Author], AuthorRecord | None]
    ) -> None:
        self._log = log
        self._who = identity
        self._recovery_key = recovery_key
        self._lookup = lookup
        self._scanned = 0
        self.more = False
        """Whether there was more than is looked at in one go: seal again."""

    def has_news(self, reader: Reader) -> bool:
        """Whether there is anything to seal."""
        upto, entries = self._unsealed(reader)
        if not entries:
            self._scanned = upto
        return bool(entries)

    def seal(self, now_ms: int, views: Sequence[View] = ()) -> int:
        """Seal and append what has come since the last segment; how many segments that took. ``views`` go with them."""
        with self._log.read() as reader:
            upto, entries = self._unsealed(reader)
            if not entries:
                self._scanned = upto
                return 0
            document = vault_document(self._who.store, self._who.till)
            feed = OwnFeed.read(reader, self._who.key, self._who.author, document, SCHEMA[VAULT])
            bodies = [self._body(part) for part in split(entries)]
            arrivals = feed.arrivals(bodies, now_ms << 16)
            written = [(_SEALED_KEY, upto.to_bytes(8, "big")), *own_heads.newest_views(reader, arrivals), *views]
            if not self.more:
                until = [now_ms, {day: head.seq for day, head in _journal_heads(reader, self._who).items()}]
                written.append((_segment_key(feed.seq), canonical.encode(until)))
        self._log.append(arrivals, written, received_ms=now_ms)
        self._scanned = upto
        return len(bodies)

    def _body(self, entries: Sequence[Entry]) -> object:
        journals = {
            entry.document.day: entry.head
            for entry in entries
            if entry.document.kind == JOURNAL and entry.author == self._who.author
        }
        return seal_segment(Segment(tuple(entries), journals), self._recovery_key)

    def _unsealed(self, reader: Reader) -> tuple[int, list[Entry]]:
        """Up to which arrival was looked, and what is to be sealed of it."""
        after = max(self._scanned, int.from_bytes(reader.view(_SEALED_KEY) or b"", "big"))
        arrived = list(reader.arrivals(after, SCAN_MAX))
        self.more = len(arrived) == SCAN_MAX
        upto = arrived[-1].arrival if self.more else reader.last_arrival()
        open_day = TillState.read(reader).open_day
        return upto, [
            stored.entry for stored in arrived if self._only_here(stored, open_day) and _current(reader, stored.entry)
        ]

    def _only_here(self, stored: Stored, open_day: int) -> bool:
        entry = stored.entry
        if entry.author == self._who.author:
            kind = entry.document.kind
            if kind in (PERSON, PERSON_KEY) or (kind == DAY and entry.document.day == open_day):
                return False
            return entry.scope in (ScopeClass.JOURNAL, ScopeClass.STORE, ScopeClass.PATRONS)
        if entry.scope is not ScopeClass.STORE:
            return False
        author = self._lookup(entry.author)
        return author is not None and author.role is not Role.TILL


def _current(reader: Reader, entry: Entry) -> bool:
    return entry.feed is FeedType.WHOLE or entry.head in reader.heads(entry.feed_id)


def _journal_heads(reader: Reader, who: Identity) -> dict[int, Head]:
    """Day → the newest act, of the newest dates."""
    found: dict[int, Head] = {}
    for document in list(reader.documents(JOURNAL))[-JOURNALS_MAX:]:
        heads = reader.heads(FeedId(document, who.author))
        if heads:
            found[document.day] = heads[-1]
    return found


@dataclass(frozen=True, slots=True)
class Safe:
    """What of a till's acts is safe outside of its store."""

    until_ms: int = 0
    """What it did before this moment is; 0 if nothing is."""
    waiting: int = 0
    """Acts that are not, of the newest dates."""


def sealed_in(reader: Reader, author: Author, day: int, seq: int) -> tuple[int, bool] | None:
    """The segment by which an act of the till here stands in its vault, and whether that is safe outside of the store.

    ``None``: in none yet. Segments before the newest that is safe outside are not remembered: then it is that one.
    """
    outside = _table(reader.view(_OUTSIDE_KEY) or b"\xa0").get(author)
    for key, kept in reader.views(_SEGMENT_PREFIX):
        _, covered = cast("tuple[int, dict[int, int]]", tuple(cast("list[object]", canonical.decode(kept))))
        if covered.get(day, 0) >= seq:
            number = int.from_bytes(key[len(_SEGMENT_PREFIX) :], "big")
            return number, outside is not None and outside.seq >= number
    return None


class Outside:
    """How far the vaults of a store are safe outside of it."""

    def __init__(self, log: Log, store: int, me: Author) -> None:
        self._log = log
        self._store = store
        self._me = me
        # Acknowledgements come on the event loop, transactions are made up on worker threads.
        self._lock = threading.Lock()
        with log.read() as reader:
            self._heads = _table(reader.view(_OUTSIDE_KEY) or b"\xa0")
        self._unsaved = False

    def acknowledged(self, peer: Certificate, heads: Sequence[tuple[FeedId, Head]]) -> None:
        """A peer has these on its disk."""
        if peer.store != self._store:
            for feed, head in heads:
                if feed.document.kind == VAULT and feed.document.keys[0] == self._store:
                    self._note(feed.author, head)

    def table(self) -> bytes:
        """What a neighbour is told."""
        with self._lock:
            return canonical.encode({author: [head.seq, head.hash] for author, head in self._heads.items()})

    def hear(self, reader: Reader, content: bytes) -> None:
        """What a neighbour knows; heads that are not here are passed over."""
        for author, head in _table(content).items():
            found = reader.find(head.hash)
            if found is not None and found.entry.document.kind == VAULT and found.entry.head == head:
                self._note(author, head)

    def behind(self, reader: Reader) -> bool:
        """Whether the newest segment of any till of the store is not known to be safe outside."""
        for document in reader.documents(VAULT):
            if document.keys[0] == self._store:
                for author in reader.authors(document):
                    heads = reader.heads(FeedId(document, author))
                    if heads and self._seq(author) < heads[-1].seq:
                        return True
        return False

    def unsaved(self) -> list[View]:
        """The view to write with the next transaction, if it says anything new."""
        with self._lock:
            changed, self._unsaved = self._unsaved, False
        return [(_OUTSIDE_KEY, self.table())] if changed else []

    def past(self, reader: Reader) -> list[View]:
        """The views that forget what newer segments that are safe outside say better."""
        newest = _segment_key(self._seq(self._me))
        return [(key, None) for key, _ in reader.views(_SEGMENT_PREFIX) if key < newest]

    def safe(self, reader: Reader, who: Identity) -> Safe:
        """How it stands with a till's own acts."""
        newest = _segment_key(self._seq(self._me))
        until_ms, covered = 0, dict[int, int]()
        for key, kept in reader.views(_SEGMENT_PREFIX):
            if key > newest:
                break
            until_ms, covered = cast("tuple[int, dict[int, int]]", tuple(cast("list[object]", canonical.decode(kept))))
        heads = _journal_heads(reader, who)
        return Safe(until_ms, sum(head.seq - covered.get(day, 0) for day, head in heads.items()))

    def _seq(self, author: Author) -> int:
        with self._lock:
            head = self._heads.get(author)
            return 0 if head is None else head.seq

    def _note(self, author: Author, head: Head) -> None:
        with self._lock:
            known = self._heads.get(author)
            if known is None or known.seq < head.seq:
                self._heads[author] = head
                self._unsaved = True


def _segment_key(seq: int) -> bytes:
    return _SEGMENT_PREFIX + seq.to_bytes(8, "big")


def _table(content: bytes) -> dict[Author, Head]:
    """What a neighbour says; nothing if that has no shape."""
    found: dict[Author, Head] = {}
    try:
        for author, head in shape.mapping(canonical.decode(content), "a table").items():
            seq, hash_ = shape.array(head, "a head")[:2]
            found[shape.author(author)] = Head(
                shape.integer(seq, 1, SEQ_MAX, "a number"), Hash(shape.octets(hash_, "a hash", HASH_BYTES))
            )
    except (NotCanonical, InvalidBody, ValueError):
        return {}
    return found
