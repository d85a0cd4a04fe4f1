"""One content, one encoding: an entry is read back as it was signed, and no bent byte passes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gossip.document import Document, FeedType, ScopeClass
from gossip.entry import ENTRY_BYTES_MAX, Entry, decode, decode_held, sign
from gossip.errors import BadEntry
from merge_rules import canonical
from peers.keys import SecretKey, author_of
from tests.entries.drawn import AUTHOR, KEY, entries


def passes(raw: bytes) -> Entry | None:
    """The entry that these bytes are, if they are one by our author."""
    try:
        entry = decode(raw)
    except BadEntry:
        return None
    return entry if entry.verify(KEY.public) and entry.author == AUTHOR else None


@pytest.mark.parametrize("reads", [decode, decode_held], ids=["from a peer", "from our own log"])
@given(entry=entries())
def test_an_entry_is_read_back_as_it_was_signed(reads: Callable[[bytes], Entry], entry: Entry) -> None:
    read = reads(entry.raw)
    assert read == entry
    assert read.verify(KEY.public)
    fields = [
        (one.document, one.feed, one.scope, one.author, one.seq, one.stamp, one.previous) for one in (read, entry)
    ]
    assert fields[0] == fields[1]
    assert canonical.encode(read.body) == canonical.encode(entry.body)
    assert read.hash == hashlib.sha256(entry.raw).digest()


@given(entries())
def test_another_key_does_not_verify(entry: Entry) -> None:
    assert not entry.verify(SecretKey(bytes(32)).public)


@settings(max_examples=400)
@given(entries(), st.data())
def test_no_bent_byte_passes(entry: Entry, data: st.DataObject) -> None:
    raw = entry.raw
    at = data.draw(st.integers(0, len(raw)))
    how = data.draw(st.sampled_from(["flip", "insert", "delete", "cut", "repeat"]))
    if how == "flip":
        at = min(at, len(raw) - 1)
        bent = raw[:at] + bytes([raw[at] ^ data.draw(st.integers(1, 255))]) + raw[at + 1 :]
    elif how == "insert":
        bent = raw[:at] + data.draw(st.binary(min_size=1, max_size=3)) + raw[at:]
    elif how == "delete":
        bent = raw[:at] + raw[at + data.draw(st.integers(1, 3)) :]
    elif how == "cut":
        bent = raw[:at]
    else:
        bent = raw[:at] + raw[max(0, at - 4) :]
    if bent != raw:
        assert passes(bent) is None


def test_every_single_flipped_bit_is_refused() -> None:
    body = {1: [417, bytes(16)], 2: {"cash": [1428, 0]}}
    raw = sign(KEY, AUTHOR, Document("day", 20000, (12,)), FeedType.LATEST, ScopeClass.STORE, 7, 1 << 50, body).raw
    for at in range(len(raw) * 8):
        bent = bytearray(raw)
        bent[at // 8] ^= 1 << at % 8
        assert passes(bytes(bent)) is None


@settings(max_examples=300)
@given(st.binary(max_size=300))
def test_noise_is_refused_with_its_own_error(noise: bytes) -> None:
    with pytest.raises(BadEntry):
        decode(noise)
    with pytest.raises(BadEntry):
        decode_held(noise)


@settings(max_examples=300)
@given(st.binary(max_size=100))
def test_noise_in_the_shape_of_an_entry_is_refused_or_reads_as_exactly_itself(payload: bytes) -> None:
    head = bytes([0x40 | len(payload)]) if len(payload) < 24 else bytes([0x58, len(payload)])
    raw = b"\x84\x4d\xa2\x01\x27\x04\x48" + AUTHOR + b"\xa0" + head + payload + b"\x58\x40" + bytes(64)
    for reads in (decode, decode_held):
        try:
            entry = reads(raw)
        except BadEntry:
            continue
        assert entry.raw == raw


WELL_FORMED: list[object] = ["day", 20000, [12], 0, 1, 1, 0, {}]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (0, ""),
        (0, "a/b"),
        (0, 1),
        (1, -1),
        (1, 2**16),
        (1, True),
        (2, "12"),
        (2, [None]),
        (2, [True]),
        (2, []),
        (2, ["x" * 200]),
        (3, 2),
        (4, 5),
        (5, 0),
        (5, 2**40 + 1),
        (6, -1),
        (6, None),
    ],
)
def test_a_field_out_of_bounds_is_refused(field: int, value: object) -> None:
    def raw(fields: list[object]) -> bytes:
        payload = canonical.encode(canonical.encode(fields))
        return b"\x84\x4d\xa2\x01\x27\x04\x48" + AUTHOR + b"\xa0" + payload + b"\x58\x40" + bytes(64)

    assert decode(raw(WELL_FORMED)).document == Document("day", 20000, (12,))
    with pytest.raises(BadEntry):
        decode(raw([*WELL_FORMED[:field], value, *WELL_FORMED[field + 1 :]]))
    with pytest.raises(BadEntry):
        decode(raw([*WELL_FORMED, bytes(32)]))


def test_an_entry_of_more_than_a_mebibyte_is_refused_when_it_is_made_and_when_it_comes() -> None:
    document = Document("day", 20000, (12,))
    with pytest.raises(BadEntry):
        sign(KEY, AUTHOR, document, FeedType.LATEST, ScopeClass.STORE, 1, 0, bytes(ENTRY_BYTES_MAX))
    with pytest.raises(BadEntry):
        decode(bytes(ENTRY_BYTES_MAX + 1))


def test_the_author_is_signed_too() -> None:
    entry = sign(KEY, AUTHOR, Document("day", 20000, (12,)), FeedType.LATEST, ScopeClass.STORE, 1, 0, {})
    other = author_of(KEY.public, "a2")
    assert not decode(entry.raw.replace(AUTHOR, other)).verify(KEY.public)


def test_a_body_is_not_changed_by_who_gave_it() -> None:
    body = {1: [1, 2]}
    entry = sign(KEY, AUTHOR, Document("day", 20000, (12,)), FeedType.LATEST, ScopeClass.STORE, 1, 0, body)
    body[1].append(3)
    assert entry.body == {1: [1, 2]}
