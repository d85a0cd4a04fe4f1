"""Changes to what is valid: one place of a value, or some bytes of an encoding.

A changed value mostly still decodes, so that it reaches the checks behind the decoder; changed bytes try the decoder itself.
Values are what CBOR holds: integers, byte strings, text, booleans, null, lists, maps, and also what entries may not hold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final, cast

import cbor2

INTEGERS: Final = (
    0, 1, -1, 2, 23, 24, 63, 64, 255, 256, 65_535, 65_536, 2**31 - 1, 2**31, 2**32 - 1, 2**32,
    2**40, 2**40 + 1, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, -(2**63), -(2**63) - 1, 2**64,
)  # fmt: skip
"""Where bounds lie."""
SCALARS: tuple[object, ...] = (
    *INTEGERS,
    True,
    False,
    None,
    b"",
    b"\0",
    bytes(8),
    bytes(16),
    bytes(32),
    bytes(33),
    bytes(64),
    b"\xff" * 8,
    b"x" * 300,
    "",
    "a",
    "é",
    "/",
    "store/12",
    "\x00",
    "x" * 250,
    1.0,
    float("nan"),
    list[object](),
    dict[object, object](),
    [list[object]()],
    {0: 0},
    {"": 0},
    {b"": 0},
)
HEADS: Final = (
    b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x5b\x00\x00\x00\x01\x00\x00\x00\x00",
    b"\x9b\x00\x00\x00\x00\x00\x10\x00\x00",
    b"\xbb\x00\x00\x00\x00\x00\x00\xff\xff",
    b"\x9a\xff\xff\xff\xff",
    b"\x7a\x7f\xff\xff\xff",
    b"\x5f",
    b"\x7f",
    b"\x9f",
    b"\xbf",
    b"\xff",
    b"\xf7",
    b"\xf8\x20",
    b"\xf9\x7c\x00",
    b"\xfb\x40\x09\x21\xfb\x54\x44\x2d\x18",
    b"\xc2\x49\x01\x00\x00\x00\x00\x00\x00\x00\x00",
    b"\xc0",
    b"\xd8\x1c",
    b"\xd8\x1d\x00",
    b"\xd8\x23\x63(a+)+$",
    b"\x18\x00",
    b"\x58\x01",
    b"\x81" * 40,
    b"\xa1\x00" * 20,
)
"""Heads of CBOR items that entries may not have, that are longer than they need be, or that promise more than follows."""

_BOUNDARY_LENGTHS: Final = (0, 1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 250, 251)


def encoded(value: object) -> bytes:
    """Some encoding of any value, its maps' keys in the deterministic order."""
    return cbor2.dumps(value, canonical=True)


def changed(dice: Random, value: object, others: Sequence[object] = ()) -> object:
    """``value`` with one place changed; what is not changed is shared with it. ``others``: for their parts."""
    container: Any = value
    path: list[tuple[Any, Any]] = []
    while (places := _places(container)) and dice.random() < 0.85:
        where = dice.choice(places)
        path.append((container, where))
        container = container[where]
    made = _CHANGES[dice.randrange(len(_CHANGES))](dice, container, others)
    for above, where in reversed(path):
        copy = above.copy()
        copy[where] = made
        made = copy
    return made


def scrambled(dice: Random, raw: bytes) -> bytes:
    """``raw`` with some of its bytes changed."""
    changes = bytearray(raw)
    for _ in range(1 if dice.random() < 0.7 else dice.randrange(2, 6)):
        at = dice.randrange(len(changes) + 1)
        match dice.randrange(8):
            case 0 | 1 if at < len(changes):
                changes[at] ^= 1 << dice.randrange(8)
            case 2 if at < len(changes):
                changes[at] = dice.choice((0, 0x18, 0x19, 0x1A, 0x1B, 0x40, 0x60, 0x80, 0x9F, 0xA0, 0xF6, 0xFF))
            case 3:
                changes[at:at] = dice.choice(HEADS)
            case 4:
                del changes[at:]
            case 5:
                del changes[at : at + dice.randrange(1, 9)]
            case 6:
                changes[at:at] = changes[at : at + dice.randrange(1, 40)]
            case _:
                changes[at:at] = dice.randbytes(dice.randrange(1, 5))
    return bytes(changes)


