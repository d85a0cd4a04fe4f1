"""A head office rebuilt from the stores alone: when its folder is gone, and no other office is left, this makes another life.

An office has a letter, which no other may ever have had; the letters that were used are known to the stores. So the new life
goes through the world first under a passing one (``peers.incarnation.PASSING``), which issues nothing and signs no entry: it
takes in what the tills hold, roster first, until of every store in the roster one has told everything. Only then the letter
is chosen, after the greatest known, the certificate signed with the root key, and the lost predecessor closed in the roster.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import field
from pathlib import Path
from typing import Final

import trio

from crdt_pos import folder as folders
from crdt_pos.asking_around import ask_around
from crdt_pos.directory import load_directory
from crdt_pos.enrolment import open_log
from crdt_pos.errors import EnrolmentRefused
from crdt_pos.folder import Folder, Settings
from crdt_pos.forks import prove, unstated
from crdt_pos.gaps import LifeFound, lives_found
from crdt_pos.opening import PutBack, open_vaults, put_back, sealed_in
from crdt_pos.registrar import Registrar
from crdt_pos.replica import RunningReplica
from crdt_pos.succession import all_told, check_letter, next_letter, predecessors, told_of
from gossip.address import Address
from gossip.document import ScopeClass
from gossip.entry import Entry, FeedId, Hash
from gossip.log import Log, Reader
from merge_rules.dataclass import dataclass
from merge_rules.lattice import Author
from peers import certificates, incarnation
from peers.certificates import Certificate, Root
from peers.keys import SealingKey, SecretKey
from peers.roster import Directory

WAIT_S: Final = 60.0
"""How long stores are waited for while nobody says anything new."""
SETTLE_S: Final = 5.0
"""Once every store was heard: how long others that were named are waited for."""
LOOK_S: Final = 0.1
EVERY_ENTRY: Final = 1 << 62
OFFICE_SCOPES: Final = frozenset({ScopeClass.STORE, ScopeClass.PATRONS})
"""A head office reads no journals: they stay in the vaults."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person asks for. ``root`` and ``root_key`` are the company's."""

    root: Root
    root_key: SecretKey
    path: Path
    """The new folder."""
    settings: Settings
    sources: tuple[Address, ...]
    """Replicas to dial, beside those that come or are found by themselves."""
    letter: str = ""
    """The new office's; empty: the one after all that are known."""
    lost: tuple[str, ...] = ()
    """The offices that are gone."""
    wait_s: float = WAIT_S
    recovery_key: SealingKey | None = None
    """Opens what stores of which nobody is left had sealed for their guardians."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is."""

    entries: int
    heard: tuple[str, ...]
    """Names of those that have told everything they hold."""
    missing: tuple[int, ...]
    """Stores of which nobody has."""
    stores: int


@dataclass(slots=True)
class Rebuilt:
    """What came of it."""

    office: Folder
    lost: tuple[str, ...]
    heard: tuple[str, ...]
    missing: tuple[int, ...]
    taken: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])
    """Whom it was taken from → kind → entries."""
    lives: list[LifeFound] = field(default_factory=list[LifeFound])
    """Of the tills of stores of which nobody was heard: what their vaults hold."""
    put: PutBack = field(default_factory=PutBack)
    """What came out of these vaults."""


def rebuild(wanted: Wanted, now_ms: Callable[[], int], progress: Callable[[Progress], None]) -> Rebuilt:
    """Make the new office's folder. Nothing is left behind unless all of it succeeds.

    Raises ``EnrolmentRefused``, ``FolderError``, ``CannotListen``.
    """
    folders.refuse_used(wanted.path)
    check_letter(wanted.letter)
    wanted.path.parent.mkdir(parents=True, exist_ok=True)
    passing_at = Path(tempfile.mkdtemp(prefix=f".{wanted.path.name}-", dir=wanted.path.parent))
    try:
        passing = _passing(wanted, passing_at / "office")
        heard = trio.run(_listen, passing, wanted, progress, strict_exception_groups=True)
        lives, put = _opened(passing, wanted.recovery_key, heard)
        with open_log(passing) as log:
            office, rebuilt = _decide(wanted, log, heard, now_ms())
        rebuilt.lives, rebuilt.put = lives, put
        rebuilt.office = folders.create_folder(
            wanted.path, wanted.settings, office.key, office.chain, wanted.root, log=passing.log_path
        )
        return rebuilt
    finally:
        shutil.rmtree(passing_at, ignore_errors=True)


def _passing(wanted: Wanted, path: Path) -> Folder:
    key = SecretKey.generate()
    issued = certificates.issue_office(wanted.root, wanted.root_key, key.public, incarnation.PASSING)
    return folders.create_folder(path, wanted.settings, key, [issued.der], wanted.root)


# --- listening -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Heard:
    """Who has told everything, and of which stores."""

    replicas: dict[Author, Certificate] = field(default_factory=dict[Author, Certificate])
    stores: set[int] = field(default_factory=set[int])
    chains: list[tuple[bytes, ...]] = field(default_factory=list[tuple[bytes, ...]])
    """Certificates that peers have shown: a letter may be known by one before the roster that states it is here."""

    def note(self, replica: RunningReplica) -> None:
        for link in replica.node.links.values():
            if link.facts.caught_up:
                told = told_of(link.session.shared, replica.trust.directory.stores)
                if told:
                    self.replicas[link.peer.author] = link.peer
                    self.stores |= told

    def missing(self, directory: Directory) -> tuple[int, ...]:
        return tuple(sorted(set(directory.stores) - self.stores))

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(one.name for one in self.replicas.values()))


