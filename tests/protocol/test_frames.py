"""Frames: one encoding, bounds on everything, and no bytes that do more than end the session."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gossip import frames
from gossip.document import Scope
from gossip.entry import Hash, Head
from gossip.errors import ProtocolError
from gossip.events import Ended
from gossip.log import Fingerprint
from gossip.messages import (
    CODES,
    FRAME_BYTES_MAX,
    Admitted,
    Answer,
    Bye,
    Durable,
    Entries,
    Hello,
    Listed,
    Message,
    Named,
    Part,
    Patch,
    Ranges,
    Refused,
    Run,
    Sampled,
    Sketched,
)
from gossip.reasons import Reason
from gossip.transitions import State
from merge_rules import canonical
from tests.protocol.test_states import KEY, MESSAGES, in_state

HEAD = Head(1, Hash(b"h" * 32))
MORE: list[Message] = [
    Entries(3, 9, 2, (b"entry", Patch(KEY, b"changes"))),
    Durable(3, (Refused(HEAD.hash, "bad signature"),)),
    Answer(1, None),
    Hello(1, 2, b"acme", MESSAGES[Hello].author, b"d" * 16, 5, frozenset(), frozenset({"x"}), (b"der", b"der2")),  # type: ignore[attr-defined]
    Ranges((Run(0, b"", (Part(KEY, Fingerprint(5, 1)), Part(None, (Listed(KEY, (HEAD,)),)))),)),
    Ranges((Run(0, b"", (Part(KEY, Sampled(Fingerprint(5, 1), bytes(512))), Part(None, Named(b"8 bytes.", (1, 2))))),)),
    Ranges((Run(0, b"", (Part(None, Sketched(Fingerprint(5, 1), bytes(66))),)),)),
]


@pytest.mark.parametrize("message", [*MESSAGES.values(), *MORE], ids=lambda message: type(message).__name__)
def test_every_message_survives_its_frame(message: Message) -> None:
    frame = frames.encode(message)
    assert list(frames.Frames().feed(frame)) == [(message, len(frame))]


def content(message: Message) -> list[object]:
    return canonical.decode(frames.encode(message)[4:])  # type: ignore[return-value]


@pytest.mark.parametrize("kind", list(CODES))
def test_a_field_too_few_is_refused(kind: type[Message]) -> None:
    refused(canonical.encode(content(MESSAGES[kind])[:-1]))


@pytest.mark.parametrize("kind", [kind for kind in CODES if kind not in (Bye, Hello)])
def test_a_field_too_many_is_refused_except_in_hello_and_bye(kind: type[Message]) -> None:
    refused(canonical.encode([*content(MESSAGES[kind]), 0]))


@pytest.mark.parametrize("kind", list(CODES))
@pytest.mark.parametrize(
    "wrong", [-1, 2**53 + 1, True, {}, {0: 0}, b"", b"x" * 300, [[]], [[1, 2]], "é" * 150, [b"a", b"a"]]
)
def test_a_field_out_of_bounds_is_refused_or_means_what_it_says(kind: type[Message], wrong: object) -> None:
    fields = content(MESSAGES[kind])
    reasons: set[Reason] = set()
    for at in range(1, len(fields)):
        changed = canonical.encode([*fields[:at], wrong, *fields[at + 1 :]])
        try:
            message = frames.decode(changed)
        except ProtocolError as error:
            reasons.add(error.reason)
        else:
            assert frames.encode(message)[4:] == changed
    assert reasons <= {Reason.MALFORMED}


def refused(encoded: bytes, reason: Reason = Reason.MALFORMED) -> None:
    with pytest.raises(ProtocolError) as raised:
        frames.decode(encoded)
    assert raised.value.reason is reason


def test_bytes_that_are_not_canonical_are_refused() -> None:
    assert frames.decode(bytes.fromhex("820c01"))
    refused(bytes.fromhex("820c1801"))
    refused(bytes.fromhex("820c0100"))
    refused(b"")


def test_unknown_types_are_refused() -> None:
    refused(canonical.encode([14, 0]))
    refused(canonical.encode(["hello"]))


def test_ranges_out_of_order_and_lists_outside_their_range_are_refused() -> None:
    for parts in (
        [Part(b"b", Fingerprint(1, 1)), Part(b"a", Fingerprint(1, 1))],
        [Part(None, Fingerprint(1, 1)), Part(b"a", Fingerprint(1, 1))],
        [Part(b"\0", (Listed(KEY, (HEAD,)),))],
        [Part(None, (Listed(KEY, (HEAD,)), Listed(KEY, (HEAD,))))],
    ):
        refused(frames.encode(Ranges((Run(0, b"", tuple(parts)),)))[4:])


def test_a_feed_key_that_names_no_document_is_refused() -> None:
    no_kind = b"\0\0" + canonical.encode([1]) + b"12345678"
    month_of_no_day = b"\0\0" + canonical.encode([20_000, "day"]) + b"12345678"
    for key in (b"12345678", no_kind, month_of_no_day):
        refused(canonical.encode([6, 1, [[key, 0]]]))


def test_a_frame_longer_than_the_limit_is_refused_before_it_is_read() -> None:
    reader = frames.Frames()
    assert list(reader.feed(FRAME_BYTES_MAX.to_bytes(4, "big"))) == []
    with pytest.raises(ProtocolError) as raised:
        list(frames.Frames().feed((FRAME_BYTES_MAX + 1).to_bytes(4, "big")))
    assert raised.value.reason is Reason.TOO_LARGE


def test_reason_codes_of_later_versions_are_understood_as_other() -> None:
    assert Reason.of(200) is Reason.OTHER
    assert Reason.of(255) is Reason.OTHER
    assert Reason.of(6) is Reason.COMPANY


def test_scopes_have_one_order_on_the_wire() -> None:
    assert frames.decode(frames.encode(Admitted(frozenset({Scope("b"), Scope("a")})))[4:])
    refused(canonical.encode([2, ["b", "a"]]))
    refused(canonical.encode([2, ["a", "a"]]))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([state for state in State if state is not State.ENDED]), st.binary(max_size=200))
def test_random_bytes_do_nothing_but_end_the_session(state: State, received: bytes) -> None:
    _, session = in_state(state)
    events = session.receive(received, 20_000)
    assert session.ended == any(isinstance(event, Ended) for event in events)
    events = session.receive(b"\xff" * 5, 20_000)
    assert session.ended
    assert session.receive(received, 20_000) == []


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.recursive(
            st.none() | st.booleans() | st.integers(0, 2**54) | st.binary(max_size=40) | st.text(max_size=8),
            lambda inner: st.lists(inner, max_size=4),
            max_leaves=12,
        ),
        max_size=9,
    ),
    st.integers(0, 13),
)
def test_random_values_in_the_place_of_fields_do_nothing_but_end_the_session(values: list[object], code: int) -> None:
    encoded = canonical.encode([code, *values])
    _, session = in_state(State.COMPARING)
    events = session.receive(len(encoded).to_bytes(4, "big") + encoded, 20_000)
    assert session.ended == any(isinstance(event, Ended) for event in events)


def test_flipped_bits_in_real_messages_do_nothing_but_end_the_session() -> None:
    dice = random.Random(7)
    for _ in range(400):
        message = dice.choice([*MESSAGES.values(), *MORE])
        frame = bytearray(frames.encode(message))
        frame[dice.randrange(4, len(frame))] ^= 1 << dice.randrange(8)
        _, session = in_state(dice.choice([State.SHARING, State.COMPARING]))
        events = session.receive(bytes(frame), 20_000)
        session.data_to_send()
        assert session.ended == any(isinstance(event, Ended) for event in events)
