"""The system's clock, as the arguments that everything else takes."""

from __future__ import annotations

import datetime
import time
import zoneinfo
from collections.abc import Callable

from crdt_pos.identity import Now


def system_ms() -> int:
    """Milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


def store_clock(zone: Callable[[], str], system_ms: Callable[[], int] = system_ms) -> Callable[[], Now]:
    """A clock with the local offset of a store's time zone; asked for at every reading, since the roster may change it."""

    def now() -> Now:
        ms = system_ms()
        local = datetime.datetime.fromtimestamp(ms / 1000, zoneinfo.ZoneInfo(zone()))
        offset = local.utcoffset() or datetime.timedelta()
        return Now(ms, int(offset.total_seconds()) // 60)

    return now
