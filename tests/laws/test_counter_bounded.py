from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merge_rules.counter_bounded import CounterBounded, Lie
from merge_rules.errors import InvalidBody, NotAllowed
from merge_rules.lattice import Author
from tests.laws import spec_counters
from tests.laws.harness import AUTHORS, FEW, MANY, History, RuleLaws, Trial, authors, follows_specification, wire

A, B, C = AUTHORS[:3]
amounts = st.integers(1, 6)


@st.composite
def parts(draw: st.DrawFn, author: Author) -> dict[int, Any]:
    others = st.sampled_from([other for other in AUTHORS if other != author])
    part: dict[int, Any] = {
        0: draw(st.integers(0, 20)),
        1: draw(st.integers(0, 6)),
        2: draw(st.dictionaries(others, amounts, max_size=2)),
        3: draw(st.dictionaries(others, st.tuples(amounts, st.integers(1, 4)).map(list), max_size=2)),
    }
    return {key: value for key, value in part.items() if value}


@st.composite
def any_states(draw: st.DrawFn) -> CounterBounded:
    """Also such as no entry alone can say: that is how the joined versions of a fork look."""
    body: dict[Author, list[Any]] = {}
    for author in draw(st.sets(authors, max_size=3)):
        part = draw(parts(author))
        body[author] = [draw(st.integers(1, 4)), *([part] if part else [])]
    return CounterBounded.from_body(body)


people = st.sampled_from(AUTHORS[:3])
verbs = {
    "earn": (st.integers(1, 20),),
    "redeem": (amounts,),
    "grant": (people, amounts),
    "receive": (),
}
operations = st.sampled_from(["earn", "redeem", "grant", "grant", "receive", "receive", "receive"]).flatmap(
    lambda verb: st.tuples(st.just(verb), *verbs[verb])
)


def perform(state: CounterBounded, author: Author, operation: tuple[Any, ...]) -> CounterBounded:
    verb, *arguments = operation
    if operation == ("receive",):  # from everybody, in one entry
        delta = CounterBounded.bottom()
        for donor in AUTHORS[:3]:
            delta = delta.join(state.receive(author, donor))
        return delta
    return getattr(state, verb)(author, *arguments)  # type: ignore[no-any-return]


@st.composite
def honest(draw: st.DrawFn) -> CounterBounded:
    state = CounterBounded.bottom()
    for author, operation in draw(st.lists(st.tuples(st.sampled_from(AUTHORS[:3]), operations), max_size=12)):
        try:
            state = state.join(perform(state, author, operation))
        except NotAllowed:
            continue
    return state


class TestBoundedCounter(RuleLaws):
    rule = CounterBounded
    states = any_states()
    honest_states = honest()
    operations = st.builds(
        lambda author, operation: lambda state: perform(state, author, operation), authors, operations
    )

    def seq_of(self, state: CounterBounded, author: Author) -> int | None:
        return state.seq(author) or None


# ---- schedules ----------------------------------------------------------------------------------------------------------


class _Judge:
    """Holds the whole history, which the specification needs to know what a receipt could see."""

    everything: History

    def __init__(self) -> None:
        self.everything = {}

    def invariant(self, state: CounterBounded, visible: History, everything: History) -> None:
        self.everything = everything
        truth = spec_counters.bounded(everything, everything)
        assert truth["owed"] >= 0, "more was redeemed than was ever earned"
        under_way = sum(sum(state.receivable(author).values()) for author in AUTHORS)
        held = sum(state.rights(author) for author in AUTHORS)
        assert state.value() >= 0
        assert state.lies() == ()
        assert state.overspent() == {}
        if not state.pending():
            assert held + under_way == state.value(), "rights are conserved"

    def specify(self, visible: History) -> dict[str, Any]:
        return spec_counters.bounded(visible, {**self.everything, **visible})

    def allowed(self, visible: History, author: Author, operation: tuple[Any, ...]) -> bool:
        return spec_counters.may(visible, {**self.everything, **visible}, author, operation)


