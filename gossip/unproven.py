"""Connections whose other end has proven nothing yet: bounded, and fair among the hosts that they come from.

Anybody can open connections and say nothing. Where there is room for no more, the oldest of the host that has most of them is
closed, so that who opens thousands pushes out its own, and a replica that dials from elsewhere has its turn. Sans-I/O.
"""

from __future__ import annotations

from collections.abc import Callable


class Unproven:
    """At most ``most`` at once."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._count = 0
        self._by_host: dict[str, dict[int, Callable[[], None]]] = {}
        self._entered = 0

    def __len__(self) -> int:
        return self._count

    def enter(self, host: str, close: Callable[[], None]) -> int:
        """Another one from ``host``, and how to close it; returns its ticket. Another may be closed for it."""
        if self._count >= self._most:
            fullest = max(self._by_host, key=lambda one: len(self._by_host[one]))
            oldest = next(iter(self._by_host[fullest]))
            pushed_out = self._by_host[fullest][oldest]
            self.leave(fullest, oldest)
            pushed_out()
        self._entered += 1
        self._by_host.setdefault(host, {})[self._entered] = close
        self._count += 1
        return self._entered

    def leave(self, host: str, ticket: int) -> bool:
        """It has proven itself, or is gone; false if it was pushed out."""
        waiting = self._by_host.get(host, {})
        if waiting.pop(ticket, None) is None:
            return False
        if not waiting:
            del self._by_host[host]
        self._count -= 1
        return True
