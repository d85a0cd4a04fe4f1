"""What a large run is made of; it is a function of its plan and of nothing else."""

from __future__ import annotations

from dataclasses import dataclass

HOUR_MS = 3_600_000
DAY_MS = 12 * HOUR_MS
"""From the moment at which the tills are switched on to the moment at which the last one has closed."""
LINES = 2
LOSS = 0.01
OPENING_MS = 30 * 60_000
"""In so long all stores open, and in so long before the end all close."""


@dataclass(frozen=True, slots=True)
class LargePlan:
    """One day."""

    seed: int
    stores: int
    tills: int
    """In every store."""
    sales: int
    """Of every till."""
    products: int = 0
    """In the catalogue; 0: a handful, and each sale says its prices."""
    lines: int = LINES
    """Of a sale."""
    loss: float = LOSS
    """Of segments of a stream: each costs the stream a pause."""
    deaths: float = 0.02
    """Of streams that die at a moment of the day, as a share of those that there are."""
    partition: bool = True
    """For half an hour every second store has no way out, and one store in ten has no LAN."""
    checkpoint_ms: int = 0
    """How often a till publishes what has changed; 0: in the morning and at its close only (``wan = "daily"``)."""
    on_disk: int = 0
    """So many tills have a real log on a real disk, and their sales are timed."""

    @property
    def replicas(self) -> int:
        """Tills and the head office."""
        return self.stores * self.tills + 1

    @property
    def command(self) -> str:
        """The command line that does this run again."""
        words = f"crdt-pos simulate --seed {self.seed} --stores {self.stores} --tills {self.tills} --sales {self.sales}"
        options = {
            "--products": self.products,
            "--lines": self.lines if self.lines != LINES else 0,
            "--on-disk": self.on_disk,
            "--loss": "" if self.loss == LOSS else f"{self.loss:g}",
        }
        words += "".join(f" {name} {value}" for name, value in options.items() if value)
        return words + (" --live" if self.checkpoint_ms else "")
