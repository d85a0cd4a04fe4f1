"""Draws the pictures of the documentation from the real screens: ``crdt-pos screenshots --to docs``."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Final

import click
from textual.widgets import Input

from crdt_pos.counter_screen import CounterScreen
from crdt_pos.local import LocalClient
from tools.practice_shop import PracticeShop

COLUMNS: Final = 100
ROWS: Final = 30
QUIET_TURNS: Final = 4
QUIET_S: Final = 0.1
MEMBER: Final = "00f3a91c5e7d2b48"


@click.command()
@click.option(
    "--to",
    "folder",
    default=Path("docs"),
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the SVG files go.",
)
def screenshots(folder: Path) -> None:
    """Draw the till's screen: a basket being typed (till.svg) and its receipt (receipt.svg)."""
    folder.mkdir(parents=True, exist_ok=True)
    shop = PracticeShop()
    with tempfile.TemporaryDirectory() as place, shop.served(Path(place)):
        with LocalClient(Path(place)) as till:
            till.call("open", float_minor=10_000)
            till.call("sell", lines=[{"product": 106, "quantity": 9}], member=MEMBER)
        for name, picture in asyncio.run(draw(Path(place))).items():
            (folder / name).write_text(picture, "utf-8")
            click.echo(f"{folder / name}")


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
