"""The log on the disk: the one file that knows LMDB (http://www.lmdb.tech/doc/, Chu 2011).

Commits are synced: data pages first, then the meta page through a descriptor of its own that writes through. A file is made
whole under another name and then moved to its place, so that one that is there and is not ours was damaged. The map is
larger than any disk here (it costs address space only). The file remembers where it lies: a copy of the folder is read-only
until ``adopt``, since two replicas with one key contradict each other.

Every row ends with a CRC-32 of its key and value, so that no bit that has flipped is taken for anything. What is damaged within a
row is mended in place (``gossip.log_mending``); what is damaged in LMDB's own pages makes the file unusable (``LogCorrupt``).

Another process may open the folder with ``read_only`` while this one writes.
"""

from __future__ import annotations

import errno
import os
import resource
import shutil
import sys
import threading
import zlib
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import lmdb

from gossip import log_rows as rows
from gossip.document import Document, Key
from gossip.errors import LogCorrupt, LogError, LogForeign, LogFull
from gossip.log import Appended, Arrival, Looked, Mended, Reader, View
from gossip.log_counted import CountedReader, RecentCutOffs
from gossip.log_mending import LogMender, look
from gossip.log_pages import DamagedPage, check_pages
from gossip.log_pruning import LogPruner
from gossip.log_reader import LogReader, RecentEntries
from gossip.log_table import KEY_BYTES_MAX
from gossip.log_writer import LogWriter, RecentBodies
from gossip.schema import Schema
from merge_rules.lattice import Author

MAP_BYTES: Final = 64 << 30 if sys.maxsize > 2**32 else 1 << 30
READERS_MAX: Final = 512
DATABASE_BYTES: Final = 16

_FILE: Final = "data.mdb"
_LOCK: Final = "lock.mdb"
_BEING_MADE: Final = "being-made"
_ROWS_AT_ONCE: Final = 10_000
SNAPSHOT_S_MAX: Final = 2.0
"""How long a snapshot may stay open before it puts off ``wipe``."""
_NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_ROOM_BYTES_MIN: Final = 1 << 20
"""A disk with less is full."""
_DAMAGED: Final = (
    lmdb.CorruptedError,
    lmdb.InvalidError,
    lmdb.PageNotFoundError,
    lmdb.VersionMismatchError,
    lmdb.BadTxnError,
)

_open_folders: Final[set[str]] = set()
_open_folders_lock: Final = threading.Lock()


CRC_BYTES: Final = 4


def sealed(key: bytes, value: bytes) -> bytes:
    """A value as it stands in the file."""
    return value + zlib.crc32(value, zlib.crc32(key)).to_bytes(CRC_BYTES, "big")


def _unsealed(key: bytes, kept: bytes) -> bytes | None:
    value = kept[:-CRC_BYTES]
    return value if zlib.crc32(value, zlib.crc32(key)).to_bytes(CRC_BYTES, "big") == kept[-CRC_BYTES:] else None


def _opened(key: bytes, kept: bytes) -> bytes:
    value = _unsealed(key, kept)
    if value is None:
        raise LogCorrupt("a row of the log is damaged")
    return value


class LmdbTable:
    """The table within one LMDB transaction."""

    def __init__(self, transaction: lmdb.Transaction[bytes]) -> None:
        self._transaction = transaction

    def get(self, key: bytes) -> bytes | None:
        kept = self._transaction.get(key)
        return None if kept is None else _opened(key, kept)

    def scan(self, low: bytes, high: bytes) -> Iterator[tuple[bytes, bytes]]:
        with self._transaction.cursor() as cursor:
            if not cursor.set_range(low):
                return
            for key, value in cursor.iternext():
                if key >= high:
                    return
                yield key, _opened(key, value)

    def begins(self, prefix: bytes) -> bool:
        with self._transaction.cursor() as cursor:
            return cursor.set_range(prefix) and cursor.key().startswith(prefix)

    def floor(self, low: bytes, key: bytes) -> tuple[bytes, bytes] | None:
        with self._transaction.cursor() as cursor:
            found = cursor.set_range(key)
            if not (found and cursor.key() == key) and not (cursor.prev() if found else cursor.last()):
                return None
            key, kept = cursor.item()
            return (key, _opened(key, kept)) if key >= low else None

    def walk(self, after: bytes, limit: int) -> list[tuple[bytes, bytes | None]]:
        found: list[tuple[bytes, bytes | None]] = []
        with self._transaction.cursor() as cursor:
            if cursor.set_range(after + b"\0"):
                for key, kept in cursor.iternext():
                    if len(found) == limit:
                        break
                    # A key that has flipped may lie out of order, and would lead the walk astray.
                    in_order = not found or key > found[-1][0]
                    found.append((key, _unsealed(key, kept) if in_order else None))
        return found


