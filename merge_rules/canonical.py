"""Deterministic CBOR (RFC 8949 §4.2.1): one value, one encoding.

Entries use a subset: integers from -2**63 to 2**64-1, byte strings, text, booleans, null, arrays and maps. The keys of one
map are all unsigned integers, all byte strings or all text, so that bytewise and length-first order agree. No floats, no
tags, no indefinite lengths, at most ``DEPTH_MAX`` levels.

Decoding is strict without encoding again: cbor2 decodes, then one walk adds up the shortest possible length of every item
and looks at the order of keys. The sum equals the length of the input only if every head was the shortest one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, cast

import cbor2

from merge_rules.errors import NotCanonical

DEPTH_MAX: Final = 16
INTEGER_MIN: Final = -(2**63)
INTEGER_MAX: Final = 2**64 - 1


def encode(value: object) -> bytes:
    """Return the one encoding of ``value``.

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
        raise NotCanonical("bytes left over, or a head longer than it need be")
    return value


def _head(argument: int) -> int:
    if argument < 24:
        return 1
    if argument < 0x100:
        return 2
    if argument < 0x10000:
        return 3
    return 5 if argument < 0x100000000 else 9


def _shortest_length(value: object, bytes_max: int | None) -> int:
    total = 0
    level: list[object] = [value]
    for _ in range(DEPTH_MAX + 1):
        deeper: list[object] = []
        for item in level:
            if isinstance(item, bool) or item is None:
                total += 1
            elif isinstance(item, int):
                if not INTEGER_MIN <= item <= INTEGER_MAX:
                    raise NotCanonical("an integer outside -2**63 … 2**64-1")
                total += _head(item if item >= 0 else -1 - item)
            elif isinstance(item, bytes):
                total += _head(len(item)) + len(item)
            elif isinstance(item, str):
                try:
                    size = len(item.encode())
                except UnicodeEncodeError as error:
                    raise NotCanonical("text that is not Unicode") from error
                total += _head(size) + size
            elif isinstance(item, list | tuple):
                children = cast("Sequence[object]", item)
                total += _head(len(children))
                deeper.extend(children)
            elif isinstance(item, dict):
                mapping = cast("dict[object, object]", item)
                total += _head(len(mapping))
                deeper.extend(_checked_keys(mapping, in_order=bytes_max is not None))
                deeper.extend(mapping.values())
            else:
                raise NotCanonical(f"{type(item).__name__} does not stand in an entry")
            # Decoded input may share containers (tag 29) and then be far larger than its bytes: stop the walk early.
            if bytes_max is not None and total + len(deeper) > bytes_max:
                raise NotCanonical("a value larger than its bytes")
        if not deeper:
            return total
        level = deeper
    raise NotCanonical(f"more than {DEPTH_MAX} levels")


def _checked_keys(mapping: dict[object, object], *, in_order: bool) -> list[object]:
    keys = list(mapping)
    kinds = {type(key) for key in keys}
    if len(kinds) > 1:
        raise NotCanonical("map keys of more than one type")
    kind = kinds.pop() if kinds else int
    if kind is int:
        if any(cast("int", key) < 0 for key in keys):
            raise NotCanonical("a negative map key")
        order: Callable[[Any], Any] | None = None
    elif kind is bytes:
        order = _bytes_order
    elif kind is str:
        order = _text_order
    else:
        raise NotCanonical(f"{kind.__name__} as a map key")
    if in_order and sorted(cast("list[Any]", keys), key=order) != keys:
        raise NotCanonical("map keys out of order")
    return keys


def _bytes_order(key: bytes) -> tuple[int, bytes]:
    return len(key), key


def _text_order(key: str) -> tuple[int, bytes]:
    encoded = key.encode()
    return len(encoded), encoded
