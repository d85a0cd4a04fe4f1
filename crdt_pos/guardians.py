"""Guardians: the other stores that keep a store's sealed journals, and which vaults a replica may read for that.

Every store has ``k`` guardians among the stores that still exist, by rendezvous hashing (Thaler and Ravishankar, 1998): each
pair of stores has a score, and the highest ``k`` guard. So nobody is asked, whoever has the same roster finds the same, and a
store that opens or closes moves only what it guards itself: of S stores, about ``k`` vaults in all. Every till of a guardian
store holds what that store guards; head offices and relays hold every vault. None of them can open a segment. Pure.
"""

from __future__ import annotations

import functools
import hashlib
import heapq
from collections.abc import Mapping
from typing import Final

from peers.permissions import Role
from peers.roster import GUARDIANS, Directory

GUARDIANS_MAX: Final = 9
SCORE_BYTES: Final = 16


def guardians(store: int, stores: frozenset[int], count: int = GUARDIANS) -> tuple[int, ...]:
    """Who guards ``store``: at most ``count`` of ``stores``, never itself, the first in its order first.

    >>> guardians(12, frozenset({12})), len(guardians(12, frozenset(range(1, 100))))
    ((), 2)
    >>> before = {store: guardians(store, frozenset(range(1, 100))) for store in range(1, 100)}
    >>> after = {store: guardians(store, frozenset(range(1, 101))) for store in range(1, 100)}
    >>> all(set(after[store]) <= {*before[store], 100} for store in before)
    True
    """
    begun = hashlib.sha256(b"guardian %d " % store)
    scores: list[tuple[bytes, int]] = []
    for other in stores:
        if other != store:
            scored = begun.copy()
            scored.update(b"%d" % other)
            scores.append((scored.digest()[:SCORE_BYTES], other))
    return tuple(other for _, other in heapq.nlargest(count, scores))


@functools.lru_cache(maxsize=16)
def guarded(stores: frozenset[int], existing: frozenset[int], count: int = GUARDIANS) -> Mapping[int, frozenset[int]]:
    """Guardian → the stores that it guards. ``stores``: all there ever were, since what a closed one sold is kept, too."""
    found: dict[int, set[int]] = {}
    for store in stores:
        for guardian in guardians(store, existing, count):
            found.setdefault(guardian, set()).add(store)
    return {guardian: frozenset(many) for guardian, many in found.items()}


def existing(directory: Directory) -> frozenset[int]:
    """The stores that can guard: those in the roster, without those that were closed."""
    closed = {one.store for one in directory.closures if not one.till and not one.life}
    return frozenset(directory.stores) - closed


def guardians_of(store: int, directory: Directory) -> tuple[int, ...]:
    """Who guards ``store``, by the roster."""
    return guardians(store, existing(directory), directory.guardians)


def vault_scopes(role: Role, store: int | None, directory: Directory) -> frozenset[str]:
    """The vaults that a replica may read: its own store's, and those that its store guards; offices and relays every one.

    A replica of a store that the roster here does not name yet reads its own store's all the same.
    """
    if store is None:
        return frozenset(f"vault/{one}" for one in directory.stores if role in (Role.OFFICE, Role.RELAY))
    by_store = guarded(frozenset(directory.stores), existing(directory), directory.guardians)
    return frozenset(f"vault/{one}" for one in {store} | by_store.get(store, frozenset()))
