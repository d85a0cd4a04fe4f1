"""``show``: the value of a document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.pretty import pretty_repr

from crdt_pos import inspection
from crdt_pos.page import Page
from crdt_pos.schema import SCHEMA
from crdt_pos.shell import colours
from crdt_pos.shell.command import Argument, Command, Completes, Option
from crdt_pos.shell.replica import Replica
from crdt_pos.wording import Wording
from gossip.document import Document
from gossip.entry import FeedId
from gossip.log import Reader

RAW = Option("raw", "The bare value, as its merge rule encodes it.")


def answer(replica: Replica, document: str, raw: bool = False) -> dict[str, Any]:
    """The value by its merge rule; of journals, variances and kinds that are not known here the entries."""
    found = replica.document(document)
    shown = inspection.show(replica.reader, SCHEMA, found, replica.name_of)
    authors = replica.reader.authors(found)
    shown["conflicts"] = [replica.name_of(one) for one in authors if len(replica.reader.heads(FeedId(found, one))) > 1]
    shown["raw"] = raw
    return shown


def lines(page: Page, answered: dict[str, Any]) -> Iterator[str]:
    """In words, where the kind has words."""
    reader = page.reader
    document = inspection.find_document(reader, answered["document"])
    if not answered["raw"]:
        said = list(in_words(page, reader, document))
        if said:
            yield colours.title(str(document))
            yield from said
            for name in answered["conflicts"]:
                yield colours.broken(f"  CONFLICT: {name} contradicts itself here; 'explain' shows its entries.")
            return
    yield from pretty_repr({key: answered[key] for key in answered if key != "raw"}, max_width=page.width).splitlines()


def in_words(page: Page, reader: Reader, document: Document) -> Iterator[str]:
    """What the document says; nothing for a kind without words."""
    state = inspection.value_of(reader, SCHEMA, document)
    if state is not None:
        yield from marked(Wording(page).lines(document, state))


def marked(lines: Iterator[str]) -> Iterator[str]:
    """Words that shout have their colour."""
    for line in lines:
        if any(word in line for word in ("CONFLICT", "DOES NOT", "MISSING", "SLANDER", "≠")):
            yield colours.broken(line)
        elif any(word in line for word in ("PENDING", "NOT JUDGED", "IS NOT HERE", "not closed yet")):
            yield colours.pending(line)
        else:
            yield line


COMMAND = Command(
    "show",
    "The value of a document: what its entries say together, conflicts shown as such.",
    "show day/12/2026-11-22",
    answer,
    lines,
    (Argument("document", "Its name, as 'documents' lists it.", Completes.DOCUMENT),),
    (RAW,),
)
