"""``crdt-pos store guardians``: which other stores keep each store's sealed journals, and how many do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import click

from crdt_pos.clock import system_ms
from crdt_pos.columns import Column, listing, plural, table
from crdt_pos.commands.replica_options import FOLDER
from crdt_pos.enrolment import set_guardians
from crdt_pos.folder import open_folder
from crdt_pos.guardians import GUARDIANS_MAX, guardians_of
from crdt_pos.looking import look


@click.command(epilog="Example: crdt-pos store guardians --at office --set 3")
@click.option("--at", "path", type=FOLDER, required=True, help="The folder of any replica; it may run meanwhile.")
@click.option(
    "--set",
    "count",
    type=click.IntRange(1, GUARDIANS_MAX),
    help="From now on so many stores keep each store's receipts: as many, and the store itself, may burn at once but one. "
    "Only with a head office's folder.",
)
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def guardians(path: Path, count: int | None, as_json: bool) -> None:
    """Say which stores keep the sealed receipts of which: where to ask when a whole store is lost.

    \b
    --json prints: guardians (how many each store has),
      stores: store (its number), guardians (stores), guards (stores)
    """
    if count is not None:
        set_guardians(open_folder(path), count, system_ms())
    with look(path) as looked:
        directory = looked.directory
    found = {store: guardians_of(store, directory) for store in sorted(directory.stores)}
    guards = {store: sorted(one for one, by in found.items() if store in by) for store in found}
    if as_json:
        rows = [{"store": one, "guardians": list(by), "guards": guards[one]} for one, by in found.items()]
        click.echo(json.dumps({"guardians": directory.guardians, "stores": rows}, indent=2))
        return
    burnt = directory.guardians + 1
    click.echo(
        f"Each store's receipts are kept, sealed, by {plural(directory.guardians, 'other store')}, and by every head office and "
        f"relay: they are lost only if {burnt} stores burn at once, and all head offices and relays with them."
    )
    columns = (Column("store", right=True), Column("is guarded by"), Column("guards"))
    lines = [
        (
            str(one),
            listing([str(by_one) for by_one in by]) or "nobody",
            listing([str(g) for g in guards[one]]) or "nobody",
        )
        for one, by in found.items()
    ]
    for line in table(columns, lines, shutil.get_terminal_size().columns):
        click.echo(line)
