"""``crdt-pos fuzz``: made-up messages and entries against every decoder, the session machine, ingest and the merge rules.

A *case* is one input: a message, an entry, a value or a question that was drawn from its grammar and changed, decoded and, where
it is accepted, carried on to whoever acts on it. A session's script and a batch of entries count as one case each, though they
hold about ten. Signatures are verified in the ``ingest`` cases only; all others begin behind them, as a replica with a valid
certificate would.

Cases come in *blocks*, each a function of seed, target and number. What ever was found stands in ``fuzzing/kept.txt``, as bytes,
and is run first every time.
"""

from __future__ import annotations

import gc
import json
import multiprocessing
import resource
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Final

import click
from rich.console import Console
from rich.table import Table

from tools.fuzzing.targets import Target, begin_block, targets

CASES: Final = 1_000_000
BLOCK_CASES: Final = 500
POOL: Final = 24
"""Valid inputs that a block changes."""
PROCESSES: Final = 2
CASE_S_MAX: Final = 2.0
"""Processor time of one case."""
MEMORY_BYTES_MAX: Final = 2 << 30
"""Address space of a process: who wants more gets a ``MemoryError``, which is a finding."""
FINDINGS_MAX: Final = 20
KEPT: Final = Path(__file__).parent / "fuzzing" / "kept.txt"


class TooSlow(Exception):
    """A case that takes longer than ``CASE_S_MAX``."""


@dataclass(frozen=True, slots=True)
class Finding:
    """An input that was answered with an error that nobody declares, or too late."""

    target: str
    input: str
    """In hexadecimal."""
    error: str

    @property
    def line(self) -> str:
        """What to add to ``kept.txt``."""
        return f"{self.target}: {self.input}"


@dataclass(slots=True)
class Report:
    """What became of some cases."""

    cases: int = 0
    accepted: int = 0
    slowest_ms: float = 0.0
    rss_mb: int = 0
    by_target: dict[str, int] = field(default_factory=dict[str, int])
    """Cases,"""
    accepted_by_target: dict[str, int] = field(default_factory=dict[str, int])
    """and those of them that were accepted."""
    findings: list[Finding] = field(default_factory=list[Finding])

    def add(self, other: Report) -> None:
        """Count another's cases as well."""
        self.cases += other.cases
        self.accepted += other.accepted
        self.slowest_ms = max(self.slowest_ms, other.slowest_ms)
        self.rss_mb = max(self.rss_mb, other.rss_mb)
        self.findings += other.findings
        for mine, others in (
            (self.by_target, other.by_target),
            (self.accepted_by_target, other.accepted_by_target),
        ):
            for name, count in others.items():
                mine[name] = mine.get(name, 0) + count

    def judge(self, target: Target, raw: bytes) -> None:
        """One case."""
        began = time.process_time()
        try:
            accepted = target.judge(raw)
            self.accepted += accepted
            self.accepted_by_target[target.name] = self.accepted_by_target.get(target.name, 0) + accepted
        except Exception as error:  # noqa: BLE001  whatever a decoder lets out is what is looked for
            said = "".join(traceback.format_exception(error, limit=-3)).strip()
            self.findings.append(Finding(target.name, raw.hex(), said))
        took_s = time.process_time() - began
        if took_s > CASE_S_MAX:
            self.findings.append(Finding(target.name, raw.hex(), f"TooSlow: {took_s:.1f} s"))
        self.slowest_ms = max(self.slowest_ms, took_s * 1000)
        self.cases += 1
        self.by_target[target.name] = self.by_target.get(target.name, 0) + 1


Block = tuple[int, str, int]
"""Seed, target and number."""


def run_block(block: Block) -> Report:
    """The cases of one block: valid inputs, and what is made of them."""
    seed, name, number = block
    target = _named()[name]
    dice = Random(f"{seed} {name} {number}")  # noqa: S311
    report = Report()
    begin_block()
    pool = [target.draw(dice) for _ in range(POOL)]
    for raw in pool:
        report.judge(target, raw)
    for _ in range(BLOCK_CASES - POOL):
        report.judge(target, target.change(dice, dice.choice(pool), pool))
        if len(report.findings) >= FINDINGS_MAX:
            break
    report.rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    return report


