"""A company for these tests: real folders, real certificates, real logs; entries are carried from log to log by hand."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from crdt_pos import catalogue, catalogue_views, journal, variances
from crdt_pos.catalogue_views import CatalogueProducts
from crdt_pos.directory import load_directory, numbered_as
from crdt_pos.enrolment import add_store, create_company, enrol_till
from crdt_pos.folder import Folder, Settings
from crdt_pos.identity import Identity, Now
from crdt_pos.money import Currency
from crdt_pos.products import Price, Product
from crdt_pos.requests import LineRequest, SaleRequest, TenderRequest
from crdt_pos.schema import SCHEMA
from crdt_pos.terms import Terms
from crdt_pos.till import Till
from gossip.address import Address
from gossip.entry import Entry
from gossip.log import Arrival, Log
from gossip.log_lmdb import LmdbLog
from peers.permissions import Role, readable_scopes
from peers.roster import StoreRecord

DATE = datetime.date(2026, 11, 20)
NOON_MS = 1_795_176_000_000
"""2026-11-20 12:00 UTC."""
DAY_MS = 86_400_000
SETTINGS = Settings(Address("127.0.0.1", 0))

MILK, BREAD, TEA = 1, 2, 3
PRODUCTS = (
    Product(MILK, "Whole milk 1 l", prices=(Price(119),), tax_code=1, department="Dairy"),
    Product(BREAD, "Rye bread", prices=(Price(250),), tax_code=1, department="Bakery"),
    Product(TEA, "Tea", "g", 0, (Price(2),), tax_code=2, department="Grocery"),
)
CODES = {MILK: "4006381333931", BREAD: "4012345678901"}


@dataclass
class Clock:
    """Goes on by a second whenever it is read."""

    ms: int = NOON_MS

    def __call__(self) -> Now:
        self.ms += 1000
        return Now(self.ms, 0)


@dataclass
class Replica:
    """A folder, its open log and, of a till, the till."""

    folder: Folder
    log: Log
    clock: Clock
    till: Till = field(init=False)

    @property
    def identity(self) -> Identity:
        own = self.folder.certificate
        return Identity(
            self.folder.key, own.author, own.store or 0, own.till or 0, own.incarnation, self.folder.root.company
        )

    def entries(self) -> list[Entry]:
        with self.log.read() as reader:
            return [stored.entry for stored in reader.arrivals(0, 1_000_000)]

    def tell(self, other: Replica, currency: str = "EUR") -> None:
        """Everything that ``other`` may read arrives there, with what is derived from it."""
        own = other.folder.certificate
        readable = readable_scopes(own.role, own.store, frozenset({12, 13}))
        with self.log.read() as reader:
            entries = [entry for entry in self.entries() if reader.scopes(entry) & readable]
        other.receive(entries, self, currency)

    def receive(self, entries: Iterable[Entry], sender: Replica, currency: str = "EUR") -> None:
        arrivals = [Arrival(entry, sender.folder.certificate.author) for entry in entries]
        now_ms = self.clock.ms
        with self.log.read() as reader:
            directory = load_directory(reader, self.folder.root, [self.folder.chain, sender.folder.chain])
            views = journal.derive(reader, arrivals, partial(numbered_as, directory))
            views += catalogue_views.derive(reader, arrivals)
            own: list[Arrival] = []
            if self.folder.certificate.role is Role.TILL:
                own = variances.derive(reader, arrivals, self.identity, currency, now_ms, now_ms << 16)
        self.log.append([*arrivals, *own], views, received_ms=now_ms)

    def write_catalogue(self, changes: Iterable[catalogue.Change]) -> None:
        own = self.folder.certificate
        with self.log.read() as reader:
            entries = catalogue.write(reader, self.folder.key, own.author, changes, self.clock().ms << 16)
            views = catalogue_views.derive(reader, [Arrival(entry) for entry in entries])
        self.log.append([Arrival(entry) for entry in entries], views)


@dataclass
class Company:
    """A head office and tills."""

    path: Path
    office: Replica
    tills: dict[str, Replica] = field(default_factory=dict)

    @classmethod
    def found(
        cls, path: Path, tills: Iterable[str] = ("12-1", "12-2"), currencies: dict[int, str] | None = None
    ) -> Company:
        """Stores with their tills, all open on ``DATE``, with the catalogue."""
        currencies = currencies or {12: "EUR"}
        folder = create_company("Corner Shops", path / "office", SETTINGS, NOON_MS)
        for store, currency in currencies.items():
            add_store(folder, StoreRecord(store, legal_entity=f"Shop {currency} Ltd", currency=currency), NOON_MS)
        folders = {
            name: enrol_till(folder, *map(int, name.split("-")), path / name, SETTINGS, NOON_MS) for name in tills
        }
        company = cls(path, _opened(folder))
        for product in PRODUCTS:
            codes = [CODES[product.id]] if product.id in CODES else []
            company.office.write_catalogue(catalogue.product_changes(product, codes))
        company.office.write_catalogue([catalogue.tax_change(1, 70_000), catalogue.tax_change(2, 190_000)])
        for name, one in folders.items():
            replica = company.tills[name] = _opened(one)
            company.office.tell(replica)
            currency = currencies[int(name.split("-")[0])]
            replica.till = Till(
                replica.log,
                replica.identity,
                replica.clock,
                products=CatalogueProducts(currency),
                terms=Terms(f"Shop {currency} Ltd", Currency(currency, 2)),
            )
            replica.till.open_date(DATE)
        return company

    def gather(self) -> None:
        """Every till's summaries arrive at the office."""
        for replica in self.tills.values():
            replica.tell(self.office)

    def close_logs(self) -> None:
        for replica in (self.office, *self.tills.values()):
            replica.log.close()

    @contextmanager
    def reopened(self, replica: Replica):
        """The same log, from the disk alone."""
        replica.log.close()
        replica.log = LmdbLog.open(replica.folder.log_path, SCHEMA, replica.folder.root.company)
        yield replica.log


def _opened(folder: Folder) -> Replica:
    return Replica(folder, LmdbLog.open(folder.log_path, SCHEMA, folder.root.company), Clock())


def basket(*products: int, quantity: int = 1, tender: str = "card", cents: int = 0) -> SaleRequest:
    """A sale of one each, paid exactly."""
    lines = tuple(LineRequest(product, quantity) for product in products)
    return SaleRequest(lines, (TenderRequest(tender, cents),) if cents else ())
