"""Counters by key that go up and down: two grow-only sides, the value is what went up less what went down.

Body of an author: ``{key: [up]}`` or ``{key: [up, down]}``, keys as in ``counter_grow``. The value may be negative: stock that
was sold before its delivery was booked. Reference: the PN-Counter of Shapiro et al. (2011), §3.1.3, one for each key.
"""

from __future__ import annotations

from typing import Self

from merge_rules.canonical import INTEGER_MAX
from merge_rules.counter_authored import CounterAuthored, Part
from merge_rules.counter_nested import Key, check_map, checked_amount, checked_key
from merge_rules.dataclass import dataclass
from merge_rules.errors import InvalidBody, NotAllowed
from merge_rules.lattice import Author


@dataclass(frozen=True, slots=True)
class CounterPN(CounterAuthored):
    """Counters that go up and down.

    >>> anna, bert = Author(b"anna...."), Author(b"bert....")
    >>> start = CounterPN.bottom()
    >>> start = start.join(start.increase(anna, 4711, 10))
    >>> till_1 = start.join(start.decrease(anna, 4711, 3))
    >>> till_2 = start.join(start.decrease(bert, 4711, 4))
    >>> till_1.value(4711), till_2.value(4711)
    (7, 6)
    >>> till_1.join(till_2).value(4711)
    3
    >>> till_1.join(till_2) == till_2.join(till_1)
    True
    """

    @classmethod
    def check_part(cls, author: Author, part: object) -> Part:  # noqa: ARG003  every rule has these arguments
        """``{key: [up]}`` or ``{key: [up, down]}``, unsigned, the last not 0."""
        counts = check_map(part)
        for sides in counts.values():
            if not isinstance(sides, list) or len(sides) > 2 or not all(isinstance(side, int) for side in sides):
                raise InvalidBody("a counter without its one or two sides")
        return counts

    def increase(self, author: Author, key: Key, amount: int) -> Self:
        """The delta in which ``author`` counts ``amount`` up, from 1. Raises ``NotAllowed``."""
        up, _ = self._sides(author, checked_key(key, self.part(author)))
        return self.of(author, {key: [_grown(up, amount)]})

    def decrease(self, author: Author, key: Key, amount: int) -> Self:
        """The delta in which ``author`` counts ``amount`` down, from 1. Raises ``NotAllowed``."""
        up, down = self._sides(author, checked_key(key, self.part(author)))
        return self.of(author, {key: [up, _grown(down, amount)]})

    def sides(self, key: Key) -> tuple[int, int]:
        """What all authors counted up, and what they counted down."""
        sides = [self._sides(author, key) for author in self.authors]
        return sum(up for up, _ in sides), sum(down for _, down in sides)

    def value(self, key: Key) -> int:
        """Up less down, over all authors; 0 for an unknown key."""
        up, down = self.sides(key)
        return up - down

    def values(self) -> dict[Key, int]:
        """Up less down for every key that anyone has counted, also where that is 0."""
        sums: dict[Key, int] = {}
        for author in self.authors:
            for key in self.part(author):
                up, down = self._sides(author, key)
                sums[key] = sums.get(key, 0) + up - down
        return sums

    def _sides(self, author: Author, key: Key) -> tuple[int, int]:
        sides = self.part(author).get(key)
        up, down = (*sides, 0, 0)[:2] if isinstance(sides, list) else (0, 0)
        assert isinstance(up, int)
        assert isinstance(down, int)
        return up, down


def _grown(count: int, amount: int) -> int:
    grown = count + checked_amount(amount)
    if grown > INTEGER_MAX:
        raise NotAllowed("the counter is full")
    return grown
