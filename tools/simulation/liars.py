"""Replicas that lie: a till whose owner has opened it up. From its first lie on it counts as a liar, and nothing is owed to it.

Its lies are written to its own disk, and its own honest sessions carry them to whoever listens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from crdt_pos import own_heads
from crdt_pos.directory import COMPANY_ROSTER
from crdt_pos.schema import DAY, JOURNAL, SCHEMA, VAULT
from gossip.document import Document, FeedType
from gossip.entry import Entry, decode, sign, successor
from gossip.inbound import cursor_key
from gossip.log import Arrival, Reader, View
from gossip.messages import NUMBER_MAX
from peers.keys import SIGNATURE_BYTES, Signature
from tools.simulation.machine import Machine

if TYPE_CHECKING:
    from tools.simulation.world import World

LIARS_MAX: Final = 2


@dataclass(frozen=True, slots=True)
class Lie:
    """What a liar writes to its own disk; its next sessions tell it."""

    arrivals: Sequence[Arrival] = ()
    views: Sequence[View] = ()
    cursors: Sequence[tuple[bytes, int]] = ()


def lie(world: World) -> None:
    """One more lie, mostly by whoever has lied before."""
    liars = [machine for machine in world.tills(running=True) if machine.liar]
    stock = liars if liars and (len(liars) >= LIARS_MAX or world.rng.random() < 0.7) else world.tills(running=True)
    if not stock:
        return
    machine = world.rng.choice(stock)
    what, make = world.rng.choice(LIES)
    with machine.disk.read() as reader:
        made = make(world, machine, reader)
    if made is None:
        return
    machine.liar = True
    world.ledger.liars[machine.folder.certificate.author] = None
    world.tell(f"{machine.name} lies: {what}")
    told = made if isinstance(made, Lie) else Lie((made,))
    machine.disk.forge(told.arrivals, told.views, told.cursors)
    if machine.replica is not None:
        machine.replica.wake()
        if isinstance(made, Lie):
            machine.replica.end_sessions()


def two_days(world: World, machine: Machine, reader: Reader) -> Arrival | None:
    """Another day under the number of one that it has published."""
    return _contradiction(world, machine, reader, DAY)


def two_acts(world: World, machine: Machine, reader: Reader) -> Arrival | None:
    """Another act in the place of one in its journal."""
    return _contradiction(world, machine, reader, JOURNAL)


def _contradiction(world: World, machine: Machine, reader: Reader, kind: str) -> Arrival | None:
    own = [entry for entry in _own(machine, reader, kind) if 0 in cast("dict[int, object]", entry.body) or kind != DAY]
    if not own:
        return None
    entry = world.rng.choice(own)
    if kind == DAY:
        body = dict(cast("dict[int, object]", entry.body))
        sales, *rest = cast("list[int]", body.get(5, [0]))
        body[5] = [sales + 1, *rest]
    else:
        body = {**cast("dict[int, object]", entry.body), 21: f"not so {world.heap.now_ms}"}
    author, key = machine.folder.certificate.author, machine.folder.key
    return Arrival(
        sign(key, author, entry.document, entry.feed, entry.scope, entry.seq, entry.stamp + 1, body, entry.previous)
    )


def forgery(world: World, machine: Machine, reader: Reader) -> Arrival | None:
    """An act in another till's name, with a signature that is none."""
    others = [one for one in world.tills() if one.place == machine.place and one is not machine]
    victims = [author for one in others if (author := one.folder.certificate.author)]
    found = [stored.entry for stored in reader.arrivals(0, 1 << 30) if stored.entry.author in victims]
    found = [entry for entry in found if entry.document.kind == JOURNAL]
    if not found:
        return None
    last = max(found, key=lambda entry: (entry.document.day, entry.seq))
    signature = Signature(world.rng.randbytes(SIGNATURE_BYTES))
    entry = successor(last, last.seq + 1, last.stamp + 1, last.body, last.hash, signature)
    return Arrival(entry)


def trespass(_world: World, machine: Machine, reader: Reader) -> Arrival | None:
    """A till writes in the company's roster."""
    kind, certificate = SCHEMA[COMPANY_ROSTER.kind], machine.folder.certificate
    if _own(machine, reader, COMPANY_ROSTER.kind):
        return None
    unknown: dict[int, object] = {}
    body: object = {0: [99, unknown]}
    entry = sign(machine.folder.key, certificate.author, COMPANY_ROSTER, FeedType.WHOLE, kind.scope, 1, 1, body)
    return Arrival(entry)


def false_heads(world: World, machine: Machine, reader: Reader) -> Lie | None:
    """A neighbour is told that it wrote something later than anything it knows of: its disk would have been set back."""
    victim = _neighbour(world, machine)
    if victim is None:
        return None
    certificate, kind = victim.folder.certificate, SCHEMA[VAULT]
    assert certificate.till is not None
    # It stands in the answer, and travels in no session: it is of a store that there is not.
    hidden = Document(VAULT, keys=(NUMBER_MAX, certificate.till))
    stamp, signature = victim.clock.now_ms() << 16, Signature(world.rng.randbytes(SIGNATURE_BYTES))
    other = sign(machine.folder.key, certificate.author, hidden, kind.feed, kind.scope, 1, stamp, 0)
    arrival = Arrival(decode(other.raw[:-SIGNATURE_BYTES] + signature))
    return Lie((arrival,), own_heads.newest_views(reader, [arrival]))


def false_cursor(world: World, machine: Machine, _reader: Reader) -> Lie | None:
    """A neighbour is told that more of its log was read than there is."""
    victim = _neighbour(world, machine)
    link = None
    if victim is not None and machine.replica is not None:
        link = machine.replica.links.get(victim.folder.certificate.author)
    if victim is None or link is None or not link.session.shared:
        return None
    return Lie(cursors=((cursor_key(victim.disk.database, link.session.shared), NUMBER_MAX),))


def _neighbour(world: World, machine: Machine) -> Machine | None:
    others = [one for one in world.tills() if one.place == machine.place and one is not machine]
    return world.rng.choice(others) if others else None


def _own(machine: Machine, reader: Reader, kind: str) -> list[Entry]:
    author = machine.folder.certificate.author
    return [
        stored.entry
        for stored in reader.arrivals(0, 1 << 30)
        if stored.entry.author == author and stored.entry.document.kind == kind
    ]


LIES: Final[tuple[tuple[str, Callable[[World, Machine, Reader], Arrival | Lie | None]], ...]] = (
    ("two days under one number", two_days),
    ("two days under one number, again", two_days),
    ("two acts in one place", two_acts),
    ("an act in another's name", forgery),
    ("what is not a till's to say", trespass),
    ("false heads", false_heads),
    ("false cursor", false_cursor),
)
