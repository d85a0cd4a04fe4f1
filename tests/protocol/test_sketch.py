"""A sketch gives the differences of two sets of feeds, or says that it cannot; never anything else."""

from __future__ import annotations

import random

import pytest

from gossip.entry import Hash, Head
from gossip.sketch import CELL_BYTES, CELLS_FEW, CHOICES, Coded, cells_for, coded, differences, sketch, strata

FEEDS = 600
SALT = b"8 bytes."


def feeds(dice: random.Random, count: int = FEEDS) -> list[Coded]:
    heads = [(Head(dice.randrange(1, 50), Hash(dice.randbytes(32))),) for _ in range(count)]
    return coded(SALT, [(dice.randbytes(30), head) for head in heads])


def changed(dice: random.Random, feed: Coded) -> Coded:
    head = Head(feed.top + dice.choice([-1, 1, 7]), Hash(dice.randbytes(32)))
    return coded(SALT, [(feed.key, (head,))])[0]


@pytest.mark.parametrize(
    ("changes", "mine_alone", "theirs_alone"), [(1, 0, 0), (0, 0, 1), (40, 5, 5), (0, 60, 0), (200, 0, 30)]
)
def test_what_comes_out_is_what_differs(changes: int, mine_alone: int, theirs_alone: int) -> None:
    came_out = 0
    for seed in range(12):
        dice = random.Random(seed)
        both = feeds(dice)
        left, right = dict(enumerate(both)), dict(enumerate(both))
        chosen = dice.sample(range(FEEDS), changes + mine_alone + theirs_alone)
        for number in chosen[:changes]:
            right[number] = changed(dice, left[number])
        for number in chosen[changes:][:mine_alone]:
            del right[number]
        for number in chosen[changes + mine_alone :]:
            del left[number]
        cells = cells_for(strata(left.values()), strata(right.values()))
        assert cells is not None
        assert cells < 60 + 2 * len(chosen)
        found = differences(list(left.values()), sketch(right.values(), cells))
        if found is None:
            continue
        came_out += 1
        expected = {(both[number].id, number in left, right[number].top if number in right else 0) for number in chosen}
        assert {(one.id, one.mine is not None, one.their_top) for one in found} == expected
    assert came_out >= 10


def test_too_few_cells_are_noticed() -> None:
    dice = random.Random(1)
    assert differences(feeds(dice), sketch(feeds(dice), 60)) is None


@pytest.mark.parametrize("changes", range(4))
def test_samples_never_ask_for_a_sketch_that_may_be_answered_with_samples(changes: int) -> None:
    dice = random.Random(changes)
    both = feeds(dice)
    other = [changed(dice, feed) for feed in both[:changes]] + both[changes:]
    assert (cells_for(strata(both), strata(other)) or 0) > CELLS_FEW


def test_sets_with_nothing_in_common_are_not_sketched() -> None:
    dice = random.Random(2)
    assert cells_for(strata(feeds(dice, 8_000)), strata(feeds(dice, 8_000))) is None


def test_equal_sets_leave_nothing() -> None:
    both = feeds(random.Random(3))
    assert differences(both, sketch(both, 30)) == []


def test_noise_never_comes_out() -> None:
    dice = random.Random(4)
    mine = feeds(dice)
    assert all(differences(mine, dice.randbytes(cells * CHOICES * CELL_BYTES)) is None for cells in range(1, 60))
