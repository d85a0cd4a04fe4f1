"""Staff: who works in a store, in ``staff/<store>``: fields by name, each a register, the last write wins.

    anna                       who she is: public key, role, and the manager who vouches for it (``Cashier``)
    pin/anna                   her private key, sealed under her PIN and the store's secret (``SealedPin``)
    secret/<id>/<author>       the store's secret, sealed to the key of one replica
    locked/<key id>            too many wrong PINs: this key signs on nowhere until a manager gives her another

A PIN is four digits, so what it alone seals is open to whoever tries ten thousand. Therefore 32 random bytes, the **store's
secret**, go into the same argon2id: they lie nowhere in the clear, and only the store's tills, its managers' replicas and the
head office that administers them hold a copy, each sealed to its own key. A stolen copy of the document opens nothing. Whoever
steals a till's disk (and key) and tries PINs gets its cashiers' keys: revoke the till and reset its cashiers.

Nobody is a cashier because a till says so. A record counts if a head office or a manager's replica wrote it, or if a manager
whose own record counts has signed it; else the last write before it counts. So a till that is taken over invents nobody.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import replace
from enum import IntEnum
from typing import Final, cast

from crdt_pos.codec import Extra, Fields, sparse
from crdt_pos.receipt import Receipt
from gossip.document import Document
from gossip.log import Reader
from merge_rules import canonical
from merge_rules.dataclass import dataclass
from merge_rules.errors import InvalidBody
from merge_rules.lattice import AUTHOR_BYTES, Author
from merge_rules.record import RecordEach
from merge_rules.register_lww import RegisterLww
from peers.keys import PublicKey, Signature, verify
from peers.permissions import Role
from peers.roster import Directory

SEALED_BYTES_MAX: Final = 400
FORMER_MAX: Final = 32
KEY_ID_BYTES: Final = 8
SECRET_ID_BYTES: Final = 8
_ID: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,19}")
_VOUCHING: Final = frozenset({Role.OFFICE, Role.MANAGER})
"""Replicas whose word is enough."""


class StaffRole(IntEnum):
    """What a cashier may do."""

    CASHIER = 0
    SUPERVISOR = 1
    """Also voids, refunds without a receipt, pays out."""
    MANAGER = 2
    """Also says who works here, and gives new PINs."""


@dataclass(frozen=True, slots=True)
class Cashier:
    """Who somebody is: the value of the field with the cashier's id."""

    public_key: bytes
    """Ed25519, 32 bytes."""
    role: StaffRole = StaffRole.CASHIER
    left: bool = False
    """Works here no longer: signs nothing any more, but what was signed is still checked."""
    former: tuple[bytes, ...] = ()
    """Public keys before this one, oldest first: what they signed is still checked."""
    voucher: str = ""
    """The manager who vouches; empty where a head office or a manager's replica says so itself."""
    vouch: bytes = b""
    """Her signature over ``statement``."""
    edition: int = 0
    """Counts up with every change, so that an older record, signed as well, cannot be put back."""
    extra: Extra = ()

    @property
    def keys(self) -> tuple[bytes, ...]:
        """Every key that ever signed for this cashier."""
        return (*self.former, self.public_key)

    def statement(self, company: bytes, store: int, name: str) -> bytes:
        """What a manager signs."""
        said = ["crdt-pos cashier", company, store, name, self.public_key, int(self.role), self.left, [*self.former]]
        return canonical.encode([*said, self.voucher, self.edition])

    def body(self) -> dict[int, object]:
        return sparse(
            {
                0: self.public_key,
                1: int(self.role),
                2: self.left,
                3: list(self.former),
                4: self.voucher,
                5: self.vouch,
                6: self.edition,
            },
            self.extra,
        )

    @classmethod
    def from_body(cls, body: object) -> Cashier:
        """Raises ``InvalidBody``."""
        fields = Fields(body, "cashier")
        public_key = fields.octets(0, 32)
        if not public_key:
            raise InvalidBody("cashier: no public key")
        return cls(
            public_key,
            fields.choice(1, StaffRole),
            fields.flag(2),
            fields.items(3, _key)[-FORMER_MAX:],
            fields.text(4),
            fields.octets(5, 64),
            fields.integer(6),
            fields.rest(),
        )


@dataclass(frozen=True, slots=True)
class SealedPin:
    """The value of ``pin/<cashier>``."""

    key_id: bytes
    """Which key is sealed: the first 8 bytes of its public half."""
    secret: bytes
    """Which of the store's secrets it is sealed under: the first 8 bytes of its SHA-256."""
    sealed: bytes
    """``peers.keys.seal_with_passphrase``; the cost stands in it."""

    def body(self) -> dict[int, object]:
        return {0: self.key_id, 1: self.secret, 2: self.sealed}

    @classmethod
    def from_body(cls, body: object) -> SealedPin:
        """Raises ``InvalidBody``."""
        fields = Fields(body, "pin")
        found = cls(
            fields.octets(0, KEY_ID_BYTES),
            fields.octets(1, SECRET_ID_BYTES),
            fields.octets(2, *range(1, SEALED_BYTES_MAX + 1)),
        )
        if not (found.key_id and found.secret and found.sealed):
            raise InvalidBody("pin: something is missing")
        return found


def _key(value: object) -> bytes:
    if not isinstance(value, bytes) or len(value) != 32:
        raise InvalidBody("cashier: a former key is no key")
    return value


