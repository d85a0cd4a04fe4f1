"""Cut-offs: which entries of an author still count, once somebody entitled has said that no more of them should.

A cut-off is data in an entry (``Kind.cuts`` finds it there), so everybody who holds the same entries counts the same, whatever
came first:

- of a ``latest`` feed that is cut off the entries count that a cut-off *embeds*, whole, since what comes after replaces them;
- of a ``whole`` feed the entry that a cut-off embeds or names, and all before it in its chain;
- of a feed that no cut-off of its author mentions, nothing. Several cut-offs of one author: the union of what counts;
- a *readmission* lets more count and cuts nothing off: it embeds entries of ``latest`` feeds, and names those of others by hash.

What does not count is kept and passed on like everything else; only readers that ask what counts do not see it. A cut-off that
stands in an entry which does not count itself is none. Two authors that cut off each other are both cut off. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import field
from typing import NamedTuple

from gossip.document import FeedType
from gossip.entry import Entry, FeedId, Hash
from gossip.log import feed_key
from gossip.schema import CutOff, Reach, Schema
from merge_rules.dataclass import dataclass
from merge_rules.errors import InvalidBody
from merge_rules.lattice import Author


class Stated(NamedTuple):
    """A cut-off and the entry that states it."""

    cut: CutOff
    by: Entry


@dataclass(frozen=True, slots=True)
class Counting:
    """What counts of one author: the union of its cut-offs and readmissions."""

    latest: dict[bytes, tuple[Entry, ...]] = field(default_factory=dict[bytes, tuple[Entry, ...]])
    """By feed key, ascending by number; those that another contains are left out."""
    whole: dict[bytes, tuple[Reach, ...]] = field(default_factory=dict[bytes, tuple[Reach, ...]])
    """By feed key: how far the feed counts."""
    readmitted: frozenset[Hash] = frozenset()

    @classmethod
    def union(cls, cuts: Iterable[CutOff], schema: Schema) -> Counting:
        """Of one author's cut-offs."""
        latest: dict[bytes, dict[Hash, Entry]] = {}
        whole: dict[bytes, set[Reach]] = {}
        readmitted: set[Hash] = set()
        for cut in cuts:
            readmitted.update(cut.readmitted)
            for reach in cut.reaches:
                whole.setdefault(reach.feed, set()).add(reach)
            for entry in cut.entries:
                key = feed_key(FeedId(entry.document, entry.author))
                if entry.feed is FeedType.LATEST:
                    latest.setdefault(key, {})[entry.hash] = entry
                else:
                    whole.setdefault(key, set()).add(Reach(key, entry.seq, entry.hash))
        return cls(
            {key: _maximal(entries.values(), schema) for key, entries in latest.items()},
            {key: tuple(sorted(reaches)) for key, reaches in whole.items()},
            frozenset(readmitted),
        )

    def covers(self, feed: bytes, seq: int, beginning: bytes) -> bool:
        """Whether entry ``seq`` of a ``whole`` feed, whose hash has this beginning, counts, as far as can be said without it."""
        if any(hashed.startswith(beginning) for hashed in self.readmitted):
            return True
        return any(_reaches(reach, seq, beginning) for reach in self.whole.get(feed, ()))


def _reaches(reach: Reach, seq: int, beginning: bytes) -> bool:
    return reach.seq > seq or (reach.seq == seq and _same(reach.hash, beginning))


def _same(one: bytes, other: bytes) -> bool:
    """Whether two hashes, or the beginnings of two, can be of one entry."""
    return one.startswith(other) or other.startswith(one)


def _maximal(entries: Collection[Entry], schema: Schema) -> tuple[Entry, ...]:
    ordered = sorted(entries, key=lambda one: (one.seq, one.hash))
    return tuple(one for one in ordered if not any(_contained(one, other, schema) for other in ordered))


def _contained(one: Entry, other: Entry, schema: Schema) -> bool:
    kind = schema.get(one.document.kind)
    if one.seq >= other.seq:
        return False
    if kind is None:
        return True
    try:
        lower, upper = (kind.rule.from_entry(each.author, each.seq, each.body) for each in (one, other))
    except InvalidBody:
        return False
    return lower.precedes(upper)


def line(held: Sequence[Entry | Link], reaches: Iterable[Reach], previous: Callable[[Hash], Hash | None]) -> set[Hash]:
    """Those entries held of a ``whole`` feed, by (seq, hash), that count: what the reaches name and all before them.

    As long as an entry that is named is not here, what is here below its number counts with it.
    """
    numbers = [one.seq for one in held]
    forked = len(set(numbers)) < len(numbers)
    found: set[Hash] = set()
    by_hash = {one.hash: one for one in held}
    for reach in reaches:
        top = next((one.hash for one in held if one.seq == reach.seq and _same(one.hash, reach.hash)), None)
        if top is None or not forked:
            below = reach.seq if top is None else reach.seq + 1
            found.update(one.hash for one in held if one.seq < below)
            continue
        while top is not None and top in by_hash and top not in found:
            found.add(top)
            top = previous(top)
    return found


class Link(NamedTuple):
    """An entry by number and hash."""

    seq: int
    hash: Hash


def in_effect(stated: Sequence[Stated], counts: Callable[[Entry, Sequence[CutOff]], bool]) -> list[CutOff]:
    """Those cut-offs that hold. ``counts``: whether an entry counts where these are what cuts off its author.

    Of authors that cut off each other's cut-offs all are cut off: an alternating fixpoint, so that the order says nothing.
    """

    def holding(assumed: Collection[int]) -> set[int]:
        found: set[int] = set()
        for number, (_, by) in enumerate(stated):
            against = [stated[one].cut for one in sorted(assumed) if stated[one].cut.author == by.author]
            if not any(cut.revokes for cut in against) or counts(by, against):
                found.add(number)
        return found

    surely = holding(range(len(stated)))
    while True:
        perhaps = holding(surely)
        again = holding(perhaps)
        if again == surely:
            return [stated[number].cut for number in sorted(perhaps)]
        surely = again


def by_author(cuts: Iterable[CutOff]) -> dict[Author, list[CutOff]]:
    """The cut-offs of every author that is cut off, with what was readmitted of it."""
    found: dict[Author, list[CutOff]] = {}
    for cut in cuts:
        found.setdefault(cut.author, []).append(cut)
    return {author: many for author, many in found.items() if any(cut.revokes for cut in many)}
