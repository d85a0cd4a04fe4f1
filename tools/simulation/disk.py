"""A simulated disk with a replica's log on it: it may be full, be lost, or be set back to an image of it.

A transaction takes time until it is synced. A replica that is killed meanwhile never hears of it, and whether it reached the
disk is a matter of luck: whole or not at all. Stands in for ``gossip.log_lmdb``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final, Protocol

from crdt_pos.schema import SCHEMA
from gossip.document import Document, Key
from gossip.errors import LogFull
from gossip.log import Appended, Arrival, Log, Looked, Mended, Outcome, Reader, View
from gossip.log_memory import MemoryLog, MemoryTable
from merge_rules.lattice import Author

SYNC_MS: Final = (2, 30)
"""How long a transaction takes, from and to."""


@dataclass(frozen=True, slots=True)
class Image:
    """A copy of a disk."""

    database: bytes
    table: MemoryTable


class Inventory(Protocol):
    """Who wants to know what is on which disk."""

    def written(self, disk: Disk, arrival: Arrival) -> None:
        """An entry is on a disk that was not."""
        ...


class Disk:
    """Implements ``gossip.log.Log``. Survives its replica's process."""

    def __init__(
        self, number: int, databases: Callable[[], bytes], inventory: Inventory, image: Image | None = None
    ) -> None:
        """``databases`` makes ids of logs; ``image``: what the disk is set back to."""
        self.number = number
        self.full = False
        self._inventory = inventory
        self._databases = databases
        database, table = (databases(), None) if image is None else (image.database, image.table.copy())
        self._memory = MemoryLog(SCHEMA, database, table)
        self._log: Log = self._memory

    @property
    def database(self) -> bytes:
        return self._log.database

    def append(
        self,
        arrivals: Sequence[Arrival],
        views: Iterable[View] = (),
        cursors: Iterable[tuple[bytes, int]] = (),
        received_ms: int = 0,
    ) -> list[Appended]:
        if self.full:
            raise LogFull("no space left on the simulated disk")
        outcomes = self._log.append(arrivals, views, cursors, received_ms)
        for arrival, outcome in zip(arrivals, outcomes, strict=True):
            if outcome.outcome in (Outcome.NEW, Outcome.FORK) and arrival.quarantine is None:
                self._inventory.written(self, arrival)
        return outcomes

    def forge(
        self, arrivals: Sequence[Arrival], views: Iterable[View] = (), cursors: Iterable[tuple[bytes, int]] = ()
    ) -> None:
        """Put something on it that nobody vouches for."""
        if not self.full:
            self._log.append(arrivals, views, cursors)

    def read(self) -> AbstractContextManager[Reader]:
        return self._log.read()

    def read_all(self) -> AbstractContextManager[Reader]:
        return self._log.read_all()

    def look(self, after: bytes, rows_max: int) -> Looked:
        return self._log.look(after, rows_max)

    def mend(self, me: Author, spoilt: Collection[int] = (), *, derive: bool = False) -> Mended:
        return self._log.mend(me, spoilt, derive=derive)

    def prune(
        self, horizons: Mapping[tuple[str, Key], int], drop: Iterable[Document] = (), replaced_before_ms: int = 0
    ) -> int:
        return self._log.prune(horizons, drop, replaced_before_ms)

    def close(self) -> None:
        """Nothing to let go of."""

    def adopt(self) -> None:
        """Let the log begin anew under another id, with the same content."""
        self._memory = MemoryLog(SCHEMA, self._databases(), self._memory.image())
        self._log = self._memory

    def image(self) -> Image:
        """What is on it now, for a disk that is set back to this later."""
        return Image(self._log.database, self._memory.image())