@dataclass(frozen=True, slots=True)
class Unvouched:
    """A record of a cashier that counts for nothing."""

    name: str
    author: Author
    why: str


@dataclass(frozen=True, slots=True)
class Staff:
    """What counts of a store's staff document."""

    store: int
    cashiers: Mapping[str, Cashier]
    unvouched: tuple[Unvouched, ...]
    pins: Mapping[str, SealedPin]
    copies: Mapping[tuple[bytes, Author], bytes]
    """(secret's id, replica) → the secret, sealed to that replica."""
    locked: frozenset[bytes]
    """Ids of keys."""

    @classmethod
    def read(cls, reader: Reader, directory: Directory, store: int, rule: type[RecordEach]) -> Staff:
        """What the log says. ``rule`` is the schema's."""
        state = join(reader, store, rule)
        named = {str(name): cast("RegisterLww", register) for name, register in state.fields.items()}
        records = {name: _records(register) for name, register in named.items() if is_id(name)}
        cashiers, unvouched = _vouched(records, directory, store)
        pins: dict[str, SealedPin] = {}
        copies: dict[tuple[bytes, Author], bytes] = {}
        locked: set[bytes] = set()
        for name, register in named.items():
            kind, _, rest = name.partition("/")
            value = register.value()
            try:
                if kind == "pin":
                    pins[rest] = SealedPin.from_body(value)
                elif kind == "secret" and isinstance(value, bytes):
                    secret, _, holder = rest.partition("/")
                    author = bytes.fromhex(holder)
                    if len(author) == AUTHOR_BYTES:
                        copies[bytes.fromhex(secret), Author(author)] = value
                elif kind == "locked":
                    locked.add(bytes.fromhex(rest))
            except (InvalidBody, ValueError):
                continue  # written by a newer version, or by nobody honest: no use here
        return cls(store, cashiers, unvouched, pins, copies, frozenset(locked))

    def active(self, name: str) -> Cashier | None:
        """A cashier who works here."""
        found = self.cashiers.get(name)
        return None if found is None or found.left else found


def staff_document(store: int) -> Document:
    """``staff/<store>``."""
    return Document("staff", 0, (store,))


def join(reader: Reader, store: int, rule: type[RecordEach]) -> RecordEach:
    """The registers of a store's staff document."""
    state = rule.bottom()
    for stored in reader.head_entries(staff_document(store)):
        entry = stored.entry
        state = state.join(rule.from_entry(entry.author, entry.seq, entry.body))
    return state


def is_id(name: str) -> bool:
    """Whether a cashier may be called so: 1 to 20 lower-case letters, digits, dots and dashes."""
    return _ID.fullmatch(name) is not None


def _records(register: RegisterLww) -> list[tuple[Author, Cashier]]:
    """The newest first: that one counts for which somebody vouches."""
    found: list[tuple[int, int, Author, Cashier]] = []
    for author, write in register.writes.items():
        with contextlib.suppress(InvalidBody):
            one = Cashier.from_body(canonical.decode(max(write.values)))
            found.append((one.edition, write.stamp, author, one))
    return [(author, one) for _, _, author, one in sorted(found, key=lambda each: each[:3], reverse=True)]


def _vouched(
    records: Mapping[str, list[tuple[Author, Cashier]]], directory: Directory, store: int
) -> tuple[dict[str, Cashier], tuple[Unvouched, ...]]:
    company = directory.root.company
    managers: dict[str, set[bytes]] = {}
    good: dict[tuple[str, Author], Cashier] = {}
    grew = True
    while grew:  # a manager vouches for a manager: as often as there is somebody new
        grew = False
        for name, writes in records.items():
            for author, one in writes:
                if (name, author) in good or not _counts(one, author, name, managers, directory, company, store):
                    continue
                good[name, author] = one
                grew = True
                if one.role is StaffRole.MANAGER:
                    managers.setdefault(name, set()).update(one.keys)
    cashiers: dict[str, Cashier] = {}
    unvouched: list[Unvouched] = []
    for name, writes in records.items():
        for author, one in writes:
            if (name, author) not in good:
                why = f"no manager '{one.voucher}' has signed it" if one.voucher else "nobody vouches for it"
                unvouched.append(Unvouched(name, author, why))
            elif name not in cashiers:
                cashiers[name] = one
    return cashiers, tuple(unvouched)


def _counts(
    one: Cashier,
    author: Author,
    name: str,
    managers: Mapping[str, set[bytes]],
    directory: Directory,
    company: bytes,
    store: int,
) -> bool:
    certificate = directory.certificate(author)
    if certificate is not None and certificate.role in _VOUCHING:
        return True
    if one.voucher == name:
        return False  # nobody vouches for himself
    keys = managers.get(one.voucher, set())
    said = one.statement(company, store, name)
    return any(verify(PublicKey(key), said, Signature(one.vouch)) for key in keys)


def signed_words(receipt: Receipt, company: bytes) -> bytes:
    """What a cashier signs of a receipt: all of it, in this company."""
    return canonical.encode(["crdt-pos receipt", company, replace(receipt, cashier_signature=b"").body()])


def is_signed(receipt: Receipt, company: bytes, cashier: Cashier) -> bool:
    """Whether one of the cashier's keys has signed a receipt."""
    words, signature = signed_words(receipt, company), Signature(receipt.cashier_signature)
    return any(verify(PublicKey(key), words, signature) for key in cashier.keys)
