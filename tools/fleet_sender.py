"""A fleet's gateways in one process: at most 96 long-lived TLS sessions that offer a head office what was signed beforehand.

The real protocol within its windows, but the entries' bytes are ready before the clock starts, so that whoever sends takes as
little as possible of the processors that it shares with the head office. The comparison that follows a greeting is left out: of
two replicas the one with the lower log id begins it, and this one does not.

    python -m tools.fleet_sender GATEWAYS      # the folder that ``tools.fleet_company`` wrote

It is told what to do in JSON lines on standard input and answers each in one line:

    {"do": "connect"}                                        → {"sessions": n}
    {"do": "send", "plan": FILE, ? "without": {store: [batch, …]}, ? "kill": [process, entries]}
        → {"entries", "accepted", "refused", "s", "cpu_s", "bytes", "acknowledged": {store: [batch, …]}}

``kill``: one batch of each gateway after the other is on its way; once so many entries are acknowledged, that process is killed,
and what was not acknowledged by then is given up.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import trio

from gossip import frames
from gossip.address import Address
from gossip.document import Scope
from gossip.errors import TransportError
from gossip.limits import Limits
from gossip.messages import (
    Admitted,
    Announce,
    Answer,
    Ask,
    Bye,
    Cursor,
    Durable,
    Entries,
    Hello,
    Message,
    Ping,
    Pong,
)
from gossip.session import VERSION_MAX, VERSION_MIN
from gossip.tls import TlsStream, dial
from merge_rules.lattice import Author
from peers import certificates
from tools.fleet_plan import FLEET, Batch, read_plan

SEND_TIMEOUT_S: Final = 300.0
_LIMITS: Final = Limits()


class _Gateway:
    """One store's gateway, and its session."""

    def __init__(self, at: Path, company: bytes, store: int, author: Author) -> None:
        files = at / f"{store}.key", at / f"{store}.pem", at / "root.pem"
        self.store = store
        self._company = company
        self._author = author
        self._contexts = certificates.tls_contexts(certificates.Company(company), *files)
        self._scopes = frozenset({Scope(f"store/{store}")})
        self._stream: TlsStream | None = None
        self._number = 0
        self._reached = 0
        self._waiting: deque[tuple[int, int, int, bytes]] = deque()
        """Batches to be sent: place in the plan, entries, upto, frame."""
        self._open: dict[int, tuple[int, int, int]] = {}
        """Batches on their way, by number: place in the plan, entries, bytes."""
        self._open_bytes = 0
        self._turn = trio.Event()
        self._speaking = trio.Lock()
        """One task sends at a time: batches, and answers to what the head office says meanwhile."""
        self.acknowledged: list[int] = []
        self.accepted = 0
        self.refused = 0

    @property
    def bytes_moved(self) -> int:
        """TLS records of both directions."""
        return 0 if self._stream is None else self._stream.bytes_sent + self._stream.bytes_received

    async def connect(self, address: Address, nursery: trio.Nursery) -> None:
        """A new session, greeted; it is listened to from now on."""
        stream = await dial(address, self._contexts)
        received = frames.Frames()
        # Below any log's random id: the head office leaves the comparison to us.
        database = self.store.to_bytes(16, "big")
        hello = Hello(VERSION_MIN, VERSION_MAX, self._company, self._author, database, self._reached, self._scopes)
        await stream.send(frames.encode(hello))
        office = await _next(stream, received)
        if not isinstance(office, Hello):
            raise TransportError(f"{office}")
        await stream.send(frames.encode(Admitted(self._scopes)))
        await stream.send(frames.encode(Cursor(office.database, office.last_arrival)))
        self._stream, self._number = stream, 0
        nursery.start_soon(self._listen, stream, received)

    def prepare(self, batches: Sequence[Batch], without: Sequence[int]) -> None:
        """What is offered next, but for those batches."""
        self.acknowledged, self.accepted, self.refused = [], 0, 0
        self._open, self._open_bytes = {}, 0
        number = self._number
        self._waiting.clear()
        for place, batch in enumerate(batches):
            if place not in without:
                number += 1
                self._waiting.append((place, batch.entries, batch.upto, batch.frame(number)))

    async def offer(self, batches_max: int) -> None:
        """Send what is prepared, until all of it is acknowledged or the session is lost."""
        while (stream := self._stream) is not None and (self._waiting or self._open):
            self._turn = trio.Event()
            outgoing = self._fitting(batches_max)
            if outgoing:
                try:
                    async with self._speaking:
                        await stream.send(outgoing)
                except TransportError:
                    return
            elif self._open:
                await self._turn.wait()

    def _fitting(self, batches_max: int) -> bytes:
        fitting: list[bytes] = []
        while self._waiting and self._open_bytes < _LIMITS.window_bytes_max and len(self._open) < batches_max:
            place, entries, upto, frame = self._waiting.popleft()
            self._number += 1
            self._reached = max(self._reached, upto)
            self._open[self._number] = place, entries, len(frame)
            self._open_bytes += len(frame)
            fitting.append(frame)
        return b"".join(fitting)

    async def _listen(self, stream: TlsStream, received: frames.Frames) -> None:
        try:
            while content := await stream.receive():
                for message, _ in received.feed(content):
                    await self._heard(stream, message)
        except TransportError:
            pass
        self._stream = None
        self._turn.set()

    async def _heard(self, stream: TlsStream, message: Message) -> None:
        match message:
            case Durable(number, refused):
                place, entries, size = self._open.pop(number)
                self._open_bytes -= size
                self.refused += len(refused)
                self.accepted += entries - len(refused)
                self.acknowledged.append(place)
                self._turn.set()
            case Ping(number):
                await self._answer(stream, Pong(number))
            case Ask(number):
                await self._answer(stream, Answer(number, None))
            case Entries(number) | Announce(number):
                await self._answer(stream, Durable(number))
            case Bye():
                raise TransportError(message.text)
            case _:
                assert isinstance(message, Admitted | Cursor), f"{type(message).__name__} was not expected"

    async def _answer(self, stream: TlsStream, message: Message) -> None:
        async with self._speaking:
            await stream.send(frames.encode(message))


