"""``crdt-pos till``: enrol one."""

from __future__ import annotations

from pathlib import Path

import click

from crdt_pos.commands.replica_options import clock_ms, office_option, opened, replica_options, settings_of
from crdt_pos.commands.run import run_till
from crdt_pos.enrolment import enrol_till


@click.group()
def till() -> None:
    """Enrol a till in a store, and run it."""


@till.command()
@office_option
@click.option("--store", "store", type=int, required=True, help="The store's number.")
@click.option("--till", "number", type=int, required=True, help="The till's number in its store.")
@replica_options(":0")
def enrol(
    office: Path,
    store: int,
    number: int,
    path: Path,
    listen: str,
    peers: tuple[str, ...],
    wan: str,
    multicast: bool,
    interfaces: tuple[str, ...],
) -> None:
    """Give a till a key, a certificate and a life of its own, in a new folder."""
    settings = settings_of(listen, peers, wan, multicast, interfaces)
    made = enrol_till(opened(office), store, number, path, settings, clock_ms())
    click.echo(f"Enrolled till {made.certificate.name}, life {made.certificate.incarnation}, in {path}.")
    click.echo(f"Next: crdt-pos till run --at {path}")


till.add_command(run_till)
