"""A shop in memory: a real till with a real catalogue on a log without a disk, served on a real local socket.

For pictures of the screen and for tests; nothing of it is kept.
"""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import trio

from crdt_pos import catalogue, catalogue_views
from crdt_pos.catalogue_views import CatalogueProducts
from crdt_pos.identity import Identity, Now
from crdt_pos.local import serve
from crdt_pos.local_commands import PeerStatus, ReplicaStatus, TillCommands
from crdt_pos.money import Currency
from crdt_pos.products import Price, Product
from crdt_pos.schema import SCHEMA
from crdt_pos.terms import Terms
from crdt_pos.till import Till
from gossip.log import Arrival, Log, Reader
from gossip.log_memory import MemoryLog
from peers.certificates import Certificate
from peers.keys import SecretKey, author_of

T = TypeVar("T")

SHELF: Final = (
    (Product(101, "Whole milk 1 l", prices=(Price(129),), tax_code=1, department="Dairy"), "4000000000012"),
    (Product(102, "Oat drink barista 1 l", prices=(Price(219),), tax_code=1, department="Dairy"), "4000000000029"),
    (Product(103, "Butter unsalted 250 g", prices=(Price(249),), tax_code=1, department="Dairy"), "4000000000036"),
    (Product(104, "Mountain cheese", "kg", 3, (Price(1990),), tax_code=1, department="Dairy"), "4000000000043"),
    (Product(105, "Rye bread 750 g", prices=(Price(345),), tax_code=1, department="Bakery"), "4000000000050"),
    (Product(106, "Café crème beans 500 g", prices=(Price(899),), tax_code=2, department="Coffee"), "4000000000067"),
    (Product(107, "Milk chocolate 100 g", prices=(Price(149),), tax_code=2, department="Sweets"), "4000000000074"),
    (Product(108, "Bunch of tulips", tax_code=2, department="Flowers"), "4000000000081"),
)
RATES_PPM: Final = {1: 70_000, 2: 190_000}
NOON: Final = datetime.datetime(2026, 11, 22, 13, 2, tzinfo=datetime.UTC)
ONE_OFFICE: Final = ReplicaStatus((PeerStatus("office-a", "office", connected=True, last_heard_ms=None),), 1, 0)


@dataclass(slots=True)
class PracticeReplica:
    """Runs acts one at a time in a thread, has no peers but those that ``shown`` claims, and lends what ``lend`` grants."""

    log: Log
    shown: ReplicaStatus = ONE_OFFICE
    commits: int = 0
    lend: Callable[[bytes, int], None] | None = None
    """Called when rights are asked for: account and amount."""
    _turn: trio.Lock = field(default_factory=trio.Lock)

    async def act(self, act: Callable[[], T]) -> T:
        async with self._turn:
            return await trio.to_thread.run_sync(act)

    async def look(self, read: Callable[[Reader], T]) -> T:
        def looked() -> T:
            with self.log.read() as reader:
                return read(reader)

        return await trio.to_thread.run_sync(looked)

    def after_commit(self) -> None:
        self.commits += 1

    async def borrow(self, account: bytes, amount: int, deadline_ms: int, programme: str = "") -> None:
        del deadline_ms, programme
        if self.lend is not None:
            await self.act(partial(self.lend, account, amount))

    def status(self) -> ReplicaStatus:
        return self.shown

    def lives(self, reader: Reader, name: str) -> Sequence[Certificate]:
        del reader, name
        return ()


class PracticeShop:
    """Till 12-3 of a shop that never was. ``now`` is its clock, to be set by whoever uses it."""

    def __init__(self, terms: Terms | None = None) -> None:
        self.now = Now(int(NOON.timestamp() * 1000), 60)
        self.log = MemoryLog(SCHEMA)
        self.terms = terms or Terms("Corner Shop Ltd", Currency("EUR", 2))
        self.products = CatalogueProducts(self.terms.currency.code, store=12)
        key, office = SecretKey(b"\x0c" * 32), SecretKey(b"\x0a" * 32)
        self.identity = Identity(key, author_of(key.public, "a1"), 12, 3, "a1", b"\0" * 32)
        changes = [catalogue.tax_change(code, rate) for code, rate in RATES_PPM.items()]
        for product, code in SHELF:
            changes += catalogue.product_changes(product, [code])
        with self.log.read() as reader:
            entries = catalogue.write(reader, office, author_of(office.public, "a1"), changes, stamp=1)
            arrivals = [Arrival(entry) for entry in entries]
            views = catalogue_views.derive(reader, arrivals)
        self.log.append(arrivals, views)
        self.till = Till(self.log, self.identity, lambda: self.now, products=self.products, terms=lambda _: self.terms)
        self.replica = PracticeReplica(self.log)

    def commands(self) -> TillCommands:
        """What the shop's socket answers."""
        return TillCommands(
            self.till, self.identity, self.products, self.replica, lambda: self.now, lambda _: self.terms
        )

    def served(self, folder: Path) -> AbstractContextManager[None]:
        """Serve the shop on the socket of ``folder``, in a thread of its own, until the block ends."""
        return served(self.commands(), folder)


@contextmanager
def served(commands: TillCommands, folder: Path) -> Generator[None]:
    """Serve a till's commands on the socket of ``folder``, in a thread of its own, until the block ends."""
    ready = threading.Event()
    stop: list[Callable[[], None]] = []
    failed: list[BaseException] = []

    async def run() -> None:
        token = trio.lowlevel.current_trio_token()
        async with trio.open_nursery() as nursery:
            stop.append(lambda: token.run_sync_soon(nursery.cancel_scope.cancel))
            await nursery.start(serve, folder, commands.commands())
            ready.set()

    def thread() -> None:
        try:
            trio.run(run)
        except BaseException as error:  # noqa: BLE001  raised again by the thread that waits
            failed.append(error)
        finally:
            ready.set()

    serving = threading.Thread(target=thread, daemon=True)
    serving.start()
    ready.wait()
    try:
        if failed:
            raise failed[0]
        yield
    finally:
        for act in stop:
            act()
        serving.join()
