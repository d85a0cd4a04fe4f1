"""Names of documents, and the scopes in which they travel.

A document is named ``kind/key/…``. A document of one day has a date, which stands apart from the other keys, so that
everything in the log is ordered by date first: a peer that missed a day finds it in one piece.
"""

from __future__ import annotations

import datetime
import functools
from enum import IntEnum
from typing import Any, NamedTuple, NewType, cast

from merge_rules import canonical

EPOCH = datetime.date(1970, 1, 1)
NAME_BYTES_MAX = 200

Key = int | str | bytes
Scope = NewType("Scope", str)
"""The unit of partial replication, as text: ``company``, ``store/12``, ``journal/12``, ``vault/12``, ``patrons/12``."""

COMPANY = Scope("company")


class FeedType(IntEnum):
    """How the entries of one author in one document follow each other."""

    LATEST = 0
    """State: a newer entry replaces the older."""
    WHOLE = 1
    """Log: all entries are kept, each holds the hash of the one before."""


class ScopeClass(IntEnum):
    """How the scope of a document follows from its name; it stands in every entry, for kinds that a replica does not know."""

    COMPANY = 0
    STORE = 1
    JOURNAL = 2
    VAULT = 3
    PATRONS = 4
    """The stores whose patron the account (the document's last key) is: known from the ``patrons`` documents."""


class Document(NamedTuple):
    """The name of a document: ``Document("day", day_number(date), (12,))`` is ``day/12/2026-11-22``."""

    kind: str
    day: int = 0
    """Days since 1970-01-01; 0 where the document does not belong to a day."""
    keys: tuple[Key, ...] = ()

    def __str__(self) -> str:
        parts = [self.kind, *(key.hex() if isinstance(key, bytes) else str(key) for key in self.keys)]
        if self.day:
            parts.append(date_of(self.day).isoformat())
        return "/".join(parts)


def day_number(date: datetime.date) -> int:
    """Days from 1970-01-01 to ``date``."""
    return (date - EPOCH).days


def date_of(day: int) -> datetime.date:
    """The date of a day number."""
    return EPOCH + datetime.timedelta(days=day)


@functools.lru_cache(maxsize=4096)
def month_of(day: int) -> int:
    """Months since 1970-01, plus one; 0 for documents without a day."""
    if not day:
        return 0
    date = date_of(day)
    return (date.year - EPOCH.year) * 12 + date.month


@functools.lru_cache(maxsize=65536)
def order_key(document: Document) -> bytes:
    """The bytes that order documents in the log, month first. No order key is a prefix of another."""
    name = canonical.encode([document.day, document.kind, *document.keys])
    return month_of(document.day).to_bytes(2, "big") + name


@functools.lru_cache(maxsize=4096)
def from_order_key(encoded: bytes) -> Document:
    """The document of an order key. Raises ``NotCanonical``."""
    day, kind, *keys = cast("list[Any]", canonical.decode(encoded[2:]))
    return Document(kind, day, tuple(keys))


@functools.lru_cache(maxsize=4096)
def fixed_scope(document: Document, scope: ScopeClass) -> Scope | None:
    """The one scope of a document; ``None`` for ``PATRONS``, whose scopes change as people shop in more stores."""
    if scope is ScopeClass.COMPANY:
        return COMPANY
    if scope is ScopeClass.PATRONS:
        return None
    store = document.keys[0] if document.keys else ""
    return Scope(f"{scope.name.lower()}/{store.hex() if isinstance(store, bytes) else store}")
