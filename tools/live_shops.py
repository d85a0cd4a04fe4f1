"""The shops behind ``crdt-pos demo --live``: a cabled town in which customers keep buying, and everything can be broken by hand.

What is shown is asked of the replicas and read from their folders; the truth is the sum of what was acknowledged, counted here.
"""

from __future__ import annotations

import contextlib
import datetime
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from crdt_pos import catalogue
from crdt_pos.books import Query
from crdt_pos.errors import FolderError, NothingHere
from crdt_pos.folder import Folder
from crdt_pos.guardians import guardians_of
from crdt_pos.journal import find
from crdt_pos.local import ConnectionLost, LocalClient, LocalRefused, NotRunning
from crdt_pos.looking import look
from crdt_pos.receipt_text import receipt_text
from gossip.errors import LogError
from peers.roster import StoreRecord
from tools.cabled import Cabled
from tools.practice_shop import RATES_PPM, SHELF
from tools.reckoning import read_books
from tools.town import TownError

COMPANY: Final = "Corner Shops"
CURRENCY: Final = "EUR"
STORES: Final = (1, 2, 3)
TILLS: Final = 2
MILK: Final = SHELF[0][0]
DATE: Final = datetime.date(2026, 11, 22)
PUBLISH_S: Final = 2.0
CUSTOMER_S: Final = 1.5
VAULT_EVERY_S: Final = 2
"""A person at the keyboard shall not have to wait for a minute before what was sold is safe outside of the store."""

RUNS, KILLED, BURNT, STARTING = "runs", "killed", "burnt", "starting"


@dataclass(frozen=True, slots=True)
class View:
    """One replica as it is now; money in cents."""

    name: str
    state: str
    peers: frozenset[str] = frozenset()
    takings_minor: dict[int, int] = field(default_factory=dict[int, int])
    """Per store, by its own books."""
    waiting: int = 0
    """How many of its acts nobody else holds yet."""


@dataclass(frozen=True, slots=True)
class Proof:
    """A receipt, found at another replica than the one that gave it."""

    text: str
    number: str
    at: str
    signed_by: str
    genuine: bool


