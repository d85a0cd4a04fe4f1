"""Who may author and who may read: a table handed down from above, looked up with a certificate.

Pure. What a replica may do follows from its role and its store, both of which its certificate proves; nothing here asks a
server.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from merge_rules.dataclass import dataclass


class Role(StrEnum):
    """What a replica is for; stands in its certificate."""

    OFFICE = "office"
    """A head office: issues certificates, keeps the roster and the catalogue, sees every store's summaries."""
    TILL = "till"
    """Sells in one store."""
    RELAY = "relay"
    """Passes on what it cannot read or author."""
    MANAGER = "manager"
    """A store's back office: reads what its tills read, says who works there, and sells nothing."""


IN_STORE: Final = frozenset({Role.TILL, Role.MANAGER})
"""Roles of one store: they read it and write in it, and in no other."""


@dataclass(frozen=True, slots=True)
class Permission:
    """Which roles may author a kind, and whether a replica of a store must belong to that of the document's first key."""

    roles: frozenset[Role]
    own_store: bool = True


def may_author(permission: Permission, role: Role, store: int | None, document_store: int | None) -> bool:
    """Whether a replica of ``role`` in ``store`` may author a document of ``document_store``.

    ``store`` is ``None`` for replicas of no store, ``document_store`` for documents of no store, which are nobody's own.
    """
    if role not in permission.roles:
        return False
    return role not in IN_STORE or not permission.own_store or (store is not None and store == document_store)


def readable_scopes(role: Role, store: int | None, stores: frozenset[int]) -> frozenset[str]:
    """The scopes that a replica may read, as text.

    A till and a manager read the company's and their own store's; a head office the company's and every store's summaries,
    balances, but no journal: sale-by-sale detail stays in the store. ``stores`` are the stores the roster knows.
    """
    scopes = {"company"}
    if role in IN_STORE and store is not None:
        scopes |= {f"{name}/{store}" for name in ("store", "journal", "patrons")}
    if role is Role.OFFICE:
        scopes |= {f"{name}/{number}" for name in ("store", "patrons") for number in stores}
    return frozenset(scopes)
