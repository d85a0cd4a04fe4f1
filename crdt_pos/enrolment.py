"""Founding a company, and enrolling its offices, stores and tills.

Everything here happens in folders, while the office that does it is not running. What is decided is first synced to the
office's log and only then written to the new folder: a crash in between leaves a life that nobody uses, never a replica that
the roster has not heard of. A new folder's log is seeded with the roster, so that it can verify at once.
"""

from __future__ import annotations

import datetime
import re
import zoneinfo
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

from crdt_pos import folder as folders
from crdt_pos.directory import COMPANY_ROSTER, load_directory, roster_state, store_roster
from crdt_pos.errors import EnrolmentRefused
from crdt_pos.folder import Folder, Settings
from crdt_pos.schema import SCHEMA
from gossip.document import Document
from gossip.log import Arrival, Log, Reader, entries_of
from gossip.log_lmdb import LmdbLog
from gossip.own_feed import OwnFeed
from merge_rules.lattice import Author
from peers import certificates
from peers.certificates import Certificate
from peers.errors import InvalidElement, RosterError
from peers.keys import SecretKey
from peers.permissions import Role
from peers.roster import Directory, Enrolment, ProgrammeRecord, Record, StoreRecord, element, from_element

NUMBER_MAX = 999_999
"""The largest number of a store or till."""

_CURRENCY = re.compile(r"[A-Z]{3}")


def create_company(name: str, path: Path, settings: Settings, now_ms: int) -> Folder:
    """Found a company: its root key and its first head office, ``office-a``, in the new folder ``path``.

    Raises ``EnrolmentRefused`` or ``FolderError``.
    """
    folders.refuse_used(path)
    root_key, office_key = SecretKey.generate(), SecretKey.generate()
    try:
        root = certificates.create_root(root_key, name)
    except ValueError as error:
        raise EnrolmentRefused(f"{error}.") from error
    office = certificates.issue_office(root, root_key, office_key.public, "a")
    made = folders.create_folder(path, settings, office_key, [office.der], root, root_key)
    with made.held(), _log(made) as log:
        _state(log, made, COMPANY_ROSTER, [Enrolment((office.der,)), ProgrammeRecord("points")], now_ms)
    return made


def add_office(office: Folder, path: Path, settings: Settings, now_ms: int) -> Folder:
    """A further head office with the next free letter, in the new folder ``path``. Needs the root key in ``office``."""
    folders.refuse_used(path)
    root_key = office.root_key()
    key = SecretKey.generate()
    with _at_office(office) as (log, directory):
        issued = certificates.issue_office(office.root, root_key, key.public, directory.next_letter())
        _refuse_taken(directory, issued)
        _state(log, office, COMPANY_ROSTER, [Enrolment((issued.der,))], now_ms)
        made = folders.create_folder(path, settings, key, [issued.der], office.root)
        with log.read() as reader:
            rosters = [COMPANY_ROSTER, *(store_roster(number) for number in directory.stores)]
            _seed(made, reader, rosters, office.certificate.author, now_ms)
    return made


def add_store(office: Folder, record: StoreRecord, now_ms: int) -> None:
    """State a store, or its record from a later date on. Raises ``EnrolmentRefused``."""
    _check_store(record)
    with _at_office(office) as (log, directory):
        same_date = [known for known in directory.stores.get(record.store, ()) if known.valid_from == record.valid_from]
        if same_date == [record]:
            raise EnrolmentRefused(f"Store {record.store} stands in the roster like this already.")
        with log.read() as reader:
            state = roster_state(reader, COMPANY_ROSTER)
        bodies: list[object] = [state.remove_body(element(known)) for known in same_date if known != record]
        if record not in same_date:
            bodies.append(state.add_body(element(record)))
        _append(log, office, COMPANY_ROSTER, bodies, now_ms)


