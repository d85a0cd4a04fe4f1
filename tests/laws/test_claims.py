from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merge_rules.claims import Claims, Identities, Thing
from merge_rules.counter_pn import CounterPN
from merge_rules.errors import InvalidBody, NotAllowed
from merge_rules.lattice import Author
from tests.laws import spec_sets
from tests.laws.harness import AUTHORS, MANY, History, Trial, authors, follows_specification, wire
from tests.laws.whole_feeds import WholeLaws, entries

NORTH, SOUTH, WEST = AUTHORS[:3]
TEA, MILK = "4006381333931", "4012345678901"
PHONE = b"\x05" * 32

claims = st.sampled_from([[code, product] for code in "ab" for product in (1, 2, 3)] + [[PHONE, b"anna"]])


class TestClaims(WholeLaws):
    rule = Claims
    states = entries(Claims, claims.map(lambda claim: {0: claim}) | st.just({1: {NORTH: [1]}}))


def said(author: Author, seq: int, body: object) -> Claims:
    return Claims.from_entry(author, seq, wire(body))


def test_claims_follow_their_specification() -> None:
    def perform(state: Claims, author: Author, operation: tuple[str, str, int]) -> Claims:
        verb, *claim = operation
        body = Claims.claim_body(*claim) if verb == "add" else state.refute_claim_body(*claim)
        return said(author, state.context.vector.get(author, 0) + 1, body)

    def invariant(state: Claims, seen: History, everything: History) -> None:
        standing = spec_sets.AddWins(everything).elements(seen)
        assert set(state.claims()) == standing
        assert {frozenset(group) for group in Identities.read([state]).groups()} == spec_sets.connected(standing)

    operations = st.tuples(st.sampled_from(["add", "add", "remove"]), st.sampled_from("abc"), st.integers(1, 4))
    as_one = operations.map(lambda operation: (operation[0], (operation[1], operation[2])))
    follows_specification(
        Trial(
            Claims.bottom(),
            as_one,
            lambda state, author, operation: perform(state, author, (operation[0], *operation[1])),
            lambda state: None,
            lambda history: None,
            whole=True,
            invariant=invariant,
        ),
        examples=50,
    )


@given(
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 12)), max_size=20), st.randoms(use_true_random=False)
)
@MANY
def test_things_that_share_codes_are_one_however_they_are_found(pairs: list[tuple[str, int]], random: Any) -> None:
    things = Identities.of(pairs)
    assert {frozenset(group) for group in things.groups()} == spec_sets.connected(set(pairs))
    random.shuffle(pairs)
    assert Identities.of(pairs + pairs) == things
    for code, thing in pairs:
        assert things.find(code) == things.same_as(thing) == min(things.group(thing))


def test_products_joined_and_pulled_apart_again_keep_their_own_stock() -> None:
    north = said(NORTH, 1, Claims.claim_body(TEA, 1001))
    south = said(SOUTH, 1, Claims.claim_body(TEA, 2001))
    stock = CounterPN.bottom()
    stock = stock.join(stock.increase(NORTH, 1001, 10))
    stock = stock.join(stock.increase(SOUTH, 2001, 7))
    own = stock.values()

    def as_read(states: list[Claims]) -> dict[Thing, int]:
        things = Identities.read(states)
        read: dict[Thing, int] = {}
        for product, count in stock.values().items():
            read[things.same_as(product)] = read.get(things.same_as(product), 0) + count
        return read

    assert as_read([north]) == {1001: 10, 2001: 7}
    assert as_read([north, south]) == {1001: 17}
    assert Identities.read([north, south]).conflicts == {TEA: (1001, 2001)}
    stock = stock.join(stock.increase(SOUTH, 2001, 5))
    assert as_read([north, south]) == {1001: 22}
    apart = south.join(said(SOUTH, 2, south.retract_claim_body(SOUTH, TEA, 2001)))
    assert as_read([north, apart]) == {1001: 10, 2001: 12}
    assert stock.values() == {**own, 2001: 12}
    assert Identities.read([north, apart]).conflicts == {}


def test_a_retracted_claim_stays_retracted_when_its_entry_comes_again() -> None:
    claim = said(SOUTH, 1, Claims.claim_body(TEA, 2001))
    retracted = claim.join(said(SOUTH, 2, claim.retract_claim_body(SOUTH, TEA, 2001)))
    assert retracted.join(claim).claims() == []


def test_a_group_falls_into_its_parts_when_the_claim_that_held_it_together_goes() -> None:
    chain = [("a", 1), ("a", 2), ("b", 2), ("b", 3)]
    assert Identities.of(chain).group(3) == (1, 2, 3)
    assert Identities.of(chain[:2] + chain[3:]).groups() == [(1, 2)]


def test_documents_of_two_stores_are_read_together_though_one_office_writes_in_both() -> None:
    first = said(NORTH, 1, Claims.claim_body(TEA, 1001))
    second = said(NORTH, 1, Claims.claim_body(TEA, 2001))
    assert Identities.read([first, second]).same_as(2001) == 1001


def test_a_member_enrolled_twice_by_phone_is_one_and_products_stay_apart() -> None:
    states = [
        said(NORTH, 1, Claims.claim_body(PHONE, b"anna-in-north")),
        said(SOUTH, 1, Claims.claim_body(PHONE, b"anna-in-south")),
        said(WEST, 1, Claims.claim_body(TEA, 1001)),
    ]
    things = Identities.read(states)
    assert things.find(PHONE) == b"anna-in-north"
    assert things.groups() == [(b"anna-in-north", b"anna-in-south")]
    assert things.group(1001) == (1001,)
    assert things.find(MILK) is None


def test_retracting_takes_back_ones_own_claim_and_refuting_everyones() -> None:
    both = said(NORTH, 1, Claims.claim_body(TEA, 1001)).join(said(SOUTH, 1, Claims.claim_body(TEA, 1001)))
    assert both.claimants(TEA, 1001) == {NORTH, SOUTH}
    own = both.join(said(SOUTH, 2, both.retract_claim_body(SOUTH, TEA, 1001)))
    assert own.claimants(TEA, 1001) == {NORTH}
    assert both.join(said(SOUTH, 2, both.refute_claim_body(TEA, 1001))).claims() == []
    with pytest.raises(NotAllowed):
        both.retract_claim_body(WEST, TEA, 1001)


@pytest.mark.parametrize(
    "claim", [[TEA, b"anna"], [PHONE, 7], [TEA, -1], ["", 1], [b"", b"a"], [PHONE, b""], ["x" * 200, 1], [TEA], TEA]
)
def test_what_is_no_claim_is_an_invalid_body(claim: object) -> None:
    with pytest.raises(InvalidBody):
        Claims.from_entry(AUTHORS[0], 1, {0: claim})


@given(st.lists(st.tuples(authors, claims), max_size=6))
@MANY
def test_what_stands_is_what_is_read(made: list[tuple[Author, Any]]) -> None:
    state = Claims.bottom()
    for author, claim in made:
        state = state.join(said(author, state.context.vector.get(author, 0) + 1, Claims.claim_body(*claim)))
    assert set(state.claims()) == {tuple(claim) for _, claim in made}
