"""Persons: who a member is, kept so that it can be destroyed.

Personal data never stands in a journal, a balance or any other entry that must be kept: there a member is a random account. What
is known of the person stands in two documents of that account, which travel to the stores where it shops and to head offices:

    person/<account>        name, phone, address, locked under a random key of this person
    person-key/<account>    the key; and the claim: which phone numbers (as keyed hashes) mean this member

Erasing (``crdt_pos.erasing``) shreds both, everywhere and for ever. What is kept elsewhere, in a backup of ``person`` or a log of
what travelled, is noise without the key. Names are not shredded by hiding: every entry of a shredded document is removed, by
whomever it was written, while journals, balances, chains and sums, which never held a name, stay as they were signed.

A phone's claim does not stand with the barcodes in ``claims/<store>``: that is a chain of entries that nobody may leave out. Nor
is the hash what protects a number: there are so few that all can be tried by whoever knows the company's id. It keeps numbers
from being read at a glance; what protects them is that only an account's own stores hold it, and that it can be destroyed.

Two stores that enrol one person make two accounts with one phone hash: read as one, the smallest id naming both.
"""

from __future__ import annotations

import hmac
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, cast

from crdt_pos.codec import Extra, Fields, sparse
from crdt_pos.errors import PersonRefused
from crdt_pos.receipt import ACCOUNT_BYTES
from gossip.document import Document
from gossip.log import Arrival, Reader, View
from gossip.own_feed import OwnFeed
from gossip.schema import Schema
from merge_rules import canonical
from merge_rules.dataclass import dataclass
from merge_rules.errors import InvalidBody, NotCanonical
from merge_rules.lattice import Author
from merge_rules.register_lww import RegisterLww
from peers.errors import SealError
from peers.keys import LOCK_KEY_BYTES, SecretKey, lock, unlock

PERSON: Final = "person"
"""``person/<account>``: what is known of a person, locked."""
PERSON_KEY: Final = "person-key"
"""``person-key/<account>``: the key to it, and the phones that mean this account."""
ERASED: Final = "erased"
"""Accounts whose persons are destroyed: a tombstone for each."""

SHREDDABLE: Final = frozenset({PERSON, PERSON_KEY})
"""Kinds whose entries stand in no other entry: what is embedded somewhere cannot be destroyed."""
PHONE_HASH_BYTES: Final = 16
PHONES_MAX: Final = 8
_PHONE_VIEW: Final = b"person/phone/"
_PHONE: Final = re.compile(r"\+[1-9][0-9]{5,14}")


@dataclass(frozen=True, slots=True)
class Person:
    """What is known of a member."""

    name: str = ""
    phone: str = ""
    """As ``+491701234567``."""
    address: str = ""
    email: str = ""
    extra: Extra = ()

    def body(self) -> dict[int, object]:
        return sparse({0: self.name, 1: self.phone, 2: self.address, 3: self.email}, self.extra)

    @classmethod
    def from_body(cls, body: object) -> Person:
        """Raises ``InvalidBody``."""
        fields = Fields(body, "person")
        return cls(fields.text(0), fields.text(1), fields.text(2), fields.text(3), fields.rest())


@dataclass(frozen=True, slots=True)
class Keyring:
    """A value of ``person-key``."""

    key: bytes
    phones: tuple[bytes, ...] = ()
    """Keyed hashes."""
    extra: Extra = ()

    def body(self) -> dict[int, object]:
        return sparse({0: self.key, 1: list(self.phones)}, self.extra)

    @classmethod
    def from_body(cls, body: object) -> Keyring:
        """Raises ``InvalidBody``."""
        fields = Fields(body, "person key")
        key = fields.octets(0, LOCK_KEY_BYTES)
        if not key:
            raise InvalidBody("person key: no key")
        return cls(key, fields.items(1, _phone_hash)[:PHONES_MAX], fields.rest())


def _phone_hash(value: object) -> bytes:
    if not isinstance(value, bytes) or len(value) != PHONE_HASH_BYTES:
        raise InvalidBody("person key: a phone's hash is none")
    return value


def person_document(account: bytes) -> Document:
    """``person/<account>``."""
    return Document(PERSON, 0, (account,))


def key_document(account: bytes) -> Document:
    """``person-key/<account>``."""
    return Document(PERSON_KEY, 0, (account,))


def erased_by(body: object) -> Iterable[Document]:
    """The documents that an entry of ``erased`` destroys."""
    for account in accounts_in(body):
        yield person_document(account)
        yield key_document(account)


def accounts_in(body: object) -> Iterable[bytes]:
    """The accounts that an entry of ``erased`` names."""
    named = cast("list[object]", body) if isinstance(body, list) else []
    return [one for one in named if isinstance(one, bytes) and len(one) == ACCOUNT_BYTES]


def phone_number(text: str) -> str:
    """``0049 170 / 123-4567`` as ``+491701234567``. Raises ``PersonRefused``."""
    number = re.sub(r"[\s()./-]", "", text)
    number = f"+{number[2:]}" if number.startswith("00") else number
    if not _PHONE.fullmatch(number):
        raise PersonRefused(f"'{text}' is no phone number: write it with the country's code, like +49 170 1234567.")
    return number


