"""Proofs of equivocation: two entries of one author that cannot both be honest, kept where the whole company reads them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import cast

from crdt_pos.schema import FORKS, SCHEMA
from gossip.document import Document
from gossip.entry import Entry, FeedId, Hash, decode
from gossip.errors import BadEntry
from gossip.log import Arrival, Reader, entries_of
from gossip.own_feed import OwnFeed
from merge_rules.lattice import Author
from merge_rules.set_grow import SetGrow
from peers.keys import SecretKey

FORKS_DOCUMENT = Document(FORKS)


def read_proofs(reader: Reader) -> list[tuple[Entry, Entry]]:
    """Every pair that is stated to be a proof and is one in form: two entries of one feed. Ordered by their bytes.

    Whoever acts on one verifies both signatures: until then it may be slander.
    """
    state = SetGrow.bottom()
    for stored in entries_of(reader, FORKS_DOCUMENT):
        entry = stored.entry
        state = state.join(SetGrow.from_entry(entry.author, entry.seq, entry.body))
    return [pair for element in state.elements() if (pair := _pair(element)) is not None]


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


def _pairs(body: object) -> list[tuple[Entry, Entry]]:
    return [pair for element in cast("list[object]", body) if (pair := _pair(element)) is not None]


def _pair(element: object) -> tuple[Entry, Entry] | None:
    match element:
        case [bytes(first), bytes(second)]:
            try:
                one, other = decode(first), decode(second)
            except BadEntry:
                return None
            return (one, other) if one.feed_id == other.feed_id and first < second else None
        case _:
            return None
