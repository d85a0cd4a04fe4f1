"""Every comparison ends, soon, and finds what differs and nothing else: whatever that is, and however the two sides differ.

Both sides are real: the production reader over a table whose rows of feeds and sums were made up, since a comparison reads
nothing else of a log. What they say travels as frames.
"""

from __future__ import annotations

import itertools
import math
import random
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gossip import frames
from gossip import log_rows as rows
from gossip.document import Document, FeedType, Scope, ScopeClass, order_key
from gossip.entry import Hash, Head
from gossip.errors import ProtocolError
from gossip.limits import Limits
from gossip.log import Fingerprint, fingerprint_of
from gossip.log_memory import MemoryTable
from gossip.log_reader import LogReader
from gossip.log_recent import Recent
from gossip.messages import RANGE_PARTS_MAX, SCOPES_MAX, Fingerprints, Listed, Message, Named, Part, Ranges, Run
from gossip.reconcile import (
    CODED_FEEDS_MAX,
    ID_HELD_BYTES,
    PART_LOOKS,
    PENDING_BYTES_MAX,
    TURN_BYTES_MAX,
    TURN_CODED_MAX,
    TURN_PARTS_MAX,
    TURN_RUNS_MAX,
    Comparison,
    Send,
    SendAll,
    Turn,
)
from gossip.sketch import CELLS_MAX, SALT_BYTES
from tests.protocol.wire import FIRST_DAY, SHOP

FORM = ScopeClass.STORE << 1 | FeedType.LATEST
Fate = Callable[[random.Random], tuple[int, int]]
"""Which entries of a feed the two sides hold, by number; 0: none, and negative: another entry with that number."""


def fate(left: range, right: range) -> Fate:
    return lambda dice: (dice.choice(left), dice.choice(right))


NONE, ONE, LATER = range(1), range(1, 2), range(2, 900)
BOTH = fate(ONE, ONE)
LEFT_NEWER = fate(LATER, ONE)
RIGHT_NEWER = fate(ONE, LATER)
LEFT_ONLY = fate(LATER, NONE)
RIGHT_ONLY = fate(NONE, LATER)
CONTRADICTED = fate(range(7, 8), range(-7, -6))
FATES = (BOTH, LEFT_NEWER, RIGHT_NEWER, LEFT_ONLY, RIGHT_ONLY, CONTRADICTED)


