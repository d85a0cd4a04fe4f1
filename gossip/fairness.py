"""What each peer has cost the event loop, and how long it rests because of that while others are busy.

A replica has one event loop. Who makes it work without end, within every bound of the protocol, would make all others wait. So
each has an account: what it has cost is repaid at ``SHARE`` of the time that passes, and who owes more than ``CREDIT_S`` is not
read from while somebody is busy who owes less. Its own socket fills, and nobody else's. Nobody rests for somebody who owes more,
so two that both bring much have their turns, and an attack does not slow whoever catches up. Sans-I/O.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from merge_rules.dataclass import dataclass

SHARE: Final = 0.25
"""Of the event loop's time, for one peer while others are busy."""
USELESS: Final = 4
"""Times that a cost counts from which nobody has got an entry."""
CREDIT_S: Final = 0.1
"""So much may be owed at any time: comparing, greeting and asking for a little never rests."""
OWED_S_MAX: Final = {True: 1.0, False: 2.0}
"""No more is remembered, so that who has cost much once is soon forgiven. Who was useful never owes as much as who was not."""
REST_S_MAX: Final = 0.25
"""Then it is looked again who is busy."""
BUSY_S: Final = 0.25
"""For so long after a cost a peer counts as busy."""


@dataclass(slots=True)
class _Account:
    owed_s: float
    at_s: float
    """When so much was owed: some of it is repaid since."""

    def owes_s(self, now_s: float) -> float:
        return max(0.0, self.owed_s - (now_s - self.at_s) * SHARE)


class Fairness:
    """The accounts of everybody who is served by one event loop."""

    def __init__(self) -> None:
        self._accounts: dict[Hashable, _Account] = {}
        self._busy: dict[Hashable, float] = {}
        """Who had something done in the last ``BUSY_S``, and when, the last one last."""

    def charge(self, who: Hashable, cost_s: float, now_s: float, *, useful: bool) -> None:
        """``who`` has made the event loop work for so long; ``useful``: it has given, or been given, an entry by that."""
        owed_s = self._owes_s(who, now_s)
        more_s = owed_s + cost_s * (1 if useful else USELESS)
        self._accounts[who] = _Account(min(more_s, max(owed_s, OWED_S_MAX[useful])), now_s)
        self._busy.pop(who, None)
        self._busy[who] = now_s
        self._forget(now_s)

    def rest_s(self, who: Hashable, now_s: float, most_s: float = REST_S_MAX) -> float:
        """How long nothing is to be read from ``who`` now, at most ``most_s``."""
        owes_s = self._owes_s(who, now_s)
        over_s = owes_s - CREDIT_S
        if over_s <= 0 or not any(
            now_s - at_s <= BUSY_S and self._owes_s(other, now_s) < owes_s
            for other, at_s in self._busy.items()
            if other != who
        ):
            return 0.0
        return min(over_s / SHARE, most_s)

    def _owes_s(self, who: Hashable, now_s: float) -> float:
        account = self._accounts.get(who)
        return account.owes_s(now_s) if account else 0.0

    def _forget(self, now_s: float) -> None:
        while self._busy and now_s - self._busy[next(iter(self._busy))] > BUSY_S:
            who = next(iter(self._busy))
            del self._busy[who]
        if len(self._accounts) > 2 * len(self._busy) + 64:
            self._accounts = {who: one for who, one in self._accounts.items() if one.owes_s(now_s) > 0}
