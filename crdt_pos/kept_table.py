"""A table of whole numbers as one stretch of bytes: columns of equal length, read and added up without a look at each row.

    table = [columns, rows, {what, code, part} of each column, each column's numbers]        ; 64-bit integers of this machine

Only what is kept of a log on its own machine is written so: it never travels. Pure.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

_LEVEL: Final = 1
_HEAD: Final = 2
_WORD: Final = 8


class Name(NamedTuple):
    """The name of a column."""

    what: int
    code: int = 0
    """Of a tax, a tender, a series."""
    part: int = 0


class Table:
    """Columns by name."""

    def __init__(self, encoded: bytes) -> None:
        """``encoded``: what ``encode`` returned."""
        flat = array("q")
        flat.frombytes(encoded)
        self._flat = flat
        width, self.rows = flat[0], flat[1]
        self._begin = _HEAD + 3 * width
        self._number = _numbers(encoded[_WORD * _HEAD : _WORD * self._begin])

    def names(self) -> Iterator[Name]:
        """Of the columns that are here."""
        return (Name(*name) for name in self._number)

    def has(self, name: tuple[int, int, int]) -> bool:
        """Whether a column is here: those of zeros alone may not be."""
        return name in self._number

    def column(self, name: tuple[int, int, int], low: int = 0, high: int | None = None) -> array[int]:
        """The numbers of a column; zeros if there is none."""
        number = self._number.get(name)
        high = self.rows if high is None else high
        if number is None:
            return array("q", bytes(_WORD * (high - low)))
        begin = self._begin + number * self.rows
        return self._flat[begin + low : begin + high]

    def at(self, name: tuple[int, int, int], row: int) -> int:
        """One number."""
        number = self._number.get(name)
        return 0 if number is None else self._flat[self._begin + number * self.rows + row]

    def between(self, name: tuple[int, int, int], low: int, high: int) -> int:
        """Of a column of running totals: what the rows from ``low`` to before ``high`` add."""
        number = self._number.get(name)
        if number is None or low >= high:
            return 0
        begin = self._begin + number * self.rows
        return self._flat[begin + high - 1] - (self._flat[begin + low - 1] if low else 0)

    def totals(self, low: int, high: int) -> tuple[Mapping[tuple[int, int, int], int], Sequence[int], Sequence[int]]:
        """Of running totals what stands before the row ``high`` and before the row ``low`` < ``high``, in all columns; and which
        those are. Tables with the same columns give the very same object for that."""
        after = self._flat[self._begin + high - 1 :: self.rows]
        before = self._flat[self._begin + low - 1 :: self.rows][: len(self._number)] if low else _NOTHING
        return self._number, after[: len(self._number)], before


_NOTHING: Final = array("q")


def summed(tables: Iterable[tuple[Table, int, int]]) -> dict[tuple[int, int, int], int]:
    """What rows of tables of running totals add, column by column: of each table those from ``low`` to before ``high``."""
    alike: dict[int, tuple[Mapping[tuple[int, int, int], int], list[Sequence[int]], list[Sequence[int]]]] = {}
    for table, low, high in tables:
        names, after, before = table.totals(low, high)
        _, afters, befores = alike.setdefault(id(names), (names, [], []))
        afters.append(after)
        if before:
            befores.append(before)
    sums: dict[tuple[int, int, int], int] = {}
    for names, afters, befores in alike.values():
        for rows, sign in ((afters, 1), (befores, -1)):
            for name, column in zip(names, zip(*rows, strict=True), strict=False):
                sums[name] = sums.get(name, 0) + sign * sum(column)
    return sums


@lru_cache(maxsize=4096)
def _numbers(names: bytes) -> dict[tuple[int, int, int], int]:
    """Most tables have the columns of another."""
    flat = array("q")
    flat.frombytes(names)
    return {(flat[at], flat[at + 1], flat[at + 2]): at // 3 for at in range(0, len(flat), 3)}


def encode(columns: Mapping[tuple[int, int, int], Sequence[int]], rows: int) -> bytes:
    """Columns of ``rows`` numbers each. Raises ``OverflowError`` for a number of more than 64 bits."""
    flat = array("q", [len(columns), rows])
    for name in columns:
        flat.extend(name)
    for numbers in columns.values():
        assert len(numbers) == rows
        flat.extend(numbers)
    return flat.tobytes()


def pressed(encoded: bytes) -> bytes:
    """Smaller: most of the numbers are small."""
    return zlib.compress(encoded, _LEVEL)


def unpressed(value: bytes) -> Table:
    """The table of ``pressed`` bytes."""
    return Table(zlib.decompress(value))


def sparse(
    names: Iterable[tuple[int, int, int]], rows: Sequence[Sequence[int]]
) -> dict[tuple[int, int, int], Sequence[int]]:
    """Rows turned into columns; those of zeros alone are left out."""
    turned = zip(names, zip(*rows, strict=True), strict=True) if rows else ()
    return {name: column for name, column in turned if any(column)}
