"""A till of a fleet, and what it says of one date: what passes between the processes that sign."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from merge_rules.lattice import Author
from peers.keys import PublicKey

VOID_EVERY: Final = 7
MESSAGES_A_DATE: Final = 2


@dataclass(frozen=True, slots=True)
class FleetTill:
    """A till with its key. ``number``: its place in the fleet, from 0."""

    number: int
    store: int
    author: Author
    seed: bytes
    public: PublicKey


@dataclass(frozen=True, slots=True)
class TillDate:
    """The bodies of a till's two messages of one date."""

    day: int
    """Days since 1970-01-01."""
    stamp_ms: int
    morning: object
    close: object


def voids(till: int) -> bool:
    """Whether the till with this place in the fleet, from 0, voids its third sale."""
    return till % VOID_EVERY == VOID_EVERY - 1
