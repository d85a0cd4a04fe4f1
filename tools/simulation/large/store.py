"""A store of a large run: its tills, the graph of its LAN, and which till has which duty on the WAN.

The graph is ``peers.mesh``'s and the duty ``peers.gateways``', with the pauses of ``crdt_pos.neighbourhood``. What tills tell one
another of who is there (``peers.presence``, every two seconds on every session) is not sent: whoever is on the same LAN is
heard. So a store in which nothing changes schedules nothing; what the telling would cost is reckoned apart, by its own code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from crdt_pos.neighbourhood import LINGER_S, TURN_S, TURNS_MAX
from gossip.reasons import Reason
from gossip.session import COMPARE, Me
from merge_rules.lattice import Author
from peers.certificates import Certificate
from peers.gateways import Duty, before, duty, ranked
from peers.mesh import neighbours
from peers.permissions import Role

if TYPE_CHECKING:
    from tools.simulation.large.world import LargeWorld
    from tools.simulation.machine import Machine

HEARD_MS: Final = (50, 400)
"""How long it takes until a store has heard of a change."""


class Store:
    """What its tills share."""

    def __init__(self, world: LargeWorld, number: int) -> None:
        self.number = number
        self.place = f"store {number}"
        self.tills: dict[Author, Machine] = {}
        self._world = world
        self._stirred = False

    def neighbours(self, me: Author) -> frozenset[Author]:
        """With whom a till talks."""
        return neighbours(me, self.tills.keys())

    def reaching(self, me: Author) -> Mapping[Author, bool]:
        """Whom a till hears, and whether each has a session with a head office."""
        if f"lan {self.place}" in self._world.network.severed:
            return {me: self._reaches(me)}
        return {till: self._reaches(till) for till in self.tills}

    def stir(self) -> None:
        """Something has changed: all hear of it soon, and look at their duties."""
        if not self._stirred:
            self._stirred = True
            self._world.heap.at(self._world.rng.randint(*HEARD_MS), self._look)

    def _look(self) -> None:
        self._stirred = False
        for machine in self.tills.values():
            replica = machine.replica
            if replica is not None and isinstance(replica.neighbourhood, StoreNeighbourhood):
                replica.neighbourhood.review()

    def _reaches(self, till: Author) -> bool:
        replica = self.tills[till].replica
        links = () if replica is None else replica.links.values()
        return any(link.peer.role is Role.OFFICE and link.session.sharing for link in links)


class StoreNeighbourhood:
    """Of one running till. Has what ``SimulatedNeighbourhood`` has."""

    def __init__(self, world: LargeWorld, store: Store, machine: Machine) -> None:
        self.duty = Duty.NONE
        self._world = world
        self._store = store
        self._machine = machine
        self._me = machine.folder.certificate.author
        self._turning: tuple[Duty, int] | None = None
        self._followed: set[Author] = set()

    async def run(self) -> None:
        """The first look."""
        self.review()

    def wants(self, peer: Certificate) -> bool:
        """Whether there shall be a session with it."""
        return peer.role is not Role.OFFICE or self.duty is not Duty.NONE

    def says(self, peer: Certificate, me: Me) -> Me:
        """A till that stands by shares nothing with a head office; one that takes over asks for a comparison."""
        if peer.role is not Role.OFFICE:
            return me
        if self.duty is Duty.STANDBY:
            return replace(me, scopes=frozenset())
        return me if peer.author in self._followed else replace(me, features=me.features | {COMPARE})

    def hear(self, peer: Certificate, table: bytes) -> bytes:  # noqa: ARG002  nobody tells: see above
        """The answer is empty."""
        return b""

    def towards_office(self) -> list[Author]:
        """Neighbours with a session that reach a head office, the active one first."""
        replica, reaching = self._machine.replica, self._store.reaching(self._me)
        assert replica is not None
        return [till for till in ranked(reaching) if reaching[till] and till in replica.links]

    def caught_up(self, office: Author) -> None:
        """All that an office had is here."""
        if self.duty is Duty.ACTIVE:
            self._followed.add(office)

    def review(self) -> None:
        """Look at what is due, and take a turn for it."""
        heap, reaching = self._world.heap, self._store.reaching(self._me)
        due = duty(self._me, reaching)
        if due is self.duty:
            self._turning = None
            return
        if self._turning is None or self._turning[0] is not due:
            self._turning = due, heap.now_ms
            upward = due is Duty.ACTIVE or self.duty is Duty.NONE
            pause_s = TURN_S * min(len(before(self._me, reaching)), TURNS_MAX) if upward else LINGER_S
            heap.at(int(pause_s * 1000) + HEARD_MS[1], self._turn, self._machine.life)

    def _turn(self) -> None:
        due = duty(self._me, self._store.reaching(self._me))
        if self._turning is None or self._turning[0] is not due:
            self.review()
            return
        upward_from_none = self.duty is Duty.NONE
        self.duty, self._turning = due, None
        if due is not Duty.ACTIVE:
            self._followed.clear()
        replica = self._machine.replica
        assert replica is not None
        for link in list(replica.links.values()):
            if link.dialled and link.peer.role is Role.OFFICE:
                link.end(Reason.DONE, "another till of the store talks with you, or this one does now")
        if upward_from_none:
            self._world.dial_office(self._machine)
        self._store.stir()
