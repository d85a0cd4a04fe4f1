"""What counters of several authors share: a map from author to its part, each part a map of nested counters.

An author signs its part and nothing else, so replicas that receive entries in any order hold the same map. Law: the part of
an honest author only grows; the parts of a contradictory one are joined place by place.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import field
from typing import Self, TypeAlias, cast

from merge_rules import counter_nested
from merge_rules.counter_nested import Key, Nested
from merge_rules.dataclass import dataclass
from merge_rules.errors import InvalidBody
from merge_rules.lattice import AUTHOR_BYTES, Author

Part: TypeAlias = dict[Key, Nested]
"""What one author has said. Never changed in place."""


@dataclass(frozen=True, slots=True)
class CounterAuthored(ABC):
    """A map from author to a part that ``check_part`` accepts. The base of rules, not a rule itself."""

    parts: Mapping[Author, Part] = field(default_factory=dict[Author, Part])
    """Authors with nothing to say are not in it."""

    # ---- what a rule says of its parts ----------------------------------------------------------------------------------

    @classmethod
    @abstractmethod
    def check_part(cls, author: Author, part: object) -> Part:
        """``part`` itself, if ``author`` may sign it; not empty. Raises ``InvalidBody``."""

    @staticmethod
    def join_parts(a: Part, b: Part) -> Part:
        """The least part that both precede."""
        return cast("Part", counter_nested.join(cast("Nested", a), cast("Nested", b)))

    @staticmethod
    def part_precedes(a: Part, b: Part) -> bool:
        """The order that ``join_parts`` defines."""
        return counter_nested.precedes(cast("Nested", a), cast("Nested", b))

    # ---- the lattice ----------------------------------------------------------------------------------------------------

    @classmethod
    def bottom(cls) -> Self:
        """Nobody has said anything."""
        return cls()

    @classmethod
    def of(cls, author: Author, part: Part) -> Self:
        """The state in which only ``author`` has said something: ``part``."""
        return cls({author: part} if part else {})

    def join(self, other: Self) -> Self:
        """Every author's part, place by place."""
        joined = {**self.parts, **other.parts}
        for author in self.parts.keys() & other.parts.keys():
            joined[author] = self.join_parts(self.parts[author], other.parts[author])
        return type(self)(joined)

    def precedes(self, other: Self) -> bool:
        """Whether every author's part here precedes its part in ``other``."""
        return all(
            author in other.parts and self.part_precedes(part, other.parts[author])
            for author, part in self.parts.items()
        )

    @property
    def authors(self) -> tuple[Author, ...]:
        """Who has said something, ascending."""
        return tuple(sorted(self.parts))

    def part(self, author: Author) -> Part:
        """What ``author`` has said; empty if nothing."""
        return self.parts.get(author, {})

    def body(self) -> object:
        """``{author: part}``."""
        return self.parts

    @classmethod
    def from_body(cls, body: object) -> Self:
        """The state of ``{author: part}``. Raises ``InvalidBody``."""
        return cls({author: cls.check_part(author, part) for author, part in check_authors(body).items()})

    @classmethod
    def from_entry(cls, author: Author, seq: int, body: object) -> Self:  # noqa: ARG003  every rule has these arguments
        """The state that ``author``'s part alone makes; ``{}`` says nothing. Raises ``InvalidBody``."""
        return cls() if body == {} else cls.of(author, cls.check_part(author, body))

    def entry_body(self, author: Author) -> object:
        """The part that ``author`` signs."""
        return self.part(author)


def check_authors(body: object) -> dict[Author, object]:
    """``body`` itself, if it is a map whose keys are authors. Raises ``InvalidBody``."""
    if not isinstance(body, dict):
        raise InvalidBody("no map of authors")
    if not all(isinstance(key, bytes) and len(key) == AUTHOR_BYTES for key in cast("dict[object, object]", body)):
        raise InvalidBody(f"an author that is not {AUTHOR_BYTES} bytes")
    return cast("dict[Author, object]", body)
