"""Cashiers at a replica: who works here, and who has signed on. The shapes are ``crdt_pos.staff``'s.

A head office and a manager's replica act by themselves; at a till a manager says who she is, with her PIN, and her key signs
what she decides. None of it needs anybody else: a till that is cut off gives a new PIN as well as any.

A new PIN is a new key. The old one stays named, so that what it signed is still checked, and nobody, no manager either, ever
opens another's key.

Wrong PINs are counted for each key at each till, in a view that outlives a restart: after ``FREE_TRIES`` each costs twice the
wait of the one before, and after ``TRIES_MAX`` the key is locked in the whole store until a manager gives another PIN.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Final, cast

from crdt_pos.errors import CashierRefused, NotAllowedHere, NotSignedOn, WrongPin
from crdt_pos.receipt import DrawerAct, Receipt, ReceiptType
from crdt_pos.schema import SCHEMA, STAFF, STAFF_RULE
from crdt_pos.staff import (
    FORMER_MAX,
    KEY_ID_BYTES,
    SECRET_ID_BYTES,
    Cashier,
    SealedPin,
    Staff,
    StaffRole,
    is_id,
    join,
    signed_words,
    staff_document,
)
from gossip.entry import FeedId, Head
from gossip.log import Arrival, Log, Reader
from gossip.own_feed import OwnFeed
from merge_rules import canonical
from merge_rules.dataclass import dataclass
from merge_rules.lattice import Author
from merge_rules.register_lww import RegisterLww
from peers.errors import SealError
from peers.keys import (
    INTERACTIVE,
    PassphraseCost,
    SecretKey,
    open_with_passphrase,
    seal,
    seal_with_passphrase,
    sealing_key,
    sealing_public,
)
from peers.permissions import Role
from peers.roster import Directory

PIN_DIGITS: Final = range(4, 13)
FREE_TRIES: Final = 3
FIRST_WAIT_MS: Final = 2_000
TRIES_MAX: Final = 8
SECRET_BYTES: Final = 32
COST_MAX: Final = PassphraseCost(8, 256 << 20)
"""What a sealed key may ask of a till that opens it."""
_WRONG: Final = b"staff/wrong/"

SUPERVISED: Final[Mapping[ReceiptType, Callable[[Receipt], bool]]] = {
    ReceiptType.VOID: lambda _: True,
    ReceiptType.REFUND: lambda act: act.undoes is None or not act.undoes.number,
    ReceiptType.DRAWER: lambda act: act.drawer is DrawerAct.PAID_OUT,
}
"""What a cashier does not do alone."""


@dataclass(frozen=True, slots=True)
class OnDuty:
    """Who has signed on. Lives in memory only."""

    name: str
    role: StaffRole
    key: SecretKey
    company: bytes

    def signed(self, act: Receipt) -> Receipt:
        """The act in this cashier's name. Raises ``NotAllowedHere``."""
        supervised = SUPERVISED.get(act.type)
        if self.role < StaffRole.SUPERVISOR and supervised is not None and supervised(act):
            raise NotAllowedHere
        act = replace(act, cashier=self.name, cashier_signature=b"")
        return replace(act, cashier_signature=self.key.sign(signed_words(act, self.company)))


@dataclass(frozen=True, slots=True)
class Deciding:
    """Who decides about cashiers: a manager who has shown her PIN, or a replica whose word is enough (``None``)."""

    manager: OnDuty | None = None

    def vouched(self, one: Cashier, store: int, name: str, company: bytes) -> Cashier:
        """The record, signed."""
        if self.manager is None:
            return replace(one, voucher="", vouch=b"")
        one = replace(one, voucher=self.manager.name, vouch=b"")
        return replace(one, vouch=self.manager.key.sign(one.statement(company, store, name)))


