"""``simulate`` in the debug shell: a run again, step by step, with every command of the shell on any replica at any moment.

A run is a function of its plan, so that going back is running again up to an earlier moment; going on continues where it stands.
"""

from __future__ import annotations

import re
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

from crdt_pos.cli import Refused
from crdt_pos.columns import Column, number, plural, table
from crdt_pos.looking import Looked
from crdt_pos.page import Page
from crdt_pos.shell import colours
from crdt_pos.shell.command import Argument, Command, Option, data
from crdt_pos.shell.line import parse
from crdt_pos.shell.replica import Replica

if TYPE_CHECKING:
    from tools.simulation.machine import Machine
    from tools.simulation.plan import Plan
    from tools.simulation.run import Verdict

SEEDS_MAX: Final = 2**31
STEPS_MAX: Final = 10_000_000
HAPPENED_KEPT: Final = 2_000
HAPPENED_SHOWN: Final = 20
_MOMENT: Final = re.compile(r"(\d{1,9})(?:\.(\d{1,3}))?")

AT = Option(
    "at",
    "Stop at this second of virtual time, such as 63.5; without: where something is wrong, or at the end.",
    "SECONDS",
)
STEP = Option("step", "Go on by so many moments at which something happens.", "N")
ON = Option("on", "Look into this replica, such as 2-1: asks for commands, or runs the one of --ask.", "REPLICA")
ASK = Option("ask", "With --on: one command of the shell.", "COMMAND")
PLAN = Option(
    "plan", "What 'crdt-pos simulate' printed behind the seed, such as '--events 40 --without lie'.", "OPTIONS"
)


class Stepping:
    """A run that stands still between two moments."""

    def __init__(self, plan: Plan) -> None:
        from tools.simulation.run import moment_by_moment, steps
        from tools.simulation.world import World

        self.plan = plan
        self.happened: deque[str] = deque(maxlen=HAPPENED_KEPT)
        self.world = World(plan, self.happened.append)
        self.verdict: Verdict | None = None
        self.broke = ""
        """What a replica raised; the run stands where it did."""
        self._steps = steps(self.world, plan, moment_by_moment)

    @property
    def now_ms(self) -> int:
        """Virtual time."""
        return self.world.heap.now_ms

    @property
    def over(self) -> bool:
        """Whether there are no more moments."""
        return self.verdict is not None or bool(self.broke)

    @property
    def wrongs(self) -> list[str]:
        """What is known to be wrong by now."""
        found = list(dict.fromkeys([*self.world.violations, *self.world.ledger.wrongs]))
        return [*found, self.broke] if self.broke else found

    def step(self) -> None:
        """Go on to the next moment."""
        try:
            next(self._steps)
        except StopIteration as end:
            self.verdict = end.value
        except Exception as error:  # noqa: BLE001  whatever the code under test raises is what is looked for
            self.broke = f"broke down: {type(error).__name__}: {error}"

    def replica(self, name: str) -> Replica:
        """A machine's disk as it is now, in hand. Raises ``Refused``."""
        machine = self.world.machines.get(name)
        if machine is None:
            raise Refused(f"There is no replica {name} in this run: there are {', '.join(self.world.machines)}.")
        return self._in_hand(machine)

    def _in_hand(self, machine: Machine) -> Replica:
        from crdt_pos.trust import RosterTrust

        directory = RosterTrust(machine.folder, machine.disk).directory
        replica = Replica(Looked(machine.folder, machine.disk, directory, ""), ExitStack())
        replica.now_ms = machine.clock.now_ms
        replica.others = lambda name: self._in_hand(self.world.machines[name]) if name in self.world.machines else None
        return replica


_standing: dict[str, Stepping] = {}
"""The run that was looked at last, by its command line."""


def answer(
    replica: Replica, seed: str, at: str = "", step: str = "", on: str = "", ask: str = "", plan: str = ""
) -> dict[str, Any]:
    """Where the run stands, what happened last, and what a replica answers."""
    if ask and not on:
        raise Refused("Say --on which replica: 'simulate SEED' lists them.")
    stepping = _stood(_plan(seed, plan), _ms(at) if at else None, keep=bool(step) and not at)
    _go(replica, stepping, _ms(at) if at else None, _count(step))
    machines = [_row(one) for one in stepping.world.machines.values()]
    said: dict[str, Any] = {
        "command": stepping.plan.command,
        "virtual_ms": stepping.now_ms,
        "over": stepping.over,
        "wrong": stepping.wrongs,
        "replicas": machines,
        "happened": [one.strip() for one in stepping.happened][-HAPPENED_SHOWN:],
        "on": on,
    }
    if on:
        there = stepping.replica(on)
        if not ask:
            _converse(there)
            return said
        said |= _asked(there, ask)
    return said


