"""From the start of a till's process to its first sale, lookups through its local socket, and its memory.

One store with every product of the grocery data. The head office signs the catalogue; the till's log is given the entries and
the views that it would have taken in over the network. Then both run once, so that the office has acknowledged something of the
till's: from now on it asks after every start what others know of it, before it signs anything. It is started again and again,
with the office in reach, which it finds by multicast, and without. The clock runs from the start of the process until the answer
to the first sale, which is on the disk; in between the till opens a new business date. Lookups are timed from sending the
line to having read the answer, by the one client of a till that does nothing else.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import statistics
import tempfile
import time
from collections.abc import Generator, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Final

from crdt_pos import catalogue
from crdt_pos.clock import system_ms
from crdt_pos.folder import Folder
from crdt_pos.local import LocalClient, NotRunning
from crdt_pos.looking import look
from crdt_pos.products import Price, Product
from crdt_pos.schema import SCHEMA
from gossip.log import Arrival
from gossip.log_lmdb import LmdbLog
from peers.roster import StoreRecord
from tools import baskets
from tools.baskets import ProductRow
from tools.town import Process, Town, TownError, loopback_settings

STORE: Final = 12
LOOKUPS: Final = 300
ALONE: Final = 2
LOOK_AGAIN_S: Final = 0.002
START_TIMEOUT_S: Final = 60.0
FIRST_DATE: Final = datetime.date(2026, 11, 20)
MIB: Final = 1 << 20
RSS: Final = "RSS"
LOG: Final = "of the RSS, pages of the log's file"
Row = dict[str, Any]

START_MS_MAX: Final = 2_000
CODE_MS_MAX: Final = 1
WORDS_MS_MAX: Final = 30
MEMORY_MIB_MAX: Final = 100


def till(repeats: int) -> tuple[list[Row], list[Row]]:
    """What was measured, and how it compares with the targets. Raises ``TownError``, ``DataMissing``."""
    products = baskets.read_products()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as at:
        town = Town.found(Path(at), "Corner Shops", [StoreRecord(STORE)], 1, loopback_settings())
        town.write_catalogue(_catalogue(products))
        folder = town.tills[STORE, 1]
        _give(town.office, folder)
        days = (FIRST_DATE + datetime.timedelta(day) for day in count())
        with _running(town.office, "office"):
            _meet(folder, next(days))
            met = [_first_sale(folder, next(days), products[0].product) for _ in range(repeats)]
        alone = [_first_sale(folder, next(days), products[0].product) for _ in range(ALONE)]
        by_code, by_words, memory = _at_work(folder, next(days), _some(products))
    wall = [start["wall"] for start in met]
    names = f"start to first sale, {len(products):,} products"
    rows = [
        _times(f"{names}, s", wall, 1, 2),
        _times("of that until it answers, s", [start["up"] for start in met], 1, 2),
        _times("processor time until the first sale, s", [start["cpu"] for start in met], 1, 2),
        _times(f"{names}, nobody in reach, s", [start["wall"] for start in alone], 1, 2),
        _times("lookup by code, ms", by_code, 1000, 2),
        _times("lookup by the first two words, ms", by_words, 1000, 2),
        *(_times(f"memory: {what}, MiB", [held / MIB], 1, 1) for what, held in memory.items()),
    ]
    targets = [
        _target("start to first sale, median, ms", 1000 * statistics.median(wall), START_MS_MAX),
        _target("lookup by code, p50, ms", 1000 * statistics.median(by_code), CODE_MS_MAX),
        _target("lookup by words, p50, ms", 1000 * statistics.median(by_words), WORDS_MS_MAX),
        _target("lookup by words, p99, ms", 1000 * _p99(by_words), WORDS_MS_MAX),
        _target("memory of a running till, RSS with the log's pages, MiB", memory[RSS] / MIB, MEMORY_MIB_MAX),
    ]
    return rows, targets


def _give(office: Folder, till: Folder) -> None:
    """What the till would have taken in: every entry, and what follows from the catalogue's."""
    with look(office.path) as there, there.log.read() as reader:
        log = LmdbLog.open(till.log_path, SCHEMA, till.root.company)
        try:
            arrivals = [Arrival(stored.entry) for stored in reader.arrivals(0, reader.last_arrival())]
            log.append(arrivals, reader.views(b""), received_ms=system_ms())
        finally:
            log.close()


@contextlib.contextmanager
def _running(folder: Folder, role: str) -> Generator[tuple[Process, LocalClient]]:
    process = Process(role, [folder])
    process.start()
    try:
        with _answering(process, folder) as client:
            yield process, client
    finally:
        process.stop()


