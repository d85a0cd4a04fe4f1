"""A till's views are what its own entries say: wiped and rebuilt, they are the same."""

from __future__ import annotations

import random

import pytest

from crdt_pos.errors import TillError
from crdt_pos.requests import LineRequest, SaleRequest
from crdt_pos.till_rebuilt import rebuild
from gossip.log import Reader
from tests.till.shop import DAY_MS, MEMBER, MILK, Place, opened
from tests.till.test_any_sequence import any_act


def views(reader: Reader) -> dict[bytes, bytes]:
    """Those of the till's own acts; the neighbour's receipts are found by its entries."""
    return {key: value for key, value in reader.views(b"") if b"/12-4-" not in key}


def rebuilt(place: Place) -> dict[bytes, bytes]:
    """The views after all of them were wiped and rebuilt."""
    with place.log.read() as reader:
        wiped = [(key, None) for key in views(reader)]
    place.log.append([], wiped)
    with place.log.read() as reader:
        assert not views(reader)
        found = rebuild(reader, place.me)
    assert found.over is None
    place.log.append([], [*found.views, found.state.view()])
    with place.log.read() as reader:
        return views(reader)


@pytest.mark.parametrize("seed", range(8))
def test_after_any_acts_the_rebuilt_views_are_those_that_the_acts_wrote(seed: int) -> None:
    dice = random.Random(seed)
    place, neighbour = Place(), opened(number=4)
    neighbour.till.sell(SaleRequest((LineRequest(MILK),), member=MEMBER))
    numbers: list[str] = []
    checked = 0
    for _ in range(3):
        place.till.open_date()
        for _ in range(30):
            try:
                act = any_act(place, dice, numbers)
            except TillError:
                continue
            if act is not None and not act.series:
                numbers.append(act.number)
            if dice.random() < 0.1:
                place.till.grant(MEMBER, neighbour.me.author, 1)
            if dice.random() < 0.1:
                with place.log.read() as reader:
                    before = views(reader)
                assert rebuilt(place) == before
                checked += 1
        if dice.random() < 0.3:
            neighbour.tell(place)
            place.till.close_lives([neighbour.me.author])
        place.till.close_date()
        with place.log.read() as reader:
            before = views(reader)
        assert rebuilt(place) == before
        place.clock.ms += DAY_MS
    assert checked
    assert place.till.open_date()
    assert place.till.sell(SaleRequest((LineRequest(MILK),))).number not in numbers
