"""Who may author and who may read: a table handed down from above, looked up with a certificate.

Pure. What a replica may do follows from its role and its store, both of which its certificate proves; nothing here asks a
server.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a replica is for; stands in its certificate."""

    OFFICE = "office"
    """A head office: issues certificates, keeps the roster and the catalogue, sees every store's summaries."""
    TILL = "till"
    """Sells in one store."""
    RELAY = "relay"
    """Passes on what it cannot read or author."""


@dataclass(frozen=True, slots=True)
class Permission:
    """Which roles may author a kind, and whether a till must belong to the store that the document's first key names."""

    roles: frozenset[Role]
    own_store: bool = True


def may_author(permission: Permission, role: Role, store: int | None, document_store: int | None) -> bool:
    """Whether a replica of ``role`` in ``store`` may author a document of ``document_store``.

    ``store`` is ``None`` for replicas of no store, ``document_store`` for documents of no store, which are nobody's own.
    """
    if role not in permission.roles:
        return False
    return role is not Role.TILL or not permission.own_store or (store is not None and store == document_store)


def readable_scopes(role: Role, store: int | None, stores: frozenset[int]) -> frozenset[str]:
    """The scopes that a replica may read, as text.

    A till reads the company's and its own store's; a head office the company's and every store's summaries, balances, but no
    journal: sale-by-sale detail stays in the store. ``stores`` are the stores the roster knows.
    """
    scopes = {"company"}
    if role is Role.TILL and store is not None:
        scopes |= {f"{name}/{store}" for name in ("store", "journal", "patrons")}
    if role is Role.OFFICE:
        scopes |= {f"{name}/{number}" for name in ("store", "patrons") for number in stores}
    return frozenset(scopes)
