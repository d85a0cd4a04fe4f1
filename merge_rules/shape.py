"""Checks of a body's shape: each returns the value with its type, or raises ``InvalidBody`` and says what is wrong."""

from __future__ import annotations

import itertools
from typing import NoReturn, cast

from merge_rules import canonical
from merge_rules.errors import InvalidBody, NotCanonical
from merge_rules.lattice import AUTHOR_BYTES, Author


def refuse(why: str) -> NoReturn:
    """Raise ``InvalidBody``."""
    raise InvalidBody(why)


def integer(value: object, least: int, most: int, what: str) -> int:
    """``value`` as an integer from ``least`` to ``most``, both included."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        refuse(f"{what} is not an integer from {least} to {most}")
    return value


def octets(value: object, what: str, bytes_max: int | None = None) -> bytes:
    """``value`` as a byte string of at most ``bytes_max`` bytes."""
    if not isinstance(value, bytes) or (bytes_max is not None and len(value) > bytes_max):
        refuse(f"{what} is not a byte string" + ("" if bytes_max is None else f" of at most {bytes_max} bytes"))
    return value


def array(value: object, what: str) -> list[object]:
    """``value`` as an array."""
    if not isinstance(value, list):
        refuse(f"{what} is not an array")
    return cast("list[object]", value)


def mapping(value: object, what: str) -> dict[object, object]:
    """``value`` as a map."""
    if not isinstance(value, dict):
        refuse(f"{what} is not a map")
    return cast("dict[object, object]", value)


def fields(value: object, known: frozenset[int], what: str) -> dict[int, object]:
    """``value`` as a map whose keys are all among ``known``."""
    given = mapping(value, what)
    # True and 1.0 equal 1, so they would pass for a key that no encoding of ours has.
    if any(type(key) is not int or key not in known for key in given):
        refuse(f"{what} has a key other than {sorted(known)}")
    return cast("dict[int, object]", given)


def author(value: object) -> Author:
    """``value`` as an author's id."""
    if not isinstance(value, bytes) or len(value) != AUTHOR_BYTES:
        refuse(f"an author is not {AUTHOR_BYTES} bytes")
    return Author(value)


def encoded(value: object) -> bytes:
    """The canonical encoding of ``value``: how any value becomes hashable and ordered."""
    try:
        return canonical.encode(value)
    except (NotCanonical, ValueError, RecursionError) as error:
        raise InvalidBody(str(error)) from error


def ascending(values: list[object], what: str) -> list[bytes]:
    """The encodings of ``values``, which must ascend strictly: one encoding of every set."""
    encodings = [encoded(value) for value in values]
    if any(low >= high for low, high in itertools.pairwise(encodings)):
        refuse(f"{what} do not ascend")
    return encodings
