"""What all sessions of a replica have received and not committed yet: bounded, so that what is heard is soon on the disk.

Decoded entries take some fifteen times their bytes, and a process that verifies signatures has nothing to do while all others
only listen. Who has something waiting is not listened to while much is waiting; whoever has nothing always is. One session
counts for a share at most, so that nobody is kept out by another whose entries take long. The bound is ``BYTES_MAX`` and what
one reading of each session brings. trio's part of gossip.
"""

from __future__ import annotations

from typing import Final

import trio

BYTES_MAX: Final = 1 << 20
"""Of entries: five thousand of a day with three products."""
SHARE_BYTES_MAX: Final = BYTES_MAX // 4
"""So much of one session's counts."""


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

    def change_by(self, more_bytes: int) -> None:
        """So much more waits, or less."""
        self.bytes += more_bytes
        if more_bytes < 0:
            self.look_again()

    def look_again(self) -> None:
        """Let everybody who waits see whether they still must."""
        self._less.set()
        self._less = trio.Event()

    async def change(self) -> None:
        """Wait until it may be otherwise."""
        await self._less.wait()
