"""Dots: the names of operations, and the set of those that a state has seen.

A dot is an author and one of its sequence numbers: in a ``whole`` feed, the entry that carries the operation. A context is a
set of dots; what an author did without gaps is one number, the rest a cloud of single dots, so equal sets of dots have equal
contexts. Contexts are a join-semilattice under union.

Reference: Almeida, Shoker, Baquero, Delta State Replicated Data Types (2018), §7.2; Preguiça et al., Dotted Version Vectors
(2010).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field

from merge_rules import shape
from merge_rules.dataclass import dataclass
from merge_rules.lattice import Author

Dot = tuple[Author, int]
"""An author and a sequence number from 1."""

SEQ_MAX = 2**40


@dataclass(frozen=True)
class Context:
    """A set of dots, compressed."""

    vector: Mapping[Author, int] = field(default_factory=dict[Author, int])
    """Of each author: every dot up to and including this number."""
    cloud: frozenset[Dot] = frozenset()
    """The dots beyond a gap."""

    @classmethod
    def of(cls, dots: Iterable[Dot]) -> Context:
        """The context that holds exactly ``dots``."""
        return _compressed({}, set(dots))

    def __contains__(self, dot: Dot) -> bool:
        return dot[1] <= self.vector.get(dot[0], 0) or dot in self.cloud

    def dots(self) -> Iterator[Dot]:
        """Every dot, in no order."""
        for author, last in self.vector.items():
            yield from ((author, seq) for seq in range(1, last + 1))
        yield from self.cloud

    @property
    def size(self) -> int:
        """How many dots."""
        return sum(self.vector.values()) + len(self.cloud)

    def union(self, other: Context) -> Context:
        """Every dot of either."""
        if self == other:
            return self
        vector = dict(self.vector)
        for author, seq in other.vector.items():
            vector[author] = max(seq, vector.get(author, 0))
        return _compressed(vector, set(self.cloud | other.cloud))

    def body(self) -> list[object]:
        """``[{author: number}, {author: [numbers]}]``."""
        return [dict(self.vector), dots_body(self.cloud)]

    @classmethod
    def from_body(cls, body: object) -> Context:
        """The context that ``body`` encodes. Raises ``InvalidBody``, also for one that could be shorter."""
        parts = shape.array(body, "a context")
        if len(parts) != 2:
            shape.refuse("a context has not two parts")
        vector = vector_from_body(parts[0])
        cloud = dots_from_body(parts[1])
        context = _compressed(dict(vector), set(cloud))
        if context.vector != vector or context.cloud != cloud:
            shape.refuse("a context that could be shorter")
        return context


def vector_from_body(body: object) -> dict[Author, int]:
    """``{author: number}`` with numbers from 1. Raises ``InvalidBody``."""
    given = shape.mapping(body, "a version vector")
    return {shape.author(author): shape.integer(seq, 1, SEQ_MAX, "a dot") for author, seq in given.items()}


def dots_body(dots: Iterable[Dot]) -> dict[Author, list[int]]:
    """``{author: [ascending numbers]}``."""
    body: dict[Author, list[int]] = {}
    for author, seq in sorted(dots):
        body.setdefault(author, []).append(seq)
    return body


def dots_from_body(body: object) -> frozenset[Dot]:
    """The dots that ``dots_body`` made. Raises ``InvalidBody``."""
    dots: set[Dot] = set()
    for key, value in shape.mapping(body, "dots").items():
        author = shape.author(key)
        numbers = [shape.integer(seq, 1, SEQ_MAX, "a dot") for seq in shape.array(value, "an author's dots")]
        if not numbers or any(low >= high for low, high in itertools.pairwise(numbers)):
            shape.refuse("an author's dots do not ascend")
        dots.update((author, seq) for seq in numbers)
    return frozenset(dots)


def checked_dot(author: Author, seq: int) -> Dot:
    """The dot of an entry. Raises ``InvalidBody`` for a number out of bounds."""
    return shape.author(author), shape.integer(seq, 1, SEQ_MAX, "a sequence number")


def _compressed(vector: dict[Author, int], cloud: set[Dot]) -> Context:
    for author, seq in sorted(cloud):
        seen = vector.get(author, 0)
        if seq <= seen + 1:
            vector[author] = max(seen, seq)
            cloud.discard((author, seq))
    return Context(vector, frozenset(cloud))
