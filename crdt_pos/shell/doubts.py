"""What of a document does not count as it was said, or not yet: pending, quarantined, clamped, waiting, contradicted; and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from crdt_pos.columns import number, plural
from crdt_pos.counted import counted
from crdt_pos.forks import liars
from crdt_pos.inspection import covers, value_of
from crdt_pos.schema import BALANCE, DAY, SCHEMA
from crdt_pos.shell import evidence
from crdt_pos.shell.replica import Replica
from gossip.document import Document
from gossip.entry import FeedId
from merge_rules.clock_hybrid import Stamp, wait_ms
from merge_rules.counter_bounded import CounterBounded
from merge_rules.dataclass import dataclass

SKEW_MS_MIN: Final = 5 * 60_000
"""A stamp that is so far from the clock here is worth a word."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """One reason to doubt a value."""

    state: str
    """``pending``, ``quarantined``, ``clamped``, ``waits``, ``conflict``, ``lost``, ``clock``, ``open``."""
    author: str
    says: str
    grave: bool = False
    """Whether somebody has done wrong, or something is lost."""


def doubts(replica: Replica, document: Document) -> Iterator[Doubt]:
    """Everything that is known here against a document's value."""
    yield from _authors(replica, document)
    for stored, why in evidence.quarantined(replica, document):
        seq, digits = stored.entry.seq, stored.entry.hash.hex()
        yield Doubt(
            "quarantined", replica.name_of(stored.entry.author), f"entry {seq} ({digits[:12]}…): {why}.", grave=True
        )
    if document.kind == BALANCE:
        yield from _balance(replica, document)
    if document.kind == DAY:
        yield from _day(replica, document)


def _authors(replica: Replica, document: Document) -> Iterator[Doubt]:
    lying = liars(replica.reader)
    for author in replica.held.authors(document):
        name, heads = replica.name_of(author), replica.held.heads(FeedId(document, author))
        if len(heads) > 1:
            several = plural(len(heads), "entry", "entries")
            text = f"{name} contradicts itself in {several}: what they say counts as a lower bound."
            yield Doubt("conflict", name, text, grave=True)
        if author in lying:
            yield Doubt(
                "clamped", name, f"{name} is proven to have contradicted itself: its rights count as 0.", grave=True
            )
        for head in heads:
            if replica.held.is_lost(head.hash):
                yield Doubt("lost", name, f"entry {head.seq} of {name} was damaged on the disk here.", grave=True)
        yield from _clocks(replica, name, FeedId(document, author))


def _clocks(replica: Replica, name: str, feed: FeedId) -> Iterator[Doubt]:
    for head in replica.held.heads(feed):
        stored = replica.held.find(head.hash)
        if stored is None:
            continue
        ahead_ms = (stored.entry.stamp >> 16) - (stored.received_ms or replica.now_ms())
        if wait_ms(Stamp(stored.entry.stamp), replica.now_ms()):
            text = f"entry {head.seq} of {name} is stamped {evidence.utc(stored.entry.stamp >> 16)}, which has not come yet"
            yield Doubt("waits", name, f"{text}: registers wait until then, sums and goods do not.")
        elif ahead_ms > SKEW_MS_MIN:
            minutes = plural(ahead_ms // 60_000, "minute")
            yield Doubt(
                "clock", name, f"entry {head.seq} of {name} came {minutes} before its own stamp: that clock is ahead."
            )


def _balance(replica: Replica, document: Document) -> Iterator[Doubt]:
    state = value_of(replica.reader, SCHEMA, document)
    if not isinstance(state, CounterBounded):
        return
    name = replica.name_of
    for taker, donors in state.pending().items():
        for donor, amount in donors.items():
            text = (
                f"{number(amount)} that {name(taker)} says it received from {name(donor)}, whose entry is not here yet."
            )
            yield Doubt("pending", name(taker), text)
    for lie in state.lies():
        received, granted = number(lie.received), number(lie.granted)
        text = f"{name(lie.taker)} says it received {received} of {name(lie.donor)}, which granted {granted}."
        yield Doubt("conflict", name(lie.taker), text, grave=True)
    for author, excess in state.overspent().items():
        yield Doubt(
            "clamped",
            name(author),
            f"{name(author)} spent {number(excess)} more than it had: it can spend 0.",
            grave=True,
        )


def _day(replica: Replica, document: Document) -> Iterator[Doubt]:
    for one in counted(replica.reader, document, as_published=True):
        name = replica.name_of(one.subject)
        if one.doubted:
            yield Doubt(
                "clamped", name, f"what counts of {name} is the word of somebody who contradicted itself.", grave=True
            )
        for claim in one.claims:
            who = replica.name_of(claim.publisher)
            text = f"{who} says {plural(claim.covers, 'act')} of {name}, which is not borne out here."
            yield Doubt("conflict", name, text, grave=True)
        if not one.day.closed:
            text = (
                f"{name} has not closed this date: the summary covers {plural(one.covers, 'act')}, and more may come."
            )
            yield Doubt("open", name, text)
    for stored in replica.reader.head_entries(document):
        for covered in covers(replica.reader, stored.entry, replica.name_of):
            if covered.here is False:
                text = f"the act {covered.seq} that it covers is another than the one in the journal here."
                yield Doubt("conflict", covered.subject, text, grave=True)
