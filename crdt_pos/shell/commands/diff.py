"""``diff``: what two replicas do not hold alike, and why not: lag, scope, permission, quarantine or fork."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import click

from crdt_pos import inspection
from crdt_pos.cli import Refused
from crdt_pos.columns import Column, plural, table
from crdt_pos.inspection import Difference
from crdt_pos.looking import Looked, look
from crdt_pos.page import Page
from crdt_pos.schema import SCHEMA
from crdt_pos.shell import colours
from crdt_pos.shell.command import Argument, Command, Completes, Option
from crdt_pos.shell.judging import RULES, Judgement, judge
from crdt_pos.shell.replica import Replica
from gossip.entry import Hash
from peers.permissions import readable_scopes

PEER = Option("peer", "Compare with the replica that answers there.", "HOST:PORT")
AS = Option("as", "With --peer: in the name of this folder, whose own replica does not run.", "FOLDER", Completes.PATH)
CAUSES: Final = {
    "lag": "it has not arrived yet, and would count",
    "scope": "who lacks it may not read it",
    "permission": "who lacks it does not take it: it breaks a rule there",
    "quarantine": "who lacks it holds it apart",
    "fork": "its author contradicts itself",
}
"""Why a feed is not the same on both sides."""
_CAUSE_OF: Final = {"contradicts": "fork", "forged": "permission", "refused": "permission"}


def answer(replica: Replica, folder: str = "", peer: str = "", as_: str = "") -> dict[str, Any]:
    """The feeds of which the newest entries are not the same."""
    with _other(replica, folder, peer, as_) as there, there.reading():
        refuse_strangers(replica.looked, there.looked)
        known = replica if len(replica.directory.chains) >= len(there.directory.chains) else there
        replica.progress("comparing", 0, 1)
        rows = inspection.diff(
            replica.reader, there.reader, SCHEMA, known.name_of, (readable(replica), readable(there))
        )
        sides = _Side(replica), _Side(there)
        told = [_told(*sides, row) for row in replica.counted(rows, "judging what differs", len(rows))]
        names = [replica.looked.folder.certificate.name, there.peer or there.looked.folder.certificate.name]
    return {"names": names, "differences": told}


@contextmanager
def _other(replica: Replica, folder: str, peer: str, own: str) -> Generator[Replica]:
    if bool(folder) is bool(peer) or (own and not peer):
        raise Refused("Compare with a FOLDER, or with the replica that answers at --peer HOST:PORT.")
    if not peer:
        with beside(replica, folder) as there:
            yield there
        return
    from crdt_pos.shell.outside import open_peer  # sessions take a moment to import

    replica.progress(f"looking into {peer}", 0, 1)
    with open_peer(Path(own) if own else replica.looked.folder.path, peer) as there:
        yield there


@contextmanager
def beside(replica: Replica, folder: str) -> Generator[Replica]:
    """Another folder in hand; beside a simulated replica another of its simulation, by its name."""
    other = replica.others(folder)
    if other is not None:
        yield other
        return
    with look(Path(folder)) as looked:
        yield Replica(looked, ExitStack())


def refuse_strangers(here: Looked, there: Looked) -> None:
    """Raises ``Refused`` for replicas of two companies."""
    ours, theirs = here.folder.root, there.folder.root
    if ours.company != theirs.company:
        raise Refused(
            f"{here.folder.path} belongs to {ours.name} and {there.folder.path} to {theirs.name}, another company "
            f"(its id begins {theirs.company.hex()[:8]}): they have nothing in common."
        )


def readable(replica: Replica) -> frozenset[str]:
    """The scopes that it may read, or that a peer has shown."""
    if replica.shared is not None:
        return frozenset(replica.shared)
    own = replica.looked.folder.certificate
    return readable_scopes(own.role, own.store, frozenset(replica.looked.directory.stores))


class _Side:
    """One of the two, and what it holds apart."""

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self.apart = frozenset(stored.entry.hash for stored, _ in replica.held.quarantined())


def _told(here: _Side, there: _Side, row: Difference) -> dict[str, Any]:
    cause, rule, says = _cause(here, there, row)
    return {**dataclasses.asdict(row), "cause": cause, "rule": rule, "why": says}


def _cause(here: _Side, there: _Side, row: Difference) -> tuple[str, str, str]:
    if row.expected:
        return "scope", "", CAUSES["scope"]
    if len(row.here) > 1 or len(row.there) > 1 or {seq for seq, _ in row.here} & {seq for seq, _ in row.there}:
        return "fork", "one number", CAUSES["fork"]
    for holder, lacking, heads, others in ((here, there, row.here, row.there), (there, here, row.there, row.here)):
        for _, digits in (head for head in heads if head not in others):
            found = _worth(holder, lacking, digits)
            if found is not None and found[0] != "lag":
                return found
    return "lag", "", CAUSES["lag"]


def _worth(holder: _Side, lacking: _Side, digits: str) -> tuple[str, str, str] | None:
    """What the entry that one counts is to the other."""
    stored = holder.replica.held.find(Hash(bytes.fromhex(digits)))
    if stored is None:
        return None
    judged = judge(lacking.replica, stored.entry)
    apart = judged.rule == "revocation" or stored.entry.hash in lacking.apart
    cause = "quarantine" if apart else _CAUSE_OF.get(judged.verdict, "permission" if _refused(judged) else "lag")
    return cause, judged.rule, judged.says


def _refused(judged: Judgement) -> bool:
    return judged.verdict == "quarantined" or judged.rule == "certificate"


def lines(page: Page, answered: dict[str, Any]) -> Iterator[str]:
    """A feed that the other may not read is not missing there: those are counted, and listed with --all."""
    rows, names = answered["differences"], answered["names"]
    shown = rows if page.everything else [row for row in rows if row["cause"] != "scope"]
    titles = (Column("document", shorten=True), Column("author"), *(Column(name, right=True) for name in names))
    cells = [
        (
            row["document"],
            row["author"],
            _heads(row["here"]),
            _heads(row["there"]),
            row["cause"],
            _difference(row, names),
        )
        for row in shown
    ]
    printed = table((*titles, Column("cause"), Column()), cells, page.width) if cells else []
    yield from printed[:1]
    for line, row in zip(printed[1:], shown, strict=True):
        yield {"lag": colours.pending(line), "scope": line}.get(row["cause"], colours.broken(line))
    if shown:
        yield colours.pending(f"{plural(len(shown), 'feed')} differ{'s' if len(shown) == 1 else ''}.")
        yield from _causes(page, shown)
    else:
        yield colours.safe(f"{names[0]} and {names[1]} hold the same of what both may read.")
    left = len(rows) - len(shown)
    if left:
        yield f"{plural(left, 'feed')} that only one of the two may read: --all lists them."


def _causes(page: Page, shown: list[dict[str, Any]]) -> Iterator[str]:
    for cause, count in Counter(row["cause"] for row in shown).items():
        yield click.wrap_text(f"{cause} ({count}): {CAUSES[cause]}", page.width, "  ", "    ")
    told = {(row["rule"], row["why"]) for row in shown if row["rule"]}
    for rule, why in sorted(told):
        yield click.wrap_text(f"rule {rule}: {RULES[rule]}; {why}", page.width, "  ", "    ")


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
    "What this replica and another do not hold alike, and whether that is lag, scope, permission, quarantine or a fork.",
    "diff till-12-2",
    answer,
    lines,
    (Argument("folder", "The folder of another replica; left out with --peer.", Completes.PATH, optional=True),),
    (PEER, AS),
)
