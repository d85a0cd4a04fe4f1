"""Two replicas of one process, joined by a pipe in memory: what a session costs each side in bytes and time.

On each side runs what runs in a shop: the log on the disk, the session machine, the checks of every entry (certificate,
signature, permission, body), one synced commit, and only then the acknowledgement. What is left out is TLS and the event loop.
One side acts at a time, on one thread, so that the processor time of the process between two moments is that side's.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection, Coroutine, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from crdt_pos.schema import SCHEMA
from gossip.document import Scope
from gossip.entry import Entry, FeedId
from gossip.events import Compared, CursorMoved, Ended, EntriesReceived, Event, PeerSaidHello
from gossip.ingest import AuthorLookup, Checked, check
from gossip.intake import Commit, Derived, take_in, write_group
from gossip.link import ENTRIES_AT_ONCE_MAX
from gossip.log import Appended, Log
from gossip.messages import Refused
from gossip.reasons import Reason
from gossip.session import Me, Session
from merge_rules.lattice import Author
from peers.certificates import Certificate

FLIGHTS_MAX: Final = 1_000_000
Result = TypeVar("Result")


class SessionFailed(Exception):
    """A session ended by itself, with a reason."""


class Side:
    """One replica and its session. Implements ``intake.Receiver`` and ``intake.Floor``."""

    def __init__(
        self, log: Log, me: Certificate, peer: Certificate, scopes: frozenset[Scope], lookup: AuthorLookup
    ) -> None:
        """``scopes``: held here and given to the peer; ``lookup``: the certificates that are here."""
        self.log = log
        self.peer = peer
        self.session: Session
        self.cpu_s = 0.0
        self.entries_received = 0
        self.compared: Compared | None = None
        self._me = Me(bytes(me.company), me.author, scopes)
        self._lookup = lookup
        self._waiting: deque[EntriesReceived | CursorMoved] = deque()

    def begin(self) -> None:
        """A new session: HELLO waits to be said."""
        self.cpu_s, self.entries_received, self.compared = 0.0, 0, None
        with self._metered():
            self.session = Session(self.log, self._me, 0)

    def say(self) -> bytes:
        """All that the session has to say now."""
        with self._metered():
            said = bytearray()
            while more := self.session.data_to_send():
                said += more
            return bytes(said)

    def hear(self, received: bytes) -> None:
        """Understand what the peer has said, and take in what it brought."""
        with self._metered():
            self._note(self.session.receive(received, 0))
            while self._waiting:
                items: list[EntriesReceived | CursorMoved] = []
                count = 0
                while self._waiting and count < ENTRIES_AT_ONCE_MAX:
                    items.append(item := self._waiting.popleft())
                    count += len(item.entries) if isinstance(item, EntriesReceived) else 0
                self.entries_received += count
                _at_once(take_in(self, items, self))

    def _note(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, PeerSaidHello):
                self._note(self.session.admit(self._me.scopes))
            elif isinstance(event, EntriesReceived | CursorMoved):
                self._waiting.append(event)
            elif isinstance(event, Compared):
                self.compared = event
            elif isinstance(event, Ended) and event.reason is not Reason.DONE:
                raise SessionFailed(f"{event.reason.name}: {event.why}")

    @contextmanager
    def _metered(self) -> Generator[None]:
        before_s = time.process_time()
        try:
            yield
        finally:
            self.cpu_s += time.process_time() - before_s

    # For ``intake.take_in``

    def appended(self, batch: int, refused: Sequence[Refused], gaps: Collection[FeedId]) -> None:
        self._note(self.session.appended(batch, refused, gaps))

    def end(self, reason: Reason, why: str = "") -> None:
        self._note(self.session.end(reason, why))

    async def check(self, entries: Sequence[Entry], received_from: Author) -> Checked:
        return check(entries, received_from, self._lookup, SCHEMA)

    async def ask_certificates(self, authors: Sequence[Author]) -> None:
        raise SessionFailed(f"{len(authors)} authors without a certificate here")

    async def commit(self, commit: Commit) -> Sequence[Appended] | None:
        batch = write_group(self.log, [commit], lambda _reader, _arrivals: Derived(), 0)
        if batch.grew:
            self.session.wake()
        return commit.outcomes


@dataclass(frozen=True, slots=True)
class Met:
    """What one session has cost, from HELLO until neither side had anything to say."""

    carried_bytes: int
    """Both directions together, as the pipe carried them."""
    round_trips: float
    """A flight carries, both ways at once, all that either side has to say; two make a round trip."""


def meet(one: Side, other: Side) -> Met:
    """A session from HELLO until all is said, and its end. Raises ``SessionFailed``."""
    one.begin()
    other.begin()
    carried = 0
    for flights in range(FLIGHTS_MAX):
        said, answered = one.say(), other.say()
        if not said and not answered:
            one.end(Reason.DONE)
            other.hear(one.say())
            return Met(carried, flights / 2)
        carried += len(said) + len(answered)
        other.hear(said)
        one.hear(answered)
    raise SessionFailed("they never stop talking")


def _at_once(act: Coroutine[Any, Any, Result]) -> Result:
    """The result of what waits for nothing."""
    try:
        act.send(None)
    except StopIteration as done:
        result: Result = done.value
        return result
    raise AssertionError("it waited")
