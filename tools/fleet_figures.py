"""The figures of ``crdt-pos bench fleet`` as tables, and the targets they are held against."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import click

from tools import plotting
from tools.bench_fleet import MESSAGES, Measured, Repeat, Wanted, fleet
from tools.town import TownError

PER_S_MIN: Final = 20_000
PER_RAW_MIN: Final = 0.42
STRAIGHT_MIN: Final = 0.95
BYTES_MAX: Final = 200
RESTART_S_MAX: Final = 1.0
REBUILT_MAX: Final = 1.5
MEMORY_MB_MAX: Final = 200
MB: Final = 1_000_000
US: Final = 1_000_000

Row = dict[str, Any]
Show = Callable[[dict[str, Callable[[], list[Row]]]], None]


def run(sizes: str, messages: int, repeats: int, *, profile: bool, plot_file: Path | None, show: Show) -> None:
    """Measure fleets of these sizes, as text with commas, and show every table.

    Raises ``SystemExit`` with 1 if anything is not proven, ``click.ClickException`` for what cannot be run.
    """
    if plot_file is not None:
        plotting.require()
    wanted = Wanted(_sizes(sizes), messages, repeats, functions=profile)
    try:
        measured = fleet(wanted, lambda said: click.echo(said, err=True))
    except TownError as error:
        raise click.ClickException(f"{error}.") from error
    show({name: partial(list[Row], rows) for name, rows in tables(measured).items()})
    if plot_file is not None:
        plot(plot_file, measured)
    if not proven(measured):
        raise SystemExit(1)


def _sizes(text: str) -> tuple[int, ...]:
    numbers = tuple(int(one) if one.strip().isdecimal() else 0 for one in text.split(","))
    if min(numbers) < 1:
        raise click.BadParameter(f"{text!r} is not one or more whole numbers with commas, like 200,1000.")
    return numbers


def tables(measured: Sequence[Measured]) -> dict[str, list[Row]]:
    """Every table by its name."""
    most = max(measured, key=_tills)
    found = {
        "fleet": rates(measured),
        "apart": costs(measured),
        "proofs": proofs(measured),
        f"CPU at the head office, {most.tills:,} tills": _with_rest(most),
        "functions": most.functions,
        "targets": targets(measured),
    }
    return {name: rows for name, rows in found.items() if rows}


def _with_rest(one: Measured) -> list[Row]:
    """The stages, and what of the real process they do not account for."""
    known = sum(row["µs each"] for row in one.stages)
    whole = _us(one, lambda repeat: repeat.office_cpu_s)
    rest: Row = {"what": "TLS, event loop, threads: the rest of the real process", "µs each": round(whole - known, 1)}
    rows = [*one.stages, rest]
    return [row | {"share": f"{row['µs each'] / whole:.0%}"} for row in rows]


class _Target(NamedTuple):
    figure: str
    measured: float
    bound: float
    at_least: bool

    def row(self) -> Row:
        met = self.measured >= self.bound if self.at_least else self.measured <= self.bound
        return {
            "figure": self.figure,
            "measured": self.measured,
            "target": f"{'≥' if self.at_least else '≤'} {self.bound:,}",
            "met": "yes" if met else "no",
        }


def rates(measured: Sequence[Measured]) -> list[Row]:
    """How fast each size was taken in: medians of its repeats."""
    return [
        {
            "tills": one.tills,
            "messages": one.repeats[0].accepted,
            "accepted/s": round(one.per_s),
            "least/s": round(min(repeat.per_s for repeat in one.repeats)),
            "most/s": round(max(repeat.per_s for repeat in one.repeats)),
            "raw/s": round(statistics.median(repeat.raw_per_s for repeat in one.repeats)),
            "÷ raw": round(one.per_raw, 3),
            "bytes each": round(one.bytes_each, 1),
            "office µs each": round(_us(one, lambda repeat: repeat.office_cpu_s), 1),
            "sender µs each": round(_us(one, lambda repeat: repeat.sender_cpu_s), 1),
        }
        for one in measured
    ]


def costs(measured: Sequence[Measured]) -> list[Row]:
    """What stands apart from the rate."""
    return [
        {
            "tills": one.tills,
            "founded s": round(one.founded_s, 1),
            "signed": one.signed,
            "signed s": round(one.signed_s, 1),
            "entry bytes": round(one.entry_bytes, 1),
            "restart s": round(one.restart_s, 2),
            "verify 20,000 s": round(one.checked_s, 2),
            "books of them s": round(one.read_s, 2),
            "both ÷ raw": round(one.rebuilt_per_raw, 2),
            "peak MB": one.peak_bytes // MB,
        }
        for one in measured
    ]


def proofs(measured: Sequence[Measured]) -> list[Row]:
    """What every size has proven: ``yes``, or what is wrong."""
    return [
        {"what": what, **{f"{one.tills:,} tills": one.proofs.get(what) or "yes" for one in measured}}
        for what in measured[0].proofs
    ]


def proven(measured: Sequence[Measured]) -> bool:
    """Whether nothing is wrong anywhere."""
    return not any(wrong for one in measured for wrong in one.proofs.values())


def targets(measured: Sequence[Measured]) -> list[Row]:
    """The largest size against what was set for it."""
    least, most = min(measured, key=_tills), max(measured, key=_tills)
    each = [
        _Target("messages accepted per second", round(most.per_s), PER_S_MIN, at_least=True),
        _Target("÷ raw libsodium rate of all cores", round(most.per_raw, 3), PER_RAW_MIN, at_least=True),
        _Target(
            f"rate at {most.tills:,} ÷ rate at {least.tills:,}",
            round(most.per_s / least.per_s, 3),
            STRAIGHT_MIN,
            at_least=True,
        ),
        _Target("bytes per message, both directions", round(most.bytes_each, 1), BYTES_MAX, at_least=False),
        _Target("restart after SIGKILL to ready, s", round(most.restart_s, 2), RESTART_S_MAX, at_least=False),
        _Target(
            f"books of {MESSAGES:,} entries, every signature, ÷ raw",
            round(most.rebuilt_per_raw, 2),
            REBUILT_MAX,
            at_least=False,
        ),
        _Target("peak memory of the head office, MB", most.peak_bytes // MB, MEMORY_MB_MAX, at_least=False),
    ]
    cpu = round(_us(most, lambda repeat: repeat.office_cpu_s), 1)
    stated = {"figure": "CPU per message at the head office, µs", "measured": cpu, "target": "stated", "met": "yes"}
    return [*(one.row() for one in each), stated]


def plot(path: Path, measured: Sequence[Measured]) -> None:
    """The rate against the number of tills, with the yardstick. Raises ``plotting.NoPlots``."""
    raw = [(one.tills, statistics.median(repeat.raw_per_s for repeat in one.repeats)) for one in measured]
    series = {"accepted": [(one.tills, one.per_s) for one in measured], "libsodium alone, all cores": raw}
    note = "Signed messages checked, synced and acknowledged per second; medians."
    plotting.lines(path, "One head office, a fleet of tills", "tills", "per second", series, log_x=True, note=note)


def _tills(one: Measured) -> int:
    return one.tills


def _us(one: Measured, seconds: Callable[[Repeat], float]) -> float:
    return US * statistics.median(seconds(repeat) / repeat.accepted for repeat in one.repeats)
