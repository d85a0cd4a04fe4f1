"""The log in memory: for tests, simulations and tools. It keeps every law of ``gossip.log`` but durability."""

from __future__ import annotations

import os
import threading
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Final

from gossip.document import Document, Key
from gossip.errors import LogError
from gossip.log import Appended, Arrival, Looked, Mended, Reader, View
from gossip.log_counted import CountedReader, RecentCutOffs
from gossip.log_mending import LogMender, look
from gossip.log_pruning import LogPruner
from gossip.log_reader import LogReader, RecentEntries
from gossip.log_table import KEY_BYTES_MAX, after_prefix
from gossip.log_writer import LogWriter, RecentBodies
from gossip.schema import Schema
from merge_rules.lattice import Author

DATABASE_BYTES: Final = 16


class MemoryTable:
    """A dictionary and its keys in order. A snapshot shares them until the writer comes, which then works on a copy."""

    def __init__(self, values: dict[bytes, bytes] | None = None, keys: list[bytes] | None = None) -> None:
        self._values = {} if values is None else values
        self._keys = [] if keys is None else keys
        self._undo: list[tuple[bytes, bytes | None]] = []

    def copy(self) -> MemoryTable:
        """An independent table with the same content."""
        return MemoryTable(dict(self._values), list(self._keys))

    def get(self, key: bytes) -> bytes | None:
        return self._values.get(key)

    def scan(self, low: bytes, high: bytes) -> Iterator[tuple[bytes, bytes]]:
        for at in range(bisect_left(self._keys, low), bisect_left(self._keys, high)):
            key = self._keys[at]
            yield key, self._values[key]

    def begins(self, prefix: bytes) -> bool:
        return next(self.scan(prefix, after_prefix(prefix)), None) is not None

    def floor(self, low: bytes, key: bytes) -> tuple[bytes, bytes] | None:
        at = bisect_right(self._keys, key) - 1
        if at < 0 or self._keys[at] < low:
            return None
        return self._keys[at], self._values[self._keys[at]]

    def walk(self, after: bytes, limit: int) -> list[tuple[bytes, bytes | None]]:
        keys = self._keys[bisect_right(self._keys, after) :][:limit]
        return [(key, self._values[key]) for key in keys]

    def drop_damaged(self) -> list[bytes]:
        return []  # memory is believed

    def put(self, key: bytes, value: bytes) -> None:
        assert len(key) <= KEY_BYTES_MAX
        old = self._values.get(key)
        self._undo.append((key, old))
        if old is None:
            insort(self._keys, key)
        self._values[key] = value

    def delete(self, key: bytes) -> None:
        old = self._values.pop(key, None)
        if old is not None:
            self._undo.append((key, old))
            del self._keys[bisect_left(self._keys, key)]

    def commit(self) -> None:
        """Keep what was written since the last commit."""
        self._undo.clear()

    def abort(self) -> None:
        """Take back what was written since the last commit."""
        for key, old in reversed(self._undo):
            if old is None:
                del self._values[key]
                del self._keys[bisect_left(self._keys, key)]
            else:
                if key not in self._values:
                    insort(self._keys, key)
                self._values[key] = old
        self._undo.clear()


class _Snapshot:
    """A class and no generator: simulations take millions."""

    __slots__ = ("_log", "_reader_of", "_table")

    def __init__(self, log: MemoryLog, reader_of: Callable[[MemoryTable], Reader]) -> None:
        self._log = log
        self._reader_of = reader_of

    def __enter__(self) -> Reader:
        self._table = self._log.begin()
        return self._reader_of(self._table)

    def __exit__(self, *_error: object) -> None:
        self._log.end(self._table)


class MemoryLog:
    """A ``gossip.log.Log`` that is gone with its process. ``database`` fixes the id that is random otherwise.

    ``table``: what it holds from the start, such as the ``image`` of another.
    """

    def __init__(self, schema: Schema, database: bytes | None = None, table: MemoryTable | None = None) -> None:
        self._schema = schema
        self._database = os.urandom(DATABASE_BYTES) if database is None else database
        self._table = MemoryTable() if table is None else table
        self._readers = 0
        self._lock = threading.Lock()
        self._entries = RecentEntries()
        self._bodies = RecentBodies()
        self._cut_offs = RecentCutOffs()
        self._closed = False

    @property
    def database(self) -> bytes:
        return self._database

    def append(
        self,
        arrivals: Sequence[Arrival],
        views: Iterable[View] = (),
        cursors: Iterable[tuple[bytes, int]] = (),
        received_ms: int = 0,
    ) -> list[Appended]:
        self._refuse_if_closed()
        with self._lock:
            # Readers hold on to the table they began with.
            table = self._table.copy() if self._readers else self._table
            writer = LogWriter(table, self._schema, self._entries, self._bodies)
            try:
                appended = writer.append(arrivals, views, cursors, received_ms)
            except BaseException:
                table.abort()
                raise
            table.commit()
            writer.committed()
            if table is not self._table:
                self._table, self._readers = table, 0
        return appended

    def look(self, after: bytes, rows_max: int) -> Looked:
        with self.read() as reader:
            assert isinstance(reader, LogReader)
            return look(self._table, reader, after, rows_max)

    def mend(self, me: Author, spoilt: Collection[int] = (), *, derive: bool = False) -> Mended:
        self._refuse_if_closed()
        with self._lock:
            table = self._table.copy()
            mender = LogMender(table, self._schema, RecentEntries(0), self._bodies)
            mended = mender.mend(table.drop_damaged(), me, spoilt, derive=derive)
            table.commit()
            self._table, self._readers, self._entries = table, 0, RecentEntries()
        return mended

    def prune(
        self, horizons: Mapping[tuple[str, Key], int], drop: Iterable[Document] = (), replaced_before_ms: int = 0
    ) -> int:
        self._refuse_if_closed()
        with self._lock:
            table = self._table.copy()
            count = LogPruner(table, self._schema, RecentEntries(0), self._bodies).prune(
                horizons, drop, replaced_before_ms
            )
            table.commit()
            self._table, self._readers = table, 0
        return count

    def read(self) -> AbstractContextManager[Reader]:
        return _Snapshot(self, lambda table: CountedReader(table, self._entries, self._schema, self._cut_offs))

    def read_all(self) -> AbstractContextManager[Reader]:
        return _Snapshot(self, lambda table: LogReader(table, self._entries))

    def begin(self) -> MemoryTable:
        """A snapshot begins."""
        self._refuse_if_closed()
        with self._lock:
            self._readers += 1
            return self._table

    def end(self, table: MemoryTable) -> None:
        """And is over."""
        with self._lock:
            if table is self._table:
                self._readers -= 1

    def image(self) -> MemoryTable:
        """A copy of what it holds now."""
        with self._lock:
            return self._table.copy()

    def close(self) -> None:
        self._closed = True

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise LogError("the log is closed")
