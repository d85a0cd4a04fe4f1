"""Sessions and streams of which an idle one schedules nothing, and a network that loses and overtakes.

A stream is TCP's: a segment that is lost comes again after a pause, one that has overtaken another waits for it. So loss and
reordering within a stream are delays, entries overtake one another on different ways, and a stream that dies loses its tail.
"""

from __future__ import annotations

from collections.abc import Collection
from random import Random
from typing import TYPE_CHECKING, Final

from tools.simulation.link import SimulatedLink
from tools.simulation.network import LAN_MS, WAN_MS, Network, Wire

if TYPE_CHECKING:
    from tools.simulation.heap import Heap

TICK_MS: Final = 1_000
SEGMENT_BYTES: Final = 1_400
RETRANSMISSION_MS: Final = 200
"""After so long a lost segment is sent again; then twice, four times as long."""


class QuietLink(SimulatedLink):
    """A session that is ticked only while a tick may have something to do."""

    _ticking = False

    def begin(self) -> None:
        self._replica.heap.spawn(self._run(), self._replica.life)
        self._pump()

    def watch(self) -> None:
        """The stream is dead, which only deadlines can tell."""
        if not self._ticking and not self.session.ended:
            self._ticking = True
            self._replica.heap.at(TICK_MS, self._tick, self._replica.life)

    def _pump(self) -> None:
        super()._pump()
        if self.session.waits or self._wire.stuck:
            self.watch()

    def _tick(self) -> None:
        self._ticking = False
        if not self.session.ended:
            self._dispatch(self.session.tick(self._replica.heap.now_ms))


class LossyWire(Wire):
    """A stream whose segments are lost now and then."""

    def send(self, end: int, octets: bytes) -> None:
        way, network = self._ways[end], self._network
        if not way.open or self.stuck or not octets:
            return
        assert isinstance(network, LossyNetwork)
        rng, heap = network.rng, network.heap
        network.sent(self.ends, end, len(octets))
        low_ms, high_ms = self._latency_ms
        delay_ms = low_ms + int(rng.random() * (high_ms + 1 - low_ms))
        for _ in range(0, len(octets), SEGMENT_BYTES):
            pause_ms = RETRANSMISSION_MS
            while rng.random() < network.loss:
                network.lost += 1
                delay_ms += pause_ms
                pause_ms *= 2
        arrives_ms = max(way.arrives_ms, heap.now_ms + delay_ms)
        if way.under_way and way.arrives_ms == arrives_ms:
            way.under_way[-1] += octets  # one event brings both
            return
        way.under_way.append(octets)
        way.arrives_ms = arrives_ms
        heap.at(arrives_ms - heap.now_ms, lambda: self._deliver(end))

    def sever(self, *, noticed: bool) -> None:
        super().sever(noticed=noticed)
        if not noticed:
            for way in self._ways:
                if isinstance(way.to, QuietLink):
                    way.to.watch()


class LossyNetwork(Network):
    """Counts what is sent, by place of whoever sends it and whether it leaves that place."""

    def __init__(self, heap: Heap, rng: Random, loss: float) -> None:
        super().__init__(heap, rng, lambda _ends, _end, _octets: None)
        self.loss = loss
        self.lost = 0
        """Segments that had to be sent again."""
        self.bytes_near = 0
        """Within places."""
        self.bytes_far = 0
        """Between places."""

    def sent(self, ends: tuple[str, str], _end: int, count: int) -> None:
        """A machine sends so many bytes."""
        if self.places[ends[0]] == self.places[ends[1]]:
            self.bytes_near += count
        else:
            self.bytes_far += count

    def dial(self, one: str, other: str) -> Wire | None:
        if not self.reaches(one, other):
            return None
        near = self.places[one] == self.places[other]
        wire = LossyWire(self, (one, other), LAN_MS if near else WAN_MS)
        self.wires[wire] = None
        return wire

    def sever_all(self, paths: Collection[str]) -> None:
        """Cut many paths at once: of half of the streams that die with them nobody notices it."""
        self.changed_ms = self.heap.now_ms
        for path in paths:
            self.severed[path] = self.severed.get(path, 0) + 1
        cut = set(paths)
        for wire in [wire for wire in self.wires if not cut.isdisjoint(self._paths(*wire.ends))]:
            wire.sever(noticed=self.rng.random() < 0.5)
