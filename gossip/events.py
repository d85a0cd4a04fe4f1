"""What a session tells the node. Frozen values; the node does the I/O, verifies and appends."""

from __future__ import annotations

from gossip.document import Scope
from gossip.entry import Entry, FeedId, Head
from gossip.messages import Hello, Refused
from gossip.reasons import Reason
from merge_rules.dataclass import dataclass

Position = tuple[bytes, int]
"""A row for the ``cursors`` of ``Log.append``: what identifies the peer's log and the shared scopes, and an arrival number."""


@dataclass(frozen=True, slots=True)
class PeerSaidHello:
    """The peer's version and company are right. Answer with ``Session.admit`` or ``Session.refuse``."""

    hello: Hello


@dataclass(frozen=True, slots=True)
class Shared:
    """Both sides have admitted each other: sharing begins."""

    scopes: frozenset[Scope]
    version: int


@dataclass(frozen=True, slots=True)
class EntriesReceived:
    """Verify and append these in the order of events, ``cursor`` in the same transaction, then call ``Session.appended``."""

    batch: int
    entries: tuple[Entry, ...]
    cursor: Position | None
    entries_bytes: int
    """What they have in all; patches bring more than the bytes of their frame."""


@dataclass(frozen=True, slots=True)
class CursorMoved:
    """Nothing to append, but the cursor may go with the next transaction after those of all earlier events. No hurry."""

    cursor: Position


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """Everything that the peer held when it said HELLO, and that is shared, is in our log. Once a session."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A comparison of fingerprints has ended; what differed is on its way, in both directions."""

    equal: bool
    rounds: int


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The peer has these on its disk: what "safe elsewhere" rests on. ``refused`` it did not take up."""

    heads: tuple[tuple[FeedId, Head], ...]
    refused: tuple[Refused, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """The peer asks. Answer with ``Session.answer``, in any order: every question holds a place until then."""

    id: int
    topic: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to ``Session.ask``; ``None`` if the peer does not know or the deadline has passed."""

    id: int
    content: bytes | None


@dataclass(frozen=True, slots=True)
class Ended:
    """The session is over: send what ``data_to_send`` still returns, then close. Nothing follows."""

    reason: Reason
    by_peer: bool
    why: str


Event = (
    PeerSaidHello
    | Shared
    | EntriesReceived
    | CursorMoved
    | CaughtUp
    | Compared
    | Acknowledged
    | Asked
    | Answered
    | Ended
)
