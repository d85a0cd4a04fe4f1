"""``crdt-pos replay``: a year of real baskets through production tills and a head office, and books to the cent."""

from __future__ import annotations

import datetime
import heapq
import json
import multiprocessing
import multiprocessing.connection
import resource
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final, cast

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from crdt_pos import enrolment
from crdt_pos.cli import Refused, child_command
from crdt_pos.clock import system_ms
from crdt_pos.directory import COMPANY_ROSTER, store_roster
from crdt_pos.folder import Folder, Settings
from crdt_pos.looking import look
from crdt_pos.registrar import Registrar
from gossip.address import Address
from gossip.log import entries_of
from peers import certificates
from peers.incarnation import next_incarnation
from peers.keys import PublicKey
from peers.roster import Enrolment, StoreRecord
from tools import baskets as data
from tools import replay_books, replay_sums
from tools.baskets import DataMissing
from tools.replay_books import Answer
from tools.replay_figures import Checked, Figures, show
from tools.replay_tills import TILL, Sold
from tools.replay_worker import LOG_FILE, Company, Share, run
from tools.town import LOOPBACK, Process, TownError, cores

COMPANY: Final = "Journey Grocers"
MARK: Final = "crdt-pos-replay"
"""A file that says that a folder is a replay's, and may be replaced by the next."""
OFFICE: Final = "office"
LOOK_S: Final = 0.5
PROCESSES_PER_CORE: Final = 2
RULES: Final = (
    "The data has no tills: each store has one, which opens on every date on which the store has a basket.",
    "At every third basket in a store a member pays with all the points that its till may redeem without asking anybody.",
    "Tax, tenders and points are derived as crdt-pos demo states it; no deliveries are made up, so stock is minus what was sold.",
    "The tills of a process share one table of products, instead of a catalogue in each of 457 logs; cashiers are not signed on.",
    "Journals stay in their tills' logs: no store guards another's here.",
)


@dataclass(slots=True)
class Timed:
    """Seconds of wall clock by phase, in order."""

    phases: dict[str, float] = field(default_factory=dict[str, float])

    @contextmanager
    def phase(self, name: str) -> Generator[None]:
        """Time a block."""
        began_s = time.perf_counter()
        yield
        self.phases[name] = round(time.perf_counter() - began_s, 1)


