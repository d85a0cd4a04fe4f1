"""How far the two sides of a session are behind each other: for people and for monitoring; nothing is decided by it. Pure."""

from __future__ import annotations

from gossip.entry import Hash
from merge_rules.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Lag:
    """Counts; 0 everywhere while nothing is on its way."""

    unsent: int = 0
    """Arrivals of our log that were not looked at for the peer yet. Not all of them are for it."""
    unacknowledged: int = 0
    """Entries that were sent, or named, and of which the peer has not said that they are on its disk."""
    untold: int = 0
    """Arrivals that the peer's log had when the session began, and of which it has not told yet."""
    wanted: int = 0
    """Feeds that were wanted of the peer and have not come yet."""


@dataclass(frozen=True, slots=True)
class Towards:
    """Which of our entries a peer may lack."""

    looked_through: int | None = None
    """Up to which arrival our log was looked through for it; ``None`` while nothing is shared."""
    unacknowledged: tuple[Hash, ...] = ()
    """Sent, or named, and not acknowledged."""
