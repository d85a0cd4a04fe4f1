"""``crdt-pos verify``."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import time
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from crdt_pos import retention
from crdt_pos import verify as checks
from crdt_pos.columns import plural
from crdt_pos.local import Message
from crdt_pos.looking import look
from crdt_pos.schema import SCHEMA
from crdt_pos.verify import Finding, Report
from gossip.errors import LogCorrupt

PROGRESS_AFTER_S: Final = 2.0
EXIT_FOUND: Final = 1
HEAL_TIMEOUT_S: Final = 3_600
"""Beside what is waited for peers: a look at every row."""
ASK: Final = "look at it with 'inspect explain', and ask whoever looks after the head office."
ADVICE: Final = {
    "bytes": "the disk gave back other bytes than were written. A running replica finds that by itself within a day and mends it "
    "from a peer; 'verify --heal' does so now. Have the disk checked.",
    "missing": "the disk has damaged it. Let this replica meet whoever may hold it (a neighbour; of a till's balances a head "
    "office), and 'verify --heal' again: it comes back by itself. Where nobody holds it, it is lost.",
    "signature": "this was not signed like this. Compare with another replica by 'inspect diff': if it differs there, the "
    "disk here is to blame; if not, its author is.",
    "certificate": "the roster here may be behind. Let this replica meet a head office, then verify again.",
    "permission": "its author may not write this. Nothing need be done here; tell the head office.",
    "body": "written by a newer version, or by no till at all. Update this replica, then verify again.",
    "chain": "what is missing comes from any replica that holds it: let them meet, then verify again.",
    "fork": "both entries are kept, in 'forks' with both signatures ('inspect show forks'), and what they say counts as a lower "
    "bound. Who signed them holds no points to redeem until the head office decides; enrol that till again.",
    "equation": "the till that signed it reckons wrongly. Its figures stay as signed; correct them by adding, and replace it.",
    "number": "a till numbered a receipt in another's name, or left numbers out. No till finds such a receipt by another's "
    "number; tell the head office, and replace the till that signed it.",
    "day": "the summary and the journal do not agree, and the journal is the truth. 'inspect explain' shows the summary; "
    "tell the head office which till published it.",
    "refund": "two tills that could not see each other gave the same thing back. Settle it with the customer or by adding; "
    "'books' lists it under 'To settle'.",
    "cashier": "a receipt or a record of a cashier that nobody who may has signed: the till that wrote it was tampered with, or "
    "has not heard of the cashier yet. Let this replica meet the others and verify again; then tell the head office.",
    "fingerprint": "derived sums are wrong, the entries are not. Neighbours will compare more than they need; keep the "
    "folder and report it as a mistake of this program.",
}


@click.command("verify")
@click.option("--at", "path", type=click.Path(path_type=Path), required=True, help="The folder of any replica.")
@click.option("--heal", is_flag=True, help="Mend what the disk has damaged, from what is left and from peers.")
@click.option(
    "--wait",
    type=click.IntRange(0, 600),
    default=20,
    show_default=True,
    help="With --heal: seconds to wait for peers that hold what is lost.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(path: Path, heal: bool, wait: int, as_json: bool) -> None:
    """Check every signature, chain and sum again.

    Reads a replica's folder, also while it runs, and changes nothing without --heal. Exit code 0: everything is as it must be;
    1: not, and the findings are listed.

    With --heal, first every damaged row is removed, what follows from signed entries is derived again, and entries that are lost
    are asked for from every peer, by the replica that runs, or else by this command for a moment in its place.

    \b
    --json prints one object: replica, entries, chains, receipts,
      receipts_signed, days, days_derived, fingerprints, quarantined, left_off, seconds,
      history: where it begins, in sentences,
      findings: check, document, author, seq, detail
      with --heal: healed: rows, damaged, derived, came_back,
      missing (document, author, seq), asked
    """
    healed = _heal(path, wait) if heal else None
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
        history = list(retention.begins(looked.directory))
        if kept := retention.kept_text(retention.due(reader, looked.directory)):
            history.append(kept)
    seconds = time.monotonic() - began
    if as_json:
        told = {"replica": name, **dataclasses.asdict(report), "history": history, "seconds": round(seconds, 3)}
        click.echo(json.dumps(told if healed is None else {**told, "healed": healed}, indent=2))
    else:
        if healed is not None:
            _print_healed(healed)
        for one in history:
            click.echo(click.wrap_text(one, shutil.get_terminal_size().columns))
        _print(name, report, seconds)
    if report.findings:
        raise click.exceptions.Exit(EXIT_FOUND)


def _heal(path: Path, wait: int) -> Message:
    from crdt_pos.local import LocalClient, NotRunning

    derive = False
    with contextlib.suppress(LogCorrupt), look(path, damaged=True) as looked, looked.log.read() as reader:
        # Sums that nothing has damaged and that are wrong all the same are derived again too.
        found = checks.verify(reader, looked.directory, SCHEMA)
        derive = any(one.check in ("fingerprint", "chain") for one in found.findings)
    try:
        with LocalClient(path, timeout_s=wait + HEAL_TIMEOUT_S) as client:
            return client.call("heal", derive=derive, patience_s=wait)
    except NotRunning:
        from crdt_pos.healing_run import heal_stopped

        return heal_stopped(path, derive=derive, patience_s=wait)


def _print_healed(healed: Message) -> None:
    asked = ", ".join(healed["asked"]) or "nobody"
    said = f"Looked at {healed['rows']:,} rows: {plural(healed['damaged'], 'was', 'were')} damaged"
    if healed["derived"]:
        said += ", what follows from entries was derived again"
    if healed["came_back"] or healed["missing"]:
        said += f", {plural(healed['came_back'], 'entry', 'entries')} came back from peers"
    click.echo(click.wrap_text(f"{said}.", shutil.get_terminal_size().columns))
    if healed["missing"]:
        lost = plural(len(healed["missing"]), "entry is", "entries are")
        click.secho(f"{lost} missing; asked: {asked}.", fg="red")


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
    width = shutil.get_terminal_size().columns
    counts = (
        f"{name}: {report.entries:,} entries, {report.chains:,} chains, {report.receipts:,} receipts, "
        f"{report.days:,} days ({report.days_derived:,} derived again from their journal), "
        f"{report.fingerprints:,} fingerprints, in {seconds:.1f} s."
    )
    click.echo(click.wrap_text(counts, width))
    if report.quarantined:
        entries = plural(report.quarantined, "entry is", "entries are")
        click.echo(click.wrap_text(f"{entries} in quarantine: kept as evidence, counted nowhere.", width))
    if not report.findings:
        click.secho("Everything is as it must be.", fg="green")
        return
    click.secho(f"{plural(len(report.findings) + report.left_off, 'finding')}:", fg="red")
    for found in report.findings:
        author = f" by {found.author}" if found.author else ""
        number = f", entry {found.seq}" if found.seq else ""
        line = f"{found.check}: {found.document}{author}{number}: {found.detail}"
        click.echo(click.wrap_text(line, width, initial_indent="  ", subsequent_indent="    "))
    if report.left_off:
        click.echo(f"  … and {report.left_off:,} more.")
    click.secho("What to do:", bold=True)
    for check in dict.fromkeys(found.check for found in report.findings):
        line = f"{check}: {ADVICE.get(check, ASK)}"
        click.echo(click.wrap_text(line, width, initial_indent="  ", subsequent_indent="    "))
