"""An author that contradicts itself without end: what is kept of it is bounded, and everybody keeps the same in the end."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from gossip.entry import Entry
from gossip.log import Arrival, Outcome
from gossip.log_memory import MemoryLog
from gossip.log_writer import HEADS_KEPT_MAX
from tests.log.making import AUTHORS, PEER, SCHEMA, Maxima, append, chain, day, entry, journal

FEW_HEADS = 8
bodies = st.dictionaries(st.integers(0, 3), st.integers(1, 6), min_size=1, max_size=3)


@st.composite
def contradictions(draw: st.DrawFn) -> list[Entry]:
    """More entries of one feed than are kept, most of them of few numbers; now and then one that contains many others."""
    said = draw(st.lists(st.tuples(st.integers(1, 4), bodies), min_size=HEADS_KEPT_MAX + 2, max_size=30))
    above = draw(st.lists(st.tuples(st.integers(4, 6), st.just({0: 6, 1: 6, 2: draw(st.integers(1, 6))})), max_size=2))
    return [entry(day(), seq, body) for seq, body in (*said, *above)]


def heads(log: MemoryLog) -> list[Entry]:
    with log.read() as reader:
        return [stored.entry for stored in reader.head_entries(day())]


def precedes(one: Entry, other: Entry) -> bool:
    lower, upper = Maxima.from_body(one.body), Maxima.from_body(other.body)
    return one.seq < other.seq and lower.precedes(upper)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_whatever_came_first_replicas_that_tell_each_other_keep_the_same_few(data: st.DataObject) -> None:
    entries = data.draw(contradictions())
    logs = [MemoryLog(SCHEMA) for _ in range(3)]
    for log in logs:
        # Each has heard of some, in an order of its own.
        heard = data.draw(st.lists(st.sampled_from(entries), max_size=len(entries)))
        for one in heard:
            append(log, one)
    while True:
        before = [heads(log) for log in logs]
        for giver, taker in itertools.permutations(range(3), 2):
            append(logs[taker], *heads(logs[giver]))
        if [heads(log) for log in logs] == before:
            break
    kept = heads(logs[0])
    assert heads(logs[1]) == heads(logs[2]) == kept
    assert len(kept) <= HEADS_KEPT_MAX == FEW_HEADS
    assert not any(precedes(one, other) for one, other in itertools.permutations(kept, 2))
    scopes = {"store/12"}
    with logs[0].read() as one, logs[1].read() as other:
        assert all(one.fingerprint(scope) == other.fingerprint(scope) for scope in scopes)  # type: ignore[arg-type]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 4), bodies), min_size=1, max_size=HEADS_KEPT_MAX), st.randoms())
def test_of_no_more_than_are_kept_none_is_ever_dropped(said: list[tuple[int, dict[int, int]]], dice: object) -> None:
    entries = [entry(day(), seq, body) for seq, body in said]
    dice.shuffle(entries)  # type: ignore[attr-defined]
    log = MemoryLog(SCHEMA)
    for one in entries:
        append(log, one)
    expected = {one for one in entries if not any(precedes(one, other) for other in entries)}
    assert set(heads(log)) == expected


def test_thousands_of_contradictions_take_the_place_of_a_few_and_the_pair_that_proves_it_is_among_them() -> None:
    log = MemoryLog(SCHEMA)
    outcomes = append(log, *(entry(day(), 1 + number % 3, {0: 1, number: 1}) for number in range(1, 2001)))
    assert len(heads(log)) == HEADS_KEPT_MAX
    with log.read() as reader:
        assert sum(1 for _ in reader.arrivals(0, 10_000)) == HEADS_KEPT_MAX
        proofs = [done for done in outcomes if done.rival is not None and reader.find(done.rival) and done.arrival]
        assert proofs, "both halves of a proof are here"
    assert {one.seq for one in heads(log)} == {3}


def test_the_newest_of_our_own_stays_whatever_a_copy_of_our_disk_has_signed() -> None:
    log = MemoryLog(SCHEMA)
    own = entry(day(), 9, {0: 9})
    log.append([Arrival(own)])
    append(log, *(entry(day(), 8, {number: 1}) for number in range(1, 200)))
    assert own in heads(log)
    older = entry(day(), 7, {7: 7})
    log.append([Arrival(older)])
    append(log, *(entry(day(), 8, {number: 2}) for number in range(1, 200)))
    assert own in heads(log)


def test_of_a_whole_feed_an_author_brings_few_branches_itself_and_others_bring_theirs() -> None:
    log, author = MemoryLog(SCHEMA), AUTHORS[0]
    branches = [chain(journal(), 2, mark=mark) for mark in range(HEADS_KEPT_MAX + 3)]
    done = [append(log, *branch, sender=author) for branch in branches]
    assert [one[0].outcome for one in done[HEADS_KEPT_MAX:]] == [Outcome.TOO_MANY] * 3
    assert [one[1].outcome for one in done[HEADS_KEPT_MAX:]] == [Outcome.GAP] * 3
    # What goes on is no branch.
    longer = chain(journal(), 1, mark=0, after=branches[0][-1])
    assert append(log, *longer, sender=author)[0].outcome is Outcome.NEW
    # Whoever took it must be able to pass it on, else replicas would differ for good.
    assert append(log, *branches[-1], sender=PEER)[0].outcome is Outcome.FORK
