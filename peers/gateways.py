"""Which tills of a store talk with the head office: the first two, in an order that a hash gives (rendezvous hashing).

The first of those that reach an office is *active*: it shares everything. The second is *standby*: it has a session over
which questions and answers go, but no entries, and takes over when the first dies or says that it reaches no office. The others
have none. Nobody is elected: each till decides by what it hears of those before it, so a till that hears nobody is active. Two
that disagree for a moment are both active, which costs bytes and nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from enum import Enum

from merge_rules.lattice import Author


class Duty(Enum):
    """What a till does on the WAN."""

    ACTIVE = "active"
    """A session with the head office that shares everything."""
    STANDBY = "standby"
    """A session that shares no entries."""
    NONE = "none"


def ranked(tills: Iterable[Author]) -> list[Author]:
    """The order in which tills are gateways. Who leaves or comes changes nothing among the others."""
    return sorted(tills, key=lambda till: (hashlib.sha256(b"gateway " + till).digest(), till))


def before(me: Author, tills: Iterable[Author]) -> list[Author]:
    """Those of ``tills`` that stand before me in that order."""
    order = ranked({*tills, me})
    return order[: order.index(me)]


def duty(me: Author, reaching: Mapping[Author, bool]) -> Duty:
    """My duty. ``reaching``: the tills that are heard, and whether each says that it has a session with a head office.

    >>> first, second, third = ranked(Author(bytes([n]) * 8) for n in range(3))
    >>> duty(third, {first: True, second: True}), duty(third, {first: True, second: False}), duty(third, {})
    (<Duty.NONE: 'none'>, <Duty.STANDBY: 'standby'>, <Duty.ACTIVE: 'active'>)
    """
    above = sum(reaching.get(till, False) for till in before(me, reaching))
    return (Duty.ACTIVE, Duty.STANDBY, Duty.NONE)[min(above, 2)]
