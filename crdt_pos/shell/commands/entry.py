"""``entry``: one entry whole, as bytes, decoded, and as proof."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from crdt_pos import inspection
from crdt_pos.cli import Refused
from crdt_pos.columns import listing
from crdt_pos.errors import NothingHere
from crdt_pos.page import Page
from crdt_pos.schema import SCHEMA
from crdt_pos.shell import colours, evidence
from crdt_pos.shell.command import Argument, Command, Completes, Option
from crdt_pos.shell.diagnostic import of_entry
from crdt_pos.shell.replica import Replica
from gossip.document import FeedType
from gossip.entry import HASH_BYTES, Entry, FeedId
from gossip.ingest import AuthorRecord, reason_against
from gossip.log import Stored

DIGITS_MIN: Final = 4
COSE = Option("cose", "Also write its bytes, a COSE_Sign1 (RFC 9052), to FILE.", "FILE", Completes.PATH)
_HEX: Final = frozenset("0123456789abcdef")


def answer(replica: Replica, hash: str, cose: str = "") -> dict[str, Any]:  # noqa: A002  as it is typed
    """An entry, wherever it is held."""
    stored, quarantine = found(replica, hash)
    entry = stored.entry
    if cose:
        write(Path(cose), entry.raw)
    return {
        "document": str(entry.document),
        **evidence.row(replica, stored),
        "kind": entry.document.kind,
        "feed": entry.feed.name.lower(),
        "scope_class": entry.scope.name.lower(),
        "scopes": sorted(replica.held.scopes(entry)),
        "previous": None if entry.previous is None else entry.previous.hex(),
        "chain": chain(replica, entry),
        "permission": against(replica, entry),
        "quarantine": quarantine,
        "newest": entry.head in replica.held.heads(entry.feed_id),
        "covers": [dataclasses.asdict(one) for one in inspection.covers(replica.reader, entry, replica.name_of)],
        "diagnostic": list(of_entry(entry)),
        "raw": entry.raw.hex(),
        "cose": cose,
    }


def found(replica: Replica, digits: str) -> tuple[Stored, str]:
    """The entry whose hash begins with ``digits``, and why it is held apart (empty if it is not). Raises ``Refused``,
    ``NothingHere``."""
    wanted = digits.strip().rstrip("…").lower()
    if not DIGITS_MIN <= len(wanted) <= 2 * HASH_BYTES or not _HEX.issuperset(wanted):
        raise Refused(f"'{digits}' is no hash: give its first digits, {DIGITS_MIN} or more, as 'entries' shows them.")
    several = [(stored, "") for stored in replica.held.beginning(wanted, 3)]
    several += [
        (one, why)
        for one, why in replica.held.quarantined()
        if one.entry.hash.hex().startswith(wanted) and not one.arrival
    ]
    if not several:
        raise NothingHere(f"No entry here has a hash that begins with {wanted}.")
    if len(several) > 1:
        found = listing([one.entry.hash.hex()[:16] for one, _ in several])
        raise Refused(f"Several entries have that beginning, {found}: give more digits.")
    return several[0]


def against(replica: Replica, entry: Entry) -> str:
    """Why its author may not have written it, by the schema and its certificate; empty if it may."""
    certificate = replica.directory.certificate(entry.author)
    if certificate is None:
        return "not judged: the certificate of its author is not here"
    record = AuthorRecord(certificate.public_key, certificate.role, certificate.store)
    return reason_against(entry, record, SCHEMA) or ""


def chain(replica: Replica, entry: Entry) -> list[dict[str, Any]]:
    """The entry before it and those that follow it, as far as they are here."""
    links: list[dict[str, Any]] = []
    if entry.previous is not None:
        before = replica.held.find(entry.previous)
        links.append({"is": "before", "hash": entry.previous.hex(), "seq": entry.seq - 1, "here": before is not None})
    if entry.feed is FeedType.WHOLE:
        for stored in replica.held.entries(FeedId(entry.document, entry.author), entry.seq):
            if stored.entry.seq > entry.seq + 1:
                break
            if stored.entry.previous == entry.hash:
                links.append({"is": "after", "hash": stored.entry.hash.hex(), "seq": stored.entry.seq, "here": True})
    return links


def write(path: Path, content: bytes) -> None:
    """A new file. Raises ``Refused`` where there is one."""
    try:
        with path.expanduser().open("xb") as file:
            file.write(content)
    except FileExistsError as error:
        raise Refused(f"{path} is there already: choose another file.") from error


def lines(page: Page, answered: dict[str, Any]) -> Iterator[str]:
    """Proof first, then what it says, then its bytes."""
    yield colours.title(f"{answered['hash']}")
    yield f"  {answered['document']}, {answered['feed']} feed of {answered['author']} ({answered['author_id']})"
    yield from (f"  {line}" for line in evidence.said(page.looked, answered))
    if answered["permission"]:
        yield colours.broken(f"  NOT PERMITTED: {answered['permission']}")
    if answered["quarantine"]:
        yield colours.broken(f"  QUARANTINED: {answered['quarantine']}")
    for one in answered["chain"]:
        text = f"  {one['is']}: entry {one['seq']}, {one['hash'][:16]}…"
        yield text if one["here"] else colours.broken(f"{text} IS NOT HERE")
    if not answered["chain"] and answered["feed"] == "whole":
        yield "  the first of its feed, and the last here"
    if answered["feed"] == "latest" and not answered["newest"]:
        yield colours.pending("  replaced by a newer one of its author")
    yield ""
    yield from (f"  {line}" for line in answered["diagnostic"])
    yield ""
    yield from textwrap.wrap(answered["raw"], max(page.width - 4, 32), initial_indent="  ", subsequent_indent="  ")
    if answered["cose"]:
        yield colours.safe(f"  written to {answered['cose']}")


COMMAND = Command(
    "entry",
    "One entry: its bytes, decoded in CBOR diagnostic notation, its signature, permission and chain checked.",
    "entry 3f2a9c --cose entry.cose",
    answer,
    lines,
    (Argument("hash", "The first digits of its hash."),),
    (COSE,),
)
