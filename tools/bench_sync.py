"""``crdt-pos bench sync``: two replicas that never met compare up to a million feeds, of which d differ.

The feeds are the day summaries of one store over ten years, as many tills as it takes (274 for a million), every entry signed by
its till. One log is built by appending, the other is a copy of its file with a database id of its own, so that no cursor holds
and only fingerprints tell. Then d days are published anew, half of them on either side; bytes are those of the whole session in
both directions, from HELLO to silence. ``tools.piped`` says what runs, and what is left out.
"""

from __future__ import annotations

import functools
import gc
import multiprocessing
import random
import shutil
import statistics
import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn
from rich.progress import Progress as Bars

from crdt_pos.day import Day, Flow, Goods
from crdt_pos.receipt import Tender
from crdt_pos.schema import DAY, SCHEMA
from gossip import log_rows as rows
from gossip.document import COMPANY as COMPANY_SCOPE
from gossip.document import Document, FeedType, Scope, ScopeClass, order_key
from gossip.entry import Entry, decode, sign
from gossip.ingest import AuthorRecord
from gossip.log import Arrival
from gossip.log_lmdb import LmdbLog
from merge_rules.counter_covers import CounterCovers, Covers
from merge_rules.lattice import Author
from peers import certificates
from peers.certificates import Certificate
from peers.keys import SEALING_BYTES, SecretKey, author_of
from peers.permissions import Role
from tools import plotting
from tools.piped import SessionFailed, Side, meet

