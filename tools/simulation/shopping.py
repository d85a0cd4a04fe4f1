"""What happens in shops: sales with and without members, refunds, voids, stock, closes. Each is one row of ``ACTS``."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from crdt_pos import catalogue_views
from crdt_pos.catalogue import price_change, product_changes
from crdt_pos.errors import TillError
from crdt_pos.products import Price, Product
from crdt_pos.receipt import DrawerAct
from crdt_pos.requests import LineRequest, RefundRequest, SaleRequest, StockLine
from gossip.document import date_of
from gossip.errors import LogFull
from tools.simulation.cashier import Request, ask
from tools.simulation.machine import FIRST_MS, Machine

if TYPE_CHECKING:
    from tools.simulation.world import World

PRODUCTS: Final = 6
MEMBERS: Final = 4
FIRST_DATE: Final = datetime.date(2026, 11, 22)


def sell(world: World, _machine: Machine) -> Request:
    """A basket, perhaps with a member who earns points, and perhaps redeems some."""
    rng = world.rng
    wished = [
        (rng.randint(1, PRODUCTS), rng.randint(1, 5), rng.randint(50, 900), rng.choice((0, 0, 0, 20)))
        for _ in range(rng.randint(1, 4))
    ]
    lines = tuple(
        LineRequest(product, quantity, price, discount_minor=off, discount_reason="loyal" if off else "")
        for product, quantity, price, off in wished
    )
    total = sum(quantity * price - off for _, quantity, price, off in wished)
    member = account(rng.randrange(MEMBERS)) if rng.random() < 0.5 else None
    points = rng.randint(1, 30) if member and rng.random() < 0.4 else 0
    once = world.next_id()
    request = SaleRequest(lines, member=member, points=points, once=once, reference=once)
    what = "a sale" if member is None else f"a sale to member {member[0]}"
    what += f" with {points} points" if points else ""
    return Request(once, what, lambda till: till.sell(request), total, member or b"", points)


def sell_from_catalogue(world: World, _machine: Machine) -> Request:
    """At the price that the till knows."""
    once = world.next_id()
    request = SaleRequest((LineRequest(world.rng.randint(1, PRODUCTS), 1),), once=once, reference=once)
    return Request(once, "a sale at the catalogue's price", lambda till: till.sell(request))


def refund(world: World, machine: Machine) -> Request | None:
    """Something that was sold in this store comes back."""
    store = machine.folder.certificate.store
    sold = [given for given in world.ledger.given[-40:] if given.store == store and given.total_minor > 0]
    if not sold:
        return None
    number, once = world.rng.choice(sold).number, world.next_id()
    request = RefundRequest(number, once=once)
    return Request(once, f"a refund of {number}", lambda till: till.refund(request))


def void(world: World, machine: Machine) -> Request | None:
    """A till undoes what it has just done."""
    author = machine.folder.certificate.author
    own = [given for given in world.ledger.given[-20:] if given.author == author and given.total_minor]
    if not own:
        return None
    number, once = world.rng.choice(own).number, world.next_id()
    return Request(once, f"a void of {number}", lambda till: till.void(number, once))


def stock(world: World, _machine: Machine) -> Request:
    """Goods come, break, are counted, or go to another store."""
    rng, once = world.rng, world.next_id()
    lines = [StockLine(product, rng.randint(1, 20)) for product in rng.sample(range(1, PRODUCTS + 1), 2)]
    other = rng.choice(world.stores)
    match rng.choice(("in", "in", "broken", "counted", "away", "from")):
        case "in":
            return Request(once, "a delivery", lambda till: till.replenish(lines, once=once))
        case "broken":
            return Request(once, "a breakage", lambda till: till.write_off(lines, "broken", once))
        case "counted":
            return Request(once, "a stocktake", lambda till: till.count(lines, once))
        case "away":
            return Request(once, f"a transfer to {other}", lambda till: till.transfer_out(lines, other, once=once))
        case _:
            return Request(once, f"a transfer from {other}", lambda till: till.transfer_in(lines, other, once=once))


def drawer(world: World, _machine: Machine) -> Request:
    """Cash without a sale."""
    amount, once = world.rng.randint(1, 500), world.next_id()
    return Request(once, "a pick-up", lambda till: till.drawer(DrawerAct.PICK_UP, amount, once=once))


Wish = Callable[["World", Machine], Request | None]

ACTS: Final[tuple[tuple[int, Wish], ...]] = (
    (50, sell),
    (6, sell_from_catalogue),
    (8, refund),
    (4, void),
    (8, stock),
    (2, drawer),
)
"""By how often."""


def account(number: int) -> bytes:
    """A member's account."""
    return bytes([number]) + bytes(7)


