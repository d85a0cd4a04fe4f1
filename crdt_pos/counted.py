"""Which summary of each till counts in a ``day`` document, and who says otherwise. Pure.

``merge_rules.counter_covers.choose`` says what counts of what was published; where the journal is here it knows better, as
far as it goes:

- a till's own summary that reaches as far as the journal here counts, for the till signed both;
- else the journal's fold counts. A proxy that reaches as far and says the same has closed the date; one that reaches further,
  or says something else, is not borne out: it is a rival, and counts for nothing until more of the journal comes;
- a journal that goes on in two ways decides nothing.

Head offices hold no journals. There a proxy that reaches further than the till's own summary counts, as told by that proxy.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import NamedTuple

from crdt_pos.day import Day
from crdt_pos.forks import liars
from crdt_pos.receipt import Receipt
from crdt_pos.schema import JOURNAL
from gossip.document import Document
from gossip.entry import FeedId
from gossip.log import Reader, Stored
from merge_rules import canonical
from merge_rules.counter_covers import CLOSED, CounterCovers, Summary, choose, contains
from merge_rules.counter_nested import Nested
from merge_rules.dataclass import dataclass
from merge_rules.errors import InvalidBody
from merge_rules.lattice import Author


class Claim(NamedTuple):
    """What somebody says of a till's date, and does not count."""

    publisher: Author
    covers: int
    """Acts."""
    takings_minor: int


@dataclass(frozen=True, slots=True)
class Counted:
    """A till's date as it counts here."""

    subject: Author
    day: Day
    covers: int
    """Acts in it."""
    publisher: Author | None
    """Who signed the summary; ``None`` where the journal here was folded and nobody has published as much."""
    summary: Summary
    """What counts of all that was published."""
    claims: tuple[Claim, ...]
    """What excludes it, furthest first."""
    doubted: bool = False
    """Whether all that is here is the word of somebody who is proven to have contradicted itself."""

    @property
    def disputed(self) -> bool:
        """Whether a person must decide."""
        return bool(self.claims) or self.doubted


def counted(
    reader: Reader, document: Document, heads: Sequence[Stored] | None = None, *, as_published: bool = False
) -> list[Counted]:
    """What counts of every till in a ``day`` document, by author. What is no day at all is left out.

    ``heads``: the document's newest entries, if they have been read already.
    ``as_published``: of a till that has published its date itself, and no proxy more of it, not what it did since: that spares
    the fold of journals of open dates.
    """
    state = CounterCovers.bottom()
    for stored in reader.head_entries(document) if heads is None else heads:
        try:
            state = state.join(CounterCovers.from_entry(stored.entry.author, stored.entry.seq, stored.entry.body))
        except InvalidBody:
            continue
    of_subject: dict[Author, list[Summary]] = {}
    for summary in state.published():
        # Of a revoked till, a proxy tells no more than still counts of its journal.
        journal = _journal(document, summary.subject)
        if summary.publisher == summary.subject or reader.covers(journal, summary.covers.seq, summary.covers.hash):
            of_subject.setdefault(summary.subject, []).append(summary)
    distrusted = liars(reader)
    found: list[Counted] = []
    for _, said in sorted(of_subject.items()):
        readable = said if len(said) == 1 else [one for one in said if _is_day(one)]
        with contextlib.suppress(InvalidBody):
            found += [_counted(reader, document, readable, distrusted, as_published=as_published)] if readable else []
    return found


def _counted(
    reader: Reader, document: Document, said: Sequence[Summary], distrusted: Set[Author], *, as_published: bool
) -> Counted:
    counts, rivals = choose(said, distrusted)
    own = next((one for one in said if one.publisher == one.subject), None)
    told = own.covers.seq if own else 0
    heads = reader.heads(_journal(document, counts.subject))
    reach = heads[0].seq if len(heads) == 1 else 0
    if reach > told and (counts is not own or not as_published):
        with contextlib.suppress(InvalidBody):  # an act of a kind that is not known here: as if it were not here
            return _from_journal(reader, document, said, counts, own)
    if own is not None and 0 < reach <= told < counts.covers.seq:
        counts, _ = choose([one for one in said if one.covers.seq <= told], distrusted)
        rivals = tuple(one for one in said if one is not own and one.covers.seq >= told and not contains(counts, one))
    doubted = counts is not own and counts.publisher in distrusted
    day = Day.from_counters(counts.counters)
    return Counted(counts.subject, day, counts.covers.seq, counts.publisher, counts, _claims(rivals), doubted)


def _from_journal(
    reader: Reader, document: Document, said: Sequence[Summary], counts: Summary, own: Summary | None
) -> Counted:
    """The journal reaches further than the till's own summary: what it bears out, and what not."""
    day, borne_out, reach = Day(), set[Author](), 0
    wanted: dict[int, list[Summary]] = {}
    for one in said:
        wanted.setdefault(one.covers.seq, []).append(one)
    for stored in reader.entries(_journal(document, counts.subject)):
        reach, day = stored.entry.seq, day.plus(Receipt.from_body(stored.entry.body))
        for one in wanted.get(reach, ()):
            if stored.entry.hash.startswith(one.covers.hash) and _same(one.counters, day.counters()):
                borne_out.add(one.publisher)
    told = own.covers.seq if own else 0
    rivals = [one for one in said if one.publisher not in borne_out and (one is own or one.covers.seq >= told)]
    as_far = [one for one in wanted.get(reach, ()) if one.publisher in borne_out]
    if as_far:
        counts, _ = choose(as_far)
        day = Day.from_counters(counts.counters)
    return Counted(counts.subject, day, reach, counts.publisher if as_far else None, counts, _claims(rivals))


def _journal(document: Document, subject: Author) -> FeedId:
    return FeedId(Document(JOURNAL, document.day, document.keys), subject)


def _claims(rivals: Iterable[Summary]) -> tuple[Claim, ...]:
    claims = (
        Claim(one.publisher, one.covers.seq, Day.from_counters(one.counters).takings_minor)
        for one in sorted(rivals, key=lambda one: (-one.covers.seq, one.publisher))
    )
    return tuple(claims)


def _same(told: Mapping[int, Nested], derived: Mapping[int, Nested]) -> bool:
    """But for the word that there is no more, which a journal that ends nowhere does not say."""
    kept = ({key: value for key, value in counters.items() if key != CLOSED} for counters in (told, derived))
    return len({canonical.encode(counters) for counters in kept}) == 1


def _is_day(summary: Summary) -> bool:
    try:
        Day.from_counters(summary.counters)
    except InvalidBody:
        return False
    return True
