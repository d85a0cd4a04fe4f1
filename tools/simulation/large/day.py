"""One day of a large run: tills open, sell and close, prices change, streams die, and for half an hour the network is apart."""

from __future__ import annotations

import datetime
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from crdt_pos import catalogue_views
from crdt_pos.catalogue import price_change, product_changes
from crdt_pos.errors import TillError
from crdt_pos.products import Price, Product
from crdt_pos.receipt import Receipt
from crdt_pos.requests import LineRequest, SaleRequest
from gossip.errors import LogFull
from tools.simulation.large.plan import DAY_MS, HOUR_MS, OPENING_MS, LargePlan
from tools.simulation.large.world import LargeWorld
from tools.simulation.machine import FIRST_MS, Machine

DATE: Final = datetime.date(2026, 11, 22)
PRODUCTS: Final = 6
QUIET_PRICE_MS: Final = 2 * HOUR_MS
"""A price changes while nothing is wrong,"""
CUT_MS: Final = 6 * HOUR_MS
"""and one a while after the network has come apart,"""
CUT_PRICE_MS: Final = CUT_MS + 10 * 60_000
MENDED_MS: Final = CUT_MS + 30 * 60_000
"""which is then put together again."""
TOGETHER_MS: Final = 8_000
"""A store's tills open and close in so long: it has hours."""
PEACE_MS_MAX: Final = 2 * HOUR_MS
LOOK_MS: Final = 10_000


@dataclass(slots=True)
class Done:
    """What cashiers were told."""

    receipts: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    """Number → store, and what it came to."""
    refused: list[str] = field(default_factory=list[str])
    sale_memory_s: array[float] = field(default_factory=lambda: array("d"))
    """How long each sale took of real time, at tills whose log is in memory,"""
    sale_disk_s: array[float] = field(default_factory=lambda: array("d"))
    """and at those whose log is on a disk: signed, committed and synced."""
    closed: int = 0
    calm_ms: int = 0
    """When everyone had become equal."""


