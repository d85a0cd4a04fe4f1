"""Entries that one session of this replica is fetching, so that others which hear of the same wait instead of asking too.

An author with which there is a session pushes its own entries there: whoever else announces them waits for that.

Where nothing has come after ``SLOW_MS`` a segment was probably lost, and TCP waits ten times as long before it sends it again: so
the next one that announces the entry is asked as well. After Dean and Barroso, The Tail at Scale (2013): such second requests are
few, and have a budget.
"""

from __future__ import annotations

from typing import Final

from gossip.entry import Hash
from merge_rules.dataclass import dataclass
from merge_rules.lattice import Author

SLOW_MS: Final = 20
"""On a LAN an answer takes some five. There is no timer: it is an announcement that finds the first one slow."""
ASKED_MAX: Final = 2
"""Sessions that fetch one entry at once."""
FETCHED_PER_SECOND_ASK: Final = 10
"""One entry may be asked for a second time for so many announced ones that are fetched,"""
SECOND_ASKS_MAX: Final = 16
"""and so many at once: a second one answers what is lost, and brings no long feed twice."""


@dataclass(frozen=True, slots=True)
class _Claim:
    since_ms: int
    owner: object
    """Whoever was asked last."""
    asked: int
    """How many."""


class InFlight:
    """Shared by the sessions of a node. A claim lapses, since the peer may have gone."""

    def __init__(self, fetch_ms_max: int = 3_000, claims_max: int = 1 << 16) -> None:
        self._fetch_ms_max = fetch_ms_max
        self._claims_max = claims_max
        self._cleared_ms = -fetch_ms_max
        self._claims: dict[Hash, _Claim] = {}
        self._sessions: dict[Author, object] = {}
        self._credit = SECOND_ASKS_MAX * FETCHED_PER_SECOND_ASK
        """Fetched entries that no second ask has been paid with."""

    def meets(self, author: Author, owner: object) -> None:
        """The owner's session is with this author."""
        self._sessions[author] = owner

    def claim(self, wanted: Hash, owner: object, now_ms: int, author: Author, entries: int = 1) -> bool:
        """Whether the caller shall fetch an entry of ``author``: nobody else does, or has for too long. ``entries``: so many
        come with it, itself included."""
        before = self._claims.get(wanted)
        if before is not None and self._holds(before, now_ms):
            if not self._may_ask_second(before, owner, now_ms, entries):
                return False
            self._credit -= entries * FETCHED_PER_SECOND_ASK
            self._claims[wanted] = _Claim(now_ms, owner, before.asked + 1)
            return True
        self._credit = min(self._credit + 1, SECOND_ASKS_MAX * FETCHED_PER_SECOND_ASK)
        # The author's own session comes first, once.
        fetches = owner if before is not None else self._sessions.get(author, owner)
        if len(self._claims) >= self._claims_max and now_ms - self._cleared_ms >= self._fetch_ms_max:
            self._cleared_ms = now_ms  # a look at all of them: not for every claim that a peer makes up
            self._claims = {hash_: claim for hash_, claim in self._claims.items() if self._holds(claim, now_ms)}
        if len(self._claims) < self._claims_max:
            self._claims[wanted] = _Claim(now_ms, fetches, 1)
            return fetches is owner
        return True

    def came(self, hash_: Hash) -> None:
        """An entry has come and will be on the disk soon: nobody else is to be asked meanwhile."""
        claim = self._claims.get(hash_)
        if claim is not None:
            self._claims[hash_] = _Claim(claim.since_ms, claim.owner, ASKED_MAX)

    def release(self, owner: object) -> None:
        """The owner's session is over: whatever it was fetching, others may."""
        self._claims = {hash_: claim for hash_, claim in self._claims.items() if claim.owner is not owner}
        self._sessions = {author: one for author, one in self._sessions.items() if one is not owner}

    def _holds(self, claim: _Claim, now_ms: int) -> bool:
        return now_ms - claim.since_ms < self._fetch_ms_max

    def _may_ask_second(self, claim: _Claim, owner: object, now_ms: int, entries: int) -> bool:
        slow = now_ms - claim.since_ms >= SLOW_MS
        paid = entries * FETCHED_PER_SECOND_ASK <= self._credit
        return slow and paid and claim.asked < ASKED_MAX and claim.owner is not owner
