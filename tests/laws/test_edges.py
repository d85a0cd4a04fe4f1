"""One plain example for each edge that the random ones of the laws may miss."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from merge_rules import yjs_update
from merge_rules.claims import Identities
from merge_rules.counter_bounded import CounterBounded, Receipt
from merge_rules.document_yjs import DocumentYjs, OpenDocument
from merge_rules.dots import Context
from merge_rules.errors import InvalidBody, NotAllowed
from merge_rules.lattice import Author
from merge_rules.log_append import LogAppend
from merge_rules.record import Record, RecordEach
from merge_rules.register_lww import RegisterLww
from merge_rules.register_mv import RegisterMv
from tests.laws.harness import AUTHORS

NORTH, SOUTH, WEST = sorted(AUTHORS[:3])


# --- bounded counter ---


def test_a_receipt_is_the_total_of_the_grants_however_often_it_is_given() -> None:
    state = CounterBounded.bottom()
    for amount in (10, 5):
        state = state.join(state.earn(NORTH, amount))
        state = state.join(state.grant(NORTH, SOUTH, amount))
        state = state.join(state.receive(SOUTH, NORTH))
        assert state.receive(SOUTH, NORTH) == CounterBounded.bottom()
    assert state.received(SOUTH) == {NORTH: Receipt(15, 4)}
    assert (state.rights(SOUTH), state.value()) == (15, 15)


def test_a_receipt_never_names_an_older_entry_of_its_donor_than_before() -> None:
    state = CounterBounded.from_body({NORTH: [3, {0: 20, 2: {SOUTH: 20}}], SOUTH: [1, {3: {NORTH: [10, 5]}}]})
    assert state.receive(SOUTH, NORTH).received(SOUTH) == {NORTH: Receipt(20, 5)}


# --- Yjs ---


def test_of_two_snapshots_the_further_one_says_how_far_an_author_is_covered() -> None:
    near, far = DocumentYjs({}, {NORTH: 1}), DocumentYjs({}, {NORTH: 2})
    assert near.join(far).covered == far.join(near).covered == {NORTH: 2}


def test_no_snapshot_is_made_over_a_missing_deletion_though_nothing_waits_for_it() -> None:
    document = OpenDocument(NORTH)
    updates = [document.set("tea", b"1"), document.delete("tea"), document.set("milk", b"2")]
    first, deletion, third = (DocumentYjs.from_entry(NORTH, seq, {0: update}) for seq, update in enumerate(updates, 1))
    assert not first.join(third).open().waiting
    with pytest.raises(NotAllowed):
        first.join(third).snapshot_body()
    assert first.join(deletion).join(third).snapshot_body()


def test_a_client_id_beyond_its_53_bits_is_refused() -> None:
    update = OpenDocument(Author(b"\xff" * 8)).set("tea", b"1")
    assert update is not None
    largest, next_after = b"\xff" * 7 + b"\x0f", b"\x80" * 7 + b"\x10"
    assert update.count(largest) == 1
    yjs_update.parse(update)
    with pytest.raises(InvalidBody):
        yjs_update.parse(update.replace(largest, next_after))


# --- registers and records ---


def test_the_latest_of_those_who_saw_a_value_decides_that_it_was_replaced() -> None:
    writes = {
        NORTH: RegisterMv.from_entry(NORTH, 2, {0: 2, 1: "old"}),
        SOUTH: RegisterMv.from_entry(SOUTH, 1, {0: 1, 1: "new", 2: {NORTH: 1}}),
        WEST: RegisterMv.from_entry(WEST, 1, {0: 1, 1: "new", 2: {NORTH: 2}}),
    }
    for order in ((NORTH, SOUTH, WEST), (NORTH, WEST, SOUTH)):
        state = RegisterMv.bottom()
        for author in order:
            state = state.join(writes[author])
        assert state.values() == ["new"]


def test_of_two_writes_under_one_number_all_replicas_sign_the_same() -> None:
    low, high = (RegisterMv.from_entry(NORTH, 1, {0: 1, 1: value}) for value in ("a", "b"))
    assert low.join(high).entry_body(NORTH) == high.join(low).entry_body(NORTH) == {0: 1, 1: "b"}


@pytest.mark.parametrize("writes", [[], [["b", {}], ["a", {}]], [["a", {}], ["a", {}]]])
def test_a_register_whose_writes_are_missing_or_do_not_ascend_is_an_invalid_body(writes: list[Any]) -> None:
    with pytest.raises(InvalidBody):
        RegisterMv.from_body({NORTH: [1, writes]})


class Names(RecordEach):
    rule = RegisterLww


class Cashier(Record):
    rules: ClassVar = {0: RegisterLww, 1: RegisterLww}


@pytest.mark.parametrize(
    "body", [{"anna": {0: 1, 1: "x"}, 7: {0: 1, 1: "x"}}, {-1: {0: 1, 1: "x"}}, {True: {0: 1, 1: "x"}}, {"anna": {}}]
)
def test_a_record_with_fields_of_two_types_or_of_none_is_an_invalid_body(body: Any) -> None:
    with pytest.raises(InvalidBody):
        Names.from_entry(NORTH, 1, body)


def test_a_record_signs_only_the_fields_that_its_author_wrote() -> None:
    state = Cashier({0: RegisterLww.bottom().write(NORTH, 1, "Anna"), 1: RegisterLww.bottom().write(SOUTH, 1, "till")})
    assert state.entry_body(NORTH) == {0: {0: 1, 1: "Anna"}}
    assert state.entry_body(SOUTH) == {1: {0: 1, 1: "till"}}


# --- log ---


def test_a_log_keeps_both_bodies_of_a_number_used_twice_and_says_so() -> None:
    low, high = (LogAppend.from_entry(NORTH, 1, body) for body in ("a", "b"))
    state = low.join(high)
    assert state == high.join(low)
    assert [body for _, _, body in state.read()] == ["a", "b"]
    assert state.forks() == {(NORTH, 1)}
    assert low.forks() == frozenset()
    assert state.entry_body(NORTH) == "a"


@pytest.mark.parametrize(
    "pairs", [[], [[1, "a"], [1, "a"]], [[2, "a"], [1, "a"]], [[1, "b"], [1, "a"]], [[1]], [[0, "a"]]]
)
def test_a_log_that_is_empty_or_does_not_ascend_is_an_invalid_body(pairs: list[Any]) -> None:
    with pytest.raises(InvalidBody):
        LogAppend.from_body({NORTH: pairs})


class Texts(LogAppend):
    @classmethod
    def check_item(cls, item: object) -> None:
        if not isinstance(item, str):
            raise InvalidBody("no text")


def test_a_narrowed_log_refuses_what_it_does_not_take_however_it_comes() -> None:
    assert Texts.from_body(Texts.from_entry(NORTH, 1, "a").body()) == Texts.from_entry(NORTH, 1, "a")
    with pytest.raises(InvalidBody):
        Texts.from_entry(NORTH, 1, 7)
    with pytest.raises(InvalidBody):
        Texts.from_body({NORTH: [[1, 7]]})


# --- claims ---


def test_two_groups_that_meet_at_their_later_members_are_one() -> None:
    things = Identities.of([("a", 1), ("a", 5), ("b", 3), ("b", 4), ("c", 4), ("c", 5), ("d", 9)])
    assert things.group(5) == things.group(3) == (1, 3, 4, 5)
    assert (things.same_as(4), things.find("b"), things.find("d")) == (1, 1, 9)
    assert 9 not in things.joined


# --- dots ---


def test_a_context_takes_the_further_reach_and_drops_what_it_covers() -> None:
    far, near, cloud = Context({NORTH: 3}), Context({NORTH: 1}), Context.of([(NORTH, 2), (SOUTH, 4)])
    assert far.union(near) == near.union(far) == far
    both = far.union(cloud)
    assert both == cloud.union(far) == Context({NORTH: 3}, frozenset({(SOUTH, 4)}))
    assert (both.size, len(list(both.dots()))) == (4, 4)


@pytest.mark.parametrize(
    "body", [[{NORTH: 1}, {NORTH: [2]}], [{NORTH: 2}, {NORTH: [1]}], [{}, {NORTH: []}], [{}, {NORTH: [3, 3]}], [{}]]
)
def test_a_context_in_another_form_than_the_shortest_is_an_invalid_body(body: list[Any]) -> None:
    with pytest.raises(InvalidBody):
        Context.from_body(body)