class LmdbWriter(LmdbTable):
    """The same for the one writer. What it writes waits in memory until ``flush``: LMDB takes it in one go, in the order of
    the keys, for a fraction of what single calls cost, each of which would hand over the interpreter's lock besides."""

    def __init__(self, transaction: lmdb.Transaction[bytes]) -> None:
        super().__init__(transaction)
        self._unwritten: dict[bytes, bytes | None] = {}

    def get(self, key: bytes) -> bytes | None:
        return self._unwritten[key] if key in self._unwritten else super().get(key)

    def scan(self, low: bytes, high: bytes) -> Iterator[tuple[bytes, bytes]]:
        self.flush()
        return super().scan(low, high)

    def begins(self, prefix: bytes) -> bool:
        self.flush()
        return super().begins(prefix)

    def floor(self, low: bytes, key: bytes) -> tuple[bytes, bytes] | None:
        self.flush()
        return super().floor(low, key)

    def walk(self, after: bytes, limit: int) -> list[tuple[bytes, bytes | None]]:
        self.flush()
        return super().walk(after, limit)

    def put(self, key: bytes, value: bytes) -> None:
        assert len(key) <= KEY_BYTES_MAX
        self._unwritten[key] = value

    def delete(self, key: bytes) -> None:
        self._unwritten[key] = None

    def flush(self) -> None:
        """Write what waits. Called before the commit."""
        if not self._unwritten:
            return
        rows_now = [(key, sealed(key, value)) for key, value in sorted(self._unwritten.items()) if value is not None]
        gone = [key for key, value in self._unwritten.items() if value is None]
        self._unwritten.clear()
        for key in gone:
            self._transaction.delete(key)
        if rows_now:
            with self._transaction.cursor() as cursor:
                cursor.putmulti(rows_now)

    def drop_damaged(self) -> list[bytes]:
        self.flush()
        dropped: list[bytes] = []
        with self._transaction.cursor() as cursor:
            there = cursor.first()
            while there:
                key, kept = cursor.item()
                if _unsealed(key, kept) is None:
                    dropped.append(key)
                    # By its place: a key that has flipped is not found where it should be.
                    there = cursor.delete() and bool(cursor.key())
                else:
                    there = cursor.next()
        return dropped


