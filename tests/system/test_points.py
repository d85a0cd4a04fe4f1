"""Points: earned at one till, redeemed at another that borrows the rights, in the same store and through the head office."""

from __future__ import annotations

import contextlib
import itertools
import time
from typing import Any

import pytest

from crdt_pos.balance import Balance
from crdt_pos.local import LocalRefused
from tests.system.shops import CHEESE, Shops, reading

_members = itertools.count(1)


@pytest.fixture
def member() -> str:
    """A new member's account."""
    return (b"patron-%d" % next(_members)).hex()


def points(shops: Shops, till: str, member: str) -> tuple[int, int]:
    """What can be redeemed at a till without asking, and the balance as known there."""
    answer = shops.call(till, "member", account=member)
    return answer["here"], answer["company"]


def redeem(shops: Shops, till: str, member: str, amount: int) -> int:
    """Buy cheese and pay a part with points; how many were redeemed."""
    movements: list[dict[str, Any]] = shops.sell(till, CHEESE, member=member, points=amount)["movements"]
    return sum(movement["redeemed"] for movement in movements)


def earn(shops: Shops, till: str, member: str) -> int:
    """Buy for some two hundred; how many points that gave."""
    return sum(movement["earned"] for movement in shops.sell(till, CHEESE, 10, member=member)["movements"])


def test_points_earned_at_one_till_are_redeemed_at_its_neighbour_which_borrows_the_rights(
    shops: Shops, member: str
) -> None:
    earned = earn(shops, "12-1", member)
    shops.until(lambda: points(shops, "12-2", member) == (0, earned), "12-2 knows the balance")
    assert redeem(shops, "12-2", member, 100) == 100
    shops.until(lambda: points(shops, "12-1", member)[1] == earned - 100 + 18, "12-1 knows what is left")
    # What 12-2 borrowed it has spent; the rest is where it was, and its own purchase earned it 18.
    assert points(shops, "12-1", member)[0] == earned - 100
    assert points(shops, "12-2", member)[0] == 18


def test_while_the_till_with_the_rights_is_down_its_neighbour_says_in_time_how_much_can_be_redeemed_now(
    shops: Shops, member: str
) -> None:
    earned = earn(shops, "12-1", member)
    shops.until(lambda: points(shops, "12-2", member) == (0, earned), "12-2 knows the balance")
    assert redeem(shops, "12-2", member, 30) == 30
    shops.stop("12-1")
    here, company = points(shops, "12-2", member)
    assert (here, company) == (18, earned - 30 + 18)
    began = time.monotonic()
    with pytest.raises(
        LocalRefused, match=f"Not that many: 18 can be redeemed here now, the balance is {company}"
    ) as no:
        redeem(shops, "12-2", member, 100)
    assert time.monotonic() - began < 5.0
    assert (no.value.kind, no.value.answer["here"], no.value.answer["company"]) == ("NotEnoughRights", here, company)
    assert redeem(shops, "12-2", member, here) == here


def test_points_earned_in_one_store_are_redeemed_in_another_through_the_head_office(shops: Shops, member: str) -> None:
    earned = earn(shops, "12-1", member)
    shops.until(lambda: _office_owes(shops, member, earned), "the office knows the balance")
    # 13-1 has never seen this member: asking makes it a patron, and its balance comes to the store.
    assert redeem(shops, "13-1", member, earned) == earned
    shops.until(lambda: points(shops, "12-1", member) == (0, 18), "12-1 knows that its rights are gone")
    shops.agreed()


def test_a_point_is_redeemed_once_however_many_tills_ask_for_it_at_once(shops: Shops, member: str) -> None:
    earned = earn(shops, "12-1", member)
    for till in ("12-1", "12-2"):
        shops.until(lambda till=till: points(shops, till, member)[1] == earned, f"{till} knows the balance")
    shops.until(lambda: _office_owes(shops, member, earned), "the office knows the balance")
    redeemed = 0
    for till in ("12-2", "13-1", "12-1"):
        with contextlib.suppress(LocalRefused):
            redeemed += redeem(shops, till, member, earned)
    assert redeemed == earned


def _office_owes(shops: Shops, member: str, least: int) -> bool:
    with reading(shops.folders["office"]) as reader:
        return Balance.read(reader, "points", bytes.fromhex(member)).counter.value() >= least
