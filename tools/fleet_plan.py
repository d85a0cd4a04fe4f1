"""A plan: what every gateway of a fleet sends in one go, in a file between the process that signs and the one that sends.

Deterministic CBOR ``{store: [[upto, entries, items], …]}``: batches in order.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple, cast

from gossip import frames
from gossip.messages import LENGTH_BYTES, Entries
from merge_rules import canonical

FLEET: Final = "fleet.json"
"""In the folder with the gateways' keys: the company, where its head office listens, and whose keys they are."""


class Batch(NamedTuple):
    """Some entries."""

    upto: int
    """The number of the last in the sender's order of arrival."""
    entries: int
    items: bytes
    """Their encoded array: the last field of ENTRIES."""

    def frame(self, number: int) -> bytes:
        """The frame of ENTRIES with them, as batch ``number`` of a session."""
        content = frames.encode(Entries(number, self.upto, 0, ()))[LENGTH_BYTES:-1] + self.items
        return len(content).to_bytes(LENGTH_BYTES, "big") + content


def write_plan(path: Path, plan: Mapping[int, list[Batch]]) -> int:
    """Write a plan; returns how many entries are in it."""
    path.write_bytes(canonical.encode({store: list(map(tuple, batches)) for store, batches in plan.items()}))
    return sum(batch.entries for batches in plan.values() for batch in batches)


def read_plan(path: Path) -> dict[int, list[Batch]]:
    """The batches of every store's gateway."""
    plan = cast("dict[int, list[tuple[int, int, bytes]]]", canonical.decode(path.read_bytes()))
    return {store: [Batch(*batch) for batch in batches] for store, batches in plan.items()}
