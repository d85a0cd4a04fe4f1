"""Proofs of equivocation: two entries of one author that cannot both be honest, kept where the whole company reads them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from crdt_pos.schema import FORKS, SCHEMA
from gossip.document import Document
from gossip.entry import Entry, Hash, decode
from gossip.log import Arrival, Reader, entries_of
from gossip.own_feed import OwnFeed
from merge_rules.lattice import Author
from merge_rules.set_grow import SetGrow
from peers.keys import SecretKey

FORKS_DOCUMENT = Document(FORKS)


def read_proofs(reader: Reader) -> list[tuple[Entry, Entry]]:
    """Every proven pair that is known here, ordered by its bytes."""
    state = SetGrow.bottom()
    for stored in entries_of(reader, FORKS_DOCUMENT):
        entry = stored.entry
        state = state.join(SetGrow.from_entry(entry.author, entry.seq, entry.body))
    pairs = [cast("list[bytes]", pair) for pair in state.elements()]
    return [(decode(first), decode(second)) for first, second in pairs]


def prove(
    reader: Reader, key: SecretKey, author: Author, pairs: Iterable[tuple[Entry, Hash]], stamp: int
) -> list[Arrival]:
    """Sign the proofs that are not known yet; ``pairs`` are an entry and the hash of the one that it contradicts."""
    known = {tuple(sorted((first.raw, second.raw))) for first, second in read_proofs(reader)}
    new: list[list[bytes]] = []
    for entry, rival_hash in pairs:
        rival = reader.find(rival_hash)
        if rival is None:
            continue
        pair = tuple(sorted((entry.raw, rival.entry.raw)))
        if pair not in known:
            known.add(pair)
            new.append(list(pair))
    if not new:
        return []
    feed = OwnFeed.read(reader, key, author, FORKS_DOCUMENT, SCHEMA[FORKS])
    return feed.arrivals([SetGrow.add_body(*new)], stamp)
