"""``crdt-pos till``: enrol one, run it, and say that one will not come back."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from pathlib import Path
from typing import Final

import click

from crdt_pos.cli import Refused
from crdt_pos.clock import system_ms
from crdt_pos.commands.close_for import close_for
from crdt_pos.commands.replica_options import FOLDER, office_option, replica_options
from crdt_pos.commands.run import run_till
from crdt_pos.directory import load_directory
from crdt_pos.enrolment import at_office, enrol_till, open_log, retire_till
from crdt_pos.folder import SETTINGS, Folder, Settings, open_folder
from crdt_pos.local import LocalClient, LocalRefused
from crdt_pos.restored import has_written
from gossip.address import Address
from peers.permissions import Role
from peers.roster import Closure

HAND_OVER_TIMEOUT_S: Final = 40
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
@click.option("--at", "path", type=FOLDER, help="The folder of the till, which runs here: it hands over first.")
@click.option("--gone", is_flag=True, help="It has handed over on its own machine, with 'crdt-pos till hand-over'.")
def retire(name: str, office: Path, life: str, path: Path | None, *, gone: bool) -> None:
    """State that nothing more is expected of the till NAME, such as 12-1.

    A till that lives hands over first (--at, or --gone): then it takes part no more. Of one that is dead, whose journal nobody
    has, the books wait no longer for dates that were not closed: what is known of them is final, and is marked so. Takings are
    never touched: should it come back after all, what it took counts.
    """
    if path is not None:
        own = open_folder(path).certificate
        if own.name != name or life not in ("", own.incarnation):
            raise Refused(f"{path} is the folder of {own.name} {own.incarnation}, not of {name} {life}".rstrip() + ".")
        life = own.incarnation
        _hand_over(path)
    store, number = _named(name)
    ended = gone or path is not None
    closure = retire_till(open_folder(office), store, number, system_ms(), life, gone=ended)
    after = f", after {closure.last_day}" if closure.last_day > Closure(0).last_day else ""
    click.echo(f"Nothing more is expected of {name}, life {closure.life}{after}.")
    if ended:
        click.echo(f"{name} takes part no more. What it signed counts.")


@till.command("hand-over", epilog="Example: crdt-pos till hand-over --at till-12-1")
@click.option("--at", "path", type=FOLDER, required=True, help="The folder of the till, which runs.")
def hand_over(path: Path) -> None:
    """Let a running till end its life: everything of it goes to others, then its key is destroyed. There is no way back.

    It closes its date, grants its rights to points and cards to a neighbour or head office, and waits until others have
    everything that it wrote on their disks. Afterwards, at head office: crdt-pos till retire NAME --office DIR --gone
    """
    name = open_folder(path).certificate.name
    _hand_over(path)
    click.echo(f"Next, at head office: crdt-pos till retire {name} --office DIR --gone")


@till.command(
    epilog="Example: crdt-pos till move 12-1 --at till-12-1 --office office --to-store 13 --till 2 --into till-13-2"
)
@click.argument("name")
@click.option("--at", "path", type=FOLDER, required=True, help="The folder of the till, which runs.")
@office_option
@click.option("--to-store", "store", type=int, required=True, help="The number of the store that it moves to.")
@click.option("--till", "number", type=int, help="Its number there; by default the same.")
@click.option("--into", "new", type=FOLDER, required=True, help="The new folder in which it lives on.")
def move(name: str, path: Path, office: Path, store: int, number: int | None, new: Path) -> None:
    """Move the till NAME to another store: its life here ends as with 'retire', and a new one begins there.

    It takes nothing along: its numbers here are closed, its journal stays with its neighbours, and its new life has its own key
    and numbers. If handing over is refused, the same command goes on from there.
    """
    old = open_folder(path)
    if old.certificate.name != name:
        raise Refused(f"{path} is the folder of {old.certificate.name}, not of {name}.")
    here, till_number = _named(name)
    if store == here:
        raise Refused(f"{name} is in store {store} already: name another one.")
    headquarters = open_folder(office)
    settings = dataclasses.replace(old.settings, listen=Address(old.settings.listen.host, 0))
    # First the new life: where that is refused, the old one goes on.
    made = _new_life(headquarters, store, number or till_number, new, settings)
    _hand_over(path)
    closure = retire_till(headquarters, here, till_number, system_ms(), old.certificate.incarnation, gone=True)
    click.echo(f"{name}, life {closure.life}, takes part no more. What it signed counts.")
    click.echo(f"It lives on as {made.certificate.name}, life {made.certificate.incarnation}, in {new}.")
    click.echo(f"Next: stop the old one, then crdt-pos till run --at {new}")


def _new_life(office: Folder, store: int, number: int, path: Path, settings: Settings) -> Folder:
    """The till's life in its new folder: what an earlier call has made there, unless it has lived already, or a new one."""
    if (path / SETTINGS).exists():
        made = open_folder(path)
        me = made.certificate
        if (me.company, me.role, me.store, me.till) == (office.root.company, Role.TILL, store, number):
            with made.held(), open_log(made) as log:
                unused = not has_written(log, me.author)
            with at_office(office, system_ms()) as registrar, registrar.reading() as reader:
                if unused and load_directory(reader, office.root, [office.chain]).takes_part(me.author):
                    return made
    return enrol_till(office, store, number, path, settings, system_ms())


def _named(name: str) -> tuple[int, int]:
    match = _NAME.fullmatch(name)
    if match is None:
        raise Refused(f"{name!r} is no till: write store and till, like 12-1.")
    return int(match[1]), int(match[2])


def _hand_over(path: Path) -> None:
    with contextlib.closing(LocalClient(path, timeout_s=HAND_OVER_TIMEOUT_S)) as till_here:
        click.echo("Handing over: closing its date, giving its rights away, waiting until all of it is with others …")
        try:
            done = till_here.call("hand_over")
        except LocalRefused as no:
            raise Refused(no.message) from no
    if done["closed"]:
        click.echo(f"Closed {done['closed']}.")
    click.echo(f"Granted away rights to {done['rights']} in all. Its key is destroyed: stop it whenever you like.")


till.add_command(run_till)
till.add_command(close_for)
