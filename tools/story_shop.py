"""A small company on real disks for a story: acts at tills under any clock, and real sessions between replicas when they meet.

The replicas of a meeting are ordinary ones, with TLS on the loopback interface, in this process; between two of them nobody
runs.
"""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import trio

from crdt_pos.clock import store_clock, system_ms
from crdt_pos.enrolment import add_store, create_company, enrol_till
from crdt_pos.folder import Folder, Settings, open_folder
from crdt_pos.identity import Identity
from crdt_pos.replica import RunningReplica
from crdt_pos.requests import LineRequest, SaleRequest
from crdt_pos.till import Till
from gossip.address import Address
from gossip.lag import Lag
from peers.roster import StoreRecord

STORE: Final = 12
QUIET_S: Final = 0.3
PATIENCE_S: Final = 30.0
SETTINGS: Final = Settings(Address("127.0.0.1", 0), multicast=False)

T = TypeVar("T")


class StoryShop:
    """A head office and tills of store 12, in folders beside each other."""

    def __init__(self, at: Path, *tills: int) -> None:
        self.at = at
        self.date = datetime.datetime.now(datetime.UTC).date()
        """On which the tills open, whatever their clocks say."""
        self.office = create_company("Corner Shops", at / "office", SETTINGS, system_ms())
        add_store(self.office, StoreRecord(STORE, legal_entity="Corner Shops Ltd", name="High Street"), system_ms())
        for number in tills:
            enrol_till(self.office, STORE, number, at / f"till-{STORE}-{number}", SETTINGS, system_ms())

    def folder(self, name: str) -> Folder:
        """By the name of its folder."""
        return open_folder(self.at / name)

    def copy(self, name: str, to: str) -> None:
        """Copy a folder, as somebody does who copies a disk."""
        shutil.copytree(self.at / name, self.at / to)

    def at_till(self, name: str, act: Callable[[Till], T], *, clock_ahead_ms: int = 0) -> T:
        """Do something at a till that nobody can reach, under a clock that goes wrong by so much."""
        replica = RunningReplica(self.folder(name))
        try:
            assert replica.till is not None
            identity: Identity = replica.identity()
            now = store_clock(lambda: "UTC", lambda: system_ms() + clock_ahead_ms)
            return act(Till(replica.log, identity, now, products=replica.products, terms=replica.terms))
        finally:
            replica.close()

    def at_replica(self, name: str, act: Callable[[RunningReplica], T]) -> T:
        """The same with whatever replica it is."""
        replica = RunningReplica(self.folder(name))
        try:
            return act(replica)
        finally:
            replica.close()

    def meet(self, *names: str) -> None:
        """Let these have sessions with each other until nothing is on its way."""
        trio.run(self._meet, names, strict_exception_groups=True)

    async def _meet(self, names: tuple[str, ...]) -> None:
        replicas = [RunningReplica(self.folder(name)) for name in names]
        try:
            async with trio.open_nursery() as nursery:
                addresses = [await nursery.start(replica.run) for replica in replicas]
                for number, replica in enumerate(replicas):
                    for address in addresses[:number]:
                        replica.node.want(address)
                with trio.fail_after(PATIENCE_S):
                    await _settled(replicas)
                nursery.cancel_scope.cancel()
        finally:
            for replica in replicas:
                replica.close()


async def _settled(replicas: list[RunningReplica]) -> None:
    """Until all have told each other everything, and nothing has changed for a moment."""
    before: list[tuple[int, bool]] = []
    while True:
        now = [_state(replica) for replica in replicas]
        linked = all(len(replica.node.links) == len(replicas) - 1 for replica in replicas)
        if now == before and linked and all(quiet for _, quiet in now):
            return
        before = now
        await trio.sleep(QUIET_S)


def _state(replica: RunningReplica) -> tuple[int, bool]:
    with replica.log.read_all() as reader:
        last = reader.last_arrival()
    links = replica.node.links.values()
    quiet = all(link.facts.caught_up and not any(_underway(link.session.lag(last))) for link in links)
    return last, quiet


def _underway(lag: Lag) -> tuple[int, ...]:
    return lag.unsent, lag.unacknowledged, lag.untold, lag.wanted


def sale(cents: int, name: str, *, member: bytes | None = None, points: int = 0) -> SaleRequest:
    """One thing, paid in cash."""
    return SaleRequest((LineRequest(0, unit_price_minor=cents, name=name),), member=member, points=points)