def at_a_till(world: World) -> None:
    """Something is wished for at a till that runs."""
    tills = world.tills(running=True)
    if not tills:
        return
    wish_at(world, world.rng.choice(tills))


def wish_at(world: World, machine: Machine) -> None:
    """Something is wished for at this till."""
    world.heap.spawn(_at(world, machine), machine.life)


async def _at(world: World, machine: Machine) -> None:
    replica = machine.replica
    assert replica is not None
    till = replica.till
    assert till is not None
    if till.open_on is None:
        await open_next(world, machine)
    wish = world.rng.choices([wish for _, wish in ACTS], [often for often, _ in ACTS])[0]
    request = wish(world, machine)
    if request is not None:
        await ask(world, machine, request)


async def open_next(world: World, machine: Machine) -> None:
    """Open a date that this till has not had, if it can."""
    replica = machine.replica
    assert replica is not None
    till = replica.till
    assert till is not None
    days = [0, *world.ledger.days(machine.folder.certificate.author)]
    first = FIRST_DATE.toordinal() + world.heap.now_ms // 300_000
    date = datetime.date.fromordinal(max(first, date_of(max(days)).toordinal() + 1))
    try:
        await replica.act(lambda: till.open_date(date))
    except (TillError, LogFull) as refused:
        world.tell(f"{machine.name}: opening {date}: refused, {type(refused).__name__}")
    else:
        world.tell(f"{machine.name} opens {date}")


async def close(world: World, machine: Machine) -> None:
    """Close the open date, if there is one."""
    replica = machine.replica
    assert replica is not None
    till = replica.till
    assert till is not None
    if till.open_on is None:
        return
    try:
        await replica.act(till.close_date)
    except (TillError, LogFull) as refused:
        world.tell(f"{machine.name}: closing: refused, {type(refused).__name__}")
    else:
        machine.unanswered.clear()
        world.tell(f"{machine.name} closes")


def close_one(world: World) -> None:
    """A till closes for the day."""
    tills = world.tills(running=True)
    if tills:
        machine = world.rng.choice(tills)
        world.heap.spawn(close(world, machine), machine.life)


def change_prices(world: World) -> None:
    """A head office states a product and what it costs from now on."""
    offices = world.offices(running=True)
    if not offices:
        return
    machine, rng = world.rng.choice(offices), world.rng
    product = rng.randint(1, PRODUCTS)
    price = Price(rng.randint(50, 900), FIRST_MS + world.heap.now_ms + rng.randint(-60_000, 60_000), 0)
    world.heap.spawn(_change(world, machine, product, price), machine.life)


async def _change(world: World, machine: Machine, product: int, price: Price) -> None:
    replica = machine.replica
    assert replica is not None
    changes = [*product_changes(Product(product, f"product {product}")), price_change(product, price)]
    folder = machine.folder
    author, log = folder.certificate.author, replica.log
    try:
        await replica.write(lambda: catalogue_views.append(log, folder.key, author, changes, replica.system_ms()))
    except LogFull as refused:
        world.tell(f"{machine.name}: a price: refused, {type(refused).__name__}")
    else:
        world.tell(f"{machine.name}: product {product} costs {price.amount_minor}")
