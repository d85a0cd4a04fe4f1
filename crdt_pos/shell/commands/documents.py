"""``documents``: what is here."""

from __future__ import annotations

import datetime
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import click

from crdt_pos import inspection
from crdt_pos.columns import Column, number, plural, table
from crdt_pos.page import Page
from crdt_pos.shell import colours
from crdt_pos.shell.command import ALL, Argument, Command, Completes
from crdt_pos.shell.evidence import moment
from crdt_pos.shell.replica import Replica
from gossip.document import Document, day_number

ROWS_MAX: Final = 200
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}\Z")
_NO_GLOB: Final = re.compile(r"[\w-]+\Z")


def answer(replica: Replica, glob: str = "*", all: bool = False) -> dict[str, Any]:  # noqa: A002  as it is typed
    """The first documents of a pattern in full, the others counted by kind."""
    rows: list[inspection.DocumentRow] = []
    kinds: Counter[str] = Counter()
    total = replica.reader.last_arrival()
    for document in replica.counted(matching(replica, glob), "looking through the documents", total):
        kinds[document.kind] += 1
        if all or len(rows) < ROWS_MAX:
            rows.append(inspection.document_row(replica.reader, document))
    return {"documents": rows, "more": sum(kinds.values()) - len(rows), "kinds": dict(sorted(kinds.items()))}


def matching(replica: Replica, glob: str) -> Iterator[Document]:
    """The documents whose name matches, in log order; by the index of kinds and dates as far as the pattern says them."""
    kind, *rest = glob.split("/")
    known = kind if _NO_GLOB.match(kind) else None
    day_from, day_to = 0, 2**16 - 1
    if rest and _DATE.match(rest[-1]):
        try:
            day_from = day_to = day_number(datetime.date.fromisoformat(rest[-1]))
        except ValueError:
            return
    matches = inspection.matcher(glob)
    for document in replica.reader.documents(known, day_from, day_to):
        if matches(str(document)):
            yield document


def lines(page: Page, answered: dict[str, Any]) -> Iterator[str]:
    """What a person reads."""
    shown = [
        (
            one.name,
            one.kind,
            *(number(n) for n in (one.authors, one.entries)),
            moment(page.looked, one.newest_ms),
            plural(one.forks, "fork") if one.forks else "",
        )
        for one in answered["documents"]
    ]
    figures = (Column(title, right=True) for title in ("authors", "entries"))
    columns = (Column("document", shorten=True), Column("kind"), *figures, Column("last change"), Column())
    for line in table(columns, shown, page.width) if shown else ():
        yield colours.broken(line) if line.endswith(("fork", "forks")) else line
    if answered["more"]:
        yield f"  … and {plural(answered['more'], 'document')} more: --all lists them; a pattern such as 'day/12/*' chooses."
    count = sum(answered["kinds"].values())
    kinds = ": " + ", ".join(f"{n:,} {kind}" for kind, n in answered["kinds"].items()) if count else ""
    yield click.wrap_text(f"{plural(count, 'document')}{kinds}.", page.width)


COMMAND = Command(
    "documents",
    "The documents that are here, with authors, entries and the last change.",
    "documents 'day/12/*'",
    answer,
    lines,
    (Argument("glob", "Which, by * and ?; all, if left out.", Completes.DOCUMENT, optional=True),),
    (ALL,),
)
