"""Guardians: found by everyone alike, never a store itself, and moving with as few as can be."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_pos.guardians import existing, guarded, guardians, guardians_of, vault_scopes
from peers import certificates
from peers.keys import SealingKey, SecretKey
from peers.permissions import Role
from peers.roster import Closure, Directory, Guarding, StoreRecord, element

STORES = st.frozensets(st.integers(1, 500), max_size=40)
COUNTS = st.integers(1, 4)


@given(STORES, st.integers(1, 500), COUNTS)
def test_a_store_has_as_many_guardians_as_there_are_others_and_is_never_its_own(
    stores: frozenset[int], store: int, count: int
) -> None:
    found = guardians(store, stores, count)
    assert len(set(found)) == len(found) == min(count, len(stores - {store}))
    assert store not in found
    assert set(found) <= stores


@given(STORES, st.integers(1, 500), st.integers(1, 500), COUNTS)
def test_a_store_that_opens_or_closes_moves_nothing_but_what_it_guards(
    stores: frozenset[int], store: int, other: int, count: int
) -> None:
    without, with_it = (set(guardians(store, some, count)) for some in (stores - {other}, stores | {other}))
    if other in with_it:
        assert len(without - with_it) <= 1
        assert with_it - without == {other}
    else:
        assert with_it == without


@given(STORES, COUNTS)
def test_what_each_guards_is_what_each_is_guarded_by(stores: frozenset[int], count: int) -> None:
    found = guarded(stores, stores, count)
    assert {(store, guardian) for guardian, many in found.items() for store in many} == {
        (store, guardian) for store in stores for guardian in guardians(store, stores, count)
    }


def test_the_vaults_of_many_stores_are_spread_over_all_of_them() -> None:
    stores = frozenset(range(1, 251))
    held = Counter({guardian: len(many) for guardian, many in guarded(stores, stores, 2).items()})
    assert sum(held.values()) == 500
    assert max(held.values()) <= 12
    moved = sum(guardians(one, stores, 2) != guardians(one, stores - {50}, 2) for one in stores - {50})
    assert moved == held[50]


def _directory(*records: StoreRecord | Closure | Guarding) -> Directory:
    root = certificates.create_root(SecretKey(bytes(32)), "Corner Shops", SealingKey(bytes(32)).public)
    return Directory.build(root, map(element, records))


STORES_HERE = tuple(StoreRecord(store) for store in (12, 13, 14, 15, 16))


def test_a_closed_store_guards_nothing_and_is_guarded_on() -> None:
    before = _directory(*STORES_HERE)
    gone = guardians_of(12, before)[0]
    after = _directory(*STORES_HERE, Closure(gone))
    assert existing(after) == existing(before) - {gone}
    assert gone not in guardians_of(12, after)
    assert len(guardians_of(gone, after)) == 2
    assert vault_scopes(Role.TILL, gone, after) == {f"vault/{gone}"}


def test_one_till_or_one_life_that_is_closed_leaves_its_store_a_guardian() -> None:
    assert existing(_directory(*STORES_HERE, Closure(13, 1), Closure(14, life="a1"))) == {12, 13, 14, 15, 16}


@pytest.mark.parametrize("count", [1, 3])
def test_how_many_guardians_stands_in_the_roster(count: int) -> None:
    directory = _directory(*STORES_HERE, Guarding(count))
    assert all(len(guardians_of(store, directory)) == count for store in (12, 13, 14, 15, 16))


def test_tills_read_the_vaults_that_their_store_guards_and_offices_and_relays_every_one() -> None:
    directory = _directory(*STORES_HERE)
    every = {f"vault/{store}" for store in directory.stores}
    for role in (Role.OFFICE, Role.RELAY):
        assert vault_scopes(role, None, directory) == every
    for store in directory.stores:
        theirs = {f"vault/{one}" for one in directory.stores if store in guardians_of(one, directory)}
        assert vault_scopes(Role.TILL, store, directory) == theirs | {f"vault/{store}"}
        assert len(theirs) < len(directory.stores) - 1 or len(theirs) <= 4