def _meet(folder: Folder, day: datetime.date) -> None:
    with _running(folder, "till") as (process, client):
        client.call("open", date=str(day))
        client.call("close")
        deadline = time.monotonic() + START_TIMEOUT_S
        while not any(session["entries_acknowledged"] for session in client.call("connections")["sessions"]):
            process.check()
            if time.monotonic() > deadline:
                raise TownError("The head office does not acknowledge what the till says")
            time.sleep(LOOK_AGAIN_S)


def _catalogue(products: Sequence[ProductRow]) -> list[catalogue.Change]:
    changes = [catalogue.tax_change(code, ppm) for code, ppm in baskets.TAX_RATES_PPM.items()]
    for row in products:
        sold = Product(
            row.product, row.name, quantity_exponent=row.exponent, prices=(Price(199),), tax_code=row.tax_code
        )
        changes += catalogue.product_changes(sold, [baskets.ean13(row.product)])
    return changes


def _some(products: Sequence[ProductRow]) -> Sequence[ProductRow]:
    """Some of every part of the catalogue."""
    return products[:: max(1, len(products) // LOOKUPS)]


def _first_sale(folder: Folder, day: datetime.date, product: int) -> dict[str, float]:
    began = time.perf_counter()
    with _running(folder, "till") as (process, client):
        up = time.perf_counter()
        client.call("open", date=str(day))
        client.call("sell", lines=[{"product": product}])
        sold = time.perf_counter()
        cpu = _cpu_s(process)
        client.call("close")
    return {"wall": sold - began, "up": up - began, "cpu": cpu}


def _answering(process: Process, folder: Folder) -> LocalClient:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            return LocalClient(folder.path)
        except NotRunning:
            process.check()
            if time.monotonic() > deadline:
                raise TownError("The till did not start") from None
            time.sleep(LOOK_AGAIN_S)


def _at_work(
    folder: Folder, day: datetime.date, products: Sequence[ProductRow]
) -> tuple[list[float], list[float], dict[str, int]]:
    with _running(folder, "till") as (process, client):
        client.call("open", date=str(day))
        by_code = [_looked_up(client, baskets.ean13(row.product)) for row in products]
        by_words = [_looked_up(client, " ".join(row.name.split()[:2]).lower()) for row in products]
        client.call("sell", lines=[{"product": row.product} for row in products])
        return by_code, by_words, _memory(process)


def _looked_up(client: LocalClient, text: str) -> float:
    began = time.perf_counter()
    found = client.call("lookup", text=text)["products"]
    took = time.perf_counter() - began
    if not found:
        raise TownError(f"The till does not find {text}")
    return took


def _cpu_s(process: Process) -> float:
    """Processor time of a running process so far, its kernel's included."""
    assert process.running is not None
    fields = Path(f"/proc/{process.running.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(process: Process) -> dict[str, int]:
    """Bytes in memory: all, what would be free without this process, and the pages of the log's file that it has looked at."""
    assert process.running is not None
    proc = Path(f"/proc/{process.running.pid}")
    log, of_log = 0, False
    for line in (proc / "smaps").read_text().splitlines():
        name, _, rest = line.partition(":")
        if "-" in name.split(" ")[0]:
            of_log = line.endswith("/data.mdb")
        elif of_log and name == "Rss":
            log += _bytes(rest)
    rolled_up = (proc / "smaps_rollup").read_text().splitlines()[1:]
    rolled = {name: _bytes(rest) for name, _, rest in (line.partition(":") for line in rolled_up)}
    own = rolled["Private_Clean"] + rolled["Private_Dirty"]
    return {RSS: rolled["Rss"], "PSS": rolled["Pss"], "its own (USS)": own, LOG: log}


def _bytes(text: str) -> int:
    return int(text.split()[0]) * 1024


def _p99(times: Sequence[float]) -> float:
    return statistics.quantiles(times, n=100)[98] if len(times) > 1 else times[0]


def _times(what: str, samples: Sequence[float], times: int, digits: int) -> Row:
    least, most = min(samples) * times, max(samples) * times
    return {
        "what": what,
        "p50": round(statistics.median(samples) * times, digits),
        "p99": round(_p99(samples) * times, digits) if len(samples) >= LOOKUPS else "",
        "least": round(least, digits),
        "most": round(most, digits),
        "samples": len(samples),
    }


def _target(figure: str, measured: float, most: float) -> Row:
    met = "yes" if measured <= most else "no"
    return {"figure": figure, "measured": round(measured, 2), "target": f"<= {most}", "met": met}
