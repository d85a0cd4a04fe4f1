"""``crdt-pos product``: make one at a till, say which products one code means, and settle where they differ."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import click

from crdt_pos import sharing, sharing_text
from crdt_pos.cli import Refused
from crdt_pos.clock import system_ms
from crdt_pos.columns import number
from crdt_pos.local import LocalClient, Message
from crdt_pos.looking import identities, look
from crdt_pos.money import parse_decimal

_PPM_DECIMALS: Final = 4
_at = click.option(
    "--at", "path", type=click.Path(path_type=Path), required=True, help="The folder of a replica that is running."
)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group("product")
def product() -> None:
    """Make a product at a till; say which products one code means."""


@product.command(
    "add", epilog='Example: crdt-pos product add "Fig jam" --price 4.50 --tax 7 --code 4006381333931 --at till'
)
@click.argument("name")
@click.option("--price", required=True, help="Of one whole unit, in the store's currency.")
@click.option("--tax", help="In percent, like 8.1; none if it is not given.")
@click.option("--code", default="", help="Its barcode: this store claims it for the product.")
@click.option("--unit", default="", help="Like kg; pieces if it is not given.")
@click.option("--decimals", type=click.IntRange(0, 9), default=0, help="Of its quantities: 3 for 0.250 kg.")
@click.option("--department", default="", help="Where it stands in the shop.")
@_at
@_json
def add(
    name: str,
    price: str,
    tax: str | None,
    code: str,
    unit: str,
    decimals: int,
    department: str,
    path: Path,
    as_json: bool,
) -> None:
    """Make the product NAME at a running till, in its store's name.

    It needs nobody else: it is sold here at once, by code and by words, and at every till of the company when it has got
    there. Another store may make the same one meanwhile; then both are read as one.
    """
    with LocalClient(path) as till:
        status = till.call("status")
        if "exponent" not in status:
            raise Refused(f"{status['replica']} is no till: head office takes products over with 'office products'.")
        asked: Message = {
            "name": name,
            "unit_price_minor": _decimal(price, status["exponent"], "price"),
            "code": code,
            "unit": unit,
            "quantity_exponent": decimals,
            "department": department,
        }
        if tax is not None:
            asked["tax_rate_ppm"] = _decimal(tax.strip().removesuffix("%").strip(), _PPM_DECIMALS, "tax")
        made = till.call("new_product", **asked)["product"]
    if as_json:
        _print_json(made)
    else:
        costs = f"{number(made['unit_price_minor'], status['exponent'])} {status['currency']}"
        click.echo(f"{made['name']} is product {made['product']}, at {costs}. It can be sold now.")


@product.command("claim")
@click.argument("code")
@click.argument("number", type=click.IntRange(0), metavar="PRODUCT")
@click.option("--store", type=int, help="At a head office: in which store's name.")
@_at
def claim(code: str, number: int, store: int | None, path: Path) -> None:
    """Say that CODE means PRODUCT: with any other product that the code means it is read as one."""
    entries = _say(path, "claim", code, number, store)
    click.echo(f"{code} means product {number}." if entries else f"{code} means product {number} already.")


@product.command("retract")
@click.argument("code")
@click.argument("number", type=click.IntRange(0), metavar="PRODUCT")
@click.option("--store", type=int, help="At a head office: only this store's claim.")
@_at
def retract(code: str, number: int, store: int | None, path: Path) -> None:
    """Take back that CODE means PRODUCT, which then stands by itself again, with the stock that it had.

    A till takes back what its own store said, a head office what any store said.
    """
    _say(path, "retract", code, number, store)
    click.echo(f"Nobody says here any more that {code} means product {number}.")


@product.command("change")
@click.argument("number", type=click.IntRange(0), metavar="PRODUCT")
@click.option("--name", help="What it is called from now on.")
@click.option("--price", help="Of one whole unit, from now on.")
@click.option("--currency", help="Of the price; may be left out if all stores have one.")
@_at
def change(number: int, name: str | None, price: str | None, currency: str | None, path: Path) -> None:
    """Change the name or price of PRODUCT at a running head office."""
    if name is None and price is None:
        raise click.UsageError("Give --name or --price")
    with look(path) as looked:
        currencies = looked.currencies()
    chosen = currency or (next(iter(currencies)) if len(currencies) == 1 else "")
    if price is not None and chosen not in currencies:
        raise Refused(
            f"Say with --currency in which one the price is: {' or '.join(sorted(currencies)) or 'none yet'}."
        )
    facts: list[dict[str, object]] = []
    if name is not None:
        facts.append({"product": number, "fact": "name", "value": name})
    if price is not None:
        amount = _decimal(price, currencies[chosen], "price")
        facts.append({"product": number, "fact": f"price/{chosen}/{system_ms()}", "value": [amount, 0]})
    with LocalClient(path) as office:
        _must_be_office(office)
        office.call("catalogue", facts=facts)
    click.echo(f"Product {number} is changed; the tills have it as soon as they meet the head office.")


@product.command("conflicts")
@click.option("--at", "path", type=click.Path(path_type=Path), required=True, help="The folder of any replica.")
@_json
def conflicts(path: Path, as_json: bool) -> None:
    """Products that share a claimed code and differ, side by side, as they are known here now.

    \b
    --json prints a list of:
      codes, differ (name, price, tax, unit)
      products: product, name, tax_code, unit, quantity_exponent,
        prices: currency (""): any, amount_minor, exponent
        codes: code, claimed_by (stores), in_catalogue
    """
    with look(path) as looked, looked.log.read() as reader:
        found = sharing.conflicts(sharing.read(reader, identities(reader), system_ms()))
        exponents = looked.currencies()
    if as_json:
        _print_json([sharing.plain(one) for one in found])
        return
    width = shutil.get_terminal_size().columns
    for shared in found:
        _print(sharing_text.lines(shared, exponents, width))
    _print(sharing_text.advice(width) if found else ["Nothing to settle: where products share a code, they agree."])


def _say(path: Path, do: str, code: str, product: int, store: int | None) -> int:
    with LocalClient(path) as replica:
        asked: dict[str, Any] = {"code": code, "product": product}
        if store is not None:
            _must_be_office(replica)
            asked["store"] = store
        return int(replica.call(do, **asked)["entries"])


def _must_be_office(replica: LocalClient) -> None:
    status = replica.call("status")
    if "exponent" in status:
        raise Refused(f"{status['replica']} is a till: that is done at a running head office.")


def _decimal(typed: str, exponent: int, what: str) -> int:
    try:
        value = parse_decimal(typed.strip().replace(",", "."), exponent)
    except ValueError as error:
        raise Refused(f"'{typed}' is no {what}: a number with at most {exponent} decimals.") from error
    if value < 0:
        raise Refused(f"'{typed}' is no {what}: it must not be negative.")
    return value


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)


def _print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))
