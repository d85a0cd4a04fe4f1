from __future__ import annotations

import hashlib
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merge_rules import canonical
from merge_rules.counter_covers import CLOSED, CounterCovers, Covers, choose
from merge_rules.errors import InvalidBody, NotAllowed
from merge_rules.lattice import Author
from tests.laws import spec_counters
from tests.laws.harness import AUTHORS, MANY, RuleLaws, Trial, follows_specification, wire

A, B, C = AUTHORS[:3]
TAX, TENDERS = 2, 3

covers = st.builds(lambda seq, n: [seq, bytes([n]) * 16], st.integers(1, 3), st.integers(0, 1))
counters = st.dictionaries(
    st.integers(1, 3) | st.just(CLOSED),
    st.integers(1, 3)
    | st.sampled_from([[1], [2, 1], [0, 3], {"cash": [5]}, {"cash": [4, 1], "card": [1]}, [1, b"before.."]]),
    max_size=2,
)
summaries = st.builds(lambda reach, counts: {0: reach, **counts}, covers, counters)


@st.composite
def states(draw: st.DrawFn) -> CounterCovers:
    parts: dict[Author, dict[int, Any]] = {}
    for publisher in draw(st.sets(st.sampled_from(AUTHORS[:3]), max_size=3)):
        part = draw(summaries | st.just({}))
        others = st.sampled_from([author for author in AUTHORS[:3] if author != publisher])
        proxies = draw(st.dictionaries(others, summaries, max_size=2))
        part = {**part, **({23: proxies} if proxies else {})}
        if part:
            parts[publisher] = part
    return CounterCovers.from_body(parts)


def prefix(subject: Author, seq: int) -> bytes:
    return hashlib.sha256(subject + bytes([seq])).digest()[:16]


JOURNALS: dict[Author, list[spec_counters.Act]] = {
    author: [
        [((TAX, n % 2, 0), 100 * n), ((TAX, n % 2, 1), 19 * n), ((TENDERS, "cash", 0), 119 * n), ((1,), 1)]
        for n in range(at + 1, at + 7)
    ]
    for at, author in enumerate(AUTHORS[:3])
}


LIAR, TIMES = C, 10
"""What the liar claims of others' journals is ten times too much."""


def fold(subject: Author, acts: int, times: int = 1) -> dict[int, Any]:
    tax: dict[int, list[int]] = {}
    cash = 0
    for act in JOURNALS[subject][:acts]:
        (base_at, base), (_, amount), (_, paid), _ = act
        sums = tax.setdefault(base_at[1], [0, 0])
        sums[0] += base * times
        sums[1] += amount * times
        cash += paid * times
    return {1: acts * times, TAX: tax, TENDERS: {"cash": [cash]}}


def perform(state: CounterCovers, publisher: Author, operation: tuple[Any, ...]) -> CounterCovers:
    own = state.part(publisher)
    reach = own[0][0] if 0 in own else 0
    match operation:
        case ("close", acts):
            if acts < reach or (CLOSED in own and acts > reach):
                raise NotAllowed
            subject, closed = publisher, {CLOSED: 1}
        case (_, subject, acts):
            if subject == publisher and CLOSED in own and acts > reach:
                raise NotAllowed
            closed = {}
    times = TIMES if publisher == LIAR != subject else 1
    counters = {**fold(subject, acts, times), **closed}
    return state.publish(publisher, subject, Covers(acts, prefix(subject, acts)), counters)


publications = st.tuples(st.just("publish"), st.sampled_from(AUTHORS[:3]), st.integers(1, 6)) | st.tuples(
    st.just("close"), st.integers(1, 6)
)


class TestCountersByCovers(RuleLaws):
    rule = CounterCovers
    states = states()
    operations = st.builds(
        lambda publisher, operation: lambda state: perform(state, publisher, operation),
        st.sampled_from(AUTHORS[:3]),
        publications,
    )


