from __future__ import annotations

from typing import Any, ClassVar

import pytest
from hypothesis import strategies as st

from merge_rules.counter_pn import CounterPN
from merge_rules.errors import InvalidBody, NotAllowed
from merge_rules.lattice import Author
from merge_rules.record import Record, RecordEach, record, record_each
from merge_rules.register_lww import RegisterLww
from merge_rules.register_mv import RegisterMv
from merge_rules.set_grow import SetGrow
from tests.laws import spec_sets
from tests.laws.harness import AUTHORS, History, RuleLaws, Trial, authors, follows_specification
from tests.laws.whole_feeds import joined

values: st.SearchStrategy[Any] = st.sampled_from(["tea", 7, None, b"x", [1], {"a": 1}])
stamps = st.integers(0, 4) | st.just(2**64 - 1)
NORTH, SOUTH, WEST = AUTHORS[:3]


def parts_of(rule: Any, bodies: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    def part(author: Author, body: Any) -> Any:
        try:
            return rule.from_entry(author, 1, body)
        except InvalidBody:
            return rule.bottom()

    return st.lists(st.builds(part, authors, bodies), max_size=4).map(lambda parts: joined(rule, parts))


lww_bodies = st.builds(lambda stamp, value: {0: stamp, 1: value}, stamps, values)
mv_bodies = st.builds(
    lambda number, value, seen: {0: number, 1: value, **({2: seen} if seen else {})},
    st.integers(1, 3),
    values,
    st.dictionaries(authors, st.integers(1, 3), max_size=2),
)


class Price(Record):
    rules: ClassVar = {0: RegisterMv, 1: SetGrow, 2: RegisterLww}


class Prices(RecordEach):
    rule = Price


price_bodies = st.fixed_dictionaries(
    {}, optional={0: mv_bodies, 1: st.sampled_from([["a"], ["a", "b"]]), 2: lww_bodies}
)


class TestLastWriterWinsRegister(RuleLaws):
    rule = RegisterLww
    states = parts_of(RegisterLww, lww_bodies)
    operations = st.builds(
        lambda author, stamp, value: lambda state: state.write(author, stamp, value), authors, stamps, values
    )


class TestMultiValueRegister(RuleLaws):
    rule = RegisterMv
    states = parts_of(RegisterMv, mv_bodies)
    operations = st.builds(lambda author, value: lambda state: state.write(author, value), authors, values)


class TestRecord(RuleLaws):
    rule = Price
    states = parts_of(Price, price_bodies)
    operations = st.builds(
        lambda author, value: lambda state: Price({0: state.field(0).write(author, value)}), authors, values
    )


class TestRecordOfAnyField(RuleLaws):
    rule = Prices
    states = parts_of(Prices, st.dictionaries(st.sampled_from(["tea", "milk"]), price_bodies, max_size=2))
    operations = st.builds(
        lambda author, name: lambda state: Prices({name: Price({1: SetGrow.add(author, "a")})}),
        authors,
        st.sampled_from(["tea", "milk"]),
    )


def test_last_writer_wins_registers_follow_their_specification() -> None:
    follows_specification(
        Trial(
            RegisterLww.bottom(),
            st.tuples(st.just("write"), st.integers(0, 30), st.integers(0, 9)),
            lambda state, author, operation: state.write(author, *operation[1:]),
            RegisterLww.value,
            spec_sets.last_written,
            spec_sets.may_write,
        ),
        examples=60,
    )


def test_multi_value_registers_follow_their_specification() -> None:
    follows_specification(
        Trial(
            RegisterMv.bottom(),
            st.tuples(st.just("write"), st.integers(0, 9)),
            lambda state, author, operation: state.write(author, operation[1]),
            lambda state: set(state.values()),
            spec_sets.unseen_values,
            lambda *_: True,
        ),
        examples=60,
    )


def test_a_record_follows_the_specification_of_each_field() -> None:
    Product = record("Product", {0: RegisterMv, 1: SetGrow, 2: CounterPN})  # noqa: N806

    def perform(state: Any, author: Author, operation: tuple[str, int]) -> Any:
        verb, value = operation
        match verb:
            case "write":
                return Product({0: state.field(0).write(author, value)})
            case "add":
                return Product({1: SetGrow.add(author, value)})
            case _:
                return Product({2: state.field(2).increase(author, "stock", value + 1)})

    def read(state: Any) -> object:
        stock = state.field(2).values().get("stock", 0)
        return set(state.field(0).values()), set(state.field(1).elements()), stock

    def specify(history: History) -> object:
        of = {
            verb: {key: event for key, event in history.items() if event.operation[0] == verb}
            for verb in ("write", "add", "count")
        }
        return (
            spec_sets.unseen_values(of["write"]),
            {event.operation[1] for event in of["add"].values()},
            sum(event.operation[1] + 1 for event in of["count"].values()),
        )

    operations = st.tuples(st.sampled_from(["write", "add", "count"]), st.integers(0, 3))
    follows_specification(Trial(Product.bottom(), operations, perform, read, specify, lambda *_: True), examples=40)


def test_a_stamp_from_the_future_waits_until_its_time_comes() -> None:
    state = RegisterLww.bottom().write(NORTH, 7, "now").join(RegisterLww.bottom().write(SOUTH, 900, "later"))
    assert (state.value(now=8), state.waiting(8)) == ("now", {SOUTH})
    assert (state.value(now=900), state.waiting(900)) == ("later", frozenset())
    assert state.value(default="nothing", now=6) == "nothing"


def test_an_authors_next_write_replaces_its_last_and_the_last_does_not_come_back() -> None:
    first = RegisterLww.bottom().write(NORTH, 1, "tea")
    second = first.join(first.write(NORTH, 2, "milk"))
    assert second.value() == second.join(first).value() == "milk"
    one = RegisterMv.bottom().write(NORTH, "tea")
    two = one.join(one.write(NORTH, "milk"))
    assert two.values() == two.join(one).values() == ["milk"]


def test_equal_stamps_go_to_the_greater_author() -> None:
    writes = [RegisterLww.bottom().write(author, 5, name) for author, name in ((NORTH, "north"), (SOUTH, "south"))]
    assert joined(RegisterLww, writes).value() == "south"


def test_a_write_with_an_old_stamp_is_refused_rather_than_lost() -> None:
    state = RegisterLww.bottom().write(NORTH, 7, "tea")
    with pytest.raises(NotAllowed):
        state.write(SOUTH, 7, "milk")


def test_what_others_write_never_shrinks_what_an_author_signs() -> None:
    state = RegisterLww.bottom().write(NORTH, 1, "tea")
    signed = state.entry_body(NORTH)
    after = state.join(state.write(SOUTH, 2, "milk"))
    assert after.entry_body(NORTH) == signed


def test_writing_the_same_apart_is_no_conflict() -> None:
    state = RegisterMv.bottom().write(NORTH, 199).join(RegisterMv.bottom().write(SOUTH, 199))
    assert state.values() == [199]
    assert not state.in_conflict()
    assert state.join(RegisterMv.bottom().write(WEST, 7)).in_conflict()


def test_saying_the_same_again_under_a_new_number_does_not_revive_a_replaced_value() -> None:
    old = RegisterMv.bottom().write(NORTH, 199)
    new = old.join(old.write(SOUTH, 219))
    assert new.join(RegisterMv.from_entry(NORTH, 8, old.entry_body(NORTH))).values() == [219]


def test_an_author_that_contradicts_itself_is_kept_on_record() -> None:
    lies = [RegisterMv.from_entry(NORTH, 4, {0: 1, 1: price}) for price in (1, 2)]
    assert lies[0].join(lies[1]).values() == [1, 2]
    assert not lies[0].precedes(lies[1])
    writes = [RegisterLww.from_entry(NORTH, 4, {0: 1, 1: price}) for price in (1, 2)]
    assert not writes[0].precedes(writes[1])
    assert writes[0].join(writes[1]).value() == writes[1].join(writes[0]).value() == 2


@pytest.mark.parametrize(
    ("rule", "body"),
    [
        (RegisterLww, {0: 1}),
        (RegisterLww, {0: -1, 1: "x"}),
        (RegisterLww, {0: 1, 1: "x", 2: 0}),
        (RegisterLww, [1, "x"]),
        (RegisterMv, {0: 0, 1: "x"}),
        (RegisterMv, {0: 1, 1: "x", 2: {}}),
        (RegisterMv, {0: 1, 1: "x", 2: {NORTH: 1}}),
        (Price, {3: ["a"]}),
        (Price, {"0": {0: 1, 1: "x"}}),
        (Price, {1: []}),
        (Prices, {"tea": {}}),
        (Prices, {"tea": {1: ["b", "a"]}}),
    ],
)
def test_a_body_out_of_shape_is_an_invalid_body(rule: Any, body: object) -> None:
    with pytest.raises(InvalidBody):
        rule.from_entry(NORTH, 1, body)


def test_records_are_made_from_a_table() -> None:
    cashier = record("Cashier", {"name": RegisterLww, "rights": SetGrow})
    staff = record_each("Staff", cashier)
    body = {"anna": {"name": {0: 1, 1: "Anna"}, "rights": ["refund"]}}
    state = staff.from_entry(NORTH, 1, body)
    assert state.field("anna").field("name").value() == "Anna"
    assert state.entry_body(NORTH) == body
    assert state.entry_body(SOUTH) == {}
    assert state.field("bert") == cashier.bottom()
    with pytest.raises(InvalidBody):
        state.field("anna").field("age")
