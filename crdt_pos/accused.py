"""Whose certificates peers are asked for because of proofs: a few of each who states some, in turn, with pauses that grow.

Whoever slanders chooses whom it accuses, and how many: so each who states proofs has a quota of its own, and what one makes up
is never in the way of what another has seen. Pure but for reading.
"""

from __future__ import annotations

from dataclasses import field
from itertools import islice
from typing import Final

from crdt_pos.forks import accused_by, publishers
from gossip.log import Reader
from merge_rules.dataclass import dataclass
from merge_rules.lattice import Author

QUOTA: Final = 8
"""Accused of one publisher that are asked for in one turn of its."""
ASKED_MAX: Final = 64
"""In one round; publishers that have waited longest come first."""
PAUSE_MIN_MS: Final = 5_000
PAUSE_MAX_MS: Final = 320_000


@dataclass(slots=True)
class _Turn:
    """Where a publisher's rotation stands."""

    after: bytes = b""
    pause_ms: int = PAUSE_MIN_MS
    due_ms: int = 0

    def left_ms(self, now_ms: int) -> int:
        """How long until it is due; never longer than its pause, though the clock be set back."""
        return max(0, min(self.due_ms - now_ms, self.pause_ms))

    def hasten(self) -> None:
        self.pause_ms, self.due_ms = PAUSE_MIN_MS, 0


@dataclass(slots=True)
class Asking:
    """Who is asked for next. Lost at the end of the process, which harms nobody."""

    _turns: dict[Author, _Turn] = field(default_factory=dict[Author, _Turn])

    def round(self, reader: Reader, now_ms: int) -> list[tuple[Author, Author]]:
        """The pairs of publisher and accused whose turn it is; each publisher's pause doubles."""
        waiting = list(publishers(reader))
        self._turns = {one: self._turns.get(one, _Turn()) for one in waiting}
        found: list[tuple[Author, Author]] = []
        for publisher, turn in sorted(self._turns.items(), key=lambda item: item[1].due_ms):
            if turn.left_ms(now_ms) or len(found) + QUOTA > ASKED_MAX:
                continue
            chosen = list(islice(accused_by(reader, publisher, turn.after), QUOTA))
            if turn.after and len(chosen) < QUOTA:
                again = islice(accused_by(reader, publisher), QUOTA - len(chosen))
                chosen += [one for one in again if one <= turn.after]
            turn.after = chosen[-1]
            turn.due_ms = now_ms + turn.pause_ms
            turn.pause_ms = min(2 * turn.pause_ms, PAUSE_MAX_MS)
            found += [(publisher, one) for one in chosen]
        return found

    def met(self, publisher: Author) -> None:
        """One whom this publisher accuses is known now: the next are asked for at once."""
        turn = self._turns.get(publisher)
        if turn is not None:
            turn.hasten()

    def hasten(self) -> None:
        """More is known than before: ask everybody's anew."""
        for turn in self._turns.values():
            turn.hasten()

    def again_ms(self, now_ms: int) -> int | None:
        """When the next round is due, from now; ``None`` if nobody waits."""
        return min((turn.left_ms(now_ms) for turn in self._turns.values()), default=None)
