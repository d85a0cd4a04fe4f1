"""Counters by covers: summaries of journals, by whoever holds the journal, counted once each.

A *subject* is an author whose journal is summed up; a *publisher* signs the summary, of its own journal or by proxy of a
neighbour's that is gone. Every summary says what it *covers*: the subject's last journal entry that is in it, by sequence
number and the first 16 bytes of its hash. For each subject one summary counts, and no other, so what a proxy published and
what the subject publishes when it comes back never add up.

    body     = {? 0: covers, * 1..22 => nested, ? 23: {+ subject => {0: covers, * 1..22 => nested}}}
    covers   = [seq: 1.., hash: bstr .size 16]
    nested   = a value of ``counter_nested``: counts that grow, or bytes that are set once

A publisher's own summary stands flat in its body, since that is the common case and must be small. The state keeps every
publisher's part; which summary counts is decided when reading. So a publisher's part has the order of its counters: a later
entry in which money shrank is a fork, however far it says it covers.

Which one, ``choose`` says, from nothing but the set of summaries, so everybody who has the same chooses the same:

1. the subject's own, once it says that it is closed: nothing comes after a close, so nobody knows of more;
2. else the one that covers most, of the subject's own and of the proxies that contain it. A proxy that covers more acts than
   the subject published, and counts less of anything, is not of this journal. Of equal cover: the subject's own, else the
   one with the larger encoding; to be closed is no difference, so of those that say the same otherwise the closed counts;
3. a publisher that is proven to have contradicted itself is heard as a proxy only where there is nothing else.

A proxy that covers more than the subject has published is what proxies are for, and is believed as far as nothing here
contradicts it: who holds the journal knows better, and says who told it. *Rivals* are the summaries that exclude the one that
counts: a proxy that covers more and was passed over, one of equal cover that differs, and where a proxy counts every other
proxy that is not contained in the further one. They are a conflict: shown, until a person decides. A proxy that reaches less
far than the subject's own is overruled by it, and no rival.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Final, NamedTuple, Self, cast

from merge_rules import canonical, counter_nested
from merge_rules.canonical import INTEGER_MAX
from merge_rules.counter_authored import CounterAuthored, Part, check_authors
from merge_rules.counter_nested import Key, Nested
from merge_rules.dataclass import dataclass
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


class Choice(NamedTuple):
    """Of the summaries of one journal the one that counts."""

    counts: Summary
    rivals: tuple[Summary, ...]
    """Those that exclude it, furthest first."""


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

    def choices(self, distrusted: Set[Author] = frozenset()) -> dict[Author, Choice]:
        """For each subject what counts and what excludes it. ``distrusted``: who is proven to have contradicted itself."""
        of_subject: dict[Author, list[Summary]] = {}
        for summary in self.published():
            of_subject.setdefault(summary.subject, []).append(summary)
        return {subject: choose(said, distrusted) for subject, said in of_subject.items()}

    def summaries(self, distrusted: Set[Author] = frozenset()) -> dict[Author, Summary]:
        """For each subject the summary that counts."""
        return {subject: choice.counts for subject, choice in self.choices(distrusted).items()}

    def conflicts(self, distrusted: Set[Author] = frozenset()) -> dict[Author, tuple[Summary, ...]]:
        """Subjects of which things are said that exclude each other: first what counts, then its rivals. Empty if all agree."""
        choices = self.choices(distrusted)
        return {subject: (counts, *rivals) for subject, (counts, rivals) in choices.items() if rivals}

    def total(
        self, keys: Iterable[int] = range(COVERS + 1, PROXIES), distrusted: Set[Author] = frozenset()
    ) -> dict[int, Nested]:
        """The sum over all subjects of what counts, for these keys; makes sense for counts, not for fixed bytes."""
        sums: dict[int, Nested] = {}
        counting = self.summaries(distrusted).values()
        for key in keys:
            for summary in counting:
                if key in summary.counters:
                    sums[key] = counter_nested.plus(sums.get(key, 0), summary.counters[key])
        return sums


def choose(said: Iterable[Summary], distrusted: Set[Author] = frozenset()) -> Choice:
    """What counts of one or more summaries of the same subject, each by another publisher: as the head of this file says."""
    everything = list(said)
    if len(everything) == 1:
        return Choice(everything[0], ())  # nearly always; comparing is what costs
    own = next((one for one in everything if one.publisher == one.subject), None)
    if own is not None and CLOSED in own.counters:
        counts = own
    else:
        heard = [one for one in everything if one is own or (one.publisher not in distrusted and contains(one, own))]
        heard = heard or everything
        reach = max(one.covers.seq for one in heard)
        counts = _preferred([one for one in heard if one.covers.seq == reach])
    rivals = (one for one in everything if one is not counts and one is not own and _excludes(one, counts, own))
    return Choice(counts, tuple(sorted(rivals, key=lambda one: (one.covers.seq, _preference(one)), reverse=True)))


def contains(further: Summary, less: Summary | None) -> bool:
    """Whether both can be of one journal: the further counts at least as much of everything, and with equal cover the same."""
    if less is None:
        return True
    if further.covers.seq == less.covers.seq:
        return _content(further) == _content(less)
    return further.covers.seq > less.covers.seq and all(
        counter_nested.precedes(value, further.counters.get(key, 0))
        for key, value in less.counters.items()
        if key != CLOSED
    )


def _excludes(one: Summary, counts: Summary, own: Summary | None) -> bool:
    if one.covers.seq > counts.covers.seq:
        return True
    if own is not None and one.covers.seq < own.covers.seq:
        return False  # the subject itself has told of these acts
    return not contains(counts, one)


def _check_summary(summary: object) -> None:
    if not isinstance(summary, dict):
        raise InvalidBody("a summary that is no map")
    for key, value in cast("dict[object, object]", summary).items():
        if type(key) is not int or not COVERS <= key < PROXIES:
            raise InvalidBody(f"a summary with a key that is not from 0 to {PROXIES - 1}")
        if key != COVERS:
            counter_nested.check(value)
        elif not _is_covers(value):
            raise InvalidBody("a summary that does not say what it covers")
    if COVERS not in summary:
        raise InvalidBody("a summary that does not say what it covers")


def _is_covers(value: object) -> bool:
    if not isinstance(value, list) or len(cast("list[object]", value)) != len(Covers._fields):
        return False
    seq, prefix = cast("list[object]", value)
    whole = isinstance(seq, int) and not isinstance(seq, bool) and 0 < seq <= INTEGER_MAX
    return whole and isinstance(prefix, bytes) and len(prefix) == COVERS_HASH_BYTES


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
