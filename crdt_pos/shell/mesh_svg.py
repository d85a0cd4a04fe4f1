"""The mesh as an SVG picture: head offices and relays in a row above, each store a ring below, sessions in their colour. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape
from typing import Final

from crdt_pos.columns import plural
from crdt_pos.shell.mesh import Edge, Mesh, Node, Seen

_CELL: Final = 300
_TOP: Final = 90
_LEGEND: Final = 70
_NODE: Final = 9
_STROKES: Final = {
    Seen.LIVE: ("#2e9e5b", 2.5, ""),
    Seen.BEHIND: ("#d9a400", 2.5, "6 3"),
    Seen.HEARD: ("#6b7280", 1.5, ""),
    Seen.UNREACHABLE: ("#c0392b", 2.5, "2 4"),
    Seen.RULE: ("#c9ced6", 1.0, "3 4"),
}
_SAYS: Final = {
    Seen.LIVE: "session",
    Seen.BEHIND: "session, not all told",
    Seen.HEARD: "entries came",
    Seen.UNREACHABLE: "cannot be reached",
    Seen.RULE: "not seen from here",
}

Point = tuple[int, int]


def picture(mesh: Mesh) -> str:
    """The whole file."""
    stores = sorted({one.store for one in mesh.nodes if one.store is not None})
    columns = max(1, math.isqrt(max(len(stores) - 1, 0)) + 1)
    upper = [one for one in mesh.nodes if one.store is None]
    width = max(columns, 2, math.ceil(len(upper) / 2)) * _CELL
    rows = math.ceil(len(stores) / columns)
    height = 2 * _TOP + rows * _CELL + _LEGEND
    places = {one.name: (width * (at + 1) // (len(upper) + 1), _TOP) for at, one in enumerate(upper)}
    centres = {
        store: (width * (2 * (at % columns) + 1) // (2 * columns), 2 * _TOP + _CELL * (at // columns) + _CELL // 2)
        for at, store in enumerate(stores)
    }
    for store, centre in centres.items():
        places |= _ring([one for one in mesh.nodes if one.store == store], centre)
    body = [
        *(_line(edge, places) for edge in sorted(mesh.edges, key=lambda edge: edge.seen is not Seen.RULE)),
        *(
            f'<text x="{x}" y="{y - _CELL // 2 + 16}" text-anchor="middle" font-weight="bold">store {store}</text>'
            for store, (x, y) in centres.items()
        ),
        *(_node(one, places[one.name]) for one in mesh.nodes),
        *_legend(mesh, width, height),
    ]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">'
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *body, "</svg>"]) + "\n"


def _ring(tills: list[Node], centre: Point) -> dict[str, Point]:
    radius = 0 if len(tills) == 1 else _CELL * 3 // 8
    turns = [2 * math.pi * at / len(tills) - math.pi / 2 for at in range(len(tills))]
    return {
        one.name: (centre[0] + round(radius * math.cos(turn)), centre[1] + round(radius * math.sin(turn)))
        for one, turn in zip(tills, turns, strict=True)
    }


def _line(edge: Edge, places: dict[str, Point]) -> str:
    (x, y), (to_x, to_y) = places[edge.one], places[edge.other]
    colour, width, dashes = _STROKES[edge.seen]
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    title = escape(f"{edge.one} – {edge.other}: {edge.path.upper()}, {_SAYS[edge.seen]}")
    ends = f'x1="{x}" y1="{y}" x2="{to_x}" y2="{to_y}"'
    return f'<line {ends} stroke="{colour}" stroke-width="{width}"{dashed}><title>{title}</title></line>'


def _node(one: Node, place: Point) -> str:
    x, y = place
    fill = "#1f6feb" if one.here else ("#ffffff" if one.store is None else "#e8eefc")
    below = y + _NODE + 14
    gateway = f" (gateway {one.gateway})" if one.gateway else ""
    shape = (
        f'<rect x="{x - _NODE}" y="{y - _NODE}" width="{2 * _NODE}" height="{2 * _NODE}" fill="{fill}" stroke="#333"/>'
        if one.store is None
        else f'<circle cx="{x}" cy="{y}" r="{_NODE}" fill="{fill}" stroke="#333"/>'
    )
    return f'{shape}<text x="{x}" y="{below}" text-anchor="middle">{escape(one.name + gateway)}</text>'


def _legend(mesh: Mesh, width: int, height: int) -> Iterator[str]:
    step = width // len(_SAYS)
    for at, (seen, says) in enumerate(_SAYS.items()):
        colour, stroke, dashes = _STROKES[seen]
        x, y = at * step + 12, height - 24
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        yield f'<line x1="{x}" y1="{y - 14}" x2="{x + 28}" y2="{y - 14}" stroke="{colour}" stroke-width="{stroke}"{dashed}/>'
        yield f'<text x="{x}" y="{y}" font-size="10">{says}</text>'
    if mesh.others:
        tills = plural(sum(mesh.others.values()), "till")
        said = f"not drawn: {plural(len(mesh.others), 'store')} with {tills}"
        yield f'<text x="12" y="{height - 6}" font-size="10">{said}</text>'
