"""A running head office brings its books' sums up to date, while nothing arrives."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from crdt_pos.keeping import pieces
from gossip.errors import LogFull

if TYPE_CHECKING:
    from crdt_pos.replica import RunningReplica

LOOK_EVERY_S: Final = 15.0
BUSY_S_MAX: Final = 600.0
"""So long at most it waits for a time in which nothing arrives."""
REST: Final = 3
"""Times as long as it worked it rests."""

_log = logging.getLogger("crdt_pos.replica")


class Keeping:
    """A running head office brings its sums up to date."""

    def __init__(self, replica: RunningReplica) -> None:
        self._replica = replica

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._quiet()
            await self._keep()

    async def _quiet(self) -> None:
        """Wait until nothing arrives any more."""
        with trio.move_on_after(BUSY_S_MAX):
            last = -1
            while (now := await self._replica.look(lambda reader: reader.last_arrival())) != last:
                last = now
                await trio.sleep(LOOK_EVERY_S)

    async def _keep(self) -> None:
        replica = self._replica
        found = pieces(replica.log, replica.trust.directory)
        try:
            while True:
                began_s = trio.current_time()
                piece = await trio.to_thread.run_sync(next, found, None)
                if piece is None or not await replica.node.write(partial(piece.write, replica.log)):
                    break
                await trio.sleep(REST * (trio.current_time() - began_s))
        except (OverflowError, LogFull) as error:
            _log.info("the books' sums are not kept: %s", error, extra={"event": "sums_not_kept"})
        await trio.sleep(LOOK_EVERY_S)
