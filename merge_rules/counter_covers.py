"""Counters by covers: summaries of journals, by whoever holds the journal, counted once each.

A *subject* is an author whose journal is summed up; a *publisher* signs the summary, of its own journal or by proxy of a
neighbour's that is gone. Every summary says what it *covers*: the subject's last journal entry that is in it, by sequence
number and the first 16 bytes of its hash. For each subject the summary that covers most counts, and no other, so what a
proxy published and what the subject publishes when it comes back never add up.

    body     = {? 0: covers, * 1..22 => nested, ? 23: {+ subject => {0: covers, * 1..22 => nested}}}
    covers   = [seq: 1.., hash: bstr .size 16]
    nested   = a value of ``counter_nested``: counts that grow, or bytes that are set once

A publisher's own summary stands flat in its body, since that is the common case and must be small. The state keeps every
publisher's part; which summary counts is decided when reading. So a publisher's part has the order of its counters: a later
entry in which money shrank is a fork, however far it says it covers.

Two summaries that cover equally much and differ are a conflict: shown, and until a person decides the subject's own counts,
else the one with the larger encoding. To be closed is no difference: of those that say the same otherwise, the closed counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, Self, cast

from merge_rules import canonical, counter_nested
from merge_rules.canonical import INTEGER_MAX
from merge_rules.counter_authored import CounterAuthored, Part, check_authors
from merge_rules.counter_nested import Key, Nested
from merge_rules.errors import InvalidBody
from merge_rules.lattice import Author

COVERS: Final = 0
PROXIES: Final = 23
CLOSED: Final = 11
"""The key of a counter that says no more than that the subject's journal ends there."""
COVERS_HASH_BYTES: Final = 16


class Covers(NamedTuple):
    """How far into the subject's journal a summary reaches. Ordered by number, then hash."""

    seq: int
    hash: bytes
    """The first 16 bytes of the hash of the journal entry with that number."""


class Summary(NamedTuple):
    """What a publisher says of a subject's journal."""

    subject: Author
    publisher: Author
    covers: Covers
    counters: dict[int, Nested]
    """By key, 1 … 22."""


@dataclass(frozen=True, slots=True)
class CounterCovers(CounterAuthored):
    """Summaries by publisher and subject.

    >>> anna, bert = Author(b"anna...."), Author(b"bert....")
    >>> proxy = CounterCovers.publish(bert, anna, Covers(7, b"#" * 16), {3: {"cash": [500]}})   # anna's till is dead
    >>> own = CounterCovers.publish(anna, anna, Covers(9, b"%" * 16), {3: {"cash": [650]}})     # and comes back
    >>> proxy.join(own) == own.join(proxy)
    True
    >>> proxy.total(), proxy.join(own).total()
    ({3: {'cash': [500]}}, {3: {'cash': [650]}})
    >>> proxy.join(own).conflicts()
    {}
    """

    @classmethod
    def publish(cls, publisher: Author, subject: Author, covers: Covers, counters: Mapping[int, Nested]) -> Self:
        """The delta in which ``publisher`` sums up ``subject``'s journal. Raises ``InvalidBody``.

        ``counters`` by key 1 … 22; nested counters in their one form, without anything that is 0.
        """
        summary: Part = {COVERS: [covers.seq, covers.hash], **cast("Part", counters)}
        part: Part = summary if subject == publisher else {PROXIES: {subject: cast("Nested", summary)}}
        return cls.of(publisher, cls.check_part(publisher, part))

    @staticmethod
    def join_parts(a: Part, b: Part) -> Part:
        """Place by place; covers by the further one."""
        joined = _join_summaries(a, b)
        mine, theirs = _proxies(a), _proxies(b)
        if mine or theirs:
            subjects = {**mine, **theirs}
            for subject in mine.keys() & theirs.keys():
                subjects[subject] = _join_summaries(mine[subject], theirs[subject])
            joined[PROXIES] = cast("Nested", subjects)
        return joined

    @staticmethod
    def part_precedes(a: Part, b: Part) -> bool:
        """Whether ``b`` covers as far and counts as much, for the publisher itself and for every subject."""
        further = _proxies(b)
        return _summary_precedes(a, b) and all(
            subject in further and _summary_precedes(summary, further[subject])
            for subject, summary in _proxies(a).items()
        )

    @classmethod
    def check_part(cls, author: Author, part: object) -> Part:
        """A body as above. Raises ``InvalidBody``."""
        if not isinstance(part, dict) or not part:
            raise InvalidBody("no map, or an empty one")
        fields = cast("dict[object, object]", part)
        if PROXIES in fields:
            proxies = check_authors(fields[PROXIES])
            if not proxies or author in proxies:
                raise InvalidBody("no proxies, or one for oneself")
            for summary in proxies.values():
                _check_summary(summary)
            fields = {key: value for key, value in fields.items() if key != PROXIES}
        if fields:
            _check_summary(fields)
        return cast("Part", part)

    # ---- reading --------------------------------------------------------------------------------------------------------

    def published(self) -> list[Summary]:
        """Everything that anyone published, by publisher and subject."""
        summaries: list[Summary] = []
        for publisher in self.authors:
            part = self.part(publisher)
            if COVERS in part:
                summaries.append(_summary(publisher, publisher, part))
            for subject, summary in sorted(_proxies(part).items()):
                summaries.append(_summary(subject, publisher, summary))
        return summaries

    def summaries(self) -> dict[Author, Summary]:
        """For each subject the summary that counts."""
        return {subject: _preferred(candidates) for subject, candidates in self._furthest().items()}

    def conflicts(self) -> dict[Author, tuple[Summary, ...]]:
        """Subjects of which different things are said with equal reach, with one summary of each; empty if all agree."""
        conflicts: dict[Author, tuple[Summary, ...]] = {}
        for subject, candidates in self._furthest().items():
            if len(candidates) < 2:
                continue
            different = {_content(summary): summary for summary in sorted(candidates, key=_preference)}
            if len(different) > 1:
                conflicts[subject] = tuple(reversed(different.values()))
        return conflicts

    def total(self, keys: Iterable[int] = range(COVERS + 1, PROXIES)) -> dict[int, Nested]:
        """The sum over all subjects of what counts, for these keys; makes sense for counts, not for fixed bytes."""
        sums: dict[int, Nested] = {}
        counting = self.summaries().values()
        for key in keys:
            for summary in counting:
                if key in summary.counters:
                    sums[key] = counter_nested.plus(sums.get(key, 0), summary.counters[key])
        return sums

    def _furthest(self) -> dict[Author, list[Summary]]:
        furthest: dict[Author, list[Summary]] = {}
        for summary in self.published():
            others = furthest.setdefault(summary.subject, [])
            if others and others[0].covers.seq < summary.covers.seq:
                others.clear()
            if not others or others[0].covers.seq == summary.covers.seq:
                others.append(summary)
        return furthest