class LmdbLog:
    """A ``gossip.log.Log`` in a folder. Made by ``open``; one per process and folder."""

    def __init__(self, folder: Path, schema: Schema, *, read_only: bool, map_bytes: int, sync: bool) -> None:
        self._folder = folder
        self._environment: lmdb.Environment | None = None
        self._schema = schema
        self._read_only = read_only
        self._map_bytes = map_bytes
        self._sync = sync
        self._door = threading.Condition()
        """Held while a snapshot begins or ends, and while another file is put in the place of this one."""
        self._snapshots = 0
        self._failure: str | None = None
        self._entries = RecentEntries()
        self._bodies = RecentBodies()
        self._cut_offs = RecentCutOffs()
        self._database = b""
        self._copied = False

    @classmethod
    def open(
        cls,
        folder: Path,
        schema: Schema,
        company: bytes,
        *,
        read_only: bool = False,
        map_bytes: int = MAP_BYTES,
        sync: bool = True,
    ) -> LmdbLog:
        """Open the log in ``folder``; make it if there is none and it is not ``read_only``.

        ``company`` is the company's id. ``map_bytes`` bounds the file. Only tests turn ``sync`` off: then a power cut loses
        what was acknowledged. Raises ``LogError``: ``LogCorrupt``, ``LogForeign``, ``LogFull``, or a folder that is missing
        or open in this process already.
        """
        name = os.path.realpath(folder)
        with _open_folders_lock:
            if name in _open_folders:
                raise LogError(f"the log in {folder} is open in this process already")
            _open_folders.add(name)
        try:
            if not (folder / _FILE).exists():
                if read_only:
                    raise LogError(f"there is no log in {folder}")
                _make(folder, company, map_bytes)
            if not (folder / _FILE).stat().st_size:
                # LMDB would take it for a new one.
                raise LogCorrupt(f"the log in {folder} is cut short")
            return cls._open(folder, schema, company, read_only=read_only, map_bytes=map_bytes, sync=sync)
        except BaseException:
            _forget(name)
            raise

    @classmethod
    def _open(
        cls, folder: Path, schema: Schema, company: bytes, *, read_only: bool, map_bytes: int, sync: bool
    ) -> LmdbLog:
        log = cls(folder, schema, read_only=read_only, map_bytes=map_bytes, sync=sync)
        with _opening(folder):
            log._environment = environment = log._environment_of(folder)
        try:
            with _opening(folder):
                log._check(environment, company)
        except BaseException:
            environment.close()
            raise
        return log

    @property
    def database(self) -> bytes:
        return self._database

    @property
    def copied(self) -> bool:
        """Whether the file lies elsewhere than where it was written: appending is refused until ``adopt``."""
        return self._copied

    def adopt(self) -> None:
        """Let a copied log be written here, as a new log: peers' cursors into the old one do not hold for it.

        Whoever calls this knows that the original is gone, or that this replica has a new incarnation.
        """
        database = os.urandom(DATABASE_BYTES)
        with self._writing() as table:
            table.put(rows.META_FILE, _identity(self._folder / _FILE))
            table.put(rows.META_DATABASE, database)
        self._database, self._copied = database, False

    def append(
        self,
        arrivals: Sequence[Arrival],
        views: Iterable[View] = (),
        cursors: Iterable[tuple[bytes, int]] = (),
        received_ms: int = 0,
    ) -> list[Appended]:
        if self._copied:
            raise LogError(f"the log in {self._folder} is a copy of another: it is read-only until it is adopted")
        with self._writing() as table:
            writer = LogWriter(table, self._schema, self._entries, self._bodies)
            appended = writer.append(arrivals, views, cursors, received_ms)
        writer.committed()
        return appended

    def look(self, after: bytes, rows_max: int) -> Looked:
        with self._snapshot() as transaction:
            table = LmdbTable(transaction)
            return look(table, LogReader(table, RecentEntries(0)), after, rows_max)

    def mend(self, me: Author, spoilt: Collection[int] = (), *, derive: bool = False) -> Mended:
        # Nothing that is remembered is believed meanwhile, nor afterwards.
        self._entries = RecentEntries()
        with self._writing() as table:
            dropped = table.drop_damaged()
            lasting = {key for key in dropped if key[:1] == rows.META} - {
                rows.META_ARRIVAL,
                rows.META_HORIZONS,
                rows.META_FREED,
            }
            if lasting:
                raise LogCorrupt(f"the log in {self._folder} has lost what says which log it is")
            mender = LogMender(table, self._schema, RecentEntries(0), self._bodies)
            return mender.mend(dropped, me, spoilt, derive=derive)

    def prune(
        self, horizons: Mapping[tuple[str, Key], int], drop: Iterable[Document] = (), replaced_before_ms: int = 0
    ) -> int:
        with self._writing() as table:
            pruner = LogPruner(table, self._schema, RecentEntries(0), self._bodies)
            return pruner.prune(horizons, drop, replaced_before_ms)

    @contextmanager
    def read(self) -> Generator[Reader]:
        with self._snapshot() as transaction:
            yield CountedReader(LmdbTable(transaction), self._entries, self._schema, self._cut_offs)

    @contextmanager
    def read_all(self) -> Generator[Reader]:
        with self._snapshot() as transaction:
            yield LogReader(LmdbTable(transaction), self._entries)

    @contextmanager
    def _snapshot(self) -> Generator[lmdb.Transaction[bytes]]:
        with self._door:
            environment = self._usable()
            self._snapshots += 1
        try:
            with _translated(self._folder), environment.begin() as transaction:
                yield transaction
        finally:
            with self._door:
                self._snapshots -= 1
                self._door.notify_all()

    # What was shredded

    @property
    def freed(self) -> bool:
        """Whether the file may still hold bytes of documents that were shredded: LMDB reuses pages, and wipes none."""
        with self._snapshot() as transaction:
            return transaction.get(rows.META_FREED) is not None

    def wipe(self) -> bool:
        """Write what is held into a new file and put it in the place of this one; whether that was needed and done.

        ``False`` also if a snapshot stays open for ``SNAPSHOT_S_MAX``: then later. Called by whoever appends, and needs the room
        of a second file. What the file system and the drive keep of the old file's blocks is theirs to wipe. Raises ``LogError``.
        """
        if self._read_only or self._copied or not self.freed:
            return False
        self._write_anew()
        with self._door:
            if not self._door.wait_for(lambda: not self._snapshots, SNAPSHOT_S_MAX):
                return False
            environment = self._usable()
            self._environment = None
            environment.close()
            with _opening(self._folder):
                (self._folder / _BEING_MADE / _FILE).rename(self._folder / _FILE)
                # Whoever has the old file open goes on with the old lock.
                (self._folder / _LOCK).unlink(missing_ok=True)
                shutil.rmtree(self._folder / _BEING_MADE)
                _sync_folder(self._folder)
                self._environment = self._environment_of(self._folder)
        return True

    def _write_anew(self) -> None:
        being_made = self._folder / _BEING_MADE
        with _opening(self._folder):
            shutil.rmtree(being_made, ignore_errors=True)
            being_made.mkdir(mode=0o700)
            copy = self._environment_of(being_made, create=True)
            try:
                with self._snapshot() as transaction, transaction.cursor() as found:
                    # Row by row: a page that is copied whole keeps what was removed from it.
                    there = found.first()
                    while there:
                        with copy.begin(write=True) as writing:
                            for _ in range(_ROWS_AT_ONCE):
                                key, kept = found.item()
                                if key != rows.META_FREED:
                                    writing.put(key, kept)
                                there = found.next()
                                if not there:
                                    break
                with copy.begin(write=True) as writing:
                    table = LmdbWriter(writing)
                    table.put(rows.META_FILE, _identity(being_made / _FILE))
                    table.flush()
            finally:
                copy.close()

    def _environment_of(self, folder: Path, *, create: bool = False) -> lmdb.Environment:
        return lmdb.open(
            str(folder),
            map_size=self._map_bytes,
            readonly=self._read_only,
            create=create,
            mode=0o600,
            readahead=False,
            max_readers=READERS_MAX,
            sync=self._sync,
        )

    def close(self) -> None:
        if self._environment is not None:
            self._environment.close()
            self._environment = None
            _forget(os.path.realpath(self._folder))

    def _usable(self) -> lmdb.Environment:
        if self._environment is None:
            raise LogError(f"the log in {self._folder} is closed")
        if self._failure is not None:
            raise LogError(self._failure)
        return self._environment

    @contextmanager
    def _writing(self) -> Generator[LmdbWriter]:
        environment = self._usable()
        if self._read_only:
            raise LogError(f"the log in {self._folder} was opened for reading only")
        try:
            with environment.begin(write=True) as transaction:
                table = LmdbWriter(transaction)
                yield table
                table.flush()
        except lmdb.Error as error:
            refused = _log_error(self._folder, error)
            if not isinstance(refused, LogFull):
                # What the disk holds now is unknown, and asking again would be answered from memory.
                self._failure = f"the log in {self._folder} failed and must be opened again: {error}"
            raise refused from error

    def _check(self, environment: lmdb.Environment, company: bytes) -> None:
        if not self._read_only:
            environment.reader_check()
        with environment.begin() as transaction:
            try:
                check_pages(self._folder / _FILE)
            except DamagedPage as error:
                raise LogCorrupt(f"the log in {self._folder} is damaged: {error}") from error
            version = transaction.get(rows.META_FORMAT)
            if version is not None and len(version) == len(rows.number(0)):  # the first format had no sums
                raise LogForeign(f"the log in {self._folder} was written by another version of this program")
            table = LmdbTable(transaction)
            version, owner, database, written_at = (
                table.get(key) for key in (rows.META_FORMAT, rows.META_COMPANY, rows.META_DATABASE, rows.META_FILE)
            )
        if version is None or owner is None or database is None or written_at is None:
            raise LogCorrupt(f"what lies in {self._folder} is not a log")
        if rows.from_number(version) != rows.FORMAT_VERSION:
            raise LogForeign(f"the log in {self._folder} was written by another version of this program")
        if owner != company:
            raise LogForeign(f"the log in {self._folder} belongs to another company")
        self._database = database
        self._copied = written_at != _identity(self._folder / _FILE)


