"""The registrar: what a head office decides about its stores, tills and further offices, on its own open log.

Every act reads the roster as the log has it, decides, and appends what it decided in one synced transaction; the key of whoever
is enrolled is made elsewhere, only its public half comes here. Lives and letters that were given are never given again.
"""

from __future__ import annotations

import datetime
import re
import zoneinfo
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Final

from crdt_pos.books import till_days
from crdt_pos.day import days_between
from crdt_pos.directory import COMPANY_ROSTER, roster_state, store_roster
from crdt_pos.errors import EnrolmentRefused
from crdt_pos.folder import Folder
from crdt_pos.roster_reading import RosterReading
from crdt_pos.schema import DAY, SCHEMA
from gossip.document import Document, date_of
from gossip.entry import STAMP_MAX
from gossip.log import Arrival, Log, Reader, View
from gossip.own_feed import OwnFeed
from merge_rules.lattice import Author
from peers import certificates
from peers.certificates import Certificate
from peers.errors import CertificateError, InvalidElement, RosterError
from peers.keys import PublicKey
from peers.permissions import Role
from peers.roster import (
    Closure,
    Directory,
    Enrolment,
    Guarding,
    Record,
    RosterSet,
    SealedKey,
    StoreRecord,
    element,
    from_element,
)

NUMBER_MAX: Final = 999_999
"""The largest number of a store or till."""

_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_ONE_DAY: Final = datetime.timedelta(days=1)

Bodies = tuple[Document, Sequence[object]]
"""What to sign into one document, in order."""

Also = Callable[[tuple[bytes, ...]], Sequence[View]]
"""What the office writes down for itself with an enrolment, in the same transaction, by the chain that it leads to."""


def _nothing(_chain: tuple[bytes, ...]) -> Sequence[View]:
    return ()


