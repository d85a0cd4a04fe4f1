"""One session in the simulation: the session machine on a simulated stream. Stands in for ``gossip.link`` and trio.

What it does with events, and in which order, is what ``gossip.link`` does; who decides and stores is the same code.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from gossip.entry import FeedId
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
    Shared,
)
from gossip.intake import take_in
from gossip.messages import Refused
from gossip.outbound import Grown
from gossip.reasons import Reason
from gossip.session import Session
from peers.certificates import Certificate
from tools.simulation.heap import Future
from tools.simulation.network import Wire

if TYPE_CHECKING:
    from tools.simulation.replica import SimulatedReplica

TICK_MS: Final = 5_000
ENTRIES_AT_ONCE_MAX: Final = 2048


class SimulatedLink:
    """Implements ``gossip.admission.Guest``, ``gossip.intake.Receiver`` and ``crdt_pos.replica_core.Linked``."""

    def __init__(
        self, replica: SimulatedReplica, wire: Wire, end: int, peer: Certificate, session: Session, *, dialled: bool
    ) -> None:
        self.session = session
        self.dialled = dialled
        self.began_ms = replica.heap.now_ms
        self.over = Future[None](replica.heap)
        self.ended: Ended | None = None
        self.is_caught_up = False
        self._peer = peer
        self._replica = replica
        self._wire = wire
        self._end = end
        self._received: deque[EntriesReceived | CursorMoved] = deque()
        self._something: Future[None] = Future(replica.heap)
        self._answers: dict[int, Future[bytes | None]] = {}
        self._pumping = False
        wire.attach(end, self)

    @property
    def peer(self) -> Certificate:
        """Who is at the other end, as TLS would have proven."""
        return self._peer

    def begin(self) -> None:
        """Say HELLO."""
        self._replica.heap.spawn(self._run(), self._replica.life)
        self._replica.heap.at(TICK_MS, self._tick, self._replica.life)
        self._pump()

    # --- from the wire ---------------------------------------------------------------------------------------------------

    def received(self, octets: bytes) -> None:
        """Bytes from the peer."""
        if not self._replica.life.ended:
            self._dispatch(self.session.receive(octets, self._replica.heap.now_ms))

    def lost(self) -> None:
        """The stream is gone."""
        if not self._replica.life.ended:
            self._dispatch(self.session.lost())

    # --- from the replica ------------------------------------------------------------------------------------------------

    def wake(self, grown: Grown | None = None) -> None:
        """The log has grown, as far as is known by so much."""
        if not self.session.ended and self.session.wake(grown):
            self._pump()

    def appended(self, batch: int, refused: Sequence[Refused], gaps: Collection[FeedId]) -> None:
        """The entries of a batch are on the disk, but for these: acknowledge it."""
        if not self.session.ended:
            if gaps:
                waiting = [item for item in self._received if isinstance(item, EntriesReceived)]
                self._received = deque(replace(item, cursor=None) for item in waiting)
            self._dispatch(self.session.appended(batch, refused, gaps))

    def end(self, reason: Reason, why: str = "") -> None:
        """End the session; the peer is told."""
        if not self.session.ended:
            self._dispatch(self.session.end(reason, why))

    async def ask(self, topic: str, content: bytes, timeout_ms: int) -> bytes | None:
        """Ask the peer; ``None`` if it does not know, does not answer in time, or the session ends."""
        heap = self._replica.heap
        number = 0 if self.session.ended else self.session.ask(topic, content, heap.now_ms, timeout_ms)
        if not number:
            return None
        answer = self._answers[number] = Future[bytes | None](heap)
        heap.at(timeout_ms, lambda: answer.resolve(None), self._replica.life)
        self._pump()
        found = await answer
        self._answers.pop(number, None)
        return found

    def answer(self, question: Asked, content: bytes | None) -> None:
        """Answer the peer."""
        if not self.session.ended:
            self.session.answer(question.id, content)
            self._pump()

    # --- within ----------------------------------------------------------------------------------------------------------

    def _dispatch(self, events: list[Event]) -> None:
        waiting = list(events)
        for event in waiting:  # which grows
            if isinstance(event, PeerSaidHello):
                waiting.extend(self._replica.decide(self, event))
            elif isinstance(event, (EntriesReceived, CursorMoved)):
                if isinstance(event, CursorMoved) and self._received and isinstance(self._received[-1], CursorMoved):
                    self._received.pop()  # overtaken
                self._received.append(event)
                if isinstance(event, EntriesReceived):  # a cursor alone waits for a tick
                    self._something.resolve(None)
            elif isinstance(event, Asked):
                self._replica.heap.spawn(self._replica.answer(self, event), self._replica.life)
            elif isinstance(event, Answered):
                if event.id in self._answers:
                    self._answers[event.id].resolve(event.content)
            elif isinstance(event, Acknowledged):
                self._replica.acknowledged(self.peer.author, event.heads)
            elif isinstance(event, Shared):
                self._replica.shared(self)
            elif isinstance(event, CaughtUp):
                self.is_caught_up = True
                self._replica.caught_up(self)
            elif isinstance(event, Ended):
                self.ended = event
        if self.session.ended:
            self._something.resolve(None)
        self._pump()

    def _pump(self) -> None:
        if octets := self.session.data_to_send():
            self._wire.send(self._end, octets)
        if self.session.ended:
            self._wire.close(self._end)

    def _tick(self) -> None:
        if not self.session.ended:
            self._dispatch(self.session.tick(self._replica.heap.now_ms))
            if self._received:
                self._something.resolve(None)
            self._replica.heap.at(TICK_MS, self._tick, self._replica.life)

    async def _run(self) -> None:
        while self._received or not self.session.ended:
            items: list[EntriesReceived | CursorMoved] = []
            count = 0
            while self._received and count < ENTRIES_AT_ONCE_MAX:
                items.append(item := self._received.popleft())
                count += len(item.entries) if isinstance(item, EntriesReceived) else 0
            if not items:
                self._something = Future(self._replica.heap)
                await self._something
                continue
            if not await take_in(self, items, self._replica.floor(self)):
                break
        for answer in self._answers.values():
            answer.resolve(None)
        self._replica.gone(self)
        self.over.resolve(None)
