"""The registrar of a head office that runs: asked over its local socket, so that nobody changes a log behind its back.

The office decides by ``crdt_pos.registrar``, as one that does not run; here is only what travels. The roster that a new folder
begins with is read beside the running office, from its own folder.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import cast

from crdt_pos.errors import EnrolmentRefused
from crdt_pos.folder import Folder
from crdt_pos.local import Declined, LocalClient, LocalRefused, Message
from crdt_pos.local_shapes import Asked
from crdt_pos.looking import look
from crdt_pos.registrar import NUMBER_MAX
from gossip.log import Reader
from peers.certificates import CERTIFICATE_BYTES_MAX
from peers.keys import PublicKey
from peers.roster import Closure, SealedKey, StoreRecord

CHAIN_MAX = 2
PUBLIC_KEY_BYTES = 32


class RegistrarLink:
    """``Registrar``'s acts at a running office. All raise ``EnrolmentRefused``, and what ``LocalClient.call`` does."""

    def __init__(self, office: Folder, client: LocalClient) -> None:
        self._office = office
        self._client = client

    @contextmanager
    def reading(self) -> Generator[Reader]:
        """A snapshot of the office's log."""
        with look(self._office.path) as looked, looked.log.read() as reader:
            yield reader

    def add_store(self, record: StoreRecord) -> None:
        """State a store, or its record from a later date on."""
        self.call("add_store", **_plain(record))

    def enrol_till(self, store: int, till: int, public: PublicKey, *, again: bool = False) -> tuple[bytes, ...]:
        """A till's next life: the chain that proves it."""
        answer = self.call("enrol_till", store=store, till=till, public_key=public.hex(), again=again)
        return tuple(map(bytes.fromhex, answer["chain"]))

    def enrol_manager(self, store: int, number: int, public: PublicKey, *, again: bool = False) -> tuple[bytes, ...]:
        """The next life of a store's manager: the chain that proves it."""
        answer = self.call("enrol_manager", store=store, manager=number, public_key=public.hex(), again=again)
        return tuple(map(bytes.fromhex, answer["chain"]))

    def enrol_relay(self, number: int, public: PublicKey, *, again: bool = False) -> tuple[bytes, ...]:
        """A relay's next life: the chain that proves it."""
        answer = self.call("enrol_relay", relay=number, public_key=public.hex(), again=again)
        return tuple(map(bytes.fromhex, answer["chain"]))

    def next_letter(self) -> str:
        """The letter for a further head office."""
        return str(self.call("letter")["letter"])

    def add_office(self, chain: Sequence[bytes]) -> None:
        """State a further head office, whose certificate the root key has signed."""
        self.call("add_office", chain=[der.hex() for der in chain])

    def retire_till(self, store: int, till: int, life: str = "", *, gone: bool = False) -> Closure:
        """State that nothing more is expected of a till's life."""
        answer = self.call("retire_till", store=store, till=till, life=life, gone=gone)
        return Closure(store, till, datetime.date.fromisoformat(answer["last_day"]), life=answer["life"])

    def prune(self, what: str, store: int | None, before: datetime.date, *, dry: bool = False) -> list[int]:
        """State that receipts or variances before a date may go: in which stores."""
        where = {} if store is None else {"store": store}
        return list(self.call("prune", what=what, before=before.isoformat(), dry=dry, **where)["stores"])

    def seal_keys(self, copies: Sequence[SealedKey]) -> None:
        """State sealed copies of the company's keys."""
        self.call("seal_keys", copies=[{"purpose": one.purpose, "sealed": one.sealed.hex()} for one in copies])

    def set_guardians(self, count: int) -> None:
        """State how many other stores keep each store's sealed journals."""
        self.call("set_guardians", count=count)

    def call(self, do: str, **fields: object) -> Message:
        """Ask the office for one of its requests."""
        try:
            return self._client.call(do, **fields)
        except LocalRefused as no:
            raise EnrolmentRefused(no.message) from no


def store_asked(asked: Asked) -> StoreRecord:
    """The store of a request. Raises ``Declined``."""
    return StoreRecord(
        store=asked.integer("store", high=NUMBER_MAX),
        valid_from=asked.date("valid_from") or StoreRecord(0).valid_from,
        name=asked.text("name"),
        legal_entity=asked.text("legal_entity"),
        tax_id=asked.text("tax_id"),
        address=asked.text("address"),
        currency=asked.text("currency", "EUR"),
        exponent=asked.integer("exponent", 2),
        time_zone=asked.text("time_zone", "UTC"),
        cash_step_minor=asked.integer("cash_step_minor", 1),
        prices_without_tax=asked.flag("prices_without_tax"),
    )


def sealed_key_asked(asked: Asked) -> SealedKey:
    """A copy that was sealed under a passphrase. Raises ``Declined``."""
    purpose = asked.text("purpose")
    return SealedKey(purpose, b"", _octets(asked.anything("sealed"), 1, CERTIFICATE_BYTES_MAX))


def public_key_asked(asked: Asked) -> PublicKey:
    """The public key of a request. Raises ``Declined``."""
    return PublicKey(_octets(asked.text("public_key"), PUBLIC_KEY_BYTES, PUBLIC_KEY_BYTES))


def chain_asked(asked: Asked) -> tuple[bytes, ...]:
    """The chain of a request. Raises ``Declined``."""
    value = asked.anything("chain")
    items = cast("list[object]", value) if isinstance(value, list) else []
    if not 1 <= len(items) <= CHAIN_MAX:
        raise Declined(f"'chain' is not a list of 1 to {CHAIN_MAX} certificates.", "BadRequest")
    return tuple(_octets(item, 1, CERTIFICATE_BYTES_MAX) for item in items)


def _octets(value: object, low: int, high: int) -> bytes:
    try:
        octets = bytes.fromhex(value) if isinstance(value, str) else b""
    except ValueError:
        octets = b""
    if not low <= len(octets) <= high:
        raise Declined(f"'{str(value)[:20]}' is not {low} to {high} bytes in hexadecimal digits.", "BadRequest")
    return octets


def _plain(record: StoreRecord) -> Message:
    return dataclasses.asdict(record) | {"valid_from": record.valid_from.isoformat()}