def read(state: CounterBounded) -> dict[str, Any]:
    pending = {(taker, donor): n for taker, donors in state.pending().items() for donor, n in donors.items()}
    rights = {author: state.rights(author) for author in state.authors}
    return {
        "rights": {author: amount for author, amount in rights.items() if amount},
        "pending": pending,
        "owed": None if pending else state.value(),
    }


@pytest.mark.parametrize("replicas", [3, 4])
def test_no_schedule_spends_more_than_was_earned(replicas: int) -> None:
    judge = _Judge()
    follows_specification(
        Trial(
            CounterBounded.bottom(),
            operations,
            perform,
            read,
            judge.specify,
            judge.allowed,
            replicas=replicas,
            opening=(
                ("operate", 0, ("earn", 30)),
                ("operate", 0, ("grant", B, 9)),
                ("meet", 0, 1),
                ("operate", 1, ("receive",)),
            ),
            invariant=judge.invariant,
        ),
        examples=80,
    )


# ---- grants -------------------------------------------------------------------------------------------------------------


def after(state: CounterBounded, *steps: tuple[Any, ...]) -> CounterBounded:
    for author, *operation in steps:
        state = state.join(perform(state, author, tuple(operation)))
    return state


granted = after(CounterBounded.bottom(), (A, "earn", 100), (A, "grant", B, 40))


def test_a_grant_that_is_received_again_changes_nothing() -> None:
    taken = after(granted, (B, "receive", A))
    assert taken.rights(B) == 40
    assert taken.receive(B, A) == CounterBounded.bottom()
    assert taken.join(granted.receive(B, A)).join(granted) == taken


def test_further_grants_of_one_donor_count_once_each() -> None:
    state = after(granted, (B, "receive", A), (A, "grant", B, 10), (B, "receive", A), (A, "grant", C, 50))
    assert [state.rights(author) for author in (A, B, C)] == [0, 50, 0]
    assert state.receivable(C) == {A: 50}
    assert state.value() == 100


def test_rights_that_were_granted_cannot_be_spent_by_the_donor() -> None:
    with pytest.raises(NotAllowed, match="61 is more than the 60"):
        granted.redeem(A, 61)
    with pytest.raises(NotAllowed):
        granted.grant(A, C, 61)
    with pytest.raises(NotAllowed):
        granted.redeem(B, 1)


@pytest.mark.parametrize("amount", [0, -5])
def test_nothing_and_less_cannot_be_earned_redeemed_or_granted(amount: int) -> None:
    for operation in [("earn", amount), ("redeem", amount), ("grant", B, amount)]:
        with pytest.raises(NotAllowed):
            perform(granted, A, operation)


def test_rights_cannot_be_granted_to_oneself() -> None:
    with pytest.raises(NotAllowed):
        granted.grant(A, A, 1)
    assert granted.receive(A, A) == CounterBounded.bottom()


def test_the_heir_of_a_lost_replica_takes_what_its_last_entry_granted() -> None:
    final = after(granted, (A, "grant", C, 60))
    heir = after(final, (C, "receive", A), (C, "redeem", 60))
    assert heir.rights(C) == 0
    assert heir.value() == 40


# ---- entries by themselves, pending receipts, lies ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {1: 1},
        {0: 5, 1: 6},
        {0: 5, 2: {B: 6}},
        {0: 5, 1: 3, 2: {B: 3}},
        {2: {B: 1}, 3: {C: [0, 1]}},
        {1: 8, 3: {B: [7, 1]}},
    ],
)
def test_an_entry_that_spends_more_than_it_earned_and_received_is_refused_by_itself(body: object) -> None:
    with pytest.raises(InvalidBody):
        CounterBounded.from_entry(A, 1, body)


@pytest.mark.parametrize(
    "body",
    [
        None, [], {0: 0}, {0: -1}, {0: True}, {4: 1}, {2: {}}, {3: {}}, {0: 9, 2: {A: 1}}, {3: {A: [1, 1]}}, {3: {B: 1}},
        {3: {B: [1]}}, {3: {B: [1, 0]}}, {3: {B: [1, 1, 1]}}, {0: 9, 2: {b"short": 1}}, {0: 9, 2: {B: 0}}, {"a": 1},
    ],
)  # fmt: skip
def test_an_entry_of_another_shape_is_refused(body: object) -> None:
    with pytest.raises(InvalidBody):
        CounterBounded.from_entry(A, 1, body)


