"""Retiring a till that lives: it closes its date, gives its rights away, waits until everything is with others, and ends its key.

While it waits, it sells nothing: what would be signed then could come too late for those who stay. Nothing is destroyed before a
peer has acknowledged all of it from its disk; a till that is refused sells again. From then on the folder says that it is
retired, and no replica runs from it again; what the till signed counts for ever. That it takes part no more is a head office's to
state.
"""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import trio

from crdt_pos.columns import plural
from crdt_pos.errors import HandingOver, OutOfService
from crdt_pos.folder import KEY, RETIRED, Folder
from crdt_pos.local import Command, Declined, Message
from crdt_pos.local_shapes import Asked
from crdt_pos.till import Till
from gossip.entry import FeedId, Head
from gossip.log import Reader

if TYPE_CHECKING:
    from crdt_pos.replica import RunningReplica

T = TypeVar("T")
HAND_OVER_S: Final = 25
"""So long a till waits for acknowledgements before it says what is missing; asking again goes on from there."""


class Retiring:
    """The end of a running till."""

    def __init__(self, replica: RunningReplica) -> None:
        self._replica = replica
        self._acknowledged: dict[FeedId, int] = {}
        self._begun: int | None = None
        """The newest arrival when handing over began; ``None`` until then."""
        self.handing_over = False
        """Whether it hands over now."""
        self.retired = ""
        """That it is retired, in a sentence; empty while it is not."""

    def commands(self) -> dict[str, Command]:
        """The requests of a till."""
        return {"hand_over": self._hand_over} if self._replica.till is not None else {}

    def unless_ending(self, act: Callable[[], T]) -> T:
        """An act, in the writer's turn. Raises ``HandingOver``, and ``OutOfService`` afterwards."""
        if self.retired:
            raise OutOfService(self.retired)
        if self.handing_over:
            raise HandingOver
        return act()

    def acknowledged(self, heads: Sequence[tuple[FeedId, Head]]) -> None:
        """A peer has these on its disk."""
        if self._begun is not None:
            for feed, head in heads:
                if feed.author == self._replica.certificate.author:
                    self._acknowledged[feed] = max(head.seq, self._acknowledged.get(feed, 0))

    async def _hand_over(self, request: Message) -> Message:
        Asked(request).end()
        replica, till = self._replica, self._replica.till
        assert till is not None
        if self.retired:
            raise Declined(self.retired, "OutOfService")
        if not replica.node.links:
            raise Declined("Nobody is in reach to hand over to: wait for a neighbour or head office.", "Alone")
        if self._begun is None:
            self._begun = await replica.look(lambda reader: reader.last_arrival())
        closed = await replica.act(partial(self._close, till))
        try:
            rights = await self._part()
        finally:
            self.handing_over = False
        return {"closed": closed.isoformat() if closed else "", "rights": rights, "peers": len(replica.node.links)}

    def _close(self, till: Till) -> datetime.date | None:
        """Close the open date and let no act follow it."""
        closed = till.open_on
        if closed is not None:
            till.close_date()
        self.handing_over = True
        return closed

    async def _part(self) -> int:
        """Give all away, wait until it is with others, and destroy the key; how many rights there were."""
        replica = self._replica
        rights = await replica.part_with_rights()
        with trio.move_on_after(HAND_OVER_S):
            while await self._missing():
                change = replica.node.change
                if await self._missing():
                    with trio.move_on_after(1):  # an acknowledgement makes no change
                        await change.wait()
        if missing := await self._missing():
            raise Declined(
                f"{plural(missing, 'entry has', 'entries have')} not reached anybody yet: keep this till running within "
                "reach of a neighbour or head office, and retire it again.",
                "NotHandedOver",
            )
        self.retired = (
            f"{replica.certificate.name} {replica.certificate.incarnation} is retired, and its key is destroyed"
        )
        destroy_key(replica.folder)
        return rights

    async def _missing(self) -> int:
        _, acts = self._replica.safety.count()
        needed = await self._replica.look(self._written)
        return acts + sum(self._acknowledged.get(feed, 0) < seq for feed, seq in needed.items())

    def _written(self, reader: Reader) -> dict[FeedId, int]:
        """The newest entries of everything that was written since handing over began."""
        found: dict[FeedId, int] = {}
        begun = self._begun or 0
        for stored in reader.arrivals(begun, 1 << 30):
            if stored.entry.author == self._replica.certificate.author:
                found[stored.entry.feed_id] = max(stored.entry.seq, found.get(stored.entry.feed_id, 0))
        return found


def destroy_key(folder: Folder) -> None:
    """Overwrite and remove a folder's key, and let the folder say so. What a disk kept elsewhere of it is not in our hands."""
    certificate = folder.certificate
    today = datetime.datetime.now(datetime.UTC).date()
    said = {"replica": certificate.name, "life": certificate.incarnation, "since": today.isoformat()}
    (folder.path / RETIRED).write_text(json.dumps(said) + "\n", encoding="utf-8")
    key = folder.path / KEY
    with key.open("r+b") as file:
        size = key.stat().st_size
        for _ in range(2):
            file.seek(0)
            file.write(os.urandom(size))
            file.flush()
            os.fsync(file.fileno())
    key.unlink()
    _sync(folder.path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
