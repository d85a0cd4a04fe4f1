"""A running replica: its folder, log, node, discovery and local socket, put together.

``office run`` and ``till run`` are this file. A replica goes on through everything that is only weather: no network, no
multicast, a peer that misbehaves, a disk that is full for a while. It stops on SIGTERM with everything on disk.
"""

from __future__ import annotations

import contextlib
import datetime
import logging
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Final, TypeVar

import trio

from crdt_pos import catalogue_views, journal, variances
from crdt_pos.balance import Balance
from crdt_pos.catalogue_views import CatalogueProducts
from crdt_pos.clock import store_clock, system_ms
from crdt_pos.directory import is_roster, numbered_as
from crdt_pos.errors import FolderError
from crdt_pos.folder import Folder
from crdt_pos.forks import prove
from crdt_pos.identity import Identity
from crdt_pos.local import Command, Message, serve
from crdt_pos.local_commands import PeerStatus, ReplicaStatus, TillCommands
from crdt_pos.loyalty import Programme
from crdt_pos.money import Currency
from crdt_pos.office_commands import OfficeCommands
from crdt_pos.rights import TOPIC, RightsQuestion, decode_granted, donors, encode_granted
from crdt_pos.safety import Safety
from crdt_pos.schema import CATALOGUE, CLAIMS, SCHEMA
from crdt_pos.terms import Terms
from crdt_pos.till import Till
from crdt_pos.trust import RosterTrust
from gossip.entry import Entry, FeedId, Hash
from gossip.errors import LogFull
from gossip.intake import Batch, Derived
from gossip.log import Arrival, Outcome, Reader
from gossip.log_lmdb import LmdbLog
from gossip.node import Hooks, NewSession, Node, orderly_session
from gossip.reasons import Reason
from gossip.session import VERSION_MAX, Me
from gossip.tls import Address
from merge_rules.lattice import Author
from peers.certificates import Certificate
from peers.discovery import Discovery, PeerAddress, local_addresses
from peers.errors import DiscoveryUnavailable
from peers.permissions import Role
from peers.roster import StoreRecord

CHECKPOINT_S: Final = 60.0
RIGHTS_TIMEOUT_MS: Final = 1_000
HEARS_ITSELF_S: Final = 5.0
DISCOVERY_RETRY_S: Final = 15.0
"""A till may be switched on before its network is."""
PATIENCE_S: Final = 1.5
"""How long the one of two neighbours with the larger id lets the other dial first, so that the two do not cross."""

T = TypeVar("T")
_log = logging.getLogger("crdt_pos.replica")