def _check_summary(summary: object) -> None:
    if not isinstance(summary, dict):
        raise InvalidBody("a summary that is no map")
    fields = cast("dict[object, object]", summary)
    match fields.get(COVERS):
        case [int(seq), bytes(prefix)] if (
            type(seq) is int and 0 < seq <= INTEGER_MAX and len(prefix) == COVERS_HASH_BYTES
        ):
            pass
        case _:
            raise InvalidBody("a summary that does not say what it covers")
    for key, value in fields.items():
        if type(key) is not int or not COVERS <= key < PROXIES:
            raise InvalidBody(f"a summary with a key that is not from 0 to {PROXIES - 1}")
        if key != COVERS:
            counter_nested.check(value)


def _summary(subject: Author, publisher: Author, fields: Mapping[Key, Nested]) -> Summary:
    counters = {cast("int", key): value for key, value in fields.items() if key not in (COVERS, PROXIES)}
    return Summary(subject, publisher, _covers(fields), counters)


def _covers(fields: Mapping[Key, Nested]) -> Covers:
    return Covers(*cast("tuple[int, bytes]", fields[COVERS])) if COVERS in fields else Covers(0, b"")


def _proxies(part: Mapping[Key, Nested]) -> dict[Author, Part]:
    return cast("dict[Author, Part]", part.get(PROXIES, {}))


def _content(summary: Summary) -> bytes:
    counters = {key: value for key, value in summary.counters.items() if key != CLOSED}
    return canonical.encode([summary.covers.hash, counters])


def _preferred(candidates: list[Summary]) -> Summary:
    # Nearly always there is one, and encoding it is what costs.
    if len(candidates) == 1:
        return candidates[0]
    content = _content(max(candidates, key=_preference))
    agreeing = (summary for summary in candidates if _content(summary) == content)
    return max(agreeing, key=lambda summary: (CLOSED in summary.counters, _preference(summary)))


def _preference(summary: Summary) -> tuple[bool, bytes, Author]:
    return summary.subject == summary.publisher, _content(summary), summary.publisher


def _join_summaries(mine: Part, theirs: Part) -> Part:
    joined = {**mine, **theirs}
    for key in mine.keys() & theirs.keys():
        if key != PROXIES:
            joined[key] = counter_nested.join(mine[key], theirs[key])
    if COVERS in joined:
        joined[COVERS] = list(max(_covers(mine), _covers(theirs)))
    return joined


def _summary_precedes(mine: Part, theirs: Part) -> bool:
    return _covers(mine) <= _covers(theirs) and all(
        counter_nested.precedes(value, theirs.get(key, 0))
        for key, value in mine.items()
        if key not in (COVERS, PROXIES)
    )
