"""Founding a company and enrolling its replicas, with keys that follow from the seed.

What is decided is ``crdt_pos.registrar``'s; only the folders, which are files in shops, are made up here.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from random import Random

from crdt_pos.directory import COMPANY_ROSTER, store_roster
from crdt_pos.folder import Folder, Settings
from crdt_pos.registrar import Registrar
from gossip.address import Address
from gossip.document import Document
from gossip.log import Arrival, Log, entries_of
from peers import certificates
from peers.certificates import Root
from peers.incarnation import next_incarnation
from peers.keys import SEALING_BYTES, SEED_BYTES, SealingKey, SecretKey
from peers.roster import Enrolment, ProgrammeRecord, Record, StoreRecord

_SETTINGS = Settings(Address("", 0), multicast=False)


class Company:
    """The root key, which is printed and kept in a safe, and whoever may enrol with it."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._root_key = self._key()
        # Not drawn from ``rng``: what is sealed is not part of what the seed decides.
        self.recovery_key = SealingKey(bytes(SEALING_BYTES - 1) + b"\x01")
        self.root: Root = certificates.create_root(self._root_key, "Simulated Shops", self.recovery_key.public)

    def first_office(self) -> Folder:
        """The folder of office a; ``state_beginning`` on its log comes next."""
        return self._office("a")

    def state_beginning(self, office: Folder, log: Log, stores: Iterable[int], now_ms: int) -> None:
        """What the roster begins with."""
        records: list[Record] = [Enrolment((office.certificate.der,)), ProgrammeRecord("points")]
        Registrar(office, log, now_ms).state(records)
        for store in stores:
            Registrar(office, log, now_ms).add_store(StoreRecord(store, legal_entity="Simulated Shops Ltd"))

    def add_office(self, office: Folder, log: Log, now_ms: int) -> Folder:
        """A further head office, enrolled at ``office``."""
        made = self._office(Registrar(office, log, now_ms).next_letter())
        Registrar(office, log, now_ms).add_office(made.chain)
        return made

    def enrol_till(self, office: Folder, log: Log, store: int, till: int, now_ms: int) -> Folder:
        """The next life of a till, enrolled at ``office``."""
        key = self._key()
        chain = Registrar(office, log, now_ms).enrol_till(store, till, key.public, again=True)
        return self._folder(f"{store}-{till}", key, chain)

    def issue_tills(self, office: Folder, store: int, tills: int) -> list[Folder]:
        """Keys and certificates for the first lives of a new store's tills; whoever calls it states them in the roster."""
        found: list[Folder] = []
        for till in range(1, tills + 1):
            key, life = self._key(), next_incarnation(office.certificate.letter, ())
            issued = certificates.issue_till(self.root, office.certificate, office.key, key.public, store, till, life)
            found.append(self._folder(issued.name, key, (issued.der, *office.chain)))
        return found

    def _office(self, letter: str) -> Folder:
        key = self._key()
        issued = certificates.issue_office(self.root, self._root_key, key.public, letter)
        return self._folder(issued.name, key, (issued.der,))

    def _folder(self, name: str, key: SecretKey, chain: tuple[bytes, ...]) -> Folder:
        certificate = certificates.verify_chain(chain, self.root)
        return Folder(Path("simulated") / name, _SETTINGS, key, chain, certificate, self.root)

    def _key(self) -> SecretKey:
        return SecretKey(self._rng.randbytes(SEED_BYTES))


def seed(log: Log, office: Folder, office_log: Log, stores: Iterable[int], now_ms: int) -> None:
    """What a new replica's log begins with: the roster, as the office has it."""
    seed_with(log, office, office_log, [COMPANY_ROSTER, *(store_roster(store) for store in stores)], now_ms)


def seed_with(log: Log, office: Folder, office_log: Log, rosters: Iterable[Document], now_ms: int) -> None:
    """The same with some roster documents only."""
    with office_log.read() as reader:
        entries = [stored.entry for document in rosters for stored in entries_of(reader, document)]
    log.append([Arrival(entry, office.certificate.author) for entry in entries], received_ms=now_ms)
