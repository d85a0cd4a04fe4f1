"""``crdt-pos cashier``: who works in a store, and their PINs."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from crdt_pos.cashier_commands import ANSWERS
from crdt_pos.cashiers import Cashiers
from crdt_pos.cli import Refused
from crdt_pos.clock import system_ms
from crdt_pos.columns import Column, table
from crdt_pos.enrolment import open_log
from crdt_pos.folder import open_folder
from crdt_pos.local import LocalClient, Message, NotRunning
from crdt_pos.local_shapes import Asked
from crdt_pos.trust import RosterTrust

_Command = TypeVar("_Command", bound=Callable[..., Any])

_AT = click.option(
    "--at",
    "path",
    type=click.Path(path_type=Path),
    required=True,
    help="The folder of a till of the store, of its manager's replica, or of a head office; it may run meanwhile.",
)
_STORE = click.option("--store", type=int, help="Which store, at a head office.")
_PIN: Final = "From 4 to 12 digits; asked for if it is left out."


def _decided(command: _Command) -> _Command:
    """``--manager`` and ``--manager-pin``."""
    pin = click.option("--manager-pin", default="", help="Her PIN; asked for if it is left out.")
    return click.option("--manager", default="", help="At a till: the id of the manager who decides this.")(
        pin(command)
    )


@click.group()
def cashier() -> None:
    """Say who works in a store, and give cashiers their PINs.

    As soon as a store has a cashier, its tills sell only for whoever has signed on with id and PIN, and every receipt is
    signed by that cashier too.
    """


@cashier.command(epilog="Example: crdt-pos cashier add eva --role manager --store 12 --at office")
@click.argument("name", metavar="ID")
@click.option("--role", type=click.Choice(["cashier", "supervisor", "manager"]), default="cashier", show_default=True)
@click.option("--pin", prompt="PIN", hide_input=True, confirmation_prompt=True, help=_PIN)
@_decided
@_STORE
@_AT
def add(name: str, role: str, pin: str, path: Path, store: int | None, **manager: str) -> None:
    """Let somebody work in the store, under ID: 1 to 20 small letters, digits, dots and dashes. Take no name for it.

    The first manager of a store is named at a head office; after that a manager decides it at any till.
    """
    _ask(path, "cashier_add", store, cashier=name, pin=pin, role=role, **_by(manager))
    click.echo(f"{name} works here now, as {role}.")


@cashier.command(epilog="Example: crdt-pos cashier reset anna --manager eva --at till-12-3")
@click.argument("name", metavar="ID")
@click.option("--pin", prompt="New PIN", hide_input=True, confirmation_prompt=True, help=_PIN)
@_decided
@_STORE
@_AT
def reset(name: str, pin: str, path: Path, store: int | None, **manager: str) -> None:
    """Give a cashier a new PIN, and unlock who tried too many: a manager does it at any till, also with no network."""
    _ask(path, "cashier_reset", store, cashier=name, pin=pin, **_by(manager))
    click.echo(f"{name} has a new PIN; the old one opens nothing any more.")


@cashier.command()
@click.argument("name", metavar="ID")
@_decided
@_STORE
@_AT
def leave(name: str, path: Path, store: int | None, **manager: str) -> None:
    """Say that somebody works here no more. What was signed stays signed."""
    _ask(path, "cashier_leave", store, cashier=name, **_by(manager))
    click.echo(f"{name} works here no more.")


@cashier.command(epilog="Example: crdt-pos cashier pin anna --at till-12-3")
@click.argument("name", metavar="ID")
@click.option(
    "--old-pin", prompt="PIN until now", hide_input=True, help="The PIN until now; asked for if it is left out."
)
@click.option("--pin", prompt="New PIN", hide_input=True, confirmation_prompt=True, help=_PIN)
@_STORE
@_AT
def pin(name: str, old_pin: str, pin: str, path: Path, store: int | None) -> None:
    """Change your own PIN."""
    _ask(path, "cashier_pin", store, cashier=name, old_pin=old_pin, pin=pin)
    click.echo(f"{name} has a new PIN.")


@cashier.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_STORE
@_AT
def listed(path: Path, store: int | None, as_json: bool) -> None:
    """Who works in the store, and whose PIN is locked.

    \b
    --json prints one object: on_duty, and cashiers: cashier, role, left,
      locked, wrong_pins (at this replica), vouched_by, key
    """
    found = _ask(path, "cashiers", store)
    if as_json:
        click.echo(json.dumps({"on_duty": found["on_duty"], "cashiers": found["cashiers"]}, indent=2))
        return
    if not found["cashiers"]:
        click.echo("No cashier is named here: the tills sell for anybody.")
        return
    rows = [
        (
            one["cashier"],
            one["role"],
            "left" if one["left"] else "locked" if one["locked"] else "works here",
            str(one["wrong_pins"] or ""),
            one["vouched_by"] or "head office or manager's replica",
        )
        for one in found["cashiers"]
    ]
    for line in table([Column(title) for title in ("cashier", "role", "", "wrong PINs", "vouched for by")], rows, 110):
        click.echo(line)


def _by(manager: dict[str, str]) -> dict[str, str]:
    if manager["manager"] and not manager["manager_pin"]:
        manager["manager_pin"] = click.prompt(f"PIN of {manager['manager']}", hide_input=True)
    return manager


def _ask(path: Path, do: str, store: int | None, **fields: object) -> Message:
    """Ask the replica if it runs, else open its folder and do it here."""
    with contextlib.suppress(NotRunning), LocalClient(path) as running:
        return running.call(do, **fields, **({} if store is None else {"store": store}))
    folder = open_folder(path)
    me = folder.certificate
    number = me.store if me.store is not None else store
    if number is None:
        raise Refused("Say which store, with --store.")
    if store not in (None, number):
        raise Refused(f"This is a replica of store {number}: ask one of store {store}, or a head office.")
    with folder.held(), open_log(folder) as log:
        trust = RosterTrust(folder, log)
        if number not in trust.directory.stores:
            raise Refused(f"There is no store {number} in the roster: add it with 'crdt-pos store add' first.")
        cashiers = Cashiers(log, folder.key, me.author, me.role, number, lambda: trust.directory, system_ms)
        return ANSWERS[do](cashiers, Asked(dict(fields)))
