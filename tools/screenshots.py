"""Draws the pictures of the documentation from the real screens: ``crdt-pos screenshots --to docs``."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Final

import click

from crdt_pos.counter_screen import CounterScreen
from crdt_pos.local import LocalClient
from tools.practice_shop import PracticeShop

COLUMNS: Final = 100
ROWS: Final = 30
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

        async def type_in(*words: str) -> None:
            for word in words:
                await pilot.press(*("full_stop" if c == "." else "space" if c == " " else c for c in word), "enter")
                await app.workers.wait_for_complete([w for w in app.workers if w.group == "search"])
                await pilot.pause()

        async def idle() -> None:
            await pilot.pause()
            await app.workers.wait_for_complete()
            await pilot.pause()

        await type_in("4000000000012")
        await idle()
        pictures["till.svg"] = app.export_screenshot(title="crdt-pos sell")
    return pictures
