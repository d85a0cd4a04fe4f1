"""``crdt-pos till``: enrol one, run it, and say that one will not come back."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import click

from crdt_pos.cli import Refused
from crdt_pos.clock import system_ms
from crdt_pos.commands.close_for import close_for
from crdt_pos.commands.replica_options import office_option, replica_options
from crdt_pos.commands.run import run_till
from crdt_pos.enrolment import enrol_till, retire_till
from crdt_pos.folder import Settings, open_folder
from peers.roster import Closure

_NAME: Final = re.compile(r"([1-9][0-9]{0,5})-([1-9][0-9]{0,5})")


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


@till.command(epilog="Example: crdt-pos till retire 12-1 --office office --life a1")
@click.argument("name")
@office_option
@click.option("--life", default="", help="Which of its lives, like a1, of a till that has lived several.")
def retire(name: str, office: Path, life: str) -> None:
    """State that nothing more is expected of the till NAME, such as 12-1: it is gone for good, and nobody has its journal.

    The books wait no longer for its dates that were not closed: what is known of them is final, and is marked so. Takings are
    never touched: should it come back after all, what it took counts.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise Refused(f"{name!r} is no till: write store and till, like 12-1.")
    closure = retire_till(open_folder(office), int(match[1]), int(match[2]), system_ms(), life)
    after = f", after {closure.last_day}" if closure.last_day > Closure(0).last_day else ""
    click.echo(f"Nothing more is expected of {name}, life {closure.life}{after}.")


till.add_command(run_till)
till.add_command(close_for)
