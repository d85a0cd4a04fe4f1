"""A till that was off for so long, or has so wrong a clock, that anything which expires would have."""

from __future__ import annotations

import json

import pytest

from crdt_pos.folder import Folder
from crdt_pos.local import LocalRefused
from crdt_pos.looking import look
from tests.system.shops import DATE, run
from tests.system.single import single, until
from tests.system.test_bad_weather import _clock, _price, enrol, town
from tools.town import Town

assert town  # a fixture
LONG_AGO = "2025-09-22"
DAYS = 426
"""From then to ``DATE``: fourteen months."""


def test_a_till_that_was_off_for_14_months_hands_over_what_it_sold_learns_what_is_new_and_sells(town: Town) -> None:
    folder, stolen = enrol(town, 1), enrol(town, 2)
    with _clock(f"-{DAYS}d", folder) as till:
        till.call("open", date=LONG_AGO)
        till.sell(500)
    # It was switched off without closing. Meanwhile prices changed, and a till was stolen.
    revoked = run("revoke", "12-2", "--why", "stolen", "--at", town.office.path)
    assert revoked.returncode == 0, revoked.stderr
    with single(town.office) as office, single(folder) as till:
        office.call("price", product=1, amount_minor=300, valid_from_ms=1)
        until(lambda: _price(till) == 300, "the till knows the price")
        with pytest.raises(LocalRefused, match="2025-09-22"):
            till.call("open", date=DATE)
        assert till.call("close")["report"]["sales_minor"] == 500
        assert till.call("open", date=DATE)["business_date"] == DATE
        assert till.call("sell", lines=[{"product": 1}])["receipt"]["number"] == "12-1-a1-2"
        till.call("close")
        until(lambda: _taken(town, LONG_AGO) == 500, "the office has the day of 14 months ago")
        until(lambda: _taken(town, DATE) == 300, "the office has today")
    with look(folder.path) as looked:
        assert stolen.certificate.author in looked.directory.revocations
    _verified(town, folder)


def test_a_till_whose_clock_is_at_2000_gets_what_it_missed_sells_and_is_counted(town: Town) -> None:
    folder = enrol(town, 1)
    with single(folder) as till:
        till.call("open", date="2026-11-19")
        till.sell(500)
        till.call("close")
    with single(town.office) as office, _clock("@2000-01-01 00:00:00", folder) as till:
        office.call("price", product=1, amount_minor=300, valid_from_ms=1)
        until(lambda: _taken(town, "2026-11-19") == 500, "the office has the day from before")
        until(lambda: _price(till) == 300, "the till has heard of the price")
        with pytest.raises(LocalRefused, match=r"The clock is before the last close.*say which business date it is"):
            till.call("open")
        till.call("open", date=DATE)
        till.call("sell", lines=[{"product": 1}])
        till.call("close")
        until(lambda: _taken(town, DATE) == 300, "the office has what it sold")
    with single(town.office), single(folder) as till:
        assert till.call("open", date="2026-11-21")["business_date"] == "2026-11-21"
        till.call("sell", lines=[{"product": 1}])
        till.call("close")
        until(lambda: _taken(town, "2026-11-21") == 300, "with its clock right again it goes on")
    _verified(town, folder)


def _taken(town: Town, date: str) -> int:
    """What the office's books say was taken on a date."""
    done = run("books", "--date", date, "--at", town.office.path, "--json")
    accounts = json.loads(done.stdout)["accounts"] if done.returncode == 0 else []
    return sum(account["takings"]["amount_minor"] for account in accounts)


def _verified(town: Town, folder: Folder) -> None:
    for one in (folder, town.office):
        verified = run("verify", "--at", one.path)
        assert verified.returncode == 0, verified.stdout
