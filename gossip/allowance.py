"""What a peer may cost in a while, and how slowly a message may come. Sans-I/O."""

from __future__ import annotations

from gossip.errors import ProtocolError
from gossip.limits import Limits
from gossip.reasons import Reason
from merge_rules.dataclass import dataclass


@dataclass(slots=True)
class Allowance:
    """So much in so long; what was spent in an earlier while is forgotten."""

    while_ms: int
    began_ms: int
    spent: int = 0

    def spend(self, cost: int, most: int, now_ms: int, why: str) -> None:
        """Count a cost. Raises ``ProtocolError`` where it comes to more than ``most``."""
        if now_ms - self.began_ms > self.while_ms:
            self.began_ms, self.spent = now_ms, 0
        self.spent += cost
        if self.spent > most:
            raise ProtocolError(Reason.TOO_MUCH, why)


@dataclass(slots=True)
class Crawl:
    """Whether the message that is coming in comes fast enough: every byte is a sign of life, but not of good will."""

    limits: Limits
    since_ms: int
    bytes_since: int = 0
    waiting: bool = False
    """Whether a message has begun and is not here yet."""

    def came(self, count: int, now_ms: int, *, whole: bool, waiting: bool) -> None:
        """Bytes have come; ``whole``: and with them the end of a message; ``waiting``: and the beginning of one."""
        self.bytes_since += count
        if whole or not self.waiting or self.bytes_since >= self.limits.crawl_bytes_min:
            self.since_ms, self.bytes_since = now_ms, 0
        self.waiting = waiting

    def too_long(self, now_ms: int) -> bool:
        """Whether it is time to give it up."""
        return self.waiting and now_ms - self.since_ms > self.limits.silence_ms_max
