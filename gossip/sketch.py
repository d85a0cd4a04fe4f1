"""Sketches: which feeds of a range two replicas hold differently, for 11 bytes or so a difference, however many are equal.

Every feed of the range has an *id* f, a *state* h (of its heads) and a top number s. It is added to three of the cells, each
the sums of (h, h·f mod p, s). Cells of both sides subtracted leave only what differs; a cell that holds one difference alone
gives it away, f = (h·f) ÷ h, and is taken from its other two cells, and so on until nothing is left. How many cells that takes
is estimated first, from samples that halve from level to level. Nothing is trusted: what does not come out is compared range
by range. Reference: Eppstein, Goodrich, Uyeda, Varghese, What's the Difference? (2011). Sans-I/O.
"""

from __future__ import annotations

import hashlib
import math
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from gossip.entry import Hash, Head
from merge_rules.dataclass import dataclass

PRIME: Final = 2**31 - 1
ID_BYTES: Final = 4
SALT_BYTES: Final = 8
SEQ_BYTES: Final = 3
CELL_BYTES: Final = 2 * ID_BYTES + SEQ_BYTES
CHOICES: Final = 3
"""Cells that a feed is added to, one in each third of them."""
CELLS_MAX: Final = CHOICES * 4096
CELLS_FEW: Final = 15
"""The sketch of what seems to differ little. One that samples have asked for is always larger."""
LEVELS: Final = 8
LEVEL_CELLS: Final = 64
STRATA_BYTES: Final = LEVELS * LEVEL_CELLS
CROWDED: Final = 56
"""A level with more cells that differ says only that there are many."""
DOUBT: Final = 1.75
"""So many standard deviations more may differ than the samples show. What does not come out costs a sketch of twice the size."""
_MASK: Final = (1 << 64) - 1
_SEQ_MODULUS: Final = 1 << 8 * SEQ_BYTES
_NEW_SEQ_BITS: Final = 14
"""Above the number stand ten bits of the id, so that several differences in one cell are not taken for a feed not known here.
Of a feed that both have they cancel out. One with a higher number that one side lacks does not come out."""


class Coded(NamedTuple):
    """A feed as its numbers under one salt."""

    id: int
    state: int
    key: bytes
    heads: tuple[Head, ...]

    @property
    def top(self) -> int:
        """Its highest number."""
        return self.heads[-1].seq


@dataclass(frozen=True, slots=True)
class Difference:
    """A feed that the two hold differently."""

    id: int
    mine: Coded | None
    """``None``: only the peer has it."""
    their_top: int
    """0: only we have it."""
    their_state: int


def coded(salt: bytes, feeds: Iterable[tuple[bytes, tuple[Head, ...]]]) -> list[Coded]:
    """The feeds of a range under a salt."""
    found: list[Coded] = []
    salted = hashlib.sha256(salt)
    for key, heads in feeds:
        hashed = salted.copy()
        hashed.update(key)
        id_ = _number(hashed.digest())
        hashed.update(heads[0].hash if len(heads) == 1 else b"".join(sorted(head.hash for head in heads)))
        found.append(Coded(id_, _number(hashed.digest()), key, heads))
    return found


def state_of(salt: bytes, key: bytes, hashes: Iterable[Hash]) -> int:
    """What a feed with these heads has for a state, 1 to p - 1."""
    return _number(hashlib.sha256(salt + key + b"".join(sorted(hashes))).digest())


def _number(digest: bytes) -> int:
    return 1 + int.from_bytes(digest[:8], "big") % (PRIME - 1)


def strata(feeds: Iterable[Coded]) -> bytes:
    """Samples by which the peer estimates how much differs: level n holds about one feed in 2 to the n + 1."""
    cells = bytearray(STRATA_BYTES)
    for feed in feeds:
        level = min((feed.id & -feed.id).bit_length(), LEVELS) - 1
        at = level * LEVEL_CELLS + (feed.id >> LEVELS) % LEVEL_CELLS
        cells[at] = (cells[at] + feed.state) & 0xFF
    return bytes(cells)


