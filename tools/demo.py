"""``crdt-pos demo``: a week of real baskets at many tills, and books that equal the data to the cent."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, cast

import click
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from crdt_pos.books import Query
from crdt_pos.cli import NAME, Refused
from peers.permissions import Role
from peers.roster import StoreRecord
from tools import baskets as data
from tools import selling, truth
from tools.baskets import DataMissing
from tools.reckoning import Result, Traffic, read_books, reckon
from tools.selling import Ledger, Place
from tools.town import Town, TownError, cores, loopback_settings

PROCESSES_MAX: Final = 16
START_TIMEOUT_S: Final = 60.0
START_TIMEOUT_PER_TILL_S: Final = 8.0
WIDTH: Final = 100
"""Columns where the screen is not a terminal."""
SETTLE_TIMEOUT_S: Final = 120.0
MARK: Final = "crdt-pos-demo"
"""A file that says that a folder is a demo's, and may be replaced by the next."""


@click.command()
@click.option("--from", "first", type=click.DateTime(["%Y-%m-%d"]), default="2017-12-18", show_default="2017-12-18")
@click.option("--to", "last", type=click.DateTime(["%Y-%m-%d"]), default="2017-12-24", show_default="2017-12-24")
@click.option(
    "--stores", "count", type=click.IntRange(1, 457), default=4, show_default=True, help="The busiest stores."
)
@click.option("--tills", type=click.IntRange(1, 40), default=2, show_default=True, help="Tills in each store.")
@click.option("--at", "at", type=click.Path(path_type=Path), default=Path("demo"), show_default=True, help="Folder.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the figures to this file, too.")
@click.option("--picture", type=click.Path(path_type=Path), help="Save the screen as a picture (SVG), too.")
@click.option(
    "--processes",
    type=click.IntRange(1),
    default=PROCESSES_MAX,
    show_default=True,
    help="Most processes for tills; with more tills than that, several share one.",
)
def demo(
    first: datetime.datetime,
    last: datetime.datetime,
    count: int,
    tills: int,
    at: Path,
    json_file: Path | None,
    picture: Path | None,
    processes: int,
) -> None:
    """Sell a week of real baskets at many tills and check the books to the cent.

    Founds a company, starts a head office and the tills as processes of their own, lets them find each other, sells every
    basket of the busiest stores of a real grocery chain in order of time, and compares every replica's books with the data.
    The folder is kept, to look into. Exit code 1 if any figure is off.
    """
    console = Console(highlight=False, record=picture is not None)
    if not console.is_terminal:
        console.width = WIDTH
    try:
        result, facts = _run(console, (first.date(), last.date()), count, tills, at, processes)
    except (DataMissing, TownError) as error:
        raise Refused(str(error)) from error
    _show(console, result, facts, at)
    if picture is not None:
        console.save_svg(str(picture), title="make demo")
    if json_file is not None:
        json_file.write_text(json.dumps(asdict(result) | facts | {"right": result.right}, indent=2, default=str) + "\n")
    if not result.right:
        raise SystemExit(1)


