"""Remove-wins set: of a concurrent addition and removal, the removal counts. For revocations.

Every operation has a dot, the author and number of its entry in a ``whole`` feed. An addition names the removals of its
element that its author has seen; an element is in the set iff one addition has seen *every* removal of it that is known.
Whoever adds again must therefore cover the removals; two authors who each saw only one of two removals restore nothing.
Elements are any canonical values, held as their canonical encodings.

An entry's body is ``{0: element, 1: {author: [numbers]}}`` (add, covering removals; 1 absent if none), ``{2: element}``
(remove) or all three (replace).

>>> from merge_rules.lattice import Author
>>> north, south = Author(b"north..."), Author(b"south...")
>>> first = SetRemoveWins.from_entry(north, 1, SetRemoveWins.bottom().add_body("till 3"))
>>> here = first.join(SetRemoveWins.from_entry(north, 2, first.remove_body("till 3")))
>>> there = first.join(SetRemoveWins.from_entry(south, 1, first.add_body("till 3")))
>>> here.elements(), there.elements()
([], ['till 3'])
>>> both = here.join(there)
>>> both == there.join(here), both.elements()
(True, [])
>>> both.join(SetRemoveWins.from_entry(south, 2, both.add_body("till 3"))).elements()
['till 3']

Reference: Zeller, Bieniusa, Poetzsch-Heffter, Formal Specification and Verification of CRDTs (2014), remove-wins set; ours
asks one addition to have seen all removals, the careful reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Self

from merge_rules import canonical, shape
from merge_rules.dataclass import dataclass
from merge_rules.dots import Dot, checked_dot, dots_body, dots_from_body
from merge_rules.lattice import Author, union_each, within_each

Addition = tuple[Dot, frozenset[Dot]]
"""The dot of an addition and the removals that it covers."""

ELEMENT, COVERED, REMOVED = 0, 1, 2
_FIELDS = frozenset({ELEMENT, COVERED, REMOVED})


@dataclass(frozen=True)
class SetRemoveWins:
    """All additions and all removals; which additions count is asked when reading."""

    added: Mapping[bytes, frozenset[Addition]] = field(default_factory=dict[bytes, frozenset[Addition]])
    """By canonical encoding of the element."""
    removed: Mapping[bytes, frozenset[Dot]] = field(default_factory=dict[bytes, frozenset[Dot]])
    """By canonical encoding of the element."""

    @classmethod
    def check_element(cls, element: object) -> None:
        """For rules that narrow what may be an element: raise ``InvalidBody``. Here: anything may."""

    @classmethod
    def bottom(cls) -> Self:
        """The empty set that has seen nothing."""
        return cls()

    def join(self, other: Self) -> Self:
        """The additions and removals of both."""
        return type(self)(union_each(self.added, other.added), union_each(self.removed, other.removed))

    def precedes(self, other: Self) -> bool:
        """Whether ``other`` has seen every addition and removal seen here."""
        return within_each(self.added, other.added) and within_each(self.removed, other.removed)

    def body(self) -> object:
        """``[[[element, [[author, number, covered], …]], …], [[element, dots], …]]``, ascending by encoding and by dot."""
        added = [
            [
                canonical.decode(element),
                sorted(([*dot, dots_body(covers)] for dot, covers in adds), key=canonical.encode),
            ]
            for element, adds in sorted(self.added.items())
        ]
        return [added, [[canonical.decode(one), dots_body(dots)] for one, dots in sorted(self.removed.items())]]

    @classmethod
    def from_body(cls, body: object) -> Self:
        """The state that ``body`` encodes. Raises ``InvalidBody``."""
        parts = shape.array(body, "a remove-wins set")
        if len(parts) != 2:
            shape.refuse("a remove-wins set has not two parts")
        removed = {element: dots_from_body(dots) for element, dots in cls._pairs(parts[1])}
        added: dict[bytes, frozenset[Addition]] = {}
        for element, value in cls._pairs(parts[0]):
            items = shape.array(value, "additions")
            shape.ascending(items, "additions")
            added[element] = frozenset(_addition(item) for item in items)
            if not items:
                shape.refuse("an element without an addition")
        if not all(removed.values()):
            shape.refuse("a removal without a dot")
        return cls(added, removed)

    @classmethod
    def from_entry(cls, author: Author, seq: int, body: object) -> Self:
        """What one entry of a ``whole`` feed does. Raises ``InvalidBody``."""
        dot = checked_dot(author, seq)
        given = shape.fields(body, _FIELDS, "an operation on a set")
        if not given or (COVERED in given and ELEMENT not in given):
            shape.refuse("an operation that neither adds nor removes")
        added: dict[bytes, frozenset[Addition]] = {}
        removed: dict[bytes, frozenset[Dot]] = {}
        if ELEMENT in given:
            covers = dots_from_body(given[COVERED]) if COVERED in given else frozenset[Dot]()
            if (COVERED in given and not covers) or any(who == author and number >= seq for who, number in covers):
                shape.refuse("an addition that covers nothing, or what its author has yet to remove")
            added[cls._encoded(given[ELEMENT])] = frozenset({(dot, covers)})
        if REMOVED in given:
            element = cls._encoded(given[REMOVED])
            if element in added:
                shape.refuse("an operation that adds and removes the same element")
            removed[element] = frozenset({dot})
        return cls(added, removed)

    def entry_body(self, author: Author) -> object:
        """The newest operation of ``author`` here: of a delta, the body of the entry that it came from."""
        operations: dict[int, dict[int, object]] = {}
        for element, additions in sorted(self.added.items()):
            for (who, seq), covers in additions:
                if who == author:
                    covered = {COVERED: dots_body(covers)} if covers else {}
                    operations.setdefault(seq, {}).update({ELEMENT: canonical.decode(element), **covered})
        for element, dots in sorted(self.removed.items()):
            for seq in (seq for who, seq in dots if who == author):
                operations.setdefault(seq, {})[REMOVED] = canonical.decode(element)
        return operations[max(operations)] if operations else {}

    def add_body(self, element: object) -> object:
        """The body of an entry that adds ``element``, covering the removals seen here. Raises ``InvalidBody``."""
        covers = self.removed.get(self._encoded(element))
        return {ELEMENT: element, COVERED: dots_body(covers)} if covers else {ELEMENT: element}

    @classmethod
    def remove_body(cls, element: object) -> object:
        """The body of an entry that removes ``element``, which need not have been added yet. Raises ``InvalidBody``."""
        cls._encoded(element)
        return {REMOVED: element}

    def replace_body(self, old: object, new: object) -> object:
        """The body of an entry that removes ``old`` and adds ``new``. Raises ``InvalidBody``, also if they are the same."""
        if self._encoded(old) == self._encoded(new):
            shape.refuse("an element cannot replace itself")
        covers = self.removed.get(self._encoded(new))
        return {ELEMENT: new, **({COVERED: dots_body(covers)} if covers else {}), REMOVED: old}

    @property
    def encoded(self) -> frozenset[bytes]:
        """The canonical encodings of the elements."""
        return frozenset(filter(self._counts, self.added))

    def elements(self) -> list[object]:
        """The elements, ascending by encoding."""
        return [canonical.decode(encoding) for encoding in sorted(self.encoded)]

    def removals(self, element: object) -> frozenset[Dot]:
        """Every removal of ``element`` seen: who removed it."""
        return self.removed.get(shape.encoded(element), frozenset())

    def __contains__(self, element: object) -> bool:
        return self._counts(shape.encoded(element))

    def _counts(self, element: bytes) -> bool:
        return counted(self.added.get(element, ()), self.removed.get(element, frozenset()))

    @classmethod
    def _encoded(cls, element: object) -> bytes:
        cls.check_element(element)
        return shape.encoded(element)

    @classmethod
    def _pairs(cls, value: object) -> list[tuple[bytes, object]]:
        pairs: list[tuple[bytes, object]] = []
        for item in shape.array(value, "a list of elements"):
            pair = shape.array(item, "an element and its dots")
            if len(pair) != 2:
                shape.refuse("an element and its dots have not two parts")
            element = cls._encoded(pair[0])
            if pairs and element <= pairs[-1][0]:
                shape.refuse("elements do not ascend")
            pairs.append((element, pair[1]))
        return pairs


def counted(additions: Iterable[Addition], removals: frozenset[Dot]) -> bool:
    """Whether an element with these additions and removals is in the set."""
    return any(removals <= covers for _, covers in additions) if removals else any(additions)


def _addition(item: object) -> Addition:
    parts = shape.array(item, "an addition")
    if len(parts) != 3:
        shape.refuse("an addition has not three parts")
    dot = checked_dot(shape.author(parts[0]), shape.integer(parts[1], 1, 2**63, "a dot"))
    return dot, dots_from_body(parts[2])
