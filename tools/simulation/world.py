"""The simulated world: machines on a network, who dials whom, and a trace of what happens."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from random import Random
from typing import Final

from merge_rules.lattice import Author
from peers.permissions import Role
from tools.simulation import company
from tools.simulation.cashier import ask_again
from tools.simulation.company import Company
from tools.simulation.disk import Disk, Image
from tools.simulation.heap import Heap
from tools.simulation.ledger import Ledger
from tools.simulation.machine import DRIFT_PPM_MAX, Clock, Machine
from tools.simulation.network import Network
from tools.simulation.plan import Plan

BACKOFF_MIN_MS: Final = 250
BACKOFF_MAX_MS: Final = 30_000
STEADY_MS: Final = 5_000
SHORT_MAX: Final = 4
DIAL_MS: Final = (1, 200)
TELLING_MS: Final = 8_000
"""What a peer held when a session began is told in so long."""
WIDE_AREA: Final = "wide area"


class World:
    """One run's machines."""

    def __init__(self, plan: Plan, told: Callable[[str], None]) -> None:
        self.rng = Random(plan.seed)  # noqa: S311  a run is a function of its seed
        self.heap = Heap()
        self.ledger = Ledger(lambda: self.heap.now_ms, self._could_tell)
        self.network = Network(self.heap, self.rng, self._heard)
        self.company = Company(self.rng)
        self.machines: dict[str, Machine] = {}
        self.violations: list[str] = []
        self.lost_disks = 0
        self.peace = False
        """Nothing breaks any more, whatever was about to."""
        self._told = told
        self._trace = hashlib.sha256()
        self._disks = 0
        self._requests = 0
        rng = self.rng
        self.by_duty = rng.random() < 0.5
        """Whether tills talk with head offices by duty, two of a store; else all do."""
        stores = range(1, 1 + (plan.stores or rng.randint(3, 5)))
        self.stores = tuple(stores)
        self._found(plan.offices or rng.randint(1, 2))
        for store in self.stores:
            for till in range(1, 1 + rng.randint(1, plan.tills or 3)):
                self._enrol_first(store, till)

    # --- what is seen from outside ---------------------------------------------------------------------------------------

    @property
    def trace(self) -> str:
        """A hash over everything that happened: words, and every byte that arrived."""
        return self._trace.hexdigest()

    def tell(self, text: str) -> None:
        """Note what happens."""
        self._trace.update(f"{self.heap.now_ms} {text}\n".encode())
        self._told(f"{self.heap.now_ms / 1000:9.3f}  {text}")

    def violated(self, text: str) -> None:
        """Something is wrong."""
        if text not in self.violations:
            self.violations.append(text)
            self.tell(f"WRONG: {text}")

    def _heard(self, ends: tuple[str, str], end: int, octets: bytes) -> None:
        self._trace.update(f"{self.heap.now_ms} {ends} {end} ".encode() + octets)

    # --- machines --------------------------------------------------------------------------------------------------------

    def tills(self, *, running: bool = False) -> list[Machine]:
        """Every till that is not burnt, liars too."""
        found = (one for one in self.machines.values() if one.folder.certificate.role is Role.TILL and not one.burnt)
        return [one for one in found if one.running or not running]

    def offices(self, *, running: bool = False) -> list[Machine]:
        """Every head office that is not burnt."""
        found = (one for one in self.machines.values() if one.folder.certificate.role is Role.OFFICE and not one.burnt)
        return [one for one in found if one.running or not running]

    def start(self, machine: Machine) -> None:
        """Start a machine's process: it dials whom it wants, and its cashiers ask again."""
        self.tell(f"{machine.name} starts")
        machine.began_ms = self.heap.now_ms
        machine.start(self.heap, self.rng, self.tell, by_duty=self.by_duty)
        for other in list(self.machines.values()):
            if self._wants(machine, other):
                self.heap.spawn(self._keep(machine, other), machine.life)
        if machine.unanswered:
            self.heap.spawn(ask_again(self, machine), machine.life)

    def kill(self, machine: Machine) -> None:
        """End a machine's process without a word."""
        self.tell(f"{machine.name} is killed")
        machine.kill(self.rng)
        self.network.unplug(machine.name)

    def burn(self, machine: Machine) -> None:
        """Destroy a machine's disk."""
        self.tell(f"{machine.name} burns")
        machine.kill(self.rng)
        self.network.unplug(machine.name)
        self.ledger.lost(machine.disk)
        machine.unanswered.clear()
        machine.image = None
        machine.burnt = True
        self.lost_disks += 1

    def enrol_again(self, machine: Machine) -> bool:
        """A new disk and a new life for a burnt machine; false if no head office can be asked now."""
        office = next((one for one in self.offices(running=True) if one is not machine), None)
        if office is None:
            return False
        if office.disk.full:
            return False
        now_ms, certificate = office.clock.now_ms(), machine.folder.certificate
        if certificate.role is Role.OFFICE:
            machine.folder = self.company.add_office(office.folder, office.disk, now_ms)
            stores = self.stores
        else:
            assert certificate.store is not None
            assert certificate.till is not None
            machine.folder = self.company.enrol_till(
                office.folder, office.disk, certificate.store, certificate.till, now_ms
            )
            stores = (certificate.store,)
        machine.disk = self.empty_disk()
        machine.burnt = False
        self.ledger.enrolled(machine.folder.certificate)
        company.seed(machine.disk, office.folder, office.disk, stores, now_ms)
        assert office.replica is not None
        office.replica.roster_changed()
        office.replica.wake()
        self.tell(f"{machine.name} is enrolled again as {machine.folder.certificate.incarnation}")
        self.start(machine)
        return True

    def next_id(self) -> str:
        """An id for a request."""
        self._requests += 1
        return f"wish-{self._requests}"

    def name(self, author: Author) -> str:
        """Whose an author is, for people."""
        return self.ledger.names.get(author, author.hex())

    # --- within ----------------------------------------------------------------------------------------------------------

    def _found(self, offices: int) -> None:
        folder, disk = self.company.first_office(), self.empty_disk()
        clock = self._clock()
        self.company.state_beginning(folder, disk, self.stores, clock.now_ms())
        first = Machine("office-a", WIDE_AREA, folder, disk, clock)
        self._add(first)
        for letter in "bc"[: offices - 1]:
            clock, disk = self._clock(), self.empty_disk()
            folder = self.company.add_office(first.folder, first.disk, clock.now_ms())
            company.seed(disk, first.folder, first.disk, self.stores, clock.now_ms())
            self._add(Machine(f"office-{letter}", WIDE_AREA, folder, disk, clock))

    def _enrol_first(self, store: int, till: int) -> None:
        office, clock, disk = self.machines["office-a"], self._clock(), self.empty_disk()
        folder = self.company.enrol_till(office.folder, office.disk, store, till, office.clock.now_ms())
        company.seed(disk, office.folder, office.disk, (store,), clock.now_ms())
        self._add(Machine(f"{store}-{till}", f"store {store}", folder, disk, clock))

    def _add(self, machine: Machine) -> None:
        self.machines[machine.name] = machine
        self.network.places[machine.name] = machine.place
        self.ledger.enrolled(machine.folder.certificate)

    def copy_disk(self, machine: Machine) -> None:
        """Keep an image of a machine's disk."""
        machine.image = machine.disk.image(), dict(self.ledger.disks[machine.disk.number])

    def set_back(self, machine: Machine) -> None:
        """A machine is killed, its disk set back to the image that was kept, and started."""
        assert machine.image is not None
        self.kill(machine)
        self.tell(f"the disk of {machine.name} is set back")
        image, content = machine.image
        machine.image = None
        machine.unanswered.clear()
        self.ledger.lost(machine.disk)
        machine.disk = self.empty_disk(image)
        self.ledger.disks[machine.disk.number] = content
        self.ledger.is_set_back(machine.folder.certificate.author, content)
        self.start(machine)

    def empty_disk(self, image: Image | None = None) -> Disk:
        """A new disk, with what an image holds."""
        self._disks += 1
        disk = Disk(self._disks, lambda: self.rng.randbytes(16), self.ledger, image)
        self.ledger.disks[disk.number] = {}
        return disk

    def _clock(self) -> Clock:
        drift_ppm = self.rng.randint(-DRIFT_PPM_MAX, DRIFT_PPM_MAX)
        return Clock(self.heap, drift_ppm, self.rng.randint(-90_000, 90_000))

    def _wants(self, machine: Machine, other: Machine) -> bool:
        if other is machine:
            return False
        return other.place in (machine.place, WIDE_AREA)

    def _could_tell(self, author: Author, disk: int, since_ms: int) -> bool:
        own = next((one for one in self.machines.values() if one.folder.certificate.author == author), None)
        holder = next((one for one in self.machines.values() if one.disk.number == disk), None)
        if own is None or own.replica is None or holder is None or not holder.honest:
            return False
        now_ms = self.heap.now_ms
        link = own.replica.links.get(holder.folder.certificate.author)
        if link is not None and link.session.shared:
            return since_ms <= link.began_ms and now_ms - link.began_ms > TELLING_MS
        # A neighbour that has long been there, over a path that nothing has happened to, is heard before the first act.
        quiet = now_ms - max(self.network.changed_ms, holder.began_ms) > TELLING_MS
        near = own.place == holder.place and holder.running and self.network.reaches(own.name, holder.name)
        return near and quiet and since_ms <= own.began_ms

    async def _keep(self, machine: Machine, other: Machine) -> None:
        """``gossip.dialling`` in short: dial for ever, with pauses that grow."""
        heap, rng, attempt = self.heap, self.rng, 0
        await heap.sleep(rng.randrange(1_500))
        while True:
            assert machine.replica is not None
            neighbourhood = machine.replica.neighbourhood
            link = machine.replica.links.get(other.folder.certificate.author)
            if link is None and neighbourhood is not None and not neighbourhood.wants(other.folder.certificate):
                await heap.sleep(BACKOFF_MIN_MS)
                attempt = 0
                continue
            if link is not None:
                await link.over
                attempt = 0
            else:
                began_ms, shared = heap.now_ms, False
                await heap.sleep(rng.randint(*DIAL_MS))
                wire = self.network.dial(machine.name, other.name) if other.running else None
                if wire is not None and other.replica is not None:
                    there = other.replica.talk(wire, 1, machine.folder.certificate, dialled=False)
                    here = machine.replica.talk(wire, 0, other.folder.certificate, dialled=True)
                    there.begin()
                    here.begin()
                    await here.over
                    shared = bool(here.session.shared)
                if not shared:
                    attempt += 1
                else:
                    attempt = min(attempt + 1, SHORT_MAX) if heap.now_ms - began_ms < STEADY_MS else 0
            pause_ms = min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** min(attempt, 10))
            await heap.sleep(int(pause_ms * rng.uniform(0.5, 1.5)))
