"""What the ``recover`` commands tell of lives that were brought back, and how they pass the time meanwhile."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Final

import click
from rich.console import Console
from rich.status import Status

from crdt_pos.columns import Column, number, plural, table
from crdt_pos.gaps import STRETCHES_MAX, DateFound, LifeFound, Stretch, count

PROGRESS_AFTER_S: Final = 2.0


class Waiting:
    """One line for who waits longer than two seconds."""

    def __init__(self, *, hidden: bool) -> None:
        self._began = time.monotonic()
        self._hidden = hidden
        self._status: Status | None = None

    def __enter__(self) -> Waiting:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._status is not None:
            self._status.stop()

    def say(self, sentence: str) -> None:
        """Where it stands now."""
        if self._hidden or time.monotonic() - self._began < PROGRESS_AFTER_S:
            return
        if self._status is None:
            self._status = Console(stderr=True).status(sentence)
            self._status.start()
        self._status.update(sentence)


def life_json(life: LifeFound) -> dict[str, object]:
    """One life, for ``--json``."""
    return {
        "till": life.name,
        "incarnation": life.incarnation,
        "complete": life.complete,
        "receipts": life.receipts,
        "missing": life.missing,
        "segments": life.segments,
        "unopened": list(life.unopened),
        "last_seal_heard_ms": life.sealed_ms or None,
        "numbers_missing": [
            {
                "series": one.series.name.lower(),
                "missing": count(one.missing),
                "numbers": _stretches(one.missing),
            }
            for one in life.numbers
        ],
        "dates": [_date_json(one) for one in life.dates],
    }


def life_lines(lives: Sequence[LifeFound], width: int) -> Iterator[str]:
    """A table of all of them, and a sentence for each that is not whole."""
    columns = ("dates", "acts", "receipts", "missing", "segments")
    rows = [
        (
            f"{life.name} {life.incarnation}",
            number(len(life.dates)),
            number(sum(one.acts for one in life.dates)),
            number(life.receipts),
            number(life.missing),
            number(life.segments),
            _until(life),
        )
        for life in lives
    ]
    yield from table(
        (Column("till"), *(Column(one, right=True) for one in columns), Column("as far as was heard")), rows, width
    )
    for life in lives:
        for sentence in _gaps(life):
            yield click.style(sentence, fg="yellow")


def _gaps(life: LifeFound) -> Iterator[str]:
    name = f"{life.name} {life.incarnation}"
    broken = [one for one in life.dates if one.missing or not one.chained]
    for one in broken[:STRETCHES_MAX]:
        if one.missing:
            yield f"{name}, {one.date}: acts {_named(one.missing)} of {one.known} are missing."
        if not one.chained:
            yield f"{name}, {one.date}: the chain of its acts is broken."
    if len(broken) > STRETCHES_MAX:
        yield f"{name}: {plural(len(broken) - STRETCHES_MAX, 'more date')} with gaps: --json lists them."
    for series in life.numbers:
        yield f"{name}: receipt numbers {_named(series.missing)} of series {series.series.name.lower()} are missing."
    if life.unopened:
        yield f"{name}: {plural(len(life.unopened), 'segment')} cannot be opened with this key."


def _until(life: LifeFound) -> str:
    """Never that nothing came after: what was not sealed, or whose seal was not heard, nobody here knows of."""
    if not life.sealed_ms:
        return "what others held; no seal of it was heard"
    try:
        sealed = datetime.datetime.fromtimestamp(life.sealed_ms / 1000, datetime.UTC).astimezone()
    except (ValueError, OverflowError, OSError):  # its clock may say anything
        return "up to its last seal, of no date that there is"
    return f"up to its last seal on {sealed:%Y-%m-%d at %H:%M:%S}"


def _date_json(one: DateFound) -> dict[str, object]:
    return {
        "date": one.date.isoformat(),
        "acts": one.acts,
        "receipts": one.receipts,
        "known": one.known,
        "missing_acts": count(one.missing),
        "missing": _stretches(one.missing),
        "chained": one.chained,
        "closed": one.closed,
    }


def _stretches(missing: Sequence[Stretch]) -> list[list[int]]:
    return [list(one) for one in missing[:STRETCHES_MAX]]


def _named(missing: Sequence[Stretch]) -> str:
    named = [str(first) if first == last else f"{first} to {last}" for first, last in missing[:STRETCHES_MAX]]
    more = len(missing) - STRETCHES_MAX
    return ", ".join(named) + (f" and {plural(more, 'more stretch', 'more stretches')}" if more > 0 else "")
