"""What a running head office answers on its local socket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final, TypeVar

from crdt_pos import catalogue, catalogue_views
from crdt_pos.catalogue import Change
from crdt_pos.claim_commands import ClaimCommands
from crdt_pos.clock import system_ms
from crdt_pos.guardians import GUARDIANS_MAX
from crdt_pos.local import Command, Declined, Message
from crdt_pos.local_shapes import Asked
from crdt_pos.products import Price
from crdt_pos.receipt import PRODUCT_MAX
from crdt_pos.registrar import NUMBER_MAX, Registrar
from crdt_pos.registrar_link import chain_asked, public_key_asked, sealed_key_asked, store_asked
from crdt_pos.retention import NAMES, state
from crdt_pos.revoking_desk import RevokingCommands
from crdt_pos.ticket_desk import TicketCommands

if TYPE_CHECKING:
    from crdt_pos.replica import RunningReplica

T = TypeVar("T")

FACTS_MAX: Final = 500
"""In one request, so that it is one short transaction and a line of at most 1 MiB."""
COMPANY_FACTS: Final[Mapping[str, type]] = {"tax": int}
PRODUCT_FACTS: Final[Mapping[str, type]] = {
    "name": str,
    "unit": str,
    "exponent": int,
    "price": list,
    "tax": int,
    "department": str,
    "recipe": list,
    "liability": str,
    "code": bool,
    "retired": bool,
}
"""The facts of ``crdt_pos.catalogue`` that can be stated, by the word they begin with, and what their values are."""


class OfficeCommands:
    """The requests of a head office or relay. Use ``commands()`` with ``crdt_pos.local.serve``."""

    def __init__(self, replica: RunningReplica) -> None:
        self._replica = replica

    def commands(self) -> dict[str, Command]:
        """Name → command."""
        answers: dict[str, Callable[[Asked], Awaitable[Message]]] = {
            "status": self._status,
            "price": self._price,
            "catalogue": self._catalogue,
            **ClaimCommands(self._replica).answers(),
            **TicketCommands(self._replica).answers(),
            **RevokingCommands(self._replica).answers(),
            "add_store": self._add_store,
            "enrol_till": self._enrol_till,
            "enrol_relay": self._enrol_relay,
            "enrol_manager": self._enrol_manager,
            "retire_till": self._retire_till,
            "letter": self._letter,
            "add_office": self._add_office,
            "seal_keys": self._seal_keys,
            "prune": self._prune,
            "set_guardians": self._set_guardians,
        }

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

    async def _catalogue(self, asked: Asked) -> Message:
        changes = asked.each("facts", _fact)
        asked.end()
        if len(changes) > FACTS_MAX:
            raise Declined(f"At most {FACTS_MAX} facts go into one request.", "BadRequest")
        return {"entries": await self._replica.act(lambda: self._write(changes))}

    async def _add_store(self, asked: Asked) -> Message:
        record = store_asked(asked)
        asked.end()
        await self._decide(lambda registrar: registrar.add_store(record))
        return {"store": record.store}

    async def _enrol_till(self, asked: Asked) -> Message:
        store, till = asked.integer("store", high=NUMBER_MAX), asked.integer("till", high=NUMBER_MAX)
        public, again = public_key_asked(asked), asked.flag("again")
        asked.end()
        chain = await self._decide(lambda registrar: registrar.enrol_till(store, till, public, again=again))
        return {"chain": [der.hex() for der in chain]}

    async def _enrol_manager(self, asked: Asked) -> Message:
        store, number = asked.integer("store", high=NUMBER_MAX), asked.integer("manager", high=NUMBER_MAX)
        public, again = public_key_asked(asked), asked.flag("again")
        asked.end()
        chain = await self._decide(lambda registrar: registrar.enrol_manager(store, number, public, again=again))
        return {"chain": [der.hex() for der in chain]}

    async def _enrol_relay(self, asked: Asked) -> Message:
        number, public, again = asked.integer("relay", high=NUMBER_MAX), public_key_asked(asked), asked.flag("again")
        asked.end()
        chain = await self._decide(lambda registrar: registrar.enrol_relay(number, public, again=again))
        return {"chain": [der.hex() for der in chain]}

    async def _retire_till(self, asked: Asked) -> Message:
        store, till = asked.integer("store", high=NUMBER_MAX), asked.integer("till", high=NUMBER_MAX)
        life, gone = asked.text("life"), asked.flag("gone")
        asked.end()
        closure = await self._decide(lambda registrar: registrar.retire_till(store, till, life, gone=gone))
        return {"life": closure.life, "last_day": closure.last_day.isoformat()}

    async def _prune(self, asked: Asked) -> Message:
        kind, before = NAMES.get(asked.text("what"), ""), asked.date("before")
        store, dry = asked.maybe_integer("store", high=NUMBER_MAX), asked.flag("dry")
        asked.end()
        if not kind or before is None:
            raise Declined("Say what is to go, and before which date.", "BadRequest")
        stated = await self._decide(lambda registrar: state(registrar, kind, store, before, dry=dry))
        return {"stores": [one.store for one in stated]}

    async def _letter(self, asked: Asked) -> Message:
        asked.end()
        return {"letter": self._replica.trust.directory.next_letter()}

    async def _add_office(self, asked: Asked) -> Message:
        chain = chain_asked(asked)
        asked.end()
        await self._decide(lambda registrar: registrar.add_office(chain))
        return {}

    async def _seal_keys(self, asked: Asked) -> Message:
        copies = asked.each("copies", sealed_key_asked)
        asked.end()
        await self._decide(lambda registrar: registrar.seal_keys(copies))
        return {}

    async def _set_guardians(self, asked: Asked) -> Message:
        count = asked.integer("count", low=1, high=GUARDIANS_MAX)
        asked.end()
        await self._decide(lambda registrar: registrar.set_guardians(count))
        return {}

    async def _decide(self, decide: Callable[[Registrar], T]) -> T:
        replica = self._replica
        roster = replica.trust.roster
        return await replica.state(lambda: decide(Registrar(replica.folder, replica.log, system_ms(), roster)))

    def _write(self, changes: Iterable[Change]) -> int:
        replica = self._replica
        return catalogue_views.append(replica.log, replica.folder.key, replica.certificate.author, changes, system_ms())


def _fact(asked: Asked) -> Change:
    product, fact, value = asked.maybe_integer("product", high=PRODUCT_MAX), asked.text("fact"), asked.anything("value")
    kind = fact.partition("/")[0]
    known = COMPANY_FACTS if product is None else PRODUCT_FACTS
    if kind not in known:
        raise Declined(f"'{fact}' is no fact that is stated here: {', '.join(known)}.", "BadRequest")
    if not _fits(value, known[kind]):
        raise Declined(f"'{value}' cannot be the value of '{fact}'.", "BadRequest")
    return Change(product, fact, value)


def _fits(value: object, kind: type) -> bool:
    # True is an integer to Python, and no number to a till.
    return value is None or type(value) is kind
