"""What large runs of ``crdt-pos simulate`` measured: a page and a plot of their figures, which are kept beside them.

A run of ten thousand replicas takes too long for ``make bench``, so its figures stay in a file of their own: a run replaces
those of the same command and leaves the others.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tools.bench_report import head, shown

if TYPE_CHECKING:
    from tools.simulation.large.run import LargeVerdict

KEPT: Final = "simulate.json"
PLOT: Final = "simulate.svg"
PAGE: Final = "simulate.md"
TITLE: Final = "One day of a retailer, by its size"
Row = dict[str, Any]


def told(verdict: LargeVerdict) -> Row:
    """A run's figures, as JSON has them."""
    return {
        "command": verdict.plan.command,
        "revision": _revision(),
        "violations": list(verdict.violations),
        "size": verdict.size,
        "spread": verdict.spread,
        "targets": verdict.targets,
    }


def keep(folder: Path, runs: Sequence[Row]) -> None:
    """Write the page, the plot and the figures, with those that are there of other runs."""
    path = folder / KEPT
    kept: list[Row] = json.loads(path.read_text()) if path.exists() else []
    by_command = {run["command"]: run for run in (*kept, *runs)}
    runs = sorted(by_command.values(), key=lambda run: (not _is_growth(run), run["size"]["replicas"]))
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(runs, indent=1) + "\n")
    growth = [run for run in runs if _is_growth(run)]
    if growth:
        draw(growth, folder / PLOT)
    (folder / PAGE).write_text(_page(runs, growth))


def draw(runs: Sequence[Row], path: Path) -> None:
    """Growth over runs of several sizes, as SVG."""
    from tools.plotting import lines
    from tools.simulation.large.spreading import ideal_rounds

    def points(name: str, share: float = 1.0) -> list[tuple[float, float]]:
        return [(run["size"]["replicas"], run["size"][name] * share) for run in runs]

    prices = [(run["size"]["replicas"], price) for run in runs if (price := _price(run))]
    lines(
        path,
        TITLE,
        "replicas",
        "each replica; rounds; seconds",
        {
            "messages of each replica": points("messages_each"),
            "kB of each replica": points("bytes_each", 1 / 1000),
            "rounds until all have a price": [(count, price["rounds_max"]) for count, price in prices],
            "log₂ n": [(count, ideal_rounds(count)) for count, _ in prices],
            "seconds until all have it": [(count, price["seconds"]) for count, price in prices],
            "log₂ n exchanges, seconds": [
                (count, ideal_rounds(count) * price["exchange_s"]) for count, price in prices
            ],
        },
        log_x=True,
        log_y=True,
        note="loss, reordering, dying streams, half of the stores cut off for half an hour",
    )


def _page(runs: Sequence[Row], growth: Sequence[Row]) -> str:
    lines = [
        head(
            "One day of a retailer",
            "Written by `crdt-pos simulate --sales … --to docs`: every replica runs the code that runs in shops, on a simulated",
            "network with simulated disks; time is virtual, but for the seconds of CPU and of sales.",
        )
    ]
    if growth:
        lines += [f"![{TITLE}]({PLOT})", "", *shown("growth", [_grown(run) for run in growth])]
    for run in runs:
        lines += [f"## {run['size']['replicas']:,} replicas", "", f"`{run['command']}`{_of_revision(run)}", ""]
        lines += [f"**WRONG: {text}**\n" for text in run["violations"]]
        for name in ("size", "spread", "targets"):
            lines += shown(name, run[name])
    return "\n".join(lines)


def _revision() -> str:
    """Of the repository, since runs that stand on one page may be of different ones; empty outside of one."""
    git = shutil.which("git")
    if git is None:
        return ""
    asked = [git, "-C", str(Path(__file__).parent), "rev-parse", "--short=7", "HEAD"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()


def _of_revision(run: Row) -> str:
    return f", at revision {run['revision']}" if run.get("revision") else ""


def _grown(run: Row) -> Row:
    size, price = run["size"], _price(run) or {}
    columns = ("replicas", "receipts", "messages_each", "bytes_each", "cpu_ms_each", "wall_s", "peak_mb")
    of_price = ("rounds_max", "share_of_ideal", "seconds", "seconds_share_of_ideal")
    return {name: size[name] for name in columns} | {f"price: {name}": price.get(name, "") for name in of_price}


def _price(run: Row) -> Row | None:
    """How a price spread that was changed while the network was whole."""
    rows = (row for row in run["spread"] if row["kind"] == "catalogue" and row["network"] == "whole")
    return next(rows, None)


def _is_growth(run: Row) -> bool:
    """Whether it is one of a row of sizes, and no hypermarket."""
    return "--products" not in run["command"]
