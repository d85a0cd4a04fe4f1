"""Grow-only set: what was added stays. The union of what each author added.

The state remembers who added what, so that an author can sign its own part (``latest`` feeds: the list of everything it
added; a shorter list under a higher number is a lie). In ``whole`` feeds each entry is the list of what it adds; the same
rule joins both. Elements are any canonical values, held as their canonical encodings, which are hashable and ordered.

>>> from merge_rules.lattice import Author
>>> north, south = Author(b"north..."), Author(b"south...")
>>> here = there = SetGrow.bottom()
>>> here = here.join(here.add(north, b"account1"))
>>> there = there.join(there.add(south, b"account2"))
>>> here == there
False
>>> here.join(there) == there.join(here)
True
>>> here.join(there).elements()
[b'account1', b'account2']

Reference: Shapiro et al., A comprehensive study of Convergent and Commutative Replicated Data Types (2011), §3.3.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Self

from merge_rules import canonical, shape
from merge_rules.dataclass import dataclass
from merge_rules.lattice import Author, union_each, within_each


@dataclass(frozen=True)
class SetGrow:
    """Everything that anyone added."""

    added: Mapping[Author, frozenset[bytes]] = field(default_factory=dict[Author, frozenset[bytes]])
    """Canonical encodings of what each author added; no author without any."""

    @classmethod
    def check_element(cls, element: object) -> None:
        """For rules that narrow what may be an element: raise ``InvalidBody``. Here: anything may."""

    @classmethod
    def bottom(cls) -> Self:
        """The empty set."""
        return cls()

    def join(self, other: Self) -> Self:
        """What either author list holds."""
        return type(self)(union_each(self.added, other.added))

    def precedes(self, other: Self) -> bool:
        """Whether ``other`` holds everything that each author added here."""
        return within_each(self.added, other.added)

    def body(self) -> object:
        """``{author: [elements, ascending by encoding]}``."""
        return {author: _values(elements) for author, elements in self.added.items()}

    @classmethod
    def from_body(cls, body: object) -> Self:
        """The state that ``body`` encodes. Raises ``InvalidBody``."""
        added = {
            shape.author(key): cls._elements(value) for key, value in shape.mapping(body, "a grow-only set").items()
        }
        if not all(added.values()):
            shape.refuse("an author that added nothing")
        return cls(added)

    @classmethod
    def from_entry(cls, author: Author, seq: int, body: object) -> Self:  # noqa: ARG003  every rule has these arguments
        """What one entry adds: an array of elements, strictly ascending by encoding. Raises ``InvalidBody``."""
        elements = cls._elements(body)
        return cls({shape.author(author): elements}) if elements else cls()

    def entry_body(self, author: Author) -> object:
        """Everything that ``author`` added, ascending by encoding."""
        return _values(self.added.get(author, frozenset()))

    @classmethod
    def add(cls, author: Author, *elements: object) -> Self:
        """The delta by which ``author`` adds ``elements``. Raises ``InvalidBody``."""
        return cls({author: cls._elements(cls.add_body(*elements))}) if elements else cls()

    @classmethod
    def add_body(cls, *elements: object) -> object:
        """The body of an entry, in a ``whole`` feed, that adds ``elements``. Raises ``InvalidBody``."""
        return _values(frozenset(shape.encoded(element) for element in elements))

    @property
    def encoded(self) -> frozenset[bytes]:
        """The canonical encodings of the elements."""
        return frozenset[bytes]().union(*self.added.values())

    def elements(self) -> list[object]:
        """The elements, ascending by encoding."""
        return _values(self.encoded)

    def __contains__(self, element: object) -> bool:
        encoding = shape.encoded(element)
        return any(encoding in elements for elements in self.added.values())

    @classmethod
    def _elements(cls, body: object) -> frozenset[bytes]:
        elements = shape.array(body, "a list of elements")
        for element in elements:
            cls.check_element(element)
        return frozenset(shape.ascending(elements, "elements"))


def _values(encodings: frozenset[bytes]) -> list[object]:
    return [canonical.decode(encoding) for encoding in sorted(encodings)]
