"""Founding a company, and enrolling its offices, stores and tills.

An office decides by its registrar: one that does not run on its log in this process, one that runs in its own, asked over its
local socket. What is decided is first synced to the office's log and only then written to the new folder: a crash in between
leaves a life that nobody uses, never a replica that the roster has not heard of. The key of a new replica is made here and goes
into its folder and nowhere else. A new folder's log is seeded with the roster, so that it can verify at once.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from crdt_pos import folder as folders
from crdt_pos.company_keys import CompanyKeys
from crdt_pos.directory import COMPANY_ROSTER, store_roster
from crdt_pos.errors import EnrolmentRefused, FolderError
from crdt_pos.folder import Folder, Settings
from crdt_pos.local import LocalClient, NotRunning
from crdt_pos.registrar import Registrar, check_office
from crdt_pos.registrar_link import RegistrarLink
from crdt_pos.schema import ROSTER_STORE, SCHEMA
from gossip.document import Document
from gossip.log import Arrival, Log, Reader, entries_of
from gossip.log_lmdb import LmdbLog
from merge_rules.lattice import Author
from peers import certificates
from peers.certificates import Root
from peers.keys import PublicKey, SecretKey
from peers.roster import Closure, Enrolment, ProgrammeRecord, SealedKey, StoreRecord


def create_company(
    name: str,
    path: Path,
    settings: Settings,
    now_ms: int,
    keys: CompanyKeys | None = None,
    sealed: Iterable[SealedKey] = (),
) -> Folder:
    """Found a company: its first head office, ``office-a``, in the new folder ``path``, signed by the root key of ``keys``.

    The keys stay with the caller, and no folder keeps them; without any they are made here and lost. ``sealed``: the copies of
    them that go into the roster. Raises ``EnrolmentRefused`` or ``FolderError``, as all of these do.
    """
    folders.refuse_used(path)
    keys, office_key = keys or CompanyKeys.generate(), SecretKey.generate()
    root = certified(keys, name)
    office = certificates.issue_office(root, keys.root, office_key.public, "a")
    made = folders.create_folder(path, settings, office_key, [office.der], root)
    with made.held(), open_log(made) as log:
        Registrar(made, log, now_ms).state([Enrolment((office.der,)), ProgrammeRecord("points"), *sealed])
    return made


def certified(keys: CompanyKeys, name: str) -> Root:
    """The root certificate of the company ``name`` with these keys."""
    try:
        return keys.certify(name)
    except ValueError as error:
        raise EnrolmentRefused(f"{error}.") from error


def add_office(office: Folder, path: Path, settings: Settings, now_ms: int, root_key: SecretKey) -> Folder:
    """A further head office with the next letter, in the new folder ``path``, signed by the company's root key."""
    folders.refuse_used(path)
    key = SecretKey.generate()
    with at_office(office, now_ms) as registrar:
        issued = certificates.issue_office(office.root, root_key, key.public, registrar.next_letter())
        registrar.add_office([issued.der])
        made = folders.create_folder(path, settings, key, [issued.der], office.root)
        with registrar.reading() as reader:
            _seed(made, reader, [COMPANY_ROSTER, *reader.documents(ROSTER_STORE)], office.certificate.author, now_ms)
    return made


def add_store(office: Folder, record: StoreRecord, now_ms: int) -> None:
    """State a store, or its record from a later date on."""
    with at_office(office, now_ms) as registrar:
        registrar.add_store(record)


def enrol_till(
    office: Folder, store: int, till: int, path: Path, settings: Settings, now_ms: int, *, again: bool = False
) -> Folder:
    """A till's next life, in the new folder ``path``; ``again`` for a till that takes part already."""

    def enrolled(registrar: Registrar | RegistrarLink, public: PublicKey) -> tuple[bytes, ...]:
        return registrar.enrol_till(store, till, public, again=again)

    return _enrol(office, enrolled, path, settings, now_ms, store_roster(store))


def enrol_relay(
    office: Folder, number: int, path: Path, settings: Settings, now_ms: int, *, again: bool = False
) -> Folder:
    """A relay's next life, in the new folder ``path``; ``again`` for a relay that takes part already."""

    def enrolled(registrar: Registrar | RegistrarLink, public: PublicKey) -> tuple[bytes, ...]:
        return registrar.enrol_relay(number, public, again=again)

    return _enrol(office, enrolled, path, settings, now_ms)


def enrol_manager(
    office: Folder, store: int, number: int, path: Path, settings: Settings, now_ms: int, *, again: bool = False
) -> Folder:
    """The next life of a store's manager, in the new folder ``path``; ``again`` for one that takes part already."""

    def enrolled(registrar: Registrar | RegistrarLink, public: PublicKey) -> tuple[bytes, ...]:
        return registrar.enrol_manager(store, number, public, again=again)

    return _enrol(office, enrolled, path, settings, now_ms, store_roster(store))


def _enrol(
    office: Folder,
    enrolled: Callable[[Registrar | RegistrarLink, PublicKey], tuple[bytes, ...]],
    path: Path,
    settings: Settings,
    now_ms: int,
    *rosters: Document,
) -> Folder:
    """A new life with a key of its own, seeded with the company's roster and with ``rosters``."""
    folders.refuse_used(path)
    key = SecretKey.generate()
    with at_office(office, now_ms) as registrar:
        chain = enrolled(registrar, key.public)
        made = folders.create_folder(path, settings, key, chain, office.root)
        with registrar.reading() as reader:
            _seed(made, reader, [COMPANY_ROSTER, *rosters], office.certificate.author, now_ms)
    return made


def seal_keys(office: Folder, copies: Sequence[SealedKey], now_ms: int) -> None:
    """State sealed copies of the company's keys in place of those before."""
    with at_office(office, now_ms) as registrar:
        registrar.seal_keys(copies)


def set_guardians(office: Folder, count: int, now_ms: int) -> None:
    """State how many other stores keep each store's sealed journals."""
    with at_office(office, now_ms) as registrar:
        registrar.set_guardians(count)


def retire_till(office: Folder, store: int, till: int, now_ms: int, life: str = "", *, gone: bool = False) -> Closure:
    """State that nothing more is expected of a life of a till from its first date on that was not closed; if it is ``gone``,
    also that it takes part no more."""
    with at_office(office, now_ms) as registrar:
        return registrar.retire_till(store, till, life, gone=gone)


@contextmanager
def at_office(office: Folder, now_ms: int) -> Generator[Registrar | RegistrarLink]:
    """The registrar of an office, whether that runs or not."""
    check_office(office)
    with ExitStack() as held:
        running = _holding(held, office)
        if running is None:
            yield Registrar(office, held.enter_context(open_log(office)), now_ms)
        else:
            yield RegistrarLink(office, held.enter_context(running))


def _holding(held: ExitStack, office: Folder) -> LocalClient | None:
    """Hold the folder; if another process does and answers, the connection to it."""
    try:
        held.enter_context(office.held())
    except FolderError as refused:
        try:
            return LocalClient(office.path)
        except NotRunning:
            raise refused from None
    return None


@contextmanager
def open_log(replica: Folder) -> Generator[Log]:
    """The log of a folder that is held."""
    log = LmdbLog.open(replica.log_path, SCHEMA, replica.root.company)
    try:
        yield log
    finally:
        log.close()


def _seed(made: Folder, reader: Reader, rosters: Iterable[Document], giver: Author, now_ms: int) -> None:
    entries = [stored.entry for document in rosters for stored in entries_of(reader, document)]
    with made.held(), open_log(made) as log:
        log.append([Arrival(entry, giver) for entry in entries], received_ms=now_ms)
