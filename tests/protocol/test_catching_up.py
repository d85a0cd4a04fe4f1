"""From HELLO to both having everything: cursor, fingerprints, ranges, live push."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gossip.document import COMPANY, FeedType, Scope, ScopeClass
from gossip.entry import Entry
from gossip.events import Acknowledged, CaughtUp, Compared, Ended, Shared
from gossip.inbound import cursor_key
from gossip.limits import Limits
from gossip.log import feed_key
from gossip.messages import Announce, Durable, Entries, Fingerprints, Patch, Ranges, Want
from gossip.outbound import Grown, New
from gossip.reasons import Reason
from gossip.session import State
from tests.protocol.wire import EVERYTHING, FIRST_DAY, SHOP, Replica, meet, part, talk


def settled(left: Replica, right: Replica) -> None:
    assert left.session.state is State.SHARING, left.events
    assert right.session.state is State.SHARING, right.events
    assert left.got(CaughtUp) == [CaughtUp()]
    assert right.got(CaughtUp) == [CaughtUp()]


@pytest.mark.parametrize("piece", [1, 3, 7, None])
def test_two_replicas_that_never_met_end_with_the_same_entries_however_the_bytes_are_cut(piece: int | None) -> None:
    left, right = Replica(1), Replica(2)
    left.write("day", 12, day=FIRST_DAY)
    left.write("roster", scope=ScopeClass.COMPANY)
    right.write("day", 12, day=FIRST_DAY)
    meet(left, right, piece)
    settled(left, right)
    assert len(left.holds()) == 3
    assert left.holds() == right.holds()
    assert left.got(Shared) == right.got(Shared) == [Shared(EVERYTHING, 1)]


def test_two_empty_replicas_have_nothing_to_compare_and_are_caught_up_at_once() -> None:
    left, right = Replica(1), Replica(2)
    meet(left, right)
    settled(left, right)
    assert left.session.bytes_sent < 300


def test_a_resumed_session_sends_exactly_what_is_missing() -> None:
    left, right = Replica(1), Replica(2)
    for day in range(300):
        left.write("day", 12, day=FIRST_DAY + day)
    meet(left, right)
    part(left, right)
    missed = [left.write("day", 12, day=FIRST_DAY + day, body={0: "again"}) for day in (7, 250)]
    back = right.write("note", 12)
    meet(left, right)
    settled(left, right)
    assert right.received_entries() == [entry.raw for entry in missed]
    assert left.received_entries() == [back.raw]
    entries_bytes = sum(len(entry.raw) for entry in [*missed, back])
    assert left.session.bytes_sent + right.session.bytes_sent < entries_bytes + 700
    assert left.holds() == right.holds()


def test_a_session_with_nothing_new_costs_a_few_hundred_bytes() -> None:
    left, right = Replica(1), Replica(2)
    for day in range(300):
        left.write("day", 12, day=FIRST_DAY + day)
    meet(left, right)
    part(left, right)
    meet(left, right)
    settled(left, right)
    assert left.received_entries() == right.received_entries() == []
    assert left.session.bytes_sent + right.session.bytes_sent < 600


def test_entries_of_a_live_session_reach_the_peer_at_once_and_are_acknowledged() -> None:
    left, right = Replica(1), Replica(2)
    meet(left, right)
    entry = left.write("day", 12, day=FIRST_DAY)
    left.session.wake()
    talk(left, right)
    assert entry.hash in right.holds()
    assert left.got(Acknowledged) == [Acknowledged(((entry.feed_id, entry.head),), ())]


def test_a_session_is_not_woken_by_what_it_does_not_share_and_misses_nothing_by_that() -> None:
    left, right = Replica(1), Replica(2)
    meet(left, right)
    for number in range(3):
        with left.log.read() as reader:
            after = reader.last_arrival()
        entry = left.write("day", 12, day=FIRST_DAY + number)
        assert not left.session.wake(Grown(after, after + 1, {Scope("store/13"): {None}}))
        talk(left, right)
        assert entry.hash not in right.holds()  # as was said: nothing for it
    entry = left.write("day", 12, day=FIRST_DAY + 9)
    with left.log.read() as reader:
        upto = reader.last_arrival()
    assert left.session.wake(Grown(upto - 1, upto, {Scope("store/12"): {None}}))
    talk(left, right)
    assert entry.hash in right.holds()
    # Of what was left out between, it does not know: then all is read.
    left.write("day", 12, day=FIRST_DAY + 10)
    with left.log.read() as reader:
        upto = reader.last_arrival()
    assert left.session.wake(Grown(upto, upto + 1, {}))


def new_one(entry: Entry, arrival: int, scope: str) -> New:
    return New(entry, arrival, None, {Scope(scope)}, feed_key(entry.feed_id))


def test_what_is_said_to_be_new_is_sent_unread_in_its_place_and_read_where_it_does_not_follow() -> None:
    left, right = Replica(1), Replica(2)
    meet(left, right)
    for number in range(3):
        with left.log.read_all() as reader:
            after = reader.last_arrival()
        missed = [left.write("day", 12, day=FIRST_DAY + 3 * number + one) for one in range(number)]
        entry = left.write("day", 12, day=FIRST_DAY + 3 * number + 2)
        arrival = after + len(missed) + 1
        new = [new_one(entry, arrival, "store/12")]
        assert left.session.wake(Grown.by(arrival - 1, arrival, new))  # of what was missed nobody has told the session
        talk(left, right)
        assert right.holds() >= {one.hash for one in (*missed, entry)}
    other, entry = left.write("day", 13, day=FIRST_DAY), left.write("day", 12, day=FIRST_DAY + 20)
    with left.log.read_all() as reader:
        upto = reader.last_arrival()
    new = [new_one(other, upto - 1, "store/13"), new_one(entry, upto, "store/12")]
    left.session.wake(Grown.by(upto - 2, upto, new))
    talk(left, right)
    assert entry.hash in right.holds()
    assert other.hash not in right.holds()


def test_what_came_from_the_peer_does_not_go_back_to_it() -> None:
    left, right = Replica(1), Replica(2)
    meet(left, right)
    left.write("day", 12, day=FIRST_DAY)
    left.session.wake()
    talk(left, right)
    assert left.received_entries() == []


def test_acknowledgement_waits_until_the_node_has_appended() -> None:
    left, right = Replica(1), Replica(2, slow=True)
    meet(left, right)
    left.write("day", 12, day=FIRST_DAY)
    left.session.wake()
    talk(left, right)
    assert left.got(Acknowledged) == []
    right.append_all()
    talk(left, right)
    assert len(left.got(Acknowledged)) == 1


def test_a_refused_entry_is_not_acknowledged_as_held() -> None:
    left, right = Replica(1), Replica(2)
    meet(left, right)
    entry = left.write("day", 12, day=FIRST_DAY)
    right.refuses = frozenset({entry.hash})
    left.session.wake()
    talk(left, right)
    (acknowledged,) = left.got(Acknowledged)
    assert isinstance(acknowledged, Acknowledged)
    assert acknowledged.heads == ()
    assert [refused.hash for refused in acknowledged.refused] == [entry.hash]


def test_only_scopes_that_both_grant_travel() -> None:
    left = Replica(1, scopes=EVERYTHING | {Scope("journal/12")})
    right = Replica(2, scopes=frozenset({COMPANY, SHOP, Scope("store/13")}))
    left.write("day", 12, day=FIRST_DAY)
    left.write("sales", 12, day=FIRST_DAY, scope=ScopeClass.JOURNAL)
    left.write("day", 13, day=FIRST_DAY)
    meet(left, right)
    settled(left, right)
    assert left.session.shared == right.session.shared == EVERYTHING
    assert len(right.holds()) == 1


def test_a_scope_that_is_new_to_a_session_is_fetched_from_its_beginning() -> None:
    left, right = Replica(1), Replica(2, scopes=frozenset({COMPANY}))
    left.write("day", 12, day=FIRST_DAY)
    meet(left, right)
    part(left, right)
    assert right.holds() == frozenset()
    right.scopes = EVERYTHING
    meet(left, right)
    settled(left, right)
    assert len(right.holds()) == 1


def test_a_replica_that_lost_its_disk_gets_everything_back_its_own_entries_too() -> None:
    left, right = Replica(1), Replica(2)
    for number in range(40):
        left.write("log", 12, feed=FeedType.WHOLE, day=FIRST_DAY + number % 3)
        right.write("log", 12, feed=FeedType.WHOLE, day=FIRST_DAY + number % 3)
    meet(left, right)
    part(left, right)
    everything = left.holds()
    right.reset(database=77)
    meet(left, right)
    settled(left, right)
    assert right.holds() == left.holds() == everything


def test_a_log_that_was_set_back_is_noticed_by_its_arrival_number() -> None:
    left, right = Replica(1), Replica(2)
    entries = [right.write("day", 12, day=FIRST_DAY + day) for day in range(20)]
    meet(left, right)
    part(left, right)
    right.reset()
    right.takes(entries[:5])
    meet(left, right)
    settled(left, right)
    assert right.holds() == left.holds()
    assert len(right.holds()) == 20


def test_damage_that_no_cursor_shows_is_found_by_the_comparison_after_catching_up() -> None:
    left, right = Replica(1), Replica(2)
    entries = [right.write("day", 12, day=FIRST_DAY + day) for day in range(20)]
    meet(left, right)
    part(left, right)
    right.reset()
    right.takes([entry for entry in entries if entry is not entries[9]])
    right.write("note", 12)
    meet(left, right)
    settled(left, right)
    assert entries[9].hash in right.holds()
    assert right.holds() == left.holds()


def test_the_company_scope_is_sent_first() -> None:
    left, right = Replica(1, limits=Limits(batch_bytes_max=1)), Replica(2)
    for number in range(5):
        left.write("day", 12, day=FIRST_DAY + number)
    roster = [left.write("roster", number, scope=ScopeClass.COMPANY) for number in range(3)]
    meet(left, right)
    settled(left, right)
    assert set(right.received_entries()[:3]) == {entry.raw for entry in roster}


def test_one_difference_among_ten_thousand_feeds_costs_few_bytes() -> None:
    left, right = Replica(1), Replica(2)
    entries = [left.write("balance", number // 100, number, body={0: 1}) for number in range(10_000)]
    left.scopes = right.scopes = frozenset(Scope(f"store/{number}") for number in range(100)) | {COMPANY}
    right.takes(entries[:6543] + entries[6544:])
    meet(left, right)
    settled(left, right)
    assert right.received_entries() == [entries[6543].raw]
    ranges = sum(isinstance(message, Ranges) for message in [*left.heard, *right.heard])
    total = left.session.bytes_sent + right.session.bytes_sent
    assert total < 16_000, (total, ranges)


def test_one_difference_among_ten_thousand_feeds_of_one_scope_costs_few_bytes() -> None:
    left, right = Replica(1), Replica(2)
    entries = [
        left.write("day", 12, number % 10, day=FIRST_DAY + number // 10, body={0: 1}) for number in range(10_000)
    ]
    right.takes(entries[:6543] + entries[6544:])
    meet(left, right)
    settled(left, right)
    assert right.received_entries() == [entries[6543].raw]
    total = left.session.bytes_sent + right.session.bytes_sent
    assert total < 9_000, total


sets = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 40), st.integers(0, 3)), max_size=60)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(left_has=sets, right_has=sets, both_have=sets)
def test_ranges_find_exactly_the_differences(
    left_has: list[tuple[int, int, int]], right_has: list[tuple[int, int, int]], both_have: list[tuple[int, int, int]]
) -> None:
    left, right, third = Replica(1), Replica(2), Replica(3)
    for author, day, _ in both_have:
        entry = third.write("both", 12, author, day=FIRST_DAY + day)
        left.takes([entry])
        right.takes([entry])
    for replica, has in ((left, left_has), (right, right_has)):
        for whole, day, key in has:
            feed = FeedType.WHOLE if whole else FeedType.LATEST
            replica.write(f"own{whole}", 12, key, day=FIRST_DAY + day, feed=feed)
    before_left, before_right = left.holds(), right.holds()
    meet(left, right)
    settled(left, right)
    assert left.holds() == right.holds() == before_left | before_right
    # Exactly: nothing went over the wire that the other already had.
    assert len(right.received_entries()) == len(before_left - before_right)
    assert len(left.received_entries()) == len(before_right - before_left)
    both = left.got(Compared)
    assert len(both) == (1 if before_left or before_right else len(both))


def test_both_may_begin_a_comparison_at_once() -> None:
    left, right = Replica(1), Replica(2)
    meet(left, right)
    shared = left.write("day", 12, day=FIRST_DAY)
    right.takes([shared])
    left.session.compare()
    right.session.compare()
    talk(left, right)
    settled(left, right)
    for replica in (left, right):
        assert isinstance(replica.got(Compared)[-1], Compared)
    assert sum(isinstance(message, Fingerprints) for message in right.heard + left.heard) == 3


# Patches


def test_the_next_entry_of_a_feed_travels_as_a_patch_and_arrives_whole() -> None:
    left, right = Replica(1), Replica(2)
    body = {number: [number] * 30 for number in range(20)}
    first = left.write("day", 12, day=FIRST_DAY, body=body)
    meet(left, right)
    second = left.write("day", 12, day=FIRST_DAY, body=body | {19: [1] * 30})
    left.session.wake()
    talk(left, right)
    assert right.received_entries()[0] == first.raw
    assert isinstance(right.received_entries()[1], Patch)
    assert right.holds() == {second.hash}
    assert left.holds() == right.holds()


def test_a_patch_whose_base_is_not_there_any_more_is_fetched_whole() -> None:
    left, right = Replica(1), Replica(2)
    body = {number: [number] * 30 for number in range(20)}
    left.write("day", 12, day=FIRST_DAY, body=body)
    meet(left, right)
    right.session._held.forget(next(iter(left.got(Acknowledged))).heads[0][0])  # type: ignore[union-attr]
    right.reset()
    right.session._log = right.log
    right.session._inbound.log = right.log  # type: ignore[union-attr]
    second = left.write("day", 12, day=FIRST_DAY, body=body | {19: [1] * 30})
    left.session.wake()
    talk(left, right)
    assert any(isinstance(message, Want) for message in left.heard)
    assert right.received_entries()[-1] == second.raw
    assert right.holds() == {second.hash}


# Announcements


def test_entries_of_others_are_announced_in_a_store_and_only_the_missing_are_wanted() -> None:
    left, right, third = Replica(1, announce=True), Replica(2), Replica(3)
    meet(left, right)
    entries = [third.write("day", 12, day=FIRST_DAY + day) for day in range(10)]
    right.takes(entries[:9], third.author)
    left.takes(entries, third.author)
    left.session.wake()
    talk(left, right)
    assert any(isinstance(message, Announce) for message in right.heard)
    assert right.received_entries() == [entries[9].raw]
    assert right.holds() == left.holds()
    acknowledged = [head for event in left.got(Acknowledged) for _, head in event.heads]  # type: ignore[union-attr]
    assert {head.hash for head in acknowledged} == left.holds()


def test_an_announced_entry_that_another_session_fetches_is_not_wanted_twice() -> None:
    left, right, third = Replica(1, announce=True), Replica(2), Replica(3)
    meet(left, right)
    entry = third.write("day", 12, day=FIRST_DAY)
    left.takes([entry], third.author)
    assert right.in_flight.claim(entry.hash, "another session", 0, third.author)
    left.session.wake()
    talk(left, right)
    assert not any(isinstance(message, Want) for message in left.heard)
    assert left.got(Acknowledged) == []
    right.takes([entry], third.author)
    right.take(right.session.tick(1))
    talk(left, right)
    assert len(left.got(Acknowledged)) == 1
    assert right.received_entries() == []


def test_an_announced_entry_that_the_other_session_never_delivered_is_wanted_after_all() -> None:
    left, right, third = Replica(1, announce=True), Replica(2), Replica(3)
    meet(left, right)
    entry = third.write("day", 12, day=FIRST_DAY)
    left.takes([entry], third.author)
    right.in_flight.claim(entry.hash, "another session", 0, third.author)
    left.session.wake()
    talk(left, right)
    right.take(right.session.tick(5_000))
    talk(left, right)
    assert right.holds() == {entry.hash}


def test_what_a_peer_has_announced_is_not_announced_to_it_and_newer_entries_of_that_feed_are() -> None:
    left, right, third = Replica(1, announce=True), Replica(2, announce=True), Replica(3)
    meet(left, right)
    first, second = (third.sign("day", 12, day=FIRST_DAY, seq=seq) for seq in (1, 2))
    left.in_flight.claim(first.hash, "another session", 0, third.author)
    right.takes([first], third.author)
    right.session.wake()
    talk(left, right)
    assert [message.items[0].head for message in left.heard if isinstance(message, Announce)] == [first.head]
    left.takes([first], third.author)
    left.session.wake()
    talk(left, right)
    assert not any(isinstance(message, Announce) for message in right.heard)
    left.takes([second], third.author)
    left.session.wake()
    talk(left, right)
    assert [message.items[0].head for message in right.heard if isinstance(message, Announce)] == [second.head]
    assert right.holds() == left.holds() == {second.hash}


def test_an_author_over_whose_session_nothing_is_shared_is_not_waited_for() -> None:
    left, right = Replica(1, announce=True), Replica(2)
    third = Replica(3, scopes=frozenset(), grants=frozenset())
    meet(third, right)  # it stands by
    meet(left, right)
    entry = third.write("day", 12, day=FIRST_DAY)
    left.takes([entry], third.author)
    left.session.wake()
    talk(left, right)
    assert right.holds() == {entry.hash}


# Flow control


def test_a_slow_receiver_bounds_what_is_on_the_way() -> None:
    limits = Limits(window_bytes_max=4_000, window_batches_max=5, batch_bytes_max=1_000)
    left, right = Replica(1, limits=limits), Replica(2, slow=True)
    meet(left, right)
    for day in range(200):
        left.write("day", 12, day=FIRST_DAY + day, body={0: b"x" * 100})
    left.session.wake()
    talk(left, right)
    received = sum(len(item) for item in right.received_entries() if isinstance(item, bytes))
    assert 3_000 < received <= 5_000
    right.slow = False
    right.append_all()
    talk(left, right)
    assert right.holds() == left.holds()


def test_a_window_full_of_announcements_does_not_stop_the_answers_that_settle_them() -> None:
    limits = Limits(window_batches_max=1, wants_max=1, want_feeds_max=2, batch_bytes_max=300)
    left, right, third = Replica(1, announce=True, limits=limits), Replica(2, limits=limits), Replica(3)
    meet(left, right)
    left.takes([third.write("day", 12, day=FIRST_DAY + day) for day in range(1_500)], third.author)
    left.session.wake()
    talk(left, right, rounds_max=5_000)
    assert right.holds() == left.holds()


# Whole feeds and forks


def test_a_whole_feed_is_sent_from_where_the_other_side_holds_it() -> None:
    left, right = Replica(1), Replica(2)
    entries = [left.write("log", 12, feed=FeedType.WHOLE) for _ in range(50)]
    right.takes(entries[:30])
    meet(left, right)
    settled(left, right)
    assert right.received_entries() == [entry.raw for entry in entries[30:]]


def test_a_whole_feed_longer_than_a_batch_arrives_in_order() -> None:
    left, right = Replica(1, limits=Limits(batch_bytes_max=700)), Replica(2)
    entries = [left.write("log", 12, feed=FeedType.WHOLE) for _ in range(50)]
    meet(left, right)
    settled(left, right)
    assert right.received_entries() == [entry.raw for entry in entries]


def test_both_sides_of_a_fork_meet_at_both_replicas() -> None:
    left, right, liar = Replica(1), Replica(2), Replica(3)
    one = liar.write("day", 12, day=FIRST_DAY, seq=1, body={0: 1})
    liar.reset()
    other = liar.write("day", 12, day=FIRST_DAY, seq=1, body={0: 2})
    left.takes([one])
    right.takes([other])
    meet(left, right)
    settled(left, right)
    assert left.holds() == right.holds() == {one.hash, other.hash}


def test_a_gap_in_a_whole_feed_is_mended_in_the_same_session() -> None:
    left, right = Replica(1), Replica(2)
    entries = [left.write("log", 12, feed=FeedType.WHOLE) for _ in range(5)]
    right.refuses = frozenset({entries[1].hash})
    meet(left, right)
    assert len(right.holds()) == 1
    assert not right.got(Ended)
    right.refuses = frozenset()
    right.session.compare()
    talk(left, right)
    assert right.holds() == left.holds()


def test_a_cursor_that_a_gap_held_back_is_told_again_when_the_peer_has_sent_what_it_has() -> None:
    left, right = Replica(1), Replica(2)
    meet(left, right)
    right.slow = True
    entries = [left.write("log", 12, feed=FeedType.WHOLE) for _ in range(5)]
    right.refuses = frozenset({entries[1].hash})
    left.session.wake()
    talk(left, right)
    key = cursor_key(left.log.database, right.session.shared)
    right.append_all()
    assert right.holds() == {entries[0].hash}
    with right.log.read() as reader:
        assert reader.cursor(key) == 0
    right.slow = False
    talk(left, right)
    with right.log.read() as reader:
        assert reader.cursor(key) == 5


def test_every_batch_is_acknowledged_once() -> None:
    left, right = Replica(1), Replica(2)
    for day in range(100):
        left.write("day", 12, day=FIRST_DAY + day)
    meet(left, right)
    batches = [message.batch for message in right.heard if isinstance(message, Entries | Announce)]
    assert (
        [message.batch for message in left.heard if isinstance(message, Durable)]
        == batches
        == list(range(1, len(batches) + 1))
    )


def test_what_the_log_has_grown_by_may_be_told_in_the_wrong_order() -> None:
    left, right = Replica(1), Replica(2)
    meet(left, right)
    left.write("day", 12, day=FIRST_DAY + 9)
    left.session.wake()
    talk(left, right)
    before = last_arrival(left)
    left.write("day", 13, day=FIRST_DAY)
    not_for_it = grown(left, before)
    wanted = left.write("day", 12, day=FIRST_DAY + 1)
    left.session.wake(grown(left, before + 1))
    left.session.wake(not_for_it)
    talk(left, right)
    assert wanted.hash in right.holds()


def test_what_the_log_has_grown_by_is_not_forgotten_for_nothing() -> None:
    left, right = Replica(1), Replica(2)
    meet(left, right)
    before = last_arrival(left)
    left.write("day", 12, day=FIRST_DAY)
    new = grown(left, before)
    left.session.wake(new)
    left.session.wake(grown(left, before + 1))
    assert left.session._outbound is not None
    assert left.session._outbound._grown is new


def grown(replica: Replica, after: int) -> Grown:
    with replica.log.read_all() as reader:
        found = Grown.since(reader, after, 1000)
    assert found is not None
    return found


def last_arrival(replica: Replica) -> int:
    with replica.log.read_all() as reader:
        return reader.last_arrival()


def test_a_batch_of_patches_makes_no_more_entries_than_the_peer_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    def patched(limits: Limits) -> tuple[Replica, Replica]:
        left, right = Replica(1), Replica(2, limits=limits)
        meet(left, right)
        for seq in (1, 2):
            for number in range(5):
                left.write("day", 12, day=FIRST_DAY + number, body={0: bytes(30_000), 1: seq})
                if seq == 1:
                    left.session.wake()
                    talk(left, right)
        left.session.wake()
        talk(left, right)
        return left, right

    _, refusing = patched(Limits(rebuilt_bytes_max=100_000))
    assert [event.reason for event in refusing.events if isinstance(event, Ended)] == [Reason.TOO_MUCH]
    monkeypatch.setattr("gossip.outbound.REBUILT_BYTES", 50_000)
    left, right = patched(Limits(rebuilt_bytes_max=100_000))
    assert left.holds() == right.holds()
    assert not right.session.ended
