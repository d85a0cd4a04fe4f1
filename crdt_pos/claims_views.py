"""Claims at a till: what each store says that a code means, projected into the views that a scanned code is looked up in.

A claim of a member's phone, or of a code that no scanner reads, has no view.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from crdt_pos import catalogue, code_views
from crdt_pos.schema import CLAIMS
from gossip.document import Document
from gossip.entry import Entry, FeedId
from gossip.log import Arrival, Reader, View, entries_of
from merge_rules.claims import Claims
from merge_rules.errors import InvalidBody
from merge_rules.lattice import Author


def document(store: int) -> Document:
    """``claims/<store>``."""
    return Document(CLAIMS, 0, (store,))


def read(reader: Reader, store: int) -> Claims:
    """What stands in a store's claims."""
    return join_entries(stored.entry for stored in entries_of(reader, document(store)))


def join_entries(entries: Iterable[Entry]) -> Claims:
    """The join of ``claims`` entries of one document, two and two, so that thousands are joined in no time."""
    states = [_delta(entry) for entry in entries]
    while len(states) > 1:
        pairs = zip(states[::2], states[1::2], strict=False)
        states = [one.join(other) for one, other in pairs] + states[len(states) // 2 * 2 :]
    return states[0] if states else Claims.bottom()


def stores(reader: Reader) -> list[int]:
    """The stores that have claimed anything, ascending."""
    return sorted({one for found in reader.documents(CLAIMS, day_to=0) for one in found.keys if isinstance(one, int)})


def products(state: Claims) -> set[tuple[str, int]]:
    """The barcodes of a state, each with a product that it is claimed for."""
    return {(code, thing) for code, thing in state.claims() if isinstance(code, str) and isinstance(thing, int)}


def derive(reader: Reader, arrivals: Sequence[Arrival]) -> Iterator[View]:
    """The views that the ``claims`` entries of a batch change, to be appended with it in one transaction."""
    fresh: dict[int, list[Entry]] = {}
    for arrival in arrivals:
        entry = arrival.entry
        if entry.document.kind == CLAIMS and arrival.quarantine is None:
            store = entry.document.keys[0] if entry.document.keys else None
            if isinstance(store, int):
                fresh.setdefault(store, []).append(entry)
    for store, entries in fresh.items():
        state = read(reader, store)
        before = products(state)
        after = products(state.join(join_entries(connected(reader, entries))))
        source = code_views.store_source(store)
        means: dict[str, list[int]] = {code: [] for code, _ in before ^ after if catalogue.is_code(code)}
        for code, product in after:
            if code in means:
                means[code].append(product)
        for code in sorted(means):
            yield code_views.view(code, source, means[code])


def connected(reader: Reader, entries: Iterable[Entry]) -> list[Entry]:
    """Those of one document whose predecessors are all here or in the batch; the others count when they are appended."""
    heads: dict[Author, int] = {}
    found: list[Entry] = []
    for entry in sorted(entries, key=lambda entry: (entry.author, entry.seq)):
        feed = FeedId(entry.document, entry.author)
        if entry.author not in heads:
            heads[entry.author] = max((head.seq for head in reader.heads(feed)), default=0)
        if entry.seq <= heads[entry.author] + 1:
            heads[entry.author] = max(heads[entry.author], entry.seq)
            found.append(entry)
    return found


def _delta(entry: Entry) -> Claims:
    try:
        return Claims.from_entry(entry.author, entry.seq, entry.body)
    except InvalidBody:
        return Claims.bottom()
