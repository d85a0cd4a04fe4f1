"""A company of real processes: a head office, store 12 with two tills, and store 13 with one behind a cable that can be pulled.

Store 12 and the office find each other by multicast on the loopback interface; 13-1 only dials. Every act goes through a local
socket, every figure is read from a folder. ``Shops`` remembers what was acknowledged, so that a test need not know what others
sold before it.
"""

from __future__ import annotations

import contextlib
import io
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from crdt_pos import books, catalogue, cli, enrolment
from crdt_pos.books import Books, Query
from crdt_pos.cli import child_command
from crdt_pos.clock import system_ms
from crdt_pos.errors import NothingHere
from crdt_pos.folder import Folder, Settings
from crdt_pos.local import LocalRefused
from crdt_pos.looking import identities, look
from crdt_pos.products import Price, Product
from gossip.address import Address
from gossip.log import Reader
from peers.roster import StoreRecord
from tools.cable import LOOPBACK, Cable
from tools.town import Process, Town, TownError

DATE = "2026-11-20"
"""The open business date: opening fixes it, not a clock."""
MILK, BREAD, CHEESE = 1, 2, 3
PRICES = {MILK: 119, BREAD: 250, CHEESE: 1999}
PATIENCE_S = 60.0
"""Long enough for a busy machine: only what is broken waits for it."""
ON_LOOPBACK = Settings(Address(LOOPBACK, 0), interfaces=(LOOPBACK,))


def records(*stores: int) -> list[StoreRecord]:
    return [StoreRecord(store, legal_entity="Corner Shops Ltd", currency="EUR") for store in stores]


def by_cable(port: int) -> Settings:
    """Only dials this port of this machine."""
    return Settings(Address(LOOPBACK, 0), (Address(LOOPBACK, port),), multicast=False)


def alone() -> Settings:
    """Dials nobody."""
    return Settings(Address(LOOPBACK, 0), multicast=False)


class Done(NamedTuple):
    """What a command left behind."""

    returncode: int
    stdout: str
    stderr: str