STORE: Final = 12
SCOPES: Final = frozenset({COMPANY_SCOPE, Scope(f"store/{STORE}"), Scope(f"patrons/{STORE}")})
FIRST_DAY: Final = 17_000
DAYS_MAX: Final = 3_653
DIFFERING: Final = (0, 1, 10, 100, 1_000, 3_000, 10_000)
REPEATS: Final = 3
BATCH: Final = 10_000
SLACK_BYTES: Final = 2_000
FACTOR: Final = 1.2
FEEDS_MIN: Final = 10
FEEDS_MAX: Final = 3_000_000
OFFICE_MS: Final = 5
OTHER_STORES: Final = 456
DAY_PRODUCTS: Final = 300
MILLION: Final = 1_000_000
REAL_DAYS: Final = 40
BACK_REPEATS: Final = 25
ONE_DAY: Final = "one day of two tills is missing"
NOTHING: Final = "nothing is missing"
Row = dict[str, Any]
Progress = Callable[[str, int, int], None]
"""What is being done, how far it is, and of how much."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Which feeds there are: number 0 is the first till's first day."""

    feeds: int
    days: int = DAYS_MAX
    """At most."""

    @property
    def tills(self) -> int:
        return -(-self.feeds // self.days)

    def entry(self, number: int, seq: int, products: int = 3) -> Entry:
        """The ``seq``-th summary of a feed, signed by its till."""
        day, till = divmod(number, self.tills)
        key, author = _key(till)
        document = Document(DAY, FIRST_DAY + day, (STORE,))
        stamp = (FIRST_DAY + day) * 86_400_000 + seq << 16
        return sign(key, author, document, FeedType.LATEST, ScopeClass.STORE, seq, stamp, _body(seq, products))


@functools.lru_cache(maxsize=1024)
def _key(till: int) -> tuple[SecretKey, Author]:
    key = SecretKey((till + 1).to_bytes(32, "big"))
    return key, author_of(key.public, "a1")


@functools.lru_cache(maxsize=64)
def _body(seq: int, products: int) -> object:
    """A day on which each of so many products was sold ``seq`` times."""
    author = _key(0)[1]
    goods = {133 + number: Goods(seq, 199 * seq, 4) for number in range(products)}
    day = Day(goods=goods, tenders={int(Tender.CASH): Flow(199 * seq * products)})
    return CounterCovers.publish(author, author, Covers(seq, bytes(range(16))), day.counters()).entry_body(author)


def _signed(part: tuple[Shape, int, int]) -> list[bytes]:
    shape, start, stop = part
    return [shape.entry(number, 1).raw for number in range(start, stop)]


@dataclass(slots=True)
class Company:
    """A root and two head offices, and the certificates that both of them have."""

    offices: list[Certificate] = field(default_factory=list[Certificate])
    records: dict[Author, AuthorRecord] = field(default_factory=dict[Author, AuthorRecord])

    @classmethod
    def found(cls, tills: int) -> Company:
        root_key = SecretKey.generate()
        root = certificates.create_root(root_key, "Corner Shops", bytes(SEALING_BYTES))
        company = cls()
        for letter in "ab":
            key = SecretKey.generate()
            company.offices.append(certificates.issue_office(root, root_key, key.public, letter))
        for till in range(tills):
            key, author = _key(till)
            company.records[author] = AuthorRecord(key.public, Role.TILL, STORE)
        return company

    @property
    def id(self) -> bytes:
        return bytes(self.offices[0].company)


@dataclass(slots=True)
class Pair:
    """The two replicas, and how often each feed was published."""

    shape: Shape
    sides: tuple[Side, Side]
    dice: random.Random
    published: dict[int, int] = field(default_factory=dict[int, int])

    @classmethod
    def build(cls, place: Path, shape: Shape, progress: Progress) -> Pair:
        """Sign every feed, append them to one log, and copy it."""
        company = Company.found(shape.tills)
        folders = [place / office.name for office in company.offices]
        folders[1].mkdir()
        log = LmdbLog.open(folders[0], SCHEMA, company.id)
        done = 0
        for raws in _signed_parts(shape):
            log.append([Arrival(decode(raw), company.offices[1].author) for raw in raws])
            done += len(raws)
            progress(f"signing and appending {shape.feeds:,} feeds", done, shape.feeds)
        log.close()
        shutil.copyfile(folders[0] / "data.mdb", folders[1] / "data.mdb")
        logs = [LmdbLog.open(folder, SCHEMA, company.id) for folder in folders]
        logs[1].adopt()
        one, other = company.offices
        lookup = company.records.get
        sides = Side(logs[0], one, other, SCOPES, lookup), Side(logs[1], other, one, SCOPES, lookup)
        return cls(shape, sides, random.Random(shape.feeds))  # noqa: S311  the same feeds in every run

    def close(self) -> None:
        for side in self.sides:
            side.log.close()

    def forget(self) -> None:
        """Let no cursor hold any more: each log gets another id."""
        for side in self.sides:
            assert isinstance(side.log, LmdbLog)
            side.log.adopt()

    def differ(self, count: int) -> int:
        """Publish so many feeds anew, half of them on either side; the bytes of these entries."""
        entries: list[Entry] = []
        for number in self.dice.sample(range(self.shape.feeds), count):
            seq = self.published[number] = self.published.get(number, 1) + 1
            entries.append(self.shape.entry(number, seq))
        for side, part in zip(self.sides, (entries[::2], entries[1::2]), strict=True):
            side.log.append([Arrival(entry) for entry in part])
        return sum(len(entry.raw) for entry in entries)

    def met(self, differing: int) -> Meeting:
        """They meet without cursors, after so many feeds were published anew.

        A sketch hides one of some 250,000 differences by chance (PROTOCOL.md §7), and the next comparison finds it: that is
        counted with the first.
        """
        entries_bytes = self.differ(differing)
        met = self._meeting(entries_bytes)
        if met.moved != differing:
            again = self._meeting(0)
            met = Meeting(*(sum(pair) for pair in zip(astuple(met), astuple(again), strict=True)))
        if met.moved != differing:
            raise SessionFailed(f"{met.moved} entries moved, not {differing}")
        return met

    def _meeting(self, entries_bytes: int) -> Meeting:
        self.forget()
        gc.collect()
        carried = meet(*self.sides)
        begins, answers = sorted(self.sides, key=lambda side: side.log.database)
        moved = begins.entries_received + answers.entries_received
        return Meeting(carried.carried_bytes, entries_bytes, carried.round_trips, begins.cpu_s, answers.cpu_s, moved)


@dataclass(frozen=True, slots=True)
class Meeting:
    """What a meeting has cost."""

    wire_bytes: int
    entries_bytes: int
    round_trips: float
    begins_s: float
    answers_s: float
    moved: int
    """Entries."""


def sync(feeds: Sequence[int], differing: Sequence[int], repeats: int, progress: Progress) -> list[Row]:
    """One row for each number of feeds and of differences; medians of ``repeats``."""
    found: list[Row] = []
    for count in feeds:
        with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as place:
            pair = Pair.build(Path(place), Shape(count), progress)
            try:
                for number, d in enumerate(d for d in differing if d <= count):
                    progress(f"comparing {count:,} feeds", number, len(differing))
                    found.append(_row(count, d, [pair.met(d) for _ in range(repeats)]))
            finally:
                pair.close()
    return found


def _row(feeds: int, differing: int, met: Sequence[Meeting]) -> Row:
    wire, entries = (
        statistics.median(one) for one in zip(*((one.wire_bytes, one.entries_bytes) for one in met), strict=True)
    )
    return {
        "feeds": feeds,
        "d": differing,
        "entries, bytes": int(entries),
        "session, bytes": int(wire),
        "besides, a difference": round((wire - entries) / differing, 1) if differing else "",
        "round trips": statistics.median(one.round_trips for one in met),
        "CPU of who begins, ms": _ms([one.begins_s for one in met]),
        "CPU of who answers, ms": _ms([one.answers_s for one in met]),
        "spread, ms": _ms(
            [max(one.begins_s + one.answers_s for one in met) - min(one.begins_s + one.answers_s for one in met)]
        ),
    }


def _ms(seconds: Sequence[float]) -> float:
    return round(1000 * statistics.median(seconds), 2)


# --- a million feeds, most of them made up ---


def million(repeats: int, progress: Progress) -> list[Row]:
    """The same of a million feeds in seconds: those of ``REAL_DAYS`` are there and signed, and what differs is among them.

    Of the other days both logs have the same made-up sums (by document, month and scope), which is all that a comparison
    reads of what does not differ.
    """
    tills = -(-MILLION // DAYS_MAX)
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as place:
        pair = Pair.build(Path(place), Shape(tills * REAL_DAYS, REAL_DAYS), progress)
        try:
            for side in pair.sides:
                _make_up_days(side, tills)
            return [_row(MILLION, d, [pair.met(d) for _ in range(repeats)]) for d in (0, 1)]
        finally:
            pair.close()


def _make_up_days(side: Side, tills: int) -> None:
    log = side.log
    assert isinstance(log, LmdbLog)
    dice = random.Random(tills)  # noqa: S311  stands for hashes, the same on both sides
    scope = rows.scope_id(Scope(f"store/{STORE}"))
    before = (DAYS_MAX - REAL_DAYS) // 2
    days = [*range(FIRST_DAY - before, FIRST_DAY), *range(FIRST_DAY + REAL_DAYS, FIRST_DAY + DAYS_MAX - before)]
    left = MILLION - tills * REAL_DAYS
    with log._writing() as table:  # pyright: ignore[reportPrivateUsage]
        for number, day in enumerate(days):
            document = order_key(Document(DAY, day, (STORE,)))
            feeds = left * (number + 1) // len(days) - left * number // len(days)
            made_up = rows.reduced(dice.getrandbits(256), feeds)
            for row in (
                rows.DOCUMENT_SUM + scope + document,
                rows.MONTH_SUM + scope + document[: rows.MONTH_BYTES],
                rows.SCOPE_SUM + scope,
            ):
                table.put(row, rows.sum_value(rows.from_sum(table.get(row)).plus(made_up)))


# --- one store comes back ------------------------------------------------------------------------------------------------


def come_back(days: int, repeats: int, progress: Progress) -> list[Row]:
    """A store with ``days`` of history meets its head office again and again, each time with one day more to bring.

    Two tills, each with a summary of 300 products for the day that is missing. Of the other stores the head office has only the
    sums (by document, month and scope), and these are made up: they play no part in this session but by their number.
    """
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as place:
        shape = Shape(2 * days, days)
        pair = Pair.build(Path(place), shape, progress)
        try:
            till, office = pair.sides
            _make_up_others(office, days, progress)
            pair.forget()
            meet(till, office)
            costs: dict[str, list[tuple[float, float, int]]] = {}
            for repeat in range(repeats):
                missing = [shape.entry(2 * (days + repeat) + number, 1, DAY_PRODUCTS) for number in range(2)]
                till.log.append([Arrival(entry) for entry in missing])
                gc.collect()
                for what, moved in ((ONE_DAY, 2), (NOTHING, 0)):
                    met = meet(till, office)
                    if office.entries_received != moved:
                        raise SessionFailed(f"{office.entries_received} entries moved, not {moved}")
                    costs.setdefault(what, []).append((office.cpu_s, till.cpu_s, met.carried_bytes))
        finally:
            pair.close()
    return [
        {
            "what": what,
            "session, bytes": int(statistics.median(cost[2] for cost in found)),
            "CPU of the head office, ms": _ms([cost[0] for cost in found]),
            "least, ms": round(1000 * min(cost[0] for cost in found), 2),
            "most, ms": round(1000 * max(cost[0] for cost in found), 2),
            "CPU of the till, ms": _ms([cost[1] for cost in found]),
        }
        for what, found in costs.items()
    ]


def _make_up_others(office: Side, days: int, progress: Progress) -> None:
    log = office.log
    assert isinstance(log, LmdbLog)
    dice = random.Random(days)  # noqa: S311  stands for hashes
    with log._writing() as table:  # pyright: ignore[reportPrivateUsage]
        for store in range(1000, 1000 + OTHER_STORES):
            progress("making up the sums of other stores", store - 999, OTHER_STORES)
            scope = rows.scope_id(Scope(f"store/{store}"))
            months: dict[bytes, int] = {}
            for day in range(FIRST_DAY, FIRST_DAY + days):
                document = order_key(Document(DAY, day, (store,)))
                table.put(rows.DOCUMENT_SUM + scope + document, _made_up(dice, 2))
                month = document[: rows.MONTH_BYTES]
                months[month] = months.get(month, 0) + 2
            for month, feeds in months.items():
                table.put(rows.MONTH_SUM + scope + month, _made_up(dice, feeds))
            table.put(rows.SCOPE_SUM + scope, _made_up(dice, 2 * days))


def _made_up(dice: random.Random, feeds: int) -> bytes:
    return rows.sum_value(rows.reduced(dice.getrandbits(256), feeds))


def targets(compared: Sequence[Row], back: Sequence[Row]) -> list[Row]:
    """What was asked for, and whether it is met."""
    found: list[Row] = []
    for row in compared:
        if row["feeds"] == max(one["feeds"] for one in compared) and row["d"] == 1:
            most = int(FACTOR * (SLACK_BYTES + row["entries, bytes"]))
            wire = row["session, bytes"]
            figure = f"bytes of a session, 1 of {row['feeds']:,} feeds differs"
            found.append({"figure": figure, "measured": wire, "target": f"≤ {most:,}", "met": _met(wire <= most)})
    for row in back:
        if row["what"] == ONE_DAY:
            cost = row["CPU of the head office, ms"]
            figure = "CPU of the head office, ms, when a store of ten years comes back with a day"
            found.append(
                {"figure": figure, "measured": cost, "target": f"≤ {OFFICE_MS}", "met": _met(cost <= OFFICE_MS)}
            )
    return found


def _met(holds: bool) -> str:
    return "yes" if holds else "no"


def plot(rows_: Sequence[Row], path: Path) -> None:
    """Bytes of a session against d, a line for each number of feeds."""
    series: dict[str, list[tuple[float, float]]] = {}
    for row in rows_:
        if row["d"]:
            series.setdefault(f"{row['feeds']:,} feeds", []).append((row["d"], row["session, bytes"]))
    entries = {row["d"]: row["entries, bytes"] for row in rows_ if row["d"]}
    series["the entries alone"] = sorted(entries.items())
    plotting.lines(
        path, "Two replicas that never met", "feeds that differ", "bytes, both ways", series, log_x=True, log_y=True
    )


def run(feeds: str, repeats: int, years: int, plot_file: Path | None, show: Callable[..., None]) -> None:
    """Measure everything, show it, and draw it. Raises ``click.ClickException``."""
    counts = _counts(feeds)
    if plot_file is not None:
        plotting.require()
    with _progress() as progress:
        compared = sync(counts, DIFFERING, repeats, progress)
        large = [] if counts[-1] >= MILLION else million(repeats, progress)
        back = come_back(years * DAYS_MAX // 10, BACK_REPEATS, progress)
    parts = {"sync": compared, "million": large, "reconnect": back, "targets": targets([*compared, *large], back)}
    show({name: functools.partial(list[Row], table) for name, table in parts.items() if table})
    if plot_file is not None:
        plot(compared, plot_file)


def _counts(feeds: str) -> list[int]:
    try:
        counts = sorted({int(one) for one in feeds.replace("_", "").split(",")})
    except ValueError:
        counts = [0]
    if not FEEDS_MIN <= counts[0] <= counts[-1] <= FEEDS_MAX:
        raise click.BadParameter(
            f"numbers from {FEEDS_MIN} to {FEEDS_MAX:,} with commas between them", param_hint="--feeds"
        )
    return counts


@contextmanager
def _progress() -> Generator[Progress]:
    """A line on the error output that says how far things are."""
    console = Console(stderr=True)
    with Bars(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=console, transient=True
    ) as bars:
        tasks: dict[str, TaskID] = {}

        def note(what: str, done: int, of: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=of)
                if not console.is_terminal:
                    console.print(f"{what} …")
            bars.update(tasks[what], completed=done)

        yield note


def _signed_parts(shape: Shape) -> Iterator[list[bytes]]:
    parts = [(shape, at, min(at + BATCH, shape.feeds)) for at in range(0, shape.feeds, BATCH)]
    if len(parts) == 1:
        yield _signed(parts[0])
        return
    with multiprocessing.get_context("fork").Pool(min(2, len(parts))) as pool:
        yield from pool.imap(_signed, parts)
