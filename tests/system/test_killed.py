"""A till that is killed in the middle of a sale: the sale is there whole, or not at all, and asked for again it is there once."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from crdt_pos.journal import find
from tests.system.shops import DATE, reading, records, run
from tools.cabled import Cabled
from tools.killing import Killed, Moment, kill_amid_a_sale

MEMBER = b"patron-1".hex()
KILLS = (Moment.BEFORE, Moment.DURING, Moment.AFTER, Moment.DURING)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Cabled]:
    with Cabled.found(tmp_path, "Corner Shops", records(12), tills=2) as town:
        town.start("12-1", "12-2")
        town.call("12-1", "open", date=DATE)
        yield town


def basket(number: int) -> dict[str, object]:
    lines = [{"product": product, "unit_price_minor": 100 + product, "quantity": 2} for product in range(1, 6)]
    return {"lines": lines, "member": MEMBER, "once": f"basket {number}"}


def test_a_till_killed_amid_sales_has_each_of_them_whole_or_not_at_all_and_once_when_asked_again(shop: Cabled) -> None:
    dice = random.Random("killed amid sales")
    took_s: list[float] = []
    for number in range(5):
        began = time.monotonic()
        shop.call("12-1", "sell", **basket(number))
        took_s.append(time.monotonic() - began)
    outcomes: list[Killed] = []
    for number, moment in enumerate(KILLS, 5):
        after_s = dice.uniform(0.2, 1.2) * statistics.median(took_s)
        outcomes.append(kill_amid_a_sale(shop, "12-1", basket(number), moment, after_s))
        assert outcomes[-1].disagreements == ()
    # Who had heard of a receipt finds it on the disk; who was killed first had nothing, who was killed last all of it.
    assert all(one.there for one in outcomes if one.answered)
    assert [one.there for one in outcomes if one.moment is not Moment.DURING] == [False, True]
    numbers = [f"12-1-a1-{n}" for n in range(1, 6 + len(KILLS))]
    assert [one.receipt["number"] for one in outcomes] == numbers[5:]
    # The neighbour, which saw it die four times, has the same and nothing more.
    shop.until(lambda: held(shop, "12-2", numbers), "12-2 holds every receipt")
    assert not held(shop, "12-2", [f"12-1-a1-{len(numbers) + 1}"])
    for name in ("12-1", "12-2"):
        assert run("verify", "--at", shop.folders[name].path).returncode == 0


def held(shop: Cabled, name: str, numbers: list[str]) -> bool:
    with reading(shop.folders[name]) as reader:
        return all(find(reader, number) is not None for number in numbers)
