"""What the commands answer, typed, as JSON and from Python: the same."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from rich.cells import cell_len

from crdt_pos.cli import crdt_pos
from crdt_pos.shell import Replica
from crdt_pos.shell.completing import candidates
from crdt_pos.shell.table import COMMANDS
from tests.books.company import CODES, DATE, MILK
from tests.shell.conftest import MEMBER

DAY = f"day/12/{DATE}"
JOURNAL = f"journal/12/{DATE}"
LINES = (
    "status",
    "peers",
    "peers --all",
    "scopes",
    "topology",
    "documents",
    "documents 'day/*'",
    f"show {DAY}",
    f"show {JOURNAL} --all",
    f"explain {DAY}",
    f"explain {DAY} takings",
    f"explain balance/points/{MEMBER.hex()} earned",
    f"entries {JOURNAL} 12-1",
    f"history {DAY}",
    f"at {DATE}",
    f"at {DATE}T12:00:05 {DAY}",
    "sale 12-1-a1-1",
    "receipts",
    f"claims {CODES[MILK]}",
    "verify",
    "help",
    "help explain",
)


def called(*arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": "80"}).invoke(crdt_pos, ["shell", *map(str, arguments)])


@pytest.mark.parametrize("typed", LINES)
def test_what_is_typed_what_a_script_reads_and_what_python_returns_are_one_answer(
    shop: Path, till: Replica, typed: str
) -> None:
    till.close()
    read = called("--at", shop / "12-1", "-c", typed, "--json")
    said = called("--at", shop / "12-1", "-c", typed)
    assert read.exit_code == said.exit_code == 0, read.output + said.output
    assert said.output.strip()
    assert json.loads(read.output) is not None


def test_the_methods_of_a_replica_are_the_commands(shop: Path, till: Replica) -> None:
    assert {name.replace("-", "_") for name in COMMANDS} <= set(dir(till))
    mine = till.explain(DAY, "takings")
    till.close()
    assert mine == json.loads(called("--at", shop / "12-1", "-c", f"explain {DAY} takings", "--json").output)
    with pytest.raises(AttributeError, match="there is no command"):
        till.explian(DAY)


def test_a_field_is_explained_by_who_says_it_and_which_entry_changed_it(office: Replica) -> None:
    said = office.explain(DAY, "takings")
    assert said["value"] == {"takings": 1107}
    assert {part["author"]: part["field"]["takings"] for part in said["parts"]} == {"12-1 a1": 857, "12-2 a1": 250}
    changes = [(one["entry"]["author"], one["changed"]["takings"]) for one in said["changes"]]
    assert changes == [("12-2 a1", [None, 250]), ("12-1 a1", [250, 1107])]
    assert all(one["entry"]["received_from"] == one["entry"]["author"] for one in said["changes"])
    assert all(one["entry"]["signature"] == "good" for one in said["changes"])
    assert [one["state"] for one in said["doubts"]] == ["open"]


def test_a_field_that_is_not_there_is_refused_with_those_that_are(shop: Path) -> None:
    refused = called("--at", shop / "office", "-c", f"explain {DAY} takngs")
    assert refused.exit_code == 2
    assert "it has takings, refunds, tax" in refused.output


def test_history_shows_what_each_own_entry_changed_and_says_what_is_not_retained(
    till: Replica, office: Replica
) -> None:
    steps = till.history(DAY, "12-1")["steps"]
    assert [step["entry"]["seq"] for step in steps] == [1, 2]
    assert steps[1]["changed"]["takings"] == [488, 857]
    assert steps[1]["changed"]["closed/12-1 a1"] == [False, True]
    assert till.history(DAY, "12-1")["retained"] == []
    assert office.history(DAY, "12-1")["retained"] == [
        "1 earlier entry of 12-1 a1 not retained: of others only the newest is kept."
    ]


def test_at_a_moment_a_document_says_what_was_signed_by_then(till: Replica, office: Replica) -> None:
    first, second = (step["entry"]["stamp_ms"] for step in till.history(DAY, "12-1")["steps"])
    assert till.at(first, DAY)["value"]["takings"] == 488
    assert till.at(second - 1, DAY)["value"]["takings"] == 488
    assert till.at(second, DAY)["value"]["takings"] == 857
    assert {one["document"] for one in till.at(first)["changed"]} == {DAY, JOURNAL}
    then = office.at(first, DAY)
    assert "12-1" not in str(then["value"])
    assert "What 12-1 a1 said then is not known any more: its entry 2 is the oldest here." in then["retained"]


def test_the_mesh_is_drawn_with_what_is_seen_of_it(shop: Path, tmp_path: Path) -> None:
    picture = tmp_path / "mesh.svg"
    drawn = called("--at", shop / "12-1", "-c", f"topology --svg {picture}")
    assert drawn.exit_code == 0
    assert "12-1 ── office-a  WAN: entries came" in drawn.output
    assert picture.read_text("utf-8").count("<circle") == 2
    assert called("--at", shop / "12-1", "-c", f"topology --svg {picture}").exit_code == 2, "nothing is overwritten"


def test_what_is_not_on_the_disk_is_asked_for_and_nothing_else_is_invented(shop: Path) -> None:
    refused = called("--at", shop / "12-1", "-c", "sessions")
    assert refused.exit_code == 2
    assert "--attach" in refused.output
    assert called("--at", shop / "12-1", "--attach", "-c", "status").exit_code == 2


def test_several_commands_are_run_one_after_the_other_and_the_worst_decides_the_exit_code(shop: Path) -> None:
    several = called("--at", shop / "12-1", "-c", "show nothing", "-c", "sale 12-1-a1-1")
    assert several.exit_code == 2
    assert "TOTAL EUR" in several.output


def test_verify_says_by_its_exit_code_that_it_found_something(shop: Path, tmp_path: Path) -> None:
    import shutil

    from crdt_pos.shell import open_replica

    shutil.copytree(shop / "12-1", tmp_path / "12-1")
    file = tmp_path / "12-1" / "log" / "data.mdb"
    file.write_bytes(file.read_bytes().replace(b"Rye bread", b"Rye bretd"))
    with open_replica(tmp_path / "12-1") as damaged:
        assert damaged.verify()["findings"]
    assert called("--at", tmp_path / "12-1", "-c", "verify").exit_code == 1


def test_no_colour_is_the_only_bearer_of_a_meaning_and_tables_fit(shop: Path) -> None:
    for typed in ("status", "peers", "scopes", f"explain {DAY}", f"history {DAY}"):
        said = called("--at", shop / "12-1", "-c", typed).output
        assert "\x1b" not in said
        assert max(map(cell_len, said.splitlines())) <= 100, said


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("expl", "explain"),
        ("explain ", "day/"),
        ("explain day/12/", DAY),
        (f"explain {DAY} tak", "takings"),
        ("entries journal/12/x 12-", "12-2"),
        ("receipts --store 1", "12"),
        ("help ver", "verify"),
        ("show x --", "--raw"),
    ],
)
def test_tab_completes_commands_documents_fields_authors_and_stores(till: Replica, typed: str, found: str) -> None:
    assert found in [one.text for one in candidates(till, typed)]


def test_help_shows_every_command_and_what_the_colours_mean(shop: Path) -> None:
    said = called("--at", shop / "12-1", "-c", "help").output
    for name in COMMANDS:
        assert re.search(rf"^  {name}\b", said, re.MULTILINE), name
    assert re.search(r"yellow +pending or old", said)
