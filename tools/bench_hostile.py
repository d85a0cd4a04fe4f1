"""What one hostile peer costs the others: an honest till's sync beside each attack, against the same sync alone.

A head office and an honest till in one process, over TLS on the loopback interface and with logs on the disk; in another process
a hostile peer with the key of another enrolled till. The honest till signs notes one batch after the other and waits until the
office has each on its disk. The attacker still shares the machine's processors: on one with two cores it takes one of them.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import resource
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import trio

from crdt_pos import enrolment
from crdt_pos.clock import system_ms
from crdt_pos.folder import Folder, Settings, open_folder
from crdt_pos.replica import RunningReplica
from gossip import frames, tls
from gossip.address import Address
from gossip.document import Document, FeedType, Scope, ScopeClass
from gossip.entry import SEQ_MAX, Entry, FeedId, Hash, Head, sign
from gossip.errors import TransportError
from gossip.frames import Frames
from gossip.log import Arrival, Fingerprint, feed_key
from gossip.messages import (
    Admitted,
    Announce,
    Announcement,
    Ask,
    Bye,
    Cursor,
    Fingerprints,
    Hello,
    Part,
    Ping,
    Ranges,
    Run,
    Want,
    Wanted,
)
from gossip.tls import TlsStream
from peers.roster import StoreRecord
from tools.cable import LOOPBACK

Row = dict[str, Any]
STORE: Final = 12
BATCH_ENTRIES: Final = 25
SETTLE_S: Final = 0.4
CLOSE_S: Final = 0.05
ROUNDS: Final = 2
ALONE_S: Final = 0.8
BESIDE_S: Final = 1.6
PATIENCE_S: Final = 60.0
FLOOD_CONNECTIONS: Final = 8
BOARD: Final = Document("note", keys=(1,))

Attack = Callable[["Hostile"], Awaitable[None]]


class Hostile:
    """Who has an enrolled till's key, and how often the office ended its session."""

    def __init__(self, folder: Folder, at: Address) -> None:
        self.folder = folder
        self.at = at
        self.ended = 0
        self.why = ""

    @asynccontextmanager
    async def session(self, *, greet: bool = True) -> AsyncGenerator[TlsStream]:
        """A session up to sharing, whose other side's words are read and dropped."""
        own = self.folder.certificate
        stream = await tls.dial(self.at, self.folder.tls_contexts())
        try:
            async with trio.open_nursery() as nursery:
                if greet:
                    scopes = frozenset(map(Scope, ("company", f"store/{STORE}")))
                    hello = Hello(1, 1, own.company, own.author, b"hostile " * 2, 0, scopes)
                    reader = Frames()
                    await stream.send(frames.encode(hello))
                    received: list[object] = []
                    while not received:
                        received += [message for message, _ in reader.feed(await stream.receive())]
                    theirs = received[0]
                    if isinstance(theirs, Hello):
                        cursor = Cursor(theirs.database, theirs.last_arrival)
                        await stream.send(frames.encode(Admitted(scopes)) + frames.encode(cursor))
                    nursery.start_soon(self._drop, stream, reader)
                yield stream
                nursery.cancel_scope.cancel()
        finally:
            with trio.move_on_after(CLOSE_S, shield=True):
                await stream.aclose()

    async def _drop(self, stream: TlsStream, reader: Frames) -> None:
        while received := await stream.receive():
            for message, _ in reader.feed(received):
                if isinstance(message, Bye):
                    self.why = message.text
                    self.ended += 1


def _flooding(more: Callable[[Hostile], Iterator[bytes]]) -> Attack:
    """Send without end, and begin again whenever the session was ended."""

    async def attack(hostile: Hostile) -> None:
        while True:
            try:
                async with hostile.session() as stream:
                    for said in more(hostile):
                        await stream.send(said)
            except* (TransportError, trio.BrokenResourceError):
                await trio.sleep(0.01)

    return attack


