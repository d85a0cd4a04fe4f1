"""Segments: whatever a till did comes out of them byte for byte, with the recovery key and with no other."""

from __future__ import annotations

import zlib
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crdt_pos.errors import BadSegment
from crdt_pos.requests import LineRequest, SaleRequest
from crdt_pos.schema import DAY, JOURNAL
from crdt_pos.sealing_segments import CONTENT_BYTES_MAX, PLAIN_BYTES_MAX, Segment, open_segment, seal_segment, split
from crdt_pos.till_state import TillState
from crdt_pos.vault import SCAN_MAX, Outside, Vault, vault_document
from gossip.document import Document, FeedType, ScopeClass
from gossip.entry import Entry, FeedId, sign
from merge_rules import canonical
from peers.keys import SealingKey, SecretKey, author_of, seal
from tests.till.shop import BREAD, CHEESE, DAY_MS, MEMBER, MILK, NOON_MS, Place, opened

KEY = SealingKey(b"r" * 32)
_AUTHOR = SecretKey(b"a" * 32)


def sealed(place: Place, vault: Vault | None = None) -> int:
    return (vault or Vault(place.log, place.me, KEY.public, lambda _: None)).seal(place.clock.ms)


def segments(place: Place) -> list[Entry]:
    with place.log.read() as reader:
        feed = FeedId(vault_document(place.store, place.number), place.me.author)
        return [stored.entry for stored in reader.entries(feed)]


def opened_entries(place: Place) -> list[Entry]:
    return [entry for one in segments(place) for entry in open_segment(one.body, KEY).entries]


def own(place: Place, *kinds: str) -> set[bytes]:
    with place.log.read() as reader:
        found = (stored.entry for stored in reader.arrivals(0, SCAN_MAX))
        return {entry.raw for entry in found if entry.document.kind in kinds}


@given(st.lists(st.sampled_from(["milk", "bread", "member", "seal", "publish", "close"]), max_size=25))
@settings(max_examples=60)
def test_whatever_a_till_did_stands_in_its_segments_byte_for_byte_each_act_once(acts: list[str]) -> None:
    place = opened()
    vault = Vault(place.log, place.me, KEY.public, lambda _: None)
    for act in acts:
        if act == "seal":
            sealed(place, vault)
        elif act == "publish":
            place.till.publish()
        elif act == "close":
            place.till.close_date()
            place.clock.ms += DAY_MS
            place.till.open_date()
        else:
            line = LineRequest({"milk": MILK, "bread": BREAD, "member": CHEESE}[act])
            place.till.sell(SaleRequest((line,), member=MEMBER if act == "member" else None))
    sealed(place, vault)
    found = [entry.raw for entry in opened_entries(place) if entry.document.kind in (JOURNAL, "patrons")]
    assert len(found) == len(set(found))
    assert set(found) == own(place, JOURNAL, "patrons")


def test_a_summary_is_sealed_once_its_date_is_closed_and_not_before() -> None:
    place = opened()
    place.till.sell(SaleRequest((LineRequest(MILK),)))
    place.till.publish()
    sealed(place)
    assert DAY not in {entry.document.kind for entry in opened_entries(place)}
    place.till.close_date()
    sealed(place)
    (day,) = [entry for entry in opened_entries(place) if entry.document.kind == DAY]
    with place.log.read() as reader:
        assert [day.head] == list(reader.heads(day.feed_id))


def test_where_nothing_is_new_nothing_is_sealed_also_after_a_restart() -> None:
    place = opened()
    assert sealed(place) == 1
    assert sealed(place) == 0
    place.till.sell(SaleRequest((LineRequest(MILK),)))
    assert sealed(place) == 1
    assert [len(open_segment(one.body, KEY).entries) for one in segments(place)] == [1, 1]


def test_a_segment_says_how_far_the_journal_had_come() -> None:
    place = opened()
    place.till.sell(SaleRequest((LineRequest(MILK),)))
    sealed(place)
    (one,) = segments(place)
    with place.log.read() as reader:
        state = TillState.read(reader)
    (head,) = open_segment(one.body, KEY).journals.values()
    assert (head.seq, head.hash) == (2, state.head)


