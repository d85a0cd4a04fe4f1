"""One live session: a TLS stream, the session machine on it, and the batches on their way into the log.

Three tasks a link: one reads bytes and turns them into events, one writes what the session has to say, one takes received
entries in, in the order of their events. A link that fails takes down itself and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import trio

from gossip.entry import FeedId
from gossip.errors import PeerRefused, SessionCut
from gossip.events import (
    Acknowledged,
    Answered,
    Asked,
    CaughtUp,
    CursorMoved,
    Ended,
    EntriesReceived,
    Event,
    PeerSaidHello,
)
from gossip.messages import Refused
from gossip.reasons import Reason
from gossip.session import Session
from gossip.tls import TlsStream
from peers.certificates import Certificate

TICK_S: Final = 1.0
GOODBYE_TIMEOUT_S: Final = 5.0
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
    trouble: str = ""


class Listener(Protocol):
    """Who decides and stores: the node."""

    def decide(self, link: Link, said: PeerSaidHello) -> list[Event]:
        """Admit or refuse the peer; returns what that call of the session returned."""
        ...

    async def take_in(self, link: Link, items: list[EntriesReceived | CursorMoved]) -> None:
        """Check and append, then ``link.appended``. Called for one batch after the other."""
        ...

    async def answer(self, link: Link, question: Asked) -> None:
        """Answer the peer, or not."""
        ...

    def hear(self, link: Link, event: Event) -> None:
        """Anything else that the session says."""
        ...


class Link:
    """A session on a stream. ``run`` returns when the session has ended and the stream may be closed."""

    def __init__(
        self, stream: TlsStream, session: Session, listener: Listener, now_ms: Callable[[], int], *, dialled: bool
    ) -> None:
        self.stream = stream
        self.session = session
        self.dialled = dialled
        self.over = trio.Event()
        self.facts = LinkFacts(now_ms())
        self._listener = listener
        self._now_ms = now_ms
        self._nursery: trio.Nursery | None = None
        self._something_to_send = trio.Event()
        self._said_goodbye = trio.Event()
        # Unbounded only in name: the session's window ends one whose peer sends more than it may.
        self._received_in, self._received_out = trio.open_memory_channel[EntriesReceived | CursorMoved](math.inf)
        self._answers: dict[int, tuple[trio.Event, list[bytes | None]]] = {}

    @property
    def peer(self) -> Certificate:
        """Who is at the other end, as the TLS handshake proved."""
        return self.stream.peer

    async def run(self) -> None:
        """Run until the session ends."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._take_in)
                nursery.start_soon(self._write)
                nursery.start_soon(self._tick)
                self._something_to_send.set()
                await self._read()
                # The writing task says the last words, and closes. A peer that does not take them is not waited for.
                with trio.move_on_after(GOODBYE_TIMEOUT_S):
                    await self._said_goodbye.wait()
                nursery.cancel_scope.cancel()
        finally:
            self.over.set()
            for done, _ in self._answers.values():
                done.set()

    def wake(self) -> None:
        """The log has grown."""
        if not self.session.ended:
            self.session.wake()
            self._something_to_send.set()

    def appended(self, batch: int, refused: Sequence[Refused], gaps: Collection[FeedId]) -> None:
        """The entries of a batch are on the disk, but for these: acknowledge it."""
        if not self.session.ended:
            self._dispatch(self.session.appended(batch, refused, gaps))

    def answer(self, question: Asked, content: bytes | None) -> None:
        """Answer a question of the peer; ``None``: not known here."""
        if not self.session.ended:
            self.session.answer(question.id, content)
            self._something_to_send.set()

    def end(self, reason: Reason, why: str = "") -> None:
        """End the session with a reason; the peer is told."""
        if not self.session.ended:
            self._dispatch(self.session.end(reason, why))

    async def ask(self, topic: str, content: bytes, timeout_ms: int) -> bytes | None:
        """Ask the peer; ``None`` if it does not know, does not answer in time, or the session ends."""
        number = 0 if self.session.ended else self.session.ask(topic, content, self._now_ms(), timeout_ms)
        if not number:
            return None
        done = trio.Event()
        result: list[bytes | None] = []
        self._answers[number] = done, result
        self._something_to_send.set()
        try:
            with trio.move_on_after(timeout_ms / 1000):
                await done.wait()
        finally:
            del self._answers[number]
        return result[0] if result else None

    def _dispatch(self, events: list[Event]) -> None:
        waiting = list(events)
        while waiting:
            event = waiting.pop(0)
            if isinstance(event, PeerSaidHello):
                waiting += self._listener.decide(self, event)
            elif isinstance(event, EntriesReceived | CursorMoved):
                self._received_in.send_nowait(event)
            elif isinstance(event, Asked):
                assert self._nursery is not None
                self._nursery.start_soon(self._listener.answer, self, event)
            elif isinstance(event, Answered):
                if event.id in self._answers:
                    done, result = self._answers[event.id]
                    result.append(event.content)
                    done.set()
            else:
                self._note(event)
                self._listener.hear(self, event)
        self._something_to_send.set()

    def _note(self, event: Event) -> None:
        if isinstance(event, CaughtUp):
            self.facts.caught_up = True
        elif isinstance(event, Acknowledged):
            self.facts.entries_acknowledged += len(event.heads)
        elif isinstance(event, Ended):
            self.facts.ended = event

    async def _read(self) -> None:
        while not self.session.ended:
            try:
                received = await self.stream.receive()
            except (PeerRefused, SessionCut) as error:
                self.facts.trouble = str(error)
                received = b""
            self._dispatch(self.session.receive(received, self._now_ms()) if received else self.session.lost())

    async def _take_in(self) -> None:
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
            await self._listener.take_in(self, items)

    async def _write(self) -> None:
        while True:
            await self._something_to_send.wait()
            self._something_to_send = trio.Event()
            await self._flush()
            if self.session.ended:
                await self.stream.aclose()  # wakes the reading task
                self._said_goodbye.set()
                return

    async def _flush(self) -> None:
        while outgoing := self.session.data_to_send():
            try:
                await self.stream.send(outgoing)
            except (PeerRefused, SessionCut) as error:
                # The reading task finds the broken stream too, and ends the session.
                self.facts.trouble = str(error)
                return

    async def _tick(self) -> None:
        while True:
            await trio.sleep(TICK_S)
            self._dispatch(self.session.tick(self._now_ms()))
