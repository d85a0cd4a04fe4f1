"""Healing a till whose disk was set back: noticed, its entries taken back, its views derived again, no number used twice.

What proves it: a peer brings or shows an entry with this till's own signature that its disk has lost; or a person says that the
folder is a restored copy. What a peer only says proves nothing. Then nothing is done in this till's name until its entries are
back: an act in between would contradict what it has signed before.

What nobody holds is lost, and receipts with those numbers may lie in customers' hands. So the till leaves out more numbers
than it can have given since the newest act that anybody holds, and the next act, signed, states which: ``Receipt.skipped``.
That holds as long as a till gives no more than ``NUMBERS_AT_LEAST`` and one a second, nor more than ``NUMBERS_AT_MOST``, in
the time that nobody knows of; and by a clock that is wrong by less than an hour, since the time is what the clock says.
Numbers of different entries may still be the same where a peer that holds more is out of reach; that shows as a fork.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import IntEnum
from typing import Final, cast

from crdt_pos.day import PREVIOUS_HASH_BYTES, Day
from crdt_pos.identity import Identity, Now
from crdt_pos.receipt import Skipped
from crdt_pos.terms import Terms
from crdt_pos.till_rebuilt import rebuild
from crdt_pos.turn import Turn
from gossip.log import Log, Reader, View
from merge_rules import canonical
from merge_rules.clock_hybrid import Stamp, milliseconds
from merge_rules.dataclass import dataclass

NUMBERS_AT_LEAST: Final = 1_000
"""How many numbers of each series are left out, and one more for every second since the newest own act that is known: a till
never gives a receipt a second for long."""
NUMBERS_AT_MOST: Final = 1_000_000
"""However far the clock is ahead: 100 days with 10,000 receipts each. And as many where nobody knows how long it was: the
clock is far before that act, or there is none."""
CLOCK_BACK_MS_MAX: Final = 3_600_000
"""A clock that is no further before the newest act than this was corrected, and says that it was a short time."""

_SET_BACK_KEY: Final = b"till/set-back"
_HEALED_PREFIX: Final = b"till/healed/"
_MET_KEY: Final = b"till/met"


class Why(IntEnum):
    """What proves that a disk was set back. Numbers stand in views."""

    ENTRIES = 0
    """Entries of the till's own came from a peer."""
    CURSOR = 1
    """A peer had read further in this log than it reaches. It proves nothing any more; it stands in what is kept."""
    RESTORED = 2
    """A person said so."""
    DAMAGED = 3
    """Its file could not be read any more: it was set aside."""

    @property
    def text(self) -> str:
        """How a person is told."""
        return (
            "others hold what this till has signed and does not have",
            "others have read more of this till's log than there is",
            "this folder is a restored copy",
            "what it had on its disk could not be read any more",
        )[self]


@dataclass(frozen=True, slots=True)
class Healed:
    """A healing that is over; kept for ever."""

    at_ms: int
    why: Why
    skipped: tuple[Skipped, ...]
    contradicts: bool
    """The till had gone on meanwhile, and contradicts itself now: it should be enrolled again."""
    over: bool
    """Nobody holds the journal of its open date as far as it was published: that date was closed as it was published."""

    def text(self) -> str:
        """In a sentence or two."""
        said = f"The disk was set back ({self.why.text}): what others hold was taken back"
        count = max((one.last - one.first + 1 for one in self.skipped), default=0)
        said += f", and {count} numbers were left out, since receipts with them may have been given."
        if self.over:
            said += " Nobody holds the journal of the open date: it was closed as far as it was published."
        if self.contradicts:
            said += " Two different acts have one place in its journal: enrol this till again."
        return said

    def body(self) -> list[object]:
        """As it is kept."""
        skipped = [one.body() for one in self.skipped]
        return [self.at_ms, int(self.why), skipped, int(self.contradicts), int(self.over)]

    @classmethod
    def from_body(cls, body: object) -> Healed:
        """The reverse of ``body``."""
        at_ms, why, skipped, contradicts, over = cast("tuple[int, int, list[object], int, int]", body)
        return cls(at_ms, Why(why), tuple(map(Skipped.from_body, skipped)), bool(contradicts), bool(over))


def set_back(reader: Reader) -> Why | None:
    """Why this disk is known to be set back, until it is healed."""
    kept = reader.view(_SET_BACK_KEY)
    return Why(int.from_bytes(kept, "big")) if kept is not None else None


def set_back_view(why: Why) -> View:
    """The view that remembers it."""
    return _SET_BACK_KEY, int(why).to_bytes(1, "big")


def has_met(reader: Reader) -> bool:
    """Whether anybody ever had an entry of this till's on its disk: then others may know more than this disk."""
    return reader.view(_MET_KEY) is not None


def met_view() -> View:
    """The view that remembers it."""
    return _MET_KEY, b"\1"


def healings(reader: Reader) -> list[Healed]:
    """All that this disk has been through, in order."""
    return [Healed.from_body(canonical.decode(kept)) for _, kept in reader.views(_HEALED_PREFIX)]


def heal(log: Log, why: Why, identity: Identity, now: Callable[[], Now], terms: Terms) -> Healed:
    """Derive the till again from the entries that are here, leave numbers out, and remember it: one transaction."""
    moment = now()
    with log.read() as reader:
        rebuilt = rebuild(reader, identity)
        number = len(healings(reader))
        state = rebuilt.state.skipping(_numbers_out(rebuilt.state.stamp, moment.ms))
        turn = Turn(identity, reader, moment, terms, state)
        if rebuilt.over is not None:
            over = rebuilt.over
            told = replace(Day.from_counters(over.counters), closed=True)
            entry = turn.publish(identity.author, rebuilt.state.closed_day, over.covers, told)
            turn.state = replace(turn.state, closed_hash=entry.hash[:PREVIOUS_HASH_BYTES])
        healed = Healed(moment.ms, why, state.skipped, rebuilt.contradicts, rebuilt.over is not None)
        arrivals, views = turn.batch()
        note = _HEALED_PREFIX + number.to_bytes(4, "big"), canonical.encode(healed.body())
        views = [*rebuilt.views, *views, note, (_SET_BACK_KEY, None)]
    log.append(arrivals, views, received_ms=moment.ms)
    return healed


def _numbers_out(stamp: int, now_ms: int) -> int:
    elapsed_ms = now_ms - milliseconds(Stamp(stamp))
    if not stamp or elapsed_ms < -CLOCK_BACK_MS_MAX:
        return NUMBERS_AT_MOST
    return min(NUMBERS_AT_LEAST + max(elapsed_ms, 0) // 1000, NUMBERS_AT_MOST)
