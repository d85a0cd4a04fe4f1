"""What both logs stand on: one ordered table of bytes, with snapshots and one writer.

Sans-I/O here; ``log_lmdb`` keeps such a table on the disk, ``log_memory`` in a sorted list. Everything else about the log is
written once, over this interface.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

KEY_BYTES_MAX = 511


class TableReader(Protocol):
    """A snapshot of the table."""

    def get(self, key: bytes) -> bytes | None:
        """The value of a key."""
        ...

    def scan(self, low: bytes, high: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values in [low, high), ascending. A writer must not write while it scans."""
        ...

    def begins(self, prefix: bytes) -> bool:
        """Whether any key begins with ``prefix``."""
        ...

    def floor(self, low: bytes, key: bytes) -> tuple[bytes, bytes] | None:
        """The greatest key in [low, key] and its value."""
        ...

    def walk(self, after: bytes, limit: int) -> list[tuple[bytes, bytes | None]]:
        """At most ``limit`` keys above ``after`` with their values, ``None`` for a row that is damaged. Raises nothing."""
        ...


class TableWriter(TableReader, Protocol):
    """The one writer; it reads what it has written."""

    def put(self, key: bytes, value: bytes) -> None:
        """Set a key of at most ``KEY_BYTES_MAX`` bytes."""
        ...

    def delete(self, key: bytes) -> None:
        """Remove a key, if it is there."""
        ...

    def drop_damaged(self) -> list[bytes]:
        """Remove every row that is damaged, whatever its key; returns the keys as they stood there."""
        ...


def after_prefix(prefix: bytes) -> bytes:
    """The least bytes above everything that begins with ``prefix``, which holds a byte other than 0xff."""
    head = prefix.rstrip(b"\xff")
    assert head
    return head[:-1] + bytes([head[-1] + 1])
