"""What a running head office answers about claims: it may speak for any store, and take back what any store said."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from crdt_pos import claiming, claims_views
from crdt_pos.claiming import Batch, Writer
from crdt_pos.clock import system_ms
from crdt_pos.local import Declined, Message
from crdt_pos.local_shapes import Asked
from crdt_pos.receipt import PRODUCT_MAX
from gossip.log import Reader

if TYPE_CHECKING:
    from crdt_pos.replica import RunningReplica


class ClaimCommands:
    """The requests ``claim`` and ``retract`` of a head office."""

    def __init__(self, replica: RunningReplica) -> None:
        self._replica = replica

    def answers(self) -> dict[str, Callable[[Asked], Awaitable[Message]]]:
        """Name → what answers it."""
        return {"claim": self._claim, "retract": self._retract}

    async def _claim(self, asked: Asked) -> Message:
        code, product, store = asked.text("code"), asked.integer("product", high=PRODUCT_MAX), asked.integer("store")
        asked.end()
        own = self._replica.certificate.store
        if own is not None and store != own:
            raise Declined(f"A manager speaks for store {own} only.", "OtherStore")
        if store not in self._replica.trust.directory.stores:
            raise Declined(f"There is no store {store}: say in whose name the code is claimed.", "UnknownStore")
        return await self._say(lambda reader: claiming.claim(reader, self._writer, store, code, product, system_ms()))

    async def _retract(self, asked: Asked) -> Message:
        code, product = asked.text("code"), asked.integer("product", high=PRODUCT_MAX)
        store = asked.maybe_integer("store")
        asked.end()

        def said(reader: Reader) -> Batch:
            own = self._replica.certificate.store
            stores = [own] if own is not None else claims_views.stores(reader) if store is None else [store]
            return claiming.retract(reader, self._writer, stores, code, product, system_ms())

        return await self._say(said)

    @property
    def _writer(self) -> Writer:
        return Writer(self._replica.folder.key, self._replica.certificate.author)

    async def _say(self, said: Callable[[Reader], Batch]) -> Message:
        log = self._replica.log

        def act() -> int:
            with log.read() as reader:
                batch = said(reader)
            if batch.arrivals:
                log.append(batch.arrivals, batch.views, received_ms=system_ms())
            return len(batch.arrivals)

        return {"entries": await self._replica.act(act)}
