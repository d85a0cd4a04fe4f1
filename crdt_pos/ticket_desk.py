"""The ticket desk: a head office's ticket book, whether the office runs or not.

At an office that does not run the book is opened on its log; one that runs is asked over its local socket, and decides by the
same book. What the book says is read beside it from the office's own folder.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

from crdt_pos.clock import system_ms
from crdt_pos.enrolment import at_office
from crdt_pos.folder import OFFICE_PORT, Folder, Settings, parse_address
from crdt_pos.local import Declined, Message
from crdt_pos.local_shapes import Asked
from crdt_pos.registrar import NUMBER_MAX, Registrar
from crdt_pos.registrar_link import RegistrarLink, chain_asked
from crdt_pos.ticket_book import Seat, TicketBook
from crdt_pos.tickets import ADDRESSES_MAX, ID_BYTES, SECRET_BYTES, TEXT_CHARACTERS_MAX, Ticket
from gossip.address import Address
from gossip.doorbell import QUESTION_BYTES_MAX
from peers.addresses import local_addresses
from peers.permissions import Role

if TYPE_CHECKING:
    from crdt_pos.replica import RunningReplica

T = TypeVar("T")


class Desk(Protocol):
    """What a person does with tickets. All raise ``EnrolmentRefused``."""

    def issue(self, seat: Seat, secret: bytes, expires_ms: int, addresses: Sequence[Address] = ()) -> Ticket:
        """A ticket for ``seat``; without ``addresses`` it names those where the office listens."""
        ...

    def withdraw(self, ticket: bytes) -> None:
        """The ticket with this id is good for nothing any more."""
        ...

    def answer(self, raw: bytes, via: str) -> bytes:
        """The answer to a request to join."""
        ...

    def next_letter(self) -> str:
        """The letter for a further head office."""
        ...

    def admit_office(self, ticket: bytes, chain: Sequence[bytes]) -> None:
        """State a head office that waits, with the certificate that the root key has signed."""
        ...


@contextmanager
def at_desk(office: Folder, now_ms: int) -> Generator[Desk]:
    """The desk of an office. Raises ``EnrolmentRefused``, ``FolderError``."""
    with at_office(office, now_ms) as registrar:
        if isinstance(registrar, RegistrarLink):
            yield _Beside(registrar)
        else:
            yield _Alone(office, registrar, now_ms)


def reached_at(settings: Settings, port: int) -> tuple[Address, ...]:
    """Where others may reach a replica that listens on ``port``; none if that is not known before it runs."""
    if port == 0:
        return ()
    anywhere = settings.listen.host in ("", "0.0.0.0", "::")  # noqa: S104  compared, not listened on
    hosts = (settings.interfaces or local_addresses()) if anywhere else (settings.listen.host,)
    return tuple(Address(host, port) for host in hosts[:ADDRESSES_MAX])


class _Alone:
    """At an office that does not run."""

    def __init__(self, office: Folder, registrar: Registrar, now_ms: int) -> None:
        self._office = office
        self._book = TicketBook(office, registrar.log, now_ms)

    def issue(self, seat: Seat, secret: bytes, expires_ms: int, addresses: Sequence[Address] = ()) -> Ticket:
        settings = self._office.settings
        return self._book.issue(seat, secret, expires_ms, addresses or reached_at(settings, settings.listen.port))

    def withdraw(self, ticket: bytes) -> None:
        self._book.withdraw(ticket)

    def answer(self, raw: bytes, via: str) -> bytes:
        return self._book.answer(raw, via)

    def next_letter(self) -> str:
        return self._book.next_letter()

    def admit_office(self, ticket: bytes, chain: Sequence[bytes]) -> None:
        self._book.admit_office(ticket, chain)


class _Beside:
    """At an office that runs in another process."""

    def __init__(self, link: RegistrarLink) -> None:
        self._link = link

    def issue(self, seat: Seat, secret: bytes, expires_ms: int, addresses: Sequence[Address] = ()) -> Ticket:
        said = self._link.call(
            "issue_ticket",
            role=str(seat.role),
            store=seat.store,
            number=seat.number,
            again=seat.again,
            secret=secret.hex(),
            expires_ms=expires_ms,
            addresses=[{"address": str(one)} for one in addresses],
        )
        return Ticket.parse(str(said["ticket"]))

    def withdraw(self, ticket: bytes) -> None:
        self._link.call("withdraw_ticket", ticket=ticket.hex())

    def answer(self, raw: bytes, via: str) -> bytes:
        return bytes.fromhex(str(self._link.call("join", request=raw.hex(), via=via)["answer"]))

    def next_letter(self) -> str:
        return self._link.next_letter()

    def admit_office(self, ticket: bytes, chain: Sequence[bytes]) -> None:
        self._link.call("admit_office", ticket=ticket.hex(), chain=[der.hex() for der in chain])


class TicketCommands:
    """The requests about tickets that a running head office answers on its local socket."""

    def __init__(self, replica: RunningReplica) -> None:
        self._replica = replica

    def answers(self) -> dict[str, Callable[[Asked], Awaitable[Message]]]:
        """Name → what answers it."""
        return {
            "issue_ticket": self._issue,
            "withdraw_ticket": self._withdraw,
            "join": self._join,
            "admit_office": self._admit_office,
        }

    async def _issue(self, asked: Asked) -> Message:
        try:
            role = Role(asked.text("role"))
        except ValueError as error:
            raise Declined("'role' is no role.", "BadRequest") from error
        numbers = asked.integer("store", 0, high=NUMBER_MAX), asked.integer("number", 0, high=NUMBER_MAX)
        seat = Seat(role, *numbers, again=asked.flag("again"))
        secret, expires_ms = _octets(asked, "secret", SECRET_BYTES), asked.integer("expires_ms")
        addresses = asked.each("addresses", lambda one: parse_address(one.text("address"), OFFICE_PORT))
        asked.end()
        listening = self._replica.listening
        port = 0 if listening is None else listening.port
        said = addresses or reached_at(self._replica.folder.settings, port)
        ticket = await self._decide(lambda book: book.issue(seat, secret, expires_ms, said))
        return {"ticket": ticket.text()}

    async def _withdraw(self, asked: Asked) -> Message:
        ticket = _octets(asked, "ticket", ID_BYTES)
        asked.end()
        await self._decide(lambda book: book.withdraw(ticket))
        return {}

    async def _join(self, asked: Asked) -> Message:
        request, via = asked.text("request", characters_max=2 * QUESTION_BYTES_MAX), asked.text("via")
        asked.end()
        try:
            raw = bytes.fromhex(request)
        except ValueError as error:
            raise Declined("'request' is not in hexadecimal digits.", "BadRequest") from error
        return {"answer": (await self._decide(lambda book: book.answer(raw, via))).hex()}

    async def _admit_office(self, asked: Asked) -> Message:
        ticket, chain = _octets(asked, "ticket", ID_BYTES), chain_asked(asked)
        asked.end()
        await self._decide(lambda book: book.admit_office(ticket, chain))
        return {}

    async def _decide(self, decide: Callable[[TicketBook], T]) -> T:
        replica = self._replica
        return await replica.state(lambda: decide(TicketBook(replica.folder, replica.log, system_ms())))


def _octets(asked: Asked, name: str, count: int) -> bytes:
    text = asked.text(name, characters_max=TEXT_CHARACTERS_MAX)
    try:
        octets = bytes.fromhex(text)
    except ValueError:
        octets = b""
    if len(octets) != count:
        raise Declined(f"'{name}' is not {count} bytes in hexadecimal digits.", "BadRequest")
    return octets
