"""Many accounts in one question for rights: how a till fetches in advance what it may need, for itself and from whom it talks to.

The question, under the topic ``rights-many``, is ``[+ [programme, account, amount]]``, at most ``WISHES_MAX``, no account twice;
the answer ``[+ granted]`` in their order. Whoever asks takes: it is passed on to nobody. Each peer may ask so often
(``Throttle``); what is asked more often is answered with nothing, and asked again later. Pure.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import field
from typing import Final, NamedTuple, cast

from crdt_pos.receipt import ACCOUNT_BYTES
from crdt_pos.rights import AMOUNT_MAX, PROGRAMME_CHARACTERS_MAX
from merge_rules import canonical
from merge_rules.dataclass import dataclass
from merge_rules.errors import NotCanonical

TOPIC: Final = "rights-many"
WISHES_MAX: Final = 64
QUESTIONS_PER_S: Final = 2
BURST: Final = 4
_WATCHED_MAX: Final = 1024


class Wish(NamedTuple):
    """Up to so many rights to an account."""

    programme: str
    account: bytes
    amount: int


def encode_wishes(wishes: Sequence[Wish]) -> bytes:
    """The content of the question."""
    return canonical.encode([list(wish) for wish in wishes])


def decode_wishes(content: bytes) -> list[Wish]:
    """None for content that is no such question: a peer's fault, answered with nothing."""
    try:
        value = canonical.decode(content)
    except NotCanonical:
        return []
    items = cast("list[object]", value) if isinstance(value, list) else []
    wishes = [wish for item in items[: WISHES_MAX + 1] if (wish := _wish(item)) is not None]
    accounts = {(wish.programme, wish.account) for wish in wishes}
    return wishes if 0 < len(wishes) == len(items) <= WISHES_MAX and len(accounts) == len(wishes) else []


def _wish(item: object) -> Wish | None:
    match item:
        case [str(programme), bytes(account), int(amount)] if (
            0 < len(programme) <= PROGRAMME_CHARACTERS_MAX
            and len(account) == ACCOUNT_BYTES
            and not isinstance(amount, bool)
            and 0 < amount <= AMOUNT_MAX
        ):
            return Wish(programme, account, amount)
        case _:
            return None


def encode_grants(granted: Sequence[int]) -> bytes:
    """The content of the answer."""
    return canonical.encode(list(granted))


def decode_grants(content: bytes | None, wishes: Sequence[Wish]) -> int:
    """How much a peer says that it granted in all; 0 for an answer that is none."""
    try:
        value = canonical.decode(content or b"")
    except NotCanonical:
        return 0
    given = cast("list[object]", value) if isinstance(value, list) else []
    fits = len(given) == len(wishes) and all(
        type(one) is int and 0 <= one <= wish.amount for one, wish in zip(given, wishes, strict=True)
    )
    return sum(cast("list[int]", given)) if fits else 0


@dataclass(slots=True)
class Throttle:
    """So many questions a second for each of many, and a few more at once.

    >>> throttle = Throttle(per_s=2, burst=2)
    >>> [throttle.allows("a", 0), throttle.allows("a", 0), throttle.allows("a", 0), throttle.allows("b", 0)]
    [True, True, False, True]
    >>> throttle.allows("a", 499), throttle.allows("a", 500)
    (False, True)
    """

    per_s: int = QUESTIONS_PER_S
    burst: int = BURST
    _spent: OrderedDict[Hashable, tuple[int, int]] = field(default_factory=OrderedDict[Hashable, tuple[int, int]])
    """Thousandths of a question that are spent, and when that was."""

    def allows(self, who: Hashable, now_ms: int) -> bool:
        """Whether one more is allowed now; if so, it is counted."""
        spent, then_ms = self._spent.pop(who, (0, now_ms))
        spent = max(0, spent - max(0, now_ms - then_ms) * self.per_s)
        allowed = spent + 1000 <= self.burst * 1000
        self._spent[who] = (spent + 1000 if allowed else spent), now_ms
        while len(self._spent) > _WATCHED_MAX:
            self._spent.popitem(last=False)
        return allowed
