"""Who talks with whom: connected, bounded, stable. Properties over many sets of tills."""

from __future__ import annotations

import doctest
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from merge_rules.lattice import Author
from peers import gateways, mesh, presence
from peers.gateways import Duty, before, duty, ranked
from peers.mesh import FULL_MAX, NEIGHBOURS_MAX, RINGS, neighbours

STORE = st.sets(st.binary(min_size=8, max_size=8).map(Author), min_size=2, max_size=40)


def graph(tills: Iterable[Author]) -> dict[Author, frozenset[Author]]:
    every = list(tills)
    return {till: neighbours(till, every) for till in every}


def reached(links: dict[Author, frozenset[Author]], start: Author) -> list[int]:
    """How many tills are new at each hop from ``start``."""
    seen, edge, counts = {start}, {start}, []
    while edge:
        edge = {other for till in edge for other in links[till]} - seen
        seen |= edge
        counts.append(len(edge))
    assert seen == set(links)
    return counts[:-1]


@pytest.mark.parametrize("module", [gateways, mesh, presence], ids=lambda module: module.__name__)
def test_the_examples_in_the_text_are_true(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


@given(STORE)
def test_every_till_is_reached_and_none_has_more_sessions_than_stated(tills: set[Author]) -> None:
    links = graph(tills)
    for till, others in links.items():
        assert till not in others
        assert len(others) <= NEIGHBOURS_MAX
        assert all(till in links[other] for other in others)
    reached(links, next(iter(tills)))


@given(st.sets(st.binary(min_size=8, max_size=8).map(Author), min_size=2, max_size=FULL_MAX))
def test_up_to_eight_tills_talk_everyone_with_everyone(tills: set[Author]) -> None:
    assert all(others == tills - {till} for till, others in graph(tills).items())


@settings(max_examples=30)
@given(STORE.filter(lambda tills: len(tills) > FULL_MAX + 1), st.data())
def test_when_one_leaves_only_its_neighbours_look_for_others(tills: set[Author], data: st.DataObject) -> None:
    gone = data.draw(st.sampled_from(sorted(tills)))
    here, after = graph(tills), graph(tills - {gone})
    changed = {till for till in after if after[till] != here[till] - {gone}}
    assert changed <= here[gone]
    assert sum(len(after[till] - here[till]) for till in after) <= 2 * RINGS
    reached(after, next(iter(after)))


def test_forty_tills_are_a_few_hops_apart() -> None:
    links = graph(Author(bytes([number]) * 8) for number in range(40))
    assert max(len(others) for others in links.values()) <= 6
    assert max(len(reached(links, till)) for till in links) <= 4


@given(STORE)
def test_of_tills_that_all_reach_the_office_one_is_active_and_one_stands_by(tills: set[Author]) -> None:
    duties = [duty(till, dict.fromkeys(tills, True)) for till in ranked(tills)]
    assert duties == [Duty.ACTIVE, Duty.STANDBY, *[Duty.NONE] * (len(tills) - 2)]


@given(STORE)
def test_without_an_office_every_till_tries_by_itself(tills: set[Author]) -> None:
    assert {duty(till, dict.fromkeys(tills, False)) for till in tills} == {Duty.ACTIVE}


@given(STORE.filter(lambda tills: len(tills) > 2))
def test_the_next_in_order_takes_over_and_the_last_change_nothing(tills: set[Author]) -> None:
    first, second, third, *rest = ranked(tills)
    reaching = dict.fromkeys(tills, True)
    lost = reaching | {first: False}
    assert [duty(till, lost) for till in (second, third)] == [Duty.ACTIVE, Duty.STANDBY]
    gone = {till: reaches for till, reaches in reaching.items() if till != first}
    assert [duty(till, gone) for till in (second, third, *rest)] == [
        Duty.ACTIVE,
        Duty.STANDBY,
        *[Duty.NONE] * len(rest),
    ]
    for till in rest:
        assert before(first, tills - {till}) == []
        assert duty(second, {one: True for one in tills if one != till}) is Duty.STANDBY
