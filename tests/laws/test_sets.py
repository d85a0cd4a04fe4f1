from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merge_rules import (
    canonical,
    dots,
)
from merge_rules.dots import Context
from merge_rules.errors import InvalidBody, NotAllowed
from merge_rules.lattice import Author
from merge_rules.log_append import LogAppend
from merge_rules.set_add_wins import SetAddWins
from merge_rules.set_grow import SetGrow
from merge_rules.set_remove_wins import SetRemoveWins
from tests.laws import spec_sets
from tests.laws.harness import (
    AUTHORS,
    FEW,
    MANY,
    History,
    RuleLaws,
    Trial,
    authors,
    follows_specification,
    wire,
)
from tests.laws.whole_feeds import WholeLaws, entries, joined, numbers

elements: st.SearchStrategy[Any] = st.sampled_from(["tea", 7, b"x", ["code", 1], {1: "a"}])
some_dots = st.lists(st.tuples(authors, numbers), min_size=1, max_size=4)


def next_number(state: Any, author: Author) -> int:
    match state:
        case SetAddWins():
            return state.context.vector.get(author, 0) + 1
        case SetRemoveWins():
            used = [dot for additions in state.added.values() for dot, _ in additions]
            used += [dot for removals in state.removed.values() for dot in removals]
        case _:
            used = list(state.bodies)
    return 1 + max((seq for who, seq in used if who == author), default=0)


def perform(state: Any, author: Author, operation: tuple[Any, ...]) -> Any:
    """An operation of a ``whole`` feed, as the entry that carries it."""
    verb, *arguments = operation
    body = getattr(state, f"{verb}_body")(*arguments)
    return state.from_entry(author, next_number(state, author), wire(body))


words = st.sampled_from(["tea", "milk", "bread"])
set_operations = st.one_of(
    st.tuples(st.just("add"), words),
    st.tuples(st.just("remove"), words),
    st.tuples(st.just("replace"), st.just("tea"), st.just("milk")),
)


class TestGrowOnlySet(RuleLaws):
    rule = SetGrow
    states = st.lists(st.tuples(authors, elements), max_size=6).map(
        lambda adds: joined(SetGrow, [SetGrow.add(*add) for add in adds])
    )
    operations = st.builds(lambda author, element: lambda state: state.add(author, element), authors, elements)


class TestAddWinsSet(WholeLaws):
    rule = SetAddWins
    states = entries(
        SetAddWins,
        elements.map(lambda element: {0: element})
        | some_dots.map(lambda dots_: {1: dots.dots_body(set(dots_))})
        | st.builds(lambda element, dots_: {0: element, 1: dots.dots_body(set(dots_))}, elements, some_dots),
    )


class TestRemoveWinsSet(WholeLaws):
    rule = SetRemoveWins
    states = entries(
        SetRemoveWins,
        elements.map(lambda element: {0: element})
        | elements.map(lambda element: {2: element})
        | st.builds(lambda element, dots_: {0: element, 1: dots.dots_body(set(dots_))}, elements, some_dots),
    )


class TestLog(WholeLaws):
    rule = LogAppend
    states = entries(LogAppend, elements)


def test_grow_only_sets_follow_their_specification() -> None:
    follows_specification(
        Trial(
            SetGrow.bottom(),
            st.tuples(st.just("add"), st.sampled_from(["tea", "milk", "bread"])),
            lambda state, author, operation: state.add(author, operation[1]),
            lambda state: set(state.elements()),
            spec_sets.added,
            lambda *_: True,
        ),
        examples=40,
    )


def test_add_wins_sets_follow_their_specification() -> None:
    def invariant(state: SetAddWins, seen: History, everything: History) -> None:
        assert set(state.elements()) == spec_sets.AddWins(everything).elements(seen)

    follows_specification(
        Trial(
            SetAddWins.bottom(),
            set_operations,
            perform,
            lambda state: None,
            lambda history: None,
            whole=True,
            invariant=invariant,
        ),
        examples=80,
    )


def test_remove_wins_sets_follow_their_specification() -> None:
    follows_specification(
        Trial(
            SetRemoveWins.bottom(),
            set_operations,
            perform,
            lambda state: set(state.elements()),
            spec_sets.remove_wins,
            lambda *_: True,
            whole=True,
        ),
        examples=80,
    )


def test_logs_follow_their_specification() -> None:
    def append(state: LogAppend, author: Author, operation: tuple[str, int]) -> LogAppend:
        return LogAppend.from_entry(author, next_number(state, author), operation[1])

    follows_specification(
        Trial(
            LogAppend.bottom(),
            st.tuples(st.just("append"), st.integers(0, 9)),
            append,
            lambda state: list(state.read()),
            spec_sets.appended,
            lambda *_: True,
            whole=True,
        ),
        examples=40,
    )


