"""``crdt-pos demo``: a week of real baskets at many tills, everything that can happen to shops, and books to the cent."""

from __future__ import annotations

import contextlib
import datetime
import json
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from crdt_pos.books import Query
from crdt_pos.cli import Refused
from crdt_pos.folder import WAN
from crdt_pos.local import LocalRefused
from peers.roster import StoreRecord
from tools import baskets as data
from tools import selling, truth
from tools.baskets import Basket, DataMissing, ProductRow
from tools.cabled import Cabled
from tools.demo_screen import show_result, show_rules
from tools.live import Live
from tools.live_shops import LiveShops
from tools.reckoning import Result, read_books, reckon, same_entries
from tools.selling import Ledger, Place
from tools.town import TookTooLong, Town, TownError, cores, loopback_settings
from tools.traffic import wan
from tools.week import DAYS, EVENING, MORNING, NOON, STORES, TILLS, Seen, Week
from tools.week_steps import IN_THE_END, SCHEDULE, UNTIDY

COMPANY: Final = "Journey Grocers"
PROCESSES_MAX: Final = 16
START_TIMEOUT_S: Final = 60.0
START_TIMEOUT_PER_TILL_S: Final = 8.0
WIDTH: Final = 100
"""Columns where the screen is not a terminal."""
SETTLE_TIMEOUT_S: Final = 120.0
MARK: Final = "crdt-pos-demo"
"""A file that says that a folder is a demo's, and may be replaced by the next."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the demo is to show."""

    first: datetime.date
    last: datetime.date
    stores: int
    tills: int
    at: Path
    processes: int
    wan: str
    calm: bool

    @property
    def period(self) -> tuple[datetime.date, datetime.date]:
        return self.first, self.last

    @property
    def dates(self) -> list[datetime.date]:
        return [self.first + datetime.timedelta(days=offset) for offset in range((self.last - self.first).days + 1)]

    @property
    def breaks(self) -> bool:
        """Whether everything breaks: that takes a week and enough shops."""
        return not self.calm and len(self.dates) == DAYS and self.stores >= STORES and self.tills >= TILLS


@click.command()
@click.option("--from", "first", type=click.DateTime(["%Y-%m-%d"]), default="2017-12-18", show_default="2017-12-18")
@click.option("--to", "last", type=click.DateTime(["%Y-%m-%d"]), default="2017-12-24", show_default="2017-12-24")
@click.option(
    "--stores", "count", type=click.IntRange(1, 457), default=STORES, show_default=True, help="The busiest stores."
)
@click.option("--tills", type=click.IntRange(1, 40), default=TILLS, show_default=True, help="Tills in each store.")
@click.option(
    "--calm",
    is_flag=True,
    help="Let nothing break. Also where there are less than seven days, four stores, or two tills in each.",
)
@click.option(
    "--live", "by_hand", is_flag=True, help="A map of three stores, and keys to sell, cut, kill, burn and recover."
)
@click.option("--wan", type=click.Choice(WAN), default="live", show_default=True, help="When tills tell their totals.")
@click.option("--at", "at", type=click.Path(path_type=Path), default=Path("demo"), show_default=True, help="Folder.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the figures to this file, too.")
@click.option("--picture", type=click.Path(path_type=Path), help="Save the screen as a picture (SVG), too.")
@click.option(
    "--processes",
    type=click.IntRange(1),
    default=PROCESSES_MAX,
    show_default=True,
    help="Most processes for tills where nothing breaks; with more tills than that, several share one.",
)
def demo(
    first: datetime.datetime,
    last: datetime.datetime,
    count: int,
    tills: int,
    calm: bool,
    by_hand: bool,
    wan: str,
    at: Path,
    json_file: Path | None,
    picture: Path | None,
    processes: int,
) -> None:
    """Sell a week of real baskets at many tills while everything breaks, and check the books to the cent.

    Founds a company, starts a head office and the tills as processes of their own, and sells every basket of the busiest
    stores of a real grocery chain in order of time. Meanwhile lines are cut, tills and head office are killed, a store burns
    and a till lies. In the end every survivor's books are compared with the data. The folder is kept, to look into. Exit
    code 1 if any figure is off.
    """
    if by_hand:
        _by_hand(at)
        return
    console = Console(highlight=False, record=picture is not None)
    if not console.is_terminal:
        console.width = WIDTH
    try:
        result, seen, facts = _run(console, _Asked(first.date(), last.date(), count, tills, at, processes, wan, calm))
    except (DataMissing, TownError) as error:
        raise Refused(str(error)) from error
    show_result(console, result, seen, facts)
    right = result.right and all(one.right for one in seen)
    if picture is not None:
        console.save_svg(str(picture), title="make demo")
    if json_file is not None:
        figures = asdict(result) | facts | {"week": [asdict(one) for one in seen], "right": right}
        json_file.write_text(json.dumps(figures, indent=2, default=str) + "\n")
    if not right:
        raise SystemExit(1)


