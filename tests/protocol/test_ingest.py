"""What of a correctly signed entry counts: its name, its author's right to it, its body."""

from __future__ import annotations

import pytest

from crdt_pos.schema import SCHEMA
from gossip.document import Document, FeedType, Key
from gossip.entry import Entry, Hash, sign
from gossip.ingest import AuthorRecord, check, reason_against
from gossip.schema import ACCOUNT_BYTES, NUMBER_MAX, KeyType, Kind
from peers.keys import SecretKey, author_of
from peers.permissions import Role

SECRET = SecretKey((1).to_bytes(32, "big"))
AUTHOR = author_of(SECRET.public, "a1")
OWN = 12
TILL = AuthorRecord(SECRET.public, Role.TILL, OWN)
GOOD: dict[KeyType, Key] = {
    KeyType.NUMBER: OWN,
    KeyType.SHARD: 0,
    KeyType.TEXT: "points",
    KeyType.ACCOUNT: bytes(ACCOUNT_BYTES),
}
BAD: dict[KeyType, tuple[Key, ...]] = {
    KeyType.NUMBER: ("12", "13", "", b"12", b"\x0c", 0, -12, NUMBER_MAX + 1, 2**64 - 1),
    KeyType.SHARD: ("0", b"\0", -1, NUMBER_MAX + 1),
    KeyType.TEXT: ("", b"points", 1),
    KeyType.ACCOUNT: ("12345678", b"", bytes(ACCOUNT_BYTES - 1), bytes(ACCOUNT_BYTES + 1), 7),
}
DAY = 20_779
WRONG_NAMES = [
    (kind, (*(GOOD[one] for one in kind.keys[:at]), bad, *(GOOD[one] for one in kind.keys[at + 1 :])))
    for kind in SCHEMA.values()
    for at, type_ in enumerate(kind.keys)
    for bad in BAD[type_]
]


def entry(kind: Kind, keys: tuple[Key, ...]) -> Entry:
    document = Document(kind.name, DAY * kind.dated, keys)
    return sign(SECRET, AUTHOR, document, kind.feed, kind.scope, 1, 1, {}, None)


@pytest.mark.parametrize(("kind", "keys"), WRONG_NAMES, ids=lambda one: one.name if isinstance(one, Kind) else str(one))
def test_a_name_with_a_key_of_another_type_is_kept_apart_whoever_signed_it(kind: Kind, keys: tuple[Key, ...]) -> None:
    named = entry(kind, keys)
    for role in Role:
        against = reason_against(named, AuthorRecord(SECRET.public, role, OWN), SCHEMA)
        assert against == f"{named.document} is no name of a {kind.name} document"
    (arrival,) = check([named], None, lambda _author: TILL, SCHEMA).arrivals
    assert arrival.quarantine is not None


@pytest.mark.parametrize("kind", SCHEMA.values(), ids=lambda kind: kind.name)
def test_a_name_with_a_key_or_a_date_too_many_or_too_few_is_none(kind: Kind) -> None:
    keys = tuple(GOOD[one] for one in kind.keys)
    day = DAY * kind.dated
    assert kind.names(Document(kind.name, day, keys))
    assert not kind.names(Document(kind.name, day, (*keys, 1)))
    assert not kind.names(Document(kind.name, DAY - day, keys))
    if keys:
        assert not kind.names(Document(kind.name, day, keys[:-1]))


@pytest.mark.parametrize(
    "kind", [kind for kind in SCHEMA.values() if kind.authors.own_store], ids=lambda kind: kind.name
)
def test_a_till_writes_in_its_own_store_and_no_other(kind: Kind) -> None:
    assert kind.keys[0] is KeyType.NUMBER
    rest = tuple(GOOD[one] for one in kind.keys[1:])
    there = entry(kind, (OWN + 1, *rest))
    assert reason_against(there, TILL, SCHEMA) == f"till of store 12 may not author {there.document}"
    assert "may not author" not in (reason_against(entry(kind, (OWN, *rest)), TILL, SCHEMA) or "")
    nowhere = AuthorRecord(SECRET.public, Role.TILL, None)
    assert "may not author" in (reason_against(entry(kind, (OWN, *rest)), nowhere, SCHEMA) or "")


def test_a_kind_that_nobody_here_knows_is_kept_whatever_its_name() -> None:
    document = Document("unheard", 0, ("13", b"", -1))
    unknown = sign(SECRET, AUTHOR, document, FeedType.WHOLE, SCHEMA["day"].scope, 2, 1, None, Hash(bytes(32)))
    assert reason_against(unknown, TILL, SCHEMA) is None


def test_an_author_that_became_known_while_signatures_were_verified_elsewhere_is_verified_here() -> None:
    kind = SCHEMA["day"]
    named = entry(kind, tuple(GOOD[one] for one in kind.keys))
    asked_before_the_certificate_came = check([named], None, lambda _author: TILL, SCHEMA, verified={})
    assert asked_before_the_certificate_came.forged == ()
    assert len(asked_before_the_certificate_came.arrivals) == 1
    forged = check([named], None, lambda _author: TILL, SCHEMA, verified={named.hash: False})
    assert forged.forged == (named,)
    another = AuthorRecord(SecretKey(bytes(32)).public, Role.TILL, OWN)
    assert check([named], None, lambda _author: another, SCHEMA, verified={}).forged == (named,)
