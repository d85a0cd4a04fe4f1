"""Incarnations: one life of a replica, written ``<issuer letter><n>``.

Every head office has a letter of its own (``a`` … ``z``, ``aa`` …), which stands in its certificate and is never used again.
It counts the lives it gives to each replica: ``a1`` is the first life that office a gave to till 12-3, ``b1`` one that office
b gave it. Two offices that are cut off from each other therefore never give the same life to one replica. The life of an
office itself is number 0 of its own letter. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

PASSING: Final = "zzz"
"""What a head office calls itself while it learns which letters were used. It never issues and never signs an entry."""

_SHAPE: Final = re.compile(r"([a-z]{1,3})(0|[1-9][0-9]{0,8})")


def split(incarnation: str) -> tuple[str, int]:
    """Letter and number of an incarnation. Raises ``ValueError``."""
    match = _SHAPE.fullmatch(incarnation)
    if match is None:
        raise ValueError(f"{incarnation!r} is no incarnation: expected a letter and a number, like a1")
    return match[1], int(match[2])


def office_incarnation(letter: str) -> str:
    """The incarnation of the office that has ``letter``. Raises ``ValueError``."""
    if split(f"{letter}0") != (letter, 0):
        raise ValueError(f"{letter!r} is no letter of an office")
    return f"{letter}0"


def next_incarnation(letter: str, lives: Iterable[str]) -> str:
    """The life after all of one replica's ``lives`` that the office ``letter`` gave it; ``<letter>1`` for a first."""
    return f"{letter}{max((number for given, number in map(split, lives) if given == letter), default=0) + 1}"


def next_letter(letters: Iterable[str]) -> str:
    """The letter after all of ``letters``: ``a`` for the first office.

    A gap is not filled: the office that had it may be one of which only its successors are still known.
    """
    return _letter(max((_index(letter) for letter in letters), default=-1) + 1)


def _index(letter: str) -> int:
    index = 0
    for one in letter:
        index = index * 26 + ord(one) - ord("a") + 1
    return index - 1


def _letter(index: int) -> str:
    text = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        text = chr(ord("a") + rest) + text
    return text
