"""Tickets: a head office's word, carried by a person, that one new replica may join; and what is asked and answered by it.

A ticket holds a secret that only its office and its bearer know, and the company's id, which is a hash of the root's key. So the
bearer knows the company by its certificates, the office knows the bearer by the secret, and whoever carries their words between
them (a neighbour, a stranger, a memory stick) reads and changes nothing:

    ticket   = [1, company, office, name, secret: 20 bytes, [* [host, port]]]     ; as text: CRDTPOS-, base32, 4 bytes of check
    id       = the first 8 bytes of a hash of the secret
    request  = [1, company, office, id, box]       box = [public key, signature], locked with a key made of the secret
    answer   = [outcome] / [0, box]                box = [outcome, text, [* certificate], root], locked likewise

The request is signed with the new key, so that nobody has another's enrolled; the answer's key is also made of the request, so
that it answers no other. What stands outside of a box is a hint. ``PROTOCOL.md`` §12 says the same for those who write another
implementation. Pure: secrets and time are arguments.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import field
from enum import IntEnum
from typing import Final, cast

from crdt_pos.errors import EnrolmentRefused
from gossip.address import Address
from merge_rules import canonical
from merge_rules.dataclass import dataclass
from merge_rules.errors import NotCanonical
from merge_rules.lattice import AUTHOR_BYTES, Author
from peers.certificates import CERTIFICATE_BYTES_MAX, COMPANY_BYTES, Company
from peers.errors import SealError
from peers.keys import SIGNATURE_BYTES, PublicKey, SecretKey, Signature, lock, unlock, verify

SECRET_BYTES: Final = 20
ID_BYTES: Final = 8
PUBLIC_KEY_BYTES: Final = 32
ADDRESSES_MAX: Final = 4
HOST_CHARACTERS_MAX: Final = 80
NAME_CHARACTERS_MAX: Final = 40
TEXT_CHARACTERS_MAX: Final = 2048
"""Of a ticket as a person carries it."""
SENTENCE_CHARACTERS_MAX: Final = 400
PREFIX: Final = "CRDTPOS-"
AN_OFFICE: Final = "office"
"""The name in a ticket for a head office, which gets its letter only when it is admitted."""
_VERSION: Final = 1
_CHECK_BYTES: Final = 4
_WORD: Final = "crdt-pos join"


class Outcome(IntEnum):
    """What a request to join leads to. Numbers never change their meaning."""

    ADMITTED = 0
    WAITING = 1
    """A head office, which a person with the root key has still to admit."""
    USED = 2
    EXPIRED = 3
    REFUSED = 4
    """The text says why."""
    WITHDRAWN = 5
    OTHER_COMPANY = 16
    UNKNOWN = 17
    """There is no such ticket, or the request was not made with it: nobody here can lock an answer."""
    UNREACHABLE = 18
    """The office of the ticket cannot be reached from here."""
    BUSY = 19


OPEN: Final = frozenset(outcome for outcome in Outcome if outcome >= Outcome.OTHER_COMPANY)
"""What may be answered without the secret."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a person carries to the new machine. Whoever has it can join once: it is kept like a key until then."""

    company: Company
    office: Author
    """Who issued it, and alone redeems it."""
    name: str
    """What joins: ``12-3``, ``relay-1``, or ``AN_OFFICE``."""
    secret: bytes = field(repr=False)
    addresses: tuple[Address, ...] = ()
    """Where the office may be reached; at most ``ADDRESSES_MAX``."""

    @property
    def id(self) -> bytes:
        """Which ticket it is; tells nothing of the secret."""
        return ticket_id(self.secret)

    def text(self) -> str:
        """The ticket in capital letters, digits and a dash."""
        addresses = [[one.host, one.port] for one in self.addresses]
        content = canonical.encode([_VERSION, self.company, self.office, self.name, self.secret, addresses])
        whole = content + hashlib.sha256(content).digest()[:_CHECK_BYTES]
        return PREFIX + base64.b32encode(whole).decode("ascii").rstrip("=")

    @classmethod
    def parse(cls, text: str) -> Ticket:
        """A ticket from its text; spaces, further dashes and small letters do not matter. Raises ``EnrolmentRefused``.

        >>> ticket = Ticket(Company(b"c" * 16), Author(b"o" * 8), "12-3", b"s" * 20, (Address("10.0.0.1", 7420),))
        >>> Ticket.parse(ticket.text().lower()) == ticket
        True
        """
        said = "".join(text.split()).upper().replace("-", "")
        marked, body = PREFIX.rstrip("-"), said.removeprefix(PREFIX.rstrip("-"))
        if len(text) > TEXT_CHARACTERS_MAX or not said.startswith(marked):
            raise EnrolmentRefused(f"This is no ticket: one begins with {PREFIX}.")
        try:
            whole = base64.b32decode(body + "=" * (-len(body) % 8))
        except (binascii.Error, ValueError):
            whole = b""
        content, check = whole[:-_CHECK_BYTES], whole[-_CHECK_BYTES:]
        exact = base64.b32encode(whole).decode("ascii").rstrip("=") == body  # the last letter has bits to spare
        if not content or not exact or hashlib.sha256(content).digest()[:_CHECK_BYTES] != check:
            raise EnrolmentRefused("This ticket is not whole, or has a letter wrong: copy it again.")
        ticket = cls._read(_decoded(content))
        if ticket is None:
            raise EnrolmentRefused("This ticket was made by a version of crdt-pos that is not known here.")
        return ticket

    @classmethod
    def _read(cls, value: object) -> Ticket | None:
        match value:
            case [1, bytes(company), bytes(office), str(name), bytes(secret), object() as addresses] if (
                len(company) == COMPANY_BYTES
                and len(office) == AUTHOR_BYTES
                and 0 < len(name) <= NAME_CHARACTERS_MAX
                and name.isprintable()
                and len(secret) == SECRET_BYTES
            ):
                found = _addresses(addresses)
                return None if found is None else cls(Company(company), Author(office), name, secret, found)
            case _:
                return None


