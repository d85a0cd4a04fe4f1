"""Log: everything that was appended, by author and number. The union.

The rule of journals, variances and vaults: entries of a ``whole`` feed, whose bodies are theirs to define. Two bodies under
one author and number are a fork; both are kept, ordered by encoding, so that every replica reads the same.

>>> from merge_rules.lattice import Author
>>> north, south = Author(b"north..."), Author(b"south...")
>>> here = LogAppend.from_entry(north, 1, "sold tea")
>>> there = LogAppend.from_entry(south, 1, "sold bread")
>>> here.join(there) == there.join(here)
True
>>> [body for author, seq, body in here.join(there).read()]
['sold tea', 'sold bread']

Reference: the grow-only set of Shapiro et al. (2011), §3.3.1, keyed.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Self

from merge_rules import canonical, shape
from merge_rules.dataclass import dataclass
from merge_rules.dots import Dot, checked_dot
from merge_rules.lattice import Author, union_each, within_each


@dataclass(frozen=True)
class LogAppend:
    """Canonical encodings of bodies, by author and number."""

    bodies: Mapping[Dot, frozenset[bytes]] = field(default_factory=dict[Dot, frozenset[bytes]])

    @classmethod
    def check_item(cls, item: object) -> None:
        """For rules that narrow what may be appended: raise ``InvalidBody``. Here: anything may."""

    @classmethod
    def bottom(cls) -> Self:
        """The empty log."""
        return cls()

    def join(self, other: Self) -> Self:
        """What either holds."""
        return type(self)(union_each(self.bodies, other.bodies))

    def precedes(self, other: Self) -> bool:
        """Whether ``other`` holds everything that is here."""
        return within_each(self.bodies, other.bodies)

    def body(self) -> object:
        """``{author: [[number, body], …]}``, ascending by number and encoding."""
        body: dict[Author, list[object]] = {}
        for author, seq, item in self.read():
            body.setdefault(author, []).append([seq, item])
        return body

    @classmethod
    def from_body(cls, body: object) -> Self:
        """The state that ``body`` encodes. Raises ``InvalidBody``."""
        bodies: dict[Dot, frozenset[bytes]] = {}
        for key, value in shape.mapping(body, "a log").items():
            author, pairs = shape.author(key), shape.array(value, "an author's part")
            order: list[tuple[int, bytes]] = []
            for item in pairs:
                pair = shape.array(item, "a number and its body")
                if len(pair) != 2:
                    shape.refuse("a number and its body have not two parts")
                cls.check_item(pair[1])
                dot = checked_dot(author, shape.integer(pair[0], 1, 2**63, "a number"))
                order.append((dot[1], shape.encoded(pair[1])))
                bodies[dot] = bodies.get(dot, frozenset()) | {order[-1][1]}
            if not order or any(low >= high for low, high in itertools.pairwise(order)):
                shape.refuse("an author's part is empty or does not ascend")
        return cls(bodies)

    @classmethod
    def from_entry(cls, author: Author, seq: int, body: object) -> Self:
        """One entry. Raises ``InvalidBody``."""
        cls.check_item(body)
        return cls({checked_dot(author, seq): frozenset({shape.encoded(body)})})

    def entry_body(self, author: Author) -> object:
        """The newest body of ``author``; ``None`` if it appended nothing."""
        newest = max((dot for dot in self.bodies if dot[0] == author), default=None)
        return None if newest is None else canonical.decode(min(self.bodies[newest]))

    def read(self) -> Iterator[tuple[Author, int, object]]:
        """Author, number and body of everything, ascending; two bodies under one number follow each other."""
        for dot in sorted(self.bodies):
            for encoding in sorted(self.bodies[dot]):
                yield *dot, canonical.decode(encoding)

    def forks(self) -> frozenset[Dot]:
        """Where an author appended two bodies under one number."""
        return frozenset(dot for dot, encodings in self.bodies.items() if len(encodings) > 1)
