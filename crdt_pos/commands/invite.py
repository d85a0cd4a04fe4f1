"""``crdt-pos invite``: one-time tickets by which new replicas join."""

from __future__ import annotations

import datetime
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import click

from crdt_pos.cli import Refused
from crdt_pos.clock import system_ms
from crdt_pos.columns import Column, table
from crdt_pos.commands.replica_options import FOLDER
from crdt_pos.folder import OFFICE_PORT, open_folder, parse_address
from crdt_pos.looking import look
from crdt_pos.qr_code import qr_text, write_qr
from crdt_pos.registrar import check_office
from crdt_pos.ticket_book import Attempt, Issued, Seat, State, strangers, tickets
from crdt_pos.ticket_desk import at_desk
from crdt_pos.tickets import ADDRESSES_MAX, ID_BYTES, SECRET_BYTES, Ticket
from peers.permissions import Role

_SPAN: Final = re.compile(r"([1-9][0-9]{0,5})([mhd])")
_SPANS_MS: Final = {"m": 60_000, "h": 3_600_000, "d": 24 * 3_600_000}


@click.command(epilog="Example: crdt-pos invite --at office --store 12 --till 3")
@click.option("--at", "path", type=FOLDER, required=True, help="The folder of the head office; it may run meanwhile.")
@click.option("--store", type=int, help="The store of the till.")
@click.option("--till", "till_number", type=int, help="The till's number in its store.")
@click.option("--relay", "relay_number", type=int, help="A relay, and its number.")
@click.option("--manager", "manager_number", type=int, help="A manager's replica in --store, and its number.")
@click.option(
    "--office", "an_office", is_flag=True, help="A further head office; a person admits it with the root key."
)
@click.option("--again", is_flag=True, help="It is enrolled already, and its disk is lost: give it another life.")
@click.option(
    "--expires", default="24h", show_default=True, help="For how long the ticket is good, like 30m, 24h or 7d."
)
@click.option(
    "--address",
    "addresses",
    multiple=True,
    metavar="HOST:PORT",
    help="Where the new replica reaches this office, if not at its addresses on this network; may be repeated.",
)
@click.option("--png", type=click.Path(path_type=Path), help="Write the QR code as a picture, too.")
@click.option("--list", "listed", is_flag=True, help="Show the tickets and who tried to join, instead of making one.")
@click.option("--withdraw", metavar="ID", help="Make a ticket good for nothing, by its id in --list.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def invite(
    path: Path,
    store: int | None,
    till_number: int | None,
    relay_number: int | None,
    manager_number: int | None,
    an_office: bool,
    again: bool,
    expires: str,
    addresses: tuple[str, ...],
    png: Path | None,
    listed: bool,
    withdraw: str | None,
    as_json: bool,
) -> None:
    """Make a ticket, with which one new till, relay or head office joins the company, once.

    The ticket is as good as a key until it is used: show or send it only to whoever sets up the new machine. There, with a
    network: crdt-pos join TICKET --at DIR. This office must run meanwhile; any replica nearby passes the request on to it.

    \b
    --json prints: ticket, id, name, expires (UTC), addresses
    --list --json prints: tickets [id, name, again, state, issued, expires, joined_as, attempts],
      strangers: attempts with no ticket of this office [at, outcome, via]
    """
    office = open_folder(path)
    check_office(office)
    if listed:
        _list(path, as_json=as_json)
        return
    if withdraw is not None:
        with at_desk(office, system_ms()) as desk:
            desk.withdraw(_id(withdraw))
        click.echo(f"The ticket {withdraw} is good for nothing any more.")
        return
    seat = _seat(store, till_number, relay_number, manager_number, an_office=an_office, again=again)
    now_ms = system_ms()
    expires_ms = now_ms + _span_ms(expires)
    said = [parse_address(address, OFFICE_PORT) for address in addresses]
    if len(said) > ADDRESSES_MAX:
        raise Refused(f"A ticket holds at most {ADDRESSES_MAX} addresses.")
    with at_desk(office, now_ms) as desk:
        ticket = desk.issue(seat, os.urandom(SECRET_BYTES), expires_ms, said)
    if png is not None:
        try:
            write_qr(ticket.text(), png)
        except OSError as error:
            raise Refused(f"{png} cannot be written: {error.strerror}.") from error
    if as_json:
        click.echo(json.dumps(_plain_ticket(ticket, expires_ms), indent=2))
    else:
        for line in _lines(ticket, office.certificate.name, expires_ms):
            click.echo(line)


