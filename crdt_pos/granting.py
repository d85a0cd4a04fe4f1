"""Granting one's own rights: a till in its turn, a head office (what it credited as goodwill, or was given) by itself."""

from __future__ import annotations

from collections.abc import Sequence

from crdt_pos.balance import Balance, balance_document
from crdt_pos.folder import Folder
from crdt_pos.rights_batch import Wish
from crdt_pos.schema import BALANCE, SCHEMA
from crdt_pos.till import Till
from gossip.log import Arrival, Log
from gossip.own_feed import OwnFeed
from merge_rules.lattice import Author
from peers.permissions import Role


def grant_all(
    till: Till | None, log: Log, folder: Folder, wishes: Sequence[Wish], to: Author, now_ms: int
) -> list[int]:
    """Grant at most what is wished for of each account, each named once, in one transaction; how much of each."""
    if till is not None:
        return till.grant_all([(wish.programme, wish.account, wish.amount) for wish in wishes], to)
    if folder.certificate.role is not Role.OFFICE:
        return [0] * len(wishes)
    me = folder.certificate.author
    granted: list[int] = []
    arrivals: list[Arrival] = []
    with log.read() as reader:
        for wish in wishes:
            document = balance_document(wish.programme, wish.account)
            balance, amount = Balance.read(reader, wish.programme, wish.account).granted(me, to, wish.amount)
            granted.append(amount)
            if amount:
                feed = OwnFeed.read(reader, folder.key, me, document, SCHEMA[BALANCE])
                arrivals += feed.arrivals([balance.body(me)], now_ms << 16)
    if arrivals:
        log.append(arrivals, received_ms=now_ms)
    return granted
