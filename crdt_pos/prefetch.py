"""Fetching rights in advance: one till of a store holds an account's rights, and asks before anybody stands at a counter.

Which one, a hash says (rendezvous hashing) among the tills that hear each other; the others borrow from it. It asks when what it
holds has sunk below ``LOW_WATER``, or below all there is if that is less: its neighbours, then head offices, whoever holds most
first. Tills of other stores are not asked in advance, since two stores would fetch from each other for ever. Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from crdt_pos.balance import Balance
from crdt_pos.rights_batch import WISHES_MAX, Wish
from crdt_pos.schema import BALANCE
from gossip.document import Document
from gossip.log import Reader
from merge_rules.lattice import Author

LOW_WATER: Final = 500
"""Rights to an account, in its own unit: 500 points, 5.00 of a gift card."""
WORTH: Final = 100
"""Fewer rights than this are not worth an entry of whoever holds them."""
LOOKED_AT_ONCE: Final = 2048


def holder(account: bytes, tills: Iterable[Author]) -> Author | None:
    """The till that holds an account's rights. Who leaves or comes moves no account between the others."""
    return max(tills, key=lambda till: (hashlib.sha256(b"rights " + account + till).digest(), till), default=None)


def wishes(
    reader: Reader,
    accounts: Iterable[tuple[str, bytes]],
    me: Author,
    tills: Collection[Author],
    others: Collection[Author],
) -> dict[Author, list[Wish]]:
    """What to ask whom for: of the accounts those that ``me`` holds among ``tills``; ``others`` are asked last."""
    found: dict[Author, list[Wish]] = {}
    for programme, account in accounts:
        if holder(account, {*tills, me}) != me:
            continue
        balance = Balance.read(reader, programme, account)
        mine = balance.redeemable(me)
        if mine.here >= min(mine.company, LOW_WATER):
            continue
        for donor, rights in _most_first(balance, tills, me) or _most_first(balance, others, me):
            asked = found.setdefault(donor, [])
            if len(asked) < WISHES_MAX:
                asked.append(Wish(programme, account, rights))
    return {donor: asked for donor, asked in found.items() if asked}


def _most_first(balance: Balance, among: Collection[Author], me: Author) -> list[tuple[Author, int]]:
    held = [(one, balance.redeemable(one).here) for one in among if one != me]
    return sorted(((one, rights) for one, rights in held if rights >= WORTH), key=lambda pair: (-pair[1], pair[0]))


def changed(reader: Reader, after: int) -> tuple[set[tuple[str, bytes]], int]:
    """The accounts of which something arrived after a number, and up to which one was looked; the same if there is no more."""
    found: set[tuple[str, bytes]] = set()
    for stored in reader.arrivals(after, LOOKED_AT_ONCE):
        after = stored.arrival
        account = account_of(stored.entry.document) if stored.entry.document.kind == BALANCE else None
        if account is not None:
            found.add(account)
    return found, after


def account_of(document: Document) -> tuple[str, bytes] | None:
    """Programme and account of a balance's name."""
    match document.keys:
        case (str(programme), bytes(account)):
            return programme, account
        case _:
            return None


def held(reader: Reader, me: Author) -> Iterator[Wish]:
    """Every account to which ``me`` holds rights, and how many."""
    for document in reader.documents(BALANCE):
        account = account_of(document)
        if account is not None:
            rights = Balance.read(reader, *account).redeemable(me).here
            if rights > 0:
                yield Wish(*account, rights)


def parted(
    reader: Reader, me: Author, tills: Collection[Author], offices: Collection[Author]
) -> dict[Author, list[Wish]]:
    """To whom a till that closes grants what it holds: for each account the till that holds it then, else a head office."""
    found: dict[Author, list[Wish]] = {}
    for wish in held(reader, me):
        to = holder(wish.account, [one for one in tills if one != me]) or min(offices, default=None)
        if to is not None:
            found.setdefault(to, []).append(wish)
    return found
