"""What only a real network shows: other people's tills on one's LAN, new addresses, lines of one's own, switches that pass no
multicast.

Store 1's three tills share a switch with a till of store 2 and with one of another retailer, who has a store 1 as well.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from crdt_pos.books import till_days
from crdt_pos.journal import find
from crdt_pos.schema import DAY
from gossip.address import Address
from tests.town.cashiers import DATE
from tests.town.unwelcome import other_retailer
from tests.town.wired import OFFICE, PATIENCE_S, WORLD, Wired, host, settings, switch
from tests.town.wires import Wires

PORT = 7421
"""Where 1-1 listens: 1-2 has it in its settings."""
FIRST_QUESTIONS_S = 18.0
"""For so long after its start a till asks again and again who is there (RFC 6762, 5.2)."""
SOON_S = 30.0
"""A line that is dead without a word is given up after seven seconds; the rest is for busy machines."""


pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def street(wires_apart: Wires, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wired]:
    at = tmp_path_factory.mktemp("street")
    made = Wired.found(wires_apart, at, 2, 0)
    made.enrol(1, 1, listen=Address("", PORT))
    made.enrol(1, 2, peers=(*settings().peers, Address(host(1, 1), PORT)))
    made.enrol(1, 3)
    made.enrol(2, 1, at=1)
    try:
        made.start(*made.folders)
        other_retailer(made).start()
        made.until_up(*made.folders)
        for name in made.tills():
            made.call(name, "open", date=DATE)
        yield made
    finally:
        made.close()


def sell(town: Wired, name: str) -> str:
    """The receipt's number."""
    answer = town.call(name, "sell", lines=[{"product": 1, "unit_price_minor": 119}])
    return str(answer["receipt"]["number"])


def arrives(town: Wired, number: str, *names: str, timeout_s: float = PATIENCE_S) -> None:
    """Wait until a receipt is on the disks of these tills."""

    def missing() -> Iterator[str]:
        for name in names:
            with town.reading(name) as (_, reader):
                if find(reader, number) is None:
                    yield f"{name} does not have {number}"

    town.until(missing, "Arriving", timeout_s)


def everyone_hears_everyone(town: Wired, timeout_s: float = PATIENCE_S) -> None:
    """Every till of store 1 sells something, and the other two get it."""
    store = town.tills(1)
    for name in store:
        arrives(town, sell(town, name), *(other for other in store if other != name), timeout_s=timeout_s)


def test_tills_talk_with_those_of_their_own_store_though_two_stores_and_another_retailer_share_a_switch(
    street: Wired,
) -> None:
    everyone_hears_everyone(street)
    assert street.peers("2-1") <= {OFFICE}
    for name in street.tills(1):
        assert street.peers(name) <= {*street.tills(1), OFFICE} - {name}


def test_a_till_that_gets_another_address_is_found_again(street: Wired) -> None:
    street.address("1-3", host(1, 77))
    arrives(street, sell(street, "1-3"), "1-1", "1-2", timeout_s=SOON_S)
    arrives(street, sell(street, "1-1"), "1-3")


def test_a_till_whose_cable_is_pulled_reaches_head_office_by_a_line_of_its_own(street: Wired) -> None:
    street.wires.cable((WORLD, "modem"), ("1-3", "modem"))
    street.line("modem", "10.13.0.254")
    street.wires.do("1-3", "ip address add 10.13.0.1/24 dev modem")
    street.wires.do("1-3", "ip route add default via 10.13.0.254 dev modem metric 100")
    street.wires.set("1-3", "conf/all/ignore_routes_with_linkdown")
    street.pull("1-3")
    number = sell(street, "1-3")
    sold = street.call("1-3", "x_report")["report"]["sales_minor"]
    street.call("1-3", "publish")
    street.until(lambda: _not_known(street, "1-3", sold), "Telling head office", SOON_S)
    with street.reading("1-1") as (_, reader):
        assert find(reader, number) is None
    street.plug("1-3")
    arrives(street, number, "1-1", "1-2")
    everyone_hears_everyone(street)


def _not_known(town: Wired, till: str, sold_minor: int) -> list[str]:
    with town.reading(OFFICE) as (looked, reader):
        days = [day for document in reader.documents(DAY) for day in till_days(reader, looked.directory, document)]
    known = {day.name: day.day.takings_minor for day in days}
    return [] if known.get(till) == sold_minor else [f"head office knows {known.get(till)} of {till}, not {sold_minor}"]


def test_when_the_cable_of_the_gateway_is_pulled_another_till_takes_over(street: Wired) -> None:
    active = gateway(street)
    street.pull(active)
    began = time.monotonic()
    other = next(till for till in street.tills(1) if till != active)
    sell(street, other)
    sold = street.call(other, "x_report")["report"]["sales_minor"]
    street.call(other, "publish")
    street.until(lambda: _not_known(street, other, sold), "Taking over", SOON_S)
    print(f"{active} was the gateway, another took over within {time.monotonic() - began:.1f} s")
    assert gateway(street, without=active) != active
    street.plug(active)
    everyone_hears_everyone(street)


def test_a_till_that_was_cut_off_while_its_neighbours_started_anew_finds_them_when_it_is_back(street: Wired) -> None:
    street.pull("1-3")
    street.kill("1-2")
    street.start("1-2")
    street.until_up("1-2")
    asked = time.monotonic() + FIRST_QUESTIONS_S
    street.until(lambda: ["its first questions"] if time.monotonic() < asked else [], "Asking in vain")
    street.plug("1-3")
    street.until_sessions(("1-3", "1-2"), timeout_s=SOON_S)


def gateway(town: Wired, without: str = "") -> str:
    """The till of store 1 that shares with the head office."""
    found: list[str] = []

    def missing() -> list[str]:
        duties = {name: town.connections(name)["duty"] for name in town.tills(1) if name != without}
        found[:] = [name for name, duty in duties.items() if duty == "active"]
        return [] if len(found) == 1 else [f"one of these should be active: {duties}"]

    town.until(missing, "Choosing a gateway")
    return found[0]


def test_where_a_switch_passes_no_multicast_tills_reach_those_that_are_named_in_their_settings(street: Wired) -> None:
    street.wires.block_multicast(switch(1), street.tills(1))
    for name in ("1-2", "1-3"):
        street.kill(name)
    street.start("1-2", "1-3")
    street.until_up("1-2", "1-3")
    arrives(street, sell(street, "1-2"), "1-1")
    # Nobody found this one, whose settings name the head office only: so multicast is blocked.
    assert street.peers("1-3") <= {OFFICE}
