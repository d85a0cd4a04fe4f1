"""Draws the pictures of the documentation from the real screens: ``crdt-pos screenshots --to docs``.

The till's screen is that of a practice shop; books and shell look at the folders of a real, short demo.
"""

from __future__ import annotations

import asyncio
import io
import shlex
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import click
from click.testing import CliRunner
from rich.console import Console
from rich.text import Text
from textual.widgets import Input

from crdt_pos.cli import NAME, Refused, child_command, crdt_pos
from crdt_pos.counter_screen import CounterScreen
from crdt_pos.local import LocalClient
from tools.live import LOOK_S, Live, Printed
from tools.live_shops import BURNT, LiveShops
from tools.practice_shop import PracticeShop

COLUMNS: Final = 100
ROWS: Final = 30
MAP_ROWS: Final = 36
QUIET_TURNS: Final = 4
QUIET_S: Final = 0.1
MEMBER: Final = "00f3a91c5e7d2b48"
REPORT_COLUMNS: Final = 80
DEMO: Final = ("--calm", "--from", "2017-10-01", "--to", "2017-10-03", "--stores", "2", "--tills", "2")
DAY: Final = "2017-10-03"
STORE: Final = 361
REPORTS: Final = {
    "books.svg": f"books --at office --date {DAY}",
    "explain.svg": f"shell --at till-{STORE}-1 -c 'explain day/{STORE}/{DAY}'",
}


@click.command()
@click.option(
    "--to",
    "folder",
    default=Path("docs"),
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the SVG files go.",
)
@click.option("--demo", is_flag=True, help="Also run the whole demo, some minutes, and draw its screen (demo.svg).")
def screenshots(folder: Path, demo: bool) -> None:
    """Draw the till's screen with a basket and its receipt, the books, an explained day, and the map of the live demo.

    Writes till.svg, receipt.svg, books.svg, explain.svg and live.svg. Books and day need the data of the demo.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shop = PracticeShop()
    with tempfile.TemporaryDirectory() as place:
        with shop.served(Path(place)):
            with LocalClient(Path(place)) as till:
                till.call("open", float_minor=10_000)
                till.call("sell", lines=[{"product": 106, "quantity": 9}], member=MEMBER)
            pictures = asyncio.run(draw(Path(place)))
        pictures["live.svg"] = asyncio.run(draw_map(Path(place) / "live"))
        _run_demo(Path(place), "--at", "town", *DEMO)
        for name, command in REPORTS.items():
            pictures[name] = report(Path(place) / "town", command)
        for name, picture in pictures.items():
            (folder / name).write_text(picture, "utf-8")
            click.echo(f"{folder / name}")
        if demo:
            _run_demo(Path(place), "--picture", str((folder / "demo.svg").absolute()))
            click.echo(f"{folder / 'demo.svg'}")


def _run_demo(place: Path, *options: str) -> None:
    # In its own current folder, so that the picture shows the folder that a person would see.
    ran = subprocess.run([*child_command(), "demo", *options], capture_output=True, text=True, check=False, cwd=place)
    if ran.returncode:
        raise Refused(f"The demo did not come out: {ran.stderr.strip() or ran.stdout.strip()[-400:]}")


def report(town: Path, command: str) -> str:
    """The SVG of what ``crdt-pos`` prints for ``command``, whose folders are those of the demo in ``town``."""
    names = {path.name for path in town.iterdir()}
    arguments = [str(town / word) if word in names else word for word in shlex.split(command)]
    ran = CliRunner(env={"COLUMNS": str(REPORT_COLUMNS)}).invoke(crdt_pos, arguments, color=True)
    if ran.exit_code:
        raise Refused(f"{NAME} {command}: {ran.output.strip()}")
    console = Console(record=True, width=REPORT_COLUMNS, file=io.StringIO(), highlight=False)
    console.print(Text(f"$ {NAME} {command}", style="bold green"))
    console.print(Text.from_ansi(ran.output), soft_wrap=True)
    return console.export_svg(title=f"{NAME} {shlex.split(command)[0]}")


async def draw(place: Path) -> dict[str, str]:
    """File name → SVG, of the screen beside the replica in ``place``."""
    app = CounterScreen(place)
    pictures: dict[str, str] = {}
    async with app.run_test(size=(COLUMNS, ROWS)) as pilot:

        async def fill(text: str, *keys: str) -> None:
            field = app.screen.query_one(Input)
            field.focus()
            field.value = text
            await pilot.press(*keys)
            await settled()

        async def settled() -> None:
            # Workers wait for the cashier while a question is open: settled is when nothing has changed for a while.
            for _ in range(QUIET_TURNS):
                await pilot.pause(QUIET_S)

        await fill("4000000000012", "enter")
        await fill("2*oat", "enter")
        await fill("mountain", "enter")
        await fill("0.350", "enter")
        await pilot.press("f4")
        await settled()
        await fill("10% staff", "enter")
        await pilot.press("f3")
        await settled()
        await fill(MEMBER, "enter")
        await fill("milk")
        pictures["till.svg"] = app.export_screenshot(title="crdt-pos sell")
        await fill("")
        await pilot.press("f7")
        await settled()
        await fill("20", "enter")
        pictures["receipt.svg"] = app.export_screenshot(title="crdt-pos sell")
    return pictures


async def draw_map(place: Path) -> str:
    """The SVG of the live demo: a till has burnt, and a receipt that it gave is printed at its neighbour."""
    shops = LiveShops(place)
    try:
        app = Live(shops)
        async with app.run_test(size=(COLUMNS, MAP_ROWS)) as pilot:

            async def until(condition: Callable[[], bool]) -> None:
                while not condition():
                    await pilot.pause(QUIET_S)

            await until(app.ready.is_set)
            await until(lambda: len(shops.truth) == len(shops.stores))
            await pilot.press("space", "s")
            await until(lambda: shops.receipt is not None)
            await until(lambda: all(not view.waiting for view in shops.views()))
            await pilot.press("w", "b")
            await until(lambda: shops.views()[1].state == BURNT)
            await pilot.press("down", "p")
            await until(lambda: isinstance(app.screen, Printed))
            await pilot.pause(2 * LOOK_S)
            return app.export_screenshot(title="crdt-pos demo --live")
    finally:
        shops.close()