@given(st.lists(st.tuples(authors, st.integers(1, 6)), max_size=15), st.randoms(use_true_random=False))
@MANY
def test_a_context_holds_the_dots_it_was_given_in_one_form(some: list[tuple[Author, int]], random: Any) -> None:
    shuffled = list(some)
    random.shuffle(shuffled)
    grown = Context()
    for dot in shuffled:
        grown = grown.union(Context.of([dot]))
    assert grown == Context.of(some) == Context.from_body(wire(grown.body()))
    assert set(grown.dots()) == set(some)
    assert {dot for dot in [(a, n) for a in AUTHORS for n in range(1, 8)] if dot in grown} == set(some)


@pytest.mark.parametrize("rule", [SetAddWins, SetRemoveWins, LogAppend])
def test_two_entries_under_one_number_join_alike_in_every_order(rule: Any) -> None:
    bodies = [{0: "tea"}, {0: "milk"}, {0: "tea", 1: {AUTHORS[1]: [1]}}]
    parts = [rule.from_entry(AUTHORS[0], 3, body) for body in bodies] + [rule.from_entry(AUTHORS[1], 1, {0: "x"})]

    @FEW
    @given(st.permutations(parts))
    def every_order(order: list[Any]) -> None:
        assert joined(rule, order) == joined(rule, parts)
        assert joined(rule, order + order) == joined(rule, parts)

    every_order()


def test_an_add_wins_set_keeps_both_elements_of_a_number_used_twice() -> None:
    parts = [SetAddWins.from_entry(AUTHORS[0], 1, {0: element}) for element in ("tea", "milk")]
    assert joined(SetAddWins, parts).elements() == ["tea", "milk"]


def test_what_was_removed_does_not_come_back_with_an_old_entry() -> None:
    add = SetAddWins.from_entry(AUTHORS[0], 1, {0: "tea"})
    gone = add.join(SetAddWins.from_entry(AUTHORS[1], 1, add.remove_body("tea")))
    assert gone.join(add) == gone
    assert "tea" not in gone


def test_a_concurrent_removal_wins_until_an_addition_covers_it() -> None:
    add = SetRemoveWins.from_entry(AUTHORS[0], 1, {0: "till 3"})
    both = add.join(SetRemoveWins.from_entry(AUTHORS[1], 1, SetRemoveWins.remove_body("till 3")))
    again = both.join(SetRemoveWins.from_entry(AUTHORS[0], 2, add.add_body("till 3")))
    assert "till 3" not in again
    assert "till 3" in again.join(SetRemoveWins.from_entry(AUTHORS[0], 3, again.add_body("till 3")))


def test_additions_that_each_missed_one_removal_restore_nothing() -> None:
    removals = [SetRemoveWins.from_entry(author, 1, {2: "till 3"}) for author in AUTHORS[:2]]
    additions = [
        SetRemoveWins.from_entry(author, 2, removal.add_body("till 3"))
        for author, removal in zip(AUTHORS, removals, strict=False)
    ]
    assert "till 3" not in joined(SetRemoveWins, [*removals, *additions])


def test_only_what_is_there_can_be_removed() -> None:
    with pytest.raises(NotAllowed):
        SetAddWins.bottom().remove_body("tea")
    with pytest.raises(NotAllowed):
        SetAddWins.from_entry(AUTHORS[0], 1, {0: "tea"}).retract_body(AUTHORS[1], "tea")


@pytest.mark.parametrize(
    ("rule", "body"),
    [
        (SetAddWins, {}),
        (SetAddWins, {1: {}}),
        (SetAddWins, {1: {AUTHORS[0]: [2, 1]}}),
        (SetAddWins, {1: {AUTHORS[0]: [7]}}),
        (SetAddWins, {1: {b"short": [1]}}),
        (SetAddWins, {2: "tea"}),
        (SetAddWins, ["tea"]),
        (SetRemoveWins, {1: {AUTHORS[1]: [1]}}),
        (SetRemoveWins, {0: "tea", 1: {}}),
        (SetRemoveWins, {0: "tea", 2: "tea"}),
        (SetRemoveWins, {0: "tea", 1: {AUTHORS[0]: [9]}}),
        (SetGrow, ["b", "a"]),
        (SetGrow, ["a", "a"]),
        (SetGrow, "a"),
    ],
)
def test_an_operation_out_of_shape_is_an_invalid_body(rule: Any, body: object) -> None:
    with pytest.raises(InvalidBody):
        rule.from_entry(AUTHORS[0], 7, body)


def test_elements_may_be_narrowed_by_a_rule_of_their_own() -> None:
    class Accounts(SetGrow):
        @classmethod
        def check_element(cls, element: object) -> None:
            if not isinstance(element, bytes) or len(element) != 8:
                raise InvalidBody("an account is 8 bytes")

    assert Accounts.from_entry(AUTHORS[0], 1, [b"12345678"]).elements() == [b"12345678"]
    with pytest.raises(InvalidBody):
        Accounts.from_entry(AUTHORS[0], 1, [b"1234567"])


def test_a_set_of_2469_accounts_is_one_list_without_repetition() -> None:
    accounts = [n.to_bytes(8, "big") for n in range(2469)]
    state = SetGrow.add(AUTHORS[0], *accounts).join(SetGrow.add(AUTHORS[1], *accounts[:9]))
    assert len(state.elements()) == 2469
    assert len(canonical.encode(state.entry_body(AUTHORS[0]))) < 23_000