def test_a_receipt_is_pending_until_the_donors_entry_is_here_and_then_counts() -> None:
    taken = after(granted, (B, "receive", A), (B, "redeem", 15))
    alone = CounterBounded.from_entry(B, 2, wire(taken.entry_body(B)))
    assert alone.pending() == {B: {A: 40}}
    assert alone.rights(B) == 0
    assert alone.value() == 25
    assert alone.lies() == ()
    with_old = alone.join(CounterBounded.from_entry(A, 1, {0: 100}))
    assert with_old.pending() == {B: {A: 40}}
    whole = alone.join(CounterBounded.from_entry(A, 2, wire(taken.entry_body(A))))
    assert whole.pending() == {}
    assert whole.rights(B) == 25
    assert whole.value() == 85


def test_a_receipt_of_more_than_the_donor_granted_is_proven_a_lie_by_the_two_entries() -> None:
    donor = CounterBounded.from_entry(A, 2, {0: 100, 2: {B: 40}})
    liar = CounterBounded.from_entry(B, 1, {3: {A: [90, 2]}})
    assert donor.join(liar).lies() == (Lie(B, A, 90, 40),)
    assert liar.lies() == ()
    assert donor.join(liar).rights(B) == 40, "a lie gives no more rights than were granted"
    assert donor.join(liar).pending() == {}


def test_a_receipt_from_a_donor_that_granted_nothing_is_proven_a_lie() -> None:
    donor = CounterBounded.from_entry(A, 5, {})
    assert donor.join(CounterBounded.from_entry(B, 1, {3: {A: [1, 5]}})).lies() == (Lie(B, A, 1, 0),)


@MANY
@given(honest())
def test_no_two_entries_of_honest_authors_look_like_a_lie(state: CounterBounded) -> None:
    for one, other in itertools.combinations(state.authors, 2):
        entries = [CounterBounded.from_entry(a, state.seq(a), wire(state.entry_body(a))) for a in (one, other)]
        assert entries[0].join(entries[1]).lies() == ()


# ---- clones and liars ---------------------------------------------------------------------------------------------------


def test_a_forked_author_has_no_rights_and_its_loss_is_shown() -> None:
    before = after(CounterBounded.bottom(), (A, "earn", 50))
    one, clone = after(before, (A, "redeem", 50)), after(before, (A, "grant", B, 50))
    joined = after(one.join(clone), (B, "receive", A))
    assert joined.overspent() == {A: 50}
    assert joined.rights(A) == 0
    assert before.rights(A, forked={A}) == 0
    with pytest.raises(NotAllowed):
        before.redeem(A, 1, forked={A})
    assert joined.rights(B) == 50
    assert joined.value() == 50
    assert CounterBounded.from_body(wire(joined.body())) == joined


@FEW
@given(st.lists(any_states(), min_size=2, max_size=3))
def test_contradictory_entries_join_alike_in_every_order_and_never_owe_less_than_nothing(
    entries: list[CounterBounded],
) -> None:
    first: CounterBounded | None = None
    for order in itertools.permutations(entries):
        state = CounterBounded.bottom()
        for entry in order:
            state = state.join(entry)
        first = first or state
        assert state == first
        assert state.value() >= 0
        assert all(state.rights(author) >= 0 for author in AUTHORS)


def test_clones_lose_at_most_the_rights_they_held() -> None:
    before = after(granted, (B, "receive", A))
    clones = [after(before, (B, "redeem", n)) for n in (40, 30, 20)]
    joined = before
    for clone in clones:
        joined = joined.join(clone)
    assert sum(clone.redeemed(B) for clone in clones) - joined.redeemed(B) <= before.rights(B) * (len(clones) - 1)
    assert joined.value() == 60
