"""Peers that make things up, and connections that break anywhere: nobody else suffers, and nothing is skipped."""

from __future__ import annotations

import random

import pytest

from gossip import frames
from gossip.document import FeedType, ScopeClass
from gossip.entry import Hash, Head
from gossip.events import Compared, Ended
from gossip.log import Arrival, Fingerprint
from gossip.messages import Admitted, Cursor, Entries, Listed, Named, Part, Ranges, Run, Sampled, Sketched
from gossip.reasons import Reason
from gossip.reconcile import CODED_FEEDS_MAX, PARTS, Comparison
from gossip.session import Session
from gossip.sketch import CELL_BYTES, CHOICES, STRATA_BYTES, coded
from gossip.transitions import State
from tests.protocol.test_states import HELLO
from tests.protocol.wire import EVERYTHING, FIRST_DAY, SHOP, Replica, meet, talk


def compared_with_a_liar(replica: Replica) -> Session:
    """A session in a comparison, whose peer's turn it is."""
    session = replica.begin()
    for message in (HELLO, Admitted(EVERYTHING), Cursor(replica.log.database, 0)):
        session.receive(frames.encode(message), 0)
        if message is HELLO:
            session.admit(EVERYTHING)
    assert session.state is State.COMPARING
    return session


def filled() -> Replica:
    replica = Replica(1)
    for number in range(300):
        replica.write("day", 12, number % 3, day=FIRST_DAY + number // 3)
    for number in range(60):
        replica.write("roster", number, scope=ScopeClass.COMPANY)
    return replica


@pytest.mark.parametrize("seed", range(30))
def test_made_up_ranges_do_nothing_but_end_the_session(seed: int) -> None:
    dice = random.Random(seed)
    replica = filled()
    with replica.log.read() as reader:
        keys = [key for scope in sorted(EVERYTHING) for key, _ in reader.feeds(scope)]
    session = compared_with_a_liar(replica)

    def bound() -> bytes:
        key = dice.choice([*keys, dice.randbytes(dice.randrange(12)), b"", b"\xff" * 20])
        return key[: dice.choice([1, 2, 3, len(key), len(key)])] + dice.choice([b"", b"", b"\0", b"\xff"])

    for _ in range(20):
        runs: list[Run] = []
        for _ in range(dice.randrange(4)):
            low, *highs = sorted({bound() for _ in range(dice.randrange(2, 5))})
            parts: list[Part] = []
            below = low
            for high in highs:
                listed = sorted({key for key in dice.sample(keys, 5) if below <= key < high})
                heads = (Head(dice.randrange(1, 9), Hash(dice.randbytes(32))),)
                made_up = Fingerprint(dice.getrandbits(256), dice.randrange(3))
                said = dice.choice(
                    [
                        made_up,
                        Sampled(made_up, dice.randbytes(STRATA_BYTES)),
                        Sampled(made_up, bytes(STRATA_BYTES)),
                        Sketched(made_up, dice.randbytes(CHOICES * CELL_BYTES * dice.randrange(1, 30))),
                        Sketched(made_up, bytes(300 * CELL_BYTES)),
                        Named(dice.randbytes(8), (dice.getrandbits(31), 0)),
                        tuple(Listed(key, heads) for key in listed),
                    ]
                )
                parts.append(Part(high, said))
                below = high
            if parts:
                runs.append(Run(dice.randrange(2), low, tuple(parts)))
        events = session.receive(frames.encode(Ranges(tuple(runs))), 0)
        session.data_to_send()
        assert session.ended == any(isinstance(event, Ended) for event in events)
        if session.state is not State.COMPARING:
            break


def test_ranges_of_a_scope_that_is_not_shared_end_the_session() -> None:
    session = compared_with_a_liar(filled())
    events = session.receive(frames.encode(Ranges((Run(2, b"", (Part(None, Fingerprint()),)),))), 0)
    assert isinstance(events[-1], Ended)
    assert events[-1].reason is Reason.SCOPE


def test_a_peer_that_says_it_has_nothing_again_and_again_is_sent_it_only_as_far_as_the_window() -> None:
    replica = filled()
    session = compared_with_a_liar(replica)
    nothing = Ranges((Run(1, b"", (Part(None, Fingerprint()),)),))
    sent = 0
    for _ in range(50):
        session.receive(frames.encode(nothing), 0)
        sent += len(session.data_to_send())
    assert sent < 5 * (1 << 20)


def test_feeds_named_in_a_range_too_large_to_be_coded_have_it_cut_instead() -> None:
    replica, salt = Replica(1), b"8 bytes."
    day = [replica.sign("day", 12, number, day=FIRST_DAY, seq=1) for number in range(CODED_FEEDS_MAX + 1)]
    replica.log.append([Arrival(entry) for entry in day])
    with replica.log.read() as reader:
        named = coded(salt, [next(reader.feeds(SHOP))])[0]
        turn = Comparison([SHOP]).receive(reader, Ranges((Run(0, b"", (Part(None, Named(salt, (named.id,))),)),)))
    assert turn.sends == ()
    assert turn.ranges is not None
    (run,) = turn.ranges.runs
    assert [type(part.content) for part in run.parts] == [Fingerprint] * PARTS


def test_the_end_of_one_session_leaves_the_others_alone() -> None:
    left, right, liar = Replica(1), Replica(2), Replica(3)
    meet(left, right)
    good = left.session
    meet(liar, left)
    left.session.receive(b"\0\0\0\1\xff", 0)
    assert left.session.ended
    assert good.state is State.SHARING
    left.session = good
    entry = left.write("day", 12, day=FIRST_DAY)
    left.session.wake()
    talk(left, right)
    assert entry.hash in right.holds()


@pytest.mark.parametrize("seed", range(40))
def test_sessions_cut_anywhere_skip_nothing_and_cursors_alone_find_the_rest(seed: int) -> None:
    dice = random.Random(seed)
    replicas = [Replica(number, announce=bool(dice.randrange(2))) for number in (1, 2, 3)]
    for _ in range(12):
        left, right = dice.sample(replicas, 2)
        left.slow, right.slow = (bool(dice.randrange(2)) for _ in range(2))
        left.begin()
        right.begin()
        for _ in range(dice.randrange(30)):
            writer = dice.choice((left, right))
            if dice.randrange(3) == 0:
                feed = dice.choice(list(FeedType))
                writer.write(f"kind{int(feed)}", 12, day=FIRST_DAY + dice.randrange(4), feed=feed)
                writer.session.wake()
            if dice.randrange(4) == 0:
                writer.append_all()
            other = right if writer is left else left
            sent = writer.session.data_to_send()
            # The connection may break in the middle of what was sent.
            if dice.randrange(40) == 0:
                other.receive(sent[: dice.randrange(len(sent) + 1)])
                break
            other.receive(sent)
        for replica in (left, right):
            replica.take(replica.session.lost())
            # What was received and not appended is forgotten: the replica was switched off.
            replica.waiting.clear()
            replica.slow = False
            assert not [e for e in replica.got(Ended) if isinstance(e, Ended) and e.reason is not Reason.LOST]
    first, second, third = replicas
    # Twice round: what one got from another it may be sent by the third once more.
    for left, right in 2 * ((first, second), (second, third), (first, third)):
        meet(left, right)
    assert first.holds() == second.holds() == third.holds()
    for left, right in ((first, second), (second, third), (first, third)):
        meet(left, right)
        for replica in (left, right):
            assert replica.received_entries() == []
            assert all(isinstance(event, Compared) and event.equal for event in replica.got(Compared))


@pytest.mark.parametrize("seed", range(20))
def test_a_cursor_never_claims_what_is_not_there(seed: int) -> None:
    dice = random.Random(seed)
    left, right = Replica(1, announce=True), Replica(2)
    third = Replica(3)
    # Both cursors stand above 0 from here on, so that nothing but a cursor says what is missing.
    left.write("day", 12, day=FIRST_DAY)
    right.write("note", 12)
    meet(left, right)
    left.session.lost()
    right.session.lost()
    for _ in range(10):
        left.begin()
        right.begin()
        right.slow = True
        for _ in range(dice.randrange(1, 12)):
            if dice.randrange(2):
                left.takes([third.write("day", 12, day=FIRST_DAY + dice.randrange(9))], third.author)
            else:
                left.write("day", 12, day=FIRST_DAY + dice.randrange(9))
            left.session.wake()
            right.receive(left.session.data_to_send())
            if dice.randrange(3):
                left.receive(right.session.data_to_send())
            if dice.randrange(3) == 0:
                right.append_all()
        right.waiting.clear()
        left.session.lost()
        right.session.lost()
    right.slow = False
    meet(left, right)
    compared = [event for replica in (left, right) for event in replica.got(Compared)]
    assert compared
    assert all(isinstance(event, Compared) and event.equal for event in compared), "the cursor had skipped something"
    assert left.holds() == right.holds()
    assert sum(isinstance(message, Entries) for message in right.heard) <= 3
