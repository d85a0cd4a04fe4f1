"""``crdt-pos bench``: sizes and speeds on this machine, of the code that runs in shops.

Speeds are given as ratios, too, against a yardstick that is measured in the same run on the same disk: the raw write and
fdatasync of the same bytes, and a SQLite commit. Machines differ; ratios differ less.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table

from crdt_pos.day import Day, Flow, Goods, Numbers, TaxTotals
from crdt_pos.identity import Identity, Now
from crdt_pos.money import Currency
from crdt_pos.products import Component, Price, Product, ProductTable
from crdt_pos.receipt import Series, Tender
from crdt_pos.requests import LineRequest, SaleRequest, StockLine
from crdt_pos.schema import DAY, SCHEMA
from crdt_pos.terms import Terms
from crdt_pos.till import Till
from gossip import patch
from gossip.document import Document, FeedType, ScopeClass
from gossip.entry import Entry, FeedId, sign
from gossip.log_memory import MemoryLog
from merge_rules.counter_covers import CounterCovers, Covers
from peers.keys import SecretKey, author_of
from tools import (
    bench_apart,
    bench_heal,
    bench_hostile,
    bench_join,
    bench_lan,
    bench_report,
    bench_return,
    bench_sale,
    bench_scrub,
    bench_sync,
    bench_till,
    fleet_figures,
)
from tools.baskets import DataMissing
from tools.bytecode import keep_bytecode
from tools.town import TownError, cores

COMPANY: Final = bytes(16)
REPEATS: Final = 3
NOON_MS: Final = 1_795_176_000_000
DATE: Final = 20_777
Row = dict[str, Any]


_JSON: Final = click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="Write the figures to this file, too."
)


@click.group(invoke_without_command=True)
@_JSON
@click.pass_context
def bench(context: click.Context, json_file: Path | None) -> None:
    """Measure speeds and sizes on this machine: without a command sizes."""
    keep_bytecode()
    if context.invoked_subcommand is None:
        _show({"sizes": sizes}, json_file)


@bench.command("all")
@click.option("--to", "folder", default="docs", show_default=True, type=click.Path(path_type=Path), help="Where.")
@click.argument(
    "names", nargs=-1, type=click.Choice([part.name for part in (*bench_report.PARTS, *bench_report.APART)])
)
def _all(folder: Path, names: Sequence[str]) -> None:
    """Run the benchmarks, or those NAMES, and write what they measured to a page (a quarter of an hour).

    The year of 'crdt-pos replay' has a page of its own, and is run only if it is named.
    """
    if failed := bench_report.report(folder, names, lambda what: click.echo(what, err=True)):
        raise click.ClickException(f"These did not come out: {', '.join(failed)}; see {folder / bench_report.PAGE}.")


@bench.command("sizes")
@_JSON
def _sizes(json_file: Path | None) -> None:
    """Bytes of a day's entry, whole and as a patch."""
    _show({"sizes": sizes}, json_file)


@bench.command("sale")
@_JSON
def _sale(json_file: Path | None) -> None:
    """A signed and synced sale against raw writes, at a till with a year of history; in a minute."""
    try:
        tables = bench_sale.measure(lambda what: click.echo(f"{what} …", err=True))
    except DataMissing as error:
        raise click.ClickException(f"{str(error).removesuffix('.')}.") from error
    _show({name: partial(list[Row], rows) for name, rows in tables.items()}, json_file)


@bench.command("till")
@click.option("--repeats", default=5, show_default=True, type=click.IntRange(1, 20), help="How often the till starts.")
@_JSON
def _till(repeats: int, json_file: Path | None) -> None:
    """A till with 92,331 products: from its start to its first sale, lookups, and its memory; in a minute."""
    try:
        rows, targets = bench_till.till(repeats)
    except (DataMissing, TownError) as error:
        raise click.ClickException(f"{str(error).removesuffix('.')}.") from error
    _show({"till": lambda: rows, "targets": lambda: targets}, json_file)


@bench.command("apart")
@click.option("--sales", default=100, show_default=True, help="Sales of each till and day.")
@_JSON
def _apart(sales: int, json_file: Path | None) -> None:
    """Bytes on the wire when two replicas meet again after three business days, against what was missing."""
    _show({"apart": partial(bench_apart.apart, sales)}, json_file)


