"""The scrub: a replica reads its own log over, a little at a time, and finds what the disk gives back otherwise than written.

Every row by its sum, every entry besides by its hash and its author's signature. At ``ROWS_PER_S`` a till with 30 days of
journal is through in minutes and a log of 40 million rows in a day. What is found is for
``crdt_pos.mending``. Sans-I/O but for reading.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gossip.ingest import AuthorLookup
from gossip.log import Log

ROWS_PER_S: Final = 500
ROWS_AT_ONCE: Final = 100


class Scrub:
    """Where one replica's scrub stands. ``record``: what the certificate of an author says."""

    def __init__(self, log: Log, record: AuthorLookup, system_ms: Callable[[], int]) -> None:
        self.spoilt: set[int] = set()
        """Arrival numbers of entries whose signature is not their author's."""
        self.damaged = False
        """Whether a row is damaged, or an entry spoilt: ``begin`` again once it is mended."""
        self.passes = 0
        self.rows = 0
        """Of the pass that is under way."""
        self.entries = 0
        self.rows_last_pass = 0
        self.passed_ms = 0
        """When the last pass ended; 0 before the first has."""
        self._log = log
        self._record = record
        self._system_ms = system_ms
        self._after = b""

    def look(self, rows_max: int = ROWS_AT_ONCE) -> bool:
        """Look at the next rows; whether the pass is through. May run on any thread, one at a time."""
        looked = self._log.look(self._after, rows_max)
        for stored in looked.entries:
            author = self._record(stored.entry.author)
            if author is not None and not stored.entry.verify(author.public_key):
                self.spoilt.add(stored.arrival)
        self.damaged |= looked.damaged or bool(self.spoilt)
        self.rows += looked.rows
        self.entries += len(looked.entries)
        self._after = looked.next
        if looked.next:
            return False
        self.passes += 1
        self.rows_last_pass, self.passed_ms = self.rows, self._system_ms()
        self.rows = self.entries = 0
        return True

    def begin(self) -> None:
        """From the beginning."""
        self.rows = self.entries = 0
        self._after = b""
        self.damaged = False
        self.spoilt.clear()

    def facts(self) -> dict[str, object]:
        """For a person: how far it is."""
        share = 100 if not self.rows_last_pass else min(100, 100 * self.rows // self.rows_last_pass)
        return {
            "passes": self.passes,
            "passed_ms": self.passed_ms,
            "rows": self.rows,
            "percent": share if self.passes else None,
        }
