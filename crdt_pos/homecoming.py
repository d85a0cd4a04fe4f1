"""Homecoming: after a start a till does not act before somebody could say what it wrote last, for so long and no longer.

    asking       others may know more than this disk: until a neighbour has answered, or a deadline has passed
    at home      it acts
    set back     it is proven that others know more: until that is here again; then ``healing.heal``

A till that nobody ever heard of, and one that nobody can be asked about, sells: shops open with nothing reachable. Where it is
proven that the disk was set back it does not, since whatever it signed then would contradict what it has signed before.
Sans-I/O: the clock is an argument.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from crdt_pos.healing import Why, has_met, set_back
from crdt_pos.own_heads import OwnHead, lacking, newest_own, reached
from gossip.log import Reader
from merge_rules.lattice import Author

ASKING_MS_MAX: Final = 5_000
"""How long the first act after a start waits for an answer."""
QUIET_MS: Final = 1_000
"""Nothing of its own has come for so long: then what peers hold is here."""
CLAIM_MS_MAX: Final = 30_000
"""Heads that a peer says it holds are waited for so long after anything of them has come."""
NEIGHBOUR_MS_MAX: Final = 60_000
"""How long a neighbour, who holds the journal, is waited for when head office has answered."""


class Homecoming:
    """Where one till stands since its process began."""

    def __init__(self, reader: Reader, me: Author, now_ms: int) -> None:
        self.why: Why | None = set_back(reader)
        """What proves that the disk was set back; ``None`` while nothing does."""
        self.met = has_met(reader)
        self._me = me
        self._began_ms = self._progress_ms = now_ms
        self._since = newest_own(reader, me)
        self._asking = self.met
        self._asked: set[Author] = set()
        self._answered = False
        self._neighbour_answered = False
        self._cursor_counts = True
        self._missing: dict[OwnHead, None] = {}

    def may_act(self, now_ms: int) -> bool:
        """Whether the till may sign anything now."""
        return self.why is None and not (self._asking and now_ms - self._began_ms < ASKING_MS_MAX)

    def unheard(self, now_ms: int) -> bool:
        """Whether it acts though nobody who may know more could be asked."""
        return self.why is None and self._asking and self.may_act(now_ms)

    def since(self, reader: Reader, peer: Author) -> int:
        """What to ask a peer: heads newer than this. The first time, newer than anything that the disk held at the start."""
        if peer in self._asked:
            return newest_own(reader, self._me)
        self._asked.add(peer)
        return self._since

    def heard(
        self, reader: Reader, heads: Sequence[OwnHead], *, neighbour: bool, beyond: bool, now_ms: int
    ) -> Why | None:
        """A peer has answered; what that proves for the first time. ``neighbour``: nobody else in reach would know more.
        ``beyond``: it has read more of this log than there is."""
        before = self.why
        self._answered = True
        if neighbour:
            self._neighbour_answered, self._asking = True, False
        missing = lacking(reader, heads)
        if missing:
            self._missing.update(dict.fromkeys(missing))
            self._proven(Why.ENTRIES, now_ms)
        elif beyond and self._cursor_counts:
            self._proven(Why.CURSOR, now_ms)
        return self.why if before is None else None

    def came_back(self, now_ms: int) -> Why | None:
        """Entries of its own have come from a peer, and were not here; what that proves for the first time."""
        before = self.why
        self._proven(Why.ENTRIES, now_ms)
        return self.why if before is None else None

    def complete(self, reader: Reader, now_ms: int) -> bool:
        """Whether the disk was set back, and holds again what can be had."""
        if self.why is None:
            return False
        self._missing = {head: None for head in self._missing if not reached(reader, head)}
        waited_ms = now_ms - self._progress_ms
        if waited_ms < (CLAIM_MS_MAX if self._missing else QUIET_MS):
            return False
        if not self.met and self.why is Why.RESTORED:
            return True  # nobody ever had anything of it
        return self._neighbour_answered or (self._answered and waited_ms >= NEIGHBOUR_MS_MAX)

    def healed(self, reader: Reader) -> None:
        """It is healed: its sessions begin again, and every peer is asked again."""
        self.why, self._asking, self._cursor_counts = None, False, False
        self._since = newest_own(reader, self._me)
        self._asked.clear()
        self._missing.clear()

    def _proven(self, why: Why, now_ms: int) -> None:
        self._progress_ms = now_ms
        if self.why is None:
            self.why = why
