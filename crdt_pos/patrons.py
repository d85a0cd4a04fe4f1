"""Patrons: the accounts that shop in a store, so that their balances travel there.

A grow-only set in a ``whole`` feed: an entry names the accounts it adds, so a store's ten-thousandth patron costs as little as
its first.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, cast

from crdt_pos.receipt import ACCOUNT_BYTES
from gossip.document import Document
from merge_rules.errors import InvalidBody

PATRONS: Final = "patrons"
"""``patrons/<store>``: accounts that shop there."""

_PATRON_PREFIX: Final = b"till/patron/"


def patrons_document(store: int) -> Document:
    """``patrons/<store>``."""
    return Document(PATRONS, 0, (store,))


def patron_key(document: Document, account: bytes) -> bytes:
    """The view that says that an account is known to be a patron of the document's store."""
    return _PATRON_PREFIX + str(document).encode() + b"/" + account


def accounts_of(body: object) -> Iterable[bytes]:
    """The accounts that an entry names. Raises ``InvalidBody``."""
    if not isinstance(body, list):
        raise InvalidBody("patrons: not a list")
    accounts = cast("list[object]", body)
    if not all(isinstance(account, bytes) and len(account) == ACCOUNT_BYTES for account in accounts):
        raise InvalidBody(f"patrons: an account that is not {ACCOUNT_BYTES} bytes")
    return cast("list[bytes]", accounts)
