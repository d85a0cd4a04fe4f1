"""A large run from its plan to its figures."""

from __future__ import annotations

import gc
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from crdt_pos.schema import CATALOGUE, DAY, JOURNAL
from peers.presence import BEAT_S, Presence
from tools.simulation.large import checks
from tools.simulation.large.day import CUT_MS, MENDED_MS, Done, run_day
from tools.simulation.large.plan import LargePlan
from tools.simulation.large.remembered import remembered
from tools.simulation.large.spreading import Spread, ideal_rounds
from tools.simulation.large.world import LargeWorld

SHARE_MAX: Final = 1.5
"""Of the epidemic ideal."""
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class LargeVerdict:
    """What came of a run."""

    plan: LargePlan
    violations: tuple[str, ...]
    size: Row
    """One row: what the run was and what it cost."""
    spread: list[Row]
    """A row for each kind of entry, and for whether the network was whole."""
    targets: list[Row]


def run_large(
    plan: LargePlan, told: Callable[[str], None] = lambda _: None, folder: Path | None = None
) -> LargeVerdict:
    """Run a plan; ``folder``: for logs on a real disk.

    The garbage collector rests meanwhile: next to nothing of a day is garbage in cycles.
    """
    began_s, cpu_s = time.monotonic(), time.process_time()
    collecting = gc.isenabled()
    gc.disable()
    try:
        with remembered():
            world = LargeWorld(plan, told, folder)
            done = run_day(world, told)
        ran_s, ran_cpu_s = time.monotonic() - began_s, time.process_time() - cpu_s
        told("looking at every disk")
        violations = checks.look(world, done)
        size = _size(world, done, ran_s, ran_cpu_s)
        spread = _spread(world)
        return LargeVerdict(plan, tuple(violations), size, spread, _targets(plan, spread, size))
    finally:
        if collecting:
            gc.enable()