def run(*words: object) -> Done:
    """A ``crdt-pos`` command as ``main`` runs it, in this process: a new one costs a second."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.run([str(word) for word in words])
    return Done(code, out.getvalue(), err.getvalue())


def run_apart(*words: object) -> Done:
    """A ``crdt-pos`` command in a process of its own."""
    done = subprocess.run(
        [*child_command(), *map(str, words)],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=PATIENCE_S,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def refusal(*words: object) -> str:
    """The one sentence by which a command refuses, with exit code 2."""
    return refused(run(*words))


def refused(done: Done) -> str:
    """The one sentence of a command that was refused."""
    assert done.returncode == 2, done
    assert "Traceback" not in done.stderr
    (line,) = done.stderr.splitlines()
    said = line.removeprefix("crdt-pos: ")
    assert not said[0].islower()
    assert said.endswith((".", "--help")) or " --" in said
    return said


@contextmanager
def reading(folder: Folder) -> Iterator[Reader]:
    """What is on the disk now, also while the replica runs."""
    with look(folder.path) as looked, looked.log.read() as reader:
        yield reader


@dataclass
class Shops:
    """The processes, and what they acknowledged."""

    town: Town
    folders: dict[str, Folder]
    cables: dict[str, Cable] = field(default_factory=dict[str, Cable])
    processes: dict[str, Process] = field(default_factory=dict[str, Process])
    taken: Counter[str] = field(default_factory=Counter[str])
    """Acknowledged sales per till, in cents."""

    @classmethod
    def found(cls, at: Path) -> Shops:
        """The folders; nothing runs."""
        cable = Cable()
        town = Town.found(at, "Corner Shops", records(12, 13), 0, ON_LOOPBACK)
        settings = {"12-1": ON_LOOPBACK, "12-2": ON_LOOPBACK, "13-1": by_cable(cable.port)}
        for name, its in settings.items():
            store, till = map(int, name.split("-"))
            path = at / f"till-{name}"
            town.tills[store, till] = enrolment.enrol_till(town.office, store, till, path, its, system_ms())
        changes = [catalogue.tax_change(1, 70_000)]
        for number, cents in PRICES.items():
            product = Product(number, f"Product {number}", prices=(Price(cents),), tax_code=1)
            changes += catalogue.product_changes(product)
        town.write_catalogue(changes)
        tills = {folder.certificate.name: folder for folder in town.tills.values()}
        return cls(town, {"office": town.office, **tills}, {"13-1": cable})

    # --- processes ---

    def start(self, *names: str) -> None:
        """Start these and wait until they answer."""
        for name in names:
            role = "office" if name == "office" else "till"
            process = self.processes[name] = Process(role, [self.folders[name]])
            process.start()
        self.town.processes = list(self.processes.values())
        for name in names:
            self.until(lambda name=name: self.town.is_up(self.folders[name]), f"{name} is up")
        if "office" in names:
            for cable in self.cables.values():
                cable.plug(self.port("office"))

    def stop(self, name: str) -> int:
        """SIGTERM; the exit code."""
        self.town.hang_up(self.folders[name])
        return self.processes[name].stop()

    def kill(self, name: str) -> None:
        """SIGKILL."""
        self.town.hang_up(self.folders[name])
        self.processes[name].kill()

    def close(self) -> None:
        self.town.stop()
        for cable in self.cables.values():
            cable.close()

    def until(self, condition: Callable[[], bool], what: str, timeout_s: float = PATIENCE_S) -> None:
        """Wait for a condition, with a deadline."""
        self.town.wait(condition, what, timeout_s)

    def said(self, name: str) -> str:
        """What a process has written to its log so far."""
        return (self.folders[name].path / "run.log").read_text()

    # --- acts ---

    def call(self, name: str, do: str, **fields: object) -> dict[str, Any]:
        """Ask a running replica."""
        return self.town.client(self.folders[name]).call(do, **fields)

    def connections(self, name: str) -> dict[str, Any]:
        return self.call(name, "status" if name == "office" else "connections")

    def port(self, name: str) -> int:
        """Where a replica listens."""
        return int(self.connections(name)["listening"].rpartition(":")[2])

    def peers(self, name: str) -> set[str]:
        """With whom a replica has a session."""
        return {session["peer"] for session in self.connections(name)["sessions"]}

    def together(self) -> None:
        """Wait until everyone who may talk to each other does."""
        whole = {"12-1": {"office-a", "12-2"}, "12-2": {"office-a", "12-1"}, "13-1": {"office-a"}}
        for name, peers in whole.items():
            if name not in self.folders:
                continue
            self.until(lambda name=name, peers=peers: self.peers(name) >= peers, f"{name} has sessions with {peers}")
            self.until(lambda name=name: self._knows_the_products(name), f"{name} has the catalogue")

    def _knows_the_products(self, name: str) -> bool:
        try:
            return all(self.call(name, "product", product=product) for product in PRICES)
        except LocalRefused:
            return False

    def sell(self, name: str, product: int = MILK, quantity: int = 1, **fields: object) -> dict[str, Any]:
        """Sell one line for cash; the receipt."""
        answer = self.call(name, "sell", lines=[{"product": product, "quantity": quantity}], **fields)
        self.taken[name] += answer["receipt"]["due_minor"]
        return answer["receipt"]

    def publish(self) -> None:
        """Every running till says what it took so far."""
        for name, process in self.processes.items():
            if name != "office" and process.running is not None:
                self.call(name, "publish")

    # --- figures ---

    def books(self, name: str) -> Books | None:
        """The books of the open date, read from a folder; ``None`` if there are none yet."""
        with look(self.folders[name].path) as looked, looked.log.read() as reader:
            try:
                return books.read(reader, looked.directory, Query(), identities(reader))
            except NothingHere:
                return None

    def takings(self, name: str) -> dict[str, int]:
        """What each till took, by the books of a folder."""
        found = self.books(name)
        days = [] if found is None else [day for account in found.accounts for day in account.days]
        return {day.name: day.day.takings_minor for day in days}

    def agreed(self) -> None:
        """Wait until every folder's books say what was acknowledged, to the cent."""
        self.publish()
        due = {name: self.taken[name] for name in self.folders if name != "office"}
        for name in self.folders:
            store = name.partition("-")[0]
            due_here = {till: cents for till, cents in due.items() if name == "office" or till.startswith(store)}
            found: dict[str, int] = {}

            def equal(name: str = name, due_here: dict[str, int] = due_here) -> bool:
                nonlocal found
                found = self.takings(name)
                return {till: found.get(till) for till in due_here} == due_here

            with contextlib.suppress(TownError):
                self.until(equal, "equal books")
            assert equal(), f"the books of {name} say {found}, acknowledged was {due_here}"
