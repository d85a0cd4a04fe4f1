"""The benchmark of a fleet proves what it measures, and notices what is missing."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from click.testing import CliRunner

from crdt_pos import enrolment
from gossip import frames
from gossip.entry import decode
from gossip.log import Arrival
from gossip.messages import LENGTH_BYTES, Entries
from merge_rules import canonical
from tools import bench_fleet, fleet_company, fleet_days, fleet_figures, fleet_proofs
from tools.bench import bench
from tools.bench_fleet import Wanted
from tools.fleet_company import Company
from tools.fleet_days import Phase, StoreDays
from tools.fleet_plan import Batch, read_plan, write_plan
from tools.fleet_unit import Figures, clashing, expected, till_dates

TILLS = 14
DATES = 2
FIRST, LAST = 20_777, 20_778


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> tuple[Company, list[StoreDays]]:
    company = fleet_company.found(tmp_path_factory.mktemp("fleet"), TILLS)
    bodies = {voiding: till_dates(DATES, voiding=voiding) for voiding in (False, True)}
    phases = [Phase("all", 0, DATES), Phase("interrupted", DATES, DATES)]
    return company, [fleet_days.signed(tills, bodies, phases, *phases) for tills in company.stores.values()]


def _raws(days: Sequence[StoreDays]) -> list[bytes]:
    return [
        raw for one in days for batch in one.plans["held"] for raw in cast("list[bytes]", canonical.decode(batch.items))
    ]


def _books_of(company: Company, raws: Sequence[bytes], name: str) -> Figures:
    office = company.fresh_office(name)
    with office.held(), enrolment.open_log(office) as log:
        log.append([Arrival(decode(raw)) for raw in raws])
    return fleet_proofs.figures(office.path, FIRST, LAST)


def test_a_small_fleet_proves_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    measured = bench_fleet.fleet(Wanted((TILLS,), 60, 1, yardstick_s=0.05, workers=1))
    assert len(measured[0].proofs) == 5
    assert fleet_figures.proven(measured), measured[0].proofs
    tables = fleet_figures.tables(measured)
    assert {row["target"] for row in tables["targets"]} >= {"≥ 20,000", "≥ 0.42", "≥ 0.95", "≤ 200", "≤ 1.5"}


def test_the_books_of_what_every_till_says_are_what_the_constants_come_to(
    fleet: tuple[Company, list[StoreDays]],
) -> None:
    company, days = fleet
    said = _books_of(company, _raws(days), "whole")
    assert fleet_proofs.differences(expected(TILLS, DATES), said) == []
    assert said.takings_minor == 14 * 2 * 4 * 50_000
    assert said.stock == Counter({133: 16, 134: 4, 135: 4})


def test_one_message_that_is_missing_is_noticed(fleet: tuple[Company, list[StoreDays]]) -> None:
    company, days = fleet
    wrong = fleet_proofs.differences(expected(TILLS, DATES), _books_of(company, _raws(days)[:-1], "less"))
    assert f"dates: {TILLS * DATES - 1} instead of {TILLS * DATES}" in wrong
    assert any(one.startswith("takings_minor") for one in wrong)
    assert any(one.startswith("waited_for: 1") for one in wrong)


def test_a_folder_without_any_of_it_is_noticed(fleet: tuple[Company, list[StoreDays]]) -> None:
    company, _ = fleet
    wrong = fleet_proofs.differences(expected(TILLS, DATES), _books_of(company, [], "nothing"))
    assert f"dates: 0 instead of {TILLS * DATES}" in wrong


def test_an_acknowledged_entry_that_is_not_there_counts_as_lost(fleet: tuple[Company, list[StoreDays]]) -> None:
    company, days = fleet
    office = company.fresh_office("lost")
    entries = [decode(raw) for raw in _raws(days)]
    with office.held(), enrolment.open_log(office) as log:
        log.append([Arrival(entry) for entry in entries[1:]])
    heads = {1: [[(entry.feed_id, entry.seq, entry.hash)] for entry in entries]}
    assert fleet_proofs.lost(office.path, {1: range(1, len(entries))}, heads) == 0
    assert fleet_proofs.lost(office.path, {1: range(len(entries))}, heads) == 1


def test_what_is_wrong_with_a_proof_is_shown_and_is_no_success() -> None:
    measured = bench_fleet.Measured(TILLS, proofs={"verify passes": "", "books": "dates: 1 instead of 2"})
    assert not fleet_figures.proven([measured])
    assert fleet_figures.proven([replace(measured, proofs={"verify passes": ""})])
    shown = [row[f"{TILLS} tills"] for row in fleet_figures.proofs([measured])]
    assert shown == ["yes", "dates: 1 instead of 2"]


def test_numbers_that_two_runs_share_are_counted() -> None:
    assert clashing([(1, 3), (4, 7), (8, 8)]) == 0
    assert clashing([(1, 3), (3, 5), (2, 2)]) == 2


def test_a_planned_frame_is_the_frame_of_its_message(fleet: tuple[Company, list[StoreDays]], tmp_path: Path) -> None:
    _, days = fleet
    plan = {one.store: one.plans["all"] for one in days}
    assert write_plan(tmp_path / "plan", plan) == 2 * TILLS * DATES
    assert read_plan(tmp_path / "plan") == plan
    batch: Batch = plan[1][0]
    frame = batch.frame(7)
    message = frames.decode(frame[LENGTH_BYTES:])
    assert isinstance(message, Entries)
    assert (message.batch, message.upto, len(message.items)) == (7, batch.upto, batch.entries)
    assert frames.encode(message) == frame


def test_sizes_that_are_none_are_refused_in_a_sentence() -> None:
    refused = CliRunner().invoke(bench, ["fleet", "--tills", "200,many"])
    assert refused.exit_code == 2
    assert "whole numbers with commas" in refused.output
