"""The world of a large run: a company founded at once, its stores' graphs, and streams that are dialled again when they die."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

from crdt_pos import catalogue_views
from crdt_pos.catalogue import price_change, product_changes
from crdt_pos.directory import load_directory, store_roster
from crdt_pos.folder import Folder
from crdt_pos.products import Price, Product
from crdt_pos.registrar import Registrar
from crdt_pos.schema import CATALOGUE, SCHEMA
from gossip.document import ScopeClass
from gossip.entry import Entry
from gossip.log import Arrival
from gossip.log_memory import MemoryLog, MemoryTable
from gossip.session import Session
from merge_rules.lattice import Author
from peers.permissions import Role
from peers.roster import Directory, Enrolment, Guarding, ProgrammeRecord, StoreRecord
from tools.simulation import company as founding
from tools.simulation.company import Company
from tools.simulation.disk import Disk, Image
from tools.simulation.heap import Heap, Life
from tools.simulation.large.layered import LayeredTable
from tools.simulation.large.plan import DAY_MS, LargePlan
from tools.simulation.large.quiet import LossyNetwork
from tools.simulation.large.real_disk import RealDisk
from tools.simulation.large.replica import LargeReplica, Shared, Verifier
from tools.simulation.large.spreading import Spreading
from tools.simulation.large.store import Store, StoreNeighbourhood
from tools.simulation.machine import DRIFT_PPM_MAX, Clock, Machine

BACKOFF_MIN_MS: Final = 250
BACKOFF_MAX_MS: Final = 30_000
DIAL_MS: Final = (1, 200)
SWITCHED_ON_MS: Final = 120_000
WIDE_AREA: Final = "wide area"
OFFICE: Final = "office-a"
OFFICE_DISK: Final = 0


@dataclass(slots=True)
class Traffic:
    """What sessions have sent."""

    messages: int = 0
    bytes: int = 0
    sessions: int = 0

    def add(self, session: Session) -> None:
        """Of one session's end."""
        self.messages += session.messages_sent
        self.bytes += session.bytes_sent
        self.sessions += 1