def phone_hash(company: bytes, number: str) -> bytes:
    """The keyed hash of a number."""
    return hmac.digest(company, b"phone " + number.encode(), "sha256")[:PHONE_HASH_BYTES]


@dataclass(frozen=True, slots=True)
class Writer:
    """Whose entries are signed."""

    key: SecretKey
    author: Author
    company: bytes
    schema: Schema

    def sign(self, reader: Reader, document: Document, body: object, now_ms: int) -> Arrival:
        """The next entry in ``document``."""
        kind = self.schema[document.kind]
        return Arrival(OwnFeed.read(reader, self.key, self.author, document, kind).sign(body, now_ms << 16))


def write(reader: Reader, writer: Writer, account: bytes, person: Person, now_ms: int) -> list[Arrival]:
    """The entries that say who ``account`` is; none if they stand already. Raises ``PersonRefused``."""
    if reader.shredded(key_document(account)):
        raise PersonRefused(f"{account.hex()} was erased, and stays so: give this person a new card.")
    if person == read(reader, account):
        return []
    keyrings = _keyrings(reader, account)
    key = keyrings[0].key if keyrings else os.urandom(LOCK_KEY_BYTES)
    phones = (phone_hash(writer.company, person.phone),) if person.phone else ()
    arrivals: list[Arrival] = []
    if not keyrings or keyrings[0].phones != phones:
        arrivals.append(_said(reader, writer, key_document(account), Keyring(key, phones).body(), now_ms))
    locked = lock(key, canonical.encode(person.body()), account)
    return [*arrivals, _said(reader, writer, person_document(account), locked, now_ms)]


def read(reader: Reader, account: bytes) -> Person | None:
    """What is known of a person; ``None`` if nothing is here, or can be opened."""
    for value in _values(reader, person_document(account)):
        for keyring in _keyrings(reader, account):
            try:
                return Person.from_body(canonical.decode(unlock(keyring.key, cast("bytes", value), account)))
            except (SealError, InvalidBody, NotCanonical):
                continue
    return None


def by_phone(reader: Reader, company: bytes, number: str) -> list[bytes]:
    """The accounts that a phone number means here, ascending: the first names them all."""
    prefix = _PHONE_VIEW + phone_hash(company, number)
    return [key[len(prefix) :] for key, _ in reader.views(prefix)]


def derive(reader: Reader, arrivals: Sequence[Arrival]) -> Iterator[View]:
    """The views by which a phone is found, to be written with these entries in one transaction."""
    counting = [arrival.entry for arrival in arrivals if arrival.quarantine is None]
    gone = {one for entry in counting if entry.document.kind == ERASED for one in accounts_in(entry.body)}
    said = {entry.document for entry in counting if entry.document.kind == PERSON_KEY} | {*map(key_document, gone)}
    for document in sorted(said):
        state = before = _register(reader, document)
        for entry in counting:
            if entry.document == document:
                state = state.join(RegisterLww.from_entry(entry.author, entry.seq, entry.body))
        account = cast("bytes", document.keys[0])
        after = () if account in gone or reader.shredded(document) else _keyrings_of(state)[:1]
        standing = {phone for keyring in after for phone in keyring.phones}
        known = {phone for keyring in (*_keyrings_of(before), *_keyrings_of(state)) for phone in keyring.phones}
        for phone in sorted(known):
            yield _PHONE_VIEW + phone + account, b"" if phone in standing else None


def _said(reader: Reader, writer: Writer, document: Document, value: object, now_ms: int) -> Arrival:
    state = _register(reader, document)
    stamp = max([now_ms << 16, *(write.stamp + 1 for write in state.writes.values())])
    state = state.join(state.write(writer.author, stamp, value))
    return writer.sign(reader, document, state.entry_body(writer.author), now_ms)


def _register(reader: Reader, document: Document) -> RegisterLww:
    state = RegisterLww.bottom()
    for stored in reader.head_entries(document):
        state = state.join(RegisterLww.from_entry(stored.entry.author, stored.entry.seq, stored.entry.body))
    return state


def _values(reader: Reader, document: Document) -> list[object]:
    """What everybody wrote last, the newest first."""
    return _newest_first(_register(reader, document))


def _newest_first(state: RegisterLww) -> list[object]:
    ordered = sorted(((write.stamp, author, write) for author, write in state.writes.items()), reverse=True)
    return [canonical.decode(value) for _, _, write in ordered for value in sorted(write.values, reverse=True)]


def _keyrings(reader: Reader, account: bytes) -> list[Keyring]:
    # Stores that were cut off from each other may each have made a key: every one of them opens something.
    return _keyrings_of(_register(reader, key_document(account)))


def _keyrings_of(state: RegisterLww) -> list[Keyring]:
    found: list[Keyring] = []
    for value in _newest_first(state):
        try:
            found.append(Keyring.from_body(value))
        except InvalidBody:
            continue
    return found
