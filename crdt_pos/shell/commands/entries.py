"""``entries``: every entry of a document that is held."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, Final

from crdt_pos.columns import Column, number, plural, table
from crdt_pos.page import HASH_DIGITS_SHOWN, Page
from crdt_pos.shell import colours, evidence
from crdt_pos.shell.command import ALL, Argument, Command, Completes
from crdt_pos.shell.replica import Replica
from gossip.document import FeedType
from gossip.entry import FeedId, Hash
from gossip.log import Stored

ROWS_MAX: Final = 50


def answer(replica: Replica, document: str, author: str = "", all: bool = False) -> dict[str, Any]:  # noqa: A002
    """The newest entries of every author, or of one, each with its chain checked: whether it follows the one before."""
    found = replica.document(document)
    authors = [replica.author(author)] if author else list(replica.held.authors(found))
    rows: list[dict[str, Any]] = []
    more = 0
    for one in authors:
        feed = FeedId(found, one)
        heads = frozenset(head.hash for head in replica.held.heads(feed))
        last = max((head.seq for head in replica.held.heads(feed)), default=0)
        after = 0 if all else max(last - ROWS_MAX - 1, 0)
        held = replica.counted(replica.held.entries(feed, after), "reading entries", last)
        kept = deque(held, None if all else ROWS_MAX)
        more += max(last - len(kept), 0) if kept and kept[-1].entry.feed is FeedType.WHOLE else 0
        rows += _chained(replica, kept, heads)
    rows += [
        {**evidence.row(replica, stored), "place": "quarantined", "chain": "", "why": why}
        for stored, why in evidence.quarantined(replica, found)
    ]
    return {"document": str(found), "entries": rows, "more": more}


def _chained(replica: Replica, held: deque[Stored], heads: frozenset[Hash]) -> Iterator[dict[str, Any]]:
    before: set[Hash] = set()
    for stored in held:
        entry = stored.entry
        chain = "" if entry.previous is None else _chain(replica, entry.previous, before)
        before.add(entry.hash)
        place = "newest" if entry.hash in heads else ("replaced" if entry.feed is FeedType.LATEST else "followed")
        yield {**evidence.row(replica, stored), "place": place, "chain": chain, "why": ""}


def _chain(replica: Replica, previous: Hash, before: set[Hash]) -> str:
    if previous in before or replica.held.find(previous) is not None:
        return "whole"
    return (
        "LOST: the one before was damaged here"
        if replica.held.is_lost(previous)
        else "BROKEN: the one before is not here"
    )


def lines(page: Page, answered: dict[str, Any]) -> Iterator[str]:
    """A table; what is not as it must be in red."""
    rows = answered["entries"]
    cells = [
        (
            one["author"],
            number(one["seq"]),
            one["hash"][:HASH_DIGITS_SHOWN],
            one["stamp"],
            one["received_from"] or "made here",
            number(one["size_bytes"]),
            one["signature"].partition(":")[0],
            one["chain"],
            one["place"],
        )
        for one in rows
    ]
    titles = (
        Column("author"),
        Column("entry", right=True),
        Column("hash"),
        Column("stamped (UTC)"),
        Column("came from"),
    )
    columns = (*titles, Column("bytes", right=True), Column("signature"), Column("chain"), Column())
    yield colours.title(answered["document"])
    if answered["more"]:
        yield f"  … {plural(answered['more'], 'older entry', 'older entries')}: --all lists them."
    shown = table(columns, cells, page.width) if cells else []
    yield from shown[:1]
    for line, one in zip(shown[1:], rows, strict=True):
        yield _colour(one)(line)
    yield (
        f"  {plural(len(rows), 'entry', 'entries')}; 'entry {rows[-1]['hash'][:HASH_DIGITS_SHOWN]}' shows one whole."
        if rows
        else "  none"
    )


def _colour(one: dict[str, Any]) -> Any:
    if one["signature"] == evidence.BAD or one["chain"].isupper() or one["chain"][:4] in ("LOST", "BROK") or one["why"]:
        return colours.broken
    return colours.pending if one["place"] == "replaced" or one["signature"] != evidence.GOOD else str


COMMAND = Command(
    "entries",
    "Every entry of a document that is held: who signed it, when it came and from whom, its signature and its chain checked.",
    "entries journal/12/2026-11-22 12-1",
    answer,
    lines,
    (
        Argument("document", "Its name, as 'documents' lists it.", Completes.DOCUMENT),
        Argument("author", "Of one author only.", Completes.AUTHOR, optional=True),
    ),
    (ALL,),
)
