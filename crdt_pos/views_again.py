"""Views, derived again: some were lost to a damaged disk, and all that were derived from entries follow from them.

What a till remembers between two acts follows from its own entries (``crdt_pos.till_rebuilt``); where receipts, products, codes
and claims stand, from everybody's. What peers have acknowledged or shown is not derived: it is asked for again.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from crdt_pos import catalogue_views, forks, journal, own_heads
from crdt_pos.directory import numbered_as
from crdt_pos.identity import Identity
from crdt_pos.till_rebuilt import rebuild
from gossip.log import Arrival, Reader, View, entries_of
from peers.roster import Directory

OF_TILL = (b"till/", b"fold/", b"")
"""Views of what a till remembers begin so; the empty one: which view it was is not known."""


def of_entries(reader: Reader, directory: Directory) -> list[View]:
    """The views that follow from any entries. O(entries)."""
    views: dict[bytes, bytes | None] = {}
    newest: dict[bytes, bytes] = {}
    for document in reader.documents():
        arrivals = [Arrival(stored.entry, stored.received_from) for stored in entries_of(reader, document)]
        views.update(journal.derive(reader, arrivals, partial(numbered_as, directory)))
        views.update(catalogue_views.derive(reader, arrivals))
        views.update(forks.opened(reader, arrivals))
        for key, value in own_heads.newest_views(reader, arrivals):
            newest[key] = max(newest.get(key, b""), value or b"")
    return [*views.items(), *newest.items()]


def of_till(reader: Reader, identity: Identity, gone: Collection[bytes]) -> list[View] | None:
    """The views of a till, if any of them is gone; ``None`` if its own entries must come back before."""
    if not any(key.startswith(prefix) or not key for key in gone for prefix in OF_TILL if prefix):
        return []
    if any(feed.author == identity.author for feed, _ in reader.lost()):
        return None
    rebuilt = rebuild(reader, identity)
    if rebuilt.contradicts or rebuilt.over is not None:
        return None
    return [*rebuilt.views, rebuilt.state.view()]
