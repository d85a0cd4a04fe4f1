"""``sale``: one receipt through journal, day and balances, and where it is safe."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from crdt_pos import inspection
from crdt_pos.columns import listing
from crdt_pos.inspection import EntryRow, Trail
from crdt_pos.looking import Looked
from crdt_pos.page import HASH_DIGITS_SHOWN, Page
from crdt_pos.receipt_text import receipt_text
from crdt_pos.schema import SCHEMA
from crdt_pos.shell import colours
from crdt_pos.shell.command import Argument, Command
from crdt_pos.shell.evidence import moment
from crdt_pos.shell.replica import Replica


def answer(replica: Replica, number: str) -> dict[str, Any]:
    """Where a receipt stands; ``_trail`` is for people."""
    trail = inspection.sale(replica.reader, replica.directory, SCHEMA, number, replica.name_of)
    return {**trail.plain(), "_trail": trail}


def lines(page: Page, answered: dict[str, Any]) -> Iterator[str]:
    """The receipt, then its way."""
    looked, trail = page.looked, answered["_trail"]
    yield from (f"  {line}" for line in receipt_text(trail.receipt).splitlines())
    yield ""
    yield f"journal    {trail.journal}"
    yield from (f"           {line}" for line in entry_lines(looked, trail.entry))
    yield f"           hash {trail.entry.hash[:32]}"
    yield f"                {trail.entry.hash[32:]}"
    signed = colours.safe(f"signed     yes, the signature is the author's ({trail.entry.author})")
    yield signed if trail.signed else colours.broken("signed     NO, THE SIGNATURE IS NOT THE AUTHOR'S")
    yield _day(trail)
    for one in trail.moved:
        yield f"balance    {one.document}"
        moved = [f"earned {one.earned:,}"] if one.earned else []
        moved += [f"redeemed {one.redeemed:,}"] if one.redeemed else []
        yield f"           {', '.join(moved) or 'nothing'}; the balance known here now is {one.known:,}"
        if one.entry is not None:
            yield f"           newest of {one.entry.author}: entry {one.entry.seq}, {_digits(one.entry)}"
    held = [f"on the disk of {listing(trail.held_by)}"] if trail.held_by else []
    if trail.entry.received_from:
        held.append(f"here, at {looked.folder.certificate.name}, which had it from {trail.entry.received_from}")
    if held:
        yield colours.safe(f"safe       {'; '.join(held)}")
    else:
        yield colours.pending("safe       on this disk; no other replica has said that it holds this act")


def _day(trail: Trail) -> str:
    if trail.day is None:
        return colours.pending("day        no summary of that till and date is here yet")
    covered = "covers it" if trail.covered else "DOES NOT COVER IT YET"
    said = f"day        {trail.day}, entry {trail.day_seq} by {trail.published_by}, {covered}"
    return said if trail.covered else colours.pending(said)


def entry_lines(looked: Looked, row: EntryRow) -> Iterator[str]:
    """Two lines: which entry, and how it came here."""
    came = f"came {moment(looked, row.received_ms)} from {row.received_from}" if row.received_from else "made here"
    yield f"entry {row.seq} ({_digits(row)}), {row.size_bytes:,} bytes"
    yield f"stamped {moment(looked, row.stamp_ms)}, {came}"


def _digits(row: EntryRow) -> str:
    return f"{row.hash[:HASH_DIGITS_SHOWN]}…"


COMMAND = Command(
    "sale",
    "One receipt through the journal, the day and the balances, and who holds it.",
    "sale 12-1-a1-17",
    answer,
    lines,
    (Argument("number", "As it is printed on the receipt."),),
)
