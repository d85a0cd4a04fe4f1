"""``crdt-pos relay``: a replica without a shop, in a data centre or on a shelf, that holds and passes on."""

from __future__ import annotations

from pathlib import Path

import click

from crdt_pos.clock import system_ms
from crdt_pos.commands.replica_options import office_option, replica_options
from crdt_pos.commands.run import run_relay
from crdt_pos.enrolment import enrol_relay
from crdt_pos.folder import OFFICE_PORT, Settings, open_folder


@click.group()
def relay() -> None:
    """Add a relay, which keeps and passes on what it cannot read, and run it."""


@relay.command()
@office_option
@click.option("--number", type=int, default=1, show_default=True, help="The relay's number.")
@click.option(
    "--again", is_flag=True, help="The relay is enrolled already, and its disk is lost: give it another life."
)
@replica_options(f":{OFFICE_PORT}")
def add(office: Path, number: int, again: bool, path: Path, settings: Settings) -> None:
    """Enrol a relay: a new folder with its key and certificate.

    A relay holds the roster, the catalogue, and every store's sealed journals, which only the recovery key opens. Tills and
    head offices reach it by its address: name it with --peer when they are enrolled, or in their replica.toml.
    """
    made = enrol_relay(open_folder(office), number, path, settings, system_ms(), again=again)
    click.echo(f"Enrolled {made.certificate.name}, life {made.certificate.incarnation}, in {path}.")
    click.echo(f"Next: crdt-pos relay run --at {path}")


relay.add_command(run_relay)
