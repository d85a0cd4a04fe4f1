"""Replicas that share one LAN: whose they are, where they are, how often one that does not answer is dialled. Real processes,
multicast on the loopback interface, real sockets."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from crdt_pos import enrolment
from crdt_pos.clock import system_ms
from crdt_pos.journal import find
from crdt_pos.looking import look
from crdt_pos.schema import SCHEMA
from gossip.address import Address
from gossip.dialling import BACKOFF_MAX_S, BACKOFF_MIN_S, JITTER, pause_s
from gossip.log_memory import MemoryLog
from peers.announcement import PeerAddress
from peers.mesh import FULL_MAX, NEIGHBOURS_MAX
from peers.roster import StoreRecord
from tests.node.company import Bare, Company, address, in_touch, running, until
from tools.town import LOOPBACK, Process, Town, loopback_settings

TILLS = 10
"""More than talk everyone with everyone."""
LINES_MAX = 60
"""What a till that finds nothing but strangers beside its own says, ``--verbose``."""


@dataclass
class Lan:
    town: Town
    """Store 12 with ten tills, store 13 with one."""
    stranger: Process
    """Another retailer's till 12-1."""
    at: Path

    def peers(self, store: int, till: int) -> set[str]:
        said = self.town.client(self.town.tills[store, till]).call("connections")
        return {session["peer"] for session in said["sessions"]}

    def has(self, store: int, till: int, number: str) -> bool:
        with look(self.town.tills[store, till].path) as looked, looked.log.read() as reader:
            return find(reader, number) is not None

    def sell(self, store: int, till: int) -> str:
        client = self.town.client(self.town.tills[store, till])
        answer = client.call("sell", lines=[{"product": 1, "unit_price_minor": 119}])
        return str(answer["receipt"]["number"])


@pytest.fixture(scope="module")
def lan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lan]:
    at = tmp_path_factory.mktemp("lan")
    records = [StoreRecord(store, legal_entity="Corner Shops Ltd", currency="EUR") for store in (12, 13)]
    town = Town.found(at, "Corner Shops", records[:1], TILLS, loopback_settings())
    enrolment.add_store(town.office, records[1], system_ms())
    town.tills[13, 1] = enrolment.enrol_till(town.office, 13, 1, at / "till-13-1", loopback_settings(), system_ms())
    other = enrolment.create_company("Other Shops", at / "other", loopback_settings(), system_ms())
    enrolment.add_store(other, records[0], system_ms())
    theirs = enrolment.enrol_till(other, 12, 1, at / "theirs", loopback_settings(), system_ms())
    stranger = Process("till", [theirs])
    apart = {(12, 1), (12, 2), (13, 1)}
    town.processes = [
        stranger,
        *(Process("till", [town.tills[place]]) for place in sorted(apart)),
        Process("till", [folder for place, folder in sorted(town.tills.items()) if place not in apart]),
    ]
    try:
        for process in town.processes:
            process.start()
        for place, folder in town.tills.items():
            town.wait(lambda folder=folder: town.is_up(folder), f"Starting {place}")
            town.client(folder).call("open", date="2026-11-22")
        yield Lan(town, stranger, at)
    finally:
        town.stop()


def test_a_sale_reaches_ten_tills_though_none_talks_with_all_the_others(lan: Lan) -> None:
    store = [till for number, till in lan.town.tills if number == 12]
    assert len(store) > FULL_MAX

    def everyone_is_heard() -> bool:
        said = [lan.town.client(lan.town.tills[12, till]).call("connections") for till in store]
        return all(len(one["tills_heard"]) == TILLS - 1 and len(one["sessions"]) <= NEIGHBOURS_MAX for one in said)

    lan.town.wait(everyone_is_heard, "Everyone hears of everyone")
    number = lan.sell(12, 1)
    for till in store:
        lan.town.wait(lambda till=till: lan.has(12, till, number), f"The sale reaches 12-{till}")


def test_two_stores_and_another_retailer_on_one_lan_ignore_each_other_and_fill_no_log(lan: Lan) -> None:
    lan.town.wait(lambda: len(lan.peers(12, 2)) > 2, "12-2 finds its store")
    assert lan.peers(13, 1) == set()
    assert all(name.startswith("12-") for name in lan.peers(12, 2))
    with (lan.at / "theirs" / "run.log").open() as said:
        lines = said.read().splitlines()
    assert len(lines) < 5, lines
    said = (lan.town.tills[13, 1].path / "run.log").read_text()
    assert len(said.splitlines()) < 5, said
    assert "level=warning" not in (lan.town.tills[12, 2].path / "run.log").read_text()


def test_a_till_that_comes_back_at_another_port_is_found_again_though_it_never_said_goodbye(lan: Lan) -> None:
    (process,) = [one for one in lan.town.processes if one.folders == [lan.town.tills[12, 2]]]
    before = lan.town.client(lan.town.tills[12, 2]).call("connections")["listening"]
    lan.town.hang_up(lan.town.tills[12, 2])
    process.kill()
    number = lan.sell(12, 1)
    process.start()
    lan.town.wait(lambda: lan.town.is_up(lan.town.tills[12, 2]), "12-2 is up")
    assert lan.town.client(lan.town.tills[12, 2]).call("connections")["listening"] != before
    lan.town.wait(lambda: lan.has(12, 2, number), "12-2 has what was sold meanwhile")
    again = lan.sell(12, 2)
    lan.town.wait(lambda: lan.has(12, 1, again), "12-1 has what 12-2 sells")


async def test_somebody_who_announces_a_tills_name_at_a_wrong_address_hides_it_from_nobody(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1", "12-2")
    async with running(company.tills["12-1"], company.tills["12-2"]) as (till, other):
        own = other.certificate
        said = PeerAddress(own.company, own.name, own.store, own.author, 1, (LOOPBACK,), address(other).port, "12-2")
        with socket.create_server((LOOPBACK, 0)) as trap:
            lie = replace(said, port=trap.getsockname()[1], announcement="12-2-2")
            till.neighbourhood.found(said)
            till.neighbourhood.found(lie)
            assert len(till.node._dialling.wanted) == 2
            await until(till, lambda: in_touch(till, other))


@given(st.integers(0, 1_000), st.floats(*JITTER))
def test_pauses_between_dials_grow_up_to_a_bound_and_are_never_the_same_for_all(attempt: int, jitter: float) -> None:
    pause = pause_s(attempt, jitter)
    assert BACKOFF_MIN_S * JITTER[0] <= pause <= BACKOFF_MAX_S * JITTER[1]
    assert pause <= pause_s(attempt + 1, jitter)
    assert JITTER[0] < 1 < JITTER[1]


async def test_who_hangs_up_is_dialled_less_and_less_often(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1")
    rung: list[float] = []
    with socket.create_server((LOOPBACK, 0)) as deaf:

        def hang_up() -> None:
            for _ in range(4):
                deaf.accept()[0].close()
                rung.append(time.monotonic())

        ringing = threading.Thread(target=hang_up)
        ringing.start()
        async with Bare.running(company.tills["12-1"], MemoryLog(SCHEMA)) as (bare, _):
            bare.node.want(Address(*deaf.getsockname()))
            await trio.to_thread.run_sync(ringing.join, 60)
    assert len(rung) == 4
    for attempt, (one, other) in enumerate(itertools.pairwise(rung), 1):
        assert other - one >= pause_s(attempt, JITTER[0]) - 0.05
