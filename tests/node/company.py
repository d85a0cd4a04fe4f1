"""A company of running replicas in one process: real folders, logs on the disk, TLS over loopback sockets, no multicast.

A test waits for what it expects with a deadline; nothing is timed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio

from crdt_pos import enrolment
from crdt_pos.clock import system_ms
from crdt_pos.company_keys import CompanyKeys
from crdt_pos.directory import COMPANY_ROSTER, roster_state
from crdt_pos.folder import Folder, Settings
from crdt_pos.replica import RunningReplica
from crdt_pos.schema import SCHEMA
from crdt_pos.trust import RosterTrust
from gossip import frames, tls
from gossip.address import Address
from gossip.document import Document, FeedType, ScopeClass
from gossip.entry import Entry, FeedId, Hash, Head, sign
from gossip.errors import TransportError
from gossip.events import Acknowledged, Answered, Asked, Ended, EntriesReceived, Event, PeerSaidHello, Shared
from gossip.intake import Batch
from gossip.link import Link
from gossip.log import Arrival, Log, Reader
from gossip.log_lmdb import LmdbLog
from gossip.log_memory import MemoryLog
from gossip.messages import Ask, Hello
from gossip.node import Hooks, Node
from gossip.own_feed import OwnFeed
from gossip.schema import KeyType, Kind
from gossip.session import Me, Session
from merge_rules.lattice import Author
from merge_rules.log_append import LogAppend
from peers.permissions import Permission, Role
from peers.roster import Record, StoreRecord, element

LOOPBACK = Address("127.0.0.1", 0)
PATIENCE_S = 15.0
NOTE = Kind(
    "note",
    FeedType.WHOLE,
    ScopeClass.COMPANY,
    LogAppend,
    Permission(frozenset(Role), own_store=False),
    (KeyType.NUMBER,),
    dated=False,
    retention_days=None,
)
"""A kind that no replica knows: stored and passed on to everybody."""
BOARD = Document("note", keys=(1,))


def settings(*peers: Address) -> Settings:
    return Settings(LOOPBACK, peers, multicast=False)


@dataclass
class Company:
    """Folders; nothing runs."""

    at: Path
    office: Folder
    keys: CompanyKeys
    tills: dict[str, Folder] = field(default_factory=dict[str, Folder])

    @classmethod
    def found(cls, at: Path, *tills: str) -> Company:
        """Office a, and these tills in stores 12 and 13."""
        keys = CompanyKeys.generate()
        office = enrolment.create_company("Corner Shops", at / "office-a", settings(), system_ms(), keys)
        company = cls(at, office, keys)
        for store in sorted({int(name.partition("-")[0]) for name in tills}):
            company.add_store(store)
        for name in tills:
            company.enrol(name)
        return company

    def add_store(self, store: int) -> None:
        enrolment.add_store(self.office, StoreRecord(store, legal_entity="Corner Shops Ltd"), system_ms())

    def enrol(self, name: str) -> Folder:
        store, till = map(int, name.split("-"))
        folder = enrolment.enrol_till(self.office, store, till, self.at / name, settings(), system_ms())
        self.tills[name] = folder
        return folder

    def add_office(self) -> Folder:
        return enrolment.add_office(self.office, self.at / "office-b", settings(), system_ms(), self.keys.root)

    def state(self, *records: Record) -> None:
        """Let office a, which is not running, write these into the company's roster, in one entry each."""
        log = LmdbLog.open(self.office.log_path, SCHEMA, self.office.root.company)
        try:
            with log.read() as reader:
                roster = roster_state(reader, COMPANY_ROSTER)
            bodies = [roster.add_body(element(record)) for record in records]
            log.append(signed(log, self.office, COMPANY_ROSTER, SCHEMA["roster"], *bodies))
        finally:
            log.close()


def signed(log: Log, folder: Folder, document: Document, kind: Kind, *bodies: object) -> list[Arrival]:
    with log.read() as reader:
        feed = OwnFeed.read(reader, folder.key, folder.certificate.author, document, kind)
    return feed.arrivals(bodies, 1)