def _run(
    console: Console, period: tuple[datetime.date, datetime.date], count: int, tills: int, at: Path, processes: int
) -> tuple[Result, dict[str, Any]]:
    began = time.monotonic()
    if period[1] < period[0]:
        raise Refused(f"The demo ends before it begins: --from {period[0]} is after --to {period[1]}.")
    if period[0] < data.YEAR_FROM or period[1] > data.YEAR_TO:
        raise Refused(f"The data has days from {data.YEAR_FROM} to {data.YEAR_TO}: choose --from and --to among them.")
    stores = data.busiest_stores(*period, count)
    if not stores:
        raise Refused(f"There are no baskets from {period[0]} to {period[1]}.")
    baskets = data.read_baskets(*period, stores)
    due = truth.compute(*period, stores)
    products = data.read_products({line.product for basket in baskets for line in basket.lines})
    _clear(at)
    console.print(
        f"[bold]crdt-pos demo[/bold]: {len(baskets):,} baskets of {len(stores)} stores, {period[0]} to {period[1]}, at "
        f"{tills} tills each, on {cores()} cores.\n"
        "The baskets are real: a panel of 2,469 households of a grocery chain, so a busy store shows some 15 a day, not all.\n"
        "What they lack is derived by a rule, and is not data:"
    )
    rules = Table.grid(padding=(0, 2))
    for name, rule in data.DERIVED.items():
        rules.add_row(f"  [bold]{name}[/bold]", rule)
    console.print(rules)
    console.print()
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=not console.is_terminal) as progress:
        step = progress.add_task("founding the company and enrolling its tills", total=None)
        records = [
            StoreRecord(store, name=f"Store {store}", legal_entity="Journey Grocers", currency=data.CURRENCY)
            for store in sorted(stores)
        ]
        town = Town.found(at, "Journey Grocers", records, tills, loopback_settings())
        changes = list(selling.catalogue_changes(products, baskets))
        catalogue_bytes = town.write_catalogue(changes)
        progress.update(step, total=1, completed=1)
        places = sorted(town.tills)
        count_running = 1 + min(processes, len(places))
        step = progress.add_task(
            f"starting {count_running} processes: one head office, {len(places)} tills", total=len(places)
        )
        with town.running(processes):
            _wait_until_ready(town, places, due, lambda ready: progress.update(step, completed=ready))
            before = {place: _traffic(town, place) for place in places}
            ready_s = time.monotonic() - began
            ledger = Ledger()
            step = progress.add_task("selling", total=len(baskets))
            sold_from = time.monotonic()
            days = selling.spread(baskets, tills)
            for offset in range((period[1] - period[0]).days + 1):
                date = period[0] + datetime.timedelta(days=offset)
                progress.update(step, description=f"{date:%A %d %B}: open, replenish, sell, close")
                day = days.get(date, [])
                selling.open_day(town, places, date, day, ledger)
                selling.sell_day(town, day, ledger, lambda: progress.advance(step))
                selling.close_day(town, places)
            selling_s = time.monotonic() - sold_from
            step = progress.add_task("waiting until head office and all tills know everything", total=None)
            settled_from = time.monotonic()
            settled = _settle(town, period, ledger)
            settle_s = time.monotonic() - settled_from
            progress.update(step, total=1, completed=1)
            traffic = {place: _traffic(town, place).minus(before[place]) for place in places}
            peak_bytes = town.peak_bytes()
        step = progress.add_task("asking every replica for its books", total=None)
        result = reckon(town, due, ledger, period, sorted(stores), traffic)
        progress.update(step, total=1, completed=1)
    facts: dict[str, Any] = {
        "from": period[0],
        "to": period[1],
        "products": len(products),
        "catalogue_bytes": catalogue_bytes,
        "start_bytes_per_till": sum(one.received_bytes + one.sent_bytes for one in before.values()) // len(before),
        "processes": count_running,
        "replicas": 1 + len(places),
        "settled": settled,
        "ready_s": round(ready_s, 1),
        "selling_s": round(selling_s, 1),
        "settle_s": round(settle_s, 1),
        "total_s": round(time.monotonic() - began, 1),
        "peak_mb": peak_bytes // 1_000_000,
        "cores": cores(),
    }
    return result, facts


def _clear(at: Path) -> None:
    if at.exists() and any(at.iterdir()) and not (at / MARK).exists():
        raise Refused(f"{at} holds something else: choose another folder with --at.")
    shutil.rmtree(at, ignore_errors=True)
    at.mkdir(parents=True)
    (at / MARK).write_text("Made by crdt-pos demo; the next demo replaces this folder.\n")


def _wait_until_ready(town: Town, places: list[Place], due: truth.Truth, report: Callable[[int], None]) -> None:
    product = min(number for _, number in due.quantity)

    def ready(place: Place) -> bool:
        folder = town.tills[place]
        if not town.is_up(folder):
            return False
        sessions = cast("list[dict[str, Any]]", town.client(folder).call("connections")["sessions"])
        return any(session["role"] == Role.OFFICE and session["caught_up"] for session in sessions)

    waiting = set(places)

    def all_ready() -> bool:
        waiting.difference_update([place for place in waiting if ready(place)])
        report(len(places) - len(waiting))
        return not waiting

    timeout_s = START_TIMEOUT_S + START_TIMEOUT_PER_TILL_S * len(places)
    town.wait(all_ready, "Finding the head office and reading its catalogue", timeout_s)
    for place in places:
        town.client(town.tills[place]).call("product", product=product)


