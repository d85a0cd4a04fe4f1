"""A till's next life closes what its earlier lives left open, as soon as it has caught up with somebody who may know.

Again whenever more of their journals arrives, until nothing is added: see ``crdt_pos.proxy``. Nobody has to ask for it.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from functools import partial
from typing import Final

import trio

from crdt_pos.proxy import ClosedFor, earlier_lives
from crdt_pos.replica_core import ReplicaCore
from crdt_pos.till import Till
from gossip.errors import LogFull
from gossip.intake import Batch
from gossip.log import Reader
from gossip.node import Node
from merge_rules.lattice import Author

SETTLES_S: Final = 0.5
"""What arrives comes in batches: the next are waited for, so that one close says it all."""

_log = logging.getLogger("crdt_pos.replica")


class EarlierLives:
    """Runs beside a till's sessions."""

    def __init__(self, core: ReplicaCore, till: Till, node: Node) -> None:
        self._core = core
        self._till = till
        self._node = node
        self._lives: Sequence[Author] = ()
        self._grown = True
        self._caught_up: frozenset[Author] = frozenset()

    def appended(self, batch: Batch) -> None:
        """Entries have arrived."""
        if any(arrival.entry.author in self._lives for arrival in batch.arrivals):
            self._grown = True

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            change = self._node.change
            caught_up = self._knowing()
            if caught_up and self._core.may_act() and (self._grown or caught_up - self._caught_up):
                await trio.sleep(SETTLES_S)
                self._grown, self._caught_up = False, self._caught_up | caught_up
                await self._close()
            await change.wait()

    def _knowing(self) -> frozenset[Author]:
        """With whom of those who may hold the journals this till has caught up."""
        links = self._node.links.items()
        return frozenset(author for author, link in links if link.facts.caught_up and self._core.knows_most(link.peer))

    async def _close(self) -> None:
        self._lives = await self._core.look(self._earlier)
        if not self._lives:
            return
        with contextlib.suppress(LogFull):
            for closed in await self._core.write(partial(self._till.close_lives, self._lives)):
                _log.warning("%s", said(self._core, closed), extra={"event": "closed_for_another_life"})

    def _earlier(self, reader: Reader) -> Sequence[Author]:
        return earlier_lives(reader, self._core.trust.directory, self._core.certificate)


def said(core: ReplicaCore, closed: ClosedFor) -> str:
    """A close by proxy in a sentence."""
    certificate = core.trust.directory.certificate(closed.life)
    name = f"{certificate.name} {certificate.incarnation}" if certificate else closed.life.hex()
    return (
        f"{name} was closed by proxy on {closed.date}: {closed.acts} acts are known; what it did after them is held by "
        "nobody here."
    )
