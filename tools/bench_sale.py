"""What a sale costs at a busy till, against the least that the same bytes can cost on the same disk.

A sale is timed as a shop's replica calls it, from request to receipt: priced, signed, entered with its fold, index and balance in
one synced transaction. Yardsticks and sales take turns, so that all meet the same weather.
"""

from __future__ import annotations

import cProfile
import os
import pstats
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, cast

from crdt_pos.local import LocalClient
from crdt_pos.local_commands import TillCommands
from tools import bench_sale_shop
from tools.bench_sale_shop import TERMS, Shop
from tools.practice_shop import PracticeReplica, served

ROUNDS: Final = 20
AT_ONCE: Final = 20
"""Of each kind in a round: so many samples in all are ROUNDS × AT_ONCE."""
P50_MAX: Final = 2.5
"""Times the raw write."""
PROFILED: Final = 200
RAW: Final = "raw write + fdatasync of the same bytes"
SQLITE: Final = "SQLite WAL, synchronous=FULL, the same bytes"
SALE: Final = "sale of 3 lines"
MEMBER: Final = "sale of 3 lines to a member"
TEN: Final = "sale of 10 lines"
TEN_MEMBER: Final = "sale of 10 lines to a member"
SOCKET: Final = "sale of 3 lines, asked for over the local socket"

Row = dict[str, Any]
Act = Callable[[], object]

_COMMIT: Final = "LMDB: beginning, writing pages, syncing twice"
_PARTS: Final = (
    # what, and the files or built-in functions that it is
    ("signing (libsodium)", ("crypto_sign", "peers/keys.py", "_sodium")),
    ("encoding and decoding (CBOR)", ("merge_rules/canonical.py", "_cbor2")),
    ("LMDB: looking up, putting", ("'lmdb.Cursor'", "'Cursor'", "'get' of 'Transaction'", "'put' of 'Transaction'")),
    (_COMMIT, ("of 'Transaction'", "of 'Environment'", "'lmdb.")),
    ("log: rows, heads, sums (Python)", ("/gossip/",)),
    ("till: prices, tax, receipt, fold (Python)", ("/crdt_pos/",)),
)


