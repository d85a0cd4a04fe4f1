"""A session between two replicas: bytes in, events out. Being written; the signatures stand.

Sans-I/O; it reads the log in short snapshots and never appends.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from gossip.document import Scope
from gossip.entry import FeedId
from gossip.events import Event
from gossip.log import Log
from gossip.messages import Refused
from gossip.reasons import Reason
from merge_rules.lattice import Author


@dataclass(frozen=True, slots=True)
class Me:
    """What this replica says of itself in HELLO, beside what its log says."""

    company: bytes
    author: Author
    scopes: frozenset[Scope]
    """What this replica holds and may read."""
    features: frozenset[str] = frozenset()
    chain: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one session; times in milliseconds."""

    handshake_ms_max: int = 10_000
    quiet_ms_max: int = 15_000
    """After so long without a word from the peer: PING."""
    silence_ms_max: int = 45_000
    """After so long: the end."""
    window_bytes_max: int = 1 << 20
    window_batches_max: int = 64
    batch_bytes_max: int = 1 << 18
    questions_max: int = 64


class Session:
    """One session. Both sides run the same machine: who dialled makes no difference."""

    def __init__(self, log: Log, me: Me, now_ms: int, limits: Limits | None = None) -> None:
        """HELLO is ready in ``data_to_send`` at once."""
        raise NotImplementedError

    # From the network and the clock

    def receive(self, received: bytes, now_ms: int) -> list[Event]:
        """Bytes from the peer, cut anywhere."""
        raise NotImplementedError

    def lost(self) -> list[Event]:
        """The connection is gone (end of stream, reset)."""
        raise NotImplementedError

    def data_to_send(self) -> bytes:
        """Bytes for the peer, each once. Ask after every call of any other method; returns b"" if there is nothing to say."""
        raise NotImplementedError

    def tick(self, now_ms: int) -> list[Event]:
        """Deadlines and keepalive: call it about once a second."""
        raise NotImplementedError

    # From the node

    def admit(self, scopes: frozenset[Scope], *, announce: bool = False) -> list[Event]:
        """Admit the peer after ``PeerSaidHello``: ``scopes`` are what its certificate lets it read.

        ``announce``: the peer probably gets the entries of others from them directly (same store), so name these and let it
        want them; our own are pushed at once either way.
        """
        raise NotImplementedError

    def refuse(self, reason: Reason, why: str = "") -> list[Event]:
        """Refuse the peer after ``PeerSaidHello``. The same as ``end``."""
        raise NotImplementedError

    def appended(self, batch: int, refused: Sequence[Refused] = (), gaps: Collection[FeedId] = ()) -> list[Event]:
        """The entries of ``EntriesReceived(batch)`` are synced to disk, or known, or quarantined, except ``refused`` (not
        kept) and those of ``gaps`` (``Outcome.GAP``: the session wants the feed from where we hold it)."""
        raise NotImplementedError

    def wake(self) -> None:
        """The log has grown: send what is shared of it."""
        raise NotImplementedError

    def compare(self) -> None:
        """Compare fingerprints now. Done by itself when both sides have caught up."""
        raise NotImplementedError

    def ask(self, topic: str, content: bytes, now_ms: int, timeout_ms: int) -> int:
        """Ask the peer something; ``Answered`` with the returned id follows. 0 if too many questions are open or the session
        is not sharing."""
        raise NotImplementedError

    def answer(self, id_: int, content: bytes | None) -> None:
        """Answer ``Asked``; ``None``: not known here."""
        raise NotImplementedError

    def end(self, reason: Reason = Reason.DONE, why: str = "") -> list[Event]:
        """Say BYE and end the session."""
        raise NotImplementedError

    @property
    def peer(self) -> Author | None:
        """Whom HELLO named; ``None`` before."""
        raise NotImplementedError

    @property
    def ended(self) -> bool:
        """Whether the session is over."""
        raise NotImplementedError

    @property
    def sharing(self) -> bool:
        """Whether both sides have admitted each other and the session is not over."""
        raise NotImplementedError

    shared: frozenset[Scope] = field(default=frozenset())
    bytes_sent: int = 0
    bytes_received: int = 0
    messages_sent: int = 0
    messages_received: int = 0
