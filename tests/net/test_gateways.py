"""Which tills talk with the head office, and who takes over: real processes, every path a cable that can be pulled."""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from crdt_pos.balance import Balance
from crdt_pos.books import till_days
from crdt_pos.looking import look
from crdt_pos.schema import DAY
from peers.roster import StoreRecord
from tools.cabled import OFFICE, Cabled

STORE = ("12-1", "12-2", "12-3")
TAKEOVER_S = 10.0

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cabled]:
    at = tmp_path_factory.mktemp("gateways")
    records = [StoreRecord(store, legal_entity="Corner Shops Ltd", currency="EUR") for store in (12, 13)]
    with Cabled.found(at, "Corner Shops", records, 1) as made:
        for till in (2, 3):
            made.enrol(12, till)
        made.start(*made.folders)
        for name in made.tills():
            made.call(name, "open", date="2026-11-22")
        yield made


@pytest.fixture
def settled(town: Cabled) -> Iterator[Cabled]:
    """With one till of store 12 active, one standing by, and one that has no session with the head office."""
    town.until(lambda: sorted(duties(town).values()) == ["active", "none", "standby"], "duties are shared out")
    town.until(lambda: all(said(town, name)["reaches_office"] for name in STORE), "everyone reaches the head office")
    yield town
    for name in STORE:
        if name not in town.running():
            town.start(name)
        if (name, OFFICE) in town.cut:
            town.mend(name, OFFICE)
    town.together()


def said(town: Cabled, name: str) -> dict[str, Any]:
    return town.connections(name)


def duties(town: Cabled) -> dict[str, str]:
    return {name: said(town, name)["duty"] for name in STORE if name in town.running()}


def on(town: Cabled, duty: str, among: tuple[str, ...] = STORE) -> list[str]:
    return [name for name in among if name in town.running() and said(town, name)["duty"] == duty]


def sell(town: Cabled, name: str, **fields: object) -> int:
    """Sell and tell the totals; the till's takings so far."""
    town.call(name, "sell", lines=[{"product": 1, "unit_price_minor": 100 + next(_numbers)}], **fields)
    town.call(name, "publish")
    return int(town.call(name, "x_report")["report"]["sales_minor"])


def knows(town: Cabled, till: str, sales_minor: int) -> bool:
    """Whether the head office knows these takings of a till."""
    with look(town.folders[OFFICE].path) as looked, looked.log.read() as reader:
        days = [day for document in reader.documents(DAY) for day in till_days(reader, looked.directory, document)]
    return any(day.name == till and day.day.takings_minor == sales_minor for day in days)


def took(town: Cabled, condition: Callable[[], bool], what: str) -> float:
    """Seconds until a condition holds."""
    began = time.monotonic()
    town.until(condition, what)
    return time.monotonic() - began


def test_one_till_shares_one_stands_by_and_the_third_is_heard_through_them(settled: Cabled) -> None:
    (active,), (standby,), (third,) = (on(settled, duty) for duty in ("active", "standby", "none"))
    assert OFFICE not in settled.peers(third)
    for name in (active, standby):  # a session begins anew when a duty changes
        settled.until(lambda name=name: {OFFICE} < settled.peers(name), f"{name} talks with the head office")
    for name in STORE:
        sales = sell(settled, name)
        settled.until(partial(knows, settled, name, sales), f"the head office hears of {name}")
    (session,) = [one for one in said(settled, standby)["sessions"] if one["peer"] == OFFICE]
    assert session["entries_acknowledged"] == session["entries_received"] == 0


def test_when_the_active_till_is_killed_another_takes_over(settled: Cabled) -> None:
    (active,), (third,) = on(settled, "active"), on(settled, "none")
    others = tuple(name for name in STORE if name != active)
    settled.kill(active)
    seconds = took(settled, lambda: bool(on(settled, "active", others)), "another is active")
    sales = sell(settled, third)
    seconds += took(settled, partial(knows, settled, third, sales), "the head office hears of the third till again")
    print(f"{seconds:.1f} s")
    assert seconds < TAKEOVER_S


def test_when_the_active_till_loses_its_line_another_takes_over_and_speaks_for_it(
    settled: Cabled,
) -> None:
    (active,) = on(settled, "active")
    settled.sever(active, OFFICE)
    sales = sell(settled, active)
    seconds = took(settled, partial(knows, settled, active, sales), "the head office hears of it through another")
    print(f"{seconds:.1f} s")
    assert seconds < TAKEOVER_S
    assert OFFICE not in settled.peers(active)
    settled.mend(active, OFFICE)
    settled.until(lambda: on(settled, "active") == [active], "the first in order takes its duty again")


def test_while_the_active_till_sleeps_another_speaks_and_it_comes_back(settled: Cabled) -> None:
    (active,), (third,) = on(settled, "active"), on(settled, "none")
    others = tuple(name for name in STORE if name != active)
    process = settled.processes[active].running
    assert process is not None
    os.kill(process.pid, signal.SIGSTOP)
    try:
        sales = sell(settled, third)
        seconds = took(settled, lambda: bool(on(settled, "active", others)), "another is active")
        settled.until(partial(knows, settled, third, sales), "the head office hears of the third till")
        print(f"{seconds:.1f} s")
    finally:
        os.kill(process.pid, signal.SIGCONT)
    sales = sell(settled, active)
    settled.until(partial(knows, settled, active, sales), "the head office hears of the one that slept")
    settled.until(lambda: on(settled, "active") == [active], "the first in order takes its duty again")
    settled.until(lambda: settled.peers(active) >= {OFFICE, *others}, "it has its sessions again")


def test_a_till_whose_neighbours_are_all_cut_off_dials_the_head_office_by_itself(settled: Cabled) -> None:
    (third,) = on(settled, "none")
    others = [name for name in STORE if name != third]
    for other in others:
        settled.sever(third, other)
    settled.until(lambda: settled.peers(third) == {OFFICE}, "it has a session with the head office alone")
    sales = sell(settled, third)
    settled.until(partial(knows, settled, third, sales), "the head office hears of it")
    for other in others:
        settled.mend(third, other)
    settled.until(lambda: settled.peers(third) == set(others), "it is one of many again")


def test_a_till_without_a_session_redeems_points_that_another_store_holds(settled: Cabled) -> None:
    (third,) = on(settled, "none")
    account = b"patron%02d" % next(_numbers)
    price = [{"product": 1, "unit_price_minor": 20_000}]
    earned = settled.call("13-1", "sell", lines=price, member=account.hex())["receipt"]["movements"][0]["earned"]

    def heard() -> bool:
        with look(settled.folders[OFFICE].path) as looked, looked.log.read() as reader:
            return Balance.read(reader, "points", account).counter.value() == earned

    settled.until(heard, "the head office knows the balance")
    sale = settled.call(third, "sell", lines=price, member=account.hex(), points=earned, deadline_ms=10_000)
    assert sum(movement["redeemed"] for movement in sale["receipt"]["movements"]) == earned
