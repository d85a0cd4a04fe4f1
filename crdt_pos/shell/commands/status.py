"""``status``: who is this, what does it hold, and is anything wrong."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

import click

from crdt_pos.columns import listing, plural
from crdt_pos.forks import liars
from crdt_pos.page import Page
from crdt_pos.safety import Safety
from crdt_pos.schema import JOURNAL
from crdt_pos.shell import colours
from crdt_pos.shell.command import Command
from crdt_pos.shell.evidence import moment
from crdt_pos.shell.replica import Replica
from peers.permissions import Role

COUNTED_MAX: Final = 1_000


def answer(replica: Replica) -> dict[str, Any]:
    """What the folder says; attached, also what the process says."""
    folder, reader = replica.looked.folder, replica.reader
    own = folder.certificate
    last = reader.last_arrival()
    newest = next(iter(reader.arrivals(max(last - 1, 0), 1)), None)
    quarantined = sum(1 for _ in islice(replica.held.quarantined(), COUNTED_MAX))
    answered: dict[str, Any] = {
        "replica": own.name,
        "life": own.incarnation,
        "author": own.author.hex(),
        "role": str(own.role),
        "store": own.store,
        "company": folder.root.name,
        "looked_at": replica.peer or str(folder.path),
        "from_outside": bool(replica.peer),
        "attached": replica.client is not None,
        "arrivals": last,
        "newest_ms": newest.received_ms if newest else 0,
        "stores": len(replica.directory.stores),
        "replicas": sum(map(replica.directory.takes_part, replica.directory.chains)),
        "revoked": sorted(map(replica.name_of, replica.directory.revocations)),
        "liars": sorted(map(replica.name_of, liars(reader))),
        "quarantined": quarantined,
        "lost": sum(1 for _ in islice(replica.held.lost(), COUNTED_MAX)),
        "safe": _safe(replica),
        "running": None,
    }
    if replica.client is not None:
        answered["running"] = replica.ask("health")
    answered["trouble"] = list(_troubles(replica, answered))
    return answered


def _safe(replica: Replica) -> dict[str, int] | None:
    if replica.looked.folder.certificate.role is not Role.TILL or replica.peer:
        return None
    copies, waiting = Safety(replica.looked.log, replica.me).count()
    days = sum(1 for _ in replica.reader.documents(JOURNAL))
    return {"copies": copies, "waiting": waiting, "journals": days}


def _troubles(replica: Replica, answered: dict[str, Any]) -> Iterator[str]:
    if replica.looked.damage:
        yield f"The roster cannot be read: {replica.looked.damage}."
    if answered["lost"]:
        yield f"{plural(answered['lost'], 'entry was', 'entries were')} damaged on the disk here and did not come back yet."
    if replica.me in replica.directory.revocations:
        yield "This replica is revoked: nothing that it signs counts any more."
    if answered["liars"]:
        yield f"{listing(answered['liars'])} contradicted themselves: 'show forks' has the proof."
    if answered["running"] is not None:
        yield from answered["running"]["trouble"]


def lines(page: Page, answered: dict[str, Any]) -> Iterator[str]:
    """A line for each question."""
    running, newest = answered["running"], moment(page.looked, answered["newest_ms"])
    store = "" if answered["store"] is None else f" of store {answered['store']}"
    yield colours.title(
        f"{answered['replica']} {answered['life']}, {answered['role']}{store}, of {answered['company']}"
    )
    yield f"  author       {answered['author']}"
    yield f"  looked at    {answered['looked_at']}"
    yield f"  holds        {plural(answered['arrivals'], 'arrival')}; the newest came {newest}"
    yield f"  roster       {plural(answered['stores'], 'store')}, {plural(answered['replicas'], 'replica')} that take part"
    if answered["revoked"]:
        yield colours.pending(f"  revoked      {listing(answered['revoked'])}")
    if answered["quarantined"]:
        yield colours.pending(f"  apart        {plural(answered['quarantined'], 'entry', 'entries')} in quarantine")
    if answered["safe"] is not None:
        copies, waiting = answered["safe"]["copies"], answered["safe"]["waiting"]
        alone = plural(waiting, "act is", "acts are")
        text = f"  safe         {plural(copies, 'other has', 'others have')} all it wrote; {alone} only here"
        yield colours.safe(text) if copies and not waiting else colours.pending(text)
    if running is None:
        how = "this replica is seen from outside" if answered["from_outside"] else "attach to see them"
        yield f"  sessions     not on the disk: {how}"
    else:
        yield f"  runs         since {moment(page.looked, running['since_ms'])}, at {running['listening']}"
        behind = listing(running["behind"])
        yield f"  with         {listing([peer['name'] for peer in running['peers']]) or 'nobody'}"
        yield (
            colours.pending(f"  behind       {behind} still tell what is missing here")
            if behind
            else colours.safe("  behind       no")
        )
        for address, why in sorted(running["unreachable"].items()):
            yield colours.broken(f"  unreachable  {address}: {why}")
    for one in answered["trouble"]:
        yield colours.broken(click.wrap_text(one, page.width, "  ", "  "))
    if not answered["trouble"]:
        yield colours.safe("  Nothing is wrong that is known here.")


COMMAND = Command(
    "status",
    "Who this is, what it holds, what is safe elsewhere, and what is wrong; exit code 1 if anything is.",
    "status",
    answer,
    lines,
    trouble=lambda answered: bool(answered["trouble"]),
)
