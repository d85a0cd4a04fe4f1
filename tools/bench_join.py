"""From a ticket to the first receipt: a head office and new tills as real processes, on the loopback interface.

The clock runs from the start of ``crdt-pos join`` on the new machine until the till has answered its first sale: two interpreters
start, the key is made, the office enrols, roster and catalogue are taken in, and the sale is on the disk. ``neighbour``: the
office's line is pulled for the newcomer, and a till of its store passes the request on and gives it the catalogue.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from crdt_pos import catalogue
from crdt_pos.cli import child_command
from crdt_pos.clock import system_ms
from crdt_pos.folder import Folder, open_folder
from crdt_pos.local import LocalRefused
from crdt_pos.products import Price, Product
from crdt_pos.ticket_book import Seat
from crdt_pos.ticket_desk import at_desk
from crdt_pos.tickets import SECRET_BYTES, Ticket
from gossip.address import Address
from peers.permissions import Role
from peers.roster import StoreRecord
from tools.cable import LOOPBACK, Cable
from tools.town import Process, Town, TownError, loopback_settings

STORE: Final = 12
EXPIRES_MS: Final = 3_600_000
JOIN_TIMEOUT_S: Final = 120.0
Row = dict[str, Any]


def join_to_first_sale(products: int, repeats: int) -> list[Row]:
    """Seconds, the middle of ``repeats``, and of how many parts. Raises ``TownError``."""
    with tempfile.TemporaryDirectory() as at:
        town = Town.found(Path(at), "Corner Shops", [StoreRecord(STORE)], 1, loopback_settings())
        changes = [
            change
            for number in range(1, products + 1)
            for change in catalogue.product_changes(
                Product(number, f"Product {number}", prices=(Price(119),), tax_code=1)
            )
        ]
        town.write_catalogue([catalogue.tax_change(1, 70_000), *changes])
        line = Cable()
        with town.running(1):
            neighbour = town.tills[STORE, 1]
            office_port = _port(town, town.office, "status")
            town.wait(lambda: _knows(town, neighbour, products), "Taking in the catalogue")
            rows: list[Row] = []
            for way in ("office", "neighbour"):
                if way == "office":
                    line.plug(office_port)
                    peers: tuple[Address, ...] = ()
                else:
                    line.pull()
                    peers = (Address(LOOPBACK, _port(town, neighbour, "connections")),)
                rows += _measured(town, line, way, peers, products, repeats)
        line.close()
    return rows


def _measured(town: Town, line: Cable, way: str, peers: tuple[Address, ...], products: int, repeats: int) -> list[Row]:
    taken: list[tuple[float, float, float]] = []
    for _ in range(repeats):
        number = len(town.tills) + 1
        ticket = _ticket(town.office, number, Address(LOOPBACK, line.port))
        taken.append(_first_sale(town, number, ticket, peers))
    whole, joined, started = (statistics.median(column) for column in zip(*taken, strict=True))
    return [
        {
            "what": f"through the {way}, {products:,} products",
            "join_to_first_sale_s": round(whole, 2),
            "of_that_join_s": round(joined, 2),
            "of_that_start_s": round(started, 2),
            "repeats": repeats,
        }
    ]


def _first_sale(town: Town, number: int, ticket: Ticket, peers: tuple[Address, ...]) -> tuple[float, float, float]:
    path = town.at / f"till-{STORE}-{number}"
    words = [word for peer in peers for word in ("--peer", str(peer))]
    began_s = time.monotonic()
    done = subprocess.run(
        [
            *child_command(),
            "join",
            ticket.text(),
            "--at",
            str(path),
            "--listen",
            f"{LOOPBACK}:0",
            "--no-multicast",
            *words,
        ],
        capture_output=True,
        text=True,
        timeout=JOIN_TIMEOUT_S,
    )
    joined_s = time.monotonic()
    if done.returncode:
        raise TownError(done.stderr.strip())
    folder = town.tills[STORE, number] = open_folder(path)
    process = Process("till", [folder])
    process.start()
    town.processes.append(process)
    town.wait(lambda: town.is_up(folder), "Starting the till")
    client = town.client(folder)
    started_s = time.monotonic()
    client.call("open")
    client.call("sell", lines=[{"product": 1}])
    return time.monotonic() - began_s, joined_s - began_s, started_s - joined_s


def _ticket(office: Folder, number: int, address: Address) -> Ticket:
    now_ms = system_ms()
    with at_desk(office, now_ms) as desk:
        return desk.issue(Seat(Role.TILL, STORE, number), os.urandom(SECRET_BYTES), now_ms + EXPIRES_MS, [address])


def _port(town: Town, folder: Folder, do: str) -> int:
    town.wait(lambda: town.is_up(folder), f"Starting {folder.certificate.name}")
    return int(str(town.client(folder).call(do)["listening"]).rpartition(":")[2])


def _knows(town: Town, folder: Folder, products: int) -> bool:
    try:
        return bool(town.client(folder).call("product", product=products))
    except LocalRefused:
        return False