def _by_hand(at: Path) -> None:
    if not sys.stdout.isatty():
        raise Refused("The map needs a terminal: without one, crdt-pos demo shows what can happen by itself.")
    _clear(at)
    shops = LiveShops(at)
    try:
        Live(shops).run()
    except TownError as error:
        raise Refused(str(error)) from error
    finally:
        shops.close()


def _run(console: Console, asked: _Asked) -> tuple[Result, list[Seen], dict[str, Any]]:
    began = time.monotonic()
    period = asked.period
    if period[1] < period[0]:
        raise Refused(f"The demo ends before it begins: --from {period[0]} is after --to {period[1]}.")
    if period[0] < data.YEAR_FROM or period[1] > data.YEAR_TO:
        raise Refused(f"The data has days from {data.YEAR_FROM} to {data.YEAR_TO}: choose --from and --to among them.")
    stores = data.busiest_stores(*period, asked.stores)
    if not stores:
        raise Refused(f"There are no baskets from {period[0]} to {period[1]}.")
    baskets = data.read_baskets(*period, stores)
    due = truth.compute(*period, stores)
    products = data.read_products({line.product for basket in baskets for line in basket.lines})
    _clear(asked.at)
    show_rules(console, baskets=len(baskets), stores=len(stores), period=period, tills=asked.tills)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with contextlib.ExitStack() as stack:
        progress = stack.enter_context(Progress(*columns, console=console, transient=not console.is_terminal))
        step = progress.add_task("founding the company and enrolling its tills", total=None)
        town, cabled = _found(asked, stores)
        catalogue_bytes = town.write_catalogue(list(selling.catalogue_changes(products, baskets)))
        progress.update(step, total=1, completed=1)
        places = sorted(town.tills)
        count_running = len(cabled.folders) if cabled else 1 + min(asked.processes, len(places))
        step = progress.add_task(f"starting {count_running} processes, {len(places)} tills in them", total=len(places))
        if cabled:
            stack.enter_context(cabled)
            cabled.start(*cabled.folders)
        else:
            stack.enter_context(town.running(asked.processes))
        sold_products = sorted({number for _, number in due.quantity})
        _wait_until_ready(town, places, sold_products, lambda ready: progress.update(step, completed=ready))
        before = wan(town, cabled)
        ready_s = time.monotonic() - began
        ledger = Ledger()
        week = None
        if cabled:
            milk = _milk(products, baskets)
            week = Week(cabled, ledger, due, stores, asked.dates, milk, progress.console.print)
        step = progress.add_task("selling", total=len(baskets))
        sold_from = time.monotonic()
        days = selling.spread(baskets, asked.tills)
        for date in asked.dates:
            progress.update(step, description=f"{date:%A %d %B}: open, replenish, sell, close")
            _live(town, week, date, days.get(date, []), ledger, lambda: progress.advance(step))
        selling_s = time.monotonic() - sold_from
        step = progress.add_task("waiting until head office and all tills know everything", total=None)
        settled_from = time.monotonic()
        settled = _settle(town, period, ledger)
        if week:
            for look_back in IN_THE_END:
                look_back(week)
        settle_s = time.monotonic() - settled_from
        progress.update(step, total=1, completed=1)
        after = wan(town, cabled)
        traffic = {place: after[place].minus(before[place]) for place in places}
        peak_bytes = town.peak_bytes()
        step = progress.add_task("asking every replica for its books", total=None)
        result = reckon(town, due, ledger, period, sorted(stores), traffic)
        progress.update(step, total=1, completed=1)
    facts: dict[str, Any] = {
        "from": period[0],
        "to": period[1],
        "products": len(products),
        "catalogue_bytes": catalogue_bytes,
        "start_bytes_per_till": sum(one.bytes for one in before.values()) // len(before),
        "processes": count_running,
        "replicas": 1 + len(places),
        "wan": asked.wan,
        "settled": settled,
        "ready_s": round(ready_s, 1),
        "selling_s": round(selling_s, 1),
        "settle_s": round(settle_s, 1),
        "total_s": round(time.monotonic() - began, 1),
        "peak_mb": peak_bytes // 1_000_000,
        "cores": cores(),
        "office_at": town.office.path,
        "till_at": town.tills[places[0]].path,
    }
    return result, list(week.seen.values()) if week else [], facts


