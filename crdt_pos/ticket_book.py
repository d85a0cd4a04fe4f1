"""The ticket book of a head office: what it has issued, what came of it, and who tried what.

Only the office that issued a ticket redeems it, so the book need not travel: it stands in the office's own log, beside the
entries and in their transactions. An enrolment and the word that its ticket is used are one transaction, therefore: whoever is
killed between redeeming and answering, or whose answer is lost, asks again with the same key and gets the same certificate. The
clock that tells when a ticket expires is the office's own.

A ticket for a head office cannot be redeemed by the office alone: the root key signs, and no running replica holds it. Such a
request waits, under the key that came with it, until a person admits it with the root key (``crdt-pos admit``), whose
command signs and hands over the certificate only.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import field, replace
from enum import IntEnum
from typing import Final, cast

from crdt_pos.errors import EnrolmentRefused
from crdt_pos.folder import Folder
from crdt_pos.registrar import Registrar
from crdt_pos.tickets import (
    AN_OFFICE,
    Answer,
    Outcome,
    Request,
    Ticket,
    encode_answer,
    open_answer,
    ticket_id,
)
from gossip.address import Address
from gossip.log import Log, Reader, View
from merge_rules import canonical
from merge_rules.dataclass import dataclass
from peers import certificates
from peers.certificates import Certificate
from peers.keys import PublicKey
from peers.permissions import Role

EXPIRES_MS_MAX: Final = 90 * 24 * 3_600_000
TICKETS_MAX: Final = 1_000
"""In the book; those that ended longest ago make room."""
ATTEMPTS_MAX: Final = 16
"""The newest of each ticket are kept."""
STRANGERS_MAX: Final = 64
"""The newest with no ticket of ours are kept."""
VIA_CHARACTERS_MAX: Final = 60

_TICKET: Final = b"ticket/"
_STRANGERS: Final = b"tickets-unknown"
_log = logging.getLogger("crdt_pos.tickets")


class State(IntEnum):
    """What has become of a ticket."""

    OPEN = 0
    WAITING = 1
    USED = 2
    WITHDRAWN = 3


@dataclass(frozen=True, slots=True)
class Seat:
    """What a ticket is for."""

    role: Role
    store: int = 0
    """Of a till or manager."""
    number: int = 0
    """Of a till or manager in its store, or of a relay."""
    again: bool = False
    """It is enrolled already, and its disk is lost."""

    @property
    def name(self) -> str:
        """``12-3``, ``12-m1``, ``relay-1``; of a head office ``AN_OFFICE``, since its letter is not chosen yet."""
        if self.role is Role.TILL:
            return certificates.till_name(self.store, self.number)
        if self.role is Role.MANAGER:
            return certificates.manager_name(self.store, self.number)
        return AN_OFFICE if self.role is Role.OFFICE else f"{self.role}-{self.number}"


@dataclass(frozen=True, slots=True)
class Attempt:
    """Somebody asked to join."""

    at_ms: int
    outcome: Outcome
    via: str
    """Whence it came: an address, the neighbour that passed it on, or ``file``."""
    key: bytes = b""
    """The first 8 bytes of the key that asked; empty where the request could not be opened."""


@dataclass(frozen=True, slots=True)
class Issued:
    """One ticket, as the book has it."""

    seat: Seat
    secret: bytes = field(repr=False)
    issued_ms: int
    expires_ms: int
    state: State = State.OPEN
    public: bytes = b""
    """Whose key redeemed it, or waits."""
    chain: tuple[bytes, ...] = ()
    """What it was redeemed for."""
    attempts: tuple[Attempt, ...] = ()

    @property
    def id(self) -> bytes:
        """Which ticket it is."""
        return ticket_id(self.secret)

    def joined(self) -> Certificate | None:
        """What joined with it."""
        return certificates.parse(self.chain[0]) if self.chain else None

    def ended_ms(self, now_ms: int) -> int | None:
        """Since when it cannot be redeemed any more; ``None`` while it can."""
        if self.state in (State.USED, State.WITHDRAWN):
            return self.attempts[-1].at_ms if self.attempts else self.issued_ms
        return self.expires_ms if self.expires_ms < now_ms else None


class TicketBook:
    """An office's tickets on its log, which nobody else writes meanwhile. All methods raise ``LogFull``."""

    def __init__(self, office: Folder, log: Log, now_ms: int, registrar: Callable[[], Registrar] | None = None) -> None:
        self.enrolled = False
        """Whether an answer has written in the roster."""
        self._office = office
        self._log = log
        self._now_ms = now_ms
        self._registrar = registrar or (lambda: Registrar(office, log, now_ms))

    def issue(self, seat: Seat, secret: bytes, expires_ms: int, addresses: Sequence[Address] = ()) -> Ticket:
        """A ticket for ``seat``, which ``secret`` names. Raises ``EnrolmentRefused`` for what could not join."""
        if not 0 < expires_ms - self._now_ms <= EXPIRES_MS_MAX:
            raise EnrolmentRefused("A ticket is good for a minute to 90 days.")
        registrar = self._registrar()
        if seat.role is Role.TILL:
            registrar.refuse_till(seat.store, seat.number, again=seat.again)
        elif seat.role is Role.MANAGER:
            registrar.refuse_manager(seat.store, seat.number, again=seat.again)
        elif seat.role is Role.RELAY:
            registrar.refuse_relay(seat.number, again=seat.again)
        issued = Issued(seat, secret, self._now_ms, expires_ms)
        with self._log.read() as reader:
            views = [*self._room(tickets(reader)), _view(issued)]
        self._write(views)
        own = self._office.certificate
        return Ticket(own.company, own.author, seat.name, secret, tuple(addresses))

    def withdraw(self, ticket: bytes) -> Issued:
        """A ticket that was lost on its way is good for nothing any more. Raises ``EnrolmentRefused``."""
        issued = self._named(ticket)
        if issued.state is State.USED:
            raise EnrolmentRefused(f"{issued.seat.name} has joined with it already: revoke {issued.seat.name} instead.")
        withdrawn = replace(issued, state=State.WITHDRAWN)
        self._write([_view(withdrawn)])
        return withdrawn

    def answer(self, raw: bytes, via: str) -> bytes:
        """The answer to a request; what it led to stands in the book before it is given."""
        request = Request.decode(raw)
        if request is None:
            return self._stranger(Outcome.UNKNOWN, via)
        if request.company != self._office.root.company:
            return self._stranger(Outcome.OTHER_COMPANY, via)
        with self._log.read() as reader:
            issued = find(reader, request.ticket)
        public = None if issued is None else request.opened(issued.secret)
        if issued is None or public is None:
            return self._stranger(Outcome.UNKNOWN, via)
        return encode_answer(self._decided(issued, public, via), issued.secret, raw)

    def waiting(self) -> list[Issued]:
        """Requests for a head office that wait for the root key, oldest first."""
        with self._log.read() as reader:
            return waiting(reader, self._now_ms)

    def next_letter(self) -> str:
        """The letter for a further head office."""
        return self._registrar().next_letter()

    def admit_office(self, ticket: bytes, chain: Sequence[bytes], via: str = "") -> None:
        """State a head office that waits, whose certificate the root key has signed. Raises ``EnrolmentRefused``."""
        issued = self._named(ticket)
        if issued.state is not State.WAITING or issued.ended_ms(self._now_ms) is not None:
            raise EnrolmentRefused("Nobody waits with this ticket any more.")
        if certificates.parse(chain[0]).public_key != issued.public:
            raise EnrolmentRefused("This certificate is for another key than the one that waits.")
        used = self._noted(replace(issued, state=State.USED, chain=tuple(chain)), Outcome.ADMITTED, via)
        self._registrar().add_office(chain, also=lambda: [_view(used)])

    def _decided(self, issued: Issued, public: PublicKey, via: str) -> Answer:
        if issued.state is State.USED and issued.public == public:
            return self._admitted(issued.chain)
        refused = self._refused(issued, public)
        if refused is not None:
            self._refuse(issued, refused, via, public)
            return Answer(refused)
        mine = replace(issued, public=public)
        if issued.seat.role is Role.OFFICE:
            if issued.state is State.OPEN:
                self._write([_view(self._noted(replace(mine, state=State.WAITING), Outcome.WAITING, via))])
            return Answer(Outcome.WAITING)
        used = self._noted(replace(mine, state=State.USED), Outcome.ADMITTED, via)
        try:
            chain = self._enrolled(used)
        except EnrolmentRefused as no:
            self._refuse(issued, Outcome.REFUSED, via, public)
            return Answer(Outcome.REFUSED, str(no))
        self.enrolled = True
        return self._admitted(chain)

    def _refused(self, issued: Issued, public: PublicKey) -> Outcome | None:
        if issued.state is State.WITHDRAWN:
            return Outcome.WITHDRAWN
        if issued.state is State.USED or (issued.state is State.WAITING and issued.public != public):
            return Outcome.USED
        return Outcome.EXPIRED if issued.expires_ms < self._now_ms else None

    def _enrolled(self, used: Issued) -> tuple[bytes, ...]:
        seat, public, registrar = used.seat, PublicKey(used.public), self._registrar()

        def also(chain: tuple[bytes, ...]) -> list[View]:
            return [_view(replace(used, chain=chain))]

        if seat.role is Role.TILL:
            return registrar.enrol_till(seat.store, seat.number, public, again=seat.again, also=also)
        if seat.role is Role.MANAGER:
            return registrar.enrol_manager(seat.store, seat.number, public, again=seat.again, also=also)
        return registrar.enrol_relay(seat.number, public, again=seat.again, also=also)

    def _admitted(self, chain: tuple[bytes, ...]) -> Answer:
        return Answer(Outcome.ADMITTED, "", chain, self._office.root.der)

    def _refuse(self, issued: Issued, outcome: Outcome, via: str, public: PublicKey) -> None:
        why = outcome.name.lower()
        told = {"event": "join_refused", "name_asked_for": issued.seat.name, "via": via, "reason": why}
        _log.warning("refused to let %s join, asked via %s: %s", issued.seat.name, via, why, extra=told)
        self._write([_view(self._noted(issued, outcome, via, public))])

    def _stranger(self, outcome: Outcome, via: str) -> bytes:
        why = outcome.name.lower()
        told = {"event": "join_refused", "via": via, "reason": why}
        _log.warning("refused somebody who asked to join via %s: %s", via, why, extra=told)
        with self._log.read() as reader:
            known = strangers(reader)
        kept = (*known, Attempt(self._now_ms, outcome, via[:VIA_CHARACTERS_MAX]))[-STRANGERS_MAX:]
        self._write([(_STRANGERS, canonical.encode([_plain(one) for one in kept]))])
        return open_answer(outcome)

    def _noted(self, issued: Issued, outcome: Outcome, via: str, public: PublicKey | None = None) -> Issued:
        key = bytes(issued.public if public is None else public)[:8]
        attempt = Attempt(self._now_ms, outcome, via[:VIA_CHARACTERS_MAX], key)
        return replace(issued, attempts=(*issued.attempts, attempt)[-ATTEMPTS_MAX:])

    def _named(self, ticket: bytes) -> Issued:
        with self._log.read() as reader:
            issued = find(reader, ticket)
        if issued is None:
            raise EnrolmentRefused(f"There is no ticket {ticket.hex()} in the book of {self._office.certificate.name}.")
        return issued

    def _room(self, book: Sequence[Issued]) -> list[View]:
        ended = [(since, one) for one in book if (since := one.ended_ms(self._now_ms)) is not None]
        surplus = len(book) + 1 - TICKETS_MAX
        if surplus > len(ended):
            raise EnrolmentRefused(f"{TICKETS_MAX} tickets are open already: withdraw some first.")
        ended.sort(key=lambda one: one[0])
        return [(_TICKET + one.id, None) for _, one in ended[: max(surplus, 0)]]

    def _write(self, views: Sequence[View]) -> None:
        self._log.append([], views, received_ms=self._now_ms)


