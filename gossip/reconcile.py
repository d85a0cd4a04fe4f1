"""Range-based set reconciliation: two replicas find what either lacks, in O(differences) bytes.

The set is the feeds of a scope, an element a feed key with its heads. A fingerprint is the sum of the elements' hashes, so
that of a range is cheap. Of a range that differs one side gives samples, the other a sketch of the size that these ask for
(``gossip.sketch``), and the first knows what to send and what to want. Ranges that are too large or too different for that,
or whose sketch does not come out, are cut in pieces; of few feeds one side lists what it has, and the other compares that
with its own. Turns alternate; two empty turns in a row end it.

Reference: Aljoscha Meyer, Range-Based Set Reconciliation (2023); the negentropy protocol. Sans-I/O; one turn reads one
snapshot, and the log may grow between turns: what arrives meanwhile travels by arrival number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from gossip.document import COMPANY, FeedType, Scope
from gossip.entry import Hash, Head
from gossip.errors import ProtocolError
from gossip.log import Fingerprint, Reader
from gossip.messages import (
    HEADS_MAX,
    Fingerprints,
    Listed,
    Named,
    Part,
    Ranges,
    Run,
    Sampled,
    Sketched,
    Wanted,
)
from gossip.reasons import Reason
from gossip.sketch import SALT_BYTES, Coded, Difference, cells_for, coded, differences, sketch, state_of, strata

PARTS: Final = 16
LISTED_FEEDS_MAX: Final = 32
"""Ranges with at most so many feeds are listed."""
FINGERPRINT_BYTES: Final = 32
CODED_FEEDS_MAX: Final = 1 << 13
"""Ranges with more feeds are cut, since coding one takes a look at every feed of it."""
TURN_CODED_MAX: Final = 1 << 14
"""Feeds looked at in one turn to be coded."""
TURN_PARTS_MAX: Final = 1 << 12
"""Ranges looked at in one turn."""
PART_LOOKS: Final = 4
"""How many looks at a feed the fingerprint of a range is worth."""
TURN_BYTES_MAX: Final = 1 << 16
TURN_RUNS_MAX: Final = 1024
PENDING_MAX: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Send:
    """The peer lacks entries of a feed: those after ``after_seq``, except ``known``."""

    scope: Scope
    feed_key: bytes
    after_seq: int = 0
    known: frozenset[Hash] = frozenset()


@dataclass(frozen=True, slots=True)
class SendAll:
    """The peer has nothing in [low, high) of a scope."""

    scope: Scope
    low: bytes
    high: bytes | None


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn found. ``ranges`` is ``None`` if there is nothing to say any more; ``ended``: the comparison is over."""

    ranges: Ranges | None
    sends: tuple[Send | SendAll, ...]
    wants: tuple[Wanted, ...]
    ended: bool


@dataclass(slots=True)
class Comparison:
    """One side of one comparison over ``scopes``, in ascending order of their names."""

    scopes: Sequence[Scope]
    turns: int = 0
    equal: bool = True
    """Whether nothing that differs has been seen so far."""
    looked: int = 0
    """How many feeds were looked at for the peer, in all: what it has cost us."""
    _pending: list[tuple[int, bytes, Part]] = field(default_factory=list[tuple[int, bytes, Part]])
    _said_nothing: bool = False

    def begin(self, reader: Reader) -> Fingerprints:
        """The message that begins a comparison."""
        return Fingerprints(tuple(reader.fingerprint(scope) for scope in self.scopes))

    def answer(self, reader: Reader, theirs: Fingerprints) -> Turn:
        """Our first turn, in answer to the peer's FINGERPRINTS."""
        if len(theirs.scopes) != len(self.scopes):
            raise ProtocolError(Reason.SCOPE, f"fingerprints of {len(theirs.scopes)} scopes, not {len(self.scopes)}")
        whole = [(number, b"", Part(None, fingerprint)) for number, fingerprint in enumerate(theirs.scopes)]
        # Taken from the end: the roster's scope first, then who shops where.
        self._pending = sorted(whole, key=lambda item: priority(self.scopes[item[0]]), reverse=True)
        return self._turn(reader)

    def receive(self, reader: Reader, theirs: Ranges) -> Turn:
        """Our turn, in answer to the peer's."""
        for run in reversed(theirs.runs):
            if run.scope >= len(self.scopes):
                raise ProtocolError(Reason.SCOPE, f"ranges of scope {run.scope} of {len(self.scopes)}")
            lows: list[bytes] = [run.low, *(part.high for part in run.parts if part.high is not None)]
            self._pending.extend((run.scope, low, part) for low, part in zip(lows, run.parts, strict=False))
        if len(self._pending) > PENDING_MAX:
            raise ProtocolError(Reason.TOO_MUCH, f"more than {PENDING_MAX} ranges in one comparison")
        if not theirs.runs and not self._pending:
            return Turn(None if self._said_nothing else Ranges(()), (), (), ended=True)
        self.equal = False
        return self._turn(reader)

    def _turn(self, reader: Reader) -> Turn:
        self.turns += 1
        runs: list[Run] = []
        sends: list[Send | SendAll] = []
        wants: list[Wanted] = []
        size = looked = handled = 0
        # Depth first: what was found to differ last is settled first, so that few ranges are ever pending.
        while (
            self._pending
            and size < TURN_BYTES_MAX
            and len(runs) < TURN_RUNS_MAX
            and looked < TURN_CODED_MAX
            and handled < TURN_PARTS_MAX
        ):
            handled += 1
            number, low, part = self._pending.pop()
            ours = _Range(reader, self.scopes[number], low, part.high)
            parts = ours.answer(part.content, sends, wants)
            looked += ours.coded
            if parts:
                runs.append(Run(number, low, parts))
                size += sum(map(_size, parts))
        self.looked += looked + PART_LOOKS * handled
        if self._pending and not runs and handled == TURN_PARTS_MAX:
            raise ProtocolError(Reason.TOO_MUCH, f"{handled} ranges in which nothing differs")
        if runs or sends or wants:
            self.equal = False
        self._said_nothing = not runs
        return Turn(Ranges(tuple(runs)), tuple(sends), tuple(wants), ended=False)