@dataclass(frozen=True, slots=True)
class Request:
    """A request as anybody reads it. The box opens with the ticket's secret only."""

    company: Company
    office: Author
    ticket: bytes
    box: bytes = field(repr=False)
    raw: bytes = field(repr=False)

    @classmethod
    def decode(cls, raw: bytes) -> Request | None:
        """``None`` for what is no request."""
        match _decoded(raw):
            case [1, bytes(company), bytes(office), bytes(ticket), bytes(box)] if (
                len(company) == COMPANY_BYTES and len(office) == AUTHOR_BYTES and len(ticket) == ID_BYTES
            ):
                return cls(Company(company), Author(office), ticket, box, raw)
            case _:
                return None

    def opened(self, secret: bytes) -> PublicKey | None:
        """The key that asks to be enrolled; ``None`` unless the request was made with this secret, and by that key."""
        try:
            plain = unlock(_key(secret, b"ask"), self.box, _outside(self.company, self.office, self.ticket))
        except SealError:
            return None
        match _decoded(plain):
            case [bytes(public), bytes(signature)] if (
                len(public) == PUBLIC_KEY_BYTES and len(signature) == SIGNATURE_BYTES
            ):
                signed = _signed(self.company, self.office, self.ticket, PublicKey(public))
                return PublicKey(public) if verify(PublicKey(public), signed, Signature(signature)) else None
            case _:
                return None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request led to."""

    outcome: Outcome
    text: str = ""
    """Why, in a sentence, where it says no."""
    chain: tuple[bytes, ...] = ()
    """In DER, the new replica's first; to be proven up to ``root``."""
    root: bytes = b""
    """In DER; to be compared with the company of the ticket."""


def ticket_id(secret: bytes) -> bytes:
    """The id of the ticket with this secret."""
    return hashlib.blake2b(secret, digest_size=ID_BYTES, person=b"crdt-pos ticket").digest()


def make_request(ticket: Ticket, key: SecretKey) -> bytes:
    """Ask that ``key`` be enrolled as the ticket says."""
    outside = [ticket.company, ticket.office, ticket.id]
    plain = canonical.encode([key.public, key.sign(_signed(ticket.company, ticket.office, ticket.id, key.public))])
    box = lock(_key(ticket.secret, b"ask"), plain, _outside(ticket.company, ticket.office, ticket.id))
    return canonical.encode([_VERSION, *outside, box])


