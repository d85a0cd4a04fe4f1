"""``crdt-pos store``: which stores there are, on what terms they sell, and who keeps their receipts."""

from __future__ import annotations

import datetime
from pathlib import Path

import click

from crdt_pos.clock import system_ms
from crdt_pos.commands.guardians import guardians
from crdt_pos.commands.replica_options import office_option
from crdt_pos.enrolment import add_store
from crdt_pos.folder import open_folder
from crdt_pos.money import exponent_of
from peers.roster import StoreRecord


@click.group()
def store() -> None:
    """Say which stores there are, on what terms they sell, and who keeps their receipts."""


store.add_command(guardians)


@store.command()
@office_option
@click.option("--store", "number", type=int, required=True, help="The store's number.")
@click.option("--name", default="", help="What people call it.")
@click.option("--legal-entity", default="", help="Whose takings these are. Books never add across legal entities.")
@click.option("--tax-id", default="", help="The legal entity's tax number, printed on receipts.")
@click.option("--address", default="", help="The address on receipts.")
@click.option("--currency", default="EUR", show_default=True, help="Three letters, like EUR or CHF.")
@click.option("--exponent", type=int, help="How many decimals the currency has; without: as ISO 4217 says.")
@click.option("--time-zone", default="UTC", show_default=True, help="Where its clock is set, like Europe/Zurich.")
@click.option(
    "--cash-rounding",
    type=int,
    default=1,
    show_default=True,
    help="The smallest coin, in cents or whatever the currency's smallest unit is: 5 rounds cash to 0.05.",
)
@click.option("--prices-without-tax", is_flag=True, help="Shelf prices are without tax, which is added at the till.")
@click.option("--valid-from", type=click.DateTime(["%Y-%m-%d"]), help="The first day of these terms; without: always.")
def add(
    office: Path,
    number: int,
    name: str,
    legal_entity: str,
    tax_id: str,
    address: str,
    currency: str,
    exponent: int | None,
    time_zone: str,
    cash_rounding: int,
    prices_without_tax: bool,
    valid_from: datetime.datetime | None,
) -> None:
    """Add a store, or say on what other terms it sells from a later date on."""
    record = StoreRecord(
        store=number,
        valid_from=StoreRecord(number).valid_from if valid_from is None else valid_from.date(),
        name=name,
        legal_entity=legal_entity,
        tax_id=tax_id,
        address=address,
        currency=currency,
        exponent=exponent_of(currency) if exponent is None else exponent,
        time_zone=time_zone,
        cash_step_minor=cash_rounding,
        prices_without_tax=prices_without_tax,
    )
    add_store(open_folder(office), record, system_ms())
    click.echo(f"Store {number} stands in the roster.")
    click.echo(f"Next: crdt-pos till enrol --office {office} --store {number} --till 1 --at FOLDER")