def run_kept(path: Path = KEPT) -> Report:
    """Every input that was a finding once."""
    report, named = Report(), _named()
    for line in path.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            name, _, raw = line.partition(":")
            report.judge(named[name], bytes.fromhex(raw))
    return report


def blocks(seed: int, cases: int) -> Iterator[Block]:
    """Blocks for at least so many cases, each target by its share."""
    everyone = targets()
    shares = sum(target.share for target in everyone)
    for target in everyone:
        count = -(-cases * target.share // (shares * BLOCK_CASES))
        for number in range(count):
            yield seed, target.name, number


def run(seed: int, cases: int, processes: int = PROCESSES) -> Iterator[Report]:
    """Reports of blocks, as they are finished by ``processes`` processes."""
    with multiprocessing.get_context("spawn").Pool(processes, _bound) as pool:
        yield from pool.imap_unordered(run_block, list(blocks(seed, cases)), chunksize=4)


def _bound() -> None:
    gc.set_threshold(50_000, 20, 100)  # little of what a case makes holds itself: a tenth of the time
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _named() -> dict[str, Target]:
    return {target.name: target for target in targets()}


@click.command()
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Other seeds are other cases.")
@click.option("--cases", type=click.IntRange(1), default=CASES, show_default=True, help="How many, at least.")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="Seed after seed for so long instead.")
@click.option("--processes", type=click.IntRange(1, 64), default=PROCESSES, show_default=True)
@click.option("--keep", type=click.Path(path_type=Path, dir_okay=False), help="Add what is found to this file.")
@click.option("--json", "as_json", is_flag=True, help="The report as JSON.")
def fuzz(seed: int, cases: int, minutes: float | None, processes: int, keep: Path | None, as_json: bool) -> None:
    """Try made-up messages and entries on everything that reads what a peer sends.

    Only the errors that a reader declares may come out, in bounded time and memory, and what is accepted must encode to the
    same bytes. Exit code 1: something was found; the report says which input, so that it can be kept.
    """
    began, report, rounds = time.monotonic(), run_kept(), 0
    kept = report.cases
    screen = Console(stderr=True)
    with screen.status("") as status:
        while True:
            for part in run(seed + rounds, cases, processes):
                report.add(part)
                took_s = time.monotonic() - began
                status.update(f"seed {seed + rounds}: {report.cases:,} cases, {report.cases / took_s:,.0f} a second")
                if minutes is not None and took_s > 60 * minutes:
                    break
            rounds += 1
            if minutes is None or report.findings or time.monotonic() - began > 60 * minutes:
                break
    took_s = time.monotonic() - began
    if keep is not None and report.findings:
        with keep.open("a") as file:
            file.writelines(f"{finding.line}\n" for finding in report.findings)
    if as_json:
        said = asdict(report) | {"kept": kept, "seed": seed, "seconds": round(took_s, 1)}
        click.echo(json.dumps(said, indent=2))
    else:
        _show(report, kept, took_s)
    sys.exit(1 if report.findings else 0)


def _show(report: Report, kept: int, took_s: float) -> None:
    table = Table(
        "target", "cases", title=f"{report.cases:,} cases in {took_s:.1f} s, {report.cases / took_s:,.0f} a second"
    )
    table.columns[1].justify = "right"
    for name, count in report.by_target.items():
        table.add_row(name, f"{count:,}")
    console = Console()
    console.print(table)
    console.print(
        f"{report.accepted:,} were accepted, all others refused with a declared error; {kept} kept inputs among them. "
        f"Slowest case {report.slowest_ms:.0f} ms, largest process {report.rss_mb} MB."
    )
    for finding in report.findings[:FINDINGS_MAX]:
        console.print(f"\n{finding.error}", markup=False)
        console.print(finding.line if len(finding.line) < 2000 else f"{finding.line[:2000]} …", markup=False)
    if report.findings:
        console.print(f"\n{len(report.findings)} findings.", style="bold red")
