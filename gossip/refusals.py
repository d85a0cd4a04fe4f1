"""What is said of refused connections: each host and reason once in a while, however many come. Sans-I/O."""

from __future__ import annotations

from dataclasses import field
from typing import Final

from merge_rules.dataclass import dataclass

WHILE_MS: Final = 10_000
REMEMBERED_MAX: Final = 256


@dataclass(slots=True)
class _Said:
    at_ms: int
    unsaid: int = 0


@dataclass(slots=True)
class Refusals:
    """Remembers what was said lately."""

    _said: dict[tuple[str, str], _Said] = field(default_factory=dict[tuple[str, str], _Said])

    def another(self, host: str, reason: str, now_ms: int) -> str | None:
        """What to say of one more; ``None``: nothing, it was said a moment ago."""
        key = host, reason
        before = self._said.get(key)
        if before is not None and now_ms - before.at_ms < WHILE_MS:
            before.unsaid += 1
            return None
        if before is None and len(self._said) >= REMEMBERED_MAX:
            self._said = {one: said for one, said in self._said.items() if now_ms - said.at_ms < WHILE_MS}
            if len(self._said) >= REMEMBERED_MAX:
                return None  # too many hosts at once: what a few are refused for is said already
        self._said[key] = _Said(now_ms)
        return reason if before is None or not before.unsaid else f"{reason} ({before.unsaid} more since)"
