"""Pruning the log: what was kept for long enough travels no more, and goes where it is safe to let it go.

A horizon is data that everybody agrees on, so fingerprints of who has dropped and of who has not are the same: a document before
its horizon is in no scope. Whether this replica may drop it is for the layer above to know. Sans-I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gossip import log_rows as rows
from gossip.document import Document, Key, order_key
from gossip.log_mending import each
from gossip.log_writer import LogWriter


class LogPruner(LogWriter):
    """One transaction. When ``prune`` has returned, the caller commits."""

    def prune(self, horizons: Mapping[tuple[str, Key], int], drop: Iterable[Document], replaced_before_ms: int) -> int:
        """See ``gossip.log.Log.prune``."""
        moved = {key: max(day, self.horizons.get(key, 0)) for key, day in horizons.items()}
        after = {**self.horizons, **moved}
        if after != self.horizons:
            for document in self._passed(after):
                for feed, tips in list(self.feed_rows(order_key(document))):
                    self._account(document, order_key(document), feed, tips, [])
            self._writer.put(rows.META_HORIZONS, rows.horizons_value(after))
            del self._horizons  # read again
            self._scopes.clear()
        count = 0
        for document in drop:
            assert self.is_past(document)
            count += self._remove(document)
        count += self._drop_replaced(replaced_before_ms)
        if count:
            self._writer.put(rows.META_FREED, b"")
        self._write_sums()
        return count

    def _passed(self, after: Mapping[tuple[str, Key], int]) -> list[Document]:
        """Documents that the horizons leave behind now."""
        last = max(after.values(), default=0)
        held = [document for document in self.documents(day_from=1, day_to=max(last - 1, 1)) if document.keys]
        return [
            document
            for document in held
            if self.horizons.get((document.kind, document.keys[0]), 0)
            <= document.day
            < after.get((document.kind, document.keys[0]), 0)
        ]

    def _drop_replaced(self, before_ms: int) -> int:
        count = 0
        for key, value in each(self._table, rows.PAST) if before_ms else ():
            tip = rows.from_past(key, value)
            if not rows.is_whole(tip.form) and self.entry(tip.arrival).stamp >> 16 < before_ms:
                self._writer.delete(key)
                self._writer.delete(rows.entry_key(tip.arrival))
                self._writer.delete(rows.BY_HASH + tip.hash)
                count += 1
        return count
