"""Proofs of equivocation: two entries of one author that cannot both be honest, kept where the whole company reads them.

Whoever is proven to have contradicted itself holds no rights until the roster decides; what it said counts as a lower bound.
The proof is its own two signatures, so a stated proof that does not bear them out is slander, and counts against nobody.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Final, cast

from crdt_pos.schema import FORKS, SCHEMA
from gossip.document import Document
from gossip.entry import Entry, FeedId, Hash, decode
from gossip.errors import BadEntry
from gossip.ingest import AuthorLookup
from gossip.log import Arrival, Reader, View, entries_of
from gossip.own_feed import OwnFeed
from merge_rules.lattice import Author
from merge_rules.set_grow import SetGrow
from peers.keys import SecretKey

FORKS_DOCUMENT = Document(FORKS)
_LIAR_PREFIX: Final = b"forks/liar/"

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


def judge(reader: Reader, lookup: AuthorLookup) -> tuple[list[View], set[Author]]:
    """What keeps ``liars`` up to date with the proofs here, and the authors whose certificate is needed to judge the rest."""
    known, unknown = set(liars(reader)), set[Author]()
    views: list[View] = []
    for proof in read_proofs(reader):
        author = proof[0].author
        record = lookup(author)
        if record is None:
            unknown.add(author)
        elif author not in known and all(entry.verify(record.public_key) for entry in proof):
            known.add(author)
            views.append((_LIAR_PREFIX + author, b"\1"))
    return views, unknown


def prove(
    reader: Reader, key: SecretKey, author: Author, pairs: Iterable[tuple[Entry, Hash]], stamp: int
) -> list[Arrival]:
    """Sign the proofs that are not known yet; ``pairs`` are an entry and the hash of the one that it contradicts.

    One proof for a feed is enough, however often its author contradicts itself. Entries that are too long for two of them to
    stand in a third are not proven.
    """
    known = {(first.raw, second.raw) for first, second in read_proofs(reader)}
    own = reader.entries(FeedId(FORKS_DOCUMENT, author))
    proven = {pair[0].feed_id for stored in own for pair in _pairs(stored.entry.body)}
    feed = OwnFeed.read(reader, key, author, FORKS_DOCUMENT, SCHEMA[FORKS])
    signed: list[Arrival] = []
    for entry, rival_hash in pairs:
        rival = reader.find(rival_hash)
        if rival is None or entry.feed_id in proven:
            continue
        first, second = sorted((entry.raw, rival.entry.raw))
        if (first, second) in known:
            continue
        with contextlib.suppress(BadEntry):
            signed.append(Arrival(feed.sign(SetGrow.add_body([first, second]), stamp)))
            proven.add(entry.feed_id)
    return signed


def _pairs(body: object) -> list[Proof]:
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
