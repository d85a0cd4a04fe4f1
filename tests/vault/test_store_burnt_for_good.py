"""A whole store burns, and head office with it: from one till of one guardian store every receipt comes back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from crdt_pos import journal
from crdt_pos.folder import SETTINGS, Folder, open_folder
from crdt_pos.looking import look
from crdt_pos.schema import VAULT
from gossip.entry import FeedId, Head
from gossip.log import Reader
from tests.system.figures import books_of, sell
from tests.system.shops import records, run
from tools.cabled import KIT, OFFICE, Cabled

DATE = "2026-11-20"
BURNT = ("12-1", "12-2")
SALES = 8


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cabled]:
    """Store 12 with two tills, its guardians 13 and 14, of which 14 is never switched on; segments a second apart."""
    with Cabled.found(tmp_path_factory.mktemp("town"), "Corner Shops", records(12, 13, 14), 2) as made:
        for name in ("13-2", "14-1", "14-2"):
            made.burn(name)
        for folder in made.folders.values():
            with (folder.path / SETTINGS).open("a") as settings:
                settings.write("vault_every_s = 1\n")
        made.start(OFFICE, *BURNT, "13-1")
        made.together()
        yield made


def test_every_receipt_of_a_burnt_store_comes_back_from_one_guardian_though_head_office_is_dead(town: Cabled) -> None:
    numbers: set[str] = set()
    for till in BURNT:
        town.call(till, "open", date=DATE)
        for sale in range(SALES):
            numbers.add(sell(town, till, 100 + sale, member="00000000000000a1"))
    for till in BURNT:
        town.until(partial(_all_outside, town, till), f"{till} knows that all is safe outside")
    town.until(partial(_same_vaults, town, "12-1", "13-1"), "The guardian holds the vault")
    with look(town.folders["13-1"].path) as looked, looked.log.read() as reader:
        assert not [one for one in reader.documents("journal") if one.keys == (12,)]

    for name in (*BURNT, OFFICE):
        town.burn(name)
    told = town.rebuild(OFFICE, "--letter", "b", "--wait", "2", sources=["13-1"])
    assert told["missing"] == [12, 14]
    assert sum(life["receipts"] for life in told["lives"]) == len(numbers)

    office = town.town.office.path
    new = town.town.at / "new"
    done = run("recover", "store", 12, "--office", office, "--kit", town.safe / KIT, "--at", new, *_alone(), "--json")
    assert done.returncode == 0, done
    found: dict[str, Any] = json.loads(done.stdout)
    assert (found["receipts"], found["missing"], found["complete"]) == (len(numbers), 0, True)
    assert [(life["till"], life["incarnation"], life["receipts"]) for life in found["lives"]] == [
        ("12-1", "a1", SALES),
        ("12-2", "a1", SALES),
    ]
    assert (found["forged"], found["unknown"], found["refused"], found["waiting"]) == (0, 0, 0, 0)
    for one in found["tills"]:
        assert one["incarnation"] == "b1"
        assert _receipts(Path(one["path"]), numbers) == numbers

    for one in found["tills"]:
        town.folders[one["till"]] = _cabled(town, Path(one["path"]), one["till"])
    town.start(told["office"], *BURNT)
    # Each new life closes what the one before it left open, and head office hears of it.
    takings = 2 * sum(100 + sale for sale in range(SALES))
    town.until(lambda: _taken(town, told["office"]) == takings, "The takings of the burnt tills at head office")


def _alone() -> tuple[str, ...]:
    return "--listen", "127.0.0.1:0", "--no-multicast"


def _cabled(town: Cabled, path: Path, name: str) -> Folder:
    """The folder at its place: it dials through the cables that its predecessor had."""
    peers = [f"127.0.0.1:{cable.port}" for (dialler, _), cable in town.cables.items() if dialler == name]
    settings = path / SETTINGS
    settings.write_text(settings.read_text().replace("peers = []", f"peers = {json.dumps(peers)}"))
    return open_folder(path)


def _all_outside(town: Cabled, till: str) -> bool:
    outside = town.call(till, "status")["outside"]
    return bool(outside["until_ms"]) and not outside["waiting"]


def _vaults(reader: Reader) -> dict[FeedId, tuple[Head, ...]]:
    feeds = [FeedId(one, author) for one in reader.documents(VAULT) for author in reader.authors(one)]
    return {feed: reader.heads(feed) for feed in feeds if feed.document.keys[0] == 12}


def _same_vaults(town: Cabled, one: str, other: str) -> bool:
    found: list[dict[FeedId, tuple[Head, ...]]] = []
    for name in (one, other):
        with look(town.folders[name].path) as looked, looked.log.read() as reader:
            found.append(_vaults(reader))
    return len(found[0]) == 2 and found[0] == found[1]


def _receipts(path: Path, numbers: set[str]) -> set[str]:
    with look(path) as looked, looked.log.read() as reader:
        return {number for number in numbers if journal.find_receipt(reader, number) is not None}


def _taken(town: Cabled, office: str) -> int:
    found = books_of(town.folders[office], 12, DATE)
    return sum(day.day.takings_minor for account in found.accounts for day in account.days) if found else 0
