"""Opening vaults: what is sealed in them, and putting it back into a log with every signature and permission checked.

Only who holds the company's recovery key can. What a segment holds is believed as little as what a peer sends: each entry is
checked like any other. Sans-I/O except for the log.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import field
from typing import Final

from crdt_pos.directory import is_roster
from crdt_pos.errors import BadSegment
from crdt_pos.replica_core import ReplicaCore
from crdt_pos.schema import SCHEMA, VAULT
from crdt_pos.sealing_segments import open_segment
from gossip.document import ScopeClass
from gossip.entry import Entry, FeedId, Hash, Head
from gossip.ingest import check
from gossip.intake import Commit, write_group
from gossip.log import Arrival, Outcome, Reader, feed_key
from merge_rules.dataclass import dataclass
from merge_rules.lattice import Author
from peers.keys import SealingKey

BATCH: Final = 1_000
"""Entries in a transaction."""


@dataclass(slots=True)
class Vaulted:
    """What one life of a till has sealed, as far as it is here."""

    store: int
    till: int
    author: Author
    segments: int = 0
    sealed_bytes: int = 0
    sealed_ms: int = 0
    """When the newest segment was sealed, by the till's clock."""
    unopened: dict[int, str] = field(default_factory=dict[int, str])
    """Segments that the key does not open, or that do not hold what they should, and why."""
    entries: dict[Hash, Entry] = field(default_factory=dict[Hash, Entry])
    journals: dict[int, Head] = field(default_factory=dict[int, Head])
    """Day → how far the till's own journal went, by its word."""


def open_vaults(reader: Reader, key: SealingKey, stores: Collection[int] | None = None) -> list[Vaulted]:
    """Everything that can be opened of the vaults here; ``stores``: of these only."""
    return [
        _opened(reader, key, FeedId(document, author))
        for document in reader.documents(VAULT)
        if stores is None or document.keys[0] in stores
        for author in reader.authors(document)
    ]


def _opened(reader: Reader, key: SealingKey, feed: FeedId) -> Vaulted:
    store, till = feed.document.keys
    assert isinstance(store, int)
    assert isinstance(till, int)
    found = Vaulted(store, till, feed.author)
    for stored in reader.entries(feed):
        entry = stored.entry
        found.segments += 1
        found.sealed_bytes += len(entry.raw)
        found.sealed_ms = max(found.sealed_ms, entry.stamp >> 16)
        try:
            segment = open_segment(entry.body, key)
        except BadSegment as error:
            found.unopened[entry.seq] = str(error)
            continue
        found.entries.update((one.hash, one) for one in segment.entries)
        for day, head in segment.journals.items():
            known = found.journals.get(day)
            if known is None or known.seq < head.seq:
                found.journals[day] = head
    return found


@dataclass(slots=True)
class PutBack:
    """What became of what was opened."""

    new: Counter[str] = field(default_factory=Counter[str])
    """Kind → entries that were not here."""
    forged: int = 0
    unknown: int = 0
    """Entries of authors whose certificate nobody has shown."""
    refused: int = 0
    """Entries that their author may not write, or that have no shape: kept apart."""
    waiting: int = 0
    """Entries whose predecessor is missing: they cannot be appended."""


Gift = tuple[Entry, Author]
"""An entry, and who is said to have given it."""


def sealed_in(vaults: Iterable[Vaulted]) -> list[Gift]:
    """What was opened, as given by whoever sealed it."""
    return [(entry, vaulted.author) for vaulted in vaults for entry in vaulted.entries.values()]


def put_back(core: ReplicaCore, gifts: Iterable[Gift], scopes: Collection[ScopeClass]) -> PutBack:
    """Append those of ``scopes``: enrolments first, since by them the rest is checked."""
    by_hash = {entry.hash: (entry, giver) for entry, giver in gifts if entry.scope in scopes}
    ordered = sorted(by_hash.values(), key=lambda one: (feed_key(one[0].feed_id), one[0].seq))
    done = PutBack()
    for roster in (True, False):
        run = [one for one in ordered if is_roster(one[0].document) is roster]
        for start in range(0, len(run), BATCH):
            _append(core, run[start : start + BATCH], done)
        core.trust.reload()
    return done


def _append(core: ReplicaCore, part: Sequence[Gift], done: PutBack) -> None:
    givers = {entry.hash: giver for entry, giver in part}
    checked = check([entry for entry, _ in part], None, core.trust.record, SCHEMA)
    done.forged += len(checked.forged)
    done.unknown += len(checked.unknown)
    arrivals = [Arrival(one.entry, givers[one.entry.hash], one.quarantine) for one in checked.arrivals]
    commit = Commit(arrivals, (), ())
    write_group(core.log, [commit], core.derive, core.system_ms())
    for arrival, outcome in zip(arrivals, commit.outcomes or (), strict=True):
        if arrival.quarantine is not None:
            done.refused += 1
        elif outcome.outcome is Outcome.GAP:
            done.waiting += 1
        elif outcome.outcome is not Outcome.KNOWN:
            done.new[arrival.entry.document.kind] += 1
