"""``crdt-pos till``: enrol one."""

from __future__ import annotations

from pathlib import Path

import click

from crdt_pos.clock import system_ms
from crdt_pos.commands.replica_options import office_option, replica_options
from crdt_pos.commands.run import run_till
from crdt_pos.enrolment import enrol_till
from crdt_pos.folder import Settings, open_folder


@click.group()
def till() -> None:
    """Enrol a till in a store, and run it."""


@till.command()
@office_option
@click.option("--store", "store", type=int, required=True, help="The store's number.")
@click.option("--till", "number", type=int, required=True, help="The till's number in its store.")
@click.option("--again", is_flag=True, help="The till is enrolled already, and its disk is lost: give it another life.")
@replica_options(":0")
def enrol(office: Path, store: int, number: int, again: bool, path: Path, settings: Settings) -> None:
    """Enrol a till: a new folder with its key and certificate.

    Carry the folder to the till's machine before the till runs for the first time, and keep no copy of it: two tills with
    one key would contradict each other. A till that was lost is enrolled again, under the same number, with --again.
    """
    made = enrol_till(open_folder(office), store, number, path, settings, system_ms(), again=again)
    click.echo(f"Enrolled till {made.certificate.name}, life {made.certificate.incarnation}, in {path}.")
    click.echo(f"Next: crdt-pos till run --at {path}")


till.add_command(run_till)