def cells_for(mine: bytes, theirs: bytes) -> int | None:
    """How many cells tell the difference between two strata; ``None`` if it is too much for one sketch."""
    found = variance = 0.0
    level = LEVELS
    while level:
        start = (level - 1) * LEVEL_CELLS
        differ = sum(mine[at] != theirs[at] for at in range(start, start + LEVEL_CELLS))
        if differ > CROWDED:
            break
        load = -math.log(1 - differ / LEVEL_CELLS)
        found += LEVEL_CELLS * load
        variance += LEVEL_CELLS * (math.exp(load) - load - 1)
        level -= 1
    if level == LEVELS:
        return None
    variance += found * (1 - 0.5**level)  # the others are in levels that were not counted
    # 1.22 cells a difference are enough where there are many.
    needed = (found + DOUBT * math.sqrt(variance)) * 2**level * 1.25
    cells = CHOICES * (4 + math.ceil(needed / CHOICES))
    return None if cells > CELLS_MAX else max(cells, CELLS_FEW + CHOICES)


def sketch(feeds: Iterable[Coded], cells: int) -> bytes:
    """``cells`` cells of these feeds, ``CELL_BYTES`` each."""
    return b"".join(
        state.to_bytes(ID_BYTES, "big") + product.to_bytes(ID_BYTES, "big") + seq.to_bytes(SEQ_BYTES, "big")
        for state, product, seq in _sums(feeds, cells)
    )


def differences(feeds: Sequence[Coded], theirs: bytes) -> list[Difference] | None:
    """What differs between our feeds and the peer's sketch; ``None`` if it does not come out."""
    count = len(theirs) // CELL_BYTES
    cells = _sums(feeds, count)
    for number, cell in enumerate(cells):
        at = number * CELL_BYTES
        cell[0] = (cell[0] - int.from_bytes(theirs[at : at + 4], "big")) % PRIME
        cell[1] = (cell[1] - int.from_bytes(theirs[at + 4 : at + 8], "big")) % PRIME
        cell[2] = (cell[2] - int.from_bytes(theirs[at + 8 : at + CELL_BYTES], "big")) % _SEQ_MODULUS
    mine = {feed.id: feed for feed in feeds}
    found: dict[int, Difference] = {}
    waiting = deque(range(count))
    while waiting and len(found) <= count:
        number = waiting.popleft()
        state, product, seq = cells[number]
        if not state:
            continue
        id_ = product * pow(state, -1, PRIME) % PRIME
        places = _places(id_, count)
        if number not in places:
            continue
        feed = mine.get(id_)
        new_seq = (-seq - _mark(id_)) % _SEQ_MODULUS
        if id_ in found or (feed is None and not 0 < new_seq < 1 << _NEW_SEQ_BITS):
            continue  # more than one difference in this cell
        if feed is None:
            their_top = new_seq
        elif state == feed.state:
            their_top = 0
        else:
            ahead = (seq + _SEQ_MODULUS // 2) % _SEQ_MODULUS - _SEQ_MODULUS // 2
            their_top = feed.top - ahead
        their_state = ((0 if feed is None else feed.state) - state) % PRIME
        found[id_] = Difference(id_, feed, their_top, their_state)
        for place in places:
            cell = cells[place]
            cell[0] = (cell[0] - state) % PRIME
            cell[1] = (cell[1] - product) % PRIME
            cell[2] = (cell[2] - seq) % _SEQ_MODULUS
            waiting.append(place)
    return None if any(map(any, cells)) else list(found.values())


def _sums(feeds: Iterable[Coded], count: int) -> list[list[int]]:
    cells = [[0, 0, 0] for _ in range(count)]
    for feed in feeds:
        product, seq = feed.state * feed.id, feed.top + _mark(feed.id)
        for place in _places(feed.id, count):
            cell = cells[place]
            cell[0] += feed.state
            cell[1] += product
            cell[2] += seq
    return [[state % PRIME, product % PRIME, seq % _SEQ_MODULUS] for state, product, seq in cells]


def _mark(id_: int) -> int:
    return id_ << _NEW_SEQ_BITS


def _places(id_: int, count: int) -> tuple[int, int, int]:
    """The cells of a feed: 21 bits each of the id, mixed as by SplitMix64."""
    third = count // CHOICES
    mixed = id_ * 0x9E3779B97F4A7C15 & _MASK
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & _MASK
    mixed ^= mixed >> 31
    return (
        (mixed & 0x1FFFFF) % third,
        third + (mixed >> 21 & 0x1FFFFF) % third,
        2 * third + (mixed >> 42 & 0x1FFFFF) % third,
    )
