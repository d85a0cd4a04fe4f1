"""What is sealed: to a key, and under a passphrase."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peers.errors import SealError
from peers.keys import SEAL_BYTES, PassphraseCost, SealingKey, open_with_passphrase, seal, seal_with_passphrase
from tests.trust.material import recovery_key

OURS, THEIRS = recovery_key(1), recovery_key(2)
CHEAP = PassphraseCost(1, 8192)


@given(st.binary(max_size=2000))
def test_only_the_key_it_was_sealed_to_opens_a_box(plain: bytes) -> None:
    box = seal(OURS.public, plain)
    assert len(box) == len(plain) + SEAL_BYTES
    assert box != seal(OURS.public, plain)
    assert SealingKey(OURS.secret).open(box) == plain
    with pytest.raises(SealError, match="another key"):
        THEIRS.open(box)


@given(st.binary(max_size=40), st.data())
def test_a_box_with_any_byte_changed_is_not_opened(plain: bytes, data: st.DataObject) -> None:
    box = bytearray(seal(OURS.public, plain))
    box[data.draw(st.integers(0, len(box) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SealError):
        OURS.open(bytes(box))


@given(st.binary(max_size=200))
def test_noise_is_neither_a_box_nor_a_passphrases(noise: bytes) -> None:
    with pytest.raises(SealError):
        OURS.open(noise)
    with pytest.raises(SealError):
        open_with_passphrase("open sesame", noise)


def test_keys_of_a_wrong_length_are_refused() -> None:
    with pytest.raises(SealError):
        SealingKey(b"short")
    with pytest.raises(SealError):
        seal(b"short", b"plain")
    assert "secret" not in repr(SealingKey.generate())


def test_a_passphrase_opens_what_was_sealed_under_it_however_its_letters_are_composed() -> None:
    sealed = seal_with_passphrase("Schl\u00fcssel", b"plain", CHEAP)
    assert open_with_passphrase("Schlu\u0308ssel", sealed) == b"plain"
    assert sealed != seal_with_passphrase("Schl\u00fcssel", b"plain", CHEAP)
    with pytest.raises(SealError, match="passphrase is another"):
        open_with_passphrase("Schlussel", sealed)


def test_what_was_sealed_cannot_ask_for_any_amount_of_time_or_memory() -> None:
    sealed = seal_with_passphrase("open sesame", b"plain", CHEAP)
    for at, more in ((2, b"\xff\xff\xff\xff"), (6, b"\xff\xff\xff\xff"), (2, bytes(4)), (6, bytes(4))):
        with pytest.raises(SealError, match="more time or memory"):
            open_with_passphrase("open sesame", sealed[:at] + more + sealed[at + 4 :])
