"""Nested counters: maps and arrays of counts that only grow, joined by the larger one at every place.

A value is

    count = unsigned integer                         ; joined by the larger
    array = [+ value]                                ; joined place by place, the shorter padded with 0
    map   = {+ key => value}                         ; joined key by key; keys all unsigned, all bytes or all text
    fixed = bytes                                    ; set once; joined by (length, bytes), so that liars agree as well

and ``0`` stands for nothing at all. There is one form of every value: nothing that is 0 stands in a map or at the end of
an array, and no map or array is empty. Where two values are of different sorts the later sort wins (count < array < map
with integer, bytes, text keys < fixed): an ordinal sum of lattices, hence a lattice, and no honest author meets it.

Reference: Baquero, Almeida et al., Composition of State-based CRDTs (2017), for maps, products and ordinal sums. The rules
that are such counters with more to say: ``counter_grow``, ``counter_pn``, ``counter_bounded``, ``counter_covers``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Self, TypeAlias, cast

from merge_rules.canonical import INTEGER_MAX
from merge_rules.dataclass import dataclass
from merge_rules.errors import InvalidBody, NotAllowed

Key: TypeAlias = int | bytes | str
Nested: TypeAlias = "int | bytes | list[Nested] | dict[Key, Nested]"
"""A value as ``merge_rules.canonical`` decodes it. Never changed in place."""

DEPTH_MAX: Final = 8
"""Levels of maps and arrays within one value."""

_type_of: Final = cast("Callable[[object], object]", type)
_TOO_DEEP: Final = f"counters nested deeper than {DEPTH_MAX}"
_ARRAY, _MAP, _FIXED = 1, 2, 5
_KEY_SORTS: Final[dict[type, int]] = {int: 0, bytes: 1, str: 2}


def join(a: Nested, b: Nested) -> Nested:
    """The least value that both precede."""
    if a is b or b == 0:
        return a
    if a == 0:
        return b
    sort, other = _sort(a), _sort(b)
    if sort != other:
        return a if sort > other else b
    if isinstance(a, dict):
        return _join_maps(a, cast("dict[Key, Nested]", b))
    if isinstance(a, list):
        return _join_arrays(a, cast("list[Nested]", b))
    if isinstance(a, bytes):
        return max(a, cast("bytes", b), key=_bytes_order)
    return max(a, cast("int", b))


def precedes(a: Nested, b: Nested) -> bool:
    """Whether ``join(a, b) == b``, without building it."""
    if a is b or a == 0:
        return True
    sort, other = _sort(a), _sort(b)
    if sort != other:
        return sort < other
    if isinstance(a, dict):
        larger = cast("dict[Key, Nested]", b)
        return all(precedes(value, larger.get(key, 0)) for key, value in a.items())
    if isinstance(a, list):
        longer = cast("list[Nested]", b)
        return len(a) <= len(longer) and all(map(precedes, a, longer))
    if isinstance(a, bytes):
        return _bytes_order(a) <= _bytes_order(cast("bytes", b))
    return a <= cast("int", b)


def plus(a: Nested, b: Nested) -> Nested:
    """The sum at every place, for adding up the counters of several authors. Fixed values and sorts join."""
    if isinstance(a, int) and isinstance(b, int):
        return a + b
    if isinstance(a, list) and isinstance(b, list):
        shorter, longer = sorted((a, b), key=len)
        return [*map(plus, shorter, longer), *longer[len(shorter) :]]
    if isinstance(a, dict) and isinstance(b, dict) and _sort(a) == _sort(b):
        return {**a, **{key: plus(a[key], value) if key in a else value for key, value in b.items()}}
    return join(a, b)


def check(value: Any, depth_max: int = DEPTH_MAX) -> Nested:
    """``value`` itself, if it is a nested counter in its one form and not 0. Raises ``InvalidBody``."""
    kind = _type_of(value)
    if kind is int:
        if not 0 < value <= INTEGER_MAX:
            raise InvalidBody(f"a count of {value}")
    elif kind is list:
        if not value or value[-1] == 0:
            raise InvalidBody("an array that is empty or ends in 0")
        if not depth_max:
            raise InvalidBody(_TOO_DEEP)
        for place in value:
            if type(place) is not int or not 0 <= place <= INTEGER_MAX:
                check(place, depth_max - 1)
    elif kind is dict:
        check_map(value, depth_max)
    elif kind is not bytes:
        raise InvalidBody(f"{type(value).__name__} in a counter")
    elif not value:
        raise InvalidBody("empty bytes")
    return cast("Nested", value)


def check_map(value: Any, depth_max: int = DEPTH_MAX) -> dict[Key, Nested]:
    """``value`` itself, if it is a map of nested counters with keys of one type. Raises ``InvalidBody``."""
    kind = _type_of(value)
    if kind is not dict or not value:
        raise InvalidBody("no map of counters, or an empty one")
    if not depth_max:
        raise InvalidBody(_TOO_DEEP)
    kinds = set(map(type, value))
    if len(kinds) != 1 or not kinds <= _KEY_SORTS.keys():
        raise InvalidBody("keys that are not all unsigned integers, all bytes or all text")
    if int in kinds and not (min(value) >= 0 and max(value) <= INTEGER_MAX):
        raise InvalidBody("a key that is not an unsigned integer")
    for part in value.values():
        check(part, depth_max - 1)
    return cast("dict[Key, Nested]", value)


def checked_key(key: Key, beside: dict[Key, Nested]) -> Key:
    """``key``, if it may stand in a map that has the keys of ``beside``. Raises ``NotAllowed``."""
    if type(key) not in _KEY_SORTS or (type(key) is int and not 0 <= key <= INTEGER_MAX):
        raise NotAllowed(f"{key!r} is no key of a counter")
    if beside and type(next(iter(beside))) is not type(key):
        raise NotAllowed("the keys of one author's counters are all integers, all bytes or all text")
    return key


def checked_amount(amount: int) -> int:
    """``amount``, if a counter can grow by it. Raises ``NotAllowed``."""
    if type(amount) is not int or not 0 < amount <= INTEGER_MAX:
        raise NotAllowed(f"a counter cannot grow by {amount}")
    return amount


@dataclass(frozen=True, slots=True)
class CounterNested:
    """A nested counter as a lattice of its own.

    >>> at_sea = CounterNested({1: [100, 20], 2: [50]})
    >>> on_land = CounterNested({1: [80, 30], 3: {b"x": 1}})
    >>> at_sea.join(on_land).nested
    {1: [100, 30], 2: [50], 3: {b'x': 1}}
    >>> at_sea.join(on_land) == on_land.join(at_sea)
    True
    >>> at_sea.precedes(on_land)
    False
    """

    nested: Nested = 0

    @classmethod
    def bottom(cls) -> Self:
        """Nothing counted."""
        return cls()

    def join(self, other: Self) -> Self:
        """The larger count at every place."""
        return type(self)(join(self.nested, other.nested))

    def precedes(self, other: Self) -> bool:
        """Whether no place counts more than in ``other``."""
        return precedes(self.nested, other.nested)

    def body(self) -> object:
        """The value as it stands."""
        return self.nested

    @classmethod
    def from_body(cls, body: object) -> Self:
        """The counter that ``body`` is. Raises ``InvalidBody`` unless it is in its one form."""
        return cls() if type(body) is int and body == 0 else cls(check(body))


def _sort(value: Nested) -> int:
    if isinstance(value, dict):
        return _MAP + _KEY_SORTS[type(next(iter(value)))]
    if isinstance(value, list):
        return _ARRAY
    return _FIXED if isinstance(value, bytes) else 0


def _join_maps(a: dict[Key, Nested], b: dict[Key, Nested]) -> Nested:
    joined = dict(a)
    for key, value in b.items():
        mine = joined.get(key, 0)
        joined[key] = join(mine, value)
    return joined


def _join_arrays(a: list[Nested], b: list[Nested]) -> Nested:
    shorter, longer = (a, b) if len(a) <= len(b) else (b, a)
    return [*map(join, shorter, longer), *longer[len(shorter) :]]


def _bytes_order(value: bytes) -> tuple[int, bytes]:
    return len(value), value
