"""What is on the disk while a machine joins: a folder beside the one that is to be, ``<folder>.joining``.

    key.pem, ticket, request        from the beginning, in this order          replica/        the folder to be, once let in

The key is on the disk before anybody hears of it. So joining can be taken up again after a crash or a lost answer, with the same
key and the same request, and leads to the same certificate. The folder itself appears whole, when all of it is done.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Generator
from dataclasses import field
from pathlib import Path
from typing import Final

from crdt_pos import folder as folders
from crdt_pos.errors import EnrolmentRefused, FolderError
from crdt_pos.folder import Folder
from crdt_pos.tickets import Ticket, make_request
from merge_rules.dataclass import dataclass
from peers import certificates
from peers.errors import KeyFileError
from peers.keys import SecretKey

_KEY: Final = "key.pem"
_TICKET: Final = "ticket"
_REQUEST: Final = "request"
_REPLICA: Final = "replica"
_HELD: Final = "held"


@dataclass(frozen=True, slots=True)
class Place:
    """The folder of a joining that has begun. Its methods raise ``FolderError``."""

    at: Path
    key: SecretKey = field(repr=False)
    request: bytes = field(repr=False)

    @property
    def replica_at(self) -> Path:
        """Where the folder to be is made."""
        return self.at / _REPLICA

    def replica(self) -> Folder | None:
        """The folder to be, if there is a certificate already."""
        return folders.open_folder(self.replica_at) if self.replica_at.exists() else None

    def finished(self, path: Path) -> Folder:
        """Put the folder where it belongs, and tidy up."""
        self.replica_at.replace(path)
        _sync(path.absolute().parent)
        shutil.rmtree(self.at, ignore_errors=True)
        return folders.open_folder(path)


@contextlib.contextmanager
def begun(ticket: Ticket, path: Path) -> Generator[Place]:
    """The place of joining at ``path``, made if that has not begun with this ticket, and held meanwhile.

    Raises ``FolderError``; ``EnrolmentRefused`` if it was let in with another ticket, or goes on in another process.
    """
    at = _beside(path)
    try:
        if (path / folders.SETTINGS).exists():
            shutil.rmtree(at, ignore_errors=True)  # it was killed while it tidied up
        folders.refuse_used(path)
        at.parent.mkdir(parents=True, exist_ok=True)
        at.mkdir(mode=0o700, exist_ok=True)
        with _held(at):
            if not (at / _REQUEST).exists() or (at / _TICKET).read_text("ascii") != ticket.text():
                if (at / _REPLICA).exists():
                    raise EnrolmentRefused(
                        f"{at} was let in with another ticket: repeat with that, or remove the folder."
                    )
                _begin(at, ticket)
            yield Place(at, certificates.load_key(at / _KEY), (at / _REQUEST).read_bytes())
    except OSError as error:
        raise FolderError(f"{at} cannot be used: {error.strerror or error}.") from error
    except KeyFileError as error:
        raise FolderError(f"{error}.") from error


def ticket_of(path: Path) -> Ticket:
    """The ticket with which joining at ``path`` was begun. Raises ``EnrolmentRefused``."""
    try:
        return Ticket.parse((_beside(path) / _TICKET).read_text("ascii"))
    except (OSError, UnicodeDecodeError) as error:
        raise EnrolmentRefused(
            f"Nothing was begun at {path}: make a request first, with 'crdt-pos join TICKET --request FILE --at {path}'."
        ) from error


def _beside(path: Path) -> Path:
    path = path.absolute()
    return path.with_name(f"{path.name}.joining")


@contextlib.contextmanager
def _held(at: Path) -> Generator[None]:
    descriptor = os.open(at / _HELD, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise EnrolmentRefused(f"Another crdt-pos is joining in {at} now.") from error
        yield
    finally:
        os.close(descriptor)


def _begin(at: Path, ticket: Ticket) -> None:
    for name in (_REQUEST, _KEY):
        (at / name).unlink(missing_ok=True)
    key = SecretKey.generate()
    certificates.save_key(at / _KEY, key)
    _write(at / _TICKET, ticket.text().encode("ascii"))
    _write(at / _REQUEST, make_request(ticket, key))
    _sync(at)


def _write(path: Path, content: bytes) -> None:
    being_made = path.with_name(f".{path.name}")
    descriptor = os.open(being_made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    being_made.replace(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
