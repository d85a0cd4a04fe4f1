"""State in the signature, delta on the wire: a patch makes the new entry of the old, byte for byte, or is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gossip import patch as patches
from gossip.document import Document, FeedType, ScopeClass
from gossip.entry import Entry, Hash, sign
from gossip.errors import BadEntry
from gossip.patch import BASE_BYTES, diff
from tests.entries.drawn import AUTHOR, KEY, bodies

DOCUMENT = Document("day", 20000, (12,))


def apply(before: Entry, patch: bytes) -> Entry:
    return patches.apply(before, patches.decode(patch))


def version(seq: int, body: object, feed: FeedType = FeedType.LATEST) -> Entry:
    previous = Hash(bytes(32)) if feed is FeedType.WHOLE and seq > 1 else None
    return sign(KEY, AUTHOR, DOCUMENT, feed, ScopeClass.STORE, seq, seq << 20, body, previous)


@settings(max_examples=300)
@given(bodies, bodies, st.sampled_from(FeedType))
def test_a_patch_makes_the_new_entry_of_the_old(old: object, new: object, feed: FeedType) -> None:
    before, after = version(1, old, feed), version(2, new, feed)
    patch = diff(before, after)
    if patch is not None:
        assert apply(before, patch) == after
        assert patches.decode(patch).base == before.hash[:BASE_BYTES]
        assert len(patch) < len(after.raw)


small = st.dictionaries(
    st.integers(0, 5),
    st.one_of(
        st.integers(0, 2), st.booleans(), st.none(), st.dictionaries(st.integers(0, 3), st.integers(0, 2), max_size=3)
    ),
    max_size=5,
)


@settings(max_examples=300)
@given(small, small)
def test_keys_that_come_go_or_change_are_all_that_travels(old: dict[int, object], new: dict[int, object]) -> None:
    filler = {100: bytes(200)}
    before, after = version(1, old | filler), version(2, new | filler)
    patch = diff(before, after)
    assert patch is not None
    assert bytes(200) not in patch
    assert apply(before, patch) == after


def test_entries_of_different_feeds_have_no_patch() -> None:
    other = sign(KEY, AUTHOR, DOCUMENT._replace(day=20001), FeedType.LATEST, ScopeClass.STORE, 2, 0, {1: bytes(200)})
    assert diff(version(1, {1: bytes(200)}), other) is None


def test_a_patch_for_another_entry_is_refused() -> None:
    before, after = version(1, {1: bytes(200)}), version(2, {1: bytes(200), 2: 1})
    patch = diff(before, after)
    assert patch is not None
    with pytest.raises(BadEntry, match="another entry"):
        apply(version(1, {1: bytes(199)}), patch)


@settings(max_examples=400)
@given(st.data())
def test_a_bent_patch_is_refused_or_its_entry_does_not_verify(data: st.DataObject) -> None:
    before = version(1, {1: bytes(100), 2: {3: 4, 5: 6}, 7: [1], 8: 1})
    after = version(2, {1: bytes(100), 2: {3: 5}, 7: [2], 9: {1: 1}})
    patch = diff(before, after)
    assert patch is not None
    at = data.draw(st.integers(0, len(patch) - 1))
    bent = patch[:at] + data.draw(st.binary(max_size=2)) + patch[at + data.draw(st.integers(0, 2)) :]
    try:
        entry = apply(before, bent)
    except BadEntry:
        return
    assert entry == after or not entry.verify(KEY.public)


@settings(max_examples=200)
@given(bodies, bodies)
def test_any_changes_in_the_place_of_changes_are_refused_or_do_not_verify(body: object, changes: object) -> None:
    from merge_rules import canonical

    before = version(1, body)
    patch = canonical.encode([before.hash[:BASE_BYTES], 2, 0, bytes(64), changes, None])
    try:
        assert not apply(before, patch).verify(KEY.public)
    except BadEntry:
        pass
