"""How a person is told up to when a till's receipts are safe outside of its store. Pure."""

from __future__ import annotations

import datetime
from typing import Final, Literal

Light = Literal["safe", "soon", "unsafe"]

LATE_TIMES: Final = 3
"""So many times the bound without news: the line has been down for long."""
_DAY_MS: Final = 86_400_000


def outside_text(until_ms: int, waiting: int, now_ms: int, zone: datetime.tzinfo | None = None) -> str:
    """A sentence. ``zone``: of the clock times; none: this machine's.

    >>> noon = 1_795_176_000_000
    >>> outside_text(noon + 190_000, 2, noon + 230_000, datetime.UTC)
    'receipts safe outside the store up to 12:03:10 (40 s ago); 2 wait'
    >>> outside_text(noon + 190_000, 0, noon + 230_000, datetime.UTC)
    'all receipts safe outside the store, the last since 12:03:10 (40 s ago)'
    """
    if not until_ms:
        return "no receipt safe outside the store yet"
    told = f"{moment_text(until_ms, now_ms, zone)} ({ago_text(now_ms - until_ms)} ago)"
    if waiting:
        return f"receipts safe outside the store up to {told}; {waiting} wait"
    return f"all receipts safe outside the store, the last since {told}"


def outside_lamp(
    until_ms: int, waiting: int, bound_s: int | None, now_ms: int, zone: datetime.tzinfo | None = None
) -> tuple[Light, str]:
    """The same in a few words, and the colour of the lamp. ``bound_s``: how far apart segments are at most."""
    if until_ms and not waiting:
        return "safe", "● all outside"
    if not until_ms:
        return "soon", "○ nothing outside yet"
    late = bound_s is not None and now_ms - until_ms > LATE_TIMES * bound_s * 1000
    told = f"◐ outside up to {moment_text(until_ms, now_ms, zone)} ({ago_text(now_ms - until_ms)} ago)"
    return "unsafe" if late else "soon", told


def moment_text(ms: int, now_ms: int, zone: datetime.tzinfo | None = None) -> str:
    """The time of the day, with the date if that is not today's."""
    moment, now = (datetime.datetime.fromtimestamp(one / 1000, datetime.UTC).astimezone(zone) for one in (ms, now_ms))
    return f"{moment:%H:%M:%S}" if moment.date() == now.date() else f"{moment:%Y-%m-%d %H:%M:%S}"


def ago_text(passed_ms: int) -> str:
    """How long: seconds, then minutes, hours, days.

    >>> ago_text(40_000), ago_text(3_000_000), ago_text(90_000_000), ago_text(200_000_000)
    ('40 s', '50 min', '25 h', '2 days')
    """
    seconds = max(passed_ms, 0) // 1000
    if seconds < 120:
        return f"{seconds} s"
    if seconds < 7200:
        return f"{seconds // 60} min"
    return f"{seconds // 3600} h" if passed_ms < 2 * _DAY_MS else f"{seconds // 86_400} days"
