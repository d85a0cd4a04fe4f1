"""Another COSE library verifies our entries, and ours verifies theirs: they are COSE_Sign1, byte for byte."""

from __future__ import annotations

import cbor2
import pytest
from hypothesis import given, settings
from pycose.algorithms import EdDSA
from pycose.headers import KID, Algorithm
from pycose.keys import OKPKey
from pycose.keys.curves import Ed25519
from pycose.messages import Sign1Message

from gossip.entry import Entry, decode
from peers.keys import SecretKey
from tests.entries.drawn import AUTHOR, KEY, entries


def read_by_pycose(raw: bytes, key: SecretKey) -> Sign1Message:
    message = Sign1Message.from_cose_obj(cbor2.loads(raw), allow_unknown_attributes=False)
    message.key = OKPKey(crv=Ed25519, x=key.public)
    return message


@settings(max_examples=50)
@given(entries())
def test_pycose_verifies_our_entries(entry: Entry) -> None:
    message = read_by_pycose(entry.raw, KEY)
    assert message.verify_signature()
    assert message.phdr == {Algorithm: EdDSA, KID: AUTHOR}
    kind, day, keys, *_ = cbor2.loads(message.payload)
    assert (kind, day, tuple(keys)) == tuple(entry.document)


@settings(max_examples=50)
@given(entries())
def test_we_verify_what_pycose_signs_and_the_bytes_are_the_same(entry: Entry) -> None:
    payload = read_by_pycose(entry.raw, KEY).payload
    message = Sign1Message(phdr={Algorithm: EdDSA, KID: bytes(AUTHOR)}, uhdr={}, payload=payload)
    message.key = OKPKey(crv=Ed25519, x=KEY.public, d=KEY.seed)
    raw = message.encode(tag=False)
    assert decode(raw).verify(KEY.public)
    assert raw == entry.raw


@settings(max_examples=10)
@given(entries())
def test_pycose_refuses_another_key(entry: Entry) -> None:
    assert not read_by_pycose(entry.raw, SecretKey(bytes(32))).verify_signature()


@pytest.mark.parametrize("bent", [20, 40, -1])
def test_pycose_refuses_a_bent_byte(bent: int) -> None:
    from gossip.document import Document, FeedType, ScopeClass
    from gossip.entry import sign

    raw = bytearray(
        sign(KEY, AUTHOR, Document("day", 20000, (12,)), FeedType.LATEST, ScopeClass.STORE, 1, 0, b"x" * 40).raw
    )
    raw[bent] ^= 1
    try:
        verified = read_by_pycose(bytes(raw), KEY).verify_signature()
    except (ValueError, cbor2.CBORError):
        verified = False
    assert not verified
