"""Deterministic CBOR (RFC 8949 §4.2.1): one value, one encoding.

Entries use a subset: integers from -2**63 to 2**64-1, byte strings, text, booleans, null, arrays and maps. The keys of one
map are all unsigned integers, all byte strings or all text, so that bytewise and length-first order agree. No floats, no
tags, no indefinite lengths; arrays and maps nest at most ``DEPTH_MAX`` deep.

cbor2 encodes and decodes. Decoding is strict without encoding again: one walk over the decoded value looks at types and the
order of keys and adds up the shortest possible length of every item. The sum is the length of the input only if every head
was the shortest one and nothing was left over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn, cast

import cbor2

from merge_rules.errors import NotCanonical

DEPTH_MAX: Final = 16
INTEGER_MIN: Final = -(2**63)
INTEGER_MAX: Final = 2**64 - 1


def encode(value: object) -> bytes:
    """Return the one encoding of ``value``: of the types that ``decode`` returns, or tuples for arrays.

    Raises ``NotCanonical`` for a value outside the subset.
    """
    _shortest_length(value, None)
    return cbor2.dumps(value, canonical=True)


def decode(encoded: bytes) -> object:
    """Return the value of ``encoded``: ``int``, ``bytes``, ``str``, ``bool``, ``None``, ``list`` or ``dict``.

    Raises ``NotCanonical`` unless ``encode(decode(encoded)) == encoded``.
    """
    try:
        value: object = cbor2.loads(encoded, allow_indefinite=False, allow_duplicate_keys=False, max_depth=DEPTH_MAX)
    except (cbor2.CBORDecodeError, ValueError, OverflowError, RecursionError, TypeError) as error:
        raise NotCanonical(f"not CBOR: {error}") from error
    if _shortest_length(value, len(encoded)) != len(encoded):
        _refuse("bytes left over, or a head longer than it need be")
    return value


def _shortest_length(value: object, bytes_max: int | None) -> int:
    """Bytes of the shortest encoding. With ``bytes_max`` keys must stand in order, and a larger value ends the walk early:
    decoded input may share containers (tag 29) and be far larger than its bytes, or endless."""
    total = 0
    level: list[object] = [value]
    for depth in range(DEPTH_MAX + 1):
        deeper: list[object] = []
        for item in level:
            if isinstance(item, bool) or item is None:
                total += 1
            elif isinstance(item, int):
                if not INTEGER_MIN <= item <= INTEGER_MAX:
                    _refuse("an integer outside -2**63 … 2**64-1")
                total += _head_bytes(item if item >= 0 else -1 - item)
            elif isinstance(item, bytes | str):
                size = len(item) if isinstance(item, bytes) else len(_utf8(item))
                total += _head_bytes(size) + size
            elif depth == DEPTH_MAX and isinstance(item, list | tuple | dict):
                _refuse(f"more than {DEPTH_MAX} levels")
            elif isinstance(item, list | tuple):
                items = cast("Sequence[object]", item)
                total += _head_bytes(len(items))
                deeper += items
            elif isinstance(item, dict):
                mapping = cast("dict[object, object]", item)
                total += _head_bytes(len(mapping))
                deeper += _checked_keys(mapping, in_order=bytes_max is not None)
                deeper += mapping.values()
            else:
                _refuse(f"{type(item).__name__} does not stand in an entry")
            if bytes_max is not None and total + len(deeper) > bytes_max:
                _refuse("a value larger than its bytes")
        if not deeper:
            break
        level = deeper
    return total


def _head_bytes(argument: int) -> int:
    if argument < 24:
        return 1
    if argument < 1 << 8:
        return 2
    if argument < 1 << 16:
        return 3
    return 5 if argument < 1 << 32 else 9


def _checked_keys(mapping: dict[object, object], *, in_order: bool) -> list[object]:
    keys = list(mapping)
    kinds = set(map(type, keys))
    if not kinds:
        return keys
    order = _KEY_ORDER.get(kinds.pop()) if len(kinds) == 1 else None
    if order is None:
        _refuse("map keys that are not all unsigned, all bytes or all text")
    ordered = cast("list[object]", sorted(cast("list[Any]", keys), key=order))
    if isinstance(ordered[0], int) and ordered[0] < 0:
        _refuse("a negative map key")
    if in_order and ordered != keys:
        _refuse("map keys out of order")
    return keys


def _bytes_order(key: bytes) -> tuple[int, bytes]:
    return len(key), key


def _text_order(key: str) -> tuple[int, bytes]:
    return _bytes_order(_utf8(key))


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        _refuse("text that is not Unicode")


_KEY_ORDER: Final[dict[type, Callable[[Any], Any]]] = {int: int, bytes: _bytes_order, str: _text_order}


def _refuse(why: str) -> NoReturn:
    raise NotCanonical(why)