def _traffic(town: Town, place: Place) -> Traffic:
    sessions = cast("list[dict[str, Any]]", town.client(town.tills[place]).call("connections")["sessions"])
    wan = [session for session in sessions if session["role"] == Role.OFFICE]
    return Traffic(
        sum(session["bytes_sent"] for session in wan),
        sum(session["bytes_received"] for session in wan),
        sum(session["messages_sent"] + session["messages_received"] for session in wan),
    )


def _settle(town: Town, period: tuple[datetime.date, datetime.date], ledger: Ledger) -> bool:
    """Wait until the head office waits for nobody and has heard of every redemption; and until nobody's sale is alone."""

    def office_knows() -> bool:
        found = read_books(town.office, Query(*period))
        owed = next((one for one in found.owed if one.programme == "points"), None)
        redeemed = owed.redeemed if owed else 0
        return not any(account.waiting for account in found.accounts) and redeemed == ledger.redeemed

    def neighbours_know() -> bool:
        alone = {store for store, _ in town.tills if (store, 2) not in town.tills}
        return all(
            place[0] in alone or town.client(folder).call("status")["safe"]["waiting"] == 0
            for place, folder in town.tills.items()
        )

    try:
        town.wait(lambda: office_knows() and neighbours_know(), "Settling", SETTLE_TIMEOUT_S)
    except TownError as error:
        if "took longer" not in str(error):
            raise
        return False
    return True


def _show(console: Console, result: Result, facts: dict[str, Any], at: Path) -> None:
    title = f"Every book against the data, {facts['from']} to {facts['to']}, in {data.CURRENCY}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in (
        "store",
        "baskets",
        "data",
        "head office",
        "tills",
        "stock\ndrift",
        "WAN bytes\n(messages)",
        "to the\ncent",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    for row in result.stores:
        tills = sorted(set(row.tills_minor.values()))
        table.add_row(
            str(row.store),
            f"{row.baskets:,}",
            _money(row.data_minor),
            _money(row.office_minor),
            " ≠ ".join(_money(minor) for minor in tills) + (f" ×{len(row.tills_minor)}" if len(tills) == 1 else ""),
            str(row.stock_drift),
            f"{row.wan_bytes_per_till_day:,} ({row.wan_messages_per_till_day:,})",
            _verdict(row.right) if row.final else "[red]✗ waiting[/red]",
        )
    table.add_section()
    table.add_row(
        "all",
        f"{sum(row.baskets for row in result.stores):,}",
        _money(sum(row.data_minor for row in result.stores)),
        _money(sum(row.office_minor for row in result.stores)),
        "",
        str(sum(row.stock_drift for row in result.stores)),
        "",
        _verdict(result.right),
    )
    console.print(table)
    console.print(
        "WAN: between one till and the head office, per day, TLS records and acknowledgements of both directions counted."
    )
    console.print(
        f"Points earned {result.points_earned:,} (data {result.points_earned_data:,}), redeemed {result.points_redeemed:,} "
        f"(receipts {result.points_redeemed_tills:,}), owed {result.points_owed:,}; the equation of the books "
        f"{'holds' if result.balanced else 'FAILS'}.\n"
        f"Sales lost: {len(result.lost)}. {facts['processes']} processes, peak {facts['peak_mb']:,} MB together; ready after "
        f"{facts['ready_s']} s, {result.sold:,} sales in {facts['selling_s']} s, settled in {facts['settle_s']} s, "
        f"{facts['total_s']} s in all. The catalogue ({facts['products']:,} products, {facts['catalogue_bytes']:,} "
        f"bytes) came to each till once, before."
    )
    for reason in result.lost[:5]:
        console.print(f"  lost: {reason}")
    store, command = result.stores[0].store, _command()
    console.print(
        "\nNow look for yourself:\n"
        f"  {command} books --at {at}/office --from {facts['from']} --to {facts['to']}\n"
        f"  {command} inspect --at {at}/till-{store}-1 explain day/{store}/{facts['to']}\n"
        f"  {command} till run --at {at}/till-{store}-1 >/dev/null & {command} sell --at {at}/till-{store}-1"
    )


def _command() -> str:
    """How this command can be called again from here: it may stand in a virtual environment that is not on the path."""
    if shutil.which(NAME) or Path(sys.argv[0]).name != NAME:
        return NAME
    return os.path.relpath(sys.argv[0])


def _money(minor: int) -> str:
    return f"{minor // 100:,}.{minor % 100:02}"


def _verdict(right: bool) -> str:
    return "[green]✓[/green]" if right else "[red]✗ OFF[/red]"
