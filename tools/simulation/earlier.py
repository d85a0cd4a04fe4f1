"""A till's next life closes what its earlier lives left open: stands in for ``crdt_pos.earlier_lives`` on trio."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from crdt_pos.proxy import earlier_lives
from crdt_pos.till import Till
from gossip.errors import LogFull
from gossip.intake import Batch
from merge_rules.lattice import Author

if TYPE_CHECKING:
    from tools.simulation.link import SimulatedLink
    from tools.simulation.replica import SimulatedReplica

SETTLES_MS: Final = 500


class SimulatedEarlierLives:
    """Runs beside a till's sessions."""

    def __init__(self, replica: SimulatedReplica, till: Till) -> None:
        self._replica = replica
        self._till = till
        self._lives: Sequence[Author] = ()
        self._due = False
        self._knowing = False
        """Whether this till has caught up with somebody who may hold the journals."""

    def appended(self, batch: Batch) -> None:
        """Entries have arrived."""
        if any(arrival.entry.author in self._lives for arrival in batch.arrivals):
            self._close_soon()

    def caught_up(self, link: SimulatedLink) -> None:
        """With a peer."""
        if self._replica.knows_most(link.peer):
            self._knowing = True
            self._close_soon()

    def _close_soon(self) -> None:
        if self._knowing and not self._due:
            self._due = True
            self._replica.heap.spawn(self._close(), self._replica.life)

    async def _close(self) -> None:
        replica = self._replica
        await replica.heap.sleep(SETTLES_MS)
        while not replica.may_act():
            await replica.heap.sleep(SETTLES_MS)
        self._due = False
        with replica.log.read() as reader:
            self._lives = earlier_lives(reader, replica.trust.directory, replica.certificate)
        if self._lives:
            try:
                closed = await replica.write(partial(self._till.close_lives, self._lives))
            except LogFull:
                return
            for one in closed:
                replica.tell(f"{one.life.hex()} is closed by proxy on {one.date}: {one.acts} acts")
