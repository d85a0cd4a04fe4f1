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
from crdt_pos.vault import sealed_in, vault_document
from gossip.entry import Entry, Hash
from peers.permissions import Role


def answer(replica: Replica, number: str) -> dict[str, Any]:
    """Where a receipt stands; ``_trail`` is for people."""
    trail = inspection.sale(replica.reader, replica.directory, SCHEMA, number, replica.name_of)
    found = replica.held.find(Hash(bytes.fromhex(trail.entry.hash)))
    assert found is not None  # it was just shown
    return {**trail.plain(), "office": _office(replica, trail), "vault": _vault(replica, found.entry), "_trail": trail}


def _office(replica: Replica, trail: Trail) -> dict[str, Any]:
    """Whether a head office has the summary that covers it, as far as can be known here."""
    own = replica.looked.folder.certificate.role is Role.OFFICE
    told: list[dict[str, Any]] = [] if replica.client is None else replica.ask("connections")["sessions"]
    level = [one["peer"] for one in told if one["role"] == Role.OFFICE and not (one["unsent"] or one["unacknowledged"])]
    known = [replica.looked.folder.certificate.name] if own else level
    return {"known": own or replica.client is not None, "covered_at": known if trail.covered else []}


def _vault(replica: Replica, act: Entry) -> dict[str, Any]:
    """The sealed segment in which it stands; only the till that wrote it knows, for nobody of its store holds its vault."""
    store, till = act.document.keys[0], replica.directory.certificate(act.author)
    assert isinstance(store, int)  # as every journal's key
    document = vault_document(store, 0 if till is None or till.till is None else till.till)
    known = act.author == replica.me
    sealed = sealed_in(replica.reader, act.author, act.document.day, act.seq) if known else None
    segment, outside = sealed or (0, False)
    return {"document": str(document), "known": known, "segment": segment, "outside": outside}


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
    yield _at_office(answered["office"])
    yield _in_vault(answered["vault"])
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


def _at_office(said: dict[str, Any]) -> str:
    if said["covered_at"]:
        return colours.safe(f"office     the day that covers it is known at {listing(said['covered_at'])}")
    if said["known"]:
        return colours.pending("office     no head office here is known to have a day that covers it")
    return "office     not on this disk: attach to the running till, or ask a head office for 'takings'"


def _in_vault(said: dict[str, Any]) -> str:
    if not said["known"]:
        return (
            f"vault      {said['document']}: its own till knows which segment, and whether that is outside of the store"
        )
    if not said["segment"]:
        return colours.pending(f"vault      in no segment of {said['document']} yet")
    segment = f"vault      {said['document']}, segment {said['segment']}"
    return (
        colours.safe(f"{segment}, safe outside of the store")
        if said["outside"]
        else colours.pending(f"{segment}, not outside yet")
    )


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
    "One receipt through journal, day, head office, vault and balances, and where it is safe.",
    "sale 12-1-a1-17",
    answer,
    lines,
    (Argument("number", "As it is printed on the receipt."),),
)
