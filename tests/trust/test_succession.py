"""A head office that follows a lost one: its letter was never used, and only who is gone is closed."""

from __future__ import annotations

import pytest

from crdt_pos.errors import EnrolmentRefused
from crdt_pos.succession import all_told, check_letter, next_letter, predecessors, told_of
from peers import certificates
from peers.roster import Directory, Enrolment, element
from tests.trust.material import company, key

OURS = company()
OFFICES = {
    letter: certificates.issue_office(OURS.root, OURS.root_key, key(40 + at).public, letter)
    for at, letter in enumerate("abc")
}


def roster(present: str, stated: str = "") -> Directory:
    """The offices that take part, and others that once did."""
    elements = {letter: element(Enrolment((office.der,))) for letter, office in OFFICES.items()}
    return Directory.build(OURS.root, [elements[one] for one in present], [elements[one] for one in stated])


def test_the_letter_is_the_next_after_all_that_were_ever_used() -> None:
    assert next_letter(roster("a"), "", ()) == "b"
    assert next_letter(roster("a", stated="c"), "", ()) == "d"


def test_a_till_tells_of_its_own_store_only_and_of_none_before_its_scopes_are_shared() -> None:
    assert told_of({"company"}, (12, 13)) == set()
    assert told_of({"company", "store/12", "patrons/12"}, (12, 13)) == {12}
    assert told_of({"company", "store/12", "store/13"}, (12, 13)) == {12, 13}


def test_while_a_store_is_silent_a_person_names_the_letter() -> None:
    with pytest.raises(EnrolmentRefused, match="Nothing was heard from store 12 and store 14, whose tills may know"):
        next_letter(roster("a"), "", (12, 14))
    assert next_letter(roster("a"), "q", (12, 14)) == "q"


def test_a_letter_that_was_used_is_refused_whoever_names_it() -> None:
    with pytest.raises(EnrolmentRefused, match="Letter c was used before: name one that never was; known are a and c"):
        next_letter(roster("a", stated="c"), "c", ())


@pytest.mark.parametrize("letter", ["A", "ab1", "abcd", "zzz", "é"])
def test_what_no_office_may_be_called_is_refused(letter: str) -> None:
    with pytest.raises(EnrolmentRefused):
        check_letter(letter)
    check_letter("q")


@pytest.mark.parametrize(("present", "heard"), [("a", ""), ("ab", "b")])
def test_an_office_that_is_merely_silent_is_not_ended_before_a_person_says_that_it_is_gone(
    present: str, heard: str
) -> None:
    alive = {OFFICES[letter].author for letter in heard}
    with pytest.raises(
        EnrolmentRefused, match=r"Nothing was heard from office-a, which may only be silent: .* --lost office-a,"
    ):
        predecessors(roster(present), (), alive)
    assert predecessors(roster(present), ("office-a",), alive) == [OFFICES["a"]]


def test_where_no_office_takes_part_any_more_none_is_ended() -> None:
    assert predecessors(roster("", stated="a"), (), ()) == []


def test_those_that_a_person_named_have_told_when_each_of_them_has_whoever_else_came() -> None:
    a, b, c = (OFFICES[letter].author for letter in "abc")
    assert all_told((), ())
    assert all_told((a, b), {a, b, c})
    assert not all_told((a, b), {a, c})
    assert not all_told((a, None), {a, b, c})


def test_of_several_silent_offices_a_person_says_which_are_gone() -> None:
    with pytest.raises(EnrolmentRefused, match="Nothing was heard from office-a and office-b: say with --lost"):
        predecessors(roster("ab"), (), ())
    assert predecessors(roster("ab"), ("office-b",), ()) == [OFFICES["b"]]
    with pytest.raises(
        EnrolmentRefused, match="No head office office-q takes part; those that do: office-a and office-b"
    ):
        predecessors(roster("ab"), ("office-q",), ())


def test_an_office_that_was_heard_is_not_replaced_unasked() -> None:
    with pytest.raises(EnrolmentRefused, match="office-a was heard and takes part: use 'crdt-pos office add' there"):
        predecessors(roster("a"), (), {OFFICES["a"].author})
