"""``--wan daily``: of each till and date exactly two day entries cross the WAN, once each, whatever happens to the gateways."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from crdt_pos.books import till_days
from crdt_pos.looking import look
from crdt_pos.requests import LineRequest, SaleRequest
from crdt_pos.schema import DAY
from peers.roster import StoreRecord
from tests.till.shop import MILK, Place, opened
from tools.cabled import OFFICE, Cabled

DATES = ("2026-11-20", "2026-11-21")
SALES = 4


@pytest.fixture
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cabled]:
    records = [StoreRecord(12, legal_entity="Corner Shops Ltd", currency="EUR")]
    with Cabled.found(tmp_path_factory.mktemp("daily"), "Corner Shops", records, 3, wan="daily") as made:
        made.start(*made.folders)
        yield made


def open_date(town: Cabled, till: str, date: str) -> None:
    town.call(till, "open", date=date)
    town.call(till, "replenish", lines=[{"product": 1, "quantity": 50}], reference="delivery")
    town.call(till, "publish")


def sell(town: Cabled, till: str) -> None:
    town.call(till, "sell", lines=[{"product": 1, "unit_price_minor": 119}], member=b"patron 1".hex())


def closed(town: Cabled, date: str) -> set[str]:
    """The tills whose close the head office holds."""
    with look(town.folders[OFFICE].path) as looked, looked.log.read() as reader:
        days = [day for document in reader.documents(DAY) for day in till_days(reader, looked.directory, document)]
    return {
        day.name for day in days if day.day.closed and str(day.date) == date and day.day.takings_minor == SALES * 119
    }


def test_two_day_entries_for_each_till_and_date_reach_the_head_office_once_each(town: Cabled) -> None:
    tills = town.tills()
    town.until(
        lambda: sorted(_duty(town, till) for till in tills) == ["active", "none", "standby"], "duties are shared"
    )
    first, second = DATES
    for till in tills:
        open_date(town, till, first)
    for _ in range(SALES):
        for till in tills:
            sell(town, till)
    for till in tills:
        town.call(till, "close")
    town.until(lambda: closed(town, first) == set(tills), "the head office holds the first date")
    assert town.connections(OFFICE)["entries_came"]["day"] == 2 * len(tills)

    # On the second date the active till loses its line at noon, and has it again when all is told.
    (active,) = [till for till in tills if _duty(town, till) == "active"]
    for till in tills:
        open_date(town, till, second)
    town.until(lambda: _came(town) == 3 * len(tills), "the head office knows that the tills are open")
    town.sever(active, OFFICE)
    for _ in range(SALES):
        for till in tills:
            sell(town, till)
    for till in tills:
        town.call(till, "close")
    town.until(lambda: closed(town, second) == set(tills), "the head office holds the second date")
    town.mend(active, OFFICE)
    town.until(lambda: _duty(town, active) == "active", "the first in order speaks for the store again")
    town.until(partial(_caught_up, town, active), "it has compared with the head office")
    assert _came(town) == 2 * len(tills) * len(DATES)


def test_a_till_that_tells_daily_tells_by_itself_once_its_date_sells(place: Place) -> None:
    assert not place.till.publish_morning()
    place.till.sell(SaleRequest((LineRequest(MILK),)))
    assert place.till.publish_morning()
    place.till.sell(SaleRequest((LineRequest(MILK),)))
    assert not place.till.publish_morning()
    place.till.close_date()
    assert not place.till.publish_morning()


@pytest.fixture
def place() -> Place:
    return opened()


def _duty(town: Cabled, till: str) -> str:
    return str(town.connections(till)["duty"])


def _came(town: Cabled) -> int:
    return int(town.connections(OFFICE)["entries_came"].get("day", 0))


def _caught_up(town: Cabled, till: str) -> bool:
    sessions = town.connections(till)["sessions"]
    return any(one["peer"] == OFFICE and one["caught_up"] for one in sessions)
