"""A running replica: its folder, log, node, discovery and local socket, put together.

``office run`` and ``till run`` are this file. A replica goes on through everything that is only weather: no network, no
multicast, a peer that misbehaves, a disk that is full for a while. It stops on SIGTERM with everything on disk.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import math
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Final, TypeVar

import trio

from crdt_pos import set_aside
from crdt_pos.admitting import TOPIC as JOIN
from crdt_pos.admitting import Admitting
from crdt_pos.clock import system_ms
from crdt_pos.disk_room import EVERY_S as DISK_EVERY_S
from crdt_pos.disk_room import DiskRoom
from crdt_pos.earlier_lives import EarlierLives
from crdt_pos.errors import FolderError, OutOfService
from crdt_pos.folder import Folder
from crdt_pos.guarding import Guarding
from crdt_pos.health import Health
from crdt_pos.keeping_run import Keeping
from crdt_pos.local import Command, Message, serve
from crdt_pos.local_commands import PeerStatus, ReplicaStatus, TillCommands
from crdt_pos.mending import Mending
from crdt_pos.neighbourhood import Neighbourhood
from crdt_pos.office_commands import OfficeCommands
from crdt_pos.people import People
from crdt_pos.prefetching import Prefetching
from crdt_pos.replica_core import Linked, ReplicaCore
from crdt_pos.restored import has_written
from crdt_pos.retiring import Retiring
from crdt_pos.rights import RightsQuestion
from crdt_pos.rules_broken import rule_broken
from crdt_pos.schema import SCHEMA
from crdt_pos.taking_back import Returning
from crdt_pos.till import Till
from crdt_pos.tracing import Tracing
from gossip.address import Address
from gossip.document import Scope
from gossip.entry import Entry, FeedId, Hash, Head
from gossip.errors import EntryLost, LogCorrupt, LogFull
from gossip.events import Ended
from gossip.intake import Batch
from gossip.link import Link
from gossip.log import Arrival, Reader
from gossip.node import Hooks, NewSession, Node, orderly_session
from gossip.reasons import Reason
from gossip.refusals import Refusals
from gossip.session import Me
from gossip.verifying import Verifying
from merge_rules import canonical
from merge_rules.lattice import Author
from peers.certificates import Certificate
from peers.permissions import Role
from peers.presence import TOPIC as PRESENCE

CHECKPOINT_S: Final = 60.0
PREFETCH_S: Final = 10.0
PREFETCH_BEHIND_S: Final = 1.0
"""Between two rounds while there is more to look at."""
ADDRESSES_TOPIC: Final = "addresses"
"""Whoever brings back what was lost asks around: where others were met."""
ADDRESSES_MAX: Final = 64

T = TypeVar("T")
_log = logging.getLogger("crdt_pos.replica")


class RunningReplica(ReplicaCore):
    """One replica of this process. Implements ``local_commands.Replica``."""

    def __init__(self, folder: Folder, new_session: NewSession = orderly_session) -> None:
        log = set_aside.open_log(folder)
        certificate = folder.certificate
        if log.copied and not has_written(log, certificate.author):
            log.adopt()  # a folder may be carried to its machine once: nobody has spoken in its name so far
        elif log.copied:
            log.close()
            afresh = "with 'crdt-pos office add'"
            if certificate.role is Role.TILL:
                afresh = "with 'crdt-pos till enrol', or, if no other copy is left, go on with 'crdt-pos till run --restored'"
            raise FolderError(
                f"{folder.path} is a copy of another folder of {folder.certificate.name}, and two with one key would contradict "
                f"each other: run the original, or give this machine a life of its own {afresh}."
            )
        gone: tuple[bytes, ...] = ()
        try:
            super().__init__(folder, log, system_ms)
        except LogCorrupt:
            gone = log.mend(certificate.author).views
            super().__init__(folder, log, system_ms)
        with contextlib.suppress(LogFull):
            self.trust.remember()
        self.returning: Returning | None = None
        if self.home is not None:
            self.returning = Returning(self, self.home, lambda: self.node, log)
        self.long_act = False
        """Whether an act that may take minutes has the writer's turn now."""
        self.listening: Address | None = None
        me = Me(folder.root.company, self.certificate.author, self.trust.readable(self.certificate))
        self.admitting = Admitting(self)
        hooks = Hooks(self.derive, self.appended, self._acknowledged, self.asked, self._shared, self.admitting.rung)
        hooks.ended = self._ended
        self._refused_by: dict[str, str] = {}
        """Who ended a session since this replica is revoked, and what it said."""
        self.put_apart_by_rule: Counter[str] = Counter()
        """Entries that came since the start and do not count, by the rule that they break."""
        self._accusations = Refusals()
        self.disk_room = DiskRoom(folder)
        self.prefetching = Prefetching(self)
        many_send = folder.certificate.role in (Role.OFFICE, Role.RELAY) and (os.cpu_count() or 1) > 1
        verifying = Verifying() if many_send else None
        contexts = folder.tls_contexts()
        self.node = Node(self.log, me, contexts, SCHEMA, self.trust, system_ms, hooks, new_session, verifying)
        self._to_prove_in, self._to_prove_out = trio.open_memory_channel[list[tuple[Entry, Hash]]](math.inf)
        self.neighbourhood = Neighbourhood(folder, self.node, self.trust)
        self.earlier_lives: EarlierLives | None = None
        self.guarding: Guarding | None = None
        self._commands: Mapping[str, Command]
        if self.till is not None:
            self.earlier_lives = EarlierLives(self, self.till, self.node)
            assert self.outside is not None  # a till has a store
            self.guarding = Guarding(self, self.outside, self.node)
            tilled = TillCommands(self.till, self.identity(), self.products, self, self.now, self.terms)
            self._commands = tilled.commands()
        else:
            self._commands = OfficeCommands(self).commands()
        self.people = People(self)
        self.mending = Mending(self)
        if gone:
            self.mending.derive(gone)
        self.retiring = Retiring(self)
        own = {**self.retiring.commands(), **self.people.commands()}
        self.health = Health(self)
        looks = {**self.health.commands(), **Tracing(self).commands(), "connections": self._connections}
        everywhere = {**self.mending.commands(), **looks}
        # A relay signs nothing, so nobody can ask it to.
        self._commands = everywhere if certificate.role is Role.RELAY else {**self._commands, **own, **everywhere}

    # --- running -----------------------------------------------------------------------------------------------------

    async def run(self, task_status: trio.TaskStatus[Address] = trio.TASK_STATUS_IGNORED) -> None:
        """Run until cancelled. ``started`` returns the address in use, once sessions and the local socket are open.

        Whoever reads what the disk has damaged ends everything that runs here; it is mended, and all begins again.
        Raises ``CannotListen``, ``LogError``, and ``AlreadyServed`` if another process answers on the folder's socket.
        """
        while True:
            damage: BaseExceptionGroup[LogCorrupt] | None = None
            before = self.mending.damaged
            try:
                await self._run(task_status)
            except* LogCorrupt as found:
                damage = found
            if damage is None:
                return
            await trio.to_thread.run_sync(self.mending.mend_now)
            rows = self.mending.damaged - before  # the scrub may have been faster
            if not rows:
                raise damage
            name, told = self.certificate.name, {"event": "begins_again", "rows": rows}
            _log.warning("%s begins again: %s of its log were damaged", name, rows, extra=told)
            task_status = trio.TASK_STATUS_IGNORED

    async def _run(self, task_status: trio.TaskStatus[Address]) -> None:
        settings = self.folder.settings
        try:
            async with trio.open_nursery() as nursery:
                self.listening = await nursery.start(self.node.run, self.listening or settings.listen)
                assert self.listening is not None  # it was told to listen
                await nursery.start(serve, self.folder.path, self._commands)
                for address in settings.peers:
                    self.node.want(address)
                nursery.start_soon(self._prove_forks)
                nursery.start_soon(self.people.run)
                nursery.start_soon(self.mending.run)
                if self.certificate.role is Role.OFFICE:
                    nursery.start_soon(Keeping(self).run)
                nursery.start_soon(self._watch_disk)
                if self.returning is not None:
                    nursery.start_soon(self.returning.run)
                if self.earlier_lives is not None:
                    nursery.start_soon(self.earlier_lives.run)
                if self.guarding is not None:
                    nursery.start_soon(self.guarding.run)
                if self.till is not None:
                    nursery.start_soon(self._checkpoints, self.till)
                    nursery.start_soon(self._prefetch)
                nursery.start_soon(self.neighbourhood.run, self.listening)
                task_status.started(self.listening)
                told = {"event": "runs", "address": str(self.listening)}
                _log.info("%s runs at %s", self.certificate.name, self.listening, extra=told)
        finally:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(self._save)

    def close(self) -> None:
        """Let go of the log."""
        self.log.close()

    def _save(self) -> None:
        views = self.safety.unsaved()
        if self.outside is not None:
            views += self.outside.unsaved()
        if views:
            with contextlib.suppress(LogFull):
                self.log.append([], views)
                self.safety.saved()

    async def _checkpoints(self, till: Till) -> None:
        while True:
            await trio.sleep(CHECKPOINT_S)
            if self.may_act():
                live = self.folder.settings.wan == "live"
                await self._wrote(till.publish if live else till.publish_morning)
            await self._wrote(self._save)

    async def _prefetch(self) -> None:
        while True:
            more = True
            with contextlib.suppress(LogFull):
                more = await self.prefetching.round()
            await trio.sleep(PREFETCH_BEHIND_S if more else PREFETCH_S)

    async def part_with_rights(self) -> int:
        """Grant every right to points and cards to whoever is here and goes on; how many there were to give."""
        with contextlib.suppress(LogFull):
            return await self.prefetching.part()
        return 0

    async def _prove_forks(self) -> None:
        pairs: list[tuple[Entry, Hash]] = []  # what came before this start is judged first
        while True:
            pause_s = CHECKPOINT_S
            with contextlib.suppress(LogFull):
                if self.may_act():
                    await self.settle_forks(pairs)
                    pairs = []
                    # Whom nobody knows now, a neighbour may know soon.
                    again_ms = self.asking.again_ms(self.system_ms())
                    pause_s = math.inf if again_ms is None else again_ms / 1000
            with trio.move_on_after(pause_s):
                pairs = [*pairs, *await self._to_prove_out.receive()]

    def _acknowledged(self, peer: Author, heads: Sequence[tuple[FeedId, Head]]) -> None:
        self.safety.acknowledged(peer, heads)
        self.retiring.acknowledged(heads)
        link = self.node.links.get(peer)
        if self.outside is not None and link is not None:
            self.outside.acknowledged(link.peer, heads)
        if self.returning is not None and any(feed.author == self.certificate.author for feed, _ in heads):
            self.returning.met()

    def _shared(self, link: Link) -> None:
        self._refused_by.pop(link.peer.name, None)
        if self.returning is not None:
            self.returning.shared(link)

    def appended(self, batch: Batch) -> None:
        super().appended(batch)
        self.people.appended(batch)
        if self.earlier_lives is not None:
            self.earlier_lives.appended(batch)

    def put_apart(self, arrivals: Sequence[Arrival]) -> None:
        for arrival in arrivals:
            assert arrival.quarantine is not None
            rule = rule_broken(arrival.quarantine)
            self.put_apart_by_rule[rule] += 1
            self._accuse({"event": "quarantined", "rule": rule}, arrival.entry, arrival.quarantine)

    def contradicted(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self._accuse(
                {"event": "fork_found", "rule": "fork"}, entry, "another entry that it signed contradicts this one"
            )

    def _accuse(self, told: dict[str, str], entry: Entry, why: str) -> None:
        """One line for each author and rule once in a while, however often it does so."""
        known = self.trust.directory.certificate(entry.author)
        author = entry.author.hex() if known is None else known.name
        said = self._accusations.another(author, told["rule"], int(trio.current_time() * 1000))
        if said is None:
            return
        told |= {"author": author, "document": str(entry.document), "hash": entry.hash.hex()}
        _log.warning("%s: entry %s of %s in %s: %s", said, entry.seq, author, entry.document, why, extra=told)

    async def _watch_disk(self) -> None:
        while True:
            await trio.to_thread.run_sync(self.disk_room.look)
            await trio.sleep(DISK_EVERY_S)

    def came_back(self) -> None:
        super().came_back()
        if self.returning is not None:
            self.returning.noticed()

    async def _wrote(self, act: Callable[[], object]) -> bool:
        """Run an act of which nobody waits for the outcome; whether there was room for it on the disk."""
        try:
            await self.node.write(act)
        except LogFull:
            return False
        return True

    # --- rights ------------------------------------------------------------------------------------------------------

    def may_act(self) -> bool:
        return not self.retiring.retired and super().may_act()

    async def borrow(self, account: bytes, amount: int, deadline_ms: int, programme: str = "") -> None:
        """Ask peers, most rights first, until ``amount`` is granted and here, or the deadline has passed."""
        programme = programme or self.terms().programme.name
        me = self.certificate.author
        with trio.move_on_after(deadline_ms / 1000):
            if self.till is not None:
                await self.act(partial(self.till.welcome, account))
            before = await self.look(lambda reader: self.rights(reader, programme, account))
            question = RightsQuestion(programme, account, amount, me)
            granted = await self.ask_around(question, (), deadline_ms)
            change = self.node.change
            while await self.look(lambda reader: self.rights(reader, programme, account)) < before + granted:
                await change.wait()
                change = self.node.change

    async def write(self, act: Callable[[], T]) -> T:
        return await self.node.write(act)

    async def write_at_length(self, act: Callable[[], T]) -> T:
        """``write`` for what may take minutes with a large log: nobody takes it for a writer that hangs."""

        def at_length() -> T:
            self.long_act = True
            try:
                return act()
            finally:
                self.long_act = False

        return await self.node.write(at_length)

    def linked(self) -> Mapping[Author, Linked]:
        return self.node.links

    def towards_office(self) -> Collection[Author]:
        return self.neighbourhood.towards_office()

    async def asked(self, peer: Certificate, topic: str, content: bytes) -> bytes | None:
        if topic == PRESENCE:
            return self.neighbourhood.hear(peer, content)
        if topic == ADDRESSES_TOPIC:
            return canonical.encode([str(address) for address in self.node.reached()[:ADDRESSES_MAX]])
        if topic == JOIN:
            return await self.admitting.asked(peer, content)
        return await super().asked(peer, topic, content)

    def may_read(self, scopes: frozenset[Scope]) -> None:
        self.node.may_read(scopes)

    def prove_soon(self, pairs: list[tuple[Entry, Hash]]) -> None:
        self._to_prove_in.send_nowait(pairs)

    # --- for the local socket ----------------------------------------------------------------------------------------

    async def act(self, act: Callable[[], T]) -> T:
        """Run an act that may append, off the event loop, one at a time.

        Raises ``TakingBack``, ``HandingOver``, ``OutOfService``.
        """
        if why := self.revoked() or self.retiring.retired:
            raise OutOfService(why)
        act = partial(self.retiring.unless_ending, act)
        if self.returning is None:
            return await self._whole(partial(self.node.write, act))
        await self.returning.may_act()
        return await self._whole(partial(self.node.write, partial(self.returning.unless_set_back, act)))

    async def state(self, act: Callable[[], T]) -> T:
        """Run an act that may write in the roster, and let the sessions follow from it."""
        result = await self.node.write(act)
        self.roster_changed()
        self.prove_soon([])
        return result

    async def look(self, read: Callable[[Reader], T]) -> T:
        """Run a read on a snapshot, off the event loop."""

        def looked() -> T:
            with self.log.read() as reader:
                return read(reader)

        return await self._whole(partial(trio.to_thread.run_sync, looked))

    async def _whole(self, run: Callable[[], Awaitable[T]]) -> T:
        """What needs the log: if it meets what the disk has damaged, that is mended, and it runs once more."""
        try:
            return await run()
        except EntryLost:
            raise
        except LogCorrupt:
            await self.mending.now()
            return await run()

    def after_commit(self) -> None:
        """Something was written: wake the sessions."""
        self.node.wake()

    def status(self) -> ReplicaStatus:
        """Peers, and what is safe elsewhere."""
        copies, waiting = self.safety.count()
        peers = tuple(
            PeerStatus(link.peer.name, str(link.peer.role), not link.session.ended, link.facts.since_ms)
            for link in self.node.links.values()
        )
        if self.guarding is None:
            return ReplicaStatus(peers, copies, waiting, self._in_trouble())
        safe, bound_s = self.guarding.safe(), self.guarding.bound_s
        return ReplicaStatus(peers, copies, waiting, self._in_trouble(), safe, bound_s)

    async def _connections(self, _request: Message) -> Message:
        return self.connections()

    def schedule(self) -> dict[str, object]:
        """What this replica does by itself, and when: whom it dials, how often it publishes, seals and looks for damage."""
        return {
            "dials": self.node.dials(),
            "checkpoint_s": int(CHECKPOINT_S),
            "prefetch_s": int(PREFETCH_S),
            "wan": self.folder.settings.wan,
            "vault_every_s": None if self.guarding is None else self.guarding.bound_s,
            "scrub": self.mending.facts(),
        }

    def connections(self) -> dict[str, object]:
        """Where this replica listens, every session with its bytes (TLS records included), and what does not work."""
        with self.log.read_all() as reader:
            last = reader.last_arrival()
        return {
            "listening": str(self.listening),
            "arrivals": last,
            "sessions": [
                {
                    "peer": link.peer.name,
                    "author": link.peer.author.hex(),
                    "role": str(link.peer.role),
                    "address": str(link.stream.address),
                    "dialled": link.dialled,
                    "state": link.session.state.value,
                    "scopes": sorted(link.session.shared),
                    "since_ms": link.facts.since_ms,
                    "caught_up": link.facts.caught_up,
                    "bytes_sent": link.stream.bytes_sent,
                    "bytes_received": link.stream.bytes_received,
                    "messages_sent": link.session.messages_sent,
                    "messages_received": link.session.messages_received,
                    "entries_received": link.facts.entries_received,
                    "entries_acknowledged": link.facts.entries_acknowledged,
                    "waiting_in": link.waiting,
                    "waiting_out_bytes": link.session.unsent_bytes,
                    **dataclasses.asdict(link.session.lag(last)),
                }
                for link in self.node.links.values()
            ],
            "unreachable": self.node.troubles(),
            "entries_came": self.node.came(),
            "commits_waiting_max": self.node.commits_waiting_max,
            "schedule": self.schedule(),
            "trouble": self._in_trouble(),
            "scrub": self.mending.facts(),
            **self.neighbourhood.facts(),
        }

    def _in_trouble(self) -> str:
        returning = self.returning.trouble if self.returning else ""
        return (
            self.revoked()
            or self.retiring.retired
            or self.node.trouble
            or returning
            or self._refused()
            or self.mending.trouble
            or self.neighbourhood.trouble
        )

    def _ended(self, peer: Certificate, ended: Ended) -> None:
        """A session is over."""
        if ended.by_peer and ended.reason is Reason.REVOKED:
            self._refused_by[peer.name] = ended.why
        elif ended.by_peer:
            self._refused_by.pop(peer.name, None)

    def _refused(self) -> str:
        """That others keep this replica out: what they say, since what proves it may never come here."""
        for name, why in sorted(self._refused_by.items()):
            return f"{name} keeps this {self.certificate.role} out: {why or 'it was revoked'}. Ask head office."
        return ""

    def stop_sessions(self) -> None:
        """Say goodbye to every peer."""
        self.node.end_sessions(Reason.DONE, "the replica stops")
