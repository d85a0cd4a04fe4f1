"""Store 12 of a company on paper: replicas with real certificates on logs in memory, which tell each other all when told to."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field

from crdt_pos import journal
from crdt_pos.cashiers import Cashiers
from crdt_pos.identity import Identity, Now
from crdt_pos.schema import SCHEMA
from crdt_pos.till import Till
from crdt_pos.verify import Report, verify
from gossip.ingest import AuthorRecord, check
from gossip.log_memory import MemoryLog
from merge_rules.lattice import Author
from peers import certificates
from peers.certificates import Certificate
from peers.keys import PassphraseCost, SealingKey, SecretKey
from peers.permissions import Role
from peers.roster import Directory, Enrolment, Revocation, StoreRecord, element

CHEAP = PassphraseCost(1, 8192)
STORE = 12
DATE = datetime.date(2026, 11, 20)
NOON_MS = 1_795_176_000_000


@dataclass
class Company:
    """The root, one office, and who was enrolled."""

    root_key: SecretKey = field(default_factory=SecretKey.generate)
    office_key: SecretKey = field(default_factory=SecretKey.generate)

    def __post_init__(self) -> None:
        self.root = certificates.create_root(self.root_key, "Acme", SealingKey.generate().public)
        self.office = certificates.issue_office(self.root, self.root_key, self.office_key.public, "a")
        self.elements: list[object] = [element(StoreRecord(STORE)), element(Enrolment((self.office.der,)))]
        self.clock_ms = NOON_MS
        self.directory = Directory.build(self.root, self.elements)
        self.given = 0

    def now_ms(self) -> int:
        self.clock_ms += 10
        return self.clock_ms

    def revoke(self, author: Author) -> None:
        """The roster names it."""
        self.elements.append(element(Revocation(author)))
        self.directory = Directory.build(self.root, self.elements)

    def place(self, role: Role = Role.TILL, number: int = 1, store: int = STORE) -> Place:
        """A replica, enrolled."""
        self.given += 1
        key, life = SecretKey.generate(), f"a{self.given}"
        given = self.root, self.office, self.office_key, key.public, store, number, life
        if role is Role.OFFICE:
            return Place(self, self.office_key, self.office)
        issue = certificates.issue_till if role is Role.TILL else certificates.issue_manager
        issued = issue(*given)
        self.elements.append(element(Enrolment((issued.der, self.office.der))))
        self.directory = Directory.build(self.root, self.elements)
        return Place(self, key, issued)


class Place:
    """One replica."""

    def __init__(self, company: Company, key: SecretKey, me: Certificate) -> None:
        self.company, self.key, self.me = company, key, me
        self.log = MemoryLog(SCHEMA)
        self.restart()

    def restart(self) -> None:
        """What a new process finds."""
        me, company = self.me, self.company
        store = STORE if me.store is None else me.store
        self.cashiers = Cashiers(
            self.log, self.key, me.author, me.role, store, lambda: company.directory, company.now_ms, CHEAP
        )
        identity = Identity(self.key, me.author, store, me.till or 1, me.incarnation, me.company)
        self.till = Till(self.log, identity, lambda: Now(company.now_ms(), 0), acting=self.cashiers.acting)

    def tell(self, *others: Place) -> None:
        """Everything that is here arrives there, checked as from a peer."""
        with self.log.read() as reader:
            entries = [stored.entry for stored in reader.arrivals(0, 1_000_000)]
        for other in others:
            checked = check(entries, self.me.author, self.company_record, SCHEMA)
            assert not checked.unknown
            assert not checked.forged
            with other.log.read() as reader:
                views = journal.derive(reader, checked.arrivals, lambda _: None)
            other.log.append(checked.arrivals, views)

    def company_record(self, author: Author) -> AuthorRecord | None:
        found = self.company.directory.certificate(author)
        return None if found is None else AuthorRecord(found.public_key, found.role, found.store)

    def verified(self) -> Report:
        """What ``verify`` says."""
        with self.log.read() as reader:
            return verify(reader, self.company.directory, SCHEMA)
