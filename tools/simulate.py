"""``crdt-pos simulate``: a week's worth of trouble in a few seconds, the same for the same seed, and a hunt for worse."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tools.simulate_large import run_all, sizes
from tools.simulation.large.plan import LOSS, LargePlan
from tools.simulation.plan import EVENTS, FAULTS, Plan

if TYPE_CHECKING:
    from tools.simulation.run import Verdict

SHRINKING_RUNS_MAX = 80
SEEDS_MAX = 2**31
STORES_MAX = 20
TILLS_MAX = 8
LIVE_MS = 60_000


@click.command()
@click.option("--seed", type=click.IntRange(0, SEEDS_MAX), help="Which run; a run is a function of this and the sizes.")
@click.option("--hunt", "hunt_minutes", type=click.FloatRange(0, min_open=True), help="New seeds for so many minutes.")
@click.option("--events", type=click.IntRange(0, 100_000), default=EVENTS, show_default=True, help="Acts and faults.")
@click.option(
    "--stores",
    callback=sizes,
    default="0",
    metavar="N[,N…]",
    help="0: as the seed has it, 3 to 5. Up to 20 without --sales.",
)
@click.option(
    "--tills", type=click.IntRange(0, 64), default=0, help="At most so many in a store; 0: 3. Up to 8 without --sales."
)
@click.option("--offices", type=click.IntRange(0, 3), default=0, help="0: as the seed has it, 1 or 2.")
@click.option("--without", multiple=True, type=click.Choice(FAULTS), help="A fault that does not happen.")
@click.option(
    "--sales", type=click.IntRange(1, 10_000), help="One day of a large retailer: so many sales of every till."
)
@click.option("--products", type=click.IntRange(0, 100_000), default=0, help="With --sales: products in the catalogue.")
@click.option(
    "--lines", type=click.IntRange(1, 50), default=2, show_default=True, help="With --sales: of a sale, on average."
)
@click.option("--live", is_flag=True, help="With --sales: tills publish every minute, not twice a day.")
@click.option(
    "--on-disk", type=click.IntRange(0, 64), default=0, help="With --sales: tills with a real log, which are timed."
)
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    help="With --sales: growth over several --stores, as SVG.",
)
@click.option(
    "--to",
    "page",
    type=click.Path(file_okay=False, path_type=Path),
    help="With --sales: keep the figures in this folder, as a page and a plot of all such runs.",
)
@click.option(
    "--loss",
    type=click.FloatRange(0, 0.5),
    default=LOSS,
    show_default=True,
    help="With --sales: the share of segments that are lost; each costs its stream a pause of 0.2 s or more.",
)
@click.option("--json", "as_json", is_flag=True, help="The verdict as JSON.")
@click.option("-v", "--verbose", is_flag=True, help="Say everything that happens.")
def simulate(
    seed: int | None,
    hunt_minutes: float | None,
    events: int,
    stores: Sequence[int],
    tills: int,
    offices: int,
    without: tuple[str, ...],
    sales: int | None,
    products: int,
    lines: int,
    live: bool,
    on_disk: int,
    plot: Path | None,
    page: Path | None,
    loss: float,
    as_json: bool,
    verbose: bool,
) -> None:
    """Run shops on a simulated network, with simulated disks, clocks and liars, and check the books by other means.

    With --sales: one day of as many stores and tills as you like, with loss, dying streams and half of the stores cut off for
    half an hour; how soon everyone has everything, and what it costs. Ten thousand replicas:

        crdt-pos simulate --stores 500 --tills 20 --sales 3

    Exit code 1: something was wrong.
    """
    if sales is not None:
        plan_of = partial(
            LargePlan,
            seed or 0,
            tills=tills or 3,
            sales=sales,
            products=products,
            lines=lines,
            loss=loss,
            checkpoint_ms=LIVE_MS if live else 0,
            on_disk=on_disk,
        )
        run_all([plan_of(stores=count or 3) for count in stores], as_json=as_json, plot=plot, page=page)
    if len(stores) > 1 or stores[0] > STORES_MAX or tills > TILLS_MAX:
        raise click.UsageError(f"More than {STORES_MAX} stores or {TILLS_MAX} tills: say how many --sales, too.")
    faults = frozenset(FAULTS) - frozenset(without)
    plan = Plan(seed or 0, events, stores[0], tills, offices, faults)
    if hunt_minutes is not None:
        _hunt(plan, hunt_minutes)
        return
    if seed is None:
        raise click.UsageError("Say which --seed, or --hunt for how many minutes.")
    from tools.simulation.hunt import attempt

    verdict, violations = attempt(plan, click.echo if verbose else lambda _: None)
    if verdict is None and verbose:
        from tools.simulation.run import run

        run(plan)  # once more, for the traceback
    if as_json:
        click.echo(json.dumps({"command": plan.command, "violations": violations, **_facts(verdict)}, indent=2))
    else:
        for line in _said(verdict, violations):
            click.echo(line)
    sys.exit(1 if violations else 0)


def _hunt(plan: Plan, minutes: float) -> None:
    import dataclasses

    from tools.simulation.hunt import attempt, shrink

    began_s, seeds, happened, virtual_s = time.monotonic(), 0, 0, 0.0
    until_s, next_s = began_s + minutes * 60, began_s
    seed = plan.seed
    while time.monotonic() < until_s:
        tried = dataclasses.replace(plan, seed=seed)
        verdict, violations = attempt(tried)
        seeds, seed = seeds + 1, seed + 1
        if verdict is not None:
            happened, virtual_s = happened + verdict.happened, virtual_s + verdict.virtual_ms / 1000
        if time.monotonic() >= next_s or violations:
            next_s = time.monotonic() + 10
            spent_s = time.monotonic() - began_s
            click.echo(
                f"{spent_s:6.0f} s  {seeds:,} seeds  {happened:,} events  {virtual_s / 3600:,.1f} h of virtual time  "
                f"seed {tried.seed}"
            )
        if violations:
            for text in violations[:5]:
                click.echo(f"  {text}")
            click.echo(f"  {tried.command}")
            click.echo("Shrinking …")
            smallest = shrink(tried, SHRINKING_RUNS_MAX, lambda smaller: click.echo(f"  {smaller.command}"))
            click.echo(f"The smallest that fails: {smallest.command}")
            sys.exit(1)
    click.echo(f"Nothing found: {seeds:,} seeds, {happened:,} events, {virtual_s / 3600:,.1f} h of virtual time.")


def _facts(verdict: Verdict | None) -> dict[str, object]:
    if verdict is None:
        return {}
    found = verdict.found
    return {
        "trace": verdict.trace,
        "events": verdict.happened,
        "virtual_s": verdict.virtual_ms / 1000,
        "survivors": found.survivors,
        "entries": found.entries,
        "receipts_given": found.given,
        "takings_minor": found.takings_minor,
        "receipts_lost": found.lost_receipts,
        "lost_minor": found.lost_minor,
        "proven_liars": found.forks,
    }


def _said(verdict: Verdict | None, violations: tuple[str, ...]) -> list[str]:
    lines = [f"WRONG: {text}" for text in violations]
    if verdict is None:
        return lines
    found = verdict.found
    equal = "" if violations else ", all equal"
    burnt = f"{found.lost_receipts} acts were lost before anyone else had them: {found.lost_minor / 100:,.2f}"
    return [
        *lines,
        f"{verdict.happened:,} events in {verdict.virtual_ms / 1000:,.0f} s of virtual time, trace {verdict.trace[:16]}",
        f"{found.given:,} receipts given; {found.survivors} honest survivors hold {found.entries:,} entries{equal}",
        f"takings by the survivors' days: {found.takings_minor / 100:,.2f}; {burnt}",
        f"who contradicts itself, and is proven to: {found.forks}",
    ]
