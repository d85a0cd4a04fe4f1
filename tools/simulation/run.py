"""One run: founding, a while of sales and faults, then peace, and a look at what is left."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

from gossip.document import Scope
from tools.simulation import checks, faults, shopping
from tools.simulation.checks import Found
from tools.simulation.machine import Machine
from tools.simulation.plan import Plan
from tools.simulation.world import World

GAP_MS: Final = 3_000
"""Between two events, on average."""
FAULT_SHARE: Final = 0.25
NIGHT_SHARE: Final = 0.04
PRICE_SHARE: Final = 0.03
PEACE_MS_MAX: Final = 1_800_000
"""In so long after the last fault everyone is equal, or never."""
LOOK_MS: Final = 5_000

T = TypeVar("T")
Passing = Callable[[World, int], Iterator[None]]
"""Lets a world's time pass up to a moment, and stops meanwhile as often as it likes."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a run."""

    plan: Plan
    violations: tuple[str, ...]
    trace: str
    """A hash over everything that happened."""
    happened: int
    """Events of the heap."""
    virtual_ms: int
    found: Found


def run(plan: Plan, told: Callable[[str], None] = lambda _: None) -> Verdict:
    """Run a plan. The same plan gives the same verdict, trace included."""
    return _last(steps(World(plan, told), plan, _at_once))


def steps(world: World, plan: Plan, passing: Passing) -> Generator[None, None, Verdict]:
    """The same in steps: stops between any two acts, and wherever ``passing`` does while time passes."""
    machines = list(world.machines.values())
    for machine in machines:
        world.start(machine)
    yield from passing(world, 10_000)
    rows = [(often, act) for word, often, act in faults.FAULTS if word in plan.faults]
    for _ in range(plan.events):
        yield from passing(world, world.heap.now_ms + int(world.rng.expovariate(1 / GAP_MS)))
        luck = world.rng.random()
        if luck < FAULT_SHARE and rows:
            world.rng.choices([act for _, act in rows], [often for often, _ in rows])[0](world)
        elif luck < FAULT_SHARE + NIGHT_SHARE:
            shopping.close_one(world)
        elif luck < FAULT_SHARE + NIGHT_SHARE + PRICE_SHARE:
            shopping.change_prices(world)
        else:
            shopping.at_a_till(world)
        yield
    yield from _peace(world, passing)
    found = checks.look(world)
    for text in [*world.ledger.wrongs, *found.violations]:
        world.violated(text)
    return Verdict(plan, tuple(world.violations), world.trace, world.heap.events, world.heap.now_ms, found)


def moment_by_moment(world: World, until_ms: int) -> Iterator[None]:
    """Let time pass, and stop after every moment in which something happens."""
    while (next_ms := world.heap.next_ms) is not None and next_ms <= until_ms:
        world.heap.run(next_ms)
        yield
    world.heap.run(until_ms)


def _at_once(world: World, until_ms: int) -> Iterator[None]:
    world.heap.run(until_ms)
    yield from ()


def _last(stepping: Generator[None, None, T]) -> T:
    while True:
        try:
            next(stepping)
        except StopIteration as end:
            verdict: T = end.value
            return verdict


def make_peace(world: World) -> None:
    """Everything that is cut is mended, everyone starts again, closes, and they talk until they are equal."""
    _last(_peace(world, _at_once))


def _peace(world: World, passing: Passing) -> Generator[None]:
    world.tell("peace")
    world.peace = True
    world.network.severed.clear()
    for machine in world.machines.values():
        machine.disk.full = False
    for machine in world.machines.values():
        if not machine.running and not machine.burnt:
            world.start(machine)
    for machine in world.machines.values():
        if machine.burnt:
            world.enrol_again(machine)
    until_ms = world.heap.now_ms + PEACE_MS_MAX
    while True:
        yield from passing(world, world.heap.now_ms + LOOK_MS)
        if world.heap.now_ms >= until_ms:
            world.violated("they have not become equal")
            return
        if not calm(world):
            continue
        open_ = [machine for machine in world.tills(running=True) if is_open(machine)]
        for machine in open_:
            world.heap.spawn(shopping.close(world, machine), machine.life)
        if not any(machine.honest for machine in open_):
            break
    world.tell("calm")


def is_open(machine: Machine) -> bool:
    """Whether a till that runs has an open date."""
    assert machine.replica is not None
    assert machine.replica.till is not None
    return machine.replica.till.open_on is not None


def calm(world: World) -> bool:
    """Whether all fingerprints of what honest replicas share are equal: a quick look, for ``checks`` do not trust it."""
    honest = [machine for machine in world.machines.values() if machine.running and machine.honest]
    known: dict[Scope, object] = {}
    for machine in honest:
        replica = machine.replica
        assert replica is not None
        with machine.disk.read() as reader:
            for scope in sorted(replica.trust.readable(machine.folder.certificate)):
                fingerprint = reader.fingerprint(scope)
                if known.setdefault(scope, fingerprint) != fingerprint:
                    return False
    return not any(machine.unanswered for machine in honest)
