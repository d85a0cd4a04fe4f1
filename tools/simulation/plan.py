"""What a run is made of: its seed, and how large it is. A run is a function of its plan and of nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

EVENTS: Final = 160
FAULTS: Final = ("cut", "kill", "burn", "set-back", "full", "clock", "lie")
"""What may go wrong, by the word that ``--without`` takes."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One run. Sizes that are 0 follow from the seed."""

    seed: int
    events: int = EVENTS
    """Sales, other acts and faults."""
    stores: int = 0
    tills: int = 0
    """At most so many in a store."""
    offices: int = 0
    faults: frozenset[str] = frozenset(FAULTS)

    @property
    def command(self) -> str:
        """The command line that does this run again."""
        words = [f"crdt-pos simulate --seed {self.seed}"]
        if self.events != EVENTS:
            words.append(f"--events {self.events}")
        sizes = {"stores": self.stores, "tills": self.tills, "offices": self.offices}
        words += [f"--{name} {size}" for name, size in sizes.items() if size]
        words += [f"--without {fault}" for fault in FAULTS if fault not in self.faults]
        return " ".join(words)