# --- reading, also beside a running office ---------------------------------------------------------------------------


def tickets(reader: Reader) -> list[Issued]:
    """Every ticket in the book, oldest first."""
    return sorted((_issued(value) for _, value in reader.views(_TICKET)), key=lambda one: (one.issued_ms, one.id))


def find(reader: Reader, ticket: bytes) -> Issued | None:
    """The ticket with this id."""
    value = reader.view(_TICKET + ticket)
    return None if value is None else _issued(value)


def waiting(reader: Reader, now_ms: int) -> list[Issued]:
    """Requests for a head office that wait for the root key, oldest first."""
    return [one for one in tickets(reader) if one.state is State.WAITING and one.ended_ms(now_ms) is None]


def strangers(reader: Reader) -> list[Attempt]:
    """The newest attempts with no ticket of this office, oldest first."""
    value = reader.view(_STRANGERS)
    return [] if value is None else [_attempt(one) for one in cast("list[object]", canonical.decode(value))]


def _view(issued: Issued) -> View:
    seat = issued.seat
    value = canonical.encode(
        [
            [str(seat.role), seat.store, seat.number, seat.again],
            issued.secret,
            issued.issued_ms,
            issued.expires_ms,
            int(issued.state),
            issued.public,
            list(issued.chain),
            [_plain(one) for one in issued.attempts],
        ]
    )
    return _TICKET + issued.id, value


def _issued(value: bytes) -> Issued:
    seat, secret, issued_ms, expires_ms, state, public, chain, attempts = cast(
        "tuple[tuple[str, int, int, bool], bytes, int, int, int, bytes, list[bytes], list[object]]",
        canonical.decode(value),
    )
    role, store, number, again = seat
    return Issued(
        Seat(Role(role), store, number, again),
        secret,
        issued_ms,
        expires_ms,
        State(state),
        public,
        tuple(chain),
        tuple(_attempt(one) for one in attempts),
    )


def _plain(attempt: Attempt) -> object:
    return [attempt.at_ms, int(attempt.outcome), attempt.via, attempt.key]


def _attempt(value: object) -> Attempt:
    at_ms, outcome, via, key = cast("tuple[int, int, str, bytes]", value)
    return Attempt(at_ms, Outcome(outcome), via, key)
