from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merge_rules import canonical
from merge_rules.counter_bounded import CounterBounded
from merge_rules.counter_grow import CounterGrow
from merge_rules.errors import InvalidBody
from merge_rules.feed_latest import FeedLatest, Version, version
from tests.laws import spec_feed
from tests.laws.harness import AUTHORS, FEW, MANY, LatticeLaws

A, B = AUTHORS[:2]

Said = tuple[int, dict[Any, Any]]
said: st.SearchStrategy[Said] = st.tuples(
    st.integers(1, 4), st.dictionaries(st.integers(0, 2), st.integers(1, 3), max_size=3)
)


def name(entry: Said) -> bytes:
    return hashlib.sha256(canonical.encode(list(entry))).digest()


def signed(entry: Said) -> Version[CounterGrow]:
    return version(CounterGrow, A, entry[0], name(entry), entry[1])


def unknown(entry: Said) -> Version[CounterGrow]:
    return Version(entry[0], name(entry), None)


def honest(steps: list[int]) -> list[Said]:
    """An author that only counts up, one entry after the other."""
    entries: list[Said] = []
    for seq in range(1, len(steps) + 1):
        counts = {key: steps[:seq].count(key) for key in set(steps[:seq])}
        entries.append((seq, counts))
    return entries


class TestFeed(LatticeLaws):
    rule = FeedLatest
    states = st.lists(said, max_size=5).map(lambda entries: FeedLatest.of(map(signed, entries)))
    encoded = False


class TestFeedOfAnUnknownKind(LatticeLaws):
    rule = FeedLatest
    states = st.lists(said, max_size=4).map(lambda entries: FeedLatest.of(map(unknown, entries)))
    encoded = False


@MANY
@given(st.lists(said, max_size=7), st.randoms(use_true_random=False))
def test_any_set_of_conflicting_entries_joins_alike_in_every_order_of_arrival(entries: list[Said], random: Any) -> None:
    at_once = FeedLatest.of(map(signed, entries))
    arrivals = entries * 2
    random.shuffle(arrivals)
    one_by_one: FeedLatest[CounterGrow] = FeedLatest.bottom()
    for entry in arrivals:
        one_by_one = one_by_one.join(FeedLatest.of([signed(entry)]))
    assert one_by_one == at_once
    assert one_by_one.value() == at_once.value()
    assert one_by_one.proof() == at_once.proof()


@MANY
@given(st.lists(said, max_size=7))
def test_a_feed_holds_the_maximal_entries_by_definition(entries: list[Said]) -> None:
    def includes(body: Any, other: Any) -> bool:
        return all(other.get(key, 0) >= count for key, count in body.items())

    feed = FeedLatest.of(map(signed, entries))
    expected = spec_feed.maximal([(entry[0], name(entry), entry[1]) for entry in entries], includes)
    assert {(item.seq, item.hash) for item in feed.versions} == expected
    assert list(feed.versions) == sorted(feed.versions, key=lambda item: (item.seq, item.hash))


@FEW
@given(st.lists(said, max_size=7))
def test_entries_of_an_unknown_kind_are_ordered_by_number_alone(entries: list[Said]) -> None:
    feed = FeedLatest.of(map(unknown, entries))
    newest = max((entry[0] for entry in entries), default=0)
    assert {item.hash for item in feed.versions} == {name(entry) for entry in entries if entry[0] == newest}
    assert feed.value() is None


@FEW
@given(st.lists(st.integers(0, 2), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_an_honest_author_never_looks_forked_whatever_is_lost_or_late(steps: list[int], random: Any) -> None:
    entries = honest(steps)
    arrived = random.sample(entries, random.randint(1, len(entries)))
    feed = FeedLatest.of(map(signed, arrived))
    assert not feed.forked
    assert feed.proof() is None
    assert [item.seq for item in feed.versions] == [max(entry[0] for entry in arrived)]


@MANY
@given(st.lists(said, max_size=7))
def test_a_fork_is_proven_by_two_entries_that_alone_are_a_fork(entries: list[Said]) -> None:
    proof = FeedLatest.of(map(signed, entries)).proof()
    if proof is not None:
        assert FeedLatest.of(proof).forked


@pytest.mark.parametrize(
    ("one", "other", "forked"),
    [
        ((1, {0: 1}), (2, {0: 2}), False),
        ((1, {0: 1}), (1, {0: 1}), False),
        ((1, {0: 1}), (2, {0: 1}), False),
        ((1, {0: 1}), (1, {0: 2}), True),
        ((1, {0: 2}), (2, {0: 1}), True),
        ((1, {0: 2}), (9, {1: 5}), True),
    ],
)
def test_the_same_number_twice_or_something_taken_back_is_a_fork(one: Said, other: Said, forked: bool) -> None:
    assert FeedLatest.of([signed(one), signed(other)]).forked is forked


def test_the_value_of_a_fork_is_the_join_of_its_versions() -> None:
    feed = FeedLatest.of([signed((1, {0: 5})), signed((2, {0: 3, 1: 1}))])
    value = feed.value()
    assert value is not None
    assert value.values() == {0: 5, 1: 1}


def test_a_clone_that_spends_the_same_rights_is_seen() -> None:
    bodies = [{0: 50, 1: 50}, {0: 50, 2: {B: 50}}]
    feed = FeedLatest.of(version(CounterBounded, A, 2, bytes([n]), body) for n, body in enumerate(bodies))
    assert feed.forked
    value = feed.value()
    assert value is not None
    assert value.overspent() == {A: 50}


def test_a_body_that_the_rule_refuses_never_becomes_a_version() -> None:
    with pytest.raises(InvalidBody):
        version(CounterBounded, A, 1, b"h", {1: 1})
