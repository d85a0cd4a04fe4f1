"""Recovering tills and stores: new lives in new folders, into which everything goes that anybody still holds.

A new life is a replica of the company like any other, so whoever holds what its store had sealed gives it to it by ordinary
gossip: a neighbour, a guardian store, a head office, a relay. It asks everyone that it meets for the addresses of others,
opens the vaults with the recovery key, and puts what was in them into each new folder; from there it spreads over the store's
LAN, and the next lives close what the earlier ones left open (``crdt_pos.earlier_lives``). Here it listens and signs nothing,
since the folders may still be carried to their machines.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import trio

from crdt_pos import enrolment
from crdt_pos.asking_around import ask_around
from crdt_pos.errors import FolderError, RecoverRefused
from crdt_pos.folder import SETTINGS, Folder, Settings, open_folder
from crdt_pos.gaps import LifeFound, lives_found
from crdt_pos.looking import look
from crdt_pos.opening import Gift, PutBack, open_vaults, put_back, sealed_in
from crdt_pos.replica import RunningReplica
from gossip.address import Address
from gossip.document import Scope, ScopeClass, fixed_scope
from gossip.entry import Entry, Hash
from gossip.log import entries_of
from merge_rules.dataclass import dataclass
from merge_rules.lattice import Author
from peers.certificates import till_name
from peers.keys import SealingKey

WAIT_S: Final = 60.0
"""How long anything new is waited for."""
SETTLE_S: Final = 2.0
"""The same once everyone who was named has told everything."""
LOOK_S: Final = 0.1
TILL_SCOPES: Final = frozenset({ScopeClass.STORE, ScopeClass.JOURNAL, ScopeClass.PATRONS, ScopeClass.VAULT})


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person asks for."""

    store: int
    tills: tuple[int, ...]
    """Till numbers; none: every till of the store."""
    path: Path
    """The new folder; of a whole store the folder in which ``till-12-1`` and so on are made."""
    settings: Settings
    office: Path | None = None
    """The folder of a head office, which enrols the new lives and gives what it holds."""
    sources: tuple[Address, ...] = ()
    """Replicas to dial."""
    wait_s: float = WAIT_S


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is."""

    entries: int
    heard: tuple[str, ...]
    """Names of those that have told everything they may."""


@dataclass(slots=True)
class Recovered:
    """What came of it."""

    store: int
    tills: list[Folder]
    heard: tuple[str, ...]
    """Who has told everything it may."""
    lives: list[LifeFound]
    put: PutBack
    segments: int = 0
    sealed_bytes: int = 0


class Listening(RunningReplica):
    """A new life that takes in, and signs nothing yet."""

    def __init__(self, folder: Folder) -> None:
        super().__init__(folder)
        self.returning = None
        self.earlier_lives = None
        self.guarding = None

    def may_act(self) -> bool:
        return False

    def prove_soon(self, pairs: list[tuple[Entry, Hash]]) -> None:
        del pairs


def recover(
    wanted: Wanted,
    key_for: Callable[[Folder], SealingKey],
    now_ms: Callable[[], int],
    progress: Callable[[Progress], None],
) -> Recovered:
    """Make the folders, and fill them. Raises ``RecoverRefused``, ``EnrolmentRefused``, ``FolderError``, ``CannotListen``.

    ``key_for`` a new folder is asked for the company's recovery key once what others hold is there.
    """
    folders = _folders(wanted, now_ms)
    with ExitStack() as held:
        for folder in folders:
            held.enter_context(folder.held())
        first, *others = folders
        key = key_for(first)
        if wanted.office is not None:
            _fill(first, _of_store(wanted.office, wanted.store))
        heard: tuple[str, ...] = ()
        if wanted.sources or wanted.office is None:
            heard = trio.run(_listen, first, wanted, progress, strict_exception_groups=True)
        with look(first.path) as looked, looked.log.read() as reader:
            vaults = open_vaults(reader, key, [wanted.store])
        put = _fill(first, sealed_in(vaults))
        for folder in others:
            _fill(folder, [*_of_store(first.path, wanted.store), *sealed_in(vaults)])
        with look(folders[0].path) as looked, looked.log.read() as reader:
            lives = lives_found(reader, looked.directory, vaults, [wanted.store])
    new = {folder.certificate.author for folder in folders}
    lives = [one for one in lives if one.author not in new]
    return Recovered(
        wanted.store,
        folders,
        heard,
        lives,
        put,
        sum(vaulted.segments for vaulted in vaults),
        sum(vaulted.sealed_bytes for vaulted in vaults),
    )


# --- folders ---------------------------------------------------------------------------------------------------------


def _folders(wanted: Wanted, now_ms: Callable[[], int]) -> list[Folder]:
    """The new lives' folders: those that are there already, and the others enrolled by the office."""
    tills = wanted.tills or _tills(wanted)
    one = wanted.tills and len(wanted.tills) == 1
    paths = {till: wanted.path if one else wanted.path / f"till-{till_name(wanted.store, till)}" for till in tills}
    there = {till: _joined(path, wanted.store, till) for till, path in paths.items() if (path / SETTINGS).is_file()}
    missing = [till for till in tills if till not in there]
    if missing and wanted.office is None:
        name = till_name(wanted.store, missing[0])
        raise RecoverRefused(
            f"There is no folder of till {name} at {paths[missing[0]]}: name a head office's folder with --office, which enrols "
            "it, or let it join there first."
        )
    if not tills and wanted.office is None:
        first = wanted.path / f"till-{till_name(wanted.store, 1)}"
        raise RecoverRefused(
            f"There is no folder of a till of store {wanted.store} in {wanted.path}: name a head office's folder with --office, "
            f"or let its tills join in {first} and so on first."
        )
    if not tills:
        raise RecoverRefused(
            f"The roster in {wanted.office} knows no till of store {wanted.store}: nothing of it can be brought back."
        )
    for till in missing:
        assert wanted.office is not None
        office = open_folder(wanted.office)
        there[till] = enrolment.enrol_till(
            office, wanted.store, till, paths[till], wanted.settings, now_ms(), again=True
        )
    return [there[till] for till in tills]


