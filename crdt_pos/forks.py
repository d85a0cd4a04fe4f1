"""Proofs of equivocation: two entries of one author that cannot both be honest, kept where the whole company reads them.

Whoever is proven to have contradicted itself holds no rights until the roster decides; what it said counts as a lower bound.
The proof is its own two signatures, so a stated proof that does not bear them out is slander, and counts against nobody.

Slander costs its reader once: an entry of proofs is *open* from the transaction that brings it until each of its pairs was
judged, so many at a time. Pairs whose accused is not known here *wait*, each under who stated it, until its certificate is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, cast

from crdt_pos.schema import FORKS, SCHEMA
from gossip.document import Document
from gossip.entry import HASH_BYTES, Entry, FeedId, Hash, decode
from gossip.errors import BadEntry
from gossip.ingest import AuthorLookup
from gossip.log import Arrival, Reader, View, entries_of
from gossip.own_feed import OwnFeed
from merge_rules.lattice import AUTHOR_BYTES, Author
from merge_rules.set_grow import SetGrow
from peers.keys import SecretKey

FORKS_DOCUMENT = Document(FORKS)
PAIRS_AT_ONCE: Final = 128
"""Pairs that are judged in one go: two signatures each."""

_LIAR_PREFIX: Final = b"forks/liar/"
_INDEXED: Final = b"forks/indexed"
"""There since the entries that were here before were opened."""
_OPEN: Final = b"forks/open/"
"""+ hash of an entry → how many of its pairs are judged."""
_WAITING: Final = b"forks/waiting/"
"""+ who stated it, the accused, hash of the entry, number of the pair."""
_NUMBER_BYTES: Final = 4
_AFTER_ALL: Final = b"\xff" * (HASH_BYTES + _NUMBER_BYTES + 1)
_HERE: Final = b"\1"

Proof = tuple[Entry, Entry]
"""Two entries of one feed, the lesser bytes first."""


def read_proofs(reader: Reader) -> list[Proof]:
    """Every pair that is stated to be a proof and is one in form: two entries of one feed. Ordered by their bytes.

    Whoever acts on one verifies both signatures: until then it may be slander.
    """
    state = SetGrow.bottom()
    for stored in entries_of(reader, FORKS_DOCUMENT):
        entry = stored.entry
        state = state.join(SetGrow.from_entry(entry.author, entry.seq, entry.body))
    return [pair for element in state.elements() if (pair := _pair(element)) is not None]


def liars(reader: Reader) -> frozenset[Author]:
    """Who is proven here, by its own signatures, to have contradicted itself anywhere: it holds no rights."""
    return frozenset(Author(key[len(_LIAR_PREFIX) :]) for key, _ in reader.views(_LIAR_PREFIX))


# --- judging ---------------------------------------------------------------------------------------------------------


def opened(reader: Reader, arrivals: Iterable[Arrival]) -> list[View]:
    """The views that have entries judged: written with them, if they are not here yet."""
    return [
        (_OPEN + entry.hash, _number(0))
        for entry in (arrival.entry for arrival in arrivals)
        if entry.document == FORKS_DOCUMENT and reader.find(entry.hash) is None
    ]


def judge(reader: Reader, lookup: AuthorLookup) -> list[View]:
    """Judge the next ``PAIRS_AT_ONCE`` pairs that are open: what to write then. Nothing if no entry is open."""
    if reader.view(_INDEXED) is None:
        before = [(_OPEN + stored.entry.hash, _number(0)) for stored in entries_of(reader, FORKS_DOCUMENT)]
        return [(_INDEXED, _HERE), *before]
    views: list[View] = []
    known, left = set(liars(reader)), PAIRS_AT_ONCE
    for key, progress in reader.views(_OPEN):
        stored = reader.find(Hash(key[len(_OPEN) :]))
        elements = cast("list[object]", stored.entry.body) if stored is not None else []
        begin = int.from_bytes(progress, "big")
        end = min(begin + left, len(elements))
        for number in range(begin, end):
            assert stored is not None
            views += _judged(stored.entry, number, lookup, known)
        views.append((key, _number(end) if end < len(elements) else None))
        left -= end - begin
        if not left:
            break
    return views


def judge_waiting(reader: Reader, lookup: AuthorLookup, publisher: Author, accused: Author) -> list[View]:
    """The same of pairs that waited for the certificate of ``accused``. Nothing once none of them does, or it is not here."""
    if lookup(accused) is None:
        return []
    views: list[View] = []
    known = set(liars(reader))
    prefix = _WAITING + publisher + accused
    for (key, _), _ in zip(reader.views(prefix), range(PAIRS_AT_ONCE), strict=False):
        stored = reader.find(Hash(key[len(prefix) : -_NUMBER_BYTES]))
        views.append((key, None))
        if stored is not None:
            views += _judged(stored.entry, int.from_bytes(key[-_NUMBER_BYTES:], "big"), lookup, known)
    return views


def _judged(entry: Entry, number: int, lookup: AuthorLookup, known: set[Author]) -> Iterator[View]:
    pair = _pair(cast("list[object]", entry.body)[number])
    if pair is None or (accused := pair[0].author) in known:
        return
    record = lookup(accused)
    if record is None:
        yield _WAITING + entry.author + accused + entry.hash + _number(number), _HERE
    elif all(one.verify(record.public_key) for one in pair):
        known.add(accused)
        yield _LIAR_PREFIX + accused, _HERE


def publishers(reader: Reader) -> Iterator[Author]:
    """Who has stated pairs that wait, ascending."""
    start = b""
    while (found := next(reader.views(_WAITING, start), None)) is not None:
        publisher = Author(found[0][len(_WAITING) :][:AUTHOR_BYTES])
        yield publisher
        start = _WAITING + publisher + b"\xff" * AUTHOR_BYTES + _AFTER_ALL


def accused_by(reader: Reader, publisher: Author, after: bytes = b"") -> Iterator[Author]:
    """Whom it accuses in pairs that wait, each once, ascending; those above ``after``."""
    prefix = _WAITING + publisher
    start = prefix + after + _AFTER_ALL if after else prefix
    while (found := next(reader.views(prefix, start), None)) is not None:
        accused = Author(found[0][len(prefix) :][:AUTHOR_BYTES])
        yield accused
        start = prefix + accused + _AFTER_ALL


# --- proving ---------------------------------------------------------------------------------------------------------


def unstated(reader: Reader, pairs: Iterable[tuple[Entry, Hash]]) -> list[tuple[Entry, Hash]]:
    """Those pairs that nobody has stated to be a proof; a look at every entry of proofs."""
    sought = {tuple(raw): pair for pair in pairs if (raw := _raw(reader, *pair)) is not None}
    if sought:
        for stored in entries_of(reader, FORKS_DOCUMENT):
            for element in cast("list[object]", stored.entry.body):
                match element:
                    case [bytes(first), bytes(second)]:
                        sought.pop((first, second), None)
                    case _:
                        pass
    return list(sought.values())


def prove(
    reader: Reader, key: SecretKey, author: Author, pairs: Iterable[tuple[Entry, Hash]], stamp: int
) -> list[Arrival]:
    """Sign proofs; ``pairs`` are an entry and the hash of the one that it contradicts, none of them stated by others.

    One proof for a feed is enough, however often its author contradicts itself. Entries that are too long for two of them to
    stand in a third are not proven.
    """
    own = reader.entries(FeedId(FORKS_DOCUMENT, author))
    proven = {pair[0].feed_id for stored in own for pair in pairs_in(stored.entry.body)}
    feed = OwnFeed.read(reader, key, author, FORKS_DOCUMENT, SCHEMA[FORKS])
    signed: list[Arrival] = []
    for entry, rival_hash in pairs:
        raw = _raw(reader, entry, rival_hash)
        if raw is None or entry.feed_id in proven:
            continue
        with contextlib.suppress(BadEntry):
            signed.append(Arrival(feed.sign(SetGrow.add_body(list(raw)), stamp)))
            proven.add(entry.feed_id)
    return signed


def _raw(reader: Reader, entry: Entry, rival_hash: Hash) -> Sequence[bytes] | None:
    rival = reader.find(rival_hash)
    return None if rival is None else sorted((entry.raw, rival.entry.raw))


def _number(value: int) -> bytes:
    return value.to_bytes(_NUMBER_BYTES, "big")


def pairs_in(body: object) -> list[Proof]:
    """The pairs in an entry of proofs that are proofs in form."""
    return [pair for element in cast("list[object]", body) if (pair := _pair(element)) is not None]


def _pair(element: object) -> Proof | None:
    match element:
        case [bytes(first), bytes(second)]:
            try:
                one, other = decode(first), decode(second)
            except BadEntry:
                return None
            return (one, other) if one.feed_id == other.feed_id and first < second else None
        case _:
            return None
