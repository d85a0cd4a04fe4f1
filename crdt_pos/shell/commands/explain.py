"""``explain``: how a value comes about, author by author, with the proof of each part."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, Final

import click
from rich.pretty import pretty_repr

from crdt_pos import inspection
from crdt_pos.columns import Column, plural, table
from crdt_pos.errors import NothingHere
from crdt_pos.page import Page
from crdt_pos.schema import SCHEMA
from crdt_pos.shell import colours, evidence
from crdt_pos.shell.command import ALL, Argument, Command, Completes, Option
from crdt_pos.shell.commands.show import marked
from crdt_pos.shell.doubts import doubts
from crdt_pos.shell.fields import chosen, fields_of
from crdt_pos.shell.replica import Replica
from crdt_pos.shell.steps import in_order, steps
from crdt_pos.wording import Wording
from gossip.document import Document
from gossip.entry import FeedId
from gossip.log import entries_of
from gossip.schema import Kind
from merge_rules.counter_bounded import CounterBounded
from merge_rules.lattice import Author

CHANGES_MAX: Final = 20
RAW = Option("raw", "Each part as its merge rule encodes it.")


def answer(replica: Replica, document: str, field: str = "", raw: bool = False, all: bool = False) -> dict[str, Any]:  # noqa: A002
    """Every author's part and its entries; with ``field`` what each says of it, and which entries changed it."""
    found = replica.document(document)
    kind = SCHEMA.get(found.kind)
    answered: dict[str, Any] = {
        "document": str(found),
        "kind": found.kind,
        "rule": "not known here" if kind is None else kind.rule.__name__,
        "feed": _feed(replica, found),
        "scopes": _scopes(replica, found),
        "parts": [_part(replica, kind, found, author, field) for author in _authors(replica, found)],
        "doubts": [dataclasses.asdict(one) for one in doubts(replica, found)],
        "raw": raw,
    }
    if field:
        answered |= _of_field(replica, kind, found, field, everything=all)
    return answered


def _authors(replica: Replica, document: Document) -> list[Author]:
    return sorted({*replica.reader.authors(document), *replica.held.authors(document)})


def _feed(replica: Replica, document: Document) -> str:
    for stored in replica.held.head_entries(document):
        return stored.entry.feed.name.lower()
    return ""


def _scopes(replica: Replica, document: Document) -> list[str]:
    return sorted({scope for one in replica.held.head_entries(document) for scope in replica.held.scopes(one.entry)})


def _part(replica: Replica, kind: Kind | None, document: Document, author: Author, field: str) -> dict[str, Any]:
    feed = FeedId(document, author)
    heads = replica.held.heads(feed)
    newest = [stored for head in heads if (stored := replica.held.find(head.hash)) is not None]
    part: dict[str, Any] = {
        "author": replica.name_of(author),
        "author_id": author.hex(),
        "heads": [evidence.row(replica, stored) for stored in newest],
        "lost": [head.seq for head in heads if replica.held.is_lost(head.hash)],
        "fork": len(heads) > 1,
        "part": None,
        "covers": [],
    }
    if kind is not None:
        state = inspection.part_of(kind, replica.reader, feed)
        part["part"] = inspection.plain(state.body())
        if field:
            part["field"] = chosen(fields_of(state, replica.name_of), field)
    if newest:
        part["covers"] = [
            dataclasses.asdict(one) for one in inspection.covers(replica.reader, newest[-1].entry, replica.name_of)
        ]
    return part


def _of_field(
    replica: Replica, kind: Kind | None, document: Document, field: str, *, everything: bool
) -> dict[str, Any]:
    state = inspection.value_of(replica.reader, SCHEMA, document)
    if kind is None or state is None:
        raise NothingHere(f"{document} is of a kind that this version does not know: it has no fields here.")
    fields = fields_of(state, replica.name_of)
    value = chosen(fields, field)
    changes = list(_changes(replica, kind, document, field))
    if not value and not changes:
        names = list(dict.fromkeys(name.split("/")[0] for name in fields))[:12]
        raise NothingHere(f"{document} says nothing of '{field}'; it has {', '.join(names) or 'no fields'}.")
    return {"field": field, "value": value, "changes": changes if everything else changes[-CHANGES_MAX:]}


