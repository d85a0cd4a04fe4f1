"""A key as 24 words that a person can write down and type in: BIP 39's English list of 2,048, 11 bits a word.

256 bits of key and 8 of SHA-256 over them: of 256 keys with a wrong word one passes here, and none of them opens anything. No two
words begin with the same four letters, so four letters are enough. The list (``key_words.txt``) is that of the standard:
https://github.com/bitcoin/bips/blob/master/bip-0039.mediawiki

Pure but for reading the list.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import re
from collections.abc import Iterator, Sequence
from importlib import resources
from typing import Final

from crdt_pos.errors import KeysRefused

KEY_BYTES: Final = 32
WORDS: Final = 24
_BITS: Final = 11
_LETTERS: Final = 4
_WORD: Final = re.compile(r"[a-z]+")


@functools.cache
def word_list() -> tuple[str, ...]:
    """The 2,048 words, in alphabetical order."""
    return tuple(resources.files("crdt_pos").joinpath("key_words.txt").read_text("ascii").split())


@functools.cache
def _places() -> dict[str, int]:
    words = word_list()
    return {word[:_LETTERS]: at for at, word in enumerate(words)} | {word: at for at, word in enumerate(words)}


def to_words(key: bytes) -> tuple[str, ...]:
    """The 24 words of 32 bytes."""
    assert len(key) == KEY_BYTES
    bits = int.from_bytes(key + hashlib.sha256(key).digest()[:1], "big")
    words = word_list()
    return tuple(words[bits >> _BITS * (WORDS - 1 - at) & (len(words) - 1)] for at in range(WORDS))


def split(text: str) -> list[str]:
    """What could be words of ``text``: numbers, signs and capitals mean nothing."""
    return _WORD.findall(text.casefold())


def from_words(typed: Sequence[str]) -> bytes:
    """The key of 24 words, of each at least its first four letters. Raises ``KeysRefused``, which says which word is wrong."""
    if len(typed) != WORDS:
        raise KeysRefused(f"A key has {WORDS} words, and these are {len(typed)}.")
    places = _places()
    for number, word in enumerate(typed, 1):
        if word not in places:
            near = difflib.get_close_matches(word, word_list(), 1)
            hint = f": {near[0]}?" if near else "."
            raise KeysRefused(f"Word {number}, {word!r}, is none of the words that keys are written in{hint}")
    bits = 0
    for word in typed:
        bits = bits << _BITS | places[word]
    key, check = (bits >> 8).to_bytes(KEY_BYTES, "big"), bits & 0xFF
    if hashlib.sha256(key).digest()[0] != check:
        raise KeysRefused("These 24 words do not belong together: one was misread, or two changed places.")
    return key


def keys_in(text: str) -> Iterator[bytes]:
    """Every key whose 24 words stand in ``text`` one after the other, whatever stands between and around them."""
    words = split(text)
    places = _places()
    for at in range(len(words) - WORDS + 1):
        window = words[at : at + WORDS]
        if all(word in places for word in window):
            try:
                yield from_words(window)
            except KeysRefused:
                continue
