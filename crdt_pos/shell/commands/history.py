"""``history``: how a value came to be, entry by entry, of what was retained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import click

from crdt_pos.columns import plural
from crdt_pos.errors import NothingHere
from crdt_pos.page import HASH_DIGITS_SHOWN, Page
from crdt_pos.retention import REPLACED_DAYS
from crdt_pos.schema import SCHEMA
from crdt_pos.shell import colours, evidence
from crdt_pos.shell.command import ALL, Argument, Command, Completes
from crdt_pos.shell.replica import Replica
from crdt_pos.shell.steps import Changes, in_order, steps
from gossip.document import Document, FeedType
from gossip.entry import FeedId
from gossip.log import Stored
from merge_rules.lattice import Author

STEPS_MAX: Final = 50
FIELDS_SHOWN_MAX: Final = 8


def answer(replica: Replica, document: str, author: str = "", all: bool = False) -> dict[str, Any]:  # noqa: A002
    """Each entry that is held, in the order of its stamps, and what it changed."""
    found = replica.document(document)
    authors = [replica.author(author)] if author else list(replica.reader.authors(found))
    held = in_order(one for each in authors for one in replica.reader.entries(FeedId(found, each)))
    if not held:
        raise NothingHere(f"{author or 'Nobody'} has written nothing in {found} that is here.")
    shown = list(_steps(replica, found, held, len(held) if all else STEPS_MAX))
    return {
        "document": str(found),
        "steps": shown,
        "more": len(held) - len(shown),
        "retained": retained(replica, found, authors),
    }


def _steps(replica: Replica, document: Document, held: list[Stored], most: int) -> Iterator[dict[str, Any]]:
    kind = SCHEMA.get(document.kind)
    since = len(held) - most
    if kind is None:
        yield from ({"entry": evidence.row(replica, stored), "changed": None} for stored in held[max(since, 0) :])
        return
    every = replica.counted(steps(kind, held, replica.name_of, since), "reading the history", len(held))
    yield from (
        {"entry": evidence.row(replica, one.stored), "changed": one.changes} for one in every if one is not None
    )


def retained(replica: Replica, document: Document, authors: list[Author]) -> list[str]:
    """What of the history is here, in sentences."""
    said: list[str] = []
    for author in authors:
        held = list(replica.reader.entries(FeedId(document, author)))
        if not held or held[0].entry.feed is FeedType.WHOLE:
            continue
        missing = held[-1].entry.seq - len(held)
        if missing > 0:
            why = (
                f"own entries stay for {REPLACED_DAYS} days"
                if author == replica.me
                else "of others only the newest is kept"
            )
            said.append(
                f"{plural(missing, 'earlier entry', 'earlier entries')} of {replica.name_of(author)} not retained: {why}."
            )
    return said


def lines(page: Page, answered: dict[str, Any]) -> Iterator[str]:
    """One entry after the other."""
    yield colours.title(answered["document"])
    for one in answered["retained"]:
        yield colours.pending(click.wrap_text(one, page.width, "  ", "    "))
    if answered["more"]:
        yield f"  … {plural(answered['more'], 'earlier entry', 'earlier entries')}: --all shows them."
    for step in answered["steps"]:
        entry = step["entry"]
        yield f"{entry['stamp']}  {entry['author']} entry {entry['seq']} ({entry['hash'][:HASH_DIGITS_SHOWN]}…)"
        said: Changes = step["changed"] or {}
        changes = list(said.items())
        for name, (was, now) in changes if page.everything else changes[:FIELDS_SHOWN_MAX]:
            yield click.wrap_text(f"{name}: {_text(was)} → {_text(now)}", page.width, "    ", "      ")
        if len(changes) > FIELDS_SHOWN_MAX and not page.everything:
            yield f"    … and {plural(len(changes) - FIELDS_SHOWN_MAX, 'field')} more"
        if not changes:
            yield colours.pending("    changed nothing")


def _text(value: object) -> str:
    return "–" if value is None else str(value)


COMMAND = Command(
    "history",
    "How a document came to be: its entries in the order of their stamps, and what each changed, of what was retained.",
    "history day/12/2026-11-22 12-1",
    answer,
    lines,
    (
        Argument("document", "Its name, as 'documents' lists it.", Completes.DOCUMENT),
        Argument("author", "Of one author only.", Completes.AUTHOR, optional=True),
    ),
    (ALL,),
)
