"""A disk of the simulation that is a real one: the log is LMDB in a folder, and what is committed is synced."""

from __future__ import annotations

from pathlib import Path

from crdt_pos.schema import SCHEMA
from gossip.log import Arrival, Log
from gossip.log_lmdb import LmdbLog
from tools.simulation.disk import Disk, Inventory


class RealDisk(Disk):
    """Begins with what another log holds."""

    def __init__(self, number: int, inventory: Inventory, folder: Path, company: bytes, begins_with: Log) -> None:
        super().__init__(number, lambda: b"", inventory)
        folder.mkdir(parents=True)
        self._real = LmdbLog.open(folder, SCHEMA, company)
        self._log = self._real
        with begins_with.read_all() as reader:
            arrivals = [Arrival(one.entry, one.received_from) for one in reader.arrivals(0, 1 << 30)]
            self._real.append(arrivals, reader.views(b""))

    def close(self) -> None:
        """Let go of the file."""
        self._real.close()