def _plan(seed: str, options: str) -> Plan:
    """Raises ``Refused``."""
    from tools.simulation.plan import EVENTS, FAULTS, Plan

    sizes = {"--events": EVENTS, "--stores": 0, "--tills": 0, "--offices": 0}
    faults = set(FAULTS)
    words = options.split()
    for name, value in zip(words[::2], [*words[1::2], ""], strict=False):
        if name in sizes:
            sizes[name] = _whole(value, name, 100_000)
        elif name == "--without" and value in FAULTS:
            faults.discard(value)
        else:
            known = ", ".join([*(f"{one} N" for one in sizes), f"--without {'|'.join(FAULTS)}"])
            raise Refused(f"'{name} {value}' is no option of a run: {known}.")
    events, stores, tills, offices = sizes.values()
    return Plan(_whole(seed, "seed", SEEDS_MAX), events, stores, tills, offices, frozenset(faults))


def _whole(text: str, what: str, most: int) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 12 or int(text) > most:
        raise Refused(f"'{text}' is no {what}: write an integer from 0 to {most:,}.")
    return int(text)


def _count(step: str) -> int:
    return _whole(step, "number of steps", STEPS_MAX) if step else 0


def _ms(at: str) -> int:
    found = _MOMENT.fullmatch(at)
    if found is None:
        raise Refused(f"'{at}' is no moment: write seconds of virtual time, like 63.5.")
    return 1000 * int(found[1]) + int((found[2] or "0").ljust(3, "0"))


def _stood(plan: Plan, at_ms: int | None, *, keep: bool) -> Stepping:
    """The run that stands, unless it has passed the moment already."""
    standing = _standing.get(plan.command)
    if standing is None or not (keep or (at_ms is not None and standing.now_ms <= at_ms)):
        _standing.clear()
        standing = _standing[plan.command] = Stepping(plan)
    return standing


def _go(replica: Replica, stepping: Stepping, at_ms: int | None, count: int) -> None:
    done = 0
    if at_ms is not None or not count:
        while not stepping.over and (stepping.now_ms < at_ms if at_ms is not None else not stepping.wrongs):
            stepping.step()
            done += 1
            if done % 256 == 0:
                replica.progress("running", stepping.now_ms, max(at_ms or 0, stepping.now_ms))
    for _ in range(count):
        if not stepping.over:
            stepping.step()


def _row(machine: Machine) -> dict[str, Any]:
    with machine.disk.read_all() as reader:
        arrivals = reader.last_arrival()
    state = "burnt" if machine.burnt else "running" if machine.running else "stopped"
    links = [] if machine.replica is None else [link.peer.name for link in machine.replica.links.values()]
    return {
        "name": machine.name,
        "life": machine.folder.certificate.incarnation,
        "place": machine.place,
        "state": state,
        "liar": machine.liar,
        "disk_full": machine.disk.full,
        "arrivals": arrivals,
        "sessions": sorted(links),
    }


def _asked(there: Replica, ask: str) -> dict[str, Any]:
    from crdt_pos.shell.table import COMMANDS

    line = parse(ask, COMMANDS)
    if line is None:
        raise Refused("Say with --ask what to ask.")
    with there.reading():
        answered = line.command.answer(there, **line.given)
        return {"asked": ask, "answer": data(answered), "_line": line, "_there": there, "_answered": answered}


def _converse(there: Replica) -> None:
    if not sys.stdin.isatty():
        raise Refused("Say with --ask what to ask: nobody types here.")
    from crdt_pos.shell.editor import converse

    converse(there)


def lines(page: Page, answered: dict[str, Any]) -> Iterator[str]:
    """The answer of the replica; without one what happened last, and how everyone is."""
    if "_line" in answered:
        line, there = answered["_line"], answered["_there"]
        yield colours.title(f"{answered['on']} at {answered['virtual_ms'] / 1000:,.3f} s: {answered['asked']}")
        with there.reading():
            yield from line.command.lines(
                Page(there.looked, there.reader, page.width, line.everything), answered["_answered"]
            )
        return
    yield colours.title(answered["command"])
    yield from (f"  {one}" for one in answered["happened"])
    rows = answered["replicas"]
    cells = [
        (
            one["name"],
            one["life"],
            one["state"],
            number(one["arrivals"]),
            " ".join(one["sessions"]),
            "lies" if one["liar"] else "",
        )
        for one in rows
    ]
    columns = (
        Column("replica"),
        Column("life"),
        Column(),
        Column("entries", right=True),
        Column("sessions", shorten=True),
    )
    printed = table((*columns, Column()), cells, page.width)
    yield from printed[:1]
    for text, one in zip(printed[1:], rows, strict=True):
        bad = one["liar"] or one["state"] == "burnt"
        yield colours.broken(text) if bad else text if one["state"] == "running" else colours.pending(text)
    yield from (colours.broken(f"  WRONG: {text}") for text in answered["wrong"])
    ended = "the run is over" if answered["over"] else "it can go on"
    right = "" if answered["wrong"] else "; nothing is wrong by now"
    yield f"{plural(answered['virtual_ms'] // 1000, 'second')} of virtual time; {ended}{right}."


COMMAND = Command(
    "simulate",
    "A simulated run again, up to where it goes wrong or to any moment, with every command here on any of its replicas.",
    "simulate 7 --at 63.5 --on 1-1 --ask 'documents day/*'",
    answer,
    lines,
    (Argument("seed", "Which run, as 'crdt-pos simulate' named it."),),
    (AT, STEP, ON, ASK, PLAN),
    lambda answered: bool(answered["wrong"]),
)
