"""``why``: judges an entry from a file: whether it would count here, and which rule it breaks."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from crdt_pos.cli import Refused
from crdt_pos.page import Page
from crdt_pos.shell import colours
from crdt_pos.shell.command import Argument, Command, Completes
from crdt_pos.shell.diagnostic import of_entry
from crdt_pos.shell.evidence import signature, signature_text, utc
from crdt_pos.shell.judging import RULES, Judgement, judge
from crdt_pos.shell.replica import Replica
from gossip.entry import Entry, decode
from gossip.errors import BadEntry

BYTES_MAX: Final = 4 << 20
_COLOURS: Final = {
    "counts": colours.safe,
    "waits": colours.pending,
    "replaced": colours.pending,
    "refused": colours.pending,
    "unreadable": colours.broken,
    "forged": colours.broken,
    "quarantined": colours.broken,
    "contradicts": colours.broken,
}


def answer(replica: Replica, file: str) -> dict[str, Any]:
    """The same checks, in the same order, as when a peer sends it."""
    raw = read(Path(file).expanduser())
    try:
        entry = decode(raw)
    except BadEntry as error:
        broken = Judgement("unreadable", "form", str(error))
        return {"file": file, **_plain(broken), "here": False, "entry": None}
    found = judge(replica, entry)
    here = replica.held.find(entry.hash) is not None
    return {"file": file, **_plain(found), "here": here, "entry": _entry(replica, entry)}


def read(path: Path) -> bytes:
    """The bytes of an entry: as they are, or as hexadecimal digits. Raises ``Refused``."""
    try:
        if path.stat().st_size > 2 * BYTES_MAX:
            raise Refused(f"{path} is too long to be an entry.")
        raw = path.read_bytes()
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror or error}.") from error
    try:
        return bytes.fromhex(raw.decode("ascii"))
    except ValueError:
        return raw


def _plain(found: Judgement) -> dict[str, Any]:
    return {**dataclasses.asdict(found), "rule_text": RULES.get(found.rule, "")}


def _entry(replica: Replica, entry: Entry) -> dict[str, Any]:
    return {
        "document": str(entry.document),
        "author": replica.name_of(entry.author),
        "author_id": entry.author.hex(),
        "seq": entry.seq,
        "hash": entry.hash.hex(),
        "stamp": utc(entry.stamp >> 16),
        "size_bytes": len(entry.raw),
        "signature": signature(replica, entry),
        "diagnostic": list(of_entry(entry)),
    }


def lines(page: Page, answered: dict[str, Any]) -> Iterator[str]:
    """The verdict and its rule, then what the entry is."""
    entry, colour = answered["entry"], _COLOURS[answered["verdict"]]
    said = f"{answered['verdict'].upper()}: {answered['says']}."
    yield colour(click.wrap_text(said, page.width, "", "  "))
    if answered["rule"]:
        yield click.wrap_text(f"rule {answered['rule']}: {answered['rule_text']}", page.width, "  ", "    ")
    if entry is None:
        return
    yield ""
    yield f"  {entry['document']}, entry {entry['seq']} of {entry['author']} ({entry['author_id']})"
    yield f"  stamped {entry['stamp']}, {entry['size_bytes']:,} bytes{', is here' if answered['here'] else ', is not here'}"
    yield f"  hash {entry['hash']}"
    yield f"  signature {signature_text(entry['signature'])}"
    yield from (f"  {line}" for line in entry["diagnostic"])


def _trouble(answered: dict[str, Any]) -> bool:
    return answered["verdict"] in ("unreadable", "forged", "quarantined", "contradicts")


COMMAND = Command(
    "why",
    "Judge an entry from a file: whether it would count here, or which rule it breaks; exit code 1 if it breaks one.",
    "why entry.cose",
    answer,
    lines,
    (Argument("file", "A COSE_Sign1, as 'entry --cose' writes it, or its hexadecimal digits.", Completes.PATH),),
    trouble=_trouble,
)
