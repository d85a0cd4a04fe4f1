"""Hunting: new seeds until one fails; then the smallest run that still fails."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from tools.simulation.plan import FAULTS, Plan
from tools.simulation.run import Verdict, run


def attempt(plan: Plan, told: Callable[[str], None] = lambda _: None) -> tuple[Verdict | None, tuple[str, ...]]:
    """Run a plan; a replica that breaks down is a violation like any other. The verdict is missing then."""
    try:
        verdict = run(plan, told)
    except Exception as error:  # noqa: BLE001  whatever the code under test raises is what is hunted for
        return None, (f"broke down: {type(error).__name__}: {error}",)
    return verdict, verdict.violations


def shrink(plan: Plan, budget: int, told: Callable[[Plan], None] = lambda _: None) -> Plan:
    """The smallest plan that was found to fail, in at most ``budget`` runs: fewer events, faults, stores, tills, offices."""
    smallest = plan
    progress = True
    while progress and budget > 0:
        progress = False
        for smaller in _smaller(smallest):
            budget -= 1
            if budget < 0:
                break
            if attempt(smaller)[1]:
                smallest, progress = smaller, True
                told(smallest)
                break
    return smallest


def _smaller(plan: Plan) -> Iterator[Plan]:
    """Plans with less in them, the boldest first."""
    for fault in FAULTS:
        if fault in plan.faults:
            yield dataclasses.replace(plan, faults=plan.faults - {fault})
    for share in (4, 2):
        if plan.events // share:
            yield dataclasses.replace(plan, events=plan.events // share)
    yield from (dataclasses.replace(plan, stores=size) for size in (1, 2, 3) if not plan.stores or size < plan.stores)
    yield from (dataclasses.replace(plan, tills=size) for size in (1, 2) if not plan.tills or size < plan.tills)
    yield from (dataclasses.replace(plan, offices=size) for size in (1,) if not plan.offices or size < plan.offices)
    for less in (plan.events // 5, plan.events // 20, 1):
        if 0 < less < plan.events:
            yield dataclasses.replace(plan, events=plan.events - less)
