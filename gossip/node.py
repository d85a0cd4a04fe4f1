"""The node: every live session of a replica, and the one way by which entries get into its log.

trio's part of gossip. It listens, dials and dials again, runs a ``Link`` for every session, checks what they receive on worker
threads, commits what passed in one synced transaction for all of them together, and only then lets the sessions acknowledge
it. The replica's own acts go through ``write``, so that the log has one writer at a time.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, Protocol, TypeVar, cast

import trio

from gossip import tls
from gossip.dialling import Dialling
from gossip.document import Scope
from gossip.entry import Entry, FeedId, Hash, Head
from gossip.errors import LogFull
from gossip.events import Acknowledged, Asked, CursorMoved, EntriesReceived, Event, PeerSaidHello, Position
from gossip.in_flight import InFlight
from gossip.ingest import AuthorRecord, Checked, check, same_order
from gossip.link import Link
from gossip.log import Appended, Arrival, Log, Outcome, Reader, View
from gossip.messages import Refused
from gossip.reasons import Reason
from gossip.schema import Schema
from gossip.session import Me, Session
from gossip.tls import Address, TlsStream
from merge_rules import canonical
from merge_rules.errors import NotCanonical
from merge_rules.lattice import Author
from peers.certificates import Certificate, TlsContexts
from peers.errors import CertificateError

CERTIFICATE_TOPIC: Final = "certificate"
CERTIFICATE_TIMEOUT_MS: Final = 5_000
CERTIFICATES_AT_ONCE: Final = 16
STRANGERS_MAX: Final = 64
"""Authors that are asked for because of one batch; entries of more are refused, and come again with a later session."""
CROSSED_MS_MAX: Final = 5_000
"""Two sessions of one pair within this time are two dials that crossed; a later one replaces the older."""
CHUNK_ENTRIES_MIN: Final = 32
"""From this many entries on, a batch is checked on two threads."""

Result = TypeVar("Result")
NewSession = Callable[[Log, Me, int, InFlight], Session]
"""Makes the machine of a new session: our log, what we say of ourselves, the time, and what other sessions are fetching."""
_log = logging.getLogger("crdt_pos.node")


class Trust(Protocol):
    """Whom this replica believes: the roster as far as it is here, and certificates that peers have shown."""

    def record(self, author: Author) -> AuthorRecord | None:
        """What the certificate of ``author`` says; ``None`` if it is not here."""
        ...

    def objection(self, peer: Certificate) -> Reason | None:
        """Why a replica with a valid certificate is not admitted all the same."""
        ...

    def readable(self, peer: Certificate) -> frozenset[Scope]:
        """The scopes that ``peer`` may read."""
        ...

    def chain(self, author: Author) -> Sequence[bytes] | None:
        """The certificates that prove ``author``, its own first."""
        ...

    def learn(self, chain: Sequence[bytes]) -> Sequence[View]:
        """Prove and remember a chain; returns what to keep of it. Raises ``CertificateError``."""
        ...


@dataclass(frozen=True, slots=True)
class Batch:
    """What was appended in one transaction, and what became of each."""

    arrivals: tuple[Arrival, ...]
    outcomes: tuple[Appended, ...]


@dataclass(frozen=True, slots=True)
class Derived:
    """What a replica writes of its own accord when entries come in."""

    views: Sequence[View] = ()
    arrivals: Sequence[Arrival] = ()
    """Entries of its own."""


def orderly_session(log: Log, me: Me, now_ms: int, in_flight: InFlight) -> Session:
    """The session that every replica runs."""
    return Session(log, me, now_ms, in_flight=in_flight)


async def _knows_nothing(_peer: Certificate, _topic: str, _content: bytes) -> bytes | None:
    return None


@dataclass(slots=True)
class Hooks:
    """What the layer above adds. All have a default that does nothing."""

    derive: Callable[[Reader, Sequence[Arrival]], Derived] = lambda _reader, _arrivals: Derived()
    """What follows from received entries; written in the same transaction. Runs on a worker thread."""
    appended: Callable[[Batch], None] = lambda _batch: None
    """After a commit of received entries, on the event loop."""
    acknowledged: Callable[[Author, Sequence[tuple[FeedId, Head]]], None] = lambda _peer, _heads: None
    """A peer has these on its disk."""
    asked: Callable[[Certificate, str, bytes], Awaitable[bytes | None]] = _knows_nothing
    """Answers a peer's question about anything but certificates."""


