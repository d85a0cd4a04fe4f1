"""The loyalty programme: how many points a purchase earns, and what a point pays. Integers only."""

from __future__ import annotations

from typing import Final

from merge_rules.dataclass import dataclass

POINTS: Final = "points"
UNIT_MINOR_LEAST: Final = 100
PLAIN_CURRENCY: Final = "EUR"
"""Programmes whose names say no currency are in this one, a store record's default."""


def programme_in(programme: str, currency: str) -> str:
    """The name of a programme's balances in a currency: each has its own, since what a point or a card pays is money.

    >>> programme_in("gift", "EUR"), programme_in("gift", "CHF"), programme_in("gift-chf", "CHF")
    ('gift', 'gift-chf', 'gift-chf')
    """
    suffix = f"-{currency.lower()}"
    return programme if currency == PLAIN_CURRENCY or programme.endswith(suffix) else programme + suffix


def currency_of(programme: str) -> str:
    """The currency that the name of a programme's balances says."""
    suffix = programme.rpartition("-")[2]
    return suffix.upper() if suffix != programme and len(suffix) == 3 else PLAIN_CURRENCY


@dataclass(frozen=True, slots=True)
class Programme:
    """By default: 1 point per whole currency unit of net takings, 1 point pays 1 minor unit.

    Where that unit is less than 100 minor ones (yen), 1 point per 100 of them: otherwise a point would pay what it cost.
    """

    name: str = "points"
    points_per_unit: int = 1
    """Points per whole currency unit of net (without tax); 0 for no programme."""
    minor_per_point: int = 1

    def earned(self, net_minor: int, unit_minor: int) -> int:
        """Points for a purchase of ``net_minor``: whole ones, rounded down; none for a negative net.

        >>> Programme().earned(1299, unit_minor=100), Programme().earned(-1, unit_minor=100)
        (12, 0)
        >>> Programme().earned(1299, unit_minor=1)
        12
        """
        return max(net_minor, 0) * self.points_per_unit // max(unit_minor, UNIT_MINOR_LEAST)

    def pays(self, points: int) -> int:
        """What ``points`` pay, in minor units."""
        return points * self.minor_per_point
