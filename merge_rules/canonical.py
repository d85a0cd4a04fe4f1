"""Deterministic CBOR (RFC 8949 §4.2.1): one value, one encoding.

Entries use a subset: integers from -2**63 to 2**64-1, byte strings, text, booleans, null, arrays and maps. The keys of one
map are all unsigned integers, all byte strings or all text, so that bytewise and length-first order agree. No floats, no
tags, no indefinite lengths; arrays and maps nest at most ``DEPTH_MAX`` deep.

The subset is small enough to be written out here, each rule where it is read: a general decoder would first build what
must be refused (shared references that unfold to gigabytes, tags that run code) and take twice as long.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NoReturn, cast

from merge_rules.errors import NotCanonical

DEPTH_MAX: Final = 16
INTEGER_MIN: Final = -(2**63)
INTEGER_MAX: Final = 2**64 - 1

_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG = (major << 5 for major in range(7))
_SIMPLE: Final[dict[int, object]] = {0xF4: False, 0xF5: True, 0xF6: None}
_KEYS: Final[set[type]] = {int, bytes, str}
_WIDE: Final = {24: (1, 24), 25: (2, 1 << 8), 26: (4, 1 << 16), 27: (8, 1 << 32)}
"""By the lower five bits of the first byte: how many bytes follow, and the least argument that needs so many."""


def encode(value: object) -> bytes:
    """Return the one encoding of ``value``: of the types that ``decode`` returns, or tuples for arrays.

    Raises ``NotCanonical`` for a value outside the subset.
    """
    out = bytearray()
    _write(out, value, DEPTH_MAX)
    return bytes(out)


def decode(encoded: bytes) -> object:
    """Return the value of ``encoded``: ``int``, ``bytes``, ``str``, ``bool``, ``None``, ``list`` or ``dict``.

    Raises ``NotCanonical`` unless ``encode(decode(encoded)) == encoded``.
    """
    try:
        value, end = _read(encoded, 0, DEPTH_MAX)
    except IndexError:
        _refuse("the bytes end too early")
    if end != len(encoded):
        _refuse("bytes left over")
    return value


def _read(encoded: bytes, at: int, depth: int) -> tuple[object, int]:
    """The item at ``at`` and where the next one begins. ``IndexError`` where the bytes end."""
    first = encoded[at]
    at += 1
    if first < 24:
        return first, at
    major, argument = first & 0xE0, first & 0x1F
    if major >= _TAG:
        if first not in _SIMPLE:
            _refuse("a tag, a float or an unknown simple value")
        return _SIMPLE[first], at
    if argument >= 24:
        if argument > 27:
            _refuse("an indefinite length")
        width, least = _WIDE[argument]
        argument = int.from_bytes(encoded[at : at + width], "big")
        at += width
        if argument < least:
            _refuse("a head that is cut off, or longer than it need be")
    if major == _UNSIGNED:
        return argument, at
    if major == _ARRAY:
        return _read_array(encoded, at, argument, depth - 1)
    if major == _MAP:
        return _read_map(encoded, at, argument, depth - 1)
    if major == _NEGATIVE:
        if argument >= -INTEGER_MIN:
            _refuse("an integer below -2**63")
        return -1 - argument, at
    end = at + argument
    content = encoded[at:end]
    if len(content) != argument:
        raise IndexError
    return (content if major == _BYTES else _text(content)), end


def _read_array(encoded: bytes, at: int, count: int, depth: int) -> tuple[object, int]:
    if depth < 0:
        _refuse(f"more than {DEPTH_MAX} levels")
    items: list[object] = []
    for _ in range(count):
        item, at = _read(encoded, at, depth)
        items.append(item)
    return items, at


def _read_map(encoded: bytes, at: int, count: int, depth: int) -> tuple[object, int]:
    if depth < 0:
        _refuse(f"more than {DEPTH_MAX} levels")
    mapping: dict[object, object] = {}
    keys_major = encoded[at] & 0xE0 if count else _UNSIGNED
    if keys_major not in (_UNSIGNED, _BYTES, _TEXT):
        _refuse("a map key that is neither unsigned, bytes nor text")
    before = b""
    for _ in range(count):
        if encoded[at] & 0xE0 != keys_major:
            _refuse("map keys of more than one type")
        key, end = _read(encoded, at, depth)
        key_encoded = encoded[at:end]
        if key_encoded <= before:
            _refuse("map keys out of order, or one twice")
        before = key_encoded
        mapping[key], at = _read(encoded, end, depth)
    return mapping, at


def _write(out: bytearray, value: object, depth: int) -> None:
    if value is None or value is False or value is True:
        out.append(0xF6 if value is None else 0xF5 if value else 0xF4)
    elif isinstance(value, int):
        if not INTEGER_MIN <= value <= INTEGER_MAX:
            _refuse("an integer outside -2**63 … 2**64-1")
        if value >= 0:
            _write_head(out, _UNSIGNED, value)
        else:
            _write_head(out, _NEGATIVE, -1 - value)
    elif isinstance(value, bytes):
        _write_head(out, _BYTES, len(value))
        out += value
    elif isinstance(value, str):
        encoded = _utf8(value)
        _write_head(out, _TEXT, len(encoded))
        out += encoded
    elif depth == 0 and isinstance(value, list | tuple | dict):
        _refuse(f"more than {DEPTH_MAX} levels")
    elif isinstance(value, list | tuple):
        items = cast("Sequence[object]", value)
        _write_head(out, _ARRAY, len(items))
        for item in items:
            _write(out, item, depth - 1)
    elif isinstance(value, dict):
        mapping = cast("dict[object, object]", value)
        _write_head(out, _MAP, len(mapping))
        for key in _in_order(mapping):
            _write(out, key, depth - 1)
            _write(out, mapping[key], depth - 1)
    else:
        _refuse(f"{type(value).__name__} does not stand in an entry")


def _write_head(out: bytearray, major: int, argument: int) -> None:
    if argument < 24:
        out.append(major | argument)
    elif argument < 1 << 8:
        out.append(major | 24)
        out.append(argument)
    elif argument < 1 << 16:
        out.append(major | 25)
        out += argument.to_bytes(2, "big")
    elif argument < 1 << 32:
        out.append(major | 26)
        out += argument.to_bytes(4, "big")
    else:
        out.append(major | 27)
        out += argument.to_bytes(8, "big")


def _in_order(mapping: dict[object, object]) -> list[object]:
    kinds = set(map(type, mapping))
    if len(kinds) > 1 or not kinds <= _KEYS:
        _refuse("map keys that are not all unsigned, all bytes or all text")
    if str in kinds:
        return sorted(mapping, key=lambda key: (len(encoded := _utf8(cast("str", key))), encoded))
    if bytes in kinds:
        return sorted(mapping, key=lambda key: (len(cast("bytes", key)), key))
    numbers = sorted(cast("dict[int, object]", mapping))
    if numbers and numbers[0] < 0:
        _refuse("a negative map key")
    return cast("list[object]", numbers)


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        _refuse("text that is not UTF-8")


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        _refuse("text that is not Unicode")


def _refuse(why: str) -> NoReturn:
    raise NotCanonical(why)