def _scalar(dice: Random, _value: object, _others: Sequence[object]) -> object:
    return dice.choice(SCALARS)


def _near(dice: Random, value: object, others: Sequence[object]) -> object:
    match value:
        case bool():
            return not value
        case int():
            return value + dice.choice((-1, 1, -2, 2, 1 << dice.randrange(64), -(1 << dice.randrange(63))))
        case bytes():
            size = dice.choice(_BOUNDARY_LENGTHS) if dice.random() < 0.3 else len(value)
            near = bytearray((value + bytes(size))[:size])
            if near:
                near[dice.randrange(size)] ^= 1 << dice.randrange(8)
            return bytes(near)
        case str():
            return value + dice.choice(("x", "/", "\0", "ü", "9" * 30))
        case list():
            return _reshaped_list(dice, cast("list[object]", value), others)
        case dict():
            return _reshaped_map(dice, cast("dict[object, object]", value), others)
        case _:
            return dice.choice(SCALARS)


def _reshaped_list(dice: Random, value: list[object], others: Sequence[object]) -> object:
    copy = list(value)
    at = dice.randrange(len(copy) + 1)
    match dice.randrange(6):
        case 0 if copy:
            del copy[at - 1]
        case 1 if copy:
            copy.insert(at, copy[dice.randrange(len(copy))])
        case 2:
            dice.shuffle(copy)
        case 3:
            copy.insert(at, _part(dice, others))
        case 4 if copy:
            copy *= dice.choice((2, 3, 40))
        case _:
            copy.append(dice.choice(SCALARS))
    return copy[:5000]


def _reshaped_map(dice: Random, value: dict[object, object], others: Sequence[object]) -> object:
    copy = dict(value)
    keys = list(copy)
    match dice.randrange(5):
        case 0 if keys:
            del copy[dice.choice(keys)]
        case 1 if keys:
            copy[dice.choice(keys)] = copy[dice.choice(keys)]
        case 2:
            copy[dice.randrange(30)] = _part(dice, others)
        case 3 if keys:
            key = _near(dice, dice.choice(keys), others)
            if isinstance(key, int | bytes | str):
                copy[key] = copy[dice.choice(keys)]
        case _:
            copy[dice.choice((0, 1, -1, 22, 23, 24, "a", b"a", bytes(8), True, 2**64 - 1))] = dice.choice(SCALARS)
    return copy


def _spliced(dice: Random, value: object, others: Sequence[object]) -> object:
    return _part(dice, others) if others else _near(dice, value, others)


def _wrapped(dice: Random, value: object, _others: Sequence[object]) -> object:
    wrapped = value
    for _ in range(dice.choice((1, 1, 2, 14, 17))):
        wrapped = [wrapped] if dice.random() < 0.5 else {dice.randrange(3): wrapped}
    return wrapped


def _part(dice: Random, others: Sequence[object]) -> object:
    """Some part of one of the others."""
    part: Any = dice.choice(others or SCALARS)
    while (places := _places(part)) and dice.random() < 0.7:
        part = part[dice.choice(places)]
    return cast("object", part)


def _places(container: object) -> Sequence[Any]:
    """Indices of a list, keys of a map, nothing of anything else."""
    if isinstance(container, list):
        return range(len(cast("list[object]", container)))
    return list(cast("dict[object, object]", container)) if isinstance(container, dict) else ()


_CHANGES: Final[tuple[Callable[[Random, object, Sequence[object]], object], ...]] = (
    _scalar,
    _near,
    _near,
    _near,
    _near,
    _spliced,
    _spliced,
    _wrapped,
)
