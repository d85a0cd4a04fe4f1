"""With whom a till of the simulation talks: stands in for ``crdt_pos.neighbourhood`` on trio and multicast.

Which till has which duty on the WAN is decided by ``peers.gateways`` on what ``peers.presence`` has heard, as in shops. Everyone
knows where everyone is; a store's tills all talk with one another.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from gossip.reasons import Reason
from gossip.session import COMPARE, Me
from merge_rules.lattice import Author
from peers.certificates import Certificate
from peers.gateways import Duty, duty, ranked
from peers.permissions import Role
from peers.presence import BEAT_S, TOPIC, Presence

if TYPE_CHECKING:
    from tools.simulation.replica import SimulatedReplica

TELL_TIMEOUT_MS: Final = 5_000


class Neighbourhood(Protocol):
    """What a replica wants to know of its neighbourhood."""

    async def run(self) -> None:
        """As long as the process."""

    def wants(self, peer: Certificate) -> bool:
        """Whether there shall be a session with it."""
        ...

    def says(self, peer: Certificate, me: Me) -> Me:
        """What this replica says of itself in HELLO to a peer."""
        ...

    def hear(self, peer: Certificate, table: bytes) -> bytes:
        """A neighbour has told who is there; the answer is empty."""
        ...

    def towards_office(self) -> list[Author]:
        """Neighbours with a session that say they reach a head office, the active one first."""
        ...


class SimulatedNeighbourhood:
    """Of one running till."""

    def __init__(self, replica: SimulatedReplica) -> None:
        self.duty = Duty.NONE
        self._replica = replica
        self._me = replica.certificate
        self._presence = Presence(self._me.author, replica.system_ms())
        self._due: Duty = Duty.NONE
        self._linked: set[Author] = set()
        self._followed: set[Author] = set()

    async def run(self) -> None:
        """As long as the process."""
        heap = self._replica.heap
        while True:
            self._review()
            await heap.sleep(int(BEAT_S * 1000))

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

    def hear(self, peer: Certificate, table: bytes) -> bytes:
        """A neighbour has told who is there; the answer is empty."""
        if peer.store == self._me.store:
            self._presence.hear(table, self._now_s, self._believes)
        return b""

    def towards_office(self) -> list[Author]:
        """Neighbours with a session that say they reach a head office, the active one first."""
        reaching = self._presence.reaching(self._now_s)
        return [till for till in ranked(reaching) if reaching[till] and till in self._replica.links]

    @property
    def _now_s(self) -> float:
        return self._replica.heap.now_ms / 1000

    def _believes(self, author: Author) -> bool:
        known = self._replica.trust.record(author)
        return known is not None and known.role is Role.TILL and known.store == self._me.store

    def _review(self) -> None:
        links = {author: link for author, link in self._replica.links.items() if link.session.sharing}
        for author in sorted(self._linked - links.keys()):
            self._presence.lapse(author)
        self._linked = set(links)
        offices = {author for author, link in links.items() if link.peer.role is Role.OFFICE}
        if self.duty is Duty.ACTIVE:
            self._followed |= {author for author in offices if links[author].is_caught_up}
        self._presence.say(reaches=bool(offices))
        due = duty(self._me.author, self._presence.reaching(self._now_s))
        if due is self._due and due is not self.duty:  # it was so at the last look, too
            self.duty = due
            if due is not Duty.ACTIVE:
                self._followed.clear()
            for link in list(self._replica.links.values()):
                if link.dialled and link.peer.role is Role.OFFICE:
                    link.end(Reason.DONE, "another till of the store talks with you, or this one does now")
        self._due = due
        table = self._presence.table(self._now_s)
        for link in links.values():
            if link.peer.role is Role.TILL and not link.session.ended:
                self._replica.heap.spawn(link.ask(TOPIC, table, TELL_TIMEOUT_MS), self._replica.life)
