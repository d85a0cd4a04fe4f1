"""A whole store burns: its takings are back from head office, and how many receipts cannot be recovered yet is stated apart."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest

from crdt_pos.books import Books
from crdt_pos.looking import look
from tests.system.figures import books_of, sell, takings
from tests.system.shops import records, run
from tools.cabled import OFFICE, Cabled

DAYS = ("2026-11-19", "2026-11-20")
MEMBER = "00000000000000a1"
LOST_TILLS = ("12-1", "12-2")


@pytest.fixture(scope="module")
def burnt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cabled]:
    """Store 12 has burnt with both tills after it had sold on two dates; till 12-1 has its next life, and it runs."""
    with Cabled.found(tmp_path_factory.mktemp("town"), "Corner Shops", records(12, 13), 2) as town:
        listed = town.town.at / "products.csv"
        listed.write_text("product,name,price,tax,code\n1,Milk 1 l,1.19,7,4000000000012\n")
        assert run("office", "products", listed, "--at", town.folders[OFFICE].path).returncode == 0
        town.burn("13-2")
        town.start(OFFICE, *LOST_TILLS, "13-1")
        town.together()
        for till in (*LOST_TILLS, "13-1"):
            town.call(till, "open", date=DAYS[0])
            town.call(till, "replenish", lines=[{"product": 1, "quantity": 24}])
            town.call(till, "sell", lines=[{"product": 1, "quantity": 2}], member=MEMBER)
            town.call(till, "close")
            town.call(till, "open", date=DAYS[1])
            sell(town, till, 1999, member=MEMBER)
            town.call(till, "publish")
        town.until(lambda: _taken(town, OFFICE) == 3 * (238 + 1999), "The books of the office")
        sell(town, "12-1", 500)  # nobody summed it up before the fire
        for till in LOST_TILLS:
            town.burn(till)
        town.enrol(12, 1, again=True)
        town.start("12-1")
        town.together("12-1", OFFICE)
        yield town


def _taken(town: Cabled, name: str, store: int | None = None) -> int:
    return sum(takings(town.folders[name], store, *DAYS).values())


def _figures(books: Books | None) -> object:
    if books is None:
        return None
    accounts = [
        (one.money, one.goods, [replace(day, heard_ms=0) for day in one.days], [(w.till, w.date) for w in one.waiting])
        for one in books.accounts
    ]
    return accounts, books.owed, books.variances


def _alike(town: Cabled, one: str, other: str) -> bool:
    ours, theirs = (_figures(books_of(town.folders[name], 12, *DAYS)) for name in (one, other))
    return ours is not None and ours == theirs


def test_the_next_life_has_the_books_of_its_store_as_head_office_has_them_and_no_taking_is_lost(burnt: Cabled) -> None:
    burnt.until(partial(_alike, burnt, "12-1", OFFICE), "The books of store 12 at its new till")
    assert _taken(burnt, "12-1", 12) == _taken(burnt, OFFICE, 12) == 2 * (238 + 1999)
    (account,) = (books_of(burnt.folders["12-1"], 12, *DAYS) or pytest.fail("no books")).accounts
    stock = {row.product: row.stock for row in account.goods}
    assert stock[1] == 2 * (24 - 2)


def test_the_next_life_knows_members_products_and_the_roster(burnt: Cabled) -> None:
    earned = 3 * (2 + 19)
    burnt.until(lambda: burnt.call("12-1", "member", account=MEMBER)["company"] >= earned, "The member's points")
    assert burnt.call("12-1", "product", product=1)["product"]["name"] == "Milk 1 l"
    with look(burnt.folders["12-1"].path) as ours, look(burnt.folders[OFFICE].path) as theirs:
        assert ours.directory.stores == theirs.directory.stores
        assert ours.directory.tills(12) == theirs.directory.tills(12)
        assert [one.incarnation for one in ours.directory.tills(12) if one.till == 1] == ["a1", "a2"]


def test_how_many_receipts_cannot_be_recovered_yet_is_said_and_until_when_each_till_had_told(burnt: Cabled) -> None:
    folders = [str(burnt.folders[name].path) for name in (OFFICE, "13-1")]
    done = run("shell", "--at", burnt.folders["12-1"].path, "-c", shlex.join(["receipts", *folders]), "--json")
    found = json.loads(done.stdout)
    assert (found["receipts"], found["here"], found["missing"]) == (6, 2, 4)
    of_store = [row for row in found["tills"] if row["till"] in LOST_TILLS and row["incarnation"] == "a1"]
    assert [
        (row["date"], row["receipts"], row["here"], row["closed"]) for row in of_store if row["date"] == DAYS[0]
    ] == [
        (DAYS[0], 1, 0, True),
        (DAYS[0], 1, 0, True),
    ]
    assert all(row["told_ms"] > 0 for row in of_store)


def test_what_nobody_will_close_is_retired_while_the_office_runs_and_the_books_are_final_to_the_cent(
    burnt: Cabled,
) -> None:
    burnt.call("12-1", "open", date=DAYS[1])
    sell(burnt, "12-1", 250)
    burnt.call("12-1", "close")
    burnt.call("13-1", "close")
    burnt.until(lambda: _taken(burnt, OFFICE) == 3 * (238 + 1999) + 250, "The next life's sale")
    burnt.until(lambda: "13-1" not in _awaited(burnt), "13-1's close")
    office = burnt.folders[OFFICE].path
    for till, life in (("12-2", "a1"), ("12-1", "a1")):
        if till in _awaited(burnt):  # a next life may have closed the last date of the one before
            done = run("till", "retire", till, "--office", office, "--life", life)
            assert done.returncode == 0, done
    assert run("till", "retire", "13-2", "--office", office).stdout == "Nothing more is expected of 13-2, life a1.\n"
    said = json.loads(run("books", "--at", office, "--date", DAYS[1], "--json").stdout)
    assert said["final"] is True
    assert sum(account["takings"]["amount_minor"] for account in said["accounts"]) == 3 * 1999 + 250
    given_up = {row["till"] for account in said["accounts"] for row in account["tills"] if row["given_up"]}
    assert "12-2" in given_up
    text = " ".join(run("books", "--at", office, "--date", DAYS[1]).stdout.split())
    assert f"12-2, life a1, is not expected any more: its {DAYS[1]} was not closed and counts as it told at" in text
    burnt.until(partial(_alike, burnt, "12-1", OFFICE), "The closures at the new till")


def _awaited(town: Cabled) -> set[str]:
    found = books_of(town.folders[OFFICE], None, *DAYS)
    return {one.till for account in found.accounts for one in account.waiting} if found else set()
