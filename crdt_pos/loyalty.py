"""The loyalty programme: how many points a purchase earns, and what a point pays. Integers only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Programme:
    """By default: 1 point per whole currency unit of net takings, 1 point pays 1 minor unit."""

    name: str = "points"
    points_per_unit: int = 1
    """Points per whole currency unit of net (without tax); 0 for no programme."""
    minor_per_point: int = 1

    def earned(self, net_minor: int, unit_minor: int) -> int:
        """Points for a purchase of ``net_minor``: whole ones, rounded down; none for a negative net.

        >>> Programme().earned(1299, unit_minor=100), Programme().earned(-1, unit_minor=100)
        (12, 0)
        """
        return max(net_minor, 0) * self.points_per_unit // unit_minor

    def pays(self, points: int) -> int:
        """What ``points`` pay, in minor units."""
        return points * self.minor_per_point
