"""A head office that adds stores, enrols tills and further offices while it runs: nobody is stopped, everybody hears of it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from crdt_pos.folder import open_folder
from crdt_pos.looking import look
from tests.system.figures import sell, takings
from tests.system.shops import DATE, records, refusal, run
from tools.cabled import KIT, OFFICE, Cabled


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cabled]:
    """Store 12 with till 12-1 and the head office; both run, and the till's date is open."""
    with Cabled.found(tmp_path_factory.mktemp("town"), "Corner Shops", records(12), 1) as made:
        made.start(OFFICE, "12-1")
        made.together()
        made.call("12-1", "open", date=DATE)
        yield made


def office_of(town: Cabled) -> Path:
    return town.folders[OFFICE].path


def test_a_till_of_a_new_store_is_enrolled_sells_and_is_in_the_books_and_the_office_never_stopped(town: Cabled) -> None:
    process = town.processes[OFFICE].running
    done = run("store", "add", "--office", office_of(town), "--store", 13, "--currency", "EUR", "--name", "South")
    assert done.returncode == 0, done
    folder = town.enrol(13, 1)
    town.start("13-1")
    town.together("13-1", OFFICE)
    town.call("13-1", "open", date=DATE)
    sell(town, "13-1", 250)
    town.call("13-1", "publish")
    town.until(partial(_says, town, OFFICE, {"13-1": 250}), "The books of the new store")
    assert town.processes[OFFICE].running is process
    assert folder.certificate.incarnation == "a1"
    assert open_folder(office_of(town)).certificate.name == OFFICE


def test_a_till_that_had_a_session_all_the_while_sells_on_and_meets_its_new_neighbour(town: Cabled) -> None:
    town.enrol(12, 2)
    sell(town, "12-1", 119)
    town.start("12-2")
    town.together("12-1", "12-2", OFFICE)
    town.call("12-2", "open", date=DATE)
    sell(town, "12-2", 1999)
    for till in ("12-1", "12-2"):
        town.call(till, "publish")
    for name in (OFFICE, "12-1"):
        town.until(partial(_says, town, name, {"12-1": 119, "12-2": 1999}), f"The books of {name}")


def _says(town: Cabled, name: str, expected: dict[str, int]) -> bool:
    found = takings(town.folders[name])
    return {till: found.get((till, "a1")) for till in expected} == expected


def test_a_second_office_is_enrolled_beside_the_first_and_enrols_while_both_run(town: Cabled) -> None:
    at = town.town.at / "office-b"
    words = [
        "--kit",
        town.safe / KIT,
        "--listen",
        "127.0.0.1:0",
        "--no-multicast",
        "--peer",
        f"127.0.0.1:{town.port(OFFICE)}",
    ]
    done = run("office", "add", "--office", office_of(town), "--at", at, *words)
    assert done.returncode == 0, done
    town.folders["office-b"] = open_folder(at)
    town.start("office-b")
    town.until(lambda: OFFICE in town.peers("office-b"), "The offices meet")
    done = run("store", "add", "--office", at, "--store", 14, "--currency", "EUR")
    assert done.returncode == 0, done
    town.until(lambda: _knows_store(town, 14), "The first office hears of the store of the second")
    done = run("till", "enrol", "--office", at, "--store", 14, "--till", 1, "--at", town.town.at / "till-14-1")
    assert done.returncode == 0, done
    assert open_folder(town.town.at / "till-14-1").certificate.incarnation == "b1"


def _knows_store(town: Cabled, store: int) -> bool:
    with look(office_of(town)) as looked:
        return store in looked.directory.stores


def test_what_a_running_office_refuses_it_refuses_in_the_same_words_and_writes_nothing(town: Cabled) -> None:
    before = sorted(town.town.at.iterdir())

    def enrol(store: int, till: int) -> str:
        at = town.town.at / "refused"
        return refusal("till", "enrol", "--office", office_of(town), "--store", store, "--till", till, "--at", at)

    assert enrol(99, 1) == "There is no store 99 in the roster: add it with 'crdt-pos store add' first."
    assert enrol(12, 1) == "12-1 is enrolled already (a1): give --again if that disk is lost."
    again = refusal("store", "add", "--office", office_of(town), "--store", 12, "--legal-entity", "Corner Shops Ltd")
    assert again == "Store 12 stands in the roster like this already."
    wrong = refusal("store", "add", "--office", office_of(town), "--store", 15, "--currency", "euro")
    assert wrong == "'euro' is no currency: write its ISO code, like EUR."
    assert sorted(town.town.at.iterdir()) == before
    assert not _knows_store(town, 15)
