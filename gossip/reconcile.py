"""Range-based set reconciliation: two replicas find what either lacks, in O(differences) bytes.

The set is the feeds of a scope, an element a feed key with its heads. A fingerprint is the sum of the elements' hashes, so
that of a range is cheap. A large range that differs is cut in pieces. Where only few of the pieces differ, little will: a
small sketch of each tells the other side what to send and what to want (``gossip.sketch``). Where many do, one side gives
samples of them all together, and the other a sketch of the size that these ask for. What does not come out is answered with
a sketch of twice the size; where too much differs for any, the range is cut in pieces so small that they are listed, and the
other side compares the list with its own. Turns alternate; two empty turns in a row end it.

It ends whatever differs, since the answer to what is said of a range always says more of it, in the order cut, small sketch,
samples, sketch, larger sketch, cut in small pieces, list; but for a cut, and that leaves at most a quarter of the feeds in each
piece to whoever has too many to sketch. Pieces are put together again only where both sides have few enough of them, which
nothing cuts but into lists. So it takes O(log n) turns, and as many more as fill up with what differs.

Reference: Aljoscha Meyer, Range-Based Set Reconciliation (2023); the negentropy protocol. Sans-I/O; one turn reads one
snapshot, and the log may grow between turns: what arrives meanwhile travels by arrival number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from typing import Final

from gossip.document import COMPANY, FeedType, Scope
from gossip.entry import Hash, Head
from gossip.errors import ProtocolError
from gossip.log import Fingerprint, Reader
from gossip.messages import (
    HEADS_MAX,
    RANGE_PARTS_MAX,
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
from gossip.sketch import (
    CELL_BYTES,
    CELLS_FEW,
    CELLS_MAX,
    SALT_BYTES,
    STRATA_BYTES,
    Coded,
    Difference,
    cells_for,
    coded,
    differences,
    sketch,
    state_of,
    strata,
)
from merge_rules.dataclass import dataclass

PARTS: Final = 8
"""A range is cut in at most so many pieces."""
PIECE_FEEDS: Final = 1 << 10
"""No smaller pieces than of so many feeds are worth their fingerprints, unless there would be but one."""
LISTED_FEEDS_MAX: Final = 32
"""Ranges of which either side has at most so many feeds are listed by that side."""
SPARSE_FEEDS_MAX: Final = 1 << 8
SPARSE_SHARE: Final = 8
"""So are those of which it has more, up to so many, if the other has this many times as many: most of them differ, and a sketch
of that takes more bytes than the list."""
SMALL_FEEDS: Final = LISTED_FEEDS_MAX // 2
"""So many feeds are in a piece that is to be listed: it may be half as many again."""
FINGERPRINT_BYTES: Final = 32
CODED_FEEDS_MAX: Final = SMALL_FEEDS * RANGE_PARTS_MAX
"""Ranges of which either side has more feeds are cut, since coding one takes a look at every feed of it. In one cut it comes
down to pieces that are listed."""
UNCUT_FEEDS_MAX: Final = 1 << 8
"""A range of which nothing is known but that it differs is cut first if it has more."""
NAMED_LOOKS: Final = 64
"""A feed is wanted by its key rather than its id, which costs 20 bytes more, if that saves the peer so many looks or more."""
TURN_CODED_MAX: Final = 1 << 14
"""Feeds looked at in one turn to be coded."""
TURN_PARTS_MAX: Final = 1 << 12
"""Ranges looked at in one turn."""
PART_LOOKS: Final = 4
"""How many looks at a feed the fingerprint of a range is worth."""
CELLS_LOOK: Final = 4
"""So many cells of a sketch are made or read in the time of one look at a feed."""
TURN_BYTES_MAX: Final = 1 << 16
TURN_RUNS_MAX: Final = 1024
PENDING_MAX: Final = 1 << 16
PENDING_BYTES_MAX: Final = 8 << 20
ID_HELD_BYTES: Final = 40
"""What an id takes in memory; 4 bytes as sent."""
NOWHERE: Final = b"\xff" * 8
"""No feed key is as high: from here to the end of a scope nothing differs."""
SAMPLED_BYTES: Final = STRATA_BYTES + 64


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
    _pending_bytes: int = 0
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
        self._pending_bytes = sum(_held(part) for _, _, part in whole)
        return self._turn(reader, parts_max=len(whole))

    def receive(self, reader: Reader, theirs: Ranges) -> Turn:
        """Our turn, in answer to the peer's."""
        for run in reversed(theirs.runs):
            if run.scope >= len(self.scopes):
                raise ProtocolError(Reason.SCOPE, f"ranges of scope {run.scope} of {len(self.scopes)}")
            lows: list[bytes] = [run.low, *(part.high for part in run.parts if part.high is not None)]
            self._pending.extend((run.scope, low, part) for low, part in zip(lows, run.parts, strict=False))
            self._pending_bytes += sum(map(_held, run.parts))
        if len(self._pending) > PENDING_MAX:
            raise ProtocolError(Reason.TOO_MUCH, f"more than {PENDING_MAX} ranges in one comparison")
        if self._pending_bytes > PENDING_BYTES_MAX:
            raise ProtocolError(Reason.TOO_MUCH, f"more than {PENDING_BYTES_MAX} bytes of ranges in one comparison")
        if not theirs.runs and not self._pending:
            return Turn(None if self._said_nothing else Ranges(()), (), (), ended=True)
        self.equal = False
        turn = self._turn(reader)
        assert turn.ranges is not None
        if theirs.runs or turn.ranges.runs:
            return turn
        return Turn(turn.ranges, turn.sends, turn.wants, ended=True)

    def _turn(self, reader: Reader, parts_max: int = TURN_PARTS_MAX) -> Turn:
        self.turns += 1
        runs: list[Run] = []
        sends: list[Send | SendAll] = []
        wants: list[Wanted] = []
        size = looked = handled = read = 0
        pieces: list[_Range] = []
        unsaid = 0
        # Depth first: what was found to differ last is settled first, so that few ranges are ever pending.
        while (
            self._pending
            and size < TURN_BYTES_MAX
            and len(runs) + unsaid < TURN_RUNS_MAX
            and looked < TURN_CODED_MAX
            and handled < parts_max
        ):
            handled += 1
            number, low, part = self._pending.pop()
            self._pending_bytes -= _held(part)
            ours = _Range(reader, self.scopes[number], low, part.high)
            parts = ours.answer(part.content, sends, wants)
            looked += ours.coded
            read += ours.coded
            if ours.piece:
                pieces.append(ours)
            if parts is None:
                unsaid += 1
                looked += ours.feeds  # by whichever side has more: the turns of both are as short
                size += SAMPLED_BYTES
            elif parts:
                runs.append(Run(number, low, parts))
                size += sum(map(_size, parts))
        few = 4 * unsaid <= 3 * len(pieces)
        for ours in [piece for piece in pieces if piece.differs] if few else _joined(pieces, TURN_CODED_MAX - looked):
            part = ours.sketched(CELLS_FEW) if few else ours.sampled()
            runs.append(Run(self.scopes.index(ours.scope), ours.low, (part,)))
            read += ours.coded
        self.looked += read + PART_LOOKS * handled
        if runs or sends or wants:
            self.equal = False
        if self._pending and not runs:
            # There is more to come, and two empty turns in a row would end it.
            runs.append(Run(0, NOWHERE, (Part(None, reader.fingerprint(self.scopes[0], NOWHERE)),)))
        self._said_nothing = not runs
        return Turn(Ranges(tuple(runs)), tuple(sends), tuple(wants), ended=False)