class Cashiers:
    """The cashiers of one store, as one replica knows them. Call it from the thread that appends."""

    def __init__(
        self,
        log: Log,
        key: SecretKey,
        author: Author,
        role: Role,
        store: int,
        directory: Callable[[], Directory],
        now_ms: Callable[[], int],
        cost: PassphraseCost = INTERACTIVE,
    ) -> None:
        """``cost``: of one try of a PIN that is sealed here from now on."""
        self._log = log
        self._key = key
        self._author = author
        self._role = role
        self._store = store
        self._directory = directory
        self._now_ms = now_ms
        self._cost = cost
        self._duty: OnDuty | None = None
        self._seen: tuple[tuple[Head, ...], ...] = ()
        self._needed = False

    # ---- at the till ----------------------------------------------------------------------------------------------------

    def sign_on(self, name: str, pin: str) -> OnDuty:
        """From here on acts are signed by this cashier. Raises ``CashierRefused``, ``WrongPin``."""
        self._duty = duty = self._opened(name, pin)
        staff = self.read()
        secret, copies = self._secret(staff)
        if _secret_id(secret) != staff.pins[name].secret:
            # Whoever takes part no more has a copy of the one before.
            self._write({**copies, **self._sealed(name, duty.key, pin, secret)})
        self.share()
        return duty

    def sign_off(self) -> str:
        """Nobody is at this till any more; who was."""
        name = "" if self._duty is None else self._duty.name
        self._duty = None
        return name

    @property
    def on_duty(self) -> str:
        """Who has signed on; empty for nobody."""
        return "" if self._duty is None else self._duty.name

    def acting(self, reader: Reader) -> OnDuty | None:
        """Who signs the next act. ``None`` where this till cannot sign anyone on: no sale waits for a secret.

        Raises ``NotSignedOn``, also for a cashier who has left or has been given another key.
        """
        heads = self._heads(reader)
        if heads != self._seen:
            self._seen = heads
            staff = self._staff(reader)
            secrets = self._secrets(staff)
            names = [name for name, one in staff.pins.items() if one.secret in secrets and staff.active(name)]
            self._needed = bool(names)
            duty = self._duty
            now = None if duty is None else staff.active(duty.name)
            if duty is not None and (now is None or now.public_key != duty.key.public):
                self._duty = None
            elif duty is not None and now is not None:
                self._duty = replace(duty, role=now.role)
        if self._duty is None and self._needed:
            raise NotSignedOn
        return self._duty

    # ---- who works here -------------------------------------------------------------------------------------------------

    def read(self) -> Staff:
        """What counts of the document."""
        with self._log.read() as reader:
            return self._staff(reader)

    def tries(self, one: Cashier) -> int:
        """Wrong PINs at this till since the last right one."""
        with self._log.read() as reader:
            return self._wrong(reader, one.public_key)[0]

    def deciding(self, name: str = "", pin: str = "") -> Deciding:
        """The right to decide about cashiers. Raises ``CashierRefused``, ``WrongPin``."""
        if not name and self._role in (Role.OFFICE, Role.MANAGER):
            return Deciding()
        if not name:
            raise CashierRefused(
                "At a till a manager decides who works here: say who, with --manager. The first manager of a store is named "
                "at a head office."
            )
        manager = self._opened(name, pin)
        if manager.role is not StaffRole.MANAGER:
            raise CashierRefused(f"{name} is no manager here.")
        return Deciding(manager)

    def add(self, by: Deciding, name: str, pin: str, role: StaffRole = StaffRole.CASHIER) -> Cashier:
        """Somebody begins to work here, or again. Raises ``CashierRefused``."""
        if not is_id(name):
            raise CashierRefused(
                f"'{name}' is no cashier's id: 1 to 20 small letters, digits, dots and dashes, no name."
            )
        staff = self.read()
        known = staff.cashiers.get(name)
        if known is not None and not known.left:
            raise CashierRefused(f"{name} works here already: give a new PIN with 'cashier reset'.")
        return self._renew(by, staff, name, pin, role)

    def reset(self, by: Deciding, name: str, pin: str) -> Cashier:
        """A new PIN, and a new key with it. Raises ``CashierRefused``."""
        staff = self.read()
        known = self._known(staff, name)
        if by.manager is not None and by.manager.name == name:
            raise CashierRefused(
                "A manager changes her own PIN with 'cashier pin'; if it is lost, another manager resets it."
            )
        return self._renew(by, staff, name, pin, known.role)

    def leave(self, by: Deciding, name: str) -> Cashier:
        """Somebody works here no more. Raises ``CashierRefused``."""
        known = self._known(self.read(), name)
        one = replace(known, left=True, edition=known.edition + 1)
        one = by.vouched(one, self._store, name, self._company)
        self._write({name: one.body()})
        return one

    def change_pin(self, name: str, old: str, new: str) -> None:
        """The same key under another PIN. Raises ``CashierRefused``, ``WrongPin``."""
        _check_pin(new)
        opened = self._opened(name, old)
        staff = self.read()
        secret, copies = self._secret(staff)
        self._write({**copies, **self._sealed(name, opened.key, new, secret)})

    def share(self) -> bool:
        """Give the store's secret to those of its tills and managers that lack it; whether any did."""
        staff = self.read()
        missing: dict[str, object] = {}
        for secret in self._secrets(staff).values():
            missing |= self._copies(staff, secret)
        if missing:
            self._write(missing)
        return bool(missing)

    def lacks(self, reader: Reader) -> bool:
        """Whether it is this replica's turn to ``share``: of those that hold a secret one begins, the same for all.

        Where that one is away, the next sign-on at another shares it.
        """
        staff = self._staff(reader)
        for secret_id, secret in self._secrets(staff).items():
            missing = self._copies(staff, secret)
            holders = [
                one.author for one in self._directory().of_store(self._store) if (secret_id, one.author) in staff.copies
            ]
            if missing and self._author == min(holders, key=lambda one: sha256(secret_id + one).digest(), default=None):
                return True
        return False

    # ---- within ---------------------------------------------------------------------------------------------------------

    @property
    def _company(self) -> bytes:
        return self._directory().root.company

    def _staff(self, reader: Reader) -> Staff:
        return Staff.read(reader, self._directory(), self._store, STAFF_RULE)

    def _heads(self, reader: Reader) -> tuple[tuple[Head, ...], ...]:
        document = staff_document(self._store)
        return tuple(reader.heads(FeedId(document, author)) for author in reader.authors(document))

    def _known(self, staff: Staff, name: str) -> Cashier:
        known = staff.active(name)
        if known is None:
            raise CashierRefused(f"Nobody called '{name}' works in store {self._store}.")
        return known

    def _renew(self, by: Deciding, staff: Staff, name: str, pin: str, role: StaffRole) -> Cashier:
        _check_pin(pin)
        known, key = staff.cashiers.get(name), SecretKey.generate()
        former, edition = (() if known is None else known.keys), (0 if known is None else known.edition + 1)
        one = Cashier(key.public, role, former=former[-FORMER_MAX:], edition=edition)
        one = by.vouched(one, self._store, name, self._company)
        secret, copies = self._secret(staff)
        self._write({**copies, name: one.body(), **self._sealed(name, key, pin, secret)})
        return one

    def _opened(self, name: str, pin: str) -> OnDuty:
        with self._log.read() as reader:
            staff = self._staff(reader)
            one = self._known(staff, name)
            sealed = staff.pins.get(name)
            secrets = self._secrets(staff)
            tries, last_ms = self._wrong(reader, one.public_key)
        key_id = one.public_key[:KEY_ID_BYTES]
        if key_id in staff.locked:
            raise WrongPin(f"{name} is locked after too many wrong PINs: a manager gives a new one.")
        wait_ms = FIRST_WAIT_MS << (tries - FREE_TRIES) if tries >= FREE_TRIES else 0
        # A clock that was set back does not open the door.
        left_ms = min(last_ms + wait_ms - self._now_ms(), wait_ms)
        if left_ms > 0:
            raise WrongPin(f"Wrong PIN for {name}, {tries} times: try again in {-(-left_ms // 1000)} seconds.")
        if sealed is None or sealed.key_id != key_id or sealed.secret not in secrets:
            raise CashierRefused(
                f"{name} cannot sign on here yet: this till waits for the store's secret from another till of the store, "
                "or from the head office."
            )
        try:
            seed = open_with_passphrase(_passphrase(pin, secrets[sealed.secret]), sealed.sealed, COST_MAX)
        except SealError:
            self._count(name, one, tries + 1)
            raise WrongPin(f"Wrong PIN for {name}.") from None
        key = SecretKey(seed)
        if key.public != one.public_key:
            raise CashierRefused(f"What is kept as the key of {name} is another: a manager gives a new PIN.")
        if tries:
            self._log.append([], [(_WRONG + one.public_key, None)], received_ms=self._now_ms())
        return OnDuty(name, one.role, key, self._company)

    def _count(self, name: str, one: Cashier, tries: int) -> None:
        now_ms = self._now_ms()
        self._log.append([], [(_WRONG + one.public_key, canonical.encode([tries, now_ms]))], received_ms=now_ms)
        if tries >= TRIES_MAX:
            self._write({f"locked/{one.public_key[:KEY_ID_BYTES].hex()}": True})
            raise WrongPin(f"{name} is locked after {tries} wrong PINs: a manager gives a new one.")

    @staticmethod
    def _wrong(reader: Reader, public_key: bytes) -> tuple[int, int]:
        value = reader.view(_WRONG + public_key)
        if value is None:
            return 0, 0
        tries, last_ms = cast("list[int]", canonical.decode(value))
        return tries, last_ms

    def _sealed(self, name: str, key: SecretKey, pin: str, secret: bytes) -> dict[str, object]:
        sealed = seal_with_passphrase(_passphrase(pin, secret), key.seed, self._cost)
        return {f"pin/{name}": SealedPin(key.public[:KEY_ID_BYTES], _secret_id(secret), sealed).body()}

    def _secrets(self, staff: Staff) -> dict[bytes, bytes]:
        """The store's secrets that this replica can open, by id."""
        found: dict[bytes, bytes] = {}
        mine = sealing_key(self._key)
        for (secret_id, holder), copy in staff.copies.items():
            if holder == self._author:
                try:
                    secret = mine.open(copy)
                except SealError:
                    continue
                if len(secret) == SECRET_BYTES and _secret_id(secret) == secret_id:
                    found[secret_id] = secret
        return found

    def _secret(self, staff: Staff) -> tuple[bytes, dict[str, object]]:
        """A secret that nobody holds who takes part no more, a new one if need be; and the copies to write with it."""
        directory = self._directory()
        for secret_id, secret in sorted(self._secrets(staff).items()):
            if all(directory.takes_part(holder) for known, holder in staff.copies if known == secret_id):
                return secret, self._copies(staff, secret)
        secret = os.urandom(SECRET_BYTES)
        return secret, self._copies(staff, secret)

    def _copies(self, staff: Staff, secret: bytes) -> dict[str, object]:
        """The secret for everyone in the store who should have it and has not."""
        directory, secret_id = self._directory(), _secret_id(secret)
        holders = {one.author: one.public_key for one in directory.of_store(self._store)}
        holders[self._author] = self._key.public
        return {
            f"secret/{secret_id.hex()}/{author.hex()}": seal(sealing_public(public), secret)
            for author, public in sorted(holders.items())
            if (secret_id, author) not in staff.copies
        }

    def _write(self, values: Mapping[str, object]) -> None:
        now_ms = self._now_ms()
        with self._log.read() as reader:
            state = join(reader, self._store, STAFF_RULE)
            for name, value in values.items():
                register = cast("RegisterLww", state.field(name))
                stamp = max([now_ms << 16, *(write.stamp + 1 for write in register.writes.values())])
                state = state.join(STAFF_RULE({name: register.write(self._author, stamp, value)}))
            feed = OwnFeed.read(reader, self._key, self._author, staff_document(self._store), SCHEMA[STAFF])
            entry = feed.sign(state.entry_body(self._author), now_ms << 16)
        self._log.append([Arrival(entry)], received_ms=now_ms)


def _passphrase(pin: str, secret: bytes) -> str:
    return f"{pin}/{secret.hex()}"


def _secret_id(secret: bytes) -> bytes:
    return sha256(secret).digest()[:SECRET_ID_BYTES]


def _check_pin(pin: str) -> None:
    if not (pin.isascii() and pin.isdigit() and len(pin) in PIN_DIGITS):
        raise CashierRefused(f"A PIN has {PIN_DIGITS.start} to {PIN_DIGITS.stop - 1} digits.")
