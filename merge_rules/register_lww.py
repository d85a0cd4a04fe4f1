"""Last-writer-wins register: the value with the greatest stamp; of equal stamps, the greater author's.

The state remembers the last write of every author, not only the winner: an author's own part then never depends on what
others wrote, so what it signs only grows, and a write whose stamp lies in the future can wait until its time comes. Stamps
are whatever ascends, normally a hybrid logical clock's.

An entry's body is ``{0: stamp, 1: value}``, or ``{}`` for nothing written. An author that writes two values with one stamp
is joined like everyone: both are kept, and the greater encoding is read.

>>> from merge_rules.lattice import Author
>>> north, south = Author(b"north..."), Author(b"south...")
>>> here = there = RegisterLww.bottom()
>>> here = here.join(here.write(north, 7, "Tea"))
>>> there = there.join(there.write(south, 8, "Black tea"))
>>> here.join(there) == there.join(here)
True
>>> here.join(there).value()
'Black tea'
>>> here.join(there).value(now=7)
'Tea'

Reference: Shapiro et al. (2011), §3.2.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import NamedTuple, Self

from merge_rules import canonical, shape
from merge_rules.dataclass import dataclass
from merge_rules.errors import NotAllowed
from merge_rules.lattice import Author

STAMP_MAX = 2**64 - 1
STAMP, VALUE = 0, 1
_FIELDS = frozenset({STAMP, VALUE})


class Write(NamedTuple):
    """What one author wrote last."""

    stamp: int
    values: frozenset[bytes]
    """Canonical encodings; one, unless the author used a stamp twice."""


@dataclass(frozen=True)
class RegisterLww:
    """The last write of every author."""

    writes: Mapping[Author, Write] = field(default_factory=dict[Author, Write])

    @classmethod
    def bottom(cls) -> Self:
        """Nothing written."""
        return cls()

    def join(self, other: Self) -> Self:
        """Of each author, the write with the greater stamp."""
        writes = dict(self.writes)
        for author, write in other.writes.items():
            mine = writes.get(author)
            if mine is None or mine.stamp < write.stamp:
                writes[author] = write
            elif mine.stamp == write.stamp:
                writes[author] = Write(mine.stamp, mine.values | write.values)
        return type(self)(writes)

    def precedes(self, other: Self) -> bool:
        """Whether ``other`` has this or a later write of every author."""
        return self.join(other) == other

    def body(self) -> object:
        """``{author: {0: stamp, 1: [values, ascending by encoding]}}``."""
        return {
            author: {STAMP: write.stamp, VALUE: [canonical.decode(value) for value in sorted(write.values)]}
            for author, write in self.writes.items()
        }

    @classmethod
    def from_body(cls, body: object) -> Self:
        """The state that ``body`` encodes. Raises ``InvalidBody``."""
        writes: dict[Author, Write] = {}
        for key, value in shape.mapping(body, "a register").items():
            stamp, values = _fields(value)
            encodings = shape.ascending(shape.array(values, "the values"), "the values")
            if not encodings:
                shape.refuse("a write without a value")
            writes[shape.author(key)] = Write(stamp, frozenset(encodings))
        return cls(writes)

    @classmethod
    def from_entry(cls, author: Author, seq: int, body: object) -> Self:  # noqa: ARG003  every rule has these arguments
        """One author's last write. Raises ``InvalidBody``."""
        author = shape.author(author)
        if body == {}:
            return cls()
        stamp, value = _fields(body)
        return cls({author: Write(stamp, frozenset({shape.encoded(value)}))})

    def entry_body(self, author: Author) -> object:
        """The last write of ``author``; ``{}`` if it never wrote."""
        write = self.writes.get(author)
        return {STAMP: write.stamp, VALUE: canonical.decode(max(write.values))} if write else {}

    def write(self, author: Author, stamp: int, value: object) -> Self:
        """The delta by which ``author`` writes ``value``.

        Raises ``NotAllowed`` unless ``stamp`` is greater than every stamp seen here: the write would be lost, or the author
        would contradict itself. Raises ``InvalidBody`` for a value or stamp out of bounds.
        """
        if any(stamp <= write.stamp for write in self.writes.values()):
            raise NotAllowed("the stamp is not later than the last one written here: is the clock wrong?")
        return self.from_entry(author, 0, {STAMP: stamp, VALUE: value})

    def value(self, default: object = None, now: int = STAMP_MAX) -> object:
        """What was written last, by stamps up to ``now``; ``default`` if nothing was."""
        winner = self.winner(now)
        return default if winner is None else canonical.decode(max(self.writes[winner].values))

    def winner(self, now: int = STAMP_MAX) -> Author | None:
        """Who wrote last, by stamps up to ``now``."""
        stamps = ((write.stamp, author) for author, write in self.writes.items() if write.stamp <= now)
        return max(stamps, default=(0, None))[1]

    def waiting(self, now: int) -> frozenset[Author]:
        """The authors whose last write has a stamp from the future."""
        return frozenset(author for author, write in self.writes.items() if write.stamp > now)


def _fields(body: object) -> tuple[int, object]:
    given = shape.fields(body, _FIELDS, "a write")
    if len(given) != len(_FIELDS):
        shape.refuse("a write without stamp or value")
    return shape.integer(given[STAMP], 0, STAMP_MAX, "a stamp"), given[VALUE]
