"""``at``: what was known at a moment, of what was retained."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import click
from rich.pretty import pretty_repr

from crdt_pos.cli import Refused
from crdt_pos.columns import Column, number, plural, table
from crdt_pos.inspection import find_document, matcher
from crdt_pos.looking import Looked
from crdt_pos.page import Page
from crdt_pos.schema import SCHEMA
from crdt_pos.shell import colours, evidence
from crdt_pos.shell.command import ALL, Argument, Command, Completes
from crdt_pos.shell.commands.history import retained
from crdt_pos.shell.commands.show import marked
from crdt_pos.shell.fields import fields_of
from crdt_pos.shell.replica import Replica
from crdt_pos.wording import Wording
from gossip.document import Document, FeedType
from gossip.entry import FeedId
from gossip.log import Reader, entries_of
from merge_rules.errors import InvalidBody
from merge_rules.lattice import Rule

DOCUMENTS_MAX: Final = 200
_MS_DIGITS: Final = 13


def answer(replica: Replica, stamp: str, glob: str = "*", all: bool = False) -> dict[str, Any]:  # noqa: A002
    """One document as it was; of a pattern, the documents that have changed since."""
    at_ms = moment_ms(replica.looked, stamp)
    answered: dict[str, Any] = {"stamp": evidence.utc(at_ms), "stamp_ms": at_ms}
    if not any(sign in glob for sign in "*?["):
        found = replica.document(glob)
        state = state_at(replica.reader, found, at_ms)
        value = None if state is None else fields_of(state, replica.name_of)
        gone = _gone(replica, found, at_ms)
        return {
            **answered,
            "document": str(found),
            "value": value,
            "retained": [*gone, *retained(replica, found, list(replica.reader.authors(found)))],
        }
    changed = _changed(replica, glob, at_ms)
    most = len(changed) if all else DOCUMENTS_MAX
    return {
        **answered,
        "changed": [{"document": name, "entries_since": n} for name, n in list(changed.items())[:most]],
        "more": max(len(changed) - most, 0),
    }


def _changed(replica: Replica, glob: str, at_ms: int) -> dict[str, int]:
    """The documents of which entries that were signed later have come here, and how many; by what came since, not by all."""
    matches, last = matcher(glob), replica.reader.last_arrival()
    after = _arrivals_until(replica, at_ms)
    counts: Counter[Document] = Counter()
    for stored in replica.counted(replica.reader.arrivals(after, last), "reading what came since", last - after):
        counts[stored.entry.document] += stored.entry.stamp >> 16 > at_ms
    named = {str(document): count for document, count in counts.items() if count}
    return {name: count for name, count in sorted(named.items()) if matches(name)}


def _arrivals_until(replica: Replica, at_ms: int) -> int:
    """An arrival number up to which everything came before a moment, by halving: arrivals are in order of time."""
    low, high = 0, replica.reader.last_arrival()
    while low < high:
        middle = (low + high) // 2
        stored = next(iter(replica.reader.arrivals(middle, 1)), None)
        if stored is None or (stored.received_ms or stored.entry.stamp >> 16) >= at_ms:
            high = middle
        else:
            low = stored.arrival
    return low


def moment_ms(looked: Looked, text: str) -> int:
    """Milliseconds of ``2026-11-22T14:30`` (in the store's time zone, unless it says which), a date (its end) or milliseconds.

    Raises ``Refused``.
    """
    if text.isdigit() and len(text) >= _MS_DIGITS:
        return int(text)
    try:
        if len(text) == 10:
            moment = datetime.datetime.combine(datetime.date.fromisoformat(text), datetime.time(23, 59, 59, 999_999))
        else:
            moment = datetime.datetime.fromisoformat(text)
        if moment.tzinfo is None:
            guess_ms = int(moment.replace(tzinfo=datetime.UTC).timestamp() * 1000)
            moment = moment.replace(tzinfo=looked.local(guess_ms).tzinfo)
        return int(moment.timestamp() * 1000)
    except (ValueError, OverflowError) as error:
        raise Refused(
            f"'{text}' is no moment: write 2026-11-22T14:30, 2026-11-22, or milliseconds since 1970."
        ) from error


def state_at(reader: Reader, document: Document, at_ms: int) -> Rule | None:
    """The join of what had been signed by then and is held; ``None`` for a kind that is not known here."""
    kind = SCHEMA.get(document.kind)
    if kind is None:
        return None
    state = kind.rule.bottom()
    for stored in entries_of(reader, document):
        if stored.entry.stamp >> 16 <= at_ms:
            try:
                state = state.join(kind.rule.from_entry(stored.entry.author, stored.entry.seq, stored.entry.body))
            except InvalidBody:
                continue
    return state


def _gone(replica: Replica, document: Document, at_ms: int) -> Iterator[str]:
    """Whose part of then is not known any more."""
    for author in replica.reader.authors(document):
        held = list(replica.reader.entries(FeedId(document, author)))
        first = min(held, key=lambda one: one.entry.seq)
        if first.entry.feed is FeedType.LATEST and first.entry.seq > 1 and first.entry.stamp >> 16 > at_ms:
            name = replica.name_of(author)
            yield f"What {name} said then is not known any more: its entry {first.entry.seq} is the oldest here."


def lines(page: Page, answered: dict[str, Any]) -> Iterator[str]:
    """In words."""
    then = f"{page.looked.local(answered['stamp_ms']):%Y-%m-%d %H:%M:%S} ({answered['stamp']})"
    if "document" in answered:
        yield colours.title(f"{answered['document']} at {then}")
        for one in answered["retained"]:
            yield colours.pending(click.wrap_text(one, page.width, "  ", "    "))
        document = find_document(page.reader, answered["document"])
        state = state_at(page.reader, document, answered["stamp_ms"])
        words = [] if state is None else list(marked(Wording(page).lines(document, state)))
        yield from words or pretty_repr(answered["value"], max_width=page.width, expand_all=True).splitlines()
        return
    rows = [(one["document"], number(one["entries_since"])) for one in answered["changed"]]
    yield from (
        table((Column("document", shorten=True), Column("entries since", right=True)), page.some(rows), page.width)
        if rows
        else ()
    )
    yield from page.left(rows, "document")
    count = len(rows) + answered["more"]
    yield f"{plural(count, 'document has', 'documents have')} changed since {then}."


COMMAND = Command(
    "at",
    "What was known at a moment, of what was retained: one document's value then, or which documents have changed since.",
    "at 2026-11-22T14:30 day/12/2026-11-22",
    answer,
    lines,
    (
        Argument("stamp", "2026-11-22T14:30 in the store's time, a date, or milliseconds since 1970."),
        Argument("glob", "One document, or a pattern; every document, if left out.", Completes.DOCUMENT, optional=True),
    ),
    (ALL,),
)