def measure(say: Callable[[str], None]) -> dict[str, list[Row]]:
    """The tables ``sale``, ``parts`` and ``targets``. Takes a minute. Raises ``DataMissing``."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        shop = bench_sale_shop.make(Path(folder) / "log", say)
        try:
            say("sales")
            return _measured(shop, Path(folder))
        finally:
            shop.log.close()


def _measured(shop: Shop, folder: Path) -> dict[str, list[Row]]:
    size = _entry_bytes(shop)
    cpu: dict[str, list[float]] = {}
    wall: dict[str, list[float]] = {}
    with _raw(folder, size) as raw, _sqlite(folder, size) as sqlite, _socket(shop, folder) as socket:
        kinds: dict[str, Act] = {
            RAW: raw,
            SQLITE: sqlite,
            SALE: lambda: shop.till.sell(shop.basket(3)),
            MEMBER: lambda: shop.till.sell(shop.basket(3, member=True)),
            TEN: lambda: shop.till.sell(shop.basket(10)),
            TEN_MEMBER: lambda: shop.till.sell(shop.basket(10, member=True)),
            SOCKET: socket,
        }
        for _ in range(ROUNDS):
            for name, act in kinds.items():
                for _ in range(AT_ONCE):
                    cpu_began, began = time.process_time(), time.perf_counter()
                    act()
                    wall.setdefault(name, []).append(1000 * (time.perf_counter() - began))
                    cpu.setdefault(name, []).append(1000 * (time.process_time() - cpu_began))
    least = statistics.median(wall[RAW])
    rows = [_row(name, wall[name], cpu[name], least) for name in wall]
    for row in rows:
        row["bytes"] = size if row["what"] in (RAW, SQLITE, SALE, SOCKET) else ""
    return {"sale": rows, "parts": _parts(shop, wall[SALE]), "targets": _targets(rows, wall)}


def _row(name: str, wall_ms: list[float], cpu_ms: list[float], least_ms: float) -> Row:
    rounds = [statistics.median(wall_ms[at : at + AT_ONCE]) for at in range(0, len(wall_ms), AT_ONCE)]
    low, _, high = statistics.quantiles(rounds, n=4)
    return {
        "what": name,
        "p50 ms": round(statistics.median(wall_ms), 3),
        "spread of p50": f"{low:.3f}-{high:.3f}",
        "p99 ms": round(_p99(wall_ms), 2),
        "p50 ÷ raw": round(statistics.median(wall_ms) / least_ms, 2),
        "CPU ms": round(statistics.median(cpu_ms), 3),
    }


def _p99(times: list[float]) -> float:
    return statistics.quantiles(times, n=100)[98]


def _targets(rows: list[Row], wall: dict[str, list[float]]) -> list[Row]:
    by_name = {row["what"]: row for row in rows}
    ratio = by_name[SALE]["p50 ÷ raw"]
    sqlite = statistics.median(wall[SALE]) / statistics.median(wall[SQLITE])
    return [
        {
            "figure": f"{SALE}, p50 ÷ raw",
            "measured": ratio,
            "target": f"≤ {P50_MAX}",
            "met": "yes" if ratio <= P50_MAX else "no",
        },
        {"figure": f"{SALE}, p50 ÷ SQLite", "measured": round(sqlite, 2), "target": "stated", "met": "yes"},
        {"figure": f"{SALE}, p99 ms", "measured": by_name[SALE]["p99 ms"], "target": "stated", "met": "yes"},
    ]


def _parts(shop: Shop, wall_ms: list[float]) -> list[Row]:
    """Where the median sale of three lines spends its time."""
    requests = [shop.basket(3) for _ in range(PROFILED)]
    written = _written_bytes()
    for request in requests:
        shop.till.sell(request)
    pages = (_written_bytes() - written) / PROFILED / os.sysconf("SC_PAGE_SIZE")
    profile = cProfile.Profile()
    profile.enable()
    for request in requests:
        shop.till.sell(request)
    profile.disable()
    spent: dict[str, float] = {}
    stats = cast(
        "dict[tuple[str, int, str], tuple[int, int, float, float, object]]", vars(pstats.Stats(profile))["stats"]
    )
    for (file, _, function), (_, _, own_s, _, _) in stats.items():
        where = f"{file} {function}"
        part = next((name for name, marks in _PARTS if any(mark in where for mark in marks)), "the rest (Python)")
        spent[part] = spent.get(part, 0.0) + own_s
    # A profile slows calls in Python down, and the one long call of a commit hardly: what is left of the clock is shared out.
    wall_us = 1000 * statistics.median(wall_ms)
    committing_us = min(1e6 * spent.pop(_COMMIT, 0.0) / PROFILED, wall_us)
    us_per_s = (wall_us - committing_us) / sum(spent.values())
    parts = {name: us_per_s * own_s for name, own_s in sorted(spent.items(), key=lambda one: -one[1])}
    rows: list[Row] = [
        {"part": name, "µs": round(us), "share": f"{100 * us / wall_us:.0f} %"}
        for name, us in (*parts.items(), (_COMMIT, committing_us))
    ]
    rows.append({"part": "pages that a commit writes, nearly all apart: count", "µs": round(pages), "share": ""})
    return rows


def _written_bytes() -> int:
    counts = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(counts["wchar"])


def _entry_bytes(shop: Shop) -> int:
    """Of the entries that a sale of three lines signs."""
    with shop.log.read() as reader:
        before = reader.last_arrival()
    shop.till.sell(shop.basket(3))
    with shop.log.read() as reader:
        return sum(len(stored.entry.raw) for stored in reader.arrivals(before, 10))


@contextmanager
def _raw(folder: Path, size: int) -> Generator[Act]:
    descriptor = os.open(folder / "raw", os.O_CREAT | os.O_WRONLY)
    content = os.urandom(size)

    def act() -> None:
        os.write(descriptor, content)
        os.fdatasync(descriptor)

    try:
        yield act
    finally:
        os.close(descriptor)


@contextmanager
def _sqlite(folder: Path, size: int) -> Generator[Act]:
    database = sqlite3.connect(folder / "yardstick.db", isolation_level=None)
    database.execute("pragma journal_mode=wal")
    database.execute("pragma synchronous=full")
    database.execute("create table yardstick (content blob)")
    content = os.urandom(size)
    try:
        yield lambda: database.execute("insert into yardstick values (?)", (content,))
    finally:
        database.close()


@contextmanager
def _socket(shop: Shop, folder: Path) -> Generator[Act]:
    """What a screen does: JSON over the local socket, answered on an event loop, sold on a thread of its own."""
    commands = TillCommands(
        shop.till, shop.identity, shop.products, PracticeReplica(shop.log), shop.now, lambda _date: TERMS
    )
    with served(commands, folder):
        client = LocalClient(folder)
        try:
            yield lambda: client.call("sell", lines=[{"product": one.product} for one in shop.basket(3).lines])
        finally:
            client.close()
