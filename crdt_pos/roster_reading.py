"""The roster as a replica's log has it, read on from where it was read last.

Of every roster document its elements are kept by digest, with the additions and removals that decide whether they are in the set
(``merge_rules.set_remove_wins``); what they say goes into a ``peers.roll.Roll``. An entry that arrives is read alone. A document
is read anew where more than that has happened: somebody who wrote in it contradicts itself or was cut off. Enrolments that were
proven before are remembered (``crdt_pos.proven_views``). Law: after any entries in any order, the directory is that of a reading
that begins with the same log. Any thread may follow.
"""

from __future__ import annotations

import functools
import hashlib
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import field
from typing import Final, cast

from crdt_pos.proven_views import ProvenViews, Remembered
from crdt_pos.schema import ROSTER, ROSTER_STORE
from gossip.document import Document, order_key
from gossip.entry import Entry, FeedId, Hash, Head
from gossip.log import Reader, View, feed_key
from merge_rules import canonical
from merge_rules.dataclass import dataclass
from merge_rules.dots import Dot, dots_body, dots_from_body
from merge_rules.lattice import Author
from merge_rules.set_remove_wins import COVERED, ELEMENT, REMOVED, Addition, counted
from peers.certificates import Root, verify_chain
from peers.errors import InvalidElement
from peers.roll import Roll, Stated
from peers.roster import Chain, Directory, Enrolment, Record, RosterSet, from_element, proven

REMEMBERED_AT_ONCE: Final = 64
"""Fewer are proven again sooner than they are written down."""
_MEANINGS: Final = 1024

Heads = dict[Author, tuple[Head, ...]]
Followed = tuple[int, Hash | None]
"""Number and hash of the entry that the next one follows."""
_NOTHING: Final[Followed] = 0, None


@dataclass(slots=True)
class _Element:
    """An element, and who added and removed it."""

    additions: tuple[Addition, ...] = ()
    removals: frozenset[Dot] = frozenset()
    stated: Stated | None = None
    """``None``: it says nothing here, or was never added."""


@dataclass(slots=True)
class _Read:
    """A document as far as it was read."""

    document: Document
    heads: Heads = field(default_factory=dict[Author, "tuple[Head, ...]"])
    elements: dict[bytes, _Element] = field(default_factory=dict[bytes, _Element])
    """By the SHA-256 of their canonical encodings."""


