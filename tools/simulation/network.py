"""A simulated network: streams of bytes that are in order while they last, and may die after any byte.

Machines stand in *places*: a store's LAN, or the wide area. A path is there while nothing on it is severed; what is severed takes
the streams on it with it, at once or unnoticed: then each side finds out by its own deadlines.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Final, Protocol

from tools.simulation.heap import Heap

LAN_MS: Final = (1, 4)
WAN_MS: Final = (10, 120)
PIECES_MAX: Final = 3


class Socket(Protocol):
    """One end of a stream, as whoever listens at it sees it."""

    def received(self, octets: bytes) -> None:
        """The next bytes of the other end."""
        ...

    def lost(self) -> None:
        """Nothing more will come."""
        ...


@dataclass(eq=False, slots=True)
class _Way:
    """One direction of a stream."""

    to: Socket | None = None
    under_way: deque[bytes] = field(default_factory=deque[bytes])
    arrives_ms: int = 0
    open: bool = True


class Wire:
    """A stream between two places. ``send(0, …)`` goes from its first end to its second."""

    def __init__(self, network: Network, ends: tuple[str, str], latency_ms: tuple[int, int]) -> None:
        self.ends = ends
        self.stuck = False
        """Severed, and nobody has noticed."""
        self._network = network
        self._latency_ms = latency_ms
        self._ways = (_Way(), _Way())

    def attach(self, end: int, socket: Socket) -> None:
        """``socket`` hears what the other end sends."""
        self._ways[1 - end].to = socket

    def send(self, end: int, octets: bytes) -> None:
        """Bytes from one end, cut into pieces anywhere."""
        way, network = self._ways[end], self._network
        if not way.open or self.stuck or not octets:
            return
        rng, heap = network.rng, network.heap
        at = sorted(rng.randrange(len(octets) + 1) for _ in range(rng.randrange(PIECES_MAX)))
        for low, high in zip([0, *at], [*at, len(octets)], strict=True):
            if low < high:
                way.under_way.append(octets[low:high])
                way.arrives_ms = max(way.arrives_ms, heap.now_ms + rng.randint(*self._latency_ms))
                heap.at(way.arrives_ms - heap.now_ms, lambda: self._deliver(end))

    def close(self, end: int) -> None:
        """One end says goodbye: what it has sent still comes, then the other end is told."""
        way, heap = self._ways[end], self._network.heap
        if not way.open:
            return
        way.open = False
        if not self.stuck:
            heap.at(max(way.arrives_ms - heap.now_ms, 0) + 1, lambda: self._tell(end))
        back = self._ways[1 - end]
        back.to = None
        if not back.open:
            self._network.wires.pop(self, None)

    def sever(self, *, noticed: bool) -> None:
        """It dies here and now: of what is under way some bytes may still come."""
        rng = self._network.rng
        self._network.changed_ms = self._network.heap.now_ms
        for end, way in enumerate(self._ways):
            left = b"".join(way.under_way)
            way.under_way.clear()
            last = left[: rng.randrange(len(left) + 1)] if rng.random() < 0.5 else b""
            if last and way.to is not None:
                way.to.received(last)
            if noticed:
                way.open = False
                self._network.heap.at(rng.randint(*self._latency_ms), partial(self._tell, end))
        self.stuck = not noticed
        if noticed:
            self._network.wires.pop(self, None)

    def _deliver(self, end: int) -> None:
        way = self._ways[end]
        if way.under_way:
            octets = way.under_way.popleft()
            self._network.heard(self.ends, end, octets)
            if way.to is not None:
                way.to.received(octets)

    def _tell(self, end: int) -> None:
        to, self._ways[end].to = self._ways[end].to, None
        if to is not None:
            to.lost()


class Network:
    """Who reaches whom."""

    def __init__(self, heap: Heap, rng: Random, heard: Callable[[tuple[str, str], int, bytes], None]) -> None:
        self.heap = heap
        self.rng = rng
        self.heard = heard
        """Told of every piece that arrives."""
        self.changed_ms = 0
        """When anything was severed or mended last."""
        self.wires: dict[Wire, None] = {}
        self.places: dict[str, str] = {}
        """Machine → its place; machines of one place are on one LAN."""
        self.severed: dict[str, int] = {}
        """Paths that are cut, and how often: ``lan <place>``, ``wan <place>``, ``<machine> <machine>`` in order."""

    def reaches(self, one: str, other: str) -> bool:
        """Whether there is a path now."""
        return not any(path in self.severed for path in self._paths(one, other))

    def dial(self, one: str, other: str) -> Wire | None:
        """A new stream from ``one`` to ``other``, or ``None`` if there is no path."""
        if not self.reaches(one, other):
            return None
        near = self.places[one] == self.places[other]
        wire = Wire(self, (one, other), LAN_MS if near else WAN_MS)
        self.wires[wire] = None
        return wire

    def sever(self, path: str) -> None:
        """Cut a path, and what runs over it."""
        self.severed[path] = self.severed.get(path, 0) + 1
        self.changed_ms = self.heap.now_ms
        noticed = self.rng.random() < 0.5
        for wire in list(self.wires):
            if path in self._paths(*wire.ends):
                wire.sever(noticed=noticed)

    def mend(self, path: str) -> None:
        """Undo one ``sever``. Streams that nobody knows to be dead stay so."""
        self.changed_ms = self.heap.now_ms
        left = self.severed.pop(path, 1) - 1
        if left:
            self.severed[path] = left

    def unplug(self, machine: str) -> None:
        """A machine is gone: so are its streams."""
        changed_ms = self.changed_ms
        for wire in list(self.wires):
            if machine in wire.ends:
                wire.sever(noticed=True)
        self.changed_ms = changed_ms  # the paths are what they were

    def _paths(self, one: str, other: str) -> tuple[str, ...]:
        here, there = self.places[one], self.places[other]
        pair = " ".join(sorted((one, other)))
        return (pair, f"lan {here}") if here == there else (pair, f"wan {here}", f"wan {there}")
