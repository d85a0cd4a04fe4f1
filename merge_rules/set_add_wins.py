"""Add-wins set: a removal takes away the additions that its author has seen, and no other.

Every addition has a dot, the author and number of its entry in a ``whole`` feed. A state is the dots that live, each with
its element, and the context of all dots seen: a dot that was seen and does not live was removed, so nothing that was removed
comes back. An element is in the set while one of its dots lives. Elements are any canonical values, held as their canonical
encodings.

An entry's body is ``{0: element}`` (add), ``{1: {author: [numbers]}}`` (remove: the dots it has seen) or both (replace). An
author that signs two entries under one number is joined like everyone: per dot, nothing < sets of elements < removed.

>>> from merge_rules.lattice import Author
>>> north, south = Author(b"north..."), Author(b"south...")
>>> here = there = SetAddWins.from_entry(north, 1, SetAddWins.add_body("tea"))
>>> here = here.join(SetAddWins.from_entry(north, 2, here.remove_body("tea")))
>>> there = there.join(SetAddWins.from_entry(south, 1, there.add_body("tea")))
>>> here.elements(), there.elements()
([], ['tea'])
>>> here.join(there) == there.join(here)
True
>>> here.join(there).elements()
['tea']

Reference: Bieniusa et al., An Optimized Conflict-free Replicated Set (2012); Almeida et al. (2018), §7.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Self

from merge_rules import canonical, shape
from merge_rules.dataclass import dataclass
from merge_rules.dots import Context, Dot, checked_dot, dots_body, dots_from_body
from merge_rules.errors import NotAllowed
from merge_rules.lattice import Author

ELEMENT, REMOVED = 0, 1
_FIELDS = frozenset({ELEMENT, REMOVED})


@dataclass(frozen=True)
class SetAddWins:
    """Living dots and the context of all that were seen."""

    live: Mapping[Dot, frozenset[bytes]] = field(default_factory=dict[Dot, frozenset[bytes]])
    """The canonical encoding of each dot's element; several only under a dot that its author used twice."""
    context: Context = field(default_factory=Context)
    """Every dot seen; holds those of ``live``."""

    @classmethod
    def check_element(cls, element: object) -> None:
        """For rules that narrow what may be an element: raise ``InvalidBody``. Here: anything may."""

    @classmethod
    def bottom(cls) -> Self:
        """The empty set that has seen nothing."""
        return cls()

    def join(self, other: Self) -> Self:
        """Dots that live in both, or live in one and are unknown to the other."""
        few, many = sorted((self, other), key=lambda state: state.context.size)
        # A delta has seen little: then its few dots are looked up, not the many living ones gone through.
        seen = few.context.dots() if few.context.size < len(many.live) else list(many.live)
        live = dict(many.live)
        for dot in [dot for dot in seen if dot in many.live and dot in few.context]:
            if dot in few.live:
                live[dot] |= few.live[dot]
            else:
                del live[dot]
        live.update({dot: elements for dot, elements in few.live.items() if dot not in many.context})
        return type(self)(live, self.context.union(other.context))

    def precedes(self, other: Self) -> bool:
        """Whether ``other`` has seen every addition and removal seen here."""
        return self.join(other) == other

    def body(self) -> object:
        """``[[[author, number, [elements]], …], context]``, dots and elements ascending."""
        live = [[*dot, [canonical.decode(one) for one in sorted(self.live[dot])]] for dot in sorted(self.live)]
        return [live, self.context.body()]

    @classmethod
    def from_body(cls, body: object) -> Self:
        """The state that ``body`` encodes. Raises ``InvalidBody``."""
        parts = shape.array(body, "an add-wins set")
        if len(parts) != 2:
            shape.refuse("an add-wins set has not two parts")
        context = Context.from_body(parts[1])
        live: dict[Dot, frozenset[bytes]] = {}
        for item in shape.array(parts[0], "living dots"):
            triple = shape.array(item, "a living dot")
            if len(triple) != 3:
                shape.refuse("a living dot has not three parts")
            dot = checked_dot(shape.author(triple[0]), shape.integer(triple[1], 1, 2**63, "a dot"))
            if dot not in context or (live and dot <= next(reversed(live))):
                shape.refuse("a living dot that was not seen, or out of order")
            elements = shape.array(triple[2], "a dot's elements")
            for element in elements:
                cls.check_element(element)
            live[dot] = frozenset(shape.ascending(elements, "a dot's elements"))
            if not live[dot]:
                shape.refuse("a living dot without an element")
        return cls(live, context)

    @classmethod
    def from_entry(cls, author: Author, seq: int, body: object) -> Self:
        """What one entry of a ``whole`` feed does. Raises ``InvalidBody``."""
        dot = checked_dot(author, seq)
        given = shape.fields(body, _FIELDS, "an operation on a set")
        if not given:
            shape.refuse("an operation that neither adds nor removes")
        removed = dots_from_body(given[REMOVED]) if REMOVED in given else frozenset[Dot]()
        if (REMOVED in given and not removed) or any(who == author and number >= seq for who, number in removed):
            shape.refuse("an operation that removes nothing, or what its author has yet to add")
        live: dict[Dot, frozenset[bytes]] = {}
        if ELEMENT in given:
            cls.check_element(given[ELEMENT])
            live[dot] = frozenset({shape.encoded(given[ELEMENT])})
        return cls(live, Context.of({dot, *removed}))

    def entry_body(self, author: Author) -> object:
        """This state as one operation of ``author``'s newest number: of a delta, the body of the entry that it came from."""
        newest = max((dot for dot in self.context.dots() if dot[0] == author), default=None)
        if newest is None:
            return {}
        body: dict[int, object] = {}
        if newest in self.live:
            body[ELEMENT] = canonical.decode(min(self.live[newest]))
        removed = [dot for dot in self.context.dots() if dot not in self.live and dot != newest]
        return {**body, REMOVED: dots_body(removed)} if removed else body

    @classmethod
    def add_body(cls, element: object) -> object:
        """The body of an entry that adds ``element``. Raises ``InvalidBody``."""
        return cls._body_of(element)

    def remove_body(self, element: object) -> object:
        """The body of an entry that removes what is seen of ``element`` here. Raises ``NotAllowed`` if it is not in the set."""
        return {REMOVED: dots_body(self._known(element))}

    def replace_body(self, old: object, new: object) -> object:
        """The body of an entry that removes ``old`` and adds ``new``. Raises ``NotAllowed`` if ``old`` is not in the set."""
        return {**self._body_of(new), REMOVED: dots_body(self._known(old))}

    def retract_body(self, author: Author, element: object) -> object:
        """The body of an entry that removes what ``author`` added of ``element``. Raises ``NotAllowed`` if it added none."""
        dots = {dot for dot in self.dots(element) if dot[0] == author}
        if not dots:
            raise NotAllowed("this author has not added the element, so it cannot be taken back")
        return {REMOVED: dots_body(dots)}

    def dots(self, element: object) -> frozenset[Dot]:
        """The living additions of ``element``: who added it."""
        encoding = shape.encoded(element)
        return frozenset(dot for dot, elements in self.live.items() if encoding in elements)

    @property
    def encoded(self) -> frozenset[bytes]:
        """The canonical encodings of the elements."""
        return frozenset[bytes]().union(*self.live.values())

    def elements(self) -> list[object]:
        """The elements, ascending by encoding."""
        return [canonical.decode(encoding) for encoding in sorted(self.encoded)]

    def __contains__(self, element: object) -> bool:
        return bool(self.dots(element))

    def _known(self, element: object) -> frozenset[Dot]:
        dots = self.dots(element)
        if not dots:
            raise NotAllowed("the element is not in the set, so it cannot be removed")
        return dots

    @classmethod
    def _body_of(cls, element: object) -> dict[int, object]:
        cls.check_element(element)
        shape.encoded(element)
        return {ELEMENT: element}