def _seat(
    store: int | None, till: int | None, relay: int | None, manager: int | None, *, an_office: bool, again: bool
) -> Seat:
    asked = [one for one in (till, relay, manager) if one is not None]
    if len(asked) + an_office != 1 or (store is None) is not (till is None and manager is None):
        raise Refused("Say who joins: --store and --till, --store and --manager, --relay, or --office.")
    if an_office:
        if again:
            raise Refused("A head office that is lost is rebuilt, or a further one joins: leave --again out.")
        return Seat(Role.OFFICE)
    role = Role.TILL if till is not None else Role.RELAY if relay is not None else Role.MANAGER
    return Seat(role, store or 0, asked[0], again)


def _span_ms(text: str) -> int:
    match = _SPAN.fullmatch(text)
    if match is None:
        raise Refused(f"{text!r} is no time: write a number and m, h or d, like 24h.")
    return int(match[1]) * _SPANS_MS[match[2]]


def _id(text: str) -> bytes:
    try:
        ticket = bytes.fromhex(text)
    except ValueError:
        ticket = b""
    if len(ticket) != ID_BYTES:
        raise Refused(f"{text!r} is no ticket's id: see crdt-pos invite --list.")
    return ticket


# --- showing ---------------------------------------------------------------------------------------------------------


def _lines(ticket: Ticket, office: str, expires_ms: int) -> Iterator[str]:
    yield qr_text(ticket.text())
    yield ""
    yield ticket.text()
    yield ""
    who = "a further head office" if ticket.name == "office" else ticket.name
    yield f"The ticket of {who}, good once, until {_moment(expires_ms)} by the clock of {office}."
    if not ticket.addresses:
        yield "It names no address of this office: it must be found on the local network, or named with --peer."
    yield "Next, on the new machine: crdt-pos join TICKET --at DIR"


def _list(path: Path, *, as_json: bool) -> None:
    with look(path) as looked, looked.log.read() as reader:
        book, others = tickets(reader), strangers(reader)
    now_ms = system_ms()
    if as_json:
        click.echo(
            json.dumps({"tickets": [_plain(one, now_ms) for one in book], "strangers": _plain_all(others)}, indent=2)
        )
        return
    width = shutil.get_terminal_size().columns
    if not book and not others:
        click.echo("No ticket was made here, and nobody has tried to join.")
    if book:
        columns = [Column("ticket"), Column("for"), Column("state"), Column("until"), Column("joined as")]
        rows = [(one.id.hex(), _for(one), _state(one, now_ms), _moment(one.expires_ms), _joined(one)) for one in book]
        for line in table(columns, rows, width):
            click.echo(line)
    refused = [(one.seat.name, attempt) for one in book for attempt in one.attempts] + [("?", one) for one in others]
    if refused:
        click.echo("")
        heads = [Column("tried"), Column("for"), Column("came from"), Column("outcome"), Column("key")]
        ordered = sorted(refused, key=lambda one: one[1].at_ms)
        rows = [
            (_moment(one.at_ms), name, one.via or "-", _outcome(one), one.key.hex() or "-") for name, one in ordered
        ]
        for line in table(heads, rows, width):
            click.echo(line)


def _for(issued: Issued) -> str:
    return f"{issued.seat.name}{', again' if issued.seat.again else ''}"


def _state(issued: Issued, now_ms: int) -> str:
    ended = issued.state in (State.OPEN, State.WAITING) and issued.ended_ms(now_ms) is not None
    return "expired" if ended else issued.state.name.lower()


def _outcome(attempt: Attempt) -> str:
    return attempt.outcome.name.lower().replace("_", " ")


def _joined(issued: Issued) -> str:
    joined = issued.joined()
    return "-" if joined is None else f"{joined.name} {joined.incarnation}"


def _moment(ms: int) -> str:
    return datetime.datetime.fromtimestamp(ms / 1000).astimezone().strftime("%Y-%m-%d %H:%M")


def _utc(ms: int) -> str:
    return datetime.datetime.fromtimestamp(ms // 1000, datetime.UTC).isoformat()


def _plain_ticket(ticket: Ticket, expires_ms: int) -> dict[str, object]:
    return {
        "ticket": ticket.text(),
        "id": ticket.id.hex(),
        "name": ticket.name,
        "expires": _utc(expires_ms),
        "addresses": [str(one) for one in ticket.addresses],
    }


def _plain(issued: Issued, now_ms: int) -> dict[str, object]:
    joined = issued.joined()
    return {
        "id": issued.id.hex(),
        "name": issued.seat.name,
        "again": issued.seat.again,
        "state": _state(issued, now_ms),
        "issued": _utc(issued.issued_ms),
        "expires": _utc(issued.expires_ms),
        "joined_as": None if joined is None else {"name": joined.name, "life": joined.incarnation},
        "attempts": _plain_all(issued.attempts),
    }


def _plain_all(attempts: Sequence[Attempt]) -> list[dict[str, object]]:
    return [{"at": _utc(one.at_ms), "outcome": _outcome(one), "via": one.via, "key": one.key.hex()} for one in attempts]
