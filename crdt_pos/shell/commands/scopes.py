"""``scopes``: what this replica may read, how much of it is here, and with whom it is shared now."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from crdt_pos.columns import Column, listing, number, table
from crdt_pos.inspection import plain
from crdt_pos.page import Page
from crdt_pos.shell import colours
from crdt_pos.shell.command import Command
from crdt_pos.shell.replica import Replica
from crdt_pos.shell.seen import sessions
from crdt_pos.trust import RosterTrust
from gossip.document import date_of


def answer(replica: Replica) -> list[dict[str, Any]]:
    """Of each scope the feeds, and the fingerprint that two replicas with the same content share."""
    own = replica.looked.folder.certificate
    readable = RosterTrust(replica.looked.folder, replica.looked.log).readable(own)
    live = sessions(replica)
    rows: list[dict[str, Any]] = []
    for scope in sorted(readable):
        fingerprint = replica.held.fingerprint(scope)
        sharing = {
            replica.name_of(author): bool(one["caught_up"]) for author, one in live.items() if scope in one["scopes"]
        }
        rows.append(
            {
                "scope": str(scope),
                "feeds": fingerprint.feeds,
                "fingerprint": f"{fingerprint.value:064x}",
                "shared_with": sharing,
            }
        )
    horizons = [
        {"kind": kind, "store": plain(store), "before": date_of(day).isoformat()}
        for (kind, store), day in sorted(replica.reader.horizons.items(), key=str)
    ]
    for row in rows:
        row["horizons"] = [one for one in horizons if row["scope"].endswith(f"/{one['store']}")]
    return rows


def lines(page: Page, answered: list[dict[str, Any]]) -> Iterator[str]:
    """A row for each; with nobody to share it, in yellow once there is anybody."""
    shared = any(one["shared_with"] for one in answered)
    cells = [
        (
            one["scope"],
            number(one["feeds"]),
            one["fingerprint"][:16],
            _with(one["shared_with"]),
            _horizon(one["horizons"]),
        )
        for one in answered
    ]
    columns = (
        Column("scope"),
        Column("feeds", right=True),
        Column("fingerprint"),
        Column("shared now with", shorten=True),
        Column("begins"),
    )
    table_lines = table(columns, cells, page.width) if cells else []
    yield from table_lines[:1]
    for line, one in zip(table_lines[1:], answered, strict=True):
        behind = any(not caught_up for caught_up in one["shared_with"].values())
        yield colours.pending(line) if behind or (shared and one["feeds"] and not one["shared_with"]) else line
    yield "  Two replicas whose fingerprints are the same hold the same of that scope."


def _with(sharing: dict[str, bool]) -> str:
    return listing([name if caught_up else f"{name} (still tells)" for name, caught_up in sorted(sharing.items())])


def _horizon(horizons: list[dict[str, Any]]) -> str:
    return ", ".join(f"{one['kind']} {one['before']}" for one in horizons)


COMMAND = Command(
    "scopes",
    "What this replica may read, how much of each scope is here, and with whom it is shared now.",
    "scopes",
    answer,
    lines,
)
