"""Plots: what is drawn follows from the figures alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tools.plotting import lines


def test_the_same_figures_give_the_same_bytes_and_the_labels_are_text(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    drawn: list[bytes] = []
    for name in ("one.svg", "two.svg"):
        series = {"measured": [(200, 21_000), (10_000, 20_800)], "target": [(200, 20_000), (10_000, 20_000)]}
        lines(tmp_path / name, "Rate", "tills", "messages a second", series, log_x=True, note="2 cores")
        drawn.append((tmp_path / name).read_bytes())
    assert drawn[0] == drawn[1]
    text = drawn[0].decode()
    assert all(f">{word}<" in text for word in ("Rate", "messages a second", "target", "10,000", "2 cores"))


def test_without_matplotlib_one_sentence_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "import click\nfrom tools.plotting import require\nclick.command()(require)()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 2
    assert "pip install 'crdt-pos[bench]'" in ended.stderr
