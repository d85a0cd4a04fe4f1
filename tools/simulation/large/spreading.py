"""How entries spread: in rounds and in virtual time, from their author's disk to the last replica of their scope.

A *round* is one exchange between two replicas that talk with each other. Whoever has an entry of itself has it after 0
rounds; whoever has it first from another has it one round after that one. The rounds of an entry are those of the last replica
that learned it. In the epidemic ideal everyone who knows tells one who does not in every round, so that n know after log₂ n.

An *exchange* takes from the moment at which an entry is on one disk to the moment at which it is on that of a neighbour that
has it from there: offering, asking, latency, loss, checks and the commit.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from gossip.entry import Entry, Hash

EXCHANGES_EVERY: Final = 16
"""Of so many exchanges one is noted."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Of one entry that everyone has."""

    kind: str
    replicas: int
    rounds: int
    born_ms: int
    took_ms: int


@dataclass(slots=True)
class _UnderWay:
    born_ms: int
    expected: int
    holders: dict[int, tuple[int, int]]
    """Replica → rounds, and when."""


@dataclass(slots=True)
class Spreading:
    """Fed with every entry that reaches a disk. ``expected``: how many replicas an entry is for; 0: it is not followed.
    ``office``: the replica that is on no LAN."""

    expected: Callable[[Entry], int]
    office: int
    done: list[Spread] = field(default_factory=list[Spread])
    exchanges_ms: array[int] = field(default_factory=lambda: array("l"))
    """Of some, those with the office not counted."""
    exchanges_far_ms: array[int] = field(default_factory=lambda: array("l"))
    """Of all with the office."""
    _under_way: dict[Hash, _UnderWay] = field(default_factory=dict[Hash, _UnderWay])
    _seen: int = 0

    def has(self, replica: int, entry: Entry, told_by: int | None, now_ms: int) -> None:
        """An entry is new on a replica's disk; ``told_by``: from whom, ``None`` if it is its own."""
        if told_by is None:
            expected = self.expected(entry)
            if expected > 1:
                self._under_way[entry.hash] = _UnderWay(now_ms, expected, {replica: (0, now_ms)})
            return
        spread = self._under_way.get(entry.hash)
        if spread is None or replica in spread.holders:
            return
        rounds, since_ms = spread.holders.get(told_by, (0, spread.born_ms))
        spread.holders[replica] = rounds + 1, now_ms
        self._seen += 1
        if self.office in (replica, told_by):
            self.exchanges_far_ms.append(now_ms - since_ms)
        elif self._seen % EXCHANGES_EVERY == 0:
            self.exchanges_ms.append(now_ms - since_ms)
        if len(spread.holders) == spread.expected:
            del self._under_way[entry.hash]
            most = max(rounds for rounds, _ in spread.holders.values())
            took_ms = now_ms - spread.born_ms
            self.done.append(Spread(entry.document.kind, spread.expected, most, spread.born_ms, took_ms))

    @property
    def under_way(self) -> int:
        """Entries that not everyone has: those that newer ones have replaced stay so."""
        return len(self._under_way)


def ideal_rounds(replicas: int) -> float:
    """After how many rounds everyone knows if everyone who does tells one more in each."""
    return math.log2(replicas)
