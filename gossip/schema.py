"""What gossip needs to know of a kind of document. The table itself is handed down from ``crdt_pos.schema``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Final, NamedTuple

from gossip.document import Document, FeedType, Key, ScopeClass
from gossip.entry import Entry, Hash
from merge_rules.dataclass import dataclass
from merge_rules.lattice import Author, Rule
from peers.permissions import Permission

NUMBER_MAX: Final = 999_999_999
"""Of stores and tills: what a certificate can name."""
ACCOUNT_BYTES: Final = 8


class KeyType(Enum):
    """What may stand as a key in a document's name. A name in another type would pass by whoever compares it."""

    NUMBER = "number"
    """A store or a till: an integer from 1 to ``NUMBER_MAX``."""
    SHARD = "shard"
    """An integer from 0 to ``NUMBER_MAX``."""
    TEXT = "text"
    """Not empty."""
    ACCOUNT = "account"
    """``ACCOUNT_BYTES`` bytes."""

    def fits(self, key: Key) -> bool:
        """Whether ``key`` is one of this type."""
        match self:
            case KeyType.NUMBER | KeyType.SHARD:
                least = 1 if self is KeyType.NUMBER else 0
                return isinstance(key, int) and not isinstance(key, bool) and least <= key <= NUMBER_MAX
            case KeyType.TEXT:
                return isinstance(key, str) and bool(key)
            case KeyType.ACCOUNT:
                return isinstance(key, bytes) and len(key) == ACCOUNT_BYTES


class Reach(NamedTuple):
    """How far a ``whole`` feed counts."""

    feed: bytes
    """Its feed key."""
    seq: int
    hash: bytes
    """The hash of the entry with that number, or its first 16 bytes."""


class CutOff(NamedTuple):
    """What one entry says of which of an author's entries count: see ``gossip.cut_off``."""

    author: Author
    revokes: bool
    """Whether it cuts off; else it only lets more count."""
    entries: tuple[Entry, ...] = ()
    reaches: tuple[Reach, ...] = ()
    readmitted: tuple[Hash, ...] = ()


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the schema table."""

    name: str
    feed: FeedType
    scope: ScopeClass
    rule: type[Rule]
    """Checks bodies, orders those of one author (``latest`` feeds), joins them to a value."""
    authors: Permission
    keys: tuple[KeyType, ...]
    """The types of the keys in the name, the date not counted."""
    dated: bool
    retention_days: int | None
    """How long entries stay after they are acknowledged elsewhere; ``None`` for ever."""
    patrons: Callable[[object], Iterable[Key]] | None = None
    """For the kind that says which accounts belong to a store: the accounts that a body names."""
    cuts: Callable[[object], Iterable[CutOff]] | None = None
    """For kinds that cut authors off: the cut-offs that a body states."""
    shreds: Callable[[object], Iterable[Document]] | None = None
    """For kinds that destroy documents: the documents of which, by a body, nothing may be held any more, by nobody."""

    def names(self, document: Document) -> bool:
        """Whether ``document`` is a well-formed name of this kind."""
        return (
            document.kind == self.name
            and bool(document.day) is self.dated
            and len(document.keys) == len(self.keys)
            and all(one.fits(key) for one, key in zip(self.keys, document.keys, strict=True))
        )


Schema = Mapping[str, Kind]
"""Kinds by name. A kind that is not here is stored and passed on: feed type and scope stand in every entry."""
