"""A replica of a large run: ``SimulatedReplica`` that schedules nothing while it is idle, and shares what never changes.

Signatures are checked once for all replicas: what ``gossip.ingest.check`` said of a key and an entry's bytes is kept. The product
has nothing of the kind: there each replica checks for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING, Final, TypeVar

from crdt_pos.folder import Folder
from crdt_pos.schema import JOURNAL, SCHEMA
from crdt_pos.trust import RosterTrust
from gossip.entry import Entry, FeedId, Hash, Head
from gossip.ingest import AuthorLookup, AuthorRecord, Checked, check
from gossip.log import Arrival, Log
from gossip.node import LOOKED_THROUGH_MAX
from gossip.outbound import Grown
from gossip.session import Session
from merge_rules.lattice import Author
from peers.certificates import Certificate
from peers.keys import PublicKey
from peers.roster import Directory
from tools.simulation.disk import Disk
from tools.simulation.heap import Heap, Life
from tools.simulation.large.quiet import QuietLink
from tools.simulation.large.store import StoreNeighbourhood
from tools.simulation.network import Wire
from tools.simulation.replica import VERIFY_MS, SimulatedReplica

if TYPE_CHECKING:
    from tools.simulation.link import SimulatedLink

CHECKPOINT_MS: Final = 60_000

T = TypeVar("T")


class Verifier:
    """``gossip.ingest.check`` that remembers, by key and bytes. The entries it returns are the same objects for all."""

    def __init__(self) -> None:
        self.asked = 0
        self._known: dict[tuple[PublicKey, Hash], Arrival | None] = {}

    def check(self, entries: Sequence[Entry], received_from: Author, lookup: AuthorLookup) -> Checked:
        """The same as ``gossip.ingest.check``."""
        arrivals: list[Arrival] = []
        unknown: list[Entry] = []
        forged: list[Entry] = []
        for entry in entries:
            author = lookup(entry.author)
            if author is None:
                unknown.append(entry)
                continue
            key = author.public_key, entry.hash
            if key not in self._known:
                self.asked += 1
                checked = check([entry], received_from, lookup, SCHEMA)
                self._known[key] = None if checked.forged else checked.arrivals[0]
            known = self._known[key]
            if known is None:
                forged.append(entry)
            else:
                arrivals.append(Arrival(known.entry, received_from, known.quarantine, known.body))
        return Checked(tuple(arrivals), tuple(unknown), tuple(forged))


class SharedTrust(RosterTrust):
    """Begins with a directory that others have read already; reads its own once its roster has grown."""

    def __init__(self, folder: Folder, log: Log, directory: Directory, records: dict[Author, AuthorRecord]) -> None:
        self._begins_with: tuple[Directory, dict[Author, AuthorRecord]] | None = (directory, records)
        super().__init__(folder, log)

    def reload(self) -> None:
        if self._begins_with is None:
            super().reload()
            return
        self.directory, self._records = self._begins_with
        self._begins_with = None


class Shared:
    """What replicas of one store have in common, whatever they do."""

    def __init__(self, verifier: Verifier, directory: Directory, checkpoint_ms: int) -> None:
        """``checkpoint_ms``: how often a till publishes what has changed; 0: in the morning and at its close."""
        self.verifier = verifier
        self.directory = directory
        self.checkpoint_ms = checkpoint_ms
        self.records = {
            author: AuthorRecord(chain[0].public_key, chain[0].role, chain[0].store)
            for author, chain in directory.chains.items()
        }


class LargeReplica(SimulatedReplica):
    """One process of many."""

    def __init__(
        self,
        folder: Folder,
        disk: Disk,
        system_ms: Callable[[], int],
        heap: Heap,
        rng: Random,
        life: Life,
        shared: Shared,
        over: Callable[[Session], None],
    ) -> None:
        """``over`` is told of every session that ends."""
        self._shared = shared
        self._over = over
        self._checkpoint_due = False
        self._morning_told = False
        super().__init__(folder, disk, system_ms, heap, rng, life, lambda _text: None, by_duty=False)
        self._woken_at = self._last_arrival()

    def _read_roster(self, folder: Folder, log: Log) -> RosterTrust:
        return SharedTrust(folder, log, self._shared.directory, self._shared.records)

    def talk(self, wire: Wire, end: int, peer: Certificate, *, dialled: bool) -> SimulatedLink:
        link = QuietLink(self, wire, end, peer, self.new_session(peer), dialled=dialled)
        self.live[link] = None
        return link

    def gone(self, link: SimulatedLink) -> None:
        super().gone(link)
        self._over(link.session)

    def wake(self) -> None:
        with self.log.read_all() as reader:
            after, self._woken_at = self._woken_at, reader.last_arrival()
            grown = Grown.since(reader, after, LOOKED_THROUGH_MAX)
        for link in list(self.links.values()):
            link.wake(grown)
        self._has_changed()

    async def act(self, act: Callable[[], T]) -> T:
        done = await super().act(act)
        self._checkpoint_soon()
        return done

    def caught_up(self, link: SimulatedLink) -> None:
        super().caught_up(link)
        if isinstance(self.neighbourhood, StoreNeighbourhood):
            self.neighbourhood.caught_up(link.peer.author)

    def acknowledged(self, peer: Author, heads: Sequence[tuple[FeedId, Head]]) -> None:
        super().acknowledged(peer, heads)
        me = self.certificate.author
        if any(feed.author == me and feed.document.kind == JOURNAL for feed, _ in heads):
            self._checkpoint_soon()

    async def check(self, entries: Sequence[Entry], received_from: Author) -> Checked:
        if entries:
            await self.heap.sleep(self._rng.randint(*VERIFY_MS))
        return self._shared.verifier.check(entries, received_from, self.trust.record)

    def _last_arrival(self) -> int:
        with self.log.read_all() as reader:
            return reader.last_arrival()

    def _checkpoint_soon(self) -> None:
        if not self._checkpoint_due and self.till is not None:
            self._checkpoint_due = True
            self.heap.at(self._shared.checkpoint_ms or CHECKPOINT_MS, self._checkpoint, self.life)

    def _checkpoint(self) -> None:
        self._checkpoint_due = False
        self.heap.spawn(self._publish(), self.life)

    async def _publish(self) -> None:
        assert self.till is not None
        if self._shared.checkpoint_ms or not self._morning_told:
            self._morning_told = await self.write(
                self.till.publish if self._shared.checkpoint_ms else self.till.publish_morning
            )
        await self._wrote(self._save)

    async def _checkpoints(self) -> None:
        """Only while something has changed."""
