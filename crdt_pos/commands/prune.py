"""``crdt-pos office prune``: let go what was kept for long enough."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import click

from crdt_pos.clock import system_ms
from crdt_pos.commands.replica_options import FOLDER
from crdt_pos.enrolment import at_office
from crdt_pos.folder import open_folder
from crdt_pos.registrar import Registrar
from crdt_pos.retention import NAMES, state


@click.command(epilog="Example: crdt-pos office prune --before 2016-11-01 --store 12 --at office")
@click.option("--at", "path", type=FOLDER, required=True, help="The folder of a head office.")
@click.option("--before", type=click.DateTime(["%Y-%m-%d"]), required=True, help="What is dated before this may go.")
@click.option("--store", type=int, help="Of this store alone; without: of every store.")
@click.option("--what", type=click.Choice(list(NAMES)), default="receipts", show_default=True, help="What is to go.")
@click.option("--dry-run", "dry", is_flag=True, help="Only say whether it could be stated.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def prune(path: Path, before: datetime.datetime, store: int | None, what: str, *, dry: bool, as_json: bool) -> None:
    """Let receipts or variances of long ago go, on every replica, where it is sure that their days are safe.

    Receipts are kept for ten years, variances for two. Refused while any till of the store has not closed a date before, or has
    told nothing of later dates. Days are kept for ever: the books do not change. A replica that finds that it holds other days
    than this head office keeps its receipts. The room on the disk comes back when the log's file is written anew.

    \b
    --json prints one object: what, before, stores, stated
    """
    with at_office(open_folder(path), system_ms()) as registrar:
        if isinstance(registrar, Registrar):
            stores = [one.store for one in state(registrar, NAMES[what], store, before.date(), dry=dry)]
        else:
            stores = registrar.prune(what, store, before.date(), dry=dry)
    if as_json:
        told = {"what": what, "before": before.date().isoformat(), "stores": stores, "stated": not dry}
        click.echo(json.dumps(told, indent=2))
        return
    of = ", ".join(map(str, stores))
    done = "could go" if dry else "may go now, on every replica that finds their days safe"
    click.echo(f"{what.capitalize()} of store {of} before {before.date()} {done}.")