def first_note(folder: Folder, text: str, number: int = 1) -> Entry:
    """The first entry of a replica's feed on a board, as it would sign it itself."""
    board = Document("note", keys=(number,))
    return sign(folder.key, folder.certificate.author, board, NOTE.feed, NOTE.scope, 1, 1, text, None)


async def until(replica: RunningReplica | Node, condition: Callable[[], bool]) -> None:
    """Wait for a condition that a replica's log or sessions make true."""
    node = replica.node if isinstance(replica, RunningReplica) else replica
    with trio.fail_after(PATIENCE_S):
        while True:
            change = node.change
            if condition():
                return
            with trio.move_on_after(0.1):  # some conditions depend on more than this replica
                await change.wait()


def holds(replica: RunningReplica, entry: Entry) -> bool:
    with replica.log.read() as reader:
        return reader.find(entry.hash) is not None


def notes(log: Log) -> set[object]:
    """What stands on the board."""
    with log.read() as reader:
        return {
            stored.entry.body for author in reader.authors(BOARD) for stored in reader.entries(FeedId(BOARD, author))
        }


async def note(replica: RunningReplica, *texts: str) -> None:
    """Write on the board."""

    def write() -> None:
        replica.log.append(signed(replica.log, replica.folder, BOARD, NOTE, *texts))

    await replica.node.write(write)


@asynccontextmanager
async def running(*folders: Folder) -> AsyncIterator[list[RunningReplica]]:
    """Run replicas until the block is left. Nobody dials anybody yet."""
    replicas = [RunningReplica(folder) for folder in folders]
    try:
        async with trio.open_nursery() as nursery:
            for replica in replicas:
                await nursery.start(replica.run)
            yield replicas
            nursery.cancel_scope.cancel()
    finally:
        for replica in replicas:
            replica.close()


def address(replica: RunningReplica) -> Address:
    assert replica.listening is not None
    return replica.listening


def author(replica: RunningReplica) -> Any:
    return replica.certificate.author


def link(one: RunningReplica, other: RunningReplica) -> Link | None:
    return one.node.links.get(author(other))


def in_touch(one: RunningReplica, other: RunningReplica) -> bool:
    here, there = link(one, other), link(other, one)
    return here is not None and there is not None and here.session.sharing and there.session.sharing


async def introduce(one: RunningReplica, other: RunningReplica) -> None:
    """Let ``one`` dial ``other`` and wait until they share."""
    one.node.want(address(other))
    await until(one, lambda: in_touch(one, other))


