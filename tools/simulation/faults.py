"""What goes wrong: each fault is one row of ``FAULTS``, with the word that ``--without`` takes and how often it comes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from tools.simulation import liars
from tools.simulation.disk import SYNC_MS
from tools.simulation.machine import Machine
from tools.simulation.shopping import wish_at

if TYPE_CHECKING:
    from tools.simulation.world import World

CUT_MS: Final = (1_000, 240_000)
DOWN_MS: Final = (100, 180_000)
RETRY_MS: Final = 20_000
SOON_MS: Final = 4_000


def cut_path(world: World) -> None:
    """A store loses its LAN or its way out, or two machines each other, for a while."""
    rng = world.rng
    one, other = rng.sample(sorted(world.machines), 2)
    places = sorted(set(world.network.places.values()))
    path = rng.choice((f"lan {rng.choice(places)}", f"wan {rng.choice(places)}", " ".join(sorted((one, other)))))
    world.tell(f"cut: {path}")
    world.network.sever(path)

    def mend() -> None:
        world.tell(f"mended: {path}")
        world.network.mend(path)

    world.heap.at(rng.randint(*CUT_MS), mend)


def cut_stream(world: World) -> None:
    """A stream dies after any byte."""
    wires = list(world.network.wires)
    if wires:
        wire = world.rng.choice(wires)
        world.tell(f"a stream dies: {' '.join(wire.ends)}")
        wire.sever(noticed=world.rng.random() < 0.7)


def kill_one(world: World) -> None:
    """A process is killed and started again later."""
    running = [machine for machine in world.machines.values() if machine.running]
    if running:
        machine = world.rng.choice(running)
        world.kill(machine)
        world.heap.at(_downtime(world), lambda: start_again(world, machine))


def kill_amid_act(world: World) -> None:
    """A till is killed while it acts: before its transaction, in the middle of it, or before it has answered."""
    tills = world.tills(running=True)
    if not tills:
        return
    machine = world.rng.choice(tills)
    wish_at(world, machine)

    def kill() -> None:
        if machine.running and not world.peace:
            world.kill(machine)
            world.heap.at(_downtime(world), lambda: start_again(world, machine))

    world.heap.at(world.rng.randint(0, 2 * SYNC_MS[1]), kill)


def start_again(world: World, machine: Machine) -> None:
    """Start it, unless something else has happened to it meanwhile."""
    if not machine.running and not machine.burnt:
        world.start(machine)


def burn_one(world: World) -> None:
    """A disk is destroyed; the machine is enrolled again later. One head office is always left to enrol."""
    whole = [machine for machine in world.tills() if not machine.liar]
    if len(world.offices()) > 1:
        whole += world.offices()
    if whole:
        _burn(world, world.rng.choice(whole))


def burn_store(world: World) -> None:
    """A whole store burns."""
    store = world.rng.choice(world.stores)
    world.tell(f"store {store} is on fire")
    for machine in world.tills():
        if machine.place == f"store {store}" and not machine.liar:
            _burn(world, machine)


def _burn(world: World, machine: Machine) -> None:
    world.burn(machine)
    world.heap.at(_downtime(world), lambda: _enrol_again(world, machine))


def _enrol_again(world: World, machine: Machine) -> None:
    if machine.burnt and not world.enrol_again(machine):
        world.heap.at(RETRY_MS, lambda: _enrol_again(world, machine))


def set_back(world: World) -> None:
    """A till's disk is set back to an image of it that was made a while ago."""
    copied = [machine for machine in world.tills() if machine.image is not None and machine.honest]
    if copied and world.rng.random() < 0.6:
        machine = world.rng.choice(copied)
        world.set_back(machine)
        # Its cashier does not wait.
        world.heap.at(world.rng.randint(0, SOON_MS), lambda: wish_at(world, machine), machine.life)
    else:
        whole = [machine for machine in world.tills() if machine.honest]
        if whole:
            machine = world.rng.choice(whole)
            world.tell(f"the disk of {machine.name} is copied")
            world.copy_disk(machine)


def fill_disk(world: World) -> None:
    """A disk is full for a while."""
    machine = world.rng.choice(list(world.machines.values()))
    disk = machine.disk
    if disk.full:
        return
    world.tell(f"the disk of {machine.name} is full")
    disk.full = True

    def free() -> None:
        world.tell(f"the disk of {machine.name} has room again")
        disk.full = False

    world.heap.at(world.rng.randint(*DOWN_MS), free)


def set_clock(world: World) -> None:
    """A wall clock jumps, for good."""
    machine = world.rng.choice(list(world.machines.values()))
    by_ms = world.rng.choice((-1, 1)) * world.rng.choice((5_000, 3_600_000, 40 * 86_400_000))
    world.tell(f"the clock of {machine.name} jumps by {by_ms / 1000:.0f} s")
    machine.clock.offset_ms += by_ms


def _downtime(world: World) -> int:
    return world.rng.randint(*DOWN_MS)


FAULTS: Final[tuple[tuple[str, int, Callable[[World], None]], ...]] = (
    ("cut", 10, cut_path),
    ("cut", 10, cut_stream),
    ("kill", 6, kill_one),
    ("kill", 6, kill_amid_act),
    ("burn", 2, burn_one),
    ("burn", 1, burn_store),
    ("set-back", 4, set_back),
    ("full", 2, fill_disk),
    ("clock", 3, set_clock),
    ("lie", 3, liars.lie),
)
