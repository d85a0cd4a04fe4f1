"""The neighbourhood of a running replica: whom it finds, with whom of them it talks, and whether it is its store's gateway.

Finding is multicast DNS and the addresses of the settings. Of the tills of its store a till talks with those that
``peers.mesh`` says; all tell one another who is there and who reaches a head office (``peers.presence``), and by that each knows
its duty on the WAN (``peers.gateways``). Whoever dialled a session ends it when it is not wanted any more; who was dialled never
does, so that two that know different tills do not quarrel. A head office talks with whoever dials it, and dials its settings.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import trio

from crdt_pos.clock import system_ms
from crdt_pos.folder import Folder
from crdt_pos.trust import RosterTrust
from gossip.address import Address
from gossip.link import Link
from gossip.node import Node
from gossip.reasons import Reason
from gossip.session import COMPARE, VERSION_MAX, Me
from merge_rules.lattice import Author
from peers.addresses import local_addresses
from peers.announcement import PeerAddress
from peers.certificates import Certificate
from peers.errors import DiscoveryUnavailable
from peers.gateways import Duty, before, duty, ranked
from peers.mesh import FULL_MAX, neighbours
from peers.permissions import Role
from peers.presence import BEAT_S, TOPIC, Presence

if TYPE_CHECKING:
    from peers.discovery import Discovery

HEARS_ITSELF_S: Final = 5.0
DISCOVERY_RETRY_S: Final = 15.0
"""A till may be switched on before its network is."""
ASK_S: Final = 10.0
"""How often those are looked for who are not heard, and whether this machine has other addresses now."""
PATIENCE_S: Final = 1.5
"""How long the one of two neighbours with the larger id lets the other dial first, so that the two do not cross."""
REVIEW_S: Final = 0.5
REVIEW_PAUSE_S: Final = 0.05
LATE_S_MIN: Final = 0.2
"""A review that is later than that: this machine slept, or is too busy to hear others."""
SETTLE_S: Final = 4.0
"""How long a till that finds others by multicast waits for the first before it believes that it is alone."""
TURN_S: Final = 0.5
"""A till lets each till before it have so long to reach the head office first, for ``TURNS_MAX`` of them at most."""
TURNS_MAX: Final = 4
LINGER_S: Final = 3.0
"""How long a session goes on that is not wanted any more: what made it so may be over in a moment."""
TELL_TIMEOUT_MS: Final = 5_000

_UPWARD: Final = {Duty.NONE: 0, Duty.STANDBY: 1, Duty.ACTIVE: 2}

T = TypeVar("T")
_log = logging.getLogger("crdt_pos.neighbourhood")


class Neighbourhood:
    """Implements ``gossip.dialling.Choice`` for one running replica."""

    def __init__(self, folder: Folder, node: Node, trust: RosterTrust) -> None:
        self.trouble = ""
        """What does not work and is no reason to stop, in a sentence."""
        self.duty = Duty.NONE
        self._settings = folder.settings
        self._me = folder.certificate
        self._node = node
        self._trust = trust
        self._is_till = self._me.role is Role.TILL
        self._presence = Presence(self._me.author, system_ms())
        self._nursery: trio.Nursery | None = None
        self._found: dict[Author, dict[str, tuple[Address, ...]]] = {}
        """Who is said to be where, by the name of the announcement: two may speak in one name."""
        self._met: dict[Author, Certificate] = {}
        self._offices: set[Author] = set()
        self._neighbours: frozenset[Author] = frozenset()
        self._linked: frozenset[Author] = frozenset()
        self._reaches = False
        self._alone_from_s = float("inf")
        self._turning: tuple[Duty, float] | None = None
        self._surplus_since_s: dict[Author, float] = {}
        self._followed: set[Author] = set()
        """Offices with whom cursors tell what is missing: nobody else has spoken for this store since."""
        node.choose(self)

    async def run(self, listening: Address) -> None:
        """Find, choose and tell, until cancelled. ``listening``: what is announced."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            self._alone_from_s = trio.current_time() + (SETTLE_S if self._settings.multicast else 0.0)
            if self._is_till:
                nursery.start_soon(self._watch)
                nursery.start_soon(self._beat)
            if self._settings.multicast:
                nursery.start_soon(self._discover, listening)
            await trio.sleep_forever()

    # --- the choice --------------------------------------------------------------------------------------------------

    def met(self, peer: Certificate) -> None:
        """This replica answers at an address that was dialled."""
        if self._met.get(peer.author) != peer:
            self._met[peer.author] = peer
            if peer.role is Role.OFFICE:
                self._offices.add(peer.author)
            self._review()

    def wants(self, author: Author) -> bool:
        """Whether there shall be a session with it: the store's neighbours in the mesh; offices by duty; others always."""
        if not self._is_till:
            return True
        if author in self._offices:
            return self.duty is not Duty.NONE
        return author in self._neighbours or not self._is_colleague(author)

    def says(self, peer: Certificate, me: Me) -> Me:
        """A till that stands by shares nothing with a head office; one that takes over asks for a comparison."""
        if not self._is_till or peer.role is not Role.OFFICE:
            return me
        if self.duty is Duty.STANDBY:
            return replace(me, scopes=frozenset())
        if peer.author in self._followed or not self._colleagues():
            return me
        return replace(me, features=me.features | {COMPARE})

    # --- who is there ------------------------------------------------------------------------------------------------

    def hear(self, peer: Certificate, table: bytes) -> bytes:
        """A neighbour has told who is there; the answer is empty."""
        if self._is_till and peer.store == self._me.store:
            news = self._presence.hear(table, trio.current_time(), self._believes)
            if news:
                self._review()
                if len(self._presence.reaching(trio.current_time())) > FULL_MAX:
                    self._tell()
        return b""

    def towards_office(self) -> list[Author]:
        """Neighbours with a session that say they reach a head office, the active one first."""
        reaching = self._presence.reaching(trio.current_time())
        return [till for till in ranked(reaching) if reaching[till] and till in self._node.links]

    def facts(self) -> dict[str, object]:
        """What a person may want to know: the duty on the WAN, and which tills of the store are there."""
        reaching = self._presence.reaching(trio.current_time()) if self._is_till else {}
        return {
            "duty": self.duty.value if self._is_till else "",
            "reaches_office": any(reaching.values()),
            "tills_heard": sorted(self._name(till) for till in reaching if till != self._me.author),
        }

    def _believes(self, author: Author) -> bool:
        return author in self._node.links or (self._is_colleague(author) and self._trust.directory.takes_part(author))

    def _is_colleague(self, author: Author) -> bool:
        """Whether this is another till of this store."""
        known = self._met.get(author) or self._trust.record(author)
        if known is None:
            return author in self._found and author not in self._offices
        return known.role is Role.TILL and known.store == self._me.store and author != self._me.author

    def _colleagues(self) -> list[Author]:
        assert self._me.store is not None
        enrolled = {one.author for one in self._trust.directory.tills(self._me.store)}
        return [till for till in {*enrolled, *self._met, *self._found} if self._is_colleague(till)]

    def _name(self, author: Author) -> str:
        known = self._trust.directory.certificate(author) or self._met.get(author)
        return author.hex() if known is None else known.name

    # --- deciding ----------------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        while True:
            change = self._node.change
            began_s = trio.current_time()
            self._review()
            with trio.move_on_after(REVIEW_S):
                await change.wait()
            await trio.sleep(REVIEW_PAUSE_S)
            late_s = trio.current_time() - began_s - REVIEW_S - REVIEW_PAUSE_S
            if late_s > LATE_S_MIN:
                self._presence.excuse(late_s)

    def _review(self) -> None:
        """Look at what has changed, and act on it."""
        if self._nursery is None or not self._is_till:
            return
        now_s = trio.current_time()
        links = {author: link for author, link in self._node.links.items() if link.session.sharing}
        for author in self._linked - links.keys():
            if self.wants(author):  # it left, or died; if others hear it still, its next beat says so
                self._presence.lapse(author)
        came = links.keys() - self._linked
        self._linked = frozenset(links)
        self._choose_neighbours(now_s)
        self._look_at_offices(links)
        self._turn(now_s)
        self._end_surplus(links, now_s)
        if came:
            self._tell(came)

    def _choose_neighbours(self, now_s: float) -> None:
        me = self._me.author
        known = {one for one in self._node.owners() if self._is_colleague(one)}
        named = known - self._found.keys()
        there = set(self._presence.reaching(now_s))
        # By those who are there, so that all of them are connected; and by those who should be, so that two halves of a
        # network meet again. They are the same while nobody is missing.
        chosen = neighbours(me, known) | neighbours(me, there)
        if not there <= known | {me}:
            chosen |= named  # where somebody is whose address is not known, those whom a person named hold us together
        if chosen != self._neighbours:
            self._neighbours = frozenset(chosen)
            self._node.reconsider()

    def _look_at_offices(self, links: dict[Author, Link]) -> None:
        offices = {author: link for author, link in links.items() if link.peer.role is Role.OFFICE}
        if len(self._presence.reaching(trio.current_time())) > 1:
            self._followed &= offices.keys()  # whoever is there speaks for the store when this till cannot
        if self.duty is Duty.ACTIVE:
            self._followed |= {author for author, link in offices.items() if link.facts.caught_up}
        if bool(offices) is not self._reaches:
            self._reaches = bool(offices)
            self._tell()

    def _turn(self, now_s: float) -> None:
        reaching = self._presence.reaching(now_s)
        due = duty(self._me.author, reaching)
        if due is self.duty:
            self._turning = None
            return
        if self._turning is None or self._turning[0] is not due:
            self._turning = due, now_s
        if _UPWARD[due] < _UPWARD[self.duty]:
            from_s = self._turning[1] + LINGER_S
        else:
            from_s = self._turning[1] + TURN_S * min(len(before(self._me.author, reaching)), TURNS_MAX)
            if len(reaching) == 1 and self._colleagues():
                from_s = max(from_s, self._alone_from_s)
        if now_s < from_s:
            return
        _log.info("%s is %s on the WAN now", self._me.name, due.value, extra={"event": "duty", "duty": due.value})
        self.duty, self._turning = due, None
        if due is not Duty.ACTIVE:
            self._followed.clear()
        for link in list(self._node.links.values()):
            if link.dialled and link.peer.role is Role.OFFICE:
                link.end(Reason.DONE, "another till of the store talks with you, or this one does now")
        self._node.reconsider()

    def _end_surplus(self, links: dict[Author, Link], now_s: float) -> None:
        surplus = {author for author, link in links.items() if link.dialled and not self.wants(author)}
        self._surplus_since_s = {author: self._surplus_since_s.get(author, now_s) for author in surplus}
        for author, since_s in self._surplus_since_s.items():
            if now_s - since_s > LINGER_S:
                links[author].end(Reason.DONE, "other tills stand nearer")

    # --- telling -----------------------------------------------------------------------------------------------------

    async def _beat(self) -> None:
        while True:
            self._tell()
            await trio.sleep(BEAT_S)

    def _tell(self, authors: frozenset[Author] | set[Author] | None = None) -> None:
        """Tell neighbours who is there: these, or all."""
        if self._nursery is None:
            return
        self._presence.say(reaches=self._reaches)
        table = self._presence.table(trio.current_time())
        for author, link in list(self._node.links.items()):
            colleague = link.peer.role is Role.TILL and link.peer.store == self._me.store
            if colleague and (authors is None or author in authors):
                self._nursery.start_soon(link.ask, TOPIC, table, TELL_TIMEOUT_MS)

    # --- finding -----------------------------------------------------------------------------------------------------

    async def _discover(self, listening: Address) -> None:
        """Find neighbours by multicast. Where that is blocked, say so and go on with the addresses in the settings."""
        while True:
            hosts = self._hosts()
            discovery = await self._announced(hosts, listening.port)
            try:
                if not await trio.to_thread.run_sync(discovery.hears_itself, HEARS_ITSELF_S, abandon_on_cancel=True):
                    self._say_trouble("Multicast seems to be blocked on this network: name the peers in replica.toml.")
                while self._hosts() == hosts:
                    await trio.sleep(ASK_S)
                    if self._misses_somebody():
                        await trio.to_thread.run_sync(discovery.ask)
            finally:
                with trio.CancelScope(shield=True):
                    await trio.to_thread.run_sync(discovery.close)

    async def _announced(self, hosts: Sequence[str], port: int) -> Discovery:
        token = trio.lowlevel.current_trio_token()
        own = self._me
        me = PeerAddress(own.company, own.name, own.store, own.author, VERSION_MAX, tuple(hosts), port)

        def tell(hear: Callable[[T], None], what: T) -> None:
            with contextlib.suppress(trio.RunFinishedError):
                token.run_sync_soon(hear, what)

        def announce() -> Discovery:
            from peers.discovery import Discovery  # in its own time: a till sells before it has found anybody

            return Discovery(me, partial(tell, self.found), partial(tell, self.gone), self._settings.interfaces)

        while True:
            try:
                discovery = await trio.to_thread.run_sync(announce)
            except DiscoveryUnavailable as error:
                self._say_trouble(str(error))
                await trio.sleep(DISCOVERY_RETRY_S)
            else:
                self.trouble = ""
                return discovery

    def _hosts(self) -> Sequence[str]:
        """The addresses under which others reach this replica now."""
        said = self._settings.listen.host
        everywhere = said in ("", "0.0.0.0")  # noqa: S104  compared, not listened on
        return (self._settings.interfaces or local_addresses()) if everywhere else (said,)

    def _misses_somebody(self) -> bool:
        """Whether a till of this store is not heard, or not reached though it is a neighbour."""
        if not self._is_till:
            return False
        unheard = set(self._colleagues()) - self._presence.reaching(trio.current_time()).keys()
        return bool(unheard or self._neighbours - self._node.links.keys())

    def _say_trouble(self, trouble: str) -> None:
        if trouble != self.trouble:
            _log.warning("%s", trouble, extra={"event": "discovery_trouble"})
        self.trouble = trouble

    def found(self, peer: PeerAddress) -> None:
        """An announcement: somebody says who is where."""
        neighbour = self._me.store is not None and peer.store == self._me.store
        office = peer.store is None and peer.name.startswith(str(Role.OFFICE)) and self._me.role is not Role.OFFICE
        if not neighbour and not office:
            return
        if office:
            self._offices.add(peer.author)
        patience_s = PATIENCE_S if neighbour and self._me.author > peer.author else 0.0
        lost = self._addresses(peer.author)
        addresses = tuple(Address(host, peer.port) for host in peer.hosts)
        self._found.setdefault(peer.author, {})[peer.announcement] = addresses
        self._lose(lost)
        for address in addresses:
            self._node.want(address, peer.author, patience_s)
        self._review()

    def gone(self, author: Author) -> None:
        """Its announcements have lapsed, or it says goodbye."""
        lost = self._addresses(author)
        self._found.pop(author, None)
        self._lose(lost)
        self._review()

    def _addresses(self, author: Author) -> set[Address]:
        return {address for addresses in self._found.get(author, {}).values() for address in addresses}

    def _lose(self, addresses: set[Address]) -> None:
        """Stop dialling where nobody is said to be any more; addresses in the settings are dialled whatever is said."""
        said = {address for author in self._found for address in self._addresses(author)}
        for address in addresses - said - set(self._settings.peers):
            self._node.unwant(address)