class Stranger:
    """A bare session with a replica, driven by hand: what somebody with an enrolled replica's key might send."""

    def __init__(self, folder: Folder, me: Me | None = None, log: Log | None = None) -> None:
        own = folder.certificate
        self.folder = folder
        self.log = MemoryLog(SCHEMA) if log is None else log
        self.me = me or Me(own.company, own.author, frozenset(_scopes(folder)))
        self.session = Session(self.log, self.me, 0)
        self.hello: Hello | None = None
        """The other side's."""
        self.ended: Ended | None = None
        self.shared = False
        self.durable: set[Hash] = set()
        self.refused: dict[Hash, str] = {}
        self.answered: list[Answered] = []
        self.certificates: dict[bytes, bytes] = {}
        self.asked: list[bytes] = []
        self.together = 1
        """So many questions have to be there before any is answered."""
        self._open: list[tuple[int, bytes]] = []

    def offers(self, *entries: Entry) -> None:
        self.log.append([Arrival(entry) for entry in entries])

    @asynccontextmanager
    async def at(self, replica: RunningReplica | Address) -> AsyncIterator[Stranger]:
        """Dial a replica."""
        where = replica if isinstance(replica, Address) else address(replica)
        self.stream = await tls.dial(where, self.folder.tls_contexts())
        try:
            with trio.fail_after(PATIENCE_S):
                yield self
        finally:
            with trio.CancelScope(shield=True):
                await self.stream.aclose()

    async def talk(self, enough: Callable[[], bool]) -> None:
        """Exchange bytes until ``enough`` or the end."""
        while not enough() and self.ended is None:
            if outgoing := self.session.data_to_send():
                await self.stream.send(outgoing)
            received = await self.stream.receive()
            self._hear(self.session.receive(received, 0) if received else self.session.lost())
        if self.ended is None and (outgoing := self.session.data_to_send()):
            await self.stream.send(outgoing)

    async def until_settled(self, *entries: Entry) -> None:
        """Until the other side has said of each that it is on its disk, or why not."""
        await self.talk(lambda: {entry.hash for entry in entries} <= self.durable | set(self.refused))

    async def ask_without_end(self, asked: Session) -> None:
        """Ask for the own certificate again and again, no more at once than allowed, and never read an answer."""
        number = 0
        while not asked.ended:
            asks = [Ask(number + one, "certificate", self.me.author) for one in range(1, 33)]
            number += len(asks)
            try:
                await self.stream.send(b"".join(map(frames.encode, asks)))
            except TransportError:
                return
            while not asked.ended and (asked._questions._heard < number or asked._questions._owed):
                await trio.lowlevel.checkpoint()

    async def until_ended(self) -> Ended:
        await self.talk(lambda: False)
        assert self.ended is not None
        return self.ended

    def _hear(self, events: Iterable[Event]) -> None:
        waiting = list(events)
        while waiting:
            match waiting.pop(0):
                case PeerSaidHello(hello):
                    self.hello = hello
                    waiting += self.session.admit(self.me.scopes)
                case Shared():
                    self.shared = True
                case EntriesReceived(batch, entries, _, _):
                    self.log.append([Arrival(entry, self.stream.peer.author) for entry in entries])
                    waiting += self.session.appended(batch)
                case Asked(id_, "certificate", content):
                    self.asked.append(content)
                    self._open.append((id_, content))
                    if len(self._open) == self.together:
                        for each, wanted in self._open:
                            self.session.answer(each, self.certificates.get(wanted))
                        self._open.clear()
                case Acknowledged(heads, refused):
                    self.durable |= {head.hash for _, head in heads}
                    self.refused |= {one.hash: one.why for one in refused}
                case Answered() as answered:
                    self.answered.append(answered)
                case Ended() as ended:
                    self.ended = ended
                case _:
                    pass


def _scopes(folder: Folder) -> set[Any]:
    own = folder.certificate
    return {"company"} | {
        f"{kind}/{own.store}" for kind in ("store", "journal", "patrons", "vault") if own.store is not None
    }


class Bare:
    """A node without the rest of a replica, whose log the test chooses."""

    def __init__(self, folder: Folder, log: Log) -> None:
        self.folder = folder
        self.log = log
        self.trust = RosterTrust(folder, log)
        self.appended: list[Batch] = []
        self.acknowledged: list[tuple[FeedId, Head]] = []
        self.on_acknowledged: Callable[[FeedId, Head], None] = lambda _feed, _head: None
        own = folder.certificate
        hooks = Hooks(appended=self.appended.append, acknowledged=self._acknowledged)
        me = Me(own.company, own.author, self.trust.readable(own))
        self.node = Node(log, me, folder.tls_contexts(), SCHEMA, self.trust, system_ms, hooks)

    def _acknowledged(self, _peer: Author, heads: Iterable[tuple[FeedId, Head]]) -> None:
        for feed, head in heads:
            self.acknowledged.append((feed, head))
            self.on_acknowledged(feed, head)

    def heads_of(self, document: Document) -> list[Head]:
        """What peers have acknowledged of a document."""
        return [head for feed, head in self.acknowledged if feed.document == document]

    @classmethod
    @asynccontextmanager
    async def running(cls, folder: Folder, log: Log) -> AsyncIterator[tuple[Bare, Address]]:
        bare = cls(folder, log)
        async with trio.open_nursery() as nursery:
            where = await nursery.start(bare.node.run, LOOPBACK)
            yield bare, where
            nursery.cancel_scope.cancel()


def roster_of(folder: Folder) -> list[Arrival]:
    """What enrolment has put into a folder's log."""
    log = LmdbLog.open(folder.log_path, SCHEMA, folder.root.company)
    try:
        with log.read() as reader:
            return [Arrival(stored.entry) for stored in reader.arrivals(0, 10_000)]
    finally:
        log.close()


def reasons(reader: Reader) -> dict[str, str]:
    """What is kept apart here, and why."""
    return {str(stored.entry.document): why for stored, why in reader.quarantined()}
