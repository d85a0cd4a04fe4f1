"""What a fleet's gateways have to say, signed and put into frames before any clock starts.

A gateway tells its log in order: of every date the mornings of its store's tills, then their closes; at most 128 entries a batch,
an entry as a patch where the peer holds the one before it and that is shorter, as ``gossip.outbound`` would. This is work for
several processes at once: one store each.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

from crdt_pos.schema import DAY
from gossip import patch
from gossip.document import Document, FeedType, ScopeClass
from gossip.entry import Entry, FeedId, sign
from gossip.log import feed_key
from gossip.messages import Patch
from merge_rules import canonical
from merge_rules.lattice import Author
from peers.keys import SecretKey
from tools.fleet_plan import Batch
from tools.fleet_till import FleetTill, TillDate, voids

ENTRIES_MAX: Final = 128
PARTS: Final = 8
"""Batches of what is to be interrupted, at least: so that there is a middle."""
PREVIOUS: Final = 1
PREVIOUS_BYTES: Final = 8
CLOSE_AFTER_MS: Final = 40_000_000
AGAIN: Final = 1 / 5
SAMPLE: Final = 8
"""Entries of each store for the yardstick."""


@dataclass(frozen=True, slots=True)
class Phase:
    """Some dates that are sent together: ``first`` to ``last``, exclusive, counted from 0."""

    name: str
    first: int
    last: int


@dataclass(slots=True)
class StoreDays:
    """What one store's gateway holds."""

    store: int
    plans: dict[str, list[Batch]] = field(default_factory=dict[str, list[Batch]])
    """By phase; ``<phase> whole``: the same batches without patches; ``again``, ``held``: see ``signed``."""
    heads: list[list[tuple[FeedId, int, bytes]]] = field(default_factory=list[list[tuple[FeedId, int, bytes]]])
    """Feeds, numbers and hashes in every batch of the phase that is to be interrupted."""
    sample: list[bytes] = field(default_factory=list[bytes])
    """Some entries as signed."""
    raw_bytes: int = 0
    """Of all entries, whole."""


def signed(
    tills: Sequence[FleetTill],
    bodies: Mapping[bool, Sequence[TillDate]],
    phases: Sequence[Phase],
    again: Phase,
    interrupted: Phase,
) -> StoreDays:
    """Sign the dates of one store's tills and batch them by phase.

    Plans ``again``: a fifth of the entries up to that phase, by lot; ``held``: what the tills hold in the end, the newest entry
    of every feed. Both are sent whole.
    """
    store = tills[0].store
    days, dice = StoreDays(store), random.Random(store)  # noqa: S311  a lot that falls the same each time
    keys = {till.author: SecretKey(till.seed) for till in tills}
    before: dict[Author, bytes] = {}
    held: list[tuple[int, Entry]] = []
    some: list[tuple[int, Entry]] = []
    arrival = 0
    for phase in phases:
        entries: list[tuple[int, Entry]] = []
        for date in range(phase.first, phase.last):
            for close in (False, True):
                for till in tills:
                    arrival += 1
                    of_date = bodies[voids(till.number)][date]
                    entry = _sign(keys[till.author], till, of_date, before.get(till.author), close=close)
                    entries.append((arrival, entry))
            closes = entries[-len(tills) :]
            held += closes
            before = {entry.author: entry.hash[:PREVIOUS_BYTES] for _, entry in closes}
        size = min(ENTRIES_MAX, -(-len(entries) // PARTS) or 1) if phase == interrupted else ENTRIES_MAX
        days.plans[phase.name] = _batches(entries, size, patched=True)
        days.raw_bytes += sum(len(entry.raw) for _, entry in entries)
        if phase.last <= again.last:
            some += [one for one in entries if dice.random() < AGAIN]
        if phase == interrupted:
            days.plans[f"{phase.name} whole"] = _batches(entries, size, patched=False)
            parts = _parts(entries, size)
            days.heads = [[(entry.feed_id, entry.seq, entry.hash) for _, entry in part] for part in parts]
        days.sample += [entry.raw for _, entry in entries[:SAMPLE]] if phase == again else []
    days.plans["again"] = _batches(some, ENTRIES_MAX, patched=False)
    days.plans["held"] = _batches(held, ENTRIES_MAX, patched=False)
    return days


def _sign(key: SecretKey, till: FleetTill, date: TillDate, previous: bytes | None, *, close: bool) -> Entry:
    body = date.close if close else date.morning
    if previous is not None:
        body = {**cast("dict[int, object]", body), PREVIOUS: previous}
    stamp = date.stamp_ms + CLOSE_AFTER_MS * close << 16
    document = Document(DAY, date.day, (till.store,))
    return sign(key, till.author, document, FeedType.LATEST, ScopeClass.STORE, 2 if close else 1, stamp, body)


def _parts(entries: list[tuple[int, Entry]], size: int) -> list[list[tuple[int, Entry]]]:
    return [entries[start : start + size] for start in range(0, len(entries), size)]


def _batches(entries: list[tuple[int, Entry]], size: int, *, patched: bool) -> list[Batch]:
    known: dict[FeedId, Entry] = {}
    batches: list[Batch] = []
    for part in _parts(entries, size):
        items: list[bytes | Patch] = []
        for _, entry in part:
            items.append(_item(known.get(entry.feed_id) if patched else None, entry))
            known[entry.feed_id] = entry
        batches.append(Batch(part[-1][0], len(part), _encoded(items)))
    return batches


def _item(base: Entry | None, entry: Entry) -> bytes | Patch:
    changes = None if base is None else patch.diff(base, entry)
    if changes is None:
        return entry.raw
    key = feed_key(entry.feed_id)
    return Patch(key, changes) if len(key) + len(changes) < len(entry.raw) else entry.raw


def _encoded(items: Iterable[bytes | Patch]) -> bytes:
    return canonical.encode([[item.feed_key, item.changes] if isinstance(item, Patch) else item for item in items])
