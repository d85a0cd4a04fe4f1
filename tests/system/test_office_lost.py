"""The head office is killed and restarted; later its folder is destroyed, and rebuilt from the stores alone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from crdt_pos.books import Books
from crdt_pos.directory import COMPANY_ROSTER
from crdt_pos.folder import Folder, open_folder
from crdt_pos.local import LocalRefused
from crdt_pos.looking import look
from tests.system.figures import books_of, sell
from tests.system.shops import records, refusal, run
from tools.cabled import KIT, OFFICE, RECOVERER, Cabled

DAYS = ("2026-11-19", "2026-11-20")
MEMBER = "00000000000000a1"


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cabled]:
    """Two stores, a till in each, both with one closed date and an open one, a member with points, products with prices."""
    with Cabled.found(tmp_path_factory.mktemp("town"), "Corner Shops", records(12, 13), 1) as made:
        listed = made.town.at / "products.csv"
        listed.write_text(
            "product,name,price,tax,code\n1,Milk 1 l,1.19,7,4000000000012\n2,Bread,2.50,7,4000000000029\n"
        )
        assert run("office", "products", listed, "--at", made.folders[OFFICE].path).returncode == 0
        made.start(OFFICE, "12-1", "13-1")
        made.together()
        for till in ("12-1", "13-1"):
            made.call(till, "open", date=DAYS[0])
            sell(made, till, 250, member=MEMBER)
            made.call(till, "close")
            made.call(till, "open", date=DAYS[1])
            sell(made, till, 1999, member=MEMBER)
            made.call(till, "publish")
        yield made


def takings(folder: Folder) -> int:
    found = books_of(folder, None, *DAYS)
    return sum(account.money.takings_minor for account in found.accounts) if found else 0


def equal(ours: Books | None, theirs: Books | None) -> bool:
    return ours is not None and theirs is not None and _plain(ours) == _plain(theirs)


def _plain(books: Books) -> object:
    accounts = [
        (one.money, one.goods, [(day.name, day.date, day.day, day.covers) for day in one.days], len(one.waiting))
        for one in books.accounts
    ]
    return accounts, books.owed, books.variances


def test_a_killed_office_comes_back_with_what_it_had_and_takes_in_what_it_missed(town: Cabled) -> None:
    town.until(lambda: takings(town.folders[OFFICE]) == 2 * (250 + 1999), "The books of the office")
    town.kill(OFFICE)
    sell(town, "12-1", 119)
    town.call("12-1", "publish")
    town.start(OFFICE)
    town.until(lambda: takings(town.folders[OFFICE]) == 2 * (250 + 1999) + 119, "What it missed")


USED = "Letter a was used before: name one that never was; known are a."
SILENT = (
    "Nothing was heard from office-a, which may only be silent: if it is gone for good, say --lost office-a, which ends it "
    "for ever."
)


@pytest.mark.parametrize(("words", "said"), [(("--letter", "a"), USED), ((), SILENT)])
def test_a_letter_that_was_used_and_an_office_that_is_only_silent_are_left_alone_and_nothing_is_left_behind(
    town: Cabled, words: tuple[str, ...], said: str
) -> None:
    at = town.town.at / "office-x"
    safe = ["--kit", town.safe / KIT, "--root", town.safe / "root.pem"]
    tills = [word for till in ("12-1", "13-1") for word in ("--from", f"127.0.0.1:{town.port(till)}")]
    town.kill(OFFICE)  # an office that runs would be found by asking around
    refused = refusal(
        "recover", "office", *safe, *tills, *words, "--listen", "127.0.0.1:0", "--no-multicast", "--at", at
    )
    town.start(OFFICE)
    assert refused == said
    assert sorted(path.name for path in at.parent.iterdir() if path.name.startswith((".", "office-x"))) == []


def test_the_root_key_of_another_company_rebuilds_nothing(town: Cabled, tmp_path: Path) -> None:
    assert run("company", "create", "Others", "--at", tmp_path / "others", "--cost", "interactive").returncode == 0
    other = tmp_path / "others-kit.txt"
    at = tmp_path / "office-x"
    wrong = refusal("recover", "office", "--kit", other, "--root", town.safe / "root.pem", "--at", at)
    assert wrong == "These words are not the root key of Corner Shops."
    assert not at.exists()


def test_an_office_whose_folder_is_gone_is_rebuilt_from_the_stores_and_its_books_are_equal_to_the_cent(
    town: Cabled, tmp_path: Path
) -> None:
    town.until(
        lambda: takings(town.folders[OFFICE]) == takings(town.folders["12-1"]) + _of_13(town), "Everything is told"
    )
    town.kill(OFFICE)
    kept = _copy(town.folders[OFFICE], tmp_path / "office-a")
    before = books_of(kept, None, *DAYS)
    town.burn(OFFICE)
    told = town.rebuild()
    assert (told["office"], told["lost"], told["heard"]) == ("office-b", [OFFICE], ["12-1", "13-1"])
    assert set(told["taken"]) == {"12-1", "13-1"}
    assert all(kinds["day"] == 2 for kinds in told["taken"].values())
    assert equal(books_of(town.folders["office-b"], None, *DAYS), before)


def _of_13(town: Cabled) -> int:
    found = books_of(town.folders["13-1"], 13, *DAYS)
    return sum(account.money.takings_minor for account in found.accounts) if found else 0


def _copy(folder: Folder, at: Path) -> Folder:
    shutil.copytree(folder.path, at, ignore=shutil.ignore_patterns("local.sock", "lock.mdb"))
    return open_folder(at)


def test_the_tills_admit_the_new_office_which_enrols_a_till_and_changes_a_price_and_the_old_one_is_closed(
    town: Cabled,
) -> None:
    town.start("office-b")
    town.together()
    with look(town.folders["office-b"].path) as looked:
        assert [one.name for one in looked.directory.offices()] == ["office-b"]
        assert looked.directory.letters() == {"a", "b"}
    town.enrol(13, 2)
    assert town.folders["13-2"].certificate.incarnation == "b1"
    town.start("13-2")
    town.together("13-2", "13-1", "office-b")
    town.call("office-b", "price", product=2, amount_minor=270)
    for till in ("12-1", "13-2"):
        town.until(partial(_costs, town, till, 270), f"The price at {till}")
    town.call("13-2", "open", date=DAYS[1])
    before = takings(town.folders["office-b"])
    town.call("13-2", "sell", lines=[{"code": "4000000000029"}])
    town.call("13-2", "publish")
    town.until(lambda: takings(town.folders["office-b"]) == before + 270, "The books of the new office")
    assert not any(ends[1] == OFFICE or ends[0] == RECOVERER for ends in town.cables)
    with look(town.folders["12-1"].path) as looked, looked.log.read() as reader:
        authors = {looked.name_of(author) for author in reader.authors(COMPANY_ROSTER)}
    assert authors == {"office-a a0", "office-b b0"}


def test_every_signature_chain_and_sum_is_as_it_must_be_at_the_new_office_and_at_every_till(town: Cabled) -> None:
    for name, folder in town.folders.items():
        checked = run("verify", "--at", folder.path)
        assert checked.returncode == 0, f"{name}: {checked.stdout}"


def _costs(town: Cabled, till: str, cents: int) -> bool:
    try:
        return town.call(till, "product", product=2)["product"]["unit_price_minor"] == cents
    except LocalRefused:
        return False  # a new till has heard of no product yet
