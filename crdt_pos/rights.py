"""Borrowing rights: what a replica asks when its own do not suffice, and what it answers when asked.

The question is ``[programme, account, amount, taker]`` under the topic ``rights``; the answer is how much was granted. The
grant itself is a signed entry in the account's ``balance`` document and travels like any other. A till grants its own rights.
A head office holds none, so it passes the question on to the replica with the most, which grants to the taker directly. Few
tills of a store talk with an office, and a large store's tills with few neighbours: with a fifth part, those who have the
question already, a till that is asked passes it on as well, to none of these.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, cast

from crdt_pos.balance import Balance
from crdt_pos.receipt import ACCOUNT_BYTES
from gossip.log import Reader
from merge_rules import canonical
from merge_rules.dataclass import dataclass
from merge_rules.errors import NotCanonical
from merge_rules.lattice import AUTHOR_BYTES, Author

TOPIC: Final = "rights"
PROGRAMME_CHARACTERS_MAX: Final = 40
AMOUNT_MAX: Final = 2**53
ASKED_MAX: Final = 64
"""Through so many hands a question goes."""


@dataclass(frozen=True, slots=True)
class RightsQuestion:
    """May ``taker`` have up to ``amount`` of the rights to this account?"""

    programme: str
    account: bytes
    amount: int
    taker: Author
    asked: frozenset[Author] = frozenset()
    """Who has it already; none: it is for whoever is asked alone."""

    def encode(self) -> bytes:
        """The content of the question."""
        content: list[object] = [self.programme, self.account, self.amount, self.taker]
        return canonical.encode([*content, sorted(self.asked)] if self.asked else content)

    @classmethod
    def decode(cls, content: bytes) -> RightsQuestion | None:
        """``None`` for content that is no such question: a peer's fault, answered with nothing."""
        try:
            value = canonical.decode(content)
        except NotCanonical:
            return None
        parts = cast("list[object]", value) if isinstance(value, list) else []
        asked = _asked(parts[4:])
        match parts[:4]:
            case [str(programme), bytes(account), int(amount), bytes(taker)] if (
                0 < len(programme) <= PROGRAMME_CHARACTERS_MAX
                and len(account) == ACCOUNT_BYTES
                and not isinstance(amount, bool)
                and 0 < amount <= AMOUNT_MAX
                and len(taker) == AUTHOR_BYTES
                and asked is not None
            ):
                return cls(programme, account, amount, Author(taker), asked)
            case _:
                return None


def _asked(rest: list[object]) -> frozenset[Author] | None:
    if not rest:
        return frozenset()
    said = cast("list[object]", rest[0]) if len(rest) == 1 and isinstance(rest[0], list) else []
    authors = [Author(one) for one in said if isinstance(one, bytes) and len(one) == AUTHOR_BYTES]
    return frozenset(authors) if 0 < len(authors) == len(said) <= ASKED_MAX else None


def encode_granted(amount: int) -> bytes:
    """The content of the answer."""
    return canonical.encode(amount)


def decode_granted(content: bytes | None) -> int:
    """How much a peer says it granted; 0 for no answer or one that is no number."""
    if content is None:
        return 0
    try:
        value = canonical.decode(content)
    except NotCanonical:
        return 0
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= AMOUNT_MAX else 0


def donors(reader: Reader, programme: str, account: bytes, among: Iterable[Author]) -> list[Author]:
    """Those ``among`` the given that hold rights to an account, most first."""
    balance = Balance.read(reader, programme, account)
    held = {author: balance.redeemable(author).here for author in among}
    return sorted((author for author, rights in held.items() if rights > 0), key=lambda author: (-held[author], author))
