"""Yjs document: a flat map of text to bytes that any author edits, key by key. The one file that knows pycrdt.

A state is the set of updates, by author and number of the entry that carries them, and how far snapshots cover each author's
feed. What it shows is a function of that set alone: the updates are applied in one fixed order, so that authors who contradict
themselves are read alike everywhere. Values are bytes, since pycrdt turns integers into floats.

pycrdt (0.14.13) is kept from what it gets wrong: updates whose predecessors are missing wait here, not in its document (of four
updates given to it as first, fourth, third, second, it loses one); rubbish is refused before it gets there; equal state vectors
do not prove equal content, since deletions have no clocks (y-crdt#632), so a content hash stands beside them.

An entry's body is ``{0: update}`` with structs of its author's client id only, or a snapshot: ``{0: update, 1: {author:
number}, 2: content hash}``, an update that needs nothing and stands for all entries up to those numbers.

>>> from merge_rules.lattice import Author
>>> north, south = Author(b"north..."), Author(b"south...")
>>> here = there = DocumentYjs.bottom()
>>> here = here.join(DocumentYjs.from_entry(north, 1, here.edit_body(north, {"tea": b"199", "milk": b"89"})))
>>> there = there.join(DocumentYjs.from_entry(south, 1, there.edit_body(south, {"bread": b"249"})))
>>> both = here.join(there)
>>> both == there.join(here), both.items()
(True, {'bread': b'249', 'milk': b'89', 'tea': b'199'})
>>> small = both.join(DocumentYjs.from_entry(south, 2, both.snapshot_body()))
>>> small.items() == both.items(), len(both.updates), len(small.updates)
(True, 2, 1)

Reference: Nicolaescu et al., Near Real-Time Peer-to-Peer Shared Editing on Extensible Data Types (2016).
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import field
from typing import TYPE_CHECKING, Any, Self, cast

from merge_rules import canonical, shape, yjs_update
from merge_rules.dataclass import dataclass
from merge_rules.dots import Dot, checked_dot, vector_from_body
from merge_rules.errors import InvalidBody, NotAllowed
from merge_rules.lattice import Author
from merge_rules.yjs_update import Clocks, Update

if TYPE_CHECKING:
    import pycrdt

UPDATE, COVERS, CONTENT = 0, 1, 2
_FIELDS = frozenset({UPDATE, COVERS, CONTENT})
CONTENT_HASH_BYTES = 32


def client_id(author: Author) -> int:
    """The Yjs client of an author: the last 53 bits of its id."""
    return int.from_bytes(author, "big") & yjs_update.CLIENT_MAX


def content_hash(items: Mapping[str, bytes]) -> bytes:
    """SHA-256 over the canonical encoding of the map: equal iff the content is."""
    return hashlib.sha256(canonical.encode(dict(items))).digest()


class OpenDocument:
    """A document to read and edit step by step, for who keeps one open. Belongs to the thread that made it.

    After ``InvalidBody`` from ``apply`` it must be thrown away.
    """

    def __init__(self, author: Author | None = None) -> None:
        """An empty document, edited as ``author``; one without an author is only read."""
        import pycrdt  # with what it brings along a tenth of a start, and most processes never open a document

        self.author = author
        self.known: Clocks = {}
        """The state vector."""
        self.refused: bytes | None = None
        """The update because of which ``apply`` failed."""
        self._doc = pycrdt.Doc[Any](client_id=0 if author is None else client_id(author))
        self._map = self._doc.get(yjs_update.ROOT, type=pycrdt.Map[Any])
        self._waiting: dict[int, list[tuple[Update, bytes]]] = {}
        self._changed: set[str] = set()

    @property
    def waiting(self) -> int:
        """How many updates wait for their predecessors."""
        return sum(map(len, self._waiting.values()))

    def apply(self, update: bytes) -> frozenset[str]:
        """Apply ``update``, and those that waited for it, or let it wait; return the keys that this touched.

        Applying again changes nothing. Raises ``InvalidBody``.
        """
        self._changed.clear()
        # Only while it applies: what observes a document keeps it in memory for ever, since the cycle runs through Rust.
        subscription = self._map.observe(self._note)
        try:
            self._apply(update)
        finally:
            self._map.unobserve(subscription)
        return frozenset(self._changed)

    def _apply(self, update: bytes) -> None:
        ready = [(yjs_update.parse(update), update)]
        while ready:
            parsed, encoded = ready.pop()
            lacking = next((client for client, n in parsed.needs.items() if n > self.known.get(client, 0)), None)
            if lacking is not None:
                self._waiting.setdefault(lacking, []).append((parsed, encoded))
                continue
            self.refused = encoded
            with _translated():
                self._doc.apply_update(encoded)
            self.refused = None
            self.known = parsed.grown(self.known)
            for client in parsed.ends:
                ready += self._waiting.pop(client, [])

    def edit(self, changes: Mapping[str, bytes | None]) -> bytes | None:
        """Set keys to bytes, or delete them (``None``), and return the update; ``None`` if nothing changes.

        Raises ``InvalidBody`` for other values or a key that is too long; then nothing is changed.
        """
        assert self.author is not None, "a document without an author is only read"
        for key, value in changes.items():
            _check_change(key, value)
        updates: list[bytes] = []
        subscription = self._doc.observe(lambda event: updates.append(event.update))
        try:
            with _translated(), self._doc.transaction():
                for key, value in changes.items():
                    if value is None and key in self._map:
                        del self._map[key]
                    elif value is not None and self.get(key) != value:
                        self._map[key] = value
        finally:
            self._doc.unobserve(subscription)
        if not updates:
            return None
        self.known = yjs_update.parse(updates[0]).grown(self.known)
        return updates[0]

    def set(self, key: str, value: bytes) -> bytes | None:
        """Set one key; see ``edit``."""
        return self.edit({key: value})

    def delete(self, key: str) -> bytes | None:
        """Delete one key; see ``edit``."""
        return self.edit({key: None})

    def get(self, key: str) -> bytes | None:
        """The value of a key."""
        return bytes(self._map[key]) if key in self._map else None

    def items(self) -> dict[str, bytes]:
        """All keys, ascending, with their values."""
        with self._doc.transaction():
            return {key: bytes(self._map[key]) for key in sorted(cast("Iterable[str]", self._map.keys()))}

    def content_hash(self) -> bytes:
        """Equal iff the content is; see ``content_hash``."""
        return content_hash(self.items())

    def update_since(self, known: Clocks) -> bytes:
        """One update that brings a document with state vector ``known`` here. What waits is not in it."""
        with _translated():
            return self._doc.get_update(yjs_update.state_vector(known))

    def _note(self, event: pycrdt.MapEvent) -> None:
        self._changed.update(cast("Any", event).keys)


@dataclass(frozen=True)
class DocumentYjs:
    """The updates that no snapshot covers, and how far snapshots cover."""

    updates: Mapping[Dot, frozenset[bytes]] = field(default_factory=dict[Dot, frozenset[bytes]])
    """By author and number of the entry; several only where the author used a number twice."""
    covered: Mapping[Author, int] = field(default_factory=dict[Author, int])
    """Of each author: up to which number its entries are in a snapshot."""
    _items: list[dict[str, bytes]] = field(
        default_factory=list[dict[str, bytes]], init=False, repr=False, compare=False
    )

    @classmethod
    def bottom(cls) -> Self:
        """The empty document."""
        return cls()

    def join(self, other: Self) -> Self:
        """The updates of both that no snapshot of either covers."""
        covered = dict(self.covered)
        for author, seq in other.covered.items():
            covered[author] = max(seq, covered.get(author, 0))
        updates = dict(self.updates)
        for dot, encodings in other.updates.items():
            updates[dot] = updates[dot] | encodings if dot in updates else encodings
        kept = {dot: encodings for dot, encodings in updates.items() if dot[1] > covered.get(dot[0], 0)}
        return type(self)(kept, covered)

    def precedes(self, other: Self) -> bool:
        """Whether ``other`` has, or covers, every update that is here."""
        return self.join(other) == other

    def body(self) -> object:
        """``[{author: [[number, [updates]], …]}, {author: number}]``, ascending."""
        updates: dict[Author, list[object]] = {}
        for author, seq in sorted(self.updates):
            updates.setdefault(author, []).append([seq, sorted(self.updates[author, seq])])
        return [updates, dict(self.covered)]

    @classmethod
    def from_body(cls, body: object) -> Self:
        """The state that ``body`` encodes. Raises ``InvalidBody``."""
        parts = shape.array(body, "a document")
        if len(parts) != 2:
            shape.refuse("a document has not two parts")
        covered = vector_from_body(parts[1])
        updates: dict[Dot, frozenset[bytes]] = {}
        for key, value in shape.mapping(parts[0], "updates").items():
            author, last = shape.author(key), covered.get(shape.author(key), 0)
            pairs = shape.array(value, "an author's updates")
            if not pairs:
                shape.refuse("an author without updates")
            for item in pairs:
                pair = shape.array(item, "a number and its updates")
                if len(pair) != 2:
                    shape.refuse("a number and its updates have not two parts")
                dot = checked_dot(
                    author, shape.integer(pair[0], last + 1, 2**63, "a number above the last and the covered")
                )
                encodings = shape.array(pair[1], "updates")
                if not encodings or encodings != sorted({shape.octets(one, "an update") for one in encodings}):
                    shape.refuse("updates do not ascend")
                updates[dot] = frozenset(_parsed(one)[1] for one in encodings)
                last = dot[1]
        return cls(updates, covered)

    @classmethod
    def from_entry(cls, author: Author, seq: int, body: object) -> Self:
        """One update, or a snapshot, which is applied to an empty document and must show the hash. Raises ``InvalidBody``."""
        dot = checked_dot(author, seq)
        given = shape.fields(body, _FIELDS, "an update")
        if UPDATE not in given:
            shape.refuse("an update without an update")
        parsed, encoded = _parsed(given[UPDATE])
        if len(given) == 1:
            if parsed.starts.keys() - {client_id(author)}:
                shape.refuse("an update with structs of another author's client")
            return cls({dot: frozenset({encoded})})
        if len(given) != len(_FIELDS):
            shape.refuse("a snapshot without covers or content hash")
        covers = vector_from_body(given[COVERS])
        if not covers or covers.get(author, 0) >= seq:
            shape.refuse("a snapshot that covers nothing, or itself")
        if parsed.needs:
            shape.refuse("a snapshot that needs other updates")
        document = OpenDocument()
        document.apply(encoded)
        if given[CONTENT] != document.content_hash():
            shape.refuse("a snapshot that does not show the content of its hash")
        return cls({dot: frozenset({encoded})}, covers)

    def entry_body(self, author: Author) -> object:
        """Of a delta, the body of the entry that it came from; ``{}`` if it holds nothing of ``author``."""
        newest = max((dot for dot in self.updates if dot[0] == author), default=None)
        if newest is None:
            return {}
        encoded = min(self.updates[newest])
        if not self.covered:
            return {UPDATE: encoded}
        alone = type(self)({newest: frozenset({encoded})})
        return {UPDATE: encoded, COVERS: dict(self.covered), CONTENT: alone.content_hash()}

    def edit_body(self, author: Author, changes: Mapping[str, bytes | None]) -> object | None:
        """The body by which ``author`` sets keys, or deletes them (``None``), in one update; ``None`` if nothing changes.

        The state must hold all that ``author`` ever signed in this document. Raises ``InvalidBody`` for a key or value out of
        bounds, ``NotAllowed`` while an update of the author's own waits.
        """
        document = self.open(author)
        mine = client_id(author)
        written = (yjs_update.parse(one).ends.get(mine, 0) for encodings in self.updates.values() for one in encodings)
        if max(written, default=0) > document.known.get(mine, 0):
            raise NotAllowed("updates of this author's own wait for others: edit when those are here")
        update = document.edit(changes)
        return None if update is None else {UPDATE: update}

    def snapshot_body(self) -> object:
        """The body of a snapshot of everything here, after which the entries it covers may be dropped.

        Raises ``NotAllowed`` where something is missing: an entry of a feed, or an update that others wait for; or where there
        is nothing to cover.
        """
        covers = dict(self.covered)
        for author, seq in sorted(self.updates):
            if seq != covers.get(author, 0) + 1:
                raise NotAllowed("an entry before the newest is not here, so a snapshot would lose it")
            covers[author] = seq
        document = self.open()
        if document.waiting or not covers:
            raise NotAllowed("updates wait for others that are not here, or there are none")
        return {UPDATE: document.update_since({}), COVERS: covers, CONTENT: document.content_hash()}

    def open(self, author: Author | None = None) -> OpenDocument:
        """A new open document with everything here applied, in the order of entries, to be edited as ``author``."""
        encodings = [encoded for dot in sorted(self.updates) for encoded in sorted(self.updates[dot])]
        while True:
            document = OpenDocument(author)
            try:
                for encoded in encodings:
                    document.apply(encoded)
            except InvalidBody:
                # A join never fails: what the library cannot take is left out, on every replica alike.
                encodings.remove(cast("bytes", document.refused))
            else:
                return document

    def items(self) -> Mapping[str, bytes]:
        """All keys, ascending, with their values. Read once, then remembered."""
        if not self._items:
            self._items.append(self.open().items())
        return self._items[0]

    def get(self, key: str) -> bytes | None:
        """The value of a key."""
        return self.items().get(key)

    def content_hash(self) -> bytes:
        """Equal iff the content is; see ``content_hash``."""
        return content_hash(self.items())

    def state_vector(self) -> Clocks:
        """Client → how many of its structs are applied."""
        return self.open().known

    def waiting(self) -> int:
        """How many updates wait for their predecessors."""
        return self.open().waiting

    def changed(self, after: Self) -> frozenset[str]:
        """The keys whose values differ between this state and ``after``."""
        old, new = self.items(), after.items()
        return frozenset(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))


def _check_change(key: object, value: object) -> None:
    shape.encoded(key)
    if not isinstance(key, str) or len(key.encode()) > yjs_update.KEY_BYTES_MAX:
        shape.refuse(f"a key is no text of at most {yjs_update.KEY_BYTES_MAX} bytes")
    if value is not None and not isinstance(value, bytes):
        shape.refuse("a value is not bytes")


def _parsed(value: object) -> tuple[Update, bytes]:
    encoded = shape.octets(value, "an update")
    return yjs_update.parse(encoded), encoded


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except (ValueError, KeyError, TypeError, OverflowError, RuntimeError) as error:
        raise InvalidBody(f"pycrdt: {error}") from error
    except BaseException as error:
        # A panic in Rust arrives as a class that cannot be imported and is no Exception.
        if type(error).__name__ == "PanicException":
            raise InvalidBody(f"pycrdt: {error}") from error
        raise
