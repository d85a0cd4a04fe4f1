"""``crdt-pos points``: what an account has, and what head office credits because a replica was lost."""

from __future__ import annotations

import json
from pathlib import Path

import click

from crdt_pos.balance import Balance
from crdt_pos.cli import Refused
from crdt_pos.commands.replica_options import FOLDER
from crdt_pos.folder import open_folder
from crdt_pos.goodwill import AMOUNT_MAX, Goodwill
from crdt_pos.looking import look
from crdt_pos.receipt import ACCOUNT_BYTES
from crdt_pos.revoking_desk import goodwill_at
from peers.permissions import Role

_programme = click.option("--programme", default="points", show_default=True, help="Points, or another programme.")
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def points() -> None:
    """What a member or card has, and what head office credits for what was lost."""


@points.command(epilog="Example: crdt-pos points goodwill 6d656d6265722d31 300 --at office")
@click.argument("account")
@click.argument("amount", type=click.IntRange(1, AMOUNT_MAX))
@click.option("--at", "path", type=FOLDER, required=True, help="The folder of a head office.")
@_programme
@_json
def goodwill(account: str, amount: int, path: Path, programme: str, *, as_json: bool) -> None:
    """Credit AMOUNT to ACCOUNT (16 hexadecimal digits) for what was lost with a replica.

    What a lost replica held nobody can spend. Head office earns this by itself: it is a cost, and shown as one.

    \b
    --json prints one object: account, amount, balance
    """
    balance = goodwill_at(open_folder(path), Goodwill(programme, _account(account), amount))["balance"]
    if as_json:
        click.echo(json.dumps({"account": account, "amount": amount, "balance": balance}))
    else:
        click.echo(f"Credited {amount} to {account}: it has {balance} now.")


@points.command()
@click.argument("account")
@click.option("--at", "path", type=FOLDER, required=True, help="The folder of any replica.")
@_programme
@_json
def show(account: str, path: Path, programme: str, *, as_json: bool) -> None:
    """What ACCOUNT (16 hexadecimal digits) has, who holds it, and what was lost of it.

    \b
    --json prints one object:
      account, balance, written_off, goodwill (earned by head offices),
      held: replica → what it can redeem without asking
    """
    with look(path) as looked, looked.log.read() as reader:
        found = Balance.read(reader, programme, _account(account))
        counter = found.counter
        roles = {one: looked.directory.certificate(one) for one in counter.authors}
        offices = [one for one, proven in roles.items() if proven is not None and proven.role is Role.OFFICE]
        held = {
            looked.name_of(one): rights
            for one in counter.authors
            if one not in found.lost and (rights := found.redeemable(one).here)
        }
        shown = {
            "account": account,
            "balance": found.value,
            "written_off": found.written_off,
            "goodwill": sum(counter.earned(one) for one in offices),
            "held": held,
        }
    if as_json:
        click.echo(json.dumps(shown, indent=2))
        return
    click.echo(f"{account} has {shown['balance']}.")
    for name, rights in sorted(held.items()):
        click.echo(f"  {rights} at {name}")
    if shown["written_off"]:
        click.echo(f"  {shown['written_off']} written off with replicas that are lost")
    if shown["goodwill"]:
        click.echo(f"  {shown['goodwill']} credited by head office, a cost")


def _account(text: str) -> bytes:
    try:
        account = bytes.fromhex(text)
    except ValueError:
        account = b""
    if len(account) != ACCOUNT_BYTES:
        raise Refused(f"{text!r} is no account: write its {2 * ACCOUNT_BYTES} hexadecimal digits.")
    return account