class RosterReading:
    """The directory of one log, and what it takes to read on.

    ``remembered_at_once``: how many proven entries are worth a write.
    """

    def __init__(self, root: Root, remembered_at_once: int = REMEMBERED_AT_ONCE) -> None:
        self._remembered_at_once = remembered_at_once
        self._root = root
        self._roll = Roll(root)
        self._proven = ProvenViews(root)
        self._reads: dict[Document, _Read] = {}
        self._arrival: int | None = None
        """The newest entry of any kind when it was last read; ``None``: never."""
        self._cut_offs = b""
        self._revoked = frozenset[Author]()
        self._unsaved: list[tuple[bytes, Remembered]] = []
        self._turn = threading.Lock()

    def follow(self, reader: Reader, documents: Iterable[Document] | None = None) -> Directory:
        """The directory of everything in the log. ``documents``: those that may have grown; if not given, every one is looked at.

        A snapshot older than the last one changes nothing. Costs one verification of a signature for every new enrolment.
        """
        with self._turn:
            arrival = reader.last_arrival()
            if self._arrival is None or arrival >= self._arrival:
                for document in self._to_read(reader, documents):
                    self._read(reader, document)
                self._arrival = arrival
            return self._roll.directory()

    def show(self, chain: Sequence[bytes]) -> None:
        """Know a chain that a peer or our own folder has shown, and its office's. Raises ``CertificateError``."""
        verify_chain(chain, self._root)
        found = proven(tuple(chain), self._root)
        assert found is not None
        with self._turn:
            self._roll.show(found)

    def add_body(self, document: Document, element: object) -> object:
        """The body of an entry that adds ``element``, covering its removals as far as they were read. Raises ``InvalidBody``."""
        body = cast("dict[int, object]", RosterSet.bottom().add_body(element))
        read = self._reads.get(document)
        known = None if read is None else read.elements.get(_digest(canonical.encode(element)))
        return body if known is None or not known.removals else {**body, COVERED: dots_body(known.removals)}

    def unsaved(self) -> Iterator[View]:
        """What to keep of what was proven, once it is worth a write; then it is not returned again."""
        fresh: list[tuple[bytes, Remembered]] = []
        with self._turn:
            if len(self._unsaved) >= self._remembered_at_once:
                fresh, self._unsaved = self._unsaved, fresh
        for feed, one in fresh:
            with self._turn:
                views = self._proven.rows(feed, one)
            yield from views

    # What counts

    def _to_read(self, reader: Reader, documents: Iterable[Document] | None) -> Iterable[Document]:
        """Those that may have grown; where other entries may count than before, every one, and what counted is forgotten."""
        digest = reader.cut_off_digest()
        if digest != self._cut_offs or any(not self._revoked.isdisjoint(one.heads) for one in self._reads.values()):
            revoked = reader.revoked()
            concerned = revoked | self._revoked
            self._cut_offs, self._revoked, documents = digest, revoked, None
            self._roll.revoke(revoked)
            for read in [one for one in self._reads.values() if not concerned.isdisjoint(one.heads)]:
                self._forget(read)
        if documents is not None and self._arrival is not None:
            return dict.fromkeys(documents)
        return [document for kind in (ROSTER, ROSTER_STORE) for document in reader.documents(kind)]

    def _forget(self, read: _Read) -> None:
        del self._reads[read.document]
        for element in read.elements.values():
            if element.stated is not None:
                self._roll.forget(element.stated)

    # Reading

    def _read(self, reader: Reader, document: Document) -> None:
        heads = {author: reader.heads(FeedId(document, author)) for author in reader.authors(document)}
        read = self._reads.get(document)
        if read is not None and read.heads == heads:
            return
        if read is not None and not self._continues(read.heads, heads):
            self._forget(read)
            read = None
        if read is None:
            read = self._reads[document] = _Read(document)
        touched: dict[bytes, _Element] = {}
        for author, tips in heads.items():
            before = read.heads.get(author)
            if before != tips:
                in_line = self._read_feed(reader, read, FeedId(document, author), before, tips, touched)
                read.heads[author] = tips if in_line else ()
        for element in touched.values():
            if element.stated is not None:
                self._roll.turn(element.stated, present=counted(element.additions, element.removals))

    def _continues(self, before: Heads, after: Heads) -> bool:
        """Whether the feeds that were read have only grown, each in one line."""
        for author, tips in before.items():
            now = after.get(author, ())
            if now != tips and not (len(tips) == len(now) == 1 and now[0].seq > tips[0].seq):
                return False
        return True

    def _read_feed(
        self,
        reader: Reader,
        read: _Read,
        feed: FeedId,
        before: tuple[Head, ...] | None,
        tips: tuple[Head, ...],
        touched: dict[bytes, _Element],
    ) -> bool:
        """Read on after ``before``; whether all that leads to the feed's one head was here, so that it can be read on from."""
        key, honest = feed_key(feed), len(tips) == 1 and feed.author not in self._revoked
        remembers = honest and feed.document.kind == ROSTER_STORE
        followed: Followed = (before[0].seq, before[0].hash) if before else _NOTHING
        for one in self._remembered(reader, feed, tips[0]) if remembers and not before else ():
            if one.chain is not None:
                addition = (feed.author, one.seq), frozenset[Dot]()
                self._add(read, one.digest, addition, Stated(one.chain), touched)
            elif (stored := reader.find(one.hash)) is not None:
                self._take(read, stored.entry, touched)
            else:
                honest = False
            followed = one.seq, one.hash
        for stored in reader.entries(feed, followed[0]):
            entry = stored.entry
            digest, chain = self._take(read, entry, touched)
            if (entry.seq - 1, entry.previous) == followed:
                followed = entry.seq, entry.hash
                if remembers:
                    self._unsaved.append((key, Remembered(entry.seq, entry.hash, digest, chain)))
        return honest and followed == (tips[0].seq, tips[0].hash)

    def _remembered(self, reader: Reader, feed: FeedId, head: Head) -> list[Remembered]:
        """What is remembered of the entries that lead to ``head``."""
        found = list(self._proven.of_feed(reader, feed_key(feed)))
        if not found or found[-1].seq > head.seq:
            return []
        if found[-1].seq == head.seq:
            return found if found[-1].hash == head.hash else []
        after = next(reader.entries(feed, found[-1].seq), None)
        return found if after is not None and after.entry.previous == found[-1].hash else []

    def _take(self, read: _Read, entry: Entry, touched: dict[bytes, _Element]) -> tuple[bytes, Chain | None]:
        """What an entry does. Of a proven enrolment that does nothing else, digest and chain."""
        body = cast("dict[int, object]", entry.body)
        dot = entry.author, entry.seq
        if REMOVED in body:
            digest, _, _ = _meaning(canonical.encode(body[REMOVED]))
            element = touched[digest] = read.elements.setdefault(digest, _Element())
            element.removals |= {dot}
        if ELEMENT not in body:
            return b"", None
        digest, encoded, record = _meaning(canonical.encode(body[ELEMENT]))
        covers = dots_from_body(body[COVERED]) if COVERED in body else frozenset[Dot]()
        chain = proven(record.chain, self._root) if isinstance(record, Enrolment) else None
        stated = None if record is None else Stated(record, (order_key(read.document), encoded))
        if isinstance(record, Enrolment):
            stated = None if chain is None else Stated(chain)
        self._add(read, digest, (dot, covers), stated, touched)
        return (digest, chain) if len(body) == 1 else (b"", None)

    def _add(
        self, read: _Read, digest: bytes, addition: Addition, stated: Stated | None, touched: dict[bytes, _Element]
    ) -> None:
        element = read.elements.get(digest)
        if element is None:
            element = read.elements[digest] = _Element()
        touched[digest] = element
        element.additions = (*element.additions, addition)
        if element.stated is None and stated is not None:
            element.stated = stated
            self._roll.state(stated)


def _digest(encoded: bytes) -> bytes:
    return hashlib.sha256(encoded).digest()


@functools.lru_cache(maxsize=_MEANINGS)
def _meaning(encoded: bytes) -> tuple[bytes, bytes, Record | None]:
    """Digest, encoding and record of an element; many replicas of one process read the same."""
    try:
        return _digest(encoded), encoded, from_element(canonical.decode(encoded))
    except InvalidElement:
        return _digest(encoded), encoded, None