def _found(asked: _Asked, stores: Sequence[int]) -> tuple[Town, Cabled | None]:
    records = [
        StoreRecord(store, name=f"Store {store}", legal_entity=COMPANY, currency=data.CURRENCY)
        for store in sorted(stores)
    ]
    if asked.breaks:
        cabled = Cabled.found(asked.at, COMPANY, records, asked.tills, asked.wan, posted=[stores[UNTIDY]])
        return cabled.town, cabled
    return Town.found(asked.at, COMPANY, records, asked.tills, loopback_settings(asked.wan)), None


def _milk(products: Sequence[ProductRow], baskets: Sequence[Basket]) -> ProductRow:
    """What is bought beside the data: milk, if anybody bought any."""
    priced = {line.product for basket in baskets for line in basket.lines if line.quantity and not line.exponent}
    sold = [row for row in products if row.product in priced]
    return next((row for row in sold if "MILK" in row.name.upper()), sold[0])


def _live(
    town: Town,
    week: Week | None,
    date: datetime.date,
    day: Sequence[tuple[Place, Basket]],
    ledger: Ledger,
    sold: Callable[[], None],
) -> None:
    """One day at every till."""
    noon = len(day) // 2

    def happens(hour: str) -> None:
        if week:
            week.at(date, hour, SCHEDULE)

    happens(MORNING)
    selling.open_day(town, sorted(town.tills), date, day, ledger)
    selling.sell_day(town, day[:noon], ledger, sold)
    happens(NOON)
    selling.sell_day(town, day[noon:], ledger, sold)
    selling.close_day(town, sorted(town.tills))
    happens(EVENING)


def _clear(at: Path) -> None:
    if at.exists() and any(at.iterdir()) and not (at / MARK).exists():
        raise Refused(f"{at} holds something else: choose another folder with --at.")
    shutil.rmtree(at, ignore_errors=True)
    at.mkdir(parents=True)
    (at / MARK).write_text("Made by crdt-pos demo; the next demo replaces this folder.\n")


def _wait_until_ready(
    town: Town, places: Sequence[Place], products: Sequence[int], report: Callable[[int], None]
) -> None:
    """Wait until every till has found somebody who gave it the catalogue."""

    def ready(place: Place) -> bool:
        if not town.is_up(town.tills[place]):
            return False
        client = town.client(town.tills[place])
        try:
            for product in products:
                client.call("product", product=product)
        except LocalRefused:
            return False
        return True

    waiting = set(places)

    def all_ready() -> bool:
        waiting.difference_update([place for place in waiting if ready(place)])
        report(len(places) - len(waiting))
        return not waiting

    timeout_s = START_TIMEOUT_S + START_TIMEOUT_PER_TILL_S * len(places)
    town.wait(all_ready, "Finding the head office and reading its catalogue", timeout_s)


def _settle(town: Town, period: tuple[datetime.date, datetime.date], ledger: Ledger) -> bool:
    """Wait until the head office waits for nobody and has heard of every redemption; and until nobody's sale is alone."""

    def office_knows() -> bool:
        found = read_books(town.office, Query(*period))
        owed = next((one for one in found.owed if one.programme == data.POINTS_PROGRAMME), None)
        redeemed = owed.redeemed if owed else 0
        return not any(account.waiting for account in found.accounts) and redeemed == ledger.redeemed

    def neighbours_know() -> bool:
        alone = {store for store, _ in town.tills if (store, 2) not in town.tills}
        return all(
            place[0] in alone or town.client(folder).call("status")["safe"]["waiting"] == 0
            for place, folder in town.tills.items()
        )

    def all_hold_the_same() -> bool:
        stores = {store for store, _ in town.tills}
        own = {store: [folder for place, folder in town.tills.items() if place[0] == store] for store in stores}
        return all(same_entries([town.office, *folders], store) for store, folders in own.items())

    try:
        town.wait(lambda: office_knows() and neighbours_know() and all_hold_the_same(), "Settling", SETTLE_TIMEOUT_S)
    except TookTooLong:
        return False
    return True