def enrol_till(
    office: Folder, store: int, till: int, path: Path, settings: Settings, now_ms: int, *, again: bool = False
) -> Folder:
    """A till's next life, in the new folder ``path``.

    Raises ``EnrolmentRefused`` for a store that is not in the roster, and unless ``again`` for a till that takes part already.
    """
    if not 1 <= till <= NUMBER_MAX:
        raise EnrolmentRefused(f"A till's number is from 1 to {NUMBER_MAX}.")
    folders.refuse_used(path)
    key = SecretKey.generate()
    with _at_office(office) as (log, directory):
        if store not in directory.stores:
            raise EnrolmentRefused(f"There is no store {store} in the roster: add it with 'crdt-pos store add' first.")
        lives = [one.incarnation for one in directory.tills(store) if one.till == till]
        if lives and not again:
            name = certificates.till_name(store, till)
            raise EnrolmentRefused(
                f"{name} is enrolled already ({', '.join(lives)}): give --again if that disk is lost."
            )
        issuer = office.certificate
        life = directory.next_incarnation(issuer.letter, certificates.till_name(store, till))
        issued = certificates.issue_till(office.root, issuer, office.key, key.public, store, till, life)
        _refuse_taken(directory, issued)
        chain = (issued.der, *office.chain)
        _state(log, office, store_roster(store), [Enrolment(chain)], now_ms)
        made = folders.create_folder(path, settings, key, chain, office.root)
        with log.read() as reader:
            _seed(made, reader, [COMPANY_ROSTER, store_roster(store)], issuer.author, now_ms)
    return made


def _check_store(record: StoreRecord) -> None:
    if not 1 <= record.store <= NUMBER_MAX:
        raise EnrolmentRefused(f"A store's number is from 1 to {NUMBER_MAX}.")
    if not _CURRENCY.fullmatch(record.currency):
        raise EnrolmentRefused(f"{record.currency!r} is no currency: write its ISO code, like EUR.")
    if not 0 <= record.exponent <= 4:
        raise EnrolmentRefused("A currency has 0 to 4 decimals.")
    if record.cash_step_minor < 1:
        raise EnrolmentRefused("The smallest coin is at least 1.")
    if not datetime.date(1970, 1, 1) <= record.valid_from <= datetime.date(2149, 6, 6):
        raise EnrolmentRefused("A date is from 1970-01-01 to 2149-06-06.")
    try:
        zoneinfo.ZoneInfo(record.time_zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise EnrolmentRefused(f"{record.time_zone!r} is no time zone: write one like Europe/Zurich.") from error
    try:
        from_element(element(record))
    except InvalidElement as error:
        raise EnrolmentRefused(f"{error}.") from error


@contextmanager
def _at_office(office: Folder) -> Generator[tuple[Log, Directory]]:
    if office.certificate.role is not Role.OFFICE:
        raise EnrolmentRefused(f"{office.path} is the folder of {office.certificate.name}, not of a head office.")
    with office.held(), _log(office) as log:
        with log.read() as reader:
            directory = load_directory(reader, office.root, [office.chain])
        yield log, directory


@contextmanager
def _log(replica: Folder) -> Generator[Log]:
    log = LmdbLog.open(replica.log_path, SCHEMA, replica.root.company)
    try:
        yield log
    finally:
        log.close()


def _refuse_taken(directory: Directory, issued: Certificate) -> None:
    try:
        directory.refuse_taken(issued)
    except RosterError as error:
        raise EnrolmentRefused(str(error)) from error


def _state(log: Log, replica: Folder, document: Document, records: Iterable[Record], now_ms: int) -> None:
    with log.read() as reader:
        state = roster_state(reader, document)
    _append(log, replica, document, [state.add_body(element(record)) for record in records], now_ms)


def _append(log: Log, replica: Folder, document: Document, bodies: Iterable[object], now_ms: int) -> None:
    with log.read() as reader:
        feed = OwnFeed.read(reader, replica.key, replica.certificate.author, document, SCHEMA[document.kind])
    log.append(feed.arrivals(bodies, now_ms << 16), received_ms=now_ms)


def _seed(made: Folder, reader: Reader, rosters: Iterable[Document], giver: Author, now_ms: int) -> None:
    entries = [stored.entry for document in rosters for stored in entries_of(reader, document)]
    with made.held(), _log(made) as log:
        log.append([Arrival(entry, giver) for entry in entries], received_ms=now_ms)