class Registrar:
    """One office at one moment; the log is used by nobody else meanwhile. All methods raise ``EnrolmentRefused``.

    ``roster``: as it was read from this log before; else it is read now.
    """

    def __init__(self, office: Folder, log: Log, now_ms: int, roster: RosterReading | None = None) -> None:
        self._office = office
        self._log = log
        self._now_ms = now_ms
        check_office(office)
        if roster is None:
            roster = RosterReading(office.root)
            roster.show(office.chain)
        self._roster = roster
        with log.read() as reader:
            self._directory = roster.follow(reader)
        if not self._directory.takes_part(office.certificate.author):
            raise EnrolmentRefused(
                f"{office.certificate.name} takes part no more: ask the head office that replaced it."
            )

    @property
    def log(self) -> Log:
        """The office's log."""
        return self._log

    @property
    def author(self) -> Author:
        """The office itself."""
        return self._office.certificate.author

    @property
    def directory(self) -> Directory:
        """What the roster says here."""
        return self._directory

    def reading(self) -> AbstractContextManager[Reader]:
        """A snapshot of the office's log."""
        return self._log.read()

    def add_store(self, record: StoreRecord) -> None:
        """State a store, or its record from a later date on."""
        _check_store(record)
        known = self._directory.stores.get(record.store, ())
        same_date = [one for one in known if one.valid_from == record.valid_from]
        if same_date == [record]:
            raise EnrolmentRefused(f"Store {record.store} stands in the roster like this already.")
        self._refuse_other_money(record)
        bodies: list[object] = [RosterSet.remove_body(element(one)) for one in same_date if one != record]
        if record not in same_date:
            bodies.append(self._roster.add_body(COMPANY_ROSTER, element(record)))
        self._append([(COMPANY_ROSTER, bodies)])

    def _refuse_other_money(self, record: StoreRecord) -> None:
        """Of what was sold already neither legal entity nor currency may change, and a currency has one exponent."""
        for _, many in sorted(self._directory.stores.items()):
            for one in many:
                if one.currency == record.currency and one.exponent != record.exponent and one.store != record.store:
                    raise EnrolmentRefused(
                        f"{one.currency} has {one.exponent} decimals in store {one.store}, and not {record.exponent}."
                    )
        others = [one for one in self._directory.stores.get(record.store, ()) if one.valid_from != record.valid_from]
        after = replace(self._directory, stores={record.store: tuple(sorted([*others, record], key=_from))})
        with self._log.read() as reader:
            dates = [date_of(one.day) for one in reader.documents(DAY) if one.keys[:1] == (record.store,)]
        for date in sorted(dates):
            sold, now = self._directory.store(record.store, date), after.store(record.store, date)
            if sold is not None and _money(sold) != _money(now):
                raise EnrolmentRefused(
                    f"Store {record.store} has sold for {sold.legal_entity or 'nobody'} in {sold.currency} on {date}: another "
                    "legal entity or currency begins at a later date, and its tills are enrolled again then."
                )

    def refuse_till(self, store: int, till: int, *, again: bool) -> list[Certificate]:
        """Raise for a store that is not in the roster, and unless ``again`` for a till that takes part already: its lives."""
        _check_number(till)
        self._refuse_store(store)
        return self._refuse_lives(certificates.till_name(store, till), self._lives(store, till), again=again)

    def enrol_till(
        self, store: int, till: int, public: PublicKey, *, again: bool = False, also: Also = _nothing
    ) -> tuple[bytes, ...]:
        """A till's next life: the chain that proves it.

        Refused as by ``refuse_till``. Of its lives before, nothing more is expected after the newest date that is known here.
        """
        before = self.refuse_till(store, till, again=again)
        chain = self._issued_till(store, till, public)
        with self._log.read() as reader:
            closures = [_closure(one, max(_dates(reader, self._directory, one), default=None)) for one in before]
        stated = [
            self._stating(store_roster(store), [Enrolment(chain)]),
            self._stating(COMPANY_ROSTER, [one for one in closures if self._says_more(one)]),
        ]
        self._append(stated, also(chain))
        return chain

    def enrol_tills(self, wanted: Sequence[tuple[int, int, PublicKey]]) -> list[tuple[bytes, ...]]:
        """Many tills that have never lived, by store, number and key, in one transaction: the chains that prove them."""
        by_store: dict[int, list[Record]] = {}
        chains: list[tuple[bytes, ...]] = []
        for store, till, public in wanted:
            if self.refuse_till(store, till, again=False):
                raise AssertionError
            chains.append(self._issued_till(store, till, public))
            by_store.setdefault(store, []).append(Enrolment(chains[-1]))
        if len({(store, till) for store, till, _ in wanted}) < len(wanted) or len({*chains}) < len(chains):
            raise EnrolmentRefused("A till is named twice, or two have one key.")
        self._append([self._stating(store_roster(store), records) for store, records in by_store.items()])
        return chains

    def _issued_till(self, store: int, till: int, public: PublicKey) -> tuple[bytes, ...]:
        office = self._office
        life = self._directory.next_incarnation(office.certificate.letter, certificates.till_name(store, till))
        issued = certificates.issue_till(office.root, office.certificate, office.key, public, store, till, life)
        self._refuse_taken(issued)
        return issued.der, *office.chain

    def refuse_relay(self, number: int, *, again: bool) -> str:
        """Raise unless ``again`` for a relay that takes part already: its name."""
        _check_number(number)
        return self._refuse_named(f"relay-{number}", again=again)

    def enrol_relay(
        self, number: int, public: PublicKey, *, again: bool = False, also: Also = _nothing
    ) -> tuple[bytes, ...]:
        """A relay's next life: the chain that proves it. Its lives before take part no more."""
        office, name = self._office, self.refuse_relay(number, again=again)
        life = self._directory.next_incarnation(office.certificate.letter, name)
        issued = certificates.issue_relay(office.root, office.certificate, office.key, public, number, life)
        return self._enrol_in_place(issued, COMPANY_ROSTER, also)

    def refuse_manager(self, store: int, number: int, *, again: bool) -> str:
        """Raise for a store that is not in the roster, and unless ``again`` for a manager that takes part: its name."""
        _check_number(number)
        self._refuse_store(store)
        return self._refuse_named(certificates.manager_name(store, number), again=again)

    def enrol_manager(
        self, store: int, number: int, public: PublicKey, *, again: bool = False, also: Also = _nothing
    ) -> tuple[bytes, ...]:
        """The next life of a store's manager: the chain that proves it. Its lives before take part no more."""
        office, name = self._office, self.refuse_manager(store, number, again=again)
        life = self._directory.next_incarnation(office.certificate.letter, name)
        issued = certificates.issue_manager(office.root, office.certificate, office.key, public, store, number, life)
        return self._enrol_in_place(issued, store_roster(store), also)

    def next_letter(self) -> str:
        """The letter for a further head office."""
        return self._directory.next_letter()

    def add_office(
        self, chain: Sequence[bytes], lost: Iterable[Certificate] = (), also: Callable[[], Sequence[View]] = tuple
    ) -> None:
        """State a further head office, whose certificate the root key has signed; ``lost`` ones take part no more."""
        try:
            issued = certificates.verify_chain(chain, self._office.root)
        except CertificateError as error:
            raise EnrolmentRefused(
                f"This is no certificate of a head office of this company: {error.fault}."
            ) from error
        if issued.role is not Role.OFFICE:
            raise EnrolmentRefused(f"{issued.name} is not a head office.")
        self._refuse_taken(issued)
        document, added = self._stating(COMPANY_ROSTER, [Enrolment(tuple(chain))])
        removed = [RosterSet.remove_body(element(Enrolment((one.der,)))) for one in lost]
        self._append([(document, [*added, *removed])], also())

    def retire_till(self, store: int, till: int, life: str = "", *, gone: bool = False) -> Closure:
        """State that nothing more is expected of a till's life from its first date on that was not closed.

        ``gone``: it has handed over and its key is destroyed, so it takes part no more; what it signed counts.
        ``life`` may be left out of a till that has only one of which more may come.
        """
        name, lives = certificates.till_name(store, till), self._lives(store, till)
        if not lives:
            raise EnrolmentRefused(f"There is no till {name} in the roster.")
        with self._log.read() as reader:
            ends = {one.incarnation: _last_final(reader, self._directory, one) for one in lives}
            closures = {one.incarnation: _closure(one, ends[one.incarnation]) for one in lives}
            open_still = [known for known, closure in closures.items() if self._says_more(closure)]
            if life and life not in closures:
                raise EnrolmentRefused(f"{name} never lived as {life}: its lives are {', '.join(closures)}.")
            if not (open_still if not life else self._says_more(closures[life])):
                raise EnrolmentRefused(f"{name} is retired already: nothing more is expected of it.")
            if not life and len(open_still) > 1:
                raise EnrolmentRefused(
                    f"{name} has lived as {' and '.join(open_still)}: say with --life which will never be heard of again."
                )
            closure = closures[life or open_still[0]]
            stated = [self._stating(COMPANY_ROSTER, [closure])]
            if gone:
                ended = next(one.author for one in lives if one.incarnation == closure.life)
                chain = tuple(one.der for one in self._directory.chains[ended])
                stated.append((store_roster(store), [RosterSet.remove_body(element(Enrolment(chain)))]))
        self._append(stated)
        return closure

    def seal_keys(self, copies: Sequence[SealedKey]) -> None:
        """State these sealed copies in place of those that were sealed for the same holders."""
        replaced = {(one.purpose, one.holder) for one in copies}
        old = [one for one in self._directory.sealed_keys if (one.purpose, one.holder) in replaced]
        removed = [RosterSet.remove_body(element(one)) for one in old if one not in copies]
        document, added = self._stating(COMPANY_ROSTER, copies)
        self._append([(document, [*added, *removed])])

    def set_guardians(self, count: int) -> None:
        """State how many other stores keep each store's sealed journals."""
        with self._log.read() as reader:
            state = roster_state(reader, COMPANY_ROSTER)
        new = element(Guarding(count))
        old = [one for one in state.elements() if isinstance(from_element(one), Guarding)]
        added = [] if new in old else [state.add_body(new)]
        self._append([(COMPANY_ROSTER, [*added, *(state.remove_body(one) for one in old if one != new)])])

    def state(self, records: Iterable[Record]) -> None:
        """State these in the company's roster as they are."""
        self._append([self._stating(COMPANY_ROSTER, records)])

    def state_in(self, documents: Iterable[tuple[Document, Iterable[Record]]]) -> None:
        """State these in roster documents as they are, all in one transaction."""
        self._append([self._stating(document, records) for document, records in documents])

    def _enrol_in_place(self, issued: Certificate, document: Document, also: Also) -> tuple[bytes, ...]:
        """State a life that owes nobody a day, in place of those before."""
        self._refuse_taken(issued)
        chain = (issued.der, *self._office.chain)
        before = [self._directory.chains[one.author] for one in self._named(issued.name)]
        _, added = self._stating(document, [Enrolment(chain)])
        removed = [RosterSet.remove_body(element(Enrolment(tuple(one.der for one in known)))) for known in before]
        self._append([(document, [*added, *removed])], also(chain))
        return chain

    def _refuse_named(self, name: str, *, again: bool) -> str:
        self._refuse_lives(name, self._named(name), again=again)
        return name

    def _named(self, name: str) -> list[Certificate]:
        found = (one for one in self._directory.named(name) if self._directory.takes_part(one.author))
        return sorted(found, key=lambda one: one.incarnation)

    def _refuse_store(self, store: int) -> None:
        if store not in self._directory.stores:
            raise EnrolmentRefused(f"There is no store {store} in the roster: add it with 'crdt-pos store add' first.")

    @staticmethod
    def _refuse_lives(name: str, lives: list[Certificate], *, again: bool) -> list[Certificate]:
        if lives and not again:
            known = ", ".join(one.incarnation for one in lives)
            raise EnrolmentRefused(f"{name} is enrolled already ({known}): give --again if that disk is lost.")
        return lives

    def _lives(self, store: int, till: int) -> list[Certificate]:
        return [one for one in self._directory.tills(store) if one.till == till]

    def _says_more(self, closure: Closure) -> bool:
        after = closure.last_day + _ONE_DAY
        return self._directory.expects(closure.store, closure.till, closure.life, after)

    def _refuse_taken(self, issued: Certificate) -> None:
        try:
            self._directory.refuse_taken(issued)
        except RosterError as error:
            raise EnrolmentRefused(str(error)) from error

    def _stating(self, document: Document, records: Iterable[Record]) -> Bodies:
        return document, [self._roster.add_body(document, element(record)) for record in records]

    def _append(self, documents: Iterable[Bodies], views: Sequence[View] = ()) -> None:
        office, arrivals = self._office, list[Arrival]()
        with self._log.read() as reader:
            for document, bodies in documents:
                kind = SCHEMA[document.kind]
                feed = OwnFeed.read(reader, office.key, office.certificate.author, document, kind)
                # After all that this office has seen, whatever its clock says: a till's lives are told apart by their order.
                seen = max((stored.entry.stamp for stored in reader.head_entries(document)), default=0)
                arrivals += feed.arrivals(bodies, max(self._now_ms << 16, min(seen + 1, STAMP_MAX)))
        self._log.append(arrivals, [*views, *self._roster.unsaved()], received_ms=self._now_ms)
        with self._log.read() as reader:
            self._directory = self._roster.follow(reader, {one.entry.document for one in arrivals})


