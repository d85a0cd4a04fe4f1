"""``crdt-pos company create``."""

from __future__ import annotations

from pathlib import Path

import click

from crdt_pos.clock import system_ms
from crdt_pos.commands.replica_options import replica_options
from crdt_pos.enrolment import create_company
from crdt_pos.folder import OFFICE_PORT, ROOT_KEY, Settings


@click.group()
def company() -> None:
    """Found a company: its root key and its first head office."""


@company.command()
@click.argument("name")
@replica_options(f":{OFFICE_PORT}")
def create(name: str, path: Path, settings: Settings) -> None:
    """Found the company NAME, once: its root key and its first head office, in a new folder.

    Then add stores, enrol their tills, and start the head office: each command says what comes next.
    """
    made = create_company(name, path, settings, system_ms())
    click.echo(
        f"Founded {made.root.name} (company {made.root.company.hex()}) with head office {made.certificate.name}."
    )
    click.echo(f"Keep a copy of {path / ROOT_KEY} in a safe: whoever has it can enrol head offices.")
    click.echo(f"Next: crdt-pos store add --office {path} --store 1")
