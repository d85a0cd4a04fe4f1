"""Grow-only counters by key: each author counts for itself, the value of a key is the sum over authors.

Body of an author: ``{key: count}``, keys all unsigned integers, all bytes or all text. Reference: the G-Counter of Shapiro
et al., A comprehensive study of Convergent and Commutative Replicated Data Types (2011), §3.1.1, one for each key.
"""

from __future__ import annotations

from typing import Self, cast

from merge_rules.canonical import INTEGER_MAX
from merge_rules.counter_authored import CounterAuthored, Part
from merge_rules.counter_nested import Key, check_map, checked_amount, checked_key
from merge_rules.dataclass import dataclass
from merge_rules.errors import InvalidBody, NotAllowed
from merge_rules.lattice import Author


@dataclass(frozen=True, slots=True)
class CounterGrow(CounterAuthored):
    """Counters that only grow.

    >>> anna, bert = Author(b"anna...."), Author(b"bert....")
    >>> start = CounterGrow.bottom()
    >>> till_1 = start.join(start.add(anna, "coffee", 2))
    >>> till_2 = start.join(start.add(bert, "coffee", 3))
    >>> till_1.value("coffee"), till_2.value("coffee")
    (2, 3)
    >>> till_1.join(till_2).value("coffee")
    5
    >>> till_1.join(till_2) == till_2.join(till_1).join(till_1)
    True
    """

    @classmethod
    def check_part(cls, author: Author, part: object) -> Part:  # noqa: ARG003  every rule has these arguments
        """``{key: count}`` with counts from 1."""
        counts = check_map(part)
        if not all(isinstance(count, int) for count in counts.values()):
            raise InvalidBody("a grow-only counter that is no integer")
        return counts

    def add(self, author: Author, key: Key, amount: int) -> Self:
        """The delta in which ``author`` counts ``amount`` more, from 1. Raises ``NotAllowed``."""
        part = self.part(author)
        count = cast("int", part.get(checked_key(key, part), 0)) + checked_amount(amount)
        if count > INTEGER_MAX:
            raise NotAllowed(f"the counter of {key!r} is full")
        return self.of(author, {key: count})

    def value(self, key: Key) -> int:
        """The sum over all authors; 0 for an unknown key."""
        return sum(cast("int", self.part(author).get(key, 0)) for author in self.authors)

    def values(self) -> dict[Key, int]:
        """The sum over all authors for every key that anyone has counted."""
        sums: dict[Key, int] = {}
        for author in self.authors:
            for key, count in self.part(author).items():
                sums[key] = sums.get(key, 0) + cast("int", count)
        return sums
