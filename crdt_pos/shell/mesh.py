"""The mesh: who should talk with whom by the roster, and who does, as far as it is seen from here. Pure.

Tills of a store talk as ``peers.mesh`` says, two of them with every head office as ``peers.gateways`` says, relays with head
offices. What is seen from here: the sessions of an attached replica, and from whom entries came lately.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum

from merge_rules.dataclass import dataclass
from merge_rules.lattice import Author
from peers.certificates import Certificate
from peers.gateways import ranked
from peers.mesh import neighbours
from peers.permissions import Role
from peers.roster import Directory

GATEWAYS = 2
"""Tills of a store that talk with head offices."""


class Path(StrEnum):
    """Over what two replicas talk."""

    LAN = "lan"
    WAN = "wan"


class Seen(StrEnum):
    """What is known of an edge."""

    LIVE = "live"
    """A session of this replica."""
    BEHIND = "behind"
    """A session over which something is still to come."""
    HEARD = "heard"
    """Entries came this way lately."""
    UNREACHABLE = "unreachable"
    """Wanted, and there is none."""
    RULE = "by rule"
    """Should be there; it is not seen from here."""


@dataclass(frozen=True, slots=True)
class Node:
    """A replica of the picture."""

    name: str
    role: str
    store: int | None
    here: bool
    """The replica that is looked into."""
    gateway: int
    """1: the first of its store to talk with head offices; 2: the second; 0: no."""


@dataclass(frozen=True, slots=True)
class Edge:
    """Two replicas that talk, or should."""

    one: str
    other: str
    path: Path
    seen: Seen
    since_ms: int = 0
    """Of a session."""
    address: str = ""


@dataclass(frozen=True, slots=True)
class Mesh:
    """The picture. Stores other than ours are one node each unless they were asked for."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    others: Mapping[int, int]
    """Stores that are not drawn in full: how many tills each has."""


def alive(directory: Directory) -> list[Certificate]:
    """The replicas that take part, of several lives the newest."""
    newest: dict[str, Certificate] = {}
    for author, chain in directory.chains.items():
        own = chain[0]
        before = newest.get(own.name)
        later = before is None or (len(own.incarnation), own.incarnation) > (
            len(before.incarnation),
            before.incarnation,
        )
        if directory.takes_part(author) and later:
            newest[own.name] = own
    return sorted(newest.values(), key=lambda one: (one.role.value, one.store or 0, one.till or 0, one.name))


def mesh(directory: Directory, me: Author, seen: Mapping[Author, Edge], *, everything: bool = False) -> Mesh:
    """``seen``: what this replica sees of its own edges, by the peer. ``everything``: every store in full."""
    replicas = alive(directory)
    own = next((one for one in replicas if one.author == me), None)
    drawn = [
        one
        for one in replicas
        if everything or one.role in (Role.OFFICE, Role.RELAY) or own is None or one.store == own.store
    ]
    if own is not None and own.role is Role.OFFICE and not everything:
        drawn = [one for one in replicas if one.role in (Role.OFFICE, Role.RELAY) or one.author in seen]
    gateways = _gateways(replicas)
    nodes = [Node(one.name, one.role.value, one.store, one.author == me, gateways.get(one.author, 0)) for one in drawn]
    edges: dict[frozenset[Author], Edge] = {}
    for one, other, path in _by_rule(drawn, gateways):
        edges[frozenset((one.author, other.author))] = Edge(one.name, other.name, path, Seen.RULE)
    there = {one.author for one in drawn}
    for author, edge in seen.items():
        if author in there:
            edges[frozenset((me, author))] = edge
    shown = {one.store for one in drawn}
    others: dict[int, int] = {}
    for one in replicas:
        if one.role is Role.TILL and one.store is not None and (one.store not in shown or one.author not in there):
            others[one.store] = others.get(one.store, 0) + 1
    return Mesh(tuple(nodes), tuple(edges.values()), others)


def _gateways(replicas: Iterable[Certificate]) -> dict[Author, int]:
    tills: dict[int, list[Author]] = {}
    for one in replicas:
        if one.role is Role.TILL and one.store is not None:
            tills.setdefault(one.store, []).append(one.author)
    return {
        author: place + 1 for of_store in tills.values() for place, author in enumerate(ranked(of_store)[:GATEWAYS])
    }


def _by_rule(
    drawn: list[Certificate], gateways: Mapping[Author, int]
) -> Iterator[tuple[Certificate, Certificate, Path]]:
    offices = [one for one in drawn if one.role is Role.OFFICE]
    known = {one.author: one for one in drawn}
    for one in drawn:
        if one.role is Role.OFFICE:
            yield from ((one, other, Path.WAN) for other in offices if other.name > one.name)
        elif one.role is Role.TILL:
            mates = [other.author for other in drawn if other.role is Role.TILL and other.store == one.store]
            yield from (
                (one, known[mate], Path.LAN)
                for mate in neighbours(one.author, mates)
                if mate in known and mate > one.author
            )
            if one.author in gateways:
                yield from ((office, one, Path.WAN) for office in offices)
        else:
            yield from ((office, one, Path.WAN) for office in offices)
