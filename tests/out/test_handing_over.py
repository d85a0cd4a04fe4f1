"""A till that hands over sells nothing while it waits for others, and sells again if they do not answer."""

from __future__ import annotations

import datetime
from functools import partial
from pathlib import Path

import pytest
import trio

from crdt_pos.errors import HandingOver
from crdt_pos.local import Declined
from tests.disk.test_scrub import sell
from tests.node.company import Company, Stranger, running, until


async def test_nothing_is_sold_while_a_till_hands_over_and_it_goes_on_if_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crdt_pos.retiring.HAND_OVER_S", 1.0)
    company = Company.found(tmp_path, "12-1", "12-2")
    stranger = Stranger(company.tills["12-2"])
    refused: list[str] = []
    async with running(company.tills["12-1"]) as (till,), stranger.at(till), trio.open_nursery() as nursery:
        assert till.till is not None
        await till.act(till.till.open_date)
        await stranger.talk(lambda: stranger.shared)
        await until(till, lambda: bool(till.node.links))
        assert await sell(till)

        async def hand_over() -> None:
            with pytest.raises(Declined, match="not reached anybody yet") as said:
                await till._commands["hand_over"]({})
            refused.append(str(said.value))

        nursery.start_soon(hand_over)
        await until(till, lambda: till.till is not None and till.till.open_on is None)
        for act in (till.till.open_date, till.till.close_date):
            with pytest.raises(HandingOver, match="hands over to the others"):
                await till.act(act)
        await until(till, lambda: bool(refused))
        assert till.folder.path.joinpath("key.pem").exists()
        tomorrow = till.now().date() + datetime.timedelta(1)  # today is closed
        await till.act(partial(till.till.open_date, tomorrow))
        assert await sell(till)
