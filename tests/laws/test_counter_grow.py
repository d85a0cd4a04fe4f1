from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st

from merge_rules.counter_grow import CounterGrow
from merge_rules.errors import InvalidBody, NotAllowed
from merge_rules.lattice import Author
from tests.laws import spec_counters
from tests.laws.harness import AUTHORS, RuleLaws, Trial, authors, follows_specification

keys: st.SearchStrategy[Any] = st.integers(0, 2) | st.sampled_from([b"", b"k"]) | st.sampled_from(["", "k"])
counts = st.integers(1, 4) | st.just(2**64 - 1)
bodies: st.SearchStrategy[Any] = st.one_of(
    *[
        st.dictionaries(kind, counts, max_size=3)
        for kind in (st.integers(0, 3), st.sampled_from([b"", b"k"]), st.sampled_from(["", "k"]))
    ]
)
states = st.dictionaries(authors, bodies, max_size=3).map(
    lambda parts: CounterGrow({author: part for author, part in parts.items() if part})
)


class TestGrowOnlyCounter(RuleLaws):
    rule = CounterGrow
    states = states
    operations = st.builds(
        lambda author, key, amount: lambda state: state.add(author, key, amount), authors, keys, st.integers(1, 5)
    )


def test_grow_only_counters_follow_their_specification() -> None:
    def perform(state: CounterGrow, author: Author, operation: tuple[str, Any, int]) -> CounterGrow:
        return state.add(author, *operation[1:])

    operations = st.tuples(st.just("add"), st.integers(0, 2), st.integers(1, 9))
    follows_specification(
        Trial(CounterGrow.bottom(), operations, perform, CounterGrow.values, spec_counters.sums, lambda *_: True)
    )


@pytest.mark.parametrize("amount", [0, -1, True])
def test_a_counter_grows_by_one_at_least(amount: int) -> None:
    with pytest.raises(NotAllowed):
        CounterGrow.bottom().add(AUTHORS[0], "k", amount)


def test_a_full_counter_and_keys_of_another_type_are_refused_not_signed() -> None:
    full = CounterGrow.bottom().add(AUTHORS[0], "k", 2**64 - 1)
    with pytest.raises(NotAllowed):
        full.add(AUTHORS[0], "k", 1)
    with pytest.raises(NotAllowed):
        full.add(AUTHORS[0], 7, 1)
    with pytest.raises(NotAllowed):
        CounterGrow.bottom().add(AUTHORS[0], -1, 1)


def test_a_counter_is_no_map() -> None:
    with pytest.raises(InvalidBody):
        CounterGrow.from_entry(AUTHORS[0], 1, {1: {2: 3}})
