"""How many signed messages a second a head office takes in from a fleet of tills, and whether that stays so as the fleet grows.

For every size: a company is founded, with every till's certificate at its head office; what its tills will say is signed and put
into frames (``fleet_days``); a real ``crdt-pos office run`` is started, and another process, ``fleet_sender``, offers it all
that over at most 96 TLS sessions. Founding and signing are stated apart. The office's path is the one of every shop: TLS,
signature and permission of every entry, a synced transaction, and only then the acknowledgement. A message counts once it is
acknowledged.

The repeats are followed by the proofs. Before and after every repeat both cores verify signatures and do nothing else: the
yardstick. The warm-up has at least one date of every till, so every certificate is proven before the clock starts.
"""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from crdt_pos.local import LocalClient, NotRunning
from tools import fleet_company, fleet_days, fleet_process, fleet_profile, fleet_proofs, fleet_yardstick
from tools.fleet_company import Company
from tools.fleet_days import Phase, StoreDays
from tools.fleet_plan import write_plan
from tools.fleet_till import MESSAGES_A_DATE, TillDate
from tools.fleet_unit import expected, till_dates
from tools.fleet_yardstick import Signed
from tools.town import Process, TookTooLong, TownError, cores

MESSAGES: Final = 20_000
WARM_UP: Final = 2_000
INTERRUPTED: Final = 6_000
REPEATS: Final = 3
YARDSTICK_S: Final = 1.5
READY_TIMEOUT_S: Final = 120.0
LOOK_S: Final = 0.003
FIRST_TIME: Final = "warm-up"
BROKEN: Final = "interrupted"

