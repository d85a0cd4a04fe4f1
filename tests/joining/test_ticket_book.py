"""What a head office does with its tickets: once, in time, for its own company, and never without writing it down."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from crdt_pos.clock import system_ms
from crdt_pos.directory import load_directory
from crdt_pos.errors import EnrolmentRefused
from crdt_pos.registrar import Registrar
from crdt_pos.ticket_book import (
    ATTEMPTS_MAX,
    STRANGERS_MAX,
    Attempt,
    Seat,
    State,
    TicketBook,
    find,
    strangers,
    tickets,
    waiting,
)
from crdt_pos.tickets import Answer, Outcome, Ticket, decode_answer, make_request
from gossip.log import Log
from peers import certificates
from peers.certificates import Certificate
from peers.keys import SecretKey
from peers.permissions import Role
from peers.roster import Revocation
from tests.joining.entrance import DAY_MS, issue, log_of, seat
from tests.node.company import Company

NOW_MS = system_ms()


class Office:
    """The ticket book of office a, on its log."""

    def __init__(self, company: Company, log: Log) -> None:
        self.company = company
        self.log = log

    def book(self, after_ms: int = 0) -> TicketBook:
        return TicketBook(self.company.office, self.log, NOW_MS + after_ms)

    def issue(self, what: Seat) -> Ticket:
        return issue(self.book(), what, NOW_MS)

    def ask(self, ticket: Ticket, key: SecretKey, after_ms: int = 0, via: str = "10.0.0.9") -> Answer:
        request = make_request(ticket, key)
        answer = decode_answer(self.book(after_ms).answer(request, via), ticket.secret, request)
        assert answer is not None
        return answer

    def lives(self, name: str) -> list[Certificate]:
        with self.log.read() as reader:
            directory = load_directory(reader, self.company.office.root)
        known = (directory.certificate(author) for author in directory.enrolled)
        return [one for one in known if one is not None and one.name == name]

    def attempts(self, ticket: Ticket) -> list[tuple[Outcome, str]]:
        with self.log.read() as reader:
            issued = find(reader, ticket.id)
        assert issued is not None
        return [(one.outcome, one.via) for one in issued.attempts]

    def strangers(self) -> list[Attempt]:
        with self.log.read() as reader:
            return strangers(reader)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    company = Company.found(tmp_path, "12-1")
    with log_of(company.office) as log:
        yield Office(company, log)


def test_a_ticket_is_redeemed_once_and_asking_again_with_the_same_key_gets_the_same_certificate(office: Office) -> None:
    ticket, key = office.issue(seat("12-3")), SecretKey.generate()
    first, again = office.ask(ticket, key), office.ask(ticket, key, after_ms=2 * DAY_MS)
    assert first == again
    (life,) = office.lives("12-3")
    assert certificates.verify_chain(first.chain, office.company.office.root) == life
    assert (life.public_key, life.incarnation) == (key.public, "a1")


def test_another_machine_with_the_same_ticket_is_refused_and_the_book_says_so(office: Office) -> None:
    ticket = office.issue(seat("12-3"))
    office.ask(ticket, SecretKey.generate())
    assert office.ask(ticket, SecretKey.generate(), via="10.0.0.66").outcome is Outcome.USED
    assert office.attempts(ticket) == [(Outcome.ADMITTED, "10.0.0.9"), (Outcome.USED, "10.0.0.66")]
    assert len(office.lives("12-3")) == 1


def test_a_ticket_expires_by_the_clock_of_the_office(office: Office) -> None:
    ticket = office.issue(seat("12-3"))
    assert office.ask(ticket, SecretKey.generate(), after_ms=DAY_MS + 1).outcome is Outcome.EXPIRED
    assert office.attempts(ticket) == [(Outcome.EXPIRED, "10.0.0.9")]
    assert office.lives("12-3") == []
    assert office.ask(ticket, SecretKey.generate(), after_ms=DAY_MS).outcome is Outcome.ADMITTED


def test_a_ticket_that_was_withdrawn_lets_nobody_in(office: Office) -> None:
    ticket = office.issue(seat("12-3"))
    office.book().withdraw(ticket.id)
    assert office.ask(ticket, SecretKey.generate()).outcome is Outcome.WITHDRAWN
    used = office.issue(seat("12-4"))
    office.ask(used, SecretKey.generate())
    with pytest.raises(EnrolmentRefused, match="has joined with it already"):
        office.book().withdraw(used.id)


def test_a_guessed_secret_opens_nothing_and_is_seen(office: Office) -> None:
    ticket = office.issue(seat("12-3"))
    own = office.company.office.certificate
    guessed = Ticket(own.company, own.author, ticket.name, os.urandom(20))
    assert office.ask(guessed, SecretKey.generate()).outcome is Outcome.UNKNOWN
    # Whoever has overheard the id, which is no secret, knows nothing either.
    raw = make_request(guessed, SecretKey.generate()).replace(guessed.id, ticket.id)
    assert decode_answer(office.book().answer(raw, "10.0.0.9"), ticket.secret, raw) == Answer(Outcome.UNKNOWN)
    assert [(one.outcome, one.via) for one in office.strangers()] == [(Outcome.UNKNOWN, "10.0.0.9")] * 2
    assert office.lives("12-3") == []
    assert office.attempts(ticket) == []


def test_a_ticket_of_another_company_is_refused_and_seen(office: Office, tmp_path: Path) -> None:
    other = Company.found(tmp_path / "other", "12-1")
    with log_of(other.office) as log:
        theirs = issue(TicketBook(other.office, log, NOW_MS), seat("12-3"), NOW_MS)
    assert office.ask(theirs, SecretKey.generate()).outcome is Outcome.OTHER_COMPANY
    assert [one.outcome for one in office.strangers()] == [Outcome.OTHER_COMPANY]


def test_what_strangers_leave_behind_is_bounded(office: Office) -> None:
    ticket = office.issue(seat("12-3"))
    office.ask(ticket, SecretKey.generate())
    for _ in range(STRANGERS_MAX + 3):
        office.book().answer(b"anything", "10.0.0.66")
    for _ in range(ATTEMPTS_MAX + 3):
        office.ask(ticket, SecretKey.generate())
    assert len(office.strangers()) == STRANGERS_MAX
    assert len(office.attempts(ticket)) == ATTEMPTS_MAX


def test_a_till_that_takes_part_gets_a_ticket_only_as_another_life(office: Office) -> None:
    with pytest.raises(EnrolmentRefused, match="give --again"):
        office.issue(seat("12-1"))
    office.ask(office.issue(seat("12-1", again=True)), SecretKey.generate())
    assert sorted(one.incarnation for one in office.lives("12-1")) == ["a1", "a2"]


def test_of_two_tickets_for_one_till_the_second_is_refused_when_it_is_used(office: Office) -> None:
    first, second = office.issue(seat("12-3")), office.issue(seat("12-3"))
    assert office.ask(first, SecretKey.generate()).outcome is Outcome.ADMITTED
    refused = office.ask(second, SecretKey.generate())
    assert refused.outcome is Outcome.REFUSED
    assert "enrolled already" in refused.text
    assert office.attempts(second) == [(Outcome.REFUSED, "10.0.0.9")]


@pytest.mark.parametrize(
    ("what", "why"),
    [
        (Seat(Role.TILL, 99, 1), "There is no store 99"),
        (Seat(Role.TILL, 12, 0), "has a number"),
        (Seat(Role.RELAY, 0, 0), "has a number"),
        (Seat(Role.MANAGER, 99, 1), "There is no store 99"),
    ],
)
def test_there_is_no_ticket_for_what_could_not_join(office: Office, what: Seat, why: str) -> None:
    with pytest.raises(EnrolmentRefused, match=why):
        office.issue(what)


@pytest.mark.parametrize(("what", "name"), [(Seat(Role.RELAY, 0, 1), "relay-1"), (Seat(Role.MANAGER, 12, 1), "12-m1")])
def test_relays_and_managers_join_by_ticket_too(office: Office, what: Seat, name: str) -> None:
    ticket = office.issue(what)
    assert ticket.name == name
    office.ask(ticket, SecretKey.generate())
    office.ask(office.issue(Seat(what.role, what.store, what.number, again=True)), SecretKey.generate())
    # The life before takes part no more.
    assert [one.incarnation for one in office.lives(name)] == ["a2"]


def test_a_head_office_waits_for_the_root_key_with_the_first_key_that_came(office: Office) -> None:
    ticket, key = office.issue(Seat(Role.OFFICE)), SecretKey.generate()
    assert office.ask(ticket, key).outcome is Outcome.WAITING
    assert office.ask(ticket, SecretKey.generate()).outcome is Outcome.USED
    with office.log.read() as reader:
        (asked,) = waiting(reader, NOW_MS)
    assert asked.public == key.public
    root, root_key = office.company.office.root, office.company.keys.root
    made = certificates.issue_office(root, root_key, key.public, office.book().next_letter())
    office.book().admit_office(ticket.id, [made.der])
    assert office.ask(ticket, key).chain == (made.der,)
    assert [one.letter for one in office.lives("office-b")] == ["b"]
    with pytest.raises(EnrolmentRefused, match="Nobody waits"):
        office.book().admit_office(ticket.id, [made.der])


def test_an_office_admits_no_certificate_for_a_key_that_does_not_wait(office: Office) -> None:
    ticket = office.issue(Seat(Role.OFFICE))
    office.ask(ticket, SecretKey.generate())
    root, root_key = office.company.office.root, office.company.keys.root
    made = certificates.issue_office(root, root_key, SecretKey.generate().public, "b")
    with pytest.raises(EnrolmentRefused, match="another key"):
        office.book().admit_office(ticket.id, [made.der])


def test_an_office_that_takes_part_no_more_redeems_nothing(office: Office) -> None:
    ticket = office.issue(seat("12-3"))
    own = office.company.office.certificate.author
    Registrar(office.company.office, office.log, NOW_MS).state([Revocation(own)])
    refused = office.ask(ticket, SecretKey.generate())
    assert refused.outcome is Outcome.REFUSED
    assert "takes part no more" in refused.text


def test_the_book_is_there_after_a_restart(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1")
    with log_of(company.office) as log:
        ticket, key = Office(company, log).issue(seat("12-3")), SecretKey.generate()
        first = Office(company, log).ask(ticket, key)
    with log_of(company.office) as log:
        assert Office(company, log).ask(ticket, key) == first
        with log.read() as reader:
            assert [(one.seat, one.state) for one in tickets(reader)] == [(seat("12-3"), State.USED)]
