"""The messages of PROTOCOL.md: one frozen type each, and their bounds. ``gossip.frames`` turns them into bytes and back."""

from __future__ import annotations

from typing import Final

from gossip.document import Scope
from gossip.entry import ENTRY_BYTES_MAX, Hash, Head
from gossip.log import Fingerprint
from merge_rules.dataclass import dataclass
from merge_rules.lattice import Author

FRAME_BYTES_MAX: Final = ENTRY_BYTES_MAX + (1 << 16)
LENGTH_BYTES: Final = 4
COMPANY_BYTES_MAX: Final = 32
DATABASE_BYTES: Final = 16
SCOPES_MAX: Final = 8192
SCOPE_BYTES_MAX: Final = 64
FEATURES_MAX: Final = 32
CHAIN_MAX: Final = 4
CERTIFICATE_BYTES_MAX: Final = 4096
ITEMS_MAX: Final = 4096
FEED_KEY_BYTES_MAX: Final = 250
HEADS_MAX: Final = 64
RANGE_RUNS_MAX: Final = 4096
RANGE_PARTS_MAX: Final = 512
TEXT_BYTES_MAX: Final = 200
TOPIC_BYTES_MAX: Final = 32
CONTENT_BYTES_MAX: Final = 1 << 16
NUMBER_MAX: Final = 2**53
VERSION_MAX: Final = 2**16 - 1


@dataclass(frozen=True, slots=True)
class Bye:
    """The last message of either side: why the session ends. ``reason`` is a number that may be newer than this version."""

    reason: int
    text: str = ""


@dataclass(frozen=True, slots=True)
class Hello:
    """The first message of both sides: who I am and what I would read."""

    version_min: int
    version_max: int
    company: bytes
    """1 to 32 bytes that name the company: replicas of another never share."""
    author: Author
    database: bytes
    """16 random bytes of my log: cursors are bound to it."""
    last_arrival: int
    """The newest arrival number of my log."""
    scopes: frozenset[Scope]
    """What I hold and would read."""
    features: frozenset[str] = frozenset()
    chain: tuple[bytes, ...] = ()
    """DER certificates, my own first, where the peer cannot take them from TLS."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """I have checked your HELLO and would share these scopes with you. Shared is what both name."""

    scopes: frozenset[Scope]


@dataclass(frozen=True, slots=True)
class Cursor:
    """I hold everything of your log, as far as it is shared, up to ``arrival``; 0 if I do not know ``database`` yet."""

    database: bytes
    arrival: int


@dataclass(frozen=True, slots=True)
class Patch:
    """A ``latest`` entry as its changes to one that the peer holds."""

    feed_key: bytes
    changes: bytes
    """What ``gossip.patch`` makes of it; names the entry that it changes."""


@dataclass(frozen=True, slots=True)
class Entries:
    """A batch of entries, whole (bytes) or as patches."""

    batch: int
    """Counts ENTRIES and ANNOUNCE of this side, from 1."""
    upto: int
    """Everything shared of my log up to this arrival number has now been sent or named; 0 claims nothing."""
    answers: int
    """The number of the WANT that this batch completes; 0 for none."""
    items: tuple[bytes | Patch, ...]


@dataclass(frozen=True, slots=True)
class Announcement:
    """An entry that the peer probably has already."""

    feed_key: bytes
    head: Head


@dataclass(frozen=True, slots=True)
class Announce:
    """A batch of entries by name: want those that you lack."""

    batch: int
    upto: int
    items: tuple[Announcement, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """The entries of a feed above a sequence number; of a ``latest`` feed all its heads above it."""

    feed_key: bytes
    after_seq: int


@dataclass(frozen=True, slots=True)
class Want:
    """Send me these. Answered by ENTRIES, the last of which names ``number``."""

    number: int
    feeds: tuple[Wanted, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """An entry of a batch that was not taken up."""

    hash: Hash
    why: str


@dataclass(frozen=True, slots=True)
class Durable:
    """Batch ``batch`` of yours is on my disk (or was there already), except ``refused``."""

    batch: int
    refused: tuple[Refused, ...] = ()


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """My fingerprint of every shared scope, in ascending order of their names. Begins a comparison."""

    scopes: tuple[Fingerprint, ...]


@dataclass(frozen=True, slots=True)
class Listed:
    """A feed and its heads."""

    feed_key: bytes
    heads: tuple[Head, ...]


@dataclass(frozen=True, slots=True)
class Sampled:
    """A fingerprint, and samples by which the other side estimates how much differs: ``gossip.sketch.strata``."""

    fingerprint: Fingerprint
    strata: bytes


@dataclass(frozen=True, slots=True)
class Sketched:
    """A fingerprint, and as many cells as the difference seems to need: ``gossip.sketch.sketch``."""

    fingerprint: Fingerprint
    cells: bytes


@dataclass(frozen=True, slots=True)
class Named:
    """Feeds of which the other side has more, by their ids under the salt of its sketch."""

    salt: bytes
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """One range: from where the part before ended up to ``high`` (exclusive; ``None``: to the end), as a fingerprint, alone or
    with what it takes to find the difference, as a list of all its feeds where there are few, or as what is wanted of it."""

    high: bytes | None
    content: Fingerprint | Sampled | Sketched | Named | tuple[Listed, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """Adjoining ranges of one scope."""

    scope: int
    """Position in the shared scopes in ascending order of their names."""
    low: bytes
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Ranges:
    """My turn in a comparison. Two empty turns in a row end it."""

    runs: tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class Ask:
    """A question. Every one is answered, in any order."""

    id: int
    topic: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a question; ``None``: I do not know."""

    id: int
    content: bytes | None


@dataclass(frozen=True, slots=True)
class Ping:
    """Are you there?"""

    number: int


@dataclass(frozen=True, slots=True)
class Pong:
    """Yes, to PING ``number``."""

    number: int


Message = (
    Bye
    | Hello
    | Admitted
    | Cursor
    | Entries
    | Announce
    | Want
    | Durable
    | Fingerprints
    | Ranges
    | Ask
    | Answer
    | Ping
    | Pong
)

CODES: Final[dict[type[Message], int]] = {
    Bye: 0,
    Hello: 1,
    Admitted: 2,
    Cursor: 3,
    Entries: 4,
    Announce: 5,
    Want: 6,
    Durable: 7,
    Fingerprints: 8,
    Ranges: 9,
    Ask: 10,
    Answer: 11,
    Ping: 12,
    Pong: 13,
}
