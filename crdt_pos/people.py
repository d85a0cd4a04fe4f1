"""People at a running replica: what it answers about cashiers and members, and what it does for them of its own accord.

A till that is enrolled later has no copy of the store's secret, so nobody could sign on there: one of those that hold it seals it
to the newcomer as soon as the roster names it.

What was erased is out of the log at once, and out of its file when that is written anew: as soon as nobody reads it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from crdt_pos.cashier_commands import CashierCommands
from crdt_pos.claim_commands import ClaimCommands
from crdt_pos.directory import is_roster
from crdt_pos.local import Command, Message
from crdt_pos.local_shapes import Asked
from crdt_pos.person_commands import PersonCommands
from crdt_pos.persons import ERASED
from crdt_pos.schema import STAFF
from gossip.errors import LogFull
from gossip.intake import Batch
from gossip.log_lmdb import LmdbLog
from peers.permissions import Role

if TYPE_CHECKING:
    from crdt_pos.replica import RunningReplica


def reading(answer: Callable[[Asked], Awaitable[Message]]) -> Command:
    """A command whose fields are read one by one."""

    async def command(request: Message) -> Message:
        return await answer(Asked(request))

    return command


class People:
    """Runs beside a replica's sessions."""

    def __init__(self, replica: RunningReplica) -> None:
        self._replica = replica
        self._log = replica.log if isinstance(replica.log, LmdbLog) else None
        self._grown = True
        self._erased = True

    def commands(self) -> dict[str, Command]:
        """Name → command."""
        replica = self._replica
        known = {**CashierCommands(replica).commands(), **PersonCommands(replica).commands()}
        if replica.certificate.role is Role.MANAGER:
            known |= {name: reading(answer) for name, answer in ClaimCommands(replica).answers().items()}
        return known

    def appended(self, batch: Batch) -> None:
        """Entries have arrived."""
        documents = (arrival.entry.document for arrival in batch.arrivals)
        for document in documents:
            self._grown = self._grown or is_roster(document) or document.kind == STAFF
            self._erased = self._erased or document.kind == ERASED

    def erased_something(self) -> None:
        """Perhaps; the log knows."""
        self._erased = True

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            change = self._replica.node.change
            if self._grown and self._replica.may_act():
                self._grown = False
                await self._share()
            if self._erased and self._log is not None:
                self._erased = False
                await self._wipe(self._log)
            await change.wait()

    async def _wipe(self, log: LmdbLog) -> None:
        if log.freed:
            with contextlib.suppress(LogFull):  # then at the next start, or with the next that is erased
                await self._replica.write(log.wipe)

    async def _share(self) -> None:
        cashiers = self._replica.cashiers
        if cashiers is not None and await self._replica.look(cashiers.lacks):
            with contextlib.suppress(LogFull):
                await self._replica.write(cashiers.share)