@dataclass(slots=True)
class _Range:
    """A range of our log, and what to say to what the peer says of it."""

    reader: Reader
    scope: Scope
    low: bytes
    high: bytes | None
    coded: int = 0
    """How many feeds were looked at to be coded."""

    def answer(
        self,
        theirs: Fingerprint | Sampled | Sketched | Named | tuple[Listed, ...],
        sends: list[Send | SendAll],
        wants: list[Wanted],
    ) -> tuple[Part, ...]:
        """Adjoining parts to reply with, or none."""
        match theirs:
            case Named():
                return self._send_named(theirs, sends)
            case Fingerprint() | Sampled() | Sketched():
                return self._fingerprint(theirs, sends, wants)
            case _:
                self._compare(theirs, sends, wants)
                return ()

    def _fingerprint(
        self, theirs: Fingerprint | Sampled | Sketched, sends: list[Send | SendAll], wants: list[Wanted]
    ) -> tuple[Part, ...]:
        told = theirs if isinstance(theirs, Fingerprint) else theirs.fingerprint
        mine = self.reader.fingerprint(self.scope, self.low, self.high)
        if mine == told:
            return ()
        if not told.feeds:
            sends.append(SendAll(self.scope, self.low, self.high))
            return ()
        if LISTED_FEEDS_MAX < mine.feeds <= CODED_FEEDS_MAX:
            if isinstance(theirs, Fingerprint):
                return (Part(self.high, Sampled(mine, strata(self._coded(mine)))),)
            if isinstance(theirs, Sketched):
                found = differences(self._coded(told), theirs.cells)
                if found is not None:
                    return self._settle(told, found, sends, wants)
            elif count := cells_for(strata(self._coded(told)), theirs.strata):
                return (Part(self.high, Sketched(mine, sketch(self._coded(mine), count))),)
        return self._cut(mine)

    def _coded(self, salt: Fingerprint) -> list[Coded]:
        found = coded(_salt(salt), self.reader.feeds(self.scope, self.low, self.high))
        self.coded += len(found)
        return found

    def _settle(
        self, told: Fingerprint, found: Sequence[Difference], sends: list[Send | SendAll], wants: list[Wanted]
    ) -> tuple[Part, ...]:
        """Send, want or list what a sketch has shown to differ."""
        named: list[int] = []
        for difference in found:
            mine = difference.mine
            if mine is None:
                named.append(difference.id)
            elif not difference.their_top:
                sends.append(Send(self.scope, mine.key))
            elif difference.their_top == mine.top:
                # The author contradicts itself, or it is one of several heads: each sends what it has.
                sends.append(Send(self.scope, mine.key))
                wants.append(Wanted(mine.key, 0))
            elif difference.their_top < mine.top:
                sends.append(Send(self.scope, mine.key, self._follows(told, difference, mine)))
            elif self._is_latest(mine.heads):
                named.append(difference.id)
            else:
                wants.append(Wanted(mine.key, mine.top))
        return (Part(self.high, Named(_salt(told), tuple(named))),) if named else ()

    def _is_latest(self, heads: tuple[Head, ...]) -> bool:
        first = self.reader.find(heads[0].hash)
        return first is None or first.entry.feed is FeedType.LATEST

    def _follows(self, told: Fingerprint, difference: Difference, mine: Coded) -> int:
        """After which number of a feed the peer lacks entries: its own top, if what it has is the beginning of ours."""
        top = difference.their_top
        if top < 1 or self._is_latest(mine.heads):
            return 0
        held = next(self.reader.entries(self.reader.feed_at(mine.key), top - 1), None)
        same = held is not None and state_of(_salt(told), mine.key, [held.entry.hash]) == difference.their_state
        return top if same else 0

    def _send_named(self, theirs: Named, sends: list[Send | SendAll]) -> tuple[Part, ...]:
        mine = self.reader.fingerprint(self.scope, self.low, self.high)
        if mine.feeds > CODED_FEEDS_MAX:
            return self._cut(mine)  # it has grown since it was sketched, or never was
        wanted = set(theirs.ids)
        feeds = coded(theirs.salt, self.reader.feeds(self.scope, self.low, self.high))
        self.coded += len(feeds)
        sends.extend(Send(self.scope, feed.key) for feed in feeds if feed.id in wanted)
        return ()

    def _cut(self, mine: Fingerprint) -> tuple[Part, ...]:
        reader, scope, low, high = self.reader, self.scope, self.low, self.high
        cuts = reader.split(scope, low, high, PARTS) if mine.feeds > LISTED_FEEDS_MAX else []
        if not cuts:
            return (Part(high, tuple(Listed(key, heads[:HEADS_MAX]) for key, heads in reader.feeds(scope, low, high))),)
        bounds: list[bytes] = [low, *cuts]
        highs: list[bytes | None] = [*cuts, high]
        return tuple(
            Part(above, reader.fingerprint(scope, below, above)) for below, above in zip(bounds, highs, strict=True)
        )

    def _compare(self, theirs: tuple[Listed, ...], sends: list[Send | SendAll], wants: list[Wanted]) -> None:
        reader, scope, low = self.reader, self.scope, self.low
        if not theirs:
            sends.append(SendAll(scope, low, self.high))
            return
        # What lies between two listed feeds the peer lacks altogether: so a short list costs little, however much is here.
        for listed in theirs:
            self._send_gap(low, listed.feed_key, sends)
            low = listed.feed_key + b"\x00"
            mine = next((heads for _, heads in reader.feeds(scope, listed.feed_key, low)), ())
            if mine:
                send, want = _difference(reader, scope, listed.feed_key, mine, listed.heads)
                sends.extend(send)
                wants.extend(want)
            else:
                wants.append(Wanted(listed.feed_key, 0))
        self._send_gap(low, self.high, sends)

    def _send_gap(self, low: bytes, high: bytes | None, sends: list[Send | SendAll]) -> None:
        if next(self.reader.feeds(self.scope, low, high), None) is not None:
            sends.append(SendAll(self.scope, low, high))


