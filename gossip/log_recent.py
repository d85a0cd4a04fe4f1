"""What was read a moment ago, so that it need not be taken apart again: a bounded cache, oldest out first.

Any thread may look and keep: each step is one operation on a dictionary, and what is missing is only made again.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Generic, TypeVar

RECENT_BYTES_MAX: Final = 16 << 20

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """Values by key, at most ``bytes_max`` in all by the weights that callers give."""

    def __init__(self, bytes_max: int = RECENT_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        # A plain dict looks through all that it has let go to find its oldest.
        self._kept: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def get(self, key: K) -> V | None:
        """The value, if it is still here."""
        kept = self._kept.get(key)
        return None if kept is None else kept[0]

    def drop(self, key: K) -> None:
        """Forget a value that nobody will ask for."""
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._bytes -= kept[1]

    def keep(self, key: K, value: V, size_bytes: int) -> None:
        """Remember a value that never changes for its key."""
        fresh = (value, size_bytes)
        if self._kept.setdefault(key, fresh) is fresh:
            self._bytes += size_bytes
        while self._bytes > self._bytes_max:
            try:
                _, (_, size) = self._kept.popitem(last=False)
            except KeyError:  # another thread was faster, or two of them have counted at once
                self._bytes = 0
                return
            self._bytes -= size
