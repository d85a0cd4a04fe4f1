"""Multi-value register: of concurrent writes all are kept, as a set. A conflict is a value.

Every author counts its own writes. A write carries a version vector, the number of every other author's write that its
author had seen, and so replaces exactly those; numbers, not clocks, decide. A number stands in the body rather than in the
entry, since an entry that says something else again must not make an old value new.

An entry's body is ``{0: number, 1: value, 2: {other author: number}}`` (2 absent if empty), or ``{}`` for nothing written.
An author that uses one number twice is joined like everyone: both writes are kept.

>>> from merge_rules.lattice import Author
>>> north, south = Author(b"north..."), Author(b"south...")
>>> here = there = RegisterMv.bottom()
>>> here = here.join(here.write(north, 199))
>>> there = there.join(there.write(south, 219))
>>> both = here.join(there)
>>> both == there.join(here), both.values()
(True, [199, 219])
>>> both.join(both.write(south, 209)).values()
[209]

Reference: Shapiro et al. (2011), §3.2.2; Preguiça et al., Dotted Version Vectors (2010).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import NamedTuple, Self

from merge_rules import canonical, shape
from merge_rules.dataclass import dataclass
from merge_rules.dots import SEQ_MAX, vector_from_body
from merge_rules.lattice import Author

NUMBER, VALUE, SEEN = 0, 1, 2
_FIELDS = frozenset({NUMBER, VALUE, SEEN})


class Write(NamedTuple):
    """A value, and what it replaces."""

    value: bytes
    """Canonical encoding."""
    seen: frozenset[tuple[Author, int]]
    """A version vector of other authors' writes."""


class Last(NamedTuple):
    """What one author wrote last."""

    number: int
    """From 1, counted by the author."""
    writes: frozenset[Write]
    """One, unless the author used a number twice."""


@dataclass(frozen=True)
class RegisterMv:
    """The last write of every author."""

    last: Mapping[Author, Last] = field(default_factory=dict[Author, Last])

    @classmethod
    def bottom(cls) -> Self:
        """Nothing written."""
        return cls()

    def join(self, other: Self) -> Self:
        """Of each author, the write with the greater number."""
        last = dict(self.last)
        for author, theirs in other.last.items():
            mine = last.get(author)
            if mine is None or mine.number < theirs.number:
                last[author] = theirs
            elif mine.number == theirs.number:
                last[author] = Last(mine.number, mine.writes | theirs.writes)
        return type(self)(last)

    def precedes(self, other: Self) -> bool:
        """Whether ``other`` has this or a later write of every author."""
        return self.join(other) == other

    def body(self) -> object:
        """``{author: [number, [[value, seen], …]]}``, ascending by encoding."""
        return {
            author: [last.number, sorted((_pair(write) for write in last.writes), key=canonical.encode)]
            for author, last in self.last.items()
        }

    @classmethod
    def from_body(cls, body: object) -> Self:
        """The state that ``body`` encodes. Raises ``InvalidBody``."""
        states: dict[Author, Last] = {}
        for key, value in shape.mapping(body, "a register").items():
            author, parts = shape.author(key), shape.array(value, "an author's last write")
            if len(parts) != 2:
                shape.refuse("an author's last write has not two parts")
            pairs = shape.array(parts[1], "the writes")
            shape.ascending(pairs, "the writes")
            if not pairs:
                shape.refuse("a number without a write")
            number = shape.integer(parts[0], 1, SEQ_MAX, "a number")
            states[author] = Last(number, frozenset(_write(author, shape.array(pair, "a write")) for pair in pairs))
        return cls(states)

    @classmethod
    def from_entry(cls, author: Author, seq: int, body: object) -> Self:  # noqa: ARG003  every rule has these arguments
        """One author's last write. Raises ``InvalidBody``."""
        author = shape.author(author)
        given = shape.fields(body, _FIELDS, "a write")
        if not given:
            return cls()
        if NUMBER not in given or VALUE not in given or (SEEN in given and given[SEEN] == {}):
            shape.refuse("a write without number or value, or with an empty version vector")
        number = shape.integer(given[NUMBER], 1, SEQ_MAX, "a number")
        return cls({author: Last(number, frozenset({_write(author, [given[VALUE], given.get(SEEN, {})])}))})

    def entry_body(self, author: Author) -> object:
        """The last write of ``author``; ``{}`` if it never wrote."""
        last = self.last.get(author)
        if last is None:
            return {}
        value, seen = _pair(max(last.writes, key=_order))
        return {NUMBER: last.number, VALUE: value, **({SEEN: seen} if seen else {})}

    def write(self, author: Author, value: object) -> Self:
        """The delta by which ``author`` writes ``value`` in place of everything seen here. Raises ``InvalidBody``."""
        number = 1 + (self.last[author].number if author in self.last else 0)
        seen = {other: last.number for other, last in self.last.items() if other != author}
        return self.from_entry(author, 0, {NUMBER: number, VALUE: value, **({SEEN: seen} if seen else {})})

    @property
    def encoded(self) -> frozenset[bytes]:
        """The canonical encodings of the values that nobody replaced; more than one is a conflict."""
        replaced: dict[Author, int] = {}
        for last in self.last.values():
            for write in last.writes:
                for author, number in write.seen:
                    replaced[author] = max(number, replaced.get(author, 0))
        return frozenset(
            write.value
            for author, last in self.last.items()
            if last.number > replaced.get(author, 0)
            for write in last.writes
        )

    def values(self) -> list[object]:
        """The values that nobody replaced, ascending by encoding; more than one is a conflict."""
        return [canonical.decode(value) for value in sorted(self.encoded)]

    def in_conflict(self) -> bool:
        """Whether different values were written apart from each other."""
        return len(self.encoded) > 1


def _write(author: Author, pair: list[object]) -> Write:
    if len(pair) != 2:
        shape.refuse("a write has not two parts")
    seen = vector_from_body(pair[1])
    if author in seen:
        shape.refuse("a write that names its own author among the others")
    return Write(shape.encoded(pair[0]), frozenset(seen.items()))


def _pair(write: Write) -> list[object]:
    return [canonical.decode(write.value), dict(write.seen)]


def _order(write: Write) -> bytes:
    return canonical.encode(_pair(write))
