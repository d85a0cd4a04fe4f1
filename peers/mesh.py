"""Who talks with whom on a store's network: everyone with everyone while they are few, else few each on a connected graph.

Above ``FULL_MAX`` tills the graph is the union of ``RINGS`` rings through all of them, each in an order of its own that a hash
gives (Law and Siu, 2003: such unions are expanders). So nobody has more than ``2 * RINGS`` neighbours, any one ring connects
everyone, and who leaves changes only the neighbours of its two neighbours in each ring. A pure function of the set of tills:
whoever knows the same set finds the same graph, and nobody is asked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from functools import partial
from typing import Final

from merge_rules.lattice import Author

FULL_MAX: Final = 8
"""Up to so many tills everyone talks with everyone."""
RINGS: Final = 3
NEIGHBOURS_MAX: Final = max(FULL_MAX - 1, 2 * RINGS)


def neighbours(me: Author, tills: Collection[Author]) -> frozenset[Author]:
    """With whom of ``tills`` (with or without ``me``) I talk: at most ``NEIGHBOURS_MAX``.

    >>> few, many = ([Author(bytes([n]) * 8) for n in range(count)] for count in (5, 40))
    >>> len(neighbours(few[0], few)), len(neighbours(many[0], many)) <= NEIGHBOURS_MAX
    (4, True)
    >>> all(many[0] in neighbours(one, many) for one in neighbours(many[0], many))
    True
    """
    every = set(tills) | {me}
    if len(every) <= FULL_MAX:
        return frozenset(every - {me})
    found: set[Author] = set()
    for ring in range(RINGS):
        order = sorted(every, key=partial(_place, ring))
        mine = order.index(me)
        found |= {order[mine - 1], order[(mine + 1) % len(order)]}
    return frozenset(found)


def _place(ring: int, till: Author) -> bytes:
    return hashlib.sha256(b"ring %d " % ring + till).digest()
