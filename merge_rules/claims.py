"""Claims: who says that a code means a thing; and reading the things that share a code as one.

Two stores that are cut off from each other each make a product for the barcode they see, and each *claims* the code for its
own. Nothing is rewritten when they meet: things that share a claimed code are one when **reading** (union-find; the smallest
id names them), while books and stock keep each thing's own id, so that retracting a claim pulls them apart again. Members
enrolled twice with one phone: the same.

A claim is an element of an add-wins set, ``[code, thing]``: a barcode (text) for a product (unsigned integer), or a keyed
hash of a phone number (bytes) for a member (bytes). Products and members never mix, since neither do their codes.

>>> from merge_rules.lattice import Author
>>> north, south = Author(b"north..."), Author(b"south...")
>>> here = Claims.from_entry(north, 1, Claims.claim_body("4006381", 1001))
>>> there = Claims.from_entry(south, 1, Claims.claim_body("4006381", 2001))
>>> both = here.join(there)
>>> both == there.join(here)
True
>>> things = Identities.read([both])
>>> things.same_as(2001), things.group(1001)
(1001, (1001, 2001))
>>> apart = both.join(Claims.from_entry(south, 2, both.retract_claim_body(south, "4006381", 2001)))
>>> Identities.read([apart]).same_as(2001)
2001

Reference: Tarjan, Efficiency of a Good But Not Linear Set Union Algorithm (1975).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import cast

from merge_rules import shape
from merge_rules.canonical import INTEGER_MAX
from merge_rules.dataclass import dataclass
from merge_rules.lattice import Author
from merge_rules.set_add_wins import SetAddWins

Code = str | bytes
"""A barcode (text), or the keyed hash of a phone number (bytes)."""

Thing = int | bytes
"""A product's id (unsigned integer), or a member's (bytes)."""

CODE_BYTES_MAX = 128
MEMBER_BYTES_MAX = 32


class Claims(SetAddWins):
    """The claims of one document, with their authors."""

    @classmethod
    def check_element(cls, element: object) -> None:
        """``[barcode, product]`` or ``[phone hash, member]``. Raises ``InvalidBody``."""
        pair = shape.array(element, "a claim")
        if len(pair) != 2:
            shape.refuse("a claim is not a code and a thing")
        code, thing = pair
        if isinstance(code, str):
            if not code or len(shape.encoded(code)) > CODE_BYTES_MAX:
                shape.refuse(f"a code is empty or longer than {CODE_BYTES_MAX} bytes")
            shape.integer(thing, 0, INTEGER_MAX, "a product")
        elif not shape.octets(code, "a code", CODE_BYTES_MAX) or not shape.octets(thing, "a member", MEMBER_BYTES_MAX):
            shape.refuse("an empty code or member")

    @classmethod
    def claim_body(cls, code: Code, thing: Thing) -> object:
        """The body of an entry that claims ``code`` for ``thing``. Raises ``InvalidBody``."""
        return cls.add_body([code, thing])

    def retract_claim_body(self, author: Author, code: Code, thing: Thing) -> object:
        """The body of an entry that takes back ``author``'s own claim. Raises ``NotAllowed`` if it made none."""
        return self.retract_body(author, [code, thing])

    def refute_claim_body(self, code: Code, thing: Thing) -> object:
        """The body of an entry that removes everyone's claim, as far as seen here. Raises ``NotAllowed`` if nobody made it."""
        return self.remove_body([code, thing])

    def claims(self) -> list[tuple[Code, Thing]]:
        """Every claim that stands, ascending by encoding."""
        return [cast("tuple[Code, Thing]", tuple(cast("list[object]", element))) for element in self.elements()]

    def claimants(self, code: Code, thing: Thing) -> frozenset[Author]:
        """Who makes this claim."""
        return frozenset(author for author, _ in self.dots([code, thing]))


@dataclass(frozen=True)
class Identities:
    """How things are read under the claims of any number of documents."""

    by_code: Mapping[Code, tuple[Thing, ...]] = field(default_factory=dict[Code, tuple[Thing, ...]])
    """The things that a code is claimed for, ascending."""
    joined: Mapping[Thing, tuple[Thing, ...]] = field(default_factory=dict[Thing, tuple[Thing, ...]])
    """The group of every thing that shares a code with another, ascending."""

    @classmethod
    def read(cls, documents: Iterable[Claims]) -> Identities:
        """Read claims of several documents together. (Their states are not joined: each numbers its own entries.)"""
        return cls.of(claim for document in documents for claim in document.claims())

    @classmethod
    def of(cls, claims: Iterable[tuple[Code, Thing]]) -> Identities:
        """Read plain claims: the same for every order, however often each is made."""
        by_code: dict[Code, set[Thing]] = {}
        for code, thing in claims:
            by_code.setdefault(code, set()).add(thing)
        parent: dict[Thing, Thing] = {}
        for things in by_code.values():
            ordered = _ascending(things)
            for thing in ordered[1:]:
                low, high = _ascending((_root(parent, ordered[0]), _root(parent, thing)))
                parent[high] = low
        groups: dict[Thing, set[Thing]] = {}
        for thing in list(parent):
            groups.setdefault(_root(parent, thing), set()).add(thing)
        joined = {thing: group for group in map(_ascending, groups.values()) if len(group) > 1 for thing in group}
        return cls({code: _ascending(things) for code, things in by_code.items()}, joined)

    def same_as(self, thing: Thing) -> Thing:
        """The id that names ``thing`` and everything that is one with it: the smallest."""
        return self.group(thing)[0]

    def group(self, thing: Thing) -> tuple[Thing, ...]:
        """Everything that is one with ``thing``, itself included, ascending."""
        return self.joined.get(thing, (thing,))

    def groups(self) -> list[tuple[Thing, ...]]:
        """Every group of more than one thing, ascending: products first."""
        groups = set(self.joined.values())
        return sorted(groups, key=lambda group: _order(group[0]))

    def find(self, code: Code) -> Thing | None:
        """What ``code`` means: the id that names it; ``None`` if nobody claims it."""
        things = self.by_code.get(code)
        return self.same_as(things[0]) if things else None

    @property
    def conflicts(self) -> dict[Code, tuple[Thing, ...]]:
        """The codes that are claimed for more than one thing: for a person to look at."""
        return {code: things for code, things in self.by_code.items() if len(things) > 1}


def _order(thing: Thing) -> tuple[bool, Thing]:
    return isinstance(thing, bytes), thing


def _ascending(things: Iterable[Thing]) -> tuple[Thing, ...]:
    return tuple(sorted(things, key=_order))


def _root(parent: dict[Thing, Thing], thing: Thing) -> Thing:
    root = thing
    while parent.setdefault(root, root) != root:
        root = parent[root]
    while parent[thing] != root:
        parent[thing], thing = root, parent[thing]
    return root
