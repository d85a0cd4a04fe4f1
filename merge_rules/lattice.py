"""What every merge rule is: a join-semilattice with a bottom, fed by entries.

Laws (checked in ``tests/laws``), for all states a, b, c of one rule:

    a.join(b) == b.join(a)                           commutative
    a.join(b).join(c) == a.join(b.join(c))           associative
    a.join(a) == a                                   idempotent
    a.join(bottom) == a                              bottom
    a.precedes(b)  iff  a.join(b) == b               the order that join defines
    from_body(state.body()) == state                 the encoding round-trips, and is canonical
    join of deltas == join of the states after them  deltas suffice

Reference: Shapiro et al., Conflict-free Replicated Data Types (2011); Almeida et al., Delta State Replicated Data Types
(2018).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NewType, Protocol, Self, TypeVar

K = TypeVar("K")
T = TypeVar("T")

Author = NewType("Author", bytes)
"""The actor of the CRDT literature, a replica key and its incarnation: 8 bytes."""

AUTHOR_BYTES = 8


class Lattice(Protocol):
    """A state of one merge rule. Frozen, hashable or at least comparable by value."""

    @classmethod
    def bottom(cls) -> Self:
        """The state that has seen nothing."""
        ...

    def join(self, other: Self) -> Self:
        """The least state that both precede. Total: it never raises for two valid states."""
        ...

    def precedes(self, other: Self) -> bool:
        """Whether everything this state has seen, ``other`` has seen too (⊑)."""
        ...

    def body(self) -> object:
        """The whole state as a value that ``merge_rules.canonical`` encodes."""
        ...

    @classmethod
    def from_body(cls, body: object) -> Self:
        """The state that ``body`` encodes. Raises ``InvalidBody``."""
        ...


def union_each(ours: Mapping[K, frozenset[T]], theirs: Mapping[K, frozenset[T]]) -> dict[K, frozenset[T]]:
    """The join of maps of sets, key by key: what several rules are made of."""
    both = dict(ours)
    for key, members in theirs.items():
        both[key] = both[key] | members if key in both else members
    return both


def within_each(ours: Mapping[K, frozenset[T]], theirs: Mapping[K, frozenset[T]]) -> bool:
    """The order that ``union_each`` defines, where no set is empty: whether ``theirs`` holds every member of ``ours``."""
    return all(members <= theirs.get(key, frozenset()) for key, members in ours.items())


class Rule(Lattice, Protocol):
    """A lattice whose states are joins of entries: what an author signs is its own part of the state."""

    @classmethod
    def from_entry(cls, author: Author, seq: int, body: object) -> Self:
        """The state that one entry alone contributes. Raises ``InvalidBody``; checks the entry by itself."""
        ...

    def entry_body(self, author: Author) -> object:
        """The body that ``author`` signs in a ``latest`` feed: its own part of this state.

        ``from_entry(author, seq, state.entry_body(author))`` precedes ``state``.
        """
        ...
