"""What the tests of the log are made of: a rule, a schema, three authors and short ways to sign entries."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self, cast

from gossip.document import Document, FeedType, Key, ScopeClass
from gossip.entry import Entry, Hash, sign
from gossip.log import Appended, Arrival, Log, Outcome
from gossip.schema import KeyType, Kind, Schema
from merge_rules.errors import InvalidBody
from merge_rules.lattice import Author
from peers.keys import SecretKey, author_of
from peers.permissions import Permission, Role

COMPANY = b"company of the tests"
KEYS = [SecretKey(bytes([number]) * 32) for number in range(1, 4)]
AUTHORS = [author_of(key.public, "a1") for key in KEYS]
KEY_OF = dict(zip(AUTHORS, KEYS, strict=True))
PEER = Author(b"a peer!!")


@dataclass(frozen=True)
class Maxima:
    """The greatest number seen of each name: the simplest rule whose bodies need not follow their sequence numbers."""

    seen: tuple[tuple[int, int], ...] = ()

    @classmethod
    def bottom(cls) -> Self:
        return cls()

    def join(self, other: Self) -> Self:
        joined = dict(self.seen)
        for name, number in other.seen:
            joined[name] = max(number, joined.get(name, 0))
        return type(self)(tuple(sorted(joined.items())))

    def precedes(self, other: Self) -> bool:
        return self.join(other) == other

    def body(self) -> object:
        return dict(self.seen)

    @classmethod
    def from_body(cls, body: object) -> Self:
        if not isinstance(body, dict):
            raise InvalidBody("not a map")
        return cls(tuple(sorted(cast("dict[int, int]", body).items())))

    @classmethod
    def from_entry(cls, author: Author, seq: int, body: object) -> Self:
        return cls.from_body(body)

    def entry_body(self, author: Author) -> object:
        return self.body()


def _accounts(body: object) -> Iterable[Key]:
    return cast("dict[Key, int]", body) if isinstance(body, dict) else ()


_ANYONE = Permission(frozenset(Role))
_STORE, _ACCOUNT = (KeyType.NUMBER,), (KeyType.TEXT, KeyType.ACCOUNT)
SCHEMA: Schema = {
    kind.name: kind
    for kind in (
        Kind("day", FeedType.LATEST, ScopeClass.STORE, Maxima, _ANYONE, _STORE, dated=True, retention_days=None),
        Kind("journal", FeedType.WHOLE, ScopeClass.JOURNAL, Maxima, _ANYONE, _STORE, dated=True, retention_days=None),
        Kind("roster", FeedType.WHOLE, ScopeClass.COMPANY, Maxima, _ANYONE, (), dated=False, retention_days=None),
        Kind(
            "balance", FeedType.LATEST, ScopeClass.PATRONS, Maxima, _ANYONE, _ACCOUNT, dated=False, retention_days=None
        ),
        Kind(
            "coupons", FeedType.WHOLE, ScopeClass.PATRONS, Maxima, _ANYONE, _ACCOUNT, dated=False, retention_days=None
        ),
        Kind(
            "patrons",
            FeedType.LATEST,
            ScopeClass.STORE,
            Maxima,
            _ANYONE,
            _STORE,
            dated=False,
            retention_days=None,
            patrons=_accounts,
        ),
    )
}


def day(number: int = 20000, store: int = 12) -> Document:
    return Document("day", number, (store,))


def journal(number: int = 20000, store: int = 12) -> Document:
    return Document("journal", number, (store,))


def balance(account: bytes) -> Document:
    return Document("balance", 0, ("points", account))


def patrons(store: int) -> Document:
    return Document("patrons", 0, (store,))


def entry(
    document: Document, seq: int, body: object, author: Author = AUTHORS[0], previous: Hash | None = None
) -> Entry:
    kind = SCHEMA.get(document.kind)
    feed = kind.feed if kind else FeedType.LATEST
    scope = kind.scope if kind else ScopeClass.COMPANY
    return sign(KEY_OF[author], author, document, feed, scope, seq, seq << 16, body, previous)


def chain(
    document: Document, length: int, author: Author = AUTHORS[0], mark: int = 0, after: Entry | None = None
) -> list[Entry]:
    """``length`` entries of a whole feed, each after the one before."""
    made: list[Entry] = []
    for _ in range(length):
        seq = after.seq + 1 if after else 1
        after = entry(document, seq, {0: mark}, author, after.hash if after else None)
        made.append(after)
    return made


def append(log: Log, *entries: Entry, sender: Author | None = PEER) -> list[Appended]:
    """Append as one batch that came from a peer."""
    return log.append([Arrival(one, sender) for one in entries])


def append_all(log: Log, entries: Iterable[Entry]) -> None:
    """Append one by one in this order, and offer again what had to wait for its predecessor."""
    waiting = list(entries)
    while waiting:
        again = [one for one in waiting if append(log, one)[0].outcome is Outcome.GAP]
        assert len(again) < len(waiting), "some predecessor is not among the entries"
        waiting = again
