"""Runs from seeds: a fixed set, every seed that ever failed, and what shows that a run could fail."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from crdt_pos.schema import BALANCE, DAY, JOURNAL
from gossip.log import Arrival, Stored
from tools.simulate import simulate
from tools.simulation import checks
from tools.simulation.hunt import shrink
from tools.simulation.ledger import Given
from tools.simulation.machine import Machine
from tools.simulation.plan import FAULTS, Plan
from tools.simulation.run import make_peace, run
from tools.simulation.shopping import at_a_till
from tools.simulation.world import World

FAILED = [
    (int(line.split()[0]), int(line.split()[1]))
    for line in Path(__file__).with_name("seeds.txt").read_text("utf-8").splitlines()
    if line and not line.startswith("#")
]


@pytest.mark.parametrize("seed", range(1, 5))
def test_shops_in_trouble_agree_to_the_cent_when_it_is_over(seed: int) -> None:
    verdict = run(Plan(seed, events=80))
    assert not verdict.violations
    assert verdict.found.given > 10
    assert verdict.found.survivors > 2


@pytest.mark.parametrize(("seed", "events"), FAILED)
def test_a_seed_that_failed_once_does_not_fail_again(seed: int, events: int) -> None:
    assert not run(Plan(seed, events)).violations


def test_a_run_is_a_function_of_its_seed_whatever_the_interpreter_hashes_by() -> None:
    program = (
        "from tools.simulation.plan import Plan; from tools.simulation.run import run; print(run(Plan(9, 40)).trace)"
    )
    traces = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(traces) == 1
    assert traces == {run(Plan(9, 40)).trace + "\n"}


def test_another_seed_is_another_run() -> None:
    assert run(Plan(1, 5)).trace != run(Plan(2, 5)).trace


def peaceful_world() -> World:
    """Two stores after some sales and no faults, all equal."""
    world = World(Plan(3, stores=2, tills=2, offices=1), lambda _: None)
    for machine in world.machines.values():
        world.start(machine)
    for _ in range(30):
        at_a_till(world)
        world.heap.run(world.heap.now_ms + 2_000)
    make_peace(world)
    assert not checks.look(world).violations
    return world


def everything_on(machine: Machine) -> list[Stored]:
    with machine.disk.read() as reader:
        return list(reader.arrivals(0, 1 << 40))


@pytest.mark.parametrize("kind", [JOURNAL, DAY, BALANCE])
def test_the_checkers_see_one_entry_that_one_disk_lacks(kind: str) -> None:
    world = peaceful_world()
    machine, stored = next(
        (machine, stored)
        for machine, stored in [(machine, everything_on(machine)) for machine in world.tills()]
        if any(one.entry.document.kind == kind for one in stored)
    )
    head = max((one.entry for one in stored if one.entry.document.kind == kind), key=lambda entry: entry.seq)
    fresh = world.empty_disk()
    for one in stored:
        if one.entry != head:
            fresh.append([Arrival(one.entry, machine.folder.certificate.author)])
    world.ledger.disks[fresh.number] = world.ledger.disks[machine.disk.number]
    machine.disk = fresh
    found = checks.look(world).violations
    assert any("differ in" in text for text in found)
    assert any("has lost" in text for text in found)


def test_the_checkers_see_a_receipt_that_no_journal_has() -> None:
    world = peaceful_world()
    given = world.ledger.given[0]
    world.ledger.given.append(Given(given.author, given.store, "more", "1-1-a1-99", given.day, 1))
    assert any("1-1-a1-99 was given, and is written 0 times" in text for text in checks.look(world).violations)


def test_the_checkers_see_an_honest_till_whose_day_says_something_else() -> None:
    world = peaceful_world()
    acts = next(acts for feed, acts in world.ledger.own.items() if feed.document.kind == JOURNAL and len(acts) > 3)
    acts.insert(0, acts.pop(1))  # what was really done begins otherwise than the day that was published
    del acts[-1].body[0]  # type: ignore[attr-defined]
    assert checks.look(world).violations


def test_shrinking_keeps_only_what_is_needed_to_fail() -> None:
    smallest = shrink(Plan(1, events=3, faults=frozenset()), budget=4)
    assert smallest == Plan(1, events=3, faults=frozenset())  # nothing fails, so nothing is smaller


def test_the_command_says_its_verdict_and_what_to_type_to_see_it_again() -> None:
    shown = CliRunner().invoke(simulate, ["--seed", "4", "--events", "20", "--without", FAULTS[0], "--json"])
    assert shown.exit_code == 0, shown.output
    assert f"crdt-pos simulate --seed 4 --events 20 --without {FAULTS[0]}" in shown.output
    assert CliRunner().invoke(simulate, []).exit_code == 2
