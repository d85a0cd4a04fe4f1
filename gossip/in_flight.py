"""Entries that one session of this replica is fetching, so that others which hear of the same wait instead of asking too.

An author with which there is a session pushes its own entries there: whoever else announces them waits for that.
"""

from __future__ import annotations

from gossip.entry import Hash
from merge_rules.lattice import Author


class InFlight:
    """Shared by the sessions of a node. A claim lapses, since the peer may have gone."""

    def __init__(self, fetch_ms_max: int = 3_000, claims_max: int = 1 << 16) -> None:
        self._fetch_ms_max = fetch_ms_max
        self._claims_max = claims_max
        self._cleared_ms = -fetch_ms_max
        self._claims: dict[Hash, tuple[int, object]] = {}
        self._sessions: dict[Author, object] = {}

    def meets(self, author: Author, owner: object) -> None:
        """The owner's session is with this author."""
        self._sessions[author] = owner

    def claim(self, wanted: Hash, owner: object, now_ms: int, author: Author) -> bool:
        """Whether the caller shall fetch an entry of ``author``: nobody else does, or has for too long."""
        until_ms, _ = self._claims.get(wanted, (now_ms, None))
        if until_ms > now_ms:
            return False
        # The author's own session comes first, once.
        fetches = owner if wanted in self._claims else self._sessions.get(author, owner)
        if len(self._claims) >= self._claims_max and now_ms - self._cleared_ms >= self._fetch_ms_max:
            self._cleared_ms = now_ms  # a look at all of them: not for every claim that a peer makes up
            self._claims = {hash_: claim for hash_, claim in self._claims.items() if claim[0] > now_ms}
        if len(self._claims) < self._claims_max:
            self._claims[wanted] = now_ms + self._fetch_ms_max, fetches
            return fetches is owner
        return True

    def release(self, owner: object) -> None:
        """The owner's session is over: whatever it was fetching, others may."""
        self._claims = {hash_: claim for hash_, claim in self._claims.items() if claim[1] is not owner}
        self._sessions = {author: one for author, one in self._sessions.items() if one is not owner}
