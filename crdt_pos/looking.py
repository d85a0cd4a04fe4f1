"""A replica's folder, opened to be looked at: nothing is written, and the replica may run meanwhile."""

from __future__ import annotations

import datetime
import zoneinfo
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from crdt_pos import sharing
from crdt_pos.folder import Folder, open_folder
from crdt_pos.schema import SCHEMA
from crdt_pos.trust import RosterTrust
from gossip.errors import LogError
from gossip.log import Log, Reader
from gossip.log_lmdb import LmdbLog
from merge_rules.claims import Identities
from merge_rules.dataclass import dataclass
from merge_rules.lattice import Author
from peers.roster import Directory


@dataclass(frozen=True, slots=True)
class Looked:
    """What an open folder shows. ``log`` gives snapshots."""

    folder: Folder
    log: Log
    directory: Directory
    damage: str
    """Why the roster could not be read; empty if it could."""

    def name_of(self, author: Author) -> str:
        """``12-3 a1``; 16 hex digits for an author whose certificate is not here."""
        certificate = self.directory.certificate(author)
        return author.hex() if certificate is None else f"{certificate.name} {certificate.incarnation}"

    def local(self, ms: int, store: int | None = None) -> datetime.datetime:
        """A moment in the time zone of a store; without one, of this replica's store; at a head office, of this machine."""
        moment = datetime.datetime.fromtimestamp(ms / 1000, datetime.UTC)
        place = self.folder.certificate.store if store is None else store
        record = None if place is None else self.directory.store(place, moment.date())
        try:
            return moment.astimezone(None if record is None else zoneinfo.ZoneInfo(record.time_zone))
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            return moment.astimezone()

    def currencies(self) -> dict[str, int]:
        """Decimals of the currencies that stores sell in."""
        return {one.currency: one.exponent for records in self.directory.stores.values() for one in records}


@contextmanager
def look(path: Path, *, damaged: bool = False) -> Generator[Looked]:
    """Open the folder at ``path`` for reading. With ``damaged`` a roster that cannot be read is no error.

    Raises ``FolderError``, ``LogError``.
    """
    folder = open_folder(path)
    log = LmdbLog.open(folder.log_path, SCHEMA, folder.root.company, read_only=True)
    try:
        damage = ""
        try:
            directory = RosterTrust(folder, log).directory
        except LogError as error:
            if not damaged:
                raise
            directory, damage = Directory(folder.root).knowing(folder.chain), str(error)
        yield Looked(folder, log, directory, damage)
    finally:
        log.close()


def identities(reader: Reader) -> Identities:
    """What codes mean, by the claims of every store that are here."""
    return sharing.identities(reader)
