"""A till that is killed: every receipt that was given is there, and the next one has the next number."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from crdt_pos.receipt import Series
from crdt_pos.requests import LineRequest, SaleRequest
from tests.till.selling import on_disk
from tests.till.shop import BREAD, CHEESE, MEMBER, MILK

ROOT = Path(__file__).parents[2]


def test_a_killed_till_goes_on_with_the_next_number_and_has_lost_nothing(tmp_path: Path) -> None:
    dice = random.Random("killed tills")
    folder = tmp_path / "log"
    last = 0
    for _ in range(4):
        with subprocess.Popen(
            [sys.executable, "-m", "tests.till.selling", str(folder)], stdout=subprocess.PIPE, cwd=ROOT, text=True
        ) as process:
            assert process.stdout is not None
            given = [process.stdout.readline().strip() for _ in range(dice.randrange(3, 30))]
            os.kill(process.pid, signal.SIGKILL)
            given += process.stdout.read().split()
        assert [int(number.rpartition("-")[2]) for number in given] == list(range(last + 1, last + 1 + len(given)))
        place = on_disk(folder)
        assert all(place.till.receipt(number) is not None for number in given)
        # What was committed and not yet printed is there as well: at most one.
        day = place.rederived(place.till.open_on)
        assert len(given) <= day.series[Series.SALES].last - last <= len(given) + 1
        last = day.series[Series.SALES].last
        assert (day.goods[MILK].sold, day.goods[BREAD].sold, day.goods[CHEESE].sold) == (2 * last, last, 250 * last)
        assert day.balanced
        assert place.till.redeemable(MEMBER).company == sum(
            place.till.receipt(f"12-3-a1-{n}").movements[0].earned for n in range(1, last + 1)
        )
        place.log.close()
    place = on_disk(folder)
    assert place.till.sell(SaleRequest((LineRequest(MILK),))).n == last + 1
    place.till.close_date()
    assert place.published()[1] == place.rederived()
    place.log.close()
