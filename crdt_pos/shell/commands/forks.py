"""``forks``: who contradicts itself, with both entries as proof and the rule that they break together."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import click

from crdt_pos import forks
from crdt_pos.columns import listing, plural
from crdt_pos.contradiction import Contradiction
from crdt_pos.inspection import entry_row
from crdt_pos.page import Page
from crdt_pos.shell import colours, evidence
from crdt_pos.shell.command import Argument, Command, Completes, Option
from crdt_pos.shell.commands.entry import write
from crdt_pos.shell.judging import RULES
from crdt_pos.shell.replica import Replica
from crdt_pos.wording import Wording
from gossip.entry import Entry, FeedId, Hash
from gossip.log import entries_of
from merge_rules.lattice import Author

COSE = Option("cose", "Also write the entries of every proof into FOLDER.", "FOLDER", Completes.PATH)


def answer(replica: Replica, author: str = "", cose: str = "") -> dict[str, Any]:
    """The proofs that anybody stated, and the feeds that have more than one newest entry here."""
    wanted = replica.author(author) if author else None
    stated = _stated(replica)
    pairs = {
        frozenset(one.hash for one in pair): pair for pair in [*forks.read_proofs(replica.reader), *_held(replica)]
    }
    rows = [
        _row(replica, Contradiction(*sorted(pair, key=lambda one: (one.seq, one.raw))), stated.get(key, []))
        for key, pair in pairs.items()
        if wanted in (None, pair[0].author)
    ]
    for row in rows if cose else ():
        for one in row["entries"]:
            folder = Path(cose).expanduser()
            folder.mkdir(parents=True, exist_ok=True)
            write(folder / f"{one['author'].replace(' ', '-')}-{one['seq']}-{one['hash'][:12]}.cose", one["_raw"])
    return {
        "contradictions": rows,
        "holds_no_rights": sorted(replica.name_of(one) for one in forks.liars(replica.reader)),
        "cose": cose,
    }


def _stated(replica: Replica) -> dict[frozenset[Hash], list[str]]:
    """Pair → who states it."""
    found: dict[frozenset[Hash], list[str]] = {}
    for stored in entries_of(replica.reader, forks.FORKS_DOCUMENT):
        who = replica.name_of(stored.entry.author)
        for pair in forks.pairs_in(stored.entry.body):
            found.setdefault(frozenset(one.hash for one in pair), []).append(who)
    return found


def _held(replica: Replica) -> Iterator[tuple[Entry, Entry]]:
    held = replica.held
    for document in replica.counted(held.documents(), "looking at every feed", held.last_arrival()):
        for author in held.authors(document):
            heads = held.heads(FeedId(document, author))
            if len(heads) > 1:
                yield from pairwise([one.entry for head in heads if (one := held.find(head.hash)) is not None])


def _row(replica: Replica, found: Contradiction, stated_by: list[str]) -> dict[str, Any]:
    rule = "one number" if found.first.seq == found.second.seq else "no way back"
    return {
        "author": replica.name_of(found.author),
        "author_id": found.author.hex(),
        "document": str(found.first.document),
        "says": found.sentence(replica.directory),
        "proven": found.proven(replica.directory),
        "rule": rule,
        "rule_text": RULES[rule],
        "stated_by": stated_by,
        "entries": [_entry(replica, one) for one in (found.first, found.second)],
        "revoked": [one.why.name.lower() for one in replica.directory.revocations.get(Author(found.author), ())],
        "_contradiction": found,
    }


def _entry(replica: Replica, entry: Entry) -> dict[str, Any]:
    stored = replica.held.find(entry.hash)
    came = {"received_from": "", "received_ms": 0}
    if stored is not None:
        row = dataclasses.asdict(entry_row(stored, replica.name_of))
        came = {name: row[name] for name in came}
    return {
        "author": replica.name_of(entry.author),
        "seq": entry.seq,
        "hash": entry.hash.hex(),
        "stamp": evidence.utc(entry.stamp >> 16),
        "size_bytes": len(entry.raw),
        "signature": evidence.signature(replica, entry),
        "counts": replica.reader.counts(entry),
        "here": stored is not None,
        **came,
        "raw": entry.raw.hex(),
        "_raw": entry.raw,
    }


def lines(page: Page, answered: dict[str, Any]) -> Iterator[str]:
    """Each with its two entries side by side."""
    rows = answered["contradictions"]
    words = Wording(page)
    for row in page.some(rows):
        said = {
            True: "",
            False: "SLANDER, these are not its signatures: ",
            None: "NOT JUDGED, its certificate is not here: ",
        }
        proven = row["proven"]
        text = click.wrap_text(f"{said[proven]}{row['says']}.", page.width, "", "  ")
        yield (colours.broken if proven else colours.pending)(text)
        yield click.wrap_text(f"rule {row['rule']}: {row['rule_text']}", page.width, "  ", "    ")
        for one in row["entries"]:
            yield from (
                f"    {line}" for line in evidence.said(page.looked, one, "" if one["here"] else ", shown by others")
            )
        stated = f"stated by {listing(row['stated_by'])}" if row["stated_by"] else "seen here, and stated by nobody yet"
        yield f"  {stated}{'; revoked as ' + listing(row['revoked']) if row['revoked'] else ''}"
        found: Contradiction = row["_contradiction"]
        yield from words.side_by_side([found.first, found.second])
        yield ""
    yield from page.left(rows, "contradiction")
    if not rows:
        yield colours.safe("Nobody is known here to contradict itself.")
    else:
        yield colours.broken(f"{plural(len(rows), 'contradiction')} held here.")
    if answered["holds_no_rights"]:
        names = listing(answered["holds_no_rights"])
        yield f"Proven by their own signatures, and without rights until a head office decides: {names}."
    if answered["cose"]:
        yield colours.safe(f"Their entries are in {answered['cose']}; 'why FILE' judges one.")


COMMAND = Command(
    "forks",
    "Who contradicts itself: both entries, their signatures, the rule that they break, and who stated the proof.",
    "forks --cose proofs",
    answer,
    lines,
    (Argument("author", "Of one author only.", Completes.AUTHOR, optional=True),),
    (COSE,),
    trouble=lambda answered: any(one["proven"] for one in answered["contradictions"]),
)
