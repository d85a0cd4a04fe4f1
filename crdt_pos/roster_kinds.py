"""The roster's rows of the schema table."""

from __future__ import annotations

from typing import Final

from crdt_pos.schema import ROSTER, ROSTER_STORE
from gossip.document import FeedType, ScopeClass
from gossip.schema import Kind, Schema
from peers.permissions import Permission, Role
from peers.roster import RosterSet

_OFFICES: Final = Permission(frozenset({Role.OFFICE}))

ROSTER_KINDS: Final[Schema] = {
    ROSTER: Kind(
        ROSTER,
        FeedType.WHOLE,
        ScopeClass.COMPANY,
        RosterSet,
        _OFFICES,
        keys=0,
        dated=False,
        retention_days=None,
    ),
    ROSTER_STORE: Kind(
        ROSTER_STORE,
        FeedType.WHOLE,
        ScopeClass.STORE,
        RosterSet,
        _OFFICES,
        keys=1,
        dated=False,
        retention_days=None,
    ),
}