@click.command()
@click.option("--from", "first", type=click.DateTime(["%Y-%m-%d"]), default="2017-01-01", show_default="2017-01-01")
@click.option("--to", "last", type=click.DateTime(["%Y-%m-%d"]), default="2018-01-01", show_default="2018-01-01")
@click.option("--stores", type=click.IntRange(1, 457), default=457, show_default=True, help="The busiest stores.")
@click.option("--at", "at", type=click.Path(path_type=Path), default=Path("replay"), show_default=True, help="Folder.")
@click.option(
    "--processes",
    type=click.IntRange(1, 64),
    help="Processes for tills. By default two for each core: a sale waits for the disk, too.",
)
@click.option("--ask", is_flag=True, help="Also time every kind of question to the books of the head office.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the figures to this file, too.")
def replay(
    first: datetime.datetime,
    last: datetime.datetime,
    stores: int,
    at: Path,
    processes: int | None,
    ask: bool,
    json_file: Path | None,
) -> None:
    """Sell a year of real baskets through real tills and a head office, and check the books to the cent.

    Every basket of 457 stores is sold by a till with a folder, key and certificate of its own: signed, and committed to the disk.
    A head office in a process of its own takes in what they close, over TLS. In the end its books are compared with sums that are
    computed apart, by store and date, product and member. The folder is kept: 'crdt-pos books --at replay/office' reads it. Exit
    code 1 if any sum is off.
    """
    console = Console(highlight=False)
    try:
        figures = _run(
            console, _Asked(first.date(), last.date(), stores, at, processes or PROCESSES_PER_CORE * cores(), ask)
        )
    except (DataMissing, TownError) as error:
        raise Refused(str(error)) from error
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=2, default=str) + "\n")
    if not figures["right"]:
        raise SystemExit(1)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What to replay."""

    first: datetime.date
    last: datetime.date
    stores: int
    at: Path
    processes: int
    ask: bool


def _run(console: Console, asked: _Asked) -> dict[str, Any]:
    first, last, at = asked.first, asked.last, asked.at
    if last < first:
        raise Refused(f"The replay ends before it begins: --from {first} is after --to {last}.")
    if first < data.YEAR_FROM or last > data.YEAR_TO:
        raise Refused(f"The data has days from {data.YEAR_FROM} to {data.YEAR_TO}: choose --from and --to among them.")
    timed, began_s = Timed(), time.perf_counter()
    sizes = _sizes(first, last, asked.stores)
    if not sizes:
        raise Refused(f"There are no baskets from {first} to {last}.")
    _clear(at)
    for rule in RULES:
        console.print(rule, style="dim")
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=not console.is_terminal) as progress:
        with _workers([Share(at, first, last, stores) for stores in _shared(sizes, asked.processes)]) as workers:
            step = progress.add_task("founding the company and enrolling its tills", total=None)
            with timed.phase("found and enrol"):
                office = _found(at, sorted(sizes))
                company = _enrol(office, workers)
            progress.update(step, total=1, completed=1)
            step = progress.add_task("selling, and telling head office", total=sum(sizes.values()))
            process = Process(OFFICE, [office])
            process.start()
            try:
                with timed.phase("sell and tell"):
                    for worker in workers:
                        worker.send(company)
                    sold = _listen(workers, process, lambda baskets: progress.advance(step, baskets))
                peaks = {
                    "office": process.peak_bytes(),
                    **{f"tills {n}": one.peak_bytes for n, one in enumerate(sold, 1)},
                }
            finally:
                process.stop()
        step = progress.add_task("computing the sums apart, and comparing", total=None)
        with timed.phase("check"):
            checked = _check(office, first, last, sorted(sizes), _sum(sold))
        progress.update(step, total=1, completed=1)
        step = progress.add_task("adding up the head office's books", total=None)
        with timed.phase("add up the books"):
            replay_books.add_up(office)
        progress.update(step, total=1, completed=1)
        seconds = timed.phases | {"all": round(time.perf_counter() - began_s, 1)}
        answers: list[Answer] = []
        if asked.ask:
            step = progress.add_task("asking the head office for its books", total=None)
            product = _sum(sold).product_minor.most_common(1)[0][0]
            answers = replay_books.ask(office.path, first, last, next(iter(sizes)), product)
            progress.update(step, total=1, completed=1)
    peaks["this"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    figures = Figures(
        first,
        last,
        len(sizes),
        checked,
        _sum(sold),
        (office.log_path / LOG_FILE).stat().st_size,
        seconds,
        {name: peak // 1_000_000 for name, peak in peaks.items()},
        {one.question: one.ms for one in answers},
    )
    show(console, figures)
    return figures.plain()


def _sizes(first: datetime.date, last: datetime.date, count: int) -> dict[int, int]:
    """Baskets by store, of the busiest stores."""
    table = data.read_transactions(first, last, columns=["store_id", "basket_id"])
    baskets = table.group_by(["store_id"]).aggregate([("basket_id", "count_distinct")])
    sizes = zip(baskets["store_id"].to_pylist(), baskets["basket_id_count_distinct"].to_pylist(), strict=True)
    return dict(sorted(sizes, key=lambda pair: (-pair[1], pair[0]))[:count])


def _shared(sizes: Mapping[int, int], processes: int) -> list[list[int]]:
    """The stores of each process, the busiest first, so that all are done at about the same time."""
    shares: list[list[int]] = [[] for _ in range(min(processes, len(sizes)))]
    loads = [(0, number) for number in range(len(shares))]
    for store, baskets in sorted(sizes.items(), key=lambda pair: (-pair[1], pair[0])):
        load, number = heapq.heappop(loads)
        shares[number].append(store)
        heapq.heappush(loads, (load + baskets, number))
    return shares


def _clear(at: Path) -> None:
    if at.exists() and any(at.iterdir()) and not (at / MARK).exists():
        raise Refused(f"{at} holds something else: choose another folder with --at.")
    shutil.rmtree(at, ignore_errors=True)
    at.mkdir(parents=True)
    (at / MARK).write_text("Made by crdt-pos replay; the next replay replaces this folder.\n")


# --- founding --------------------------------------------------------------------------------------------------------


def _found(at: Path, stores: Sequence[int]) -> Folder:
    """The company and its head office, which listens on a port of its own; every store stands in its roster."""
    with socket.create_server((LOOPBACK, 0)) as free:
        port = free.getsockname()[1]
    settings = Settings(Address(LOOPBACK, port), multicast=False)
    office = enrolment.create_company(COMPANY, at / OFFICE, settings, system_ms())
    with office.held(), enrolment.open_log(office) as log:
        records = [
            StoreRecord(store, name=f"Store {store}", legal_entity=COMPANY, currency=data.CURRENCY) for store in stores
        ]
        Registrar(office, log, system_ms()).state(records)
    return office


def _enrol(office: Folder, workers: Sequence[Connection]) -> Company:
    """Certificates for the keys that the processes have made, all stated in one transaction."""
    me, chains = office.certificate, dict[int, tuple[bytes, ...]]()
    life = next_incarnation(me.letter, ())
    for worker in workers:
        for store, public in cast("dict[int, bytes]", worker.recv()).items():
            issued = certificates.issue_till(office.root, me, office.key, PublicKey(public), store, TILL, life)
            chains[store] = (issued.der, *office.chain)
    with office.held(), enrolment.open_log(office) as log:
        stated = [(store_roster(store), [Enrolment(chain)]) for store, chain in chains.items()]
        Registrar(office, log, system_ms()).state_in(stated)
        with log.read() as reader:
            roster = [stored.entry.raw for stored in entries_of(reader, COMPANY_ROSTER)]
            rosters = {
                store: [stored.entry.raw for stored in entries_of(reader, store_roster(store))] for store in chains
            }
    return Company(office.root.der, me.author, office.settings.listen, roster, chains, rosters)


# --- running ---------------------------------------------------------------------------------------------------------


@contextmanager
def _workers(shares: Sequence[Share]) -> Generator[list[Connection]]:
    """A process for each share, which ends with this block."""
    context = multiprocessing.get_context("spawn")
    running: list[BaseProcess] = []
    ends: list[Connection] = []
    try:
        for share in shares:
            mine, its = context.Pipe()
            running.append(context.Process(target=run, args=(share, its), daemon=True))
            running[-1].start()
            its.close()
            ends.append(mine)
        yield ends
        for process in running:
            process.join()
    finally:
        for process in running:
            process.kill()


def _listen(workers: Sequence[Connection], office: Process, sold: Callable[[int], None]) -> list[Sold]:
    """Hear how many baskets were sold until every process has said what it did. Raises ``TownError`` if one stops."""
    done: list[Sold] = []
    waiting = list(workers)
    while waiting:
        for worker in cast("list[Connection]", multiprocessing.connection.wait(waiting, timeout=LOOK_S)):
            try:
                said = worker.recv()
            except EOFError:
                raise TownError("a process with tills has stopped: what it said stands above") from None
            if isinstance(said, Sold):
                done.append(said)
                waiting.remove(worker)
            else:
                sold(said)
        office.check()
    return done


def _sum(parts: Sequence[Sold]) -> Sold:
    total = Sold()
    for part in parts:
        total.add(part)
    return total


# --- checking --------------------------------------------------------------------------------------------------------


def _check(office: Folder, first: datetime.date, last: datetime.date, stores: Sequence[int], sold: Sold) -> Checked:
    """Compare, while another process verifies every signature and chain of the head office."""
    command = [*child_command(), "verify", "--json", "--at", str(office.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as verifying:
        due = replay_sums.due(first, last, stores)
        with look(office.path) as looked, looked.log.read() as reader:
            found = replay_sums.found(reader, looked.directory)
        said, _ = verifying.communicate()
    verified: dict[str, Any] = json.loads(said) if said else {"findings": ["it said nothing"], "entries": 0}
    return Checked(
        tuple(replay_sums.compared(due, found, sold)),
        tuple(found.unsound),
        len(verified["findings"]),
        verified["entries"],
        sum(due.takings_minor.values()),
        found.day_bytes,
        sum(due.redeemed.values()),
    )