def _from(record: StoreRecord) -> datetime.date:
    return record.valid_from


def _money(record: StoreRecord | None) -> tuple[str, str, int] | None:
    return None if record is None else (record.legal_entity, record.currency, record.exponent)


def check_office(office: Folder) -> None:
    """Raise ``EnrolmentRefused`` for the folder of anything else."""
    if office.certificate.role is not Role.OFFICE:
        raise EnrolmentRefused(f"{office.path} is the folder of {office.certificate.name}, not of a head office.")


def _closure(till: Certificate, last_day: datetime.date | None) -> Closure:
    assert till.store is not None
    assert till.till is not None
    closure = Closure(till.store, till.till, life=till.incarnation)
    return closure if last_day is None else Closure(till.store, till.till, last_day, life=till.incarnation)


def _dates(reader: Reader, directory: Directory, till: Certificate) -> dict[datetime.date, bool]:
    """The dates of a till's life that are known here, and whether each is closed, in order."""
    found: dict[datetime.date, bool] = {}
    for document in reader.documents(DAY):
        if document.keys[:1] == (till.store,):
            for one in till_days(reader, directory, document):
                if one.author == till.author:
                    found[one.date] = one.closed
                    previous = days_between(one.day, one.date)
                    if previous is not None:
                        found.setdefault(previous, False)  # it is said to be, and is not here
    return dict(sorted(found.items()))