def _size(world: LargeWorld, done: Done, ran_s: float, ran_cpu_s: float) -> Row:
    plan, count = world.plan, world.plan.replicas
    traffic = world.traffic()
    return {
        "replicas": count,
        "stores": plan.stores,
        "receipts": len(done.receipts),
        "verified": world.verifier.asked,
        "messages_each": round(traffic.messages / count, 1),
        "bytes_each": round(traffic.bytes / count),
        "lan_bytes": world.network.bytes_near,
        "wan_bytes": world.network.bytes_far,
        "lan_bytes_a_sale": round(world.network.bytes_near / max(1, len(done.receipts))),
        "sessions": traffic.sessions,
        "segments_lost": world.network.lost,
        "beat_bytes_a_second": _beat_bytes_a_second(world),
        "calm_after_close_s": round((done.calm_ms - world.day_ms) / 1000) if done.calm_ms else None,
        "events": world.heap.events,
        "wall_s": round(ran_s, 1),
        "cpu_s": round(ran_cpu_s, 1),
        "cpu_ms_each": round(1000 * ran_cpu_s / count, 1),
        **_sales("memory", done.sale_memory_s),
        **_sales("disk", done.sale_disk_s),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def _sales(log: str, took_s: Sequence[float]) -> Row:
    """How long ``Till.sell`` took, in wall time of this machine."""
    if not took_s:
        return {}
    in_order = sorted(took_s)
    p99 = in_order[int(0.99 * (len(in_order) - 1))]
    return {
        f"sales_on_{log}": len(in_order),
        f"sale_ms_p50_on_{log}": round(1000 * statistics.median(in_order), 2),
        f"sale_ms_p99_on_{log}": round(1000 * p99, 2),
    }


def _beat_bytes_a_second(world: LargeWorld) -> int:
    """What a till would send of who is there, which is not simulated: its store's table on each of its sessions."""
    store = next(iter(world.stores.values()))
    me, *others = store.tills
    presence = Presence(me, 0)
    for other in others:
        presence.hear(Presence(other, 1 << 40).table(0), 0, lambda _: True)
    return round(len(presence.table(0)) * len(store.neighbours(me)) / BEAT_S)


def _spread(world: LargeWorld) -> list[Row]:
    near_ms, far_ms = world.spreading.exchanges_ms, world.spreading.exchanges_far_ms
    exchange_ms, wan_ms = (statistics.median(took_ms) if took_ms else 0 for took_ms in (near_ms, far_ms))
    rows: list[Row] = []
    for kind in (CATALOGUE, DAY, JOURNAL):
        for apart in (False, True):
            found = [one for one in world.spreading.done if one.kind == kind and _met_the_cut(one) is apart]
            if found:
                network = "apart" if apart else "whole"
                leaves_store = found[0].replicas > world.plan.tills
                rows.append(
                    {
                        "kind": kind,
                        "network": network,
                        **_row(found, exchange_ms, wan_ms if leaves_store else exchange_ms),
                    }
                )
    return rows


def _met_the_cut(one: Spread) -> bool:
    """Whether an entry was on its way while the network was apart."""
    return one.born_ms < MENDED_MS and one.born_ms + one.took_ms > CUT_MS


def _told_from_ms(one: Spread) -> int:
    return max(one.born_ms, MENDED_MS) if _met_the_cut(one) and one.born_ms + one.took_ms > MENDED_MS else one.born_ms


def _row(found: Sequence[Spread], exchange_ms: float, farthest_ms: float) -> Row:
    """``exchange_ms``: how long an exchange takes on a LAN; ``farthest_ms``: the longest one that nobody can go round."""
    rounds = [one.rounds for one in found]
    # What was written while the network was apart is counted from when it is whole again: nobody can be told before.
    took_s = sorted((one.born_ms + one.took_ms - _told_from_ms(one)) / 1000 for one in found)
    ideal = ideal_rounds(found[0].replicas)
    return {
        "replicas": found[0].replicas,
        "entries": len(found),
        "rounds": statistics.median(rounds),
        "rounds_max": max(rounds),
        "ideal_rounds": round(ideal, 1),
        "share_of_ideal": round(max(rounds) / ideal, 2),
        "seconds": round(statistics.median(took_s), 2),
        "seconds_p99": round(took_s[int(0.99 * (len(took_s) - 1))], 2),
        "seconds_max": round(took_s[-1], 2),
        "exchange_s": round(exchange_ms / 1000, 3),
        "seconds_share_of_ideal": _share(statistics.median(took_s), ideal * exchange_ms),
        "share_if_one_is_wan": _share(statistics.median(took_s), farthest_ms + (ideal - 1) * exchange_ms),
    }


def _share(seconds: float, ideal_ms: float) -> float | None:
    return round(1000 * seconds / ideal_ms, 2) if ideal_ms else None


def _targets(plan: LargePlan, spread: list[Row], size: Row) -> list[Row]:
    whole = [row for row in spread if row["network"] == "whole"]
    rows: list[Row] = []
    for row in whole:
        for figure, name in (("rounds", "share_of_ideal"), ("virtual seconds", "seconds_share_of_ideal")):
            share = row[name]
            rows.append(
                {
                    "figure": f"{figure} until all {row['replicas']:,} have a {row['kind']} entry ÷ log₂ n",
                    "measured": share,
                    "target": f"≤ {SHARE_MAX}",
                    "met": _met(share is not None and share <= SHARE_MAX),
                }
            )
    if plan.replicas >= 10_000:
        rows.append(
            {
                "figure": "wall seconds",
                "measured": size["wall_s"],
                "target": "≤ 600",
                "met": _met(size["wall_s"] <= 600),
            }
        )
        peak = size["peak_mb"]
        rows.append({"figure": "peak memory, MB", "measured": peak, "target": "≤ 8,192", "met": _met(peak <= 8192)})
    return rows


def _met(is_met: bool) -> str:
    return "yes" if is_met else "no"
