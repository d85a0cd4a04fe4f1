"""A till's disk is destroyed, in real processes: its next life is healed by its neighbours and closes its last day."""

from __future__ import annotations

from pathlib import Path

import pytest

from crdt_pos import journal
from crdt_pos.books import TillDay
from crdt_pos.local import LocalRefused
from crdt_pos.looking import look
from tests.system.set_back import Shop, shop, till_days
from tests.system.shops import DATE, run
from tools.cabled import OFFICE

__all__ = ["shop"]


def days(path: Path, name: str) -> dict[str, TillDay]:
    """What the books in a folder say of a till's dates, by life."""
    return {day.incarnation: day for day in till_days(path) if day.name == name}


def receipts(path: Path, shop: Shop) -> set[str]:
    """Which receipts that were ever printed a folder can print again."""
    with look(path) as looked, looked.log.read() as reader:
        return {number for number in shop.printed if journal.find(reader, number) is not None}


def test_the_next_life_of_a_burnt_till_has_its_journal_and_closes_its_last_day(shop: Shop) -> None:
    town = shop.town
    for _ in range(3):
        shop.sell("12-1")
    shop.sell("12-2")
    shop.safe("12-1")
    town.burn("12-1")
    town.stop(OFFICE)
    town.enrol(12, 1, again=True)
    town.start(OFFICE, "12-1")
    for name in town.folders:
        town.until(lambda name=name: "a1" in days_closed(shop, name), f"{name} knows that a1 is closed")
        closed = days(town.folders[name].path, "12-1")["a1"]
        assert closed.day.takings_minor == 3 * 119
        assert closed.publisher == town.folders["12-1"].certificate.author
    assert receipts(town.folders["12-1"].path, shop) == set(shop.printed)
    said = " ".join(run("books", "--at", town.folders[OFFICE].path).stdout.split())
    assert "12-1, life a1, did not close its 2026-11-20 itself: 12-1 a2 did, with the 4 acts that are known." in said
    town.call("12-1", "open", date=DATE, float_minor=0)
    assert shop.sell("12-1")["number"].startswith("12-1-a2-")
    shop.agree()


def days_closed(shop: Shop, name: str) -> set[str]:
    return {life for life, day in days(shop.town.folders[name].path, "12-1").items() if day.closed}


def test_a_till_that_never_comes_back_is_closed_at_any_till_of_its_store(shop: Shop) -> None:
    town = shop.town
    life = town.folders["12-1"].certificate.incarnation
    number = shop.sell("12-1")["number"]
    shop.safe("12-1")
    with pytest.raises(LocalRefused, match="12-1 is running"):
        town.call("12-2", "proxy_close", till="12-1")
    town.burn("12-1")
    town.until(lambda: "12-1" not in town.peers("12-2"), "it is gone")
    done = run("till", "close-for", "12-1", "--at", town.folders["12-2"].path)
    assert done.returncode == 0, done
    first, second = done.stdout.splitlines()
    assert first.startswith(f"12-1 {life}, {DATE}: closed with ")
    assert f"; takings {119 * int(number.rpartition('-')[2]) / 100} EUR." in first
    assert "held by nobody here" in second
    again = run("till", "close-for", "12-1", "--at", town.folders["12-2"].path)
    assert again.stdout == "Nothing of 12-1 is open, as far as it is known here.\n"
    for name in town.folders:
        town.until(lambda name=name: life in days_closed(shop, name), f"{name} knows that {life} is closed")
    for nobody in ("12-9", "13-1", "12-2", "x"):
        with pytest.raises(LocalRefused, match="no other till"):
            town.call("12-2", "proxy_close", till=nobody)
