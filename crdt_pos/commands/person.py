"""``crdt-pos person`` and ``crdt-pos erase``: who a member is, and that nobody knows it any more."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Final

import click

from crdt_pos.clock import system_ms
from crdt_pos.columns import plural
from crdt_pos.enrolment import open_log
from crdt_pos.folder import open_folder
from crdt_pos.local import LocalClient, Message, NotRunning
from crdt_pos.local_shapes import Asked
from crdt_pos.person_commands import ANSWERS, Desk
from crdt_pos.persons import Writer
from crdt_pos.schema import SCHEMA
from gossip.log_lmdb import LmdbLog

_PATH: Final = click.Path(path_type=Path)


@click.group()
def person() -> None:
    """Say who a member is, and look it up.

    A name stands in no receipt and in no balance: there a member is a random number. It is kept under a key of its own, which
    'crdt-pos erase' destroys everywhere.
    """


@person.command(
    "set", epilog="Example: crdt-pos person set 6d656d6265722d31 --name 'Anna Berg' --phone '+49 170 1234567' --at till"
)
@click.argument("account")
@click.option("--name", default="", help="What the person is called.")
@click.option("--phone", default="", help="With the country's code; by it the member is found without a card.")
@click.option("--address", default="", help="Where the person lives.")
@click.option("--email", default="", help="The person's e-mail address.")
@click.option("--at", "path", type=_PATH, required=True, help="The folder of a till, a manager or a head office.")
def set_person(account: str, name: str, phone: str, address: str, email: str, path: Path) -> None:
    """Say who the member with ACCOUNT (16 hexadecimal digits) is. What is left out stays as it is."""
    said = _ask(path, "person_set", account=account, name=name, phone=phone, address=address, email=email)
    click.echo(
        f"{said['account']} has a name here." if said["entries"] else f"{said['account']} stands here like this."
    )


@person.command(epilog="Example: crdt-pos person show '+49 170 1234567' --at till-12-3")
@click.argument("who")
@click.option(
    "--at", "path", type=_PATH, required=True, help="The folder of any replica of a store where the person shops."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(who: str, path: Path, as_json: bool) -> None:
    """Show who WHO is: an account, or a phone number.

    \b
    --json prints one object: account, accounts (all that the phone means),
      erased, name, phone, address, email
    """
    said = _ask(path, "person", who=who)
    fields = ("account", "accounts", "erased", "name", "phone", "address", "email")
    if as_json:
        click.echo(json.dumps({name: said[name] for name in fields}, indent=2))
    elif said["erased"]:
        click.echo(f"{said['account']}: erased; nobody knows who it was.")
    else:
        for name in ("name", "phone", "address", "email"):
            if said[name]:
                click.echo(f"{name:<8} {said[name]}")
        click.echo(f"account  {' and '.join(said['accounts'])}")


@click.command(epilog="Example: crdt-pos erase '+49 170 1234567' --at office")
@click.argument("person")
@click.option("--at", "path", type=_PATH, required=True, help="The folder of a head office; it may run meanwhile.")
@click.option(
    "--unknown", is_flag=True, help="PERSON is an account of which nothing is known here: erase it all the same."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def erase(person: str, path: Path, *, unknown: bool, as_json: bool) -> None:
    """Erase PERSON, an account or a phone number: destroy name, phone and the key to them, here and wherever this is heard.

    Receipts, balances and books stay as they are and still verify: no name ever stood in them. It cannot be taken back; a
    replica that is away does it when it comes back, and brings nothing back. Copies of folders and backups are not reached.

    \b
    --json prints one object: accounts, entries
    """
    said = _ask(path, "erase", who=person, unknown=unknown)
    if as_json:
        click.echo(json.dumps({"accounts": said["accounts"], "entries": said["entries"]}, indent=2))
        return
    accounts = " and ".join(said["accounts"])
    if said["entries"]:
        click.echo(
            f"Erased who {accounts} is ({plural(said['entries'], 'tombstone')}). Every replica that hears of it does the same."
        )
    else:
        click.echo(f"Who {accounts} is was erased before.")


def _ask(path: Path, do: str, **fields: object) -> Message:
    """Ask the replica if it runs, else open its folder and do it here."""
    with contextlib.suppress(NotRunning), LocalClient(path) as running:
        return running.call(do, **fields)
    folder = open_folder(path)
    me = folder.certificate
    with folder.held(), open_log(folder) as log:
        desk = Desk(log, Writer(folder.key, me.author, folder.root.company, SCHEMA), me.role, system_ms)
        answered = ANSWERS[do](desk, Asked(dict(fields)))
        if isinstance(log, LmdbLog):
            log.wipe()
        return answered
