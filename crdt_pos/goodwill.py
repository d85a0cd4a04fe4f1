"""Goodwill: what a head office credits to an account because rights were lost with a replica, earned by the office itself.

Nobody can spend the rights of a replica that is lost, so they are written off; an office that makes up for them issues new ones
in its own entry, which is a cost, and shown as one. A customer finds them at any till, which borrows them as it does others.
"""

from __future__ import annotations

from dataclasses import replace

from crdt_pos.balance import Balance, balance_document
from crdt_pos.folder import Folder
from crdt_pos.local_shapes import Asked
from crdt_pos.receipt import ACCOUNT_BYTES
from crdt_pos.rights import PROGRAMME_CHARACTERS_MAX
from crdt_pos.schema import BALANCE, SCHEMA
from gossip.log import Log
from gossip.own_feed import OwnFeed
from merge_rules.dataclass import dataclass

AMOUNT_MAX = 10**9


@dataclass(frozen=True, slots=True)
class Goodwill:
    """So much for this account."""

    programme: str
    account: bytes
    amount: int

    def plain(self) -> dict[str, object]:
        """As a request holds it."""
        return {"programme": self.programme, "account": self.account.hex(), "amount": self.amount}

    @classmethod
    def asked(cls, asked: Asked) -> Goodwill:
        """Of a request. Raises ``Declined``."""
        programme = asked.text("programme", characters_max=PROGRAMME_CHARACTERS_MAX)
        goodwill = cls(programme, asked.account("account"), asked.integer("amount", low=1, high=AMOUNT_MAX))
        asked.end()
        return goodwill


def give(log: Log, office: Folder, goodwill: Goodwill, now_ms: int) -> int:
    """Sign it; what the account has then."""
    assert len(goodwill.account) == ACCOUNT_BYTES
    me = office.certificate.author
    document = balance_document(goodwill.programme, goodwill.account)
    with log.read() as reader:
        balance = Balance.read(reader, goodwill.programme, goodwill.account)
        after = replace(balance, counter=balance.counter.join(balance.counter.earn(me, goodwill.amount)))
        feed = OwnFeed.read(reader, office.key, me, document, SCHEMA[BALANCE])
    log.append(feed.arrivals([after.body(me)], now_ms << 16), received_ms=now_ms)
    return after.value
