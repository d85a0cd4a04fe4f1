"""Hybrid logical clock: stamps that follow the wall clock and never contradict what was seen.

A stamp is one integer, milliseconds since 1970 shifted left by 16, or-ed with a counter; stamps compare as integers. Laws:
a tick is larger than every stamp ticked or observed before, and exceeds the wall clock only as far as an observed stamp
did. The clock reads no time: the wall clock is an argument.

Reference: Kulkarni, Demirbas et al., Logical Physical Clocks (2014); their pair (l, c) is the stamp's upper and lower part, and
a full counter carries into the milliseconds. Counters (money, stock) never depend on stamps; registers do, so a stamp from
the future waits until its time comes and does not push this clock.
"""

from __future__ import annotations

from typing import Final, NewType

from merge_rules.dataclass import dataclass

Stamp = NewType("Stamp", int)
"""Milliseconds since 1970 << 16 | counter; 64 bits unsigned."""

COUNTER_BITS: Final = 16
MS_MAX: Final = 2**48 - 1
AHEAD_MS_MAX: Final = 60_000
"""How far another's wall clock may be ahead of ours before its stamps wait."""


@dataclass(frozen=True, slots=True)
class ClockHybrid:
    """The last stamp that was ticked or observed.

    >>> till, office = ClockHybrid(), ClockHybrid()
    >>> office = office.tick(now_ms=5_000)
    >>> till = till.observe(office.stamp, now_ms=4_000)      # the till's wall clock is a second behind
    >>> till = till.tick(now_ms=4_001)
    >>> till.stamp > office.stamp, milliseconds(till.stamp)
    (True, 5000)
    >>> one, other = till.observe(office.stamp, 4_002), office.observe(till.stamp, 5_001)
    >>> milliseconds(one.tick(9_000).stamp) == milliseconds(other.tick(9_000).stamp) == 9_000
    True
    """

    stamp: Stamp = Stamp(0)

    def tick(self, now_ms: int) -> ClockHybrid:
        """The clock after an event of our own, whose stamp it shows. ``now_ms``: from 0 to ``MS_MAX``."""
        return ClockHybrid(max(_stamp(now_ms), Stamp(self.stamp + 1)))

    def observe(self, stamp: Stamp, now_ms: int) -> ClockHybrid:
        """The clock after receiving ``stamp``. A stamp that must wait (``wait_ms``) changes nothing."""
        if wait_ms(stamp, now_ms):
            return self
        return ClockHybrid(max(_stamp(now_ms), Stamp(self.stamp + 1), Stamp(stamp + 1)))


def milliseconds(stamp: Stamp) -> int:
    """The milliseconds since 1970 of a stamp."""
    return stamp >> COUNTER_BITS


def wait_ms(stamp: Stamp, now_ms: int, ahead_ms_max: int = AHEAD_MS_MAX) -> int:
    """How long a stamp must wait before it may decide anything: 0 unless it is more than ``ahead_ms_max`` ahead."""
    return max(0, milliseconds(stamp) - now_ms - ahead_ms_max)


def _stamp(now_ms: int) -> Stamp:
    assert 0 <= now_ms <= MS_MAX, "the wall clock is outside 1970 … 10889"
    return Stamp(now_ms << COUNTER_BITS)