@pytest.mark.parametrize("convicted", [False, True])
def test_every_act_counts_once_whoever_published_it_in_whatever_order(convicted: bool) -> None:
    distrusted = frozenset({LIAR} if convicted else ())

    def read(state: CounterCovers) -> object:
        places: dict[tuple[Any, ...], int] = {}
        total: Any = state.total(distrusted=distrusted)
        for code, sums in total.get(TAX, {}).items():
            places |= {(TAX, code, at): amount for at, amount in enumerate(sums)}
        for kind, sums in total.get(TENDERS, {}).items():
            places |= {(TENDERS, kind, at): amount for at, amount in enumerate(sums)}
        if 1 in total:
            places[(1,)] = total[1]
        found = {
            subject: spec_counters.Counting(
                counts.covers.seq,
                counts.publisher == LIAR != subject,
                frozenset(rival.publisher for rival in rivals),
            )
            for subject, (counts, rivals) in state.choices(distrusted).items()
        }
        return found, places

    follows_specification(
        Trial(
            CounterCovers.bottom(),
            publications,
            perform,
            read,
            lambda visible: spec_counters.takings(visible, JOURNALS, LIAR, TIMES, convicted=convicted),
            spec_counters.may_tell,
        )
    )


def published(publisher: Author, subject: Author, acts: int) -> CounterCovers:
    return perform(CounterCovers.bottom(), publisher, ("publish", subject, acts))


def test_a_dead_till_that_comes_back_counts_nothing_twice() -> None:
    before = published(A, A, 2)
    proxies = before.join(published(B, A, 5)).join(published(C, A, 4))
    assert proxies.total() == fold(A, 5)
    back = proxies.join(published(A, A, 6))
    assert back.total() == fold(A, 6)
    assert back.summaries()[A].publisher == A
    assert back.conflicts() == {}


def test_a_till_that_comes_back_with_less_than_its_neighbour_saw_counts_as_the_neighbour_saw_it() -> None:
    back = published(B, A, 5).join(published(A, A, 3)).join(published(B, B, 1))
    assert back.summaries()[A].publisher == B
    assert back.total([1]) == {1: 6}


def test_summaries_of_equal_reach_that_differ_are_a_conflict_and_the_subjects_own_counts() -> None:
    own, proxy = published(A, A, 3), CounterCovers.publish(B, A, Covers(3, prefix(A, 3)), {1: 99})
    joined = own.join(proxy)
    assert joined.summaries()[A].counters == fold(A, 3)
    assert [summary.publisher for summary in joined.conflicts()[A]] == [A, B]
    settled = joined.join(published(A, A, 4))
    assert settled.conflicts() == {}


def test_journals_that_part_at_one_number_are_a_conflict() -> None:
    joined = published(A, A, 3).join(CounterCovers.publish(B, A, Covers(3, b"x" * 16), fold(A, 3)))
    assert len(joined.conflicts()[A]) == 2


def test_between_proxies_of_equal_reach_the_larger_encoding_counts_in_every_order() -> None:
    said = [
        CounterCovers.publish(who, A, Covers(3, prefix(A, 3)), {1: n}) for who, n in ((B, 5), (C, 7), (AUTHORS[3], 6))
    ]
    for order in itertools.permutations(said):
        joined = CounterCovers.bottom()
        for part in order:
            joined = joined.join(part)
        assert joined.summaries()[A].counters == {1: 7}
        assert [summary.counters[1] for summary in joined.conflicts()[A]] == [7, 6, 5]


def test_money_that_shrinks_does_not_follow_however_far_it_covers() -> None:
    more = CounterCovers.from_entry(A, 1, {0: [3, prefix(A, 3)], 2: {1: [500, 95]}})
    less = CounterCovers.from_entry(A, 2, {0: [9, prefix(A, 9)], 2: {1: [400, 76]}})
    assert not more.precedes(less)
    assert more.join(less).summaries()[A].counters == {2: {1: [500, 95]}}


def test_a_larger_hash_of_an_earlier_number_does_not_stay() -> None:
    early, late = {0: [3, b"\xff" * 16]}, {0: [4, b"\x00" * 16]}
    assert CounterCovers.from_entry(A, 1, early).join(CounterCovers.from_entry(A, 2, late)).part(A) == late
    assert CounterCovers.from_entry(A, 1, early).precedes(CounterCovers.from_entry(A, 2, late))


def test_the_seeds_day_of_three_products_and_one_tender_leaves_room_in_200_bytes() -> None:
    body = {
        0: [117, b"h" * 16], 1: [1, b"previous"], 2: {1: [45_000, 8_550]}, 3: {"cash": [53_550]}, 4: {0: [1, 116, 116]},
        5: [53_550], 6: {4711: [10], 4712: [20], 4713: [5]}, 7: 1,
    }  # fmt: skip
    assert CounterCovers.from_entry(A, 3, wire(body)).entry_body(A) == body
    assert len(canonical.encode(body)) <= 93


