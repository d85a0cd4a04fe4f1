"""Who gave whom how much of a balance: the grants as a table, as a tree for the terminal and as an SVG picture. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import Final

from crdt_pos.columns import number
from merge_rules.counter_bounded import CounterBounded, Receipt
from merge_rules.dataclass import dataclass
from merge_rules.lattice import Author

DEPTH_MAX: Final = 12
_RADIUS: Final = 210
_MARGIN: Final = 110
_NODE: Final = 9

NameOf = Callable[[Author], str]


@dataclass(frozen=True, slots=True)
class Grant:
    """All that one replica ever gave another of its rights."""

    donor: str
    taker: str
    granted: int
    """By the donor's newest entry here."""
    received: int
    """By the taker's."""
    at: int
    """The donor's entry up to which the taker has received; 0 for none."""
    state: str
    """``received``; ``waiting``: the taker has not used it yet; ``pending``: the donor's entry is not here yet; ``LIE``: the
    donor's own entries refute the taker."""


def grants(counter: CounterBounded, name_of: NameOf) -> list[Grant]:
    """Every pair between which anything moved, by donor and taker."""
    given = {(donor, taker): amount for donor in counter.authors for taker, amount in counter.granted(donor).items()}
    taken = {(donor, taker): one for taker in counter.authors for donor, one in counter.received(taker).items()}
    lies = {(lie.donor, lie.taker) for lie in counter.lies()}
    found: list[Grant] = []
    for pair in sorted({*given, *taken}):
        granted, receipt = given.get(pair, 0), taken.get(pair, Receipt(0, 0))
        late = "LIE" if pair in lies else "pending"
        state = "waiting" if receipt.amount < granted else "received" if receipt.amount == granted else late
        found.append(Grant(name_of(pair[0]), name_of(pair[1]), granted, receipt.amount, receipt.at, state))
    return found


def tree(rows: Sequence[Grant], earned: dict[str, int], rights: dict[str, int]) -> Iterator[str]:
    """From those who earned down to those who hold it now; who comes again is named once more and not followed."""
    below: dict[str, list[Grant]] = {}
    for one in rows:
        below.setdefault(one.donor, []).append(one)
    seen: set[str] = set()
    roots = [name for name in earned if earned[name]]
    for root in [*roots, *(name for name in below if name not in roots)]:
        if root in roots or root not in seen:
            yield f"{root}  earned {number(earned.get(root, 0))}, holds {number(rights.get(root, 0))}"
            yield from _below(root, below, rights, seen, "")


def _below(
    name: str, below: dict[str, list[Grant]], rights: dict[str, int], seen: set[str], indent: str
) -> Iterator[str]:
    seen.add(name)
    rows = below.get(name, [])
    for at, one in enumerate(rows):
        last = at == len(rows) - 1
        again = one.taker in seen
        state = "" if one.state == "received" else f", {one.state}"
        said = " (above)" if again else f"  holds {number(rights.get(one.taker, 0))}"
        yield f"{indent}{'└' if last else '├'}─ {number(max(one.granted, one.received))}{state} → {one.taker}{said}"
        if not again and len(indent) < 3 * DEPTH_MAX:
            yield from _below(one.taker, below, rights, seen, indent + ("   " if last else "│  "))


def picture(title: str, rows: Sequence[Grant], rights: dict[str, int]) -> str:
    """The whole file: replicas in a ring with what each holds, an arrow for every grant."""
    names = sorted({*rights, *(name for one in rows for name in (one.donor, one.taker))})
    side = 2 * (_RADIUS + _MARGIN)
    turns = {name: 2 * math.pi * at / max(len(names), 1) - math.pi / 2 for at, name in enumerate(names)}
    places = {
        name: (round(side / 2 + _RADIUS * math.cos(turn)), round(side / 2 + _RADIUS * math.sin(turn)))
        for name, turn in turns.items()
    }
    arrow = '<path d="M0,0 L8,4 L0,8 z" fill="context-stroke"/>'
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}" font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<defs><marker id="arrow" markerWidth="8" markerHeight="8" refX="16" refY="4" orient="auto">{arrow}</marker></defs>',
        f'<text x="12" y="22" font-weight="bold">{escape(title)}</text>',
    ]
    lines = [_arrow(one, places) for one in rows]
    nodes = [
        f'<circle cx="{x}" cy="{y}" r="{_NODE}" fill="#e8eefc" stroke="#333"/>'
        f'<text x="{x}" y="{y + _NODE + 14}" text-anchor="middle">{escape(name)}: {number(rights.get(name, 0))}</text>'
        for name, (x, y) in places.items()
    ]
    return "\n".join([*head, *lines, *nodes, "</svg>"]) + "\n"


_STROKES: Final = {"received": "#2e9e5b", "waiting": "#d9a400", "pending": "#d9a400", "LIE": "#c0392b"}


def _arrow(one: Grant, places: dict[str, tuple[int, int]]) -> str:
    (x, y), (to_x, to_y) = places[one.donor], places[one.taker]
    # The amount stands nearer to the donor, so that two that gave each other do not write over one another.
    at_x, at_y = x + (to_x - x) // 3, y + (to_y - y) // 3
    ends = f'x1="{x}" y1="{y}" x2="{to_x}" y2="{to_y}"'
    amount = number(max(one.granted, one.received))
    line = f'<line {ends} stroke="{_STROKES[one.state]}" stroke-width="2" marker-end="url(#arrow)"/>'
    return f'{line}<text x="{at_x}" y="{at_y - 4}">{amount}{"" if one.state == "received" else f" {one.state}"}</text>'
