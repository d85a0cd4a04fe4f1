from __future__ import annotations

import io
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from merge_rules import canonical
from merge_rules.errors import NotCanonical
from tests.laws.harness import MANY

edges = st.sampled_from(
    [sign * 2**bits + d for bits in (0, 5, 8, 16, 32, 63) for sign in (1, -1) for d in (-1, 0, 1)] + [23, 24, 2**64 - 1]
).filter(lambda n: -(2**63) <= n < 2**64)
leaves = (
    st.none() | st.booleans() | edges | st.integers(-(2**63), 2**64 - 1) | st.binary(max_size=30) | st.text(max_size=30)
)


def containers(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    keys = [st.integers(0, 2**64 - 1) | edges.filter(lambda n: n >= 0), st.binary(max_size=4), st.text(max_size=4)]
    return st.lists(children, max_size=5) | st.one_of(*[st.dictionaries(kind, children, max_size=5) for kind in keys])


values: st.SearchStrategy[Any] = st.recursive(leaves, containers, max_leaves=20)


@MANY
@given(values)
def test_every_value_comes_back_and_has_the_encoding_of_another_library(value: object) -> None:
    encoded = canonical.encode(value)
    again = canonical.decode(encoded)
    assert again == value
    assert type(again) is type(value)
    assert encoded == cbor2.dumps(value, canonical=True)
    assert cbor2.loads(encoded) == value


@MANY
@given(st.binary(max_size=40))
def test_any_bytes_are_refused_or_the_one_encoding_of_their_value(encoded: bytes) -> None:
    try:
        value = canonical.decode(encoded)
    except NotCanonical as refusal:
        assert str(refusal)  # noqa: PT017
    else:
        assert canonical.encode(value) == encoded


@settings(max_examples=100, deadline=None)
@given(values, st.data())
def test_bytes_that_were_tampered_with_are_refused_or_the_one_encoding_of_another_value(
    value: object, data: st.DataObject
) -> None:
    encoded = bytearray(canonical.encode(value))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(encoded) - 1)) if encoded else 0
        match data.draw(st.integers(0, 2)):
            case 0:
                encoded[at : at + 1] = bytes([data.draw(st.integers(0, 255))])
            case 1:
                encoded[at:at] = bytes([data.draw(st.integers(0, 255))])
            case _:
                del encoded[at : at + 1]
    try:
        again = canonical.decode(bytes(encoded))
    except NotCanonical:
        return
    assert canonical.encode(again) == encoded


@MANY
@given(values)
def test_no_encoding_is_the_beginning_of_another(value: object) -> None:
    encoded = canonical.encode(value)
    for end in range(len(encoded)):
        with pytest.raises(NotCanonical):
            canonical.decode(encoded[:end])
    with pytest.raises(NotCanonical):
        canonical.decode(encoded + b"\x00")


def longer_heads(encoded: bytes) -> list[bytes]:
    """The same item with its head one or more sizes larger than it need be."""
    major, argument = encoded[0] & 0xE0, encoded[0] & 0x1F
    width = {24: 1, 25: 2, 26: 4, 27: 8}.get(argument, 0)
    if width:
        argument = int.from_bytes(encoded[1 : 1 + width], "big")
    return [
        bytes([major | code]) + argument.to_bytes(size, "big") + encoded[1 + width :]
        for code, size in ((24, 1), (25, 2), (26, 4), (27, 8))
        if size > width
    ]


@MANY
@given(values.filter(lambda value: value is not None and not isinstance(value, bool)))
def test_a_head_longer_than_it_need_be_is_refused(value: object) -> None:
    for long in longer_heads(canonical.encode(value)):
        assert cbor2.loads(long) == value
        with pytest.raises(NotCanonical):
            canonical.decode(long)
        with pytest.raises(NotCanonical):
            canonical.decode(b"\x81" + long)


