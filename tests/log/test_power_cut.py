"""Whenever the power goes, every acknowledged commit is there; and without syncing this test would say so."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest

from tests.log import appending
from tests.log.power import Acknowledged, Event, Sync, Write, after_cut, record
from tests.log.surviving import losses

COMMITS = 40
CUTS = 400
CUTS_TO_BE_FOUND_OUT = 100


@pytest.fixture(scope="module")
def strace() -> str:
    found = shutil.which("strace")
    if found is None:
        assert not os.environ.get("CI"), "strace is missing: the power cut test cannot run"
        pytest.skip("strace is not installed: the writes of a process cannot be recorded")
    return found


def recorded(strace: str, place: Path, sync: str) -> tuple[bytes, list[Event]]:
    """A log of three commits, safely on the disk, and what happens to its file in the next ones."""
    appending.main(str(place / "log"), "sync", 1, 3)
    before = (place / "log" / "data.mdb").read_bytes()
    return before, record(strace, place / "log", sync, 4, COMMITS, place / "trace")


def cut_often(before: bytes, events: list[Event], place: Path, cuts: int) -> list[str]:
    """What is wrong after cuts at moments spread over the whole recording."""
    wrong: list[str] = []
    for seed in range(cuts):
        dice = random.Random(seed)
        moment = 1 + seed * len(events) // cuts
        image, acknowledged = after_cut(before, events[:moment], dice)
        left = place / "left"
        left.mkdir()
        (left / "data.mdb").write_bytes(image)
        wrong += [f"cut {seed} at event {moment}: {loss}" for loss in losses(left, max(acknowledged, 3))]
        shutil.rmtree(left)
    return wrong


def test_a_power_cut_at_any_moment_loses_nothing_that_was_acknowledged(strace: str, tmp_path: Path) -> None:
    before, events = recorded(strace, tmp_path, "sync")
    assert [event.number for event in events if isinstance(event, Acknowledged)] == list(range(4, 4 + COMMITS))
    assert sum(isinstance(event, Sync) for event in events) >= COMMITS
    assert sum(isinstance(event, Write) and event.through for event in events) >= COMMITS
    assert cut_often(before, events, tmp_path, CUTS) == []


def test_without_syncing_a_power_cut_loses_acknowledged_commits(strace: str, tmp_path: Path) -> None:
    before, events = recorded(strace, tmp_path, "no sync")
    wrong = cut_often(before, events, tmp_path, CUTS_TO_BE_FOUND_OUT)
    assert len(wrong) > CUTS_TO_BE_FOUND_OUT // 10
    assert any("were acknowledged" in loss or "does not open" in loss or "cannot be read" in loss for loss in wrong)


def test_a_log_that_spoke_before_it_synced_would_be_found_out(strace: str, tmp_path: Path) -> None:
    before, events = recorded(strace, tmp_path, "sync")
    for at, event in enumerate(events):
        if isinstance(event, Acknowledged):
            # Acknowledge two events earlier: before the meta page is written.
            events.insert(at - 2, events.pop(at))
    assert any("were acknowledged" in loss for loss in cut_often(before, events, tmp_path, CUTS_TO_BE_FOUND_OUT))
