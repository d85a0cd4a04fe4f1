"""``peers``: whom this replica sees, over which path, since when, and how far each is behind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from crdt_pos.columns import Column, number, table
from crdt_pos.page import Page
from crdt_pos.shell import colours
from crdt_pos.shell.command import ALL, Command
from crdt_pos.shell.evidence import moment
from crdt_pos.shell.replica import Replica
from crdt_pos.shell.seen import acknowledged, heard, path_of, sessions
from merge_rules.lattice import Author


def answer(replica: Replica, all: bool = False) -> dict[str, Any]:  # noqa: A002
    """Those with a session, those that sent something lately, those that hold our acts; with ``all`` the whole roster."""
    live, last, held = sessions(replica), heard(replica), list(acknowledged(replica))
    authors = {*live, *last, *(author for _, _, holders in held for author in holders)}
    if all:
        authors |= {author for author in replica.directory.chains if replica.directory.takes_part(author)}
    authors.discard(replica.me)
    rows = [_row(replica, author, live.get(author), last.get(author, 0), held) for author in authors]
    rows.sort(key=lambda one: (one["session"] is None, one["path"], one["name"]))
    unreachable: dict[str, str] = {}
    if replica.client is not None:
        unreachable = replica.ask("connections")["unreachable"]
    return {"attached": replica.client is not None, "peers": rows, "unreachable": unreachable}


def _row(
    replica: Replica,
    author: Author,
    session: dict[str, Any] | None,
    last_ms: int,
    held: list[tuple[str, int, dict[Author, int]]],
) -> dict[str, Any]:
    certificate = replica.directory.certificate(author)
    ours = {document: {"holds": holders[author], "of": seq} for document, seq, holders in held if author in holders}
    return {
        "name": replica.name_of(author),
        "author": author.hex(),
        "role": "" if certificate is None else str(certificate.role),
        "store": None if certificate is None else certificate.store,
        "takes_part": replica.directory.takes_part(author),
        "path": path_of(replica, author).value,
        "session": session,
        "last_entry_ms": last_ms,
        "holds_of_ours": ours,
        "acts_behind": sum(one["of"] - one["holds"] for one in ours.values()) if ours else None,
    }


def lines(page: Page, answered: dict[str, Any]) -> Iterator[str]:
    """A row for each."""
    rows = answered["peers"]
    cells = [
        (
            one["name"],
            one["role"],
            one["path"],
            _session(page, one["session"]),
            moment(page.looked, one["last_entry_ms"])[:19] if one["last_entry_ms"] else "",
            "" if one["acts_behind"] is None else number(one["acts_behind"]),
        )
        for one in rows
    ]
    titles = ("peer", "role", "path", "session", "last entry from it")
    columns = (
        *(Column(title, shorten=title == "session") for title in titles),
        Column("our acts it lacks", right=True),
    )
    shown = table(columns, cells, page.width) if cells else []
    yield from shown[:1]
    for line, one in zip(shown[1:], rows, strict=True):
        yield _colour(one, line)
    if not rows:
        yield "  nobody"
    for address, why in sorted(answered["unreachable"].items()):
        yield colours.broken(f"  unreachable: {address}: {why}")
    if not answered["attached"]:
        yield colours.pending("  Sessions are not on the disk: --attach asks the replica that runs here.")


def _session(page: Page, session: dict[str, Any] | None) -> str:
    if session is None:
        return ""
    how = "dialled" if session["dialled"] else "came from"
    behind = "all told" if session["caught_up"] else "STILL TELLS"
    return f"since {moment(page.looked, session['since_ms'])[11:]}, {how} {session['address']}, {behind}"


def _colour(one: dict[str, Any], line: str) -> str:
    if not one["takes_part"]:
        return colours.broken(line)
    behind = one["acts_behind"] or (one["session"] is not None and not one["session"]["caught_up"])
    return colours.pending(line) if behind else (colours.safe(line) if one["session"] else line)


COMMAND = Command(
    "peers",
    "Whom this replica sees, over which path, since when, and how far behind each is.",
    "peers",
    answer,
    lines,
    options=(ALL,),
)
