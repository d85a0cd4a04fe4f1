"""``crdt-pos verify``."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import time
from functools import partial
from pathlib import Path
from typing import Final

import click

from crdt_pos import retention
from crdt_pos import verify as checks
from crdt_pos.columns import plural
from crdt_pos.local import Message
from crdt_pos.looking import look
from crdt_pos.progress import Bar
from crdt_pos.schema import SCHEMA
from crdt_pos.verify import Finding
from crdt_pos.verify_text import report_lines
from gossip.errors import LogCorrupt

EXIT_FOUND: Final = 1
HEAL_TIMEOUT_S: Final = 3_600
"""Beside what is waited for peers: a look at every row."""


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
        bar = Bar(hidden=as_json)
        try:
            report = checks.verify(reader, looked.directory, SCHEMA, partial(bar.show, "checking"))
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
        for line in report_lines(name, report, shutil.get_terminal_size().columns, seconds):
            click.echo(line)
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
