"""People at a running replica: what it answers about cashiers and members, and what it does for them of its own accord.

A till that is enrolled later has no copy of the store's secret, so nobody could sign on there: one of those that hold it seals it
to the newcomer as soon as the roster names it.

What was erased is out of the log at once, and out of its file when that is written anew: as soon as nobody reads it. A damaged
file that was set aside before goes with it.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import trio

from crdt_pos import set_aside
from crdt_pos.cashier_commands import CashierCommands
from crdt_pos.claim_commands import ClaimCommands
from crdt_pos.columns import plural
from crdt_pos.directory import is_roster
from crdt_pos.erasing import ERASED_DOCUMENT
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

WIPE_AGAIN_S: Final = 60.0
"""Until the file is written anew once more, after somebody was reading it."""
_log = logging.getLogger("crdt_pos.replica")


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
        self._not_before = -math.inf

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
            if self._erased and self._log is not None and trio.current_time() >= self._not_before:
                self._erased = False
                if not await self._wiped(self._log):
                    self._erased = True
                    self._not_before = trio.current_time() + WIPE_AGAIN_S
            with trio.move_on_at(self._not_before if self._erased else math.inf):
                await change.wait()

    async def _wiped(self, log: LmdbLog) -> bool:
        """Whether nothing is left to wipe here."""
        try:
            somebody = await self._replica.look(lambda reader: any(reader.authors(ERASED_DOCUMENT)))
            if somebody and (gone := await trio.to_thread.run_sync(set_aside.forget, self._replica.folder)):
                gone_logs = plural(gone, "damaged log was", "damaged logs were")
                told = {"event": "set_aside_removed"}
                _log.warning("%s removed: somebody is erased who may stand there", gone_logs, extra=told)
        except OSError as error:
            told = {"event": "set_aside_kept"}
            _log.error("A damaged log that was set aside could not be removed: %s", error, extra=told)
            return False
        with contextlib.suppress(LogFull):  # then at the next start, or with the next that is erased
            return not log.freed or await self._replica.write_at_length(log.wipe)
        return True

    async def _share(self) -> None:
        cashiers = self._replica.cashiers
        if cashiers is not None and await self._replica.look(cashiers.lacks):
            with contextlib.suppress(LogFull):
                await self._replica.write(cashiers.share)
