"""Shapes in entries: sparse CBOR maps with small integer keys.

A field that is zero or empty is absent, so that a body has one encoding. Reading is strict about every field it knows. Keys
it does not know are ignored and kept: a newer till may write more, and what an older one passes on or writes again still
has it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import TypeVar, cast

from crdt_pos.money import AMOUNT_MAX
from merge_rules.errors import InvalidBody

E = TypeVar("E", bound=IntEnum)
T = TypeVar("T")

TEXT_BYTES_MAX = 400
ITEMS_MAX = 10_000

Extra = tuple[tuple[int, object], ...]
"""Keys and values of a newer version, kept as they came."""


def sparse(fields: Mapping[int, object], extra: Extra = ()) -> dict[int, object]:
    """The body with these fields, without those that are zero, empty, false or ``None``."""
    body = {key: value for key, value in fields.items() if value}
    body.update((key, value) for key, value in extra if value)
    return body


class Fields:
    """Reads one sparse map, field by field. Every method raises ``InvalidBody`` and says which field of which shape."""

    def __init__(self, body: object, shape: str) -> None:
        if not isinstance(body, dict):
            raise InvalidBody(f"{shape}: not a map")
        fields = cast("dict[object, object]", body)
        if not all(isinstance(key, int) and not isinstance(key, bool) and key >= 0 for key in fields):
            raise InvalidBody(f"{shape}: a key that is no small integer")
        self._left = cast("dict[int, object]", dict(fields))
        self._shape = shape

    def _refuse(self, key: int, why: str) -> InvalidBody:
        return InvalidBody(f"{self._shape}: field {key} {why}")

    def integer(self, key: int, low: int = 0, high: int = AMOUNT_MAX) -> int:
        """An integer from ``low`` to ``high``; 0 where absent, never written as 0."""
        if key not in self._left:
            if low > 0:
                raise self._refuse(key, "is missing")
            return 0
        value = self._left.pop(key)
        if isinstance(value, bool) or not isinstance(value, int) or not value or not low <= value <= high:
            raise self._refuse(key, f"is not an integer from {low} to {high} other than 0")
        return value

    def amount(self, key: int) -> int:
        """An integer of either sign."""
        return self.integer(key, -AMOUNT_MAX)

    def flag(self, key: int) -> bool:
        """True, or absent."""
        if key not in self._left:
            return False
        if self._left.pop(key) is not True:
            raise self._refuse(key, "is written though it is not true")
        return True

    def choice(self, key: int, kind: type[E]) -> E:
        """A member of an enumeration; the one numbered 0 where absent."""
        try:
            return kind(self.integer(key))
        except ValueError as error:
            raise self._refuse(key, f"is no {kind.__name__}") from error

    def text(self, key: int, bytes_max: int = TEXT_BYTES_MAX) -> str:
        """Text; empty where absent."""
        value = self._left.pop(key, None)
        if value is None:
            return ""
        if not isinstance(value, str) or not value or len(value.encode()) > bytes_max:
            raise self._refuse(key, f"is not text of 1 to {bytes_max} bytes")
        return value

    def octets(self, key: int, *sizes: int) -> bytes:
        """Bytes of one of the ``sizes``; empty where absent."""
        value = self._left.pop(key, None)
        if value is None:
            return b""
        if not isinstance(value, bytes) or len(value) not in sizes:
            raise self._refuse(key, f"is not bytes of {min(sizes)} to {max(sizes)}")
        return value

    def items(self, key: int, decode: Callable[[object], T]) -> tuple[T, ...]:
        """A list, each item decoded; empty where absent."""
        value = self._left.pop(key, None)
        if value is None:
            return ()
        if not isinstance(value, list) or not value or len(cast("list[object]", value)) > ITEMS_MAX:
            raise self._refuse(key, f"is not a list of 1 to {ITEMS_MAX} items")
        return tuple(decode(item) for item in cast("list[object]", value))

    def one(self, key: int, decode: Callable[[object], T]) -> T | None:
        """A nested shape, or ``None`` where absent."""
        return decode(self._left.pop(key)) if key in self._left else None

    def rest(self) -> Extra:
        """What no method has taken: fields of a newer version."""
        return tuple(sorted(self._left.items()))
