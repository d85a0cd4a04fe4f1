"""One live session: a TLS stream, the session machine on it, and the batches on their way into the log.

Three tasks a link: one reads bytes and turns them into events, one writes what the session has to say, one takes received
entries in, in the order of their events. A peer that does not read, or does not close, is waited for so long and no longer. One
that costs much is not read from for a while: ``gossip.fairness``.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from typing import Final, Protocol

import trio

from gossip.backlog import SHARE_BYTES_MAX, Backlog
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
    Shared,
)
from gossip.fairness import Fairness
from gossip.intake import CERTIFICATE_TOPIC
from gossip.messages import Refused, Wanted
from gossip.outbound import Grown
from gossip.reasons import Reason
from gossip.session import Session
from gossip.tap import Tap
from gossip.tls import RECEIVE_BYTES_MAX, TlsStream
from merge_rules.dataclass import dataclass
from peers.certificates import Certificate

TICK_S: Final = 1.0
CURSOR_TICKS: Final = 15
"""A cursor that came without entries is written after so many ticks at the latest: if it is lost, announcements come again."""
GOODBYE_TIMEOUT_S: Final = 5.0
SEND_BYTES_MAX: Final = 1 << 16
ANSWER_S: Final = 0.0005
"""What a question costs, about: it is answered by others, some of it on threads."""
SEND_TIMEOUT_S: Final = 45.0
"""A peer that takes less than ``SEND_BYTES_MAX`` in this time has stopped reading."""
SLICE_S: Final = 0.005
"""For about so long the others wait while one peer is listened to."""
PIECE_BYTES_MIN: Final = 1 << 10
DEAF_S_MAX: Final = 2.0
"""Then ``FORCED_BYTES`` are listened to in any case: TCP takes a peer for dead that takes nothing for longer, and so does a
session that is not answered."""
FORCED_BYTES: Final = 1 << 18
UNSENT_BYTES_MAX: Final = 8 << 20
"""More replies than this wait only for a peer that asks without end and does not read: twice what the windows allow."""
ENTRIES_AT_ONCE_MAX: Final = 2048
"""How many received entries are checked and committed together."""


@dataclass(slots=True)
class LinkFacts:
    """What a person may want to know of a link."""

    since_ms: int
    shared: bool = False
    """Both sides have admitted each other."""
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

    async def take_in(self, link: Link, items: list[EntriesReceived | CursorMoved]) -> bool:
        """Check and append, then ``link.appended``. Called for one batch after the other, until it has returned false: not
        everything was kept, and the link was ended."""
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
        self,
        stream: TlsStream,
        session: Session,
        listener: Listener,
        ticks_ms: Callable[[], int],
        *,
        since_ms: int,
        dialled: bool,
        fairness: Fairness | None = None,
        backlog: Backlog | None = None,
    ) -> None:
        """``ticks_ms``: a clock that nobody sets; ``since_ms``: what time it is for people; ``fairness`` and ``backlog``: of
        all links of a node."""
        self.stream = stream
        self.session = session
        self.dialled = dialled
        self.tap: Tap | None = None
        self.over = trio.Event()
        self.began_ms = ticks_ms()
        self.facts = LinkFacts(since_ms)
        self._listener = listener
        self._ticks_ms = ticks_ms
        self._fairness = fairness or Fairness()
        self._backlog = backlog or Backlog()
        self._waiting_bytes = 0
        self._counted_bytes = 0
        """What of that counts for the backlog."""
        self._forced_bytes = 0
        self._certificates_asked = 0
        self._nursery: trio.Nursery | None = None
        self._something_to_send = trio.Event()
        self._ended = trio.Event()
        self._said_goodbye = trio.Event()
        # Bounded by the session's windows, which end one whose peer sends more than it may.
        self._received: deque[EntriesReceived | CursorMoved] = deque()
        self._something_received = trio.Event()
        self._took_in = trio.Event()
        self._piece_bytes = RECEIVE_BYTES_MAX
        """How much of what has come is understood in about ``SLICE_S``."""
        self._answers: dict[int, tuple[trio.Event, list[bytes | None]]] = {}

    @property
    def waiting(self) -> int:
        """Batches that were received and are not committed yet."""
        return len(self._received)

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
                nursery.start_soon(self._read)
                self._something_to_send.set()
                await self._ended.wait()
                # The writing task says the last words, and closes. A peer that does not take them is not waited for.
                with trio.move_on_after(GOODBYE_TIMEOUT_S):
                    await self._said_goodbye.wait()
                # What a peer has sent before it left is kept.
                await self._took_in.wait()
                nursery.cancel_scope.cancel()
        finally:
            self._waits(-self._waiting_bytes)
            self.over.set()
            for done, _ in self._answers.values():
                done.set()

    def wake(self, grown: Grown | None = None) -> None:
        """The log has grown, as far as is known by so much."""
        if not self.session.ended and self.session.wake(grown):
            self._something_to_send.set()

    def appended(self, batch: int, refused: Sequence[Refused], gaps: Collection[FeedId]) -> None:
        """The entries of a batch are on the disk, but for these: acknowledge it."""
        if not self.session.ended:
            if gaps:  # cursors that were given out before know nothing of them
                waiting = [item for item in self._received if isinstance(item, EntriesReceived)]
                self._received = deque(replace(item, cursor=None) for item in waiting)
            self._dispatch(self.session.appended(batch, refused, gaps))

    def answer(self, question: Asked, content: bytes | None) -> None:
        """Answer a question of the peer; ``None``: not known here."""
        if not self.session.ended:
            self.session.answer(question.id, content)
            self._something_to_send.set()

    def fetch(self, wanted: Iterable[Wanted]) -> None:
        """Want what the disk here has lost."""
        if not self.session.ended:
            self.session.fetch(wanted)
            self._something_to_send.set()

    def compare(self) -> None:
        """Compare fingerprints with the peer now, unless that is going on."""
        if not self.session.ended:
            self.session.compare()
            self._something_to_send.set()

    def end(self, reason: Reason, why: str = "") -> None:
        """End the session with a reason; the peer is told."""
        if not self.session.ended:
            self._dispatch(self.session.end(reason, why))

    async def ask(self, topic: str, content: bytes, timeout_ms: int) -> bytes | None:
        """Ask the peer; ``None`` if it does not know, does not answer in time, or the session ends."""
        number = 0 if self.session.ended else self.session.ask(topic, content, self._ticks_ms(), timeout_ms)
        if not number:
            return None
        done = trio.Event()
        result: list[bytes | None] = []
        self._answers[number] = done, result
        self._certificates_asked += topic == CERTIFICATE_TOPIC
        self._backlog.look_again()
        self._something_to_send.set()
        try:
            with trio.move_on_after(timeout_ms / 1000):
                await done.wait()
        finally:
            del self._answers[number]
            self._certificates_asked -= topic == CERTIFICATE_TOPIC
        return result[0] if result else None

    def _dispatch(self, events: list[Event]) -> None:
        waiting = list(events)
        while waiting:
            event = waiting.pop(0)
            if isinstance(event, PeerSaidHello):
                waiting += self._listener.decide(self, event)
            elif isinstance(event, EntriesReceived | CursorMoved):
                self._receive(event)
            elif isinstance(event, Asked):
                self._charge(ANSWER_S, useful=False)
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
        if self.session.ended:
            self._ended.set()
            self._something_received.set()
            self._backlog.look_again()
        self._something_to_send.set()

    def _receive(self, event: EntriesReceived | CursorMoved) -> None:
        if isinstance(event, CursorMoved) and self._received and isinstance(self._received[-1], CursorMoved):
            self._received.pop()  # overtaken
        self._received.append(event)
        if isinstance(event, EntriesReceived):  # a cursor alone is worth no transaction of its own: see _tick
            self._waits(event.entries_bytes)
            self._something_received.set()

    def _waits(self, more_bytes: int) -> None:
        self._waiting_bytes += more_bytes
        before, self._counted_bytes = self._counted_bytes, min(self._waiting_bytes, SHARE_BYTES_MAX)
        self._backlog.change_by(self._counted_bytes - before)

    def _note(self, event: Event) -> None:
        if isinstance(event, Shared):
            self.facts.shared = True
        elif isinstance(event, CaughtUp):
            self.facts.caught_up = True
        elif isinstance(event, Acknowledged):
            self.facts.entries_acknowledged += len(event.heads)
        elif isinstance(event, Ended):
            self.facts.ended = event

    async def _read(self) -> None:
        while not self.session.ended:
            await self._turn()
            try:
                received = await self.stream.receive()
            except (PeerRefused, SessionCut) as error:
                self.facts.trouble = str(error)
                received = b""
            if not received:
                self._dispatch(self.session.lost())
            self._forced_bytes -= len(received)
            await self._hear(received)
            if self.session.unsent_bytes > UNSENT_BYTES_MAX:
                self.end(Reason.TOO_MUCH, "you ask without end and do not read")

    async def _hear(self, received: bytes) -> None:
        """Understand what came, a slice of time after the other, so that other sessions have theirs in between."""
        at = 0
        while at < len(received) and not self.session.ended:
            piece = received[at : at + self._piece_bytes]
            at += len(piece)
            began_s = time.thread_time()
            tap = self.tap
            if tap is not None:
                tap.coming(self, piece)
            events = self.session.receive(piece, self._ticks_ms())
            if tap is not None:
                tap.came(self)
            useful = any(map(_brought, events))
            self._dispatch(events)
            taken_s = max(time.thread_time() - began_s, 1e-6)
            self._charge(taken_s, useful=useful)
            fitting = int(len(piece) * SLICE_S / taken_s)
            self._piece_bytes = min(max(fitting, PIECE_BYTES_MIN), 2 * self._piece_bytes, RECEIVE_BYTES_MAX)
            if at < len(received):
                await trio.lowlevel.checkpoint()
                await self._rest()

    def _charge(self, cost_s: float, *, useful: bool) -> None:
        self._fairness.charge(self.peer.author, cost_s, trio.current_time(), useful=useful)

    async def _turn(self) -> None:
        """Wait until the peer is to be listened to."""
        await self._rest()
        if self._forced_bytes > 0:
            return
        with trio.move_on_after(DEAF_S_MAX) as patience:
            # The entries that wait may wait for the certificates that it was asked for.
            while (
                self._waiting_bytes and self._backlog.full and not self._certificates_asked and not self.session.ended
            ):
                await self._backlog.change()
        if patience.cancelled_caught:
            self._forced_bytes = FORCED_BYTES

    async def _rest(self) -> None:
        """Leave the peer alone while it has cost more than its share and others are busy."""
        while not self.session.ended and (rest_s := self._fairness.rest_s(self.peer.author, trio.current_time())):
            with trio.move_on_after(rest_s):
                await self._ended.wait()

    async def _take_in(self) -> None:
        while self._received or not self.session.ended:
            items: list[EntriesReceived | CursorMoved] = []
            count = 0
            while self._received and count < ENTRIES_AT_ONCE_MAX:
                items.append(item := self._received.popleft())
                count += len(item.entries) if isinstance(item, EntriesReceived) else 0
            if not items:
                self._something_received = trio.Event()
                await self._something_received.wait()
                continue
            self.facts.entries_received += count
            taken = await self._listener.take_in(self, items)
            self._waits(-sum(item.entries_bytes for item in items if isinstance(item, EntriesReceived)))
            if not taken:
                # The cursors of later batches say that this one is here: none of them may be kept without it.
                break
        self._took_in.set()

    async def _write(self) -> None:
        while True:
            await self._something_to_send.wait()
            self._something_to_send = trio.Event()
            await self._flush()
            if self.session.ended:
                await self.stream.aclose()  # wakes the reading task
                self._said_goodbye.set()
                return

    async def _next_to_send(self) -> bytes:
        await self._rest()
        began_s, before = time.thread_time(), self.session.entries_sent
        outgoing = self.session.data_to_send()
        if outgoing:
            if self.tap is not None:
                self.tap.went(self, outgoing)
            self._charge(time.thread_time() - began_s, useful=self.session.entries_sent > before)
        return outgoing

    async def _flush(self) -> None:
        while outgoing := await self._next_to_send():
            for start in range(0, len(outgoing), SEND_BYTES_MAX):
                with trio.move_on_after(SEND_TIMEOUT_S) as patience:
                    try:
                        await self.stream.send(outgoing[start : start + SEND_BYTES_MAX])
                    except (PeerRefused, SessionCut) as error:
                        # The reading task finds the broken stream too, and ends the session.
                        self.facts.trouble = str(error)
                        return
                if patience.cancelled_caught:
                    self._dispatch(self.session.lost())
                    return

    async def _tick(self) -> None:
        ticks = 0
        while True:
            await trio.sleep(TICK_S)
            self._dispatch(self.session.tick(self._ticks_ms()))
            ticks += 1
            if self._received and ticks % CURSOR_TICKS == 0:
                self._something_received.set()


def _brought(event: Event) -> bool:
    """Whether an entry has come, or one of ours has arrived."""
    match event:
        case EntriesReceived():
            return bool(event.entries)
        case Acknowledged():
            return bool(event.heads)
        case _:
            return False