class _Passing(RunningReplica):
    """Takes in and passes on, and signs nothing: what it sees contradicted is proven by the office that it becomes."""

    def prove_soon(self, pairs: list[tuple[Entry, Hash]]) -> None:
        del pairs


async def _listen(passing: Folder, wanted: Wanted, progress: Callable[[Progress], None]) -> _Heard:
    """Take in what others hold, until every store was heard or there is no more patience."""
    heard = _Heard()
    replica = _Passing(passing)
    try:
        with passing.held():
            async with trio.open_nursery() as nursery:
                await nursery.start(replica.run)
                nursery.start_soon(ask_around, replica, nursery)
                for address in wanted.sources:
                    replica.node.want(address)
                news: tuple[int, int] = 0, 0
                news_s = complete_s = trio.current_time()
                while trio.current_time() < news_s + wanted.wait_s:
                    heard.note(replica)
                    directory = replica.trust.directory
                    missing, entries = heard.missing(directory), _count(replica.log)
                    progress(Progress(entries, heard.names(), missing, len(directory.stores)))
                    if wanted.letter in directory.letters():
                        break  # refused whatever else comes
                    if news != (entries, len(heard.replicas)):
                        news, news_s = (entries, len(heard.replicas)), trio.current_time()
                    named = map(replica.node.owner, wanted.sources)
                    if missing or not directory.stores:
                        complete_s = trio.current_time()
                    elif all_told(named, heard.replicas) or trio.current_time() > complete_s + SETTLE_S:
                        break
                    await trio.sleep(LOOK_S)
                replica.stop_sessions()
                nursery.cancel_scope.cancel()
    finally:
        replica.close()
    known = replica.trust.directory.chains
    heard.chains = [
        tuple(one.der for one in chain) for author, chain in known.items() if author != passing.certificate.author
    ]
    return heard


def _opened(passing: Folder, key: SealingKey | None, heard: _Heard) -> tuple[list[LifeFound], PutBack]:
    """Open the vaults of stores of which nobody was heard, and take in what a head office may read of it."""
    if key is None:
        return [], PutBack()
    replica = _Passing(passing)
    try:
        silent = heard.missing(replica.trust.directory)
        with replica.log.read() as reader:
            vaults = open_vaults(reader, key, silent)
        put = put_back(replica, sealed_in(vaults), OFFICE_SCOPES)
        with replica.log.read() as reader:
            return lives_found(reader, replica.trust.directory, vaults, silent), put
    finally:
        replica.close()


def _count(log: Log) -> int:
    with log.read() as reader:
        return reader.last_arrival()


# --- deciding --------------------------------------------------------------------------------------------------------


def _decide(wanted: Wanted, log: Log, heard: _Heard, now_ms: int) -> tuple[Folder, Rebuilt]:
    """Choose the letter, and state the new office and the end of the old in the log."""
    with log.read() as reader:
        directory = load_directory(reader, wanted.root, heard.chains)
    if not directory.letters():
        raise EnrolmentRefused(
            f"Nobody of {wanted.root.name} was heard in {wanted.wait_s:g} s: name tills that run with --from HOST:PORT."
        )
    letter = next_letter(directory, wanted.letter, heard.missing(directory))
    lost = predecessors(directory, wanted.lost, heard.replicas)
    key = SecretKey.generate()
    issued = certificates.issue_office(wanted.root, wanted.root_key, key.public, letter)
    office = Folder(wanted.path, wanted.settings, key, (issued.der,), issued, wanted.root)
    Registrar(office, log, now_ms).add_office(office.chain, lost)
    with log.read() as reader:
        proofs = prove(reader, key, issued.author, unstated(reader, _contradictions(reader)), now_ms << 16)
        taken = _taken(reader, directory)
    log.append(proofs, received_ms=now_ms)
    names = tuple(one.name for one in lost)
    return office, Rebuilt(office, names, heard.names(), heard.missing(directory), taken)


def _contradictions(reader: Reader) -> Iterator[tuple[Entry, Hash]]:
    """An entry and one that it contradicts, of every feed with more than one newest entry."""
    for document in reader.documents():
        for author in reader.authors(document):
            first, *others = reader.heads(FeedId(document, author))
            found = reader.find(first.hash)
            if others and found is not None:
                yield found.entry, others[0].hash


def _taken(reader: Reader, directory: Directory) -> dict[str, dict[str, int]]:
    """Whom every entry here came from, by kind."""
    taken: dict[str, dict[str, int]] = {}
    for stored in reader.arrivals(0, EVERY_ENTRY):
        giver = stored.received_from
        if giver is not None:
            certificate = directory.certificate(giver)
            counts = taken.setdefault(giver.hex() if certificate is None else certificate.name, {})
            counts[stored.entry.document.kind] = counts.get(stored.entry.document.kind, 0) + 1
    return dict(sorted(taken.items()))