def _salt(fingerprint: Fingerprint) -> bytes:
    """Whoever says a fingerprint salts with it; it changes with every entry."""
    return fingerprint.value.to_bytes(FINGERPRINT_BYTES, "big")[:SALT_BYTES]


def priority(scope: Scope) -> int:
    """The order in which scopes are sent: the company's first (certificates, revocations), then who shops where."""
    if scope == COMPANY:
        return 0
    order = ("patrons/", "store/", "journal/")
    return next((rank for rank, prefix in enumerate(order, 1) if scope.startswith(prefix)), len(order) + 1)


def _difference(
    reader: Reader, scope: Scope, key: bytes, mine: tuple[Head, ...], theirs: tuple[Head, ...]
) -> tuple[list[Send], list[Wanted]]:
    """What to send and to want of one feed that both have."""
    missing = [head for head in mine if head not in theirs]
    unknown = [head for head in theirs if head not in mine and reader.find(head.hash) is None]
    my_top, their_top = mine[-1].seq, max(head.seq for head in theirs)
    # One head and a lower number: merely behind, and what it lacks comes from the other side.
    behind = len(mine) == 1 and my_top < their_top
    ahead = len(theirs) == 1 and their_top < my_top
    first = reader.find(mine[0].hash)
    latest = first is None or first.entry.feed is FeedType.LATEST
    sends: list[Send] = []
    wants: list[Wanted] = []
    if missing and not behind:
        follows = not latest and not unknown and missing[0].seq > their_top
        sends.append(Send(scope, key, their_top if follows else 0, frozenset(head.hash for head in theirs)))
    if unknown and not (latest and ahead):
        lowest = min(head.seq for head in unknown)
        wants.append(Wanted(key, my_top if lowest > my_top else lowest - 1 if latest else 0))
    return sends, wants


def _size(part: Part) -> int:
    bound = 3 + len(part.high or b"")
    match part.content:
        case Fingerprint():
            return bound + 44
        case Sampled(_, coded_bytes) | Sketched(_, coded_bytes):
            return bound + 48 + len(coded_bytes)
        case Named(_, ids):
            return bound + 16 + 4 * len(ids)
        case listed:
            return bound + sum(4 + len(feed.feed_key) + 44 * len(feed.heads) for feed in listed)
