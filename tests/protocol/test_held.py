"""What a peer is known to hold: the newest of each feed, and no more than fits."""

from __future__ import annotations

from gossip.document import Document, FeedType, ScopeClass
from gossip.entry import Entry, sign
from gossip.held import BESIDE_BYTES, Held
from gossip.log import feed_key
from tests.entries.drawn import AUTHOR, KEY


def entry(seq: int, store: int = 12, feed: FeedType = FeedType.LATEST) -> Entry:
    return sign(KEY, AUTHOR, Document("day", 20_000, (store,)), feed, ScopeClass.STORE, seq, seq, {1: seq})


def bytes_of(one: Entry) -> int:
    return len(one.raw) + len(feed_key(one.feed_id)) + BESIDE_BYTES


def test_the_newest_entry_of_a_feed_is_kept_whichever_came_last() -> None:
    held = Held(1 << 20)
    for seq in (1, 3, 2):
        held.add(entry(seq))
    kept = held.get(entry(1).feed_id)
    assert kept == entry(3)
    assert kept is not None
    assert kept.body == {1: 3}
    held.forget(entry(1).feed_id)
    assert held.get(entry(1).feed_id) is None


def test_what_would_not_fit_takes_the_place_of_what_was_used_longest_ago() -> None:
    held = Held(2 * bytes_of(entry(1)))
    for store in (1, 2):
        held.add(entry(1, store))
    for seq in range(2, 12):  # another number of a feed takes the place of the one before
        held.add(entry(seq, 1))
    assert held.get(entry(1, 2).feed_id) is not None
    held.add(entry(1, 3))
    assert [held.get(entry(1, store).feed_id) is not None for store in (1, 2, 3)] == [True, False, True]


def test_neither_a_whole_feed_nor_an_entry_larger_than_the_bound_is_kept() -> None:
    held = Held(bytes_of(entry(1)) - 1)
    held.add(entry(1))
    assert held.get(entry(1).feed_id) is None
    roomy = Held(1 << 20)
    roomy.add(entry(1, feed=FeedType.WHOLE))
    assert roomy.get(entry(1).feed_id) is None