@bench.command("lan")
@click.option("--tills", default=20, show_default=True, help="Tills of the store.")
@click.option("--sales", default=200, show_default=True, help="Sales in each repeat.")
@click.option("--repeats", default=3, show_default=True)
@click.option("--processes", default=2, show_default=True, help="How many processes the tills share.")
@_JSON
def _lan(tills: int, sales: int, repeats: int, processes: int, json_file: Path | None) -> None:
    """From a sale's answer at one till to its being on the others' disks."""
    try:
        rows, beside = bench_lan.lan(tills, sales, repeats, processes)
    except TownError as error:
        raise click.ClickException(f"{error}.") from error
    _show({"lan": lambda: rows}, json_file, beside)


@bench.command("join")
@click.option("--products", default=5_000, show_default=True, type=click.IntRange(1, 100_000), help="In the catalogue.")
@click.option("--repeats", default=REPEATS, show_default=True, type=click.IntRange(1, 20), help="New tills each way.")
@_JSON
def _join(products: int, repeats: int, json_file: Path | None) -> None:
    """From a ticket on a new machine to its first receipt, at the office and through a neighbour."""
    try:
        rows = bench_join.join_to_first_sale(products, repeats)
    except TownError as error:
        raise click.ClickException(f"{error}.") from error
    _show({"join": lambda: rows}, json_file)


@bench.command("return")
@_JSON
@click.option("--stores", default=1_000, show_default=True, type=click.IntRange(1, 5_000))
@click.option("--repeats", default=REPEATS, show_default=True, type=click.IntRange(1, 20))
def _return(stores: int, repeats: int, json_file: Path | None) -> None:
    """How a head office that comes back takes in what every store has for it (minutes)."""
    try:
        rows, beside = bench_return.returning(stores, repeats)
    except TownError as error:
        raise click.ClickException(f"{error}.") from error
    _show({"return": lambda: rows}, json_file, beside)


@bench.command("heal")
@click.option("--days", default=30, show_default=True, help="Business dates that the till had sold on.")
@click.option("--receipts", default=150, show_default=True, help="Receipts on each.")
@_JSON
def _heal(days: int, receipts: int, json_file: Path | None) -> None:
    """Time and bytes to heal a till that was lost with a month of journal; what the vault costs."""
    _show({"heal": partial(bench_heal.heal, days, receipts)}, json_file)


@bench.command("bound")
@click.option("--every", default=60, show_default=True, help="Seconds between segments.")
@click.option("--periods", default=3, show_default=True, help="How many such times to sell.")
@_JSON
def _bound(every: int, periods: int, json_file: Path | None) -> None:
    """How old a receipt becomes before it is safe outside of its store: what is lost if all of that burns."""
    _show({"bound": partial(bench_heal.bound, every, periods)}, json_file)


@bench.command("scrub")
@click.option("--days", default=30, show_default=True, help="Business dates that the till has sold on.")
@click.option("--receipts", default=150, show_default=True, help="Receipts on each.")
@_JSON
def _scrub(days: int, receipts: int, json_file: Path | None) -> None:
    """What it costs to read a log over, to verify it, and to mend a flipped byte."""
    _show({"scrub": partial(bench_scrub.scrub, days, receipts)}, json_file)


@bench.command("fleet")
@click.option("--tills", default="200,1000,5000,10000", show_default=True, metavar="LIST", help="Sizes, with commas.")
@click.option("--messages", default=20_000, show_default=True, type=click.IntRange(1), help="In each repeat.")
@click.option("--repeats", default=REPEATS, show_default=True, type=click.IntRange(1, 20))
@click.option("--profile", is_flag=True, help="Show also the functions that the head office's time goes to.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw the rate against the number of tills to this file.")
@_JSON
def _fleet(tills: str, messages: int, repeats: int, profile: bool, plot: Path | None, json_file: Path | None) -> None:
    """How fast a head office takes in what a whole chain's tills have signed, and proof of its books (minutes)."""
    show = partial(_show, json_file=json_file)
    fleet_figures.run(tills, messages, repeats, profile=profile, plot_file=plot, show=show)


@bench.command("sync")
@click.option(
    "--feeds",
    default="1000,10000,100000",
    show_default=True,
    metavar="LIST",
    help="How many feeds both hold, with commas; 1000000 takes some minutes and 1.5 GB of disk.",
)
@click.option("--repeats", default=REPEATS, show_default=True, type=click.IntRange(1, 20))
@click.option(
    "--years", default=10, show_default=True, type=click.IntRange(1, 50), help="History of the store that returns."
)
@click.option("--plot", type=click.Path(path_type=Path), help="Draw bytes against differences to this SVG file.")
@_JSON
def _sync(feeds: str, repeats: int, years: int, plot: Path | None, json_file: Path | None) -> None:
    """What it costs two replicas to find which feeds differ: bytes, round trips, processor time of each side."""
    bench_sync.run(feeds, repeats, years, plot, partial(_show, json_file=json_file))


