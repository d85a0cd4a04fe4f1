"""The map of the live demo, driven by its keys: what is bought at a till that burns is printed at its neighbour."""

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from tests.system.shops import PATIENCE_S
from tools.live import Live, Printed
from tools.live_shops import BURNT, KILLED, RUNS, STARTING, LiveShops


@pytest.fixture
def shops(tmp_path: Path) -> Iterator[LiveShops]:
    """One store with two tills, and a head office."""
    made = LiveShops(tmp_path / "live", stores=(1,))
    try:
        yield made
    finally:
        made.close()


async def until(pilot: Pilot[None], condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        await pilot.pause()
        await asyncio.sleep(0.02)


def test_you_buy_milk_burn_that_till_print_your_receipt_at_its_neighbour_and_the_till_comes_back(
    shops: LiveShops,
) -> None:
    def state(name: str) -> str:
        return next(view.state for view in shops.views() if view.name == name)

    def known(name: str) -> int:
        return next(view.takings_minor.get(1, 0) for view in shops.views() if view.name == name)

    async def minute() -> None:
        app = Live(shops)
        async with app.run_test(size=(110, 36)) as pilot:
            await until(pilot, app.ready.is_set)
            await pilot.press("space", "s")
            await until(pilot, lambda: shops.receipt is not None)
            await until(pilot, lambda: next(view.waiting for view in shops.views() if view.name == "1-1") == 0)
            await pilot.press("b")
            await until(pilot, lambda: state("1-1") == BURNT)
            await pilot.press("down", "p")
            await until(pilot, lambda: isinstance(app.screen, Printed))
            paper = "\n".join(str(part.render()) for part in app.screen.query(Static))
            assert shops.receipt is not None
            assert shops.receipt[0] in paper
            assert "Whole milk" in paper
            assert "✓ Signed by till 1-1 a1" in paper
            await pilot.press("escape", "up", "r")
            await until(pilot, lambda: state("1-1") == RUNS)
            due_minor = shops.truth[1]
            assert due_minor > 0
            for name in ("1-1", "1-2", "office-a"):
                await until(pilot, lambda name=name: known(name) == due_minor)
            await pilot.press("c")
            await until(pilot, lambda: shops.is_cut("1-1", "1-2"))
            await pilot.press("w")
            await until(pilot, lambda: shops.is_cut("1-1", "office-a"))

    asyncio.run(minute())


def test_a_till_and_head_office_are_killed_and_started_and_a_burnt_head_office_comes_back_from_the_tills(
    shops: LiveShops,
) -> None:
    def state(name: str) -> str:
        return next(view.state for view in shops.views() if view.name == name)

    def office_knows() -> bool:
        return shops.views()[0].takings_minor.get(1, 0) == shops.truth[1] > 0

    async def keys() -> None:
        app = Live(shops)
        async with app.run_test(size=(110, 36)) as pilot:
            await until(pilot, app.ready.is_set)
            await pilot.press("space", "s")
            await until(pilot, lambda: shops.receipt is not None)
            for choose, name in ((), "1-1"), (("h",), "office-a"):
                await pilot.press(*choose, "k")
                await until(pilot, lambda name=name: state(name) == KILLED)
                await pilot.press("k")
                await until(pilot, lambda name=name: state(name) == RUNS)
            await until(pilot, office_knows)
            await pilot.press("b")
            await until(pilot, lambda: state("office-a") == BURNT)
            await pilot.press("r")
            await until(pilot, lambda: shops.names[0] == "office-b" and state("office-b") == RUNS)
            await until(pilot, office_knows)

    asyncio.run(keys())


def test_you_burn_the_whole_store_and_your_receipt_comes_back_out_of_what_another_store_kept_sealed(
    tmp_path: Path,
) -> None:
    shops = LiveShops(tmp_path / "live", stores=(1, 2))

    async def minute() -> None:
        app = Live(shops)
        async with app.run_test(size=(110, 36)) as pilot:
            await until(pilot, app.ready.is_set)
            await pilot.press("space", "s")
            await until(pilot, lambda: shops.receipt is not None)
            await until(pilot, lambda: not shops.town.call("1-1", "status")["outside"]["waiting"])
            await pilot.press("b", "down", "b")
            await until(pilot, lambda: {"1-1", "1-2"} <= burnt())
            await pilot.press("r")
            await until(pilot, lambda: not burnt())
            await pilot.press("p")
            await until(pilot, lambda: isinstance(app.screen, Printed))
            paper = "\n".join(str(part.render()) for part in app.screen.query(Static))
            assert shops.receipt is not None
            assert shops.receipt[0] in paper
            assert "✓ Signed by till 1-1 a1. Its signature was verified at 1-2" in paper

    def burnt() -> set[str]:
        return {view.name for view in shops.views() if view.state in (BURNT, STARTING)}

    try:
        asyncio.run(minute())
    finally:
        shops.close()
