"""``crdt-pos till close-for``: close by proxy what a till of the store that does not come back left open."""

from __future__ import annotations

import datetime
from pathlib import Path

import click

from crdt_pos.local import LocalClient
from crdt_pos.money import Currency


@click.command("close-for", epilog="Example: crdt-pos till close-for 12-1 --at till-12-2")
@click.argument("name")
@click.option(
    "--at",
    "path",
    type=click.Path(path_type=Path),
    required=True,
    help="The folder of a till of the same store, which runs.",
)
def close_for(name: str, path: Path) -> None:
    """Close the dates that the till NAME, such as 12-1, left open: it is gone, and this till has its journal.

    As far as the journal is known here. Said again when more of it has come, it says more; nothing ever counts twice. A till
    that is enrolled again does this for itself.
    """
    with LocalClient(path) as till:
        status = till.call("status")
        closed = till.call("proxy_close", till=name)["closed"]
    currency = Currency(status["currency"], status["exponent"])
    for one in closed:
        last = datetime.datetime.fromtimestamp(one["last_ms"] / 1000, datetime.UTC).astimezone()
        until = f", the last at {last:%Y-%m-%d %H:%M}" if one["last_ms"] else ""
        click.echo(
            f"{name} {one['incarnation']}, {one['business_date']}: closed with {one['acts']} acts{until}; "
            f"takings {currency.text(one['takings_minor'])}."
        )
    if closed:
        click.echo(
            "What it did after that is held by nobody here: it is lost, unless its disk or another copy turns up."
        )
    else:
        click.echo(f"Nothing of {name} is open, as far as it is known here.")
