"""What a running head office answers on its local socket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING

from crdt_pos import catalogue, catalogue_views
from crdt_pos.catalogue import Change
from crdt_pos.clock import system_ms
from crdt_pos.local import Command, Message
from crdt_pos.local_shapes import Asked
from crdt_pos.products import Price
from crdt_pos.receipt import PRODUCT_MAX
from gossip.log import Arrival

if TYPE_CHECKING:
    from crdt_pos.replica import RunningReplica


class OfficeCommands:
    """The requests of a head office or relay. Use ``commands()`` with ``crdt_pos.local.serve``."""

    def __init__(self, replica: RunningReplica) -> None:
        self._replica = replica

    def commands(self) -> dict[str, Command]:
        """Name → command."""
        answers: dict[str, Callable[[Asked], Awaitable[Message]]] = {"status": self._status, "price": self._price}

        def reading(answer: Callable[[Asked], Awaitable[Message]]) -> Command:
            async def command(request: Message) -> Message:
                return await answer(Asked(request))

            return command

        return {name: reading(answer) for name, answer in answers.items()}

    async def _status(self, asked: Asked) -> Message:
        asked.end()
        return {"replica": self._replica.certificate.name, **self._replica.connections()}

    async def _price(self, asked: Asked) -> Message:
        product = asked.integer("product", high=PRODUCT_MAX)
        amount_minor, exponent = asked.integer("amount_minor"), asked.integer("exponent", 0, high=9)
        valid_from_ms, currency = asked.integer("valid_from_ms", system_ms()), asked.text("currency")
        asked.end()
        change = catalogue.price_change(product, Price(amount_minor, valid_from_ms, exponent), currency)
        written = await self._replica.act(lambda: self._write([change]))
        return {"entries": written}

    def _write(self, changes: Iterable[Change]) -> int:
        replica, now_ms = self._replica, system_ms()
        with replica.log.read() as reader:
            entries = catalogue.write(reader, replica.folder.key, replica.certificate.author, changes, now_ms << 16)
            arrivals = [Arrival(entry) for entry in entries]
            views = catalogue_views.derive(reader, arrivals)
        replica.log.append(arrivals, views, received_ms=now_ms)
        return len(entries)