def _last_final(reader: Reader, directory: Directory, till: Certificate) -> datetime.date | None:
    """The last date before the first that is not closed."""
    dates = _dates(reader, directory, till)
    first_open = next((date for date, closed in dates.items() if not closed), None)
    if first_open is None:
        return max(dates, default=None)
    return max(first_open - _ONE_DAY, Closure(0).last_day)


def _check_number(number: int) -> None:
    if not 1 <= number <= NUMBER_MAX:
        raise EnrolmentRefused(f"A till, relay or manager has a number from 1 to {NUMBER_MAX}.")


def _check_store(record: StoreRecord) -> None:
    for refused, said in _objections(record):
        if refused:
            raise EnrolmentRefused(said)
    try:
        zoneinfo.ZoneInfo(record.time_zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise EnrolmentRefused(f"{record.time_zone!r} is no time zone: write one like Europe/Zurich.") from error
    try:
        from_element(element(record))
    except InvalidElement as error:
        raise EnrolmentRefused(f"{error}.") from error


def _objections(record: StoreRecord) -> Iterator[tuple[bool, str]]:
    yield not 1 <= record.store <= NUMBER_MAX, f"A store's number is from 1 to {NUMBER_MAX}."
    currency = record.currency
    yield not _CURRENCY.fullmatch(currency), f"{currency!r} is no currency: write its ISO code, like EUR."
    yield not 0 <= record.exponent <= 4, "A currency has 0 to 4 decimals."
    yield record.cash_step_minor < 1, "The smallest coin is at least 1."
    in_range = datetime.date(1970, 1, 1) <= record.valid_from <= datetime.date(2149, 6, 6)
    yield not in_range, "A date is from 1970-01-01 to 2149-06-06."
