"""``crdt-pos sell``: a keyboard till in the terminal, or one sale on the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from crdt_pos.cli import Refused
from crdt_pos.counter_basket import NotUnderstood, checked_cash, read_decimal
from crdt_pos.local import LocalClient, Message
from crdt_pos.money import decimal_text


@click.command(epilog="Example: crdt-pos sell --at shop/till-1 --code 5010000000017 --quantity 2 --cash 10.00")
@click.option(
    "--at",
    "folder",
    required=True,
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder of a till that is running.",
)
@click.option("--code", "codes", multiple=True, help="Sell this code at once, without the screen; may be repeated.")
@click.option(
    "--quantity",
    "quantities",
    multiple=True,
    help="How many: the first for the first code, and so on; 1 where not given.",
)
@click.option("--cash", metavar="AMOUNT", help="Cash given; exact cash if no payment is given.")
@click.option("--card", metavar="AMOUNT", help="Paid by card.")
@click.option("--voucher", metavar="AMOUNT", help="Paid with a voucher.")
@click.option("--member", metavar="ACCOUNT", help="The member's account: 16 hexadecimal digits.")
@click.option("--points", type=click.IntRange(min=0), default=0, help="Points of the member to pay with.")
@click.option("--open", "open_date", is_flag=True, help="Begin today's business date first, if none is open.")
@click.option("--training", is_flag=True, help="A sale that counts nowhere.")
@click.option("--json", "as_json", is_flag=True, help="Print the receipt as JSON.")
def sell(
    folder: Path,
    codes: tuple[str, ...],
    quantities: tuple[str, ...],
    cash: str | None,
    card: str | None,
    voucher: str | None,
    member: str | None,
    points: int,
    open_date: bool,
    training: bool,
    as_json: bool,
) -> None:
    """Sell at a running till.

    Without --code this opens the till's screen: type a code or words, Enter adds, F7 takes cash. With --code it makes
    one sale and prints the receipt, which is safe on this disk by then.
    """
    with LocalClient(folder) as till:
        status = till.call("status")
        if "business_date" not in status:
            raise Refused(f"{folder} is not a till's folder: {status['replica']} runs there, and sells nothing.")
        if open_date and status["business_date"] is None:
            till.call("open")
        if codes:
            payments = {"cash": cash, "card": card, "voucher": voucher}
            _sell_once(till, status, codes, quantities, payments, member, points, training=training, as_json=as_json)
            return
    if quantities or cash or card or voucher or member or points or training or as_json:
        raise Refused("Say with --code what to sell; without it the till's screen opens, which asks for the rest.")
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Refused("The till's screen needs a terminal; with --code a sale needs none.")
    from crdt_pos.counter_screen import CounterScreen  # half a second, which a sale by --code need not wait

    CounterScreen(folder).run()


def _sell_once(
    till: LocalClient,
    status: Message,
    codes: tuple[str, ...],
    quantities: tuple[str, ...],
    payments: dict[str, str | None],
    member: str | None,
    points: int,
    *,
    training: bool,
    as_json: bool,
) -> None:
    if len(quantities) > len(codes):
        raise Refused("There are more --quantity than --code.")
    lines: list[Message] = []
    try:
        for place, code in enumerate(codes):
            exponent = till.call("product", code=code)["product"]["quantity_exponent"]
            typed = quantities[place] if place < len(quantities) else "1"
            quantity = read_decimal(typed, exponent, "quantity")
            if not quantity:
                raise NotUnderstood(f"The quantity of {code} is 0: leave it out.")
            lines.append({"code": code, "quantity": quantity, "quantity_exponent": exponent})
        tenders: list[Message] = [
            {"kind": kind, "amount_minor": read_decimal(amount, status["exponent"], "amount")}
            for kind, amount in payments.items()
            if amount is not None
        ]
        asked: Message = {"lines": lines, "tenders": tenders, "points": points, "training": training}
        asked |= {"member": member} if member else {}
        for tender in tenders:
            if tender["kind"] == "cash":
                checked_cash(tender["amount_minor"], till.call("quote", **asked)["due_minor"], status["exponent"])
    except NotUnderstood as typed_wrong:
        raise Refused(str(typed_wrong)) from typed_wrong
    answer = till.call("sell", **asked)
    if as_json:
        click.echo(json.dumps(answer["receipt"], ensure_ascii=False, indent=2))
        return
    from crdt_pos.qr_code import qr_text

    click.echo(answer["text"])
    for row in qr_text(answer["qr"]).splitlines():
        click.echo(click.style(row, fg="black", bg="white") if sys.stdout.isatty() else row)
    receipt: Message = answer["receipt"]
    if receipt["change_minor"] and receipt["due_minor"] > 0:
        click.echo(f"Change: {decimal_text(receipt['change_minor'], receipt['exponent'])}")