def _pings(_hostile: Hostile) -> Iterator[bytes]:
    for number in itertools.count(1):
        yield frames.encode(Ping(number))


def _random(_hostile: Hostile) -> Iterator[bytes]:
    for number in itertools.count(1):
        yield bytes(number % 256 for _ in range(4096))


def _ranges(_hostile: Hostile) -> Iterator[bytes]:
    yield frames.encode(Fingerprints((Fingerprint(1, 1),) * 2))
    bounds = [number.to_bytes(4, "big") for number in range(1, 256)]
    parts = tuple(Part(bound, Fingerprint()) for bound in bounds)
    turn = frames.encode(Ranges(tuple(Run(0, b"", parts) for _ in range(10))))
    while True:
        yield turn


def _wants(hostile: Hostile) -> Iterator[bytes]:
    feeds = [
        feed_key(FeedId(Document("note", 0, (number,)), hostile.folder.certificate.author)) for number in range(4000)
    ]
    for number in itertools.count(1):
        yield frames.encode(Want(number, tuple(Wanted(feed, 0) for feed in feeds)))


def _announcements(hostile: Hostile) -> Iterator[bytes]:
    author = hostile.folder.certificate.author
    named = tuple(
        Announcement(feed_key(FeedId(Document("note", 0, (number,)), author)), Head(SEQ_MAX, Hash(bytes(32))))
        for number in range(4000)
    )
    for number in itertools.count(1):
        yield frames.encode(Announce(number, 0, named))


def _questions(hostile: Hostile) -> Iterator[bytes]:
    for number in itertools.count(1):
        yield frames.encode(Ask(number, "certificate", hostile.folder.certificate.author))


async def _sessions(hostile: Hostile) -> None:
    """Session after session of one certificate, several at once, each left open."""

    async def open_and_stay() -> None:
        while True:
            try:
                async with hostile.session(greet=False):
                    await trio.sleep(0.2)
            except* (TransportError, trio.BrokenResourceError):
                await trio.sleep(0.01)

    async with trio.open_nursery() as nursery:
        for _ in range(FLOOD_CONNECTIONS):
            nursery.start_soon(open_and_stay)


async def _half_open(hostile: Hostile) -> None:
    """Connections without a certificate, which say nothing, as fast as they can be made; the newest 1,000 stay."""
    idle: list[trio.SocketStream] = []
    while True:
        try:
            idle.append(await trio.open_tcp_stream(hostile.at.host, hostile.at.port))
        except OSError:
            await trio.sleep(0.01)
        if len(idle) > 1000:
            await trio.aclose_forcefully(idle.pop(0))


ATTACKS: Final[dict[str, Attack]] = {
    "signs of life without end": _flooding(_pings),
    "random bytes": _flooding(_random),
    "ranges without end": _flooding(_ranges),
    "wants of 4,000 feeds that are not there": _flooding(_wants),
    "made-up announcements": _flooding(_announcements),
    "questions without end": _flooding(_questions),
    "sessions without end of one certificate": _sessions,
    "half-open connections without end": _half_open,
}


