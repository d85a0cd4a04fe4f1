"""Closing by proxy: a till's last date is closed by another till of its store, from what is here of its journal.

Nothing is ever counted twice: of all summaries of a journal one counts (``CounterCovers``). So closing again adds nothing,
closing after more of the journal has come says more, and a till that comes back after all and has sold more overrules it.
What nobody holds is lost, and nobody pretends otherwise: the summary says how far it reaches. Pure.

A proxy signs only what the till itself has signed: the fold of its journal, or the summary that it published. What others
say of it is never passed on, since a lie would come out of it under an honest till's name.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import cast

from crdt_pos import journal
from crdt_pos.day import Day, fold
from crdt_pos.directory import store_roster
from crdt_pos.receipt import ReceiptType
from crdt_pos.schema import DAY, JOURNAL
from crdt_pos.turn import Turn, day_document
from gossip.document import date_of, day_number
from gossip.entry import FeedId
from gossip.log import Reader, entries_of
from merge_rules import canonical
from merge_rules.counter_covers import COVERS_HASH_BYTES, CounterCovers, Covers, Summary
from merge_rules.dataclass import dataclass
from merge_rules.errors import InvalidBody
from merge_rules.lattice import Author
from merge_rules.set_remove_wins import ELEMENT
from peers.certificates import Certificate
from peers.errors import InvalidElement
from peers.permissions import Role
from peers.roster import Directory, Enrolment, from_element


@dataclass(frozen=True, slots=True)
class ClosedFor:
    """A date that was closed by proxy."""

    life: Author
    date: datetime.date
    acts: int
    """How many of its acts are in the close; what came after the last of them, nobody holds."""
    takings_minor: int
    last_ms: int
    """When the last of them was, milliseconds since 1970; 0 if only what the till published of it is here."""


def close(turn: Turn, other: Author, date: datetime.date) -> ClosedFor | None:
    """Sign the close of another till's date into ``turn``; ``None`` if that adds nothing."""
    day, store, reader = day_number(date), turn.identity.store, turn.reader
    if other == turn.identity.author:
        return None
    own = _told(reader, store, day, other, other)
    heads = reader.heads(FeedId(journal.journal_document(store, day), other))
    reach = own.covers if own else Covers(0, b"")
    # A journal that goes on in two ways is no journal: what is true of it, nobody here knows.
    held = len(heads) == 1 and heads[0].seq >= reach.seq
    from_journal = held and heads[0].seq > reach.seq
    if from_journal:
        reach = Covers(heads[0].seq, heads[0].hash[:COVERS_HASH_BYTES])
    if len(reader.heads(FeedId(day_document(store, day), turn.identity.author))) > 1:
        return None  # a till that contradicts itself speaks for nobody
    mine = _told(reader, store, day, turn.identity.author, other)
    if not reach.seq or (mine is not None and mine.covers.seq >= reach.seq):
        return None
    try:
        acts = list(journal.acts(reader, store, day, other)) if held else []
    except InvalidBody:
        return None  # acts of a kind that this version does not know: a newer one must sum them up
    if from_journal and len(acts) < reach.seq:
        return None  # some of it was damaged on the disk here: it is not summed up before it is back
    if from_journal:
        told = fold(acts)
    else:
        assert own is not None
        told = Day.from_counters(own.counters)
        if told.closed:
            return None
    told = replace(told, closed=True)
    authors = reader.authors(day_document(store, day))
    if any(
        said is not None and said.covers == reach and said.counters == told.counters()
        for said in (_told(reader, store, day, one, other) for one in authors)
    ):
        return None  # a neighbour has said the very same
    if mine is not None and not _follows(turn.identity.author, mine, reach, told):
        return None  # the till contradicts what it said before: signed together, both would be a sum that it never said
    turn.publish(other, day, reach, told)
    return ClosedFor(other, date, reach.seq, told.takings_minor, acts[-1].stamp_ms if acts else 0)


def close_all(turn: Turn, lives: Iterable[Author]) -> list[ClosedFor]:
    """Close every date of these lives that is not closed yet, as far as it is known here."""
    found = (close(turn, life, date) for life in lives for date in _open_dates(turn.reader, turn.identity.store, life))
    return [closed for closed in found if closed is not None]


def lives(reader: Reader, directory: Directory, store: int, till: int) -> list[Certificate]:
    """Every life of a till, in the order in which head offices enrolled them."""
    enrolled: dict[bytes, int] = {}
    for stored in entries_of(reader, store_roster(store)):
        body = stored.entry.body
        if not isinstance(body, dict) or ELEMENT not in body:
            continue
        try:
            record = from_element(cast("dict[int, object]", body)[ELEMENT])
        except InvalidElement:
            continue
        if isinstance(record, Enrolment):
            enrolled.setdefault(record.chain[0], stored.entry.stamp)
    known = (chain[0] for chain in directory.chains.values())
    found = [one for one in known if one.role is Role.TILL and (one.store, one.till) == (store, till)]
    return sorted((one for one in found if one.der in enrolled), key=lambda one: (enrolled[one.der], one.der))


def earlier_lives(reader: Reader, directory: Directory, me: Certificate) -> Sequence[Author]:
    """The lives of the same till before this one."""
    assert me.store is not None
    assert me.till is not None
    before: list[Author] = []
    for life in lives(reader, directory, me.store, me.till):
        if life.author == me.author:
            return before
        before.append(life.author)
    return []  # the roster does not say yet which life this is


def _told(reader: Reader, store: int, day: int, publisher: Author, subject: Author) -> Summary | None:
    """What ``publisher`` says of ``subject``'s date; of contradictory entries one, and not their join, which nobody signed."""
    found: list[Summary] = []
    for head in reader.heads(FeedId(day_document(store, day), publisher)):
        stored = reader.find(head.hash)
        try:
            said = CounterCovers.from_entry(publisher, head.seq, stored.entry.body).published() if stored else []
            for summary in (one for one in said if one.subject == subject):
                Day.from_counters(summary.counters)
                found.append(summary)
        except InvalidBody:
            continue
    return max(found, key=lambda one: (one.covers, canonical.encode(one.counters)), default=None)


def _follows(publisher: Author, before: Summary, reach: Covers, told: Day) -> bool:
    first = CounterCovers.publish(publisher, before.subject, before.covers, before.counters)
    return first.precedes(CounterCovers.publish(publisher, before.subject, reach, told.counters()))


def _open_dates(reader: Reader, store: int, life: Author) -> Iterator[datetime.date]:
    """Dates of which a life has not said that they are closed."""
    documents = [one for kind in (JOURNAL, DAY) for one in reader.documents(kind) if one.keys == (store,)]
    for day in sorted({document.day for document in documents}):
        heads = reader.heads(FeedId(journal.journal_document(store, day), life))
        last = reader.find(heads[-1].hash) if heads else None
        told = bool(reader.heads(FeedId(day_document(store, day), life)))
        if last is not None and told and _closes(last.entry.body):
            continue  # its day entry was signed with its last act
        if last is not None or told:
            yield date_of(day)


def _closes(body: object) -> bool:
    return isinstance(body, dict) and cast("dict[int, object]", body).get(0) == ReceiptType.CLOSING
