"""The table of who is there: beats rise, lapse and come back, in whatever order tables arrive."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from merge_rules import canonical
from merge_rules.lattice import Author
from peers.presence import LAPSE_S, TILLS_MAX, Presence

ONE, TWO, THREE = (Author(bytes([number]) * 8) for number in (1, 2, 3))


def anyone(_author: Author) -> bool:
    return True


def test_a_till_is_heard_of_through_a_neighbour() -> None:
    far, between, here = Presence(ONE, 5), Presence(TWO, 5), Presence(THREE, 5)
    far.say(reaches=True)
    assert between.hear(far.table(0.0), 0.0, anyone)
    assert here.hear(between.table(1.0), 1.0, anyone)
    assert here.reaching(1.0) == {ONE: True, TWO: False, THREE: False}


def test_who_counts_no_further_lapses_and_comes_back_with_a_higher_beat_only() -> None:
    far, here = Presence(ONE, 5), Presence(TWO, 5)
    table = far.table(0.0)
    here.hear(table, 0.0, anyone)
    assert not here.hear(table, LAPSE_S, anyone)
    assert ONE in here.reaching(LAPSE_S)
    assert ONE not in here.reaching(LAPSE_S + 0.1)
    far.say(reaches=False)
    assert here.hear(far.table(9.0), 9.0, anyone)
    here.lapse(ONE)
    assert not here.hear(far.table(9.0), 9.0, anyone)
    assert here.reaching(9.0) == {TWO: False}
    far.say(reaches=False)
    assert here.hear(far.table(10.0), 10.0, anyone)
    assert ONE in here.reaching(10.0)


def test_who_slept_itself_gives_the_others_time_to_speak() -> None:
    far, gone, here = Presence(ONE, 5), Presence(THREE, 5), Presence(TWO, 5)
    for other in (far, gone):
        here.hear(other.table(0.0), 0.0, anyone)
    here.lapse(THREE)
    here.excuse(60.0)
    assert here.reaching(60.0) == {ONE: False, TWO: False}
    assert here.reaching(60.1 + LAPSE_S) == {TWO: False}


def test_a_beat_alone_is_no_news() -> None:
    far, here = Presence(ONE, 5), Presence(TWO, 5)
    assert here.hear(far.table(0.0), 0.0, anyone)
    assert not far.say(reaches=False)
    assert not here.hear(far.table(1.0), 1.0, anyone)
    assert far.say(reaches=True)
    assert here.hear(far.table(2.0), 2.0, anyone)


def test_a_till_whose_clock_was_set_back_is_heard_as_soon_as_it_hears_itself() -> None:
    earlier, here, again = Presence(ONE, 1_000), Presence(TWO, 5), Presence(ONE, 10)
    here.hear(earlier.table(0.0), 0.0, anyone)
    assert not here.hear(again.table(1.0), 1.0, anyone)
    again.hear(here.table(1.0), 1.0, anyone)
    again.say(reaches=True)
    assert here.hear(again.table(2.0), 2.0, anyone)


def test_rows_that_nobody_vouches_for_are_not_believed_and_tables_are_bounded() -> None:
    here = Presence(ONE, 5)
    many = [[bytes([1, *divmod(n, 250), 0, 0, 0, 0, 0]), 1, True] for n in range(2 * TILLS_MAX)]
    here.hear(canonical.encode(many), 0.0, lambda _author: False)
    assert here.reaching(0.0) == {ONE: False}
    here.hear(canonical.encode(many), 0.0, anyone)
    assert len(here.reaching(0.0)) == TILLS_MAX + 1


@given(st.binary(max_size=64) | st.builds(canonical.encode, st.lists(st.lists(st.integers(0, 3), max_size=4))))
def test_what_is_no_table_says_nothing(content: bytes) -> None:
    here = Presence(ONE, 5)
    assert not here.hear(content, 0.0, anyone)
    assert here.reaching(0.0) == {ONE: False}


def test_in_whatever_order_tables_arrive_the_highest_beat_counts() -> None:
    far = Presence(TWO, 5)
    tables = [far.table(0.0)]
    for reaches in (True, False, True):
        far.say(reaches=reaches)
        tables.append(far.table(0.0))
    for order in itertools.permutations(tables):
        here = Presence(ONE, 5)
        for table in (*order, *order):
            here.hear(table, 0.0, anyone)
        assert here.reaching(0.0) == {ONE: False, TWO: True}
