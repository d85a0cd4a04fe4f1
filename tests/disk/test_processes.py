"""Real processes on disks that flip bits: healed while they run, and when they do not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crdt_pos.schema import JOURNAL
from gossip.entry import Entry
from tests.disk.flipping import flip
from tests.system.shops import DATE, reading, records, run
from tools.cabled import Cabled

SALE: dict[str, Any] = {"lines": [{"product": 1, "unit_price_minor": 119}]}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Cabled]:
    with Cabled.found(tmp_path, "Corner Shops", records(12), tills=2) as town:
        town.start("12-1", "12-2")
        town.call("12-1", "open", date=DATE)
        for _ in range(4):
            town.call("12-1", "sell", **SALE)
        town.until(lambda: not town.call("12-1", "status")["safe"]["waiting"], "safe elsewhere")
        yield town


def acts(shop: Cabled, name: str) -> list[Entry]:
    with reading(shop.folders[name]) as reader:
        return [stored.entry for stored in reader.arrivals(0, 10_000) if stored.entry.document.kind == JOURNAL]


def test_a_flipped_byte_is_found_and_mended_while_the_till_runs_and_while_it_does_not(shop: Cabled) -> None:
    folder = shop.folders["12-1"]
    second, third = acts(shop, "12-1")[1:3]
    assert flip(folder, second.raw, len(second.raw) // 2)
    healed = run("verify", "--at", folder.path, "--heal", "--json")
    assert healed.returncode == 0, healed
    assert json.loads(healed.stdout)["findings"] == []
    shop.until(lambda: shop.call("12-1", "connections")["scrub"]["came_back"] == 1, "it came back from a peer")
    assert shop.call("12-1", "sell", **SALE)["receipt"]["number"] == "12-1-a1-5"

    # The neighbour dials, so it is the one that finds somebody while it is only run for a moment.
    neighbour = shop.folders["12-2"]
    assert shop.stop("12-2") == 0
    assert flip(neighbour, third.raw, len(third.raw) - 3)
    assert run("verify", "--at", neighbour.path).returncode == 1
    healed = run("verify", "--at", neighbour.path, "--heal")
    assert healed.returncode == 0, healed
    assert "1 entry came back from peers" in healed.stdout

    assert shop.stop("12-1") == 0
    assert flip(neighbour, third.raw, 90)
    lost = run("verify", "--at", neighbour.path, "--heal", "--wait", 1)
    assert lost.returncode == 1
    said = " ".join(lost.stdout.split())
    assert "1 entry is missing; asked: nobody" in said
    assert f"missing: journal/12/{DATE} by 12-1, entry {third.seq}" in said
    shop.start("12-1", "12-2")
    shop.until(lambda: not shop.call("12-2", "connections")["scrub"]["missing"], "it came back by itself")
    assert run("verify", "--at", neighbour.path).returncode == 0
