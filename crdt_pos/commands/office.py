"""``crdt-pos office``: add a further one, run it, and give it products."""

from __future__ import annotations

from pathlib import Path

import click

from crdt_pos.clock import system_ms
from crdt_pos.commands.key_options import KeySource, key_options
from crdt_pos.commands.products import products
from crdt_pos.commands.prune import prune
from crdt_pos.commands.replica_options import office_option, replica_options
from crdt_pos.commands.run import run_office
from crdt_pos.enrolment import add_office
from crdt_pos.folder import OFFICE_PORT, Settings, open_folder, refuse_used
from crdt_pos.looking import look


@click.group()
def office() -> None:
    """Create a head office, run it, and give it products."""


@office.command()
@office_option
@key_options
@replica_options(f":{OFFICE_PORT}")
def add(office: Path, keys: KeySource, path: Path, settings: Settings) -> None:
    """Enrol a further head office, in a new folder. That needs the company's root key: its kit, or the passphrase."""
    refuse_used(path)
    with look(office) as looked:
        root_key = keys.root_key(looked.folder.root, looked.directory.sealed_keys)
    made = add_office(open_folder(office), path, settings, system_ms(), root_key)
    click.echo(f"Enrolled head office {made.certificate.name} in {path}.")
    click.echo(f"Next: crdt-pos office run --at {path}")


office.add_command(run_office)
office.add_command(products)
office.add_command(prune)
