"""A session between two replicas: bytes in, events out.

What is legal when is a table, ``TRANSITIONS``: (state, message type or act of our own) → next state. Anything else ends the
session with a reason, and nothing else ends with it. Neither side knows whether it dialled.

    session = Session(log, me, now_ms)          # HELLO is in data_to_send()
    events = session.receive(received, now_ms)  # after PeerSaidHello: session.admit(scopes) or session.refuse(reason)
    stream.send_all(session.data_to_send())     # after every call

Received entries come as events: the node verifies and appends them, then calls ``appended``, and only then the peer is told
that they are durable. The session reads the log in short snapshots and never appends. Specification: PROTOCOL.md. Sans-I/O.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Final

from gossip import frames
from gossip.allowance import Allowance, Crawl
from gossip.document import Scope
from gossip.entry import FeedId
from gossip.errors import ProtocolError
from gossip.events import (
    Answered,
    Asked,
    Compared,
    Ended,
    Event,
    PeerSaidHello,
    Shared,
)
from gossip.held import Held
from gossip.in_flight import InFlight
from gossip.inbound import Inbound, cursor_key
from gossip.lag import Lag, Towards
from gossip.limits import Limits
from gossip.log import Log, Reader
from gossip.messages import (
    TEXT_BYTES_MAX,
    Admitted,
    Announce,
    Answer,
    Ask,
    Bye,
    Cursor,
    Durable,
    Entries,
    Fingerprints,
    Hello,
    Message,
    Ping,
    Pong,
    Ranges,
    Refused,
    Want,
    Wanted,
)
from gossip.outbound import Grown, Outbound
from gossip.questions import Questions
from gossip.reasons import Reason
from gossip.reconcile import Comparison, Turn
from gossip.transitions import TRANSITIONS, Act, State
from merge_rules.dataclass import dataclass
from merge_rules.lattice import Author

VERSION_MIN: Final = 1
VERSION_MAX: Final = 1
COMPARE: Final = "compare"
"""The feature of HELLO that asks for a comparison whatever the cursors say."""


@dataclass(frozen=True, slots=True)
class Me:
    """What this replica says of itself in HELLO, beside what its log says."""

    company: bytes
    author: Author
    scopes: frozenset[Scope]
    """What this replica holds and may read; to a peer that is known, those that it may read as well."""
    features: frozenset[str] = frozenset()
    chain: tuple[bytes, ...] = ()


class Session:
    """One session. Both sides run the same machine: who dialled makes no difference."""

    def __init__(
        self, log: Log, me: Me, now_ms: int, limits: Limits | None = None, in_flight: InFlight | None = None
    ) -> None:
        """HELLO is ready in ``data_to_send`` at once. ``in_flight``: shared by all sessions of a node."""
        self.shared: frozenset[Scope] = frozenset()
        self.version = 0
        self.read_beyond = False
        """Whether the peer says that it has read further in our log than it reaches: if that is true, the log was set back."""
        self.bytes_sent = 0
        self.bytes_received = 0
        self.messages_sent = 0
        self.messages_received = 0
        self.entries_sent = 0
        self._log = log
        self._me = me
        self._limits = limits or Limits()
        self._in_flight = in_flight or InFlight()
        self._state = State.GREETING
        self._frames = frames.Frames()
        self._out = bytearray()
        self._now_ms = now_ms
        self._began_ms = now_ms
        self._heard_ms = now_ms
        self._pings = 0
        self._asked_for_life = False
        self._crawl = Crawl(self._limits, now_ms)
        self._pinged = Allowance(self._limits.silence_ms_max, now_ms)
        self._looked = Allowance(self._limits.compare_ms_max, now_ms)
        self._hello: Hello | None = None
        self._granted: frozenset[Scope] = frozenset()
        self._welcomed: frozenset[Scope] = frozenset()
        self._reached = 0
        self._announce = False
        self._held = Held(self._limits.held_bytes_max)
        self._outbound: Outbound | None = None
        self._inbound: Inbound | None = None
        self.came: Counter[str] = Counter()
        """Entries that came, by kind, also those that were here already."""
        self._comparison: Comparison | None = None
        self._asking_turn = False
        self._compared = False
        self._followed = False, False
        """Whether the peer's cursor could be followed, and ours."""
        self._questions = Questions(self._limits.questions_max)
        self._received: dict[type[Message], Callable[[Any, State], list[Event]]] = {
            Bye: self._bye,
            Hello: self._said_hello,
            Admitted: self._admitted,
            Cursor: self._cursor,
            Want: self._want,
            Durable: self._durable,
            Fingerprints: self._fingerprints,
            Ranges: self._ranges,
            Ask: self._ask,
            Answer: self._answer,
            Ping: self._ping,
            Pong: self._pong,
        }
        with log.read_all() as reader:
            self._last_arrival = reader.last_arrival()
        self._send(
            Hello(
                VERSION_MIN,
                VERSION_MAX,
                me.company,
                me.author,
                log.database,
                self._last_arrival,
                me.scopes,
                me.features,
                me.chain,
            )
        )

    # From the network and the clock

    def receive(self, received: bytes, now_ms: int) -> list[Event]:
        """Bytes from the peer, cut anywhere."""
        if self._state is State.ENDED:
            return []
        self._now_ms = self._heard_ms = now_ms
        self._asked_for_life = False
        self.bytes_received += len(received)
        messages_before = self.messages_received
        events: list[Event] = []
        try:
            for message, frame_bytes in self._frames.feed(received):
                self.messages_received += 1
                events += self._message(message, frame_bytes)
                if self.ended:
                    break
        except ProtocolError as error:
            events += self.end(error.reason, error.why)
        whole = self.messages_received > messages_before
        self._crawl.came(len(received), now_ms, whole=whole, waiting=not self._frames.empty)
        return events

    def lost(self) -> list[Event]:
        """The connection is gone (end of stream, reset)."""
        if self._state is State.ENDED:
            return []
        return self._finish(Reason.LOST, "the connection went away", by_peer=False)

    def data_to_send(self) -> bytes:
        """Bytes for the peer, each once. Ask after every call of any other method; b"" if there is nothing to say."""
        if self._outbound is not None and self._inbound is not None and self._state is not State.ENDED:
            for reply in self._inbound.replies:
                self._send(reply)
            self._inbound.replies.clear()
            for want in self._inbound.wants():
                self._send(want)
            for batch in () if self._outbound.idle else self._outbound.messages():
                self.entries_sent += len(batch.items) if isinstance(batch, Entries) else 0
                self._send(batch)
        sent = bytes(self._out)
        self._out.clear()
        self.bytes_sent += len(sent)
        return sent

    @property
    def unsent_bytes(self) -> int:
        """What waits for the next ``data_to_send``, batches not counted: replies that the peer has called forth."""
        return len(self._out)

    def tick(self, now_ms: int) -> list[Event]:
        """Deadlines and keepalive: call it about once a second."""
        if self._state is State.ENDED:
            return []
        self._now_ms = now_ms
        if not self.sharing:
            late = now_ms - self._began_ms > self._limits.handshake_ms_max
            return self.end(Reason.TIMEOUT, "no handshake in time") if late else []
        quiet_ms = now_ms - self._heard_ms
        if quiet_ms > self._limits.silence_ms_max:
            return self.end(Reason.TIMEOUT, "nothing heard")
        if self._crawl.too_long(now_ms):
            return self.end(Reason.TIMEOUT, "a message that does not come to its end")
        if quiet_ms > self._limits.quiet_ms_max and not self._asked_for_life:
            self._asked_for_life = True
            self._pings += 1
            self._send(Ping(self._pings))
        events: list[Event] = [Answered(id_, None) for id_ in self._questions.expire(now_ms)]
        assert self._inbound is not None
        try:
            return [*events, *self._inbound.tick(now_ms)]
        except ProtocolError as error:
            return [*events, *self.end(error.reason, error.why)]

    # From the node

    def admit(self, scopes: frozenset[Scope], *, announce: bool = False) -> list[Event]:
        """Admit the peer after ``PeerSaidHello``: ``scopes`` are what its certificate lets it read.

        ``announce``: the peer probably gets the entries of others from them directly (same store), so name these and let it
        want them; our own are pushed at once either way. Nothing happens if the session has ended meanwhile.
        """
        if self._state is State.ENDED:
            return []
        assert self._hello is not None
        self._announce = announce
        self._move(Act.ADMIT)
        self._granted = self._me.scopes & self._hello.scopes & scopes
        self._send(Admitted(self._granted))
        if self._state is State.CURSORS:
            self._send_cursor()
        return []

    def refuse(self, reason: Reason, why: str = "") -> list[Event]:
        """Refuse the peer after ``PeerSaidHello``. The same as ``end``."""
        return self.end(reason, why)

    def appended(self, batch: int, refused: Sequence[Refused] = (), gaps: Collection[FeedId] = ()) -> list[Event]:
        """The entries of ``EntriesReceived(batch)`` are synced to disk, or known, or quarantined, except ``refused`` (not
        kept) and those of ``gaps`` (``Outcome.GAP``: the session wants the feed from where we hold it)."""
        if self._state is State.ENDED:
            return []
        assert self._inbound is not None
        try:
            return self._noted(self._inbound.appended(batch, refused, gaps))
        except ProtocolError as error:
            return self.end(error.reason, error.why)

    def wake(self, grown: Grown | None = None) -> bool:
        """The log has grown, as far as is known by so much: send what is shared of it. Whether there may be something."""
        return self._outbound is not None and self._outbound.wake(grown)

    def fetch(self, wanted: Iterable[Wanted]) -> None:
        """Want what the disk here has lost, whatever the peer has told of it before."""
        if self._inbound is not None:
            for one in wanted:
                self._inbound.want(one)

    def compare(self) -> None:
        """Compare fingerprints now, unless that is going on. Done by itself once both sides have caught up."""
        if self._state is not State.SHARING:
            return
        self._move(Act.COMPARE)
        self._comparison = Comparison(sorted(self.shared))
        self._asking_turn = True
        with self._log.read_all() as reader:
            self._send(self._comparison.begin(reader))

    def ask(self, topic: str, content: bytes, now_ms: int, timeout_ms: int) -> int:
        """Ask the peer something; ``Answered`` with the returned id follows. 0 if too many questions are open or the session
        is not sharing."""
        if not self.sharing:
            return 0
        id_ = self._questions.ask(now_ms + timeout_ms)
        if id_:
            self._send(Ask(id_, topic, content))
        return id_

    def answer(self, id_: int, content: bytes | None) -> None:
        """Answer ``Asked``; ``None``: not known here."""
        if self.sharing and self._questions.answer(id_):
            self._send(Answer(id_, content))

    def end(self, reason: Reason = Reason.DONE, why: str = "") -> list[Event]:
        """Say BYE and end the session."""
        if self._state is State.ENDED:
            return []
        self._send(Bye(reason, why.encode()[:TEXT_BYTES_MAX].decode(errors="ignore")))
        return self._finish(reason, why, by_peer=False)

    @property
    def state(self) -> State:
        """Where the session stands."""
        return self._state

    @property
    def peer(self) -> Author | None:
        """Whom HELLO named; ``None`` before."""
        return None if self._hello is None else self._hello.author

    @property
    def ended(self) -> bool:
        """Whether the session is over."""
        return self._state is State.ENDED

    @property
    def between_messages(self) -> bool:
        """Whether what comes next begins a message."""
        return self._frames.empty

    @property
    def sharing(self) -> bool:
        """Whether both sides have admitted each other and the session is not over."""
        return self._state in (State.SHARING, State.COMPARING)

    @property
    def waits(self) -> bool:
        """Whether ``tick`` may have something to do before the peer has been quiet for long: until then nobody need call it."""
        waiting = self._inbound is not None and self._inbound.waits
        return not self.sharing or waiting or self._questions.open > 0 or not self._frames.empty

    def lag(self, last_arrival: int) -> Lag:
        """How far both sides are behind; ``last_arrival``: of our log."""
        if self._outbound is None or self._inbound is None or self._hello is None:
            return Lag()
        untold = 0 if self._inbound.caught_up else max(self._hello.last_arrival - self._inbound.reached, 0)
        unsent = max(last_arrival - self._outbound.position, 0)
        return Lag(unsent, self._outbound.unacknowledged, untold, self._inbound.wanted)

    def towards(self) -> Towards:
        """What is not on the peer's disk yet, as far as is known: for people and for monitoring."""
        if self._outbound is None:
            return Towards()
        return Towards(self._outbound.position, tuple(self._outbound.unacknowledged_hashes))

    # Messages

    def _message(self, message: Message, frame_bytes: int) -> list[Event]:
        before = self._state
        self._move(type(message))
        if isinstance(message, Entries):
            assert self._inbound is not None
            return self._noted(self._inbound.entries(message, frame_bytes))
        if isinstance(message, Announce):
            assert self._inbound is not None
            return self._noted(self._inbound.announce(message, frame_bytes, self._now_ms))
        return self._received[type(message)](message, before)

    def _move(self, cause: type[Message] | Act) -> None:
        after = TRANSITIONS.get((self._state, cause))
        if after is None:
            assert not isinstance(cause, Act), f"{cause} in {self._state}"
            raise ProtocolError(Reason.UNEXPECTED, f"{cause.__name__.upper()} while {self._state.value}")
        self._state = after

    def _bye(self, message: Bye, _before: State) -> list[Event]:
        return self._finish(Reason.of(message.reason), message.text, by_peer=True)

    def _said_hello(self, hello: Hello, _before: State) -> list[Event]:
        self.version = min(hello.version_max, VERSION_MAX)
        if self.version < max(hello.version_min, VERSION_MIN):
            versions = f"{VERSION_MIN} to {VERSION_MAX}"
            raise ProtocolError(Reason.VERSION, f"I speak {versions}, you {hello.version_min} to {hello.version_max}")
        if hello.company != self._me.company:
            raise ProtocolError(Reason.COMPANY, "you belong to another company")
        if hello.author == self._me.author or hello.database == self._log.database:
            raise ProtocolError(Reason.SELF, "you are me, or a copy of me")
        self._hello = hello
        return [PeerSaidHello(hello)]

    def _admitted(self, message: Admitted, _before: State) -> list[Event]:
        self._welcomed = message.scopes
        if self._state is State.CURSORS:
            self._send_cursor()
        return []

    def _send_cursor(self) -> None:
        assert self._hello is not None
        self.shared = self._granted & self._welcomed
        with self._log.read_all() as reader:
            self._reached = reader.cursor(cursor_key(self._hello.database, self.shared))
        self._send(Cursor(self._hello.database, self._reached))

    def _cursor(self, message: Cursor, _before: State) -> list[Event]:
        hello = self._hello
        assert hello is not None
        # Whoever has gone without entries for a while knows that they came another way: cursors would send them all again.
        follows = COMPARE not in self._me.features | hello.features
        of_this_log = message.database == self._log.database
        theirs_valid = follows and of_this_log and _valid(message.arrival, self._last_arrival)
        self.read_beyond = of_this_log and message.arrival > self._last_arrival
        mine_valid = follows and _valid(self._reached, hello.last_arrival)
        self._outbound = Outbound(
            self._log,
            self._me.author,
            hello.author,
            self.shared,
            self._held,
            self._limits,
            base=self._last_arrival,
            after=message.arrival if theirs_valid else None,
            announce=self._announce,
        )
        self._inbound = Inbound(
            self._log,
            self.shared,
            self._held,
            self._in_flight,
            self._limits,
            cursor_key(hello.database, self.shared),
            hello.last_arrival,
            self._reached if mine_valid else 0,
            came=self.came,
        )
        if self.shared:  # over a session that shares nothing no author pushes what it wrote
            self._in_flight.meets(hello.author, self._inbound)
        events: list[Event] = [Shared(self.shared, self.version)]
        self._followed = theirs_valid, mine_valid
        return [
            *events,
            *self._noted(self._inbound.begin(caught_up=mine_valid and self._reached == hello.last_arrival)),
        ]

    def _durable(self, message: Durable, _before: State) -> list[Event]:
        assert self._outbound is not None
        acknowledged = self._outbound.durable(message)
        events: list[Event] = [acknowledged] if acknowledged.heads or acknowledged.refused else []
        return self._noted(events)

    def _want(self, message: Want, _before: State) -> list[Event]:
        assert self._outbound is not None
        self._outbound.wanted(message)
        return []

    def _ask(self, message: Ask, _before: State) -> list[Event]:
        self._questions.asked(message.id)
        return [Asked(message.id, message.topic, message.content)]

    def _answer(self, message: Answer, _before: State) -> list[Event]:
        return [Answered(message.id, message.content)] if self._questions.answered(message.id) else []

    def _ping(self, message: Ping, _before: State) -> list[Event]:
        self._pinged.spend(1, self._limits.pings_max, self._now_ms, "you ask for signs of life without end")
        self._send(Pong(message.number))
        return []

    def _pong(self, message: Pong, _before: State) -> list[Event]:
        if message.number > self._pings:
            raise ProtocolError(Reason.MALFORMED, "PONG without PING")
        return []

    # Comparison

    def _fingerprints(self, message: Fingerprints, before: State) -> list[Event]:
        if before is State.COMPARING:
            if not self._asking_turn:
                raise ProtocolError(Reason.UNEXPECTED, "FINGERPRINTS during a comparison")
            if self._first:
                # Both began at once: the peer follows mine.
                self._asking_turn = False
                return []
        self._asking_turn = False
        self._comparison = Comparison(sorted(self.shared))
        with self._log.read_all() as reader:
            turn = self._comparison.answer(reader, message)
            self._pay(reader, self._comparison.looked)
        return self._take(turn)

    def _ranges(self, message: Ranges, _before: State) -> list[Event]:
        assert self._comparison is not None
        self._asking_turn = False
        before = self._comparison.looked
        with self._log.read_all() as reader:
            turn = self._comparison.receive(reader, message)
            self._pay(reader, self._comparison.looked - before)
        return self._take(turn)

    def _pay(self, reader: Reader, looks: int) -> None:
        """Count what a comparison has cost us: the others wait for it."""
        feeds = sum(reader.fingerprint(scope).feeds for scope in self.shared)
        most = self._limits.compared_max + 8 * feeds
        self._looked.spend(looks, most, self._now_ms, "you compare without end")

    def _take(self, turn: Turn) -> list[Event]:
        assert self._outbound is not None
        assert self._inbound is not None
        assert self._comparison is not None
        self._outbound.lacks(turn.sends)
        for want in turn.wants:
            self._inbound.want(want)
        if turn.ranges is not None:
            self._send(turn.ranges)
        if not turn.ended:
            return []
        self._move(Act.SETTLE)
        self._compared = True
        self._outbound.compared()
        ended = Compared(self._comparison.equal, self._comparison.turns)
        self._comparison = None
        return [ended]

    @property
    def _first(self) -> bool:
        """Which side begins when both could: the one whose log has the lower id."""
        assert self._hello is not None
        return self._log.database < self._hello.database

    def _noted(self, events: list[Event]) -> list[Event]:
        """Begin the comparison that follows catching up, once: what is on its way already need not be found."""
        if self._compared or self._state is not State.SHARING or not self._first:
            return events
        assert self._inbound is not None
        assert self._outbound is not None
        outward, inward = self._followed
        # Where a cursor cannot be followed, only the comparison says what is missing: it does not wait for that side.
        caught_up = (self._inbound.caught_up or not inward) and (self._outbound.delivered or not outward)
        if caught_up:
            self._compared = True
            self.compare()
        return events

    # The end

    def _finish(self, reason: Reason, why: str, *, by_peer: bool) -> list[Event]:
        if self._state is not State.ENDED:
            self._move(Act.END)
        self._in_flight.release(self._inbound)
        self._outbound = self._inbound = self._comparison = None
        self._held = Held(0)  # a session that is over is let go late: it holds itself
        unanswered: list[Event] = [Answered(id_, None) for id_ in self._questions.expire(None)]
        return [*unanswered, Ended(reason, by_peer, why)]

    def _send(self, message: Message) -> None:
        self._out += frames.encode(message)
        self.messages_sent += 1


def _valid(arrival: int, last_arrival: int) -> bool:
    """Whether a cursor can be followed. Above the last arrival: the log was set back; 0: nothing is known of it."""
    return arrival <= last_arrival and (arrival > 0 or last_arrival == 0)
