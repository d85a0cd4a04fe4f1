"""Store 12 with two tills behind cables, where disks are set back, copied and destroyed."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from crdt_pos import books, catalogue
from crdt_pos.books import Query, TillDay
from crdt_pos.errors import NothingHere
from crdt_pos.local import LocalRefused
from crdt_pos.looking import look
from crdt_pos.products import Price, Product
from crdt_pos.schema import SCHEMA
from crdt_pos.verify import verify
from tests.system.shops import DATE, MILK, records
from tools.cabled import OFFICE, Cabled

MEMBER = b"member-7".hex()


@dataclass
class Shop:
    """Store 12 with two tills, every receipt that was ever printed, and images of disks."""

    town: Cabled
    printed: list[str] = field(default_factory=list[str])
    images: dict[str, Path] = field(default_factory=dict[str, Path])
    taken: dict[str, int] = field(default_factory=dict[str, int])
    """What each till has taken that anybody can know of."""

    def sell(self, name: str, *, known: bool = True, **fields: object) -> dict[str, Any]:
        """Sell a bottle of milk; the receipt. ``known``: whether anybody else will ever hear of it."""
        receipt = self.town.call(name, "sell", lines=[{"product": MILK}], **fields)["receipt"]
        assert receipt["number"] not in self.printed
        self.printed.append(receipt["number"])
        if known:
            self.taken[name] = self.taken.get(name, 0) + receipt["due_minor"]
        return receipt

    def sell_when_it_may(self, name: str, **fields: object) -> dict[str, Any]:
        """The first sale that a till does not refuse because it is taking back what it wrote."""
        sold: list[dict[str, Any]] = []

        def asked_again() -> bool:
            with contextlib.suppress(LocalRefused):
                sold.append(self.sell(name, **fields))
            return bool(sold)

        self.town.until(asked_again, "a sale")
        return sold[0]

    def safe(self, name: str) -> None:
        """Wait until somebody else holds everything that a till has written."""
        self.town.until(lambda: not self.town.call(name, "status")["safe"]["waiting"], "safe elsewhere")

    def data(self, name: str) -> Path:
        return self.town.folders[name].log_path / "data.mdb"

    def image(self, name: str) -> None:
        """Take an image of a till's disk; it is stopped meanwhile."""
        assert self.town.stop(name) == 0
        self.images[name] = self.data(name).with_name("image")
        shutil.copyfile(self.data(name), self.images[name])
        self.town.start(name)

    def set_back(self, name: str) -> None:
        """Kill a till and write its image over its disk: the same file, so that only what is in it is older."""
        self.town.kill(name)
        inode = self.data(name).stat().st_ino
        self.data(name).write_bytes(self.images[name].read_bytes())
        assert self.data(name).stat().st_ino == inode

    def database(self, name: str) -> bytes:
        """What cursors of peers are bound to."""
        with look(self.town.folders[name].path) as looked:
            return looked.log.database

    def trouble(self, name: str) -> str:
        return self.town.connections(name)["trouble"]

    def healed(self, name: str) -> list[str]:
        return self.town.call(name, "status")["healed"]

    def agree(self) -> None:
        """Wait until every folder's books say what was taken, and find nothing wrong with any of them."""
        for name in self.town.tills():
            self.town.call(name, "publish")
        for name, folder in self.town.folders.items():
            found: dict[str, int] = {}

            def equal(path: Path = folder.path) -> bool:
                nonlocal found
                found = takings(path)
                return found == self.taken

            with contextlib.suppress(Exception):
                self.town.until(equal, "equal books", 30)
            assert equal(), f"{name}: {found}, taken was {self.taken}"
            with look(folder.path) as looked, looked.log.read() as reader:
                assert verify(reader, looked.directory, SCHEMA).findings == []


def till_days(path: Path) -> list[TillDay]:
    """What the books in a folder say of every till and date."""
    with look(path) as looked, looked.log.read() as reader:
        try:
            accounts = books.read(reader, looked.directory, Query()).accounts
        except NothingHere:
            return []
        return [day for account in accounts for day in account.days]


def takings(path: Path) -> dict[str, int]:
    found: dict[str, int] = {}
    for day in till_days(path):
        found[day.name] = found.get(day.name, 0) + day.day.takings_minor
    return found


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One shop for the tests of a file, which leave everybody running who has a folder."""
    town = Cabled.found(tmp_path_factory.mktemp("shop"), "Corner Shops", records(12), 2)
    milk = Product(MILK, "Milk", prices=(Price(119),), tax_code=1)
    town.town.write_catalogue([catalogue.tax_change(1, 70_000), *catalogue.product_changes(milk)])
    with town:
        town.start(OFFICE, "12-1", "12-2")
        town.together()
        shop = Shop(town)
        for name in town.tills():
            town.until(lambda name=name: bool(town.call(name, "lookup", text="Milk")["products"]), "the catalogue")
            town.call(name, "open", date=DATE, float_minor=0)
        yield shop
