"""How long the books of a replay's head office take to answer, by kind of question: CPU time from an open folder to the printed
lines, so that starting the process, and who else uses the machine, are left aside."""

from __future__ import annotations

import datetime
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from crdt_pos import enrolment, keeping, kept_books, sharing
from crdt_pos.books import Query
from crdt_pos.books_text import BooksText
from crdt_pos.clock import system_ms
from crdt_pos.folder import Folder
from crdt_pos.looking import Looked, identities, look
from crdt_pos.trust import RosterTrust

WIDTH: Final = 100
REPEATS: Final = 3
AGAIN_MS_MAX: Final = 1_000
"""What takes longer is asked once."""
MS_MAX: Final = 50
"""The target for every question."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One question."""

    question: str
    ms: int
    """Median, of CPU time."""


def add_up(office: Folder) -> None:
    """Keep the sums of the books, as a running head office does while nothing arrives."""
    with office.held(), enrolment.open_log(office) as log:
        keeping.keep(log, RosterTrust(office, log).directory)


def ask(office: Path, first: datetime.date, last: datetime.date, store: int, product: int) -> list[Answer]:
    """Every kind of question that ``crdt-pos books`` answers, of the period that was replayed."""
    with look(office) as looked:
        return [Answer(name, _median_ms(looked, query)) for name, query in _questions(first, last, store, product)]


def _questions(first: datetime.date, last: datetime.date, store: int, product: int) -> Iterator[tuple[str, Query]]:
    middle = first + (last - first) // 2
    month = max(first, middle - datetime.timedelta(days=30))
    periods = {"a date": (middle, middle), "a month": (month, middle), "all dates": (first, last)}
    for where, number in ((f"store {store}", store), ("all stores", None)):
        for when, period in periods.items():
            yield f"{where}, {when}", Query(*period, store=number)
        yield f"{where}, all dates, till 1", Query(first, last, store=number, till=1)
        yield f"{where}, all dates, product {product}", Query(first, last, store=number, product=product)


def _median_ms(looked: Looked, query: Query) -> int:
    times = [_ms(looked, query)]
    while times[0] < AGAIN_MS_MAX and len(times) < REPEATS:
        times.append(_ms(looked, query))
    return round(statistics.median(times))


def _ms(looked: Looked, query: Query) -> float:
    began_s = time.process_time()
    with looked.log.read() as reader:
        known = identities(reader)
        found = kept_books.read(reader, looked.directory, query, known)
        conflicts = sharing.conflicts(sharing.read(reader, known, system_ms()), query.product)
        for _ in BooksText(looked, reader, found, conflicts).lines(query, WIDTH, everything=False):
            pass
    return 1000 * (time.process_time() - began_s)
