"""What really happened, noted by whoever watches from outside: nothing here is known to any replica.

Every entry that reached a disk, which disks it is on, and every receipt that a cashier was given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from crdt_pos.schema import BALANCE, JOURNAL
from gossip.document import FeedType
from gossip.entry import Entry, FeedId, Hash
from gossip.log import Arrival
from merge_rules.lattice import Author
from peers.certificates import Certificate
from peers.keys import PublicKey
from tools.simulation.disk import Disk

_EARNED, _REDEEMED = 0, 1


@dataclass(frozen=True, slots=True)
class Given:
    """A receipt that a cashier was given: what was asked for, and what was told."""

    author: Author
    store: int
    once: str
    number: str
    day: int
    total_minor: int


@dataclass(slots=True)
class Ledger:
    """Implements ``disk.Inventory``."""

    now_ms: Callable[[], int]
    could_tell: Callable[[Author, int, int], bool]
    """Whether an author has long been in a session with the owner of a disk that held something since then."""
    entries: dict[Hash, Entry] = field(default_factory=dict[Hash, Entry])
    disks: dict[int, dict[Hash, int]] = field(default_factory=dict[int, dict[Hash, int]])
    """What was ever written on each disk that still exists, and when."""
    own: dict[FeedId, list[Entry]] = field(default_factory=dict[FeedId, list[Entry]])
    """What each author wrote itself, in that order."""
    acts: dict[Author, list[Entry]] = field(default_factory=dict[Author, list[Entry]])
    """The journals of each author, in the order of writing."""
    given: list[Given] = field(default_factory=list[Given])
    liars: dict[Author, None] = field(default_factory=dict[Author, None])
    """Who has lied; and who was set back, could reach nobody who knew more, and so may contradict itself."""
    set_back: dict[Author, None] = field(default_factory=dict[Author, None])
    """Whose disk was set back."""
    unnoticed: dict[Author, None] = field(default_factory=dict[Author, None])
    """Whose disk was set back to before something that nobody else ever had: no one can tell, and numbers come again."""
    keys: dict[Author, PublicKey] = field(default_factory=dict[Author, PublicKey])
    """Of every life that was ever enrolled."""
    names: dict[Author, str] = field(default_factory=dict[Author, str])
    wrongs: list[str] = field(default_factory=list[str])
    """Said as they happen."""
    _accounts: dict[tuple[str, bytes], dict[Author, tuple[int, int]]] = field(
        default_factory=dict[tuple[str, bytes], dict[Author, tuple[int, int]]]
    )

    def written(self, disk: Disk, arrival: Arrival) -> None:
        entry = arrival.entry
        self.entries.setdefault(entry.hash, entry)
        self.disks.setdefault(disk.number, {})[entry.hash] = self.now_ms()
        if arrival.received_from is None:
            if entry.author in self.set_back:
                self._excuse(disk, entry)
            self.own.setdefault(entry.feed_id, []).append(entry)
            if entry.document.kind == JOURNAL:
                self.acts.setdefault(entry.author, []).append(entry)
            if entry.document.kind == BALANCE:
                self._spent(entry)

    def enrolled(self, life: Certificate) -> None:
        """A life begins."""
        self.keys[life.author] = life.public_key
        self.names[life.author] = f"{life.name} {life.incarnation}"

    def lost(self, disk: Disk) -> None:
        """A disk is destroyed."""
        self.disks.pop(disk.number, None)

    def is_set_back(self, author: Author, content: dict[Hash, int]) -> None:
        """The disk of an author holds no more than this again."""
        self.set_back[author] = None
        own = ((hash_, entry) for hash_, entry in self.entries.items() if entry.author == author)
        gone = [hash_ for hash_, entry in own if hash_ not in content and self._matters(entry, content)]
        if gone and not any(hash_ in other for other in self.disks.values() for hash_ in gone):
            self.unnoticed[author] = None

    def days(self, author: Author) -> list[int]:
        """The business dates of a till, as day numbers."""
        return [entry.document.day for entry in self.acts.get(author, [])]

    def _excuse(self, disk: Disk, entry: Entry) -> None:
        """A till whose disk was set back acts: what another disk holds of it and its own does not, was out of its reach."""
        if entry.author in self.liars:
            return
        here = self.disks[disk.number]
        for number, content in self.disks.items():
            if number != disk.number:
                for hash_, since_ms in content.items():
                    if hash_ not in here and self.entries[hash_].author == entry.author:
                        if not self._matters(self.entries[hash_], here):
                            continue
                        if self.could_tell(entry.author, number, since_ms):
                            missing = self.entries[hash_].document
                            self.wrongs.append(f"{self.names[entry.author]} acts without {missing}, which a peer has")
                        self.liars[entry.author] = None
                        return

    def _matters(self, missing: Entry, here: dict[Hash, int]) -> bool:
        """Whether nothing here has replaced an entry that is missing here."""
        if missing.feed is FeedType.WHOLE:
            return True
        return not any(
            other.feed_id == missing.feed_id and other.seq >= missing.seq
            for other in map(self.entries.__getitem__, here)
        )

    def _spent(self, entry: Entry) -> None:
        body = cast("dict[int, int]", entry.body)
        programme, account = entry.document.keys
        parts = self._accounts.setdefault((cast("str", programme), cast("bytes", account)), {})
        parts[entry.author] = body.get(_EARNED, 0), body.get(_REDEEMED, 0)
        if any(author in self.liars for author in parts):
            return
        earned, redeemed = (sum(part[at] for part in parts.values()) for at in (0, 1))
        if redeemed > earned:
            self.wrongs.append(f"account {cast('bytes', account).hex()}: {redeemed} of {earned} points redeemed")
