"""The closing table of a demo: every book against the data, what happened, and what to look at next."""

from __future__ import annotations

import datetime
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from crdt_pos.cli import NAME
from tools import baskets as data
from tools.reckoning import Result
from tools.town import cores
from tools.week import Seen


def show_rules(
    console: Console, *, baskets: int, stores: int, period: tuple[datetime.date, datetime.date], tills: int
) -> None:
    """What is sold, and what of it is no data."""
    console.print(
        f"[bold]crdt-pos demo[/bold]: {baskets:,} baskets of {stores} stores, {period[0]} to {period[1]}, at "
        f"{tills} tills each, on {cores()} cores.\n"
        "The baskets are real: a panel of 2,469 households of a grocery chain, so a busy store shows some 15 a day, not all.\n"
        "What they lack is derived by a rule, and is not data:"
    )
    rules = Table.grid(padding=(0, 2))
    for name, rule in data.DERIVED.items():
        rules.add_row(f"  [bold]{name}[/bold]", rule)
    console.print(rules)
    console.print()


def show_result(console: Console, result: Result, seen: Sequence[Seen], facts: dict[str, Any]) -> None:
    """Everything, with what to look at next."""
    _show_week(console, seen)
    _show_books(console, result, facts, extras=bool(seen))
    _show_figures(console, result, facts)
    store, command = result.stores[0].store, _command()
    till = facts["till_at"]
    console.print(
        "\nNow look for yourself:\n"
        f"  {command} books --at {facts['office_at']} --from {facts['from']} --to {facts['to']}\n"
        f"  {command} shell --at {till} -c 'explain day/{store}/{facts['to']}'\n"
        f"  {command} till run --at {till} >/dev/null & {command} sell --at {till}"
    )


def _show_week(console: Console, seen: Sequence[Seen]) -> None:
    if not seen:
        return
    table = Table(
        title="What happened, and what was seen of it", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False
    )
    table.add_column("", justify="right")
    for name in ("what happened", "what was seen", ""):
        table.add_column(name)
    for number, one in enumerate(seen, 1):
        table.add_row(str(number), one.what, one.figure, _verdict(one.right))
    console.print(table)


def _show_books(console: Console, result: Result, facts: dict[str, Any], *, extras: bool) -> None:
    title = f"Every book against the data, {facts['from']} to {facts['to']}, in {data.CURRENCY}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    messages = any(row.wan_messages_per_till_day is not None for row in result.stores)
    traffic = "WAN bytes\n(messages)" if messages else "WAN\nbytes"
    beside = ("sold\nbeside",) if extras else ()
    for name in ("store", "baskets", "data", *beside, "head office", "tills", "stock\ndrift", traffic, "to the\ncent"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in result.stores:
        tills = sorted(set(row.tills_minor.values()))
        table.add_row(
            str(row.store),
            f"{row.baskets:,}",
            _money(row.data_minor),
            *((_money(row.extra_minor),) if extras else ()),
            _money(row.office_minor),
            " ≠ ".join(_money(minor) for minor in tills) + (f" ×{len(row.tills_minor)}" if len(tills) == 1 else ""),
            str(row.stock_drift),
            f"{row.wan_bytes_per_till_day:,}" + (f" ({row.wan_messages_per_till_day:,})" if messages else ""),
            _verdict(row.right) if row.final else "[red]✗ waiting[/red]",
        )
    table.add_section()
    table.add_row(
        "all",
        f"{sum(row.baskets for row in result.stores):,}",
        _money(sum(row.data_minor for row in result.stores)),
        *((_money(sum(row.extra_minor for row in result.stores)),) if extras else ()),
        _money(sum(row.office_minor for row in result.stores)),
        "",
        str(sum(row.stock_drift for row in result.stores)),
        "",
        _verdict(result.right),
    )
    console.print(table)
    if extras:
        console.print(
            "Sold beside: what people bought in the course of all that; it is no part of the data. A till's new life reads the "
            "catalogue again, and that counts as WAN bytes."
        )
    console.print(
        "WAN: between one till and the head office, per day, TLS records and acknowledgements of both directions counted."
    )


def _show_figures(console: Console, result: Result, facts: dict[str, Any]) -> None:
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


def _command() -> str:
    """How this command can be called again from here: it may stand in a virtual environment that is not on the path."""
    if shutil.which(NAME) or Path(sys.argv[0]).name != NAME:
        return NAME
    return os.path.relpath(sys.argv[0])


def _money(minor: int) -> str:
    return f"{minor // 100:,}.{minor % 100:02}"


def _verdict(right: bool) -> str:
    return "[green]✓[/green]" if right else "[red]✗ OFF[/red]"