def hostile() -> list[Row]:
    """A row for every attack: entries a second beside it, and the ratio to none, in turns."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as place:
        ours, theirs = context.Pipe()
        town = _found(Path(place))
        attacker = context.Process(target=_attacker, args=(theirs,), daemon=True)
        attacker.start()
        theirs.close()
        try:
            return trio.run(_measured, town, ours)
        finally:
            ours.close()
            attacker.join(PATIENCE_S)


@dataclass(frozen=True, slots=True)
class _Town:
    office: Folder
    honest: Folder
    hostile: dict[str, Folder]
    """Another till for every attack, so that what one has cost is not held against the next."""


def _found(place: Path) -> _Town:
    settings = Settings(Address(LOOPBACK, 0), (), multicast=False)
    office = enrolment.create_company("Corner Shops", place / "office-a", settings, system_ms())
    enrolment.add_store(office, StoreRecord(STORE, legal_entity="Corner Shops Ltd"), system_ms())
    honest, *others = [
        enrolment.enrol_till(office, STORE, n, place / f"12-{n}", settings, system_ms())
        for n in range(1, 2 + len(ATTACKS))
    ]
    return _Town(office, honest, dict(zip(ATTACKS, others, strict=True)))


# --- the attacker's process ------------------------------------------------------------------------------------------


def _attacker(orders: Connection) -> None:
    """Attack whom each order names, until the next one comes; the answer is how often sessions were ended, and why."""
    with contextlib.suppress(EOFError):
        while True:
            name, folder, host, port = orders.recv()
            attacking = Hostile(open_folder(folder), Address(host, port))
            trio.run(_until_told, ATTACKS[name], attacking, orders)
            orders.send((attacking.ended, attacking.why))


async def _until_told(attack: Attack, hostile: Hostile, orders: Connection) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(attack, hostile)
        await trio.to_thread.run_sync(orders.recv, abandon_on_cancel=True)
        nursery.cancel_scope.cancel()


# --- what is measured ------------------------------------------------------------------------------------------------


async def _measured(town: _Town, attacker: Connection) -> list[Row]:
    rows: list[Row] = []
    office, till = replicas = [RunningReplica(town.office), RunningReplica(town.honest)]
    try:
        async with trio.open_nursery() as nursery:
            for replica in replicas:
                await nursery.start(replica.run)
            at = office.listening
            assert at is not None
            till.node.want(at)
            with trio.fail_after(PATIENCE_S):
                while not till.node.links:
                    await till.node.change.wait()
            notes = _Notes(till, office, town.honest)
            await notes.rate(SETTLE_S)
            for name in ATTACKS:
                alone, beside, ended, why = 0.0, 0.0, 0, ""
                for _ in range(ROUNDS):
                    alone += await notes.rate(ALONE_S) / ROUNDS
                    attacker.send((name, town.hostile[name].path, at.host, at.port))
                    await trio.sleep(SETTLE_S)
                    beside += await notes.rate(BESIDE_S) / ROUNDS
                    attacker.send(None)
                    round_ended, why = await trio.to_thread.run_sync(attacker.recv)
                    ended += round_ended
                rows.append(
                    {
                        "what": name,
                        "entries_per_s": round(beside),
                        "alone_per_s": round(alone),
                        "ratio": round(beside / alone, 2),
                        "sessions_ended": ended,
                        "why": why,
                        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
                    }
                )
            nursery.cancel_scope.cancel()
    finally:
        for replica in replicas:
            replica.close()
    return rows


@dataclass(slots=True)
class _Notes:
    """The notes that the honest till signs, and how fast the office has them on its disk."""

    giver: RunningReplica
    taker: RunningReplica
    folder: Folder
    last: Entry | None = None

    async def rate(self, seconds: float) -> float:
        """Entries a second, over about so long."""
        began, count = trio.current_time(), 0
        while trio.current_time() - began < seconds:
            await self._batch()
            count += BATCH_ENTRIES
        return count / (trio.current_time() - began)

    async def _batch(self) -> None:
        batch: list[Entry] = []
        author = self.folder.certificate.author
        for _ in range(BATCH_ENTRIES):
            seq, previous = (self.last.seq + 1, self.last.hash) if self.last else (1, None)
            self.last = sign(
                self.folder.key, author, BOARD, FeedType.WHOLE, ScopeClass.COMPANY, seq, seq << 16, "a note", previous
            )
            batch.append(self.last)
        arrivals = [Arrival(entry) for entry in batch]
        await self.giver.node.write(lambda: self.giver.log.append(arrivals))
        with trio.fail_after(PATIENCE_S):
            while True:
                change = self.taker.node.change
                with self.taker.log.read() as reader:
                    if reader.find(batch[-1].hash) is not None:
                        break
                await change.wait()