async def _next(stream: TlsStream, received: frames.Frames) -> Message:
    while content := await stream.receive():
        for message, _ in received.feed(content):
            return message
    raise TransportError("no greeting")


class _Fleet:
    def __init__(self, at: Path, nursery: trio.Nursery) -> None:
        said = json.loads((at / FLEET).read_text())
        host, _, port = said["address"].rpartition(":")
        company = bytes.fromhex(said["company"])
        self._address = Address(host, int(port))
        self._nursery = nursery
        self._gateways = [
            _Gateway(at, company, one["store"], Author(bytes.fromhex(one["author"]))) for one in said["gateways"]
        ]

    async def connect(self) -> dict[str, Any]:
        async with trio.open_nursery() as nursery:
            for gateway in self._gateways:
                nursery.start_soon(gateway.connect, self._address, self._nursery)
        return {"sessions": len(self._gateways)}

    async def send(
        self, plan: str, without: dict[str, list[int]] | None = None, kill: tuple[int, int] | None = None
    ) -> dict[str, Any]:
        batches = read_plan(Path(plan))
        entries = 0
        for gateway in self._gateways:
            of_store, left = batches.get(gateway.store, []), (without or {}).get(str(gateway.store), [])
            gateway.prepare(of_store, left)
            entries += sum(batch.entries for place, batch in enumerate(of_store) if place not in left)
        before = sum(gateway.bytes_moved for gateway in self._gateways)
        cpu_s, began_s = time.process_time(), time.perf_counter()
        with trio.fail_after(SEND_TIMEOUT_S):
            await self._offer(kill)
        took_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_s
        return {
            "entries": entries,
            "accepted": sum(gateway.accepted for gateway in self._gateways),
            "refused": sum(gateway.refused for gateway in self._gateways),
            "s": took_s,
            "cpu_s": cpu_s,
            "bytes": sum(gateway.bytes_moved for gateway in self._gateways) - before,
            "acknowledged": {gateway.store: gateway.acknowledged for gateway in self._gateways},
        }

    async def _offer(self, kill: tuple[int, int] | None) -> None:
        async with trio.open_nursery() as nursery:
            for gateway in self._gateways:
                nursery.start_soon(gateway.offer, _LIMITS.window_batches_max if kill is None else 1)
            if kill is not None:
                await self._kill(*kill)

    async def _kill(self, process: int, entries: int) -> None:
        while sum(gateway.accepted for gateway in self._gateways) < entries:
            await trio.lowlevel.checkpoint()
        os.kill(process, signal.SIGKILL)


async def main(at: Path) -> None:
    """Do what the lines of standard input say, until it ends."""
    async with trio.open_nursery() as nursery:
        fleet = _Fleet(at, nursery)
        while line := await trio.to_thread.run_sync(sys.stdin.readline):
            asked = json.loads(line)
            do = asked.pop("do")
            answer = await (fleet.connect() if do == "connect" else fleet.send(**asked))
            print(json.dumps(answer), flush=True)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]))
