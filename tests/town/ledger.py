"""What was acknowledged at the counters, and what must stand in every book because of it.

Kept apart from everything under test: the driver writes an act down when a till has answered, in the order of the till's
journal, and adds up by itself. A till's life whose disk was destroyed keeps a beginning of its acts: at least those that some
other disk had acknowledged, as the till said just before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable
from dataclasses import dataclass, field

Place = tuple[str, str]
"""A till's name and its incarnation: one life."""


@dataclass(frozen=True)
class Act:
    """One act at a till; goods as they change the stock, points by account."""

    net_minor: int = 0
    """Takings less refunds."""
    goods: Counter[int] = field(default_factory=Counter)
    earned: Counter[str] = field(default_factory=Counter)
    redeemed: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Sum:
    """What some acts come to."""

    net_minor: int = 0
    goods: Counter[int] = field(default_factory=Counter)
    earned: Counter[str] = field(default_factory=Counter)
    redeemed: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, acts: Iterable[Act]) -> Sum:
        goods: Counter[int] = Counter()
        earned: Counter[str] = Counter()
        redeemed: Counter[str] = Counter()
        net_minor = 0
        for act in acts:
            net_minor += act.net_minor
            # Counter's + drops what is not positive.
            goods.update(act.goods)
            earned.update(act.earned)
            redeemed.update(act.redeemed)
        return cls(net_minor, goods, earned, redeemed)


@dataclass
class Life:
    """The acts of one till between its enrolment and the loss of its disk."""

    acts: list[Act] = field(default_factory=list)
    safe: int | None = None
    """Of a life that is over: how many of its acts another disk had acknowledged."""

    @property
    def least(self) -> int:
        """How many acts must be in the books."""
        return len(self.acts) if self.safe is None else self.safe


@dataclass
class Ledger:
    """Every life."""

    lives: dict[Place, Life] = field(default_factory=dict)

    def of(self, place: Place) -> Life:
        return self.lives.setdefault(place, Life())

    def stores(self, stores: Container[int]) -> dict[Place, Life]:
        """The lives in these stores."""
        return {place: life for place, life in self.lives.items() if int(place[0].partition("-")[0]) in stores}

    @property
    def accounts(self) -> set[str]:
        """The members that have earned or redeemed points."""
        acts = [act for life in self.lives.values() for act in life.acts]
        return {account for act in acts for account in (*act.earned, *act.redeemed)}
