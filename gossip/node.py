"""The node: every live session of a replica, and the one way by which entries get into its log.

trio's part of gossip. It listens, dials and dials again, runs a ``Link`` for every session, checks what they receive on worker
threads, commits what passed in one synced transaction for all of them together, and only then lets the sessions acknowledge
it. The replica's own acts go through ``write``, so that the log has one writer at a time.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import field, replace
from functools import partial
from typing import Final, TypeVar, cast

import trio

from gossip import admission, doorbell, frames, intake, tls
from gossip.address import Address
from gossip.backlog import Backlog
from gossip.dialling import Choice, Dialling
from gossip.document import Scope, fixed_scope
from gossip.entry import Entry, FeedId, Hash, Head
from gossip.errors import LogFull, TransportError
from gossip.events import (
    Acknowledged,
    Asked,
    CaughtUp,
    CursorMoved,
    Ended,
    EntriesReceived,
    Event,
    PeerSaidHello,
    Shared,
)
from gossip.fairness import Fairness
from gossip.in_flight import InFlight
from gossip.ingest import Checked, check
from gossip.intake import CERTIFICATE_TIMEOUT_MS, CERTIFICATE_TOPIC, Batch, Commit, Derive, Derived, Trust, write_group
from gossip.link import Link
from gossip.log import Appended, Log, feed_key
from gossip.messages import Bye
from gossip.outbound import Grown, New
from gossip.reasons import Reason
from gossip.refusals import Refusals
from gossip.schema import Schema
from gossip.session import Me, Session
from gossip.tap import Tap
from gossip.tls import TlsStream
from gossip.transitions import State
from gossip.verifying import Verifying
from merge_rules.dataclass import dataclass
from merge_rules.lattice import Author
from peers.certificates import Certificate, TlsContexts

CERTIFICATES_AT_ONCE: Final = 16
LOOKED_THROUGH_MAX: Final = 1 << 14
"""So many new arrivals are looked through once, to wake only the sessions that share one of them."""
SESSIONS_OF_ONE_MAX: Final = 4
"""Accepted from one peer at once: two dials that crossed, and two that only seem alive."""
BYE_TIMEOUT_S: Final = 1.0
RUDE: Final = frozenset(
    {
        Reason.MALFORMED,
        Reason.UNEXPECTED,
        Reason.TOO_LARGE,
        Reason.TOO_MUCH,
        Reason.IDENTITY,
        Reason.SCOPE,
        Reason.BAD_ENTRY,
    }
)
"""A session that ends with one of these counts against the peer,"""
RUDE_S: Final = 0.25
"""as if it had cost so much."""
HANDSHAKE_S: Final = 0.005
"""What a handshake costs that led to nothing, about."""
WELCOME_S_MAX: Final = 1.0
"""So long a handshake waits at most, where others from that host came to nothing."""
CHUNK_ENTRIES_MIN: Final = 32
"""From this many entries on, a batch is checked on two threads."""
GROUP_ENTRIES_MAX: Final = 1024
"""Received entries that are written in one transaction, but for the rest of the last commit of it."""
SLOW_COMMIT_S: Final = 1.0
"""A commit that takes longer is worth a line."""
OWN, RECEIVED = "own", "received"
"""Whose entries a commit is of."""

Result = TypeVar("Result")
NewSession = Callable[[Log, Me, int, InFlight], Session]
"""Makes the machine of a new session: our log, what we say of ourselves, the time, and what other sessions are fetching."""
_log = logging.getLogger("crdt_pos.node")


def orderly_session(log: Log, me: Me, now_ms: int, in_flight: InFlight) -> Session:
    """The session that every replica runs."""
    return Session(log, me, now_ms, in_flight=in_flight)


async def _lets_nobody_in(_came_from: str, _question: bytes) -> bytes:
    return b""


def _unobserved(_whose: str, _seconds: float) -> None:
    pass


async def _knows_nothing(_peer: Certificate, _topic: str, _content: bytes) -> bytes | None:
    return None


@dataclass(slots=True)
class Hooks:
    """What the layer above adds. All have a default that does nothing."""

    derive: Derive = lambda _reader, _arrivals: Derived()
    """Runs on a worker thread."""
    appended: Callable[[Batch], None] = lambda _batch: None
    """After a commit of received entries, on the event loop."""
    acknowledged: Callable[[Author, Sequence[tuple[FeedId, Head]]], None] = lambda _peer, _heads: None
    """A peer has these on its disk."""
    asked: Callable[[Certificate, str, bytes], Awaitable[bytes | None]] = _knows_nothing
    """Answers a peer's question about anything but certificates."""
    shared: Callable[[Link], None] = lambda _link: None
    """Both sides have admitted each other: the peer can be asked."""
    rung: doorbell.Answer = _lets_nobody_in
    """Answers somebody who has no certificate yet."""
    ended: Callable[[Certificate, Ended], None] = lambda _peer, _ended: None
    """A session with this peer is over, or never came about."""