def encode_answer(answer: Answer, secret: bytes, request: bytes) -> bytes:
    """An answer for whoever made ``request`` with ``secret``."""
    said = [int(answer.outcome), answer.text[:SENTENCE_CHARACTERS_MAX], list(answer.chain), answer.root]
    return canonical.encode([0, lock(_key(secret, b"answer", request), canonical.encode(said), b"")])


def open_answer(outcome: Outcome) -> bytes:
    """An answer of somebody who does not know the ticket's secret."""
    assert outcome in OPEN
    return canonical.encode([int(outcome)])


def outcome_of(raw: bytes) -> Outcome | None:
    """The outcome of an answer that is not locked; ``None`` for others."""
    match _decoded(raw):
        case [int(code)] if code in OPEN:
            return Outcome(code)
        case _:
            return None


def is_locked(raw: bytes) -> bool:
    """Whether an answer has the form of a locked one; whether it is one, only the ticket's secret tells."""
    match _decoded(raw):
        case [0, bytes()]:
            return True
        case _:
            return False


def decode_answer(raw: bytes, secret: bytes, request: bytes) -> Answer | None:
    """``None`` for what nobody can have answered who knows the ticket, unless it is one of ``OPEN``."""
    outcome = outcome_of(raw)
    if outcome is not None:
        return Answer(outcome)
    match _decoded(raw):
        case [0, bytes(box)]:
            return _answer(_unlocked(_key(secret, b"answer", request), box))
        case _:
            return None


def encode_seed(entries: Sequence[bytes], secret: bytes, request: bytes) -> bytes:
    """The roster's entries, for an answer that travels without a network."""
    return lock(_key(secret, b"roster", request), canonical.encode(list(entries)), b"")


def decode_seed(box: bytes, secret: bytes, request: bytes) -> tuple[bytes, ...] | None:
    """The entries of ``encode_seed``; ``None`` if it was not made by an office for this request."""
    return _octets(_unlocked(_key(secret, b"roster", request), box))


def _answer(value: object) -> Answer | None:
    match value:
        case [int(code), str(text), object() as said, bytes(root)] if (
            code in set(Outcome) - OPEN
            and len(text) <= SENTENCE_CHARACTERS_MAX
            and len(root) <= CERTIFICATE_BYTES_MAX
            and (chain := _octets(said, 2)) is not None
        ):
            return Answer(Outcome(code), text, chain, root)
        case _:
            return None


def _octets(value: object, count_max: int | None = None) -> tuple[bytes, ...] | None:
    items = cast("list[object]", value) if isinstance(value, list) else None
    if items is None or (count_max is not None and len(items) > count_max):
        return None
    found = tuple(one for one in items if isinstance(one, bytes))
    return found if len(found) == len(items) else None


def _addresses(value: object) -> tuple[Address, ...] | None:
    items = cast("list[object]", value) if isinstance(value, list) else []
    found = tuple(one for one in map(_address, items) if one is not None)
    return found if isinstance(value, list) and len(found) == len(items) <= ADDRESSES_MAX else None


def _address(value: object) -> Address | None:
    match value:
        case [str(host), int(port)] if 0 < len(host) <= HOST_CHARACTERS_MAX and 0 < port < 65536:
            return Address(host, port)
        case _:
            return None


def _outside(company: Company, office: Author, ticket: bytes) -> bytes:
    return canonical.encode([company, office, ticket])


def _signed(company: Company, office: Author, ticket: bytes, public: PublicKey) -> bytes:
    return canonical.encode([_WORD, company, office, ticket, public])


def _key(secret: bytes, purpose: bytes, request: bytes = b"") -> bytes:
    return hashlib.blake2b(request, key=secret, digest_size=32, person=b"crdt-pos " + purpose).digest()


def _unlocked(key: bytes, box: bytes) -> object:
    try:
        return _decoded(unlock(key, box, b""))
    except SealError:
        return None


def _decoded(raw: bytes) -> object:
    try:
        return canonical.decode(raw)
    except NotCanonical:
        return None
