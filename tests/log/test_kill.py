"""A process that is killed at any moment leaves a log with every acknowledged commit, and no half of another."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.log import appending
from tests.log.surviving import committed, losses

ROOT = Path(__file__).parents[2]
KILLS = 200
KILLS_PER_LOG = 10


@pytest.fixture
def starter() -> Iterator[subprocess.Popen[bytes]]:
    """A process that starts those that are killed."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.log.appending"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        bufsize=0,
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def test_every_acknowledged_commit_survives_kills_at_random_moments(
    starter: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    assert starter.stdin is not None
    assert starter.stdout is not None
    dice = random.Random("kills")
    acknowledged = 0
    for kill in range(KILLS):
        # A new log now and then keeps the reading of all that is there short.
        folder = tmp_path / str(kill // KILLS_PER_LOG)
        if kill % KILLS_PER_LOG == 0:
            acknowledged = 0
        starter.stdin.write(f"{folder} {acknowledged + 1}\n".encode())
        victim = int(starter.stdout.readline())
        for _ in range(dice.randint(1, 8)):
            acknowledged = int(starter.stdout.readline())
        # A commit takes some hundred microseconds: any moment of the next ones.
        killed_at = time.perf_counter() + dice.random() * 0.002
        while time.perf_counter() < killed_at:
            pass
        os.kill(victim, signal.SIGKILL)
        while (line := starter.stdout.readline()) != b"ended\n":
            acknowledged = int(line)
        assert losses(folder, acknowledged) == []
        held = committed(folder)
        assert held - acknowledged in (0, 1)
        acknowledged = held


def test_the_judge_sees_a_missing_commit(tmp_path: Path) -> None:
    appending.main(str(tmp_path / "log"), "sync", 1, 3)
    assert losses(tmp_path / "log", 3) == []
    assert losses(tmp_path / "log", 4) == ["4 commits were acknowledged, 3 are here"]