@bench.command("hostile")
@_JSON
def _hostile(json_file: Path | None) -> None:
    """How fast an honest till's entries reach the head office beside each attack, against none."""
    _show({"hostile": bench_hostile.hostile}, json_file)


def _show(parts: dict[str, Callable[[], list[Row]]], json_file: Path | None, beside: Row | None = None) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 160
    figures: dict[str, Any] = {"machine": platform.machine(), "cores": cores(), "python": platform.python_version()}
    console.print(f"{figures['machine']}, {figures['cores']} cores, Python {figures['python']}")
    if beside is not None:
        figures |= beside
        console.print(", ".join(f"{what}: {figure}" for what, figure in beside.items()))
    for name, measure in parts.items():
        rows = measure()
        figures[name] = rows
        table = Table(title=name, title_justify="left")
        for heading in rows[0]:
            table.add_column(heading, justify="left" if heading == "what" else "right")
        for row in rows:
            table.add_row(*(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row.values()))
        console.print(table)
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=2) + "\n")


def _identity(store: int = 12, till: int = 3) -> Identity:
    key = SecretKey(bytes([store, till]) * 16)
    return Identity(key, author_of(key.public, "a1"), store, till, "a1", COMPANY)


def _clock() -> Callable[[], Now]:
    ms = iter(range(NOON_MS, NOON_MS + 10**9, 1000))
    return lambda: Now(next(ms), 60)


# --- sizes -----------------------------------------------------------------------------------------------------------


def sizes() -> list[Row]:
    """Bytes of a day's signed entry, whole and as the patch after one more sale of three products."""
    rows: list[Row] = [_seed_row()]
    for products in (3, 300, 3_000):
        first, second = _signed(_day(products, 0), 1), _signed(_day(products, 1), 2)
        change = patch.diff(first, second)
        rows.append(
            {"what": f"{products:,} products, one tender", "whole": len(second.raw), "patch": len(change or b"")}
        )
    return rows


def _seed_row() -> Row:
    """The till of the system this one descends from: one dish at 500.00 made of 133, 134 and 135; sold 1, 2 and 1."""
    recipe = (Component(133, 4), Component(134, 1), Component(135, 1))
    products = ProductTable({1: Product(1, "Unit", prices=(Price(50_000),), recipe=recipe)}, {})
    me, log = _identity(), MemoryLog(SCHEMA)
    till = Till(log, me, _clock(), products=products, terms=Terms(currency=Currency("EUR", 2)))
    till.open_date()
    till.replenish([StockLine(part.product, 4 * part.quantity) for part in recipe])
    till.publish()
    for quantity in (1, 2, 1):
        till.sell(SaleRequest((LineRequest(1, quantity),)))
    till.close_date()
    with log.read() as reader:
        (document,) = reader.documents(DAY)
        morning, evening = (stored.entry for stored in reader.entries(FeedId(document, me.author)))
    change = patch.diff(morning, evening)
    return {"what": "seed's till: a dish of 3 products", "whole": len(evening.raw), "patch": len(change or b"")}


def _day(products: int, more: int) -> Day:
    goods = {
        133 + n: Goods(12 + (more if n < 3 else 0), 2_388 + (199 * more if n < 3 else 0), 15) for n in range(products)
    }
    net = sum(columns.takings for columns in goods.values())
    tax = net * 7 // 100
    return Day(
        previous=(1, bytes(8)),
        taxes={1: TaxTotals(net, tax)},
        tenders={int(Tender.CASH): Flow(net + tax)},
        series={int(Series.SALES): Numbers(16, 40 + more, 25 + more)},
        perpetual_sales=12_345_678 + net + tax,
        goods=goods,
    )


def _signed(day: Day, seq: int) -> Entry:
    me = _identity()
    state = CounterCovers.publish(me.author, me.author, Covers(100 + seq, bytes(range(16))), day.counters())
    document = Document(DAY, DATE, (me.store,))
    stamp = (NOON_MS << 16) + seq
    body = state.entry_body(me.author)
    return sign(me.key, me.author, document, FeedType.LATEST, ScopeClass.STORE, seq, stamp, body)
