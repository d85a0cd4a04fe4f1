"""``topology``: a picture of the mesh, in the terminal and as SVG."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any

from crdt_pos.columns import listing, plural
from crdt_pos.page import Page
from crdt_pos.shell import colours
from crdt_pos.shell.command import ALL, Command, Completes, Option, data
from crdt_pos.shell.commands.entry import write
from crdt_pos.shell.mesh import Edge, Mesh, Path, Seen, mesh
from crdt_pos.shell.mesh_svg import picture
from crdt_pos.shell.replica import Replica
from crdt_pos.shell.seen import edges

SVG = Option("svg", "Also draw it into FILE.", "FILE", Completes.PATH)
_MARKS = {Seen.LIVE: "━━", Seen.BEHIND: "╍╍", Seen.HEARD: "──", Seen.UNREACHABLE: "╳╳", Seen.RULE: "··"}


def answer(replica: Replica, svg: str = "", all: bool = False) -> dict[str, Any]:  # noqa: A002
    """Nodes and edges: who should talk with whom by the roster, and what of that is seen from here."""
    seen = edges(replica)
    drawn = mesh(replica.directory, replica.me, seen, everything=all)
    if svg:
        write(FilePath(svg), picture(drawn).encode())
    return {
        "attached": replica.client is not None,
        "nodes": data(drawn.nodes),
        "edges": data(drawn.edges),
        "others": data(drawn.others),
        "svg": svg,
        "_mesh": drawn,
    }


def lines(page: Page, answered: dict[str, Any]) -> Iterator[str]:
    """Head offices above, each store below, and what is seen of every line."""
    drawn: Mesh = answered["_mesh"]
    upper = [one for one in drawn.nodes if one.role in ("office", "relay")]
    yield colours.title("head offices and relays")
    for one in upper:
        yield f"  {'◉' if one.here else '○'} {one.name}"
    stores = sorted({one.store for one in drawn.nodes if one.store is not None})
    for store in stores:
        yield "  │"
        yield colours.title(f"store {store}")
        for one in drawn.nodes:
            if one.store == store:
                duty = {1: "  first gateway", 2: "  second gateway"}.get(one.gateway, "")
                yield f"  {'◉' if one.here else '●'} {one.name}{'' if one.role == 'till' else f' ({one.role})'}{duty}"
    if drawn.others:
        tills = sum(drawn.others.values())
        names = [str(store) for store in sorted(drawn.others)]
        yield f"  and {plural(len(names), 'store')} with {plural(tills, 'till')} not drawn: {listing(names)}; --all draws them"
    yield ""
    yield colours.title("lines")
    shown = [edge for edge in drawn.edges if edge.seen is not Seen.RULE] or []
    for edge in sorted(shown, key=lambda edge: (edge.path, edge.one, edge.other)):
        yield _edge(page, edge)
    ruled = [edge for edge in drawn.edges if edge.seen is Seen.RULE]
    for path in Path:
        count = sum(edge.path is path for edge in ruled)
        if count:
            many = plural(count, "line")
            yield f"  {_MARKS[Seen.RULE]} {many} over the {path.upper()} should be there by the roster; not seen from here"
    if answered["svg"]:
        yield colours.safe(f"  drawn into {answered['svg']}")


def _edge(page: Page, edge: Edge) -> str:
    said = {
        Seen.LIVE: f"a session since {page.looked.local(edge.since_ms):%Y-%m-%d %H:%M:%S}, all told",
        Seen.BEHIND: f"a session since {page.looked.local(edge.since_ms):%Y-%m-%d %H:%M:%S}, not everything told yet",
        Seen.HEARD: f"entries came, last {page.looked.local(edge.since_ms):%Y-%m-%d %H:%M:%S}",
        Seen.UNREACHABLE: "cannot be reached",
    }[edge.seen]
    colour = {Seen.LIVE: colours.safe, Seen.BEHIND: colours.pending, Seen.UNREACHABLE: colours.broken}.get(
        edge.seen, str
    )
    at = f" at {edge.address}" if edge.address else ""
    return colour(f"  {edge.one} {_MARKS[edge.seen]} {edge.other}  {edge.path.upper()}{at}: {said}")


COMMAND = Command(
    "topology",
    "A picture of the mesh: who should talk with whom by the roster, and what of that is seen from here.",
    "topology --svg mesh.svg",
    answer,
    lines,
    options=(SVG, ALL),
)