@dataclass(slots=True)
class _Range:
    """A range of our log, and what to say to what the peer says of it."""

    reader: Reader
    scope: Scope
    low: bytes
    high: bytes | None
    feeds: int = 0
    """How many whoever has more of them has in it, once that is known."""
    coded: int = 0
    """How many feeds were looked at to be coded or compared, and what its cells are worth."""
    piece: bool = False
    """Whether it is one of the pieces of a range that was cut, to be coded if it differs."""
    differs: bool = False
    """Whether such a piece does."""

    def answer(
        self,
        theirs: Fingerprint | Sampled | Sketched | Named | tuple[Listed, ...],
        sends: list[Send | SendAll],
        wants: list[Wanted],
    ) -> tuple[Part, ...] | None:
        """Adjoining parts to reply with, or none; ``None``: samples or a sketch, as the others of the turn differ or not."""
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
    ) -> tuple[Part, ...] | None:
        told = theirs if isinstance(theirs, Fingerprint) else theirs.fingerprint
        mine = self.reader.fingerprint(self.scope, self.low, self.high)
        self.feeds = max(mine.feeds, told.feeds)
        whole = not self.low and self.high is None
        i_list, peer_lists = _listed_of(mine.feeds, told.feeds), _listed_of(told.feeds, mine.feeds)
        coding = not i_list and not peer_lists and self.feeds <= CODED_FEEDS_MAX
        self.piece = coding and not whole and isinstance(theirs, Fingerprint)
        if mine == told:
            return ()
        self.differs = self.piece
        if not told.feeds:
            sends.append(SendAll(self.scope, self.low, self.high))
            return ()
        if i_list:
            return (self._listed(),)
        if peer_lists:
            return (Part(self.high, mine),)
        if not coding:
            return self._cut(mine)
        match theirs:
            case Fingerprint():
                if not whole:
                    return None
                return self._cut(mine) if self.feeds > UNCUT_FEEDS_MAX else (self.sampled(),)
            case Sampled():
                count = cells_for(strata(self._coded(told)), theirs.strata)
                return self._cut_small(mine) if count is None else (self.sketched(count),)
            case Sketched():
                cells = len(theirs.cells) // CELL_BYTES
                self.coded += cells // CELLS_LOOK
                found = differences(self._coded(told), theirs.cells)
                if found is not None:
                    return self._settle(told, found, sends, wants)
                if cells <= CELLS_FEW:
                    return (self.sampled(),)
                return (self.sketched(2 * cells),) if 2 * cells <= CELLS_MAX else self._cut_small(mine)

    def sampled(self) -> Part:
        """Our samples of the range."""
        mine = self.reader.fingerprint(self.scope, self.low, self.high)
        return Part(self.high, Sampled(mine, strata(self._coded(mine))))

    def sketched(self, cells: int) -> Part:
        """Our sketch of the range."""
        mine = self.reader.fingerprint(self.scope, self.low, self.high)
        self.coded += cells // CELLS_LOOK
        return Part(self.high, Sketched(mine, sketch(self._coded(mine), cells)))

    def _coded(self, salt: Fingerprint) -> list[Coded]:
        found = coded(_salt(salt), self.reader.feeds(self.scope, self.low, self.high))
        self.coded += len(found)
        return found

    def _settle(
        self, told: Fingerprint, found: Sequence[Difference], sends: list[Send | SendAll], wants: list[Wanted]
    ) -> tuple[Part, ...]:
        """Send, want or list what a sketch has shown to differ."""
        named: list[int] = []
        newer: list[tuple[int, Wanted]] = []
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
                newer.append((difference.id, Wanted(mine.key, 0)))
            else:
                wants.append(Wanted(mine.key, mine.top))
        if not named and len(newer) * NAMED_LOOKS <= self.feeds:
            wants.extend(want for _, want in newer)
        else:
            named.extend(id_ for id_, _ in newer)
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
        return self._pieces(min(PARTS, max(2, mine.feeds // PIECE_FEEDS)))

    def _cut_small(self, mine: Fingerprint) -> tuple[Part, ...]:
        """Cut into pieces that have at most ``LISTED_FEEDS_MAX`` feeds each."""
        self.coded += mine.feeds
        return self._pieces(mine.feeds // SMALL_FEEDS)

    def _pieces(self, parts: int) -> tuple[Part, ...]:
        return tuple(Part(bound, found) for bound, found in self.reader.split(self.scope, self.low, self.high, parts))

    def _listed(self) -> Part:
        feeds = self.reader.feeds(self.scope, self.low, self.high)
        listed = tuple(Listed(key, heads[:HEADS_MAX]) for key, heads in feeds)
        self.coded += len(listed)
        return Part(self.high, listed)

    def _compare(self, theirs: tuple[Listed, ...], sends: list[Send | SendAll], wants: list[Wanted]) -> None:
        reader, scope, low = self.reader, self.scope, self.low
        self.coded += len(theirs)
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


def _listed_of(feeds: int, others: int) -> bool:
    """Whether who has so many feeds of a range lists them, the other side having ``others``."""
    return feeds <= LISTED_FEEDS_MAX or (feeds <= SPARSE_FEEDS_MAX and SPARSE_SHARE * feeds <= others)


def _joined(pieces: Sequence[_Range], spare: int) -> list[_Range]:
    """Those that differ, neighbours and what is equal between them as one, as far as neither side has too much to code.

    Of what is equal, at most ``spare`` feeds are coded for it."""
    joined: list[_Range] = []
    end: tuple[Scope, bytes | None] | None = None
    feeds = equal = 0
    for one in sorted(pieces, key=lambda one: (one.scope, one.low)):
        adjoins = end == (one.scope, one.low)
        feeds += one.feeds
        if not one.differs:
            equal += one.feeds
        elif adjoins and feeds <= CODED_FEEDS_MAX and equal <= max(spare, 0):
            joined[-1].high = one.high
            spare -= equal
            equal = 0
        else:
            joined.append(_Range(one.reader, one.scope, one.low, one.high))
            feeds, equal = one.feeds, 0
        end = (one.scope, one.high) if adjoins or one.differs else None
    return joined


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


def _held(part: Part) -> int:
    """What a part takes while it is pending."""
    ids = len(part.content.ids) if isinstance(part.content, Named) else 0
    return _size(part) + ID_HELD_BYTES * ids