class LargeWorld:
    """Machines on a network, and what is noted of what they do."""

    def __init__(self, plan: LargePlan, told: Callable[[str], None], folder: Path | None = None) -> None:
        """``folder``: where those logs are that are on a real disk."""
        self.plan = plan
        self.folder = folder
        self.on_disk: set[int] = set()
        """The disks that are real."""
        self.rng = Random(plan.seed)  # noqa: S311  a run is a function of its seed
        self.heap = Heap()
        self.network = LossyNetwork(self.heap, self.rng, plan.loss)
        self.verifier = Verifier()
        self.spreading = Spreading(self._expected, OFFICE_DISK)
        self.own: dict[int, list[Entry]] = {}
        """By disk: what its replica wrote itself."""
        self.stores: dict[int, Store] = {}
        self.machines: dict[str, Machine] = {}
        self.founded = False
        self.over = Traffic()
        """Of sessions that are over."""
        self.day_ms = DAY_MS
        self._told = told
        self._numbers: dict[Author, int] = {}
        self._found()

    # --- what is noted -----------------------------------------------------------------------------------------------

    def written(self, disk: Disk, arrival: Arrival) -> None:
        """Implements ``disk.Inventory``."""
        told_by = arrival.received_from
        if told_by is None:
            self.own.setdefault(disk.number, []).append(arrival.entry)
        self.spreading.has(
            disk.number, arrival.entry, None if told_by is None else self._numbers.get(told_by), self.heap.now_ms
        )

    def _expected(self, entry: Entry) -> int:
        sizes = {
            ScopeClass.COMPANY: self.plan.replicas,
            ScopeClass.JOURNAL: self.plan.tills,
            ScopeClass.STORE: self.plan.tills + 1,
        }
        return sizes.get(entry.scope, 0) if self.founded else 0

    def traffic(self) -> Traffic:
        """Of all sessions, those that are over too. A session has two ends here."""
        found = replace(self.over)
        for machine in self.machines.values():
            for link in machine.replica.live if machine.replica is not None else ():
                found.add(link.session)
        return found

    @property
    def tills(self) -> list[Machine]:
        """Every till."""
        return [machine for machine in self.machines.values() if machine.folder.certificate.role is Role.TILL]

    @property
    def office(self) -> Machine:
        """The head office."""
        return self.machines[OFFICE]

    # --- founding ----------------------------------------------------------------------------------------------------

    def _found(self) -> None:
        plan, company = self.plan, Company(self.rng)
        folder, clock = company.first_office(), self._clock()
        disk = Disk(OFFICE_DISK, lambda: self.rng.randbytes(16), self)
        now_ms = clock.now_ms()
        stores = range(1, plan.stores + 1)
        records = (StoreRecord(store, legal_entity="Simulated Shops Ltd") for store in stores)
        registrar = Registrar(folder, disk, now_ms)
        # Vaults are of no interest here: nobody loses a disk.
        registrar.state([Enrolment((folder.certificate.der,)), ProgrammeRecord("points"), Guarding(0), *records])
        self._told(f"founding: {plan.stores} stores, {plan.stores * plan.tills} keys and certificates")
        folders = {store: company.issue_tills(folder, store, plan.tills) for store in stores}
        registrar.state_in((store_roster(store), [Enrolment(one.chain) for one in folders[store]]) for store in stores)
        with disk.read() as reader:
            directory = load_directory(reader, folder.root, [folder.chain])
        self._add(Machine(OFFICE, WIDE_AREA, folder, disk, clock))
        self.directory = directory
        company_log = MemoryLog(SCHEMA, b"company")
        founding.seed(company_log, folder, disk, (), now_ms)
        if plan.products:
            self._told(f"founding: a catalogue of {plan.products:,} products")
            _write_catalogue(disk, folder, plan.products, now_ms)
            with disk.read_all() as reader:
                entries = [one.entry for one in reader.arrivals(0, 1 << 30) if one.entry.document.kind == CATALOGUE]
                company_log.append([Arrival(one, folder.certificate.author) for one in entries], reader.views(b""))
        for store in stores:
            self._equip(Store(self, store), folders[store], company_log.image(), now_ms)
        self.founded = True

    def _equip(self, store: Store, folders: list[Folder], table: MemoryTable, now_ms: int) -> None:
        """Machines for the tills of a store; what their logs begin with is there once."""
        self.stores[store.number] = store
        log = MemoryLog(SCHEMA, b"store", table)
        founding.seed_with(log, self.office.folder, self.office.disk, [store_roster(store.number)], now_ms)
        below = log.image()
        for folder in folders:
            number, image = len(self.machines), Image(self.rng.randbytes(16), LayeredTable(below))
            if self.folder is not None and len(self.on_disk) < self.plan.on_disk:
                disk: Disk = RealDisk(number, self, self.folder / str(number), folder.root.company, log)
                self.on_disk.add(number)
            else:
                disk = Disk(number, lambda: self.rng.randbytes(16), self, image)
            machine = Machine(folder.certificate.name, store.place, folder, disk, self._clock())
            self._add(machine)
            store.tills[folder.certificate.author] = machine

    def _add(self, machine: Machine) -> None:
        self.machines[machine.name] = machine
        self.network.places[machine.name] = machine.place
        self._numbers[machine.folder.certificate.author] = machine.disk.number

    def _clock(self) -> Clock:
        return Clock(self.heap, self.rng.randint(-DRIFT_PPM_MAX, DRIFT_PPM_MAX), self.rng.randint(-90_000, 90_000))

    # --- starting and dialling ---------------------------------------------------------------------------------------

    def start(self) -> None:
        """All machines are switched on within a while, the head office first."""
        self._start(self.office, Shared(self.verifier, self.directory, self.plan.checkpoint_ms))
        for store in self.stores.values():
            shared = Shared(self.verifier, _of_store(self.directory, store.number), self.plan.checkpoint_ms)
            for machine in store.tills.values():
                begin = partial(self._start_till, machine, shared, store)
                self.heap.at(self.rng.randrange(SWITCHED_ON_MS), begin)

    def _start(self, machine: Machine, shared: Shared) -> LargeReplica:
        machine.life = Life()
        replica = LargeReplica(
            machine.folder, machine.disk, machine.clock.now_ms, self.heap, self.rng, machine.life, shared, self.over.add
        )
        machine.replica = replica
        return replica

    def _start_till(self, machine: Machine, shared: Shared, store: Store) -> None:
        replica = self._start(machine, shared)
        replica.neighbourhood = StoreNeighbourhood(self, store, machine)
        replica.start()
        me = machine.folder.certificate.author
        for other in sorted(store.neighbours(me)):
            if me < other:  # the other waits for that
                self.heap.spawn(self._keep(machine, store.tills[other]), machine.life)

    def dial_office(self, machine: Machine) -> None:
        """A till has a duty on the WAN."""
        self.heap.spawn(self._keep(machine, self.office), machine.life)

    async def _keep(self, machine: Machine, other: Machine) -> None:
        """Dial as long as there shall be a session, with pauses that grow."""
        heap, rng, attempt = self.heap, self.rng, 0
        here, there = machine.folder.certificate, other.folder.certificate
        while machine.replica is not None and machine.replica.neighbourhood is not None:
            if not machine.replica.neighbourhood.wants(there):
                return
            link = machine.replica.links.get(there.author)
            if link is None or link.session.ended:
                await heap.sleep(rng.randint(*DIAL_MS))
                wire = self.network.dial(machine.name, other.name) if other.running else None
                if wire is not None and other.replica is not None:
                    theirs = other.replica.talk(wire, 1, here, dialled=False)
                    link = machine.replica.talk(wire, 0, there, dialled=True)
                    theirs.begin()
                    link.begin()
            if link is not None:
                await link.over
                attempt = 0 if link.session.shared else attempt + 1
                self.stir(machine)
            else:
                attempt += 1
            pause_ms = min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** min(attempt, 10))
            await heap.sleep(int(pause_ms * rng.uniform(0.5, 1.5)))

    def stir(self, machine: Machine) -> None:
        """Something has changed at a till that its store hears of."""
        store = machine.folder.certificate.store
        if store is not None:
            self.stores[store].stir()

    def cut(self, paths: list[str]) -> None:
        """These paths are cut, with what runs over them."""
        self.network.sever_all(paths)
        for store in self.stores.values():
            store.stir()

    def mend(self, paths: list[str]) -> None:
        """And are there again."""
        for path in paths:
            self.network.mend(path)
        for store in self.stores.values():
            store.stir()


def _write_catalogue(disk: Disk, office: Folder, products: int, now_ms: int) -> None:
    """Names and prices of so many products."""
    changes = [
        change
        for number in range(1, products + 1)
        for change in (
            *product_changes(Product(number, f"product {number} of the shelf {number % 97}")),
            price_change(number, Price(50 + number * 37 % 1500)),
        )
    ]
    catalogue_views.append(disk, office.key, office.certificate.author, changes, now_ms)


def _of_store(directory: Directory, store: int) -> Directory:
    """What a till of a store knows of the roster: the company's, and its own store's."""
    chains = {author: chain for author, chain in directory.chains.items() if chain[0].store in (None, store)}
    return replace(directory, chains=chains, enrolled=directory.enrolled & chains.keys())
