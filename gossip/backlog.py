"""What all sessions of a replica have received and not committed yet: bounded, so that what is heard is soon on the disk.

Decoded entries take some fifteen times their bytes, and a process that verifies signatures has nothing to do while all others
only listen. Who has something waiting is not listened to while much is waiting; whoever has nothing always is, so that nobody
is kept out by others whose entries take long. trio's part of gossip.
"""

from __future__ import annotations

from typing import Final

import trio

BYTES_MAX: Final = 1 << 20
"""Frames' bytes: five thousand entries of a day with three products."""


class Backlog:
    """Of one node."""

    def __init__(self, bytes_max: int = BYTES_MAX) -> None:
        self.bytes = 0
        self._bytes_max = bytes_max
        self._less = trio.Event()

    @property
    def full(self) -> bool:
        """Whether more waits than should."""
        return self.bytes > self._bytes_max

    def add(self, frame_bytes: int) -> None:
        """So much more was received."""
        self.bytes += frame_bytes

    def take(self, frame_bytes: int) -> None:
        """So much of it waits no more."""
        self.bytes -= frame_bytes
        if not self.full:
            self.look_again()

    def look_again(self) -> None:
        """Let everybody who waits see whether they still must."""
        self._less.set()
        self._less = trio.Event()

    async def change(self) -> None:
        """Wait until it may be otherwise."""
        await self._less.wait()
