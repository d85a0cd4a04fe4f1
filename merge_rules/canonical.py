"""Deterministic CBOR (RFC 8949 §4.2.1): one value, one encoding.

Entries use a subset: integers from -2**63 to 2**64-1, byte strings, text, booleans, null, arrays and maps. The keys of one
map are all unsigned integers, all byte strings or all text, so that bytewise and length-first order agree. No floats, no
tags, no indefinite lengths; arrays and maps nest at most ``DEPTH_MAX`` deep.

cbor2 decodes. Encoding is done here: for this subset it is little, and cbor2's encoder takes several times as long. Decoding
is strict because what was decoded is encoded again: there is one encoding, and any other input differs from it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn, cast

import cbor2

from merge_rules.errors import NotCanonical

DEPTH_MAX: Final = 16
INTEGER_MIN: Final = -(2**63)
INTEGER_MAX: Final = 2**64 - 1

_type_of: Final = cast("Callable[[object], object]", type)
_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP = range(0, 0xC0, 0x20)
"""The major types of RFC 8949 §3.1, in the high bits of a head."""
_FALSE, _TRUE, _NULL = b"\xf4", b"\xf5", b"\xf6"
_SHORT: Final = 24
"""Smaller arguments stand in the head itself."""
_HEADS: Final = 256
"""For smaller arguments of some types the heads stand in a table."""


def encode(value: object) -> bytes:
    """Return the one encoding of ``value``: of the types that ``decode`` returns, or tuples for arrays.

    Raises ``NotCanonical`` for a value outside the subset.
    """
    parts: list[bytes] = []
    _encode(value, parts.append, DEPTH_MAX)
    return b"".join(parts)


def decode(encoded: bytes) -> object:
    """Return the value of ``encoded``: ``int``, ``bytes``, ``str``, ``bool``, ``None``, ``list`` or ``dict``.

    Raises ``NotCanonical`` unless ``encode(decode(encoded)) == encoded``.
    """
    try:
        value: object = cbor2.loads(
            encoded, allow_indefinite=False, allow_duplicate_keys=False, max_depth=DEPTH_MAX, semantic_decoders=_SHARING
        )
    except (cbor2.CBORDecodeError, ValueError, OverflowError, RecursionError, TypeError) as error:
        raise NotCanonical(f"not CBOR: {error}") from error
    if encode(value) != encoded:
        _refuse("bytes left over, a head longer than it need be, or map keys out of order")
    return value


def decode_own(encoded: bytes) -> object:
    """The same for what ``encode`` has returned, or ``decode`` has accepted before: it is not checked again.

    Raises ``NotCanonical`` where it is no CBOR at all.
    """
    try:
        return cbor2.loads(encoded)
    except (cbor2.CBORDecodeError, ValueError, OverflowError, RecursionError, TypeError) as error:
        raise NotCanonical(f"not CBOR: {error}") from error


def _encode(value: Any, write: Callable[[bytes], None], depth: int) -> None:
    _encode_array((value,), write, depth + 1, headed=False)


# Both write the simple types within their loops: a call for each would take as long as what it does.


def _encode_array(items: Sequence[Any], write: Callable[[bytes], None], depth: int, *, headed: bool = True) -> None:
    if not depth:
        _refuse(_TOO_DEEP)
    depth -= 1
    if headed:
        size = len(items)
        write(_SHORT_HEADS[_ARRAY + size] if size < _SHORT else _head(_ARRAY, size))
    for value in items:
        kind = _type_of(value)
        if kind is int:
            number: int = value
            write(_UNSIGNED_HEADS[number] if 0 <= number < _HEADS else _integer(number))
        elif kind is dict:
            _encode_map(value, write, depth)
        elif kind is list:
            _encode_array(value, write, depth)
        elif kind is bytes:
            size = len(value)
            write(_BYTES_HEADS[size] if size < _HEADS else _head(_BYTES, size))
            write(value)
        elif kind is str:
            content = _utf8(value)
            size = len(content)
            write(_TEXT_HEADS[size] if size < _HEADS else _head(_TEXT, size))
            write(content)
        else:
            _encode_rare(value, write, depth)


def _encode_map(mapping: dict[Any, Any], write: Callable[[bytes], None], depth: int) -> None:
    if not depth:
        _refuse(_TOO_DEEP)
    depth -= 1
    size = len(mapping)
    write(_SHORT_HEADS[_MAP + size] if size < _SHORT else _head(_MAP, size))
    for key in _in_order(mapping):
        if type(key) is int:
            write(_UNSIGNED_HEADS[key] if key < _HEADS else _integer(key))
        else:
            _encode(key, write, depth)
        value = mapping[key]
        kind = _type_of(value)
        if kind is int:
            number: int = value
            write(_UNSIGNED_HEADS[number] if 0 <= number < _HEADS else _integer(number))
        elif kind is str:
            content = _utf8(value)
            size = len(content)
            write(_TEXT_HEADS[size] if size < _HEADS else _head(_TEXT, size))
            write(content)
        elif kind is list:
            _encode_array(value, write, depth)
        elif kind is dict:
            _encode_map(value, write, depth)
        elif kind is bytes:
            size = len(value)
            write(_BYTES_HEADS[size] if size < _HEADS else _head(_BYTES, size))
            write(value)
        else:
            _encode_rare(value, write, depth)


def _encode_rare(value: Any, write: Callable[[bytes], None], depth: int) -> None:
    """What decoding never returns, and what is seldom there."""
    if value is None:
        write(_NULL)
    elif isinstance(value, bool):
        write(_TRUE if value else _FALSE)
    elif isinstance(value, list | tuple):
        _encode_array(cast("Sequence[object]", value), write, depth)
    elif isinstance(value, dict):
        _encode_map(cast("dict[object, object]", value), write, depth)
    elif isinstance(value, int):  # an enumeration's member, as the next two
        _encode(int(value), write, depth)
    elif isinstance(value, str):
        _encode(str(value), write, depth)
    elif isinstance(value, bytes):
        _encode(bytes(value), write, depth)
    else:
        _refuse(f"{type(value).__name__} does not stand in an entry")


def _in_order(mapping: dict[Any, Any]) -> list[Any]:
    kinds = set(map(type, mapping))
    if not kinds:
        return []
    kind = kinds.pop()
    if kinds or kind not in _KEY_ORDER:
        _refuse("map keys that are not all unsigned, all bytes or all text")
    ordered = sorted(mapping, key=_KEY_ORDER[kind])
    if kind is int and ordered[0] < 0:
        _refuse("a negative map key")
    return ordered


def _bytes_order(key: bytes) -> tuple[int, bytes]:
    return len(key), key


def _text_order(key: str) -> tuple[int, bytes]:
    return _bytes_order(_utf8(key))


_KEY_ORDER: Final[dict[type, Callable[[Any], Any] | None]] = {int: None, bytes: _bytes_order, str: _text_order}


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        _refuse("text that is not Unicode")


def _integer(number: int) -> bytes:
    if 0 <= number <= INTEGER_MAX:
        return _head(_UNSIGNED, number)
    if not INTEGER_MIN <= number < 0:
        _refuse("an integer outside -2**63 … 2**64-1")
    return _head(_NEGATIVE, -1 - number)


def _head(major: int, argument: int) -> bytes:
    if argument >= _2_32:
        return _NINE_BYTES(major | 27, argument)
    if argument >= _2_16:
        return _FIVE_BYTES(major | 26, argument)
    if argument >= _2_8:
        return _THREE_BYTES(major | 25, argument)
    return _SHORT_HEADS[major + argument] if argument < _SHORT else bytes((major | 24, argument))


def _refuse(why: str) -> NoReturn:
    raise NotCanonical(why)


def _no_sharing(*_: object) -> NoReturn:
    _refuse("a tag")


_TOO_DEEP: Final = f"more than {DEPTH_MAX} levels"
_2_8, _2_16, _2_32 = 1 << 8, 1 << 16, 1 << 32
_THREE_BYTES: Final = struct.Struct(">BH").pack
_FIVE_BYTES: Final = struct.Struct(">BI").pack
_NINE_BYTES: Final = struct.Struct(">BQ").pack
_SHORT_HEADS: Final[list[bytes]] = [bytes((first,)) for first in range(256)]
_UNSIGNED_HEADS: Final[list[bytes]] = [_head(_UNSIGNED, argument) for argument in range(_HEADS)]
_BYTES_HEADS: Final[list[bytes]] = [_head(_BYTES, argument) for argument in range(_HEADS)]
_TEXT_HEADS: Final[list[bytes]] = [_head(_TEXT, argument) for argument in range(_HEADS)]
_SHARING: Final[dict[int, Callable[..., Any]]] = dict.fromkeys((25, 28, 29, 256), _no_sharing)
"""The tags by which few bytes stand for a large value, or an endless one: encoding that again would not end. The others
decode to types that do not stand in entries."""
