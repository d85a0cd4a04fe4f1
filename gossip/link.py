"""One live session: a TLS stream, the session machine on it, and the batches on their way into the log.

Three tasks a link: one reads bytes and turns them into events, one writes what the session has to say, one takes received
entries in, in the order of their events. A link that fails takes down itself and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import trio

from gossip.errors import PeerRefused, SessionCut
from gossip.events import (
    Acknowledged,
    Answered,
    Asked,
    CaughtUp,
    Compared,
    CursorMoved,
    Ended,
    EntriesReceived,
    Event,
    PeerSaidHello,
    Shared,
)
from gossip.reasons import Reason
from gossip.session import Session
from gossip.tls import TlsStream
from peers.certificates import Certificate

TICK_S: Final = 1.0
ENTRIES_AT_ONCE_MAX: Final = 2048
"""How many received entries are checked and committed together."""


@dataclass(slots=True)
class LinkFacts:
    """What a person may want to know of a link."""

    since_ms: int
    caught_up: bool = False
    entries_received: int = 0
    entries_acknowledged: int = 0
    ended: Ended | None = None
    troubles: list[str] = field(default_factory=list[str])


class Link:
    """A session on a stream. ``run`` returns when the session has ended and the stream may be closed."""

    def __init__(self, stream: TlsStream, session: Session, now_ms: Callable[[], int], *, dialled: bool) -> None:
        self.stream = stream
        self.session = session
        self.dialled = dialled
        self.over = trio.Event()
        self.facts = LinkFacts(now_ms())
        self._now_ms = now_ms
        self._something_to_send = trio.Event()
        self._received_in, self._received_out = trio.open_memory_channel[EntriesReceived | CursorMoved](math.inf)
        # Unbounded only in name: the session's window ends one whose peer sends more than it may.
        self._answers: dict[int, tuple[trio.Event, list[bytes | None]]] = {}

    @property
    def peer(self) -> Certificate:
        """Who is at the other end, as the TLS handshake proved."""
        return self.stream.peer

    async def run(
        self,
        decide: Callable[[Link, PeerSaidHello], list[Event]],
        take_in: Callable[[Link, list[EntriesReceived | CursorMoved]], Awaitable[None]],
        hear: Callable[[Link, Event], None],
        answer: Callable[[Link, Asked], Awaitable[None]],
    ) -> None:
        """Run until the session ends. ``decide`` admits or refuses, ``take_in`` checks and appends, ``hear`` listens to the
        rest, ``answer`` answers a question of the peer."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._take_in, take_in)
                nursery.start_soon(self._write)
                nursery.start_soon(self._tick, hear)
                await self._read(nursery, decide, hear, answer)
                await self._flush()
                nursery.cancel_scope.cancel()
        finally:
            self.over.set()
            for done, _ in self._answers.values():
                done.set()

    def wake(self) -> None:
        """The log has grown."""
        if not self.session.ended:
            self.session.wake()
            self.flush()

    def flush(self) -> None:
        """Something may be waiting in ``data_to_send``."""
        self._something_to_send.set()

    def end(self, reason: Reason, why: str = "") -> None:
        """End the session with a reason; the reading task closes it down."""
        if not self.session.ended:
            self._note(self.session.end(reason, why))
            self.flush()

    async def ask(self, topic: str, content: bytes, timeout_ms: int) -> bytes | None:
        """Ask the peer; ``None`` if it does not know, does not answer in time, or the session ends."""
        number = self.session.ask(topic, content, self._now_ms(), timeout_ms)
        if not number:
            return None
        done = trio.Event()
        result: list[bytes | None] = []
        self._answers[number] = done, result
        self.flush()
        with trio.move_on_after(timeout_ms / 1000):
            await done.wait()
        del self._answers[number]
        return result[0] if result else None

    def _note(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Ended):
                self.facts.ended = event

    async def _read(
        self,
        nursery: trio.Nursery,
        decide: Callable[[Link, PeerSaidHello], list[Event]],
        hear: Callable[[Link, Event], None],
        answer: Callable[[Link, Asked], Awaitable[None]],
    ) -> None:
        while not self.session.ended:
            try:
                received = await self.stream.receive()
            except (PeerRefused, SessionCut) as error:
                self.facts.troubles.append(str(error))
                received = b""
            events = self.session.receive(received, self._now_ms()) if received else self.session.lost()
            while events:
                event = events.pop(0)
                if isinstance(event, PeerSaidHello):
                    events += decide(self, event)
                elif isinstance(event, EntriesReceived | CursorMoved):
                    self._received_in.send_nowait(event)
                elif isinstance(event, Asked):
                    nursery.start_soon(answer, self, event)
                elif isinstance(event, Answered):
                    self._settle(event)
                else:
                    self._count(event)
                    hear(self, event)
            self.flush()

    def _settle(self, event: Answered) -> None:
        if event.id in self._answers:
            done, result = self._answers[event.id]
            result.append(event.content)
            done.set()

    def _count(self, event: Shared | CaughtUp | Compared | Acknowledged | Ended) -> None:
        if isinstance(event, CaughtUp):
            self.facts.caught_up = True
        elif isinstance(event, Acknowledged):
            self.facts.entries_acknowledged += len(event.heads)
        elif isinstance(event, Ended):
            self.facts.ended = event

    async def _take_in(self, take_in: Callable[[Link, list[EntriesReceived | CursorMoved]], Awaitable[None]]) -> None:
        async for first in self._received_out:
            items = [first]
            count = 0
            while count < ENTRIES_AT_ONCE_MAX:
                try:
                    item = self._received_out.receive_nowait()
                except trio.WouldBlock:
                    break
                items.append(item)
                count += len(item.entries) if isinstance(item, EntriesReceived) else 0
            self.facts.entries_received += sum(len(i.entries) for i in items if isinstance(i, EntriesReceived))
            await take_in(self, items)
            self.flush()

    async def _write(self) -> None:
        while True:
            await self._something_to_send.wait()
            self._something_to_send = trio.Event()
            await self._flush()

    async def _flush(self) -> None:
        while outgoing := self.session.data_to_send():
            try:
                await self.stream.send(outgoing)
            except (PeerRefused, SessionCut) as error:
                # The reading task finds the broken stream too, and ends the session.
                self.facts.troubles.append(str(error))
                return
            except trio.BusyResourceError:
                return  # the writing task is at it already

    async def _tick(self, hear: Callable[[Link, Event], None]) -> None:
        while True:
            await trio.sleep(TICK_S)
            for event in self.session.tick(self._now_ms()):
                if isinstance(event, Answered):
                    self._settle(event)
                elif isinstance(event, Shared | CaughtUp | Compared | Acknowledged | Ended):
                    self._count(event)
                    hear(self, event)
            self.flush()
            if self.session.ended:
                await self._flush()
                await self.stream.aclose()  # wakes the reading task
                return
