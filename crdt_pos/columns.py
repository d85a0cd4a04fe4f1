"""Columns of text for people: numbers whole and right-aligned, names shortened, one row a line, nothing wrapped.

Widths are counted in terminal cells, so that names in any script line up. Pure.

>>> print("\\n".join(table((Column("product", shorten=True), Column("sold", right=True)), [("Rye bread", "1,250")], 17)))
  product    sold
  Rye bread 1,250
>>> print("\\n".join(table((Column("", shorten=True), Column("", right=True)), [("Rye bread", "1,250")], 14, gap=1)))
  Rye b… 1,250
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.cells import cell_len, set_cell_size

from crdt_pos.money import decimal_text
from merge_rules.dataclass import dataclass

INDENT: Final = "  "
GAP: Final = 2
SHORTENED_CELLS_MIN: Final = 6


@dataclass(frozen=True, slots=True)
class Column:
    """A column: what stands above it, to which side its cells lean, and whether they may be shortened."""

    title: str = ""
    right: bool = False
    shorten: bool = False


def table(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int, gap: int = GAP) -> list[str]:
    """The rows as lines of at most ``width`` cells, if shortening the columns that may be shortened is enough for that.

    The first line has the titles, if there are any. Columns without any text are left out.
    """
    shown = [at for at, _ in enumerate(columns) if any(row[at] for row in rows)]
    heads = [columns[at] for at in shown]
    cells = [[row[at] for at in shown] for row in rows]
    if any(head.title for head in heads):
        cells.insert(0, [head.title for head in heads])
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    gap = _fit(heads, widths, width - len(INDENT), gap)
    return [INDENT + _line(heads, widths, row, gap) for row in cells]


def _fit(heads: Sequence[Column], widths: list[int], room: int, gap: int) -> int:
    def excess() -> int:
        return sum(widths) + gap * (len(widths) - 1) - room

    # A narrower gap is better than half a name.
    if excess() > 0 and gap > 1:
        gap -= 1
    while excess() > 0:
        can = [at for at, head in enumerate(heads) if head.shorten and widths[at] > SHORTENED_CELLS_MIN]
        if not can:
            break
        widths[max(can, key=widths.__getitem__)] -= 1
    return gap


def _line(heads: Sequence[Column], widths: Sequence[int], row: Sequence[str], gap: int) -> str:
    parts = [
        " " * (width - cell_len(text)) + text if head.right else set_cell_size(shortened(text, width), width)
        for head, width, text in zip(heads, widths, row, strict=True)
    ]
    return (" " * gap).join(parts).rstrip()


def shortened(text: str, cells: int) -> str:
    """``text`` in at most so many cells; what is left off shows as ``…``."""
    return text if cell_len(text) <= cells else set_cell_size(text, cells - 1).rstrip() + "…"


def number(value: int, exponent: int = 0) -> str:
    """An integer of 10**-exponent units, its thousands apart.

    >>> number(-123456789, 2), number(1500), number(5, 3)
    ('-1,234,567.89', '1,500', '0.005')
    """
    whole, dot, part = decimal_text(abs(value), exponent).partition(".")
    return f"{'-' if value < 0 else ''}{int(whole):,}{dot}{part}"


def percent(rate_ppm: int) -> str:
    """A rate in millionths.

    >>> percent(70_000), percent(77_500)
    ('7 %', '7.75 %')
    """
    text = decimal_text(rate_ppm, 4)
    return text.rstrip("0").rstrip(".") + " %"


def listing(words: Sequence[str], most: int = 5) -> str:
    """``361, 367 and 402``; beyond ``most`` it says how many more there are.

    >>> listing(["361", "367", "402"]), listing(["1", "2", "3", "4"], 2)
    ('361, 367 and 402', '1, 2 and 2 more')
    """
    if len(words) > most:
        words = [*words[:most], f"{len(words) - most:,} more"]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def plural(count: int, one: str, several: str = "") -> str:
    """``1 product``, ``1,200 products``."""
    return f"{count:,} {one if count == 1 else several or one + 's'}"
