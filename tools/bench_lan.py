"""``crdt-pos bench lan``: how soon a sale of one till is on the disks of the other tills of its store.

Real processes, logs, TLS sessions and multicast on the loopback interface; several tills share a process. One sale at a time, at
a till drawn by lot. The clock starts when the selling till has answered (its own commit is done) and stops when a snapshot of
another till's log, read from its folder beside it, holds the entry: LMDB shows what is committed, and commits are synced. So
no replica does anything that it would not do in a shop. The folders are read in turn with a pause of a millisecond: that,
and one turn of reading, is the resolution, and is measured and printed.
"""

from __future__ import annotations

import datetime
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from crdt_pos.folder import Folder
from crdt_pos.journal import journal_document
from crdt_pos.schema import SCHEMA
from gossip.document import day_number
from gossip.entry import FeedId
from gossip.log_lmdb import LmdbLog
from peers.roster import StoreRecord
from tools.town import Town, TownError, loopback_settings

STORE: Final = 12
DATE: Final = datetime.date(2026, 11, 20)
PAUSE_S: Final = 0.001
ARRIVAL_TIMEOUT_S: Final = 60.0
WARM_UP_TIMEOUT_S: Final = 300.0
BETWEEN_S: Final = 0.02
"""From the arrival everywhere to the next sale, so that one does not wait for the other's acknowledgements."""
Row = dict[str, Any]


@dataclass(slots=True)
class Watched:
    """A till, and its log open beside it."""

    folder: Folder
    log: LmdbLog

    def holds(self, seller: Folder, seq: int) -> bool:
        """Whether an act of another till is on this one's disk."""
        feed = FeedId(journal_document(STORE, day_number(DATE)), seller.certificate.author)
        with self.log.read() as reader:
            heads = reader.heads(feed)
        return bool(heads) and heads[-1].seq >= seq


@dataclass(slots=True)
class Samples:
    """Milliseconds of one repeat."""

    acknowledged: list[float] = field(default_factory=list[float])
    """From asking to the selling till's answer."""
    first: list[float] = field(default_factory=list[float])
    """From the answer to the first other till's disk."""
    all: list[float] = field(default_factory=list[float])
    """To the last other till's."""
    each: list[float] = field(default_factory=list[float])
    """To any other till's."""
    turn: list[float] = field(default_factory=list[float])
    """Between two looks at one folder."""


def lan(tills: int, sales: int, repeats: int, processes: int) -> tuple[list[Row], dict[str, Any]]:
    """The table, and what stands beside it: sessions per till. Raises ``TownError``."""
    dice = random.Random(20)  # noqa: S311  the same tills sell in every run
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as place, ExitStack() as stack:
        records = [StoreRecord(STORE, legal_entity="Corner Shops Ltd")]
        town = Town.found(Path(place), "Corner Shops", records, tills, loopback_settings())
        stack.enter_context(town.running(processes))
        for folder in town.tills.values():
            town.wait(partial(town.is_up, folder), f"Starting {folder.certificate.name}")
        seqs = {folder.path: _open(town, folder) for folder in town.tills.values()}
        watched: list[Watched] = []
        for folder in town.tills.values():
            log = LmdbLog.open(folder.log_path, SCHEMA, folder.root.company, read_only=True)
            stack.callback(log.close)
            watched.append(Watched(folder, log))
        _warm_up(town, watched, seqs)
        samples = [_repeat(town, watched, seqs, sales, dice) for _ in range(repeats)]
        sessions = [
            sum(1 for session in town.client(folder).call("connections")["sessions"] if session["role"] == "till")
            for folder in town.tills.values()
        ]
    beside = {
        "tills": tills,
        "processes": processes,
        "sales": sales,
        "repeats": repeats,
        "sessions per till, median": statistics.median(sessions),
        "sessions per till, most": max(sessions),
        "resolution ms, median": round(statistics.median(ms for one in samples for ms in one.turn), 1),
    }
    return [
        _row("the sale's own answer", [one.acknowledged for one in samples]),
        _row("answer → first other till's disk", [one.first for one in samples]),
        _row("answer → any other till's disk", [one.each for one in samples]),
        _row("answer → every other till's disk", [one.all for one in samples]),
    ], beside


def _open(town: Town, folder: Folder) -> int:
    town.client(folder).call("open", date=DATE.isoformat(), float_minor=20_000)
    return 1


def _sell(town: Town, folder: Folder, seqs: dict[Path, int]) -> int:
    lines = [{"product": number, "quantity": 1, "total_minor": 199, "tax_code": 1} for number in (1, 2, 3)]
    town.client(folder).call("sell", lines=lines)
    seqs[folder.path] += 1
    return seqs[folder.path]


def _warm_up(town: Town, watched: Sequence[Watched], seqs: dict[Path, int]) -> None:
    """Until everybody has heard of everybody."""
    for seller in watched:
        seq = _sell(town, seller.folder, seqs)
        for other in watched:
            what = f"A sale of {seller.folder.certificate.name} on its way to {other.folder.certificate.name}"
            if other is not seller:
                town.wait(partial(other.holds, seller.folder, seq), what, WARM_UP_TIMEOUT_S)


def _repeat(town: Town, watched: Sequence[Watched], seqs: dict[Path, int], sales: int, dice: random.Random) -> Samples:
    samples = Samples()
    for _ in range(sales):
        seller = dice.choice(watched)
        asked_s = time.perf_counter()
        seq = _sell(town, seller.folder, seqs)
        answered_s = time.perf_counter()
        samples.acknowledged.append(1000 * (answered_s - asked_s))
        waiting = [other for other in watched if other is not seller]
        arrived: list[float] = []
        looked_s = answered_s
        while waiting:
            still: list[Watched] = []
            for other in waiting:
                if other.holds(seller.folder, seq):
                    arrived.append(1000 * (time.perf_counter() - answered_s))
                else:
                    still.append(other)
            waiting = still
            now_s = time.perf_counter()
            samples.turn.append(1000 * (now_s - looked_s))
            looked_s = now_s
            if now_s - answered_s > ARRIVAL_TIMEOUT_S:
                names = ", ".join(other.folder.certificate.name for other in waiting)
                raise TownError(
                    f"{names} lack a sale of {seller.folder.certificate.name} after {ARRIVAL_TIMEOUT_S:g} s"
                )
            time.sleep(PAUSE_S)
        samples.first.append(arrived[0])
        samples.all.append(arrived[-1])
        samples.each += arrived
        time.sleep(BETWEEN_S)
    return samples


def _row(what: str, repeats: Sequence[Sequence[float]]) -> Row:
    p50 = [statistics.median(times) for times in repeats]
    p99 = [statistics.quantiles(times, n=100)[98] for times in repeats]
    return {
        "what": what,
        "p50 ms": round(statistics.median(p50), 1),
        "p50 spread": f"{min(p50):.1f} to {max(p50):.1f}",
        "p99 ms": round(statistics.median(p99), 1),
        "p99 spread": f"{min(p99):.1f} to {max(p99):.1f}",
    }
