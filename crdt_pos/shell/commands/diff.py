"""``diff``: what two replicas do not hold alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crdt_pos import inspection
from crdt_pos.cli import Refused
from crdt_pos.columns import Column, plural, table
from crdt_pos.looking import Looked, look
from crdt_pos.page import Page
from crdt_pos.schema import SCHEMA
from crdt_pos.shell import colours
from crdt_pos.shell.command import Argument, Command, Completes
from crdt_pos.shell.replica import Replica
from peers.permissions import readable_scopes


def answer(replica: Replica, folder: str) -> dict[str, Any]:
    """The feeds of which the newest entries are not the same."""
    here = replica.looked
    with look(Path(folder)) as there, there.log.read() as theirs:
        _refuse_strangers(here, there)
        known = here if len(here.directory.chains) >= len(there.directory.chains) else there
        scopes = _readable(here), _readable(there)
        rows = inspection.diff(replica.reader, theirs, SCHEMA, known.name_of, scopes)
        names = [here.folder.certificate.name, there.folder.certificate.name]
    return {"names": names, "differences": [dataclasses.asdict(row) for row in rows]}


def _refuse_strangers(here: Looked, there: Looked) -> None:
    ours, theirs = here.folder.root, there.folder.root
    if ours.company != theirs.company:
        raise Refused(
            f"{here.folder.path} belongs to {ours.name} and {there.folder.path} to {theirs.name}, another company "
            f"(its id begins {theirs.company.hex()[:8]}): they have nothing in common."
        )


def _readable(looked: Looked) -> frozenset[str]:
    own = looked.folder.certificate
    return readable_scopes(own.role, own.store, frozenset(looked.directory.stores))


def lines(page: Page, answered: dict[str, Any]) -> Iterator[str]:
    """A feed that the other may not read is not missing there: those are counted, and listed with --all."""
    rows, names = answered["differences"], answered["names"]
    shown = rows if page.everything else [row for row in rows if not row["expected"]]
    titles = (Column("document", shorten=True), Column("author"), *(Column(name, right=True) for name in names))
    cells = [
        (row["document"], row["author"], _heads(row["here"]), _heads(row["there"]), _difference(row, names))
        for row in shown
    ]
    yield from table((*titles, Column()), cells, page.width) if cells else ()
    if shown:
        yield colours.pending(f"{plural(len(shown), 'feed')} differ{'s' if len(shown) == 1 else ''}.")
    else:
        yield colours.safe(f"{names[0]} and {names[1]} hold the same of what both may read.")
    left = len(rows) - len(shown)
    if left:
        yield f"{plural(left, 'feed')} that only one of the two may read: --all lists them."


def _difference(row: dict[str, Any], names: list[str]) -> str:
    value = {True: ", value the same", False: "", None: ""}[row["same_value"]]
    here, there = row["here"], row["there"]
    if row["expected"]:
        return f"not for {names[0] if not here else names[1]}"
    if not here or not there:
        return f"{names[1] if here else names[0]} lacks it{value}"
    ours, theirs = (max(seq for seq, _ in heads) for heads in (here, there))
    if ours == theirs or len(here) > 1 or len(there) > 1:
        return f"they contradict each other{value}"
    return (
        f"{names[1] if ours > theirs else names[0]} is {plural(abs(ours - theirs), 'entry', 'entries')} behind{value}"
    )


def _heads(heads: list[tuple[int, str]]) -> str:
    return " and ".join(str(seq) for seq, _ in heads) or "–"


COMMAND = Command(
    "diff",
    "What this replica and another do not hold alike.",
    "diff till-12-2",
    answer,
    lines,
    (Argument("folder", "The folder of another replica.", Completes.PATH),),
)
