"""Whenever the power goes, every acknowledged commit is there; and without syncing this test would say so."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.log import appending
from tests.log.power import Acknowledged, Event, Sync, Write, cut_often, record
from tests.log.surviving import losses

COMMITS = 40
CUTS = 400
CUTS_TO_BE_FOUND_OUT = 100


def recorded(strace: str, place: Path, sync: str) -> tuple[bytes, list[Event]]:
    """A log of three commits, safely on the disk, and what happens to its file in the next ones."""
    folder = place / "log"
    appending.main(str(folder), "sync", 1, 3)
    before = (folder / "data.mdb").read_bytes()
    command = ["tests.log.appending", str(folder), sync, "4", str(COMMITS)]
    return before, record(strace, folder, command, place / "trace")


def judged(left: Path, acknowledged: Sequence[str]) -> list[str]:
    return losses(left, int(acknowledged[-1]) if acknowledged else 3)


def test_a_power_cut_at_any_moment_loses_nothing_that_was_acknowledged(strace: str, tmp_path: Path) -> None:
    before, events = recorded(strace, tmp_path, "sync")
    assert [event.said for event in events if isinstance(event, Acknowledged)] == [
        str(number) for number in range(4, 4 + COMMITS)
    ]
    assert sum(isinstance(event, Sync) for event in events) >= COMMITS
    assert sum(isinstance(event, Write) and event.through for event in events) >= COMMITS
    assert cut_often(before, events, tmp_path, CUTS, judged) == []


def test_without_syncing_a_power_cut_loses_acknowledged_commits(strace: str, tmp_path: Path) -> None:
    before, events = recorded(strace, tmp_path, "no sync")
    wrong = cut_often(before, events, tmp_path, CUTS_TO_BE_FOUND_OUT, judged)
    assert len(wrong) > CUTS_TO_BE_FOUND_OUT // 10
    assert any("were acknowledged" in loss or "does not open" in loss or "cannot be read" in loss for loss in wrong)


def test_a_log_that_spoke_before_it_synced_would_be_found_out(strace: str, tmp_path: Path) -> None:
    before, events = recorded(strace, tmp_path, "sync")
    for at, event in enumerate(events):
        if isinstance(event, Acknowledged):
            # Acknowledge two events earlier: before the meta page is written.
            events.insert(at - 2, events.pop(at))
    assert any(
        "were acknowledged" in loss for loss in cut_often(before, events, tmp_path, CUTS_TO_BE_FOUND_OUT, judged)
    )
