from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from crdt_pos.cli import crdt_pos, run
from crdt_pos.requests import StockLine
from tests.books.company import BREAD, DATE, MILK, Company, basket


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Folders of a head office and two tills, one of which has closed, with nobody running."""
    company = Company.found(tmp_path)
    one, two = company.tills["12-1"], company.tills["12-2"]
    one.till.replenish([StockLine(MILK, 24)])
    one.till.sell(basket(MILK, BREAD))
    two.till.sell(basket(BREAD))
    one.till.close_date()
    two.till.publish()
    company.gather()
    company.close_logs()
    return tmp_path


def called(*arguments: object) -> Result:
    return CliRunner().invoke(crdt_pos, [str(argument) for argument in arguments], catch_exceptions=True)


def answer(*arguments: object) -> Any:
    result = called(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def test_books_print_each_figure_with_its_status(folders: Path) -> None:
    result = called("books", "--at", folders / "office")
    assert result.exit_code == 0
    assert "waiting for 12-2, last heard" in result.output
    assert "6.19" in result.output
    assert "final" in result.output


def test_books_as_json_say_the_same(folders: Path) -> None:
    books = answer("books", "--at", folders / "office", "--date", DATE)
    (account,) = books["accounts"]
    assert account["takings"]["amount_minor"] == 619
    assert account["waiting"][0]["till"] == "12-2"
    assert books["final"] is False
    assert answer("books", "--at", folders / "12-1", "--till", 1)["final"] is True


def test_books_can_be_read_while_the_replica_writes(folders: Path) -> None:
    from crdt_pos.folder import open_folder

    folder = open_folder(folders / "office")
    with folder.held():
        assert answer("books", "--at", folders / "office")["accounts"][0]["takings"]["amount_minor"] == 619


@pytest.mark.parametrize("wrong", [["--date", "2020-01-01"], ["--store", "99"], ["--product", "77"]])
def test_an_unknown_date_store_or_product_is_one_sentence_and_exit_code_2(
    folders: Path, wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["books", "--at", str(folders / "office"), *wrong]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "Traceback" not in said


def test_verify_passes_on_clean_folders_with_counts(folders: Path) -> None:
    for name in ("office", "12-1", "12-2"):
        assert answer("verify", "--at", folders / name)["findings"] == []
    assert "Everything is as it must be." in called("verify", "--at", folders / "12-1").output


def test_verify_lists_what_it_found_and_exits_with_1(folders: Path) -> None:
    file = folders / "12-1" / "log" / "data.mdb"
    content = file.read_bytes()
    file.write_bytes(content.replace(b"Rye bread", b"Rye bretd"))
    result = called("verify", "--at", folders / "12-1")
    assert result.exit_code == 1
    assert "finding" in result.output
    found = json.loads(called("verify", "--at", folders / "12-1", "--json").output)
    assert found["findings"]


def test_the_shell_lists_documents_by_pattern(folders: Path) -> None:
    rows = answer("shell", "--at", folders / "12-1", "-c", "documents day/12/*")["documents"]
    assert [row["name"] for row in rows] == [f"day/12/{DATE}"]
    assert "journal/12/" in called("shell", "--at", folders / "12-1", "-c", "documents").output.replace("\n", "")


def test_show_says_the_value_of_a_document(folders: Path) -> None:
    shown = answer("shell", "--at", folders / "12-1", "-c", f"show journal/12/{DATE}")
    assert len(shown["entries"]) >= 3
    assert shown["entries"][0]["seq"] == 1
    from crdt_pos.catalogue import shard_of

    catalogue = answer("shell", "--at", folders / "12-1", "-c", f"show catalogue/{shard_of(BREAD)}")
    assert f"{BREAD}/name" in catalogue["value"]


def test_explain_says_whose_part_it_is_and_where_it_came_from(folders: Path) -> None:
    parts = answer("shell", "--at", folders / "office", "-c", f"explain day/12/{DATE}")["parts"]
    assert sorted(part["author"] for part in parts) == ["12-1 a1", "12-2 a1"]
    for part in parts:
        (head,) = part["heads"]
        assert head["received_from"] == part["author"]
        assert not part["fork"]
        (covers,) = part["covers"]
        assert covers["here"] is None, "the journal stays in the store"
    own = answer("shell", "--at", folders / "12-1", "-c", f"explain day/12/{DATE}")["parts"]
    (covers,) = next(part for part in own if part["author"] == "12-1 a1")["covers"]
    assert covers["here"] is True
    assert "covers the journal of 12-1 a1" in called(
        "shell", "--at", folders / "12-1", "-c", f"explain day/12/{DATE}"
    ).output.replace("\n", " ")


def test_diff_says_which_feeds_differ(folders: Path) -> None:
    rows = answer("shell", "--at", folders / "12-1", "-c", f"diff {folders / 'office'}")["differences"]
    assert {row["author"] for row in rows if row["document"] == f"day/12/{DATE}"} == {"12-2 a1"}
    assert all(row["there"] == [] for row in rows if row["document"].startswith("journal/"))
    assert [row["same_value"] for row in rows if row["document"] == f"day/12/{DATE}"] == [False]


def test_folders_of_two_companies_are_not_compared(folders: Path, tmp_path: Path) -> None:
    (tmp_path / "apart").mkdir()
    other = Company.found(tmp_path / "apart")
    other.close_logs()
    refused = called("shell", "--at", folders / "office", "-c", f"diff {tmp_path / 'apart' / 'office'}")
    assert refused.exit_code == 2
    assert "another company" in refused.output


def test_sale_follows_a_receipt_and_checks_its_signature(folders: Path) -> None:
    trail = answer("shell", "--at", folders / "12-1", "-c", "sale 12-1-a1-1")
    assert (trail["signed"], trail["covered"], trail["due_minor"]) == (True, True, 369)
    assert trail["day"] == f"day/12/{DATE}"
    output = called("shell", "--at", folders / "12-1", "-c", "sale 12-1-a1-1").output
    assert "Rye bread" in output
    assert "the signature is the author's" in output


@pytest.mark.parametrize("wrong", ["show day/12/2020-01-01", "sale 12-1-a1-99", "explain nonsense"])
def test_what_is_not_here_is_one_sentence(folders: Path, wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["shell", "--at", str(folders / "12-1"), "-c", wrong]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_looking_changes_nothing(folders: Path) -> None:
    file = folders / "12-1" / "log" / "data.mdb"
    before = file.read_bytes()
    called("books", "--at", folders / "12-1")
    called("verify", "--at", folders / "12-1")
    called("shell", "--at", folders / "12-1", "-c", "documents")
    assert file.read_bytes() == before
