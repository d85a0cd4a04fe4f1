"""Connections whose other end has proven nothing yet: bounded, and fair among the hosts that they come from.

Anybody can open connections and say nothing. Where there is room for no more, the oldest of the host that has most of them is
closed, so that who opens thousands pushes out its own, and a replica that dials from elsewhere has its turn. Sans-I/O.
"""

from __future__ import annotations

from collections.abc import Callable


class Unproven:
    """At most ``most`` at once, and, where it is said, at most ``most_of_one`` of one host."""

    def __init__(self, most: int, most_of_one: int | None = None) -> None:
        self._most = most
        self._most_of_one = most if most_of_one is None else most_of_one
        self._count = 0
        self._by_host: dict[str, dict[int, Callable[[], None]]] = {}
        self._entered = 0

    def __len__(self) -> int:
        return self._count

    def enter(self, host: str, close: Callable[[], None]) -> int:
        """Another one from ``host``, and how to close it; returns its ticket. Another may be closed for it."""
        if len(self._by_host.get(host, ())) >= self._most_of_one:
            self._push_out(host)
        elif self._count >= self._most:
            self._push_out(max(self._by_host, key=lambda one: len(self._by_host[one])))
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

    def _push_out(self, host: str) -> None:
        oldest, close = next(iter(self._by_host[host].items()))
        self.leave(host, oldest)
        close()
