"""Every state × every message: what the table allows goes on, everything else ends the session with a reason."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gossip import frames
from gossip.document import Document
from gossip.entry import FeedId, Hash, Head
from gossip.events import Answered, Asked, Ended, PeerSaidHello
from gossip.limits import Limits
from gossip.log import Fingerprint, feed_key
from gossip.messages import (
    CODES,
    Admitted,
    Announce,
    Announcement,
    Answer,
    Ask,
    Bye,
    Cursor,
    Durable,
    Entries,
    Fingerprints,
    Hello,
    Message,
    Ping,
    Pong,
    Ranges,
    Want,
    Wanted,
)
from gossip.reasons import Reason
from gossip.session import Session
from gossip.transitions import TRANSITIONS, Act, State
from merge_rules.lattice import Author
from tests.protocol.wire import ACME, EVERYTHING, FIRST_DAY, Replica, meet, part, talk

PEER_DATABASE = b"\xff" * 16
"""Above ours, so that we would begin a comparison."""
KEY = feed_key(FeedId(Document("day", FIRST_DAY, (12,)), Author(b"stranger")))
HELLO = Hello(1, 1, ACME, Author(b"stranger"), PEER_DATABASE, 0, EVERYTHING)


def in_state(state: State) -> tuple[Replica, Session]:
    """A session that a peer, whose messages we make up, has brought to a state."""
    replica = Replica(1)
    session = replica.begin()

    def say(message: Message) -> None:
        session.receive(frames.encode(message), 0)

    if state is State.GREETING:
        return replica, session
    say(HELLO)
    if state is State.JUDGING:
        return replica, session
    if state is State.WELCOMED:
        say(Admitted(EVERYTHING))
        return replica, session
    session.admit(EVERYTHING)
    if state is State.WAITING:
        return replica, session
    say(Admitted(EVERYTHING))
    if state is State.CURSORS:
        return replica, session
    say(Cursor(replica.log.database, 0))
    # Something to acknowledge, a question to answer, a ping to return.
    replica.write("day", 12, day=FIRST_DAY)
    session.wake()
    session.data_to_send()
    assert session.ask("rights", b"", 0, 1_000) == 1
    session.tick(20_000)
    replica.session = session
    # Both logs were empty, so a comparison has begun and waits for the peer's turn.
    assert session.state is State.COMPARING
    if state is State.SHARING:
        say(Ranges(()))
    assert session.state is state
    return replica, session


MESSAGES: dict[type[Message], Message] = {
    Bye: Bye(Reason.DONE, ""),
    Hello: HELLO,
    Admitted: Admitted(EVERYTHING),
    Cursor: Cursor((1).to_bytes(16, "big"), 0),
    Entries: Entries(1, 0, 0, ()),
    Announce: Announce(1, 0, (Announcement(KEY, Head(1, Hash(b"h" * 32))),)),
    Want: Want(1, (Wanted(KEY, 0),)),
    Durable: Durable(1),
    Fingerprints: Fingerprints((Fingerprint(1, 1), Fingerprint(2, 2))),
    Ranges: Ranges(()),
    Ask: Ask(1, "certificate", b"x"),
    Answer: Answer(1, b"y"),
    Ping: Ping(9),
    Pong: Pong(1),
}
STATES = [state for state in State if state is not State.ENDED]
PAIRS = [(state, kind) for state in STATES for kind in CODES]


@pytest.mark.parametrize(
    ("state", "kind"), PAIRS, ids=lambda value: getattr(value, "name", getattr(value, "__name__", ""))
)
def test_the_table_says_what_is_legal(state: State, kind: type[Message]) -> None:
    _, session = in_state(state)
    events = session.receive(frames.encode(MESSAGES[kind]), 20_000)
    after = TRANSITIONS.get((state, kind))
    if after is None:
        assert [event for event in events if isinstance(event, Ended)] == [
            Ended(Reason.UNEXPECTED, by_peer=False, why=f"{kind.__name__.upper()} while {state.value}")
        ]
        assert last_bye(session).reason == Reason.UNEXPECTED
        assert session.state is State.ENDED
    elif after is State.ENDED:
        assert events[-1] == Ended(Reason.DONE, by_peer=True, why="")
    elif kind is Ranges:
        # The peer had nothing to say, so the comparison ends.
        assert session.state is State.SHARING
    elif (state, kind) == (State.COMPARING, Fingerprints):
        # Both began: ours goes on, since our log's id is the lower.
        assert session.state is State.COMPARING
    else:
        # With both cursors there, our side begins the first comparison.
        assert session.state is (State.COMPARING if kind is Cursor else after)
        assert not any(isinstance(event, Ended) for event in events)


@pytest.mark.parametrize("state", STATES)
def test_the_node_can_end_a_session_in_every_state(state: State) -> None:
    _, session = in_state(state)
    assert session.end(Reason.REVOKED, "no more")[-1] == Ended(Reason.REVOKED, by_peer=False, why="no more")
    assert last_bye(session) == Bye(Reason.REVOKED, "no more")


@pytest.mark.parametrize("state", STATES)
def test_the_connection_can_be_lost_in_every_state(state: State) -> None:
    _, session = in_state(state)
    assert session.lost()[-1] == Ended(Reason.LOST, by_peer=False, why="the connection went away")


@pytest.mark.parametrize("kind", list(CODES))
def test_nothing_follows_the_end(kind: type[Message]) -> None:
    _, session = in_state(State.SHARING)
    session.end()
    session.data_to_send()
    assert session.receive(frames.encode(MESSAGES[kind]), 0) == []
    assert (
        session.tick(10**9) == session.lost() == session.end() == session.admit(EVERYTHING) == session.appended(1) == []
    )
    assert session.ask("rights", b"", 0, 1) == 0
    session.answer(1, b"")
    session.wake()
    session.compare()
    assert session.data_to_send() == b""


def test_every_state_but_the_first_can_be_reached() -> None:
    assert set(TRANSITIONS.values()) | {State.GREETING} == set(State)
    assert {cause for _, cause in TRANSITIONS} == set(CODES) | set(Act)


def last_bye(session: Session) -> Bye:
    messages = [message for message, _ in frames.Frames().feed(session.data_to_send())]
    bye = messages[-1]
    assert isinstance(bye, Bye)
    return bye


# HELLO


def hello(**changed: object) -> Hello:
    fields = {name: getattr(HELLO, name) for name in Hello.__slots__}
    return Hello(**(fields | changed))  # type: ignore[arg-type]


@pytest.mark.parametrize(("low", "high"), [(1, 1), (1, 9)])
def test_overlapping_version_ranges_agree_on_the_highest_both_speak(low: int, high: int) -> None:
    session = Replica(1).begin()
    (event,) = session.receive(frames.encode(hello(version_min=low, version_max=high)), 0)
    assert isinstance(event, PeerSaidHello)
    assert session.version == 1


def test_disjoint_version_ranges_end_the_session_and_say_what_we_speak() -> None:
    session = Replica(1).begin()
    (event,) = session.receive(frames.encode(hello(version_min=2, version_max=3)), 0)
    assert event == Ended(Reason.VERSION, by_peer=False, why="I speak 1 to 1, you 2 to 3")
    assert last_bye(session).reason == Reason.VERSION


def test_a_hello_of_a_later_version_may_have_more_fields() -> None:
    session = Replica(1).begin()
    content = frames.canonical.encode([*frames.canonical.decode(frames.encode(HELLO)[4:]), "new", 7])  # type: ignore[misc]
    (event,) = session.receive(len(content).to_bytes(4, "big") + content, 0)
    assert event == PeerSaidHello(HELLO)


def test_a_peer_of_another_company_is_refused_with_the_reason_on_both_sides() -> None:
    left, right = Replica(1), Replica(2, company=b"other")
    meet(left, right)
    ends = [replica.events[-1] for replica in (left, right)]
    assert all(isinstance(end, Ended) and end.reason is Reason.COMPANY for end in ends)
    assert not left.got(PeerSaidHello)


def test_the_node_may_refuse_a_peer_and_its_reason_arrives() -> None:
    left, right = Replica(1, admit=lambda _: Reason.REVOKED), Replica(2)
    meet(left, right)
    assert right.events[-1] == Ended(Reason.REVOKED, by_peer=True, why="")


def test_a_replica_does_not_talk_to_itself_or_to_a_copy_of_its_disk() -> None:
    left, right = Replica(1), Replica(1)
    meet(left, right)
    assert isinstance(left.events[-1], Ended)
    assert left.events[-1].reason is Reason.SELF
    copy = Replica(2)
    copy.reset(database=1)
    meet(left, copy)
    assert isinstance(copy.events[-1], Ended)
    assert copy.events[-1].reason is Reason.SELF


# Violations while sharing


VIOLATIONS: dict[str, tuple[Message, Reason]] = {
    "a batch out of order": (Entries(2, 0, 0, ()), Reason.MALFORMED),
    "bytes that are no entry": (Entries(1, 0, 0, (b"x",)), Reason.BAD_ENTRY),
    "an answer to no want": (Entries(1, 0, 3, ()), Reason.MALFORMED),
    "a want out of order": (Want(2, (Wanted(KEY, 0),)), Reason.MALFORMED),
    "durable for no batch": (Durable(7), Reason.MALFORMED),
    "an answer to no question": (Answer(5, b""), Reason.MALFORMED),
    "a question out of order": (Ask(5, "rights", b""), Reason.MALFORMED),
    "a pong without ping": (Pong(77), Reason.MALFORMED),
    "fingerprints of other scopes": (Fingerprints(()), Reason.SCOPE),
}


@pytest.mark.parametrize("name", VIOLATIONS)
def test_a_violation_ends_the_session_with_its_reason(name: str) -> None:
    message, reason = VIOLATIONS[name]
    _, session = in_state(State.SHARING)
    ended = session.receive(frames.encode(message), 20_000)[-1]
    assert isinstance(ended, Ended)
    assert ended.reason is reason
    assert last_bye(session).reason == reason


def test_an_entry_of_a_scope_that_is_not_shared_ends_the_session() -> None:
    _, session = in_state(State.SHARING)
    entry = Replica(9).write("day", 13, day=FIRST_DAY)
    ended = session.receive(frames.encode(Entries(1, 0, 0, (entry.raw,))), 20_000)[-1]
    assert isinstance(ended, Ended)
    assert ended.reason is Reason.SCOPE


def test_more_batches_than_the_windows_allow_end_the_session() -> None:
    _, session = in_state(State.SHARING)
    writer = Replica(9)
    for number in range(1, 2 * Limits().window_batches_max + 2):
        entry = writer.write("day", 12, day=FIRST_DAY)
        events = session.receive(frames.encode(Entries(number, 0, 0, (entry.raw,))), 20_000)
    assert isinstance(events[-1], Ended)
    assert events[-1].reason is Reason.TOO_MUCH


def flood(make: Callable[[int], Message], most: int) -> Reason:
    _, session = in_state(State.SHARING)
    for number in range(1, most + 2):
        assert not session.ended
        events = session.receive(frames.encode(make(number)), 20_000)
    assert isinstance(events[-1], Ended)
    return events[-1].reason


def test_more_wants_or_questions_than_allowed_end_the_session() -> None:
    assert flood(lambda number: Want(number, (Wanted(KEY, 0),)), Limits().wants_max) is Reason.TOO_MUCH
    assert flood(lambda number: Ask(number, "rights", b""), Limits().questions_max) is Reason.TOO_MUCH


def test_a_feed_of_a_scope_that_is_not_shared_is_not_sent_to_whoever_wants_it() -> None:
    replica, session = in_state(State.SHARING)
    secret = replica.write("day", 13, day=FIRST_DAY)
    session.receive(frames.encode(Want(1, (Wanted(feed_key(secret.feed_id), 0),))), 20_000)
    (message,) = [
        message for message, _ in frames.Frames().feed(session.data_to_send()) if isinstance(message, Entries)
    ]
    assert message.items == ()
    assert message.answers == 1


# Questions


def test_a_question_is_answered() -> None:
    left, right = Replica(1), Replica(2)
    meet(left, right)
    id_ = left.session.ask("rights", b"500", 0, 1_000)
    talk(left, right)
    assert right.got(Asked) == [Asked(id_, "rights", b"500")]
    right.session.answer(id_, b"340")
    talk(left, right)
    assert left.got(Answered) == [Answered(id_, b"340")]


def test_an_answer_after_the_deadline_is_let_go() -> None:
    left, right = Replica(1), Replica(2)
    meet(left, right)
    id_ = left.session.ask("rights", b"", 0, 1_000)
    talk(left, right)
    left.take(left.session.tick(1_000))
    assert left.got(Answered) == [Answered(id_, None)]
    right.session.answer(id_, b"late")
    talk(left, right)
    assert len(left.got(Answered)) == 1
    assert not left.got(Ended)


def test_questions_are_bounded_on_the_asking_side_too() -> None:
    left, right = Replica(1, limits=Limits(questions_max=2)), Replica(2)
    meet(left, right)
    assert [left.session.ask("rights", b"", 0, 1) for _ in range(3)] == [1, 2, 0]


def test_open_questions_are_answered_with_nothing_when_the_session_ends() -> None:
    left, right = Replica(1), Replica(2)
    meet(left, right)
    id_ = left.session.ask("rights", b"", 0, 1)
    part(right, left)
    assert Answered(id_, None) in left.events


# Time


def test_a_handshake_that_takes_too_long_ends() -> None:
    session = Replica(1).begin(now_ms=1_000)
    assert session.tick(11_000) == []
    (ended,) = session.tick(11_001)
    assert isinstance(ended, Ended)
    assert ended.reason is Reason.TIMEOUT


def test_a_quiet_peer_is_pinged_once_and_its_pong_keeps_the_session() -> None:
    left, right = Replica(1), Replica(2)
    meet(left, right)
    for now_ms in range(0, 200_000, 1_000):
        left.take(left.session.tick(now_ms))
        right.take(right.session.tick(now_ms))
        talk(left, right, now_ms)
    assert not left.got(Ended)
    assert 10 < sum(isinstance(message, Ping) for message in [*left.heard, *right.heard]) < 30


def test_a_silent_peer_is_given_up() -> None:
    left, right = Replica(1), Replica(2)
    meet(left, right)
    assert left.session.tick(45_000) == []
    (ended,) = left.session.tick(45_001)
    assert ended == Ended(Reason.TIMEOUT, by_peer=False, why="nothing heard")
