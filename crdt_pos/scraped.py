"""The replicas of a process whose metrics are shown: read by the thread that answers, beside the event loop that runs them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import trio

from crdt_pos import measuring
from crdt_pos.measuring import Observer
from crdt_pos.metric_table import Sample
from gossip.errors import LogError

if TYPE_CHECKING:
    from crdt_pos.replica import RunningReplica


class Scraped:
    """Several replicas of one event loop. Whose log cannot be read just now is left out: it stops, or is being mended."""

    def __init__(self) -> None:
        self._replicas: list[tuple[RunningReplica, Observer, trio.lowlevel.TrioToken]] = []

    def add(self, replica: RunningReplica, token: trio.lowlevel.TrioToken) -> None:
        """Show this one, too; its commits are timed from here on."""
        observer = Observer()
        replica.node.on_commit = observer.committed
        self._replicas.append((replica, observer, token))

    def clear(self) -> None:
        """Show none any more: they stop."""
        self._replicas.clear()

    def samples(self) -> Iterable[Sample]:
        """Everything now; called on a thread of its own."""
        found: list[Sample] = []
        for replica, observer, token in list(self._replicas):
            try:
                seen = trio.from_thread.run_sync(measuring.seen, replica, observer, trio_token=token)
                found += measuring.read(replica, seen)
            except (LogError, trio.RunFinishedError, trio.Cancelled):
                continue
        return found
