"""An entry that one neighbour is slow to bring is asked of the next who announces it: of one more, and of few entries."""

from __future__ import annotations

from gossip.document import FeedType
from gossip.entry import Hash
from gossip.events import Acknowledged
from gossip.in_flight import ASKED_MAX, SECOND_ASKS_MAX, SLOW_MS, InFlight
from gossip.messages import Want
from merge_rules.lattice import Author
from tests.protocol.wire import FIRST_DAY, Replica, meet, talk

AUTHOR = Author(b"somebody")


def two_ends() -> tuple[Replica, Replica]:
    """One replica, which has two sessions."""
    one, other = Replica(1), Replica(1)
    other.log, other.in_flight = one.log, one.in_flight
    return one, other


def two_neighbours() -> tuple[Replica, Replica, Replica, Replica]:
    """Two that announce, and the ends of one replica towards them."""
    slow, quick = Replica(2, announce=True), Replica(3, announce=True)
    to_slow, to_quick = two_ends()
    meet(slow, to_slow)
    meet(quick, to_quick)
    return slow, quick, to_slow, to_quick


def announces(neighbour: Replica, to: Replica, now_ms: int) -> bytes:
    """A neighbour announces what is new; what the other says to that, which has not arrived yet."""
    neighbour.session.wake()
    to.receive(neighbour.session.data_to_send(), now_ms)
    return to.session.data_to_send()


def wants(neighbour: Replica) -> int:
    """How many feeds a neighbour was asked for."""
    return sum(len(message.feeds) for message in neighbour.heard if isinstance(message, Want))


def test_what_one_neighbour_is_slow_to_bring_is_fetched_from_the_next_who_announces_it() -> None:
    slow, quick, to_slow, to_quick = two_neighbours()
    third = Replica(4)
    entry = third.write("day", 12, day=FIRST_DAY)
    for neighbour in (slow, quick):
        neighbour.takes([entry], third.author)
    late = announces(slow, to_slow, 0)
    quick.session.wake()
    talk(quick, to_quick, SLOW_MS)
    assert to_quick.holds() == {entry.hash}
    slow.receive(late)
    talk(slow, to_slow, 200)
    assert wants(slow) == wants(quick) == 1
    assert to_slow.received_entries() == to_quick.received_entries() == [entry.raw]
    for neighbour in (slow, quick):
        assert {head.hash for event in neighbour.got(Acknowledged) for _, head in event.heads} == {entry.hash}  # type: ignore[union-attr]
        assert neighbour.session.towards().unacknowledged == ()
    assert to_slow.holds() == {entry.hash}


def test_a_neighbour_that_announces_before_the_first_one_is_slow_is_not_asked() -> None:
    slow, quick, to_slow, to_quick = two_neighbours()
    third = Replica(4)
    entry = third.write("day", 12, day=FIRST_DAY)
    for neighbour in (slow, quick):
        neighbour.takes([entry], third.author)
    announces(slow, to_slow, 0)
    quick.session.wake()
    talk(quick, to_quick, SLOW_MS - 1)
    assert wants(quick) == 0


def test_what_has_come_and_is_not_on_the_disk_yet_is_not_asked_for_again() -> None:
    first, second, third = Replica(2, announce=True), Replica(3, announce=True), Replica(4)
    to_first, to_second = two_ends()
    to_first.slow = True
    meet(first, to_first)
    meet(second, to_second)
    entry = third.write("day", 12, day=FIRST_DAY)
    for neighbour in (first, second):
        neighbour.takes([entry], third.author)
    first.session.wake()
    talk(first, to_first)
    assert to_first.received_entries() == [entry.raw]
    second.session.wake()
    talk(second, to_second, 10 * SLOW_MS)
    assert wants(second) == 0
    to_first.append_all()
    to_second.take(to_second.session.tick(1_000))
    talk(second, to_second)
    assert len(second.got(Acknowledged)) == 1


def test_what_its_author_is_slow_to_push_is_asked_of_one_neighbour_at_a_time() -> None:
    in_flight = InFlight()
    in_flight.meets(AUTHOR, "its own session")
    asked = [in_flight.claim(Hash(bytes(32)), f"neighbour {at}", at * SLOW_MS, AUTHOR) for at in range(6)]
    assert asked == [False, True, False, False, False, False]
    assert sum(asked) + 1 == ASKED_MAX


def test_a_long_feed_that_is_on_its_way_is_not_asked_of_a_second_neighbour() -> None:
    slow, quick, to_slow, to_quick = two_neighbours()
    third = Replica(4)
    entries = [third.write("journal", 12, day=FIRST_DAY, feed=FeedType.WHOLE) for _ in range(SECOND_ASKS_MAX + 1)]
    for neighbour in (slow, quick):
        neighbour.takes(entries, third.author)
    late = announces(slow, to_slow, 0)
    quick.session.wake()
    talk(quick, to_quick, SLOW_MS)
    assert wants(quick) == 0
    slow.receive(late)
    talk(slow, to_slow)
    assert to_slow.holds() == {entry.hash for entry in entries}


def test_a_neighbour_that_brings_nothing_doubles_no_more_than_a_tenth_of_what_is_fetched() -> None:
    in_flight, seconds = InFlight(), 0
    for number in range(1_000):
        hash_, now_ms = Hash(number.to_bytes(32, "big")), number * 2 * SLOW_MS
        assert in_flight.claim(hash_, "silent", now_ms, AUTHOR)
        seconds += in_flight.claim(hash_, "next", now_ms + SLOW_MS, AUTHOR)
    assert 100 <= seconds <= SECOND_ASKS_MAX + 100


def test_a_session_that_ends_leaves_what_it_fetched_to_others_at_once() -> None:
    in_flight, hash_ = InFlight(), Hash(bytes(32))
    assert in_flight.claim(hash_, "first", 0, AUTHOR)
    assert in_flight.claim(hash_, "second", SLOW_MS, AUTHOR)
    in_flight.release("second")
    assert in_flight.claim(hash_, "third", SLOW_MS + 1, AUTHOR)
