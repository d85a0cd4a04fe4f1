"""People at a running replica: what it answers about cashiers, and what it does for them of its own accord.

A till that is enrolled later has no copy of the store's secret, so nobody could sign on there: one of those that hold it seals it
to the newcomer as soon as the roster names it.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from crdt_pos.cashier_commands import CashierCommands
from crdt_pos.directory import is_roster
from crdt_pos.local import Command
from crdt_pos.schema import STAFF
from gossip.errors import LogFull
from gossip.intake import Batch

if TYPE_CHECKING:
    from crdt_pos.replica import RunningReplica


class People:
    """Runs beside a replica's sessions."""

    def __init__(self, replica: RunningReplica) -> None:
        self._replica = replica
        self._grown = True

    def commands(self) -> dict[str, Command]:
        """Name → command."""
        return CashierCommands(self._replica).commands()

    def appended(self, batch: Batch) -> None:
        """Entries have arrived."""
        documents = (arrival.entry.document for arrival in batch.arrivals)
        self._grown = self._grown or any(is_roster(one) or one.kind == STAFF for one in documents)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            change = self._replica.node.change
            if self._grown and self._replica.may_act():
                self._grown = False
                await self._share()
            await change.wait()

    async def _share(self) -> None:
        cashiers = self._replica.cashiers
        if cashiers is not None and await self._replica.look(cashiers.lacks):
            with contextlib.suppress(LogFull):
                await self._replica.write(cashiers.share)
