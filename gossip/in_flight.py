"""Entries that one session of this replica is fetching, so that others which hear of the same wait instead of asking too."""

from __future__ import annotations

from gossip.entry import Hash


class InFlight:
    """Shared by the sessions of a node. A claim lapses, since the peer may have gone."""

    def __init__(self, fetch_ms_max: int = 3_000, claims_max: int = 1 << 16) -> None:
        self._fetch_ms_max = fetch_ms_max
        self._claims_max = claims_max
        self._until_ms: dict[Hash, int] = {}

    def claim(self, wanted: Hash, now_ms: int) -> bool:
        """Whether the caller shall fetch it: nobody else does, or has for too long."""
        if self._until_ms.get(wanted, now_ms) > now_ms:
            return False
        if len(self._until_ms) >= self._claims_max:
            self._until_ms = {hash_: until for hash_, until in self._until_ms.items() if until > now_ms}
        if len(self._until_ms) < self._claims_max:
            self._until_ms[wanted] = now_ms + self._fetch_ms_max
        return True
