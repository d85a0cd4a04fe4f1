from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merge_rules import counter_nested
from merge_rules.counter_nested import CounterNested, Nested
from merge_rules.errors import InvalidBody
from tests.laws.harness import MANY, LatticeLaws


def _grown(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    def trimmed(places: list[Any]) -> list[Any]:
        while places and places[-1] == 0:
            places = places[:-1]
        return places or [1]

    def maps(keys: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.dictionaries(keys, children, min_size=1, max_size=3)

    return (
        st.lists(st.just(0) | children, min_size=1, max_size=4).map(trimmed)
        | maps(st.integers(0, 3))
        | maps(st.sampled_from([b"", b"a", b"\xff"]))
        | maps(st.sampled_from(["", "a", "b"]))
    )


nested: st.SearchStrategy[Nested] = st.recursive(
    st.integers(1, 4) | st.just(2**64 - 1) | st.sampled_from([b"a", b"b", b"aa"]), _grown, max_leaves=8
)


class TestNestedCounter(LatticeLaws):
    rule = CounterNested
    states = st.just(CounterNested()) | nested.map(CounterNested)


@MANY
@given(nested)
def test_every_counter_that_is_built_from_counts_is_in_its_one_form(value: Nested) -> None:
    assert counter_nested.check(value) is value


@pytest.mark.parametrize(
    "value",
    [
        0, -1, 2**64, True, None, "text", b"", [], {}, [0], [1, 0], [[]], {1: 0}, {1: []}, {"a": {}}, {-1: 1}, [-1], [1, True],
        {1: False}, [[[[[[[[[1]]]]]]]]],
    ],
)  # fmt: skip
def test_what_is_zero_negative_or_no_count_is_refused(value: object) -> None:
    with pytest.raises(InvalidBody):
        counter_nested.check(value)


def test_arrays_are_padded_with_zeros() -> None:
    assert counter_nested.join([1], [0, 2]) == [1, 2]
    assert counter_nested.precedes([0, 2], [1, 2])
    assert not counter_nested.precedes([1, 2, 1], [1, 2])


def test_set_bytes_that_differ_agree_on_the_longer_and_larger() -> None:
    assert counter_nested.join({1: b"zz"}, {1: b"aaa"}) == {1: b"aaa"}
    assert counter_nested.join([3, b"b"], [3, b"a"]) == [3, b"b"]


def test_joining_changes_neither_side() -> None:
    a: Nested = {1: [1, 2], 2: {"x": 1}}
    b: Nested = {1: [2], 2: {"y": 1}}
    counter_nested.join(a, b)
    assert a == {1: [1, 2], 2: {"x": 1}}
    assert b == {1: [2], 2: {"y": 1}}


def test_the_sum_adds_place_by_place() -> None:
    assert counter_nested.plus({1: [1, 2], 2: 5}, {1: [10, 0, 3], 3: {"x": 1}}) == {1: [11, 2, 3], 2: 5, 3: {"x": 1}}


@MANY
@given(nested, nested, nested)
def test_the_sum_is_commutative_and_at_least_the_join(a: Nested, b: Nested, c: Nested) -> None:
    assert counter_nested.plus(a, b) == counter_nested.plus(b, a)
    assert counter_nested.precedes(counter_nested.join(a, b), counter_nested.plus(a, b))
