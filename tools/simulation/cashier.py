"""Cashiers: they ask a till for something, and ask again under the same id if it died before it answered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from crdt_pos.errors import NotEnoughRights, TillError
from crdt_pos.receipt import Receipt
from crdt_pos.till import Till
from gossip.document import day_number
from gossip.errors import LogFull
from tools.simulation.ledger import Given
from tools.simulation.machine import Machine

if TYPE_CHECKING:
    from tools.simulation.world import World

BORROW_DEADLINE_MS: Final = 1_500


@dataclass(frozen=True, slots=True)
class Request:
    """One wish of a cashier."""

    once: str
    what: str
    perform: Callable[[Till], Receipt]
    total_minor: int | None = None
    """What the receipt must come to; ``None`` if that is the till's to say."""
    account: bytes = b""
    points: int = 0


async def ask(world: World, machine: Machine, request: Request) -> None:
    """Ask a running till; the answer goes into the ledger."""
    replica = machine.replica
    assert replica is not None
    till = replica.till
    assert till is not None
    machine.unanswered[request.once] = request
    try:
        try:
            receipt = await replica.act(partial(request.perform, till))
        except NotEnoughRights:
            if not request.points:
                raise
            await replica.borrow(request.account, request.points, BORROW_DEADLINE_MS)
            receipt = await replica.act(partial(request.perform, till))
    except (TillError, LogFull) as refused:
        machine.unanswered.pop(request.once, None)
        world.tell(f"{machine.name}: {request.what}: refused, {type(refused).__name__}")
        return
    machine.unanswered.pop(request.once, None)
    assert machine.folder.certificate.store is not None
    given = Given(
        machine.folder.certificate.author,
        machine.folder.certificate.store,
        request.once,
        receipt.number,
        day_number(receipt.business_date),
        receipt.total_minor,
    )
    world.ledger.given.append(given)
    world.tell(f"{machine.name}: {request.what}: {receipt.number}, {receipt.total_minor}")
    if request.total_minor is not None and receipt.total_minor != request.total_minor:
        world.violated(f"{receipt.number} comes to {receipt.total_minor}, {request.total_minor} was asked for")


async def ask_again(world: World, machine: Machine) -> None:
    """After a start: whatever was not answered is asked for again, as its screen does."""
    waiting, machine.unanswered = machine.unanswered, {}
    for request in waiting.values():
        await ask(world, machine, request)