class LiveShops:
    """The town. Acts and looks may come from different threads; acts wait for each other."""

    def __init__(self, at: Path, stores: Sequence[int] = STORES) -> None:
        records = [StoreRecord(store, legal_entity=f"{COMPANY} Ltd", currency=CURRENCY) for store in stores]
        self.stores = stores
        self.town = Cabled.found(at, COMPANY, records, TILLS, vault_every_s=VAULT_EVERY_S)
        changes = [catalogue.tax_change(code, rate) for code, rate in RATES_PPM.items()]
        for product, code in SHELF:
            changes += catalogue.product_changes(product, [code])
        self.town.town.write_catalogue(changes)
        self.names = ["office-a", *(f"{store}-{till}" for store in stores for till in range(1, TILLS + 1))]
        """As they are shown. A head office keeps its place when it is rebuilt under another name."""
        self.truth: Counter[int] = Counter()
        """Acknowledged sales per store, in cents."""
        self.sold: Counter[str] = Counter()
        self.receipt: tuple[str, str] | None = None
        """The last that was printed for the person at the keyboard: number, till."""
        self._states = dict.fromkeys(self.names, STARTING)
        self._acting = threading.RLock()
        self._folders = threading.Lock()
        """A folder's log is open once in a process."""
        self._watching: dict[str, LocalClient] = {}
        self._asking = threading.Lock()
        """A connection is used by one thread at a time."""
        self._opened: set[Path] = set()
        self._random = random.Random(7)  # noqa: S311  which customer comes next

    # --- acts --------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start everything and open every till."""
        self._start(*self.names)
        self.town.together()

    def close(self) -> None:
        """Stop everything."""
        with self._acting:
            for client in self._watching.values():
                client.close()
            self.town.close()

    def sell(self, till: str, product: int = MILK.id, *, mine: bool = False) -> str:
        """Sell one piece; the words for it. ``mine``: it is the receipt of the person at the keyboard."""
        with self._acting:
            receipt = self.town.call(till, "sell", lines=[{"product": product, "quantity": 1}])["receipt"]
            self.truth[int(till.partition("-")[0])] += receipt["due_minor"]
            self.sold[till] += 1
            if mine:
                self.receipt = receipt["number"], till
        return f"{till} sold {receipt['lines'][0]['name']}: receipt {receipt['number']}"

    def customer(self) -> str:
        """Somebody comes to a till that runs; empty if nobody could be served."""
        if not self._acting.acquire(blocking=False):
            return ""
        try:
            tills = [name for name in self.names[1:] if self._states[name] == RUNS]
            if not tills:
                return ""
            return self.sell(self._random.choice(tills), self._random.choice(SHELF[:6])[0].id)
        except (LocalRefused, NotRunning, ConnectionLost):
            return ""
        finally:
            self._acting.release()

    def publish(self) -> None:
        """Every till says what it took so far, as it does by itself once a minute."""
        if not self._acting.acquire(blocking=False):
            return
        try:
            for name in self.names[1:]:
                if self._states[name] == RUNS:
                    with contextlib.suppress(LocalRefused, NotRunning, ConnectionLost):
                        self.town.call(name, "publish")
        finally:
            self._acting.release()

    def cable(self, till: str) -> str:
        """Pull or plug the cable between the tills of a store."""
        store = till.partition("-")[0]
        ends = (f"{store}-1", f"{store}-2")
        with self._acting:
            return self._toggle(*ends)

    def line(self, till: str) -> str:
        """Cut or mend a store's line to head office."""
        store = int(till.partition("-")[0])
        with self._acting:
            if self.is_cut(f"{store}-1", self.names[0]):
                self.town.mend_wan(store)
                return f"Store {store}'s line to head office is mended."
            self.town.sever_wan(store)
            return f"Store {store}'s line to head office is cut."

    def _toggle(self, one: str, other: str) -> str:
        if self.is_cut(one, other):
            self.town.mend(one, other)
            return f"The cable between {one} and {other} is plugged in."
        self.town.sever(one, other)
        return f"The cable between {one} and {other} is pulled."

    def kill(self, name: str) -> str:
        """SIGKILL, or start again."""
        with self._acting:
            if self._states[name] == KILLED:
                self._start(name)
                return f"{name} runs again."
            self._need(name, RUNS)
            self._forget(name)
            self._states[name] = KILLED
            self.town.kill(name)
        return f"{name} is killed (SIGKILL)."

    def burn(self, name: str) -> str:
        """SIGKILL, and the disk is gone."""
        with self._acting:
            if self._states[name] == BURNT:
                raise TownError(f"{name} has burnt already: r recovers it.")
            self._forget(name)
            self._states[name] = BURNT
            self.town.burn(name)
        return f"{name} has burnt: its folder is gone."

    def recover(self, name: str) -> str:
        """Another life: a till joins again and is healed by whoever is left; a store of which no till is left gets back what
        its guardians keep sealed; a head office is rebuilt from the stores."""
        with self._acting:
            self._need(name, BURNT)
            if name == self.names[0]:
                told = self.town.rebuild(name)
                self.names[0] = name = told["office"]
                self._states[name] = STARTING
            else:
                if self._states[self.names[0]] != RUNS:
                    raise TownError(
                        "Only a head office gives a till another life: start it (k) or recover it (r) first."
                    )
                store, till = map(int, name.split("-"))
                burnt = [one for one in self._store(store) if self._states[one] == BURNT]
                if len(burnt) == TILLS:
                    return self._recover_store(store, burnt)
                self._states[name] = STARTING
                with self._folders:
                    self.town.enrol(store, till, again=True)
            self._start(name)
        return f"{name} is back, in another life, and takes back what others hold."

    def _recover_store(self, store: int, tills: Sequence[str]) -> str:
        with self._folders, look(self.town.folders[self.names[0]].path) as looked:
            keeps = guardians_of(store, looked.directory)
        guardian = next((one for keeper in keeps for one in self._store(keeper) if self._states[one] == RUNS), "")
        if not guardian:
            names = " and ".join(str(one) for one in keeps)
            raise TownError(f"No till runs in stores {names}, which keep what store {store} had sealed.")
        for name in tills:
            self._states[name] = STARTING
        with self._folders:
            told = self.town.recover_store(store, tills, [guardian])
        self._start(*tills)
        return (
            f"Store {store} is back: {told['receipts']} receipts out of {told['segments']} segments that {guardian} kept "
            "sealed, opened with the key from the safe."
        )

    def _store(self, store: int) -> list[str]:
        return [name for name in self.names[1:] if name.startswith(f"{store}-")]

    def _start(self, *names: str) -> None:
        for name in names:
            self._states[name] = STARTING
        self.town.start(*names)
        for name in names:
            if name != self.names[0]:
                self._open(name)
            self._states[name] = RUNS

    def _open(self, till: str) -> None:
        path = self.town.folders[till].path
        if path not in self._opened:
            self.town.until(lambda: self._has_milk(till), f"Giving {till} the catalogue")
            self.town.call(till, "open", date=DATE.isoformat(), float_minor=10_000)
            self._opened.add(path)

    def _has_milk(self, till: str) -> bool:
        try:
            return bool(self.town.call(till, "product", product=MILK.id))
        except LocalRefused:
            return False

    def _need(self, name: str, state: str) -> None:
        if self._states[name] != state:
            raise TownError(f"{name} {_WORDS[self._states[name]]}.")

    def _forget(self, name: str) -> None:
        with self._asking:
            client = self._watching.pop(name, None)
            if client is not None:
                client.close()

    # --- looks -------------------------------------------------------------------------------------------------------

    def is_cut(self, one: str, other: str) -> bool:
        """Whether the cable between two is pulled."""
        return (one, other) in self.town.cut or (other, one) in self.town.cut

    def views(self) -> list[View]:
        """Every replica as it is now."""
        return [self._view(name) for name in list(self.names)]

    def _view(self, name: str) -> View:
        state = self._states.get(name, STARTING)
        folder = self.town.folders.get(name)
        if state != RUNS or folder is None:
            return View(name, state)
        try:
            with self._asking:
                peers, waiting = self._ask(name, folder)
        except (NotRunning, ConnectionLost, LocalRefused):
            self._forget(name)
            return View(name, self._states.get(name, state))
        takings: Counter[int] = Counter()
        with self._folders, contextlib.suppress(NothingHere, FolderError, LogError, OSError):
            for account in read_books(folder, Query(DATE, DATE)).accounts:
                for day in account.days:
                    takings[int(day.name.partition("-")[0])] += day.day.takings_minor
        return View(name, state, peers, dict(takings), waiting)

    def _ask(self, name: str, folder: Folder) -> tuple[frozenset[str], int]:
        if self._states[name] != RUNS:
            raise NotRunning(folder.path)
        if name not in self._watching:
            self._watching[name] = LocalClient(folder.path)
        client = self._watching[name]
        office = name == self.names[0]
        said = client.call("status" if office else "connections")
        waiting = 0 if office else client.call("status")["safe"]["waiting"]
        return frozenset(session["peer"] for session in said["sessions"]), waiting

    def prove(self, at: str) -> Proof:
        """The last receipt of the person at the keyboard, from the folder of another till, its signature verified there.

        Raises ``TownError`` with a sentence.
        """
        if self.receipt is None:
            raise TownError("You have not bought anything yet: s sells you a bottle of milk.")
        number, _ = self.receipt
        folder = self.town.folders.get(at)
        if folder is None:
            raise TownError(f"{at} {_WORDS[self._states[at]]}: choose its neighbour.")
        try:
            with self._folders, look(folder.path) as looked, looked.log.read() as reader:
                found = find(reader, number)
                if found is None:
                    raise TownError(f"{at} does not hold receipt {number}: receipts stay in their store.")
                certificate = looked.directory.certificate(found.entry.author)
                genuine = certificate is not None and found.entry.verify(certificate.public_key)
                return Proof(receipt_text(found.receipt), number, at, looked.name_of(found.entry.author), genuine)
        except (FolderError, LogError, OSError) as error:
            raise TownError(f"{at} cannot be read now: {error}") from error


_WORDS: Final = {
    RUNS: "runs",
    KILLED: "is killed: k starts it",
    BURNT: "has burnt: r recovers it",
    STARTING: "is starting",
}


def keep_buying(shops: LiveShops, stop: threading.Event, say: Callable[[str], None], paused: threading.Event) -> None:
    """Customers come until ``stop``; once in a while every till publishes."""
    published_s = time.monotonic()
    while not stop.wait(CUSTOMER_S):
        if not paused.is_set():
            said = shops.customer()
            if said:
                say(said)
        if time.monotonic() - published_s > PUBLISH_S:
            published_s = time.monotonic()
            shops.publish()
