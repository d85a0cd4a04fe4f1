"""``crdt-pos manager``: a store's back office."""

from __future__ import annotations

from pathlib import Path

import click

from crdt_pos.clock import system_ms
from crdt_pos.commands.replica_options import office_option, replica_options
from crdt_pos.commands.run import run_manager
from crdt_pos.enrolment import enrol_manager
from crdt_pos.folder import Settings, open_folder


@click.group()
def manager() -> None:
    """Add a store's back office, which sees all of the store and says who works there, and run it."""


@manager.command(epilog="Example: crdt-pos manager enrol --office office --store 12 --at manager-12")
@office_option
@click.option("--store", "store", type=int, required=True, help="The store's number.")
@click.option("--number", type=int, default=1, show_default=True, help="The manager's number in its store.")
@click.option("--again", is_flag=True, help="It is enrolled already, and its disk is lost: give it another life.")
@replica_options(":0")
def enrol(office: Path, store: int, number: int, again: bool, path: Path, settings: Settings) -> None:
    """Enrol a manager: a new folder with its key and certificate, for the computer in the back office.

    It holds what the store's tills hold, receipts too, says who works there and what codes mean, and sells nothing.
    """
    made = enrol_manager(open_folder(office), store, number, path, settings, system_ms(), again=again)
    click.echo(f"Enrolled manager {made.certificate.name}, life {made.certificate.incarnation}, in {path}.")
    click.echo(f"Next: crdt-pos manager run --at {path}")


manager.add_command(run_manager)
