"""A memory log's table over another that is shared and never changes: what many replicas begin with is there once."""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator

from gossip.log_memory import MemoryTable


class LayeredTable(MemoryTable):
    """``MemoryTable`` whose rows are those of ``below`` but for what was written since."""

    def __init__(
        self, below: MemoryTable, values: dict[bytes, bytes] | None = None, keys: list[bytes] | None = None
    ) -> None:
        super().__init__(values, keys)
        self._below = below
        self._gone: set[bytes] = set()
        """Keys of ``below`` that were deleted here."""

    def copy(self) -> LayeredTable:
        made = LayeredTable(self._below, dict(self._values), list(self._keys))
        made._gone = set(self._gone)
        return made

    def get(self, key: bytes) -> bytes | None:
        found = self._values.get(key)
        if found is not None:
            return found
        return None if key in self._gone else self._below.get(key)

    def scan(self, low: bytes, high: bytes) -> Iterator[tuple[bytes, bytes]]:
        keys = self._keys
        first, last = bisect_left(keys, low), bisect_left(keys, high)
        below = self._below._keys
        first_below, last_below = bisect_left(below, low), bisect_left(below, high)
        if first_below == last_below:
            for at in range(first, last):
                yield keys[at], self._values[keys[at]]
            return
        theirs = [key for key in below[first_below:last_below] if key not in self._values and key not in self._gone]
        for key in heapq.merge(keys[first:last], theirs) if first < last else theirs:
            value = self.get(key)
            assert value is not None
            yield key, value

    def floor(self, low: bytes, key: bytes) -> tuple[bytes, bytes] | None:
        here = super().floor(low, key)
        below = self._below._keys
        at = bisect_right(below, key) - 1
        while at >= 0 and below[at] >= low and (here is None or below[at] > here[0]):
            found = self.get(below[at])
            if found is not None:
                return below[at], found
            at -= 1
        return here

    def walk(self, after: bytes, limit: int) -> list[tuple[bytes, bytes | None]]:
        found: list[tuple[bytes, bytes | None]] = []
        for row in self.scan(after + b"\0", b"\xff" * 512):
            found.append(row)
            if len(found) >= limit:
                break
        return found

    def put(self, key: bytes, value: bytes) -> None:
        old = self.get(key)
        self._undo.append((key, old))
        if key not in self._values:
            insort(self._keys, key)
        self._values[key] = value

    def delete(self, key: bytes) -> None:
        old = self.get(key)
        if old is None:
            return
        self._undo.append((key, old))
        if self._values.pop(key, None) is not None:
            del self._keys[bisect_left(self._keys, key)]
        if self._below.get(key) is not None:
            self._gone.add(key)

    def abort(self) -> None:
        for key, old in reversed(self._undo):
            if old is None:
                del self._values[key]
                del self._keys[bisect_left(self._keys, key)]
            else:
                if key not in self._values:
                    insort(self._keys, key)
                self._values[key] = old
        self._undo.clear()
