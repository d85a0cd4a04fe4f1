"""What head office says of lives that will not be heard of again: the books wait no longer, and no taking is touched."""

from __future__ import annotations

import datetime
import json

import pytest
from click.testing import CliRunner

from crdt_pos.books import Books, Query, read
from crdt_pos.commands.books import books as books_command
from crdt_pos.commands.shell import shell
from crdt_pos.directory import load_directory
from crdt_pos.errors import EnrolmentRefused
from crdt_pos.registrar import Registrar
from crdt_pos.vouched import Vouched, everywhere, vouched
from peers.keys import SecretKey
from peers.roster import Closure
from tests.books.company import BREAD, DATE, DAY_MS, MILK, NOON_MS, Company, basket

BEFORE = DATE - datetime.timedelta(days=1)
AFTER = DATE + datetime.timedelta(days=1)


def books_at_office(company: Company, date: datetime.date = DATE) -> Books:
    folder = company.office.folder
    with company.office.log.read() as reader:
        return read(reader, load_directory(reader, folder.root, [folder.chain]), Query(date, date))


def registrar(company: Company) -> Registrar:
    return Registrar(company.office.folder, company.office.log, NOON_MS)


def awaited(books: Books) -> list[str]:
    return [one.till for account in books.accounts for one in account.waiting]


@pytest.fixture
def burnt(company: Company) -> Company:
    """12-1 has published a sale of its open date and is gone; 12-2 has closed."""
    one, two = (company.tills[name].till for name in ("12-1", "12-2"))
    one.sell(basket(MILK))
    one.publish()
    two.sell(basket(BREAD))
    two.close_date()
    company.gather()
    return company


def test_what_a_retired_till_told_is_final_and_marked_and_no_taking_is_touched(burnt: Company) -> None:
    before = books_at_office(burnt)
    assert awaited(before) == ["12-1"]
    assert registrar(burnt).retire_till(12, 1) == Closure(12, 1, BEFORE, life="a1")
    after = books_at_office(burnt)
    assert awaited(after) == []
    assert after.accounts[0].money == before.accounts[0].money
    assert {day.name: day.given_up for day in after.accounts[0].days} == {"12-1": True, "12-2": False}
    burnt.office.log.close()
    said = CliRunner().invoke(books_command, ["--at", str(burnt.office.folder.path)], catch_exceptions=False).output
    said = " ".join(said.split())
    assert "Final." in said
    assert (
        "12-1, life a1, is not expected any more: its 2026-11-20 was not closed and counts as it told at 12:00." in said
    )
    assert "What it took after that is lost." in said
    assert "final as told 12:00" in said


def test_a_till_that_comes_back_after_it_was_retired_counts_with_all_that_it_took(burnt: Company) -> None:
    registrar(burnt).retire_till(12, 1)
    till = burnt.tills["12-1"].till
    till.sell(basket(BREAD))
    till.close_date()
    burnt.gather()
    books = books_at_office(burnt)
    assert books.accounts[0].money.takings_minor == 119 + 250 + 250
    assert not any(day.given_up for day in books.accounts[0].days)


def test_another_life_ends_what_is_expected_of_the_one_before_but_not_of_its_last_date(burnt: Company) -> None:
    registrar(burnt).enrol_till(12, 1, SecretKey.generate().public, again=True)
    assert awaited(books_at_office(burnt)) == ["12-1", "12-1"]  # the one that was lost, and its next life
    two = burnt.tills["12-2"]
    two.clock.ms += DAY_MS
    two.till.open_date(AFTER)
    two.till.close_date()
    burnt.gather()
    assert awaited(books_at_office(burnt, AFTER)) == ["12-1"]
    assert registrar(burnt).retire_till(12, 1, "a1").last_day == BEFORE
    assert awaited(books_at_office(burnt)) == ["12-1"]


def test_of_a_till_with_several_lives_a_person_says_which_is_gone(burnt: Company) -> None:
    registrar(burnt).enrol_till(12, 1, SecretKey.generate().public, again=True)
    with pytest.raises(
        EnrolmentRefused, match="12-1 has lived as a1 and a2: say with --life which will never be heard"
    ):
        registrar(burnt).retire_till(12, 1)
    with pytest.raises(EnrolmentRefused, match="12-1 never lived as b1: its lives are a1, a2"):
        registrar(burnt).retire_till(12, 1, "b1")
    with pytest.raises(EnrolmentRefused, match="There is no till 12-9 in the roster"):
        registrar(burnt).retire_till(12, 9)
    registrar(burnt).retire_till(12, 1, "a1")
    with pytest.raises(EnrolmentRefused, match="12-1 is retired already"):
        registrar(burnt).retire_till(12, 1, "a1")
    assert registrar(burnt).retire_till(12, 1).life == "a2"


def test_the_days_vouch_for_receipts_that_no_journal_of_a_survivor_has(burnt: Company) -> None:
    def rows(*names: str) -> list[tuple[str, int, int, int, bool]]:
        held: list[list[Vouched]] = []
        for name in names:
            replica = burnt.office if name == "office" else burnt.tills[name]
            with replica.log.read() as reader:
                directory = load_directory(reader, replica.folder.root, [replica.folder.chain])
                held.append(list(vouched(reader, directory)))
        return [(one.name, one.receipts, one.here, one.missing, one.closed) for one in everywhere(held)]

    assert rows("office") == [("12-1", 1, 0, 1, False), ("12-2", 1, 0, 1, True)]
    assert rows("office", "12-2") == [("12-1", 1, 0, 1, False), ("12-2", 1, 1, 0, True)]
    assert rows("office", "12-2", "12-1") == [("12-1", 1, 1, 0, False), ("12-2", 1, 1, 0, True)]


def test_the_command_says_how_many_receipts_are_nowhere_here(burnt: Company) -> None:
    at = burnt.tills["12-2"].folder.path
    burnt.office.tell(burnt.tills["12-2"])
    burnt.close_logs()
    found = json.loads(CliRunner().invoke(shell, ["--at", str(at), "-c", "receipts", "--json"]).output)
    assert (found["receipts"], found["here"], found["missing"]) == (2, 1, 1)
    said = CliRunner().invoke(shell, ["--at", str(at), "-c", "receipts"]).output
    assert "1 of 2 receipts that the days vouch for are in no journal here." in said
    assert "not closed; told 2026-11-20 12:00" in said