Row = dict[str, Any]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to measure. ``messages``: in every repeat."""

    tills: tuple[int, ...] = (200, 1_000, 5_000, 10_000)
    messages: int = MESSAGES
    repeats: int = REPEATS
    yardstick_s: float = YARDSTICK_S
    workers: int = 0
    """Processes that sign, and then measure the yardstick; 0: one for each core."""
    functions: bool = False
    """Whether to profile the largest size by function, too."""


@dataclass(slots=True)
class Repeat:
    """One repeat, and the yardstick around it."""

    accepted: int
    s: float
    bytes: int
    sender_cpu_s: float
    office_cpu_s: float
    raw_per_s: float
    """Signatures per second, all cores together."""

    @property
    def per_s(self) -> float:
        return self.accepted / self.s


@dataclass(slots=True)
class Measured:
    """Everything about one size."""

    tills: int
    founded_s: float = 0.0
    signed_s: float = 0.0
    signed: int = 0
    entry_bytes: float = 0.0
    """Of an entry, whole."""
    repeats: list[Repeat] = field(default_factory=list[Repeat])
    restart_s: float = 0.0
    checked_s: float = 0.0
    """To check 20,000 entries again as ``crdt-pos verify`` does, seconds of one processor;"""
    read_s: float = 0.0
    """to read their books;"""
    rebuilt_per_raw: float = 0.0
    """both, by what libsodium takes for that many signatures."""
    peak_bytes: int = 0
    proofs: dict[str, str] = field(default_factory=dict[str, str])
    """What was proven, and what is wrong with it: empty if nothing is."""

    stages: list[Row] = field(default_factory=list[Row])
    functions: list[Row] = field(default_factory=list[Row])

    @property
    def per_s(self) -> float:
        return statistics.median(one.per_s for one in self.repeats)

    @property
    def per_raw(self) -> float:
        return statistics.median(one.per_s / one.raw_per_s for one in self.repeats)

    @property
    def bytes_each(self) -> float:
        return statistics.median(one.bytes / one.accepted for one in self.repeats)


def fleet(wanted: Wanted, say: Say = lambda _: None) -> list[Measured]:
    """Measure every size. Raises ``TownError`` if a process stops or something takes too long."""
    with (
        ProcessPoolExecutor(wanted.workers or cores(), mp_context=get_context("spawn")) as workers,
        tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as place,
    ):
        measured: list[Measured] = []
        for tills in wanted.tills:
            at = Path(place) / str(tills)
            at.mkdir()
            measured.append(_Run(at, tills, wanted, workers, partial(_said_of, say, tills)).measure())
        return measured


def _said_of(say: Say, tills: int, what: str) -> None:
    say(f"{tills:,} tills: {what}")


class _Run:
    """One size, from founding to the last proof."""

    def __init__(self, at: Path, tills: int, wanted: Wanted, workers: Executor, say: Say) -> None:
        self._at = at
        self._tills = tills
        self._wanted = wanted
        self._workers = workers
        self._say = say
        self._result = Measured(tills)
        self._phases = _phases(tills, wanted)
        self._dates = self._phases[-1].last
        self._acted: list[TillDate] = []
        self._days: list[StoreDays] = []
        self._yardstick: list[Signed] = []

    def measure(self) -> Measured:
        self._say("founding the company and its tills' certificates")
        began_s = time.perf_counter()
        company = fleet_company.found(self._at, self._tills)
        self._result.founded_s = time.perf_counter() - began_s
        self._sign(company)
        process = Process("office", [company.office])
        try:
            with _sender(self._at / "gateways") as ask:
                ready(process)
                ask("connect")
                self._repeat(process, ask)
                self._sent_again(company, ask)
                self._killed(company, process, ask)
                process.stop()
                raw_s = self._verify(company)
                if self._tills == max(self._wanted.tills):
                    self._profile(company, raw_s)
                self._rebuilt(company, ask)
        finally:
            process.kill()
        return self._result

    def _sign(self, company: Company) -> None:
        self._say(f"signing {2 * self._tills * self._dates:,} messages")
        began_s = time.perf_counter()
        bodies = {voiding: till_dates(self._dates, voiding=voiding) for voiding in (False, True)}
        self._acted = bodies[False]
        *before, broken = self._phases
        asked = [
            self._workers.submit(fleet_days.signed, tills, bodies, self._phases, before[-1], broken)
            for tills in company.stores.values()
        ]
        self._days = [one.result() for one in asked]
        for name in self._days[0].plans:
            write_plan(self._at / f"{name}.plan", {days.store: days.plans[name] for days in self._days})
        result = self._result
        result.signed_s = time.perf_counter() - began_s
        result.signed = 2 * self._tills * self._dates
        result.entry_bytes = sum(days.raw_bytes for days in self._days) / result.signed
        for days in self._days:
            days.plans = {}
        self._yardstick = fleet_yardstick.samples([raw for days in self._days for raw in days.sample][:400])

    def _plan(self, name: str) -> str:
        return str(self._at / f"{name}.plan")

    def _raw(self) -> float:
        wanted = self._wanted
        return sum(fleet_yardstick.rates(self._workers, wanted.workers or cores(), self._yardstick, wanted.yardstick_s))

    def _repeat(self, process: Process, ask: _Ask) -> None:
        self._say("warm-up")
        self._offered("warm-up", ask("send", plan=self._plan(FIRST_TIME)))
        assert process.running is not None
        raw = self._raw()
        for phase in self._phases[1:-1]:
            self._say(f"repeat {phase.name}")
            before_s = fleet_process.cpu_s(process.running.pid)
            answer = ask("send", plan=self._plan(phase.name))
            office_s = fleet_process.cpu_s(process.running.pid) - before_s
            self._offered(f"repeat {phase.name}", answer)
            after = self._raw()
            self._result.repeats.append(
                Repeat(
                    answer["accepted"],
                    answer["s"],
                    answer["bytes"],
                    answer["cpu_s"],
                    office_s,
                    (raw + after) / 2,
                )
            )
            raw = after
        self._note_peak(process)

    def _note_peak(self, process: Process) -> None:
        assert process.running is not None
        self._result.peak_bytes = max(self._result.peak_bytes, fleet_process.peak_bytes(process.running.pid))

    def _offered(self, what: str, answer: Row) -> None:
        if answer["accepted"] != answer["entries"] or answer["refused"]:
            raise TownError(f"{what}: {answer['accepted']} of {answer['entries']} were accepted")

    def _prove(self, what: str, wrong: Sequence[str]) -> None:
        self._result.proofs[what] = "; ".join(wrong)

    def _sent_again(self, company: Company, ask: _Ask) -> None:
        self._say("a fifth sent again")
        office = company.office
        before = fleet_proofs.contents(office.path, len(company.stores))
        self._offered("a fifth again", ask("send", plan=self._plan("again")))
        after = fleet_proofs.contents(office.path, len(company.stores))
        wrong = [] if after == before else ["something is there that was not"]
        self._prove("a fifth sent again changes nothing", wrong)

    def _killed(self, company: Company, process: Process, ask: _Ask) -> None:
        self._say("the head office is killed midway")
        assert process.running is not None
        office, phase = company.office, self._phases[-1]
        half = self._tills * (phase.last - phase.first)
        answer = ask("send", plan=self._plan(BROKEN), kill=[process.running.pid, half])
        process.kill()
        acknowledged = {int(store): places for store, places in answer["acknowledged"].items()}
        heads = {days.store: days.heads for days in self._days}
        lost = fleet_proofs.lost(office.path, acknowledged, heads)
        wrong = [f"{lost} acknowledged messages are not there"] if lost else []
        if not half <= answer["accepted"] < answer["entries"]:
            wrong.append(f"{answer['accepted']} of {answer['entries']} were acknowledged: not midway")
        self._prove("killed midway, nothing acknowledged is lost", wrong)
        self._result.restart_s = ready(process)
        ask("connect")
        self._offered("the rest", ask("send", plan=self._plan(f"{BROKEN} whole"), without=acknowledged))
        self._note_peak(process)

    def _verify(self, company: Company) -> float:
        self._say("verifying every entry again")
        raw_s = fleet_yardstick.cpu_s_each(self._yardstick, 3)
        done = fleet_proofs.verified(company.office.path, self._acted[0].day, self._acted[-1].day)
        raw_s = (raw_s + fleet_yardstick.cpu_s_each(self._yardstick, 3)) / 2
        wrong = fleet_proofs.differences(expected(self._tills, self._dates), done.figures)
        self._prove("books = N × unit × dates; stock; no number twice", wrong)
        self._prove("verify passes", [f"{done.findings} findings"] if done.findings else [])
        result = self._result
        result.checked_s, result.read_s = (MESSAGES * cpu_s / done.entries for cpu_s in (done.checked_s, done.read_s))
        result.rebuilt_per_raw = (result.checked_s + result.read_s) / (MESSAGES * raw_s)
        return raw_s

    def _profile(self, company: Company, raw_s: float) -> None:
        self._say("where the time goes")
        gateways = {store: tills[0].author for store, tills in company.stores.items()}
        plans = self._at / f"{FIRST_TIME}.plan", self._at / f"{self._phases[1].name}.plan"
        self._result.stages = fleet_profile.stages(company.fresh_office("staged"), gateways, *plans, raw_s)
        if self._wanted.functions:
            self._result.functions = fleet_profile.functions(company.fresh_office("profiled"), gateways, *plans)

    def _rebuilt(self, company: Company, ask: _Ask) -> None:
        self._say("the folder is deleted and rebuilt from what the tills hold")
        before = fleet_proofs.contents(company.office.path, len(company.stores))
        office = company.fresh_office("rebuilt")
        company.office.path.rename(self._at / "deleted")
        process = Process("office", [office])
        try:
            ready(process)
            ask("connect")
            self._offered("all again", ask("send", plan=self._plan("held")))
        finally:
            process.stop()
        after = fleet_proofs.contents(office.path, len(company.stores))
        said = fleet_proofs.figures(office.path, self._acted[0].day, self._acted[-1].day)
        wrong = fleet_proofs.differences(expected(self._tills, self._dates), said)
        if after.fingerprints != before.fingerprints:
            wrong.append("it does not hold what the deleted one held")
        self._prove("deleted and rebuilt from the tills", wrong)


def _phases(tills: int, wanted: Wanted) -> list[Phase]:
    """The dates of the warm-up, of each repeat, and of what is interrupted, one after the other."""
    a_date = MESSAGES_A_DATE * tills
    counts = {
        FIRST_TIME: math.ceil(min(WARM_UP, wanted.messages) / a_date),
        **{str(number): max(1, wanted.messages // a_date) for number in range(1, wanted.repeats + 1)},
        BROKEN: math.ceil(min(INTERRUPTED, 4 * wanted.messages) / a_date),
    }
    phases: list[Phase] = []
    for name, dates in counts.items():
        first = phases[-1].last if phases else 0
        phases.append(Phase(name, first, first + dates))
    return phases


def ready(process: Process) -> float:
    """Start a head office; how long it takes until it answers on its local socket. Raises ``TookTooLong``."""
    began_s = time.perf_counter()
    process.start()
    while (took_s := time.perf_counter() - began_s) < READY_TIMEOUT_S:
        process.check()
        try:
            LocalClient(process.folders[0].path).close()
        except NotRunning:
            time.sleep(LOOK_S)
        else:
            return took_s
    raise TookTooLong(f"the head office does not answer after {took_s:.0f} s")


class _Ask:
    """Tells the sender what to do."""

    def __init__(self, sender: subprocess.Popen[str]) -> None:
        self._sender = sender

    def __call__(self, do: str, **fields: object) -> Row:
        """Its answer. Raises ``TownError`` if it has stopped."""
        assert self._sender.stdin is not None
        assert self._sender.stdout is not None
        self._sender.stdin.write(json.dumps({"do": do, **fields}) + "\n")
        self._sender.stdin.flush()
        line = self._sender.stdout.readline()
        if not line:
            raise TownError(f"the sender stopped at {do}")
        answer: Row = json.loads(line)
        return answer


@contextmanager
def _sender(gateways: Path) -> Generator[_Ask]:
    command = [sys.executable, "-P", "-m", "tools.fleet_sender", str(gateways)]
    sender = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield _Ask(sender)
    finally:
        sender.kill()
        sender.communicate()
