"""The roster: what its elements say, who takes part, and what two offices that are cut off from each other may do to it."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merge_rules import canonical
from merge_rules.errors import InvalidBody
from merge_rules.lattice import Author
from peers import certificates
from peers.errors import CertificateError, InvalidElement, RosterError
from peers.permissions import Permission, Role, may_author, readable_scopes
from peers.roster import (
    BalanceKind,
    Closure,
    Directory,
    Enrolment,
    ProgrammeRecord,
    Readmission,
    Record,
    Revocation,
    RosterSet,
    SealedKey,
    StoreRecord,
    Why,
    element,
    from_element,
)
from tests.trust.material import company, key

OURS = company()
TILL = Enrolment((OURS.till.der, OURS.office.der))
OFFICE = Enrolment((OURS.office.der,))
NORTH, SOUTH = Author(b"north..."), Author(b"south...")

texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=40)
days = st.dates(datetime.date(1970, 1, 1), datetime.date(2149, 6, 6))
numbers = st.integers(0, 2**31)
authors = st.binary(min_size=8, max_size=8).map(Author)
blobs = st.lists(st.binary(max_size=40), max_size=3).map(tuple)
records: st.SearchStrategy[Record] = st.one_of(
    st.builds(Enrolment, blobs),
    st.builds(StoreRecord, numbers, days, texts, texts, texts, texts, texts, numbers, texts, numbers, st.booleans()),
    st.builds(ProgrammeRecord, texts, days, st.sampled_from(BalanceKind), numbers, numbers, numbers, texts, numbers),
    st.builds(Revocation, authors, st.sampled_from(Why), blobs, st.none() | authors, texts),
    st.builds(Readmission, authors, blobs, texts),
    st.builds(Closure, numbers, numbers, days, texts, texts),
    st.builds(SealedKey, texts, st.binary(max_size=32), st.binary(max_size=100)),
)


@given(records)
def test_every_record_is_read_as_it_was_written(record: Record) -> None:
    assert from_element(canonical.decode(canonical.encode(element(record)))) == record


@given(records, records)
def test_equal_records_have_equal_elements_and_no_others(one: Record, other: Record) -> None:
    assert (canonical.encode(element(one)) == canonical.encode(element(other))) is (one == other)


def test_what_a_newer_version_says_is_kept_and_says_nothing() -> None:
    assert from_element([999, {0: "a tag of the future"}]) is None
    later = [2, {0: 12, 77: "a field of the future"}]
    assert from_element(later) == StoreRecord(12)
    state = RosterSet.from_entry(NORTH, 1, RosterSet.bottom().add_body(later))
    assert state.elements() == [later]


@pytest.mark.parametrize(
    "broken",
    [
        None,
        [],
        [2],
        [2, {}],
        [2, {0: -1}],
        [2, {0: "12"}],
        [2, {0: 12, 7: 2}],
        [2, {0: 12, 2: "x" * 201}],
        [4, {0: b"short"}],
        [4, {0: b"8 bytes.", 1: 99}],
        [1, {0: [1]}],
        ["store", {0: 12}],
        [True, {0: []}],
    ],
)
def test_an_element_without_the_shape_of_its_tag_is_refused(broken: object) -> None:
    with pytest.raises(InvalidElement):
        from_element(broken)
    with pytest.raises(InvalidBody):
        RosterSet.from_entry(NORTH, 1, {0: broken})


def built(*states: RosterSet) -> Directory:
    state = RosterSet.bottom()
    for one in states:
        state = state.join(one)
    return Directory.build(OURS.root, state.elements(), [element(TILL), element(OFFICE)])


def stated(author: Author, *said: Record) -> RosterSet:
    state = RosterSet.bottom()
    for seq, record in enumerate(said, 1):
        state = state.join(RosterSet.from_entry(author, seq, state.add_body(element(record))))
    return state


def test_an_enrolled_till_takes_part_and_is_found_by_its_author() -> None:
    directory = built(stated(NORTH, OFFICE, TILL))
    assert directory.certificate(OURS.till.author) == OURS.till
    assert directory.takes_part(OURS.till.author)
    assert directory.tills(12) == [OURS.till]
    assert directory.chains[OURS.till.author] == (OURS.till, OURS.office)


def test_a_revocation_wins_over_the_same_tills_concurrent_enrolment() -> None:
    before = stated(NORTH, OFFICE, TILL)
    revoked = RosterSet.from_entry(NORTH, 3, before.add_body(element(Revocation(OURS.till.author, Why.STOLEN))))
    again = RosterSet.from_entry(SOUTH, 1, before.add_body(element(TILL)))
    for directory in (built(before, revoked, again), built(again, revoked, before)):
        assert not directory.takes_part(OURS.till.author)
        assert directory.tills(12) == []
        assert directory.certificate(OURS.till.author) == OURS.till, "its old entries must still be verified"
    assert built(before, again).takes_part(OURS.till.author)


def test_a_removed_enrolment_stays_removed_when_another_office_states_it_concurrently() -> None:
    before = stated(NORTH, OFFICE, TILL)
    removed = RosterSet.from_entry(NORTH, 3, before.remove_body(element(TILL)))
    again = RosterSet.from_entry(SOUTH, 1, before.add_body(element(TILL)))
    directory = built(before, removed, again)
    assert OURS.till.author in directory.withdrawn
    assert not directory.takes_part(OURS.till.author)
    assert directory.certificate(OURS.till.author) == OURS.till


def test_who_saw_the_removal_may_enrol_the_till_again() -> None:
    before = stated(NORTH, OFFICE, TILL)
    removed = before.join(RosterSet.from_entry(NORTH, 3, before.remove_body(element(TILL))))
    again = RosterSet.from_entry(SOUTH, 1, removed.add_body(element(TILL)))
    assert built(removed, again).takes_part(OURS.till.author)


def test_concurrent_revocations_both_stand_and_their_cut_offs_are_united() -> None:
    one = Revocation(OURS.till.author, Why.LOST, (b"entry 7",))
    other = Revocation(OURS.till.author, Why.STOLEN, (b"entry 9",))
    directory = built(stated(NORTH, OFFICE, TILL, one), stated(SOUTH, other))
    assert set(directory.revocations[OURS.till.author]) == {one, other}


def test_an_enrolment_of_another_company_says_nothing() -> None:
    theirs = company(100)
    directory = built(stated(NORTH, Enrolment((theirs.till.der, theirs.office.der)), OFFICE))
    assert directory.certificate(theirs.till.author) is None
    with pytest.raises(CertificateError):
        directory.knowing((theirs.till.der, theirs.office.der))


def test_a_chain_that_a_peer_shows_is_known_without_the_roster_with_the_office_that_vouches_for_it() -> None:
    directory = Directory(OURS.root).knowing(TILL.chain)
    assert directory.certificate(OURS.till.author) == OURS.till
    assert directory.certificate(OURS.office.author) == OURS.office
    assert directory.takes_part(OURS.till.author)


def test_an_authors_id_that_is_taken_is_refused_at_enrolment() -> None:
    directory = built(stated(NORTH, OFFICE, TILL))
    uri_heir = certificates.issue_till(
        OURS.root, OURS.office, OURS.office_key, OURS.till_key.public, 12, 3, "a1", heir=NORTH
    )
    directory.refuse_taken(OURS.till)
    with pytest.raises(RosterError, match="has the same id"):
        directory.refuse_taken(uri_heir)


def test_a_life_that_was_lived_is_refused_at_enrolment() -> None:
    directory = built(stated(NORTH, OFFICE, TILL))
    again = certificates.issue_till(OURS.root, OURS.office, OURS.office_key, key(77).public, 12, 3, "a1")
    with pytest.raises(RosterError, match="12-3 has lived as a1 already"):
        directory.refuse_taken(again)
    assert directory.next_incarnation("a", "12-3") == "a2"
    assert directory.next_incarnation("b", "12-3") == "b1"
    assert directory.next_incarnation("a", "12-4") == "a1"


def test_a_letter_is_never_used_again_even_if_its_office_is_gone() -> None:
    office_b = certificates.issue_office(OURS.root, OURS.root_key, key(70).public, "b")
    gone = element(Enrolment((office_b.der,)))
    directory = Directory.build(OURS.root, [element(OFFICE)], [gone])
    assert not directory.takes_part(office_b.author)
    assert directory.next_letter() == "c"


def test_a_letter_that_nobody_remembers_is_not_used_again_where_a_later_one_is_known() -> None:
    office_c = certificates.issue_office(OURS.root, OURS.root_key, key(71).public, "c")
    directory = Directory.build(OURS.root, [element(OFFICE), element(Enrolment((office_c.der,)))])
    assert directory.letters() == {"a", "c"}
    assert directory.next_letter() == "d"


def test_a_closure_ends_what_is_expected_of_a_store_of_a_till_or_of_one_of_its_lives() -> None:
    on = datetime.date(2026, 11, 20)
    before, after = on - datetime.timedelta(days=1), on + datetime.timedelta(days=1)
    closures = [Closure(12, 3, on, life="a1"), Closure(12, 4, on), Closure(13, last_day=on)]
    directory = Directory.build(OURS.root, map(element, closures))
    silent = {
        (store, till, life)
        for store, till, life in [(12, 3, "a1"), (12, 3, "a2"), (12, 4, "b7"), (12, 5, "a1"), (13, 1, "a1")]
        if not directory.expects(store, till, life, after)
    }
    assert silent == {(12, 3, "a1"), (12, 4, "b7"), (13, 1, "a1")}
    assert all(directory.expects(*one, date) for one in silent for date in (before, on))


def test_a_stores_terms_hold_from_their_date_on() -> None:
    old = StoreRecord(12, currency="DEM", cash_step_minor=1)
    new = StoreRecord(12, datetime.date(2002, 1, 1), currency="EUR")
    directory = built(stated(NORTH, new), stated(SOUTH, old))
    assert directory.store(12, datetime.date(2001, 12, 31)) == old
    assert directory.store(12, datetime.date(2002, 1, 1)) == new
    assert directory.store(13, datetime.date(2002, 1, 1)) is None


def test_two_offices_that_state_one_store_differently_agree_after_they_meet() -> None:
    one, other = StoreRecord(12, legal_entity="Nord AG"), StoreRecord(12, legal_entity="Süd AG")
    today = datetime.date(2026, 11, 22)
    for said in ([one, other], [other, one]):
        assert Directory.build(OURS.root, map(element, said)).store(12, today) == other


def test_a_programme_has_terms_by_date_too() -> None:
    double = ProgrammeRecord("points", datetime.date(2026, 12, 1), points_per_unit=2)
    directory = built(stated(NORTH, ProgrammeRecord("points"), double))
    assert directory.programme("points", datetime.date(2026, 11, 30)) == ProgrammeRecord("points")
    assert directory.programme("points", datetime.date(2026, 12, 24)) == double


@pytest.mark.parametrize(
    ("role", "store", "document_store", "allowed"),
    [
        (Role.TILL, 12, 12, True),
        (Role.TILL, 12, 13, False),
        (Role.TILL, 12, None, False),
        (Role.TILL, None, None, False),
        (Role.OFFICE, None, 12, False),
        (Role.RELAY, None, 12, False),
    ],
)
def test_a_till_writes_for_its_own_store_only(
    role: Role, store: int | None, document_store: int | None, allowed: bool
) -> None:
    tills = Permission(frozenset({Role.TILL}))
    assert may_author(tills, role, store, document_store) is allowed


def test_an_office_writes_for_every_store_where_it_may_write_at_all() -> None:
    both = Permission(frozenset({Role.TILL, Role.OFFICE}))
    assert may_author(both, Role.OFFICE, None, 12)
    assert may_author(Permission(frozenset({Role.TILL}), own_store=False), Role.TILL, 13, 12)


def test_sale_by_sale_detail_is_read_in_its_store_only() -> None:
    stores = frozenset({12, 13})
    assert readable_scopes(Role.TILL, 12, stores) == {"company", "store/12", "journal/12", "patrons/12"}
    office = readable_scopes(Role.OFFICE, None, stores)
    assert office == {"company", "store/12", "store/13", "patrons/12", "patrons/13"}
    assert readable_scopes(Role.RELAY, None, stores) == {"company"}