class RunningReplica:
    """One replica of this process. Implements ``local_commands.Replica``."""

    def __init__(self, folder: Folder, new_session: NewSession = orderly_session) -> None:
        self.folder = folder
        self.certificate = folder.certificate
        self.log = LmdbLog.open(folder.log_path, SCHEMA, folder.root.company)
        if self.log.copied and not self._has_written():
            self.log.adopt()  # a folder may be carried to its machine once: nobody has spoken in its name so far
        elif self.log.copied:
            self.log.close()
            afresh = "crdt-pos office add" if self.certificate.role is Role.OFFICE else "crdt-pos till enrol"
            raise FolderError(
                f"{folder.path} is a copy of another folder of {folder.certificate.name}, and two with one key would contradict "
                f"each other: run the original, or give this machine a life of its own with '{afresh}'."
            )
        self.trust = RosterTrust(folder, self.log)
        self.safety = Safety(self.log, self.certificate.author)
        self.now = store_clock(self._time_zone)
        self.listening: Address | None = None
        self.trouble = ""
        """What does not work and is no reason to stop, in a sentence."""
        me = Me(folder.root.company, self.certificate.author, self.trust.readable(self.certificate))
        hooks = Hooks(self._derive, self._appended, self.safety.acknowledged, self._asked)
        self.node = Node(self.log, me, folder.tls_contexts(), SCHEMA, self.trust, system_ms, hooks, new_session)
        self._to_prove_in, self._to_prove_out = trio.open_memory_channel[list[tuple[Entry, Hash]]](math.inf)
        self._found: dict[Author, list[Address]] = {}
        self.till: Till | None = None
        self._commands: Mapping[str, Command]
        if self.certificate.role is Role.TILL:
            products = CatalogueProducts(self.terms().currency.code, self.certificate.store)
            identity = self._identity()
            self.till = Till(self.log, identity, self.now, products=products, terms=self.terms)
            till_commands = TillCommands(self.till, identity, products, self, self.now, self.terms).commands()
            self._commands = till_commands | {"connections": self._connections}
        else:
            self._commands = OfficeCommands(self).commands()

    def _has_written(self) -> bool:
        """Whether there is any entry of this replica's own in its log."""
        with self.log.read() as reader:
            return any(reader.heads(FeedId(one, self.certificate.author)) for one in reader.documents())

    # --- running -----------------------------------------------------------------------------------------------------

    async def run(self, task_status: trio.TaskStatus[Address] = trio.TASK_STATUS_IGNORED) -> None:
        """Run until cancelled. ``started`` returns the address in use, once sessions and the local socket are open.

        Raises ``CannotListen``, and ``AlreadyServed`` if another process answers on the folder's socket.
        """
        settings = self.folder.settings
        try:
            async with trio.open_nursery() as nursery:
                self.listening = await nursery.start(self.node.run, settings.listen)
                assert self.listening is not None  # it was told to listen
                await nursery.start(serve, self.folder.path, self._commands)
                for address in settings.peers:
                    self.node.want(address)
                nursery.start_soon(self._prove_forks)
                if self.till is not None:
                    nursery.start_soon(self._checkpoints, self.till)
                if settings.multicast:
                    nursery.start_soon(self._discover, self.listening)
                task_status.started(self.listening)
                _log.info("%s runs at %s", self.certificate.name, self.listening)
        finally:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(self._save)

    def close(self) -> None:
        """Let go of the log."""
        self.log.close()

    def _save(self) -> None:
        views = self.safety.unsaved()
        if views:
            with contextlib.suppress(LogFull):
                self.log.append([], views)
                self.safety.saved()

    async def _checkpoints(self, till: Till) -> None:
        while True:
            await trio.sleep(CHECKPOINT_S)
            if self.folder.settings.wan == "live":
                await self._wrote(till.publish)
            await self._wrote(self._save)

    async def _discover(self, listening: Address) -> None:
        """Find neighbours by multicast. Where that is blocked, say so and go on with the addresses in the settings."""
        token = trio.lowlevel.current_trio_token()
        said = self.folder.settings.listen.host
        everywhere = said in ("", "0.0.0.0")  # noqa: S104  compared, not listened on
        hosts = (self.folder.settings.interfaces or local_addresses()) if everywhere else (said,)
        certificate = self.certificate
        me = PeerAddress(
            certificate.company,
            certificate.name,
            certificate.store,
            certificate.author,
            VERSION_MAX,
            hosts,
            listening.port,
        )

        def tell(hear: Callable[[T], None], what: T) -> None:
            with contextlib.suppress(trio.RunFinishedError):
                token.run_sync_soon(hear, what)

        announce = partial(
            Discovery, me, partial(tell, self._on_found), partial(tell, self._on_gone), self.folder.settings.interfaces
        )
        while True:
            try:
                discovery = await trio.to_thread.run_sync(announce)
                break
            except DiscoveryUnavailable as error:
                self._say_trouble(str(error))
                await trio.sleep(DISCOVERY_RETRY_S)
        self.trouble = ""
        try:
            if not await trio.to_thread.run_sync(discovery.hears_itself, HEARS_ITSELF_S, abandon_on_cancel=True):
                self._say_trouble("Multicast seems to be blocked on this network: name the peers in replica.toml.")
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(discovery.close)

    def _say_trouble(self, trouble: str) -> None:
        if trouble != self.trouble:
            _log.warning("%s", trouble)
        self.trouble = trouble

    def _on_found(self, peer: PeerAddress) -> None:
        neighbour = self.certificate.store is not None and peer.store == self.certificate.store
        if neighbour or (peer.name.startswith("office-") and self.certificate.role is not Role.OFFICE):
            patience_s = PATIENCE_S if neighbour and self.certificate.author > peer.author else 0.0
            addresses = [Address(host, peer.port) for host in peer.hosts]
            before = self._found.get(peer.author, [])
            self._found[peer.author] = addresses
            self._lose(before)
            for address in addresses:
                self.node.want(address, peer.author, patience_s)

    def _on_gone(self, author: Author) -> None:
        self._lose(self._found.pop(author, []))

    def _lose(self, addresses: Iterable[Address]) -> None:
        """Stop dialling where nobody is said to be any more; addresses in the settings are dialled whatever is said."""
        said = {address for found in self._found.values() for address in found}
        for address in set(addresses) - said - set(self.folder.settings.peers):
            self.node.unwant(address)

    # --- what the roster says ----------------------------------------------------------------------------------------

    def _store_record(self) -> StoreRecord | None:
        store = self.certificate.store
        today = datetime.datetime.fromtimestamp(system_ms() / 1000, datetime.UTC).date()
        return None if store is None else self.trust.directory.store(store, today)

    def _time_zone(self) -> str:
        record = self._store_record()
        return "UTC" if record is None else record.time_zone

    def terms(self) -> Terms:
        """On what terms the store sells now."""
        record = self._store_record()
        if record is None:
            return Terms()
        points = self.trust.directory.programme("points", record.valid_from)
        return Terms(
            record.legal_entity,
            Currency(record.currency, record.exponent),
            record.cash_step_minor,
            not record.prices_without_tax,
            Programme() if points is None else Programme("points", points.points_per_unit, points.minor_per_point),
        )

    def _identity(self) -> Identity:
        certificate = self.certificate
        assert certificate.store is not None
        assert certificate.till is not None
        return Identity(
            self.folder.key,
            certificate.author,
            certificate.store,
            certificate.till,
            certificate.incarnation,
            certificate.company,
        )

    # --- what follows from received entries --------------------------------------------------------------------------

    def _derive(self, reader: Reader, arrivals: Sequence[Arrival]) -> Derived:
        views = self.safety.unsaved() + journal.derive(reader, arrivals, partial(numbered_as, self.trust.directory))
        goods = [arrival for arrival in arrivals if arrival.entry.document.kind in (CATALOGUE, CLAIMS)]
        if not goods:
            return Derived(views)
        views += catalogue_views.derive(reader, goods)
        if self.till is None:
            return Derived(views)
        now_ms = system_ms()
        currency = self.terms().currency.code
        own = variances.derive(reader, goods, self._identity(), currency, now_ms, now_ms << 16)
        return Derived(views, own)

    def _appended(self, batch: Batch) -> None:
        counting = [
            (arrival, outcome)
            for arrival, outcome in zip(batch.arrivals, batch.outcomes, strict=True)
            if arrival.quarantine is None
        ]
        if counting:
            self.safety.saved()
        new = [arrival for arrival, outcome in counting if outcome.outcome in (Outcome.NEW, Outcome.FORK)]
        if any(is_roster(arrival.entry.document) for arrival in new):
            self._roster_changed()
        forks = [
            (arrival.entry, outcome.rival)
            for arrival, outcome in counting
            if outcome.outcome is Outcome.FORK and outcome.rival is not None
        ]
        if forks:
            self._to_prove_in.send_nowait(forks)

    def _roster_changed(self) -> None:
        self.trust.reload()
        for link in list(self.node.links.values()):
            objection = self.trust.objection(link.peer)
            if objection is not None:
                link.end(objection)
        self.node.may_read(self.trust.readable(self.certificate))

    async def _prove_forks(self) -> None:
        async for pairs in self._to_prove_out:
            while not await self._wrote(partial(self._append_proofs, pairs)):
                await trio.sleep(CHECKPOINT_S)

    async def _wrote(self, act: Callable[[], object]) -> bool:
        """Run an act of which nobody waits for the outcome; whether there was room for it on the disk."""
        try:
            await self.node.write(act)
        except LogFull:
            return False
        return True

    def _append_proofs(self, pairs: list[tuple[Entry, Hash]]) -> None:
        now_ms = system_ms()
        with self.log.read() as reader:
            proofs = prove(reader, self.folder.key, self.certificate.author, pairs, now_ms << 16)
        if proofs:
            self.log.append(proofs, received_ms=now_ms)

    # --- rights ------------------------------------------------------------------------------------------------------

    async def _asked(self, peer: Certificate, topic: str, content: bytes) -> bytes | None:
        question = RightsQuestion.decode(content) if topic == TOPIC else None
        if question is None:
            return None
        by_office = peer.role is Role.OFFICE
        # Nobody but the peer itself or a head office that passes the question on may say who takes.
        if peer.author != question.taker and not by_office:
            return None
        if self.till is not None:
            grant = partial(self.till.grant, question.account, question.taker, question.amount, question.programme)
            try:
                return encode_granted(await self.node.write(grant))
            except LogFull:
                return None
        # Offices that asked one another would send a question round for ever.
        without = {author for author, link in self.node.links.items() if by_office and link.peer.role is Role.OFFICE}
        return encode_granted(await self._ask_around(question, without | {peer.author}, RIGHTS_TIMEOUT_MS))

    async def borrow(self, account: bytes, amount: int, deadline_ms: int, programme: str = "") -> None:
        """Ask peers, most rights first, until ``amount`` is granted and here, or the deadline has passed."""
        programme = programme or self.terms().programme.name
        me = self.certificate.author
        with trio.move_on_after(deadline_ms / 1000):
            if self.till is not None:
                await self.node.write(partial(self.till.welcome, account))
            before = await self.look(lambda reader: self._rights(reader, programme, account))
            question = RightsQuestion(programme, account, amount, me)
            granted = await self._ask_around(question, (), deadline_ms)
            change = self.node.change
            while await self.look(lambda reader: self._rights(reader, programme, account)) < before + granted:
                await change.wait()
                change = self.node.change

    def _rights(self, reader: Reader, programme: str, account: bytes) -> int:
        return Balance.read(reader, programme, account).redeemable(self.certificate.author).here

    async def _ask_around(self, question: RightsQuestion, without: Collection[Author], timeout_ms: int) -> int:
        links = {author: link for author, link in self.node.links.items() if author not in without}
        holders = await self.look(lambda reader: donors(reader, question.programme, question.account, links))
        offices = [author for author, link in links.items() if link.peer.role is Role.OFFICE and author not in holders]
        granted = 0
        for author in [*holders, *offices]:
            if granted >= question.amount:
                break
            rest = RightsQuestion(question.programme, question.account, question.amount - granted, question.taker)
            granted += decode_granted(await links[author].ask(TOPIC, rest.encode(), timeout_ms))
        return min(granted, question.amount)

    # --- for the local socket ----------------------------------------------------------------------------------------

    async def act(self, act: Callable[[], T]) -> T:
        """Run an act that may append, off the event loop, one at a time."""
        return await self.node.write(act)

    async def state(self, act: Callable[[], T]) -> T:
        """Run an act that may write in the roster, and let the sessions follow from it."""
        result = await self.node.write(act)
        self._roster_changed()
        return result

    async def look(self, read: Callable[[Reader], T]) -> T:
        """Run a read on a snapshot, off the event loop."""

        def looked() -> T:
            with self.log.read() as reader:
                return read(reader)

        return await trio.to_thread.run_sync(looked)

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
        return ReplicaStatus(peers, copies, waiting)

    async def _connections(self, _request: Message) -> Message:
        return self.connections()

    def connections(self) -> dict[str, object]:
        """Where this replica listens, every session with its bytes (TLS records included), and what does not work."""
        return {
            "listening": str(self.listening),
            "sessions": [
                {
                    "peer": link.peer.name,
                    "role": str(link.peer.role),
                    "since_ms": link.facts.since_ms,
                    "caught_up": link.facts.caught_up,
                    "bytes_sent": link.stream.bytes_sent,
                    "bytes_received": link.stream.bytes_received,
                    "messages_sent": link.session.messages_sent,
                    "messages_received": link.session.messages_received,
                    "entries_received": link.facts.entries_received,
                    "entries_acknowledged": link.facts.entries_acknowledged,
                }
                for link in self.node.links.values()
            ],
            "unreachable": self.node.troubles(),
            "trouble": self.node.trouble or self.trouble,
        }

    def stop_sessions(self) -> None:
        """Say goodbye to every peer."""
        self.node.end_sessions(Reason.DONE, "the replica stops")
