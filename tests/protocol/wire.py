"""Two replicas joined in memory: each a log, a session, and the little that a node does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gossip.document import COMPANY, Document, FeedType, Scope, ScopeClass
from gossip.entry import Entry, FeedId, Hash, sign
from gossip.events import CursorMoved, EntriesReceived, Event, PeerSaidHello
from gossip.frames import Frames
from gossip.in_flight import InFlight
from gossip.limits import Limits
from gossip.log import Arrival, Outcome
from gossip.log_memory import MemoryLog
from gossip.messages import Entries, Hello, Message, Patch, Refused
from gossip.reasons import Reason
from gossip.session import Me, Session
from merge_rules.lattice import Author
from peers.keys import SecretKey, author_of

SHOP = Scope("store/12")
PATRONS = Scope("patrons/12")
EVERYTHING = frozenset({COMPANY, SHOP})
ACME = b"acme"
FIRST_DAY = 20_000
KEYS: dict[Author, SecretKey] = {}

Admit = Callable[[Hello], Reason | None]


@dataclass
class Replica:
    """A log with an author, and at most one session."""

    number: int
    company: bytes = ACME
    scopes: frozenset[Scope] = EVERYTHING
    limits: Limits = field(default_factory=Limits)
    announce: bool = False
    grants: frozenset[Scope] = EVERYTHING
    admit: Admit = lambda _: None
    refuses: frozenset[Hash] = frozenset()
    """Entries that this replica does not take up."""
    slow: bool = False
    """Keep received batches until ``append_all``."""

    def __post_init__(self) -> None:
        self.key = SecretKey(self.number.to_bytes(32, "big"))
        self.author = author_of(self.key.public, "a1")
        KEYS[self.author] = self.key
        self.in_flight = InFlight()
        self.reset()

    def reset(self, database: int | None = None) -> None:
        """Lose the disk."""
        number = self.number if database is None else database
        self.log = MemoryLog({}, database=number.to_bytes(16, "big"))

    def sign(
        self,
        kind: str,
        *keys: int | bytes,
        day: int = 0,
        seq: int,
        body: object = None,
        feed: FeedType = FeedType.LATEST,
        scope: ScopeClass = ScopeClass.STORE,
        previous: Hash | None = None,
    ) -> Entry:
        """An entry of our own, not appended."""
        document = Document(kind, day, keys)
        return sign(self.key, self.author, document, feed, scope, seq, seq << 16, body or {0: seq}, previous)

    def write(
        self,
        kind: str,
        *keys: int | bytes,
        day: int = 0,
        seq: int | None = None,
        body: object = None,
        feed: FeedType = FeedType.LATEST,
        scope: ScopeClass = ScopeClass.STORE,
    ) -> Entry:
        """Sign and append an entry of our own."""
        with self.log.read() as reader:
            heads = reader.heads(FeedId(Document(kind, day, keys), self.author))
        number = seq if seq is not None else (heads[-1].seq + 1 if heads else 1)
        previous = heads[-1].hash if feed is FeedType.WHOLE and number > 1 else None
        entry = self.sign(kind, *keys, day=day, seq=number, body=body, feed=feed, scope=scope, previous=previous)
        self.log.append([Arrival(entry)])
        return entry

    def takes(self, entries: Sequence[Entry], received_from: Author | None = None) -> None:
        """Append entries that came some other way."""
        self.log.append([Arrival(entry, received_from) for entry in entries])

    def holds(self) -> frozenset[Hash]:
        """Everything that is current here."""
        with self.log.read() as reader:
            return frozenset(
                stored.entry.hash
                for stored in reader.arrivals(0, 1 << 30)
                if stored.entry.feed is FeedType.WHOLE or stored.entry.head in reader.heads(stored.entry.feed_id)
            )

    def begin(self, now_ms: int = 0) -> Session:
        """A new session."""
        me = Me(self.company, self.author, self.scopes)
        self.session = Session(self.log, me, now_ms, self.limits, self.in_flight)
        self.events: list[Event] = []
        self.waiting: list[EntriesReceived | CursorMoved] = []
        self.heard: list[Message] = []
        self.heard_bytes = 0
        self._frames = Frames()
        return self.session

    def receive(self, received: bytes, now_ms: int = 0) -> None:
        """What a node does with bytes from a peer."""
        self.heard_bytes += len(received)
        if not self.session.ended:
            self.heard += [message for message, _ in self._frames.feed(received)]
        self.take(self.session.receive(received, now_ms))

    def take(self, events: Sequence[Event]) -> None:
        """What a node does with events."""
        for event in events:
            self.events.append(event)
            if isinstance(event, PeerSaidHello):
                reason = self.admit(event.hello)
                session = self.session
                grant = self.grants | self.scopes
                self.take(session.refuse(reason) if reason else session.admit(grant, announce=self.announce))
            elif isinstance(event, EntriesReceived | CursorMoved):
                self.waiting.append(event)
        if not self.slow:
            self.append_all()

    def append_all(self) -> None:
        """Append what was received."""
        while self.waiting:
            event = self.waiting.pop(0)
            if isinstance(event, CursorMoved):
                self.log.append([], cursors=[event.cursor])
                continue
            taken = [entry for entry in event.entries if entry.hash not in self.refuses]
            assert all(entry.verify(KEYS[entry.author].public) for entry in taken)
            arrivals = [Arrival(entry, self.session.peer) for entry in taken]
            outcomes = self.log.append(arrivals, cursors=[event.cursor] if event.cursor else [])
            gaps = {entry.feed_id for entry, done in zip(taken, outcomes, strict=True) if done.outcome is Outcome.GAP}
            refused = [Refused(entry.hash, "no") for entry in event.entries if entry.hash in self.refuses]
            self.take(self.session.appended(event.batch, refused, gaps))
            self.session.wake()

    def got(self, kind: type[Event]) -> list[Event]:
        """The events of one type."""
        return [event for event in self.events if isinstance(event, kind)]

    def received_entries(self) -> list[bytes | Patch]:
        """The items of all ENTRIES that came."""
        return [item for message in self.heard if isinstance(message, Entries) for item in message.items]


def talk(left: Replica, right: Replica, now_ms: int = 0, piece: int | None = None, rounds_max: int = 500) -> None:
    """Carry bytes until neither has anything to say, cut into pieces of ``piece`` bytes."""
    for _ in range(rounds_max):
        to_right, to_left = left.session.data_to_send(), right.session.data_to_send()
        if not to_right and not to_left:
            return
        for receiver, sent in ((right, to_right), (left, to_left)):
            size = piece or max(1, len(sent))
            for at in range(0, len(sent), size):
                receiver.receive(sent[at : at + size], now_ms)
    raise AssertionError("they never stop talking")


def meet(left: Replica, right: Replica, piece: int | None = None) -> None:
    """A session from HELLO until all is quiet."""
    left.begin()
    right.begin()
    talk(left, right, piece=piece)


def part(left: Replica, right: Replica) -> None:
    """End the session."""
    left.take(left.session.end())
    talk(left, right)