@dataclass(slots=True)
class _Commit(Commit):
    done: trio.Event = field(default_factory=trio.Event)


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
        verifying: Verifying | None = None,
    ) -> None:
        """``verifying``: for a replica that many others send to."""
        self.log = log
        self.links: dict[Author, Link] = {}
        self.trouble = ""
        """Why the log cannot be written, in a sentence; empty while it can."""
        with log.read_all() as reader:
            self._woken_at = reader.last_arrival()
        self._tap: Tap | None = None
        self.commits_waiting_max = 0
        """The most commits that have waited for the log at once: one for every session at most."""
        self._me = me
        self._contexts = contexts
        self._schema = schema
        self._trust = trust
        self._now_ms = now_ms
        self._hooks = hooks or Hooks()
        self._new_session = new_session
        self._verifying = verifying
        self._in_flight = InFlight()
        self._fairness = Fairness()
        self._backlog = Backlog()
        self._writing = trio.Lock()
        self._commits_in, self._commits_out = trio.open_memory_channel[_Commit](math.inf)
        self._dialling = Dialling(me.author, contexts, self.links, partial(self._run_link, dialled=True))
        self._came: Counter[str] = Counter()
        self._sent = 0
        self.on_commit: Callable[[str, float], None] = _unobserved
        """Told after each commit whose it was, ``OWN`` or ``RECEIVED``, and how many seconds after it asked for its turn."""
        self._live: dict[Link, frozenset[Scope]] = {}
        """Every session that runs, also those not admitted yet, and the scopes that its peer could be offered."""
        self._changed = trio.Event()
        self._refusals = Refusals()

    # --- running -----------------------------------------------------------------------------------------------------

    async def run(
        self, address: Address | None, task_status: trio.TaskStatus[Address | None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Listen on ``address`` (``None``: only dial) until cancelled. ``started`` returns the address in use.

        Raises ``CannotListen``.
        """
        try:
            async with trio.open_nursery() as nursery:
                self._dialling.begin(nursery)
                nursery.start_soon(self._commit_loop)
                if self._verifying is not None:
                    await nursery.start(self._verifying.run)
                in_use = None
                if address is not None:
                    bell = doorbell.Doorbell(self._hooks.rung)
                    serve = partial(
                        tls.serve,
                        address,
                        self._contexts,
                        self._accept,
                        self._refused,
                        on_visitor=bell.rung,
                        rest_s=lambda host: self._fairness.rest_s(host, trio.current_time(), WELCOME_S_MAX),
                    )
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

    def choose(self, choice: Choice) -> None:
        """Let ``choice`` say with whom of those whose addresses are wanted there is a session, and what is said in it."""
        self._dialling.choice = choice

    def reconsider(self) -> None:
        """The choice may have changed."""
        self._dialling.reconsider()

    def owners(self) -> set[Author]:
        """Who was met at the wanted addresses, or is said to be there."""
        return {wanted.author for wanted in self._dialling.wanted.values() if wanted.author is not None}

    def owner(self, address: Address) -> Author | None:
        """Who was met at a wanted address, or is said to be there."""
        wanted = self._dialling.wanted.get(address)
        return None if wanted is None else wanted.author

    def reached(self) -> list[Address]:
        """The wanted addresses at which somebody was met, or is said to be."""
        return [wanted.address for wanted in self._dialling.wanted.values() if wanted.author is not None]

    def came(self) -> dict[str, int]:
        """Entries that came over the network since the start, by kind; one that came twice counts twice."""
        return dict(sum((link.session.came for link in self._live), self._came))

    def sent(self) -> int:
        """Entries that were sent since the start; one that was sent twice counts twice."""
        return sum((link.session.entries_sent for link in self._live), self._sent)

    def states(self) -> Counter[State]:
        """How many sessions there are in each state, also those not admitted yet."""
        return Counter(link.session.state for link in self._live)

    def dials(self) -> list[dict[str, object]]:
        """The wanted addresses: who was met there (hexadecimal), what does not work, and whether there is a session."""
        return [
            {
                "address": str(wanted.address),
                "author": "" if wanted.author is None else wanted.author.hex(),
                "trouble": wanted.trouble,
                "session": wanted.author in self.links,
            }
            for wanted in self._dialling.wanted.values()
        ]

    def troubles(self) -> dict[str, str]:
        """Addresses that are wanted and cannot be reached now, with the reason."""
        return self._dialling.troubles()

    def may_read(self, scopes: frozenset[Scope]) -> None:
        """The roster has grown: this is what we may read now. Sessions with peers that can be offered more begin anew."""
        self._me = replace(self._me, scopes=scopes)
        for link, could in list(self._live.items()):
            if admission.offered(self._me, link.peer, self._trust).scopes != could:
                link.end(Reason.DONE, "there are more scopes to share now")

    def end_sessions(self, reason: Reason, why: str) -> None:
        """End every session; peers that are wanted are dialled again."""
        for link in list(self._live):
            link.end(reason, why)

    def listen_in(self, tap: Tap | None) -> None:
        """Let somebody hear what every session, of now or later, says and is told; ``None``: nobody any more."""
        self._tap = tap
        for link in self._live:
            link.tap = tap

    # --- writing -----------------------------------------------------------------------------------------------------

    async def write(self, act: Callable[[], Result]) -> Result:
        """Run ``act``, which may append to the log, on a worker thread, and then wake the sessions."""
        began_s = trio.current_time()
        async with self._writing:
            # Not abandoned when cancelled: a commit that is under way must be waited for.
            try:
                result = await trio.to_thread.run_sync(act)
            except LogFull as error:
                self.trouble = str(error)
                _log.error("%s", error, extra={"event": "log_full"})
                raise
        self.trouble = ""
        self._committed(OWN, began_s)
        self.wake()
        return result

    def wake(self) -> None:
        """The log has grown: every session sends what it shares of that."""
        self._wake(self._grown())

    def _wake(self, grown: Grown | None) -> None:
        for link in self.links.values():
            link.wake(grown)
        self._changed.set()
        self._changed = trio.Event()

    def _grown(self) -> Grown | None:
        """What is new in the log; ``None`` if that is much."""
        with self.log.read_all() as reader:
            after, self._woken_at = self._woken_at, reader.last_arrival()
            return Grown.since(reader, after, LOOKED_THROUGH_MAX)

    @property
    def change(self) -> trio.Event:
        """Set once the log has grown, or a session has come or gone. Take it, then look, then wait: so nothing is missed."""
        return self._changed

    def _committed(self, whose: str, began_s: float) -> None:
        seconds = trio.current_time() - began_s
        self.on_commit(whose, seconds)
        if seconds > SLOW_COMMIT_S:
            told = {"event": "commit_slow", "whose": whose, "seconds": round(seconds, 3)}
            _log.warning("a commit took %.1f s", seconds, extra=told)

    async def _commit_loop(self) -> None:
        async for first in self._commits_out:
            group = [first]
            count = len(first.arrivals)
            while count < GROUP_ENTRIES_MAX:
                try:
                    group.append(self._commits_out.receive_nowait())
                except trio.WouldBlock:
                    break
                count += len(group[-1].arrivals)
            self.commits_waiting_max = max(self.commits_waiting_max, len(group))
            began_s = trio.current_time()
            try:
                async with self._writing:
                    batch, grown = await self._in_turn(partial(self._write_group, group), count)
            except LogFull as error:
                # For any other failure the log must be opened again: that ends the process.
                self.trouble = str(error)
                _log.error("The log took nothing: %s", error, extra={"event": "log_full"})
                for commit in group:
                    commit.done.set()
                continue
            self.trouble = ""
            self._committed(RECEIVED, began_s)
            self._hooks.appended(batch)
            for commit in group:
                commit.done.set()
            if batch.grew:
                self._wake(grown)

    async def _in_turn(self, act: Callable[[], Result], entries: int) -> Result:
        """Run what reads or writes the log for so many entries: on a worker thread, or here.

        With signatures verified elsewhere, both this thread and a worker would need the interpreter's lock all the time, and each
        look at the disk hands it over: together they take twice as long as one after the other. Here nobody waits at a counter.
        """
        if self._verifying is None or entries < CHUNK_ENTRIES_MIN:
            return await trio.to_thread.run_sync(act)
        await trio.lowlevel.checkpoint()
        return act()

    def _write_group(self, group: Sequence[Commit]) -> tuple[Batch, Grown | None]:
        batch = write_group(self.log, group, self._hooks.derive, self._now_ms())
        return batch, self._grown_by(batch) if batch.grew else None

    def _grown_by(self, batch: Batch) -> Grown | None:
        """What is new in the log; without reading it, where it is this batch and no more."""
        new = [(arrival, outcome.arrival) for arrival, outcome in zip(batch.arrivals, batch.outcomes, strict=True)]
        new = [(arrival, number) for arrival, number in new if number > self._woken_at]
        scopes = [fixed_scope(arrival.entry.document, arrival.entry.scope) for arrival, _ in new]
        with self.log.read_all() as reader:
            upto = reader.last_arrival()
        if upto - self._woken_at != len(new) or None in scopes:
            return self._grown()
        after, self._woken_at = self._woken_at, upto
        return Grown.by(
            after,
            upto,
            [
                New(arrival.entry, number, arrival.received_from, {scope}, feed_key(arrival.entry.feed_id))
                for (arrival, number), scope in zip(new, scopes, strict=True)
                if scope is not None
            ],
        )

    # --- receiving ---------------------------------------------------------------------------------------------------

    async def take_in(self, link: Link, items: list[EntriesReceived | CursorMoved]) -> bool:
        """Check what a session has received, append what passes, and acknowledge it; false if the session had to end."""
        return await intake.take_in(link, items, _Floor(self, link))

    async def check(self, entries: Sequence[Entry], received_from: Author) -> Checked:
        """``gossip.ingest.check`` on worker threads; many signatures are verified beside this process."""
        if not entries:
            return Checked((), (), ())
        verified = await self._verified_beside(entries) if len(entries) >= CHUNK_ENTRIES_MIN else None
        if verified is not None:
            judge = partial(check, entries, received_from, self._trust.record, self._schema, verified)
            return await self._in_turn(judge, len(entries))
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

    async def _verified_beside(self, entries: Sequence[Entry]) -> dict[Hash, bool] | None:
        """What the process for it says of the signatures of known authors; ``None`` without one."""
        if self._verifying is None:
            return None
        known = [(entry, record) for entry in entries if (record := self._trust.record(entry.author)) is not None]
        verdicts = await self._verifying.verify([(record.public_key, entry.signed) for entry, record in known])
        if verdicts is None:
            return None
        return {entry.hash: bool(verdict) for (entry, _), verdict in zip(known, verdicts, strict=True)}

    async def ask_certificates(self, link: Link, authors: Sequence[Author]) -> None:
        """Ask a peer for certificates, a bounded number at once, and keep those that prove themselves."""
        limiter = trio.CapacityLimiter(CERTIFICATES_AT_ONCE)
        async with trio.open_nursery() as nursery:
            for author in authors:
                nursery.start_soon(self._ask_certificate, link, author, limiter)

    async def _ask_certificate(self, link: Link, author: Author, limiter: trio.CapacityLimiter) -> None:
        async with limiter:
            shown = await link.ask(CERTIFICATE_TOPIC, author, CERTIFICATE_TIMEOUT_MS)
        if shown is None:
            return
        views = intake.learned(self._trust, shown)
        if isinstance(views, str):
            told = {"event": "bad_certificate", "peer": link.peer.name, "author": author.hex()}
            _log.warning("%s showed a bad certificate of %s: %s", link.peer.name, author.hex(), views, extra=told)
            return
        await self.commit(Commit((), (), views))

    async def commit(self, commit: Commit) -> Sequence[Appended] | None:
        """Have something written with the next group; ``None`` if the log could not take it."""
        waiting = _Commit(commit.arrivals, commit.cursors, commit.views)
        self._commits_in.send_nowait(waiting)
        await waiting.done.wait()
        return waiting.outcomes

    # --- sessions ----------------------------------------------------------------------------------------------------

    async def _accept(self, stream: TlsStream) -> None:
        if sum(link.peer.author == stream.peer.author for link in self._live) >= SESSIONS_OF_ONE_MAX:
            self._refused(stream.address, f"{stream.peer.name} has too many sessions already")
            bye = frames.encode(Bye(Reason.DUPLICATE, "you have too many sessions already"))
            with trio.move_on_after(BYE_TIMEOUT_S), contextlib.suppress(TransportError):
                await stream.send(bye)
            return
        await self._run_link(stream, dialled=False)

    def _refused(self, address: Address, reason: str) -> None:
        self._fairness.charge(address.host, HANDSHAKE_S, trio.current_time(), useful=False)
        said = self._refusals.another(address.host, reason, _ticks_ms())
        if said is None:
            return
        reason = said
        told = {"event": "connection_refused", "address": str(address), "reason": reason}
        _log.warning("refused a connection from %s: %s", address, reason, extra=told)

    def _charge_for(self, link: Link, ended: Ended) -> None:
        """Who breaks the rules, or goes before anything was shared, is not welcomed again and again at the others' cost."""
        rude = ended.reason in RUDE and not ended.by_peer
        if rude:
            self._fairness.charge(link.peer.author, RUDE_S, trio.current_time(), useful=False)
        if not link.dialled and (rude or not link.facts.shared):
            self._fairness.charge(link.stream.address.host, HANDSHAKE_S, trio.current_time(), useful=False)

    async def _run_link(self, stream: TlsStream, *, dialled: bool) -> Link:
        could = admission.offered(self._me, stream.peer, self._trust)
        said = self._dialling.choice.says(stream.peer, could)
        link = Link(
            stream,
            self._new_session(self.log, said, _ticks_ms(), self._in_flight),
            self,
            _ticks_ms,
            since_ms=self._now_ms(),
            dialled=dialled,
            fairness=self._fairness,
            backlog=self._backlog,
        )
        self._live[link] = could.scopes
        link.tap = self._tap
        try:
            await link.run()
        finally:
            del self._live[link]
            if link.facts.ended is not None:
                self._charge_for(link, link.facts.ended)
                self._hooks.ended(link.peer, link.facts.ended)
            self._came += link.session.came
            self._sent += link.session.entries_sent
            if self.links.get(link.peer.author) is link:
                del self.links[link.peer.author]
                self._changed.set()
                self._changed = trio.Event()
                ended = link.facts.ended
                reason = ended.reason.name if ended else "cancelled"
                told = {"event": "session_ended", "peer": link.peer.name, "reason": reason}
                told["why"] = ended.why if ended else ""
                _log.info("session with %s ended: %s", link.peer.name, reason, extra=told)
            elif link.facts.ended is not None and link.facts.ended.reason not in (Reason.LOST, Reason.DUPLICATE):
                ended = link.facts.ended
                reason = ended.why or ended.reason.name
                told = {"event": "session_refused", "peer": link.peer.name, "address": str(stream.address)}
                told["reason"] = ended.reason.name
                _log.warning("no session with %s at %s: %s", link.peer.name, stream.address, reason, extra=told)
        return link

    def decide(self, link: Link, said: PeerSaidHello) -> list[Event]:
        """Admit or refuse a peer that has said HELLO."""
        events = admission.decide(link, said, self.links, self._me, self._trust, _ticks_ms())
        if self.links.get(link.peer.author) is link:
            told = {"event": "session_began", "peer": link.peer.name, "dialled": link.dialled}
            told["address"] = str(link.stream.address)
            _log.info("session with %s at %s", link.peer.name, link.stream.address, extra=told)
        return events

    def hear(self, link: Link, event: Event) -> None:
        """Note what a session says."""
        if isinstance(event, Acknowledged):
            self._hooks.acknowledged(link.peer.author, event.heads)
        elif isinstance(event, Shared):
            self._hooks.shared(link)
        elif isinstance(event, CaughtUp):
            told = {"event": "caught_up", "peer": link.peer.name}
            _log.info("caught up with %s", link.peer.name, extra=told)
        self._changed.set()
        self._changed = trio.Event()

    async def answer(self, link: Link, question: Asked) -> None:
        """Answer a peer: certificates from what is known here, the rest by the layer above."""
        if question.topic == CERTIFICATE_TOPIC:
            answer = intake.shown_chain(self._trust, Author(question.content))
        else:
            answer = await self._hooks.asked(link.peer, question.topic, question.content)
        link.answer(question, answer)


@dataclass(frozen=True, slots=True)
class _Floor:
    """Implements ``intake.Floor`` for one link."""

    node: Node
    link: Link

    async def check(self, entries: Sequence[Entry], received_from: Author) -> Checked:
        return await self.node.check(entries, received_from)

    async def ask_certificates(self, authors: Sequence[Author]) -> None:
        await self.node.ask_certificates(self.link, authors)

    async def commit(self, commit: Commit) -> Sequence[Appended] | None:
        return await self.node.commit(commit)


def _ticks_ms() -> int:
    """Sessions' deadlines hold by this clock, which nobody sets."""
    return int(trio.current_time() * 1000)
