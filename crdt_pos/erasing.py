"""Erasing a person: a tombstone in ``erased``, which every replica that hears it acts upon.

The tombstone names a random account and no person. It travels to everybody, and wins over whatever comes before or after it: a
replica that was away and still holds the key shreds it when it hears, and what it brings is dropped by all who have heard. Only a
head office may write one, and nothing takes it back.

Where a replica has shredded, the bytes are out of its log at once, and out of its file when that has been written anew, which is
done in the background as soon as nobody reads it, or at the next start. What lies elsewhere is not reached: a copy of a folder, a
backup, blocks that the drive has put aside, a replica that never comes back. There the person's key may be found.
"""

from __future__ import annotations

from crdt_pos import persons
from crdt_pos.errors import PersonRefused
from crdt_pos.patrons import PATRONS, patron_key
from crdt_pos.persons import ERASED, Writer
from crdt_pos.receipt import ACCOUNT_BYTES
from gossip.document import Document
from gossip.log import Arrival, Reader
from merge_rules.set_grow import SetGrow

ERASED_DOCUMENT = Document(ERASED)


def is_erased(reader: Reader, account: bytes) -> bool:
    """Whether an account's person is destroyed here."""
    return reader.shredded(persons.key_document(account))


def erase(reader: Reader, writer: Writer, account: bytes, now_ms: int) -> list[Arrival]:
    """The tombstone; none if there is one already."""
    if is_erased(reader, account):
        return []
    return [writer.sign(reader, ERASED_DOCUMENT, SetGrow.add_body(account), now_ms)]


def is_known(reader: Reader, account: bytes) -> bool:
    """Whether anything is here of an account: that it is somebody's, a store's patron, or erased."""
    documents = persons.key_document(account), persons.person_document(account)
    return (
        is_erased(reader, account)
        or any(any(reader.authors(document)) for document in documents)
        or any(reader.view(patron_key(store, account)) is not None for store in reader.documents(PATRONS))
    )


def find(reader: Reader, company: bytes, who: str, *, unknown: bool = False) -> list[bytes]:
    """The accounts that somebody means who names an account (16 hexadecimal digits) or a phone.

    ``0049`` and twelve more digits may be either: a phone, unless only the account is known here, or the account may be
    ``unknown``. Raises ``PersonRefused``.
    """
    digits = "".join(who.split())
    try:
        account = bytes.fromhex(digits)
    except ValueError:
        account = b""
    is_account = len(account) == ACCOUNT_BYTES
    may_be_phone = digits.startswith("00") and digits.isdigit()
    if is_account and not may_be_phone:
        return [account]
    try:
        found = persons.by_phone(reader, company, persons.phone_number(who))
    except PersonRefused:
        if not is_account:
            raise
        return [account]
    if not found and is_account and (unknown or is_known(reader, account)):
        return [account]
    if not found:
        raise PersonRefused("No member has this phone number here: give the account, or ask where the person shops.")
    return found