def _tills(wanted: Wanted) -> tuple[int, ...]:
    if wanted.office is not None:
        with look(wanted.office) as looked:
            return tuple(sorted({one.till or 0 for one in looked.directory.tills(wanted.store)}))
    prefix = f"till-{wanted.store}-"
    found = sorted(path.name.removeprefix(prefix) for path in wanted.path.glob(f"{prefix}*"))
    return tuple(sorted(int(name) for name in found if name.isascii() and name.isdigit()))


def _joined(path: Path, store: int, till: int) -> Folder:
    folder = open_folder(path)
    if (folder.certificate.store, folder.certificate.till) != (store, till):
        raise FolderError(f"{path} is the folder of {folder.certificate.name}, not of {till_name(store, till)}.")
    return folder


def _of_store(path: Path, store: int) -> list[Gift]:
    """What a folder here holds of a store, sealed or not."""
    scopes = {Scope(f"{kind}/{store}") for kind in ("vault", "store")}
    with look(path) as looked, looked.log.read() as reader:
        stored = (one for document in reader.documents() for one in entries_of(reader, document))
        entries = [one.entry for one in stored if fixed_scope(one.entry.document, one.entry.scope) in scopes]
    return [(entry, entry.author) for entry in entries]


def _fill(folder: Folder, gifts: Sequence[Gift]) -> PutBack:
    replica = Listening(folder)
    try:
        return put_back(replica, gifts, TILL_SCOPES)
    finally:
        replica.close()


# --- listening -------------------------------------------------------------------------------------------------------


async def _listen(folder: Folder, wanted: Wanted, progress: Callable[[Progress], None]) -> tuple[str, ...]:
    """Take in what others hold, until all that were named have told it, or nothing new comes any more."""
    replica = Listening(folder)
    heard: dict[Author, str] = {}
    vault = f"vault/{wanted.store}"
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(replica.run)
            for address in wanted.sources:
                replica.node.want(address)
            nursery.start_soon(ask_around, replica, nursery)
            news: object = None
            news_s = trio.current_time()
            while trio.current_time() < news_s + wanted.wait_s:
                holders = False
                for link in replica.node.links.values():
                    if link.facts.caught_up:
                        heard[link.peer.author] = link.peer.name
                        holders = holders or vault in link.session.shared
                with replica.log.read() as reader:
                    arrived = reader.last_arrival()
                progress(Progress(arrived, tuple(sorted(heard.values()))))
                if news != (arrived, len(heard)):
                    news, news_s = (arrived, len(heard)), trio.current_time()
                named = [replica.node.owner(source) for source in wanted.sources]
                told = all(owner is not None and owner in heard for owner in named)
                if told and holders and trio.current_time() > news_s + SETTLE_S:
                    break
                await trio.sleep(LOOK_S)
            replica.stop_sessions()
            nursery.cancel_scope.cancel()
    finally:
        replica.close()
    if not heard:
        raise RecoverRefused(
            f"Nobody was heard in {wanted.wait_s:g} s: name replicas that run with --from HOST:PORT, best a till of a store "
            f"that guards store {wanted.store}, a head office or a relay. The new folder stays; run this again."
        )
    return tuple(sorted(heard.values()))
