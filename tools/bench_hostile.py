"""What one hostile peer costs the others: an honest till's sync beside each attack, against the same sync alone.

A head office, an honest till and a hostile peer with another enrolled till's key, in one process, over TLS on the loopback
interface and with logs on the disk. The honest till signs notes one batch after the other and waits until the office has each on
its disk. The attacker shares the processor, so what is lost here is more than where it brings a machine of its own.
"""

from __future__ import annotations

import itertools
import resource
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import trio

from crdt_pos import enrolment
from crdt_pos.clock import system_ms
from crdt_pos.folder import Folder, Settings
from crdt_pos.replica import RunningReplica
from gossip import frames, tls
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
from gossip.tls import Address, TlsStream
from peers.roster import StoreRecord
from tools.cable import LOOPBACK

Row = dict[str, Any]
STORE: Final = 12
BATCHES: Final = 20
BATCH_ENTRIES: Final = 25
SETTLE_S: Final = 0.5
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
    async def session(self, *, greet: bool = True) -> AsyncIterator[TlsStream]:
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
                        said = (Admitted(scopes), Cursor(theirs.database, theirs.last_arrival))
                        await stream.send(b"".join(map(frames.encode, said)))
                    nursery.start_soon(self._drop, stream, reader)
                yield stream
                nursery.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
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
    "nothing": lambda _hostile: trio.sleep_forever(),
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
    """A row for every attack: entries a second beside it, and the ratio to none."""
    rows: list[Row] = []
    for name, attack in ATTACKS.items():
        with tempfile.TemporaryDirectory() as place:
            row = trio.run(_measured, Path(place), attack)
        alone = rows[0]["entries_per_s"] if rows else row["entries_per_s"]
        rows.append({"what": name, **row, "ratio": round(row["entries_per_s"] / alone, 2)})
    return rows


async def _measured(place: Path, attack: Attack) -> Row:
    settings = Settings(Address(LOOPBACK, 0), (), multicast=False)
    office = enrolment.create_company("Corner Shops", place / "office-a", settings, system_ms())
    enrolment.add_store(office, StoreRecord(STORE, legal_entity="Corner Shops Ltd"), system_ms())
    tills = [enrolment.enrol_till(office, STORE, n, place / f"12-{n}", settings, system_ms()) for n in (1, 2)]
    replicas = [RunningReplica(office), RunningReplica(tills[0])]
    try:
        async with trio.open_nursery() as nursery:
            for replica in replicas:
                await nursery.start(replica.run)
            at = replicas[0].listening
            assert at is not None
            hostile = Hostile(tills[1], at)
            replicas[1].node.want(at)
            with trio.fail_after(PATIENCE_S):
                while not replicas[1].node.links:
                    await replicas[1].node.change.wait()
            nursery.start_soon(attack, hostile)
            await trio.sleep(SETTLE_S)
            began = trio.current_time()
            await _sync(replicas[1], replicas[0], tills[0])
            took_s = trio.current_time() - began
            nursery.cancel_scope.cancel()
    finally:
        for replica in replicas:
            replica.close()
    return {
        "entries_per_s": round(BATCHES * BATCH_ENTRIES / took_s),
        "sessions_ended": hostile.ended,
        "why": hostile.why,
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
    }


async def _sync(giver: RunningReplica, taker: RunningReplica, folder: Folder) -> None:
    before: Entry | None = None
    for _ in range(BATCHES):
        batch: list[Entry] = []
        for _ in range(BATCH_ENTRIES):
            seq = before.seq + 1 if before else 1
            previous = before.hash if before else None
            author = folder.certificate.author
            before = sign(
                folder.key, author, BOARD, FeedType.WHOLE, ScopeClass.COMPANY, seq, seq << 16, "a note", previous
            )
            batch.append(before)
        arrivals = [Arrival(entry) for entry in batch]
        await giver.node.write(lambda arrivals=arrivals: giver.log.append(arrivals))
        with trio.fail_after(PATIENCE_S):
            while True:
                change = taker.node.change
                with taker.log.read() as reader:
                    if reader.find(batch[-1].hash) is not None:
                        break
                await change.wait()
