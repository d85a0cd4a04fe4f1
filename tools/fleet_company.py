"""A company with a fleet of tills in at most 96 stores, all enrolled at its head office before anything is measured.

One till of each store is its gateway, which has files for TLS beside the office; the others are keys and certificates.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from crdt_pos import enrolment
from crdt_pos import folder as folders
from crdt_pos.clock import system_ms
from crdt_pos.directory import COMPANY_ROSTER
from crdt_pos.folder import Folder, Settings
from crdt_pos.registrar import Registrar
from crdt_pos.schema import ROSTER_STORE
from gossip.address import Address
from gossip.log import Arrival, Log, entries_of
from peers import certificates
from peers.keys import SecretKey
from peers.roster import StoreRecord
from tools.fleet_plan import FLEET
from tools.fleet_till import FleetTill
from tools.fleet_unit import ENTITY
from tools.town import LOOPBACK

STORES_MAX: Final = 96


@dataclass(frozen=True, slots=True)
class Company:
    """A head office that nobody runs yet, and the tills that it holds the certificates of, by store."""

    at: Path
    office: Folder
    stores: dict[int, list[FleetTill]]

    @property
    def tills(self) -> int:
        """How many there are."""
        return sum(map(len, self.stores.values()))

    def fresh_office(self, name: str) -> Folder:
        """A new folder for the same head office, with nothing in it but the roster: what is left when its disk is lost."""
        old = self.office
        made = folders.create_folder(self.at / name, old.settings, old.key, old.chain, old.root)
        with enrolment.open_log(old) as log, log.read() as reader:
            rosters = [COMPANY_ROSTER, *reader.documents(ROSTER_STORE)]
            entries = [stored.entry for document in rosters for stored in entries_of(reader, document)]
        with made.held(), enrolment.open_log(made) as log:
            log.append([Arrival(entry) for entry in entries], received_ms=system_ms())
        return made


def found(at: Path, tills: int) -> Company:
    """Found the company at ``at``, with a head office that listens on a port of its own."""
    with socket.create_server((LOOPBACK, 0)) as free:
        port = free.getsockname()[1]
    settings = Settings(Address(LOOPBACK, port), multicast=False)
    office = enrolment.create_company("Fleet", at / "office", settings, system_ms())
    with office.held(), enrolment.open_log(office) as log:
        stores = _enrolled(office, log, tills)
    return Company(at, office, stores)


def _enrolled(office: Folder, log: Log, tills: int) -> dict[int, list[FleetTill]]:
    stores = range(1, min(STORES_MAX, tills) + 1)
    registrar = Registrar(office, log, system_ms())
    registrar.state([StoreRecord(store, legal_entity=ENTITY) for store in stores])
    places = list(_places(tills, len(stores)))
    keys = [SecretKey.generate() for _ in places]
    wanted = [(store, till, key.public) for (store, till), key in zip(places, keys, strict=True)]
    chains = registrar.enrol_tills(wanted)
    by_store: dict[int, list[FleetTill]] = {store: [] for store in stores}
    gateways: list[dict[str, object]] = []
    at = office.path.parent / "gateways"
    at.mkdir()
    certificates.save_certificates(at / "root.pem", [office.root.der])
    for number, ((store, till, public), key, chain) in enumerate(zip(wanted, keys, chains, strict=True)):
        author = certificates.parse(chain[0]).author
        by_store[store].append(FleetTill(number, store, author, key.seed, public))
        if till == 1:
            certificates.save_key(at / f"{store}.key", key)
            certificates.save_certificates(at / f"{store}.pem", chain)
            gateways.append({"store": store, "author": author.hex()})
    said = {"company": office.root.company.hex(), "address": str(office.settings.listen), "gateways": gateways}
    (at / FLEET).write_text(json.dumps(said))
    return by_store


def _places(tills: int, stores: int) -> Iterator[tuple[int, int]]:
    """Store and number of every till: one after the other, so that the stores are alike."""
    for number in range(tills):
        yield number % stores + 1, number // stores + 1