def run_day(world: LargeWorld, told: Callable[[str], None]) -> Done:
    """Let the day pass, then wait until everyone is equal, or for ``PEACE_MS_MAX``."""
    plan, rng, heap, done = world.plan, world.rng, world.heap, Done()
    world.start()
    last_ms = DAY_MS - OPENING_MS
    for store in world.stores.values():
        opens_ms, closes_ms = (
            rng.randint(OPENING_MS // 2, OPENING_MS - TOGETHER_MS),
            rng.randint(last_ms, DAY_MS - TOGETHER_MS),
        )
        for machine in store.tills.values():
            heap.at(opens_ms + rng.randrange(TOGETHER_MS), partial(_spawn, world, machine, _open(machine, done)))
            for number in range(plan.sales):
                once = f"{machine.name}/{number}"
                heap.at(rng.randint(OPENING_MS, last_ms), partial(_sell_soon, world, machine, once, done))
            heap.at(closes_ms + rng.randrange(TOGETHER_MS), partial(_close_soon, world, machine, done))
    heap.at(QUIET_PRICE_MS, partial(_change_price, world, 119))
    for _ in range(int(plan.deaths * 3 * len(world.tills))):
        heap.at(rng.randint(OPENING_MS, last_ms), partial(_kill_stream, world))
    if plan.partition:
        paths = _paths(world)
        heap.at(CUT_MS, lambda: world.cut(paths))
        heap.at(CUT_PRICE_MS, partial(_change_price, world, 129))
        heap.at(MENDED_MS, lambda: world.mend(paths))
    while heap.now_ms < DAY_MS:
        heap.run(min(DAY_MS, heap.now_ms + HOUR_MS))
        told(f"{clock(heap.now_ms)}  {heap.events:,} events, {len(done.receipts):,} receipts")
    while heap.now_ms < DAY_MS + PEACE_MS_MAX:
        heap.run(heap.now_ms + LOOK_MS)
        if done.closed + len(done.refused) >= len(world.tills) and equal(world):
            done.calm_ms = heap.now_ms
            break
    return done


def equal(world: LargeWorld) -> bool:
    """Whether every till's fingerprints are those of its store's other tills, and of the office where that shares them."""
    with world.office.disk.read_all() as office:
        for store in world.stores.values():
            known: dict[str, object] = {}
            for machine in store.tills.values():
                assert machine.replica is not None
                with machine.disk.read_all() as reader:
                    for scope in sorted(machine.replica.trust.readable(machine.folder.certificate)):
                        if scope not in known:
                            far = scope.startswith("journal/")
                            known[scope] = reader.fingerprint(scope) if far else office.fingerprint(scope)
                        if known[scope] != reader.fingerprint(scope):
                            return False
    return True


def clock(now_ms: int) -> str:
    """A moment of the day, which begins at eight."""
    return f"{8 + now_ms // HOUR_MS:02}:{now_ms // 60_000 % 60:02}"


def _paths(world: LargeWorld) -> list[str]:
    far = [f"wan store {store}" for store in world.stores if store % 2]
    return far + [f"lan store {store}" for store in world.stores if store % 10 == 1]


def _spawn(world: LargeWorld, machine: Machine, act: object) -> None:
    world.heap.spawn(act, machine.life)  # type: ignore[arg-type]


async def _open(machine: Machine, done: Done) -> None:
    replica = machine.replica
    assert replica is not None
    till = replica.till
    assert till is not None
    try:
        await replica.act(lambda: till.open_date(DATE))
    except (TillError, LogFull) as refused:
        done.refused.append(f"{machine.name}: opening: {refused}")


def _sell_soon(world: LargeWorld, machine: Machine, once: str, done: Done) -> None:
    _spawn(world, machine, _sell(world, machine, once, done))


async def _sell(world: LargeWorld, machine: Machine, once: str, done: Done) -> None:
    replica = machine.replica
    assert replica is not None
    till = replica.till
    assert till is not None
    request = _basket(world.plan, world.rng.randint, once)
    store = machine.folder.certificate.store
    assert store is not None
    took_s = done.sale_disk_s if machine.disk.number in world.on_disk else done.sale_memory_s

    def sell() -> Receipt:
        began_s = time.perf_counter()
        sold = till.sell(request)
        took_s.append(time.perf_counter() - began_s)
        return sold

    try:
        receipt = await replica.act(sell)
    except (TillError, LogFull) as refused:
        done.refused.append(f"{machine.name}: a sale: {type(refused).__name__}: {refused}")
    else:
        done.receipts[receipt.number] = store, receipt.total_minor


def _basket(plan: LargePlan, draw: Callable[[int, int], int], once: str) -> SaleRequest:
    lines = tuple(
        LineRequest(draw(1, plan.products or PRODUCTS), draw(1, 3), None if plan.products else draw(50, 900))
        for _ in range(draw(1, 2 * plan.lines - 1))
    )
    return SaleRequest(lines, once=once, reference=once)


def _close_soon(world: LargeWorld, machine: Machine, done: Done) -> None:
    _spawn(world, machine, _close(machine, done))


async def _close(machine: Machine, done: Done) -> None:
    replica = machine.replica
    assert replica is not None
    till = replica.till
    assert till is not None
    try:
        await replica.act(till.close_date)
    except (TillError, LogFull) as refused:
        done.refused.append(f"{machine.name}: closing: {type(refused).__name__}: {refused}")
    else:
        done.closed += 1


def _change_price(world: LargeWorld, amount_minor: int) -> None:
    machine = world.office
    replica = machine.replica
    assert replica is not None
    folder, log = machine.folder, replica.log
    price = Price(amount_minor, FIRST_MS + world.heap.now_ms, 0)
    changes = [*product_changes(Product(1, "product 1")), price_change(1, price)]

    async def write() -> None:
        now_ms = replica.system_ms()
        await replica.write(lambda: catalogue_views.append(log, folder.key, folder.certificate.author, changes, now_ms))

    world.heap.spawn(write(), machine.life)


def _kill_stream(world: LargeWorld) -> None:
    """A stream dies after any byte."""
    wires = world.network.wires
    if wires:
        at = world.rng.randrange(len(wires))
        wire = next(wire for number, wire in enumerate(wires) if number == at)
        wire.sever(noticed=world.rng.random() < 0.7)
