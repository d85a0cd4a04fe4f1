"""Homecoming: after a start a till does not act before somebody could say what it wrote last, for so long and no longer.

    asking       others may know more than this disk: until a neighbour has answered, or a deadline has passed
    at home      it acts
    set back     it is proven that others know more: until that is here again; then ``healing.heal``

A till that nobody ever heard of, and one that nobody can be asked about, sells: shops open with nothing reachable. Where it is
proven that the disk was set back it does not, since whatever it signed then would contradict what it has signed before.

Proof is an entry with this till's own signature that its disk has lost: one that came, or that an answer shows. That a peer has
read further in this log than it reaches is only said: it makes the till ask for a little longer, once, and nothing else.
Sans-I/O: the clock is an argument.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from crdt_pos.healing import Why, has_met, set_back
from crdt_pos.own_heads import is_lost, newest_own
from gossip.entry import Entry
from gossip.log import Reader
from merge_rules.lattice import Author

ASKING_MS_MAX: Final = 5_000
"""How long the first act after a start waits for an answer."""
SUSPECTING_MS_MAX: Final = 10_000
"""The same where a peer that need not know most says that it has read further than this log reaches."""
QUIET_MS: Final = 1_000
"""Nothing of its own has come for so long: then what peers hold is here."""
SHOWN_MS_MAX: Final = 30_000
"""Entries that peers have shown are waited for so long after anything of its own has come."""
NEIGHBOUR_MS_MAX: Final = 60_000
"""How long a neighbour, who holds the journal, is waited for when head office has answered, or nobody who is there does."""


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
        self._suspected = False
        self._heard: set[Author] = set()
        self._reached = False
        self._neighbour_answered = False
        self._shown: dict[Entry, Author] = {}
        self._showed_in_vain: set[Author] = set()

    def may_act(self, now_ms: int) -> bool:
        """Whether the till may sign anything now."""
        asking_ms_max = SUSPECTING_MS_MAX if self._suspected else ASKING_MS_MAX
        return self.why is None and not (self._asking and now_ms - self._began_ms < asking_ms_max)

    def unheard(self, now_ms: int) -> bool:
        """Whether it acts though nobody who may know more could be asked."""
        return self.why is None and self._asking and self.may_act(now_ms)

    def since(self, reader: Reader, peer: Author) -> int:
        """What to ask a peer: heads newer than this. Until it answers, newer than anything that the disk held at the start."""
        return newest_own(reader, self._me) if peer in self._heard else self._since

    def heard(
        self, reader: Reader, peer: Author, shown: Sequence[Entry], *, neighbour: bool, beyond: bool, now_ms: int
    ) -> Why | None:
        """A peer has answered; what that proves for the first time. ``shown``: own entries, whose signatures are right.
        ``neighbour``: nobody else in reach would know more. ``beyond``: it says it has read more of this log than there is.
        """
        before = self.why
        self._heard.add(peer)
        self._reached = True
        self._suspected |= beyond
        lost = [entry for entry in shown if is_lost(reader, entry)]
        if lost and peer not in self._showed_in_vain:
            self._shown.update(dict.fromkeys(lost, peer))
            self._proven(Why.ENTRIES, now_ms)
        if neighbour:
            # Last: acts on another thread begin as soon as nobody is asked any more, and must find the proof by then.
            self._neighbour_answered, self._asking = True, False
        return self.why if before is None else None

    def unanswered(self) -> None:
        """A peer is there and does not answer: that says nothing, and is not waited for without end."""
        self._reached = True

    def came_back(self, now_ms: int) -> Why | None:
        """Entries of its own have come from a peer, and were not here; what that proves for the first time."""
        before = self.why
        self._proven(Why.ENTRIES, now_ms)
        return self.why if before is None else None

    def complete(self, reader: Reader, now_ms: int) -> bool:
        """Whether the disk was set back, and holds again what can be had."""
        if self.why is None:
            return False
        self._shown = {entry: peer for entry, peer in self._shown.items() if is_lost(reader, entry)}
        waited_ms = now_ms - self._progress_ms
        if waited_ms < (SHOWN_MS_MAX if self._shown else QUIET_MS):
            return False
        if not self.met and self.why is Why.RESTORED:
            return True  # nobody ever had anything of it
        return self._neighbour_answered or (self._reached and waited_ms >= NEIGHBOUR_MS_MAX)

    def healed(self, reader: Reader) -> None:
        """It is healed: its sessions begin again, and every peer is asked again.

        Whoever showed what it then never brought is not waited for once more.
        """
        self.why, self._asking = None, False
        self._since = newest_own(reader, self._me)
        self._showed_in_vain.update(self._shown.values())
        self._heard.clear()
        self._shown.clear()

    def _proven(self, why: Why, now_ms: int) -> None:
        self._progress_ms = now_ms
        if self.why is None:
            self.why = why
