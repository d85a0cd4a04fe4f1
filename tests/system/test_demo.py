"""The demo on a small part of the real data, and that it would notice a cent."""

import dataclasses
import datetime
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from crdt_pos.cli import crdt_pos
from tools import baskets, selling, truth
from tools.reckoning import Result, StoreResult

DAY = datetime.date(2017, 10, 3)


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """The figures of one day at one store with two tills."""
    at = tmp_path_factory.mktemp("demo")
    place = ["--at", str(at / "town"), "--json", str(at / "figures.json")]
    asked = ["demo", "--from", str(DAY), "--to", str(DAY), "--stores", "1", "--tills", "2", *place]
    answer = CliRunner().invoke(crdt_pos, asked)
    assert answer.exit_code == 0, answer.output
    return json.loads(Path(at / "figures.json").read_text())


def test_a_day_of_real_baskets_comes_out_to_the_cent(figures: dict[str, object]) -> None:
    (store,) = baskets.busiest_stores(DAY, DAY, 1)
    due = truth.compute(DAY, DAY, [store])
    (row,) = figures["stores"]
    assert figures["right"] is True
    assert row["data_minor"] == row["office_minor"] == due.total_minor > 0
    assert set(row["tills_minor"].values()) == {due.total_minor}
    assert len(row["tills_minor"]) == 2
    assert figures["points_earned"] == sum(due.points.values()) > 0
    assert figures["sold"] == due.baskets[store, DAY]
    assert figures["lost"] == []
    assert figures["processes"] == 3


def test_the_reckoning_notices_one_cent_one_piece_and_one_point() -> None:
    row = StoreResult(
        1, 1, 100, 0, 100, {"1-1": 100}, 0, final=True, same=True, wan_bytes_per_till_day=0, wan_messages_per_till_day=0
    )
    right = Result((row,), 5, 5, 2, 2, 3, 0, 1, (), balanced=True)
    assert right.right
    for wrong in (
        dataclasses.replace(row, office_minor=101),
        dataclasses.replace(row, tills_minor={"1-1": 99}),
        dataclasses.replace(row, stock_drift=1),
        dataclasses.replace(row, final=False),
        dataclasses.replace(row, same=False),
    ):
        assert not dataclasses.replace(right, stores=(wrong,)).right
    for wrong in (
        {"points_earned": 6},
        {"points_redeemed": 3},
        {"points_owed": 4},
        {"lost": ("x",)},
        {"balanced": False},
    ):
        assert not dataclasses.replace(right, **wrong).right


def test_the_truth_of_the_whole_year_is_the_sum_that_the_data_set_states() -> None:
    stores = baskets.busiest_stores(baskets.YEAR_FROM, baskets.YEAR_TO, 1000)
    assert len(stores) == 457
    assert truth.compute(baskets.YEAR_FROM, baskets.YEAR_TO, stores).total_minor == 459_603_958


def test_the_baskets_that_are_sold_add_up_to_the_truth_that_is_computed_apart() -> None:
    stores = baskets.busiest_stores(DAY, DAY, 20)
    sold = baskets.read_baskets(DAY, DAY, stores)
    assert sum(basket.total_minor for basket in sold) == truth.compute(DAY, DAY, stores).total_minor
    assert any(line.quantity == 0 for basket in sold for line in basket.lines)
    assert any(line.exponent for basket in sold for line in basket.lines)


def test_tills_take_turns_and_no_basket_is_left_out() -> None:
    stores = baskets.busiest_stores(DAY, DAY, 3)
    sold = baskets.read_baskets(DAY, DAY, stores)
    days = selling.spread(sold, 2)
    assert [basket for _, basket in days[DAY]] == sold
    assert {place for place, _ in days[DAY]} == {(store, till) for store in stores for till in (1, 2)}


def test_a_folder_that_is_no_demos_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "takings.txt").write_text("dear")
    answer = CliRunner().invoke(crdt_pos, ["demo", "--at", str(tmp_path)])
    assert answer.exit_code == 2
    assert (tmp_path / "takings.txt").read_text() == "dear"


def test_dates_that_the_data_does_not_have_are_refused(tmp_path: Path) -> None:
    for first, last in (("2016-12-31", "2017-01-02"), ("2018-01-01", "2018-01-02")):
        answer = CliRunner().invoke(crdt_pos, ["demo", "--from", first, "--to", last, "--at", str(tmp_path / "town")])
        assert answer.exit_code == 2
        assert "2017-01-01" in answer.output


def test_a_demo_that_ends_before_it_begins_is_refused(tmp_path: Path) -> None:
    period = ("--from", "2017-02-02", "--to", "2017-02-01")
    answer = CliRunner().invoke(crdt_pos, ["demo", *period, "--at", str(tmp_path / "town")])
    assert answer.exit_code == 2
    assert "ends before it begins" in answer.output
