"""``crdt-pos office products``: the shopkeeper's list of products becomes the catalogue."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from crdt_pos import catalogue_views
from crdt_pos.catalogue import Change
from crdt_pos.cli import Refused
from crdt_pos.clock import system_ms
from crdt_pos.columns import plural
from crdt_pos.errors import FolderError, ProductFileWrong
from crdt_pos.folder import Folder, open_folder
from crdt_pos.local import LocalClient, NotRunning
from crdt_pos.looking import Looked, look
from crdt_pos.money import Currency
from crdt_pos.office_commands import FACTS_MAX
from crdt_pos.product_file import plan
from crdt_pos.schema import SCHEMA
from gossip.log_lmdb import LmdbLog
from peers.permissions import Role

CHANGES_AT_ONCE: Final = 10_000
"""Of an office that does not run; its transactions may be longer."""


@click.command("products", epilog="Example: crdt-pos office products docs/products.csv --at office")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--at",
    "path",
    type=click.Path(path_type=Path),
    required=True,
    help="The folder of the head office; it may run meanwhile.",
)
@click.option("--currency", help="Of the prices, like CHF; may be left out if all stores have one.")
@click.option("--json", "as_json", is_flag=True, help="Print what changed as JSON.")
def products(file: Path, path: Path, currency: str | None, as_json: bool) -> None:
    """Take over the products and prices in FILE, as CSV; the tills have them as soon as they meet the head office.

    \b
    The first line names the columns, in any order:
      product, name          must be there: a number, and what people call it
      price                  of one whole unit; a new price holds from now on
      tax                    in percent, like 8.1
      code                   barcodes, with spaces between
      unit, decimals         kg and 3: sold by weight, like 0.250
      department             where it stands in the shop
      components             of a dish, like 133:4 134:0.2

    Only what differs is written, so the same file may be given again. A product that is not in the file stays.
    """
    folder = open_folder(path)
    if folder.certificate.role is not Role.OFFICE:
        raise Refused(f"{path} is the folder of {folder.certificate.name}: products are stated at a head office.")
    with look(path) as looked, looked.log.read() as reader:
        prices_in = _currency(looked, currency)
        try:
            wanted = plan(reader, file.read_bytes(), prices_in, system_ms())
        except ProductFileWrong as wrong:
            raise Refused(f"{file}: {wrong}") from wrong
    entries = _write(folder, wanted.changes) if wanted.changes else 0
    if as_json:
        figures = {name: getattr(wanted, name) for name in ("products", "new", "changed", "prices", "taxes")}
        click.echo(json.dumps(figures | {"currency": prices_in.code, "entries": entries}))
    elif not wanted.changes:
        click.echo(f"Nothing to change: {plural(wanted.products, 'product')} stood in the catalogue like this.")
    else:
        click.echo(
            f"{plural(wanted.products, 'product')}: {wanted.new} new, {wanted.changed} changed; "
            f"{plural(wanted.prices, 'price')} in {prices_in.code} and {plural(wanted.taxes, 'tax rate')} new or changed."
        )


def _currency(looked: Looked, asked: str | None) -> Currency:
    """The currency of the prices, with the decimals that the stores give it."""
    known = {one.currency: one.exponent for records in looked.directory.stores.values() for one in records}
    if not known:
        raise Refused("There is no store yet, so nobody knows in what currency: use 'crdt-pos store add' first.")
    if asked is None and len(known) > 1:
        raise Refused(f"Say with --currency in which one the prices are: {' or '.join(sorted(known))}.")
    code = next(iter(known)) if asked is None else asked
    if code not in known:
        raise Refused(f"No store sells in {code}: {' or '.join(sorted(known))}.")
    return Currency(code, known[code])


def _write(folder: Folder, changes: Sequence[Change]) -> int:
    try:
        with folder.held():
            return _append(folder, changes)
    except FolderError as running:
        try:
            client = LocalClient(folder.path)
        except NotRunning:
            raise running from None
        with client:
            return _ask(client, changes)


def _append(folder: Folder, changes: Sequence[Change]) -> int:
    log = LmdbLog.open(folder.log_path, SCHEMA, folder.root.company)
    try:
        return sum(
            catalogue_views.append(
                log, folder.key, folder.certificate.author, changes[start : start + CHANGES_AT_ONCE], system_ms()
            )
            for start in range(0, len(changes), CHANGES_AT_ONCE)
        )
    finally:
        log.close()


def _ask(office: LocalClient, changes: Sequence[Change]) -> int:
    entries = 0
    for start in range(0, len(changes), FACTS_MAX):
        facts = [_fact(change) for change in changes[start : start + FACTS_MAX]]
        entries += int(office.call("catalogue", facts=facts)["entries"])
    return entries


def _fact(change: Change) -> dict[str, object]:
    said: dict[str, object] = {"fact": change.fact, "value": change.value}
    return said if change.product is None else {"product": change.product, **said}