def test_nobody_opens_a_segment_without_the_recovery_key() -> None:
    place = opened()
    sealed(place)
    (one,) = segments(place)
    for other in (SealingKey.generate(), SealingKey(place.me.key.seed)):
        with pytest.raises(BadSegment):
            open_segment(one.body, other)


def test_a_segment_that_was_changed_or_cut_is_refused() -> None:
    place = opened()
    sealed(place)
    version, box = cast("tuple[int, bytes]", segments(place)[0].body)
    changed = box[:40] + bytes([box[40] ^ 1]) + box[41:]
    bodies: list[object] = [[version, box[:-1]], [version, changed], [version + 1, box], [version], box, {}]
    for body in bodies:
        with pytest.raises(BadSegment):
            open_segment(body, KEY)


def test_a_segment_that_unfolds_without_end_is_refused_before_it_fills_the_memory() -> None:
    bomb = zlib.compress(bytes(CONTENT_BYTES_MAX + 1), level=9)
    assert len(bomb) < 10_000
    with pytest.raises(BadSegment, match="more than"):
        open_segment([1, seal(KEY.public, bomb)], KEY)


@given(st.recursive(st.none() | st.integers(-(2**40), 2**40) | st.binary(max_size=80) | st.text(max_size=20), st.lists))
@settings(max_examples=20)
def test_what_is_no_segment_inside_a_box_is_refused_and_nothing_else_happens(content: object) -> None:
    with pytest.raises(BadSegment):
        open_segment([1, seal(KEY.public, zlib.compress(canonical.encode(content)))], KEY)


def _long(seq: int, size: int) -> Entry:
    author, document = author_of(_AUTHOR.public, "a1"), Document("note", keys=(seq,))
    return sign(_AUTHOR, author, document, FeedType.LATEST, ScopeClass.STORE, 1, 1, bytes(size))


@given(st.lists(st.integers(1, PLAIN_BYTES_MAX + 100), min_size=1, max_size=6))
@settings(max_examples=20)
def test_segments_are_bounded_and_a_split_loses_nothing(sizes: list[int]) -> None:
    entries = [_long(number, size) for number, size in enumerate(sizes, 1)]
    parts = list(split(entries))
    assert [entry for part in parts for entry in part] == entries
    assert all(len(part) == 1 or sum(len(entry.raw) for entry in part) <= PLAIN_BYTES_MAX for part in parts)
    for part in parts:
        assert open_segment(seal_segment(Segment(tuple(part)), KEY.public), KEY).entries == tuple(part)


def test_the_lamp_knows_what_is_safe_outside_by_what_a_neighbour_says_of_segments_that_are_here() -> None:
    place = opened()
    place.till.sell(SaleRequest((LineRequest(MILK),)))
    sealed(place)
    moment = place.clock.ms
    place.till.sell(SaleRequest((LineRequest(MILK),)))
    outside = Outside(place.log, place.store, place.me.author)
    head = segments(place)[-1].head
    with place.log.read() as reader:
        assert (outside.safe(reader, place.me).until_ms, outside.safe(reader, place.me).waiting) == (0, 3)
        assert outside.behind(reader)
        outside.hear(reader, canonical.encode({place.me.author: [head.seq + 1, head.hash]}))
        outside.hear(reader, canonical.encode({place.me.author: [head.seq, bytes(32)]}))
        outside.hear(reader, b"nonsense")
        assert outside.behind(reader)
        outside.hear(reader, canonical.encode({place.me.author: [head.seq, head.hash]}))
        assert not outside.behind(reader)
        safe = outside.safe(reader, place.me)
    assert (safe.until_ms, safe.waiting) == (moment, 1)
    place.log.append([], outside.unsaved())
    again = Outside(place.log, place.store, place.me.author)
    with place.log.read() as reader:
        assert again.safe(reader, place.me) == safe
    assert moment > NOON_MS
