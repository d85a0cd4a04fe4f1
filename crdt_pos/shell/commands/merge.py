"""``merge``: what would come out if two replicas told each other everything, without changing either."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, Final

from crdt_pos import inspection
from crdt_pos.columns import Column, listing, number, plural, table
from crdt_pos.errors import NothingHere
from crdt_pos.page import Page
from crdt_pos.schema import SCHEMA
from crdt_pos.shell import colours
from crdt_pos.shell.command import ALL, Argument, Command, Completes
from crdt_pos.shell.commands.diff import beside, readable, refuse_strangers
from crdt_pos.shell.fields import changed, fields_of
from crdt_pos.shell.replica import Replica
from crdt_pos.shell.steps import Changes
from gossip.document import Document
from gossip.entry import FeedId
from gossip.log import Arrival, Reader, entries_of
from gossip.log_memory import MemoryLog

FIELDS_MAX: Final = 12
AT_ONCE: Final = 512


def answer(replica: Replica, folder: str, other: str = "", all: bool = False) -> dict[str, Any]:  # noqa: A002
    """The documents that differ, their value after the join, and what of it is new to whom."""
    with _two(replica, folder, other) as (one, two):
        refuse_strangers(one.looked, two.looked)
        rows = list(_documents(replica, one, two))
        shown = rows if all else [row for row in rows if row["changes"][0] or row["changes"][1] or row["forks"]]
        names = [each.looked.folder.certificate.name for each in (one, two)]
    return {
        "names": names,
        "documents": shown,
        "without_change": len(rows) - len(shown),
        "entries": [sum(row["comes"][at] for row in rows) for at in (0, 1)],
    }


@contextmanager
def _two(replica: Replica, folder: str, other: str) -> Generator[tuple[Replica, Replica]]:
    with beside(replica, folder) as there, there.reading():
        if not other:
            yield replica, there
            return
        with beside(replica, other) as last, last.reading():
            yield there, last


def _documents(replica: Replica, one: Replica, two: Replica) -> Iterator[dict[str, Any]]:
    replica.progress("comparing", 0, 1)
    known = one if len(one.directory.chains) >= len(two.directory.chains) else two
    feeds = inspection.diff(one.held, two.held, SCHEMA, known.name_of)
    names = list(dict.fromkeys(row.document for row in feeds))
    with _joined(replica, one, two, [_document(one, two, name) for name in names]) as joined:
        for name in replica.counted(names, "joining", len(names)):
            yield _row(one, two, joined, _document(one, two, name), known)


def _document(one: Replica, two: Replica, name: str) -> Document:
    try:
        return one.document(name)
    except NothingHere:
        return two.document(name)


@contextmanager
def _joined(replica: Replica, one: Replica, two: Replica, documents: list[Document]) -> Generator[Reader]:
    """The entries of both in a log of its own, in memory: what counts in it is what would count after the join."""
    log = MemoryLog(SCHEMA)
    rosters = [document for each in (one, two) for document in each.held.documents() if document.kind[:6] == "roster"]
    wanted = list(dict.fromkeys([*rosters, *documents]))
    waiting: dict[bytes, Arrival] = {}
    for document in replica.counted(wanted, "reading both", len(wanted)):
        for each in (one, two):
            for stored in entries_of(each.held, document):
                waiting[stored.entry.hash] = Arrival(stored.entry, stored.received_from)
        if len(waiting) > AT_ONCE:
            log.append(list(waiting.values()))
            waiting.clear()
    log.append(list(waiting.values()))
    with log.read() as reader:
        yield reader
    log.close()


def _row(one: Replica, two: Replica, joined: Reader, document: Document, known: Replica) -> dict[str, Any]:
    after = _fields(joined, document, known)
    comes = [_comes(one, two, joined, document), _comes(two, one, joined, document)]
    changes: list[Changes] = [
        changed(_fields(each.reader, document, known), after) if news else {}
        for each, news in zip((one, two), comes, strict=True)
    ]
    forks = [
        known.name_of(author) for author in joined.authors(document) if len(joined.heads(FeedId(document, author))) > 1
    ]
    return {
        "document": str(document),
        "comes": comes,
        "changes": changes,
        "value": after,
        "forks": forks,
    }


def _fields(reader: Reader, document: Document, known: Replica) -> dict[str, object]:
    state = inspection.value_of(reader, SCHEMA, document)
    return {} if state is None else fields_of(state, known.name_of)


def _comes(each: Replica, other: Replica, joined: Reader, document: Document) -> int:
    """How many feeds of the document have news for it that it may read."""
    feeds = [FeedId(document, author) for author in joined.authors(document)]
    news = [head for feed in feeds for head in other.held.heads(feed) if head not in each.held.heads(feed)]
    entries = [stored.entry for head in news if (stored := other.held.find(head.hash)) is not None]
    may = readable(each)
    return len({entry.author for entry in entries if other.held.scopes(entry) & may})


def lines(page: Page, answered: dict[str, Any]) -> Iterator[str]:
    """Each document, and what each of the two would learn."""
    names = answered["names"]
    for row in page.some(answered["documents"]):
        comes = [f"{plural(count, 'feed')} to {name}" for count, name in zip(row["comes"], names, strict=True) if count]
        yield colours.title(f"{row['document']}: {listing(comes)}")
        cells = [
            (name, field, _said(before), _said(after))
            for name, changes in zip(names, row["changes"], strict=True)
            for field, (before, after) in changes.items()
        ]
        shown = cells if page.everything else cells[:FIELDS_MAX]
        columns = (Column("at"), Column("field"), Column("from", shorten=True), Column("to", shorten=True))
        yield from table(columns, shown, page.width) if shown else ()
        if len(shown) < len(cells):
            yield f"  … and {plural(len(cells) - len(shown), 'field')} more: --all lists them."
        for name in row["forks"]:
            yield colours.broken(f"  CONFLICT: {name} contradicts itself: both entries would be kept, as proof.")
    yield from page.left(answered["documents"], "document")
    if not answered["documents"]:
        yield colours.safe(f"Nothing would change: {names[0]} and {names[1]} say the same.")
    if answered["without_change"]:
        yield f"{plural(answered['without_change'], 'document')} would change no value, or only one of the two may read it."
    one, two = answered["entries"]
    yield f"{plural(one, 'feed')} would have news for {names[0]}, {number(two)} for {names[1]}. Nothing was changed."


def _said(value: object) -> str:
    return "–" if value is None else str(value)


COMMAND = Command(
    "merge",
    "What would come out if two replicas told each other everything: values before and after; neither is changed.",
    "merge till-12-1 till-12-2",
    answer,
    lines,
    (
        Argument("folder", "The folder of another replica.", Completes.PATH),
        Argument(
            "other",
            "A second one: merge those two, instead of this replica and the first.",
            Completes.PATH,
            optional=True,
        ),
    ),
    (ALL,),
)
