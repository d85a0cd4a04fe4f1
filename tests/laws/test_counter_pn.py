from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st

from merge_rules.counter_pn import CounterPN
from merge_rules.errors import InvalidBody, NotAllowed
from merge_rules.lattice import Author
from tests.laws import spec_counters
from tests.laws.harness import AUTHORS, RuleLaws, Trial, authors, follows_specification

sides = st.tuples(st.integers(1, 3)).map(list) | st.tuples(st.integers(0, 3), st.integers(1, 3)).map(list)
states = st.dictionaries(authors, st.dictionaries(st.integers(0, 2), sides, min_size=1, max_size=3), max_size=3).map(
    CounterPN
)


def change(verb: str, author: Author, key: Any, amount: int) -> Any:
    return lambda state: getattr(state, verb)(author, key, amount)


verbs = st.sampled_from(["increase", "decrease"])


class TestPNCounter(RuleLaws):
    rule = CounterPN
    states = states
    operations = st.builds(change, verbs, authors, st.integers(0, 2), st.integers(1, 5))


def test_counters_that_go_both_ways_follow_their_specification() -> None:
    def perform(state: CounterPN, author: Author, operation: tuple[str, Any, int]) -> CounterPN:
        verb, key, amount = operation
        return change(verb, author, key, amount)(state)  # type: ignore[no-any-return]

    operations = st.tuples(verbs, st.sampled_from(["milk", "bread"]), st.integers(1, 9))
    follows_specification(
        Trial(CounterPN.bottom(), operations, perform, CounterPN.values, spec_counters.sums, lambda *_: True)
    )


def test_both_sides_are_kept_so_nothing_sold_is_hidden_by_a_delivery() -> None:
    state = CounterPN.bottom()
    state = state.join(state.decrease(AUTHORS[0], 1, 5))
    state = state.join(state.increase(AUTHORS[1], 1, 5))
    assert state.sides(1) == (5, 5)
    assert state.value(1) == 0
    assert state.values() == {1: 0}


@pytest.mark.parametrize("body", [{1: 3}, {1: [1, 0]}, {1: [0]}, {1: [1, 1, 1]}, {1: [[1]]}, {1: [b"x"]}, {1: {0: 1}}])
def test_a_counter_without_its_two_sides_is_refused(body: object) -> None:
    with pytest.raises(InvalidBody):
        CounterPN.from_entry(AUTHORS[0], 1, body)


def test_going_down_by_nothing_is_refused() -> None:
    with pytest.raises(NotAllowed):
        CounterPN.bottom().decrease(AUTHORS[0], 1, 0)