@dataclass(slots=True)
class _Commit:
    """A link's checked entries on their way to the disk."""

    arrivals: Sequence[Arrival]
    cursors: Sequence[Position]
    views: Sequence[View]
    done: trio.Event = field(default_factory=trio.Event)
    outcomes: Sequence[Appended] | None = None
    """``None`` after ``done``: the log could not take them."""


class Node:
    """A replica's sessions and its log's writer."""

    def __init__(
        self,
        log: Log,
        me: Me,
        contexts: TlsContexts,
        schema: Schema,
        trust: Trust,
        now_ms: Callable[[], int],
        hooks: Hooks | None = None,
        new_session: NewSession = orderly_session,
    ) -> None:
        self.log = log
        self.links: dict[Author, Link] = {}
        self.trouble = ""
        """Why the log cannot be written, in a sentence; empty while it can."""
        self._me = me
        self._contexts = contexts
        self._schema = schema
        self._trust = trust
        self._now_ms = now_ms
        self._hooks = hooks or Hooks()
        self._new_session = new_session
        self._in_flight = InFlight()
        self._writing = trio.Lock()
        self._commits_in, self._commits_out = trio.open_memory_channel[_Commit](math.inf)
        self._dialling = Dialling(me.author, contexts, self.links, partial(self._run_link, dialled=True))
        self._live: set[Link] = set()
        """Every session that runs, also those not admitted yet."""
        self._changed = trio.Event()

    # --- running -----------------------------------------------------------------------------------------------------

    async def run(
        self, address: Address | None, task_status: trio.TaskStatus[Address | None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Listen on ``address`` (``None``: only dial) until cancelled. ``started`` returns the address in use.

        Raises ``CannotListen``.
        """
        try:
            async with trio.open_nursery() as nursery:
                self._dialling.nursery = nursery
                nursery.start_soon(self._commit_loop)
                in_use = None
                if address is not None:
                    serve = partial(tls.serve, address, self._contexts, self._accept, self._refused)
                    in_use = cast("Address", await nursery.start(serve))
                task_status.started(in_use)
        finally:
            self._dialling.nursery = None  # whoever is found from now on is not dialled

    def want(self, address: Address, author: Author | None = None, patience_s: float = 0.0) -> None:
        """Keep a session with whoever listens at ``address``: ``Dialling.want``."""
        self._dialling.want(address, author, patience_s)

    def unwant(self, address: Address) -> None:
        """Stop dialling ``address``; a session that is there goes on."""
        self._dialling.unwant(address)

    def troubles(self) -> dict[str, str]:
        """Addresses that are wanted and cannot be reached now, with the reason."""
        return self._dialling.troubles()

    def may_read(self, scopes: frozenset[Scope]) -> None:
        """What this replica may read has changed (the roster grew): say so in new sessions, and begin them."""
        if scopes != self._me.scopes:
            self._me = replace(self._me, scopes=scopes)
            self.end_sessions(Reason.DONE, "there are more scopes to share now")

    def end_sessions(self, reason: Reason, why: str) -> None:
        """End every session; peers that are wanted are dialled again."""
        for link in list(self._live):
            link.end(reason, why)

    # --- writing -----------------------------------------------------------------------------------------------------

    async def write(self, act: Callable[[], Result]) -> Result:
        """Run ``act``, which may append to the log, on a worker thread, and then wake the sessions."""
        async with self._writing:
            # Not abandoned when cancelled: a commit that is under way must be waited for.
            try:
                result = await trio.to_thread.run_sync(act)
            except LogFull as error:
                self.trouble = str(error)
                _log.error("%s", error)
                raise
        self.trouble = ""
        self.wake()
        return result

    def wake(self) -> None:
        """The log has grown: every session sends what it shares of that."""
        for link in self.links.values():
            link.wake()
        self._changed.set()
        self._changed = trio.Event()

    @property
    def change(self) -> trio.Event:
        """Set once the log has grown, or a session has come or gone. Take it, then look, then wait: so nothing is missed."""
        return self._changed

    async def _commit_loop(self) -> None:
        async for first in self._commits_out:
            group = [first]
            while True:
                try:
                    group.append(self._commits_out.receive_nowait())
                except trio.WouldBlock:
                    break
            arrivals = [arrival for commit in group for arrival in commit.arrivals]
            cursors = [cursor for commit in group for cursor in commit.cursors]
            views = [view for commit in group for view in commit.views]
            try:
                async with self._writing:
                    outcomes = await trio.to_thread.run_sync(self._append, arrivals, views, cursors)
                    if any(outcome.outcome is Outcome.GAP for outcome in outcomes):
                        await trio.to_thread.run_sync(self._append, (), (), _without_gaps(group, outcomes))
            except LogFull as error:
                # For any other failure the log must be opened again: that ends the process.
                self.trouble = str(error)
                _log.error("The log took nothing: %s", error)
                for commit in group:
                    commit.done.set()
                continue
            self.trouble = ""
            taken = 0
            for commit in group:
                commit.outcomes = outcomes[taken : taken + len(commit.arrivals)]
                taken += len(commit.arrivals)
            self._hooks.appended(Batch(tuple(arrivals), tuple(outcomes)))
            for commit in group:
                commit.done.set()
            if any(outcome.outcome in (Outcome.NEW, Outcome.FORK) for outcome in outcomes):
                self.wake()

    def _append(
        self, arrivals: Sequence[Arrival], views: Sequence[View], cursors: Sequence[Position]
    ) -> list[Appended]:
        counting = [arrival for arrival in arrivals if arrival.quarantine is None]
        with self.log.read() as reader:
            derived = self._hooks.derive(reader, counting) if counting else Derived()
        every = [*arrivals, *derived.arrivals]
        return self.log.append(every, [*views, *derived.views], cursors, self._now_ms())[: len(arrivals)]

    # --- receiving ---------------------------------------------------------------------------------------------------

    async def take_in(self, link: Link, items: list[EntriesReceived | CursorMoved]) -> bool:
        """Check what a session has received, append what passes, and acknowledge it; false if the session had to end."""
        entries = [entry for item in items if isinstance(item, EntriesReceived) for entry in item.entries]
        cursors = [item.cursor for item in items if item.cursor is not None]
        refused: dict[Hash, str] = {}
        gaps: set[FeedId] = set()
        asked: set[Author] = set()
        runs = same_order(entries)
        for number, run in enumerate(runs or [[]]):
            checked = await self._checked(link, run, refused, asked)
            if checked.forged:
                link.end(Reason.BAD_ENTRY, f"the signature of {checked.forged[0].document} is not its author's")
                return False
            last = number == max(len(runs) - 1, 0)
            # The cursor says that all before it is here, so it goes with the last of the batch and never before, and not if
            # the peer has left before it could show a certificate.
            moves = last and not gaps and not (refused and link.session.ended)
            commit = _Commit(checked.arrivals, cursors[-1:] if moves else (), ())
            if commit.arrivals or commit.cursors:
                self._commits_in.send_nowait(commit)
                await commit.done.wait()
                if commit.outcomes is None:
                    link.end(Reason.DONE, "the log cannot be written now")
                    return False
                for arrival, outcome in zip(commit.arrivals, commit.outcomes, strict=True):
                    if outcome.outcome is Outcome.GAP:
                        gaps.add(arrival.entry.feed_id)
        for item in items:
            if isinstance(item, EntriesReceived):
                said = [Refused(entry.hash, refused[entry.hash]) for entry in item.entries if entry.hash in refused]
                missing = {entry.feed_id for entry in item.entries} & gaps
                link.appended(item.batch, said, missing)
        return True

    async def _checked(
        self, link: Link, entries: Sequence[Entry], refused: dict[Hash, str], asked: set[Author]
    ) -> Checked:
        checked = await self._check(entries, link.peer.author)
        if checked.unknown:
            limiter = trio.CapacityLimiter(CERTIFICATES_AT_ONCE)
            strangers = [one for one in dict.fromkeys(entry.author for entry in checked.unknown) if one not in asked]
            strangers = strangers[: STRANGERS_MAX - len(asked)]
            asked.update(strangers)
            async with trio.open_nursery() as nursery:
                for author in strangers:
                    nursery.start_soon(self._ask_certificate, link, author, limiter)
            again = await self._check(checked.unknown, link.peer.author)
            for entry in again.unknown:
                refused[entry.hash] = "nobody has shown the certificate of its author"
            checked = Checked(checked.arrivals + again.arrivals, (), checked.forged + again.forged)
        return checked

    async def _check(self, entries: Sequence[Entry], received_from: Author) -> Checked:
        if not entries:
            return Checked((), (), ())
        chunk = len(entries) if len(entries) < CHUNK_ENTRIES_MIN else (len(entries) + 1) // 2
        parts: dict[int, Checked] = {}

        async def check_part(start: int) -> None:
            part = entries[start : start + chunk]
            parts[start] = await trio.to_thread.run_sync(
                check, part, received_from, self._trust.record, self._schema, abandon_on_cancel=True
            )

        async with trio.open_nursery() as nursery:
            for start in range(0, len(entries), chunk):
                nursery.start_soon(check_part, start)
        results = [parts[start] for start in sorted(parts)]
        return Checked(
            tuple(arrival for part in results for arrival in part.arrivals),
            tuple(entry for part in results for entry in part.unknown),
            tuple(entry for part in results for entry in part.forged),
        )

    async def _ask_certificate(self, link: Link, author: Author, limiter: trio.CapacityLimiter) -> None:
        async with limiter:
            shown = await link.ask(CERTIFICATE_TOPIC, author, CERTIFICATE_TIMEOUT_MS)
        if shown is None:
            return
        try:
            chain = canonical.decode(shown)
            if not isinstance(chain, list) or not all(isinstance(der, bytes) for der in cast("list[object]", chain)):
                return
            views = self._trust.learn(cast("list[bytes]", chain))
        except (NotCanonical, CertificateError) as error:
            _log.warning("%s showed a bad certificate of %s: %s", link.peer.name, author.hex(), error)
            return
        commit = _Commit((), (), views)
        self._commits_in.send_nowait(commit)
        await commit.done.wait()

    # --- sessions ----------------------------------------------------------------------------------------------------

    async def _accept(self, stream: TlsStream) -> None:
        await self._run_link(stream, dialled=False)

    def _refused(self, address: Address, reason: str) -> None:
        _log.warning("refused a connection from %s: %s", address, reason)

    async def _run_link(self, stream: TlsStream, *, dialled: bool) -> Link:
        link = Link(
            stream,
            self._new_session(self.log, self._me, _ticks_ms(), self._in_flight),
            self,
            _ticks_ms,
            since_ms=self._now_ms(),
            dialled=dialled,
        )
        self._live.add(link)
        try:
            await link.run()
        finally:
            self._live.discard(link)
            if self.links.get(link.peer.author) is link:
                del self.links[link.peer.author]
                self._changed.set()
                self._changed = trio.Event()
                ended = link.facts.ended
                _log.info("session with %s ended: %s", link.peer.name, ended.reason.name if ended else "cancelled")
            elif link.facts.ended is not None and link.facts.ended.reason not in (Reason.LOST, Reason.DUPLICATE):
                ended = link.facts.ended
                _log.warning(
                    "no session with %s at %s: %s", link.peer.name, stream.address, ended.why or ended.reason.name
                )
        return link

    def decide(self, link: Link, said: PeerSaidHello) -> list[Event]:
        """Admit or refuse a peer that has said HELLO."""
        peer = link.peer
        if said.hello.author != peer.author:
            return link.session.refuse(Reason.IDENTITY, "HELLO names another author than the certificate")
        if peer.author == self._me.author:
            return link.session.refuse(Reason.SELF, "this is the same replica, or a copy of its disk")
        objection = self._trust.objection(peer)
        if objection is not None:
            return link.session.refuse(objection)
        other = self.links.get(peer.author)
        if other is not None and not other.session.ended:
            crossed = _ticks_ms() - other.began_ms < CROSSED_MS_MAX
            mine_wins = self._me.author < peer.author
            if crossed and link.dialled is not mine_wins:
                return link.session.refuse(Reason.DUPLICATE, "there is another session already")
            other.end(Reason.DUPLICATE, "a newer session takes over")
        self.links[peer.author] = link
        _log.info("session with %s at %s", peer.name, link.stream.address)
        same_store = peer.store is not None and any(scope == f"journal/{peer.store}" for scope in self._me.scopes)
        return link.session.admit(self._trust.readable(peer), announce=same_store)

    def hear(self, link: Link, event: Event) -> None:
        """Note what a session says."""
        if isinstance(event, Acknowledged):
            self._hooks.acknowledged(link.peer.author, event.heads)
        self._changed.set()
        self._changed = trio.Event()

    async def answer(self, link: Link, question: Asked) -> None:
        """Answer a peer: certificates from what is known here, the rest by the layer above."""
        if question.topic == CERTIFICATE_TOPIC:
            chain = self._trust.chain(Author(question.content))
            answer = None if chain is None else canonical.encode(list(chain))
        else:
            answer = await self._hooks.asked(link.peer, question.topic, question.content)
        link.answer(question, answer)


def _without_gaps(group: Sequence[_Commit], outcomes: Sequence[Appended]) -> list[Position]:
    """The cursors of those commits of a group in which nothing is missing."""
    found: list[Position] = []
    taken = 0
    for commit in group:
        own = outcomes[taken : taken + len(commit.arrivals)]
        taken += len(commit.arrivals)
        if all(outcome.outcome is not Outcome.GAP for outcome in own):
            found += commit.cursors
    return found


def _ticks_ms() -> int:
    """Sessions' deadlines hold by this clock, which nobody sets."""
    return int(trio.current_time() * 1000)
