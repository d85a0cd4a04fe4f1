"""The large part of ``crdt-pos simulate``: one day of a retailer of any size, what it cost and how far from ideal it was."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from tools.simulation.large.plan import LargePlan
    from tools.simulation.large.run import LargeVerdict

STORES_MAX: Final = 10_000
"""Stores of one run."""


def sizes(_ctx: click.Context, _param: click.Parameter, value: str) -> tuple[int, ...]:
    """``500``, or ``5,15,50`` for one run after the other."""
    words = [word.strip() for word in value.split(",")]
    if not all(word.isascii() and word.isdigit() and int(word) <= STORES_MAX for word in words):
        raise click.BadParameter(
            f"{value} is no number of stores up to {STORES_MAX:,}, nor several with commas between."
        )
    return tuple(map(int, words))


def run_all(plans: Sequence[LargePlan], *, as_json: bool, plot: Path | None, page: Path | None) -> None:
    """Run one day after the other, smallest first, and show what came of them. ``page``: the folder of the page that their
    figures are kept on. Ends the process: 1 if anything was wrong."""
    from tools.simulate_report import draw, keep, told
    from tools.simulation.large.run import run_large

    if plot is not None or page is not None:
        from tools.plotting import require

        require()
    verdicts: list[LargeVerdict] = []
    for plan in sorted(plans, key=lambda one: one.replicas):
        click.echo(f"{plan.replicas:,} replicas", err=True)
        with tempfile.TemporaryDirectory() as folder:
            verdicts.append(run_large(plan, lambda text: click.echo(f"  {text}", err=True), Path(folder)))
        if page is not None:  # after each, so that whoever stops it keeps what is done
            keep(page, [told(verdicts[-1])])
    _say(verdicts, as_json=as_json)
    if plot is not None:
        draw([told(verdict) for verdict in verdicts], plot)
    sys.exit(1 if any(verdict.violations for verdict in verdicts) else 0)


def _say(verdicts: Sequence[LargeVerdict], *, as_json: bool) -> None:
    from tools.simulate_report import told

    if as_json:
        click.echo(json.dumps([told(verdict) for verdict in verdicts], indent=2))
        return
    for verdict in verdicts:
        for text in verdict.violations:
            click.echo(f"WRONG: {text}")
        click.echo(verdict.plan.command)
        _table(["figure", "value"], list(verdict.size.items()))
        for rows in (verdict.spread, verdict.targets):
            if rows:
                _table(list(rows[0]), [tuple(row.values()) for row in rows])


def _table(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    def said(value: Any) -> str:
        return f"{value:,}" if isinstance(value, int | float) else str(value)

    cells = [list(headings), *([said(value) for value in row] for row in rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(headings))]
    for row in cells:
        click.echo("  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
    click.echo()
