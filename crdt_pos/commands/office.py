"""``crdt-pos office``: add a further one, run it, and give it products."""

from __future__ import annotations

from pathlib import Path

import click

from crdt_pos.clock import system_ms
from crdt_pos.commands.products import products
from crdt_pos.commands.rebuild import rebuild_office
from crdt_pos.commands.replica_options import FOLDER, office_option, replica_options
from crdt_pos.commands.run import run_office
from crdt_pos.enrolment import add_office
from crdt_pos.folder import OFFICE_PORT, Settings, open_folder


@click.group()
def office() -> None:
    """Create a head office, run it, and give it products."""


@office.command()
@office_option
@click.option("--root-key", "root_key", type=FOLDER, help="Where the company's root key is, if not in that folder.")
@replica_options(f":{OFFICE_PORT}")
def add(office: Path, root_key: Path | None, path: Path, settings: Settings) -> None:
    """Enrol a further head office, in a new folder. That needs the company's root key."""
    made = add_office(open_folder(office), path, settings, system_ms(), root_key)
    click.echo(f"Enrolled head office {made.certificate.name} in {path}.")
    click.echo(f"Next: crdt-pos office run --at {path}")


office.add_command(rebuild_office)
office.add_command(run_office)
office.add_command(products)
