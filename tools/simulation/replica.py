"""A replica in the simulation: its core, its intake and its sessions are the ones that run in shops; trio, TLS, threads and the
disk are simulated. Stands in for ``gossip.node`` and ``crdt_pos.replica``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import Final, TypeVar

from crdt_pos.folder import Folder
from crdt_pos.replica_core import Linked, ReplicaCore
from crdt_pos.rights import RightsQuestion
from crdt_pos.schema import SCHEMA
from gossip.admission import decide, offered
from gossip.document import Scope
from gossip.entry import Entry, FeedId, Hash, Head
from gossip.errors import LogFull
from gossip.events import Asked, Event, PeerSaidHello
from gossip.in_flight import InFlight
from gossip.ingest import Checked, check
from gossip.intake import CERTIFICATE_TIMEOUT_MS, CERTIFICATE_TOPIC, Batch, Commit, learned, shown_chain, write_group
from gossip.log import Appended, Reader
from gossip.reasons import Reason
from gossip.session import Me, Session
from merge_rules.lattice import Author
from peers.certificates import Certificate
from peers.presence import TOPIC as PRESENCE
from tools.simulation.disk import SYNC_MS, Disk
from tools.simulation.earlier import SimulatedEarlierLives
from tools.simulation.heap import Future, Heap, Life, Mutex
from tools.simulation.link import SimulatedLink
from tools.simulation.neighbourhood import Neighbourhood, SimulatedNeighbourhood
from tools.simulation.network import Wire
from tools.simulation.returning import SimulatedReturning

CHECKPOINT_MS: Final = 60_000
RETRY_MS: Final = 5_000

VERIFY_MS: Final = (0, 3)

T = TypeVar("T")


@dataclass(slots=True)
class _Waiting:
    commit: Commit
    done: Future[None]


class SimulatedReplica(ReplicaCore):
    """One process. It ends with its ``life``; its disk stays."""

    def __init__(
        self,
        folder: Folder,
        disk: Disk,
        system_ms: Callable[[], int],
        heap: Heap,
        rng: Random,
        life: Life,
        tell: Callable[[str], None],
        *,
        by_duty: bool,
    ) -> None:
        """``by_duty``: a till talks with head offices by its duty only; else always."""
        self.heap = heap
        self.life = life
        self.links: dict[Author, SimulatedLink] = {}
        self.live: dict[SimulatedLink, None] = {}
        """Every session that runs, also those not admitted yet."""
        self.pending: Callable[[], object] | None = None
        """The transaction that is being synced."""
        super().__init__(folder, disk, system_ms)
        self.disk = disk
        self.tell = tell
        self.returning = SimulatedReturning(self, self.home) if self.home is not None else None
        self.earlier_lives = SimulatedEarlierLives(self, self.till) if self.till is not None else None
        self.neighbourhood: Neighbourhood | None = None
        if by_duty and self.till is not None:
            self.neighbourhood = SimulatedNeighbourhood(self)
        self._rng = rng
        self._me = Me(folder.root.company, self.certificate.author, self.trust.readable(self.certificate))
        self._in_flight = InFlight()
        self._writing = Mutex(heap)
        self._commits: list[_Waiting] = []
        self._committing = False
        self._asking_again = False
        self._change: Future[None] = Future(heap)

    def start(self) -> None:
        """What a replica does of its own accord."""
        self.heap.spawn(self._checkpoints(), self.life)
        self.heap.spawn(self._prove([]), self.life)  # what came before this start is judged first
        if self.returning is not None:
            self.returning.start()
        if self.neighbourhood is not None:
            self.heap.spawn(self.neighbourhood.run(), self.life)

    async def asked(self, peer: Certificate, topic: str, content: bytes) -> bytes | None:
        if topic == PRESENCE:
            return None if self.neighbourhood is None else self.neighbourhood.hear(peer, content)
        return await super().asked(peer, topic, content)

    def towards_office(self) -> Collection[Author]:
        return () if self.neighbourhood is None else self.neighbourhood.towards_office()

    # --- sessions --------------------------------------------------------------------------------------------------------

    def talk(self, wire: Wire, end: int, peer: Certificate, *, dialled: bool) -> SimulatedLink:
        """Begin a session on a stream."""
        session = self.new_session(peer)
        link = SimulatedLink(self, wire, end, peer, session, dialled=dialled)
        self.live[link] = None
        return link

    def new_session(self, peer: Certificate) -> Session:
        """The machine of a new session."""
        me = offered(self._me, peer, self.trust)
        if self.neighbourhood is not None:
            me = self.neighbourhood.says(peer, me)
        return Session(self.log, me, self.heap.now_ms, in_flight=self._in_flight)

    def decide(self, link: SimulatedLink, said: PeerSaidHello) -> list[Event]:
        """Admit or refuse a peer that has said HELLO."""
        return decide(link, said, self.links, self._me, self.trust, self.heap.now_ms)

    def gone(self, link: SimulatedLink) -> None:
        """A session is over."""
        self.live.pop(link, None)
        if self.links.get(link.peer.author) is link:
            del self.links[link.peer.author]

    def acknowledged(self, peer: Author, heads: Sequence[tuple[FeedId, Head]]) -> None:
        """A peer says that it has these on its disk."""
        self.safety.acknowledged(peer, heads)
        if self.returning is not None and any(feed.author == self.certificate.author for feed, _ in heads):
            self.returning.met()

    def shared(self, link: SimulatedLink) -> None:
        """Sharing has begun."""
        if self.returning is not None:
            self.returning.shared(link)

    def caught_up(self, link: SimulatedLink) -> None:
        """All that a peer had when the session began is here."""
        if self.earlier_lives is not None:
            self.earlier_lives.caught_up(link)

    def appended(self, batch: Batch) -> None:
        super().appended(batch)
        if self.earlier_lives is not None:
            self.earlier_lives.appended(batch)

    def came_back(self) -> None:
        super().came_back()
        if self.returning is not None:
            self.returning.noticed()

    async def answer(self, link: SimulatedLink, question: Asked) -> None:
        """Answer a peer."""
        if question.topic == CERTIFICATE_TOPIC:
            link.answer(question, shown_chain(self.trust, Author(question.content)))
        else:
            link.answer(question, await self.asked(link.peer, question.topic, question.content))

    def wake(self) -> None:
        """The log has grown."""
        for link in list(self.links.values()):
            link.wake()
        self._has_changed()

    def _has_changed(self) -> None:
        change = self._change
        self._change = Future(self.heap)
        change.resolve(None)

    def end_sessions(self, reason: Reason = Reason.DONE, why: str = "") -> None:
        """Say goodbye to everyone."""
        for link in list(self.live):
            link.end(reason, why)

    # --- ReplicaCore -----------------------------------------------------------------------------------------------------

    async def write(self, act: Callable[[], T]) -> T:
        async with self._writing:
            self.pending = act
            await self.heap.sleep(self._rng.randint(*SYNC_MS))
            self.pending = None
            result = act()
        self.wake()
        return result

    async def act(self, act: Callable[[], T]) -> T:
        """An act of a cashier. Raises ``TakingBack`` as well."""
        if self.returning is not None:
            await self.returning.may_act()
        return await self.write(act)

    async def look(self, read: Callable[[Reader], T]) -> T:
        with self.log.read() as reader:
            return read(reader)

    def linked(self) -> Mapping[Author, Linked]:
        return self.links

    def may_read(self, scopes: frozenset[Scope]) -> None:
        if scopes != self._me.scopes:
            self._me = replace(self._me, scopes=scopes)
            self.end_sessions(Reason.DONE, "there are more scopes to share now")

    def prove_soon(self, pairs: list[tuple[Entry, Hash]]) -> None:
        self.heap.spawn(self._prove(pairs), self.life)

    # --- of its own accord -----------------------------------------------------------------------------------------------

    async def _checkpoints(self) -> None:
        while True:
            await self.heap.sleep(CHECKPOINT_MS)
            if self.till is not None and self.may_act():
                await self._wrote(self.till.publish)
            await self._wrote(self._save)

    def _save(self) -> None:
        views = self.safety.unsaved()
        if views:
            self.log.append([], views)
            self.safety.saved()

    async def _prove(self, pairs: list[tuple[Entry, Hash]]) -> None:
        while True:
            try:
                if self.may_act():
                    await self.settle_forks(pairs)
                    break
            except LogFull:
                pass
            await self.heap.sleep(RETRY_MS)
        again_ms = self.asking.again_ms(self.system_ms())
        if again_ms is not None and not self._asking_again:
            # Whom nobody knows now, a neighbour may know soon.
            self._asking_again = True
            await self.heap.sleep(again_ms)
            self._asking_again = False
            self.heap.spawn(self._prove([]), self.life)

    async def _wrote(self, act: Callable[[], object]) -> bool:
        try:
            await self.write(act)
        except LogFull:
            return False
        return True

    async def borrow(self, account: bytes, amount: int, deadline_ms: int) -> None:
        """Ask peers until ``amount`` is granted and here, or the deadline has passed. Stands in for trio's deadline."""
        assert self.till is not None
        programme, until_ms = self.terms().programme.name, self.heap.now_ms + deadline_ms
        await self.act(partial(self.till.welcome, account))
        before = await self.look(lambda reader: self.rights(reader, programme, account))
        question = RightsQuestion(programme, account, amount, self.certificate.author)
        granted = await self.ask_around(question, (), deadline_ms)
        while self.heap.now_ms < until_ms:
            if await self.look(lambda reader: self.rights(reader, programme, account)) >= before + granted:
                return
            self.heap.at(until_ms - self.heap.now_ms, self._has_changed, self.life)
            await self._change

    # --- intake ----------------------------------------------------------------------------------------------------------

    def floor(self, link: SimulatedLink) -> _Floor:
        """Who checks, asks and writes for a session."""
        return _Floor(self, link)

    async def check(self, entries: Sequence[Entry], received_from: Author) -> Checked:
        """``gossip.ingest.check``, which takes a while."""
        if entries:
            await self.heap.sleep(self._rng.randint(*VERIFY_MS))
        return check(entries, received_from, self.trust.record, SCHEMA)

    async def ask_certificates(self, link: SimulatedLink, authors: Sequence[Author]) -> None:
        """Ask a peer for certificates, one after the other."""
        for author in authors:
            shown = await link.ask(CERTIFICATE_TOPIC, author, CERTIFICATE_TIMEOUT_MS)
            views = "" if shown is None else learned(self.trust, shown)
            if not isinstance(views, str):
                await self.commit(Commit((), (), views))

    async def commit(self, commit: Commit) -> Sequence[Appended] | None:
        """Have something written with the next group; ``None`` if the log could not take it."""
        waiting = _Waiting(commit, Future(self.heap))
        self._commits.append(waiting)
        if not self._committing:
            self._committing = True
            self.heap.spawn(self._commit_groups(), self.life)
        await waiting.done
        return commit.outcomes

    async def _commit_groups(self) -> None:
        while self._commits:
            group, self._commits = self._commits, []
            act = partial(write_group, self.log, [one.commit for one in group], self.derive, self.system_ms())
            try:
                async with self._writing:
                    self.pending = act
                    await self.heap.sleep(self._rng.randint(*SYNC_MS))
                    self.pending = None
                    batch = act()
                self.appended(batch)
                grew = batch.grew
            except LogFull:
                grew = False
            for one in group:
                one.done.resolve(None)
            if grew:
                self.wake()
        self._committing = False


@dataclass(frozen=True, slots=True)
class _Floor:
    """Implements ``gossip.intake.Floor`` for one session."""

    replica: SimulatedReplica
    link: SimulatedLink

    async def check(self, entries: Sequence[Entry], received_from: Author) -> Checked:
        return await self.replica.check(entries, received_from)

    async def ask_certificates(self, authors: Sequence[Author]) -> None:
        await self.replica.ask_certificates(self.link, authors)

    async def commit(self, commit: Commit) -> Sequence[Appended] | None:
        return await self.replica.commit(commit)
