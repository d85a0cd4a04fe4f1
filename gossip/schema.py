"""What gossip needs to know of a kind of document. The table itself is handed down from ``crdt_pos.schema``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from gossip.document import Document, FeedType, Key, ScopeClass
from merge_rules.lattice import Rule
from peers.permissions import Permission


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the schema table."""

    name: str
    feed: FeedType
    scope: ScopeClass
    rule: type[Rule]
    """Checks bodies, orders those of one author (``latest`` feeds), joins them to a value."""
    authors: Permission
    keys: int
    """How many keys stand in the name, the date not counted."""
    dated: bool
    retention_days: int | None
    """How long entries stay after they are acknowledged elsewhere; ``None`` for ever."""
    patrons: Callable[[object], Iterable[Key]] | None = None
    """For the kind that says which accounts belong to a store: the accounts that a body names."""

    def names(self, document: Document) -> bool:
        """Whether ``document`` is a well-formed name of this kind."""
        return document.kind == self.name and len(document.keys) == self.keys and bool(document.day) is self.dated


Schema = Mapping[str, Kind]
"""Kinds by name. A kind that is not here is stored and passed on: feed type and scope stand in every entry."""
