"""``sessions``: what is on its way in every session, whom the replica dials, and what it does by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from crdt_pos.columns import Column, listing, number, table
from crdt_pos.page import Page
from crdt_pos.shell import colours
from crdt_pos.shell.command import Command
from crdt_pos.shell.replica import Replica


def answer(replica: Replica) -> dict[str, Any]:
    """What the process that runs here answers to ``connections``."""
    return replica.ask("connections")


def lines(page: Page, answered: dict[str, Any]) -> Iterator[str]:
    """Queues first, then the schedule."""
    rows = answered["sessions"]
    cells = [
        (
            one["peer"],
            one["state"],
            *(
                number(one[name])
                for name in ("unsent", "unacknowledged", "untold", "wanted", "waiting_in", "waiting_out_bytes")
            ),
            f"{number(one['bytes_sent'])} / {number(one['bytes_received'])}",
            listing(one["scopes"]),
        )
        for one in rows
    ]
    figures = ("unsent", "unacknowledged", "untold", "wanted", "batches in", "bytes out")
    columns = (Column("peer"), Column("state"), *(Column(title, right=True) for title in figures))
    shown = (
        table((*columns, Column("sent / received", right=True), Column("scopes", shorten=True)), cells, page.width)
        if cells
        else []
    )
    yield from shown[:1]
    for line, one in zip(shown[1:], rows, strict=True):
        waits = not one["caught_up"] or one["unacknowledged"] or one["wanted"]
        yield colours.pending(line) if waits else colours.safe(line)
    if not rows:
        yield colours.pending("  no session")
    yield f"  listens at {answered['listening']}; at most {answered['commits_waiting_max']} commits waited for the disk at once"
    yield colours.title("schedule")
    schedule = answered["schedule"]
    often = f"every {schedule['checkpoint_s']} s if something changed ({schedule['wan']})"
    yield f"  publishes {often}, fetches rights every {schedule['prefetch_s']} s"
    scrub = schedule["scrub"]
    damaged = f"{scrub['damaged']:,} damaged since the start"
    yield f"  looks for damage: {scrub['rows']:,} rows of pass {scrub['passes'] + 1}, {damaged}"
    for one in schedule["dials"]:
        text = (
            f"dials {one['address']}: {'a session is there' if one['session'] else one['trouble'] or 'not wanted now'}"
        )
        colour = colours.safe if one["session"] else colours.broken if one["trouble"] else str
        yield colour(click.wrap_text(text, page.width, "  ", "    "))
    if answered["trouble"]:
        yield colours.broken(f"  {answered['trouble']}")


COMMAND = Command(
    "sessions",
    "What is on its way in every session, whom the replica dials, and what it does by itself; of a running replica (--attach).",
    "sessions",
    answer,
    lines,
)
