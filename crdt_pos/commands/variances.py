"""``crdt-pos variances``."""

from __future__ import annotations

import dataclasses
import datetime
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import click

from crdt_pos.columns import number, plural
from crdt_pos.looking import look
from crdt_pos.variance_list import Listed, lines, listed, totals

_DATE = click.DateTime(["%Y-%m-%d"])


@click.command("variances")
@click.option("--at", "path", type=click.Path(path_type=Path), required=True, help="The folder of any replica.")
@click.option("--from", "date_from", type=_DATE, help="The first business date; all without it.")
@click.option("--to", "date_to", type=_DATE, help="The last business date.")
@click.option("--store", type=int, help="One store.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def variances(
    path: Path,
    date_from: datetime.datetime | None,
    date_to: datetime.datetime | None,
    store: int | None,
    as_json: bool,
) -> None:
    """What was sold at another price than was due, since a till had not heard of the price yet.

    Such a sale stands; it is listed here once the till has heard. No member and no cashier stands in it.

    \b
    --json prints one object:
      replica
      variances: date, store, number, line, product, name, quantity,
        quantity_exponent, sold_minor, sold_exponent, due_minor,
        due_exponent, difference_minor (negative: too little was taken),
        currency
      totals: store, currency, exponent, lines, difference_minor
    """
    first = date_from.date() if date_from else datetime.date.min
    last = date_to.date() if date_to else datetime.date.max
    with look(path) as looked, looked.log.read() as reader:
        found = listed(reader, looked.directory, first, last, store)
        replica = looked.folder.certificate.name
    if as_json:
        plain = {
            "replica": replica,
            "variances": [one.plain() for one in found],
            "totals": [dataclasses.asdict(total) for total in totals(found)],
        }
        click.echo(json.dumps(plain, indent=2, ensure_ascii=False))
    else:
        _print(found, replica)


def _print(found: Sequence[Listed], replica: str) -> None:
    if not found:
        click.echo(f"No price variance is known at {replica}.")
        return
    for line in lines(found, shutil.get_terminal_size().columns):
        click.echo(line)
    for total in totals(found):
        taken = number(abs(total.difference_minor), total.exponent)
        word = "less" if total.difference_minor < 0 else "more"
        click.echo(f"Store {total.store}: {plural(total.lines, 'line')}, {taken} {total.currency} {word} than was due.")
