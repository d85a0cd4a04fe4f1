"""The figures of a replay, and how they are shown."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from crdt_pos.columns import number
from tools.replay_books import MS_MAX
from tools.replay_sums import Compared
from tools.replay_tills import Sold


@dataclass(frozen=True, slots=True)
class Checked:
    """What was compared and verified."""

    compared: tuple[Compared, ...]
    unsound: tuple[str, ...]
    findings: int
    """Of ``verify`` at the head office."""
    office_entries: int
    total_minor: int
    day_bytes: int
    redeemed: int

    @property
    def right(self) -> bool:
        """Whether everything is as it must be."""
        return not self.unsound and not self.findings and not any(one.differences for one in self.compared)


@dataclass(frozen=True, slots=True)
class Figures:
    """All of it."""

    date_from: datetime.date
    date_to: datetime.date
    stores: int
    checked: Checked
    sold: Sold
    office_log_bytes: int
    seconds: Mapping[str, float]
    peak_mb: Mapping[str, int]
    books_ms: Mapping[str, int]
    """By question, if they were asked."""

    def sizes(self) -> dict[str, int]:
        """Counts and bytes."""
        sold = self.sold
        return {
            "baskets": sold.baskets,
            "store-days": sold.dates,
            "entries in the tills' logs": sold.entries,
            "entries in head office's log": self.checked.office_entries,
            "entries told to head office and acknowledged": sold.told,
            "bytes of the tills' logs": sold.log_bytes,
            "bytes of head office's log": self.office_log_bytes,
            "bytes per basket, a till's log": sold.log_bytes // max(sold.baskets, 1),
            "bytes per store-day, signed": self.checked.day_bytes // max(sold.dates, 1),
            "bytes per store-day, head office's log": self.office_log_bytes // max(sold.dates, 1),
        }

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "from": self.date_from,
            "to": self.date_to,
            "stores": self.stores,
            "right": self.checked.right,
            "total_minor": self.checked.total_minor,
            "points_redeemed": self.checked.redeemed,
            "compared": [asdict(one) for one in self.checked.compared],
            "unsound": list(self.checked.unsound),
            "verify_findings": self.checked.findings,
            "sizes": self.sizes(),
            "seconds": dict(self.seconds),
            "tills_cpu_s": {what: round(ns / 1e9, 1) for what, ns in self.sold.cpu_ns.items()},
            "peak_mb": dict(self.peak_mb),
            "books_ms": dict(self.books_ms),
        }


def show(console: Console, figures: Figures) -> None:
    """Tables, and the verdict at the end."""
    checked = figures.checked
    table = Table("compared", "sums", "in all", "different", title_justify="left")
    for one in checked.compared:
        table.add_row(one.what, number(one.sums), number(one.total), number(one.differences))
    console.print(table)
    for one in checked.compared:
        for difference in one.different:
            console.print(f"{one.what}: {difference}", style="red")
    for text in checked.unsound[:5]:
        console.print(f"Not sound: {text}", style="red")
    sizes = Table("what", "figure")
    for name, figure in figures.sizes().items():
        sizes.add_row(name, number(figure))
    for phase, seconds in figures.seconds.items():
        sizes.add_row(f"seconds: {phase}", str(seconds))
    for what, ns in figures.sold.cpu_ns.items():
        sizes.add_row(f"CPU seconds of the tills: {what}", f"{ns / 1e9:.1f}")
    for process, peak_mb in figures.peak_mb.items():
        sizes.add_row(f"peak MB: {process}", number(peak_mb))
    for question, ms in figures.books_ms.items():
        sizes.add_row(f"ms of CPU, books of {question}", number(ms))
    console.print(sizes)
    if figures.books_ms:
        slowest = max(figures.books_ms, key=lambda question: figures.books_ms[question])
        console.print(
            f"books: slowest question {number(figures.books_ms[slowest])} ms of CPU ({slowest}); target {MS_MAX} ms."
        )
    said = (
        f"{number(checked.total_minor, 2)} in {number(figures.sold.baskets)} baskets of {number(figures.stores)} stores; "
        f"{number(checked.redeemed)} points redeemed, none too many."
    )
    if checked.right:
        console.print(f"Every sum is right: {said}", style="bold green")
    else:
        console.print(
            f"Not every sum is right; due are {said} verify has {checked.findings} findings.", style="bold red"
        )