def _make(folder: Path, company: bytes, map_bytes: int) -> None:
    """Write an empty log beside its place and move it there: what is there is whole."""
    being_made = folder / _BEING_MADE
    with _opening(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        being_made.mkdir(mode=0o700, exist_ok=True)
        for left_over in (_FILE, _LOCK):
            (being_made / left_over).unlink(missing_ok=True)
        environment = lmdb.open(str(being_made), map_size=map_bytes, mode=0o600)
        try:
            with environment.begin(write=True) as transaction:
                table = LmdbWriter(transaction)
                table.put(rows.META_FORMAT, rows.number(rows.FORMAT_VERSION))
                table.put(rows.META_COMPANY, company)
                table.put(rows.META_DATABASE, os.urandom(DATABASE_BYTES))
                table.put(rows.META_FILE, _identity(being_made / _FILE))
                table.flush()
        finally:
            environment.close()
        (being_made / _FILE).rename(folder / _FILE)
        (being_made / _LOCK).unlink(missing_ok=True)
        being_made.rmdir()
        for place in (folder, folder.parent):
            _sync_folder(place)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _identity(file: Path) -> bytes:
    """What a copy of the file does not share with it: file system, inode and, where the system tells, time of birth.

    The file system's own id is preferred to the device's number, which may change when the machine starts again.
    """
    status = file.stat()
    system = os.statvfs(file).f_fsid if hasattr(os, "statvfs") else status.st_dev
    birth = getattr(status, "st_birthtime", 0)
    return f"{system} {status.st_ino} {birth}".encode()


def _forget(name: str) -> None:
    with _open_folders_lock:
        _open_folders.discard(name)


@contextmanager
def _translated(folder: Path) -> Generator[None]:
    try:
        yield
    except lmdb.Error as error:
        raise _log_error(folder, error) from error


@contextmanager
def _opening(folder: Path) -> Generator[None]:
    try:
        with _translated(folder):
            yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise LogFull(
                f"no space is left for the log in {folder}: nothing was written, make room and try again"
            ) from error
        raise LogError(f"the log in {folder} cannot be used: {error}") from error


def _has_room(folder: Path) -> bool:
    # Where there is no room a write may take a part of what it is given; LMDB calls that EIO, and keeps nothing of it.
    system = os.statvfs(folder)
    largest, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    may_grow = largest == resource.RLIM_INFINITY or (folder / _FILE).stat().st_size + _ROOM_BYTES_MIN <= largest
    return may_grow and system.f_bavail * system.f_frsize >= _ROOM_BYTES_MIN


def _log_error(folder: Path, error: lmdb.Error) -> LogError:
    if isinstance(error, lmdb.MapFullError):
        return LogFull(f"the log in {folder} has reached its greatest size: nothing was written")
    if error.code in _NO_SPACE or (error.code == errno.EIO and not _has_room(folder)):
        return LogFull(f"no space is left for the log in {folder}: nothing was written, make room and try again")
    if isinstance(error, _DAMAGED):
        return LogCorrupt(f"the log in {folder} is damaged: {error}")
    return LogError(f"the log in {folder} cannot be used: {error}")
