"""``crdt-pos bench scrub``: what it costs to read a log over, and to mend it.

One till sells on ``days`` business dates. Its log is looked at row by row as the scrub does, then a byte of an entry in the
middle of it is flipped in the file, and mended with nobody to ask; and everything that follows from entries is derived again.
"""

from __future__ import annotations

import datetime
import resource
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from crdt_pos import enrolment
from crdt_pos.clock import system_ms
from crdt_pos.folder import Folder, Settings
from crdt_pos.identity import Identity, Now
from crdt_pos.looking import look
from crdt_pos.products import Price, Product, ProductTable
from crdt_pos.requests import LineRequest, SaleRequest
from crdt_pos.schema import SCHEMA
from crdt_pos.scrub import ROWS_AT_ONCE, ROWS_PER_S, Scrub
from crdt_pos.till import Till
from crdt_pos.trust import RosterTrust
from crdt_pos.verify import verify
from gossip.address import Address
from gossip.log_lmdb import LmdbLog
from peers.roster import StoreRecord

FIRST: Final = datetime.datetime(2026, 10, 1, 8, tzinfo=datetime.UTC)
DAY_MS: Final = 86_400_000
Row = dict[str, Any]


@dataclass
class _Clock:
    ms: int

    def __call__(self) -> Now:
        self.ms += 1_000
        return Now(self.ms, 0)


def scrub(days: int, receipts: int) -> list[Row]:
    """The table."""
    with tempfile.TemporaryDirectory() as place:
        folder = _sold(Path(place), days, receipts)
        with look(folder.path) as looked, looked.log.read() as reader:
            wall_s, cpu_s = _clocks()
            report = verify(reader, looked.directory, SCHEMA)
            verified = _row("verify: everything, signatures too", report.entries, *_since(wall_s, cpu_s))
        log = LmdbLog.open(folder.log_path, SCHEMA, folder.root.company)
        try:
            read = _pass(log, folder)
            arrival = report.entries // 2
            with log.read() as reader:
                raw = next(iter(reader.arrivals(arrival, 1))).entry.raw
            _flip(folder.log_path / "data.mdb", raw)
            wall_s, cpu_s = _clocks()
            mended = log.mend(folder.certificate.author)
            assert len(mended.lost) == 1
            one = _row("mend one flipped byte of an entry", report.entries, *_since(wall_s, cpu_s))
            wall_s, cpu_s = _clocks()
            log.mend(folder.certificate.author, derive=True)
            every = _row("derive heads, hashes and sums of all again", report.entries, *_since(wall_s, cpu_s))
        finally:
            log.close()
        return [verified, *read, one, every]


def _pass(log: LmdbLog, folder: Folder) -> list[Row]:
    scrubbing = Scrub(log, RosterTrust(folder, log).record, system_ms)
    wall_s, cpu_s = _clocks()
    entries = 0
    while not scrubbing.look(ROWS_AT_ONCE):
        entries = scrubbing.entries
    took = _since(wall_s, cpu_s)
    rows = scrubbing.rows_last_pass
    whole = _row(f"scrub without a pause: {rows:,} rows", entries, *took)
    paced_s = rows / ROWS_PER_S
    paced = {
        "what": f"scrub at {ROWS_PER_S} rows/s, as it runs",
        "entries": entries,
        "seconds": round(paced_s, 1),
        "entries/s": round(entries / paced_s),
        "CPU of a core": f"{100 * took[1] / paced_s:.1f} %",
    }
    return [whole, paced]


def _row(what: str, entries: int, wall_s: float, cpu_s: float) -> Row:
    return {
        "what": what,
        "entries": entries,
        "seconds": round(wall_s, 2),
        "entries/s": round(entries / wall_s),
        "CPU of a core": f"{100 * cpu_s / wall_s:.0f} %",
    }


def _clocks() -> tuple[float, float]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return time.perf_counter(), used.ru_utime + used.ru_stime


def _since(wall_s: float, cpu_s: float) -> tuple[float, float]:
    now_s, used_s = _clocks()
    return now_s - wall_s, used_s - cpu_s


def _flip(file: Path, content: bytes) -> None:
    data = file.read_bytes()
    with file.open("r+b") as opened:
        at = data.find(content)
        while at >= 0:
            opened.seek(at + len(content) // 2)
            opened.write(bytes([data[at + len(content) // 2] ^ 1]))
            at = data.find(content, at + 1)


def _sold(at: Path, days: int, receipts: int) -> Folder:
    settings = Settings(Address("127.0.0.1", 0), multicast=False)
    office = enrolment.create_company("Corner Shops", at / "office", settings, system_ms())
    enrolment.add_store(office, StoreRecord(12), system_ms())
    folder = enrolment.enrol_till(office, 12, 1, at / "till", settings, system_ms())
    own = folder.certificate
    me = Identity(folder.key, own.author, 12, 1, own.incarnation, own.company)
    products = ProductTable(
        {number: Product(number, f"Product {number}", prices=(Price(99 + number),)) for number in range(1, 6)}, {}
    )
    log = LmdbLog.open(folder.log_path, SCHEMA, folder.root.company, sync=False)
    try:
        clock = _Clock(int(FIRST.timestamp() * 1000))
        till = Till(log, me, clock, products=products)
        for number in range(days):
            clock.ms = int(FIRST.timestamp() * 1000) + number * DAY_MS
            till.open_date(FIRST.date() + datetime.timedelta(days=number))
            for _ in range(receipts):
                till.sell(SaleRequest(tuple(LineRequest(product) for product in range(1, 6))))
            till.close_date()
    finally:
        log.close()
    return folder
