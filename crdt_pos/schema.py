"""The schema table: every kind of document, as data. Handed down to gossip, which knows no kind by name.

Who may read follows from the scope: ``peers.permissions.readable_scopes``. Kinds and their numbers stand in signed entries:
a kind is never renamed, its rule never changed; a better one gets another name.
"""

from __future__ import annotations

from typing import Final

from crdt_pos.cut_offs import cuts_of
from crdt_pos.patrons import PATRONS, accounts_of
from crdt_pos.persons import ERASED, PERSON, PERSON_KEY, erased_by
from gossip.document import FeedType, ScopeClass
from gossip.schema import KeyType, Kind, Schema
from merge_rules.claims import Claims
from merge_rules.counter_bounded import CounterBounded
from merge_rules.counter_covers import CounterCovers
from merge_rules.document_yjs import DocumentYjs
from merge_rules.log_append import LogAppend
from merge_rules.record import record_each
from merge_rules.register_lww import RegisterLww
from merge_rules.set_grow import SetGrow
from peers.permissions import Permission, Role
from peers.roster import RosterSet

ROSTER: Final = "roster"
"""Head offices, stores, revocations, closures, sealed keys."""
ROSTER_STORE: Final = "roster-store"
"""``roster-store/<store>``: the store's certificates."""
CATALOGUE: Final = "catalogue"
"""``catalogue/<shard>``: products, prices, tax codes, recipes, promotions; at most 5,000 products a shard."""
CLAIMS: Final = "claims"
"""``claims/<store>``: code → product, phone hash → member."""
STAFF: Final = "staff"
"""``staff/<store>``: cashiers, by id."""
JOURNAL: Final = "journal"
"""``journal/<store>/<date>``: every act."""
DAY: Final = "day"
"""``day/<store>/<date>``: the summary, money and goods."""
BALANCE: Final = "balance"
"""``balance/<programme>/<account>``: points, gift cards, store credit."""
VARIANCES: Final = "variances"
"""``variances/<store>/<date>``: sold at 20 while 21 was due."""
VAULT: Final = "vault"
"""``vault/<store>/<till>``: sealed segments of the journal."""
FORKS: Final = "forks"
"""Proofs of equivocation."""

STAFF_RULE: Final = record_each("Staff", RegisterLww, str)
"""Cashier id → ``crdt_pos.staff.Cashier``, the last write wins."""

TEN_YEARS_DAYS: Final = 3653
TWO_YEARS_DAYS: Final = 731

_OFFICE: Final = frozenset({Role.OFFICE})
_TILL: Final = frozenset({Role.TILL})
_BOTH: Final = frozenset({Role.OFFICE, Role.TILL})
_MANAGED: Final = _BOTH | {Role.MANAGER}
_ALL: Final = frozenset(Role)

_LATEST, _WHOLE = FeedType.LATEST, FeedType.WHOLE
_OWN_STORE, _ANY_STORE = True, False
_DATED, _UNDATED = True, False
_STORE, _STORE_TILL = (KeyType.NUMBER,), (KeyType.NUMBER, KeyType.NUMBER)
_SHARD, _ACCOUNT = (KeyType.SHARD,), (KeyType.TEXT, KeyType.ACCOUNT)
_ONE: Final = (KeyType.ACCOUNT,)

_ROWS: Final = (
    # name, feed, scope, rule, authors, keys, dated, retention after it is safe elsewhere
    Kind(
        ROSTER, _WHOLE, ScopeClass.COMPANY, RosterSet, Permission(_OFFICE, _ANY_STORE), (), _UNDATED, None, cuts=cuts_of
    ),
    Kind(
        ROSTER_STORE,
        _WHOLE,
        ScopeClass.STORE,
        RosterSet,
        Permission(_OFFICE, _ANY_STORE),
        _STORE,
        _UNDATED,
        None,
        cuts=cuts_of,
    ),
    Kind(CATALOGUE, _WHOLE, ScopeClass.COMPANY, DocumentYjs, Permission(_MANAGED, _ANY_STORE), _SHARD, _UNDATED, None),
    Kind(CLAIMS, _WHOLE, ScopeClass.COMPANY, Claims, Permission(_MANAGED, _OWN_STORE), _STORE, _UNDATED, None),
    Kind(STAFF, _LATEST, ScopeClass.STORE, STAFF_RULE, Permission(_MANAGED, _OWN_STORE), _STORE, _UNDATED, None),
    Kind(JOURNAL, _WHOLE, ScopeClass.JOURNAL, LogAppend, Permission(_TILL, _OWN_STORE), _STORE, _DATED, TEN_YEARS_DAYS),
    Kind(DAY, _LATEST, ScopeClass.STORE, CounterCovers, Permission(_TILL, _OWN_STORE), _STORE, _DATED, None),
    Kind(BALANCE, _LATEST, ScopeClass.PATRONS, CounterBounded, Permission(_BOTH, _ANY_STORE), _ACCOUNT, _UNDATED, None),
    Kind(
        PATRONS, _WHOLE, ScopeClass.STORE, SetGrow, Permission(_BOTH, _OWN_STORE), _STORE, _UNDATED, None, accounts_of
    ),
    Kind(VARIANCES, _WHOLE, ScopeClass.STORE, LogAppend, Permission(_TILL, _OWN_STORE), _STORE, _DATED, TWO_YEARS_DAYS),
    Kind(
        VAULT, _WHOLE, ScopeClass.VAULT, LogAppend, Permission(_TILL, _OWN_STORE), _STORE_TILL, _UNDATED, TEN_YEARS_DAYS
    ),
    Kind(FORKS, _WHOLE, ScopeClass.COMPANY, SetGrow, Permission(_ALL, _ANY_STORE), (), _UNDATED, None),
    Kind(PERSON, _LATEST, ScopeClass.PATRONS, RegisterLww, Permission(_MANAGED, _ANY_STORE), _ONE, _UNDATED, None),
    Kind(PERSON_KEY, _LATEST, ScopeClass.PATRONS, RegisterLww, Permission(_MANAGED, _ANY_STORE), _ONE, _UNDATED, None),
    Kind(
        ERASED,
        _WHOLE,
        ScopeClass.COMPANY,
        SetGrow,
        Permission(_OFFICE, _ANY_STORE),
        (),
        _UNDATED,
        None,
        shreds=erased_by,
    ),
)

SCHEMA: Final[Schema] = {kind.name: kind for kind in _ROWS}