def _changes(replica: Replica, kind: Kind, document: Document, field: str) -> Iterator[dict[str, Any]]:
    held = in_order(entries_of(replica.reader, document))
    for step in replica.counted(steps(kind, held, replica.name_of), "reading the history", len(held)):
        mine = chosen(step.changes, field) if step is not None else {}
        if step is not None and mine:
            yield {"entry": evidence.row(replica, step.stored), "changed": mine}


def lines(page: Page, answered: dict[str, Any]) -> Iterator[str]:
    """In words."""
    document = inspection.find_document(page.reader, answered["document"])
    words = Wording(page)
    yield colours.title(answered["document"])
    scopes = ", ".join(answered["scopes"]) or "no scope: nobody is told of it"
    yield f"  joined by {answered['rule']}; {answered['feed']} feeds; travels in {scopes}"
    for one in answered["doubts"]:
        text = click.wrap_text(f"{one['state'].upper()}: {one['says']}", page.width, "  ", "    ")
        yield (colours.broken if one["grave"] else colours.pending)(text)
    if "field" in answered:
        yield from _field_lines(page, answered)
        return
    for part in answered["parts"]:
        yield ""
        yield colours.title(f"{part['author']} ({part['author_id']})")
        for one in part["heads"]:
            yield from (f"  {line}" for line in evidence.said(page.looked, one))
        for seq in part["lost"]:
            yield colours.broken(f"  entry {seq} IS LOST: the disk here has damaged it")
        if answered["raw"]:
            yield from pretty_repr(part["part"], max_width=page.width, expand_all=True).splitlines()
        else:
            yield from marked(_said(page, words, document, part))


def _said(page: Page, words: Wording, document: Document, part: dict[str, Any]) -> Iterator[str]:
    kind = SCHEMA.get(document.kind)
    feed = FeedId(document, Author(bytes.fromhex(part["author_id"])))
    if kind is None:
        yield "  a kind that this version does not know: stored and passed on"
        return
    if part["fork"]:
        yield colours.broken("  It contradicts itself: every one of these entries counts, as a lower bound.")
        heads = [stored.entry for head in page.reader.heads(feed) if (stored := page.reader.find(head.hash))]
        yield from words.side_by_side(heads)
        return
    whole = inspection.value_of(page.reader, SCHEMA, document)
    if isinstance(whole, CounterBounded):
        yield from words.rights(document, whole, [feed.author])
    else:
        yield from words.lines(document, inspection.part_of(kind, page.reader, feed))


def _field_lines(page: Page, answered: dict[str, Any]) -> Iterator[str]:
    rows = [(name, str(value), "together") for name, value in answered["value"].items()]
    for part in answered["parts"]:
        rows += [(name, str(value), part["author"]) for name, value in part.get("field", {}).items()]
    yield from (
        table((Column("field"), Column("value", shorten=True), Column("says")), page.some(rows), page.width)
        if rows
        else ()
    )
    yield from page.left(rows, "row")
    yield ""
    yield f"  {plural(len(answered['changes']), 'entry', 'entries')} changed it:"
    for one in answered["changes"]:
        entry = one["entry"]
        for name, (before, after) in one["changed"].items():
            who = f"{entry['author']}, entry {entry['seq']}"
            yield f"  {entry['stamp']}  {name}: {_nothing(before)} → {_nothing(after)}, by {who}"
        yield from (f"    {line}" for line in list(evidence.said(page.looked, entry))[1:])


def _nothing(value: object) -> str:
    return "–" if value is None else str(value)


COMMAND = Command(
    "explain",
    "How a value comes about: every author's part, its entry, signature, when it came and from whom, and what does not count.",
    "explain day/12/2026-11-22 takings",
    answer,
    lines,
    (
        Argument("document", "Its name, as 'documents' lists it.", Completes.DOCUMENT),
        Argument(
            "field",
            "One of its fields, such as takings, sold/101, 101/name or earned: who changed it, and when.",
            Completes.FIELD,
            optional=True,
        ),
    ),
    (RAW, ALL),
)