@pytest.mark.parametrize(
    "body",
    [
        None, [], {1: 5}, {0: 5}, {0: [0, b"h" * 16]}, {0: [1, b"short"]}, {0: [1]}, {0: [True, b"h" * 16]},
        {0: [1, b"h" * 16, 1]}, {0: [1, b"h" * 16], 24: 1}, {0: [1, b"h" * 16], 2: 0}, {0: [1, b"h" * 16], 2: {}},
        {0: [1, b"h" * 16], 2: -1}, {0: [1, b"h" * 16], 2: "x"}, {"0": 1}, {23: {}}, {23: {A: {0: [1, b"h" * 16]}}},
        {23: {B: {1: 1}}}, {23: {B: {}}}, {23: {b"b": {0: [1, b"h" * 16]}}}, {1: 5, 23: {B: {0: [1, b"h" * 16]}}},
        {23: {B: {0: [1, b"h" * 16], 23: {C: {0: [1, b"h" * 16]}}}}},
    ],
)  # fmt: skip
def test_a_summary_that_does_not_say_what_it_covers_or_holds_no_counters_is_refused(body: object) -> None:
    with pytest.raises(InvalidBody):
        CounterCovers.from_entry(A, 1, body)


def test_a_body_may_hold_proxies_only() -> None:
    body = {23: {B: {0: [1, b"h" * 16], 1: 5}}}
    assert CounterCovers.from_entry(A, 1, body).summaries()[B].counters == {1: 5}


def test_what_the_subject_has_closed_itself_counts_over_any_proxy_in_every_order() -> None:
    own = perform(CounterCovers.bottom(), A, ("close", 3))
    lie = CounterCovers.publish(B, A, Covers(99, b"!" * 16), fold(A, 6, 10) | {CLOSED: 1})
    for joined in (own.join(lie), lie.join(own)):
        assert joined.summaries()[A].publisher == A
        assert [rival.publisher for rival in joined.choices()[A].rivals] == [B]


def test_a_proxy_that_lacks_what_the_subject_published_counts_for_nothing_however_far_it_covers() -> None:
    joined = published(A, A, 3).join(CounterCovers.publish(B, A, Covers(99, b"!" * 16), fold(A, 2)))
    assert joined.summaries()[A].publisher == A
    assert [rival.publisher for rival in joined.conflicts()[A][1:]] == [B]
    further = joined.join(published(C, C, 1)).join(CounterCovers.publish(C, A, Covers(4, prefix(A, 4)), fold(A, 4)))
    assert further.summaries()[A].publisher == C


def test_proxies_of_unequal_reach_that_exclude_each_other_are_a_conflict_and_the_further_counts() -> None:
    near = CounterCovers.publish(B, A, Covers(2, prefix(A, 2)), {1: 99})
    far = CounterCovers.publish(C, A, Covers(5, prefix(A, 5)), fold(A, 5))
    for joined in (near.join(far), far.join(near)):
        assert [summary.publisher for summary in joined.conflicts()[A]] == [C, B]


def test_who_is_proven_to_contradict_itself_is_heard_as_a_proxy_where_there_is_nothing_else() -> None:
    liars = frozenset({C})
    alone = published(C, A, 5)
    assert alone.summaries(liars)[A].publisher == C
    joined = alone.join(published(B, A, 2))
    assert (joined.summaries()[A].publisher, joined.summaries(liars)[A].publisher) == (C, B)
    assert [rival.publisher for rival in joined.conflicts(liars)[A][1:]] == [C]
    own = published(C, C, 4).join(published(B, C, 2))
    assert own.summaries(liars)[C].publisher == C, "of itself it is heard like anybody"


@MANY
@given(states(), st.sets(st.sampled_from(AUTHORS[:3])), st.randoms(use_true_random=False))
def test_one_summary_of_each_subject_counts_whatever_is_said_and_in_whatever_order(
    state: CounterCovers, distrusted: set[Author], random: Any
) -> None:
    everything = state.published()
    choices = state.choices(distrusted)
    assert set(choices) == {summary.subject for summary in everything}
    for subject, choice in choices.items():
        said = [summary for summary in everything if summary.subject == subject]
        assert choice.counts in said
        assert choice.counts not in choice.rivals
        random.shuffle(said)
        assert choose(said, distrusted) == choice
        own = next((summary for summary in said if summary.publisher == subject), None)
        if own is not None:
            assert own not in choice.rivals
            assert choice.counts == own or (CLOSED not in own.counters and choice.counts.publisher not in distrusted)
            assert choice.counts.covers.seq >= own.covers.seq
