"""A machine: a disk, a clock that drifts, and a replica's process while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Final

from crdt_pos.errors import TillError
from crdt_pos.folder import Folder
from gossip.entry import Hash
from gossip.errors import LogFull
from tools.simulation.disk import Disk, Image
from tools.simulation.heap import Heap, Life
from tools.simulation.replica import SimulatedReplica

if TYPE_CHECKING:
    from tools.simulation.cashier import Request

FIRST_MS: Final = 1_795_334_400_000
"""2026-11-22, 08:00 UTC."""
DRIFT_PPM_MAX: Final = 200


@dataclass(slots=True)
class Clock:
    """A wall clock: what it says has little to do with when it is."""

    heap: Heap
    drift_ppm: int
    offset_ms: int = 0

    def now_ms(self) -> int:
        """Milliseconds since 1970, as this clock has it."""
        now_ms = self.heap.now_ms
        return FIRST_MS + now_ms + now_ms * self.drift_ppm // 1_000_000 + self.offset_ms


@dataclass(slots=True)
class Machine:
    """Where one replica lives. ``folder`` and ``disk`` are replaced when it is enrolled again."""

    name: str
    place: str
    folder: Folder
    disk: Disk
    clock: Clock
    liar: bool = False
    burnt: bool = False
    """Its disk is gone, and it has not been enrolled again."""
    began_ms: int = 0
    """When its process was started, of the heap's time."""
    image: tuple[Image, dict[Hash, int]] | None = None
    """A copy of its disk, and what was on it."""
    life: Life = field(default_factory=lambda: Life(ended=True))
    replica: SimulatedReplica | None = None
    unanswered: dict[str, Request] = field(default_factory=dict[str, "Request"])
    """What was asked of it and not answered yet, by id."""

    @property
    def running(self) -> bool:
        """Whether its process runs."""
        return not self.life.ended

    @property
    def honest(self) -> bool:
        """Whether it has never lied."""
        return not self.liar

    def start(self, heap: Heap, rng: Random, tell: Callable[[str], None], *, by_duty: bool) -> None:
        """Start its process from what is on its disk."""
        assert not self.running
        self.life = Life()
        self.replica = SimulatedReplica(
            self.folder,
            self.disk,
            self.clock.now_ms,
            heap,
            rng,
            self.life,
            lambda text: tell(f"{self.name}: {text}"),
            by_duty=by_duty,
        )
        self.replica.start()

    def kill(self, rng: Random) -> None:
        """SIGKILL or a power cut: what was being synced is on the disk whole, or not at all."""
        if not self.running:
            return
        assert self.replica is not None
        pending, self.replica.pending = self.replica.pending, None
        if pending is not None and rng.random() < 0.5:
            try:
                pending()
            except (TillError, LogFull):
                pass
        self.life.end()
        self.replica = None