def keys(count: int, authors: int) -> list[bytes]:
    """Feed keys in order: so many authors a day."""
    documents = (order_key(Document("day", FIRST_DAY + day, (12,))) for day in range(-(-count // authors)))
    return [document + author.to_bytes(8, "big") for document in documents for author in range(authors)][:count]


def reader(feeds: dict[bytes, int], kind: type[LogReader] = LogReader) -> LogReader:
    """A log that holds these feeds, with entries by these numbers."""
    table = MemoryTable()
    sums: Counter[bytes] = Counter()
    counts: Counter[bytes] = Counter()
    scope = rows.scope_id(SHOP)
    for key, number in feeds.items():
        entry_hash = Hash(number.to_bytes(32, "big", signed=True))
        table.put(rows.FEED + key, rows.tips_value([rows.Tip(abs(number), entry_hash, FORM, 1)]))
        value = fingerprint_of(key, [entry_hash]).value
        for row in (rows.DOCUMENT_SUM + scope + key[:-8], rows.MONTH_SUM + scope + key[:2], rows.SCOPE_SUM + scope):
            sums[row] += value
            counts[row] += 1
    for row, value in sums.items():
        table.put(row, rows.sum_value(rows.reduced(value, counts[row])))
    table.commit()
    return kind(table, Recent())


@dataclass
class Side:
    """One replica in a comparison, and which feeds it has found to send."""

    feeds: dict[bytes, int]

    def __post_init__(self) -> None:
        self.reader = reader(self.feeds)
        self.comparison = Comparison([Scope(SHOP)])
        self.sends: Counter[bytes] = Counter()
        self.said_bytes = 0

    def take(self, turn: Turn, other: Side) -> Ranges | None:
        for send in turn.sends:
            self.sends.update(send_keys(self.feeds, send))
        other.sends.update(want.feed_key for want in turn.wants)
        return turn.ranges

    def travelled(self, message: Message) -> Message:
        """What the other side understands of it."""
        frame = frames.encode(message)
        self.said_bytes += len(frame)
        ((understood, _),) = frames.Frames().feed(frame)
        return understood

    def surplus(self, other: Side) -> Counter[bytes]:
        """What the other side lacks of ours: of a feed that both have in one line, whoever is behind has nothing to give."""
        theirs = other.feeds
        return Counter(
            key
            for key, number in self.feeds.items()
            if number != theirs.get(key) and abs(number) >= abs(theirs.get(key, 0))
        )


def send_keys(feeds: dict[bytes, int], send: Send | SendAll) -> list[bytes]:
    if isinstance(send, Send):
        return [send.feed_key]
    held = list(feeds)  # in order
    return held[bisect_left(held, send.low) : None if send.high is None else bisect_left(held, send.high)]


def compare(left: dict[bytes, int], right: dict[bytes, int]) -> tuple[Side, Side]:
    """A whole comparison, its ends and its bounds checked."""
    one, other = Side(left), Side(right)
    opening = one.travelled(one.comparison.begin(one.reader))
    assert isinstance(opening, Fingerprints)
    turn = other.comparison.answer(other.reader, opening)
    speaks, hears = other, one
    most_looks = 6 * max(len(left), len(right)) + 64 * PART_LOOKS
    for turns in itertools.count(1):
        assert turns <= most_turns(one, other), "it takes too many turns"
        for side in (one, other):
            assert side.comparison.looked <= most_looks, "it looks at the same feeds again and again"
            # So an honest peer is never taken for one that compares without end.
            assert side.comparison.looked <= Limits().compared_max + 8 * len(side.feeds)
        ranges = speaks.take(turn, hears)
        if ranges is None:
            break
        understood = speaks.travelled(ranges)
        assert isinstance(understood, Ranges)
        turn = hears.comparison.receive(hears.reader, understood)
        speaks, hears = hears, speaks
    return one, other


def most_turns(one: Side, other: Side) -> float:
    """O(log n), and as many more as fill up with what differs."""
    feeds = max(len(one.feeds), len(other.feeds), CODED_FEEDS_MAX)
    full = sum(side.comparison.looked / TURN_CODED_MAX + side.said_bytes / TURN_BYTES_MAX for side in (one, other))
    return 2 * math.log(feeds / CODED_FEEDS_MAX, 4) + 11 + 4 * full


def found_exactly(one: Side, other: Side) -> bool:
    return one.sends == one.surplus(other) and other.sends == other.surplus(one)


def sides(names: Sequence[bytes], fates: Sequence[tuple[int, int]]) -> tuple[dict[bytes, int], dict[bytes, int]]:
    held = list(zip(names, fates, strict=True))
    return {key: mine for key, (mine, _) in held if mine}, {key: theirs for key, (_, theirs) in held if theirs}


@settings(max_examples=30)
@given(
    st.integers(0, 1_500),
    st.sampled_from([1, 2, 40, 400]),
    st.lists(st.sampled_from([0, 0, 1, 5, 100]), min_size=6, max_size=6),
    st.sampled_from([1, 1, 7, 150]),
    st.randoms(use_true_random=False),
)
def test_every_comparison_ends_in_few_turns_and_finds_what_differs_and_nothing_else(
    count: int, authors: int, weights: list[int], stretch: int, dice: random.Random
) -> None:
    fates: list[tuple[int, int]] = []
    while len(fates) < count:
        fate = dice.choices(FATES, weights if any(weights) else None)[0]
        fates += [fate(dice) for _ in range(stretch)]
    assert found_exactly(*compare(*sides(keys(count, authors), fates[:count])))


LARGE: dict[str, tuple[int, Callable[[int, random.Random], Fate]]] = {
    "3,000 of 10,000": (10_000, lambda n, dice: LEFT_NEWER if dice.random() < 0.3 else BOTH),
    "3,000 side by side of 10,000": (10_000, lambda n, dice: RIGHT_NEWER if 2_000 <= n < 5_000 else BOTH),
    "all of 10,000": (10_000, lambda n, dice: dice.choice([LEFT_NEWER, RIGHT_NEWER, CONTRADICTED])),
    "nothing in common": (18_000, lambda n, dice: (LEFT_ONLY, RIGHT_ONLY)[n % 2]),
    "one has everything, the other every 200th": (18_000, lambda n, dice: LEFT_ONLY if n % 200 else BOTH),
    "one has everything, the other every other": (18_000, lambda n, dice: RIGHT_ONLY if n % 2 else BOTH),
    "one has nothing": (9_000, lambda n, dice: RIGHT_ONLY),
    "one of 18,000": (18_000, lambda n, dice: LEFT_NEWER if n == 12_345 else BOTH),
}


@pytest.mark.parametrize("case", LARGE)
def test_large_comparisons_end_as_well(case: str) -> None:
    count, fate_of = LARGE[case]
    dice = random.Random(3_000)
    one, other = compare(*sides(keys(count, 20), [fate_of(n, dice)(dice) for n in range(count)]))
    assert found_exactly(one, other)


@pytest.mark.parametrize("share", [60, 20, 9])
@pytest.mark.parametrize("small_begins", [True, False])
def test_a_small_replica_charges_a_large_one_for_what_is_read_in_the_small_log(share: int, small_begins: bool) -> None:
    names = keys(12_000, 20)
    few = dict.fromkeys(sorted(random.Random(share).sample(names, len(names) // share)), 1)
    many = dict.fromkeys(names, 1)
    one, other = compare(few, many) if small_begins else compare(many, few)
    assert found_exactly(one, other)
    small = one if small_begins else other
    assert small.comparison.looked < 12 * len(few) + 64 * PART_LOOKS


@pytest.mark.parametrize("small_begins", [True, False])
def test_where_one_side_has_little_of_what_the_other_has_its_list_says_it_all(small_begins: bool) -> None:
    names = keys(12_000, 20)
    few = dict.fromkeys(names[::60], 1)
    one, other = compare(*(few, dict.fromkeys(names, 1))[:: 1 if small_begins else -1])
    assert found_exactly(one, other)
    assert one.said_bytes + other.said_bytes < 80 * len(few)


def test_few_differences_among_many_cost_few_looks() -> None:
    count = 18_000
    one, other = compare(*sides(keys(count, 20), [(2, 1) if n in (5, 9_000) else (1, 1) for n in range(count)]))
    assert found_exactly(one, other)
    assert max(one.comparison.looked, other.comparison.looked) < count // 4 + 64
    assert one.said_bytes + other.said_bytes < 2_000


def test_all_scopes_may_be_equal_however_many_there_are() -> None:
    scopes = sorted(
        [Scope(SHOP), *(Scope(f"store/{number}/day") for number in range(100_000, 100_000 + SCOPES_MAX - 1))]
    )
    names = keys(40, 4)
    for right, differ in ((dict.fromkeys(names, 1), False), (dict.fromkeys(names[1:], 1), True)):
        one, other = Side(dict.fromkeys(names, 1)), Side(right)
        one.comparison, other.comparison = Comparison(scopes), Comparison(scopes)
        turn = other.comparison.answer(other.reader, one.comparison.begin(one.reader))
        speaks, hears = other, one
        while (ranges := speaks.take(turn, hears)) is not None:
            turn = hears.comparison.receive(hears.reader, ranges)
            speaks, hears = hears, speaks
        assert turn.ended
        assert found_exactly(one, other)
        assert (one.comparison.equal, other.comparison.equal) == (not differ, not differ)


def test_more_lists_than_a_turn_takes_are_wanted_and_sent_over_several_and_none_of_them_ends_it() -> None:
    side = Side({})
    side.comparison.answer(side.reader, Fingerprints((Fingerprint(1, 1),)))
    names = keys(TURN_PARTS_MAX + 1_000, 20)
    parts = [Part(high, (Listed(key, (Head(1, Hash(bytes(32))),)),)) for key, high in itertools.pairwise(names)]
    runs = [Run(0, names[at], tuple(parts[at : at + RANGE_PARTS_MAX])) for at in range(0, len(parts), RANGE_PARTS_MAX)]
    turn = side.comparison.receive(side.reader, Ranges(tuple(runs)))
    wanted = [want.feed_key for want in turn.wants]
    assert len(wanted) < len(parts)
    while turn.ranges is not None and turn.ranges.runs:
        # Somebody who holds no feeds at all finds nothing in what is said only to go on.
        silent = Side({}).comparison
        silent.answer(side.reader, Fingerprints((Fingerprint(),)))
        answer = silent.receive(side.reader, turn.ranges)
        assert (answer.ranges, answer.sends, answer.wants) == (Ranges(()), (), ())
        turn = side.comparison.receive(side.reader, Ranges(()))
        wanted += [want.feed_key for want in turn.wants]
    assert sorted(wanted) == names[:-1]
    assert turn.ended, "the peer has ended it already"


def test_what_waits_for_later_turns_is_bounded_in_bytes_whatever_it_is_made_of() -> None:
    side = Side({})
    side.comparison.answer(side.reader, Fingerprints((Fingerprint(1, 1),)))
    names = keys(TURN_RUNS_MAX + 6, 20)
    asked = Named(bytes(SALT_BYTES), tuple(range(1, CELLS_MAX + 1)))
    # As many as a turn answers, so the large ones after them wait.
    fill = [
        Run(0, low, (Part(high, Fingerprint(1, 1)),)) for low, high in itertools.pairwise(names[: TURN_RUNS_MAX + 1])
    ]
    large = [Run(0, low, (Part(high, asked),)) for low, high in itertools.pairwise(names[TURN_RUNS_MAX:])]
    for _ in range(PENDING_BYTES_MAX // (len(large) * ID_HELD_BYTES * CELLS_MAX)):
        turn = side.comparison.receive(side.reader, Ranges((*fill, *large)))
        assert turn.ranges is not None
        assert len(turn.ranges.runs) == TURN_RUNS_MAX
    with pytest.raises(ProtocolError, match="bytes"):
        side.comparison.receive(side.reader, Ranges((*fill, *large)))


class Counting(LogReader):
    """Counts the feeds that are read one by one."""

    read = 0

    def feeds(
        self, scope: Scope, low: bytes = b"", high: bytes | None = None
    ) -> Iterator[tuple[bytes, tuple[Head, ...]]]:
        for feed in super().feeds(scope, low, high):
            self.read += 1
            yield feed


def asked(feeds: dict[bytes, int], parts: Callable[[LogReader], Sequence[Part]]) -> tuple[Turn, int, int]:
    """A turn on a run of parts that a peer sends: the turn, how many feeds it read and how many looks it charged."""
    made = reader(feeds, Counting)
    assert isinstance(made, Counting)
    comparison = Comparison([Scope(SHOP)])
    comparison.answer(made, Fingerprints((made.fingerprint(SHOP),)))
    said, before, made.read = Ranges((Run(0, b"", tuple(parts(made))),)), comparison.looked, 0
    return comparison.receive(made, said), made.read, comparison.looked - before


def test_a_list_costs_a_look_for_each_of_its_feeds_and_for_each_that_is_listed_in_return() -> None:
    names = keys(3_200, 20)
    held = dict.fromkeys(names[:-1], 1)
    own = tuple(Listed(key, (Head(1, Hash((1).to_bytes(32, "big"))),)) for key in names[:-1])
    turn, read, charged = asked(held, lambda made: [Part(names[-1], own)])
    assert (turn.sends, turn.wants) == ((), ())
    assert read >= len(own)
    assert charged >= len(own)
    turn, read, charged = asked(held, lambda made: [Part(high, Fingerprint(1, 99)) for high in names[32::32]])
    assert read >= 900
    assert charged >= read


def test_no_more_is_coded_because_it_lies_between_what_differs_than_a_turn_codes_anyway() -> None:
    block = [40, 40, CODED_FEEDS_MAX - 160, 40, 40]
    names = keys(3 * sum(block), 20)
    ends = list(itertools.accumulate(3 * block))[:-1]

    def parts(made: LogReader) -> list[Part]:
        bounds = [b"", *(names[end] for end in ends), None]
        own = [(high, made.fingerprint(SHOP, low or b"", high)) for low, high in itertools.pairwise(bounds)]
        return [Part(high, one if one.feeds > 40 else Fingerprint(1, one.feeds)) for high, one in own]

    turn, read, charged = asked(dict.fromkeys(names, 1), parts)
    assert turn.ranges is not None
    assert 2 <= len(turn.ranges.runs) < 3 * 4, "some are joined"
    assert CODED_FEEDS_MAX // 2 < read <= TURN_CODED_MAX
    assert charged == read + len(3 * block) * PART_LOOKS


def test_a_fingerprint_made_up_here_is_that_of_the_rows() -> None:
    made = reader(dict.fromkeys(keys(50, 3), 4))
    assert made.fingerprint(SHOP) == sum_of(made)


def sum_of(made: LogReader) -> Fingerprint:
    total = Fingerprint()
    for key, heads in made.feeds(SHOP):
        total = total.plus(fingerprint_of(key, [head.hash for head in heads]))
    return total
