"""``crdt-pos verify``."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from crdt_pos import verify as checks
from crdt_pos.looking import look
from crdt_pos.schema import SCHEMA
from crdt_pos.verify import Finding, Report

PROGRESS_AFTER_S: Final = 2.0
EXIT_FOUND: Final = 1


@click.command("verify")
@click.option("--at", "path", type=click.Path(path_type=Path), required=True, help="The folder of any replica.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(path: Path, as_json: bool) -> None:
    """Check every signature, chain and sum again.

    Reads a replica's folder, also while it runs, and changes nothing. Exit code 0: everything is as it must be; 1: not, and
    the findings are listed.
    """
    began = time.monotonic()
    with look(path, damaged=True) as looked, looked.log.read() as reader:
        bar = _Bar(began, hidden=as_json)
        try:
            report = checks.verify(reader, looked.directory, SCHEMA, bar.show)
        finally:
            bar.stop()
        if looked.damage:
            report.add(Finding("bytes", "roster", "", 0, looked.damage))
        name = looked.folder.certificate.name
    seconds = time.monotonic() - began
    if as_json:
        click.echo(json.dumps({"replica": name, **dataclasses.asdict(report), "seconds": round(seconds, 3)}, indent=2))
    else:
        _print(name, report, seconds)
    if report.findings:
        raise click.exceptions.Exit(EXIT_FOUND)


class _Bar:
    """A bar for who waits longer than two seconds."""

    def __init__(self, began: float, *, hidden: bool) -> None:
        self._began = began
        self._hidden = hidden
        self._progress: Progress | None = None

    def show(self, done: int, total: int) -> None:
        if self._hidden or (self._progress is None and time.monotonic() - self._began < PROGRESS_AFTER_S):
            return
        if self._progress is None:
            columns = (TextColumn("checking"), BarColumn(), TextColumn("{task.completed} of {task.total} entries"))
            self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
            self._progress.start()
            self._progress.add_task("checking", total=total)
        self._progress.update(self._progress.task_ids[0], completed=done)

    def stop(self) -> None:
        if self._progress is not None:
            self._progress.stop()


def _print(name: str, report: Report, seconds: float) -> None:
    console = Console()
    console.print(
        f"{name}: {report.entries:,} entries, {report.chains:,} chains, {report.receipts:,} receipts, "
        f"{report.days:,} days ({report.days_derived:,} derived again from their journal), "
        f"{report.fingerprints:,} fingerprints, in {seconds:.1f} s.",
        highlight=False,
    )
    if report.quarantined:
        console.print(f"{report.quarantined:,} entries are in quarantine: kept as evidence, counted nowhere.")
    if not report.findings:
        console.print("Everything is as it must be.", style="green")
        return
    table = Table("check", "document", "author", "number", "what is wrong")
    for found in report.findings:
        table.add_row(found.check, found.document, found.author, str(found.seq or ""), found.detail)
    console.print(table)
    count = len(report.findings) + report.left_off
    console.print(f"{count:,} {'finding' if count == 1 else 'findings'}.", style="red")
