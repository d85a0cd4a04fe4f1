"""Products by words: an index in the log's views that answers prefixes and several words within milliseconds.

    b"word/" ‖ token ‖ b"/" ‖ shard: 2 bytes   →   product ids (8 bytes each, little-endian) ‖ weights (1 byte each)

A token is at most 32 bytes of casefolded letters and digits without accents. A list holds the products of one catalogue
shard only, so that a change in one product rewrites short lists. The weight says how many words the name has, sizes and
numbers left aside, and how early among them this one stands: smaller is better, so that "milk" is whole milk before it is a
milk chocolate bar. Nothing is kept in memory between searches.
"""

from __future__ import annotations

import heapq
import re
import sys
import unicodedata
from array import array
from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from operator import add, itemgetter
from typing import Final

from gossip.log import Reader, View

PREFIX: Final = b"word/"
TOKEN_BYTES_MAX: Final = 32
WORDS_MAX: Final = 8
FOUND_MAX: Final = 10_000
_TOKEN: Final = re.compile(r"[^\W_]+")
_WEIGHT_MAX: Final = 250
_WEIGHT_LENGTH: Final = 8
_WORD_LETTERS_MIN: Final = 3
"""Shorter ones are units, like oz."""
_WEIGHT_BEGINNING: Final = 256
"""Added when only the beginning of a word was given: whole words come first."""
_PREFIX_LETTERS_MIN: Final = 2
_PREFIX_DIGITS_MIN: Final = 4
_ID_BYTES: Final = 8
_SHARD_BYTES: Final = 2

Postings = dict[int, int]
"""Product id → weight."""


def tokens(text: str) -> list[str]:
    """The words of ``text`` as they are indexed and searched, in order: "Café-Crème 20er" → cafe, creme, 20er."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))
    found = _TOKEN.findall(plain)
    return [token.encode()[:TOKEN_BYTES_MAX].decode(errors="ignore") for token in found]


def weights(name: str, others: Iterable[str] = ()) -> dict[str, int]:
    """Token → weight of one product: words of its ``name``, then words of ``others`` (its department), which weigh most."""
    named = tokens(name)
    length = sum(token.isalpha() and len(token) >= _WORD_LETTERS_MIN for token in named)
    found: dict[str, int] = {}
    for place, token in enumerate(named):
        found.setdefault(token, min(_WEIGHT_MAX, _WEIGHT_LENGTH * length + place))
    for text in others:
        for token in tokens(text):
            found.setdefault(token, _WEIGHT_MAX)
    return found


class Changes:
    """The lists that a batch of changed products rewrites: read once, changed in memory, handed over as views."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._lists: dict[bytes, Postings] = {}

    def replace(self, shard: int, product: int, old: Mapping[str, int], new: Mapping[str, int]) -> None:
        """Index ``product`` under ``new`` instead of ``old`` (both token → weight)."""
        for token in old.keys() - new.keys():
            self._list(token, shard).pop(product, None)
        for token, weight in new.items():
            if old.get(token) != weight:
                self._list(token, shard)[product] = weight

    def views(self) -> Iterator[View]:
        """The rewritten lists."""
        for key, postings in self._lists.items():
            yield key, _encode(postings) if postings else None

    def _list(self, token: str, shard: int) -> Postings:
        key = PREFIX + token.encode() + b"/" + shard.to_bytes(_SHARD_BYTES, "big")
        found = self._lists.get(key)
        if found is None:
            found = self._lists[key] = _decode(self._reader.view(key))
        return found


def search(reader: Reader, text: str, limit: int) -> list[int]:
    """Products that have every word of ``text``, or a word that begins with it; the best ``limit``, best first.

    A single letter and numbers of up to three digits are looked up as whole words. At most ``WORDS_MAX`` words count. Of words
    that more than ``FOUND_MAX`` products have, the best of about so many are found.
    """
    asked = list(dict.fromkeys(tokens(text)))[:WORDS_MAX]
    if not asked:
        return []
    by_word = [_lists(reader, token) for token in asked]
    # A product's words are all in its own shard.
    found: Postings = {}
    for shard in sorted(set[bytes].intersection(*map(set[bytes], by_word))):
        both: Postings = reduce(_both, (_matches(lists[shard]) for lists in by_word))
        found.update(both)
        if len(found) >= FOUND_MAX:
            break
    best = heapq.nsmallest(limit, zip(found.values(), found.keys(), strict=True))
    return [product for _, product in best]


_Lists = dict[bytes, list[tuple[bytes, bool]]]
"""Shard → the lists of a word, and whether each is of a longer word that begins with it."""


def _lists(reader: Reader, token: str) -> _Lists:
    exact = PREFIX + token.encode() + b"/"
    beginnings = len(token) >= (_PREFIX_DIGITS_MIN if token.isdigit() else _PREFIX_LETTERS_MIN)
    found: _Lists = {}
    for key, value in reader.views(exact[:-1] if beginnings else exact):
        found.setdefault(key[-_SHARD_BYTES:], []).append((value, not key.startswith(exact)))
    return found


def _matches(lists: list[tuple[bytes, bool]]) -> Postings:
    found: Postings = {}
    for value, beginning in sorted(lists, key=itemgetter(1), reverse=True):  # a whole word replaces a beginning
        products, weighed = _columns(value)
        found.update(zip(products, map(_WEIGHT_BEGINNING.__add__, weighed) if beginning else weighed, strict=True))
    return found


def _both(some: Postings, others: Postings) -> Postings:
    both = some.keys() & others.keys()
    return dict(zip(both, map(add, map(some.__getitem__, both), map(others.__getitem__, both)), strict=True))


def _columns(encoded: bytes) -> tuple[array[int], bytes]:
    """Product ids and weights of one list."""
    count = len(encoded) // (_ID_BYTES + 1)
    products = array("Q", encoded[: count * _ID_BYTES])
    if sys.byteorder == "big":
        products.byteswap()
    return products, encoded[count * _ID_BYTES :]


def _decode(encoded: bytes | None) -> Postings:
    return dict(zip(*_columns(encoded), strict=True)) if encoded else {}


def _encode(postings: Postings) -> bytes:
    ordered = sorted(postings)
    products = array("Q", ordered)
    if sys.byteorder == "big":
        products.byteswap()
    return products.tobytes() + bytes(postings[product] for product in ordered)