REFUSED = {
    "nothing at all": "",
    "two items": "0000",
    "a float": "f93c00",
    "a double": "fb3ff0000000000000",
    "undefined": "f7",
    "another simple value": "f0",
    "a simple value in two bytes": "f814",
    "a break alone": "ff",
    "bytes of indefinite length": "5f4101ff",
    "text of indefinite length": "7f6161ff",
    "an array of indefinite length": "9f01ff",
    "a map of indefinite length": "bf0101ff",
    "reserved lengths": "1c",
    "a reserved length of bytes": "5d01",
    "keys out of order": "a202010101",
    "text keys out of order": "a2616201616101",
    "text keys ordered by letters before length": "a2626161016162 01",
    "bytes keys out of order": "a2414201414101",
    "a key twice": "a201010102",
    "keys of two types": "a20101616101",
    "keys of bytes and text": "a2414101616101",
    "a negative key": "a12001",
    "a negative key after others": "a200012001",
    "a boolean as key": "a1f501",
    "null as key": "a1f601",
    "an array as key": "a18001",
    "a map as key": "a1a001",
    "text that is not UTF-8": "62c328",
    "a surrogate in text": "63eda080",
    "an integer below -2**63": "3b8000000000000000",
    "a date": "c074323032362d31312d32325431303a30303a30305a",
    "a big number": "c249010000000000000000",
    "a decimal fraction": "c48221196ab3",
    "a shared value": "d81c80",
    "a reference to a shared value": "82d81c80d81d00",
    "a regular expression": "d8236161",
    "a mime message": "d8246161",
    "self-described CBOR": "d9d9f700",
    "an array that never comes": "9bffffffffffffffff",
    "a map that never comes": "bbffffffffffffffff00",
    "bytes that never come": "5bffffffffffffffff00",
    "text that never comes": "7affffffff61",
}


@pytest.mark.parametrize("encoded", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_outside_the_subset_is_refused(encoded: str) -> None:
    with pytest.raises(NotCanonical):
        canonical.decode(bytes.fromhex(encoded))


def test_shared_references_that_unfold_to_gigabytes_are_refused_at_once() -> None:
    shared: list[Any] = []
    for _ in range(12):
        shared = [shared] * 10
    with io.BytesIO() as stream:
        cbor2.CBOREncoder(stream, value_sharing=True).encode(shared)
        bomb = stream.getvalue()
    assert len(bomb) < 1000
    with pytest.raises(NotCanonical):
        canonical.decode(bomb)


def nested(levels: int) -> tuple[object, bytes]:
    value: object = []
    for _ in range(levels - 1):
        value = [value]
    return value, b"\x81" * (levels - 1) + b"\x80"


def test_sixteen_levels_are_the_most() -> None:
    value, encoded = nested(canonical.DEPTH_MAX)
    assert canonical.encode(value) == encoded
    assert canonical.decode(encoded) == value
    assert canonical.encode(nested(canonical.DEPTH_MAX - 1)[0]) == encoded[1:]
    value, encoded = nested(canonical.DEPTH_MAX + 1)
    with pytest.raises(NotCanonical):
        canonical.encode(value)
    with pytest.raises(NotCanonical):
        canonical.decode(encoded)
    with pytest.raises(NotCanonical):
        canonical.decode(b"\x81" * 100_000 + b"\x80")
    with pytest.raises(NotCanonical):
        canonical.decode(b"\xa1\x00" * 100_000 + b"\x80")


@pytest.mark.parametrize(
    "value",
    [1.0, 2**64, -(2**63) - 1, object(), {1, 2}, {1: 1, "a": 1}, {-1: 1}, {True: 1}, {None: 1}, {(1,): 1}, "\ud800",
     {"\ud800": 1},
     {1.5: 1}, [1.5], bytearray(b"x"), 1j],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_a_value_outside_the_subset_is_not_encoded(value: object) -> None:
    with pytest.raises(NotCanonical):
        canonical.encode(value)


def test_a_value_that_contains_itself_is_not_encoded() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(NotCanonical):
        canonical.encode(loop)


def test_tuples_are_arrays() -> None:
    assert canonical.encode((1, (2, b""))) == canonical.encode([1, [2, b""]])
