"""A head office with tickets, and machines that join by them, in one process: real folders, real sockets, no multicast."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import trio

from crdt_pos import joining
from crdt_pos.clock import system_ms
from crdt_pos.enrolment import open_log
from crdt_pos.folder import Folder, Settings
from crdt_pos.joining import Progress, Wanted
from crdt_pos.replica import RunningReplica
from crdt_pos.requests import LineRequest, SaleRequest
from crdt_pos.ticket_book import Issued, Seat, TicketBook, tickets
from crdt_pos.tickets import SECRET_BYTES, Ticket
from gossip.address import Address
from gossip.log import Log
from peers.permissions import Role

DAY_MS = 24 * 3_600_000
LOOPBACK = Address("127.0.0.1", 0)


def seat(name: str, *, again: bool = False) -> Seat:
    store, till = map(int, name.split("-"))
    return Seat(Role.TILL, store, till, again)


def issue(book: TicketBook, what: Seat, now_ms: int, addresses: Sequence[Address] = ()) -> Ticket:
    return book.issue(what, os.urandom(SECRET_BYTES), now_ms + DAY_MS, addresses)


async def invite(office: RunningReplica, what: Seat, *addresses: Address) -> Ticket:
    """A ticket of a running office; it holds these addresses and no others."""
    now_ms = system_ms()
    return await office.state(lambda: issue(TicketBook(office.folder, office.log, now_ms), what, now_ms, addresses))


def book_of(office: RunningReplica) -> list[Issued]:
    with office.log.read() as reader:
        return tickets(reader)


@contextmanager
def log_of(folder: Folder) -> Iterator[Log]:
    """The log of a folder of which nothing runs."""
    with folder.held(), open_log(folder) as log:
        yield log


def nobody(_progress: Progress) -> None:
    """Does not look."""


async def join(ticket: Ticket, at: Path, *peers: Address, wait_s: float = 30.0) -> Folder:
    """What ``crdt-pos join`` does, beside what else runs here."""
    wanted = Wanted(ticket, at, Settings(LOOPBACK, peers, multicast=False), wait_s)
    return await trio.to_thread.run_sync(partial(joining.join, wanted, nobody))


async def sell(till: RunningReplica, cents: int = 250) -> str:
    """Open, if need be, and sell one thing; the receipt's number."""

    def act() -> str:
        assert till.till is not None
        if till.till.open_on is None:
            till.till.open_date()
        return till.till.sell(SaleRequest((LineRequest(0, unit_price_minor=cents, name="Bread"),))).number

    return await till.act(act)
