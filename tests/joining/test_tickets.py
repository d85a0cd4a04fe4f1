"""Tickets, requests and answers: what may be read, changed or guessed, and by whom."""

from __future__ import annotations

import hashlib

import cbor2
import nacl.secret
import nacl.signing
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_pos.admitting import Pace
from crdt_pos.errors import EnrolmentRefused
from crdt_pos.tickets import (
    OPEN,
    Answer,
    Outcome,
    Request,
    Ticket,
    decode_answer,
    decode_seed,
    encode_answer,
    encode_seed,
    make_request,
    open_answer,
)
from gossip.address import Address
from merge_rules.lattice import Author
from peers.certificates import Company
from peers.keys import SecretKey

KEY = SecretKey(b"k" * 32)
TICKET = Ticket(Company(b"c" * 16), Author(b"o" * 8), "12-3", b"s" * 20, (Address("10.0.0.1", 7420),))
REQUEST = make_request(TICKET, KEY)
ANSWER = encode_answer(Answer(Outcome.ADMITTED, "", (b"chain", b"office"), b"root"), TICKET.secret, REQUEST)


@given(st.integers(0, len(TICKET.text()) - 1), st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"))
def test_a_ticket_with_a_letter_wrong_is_refused(at: int, letter: str) -> None:
    text = TICKET.text()
    wrong = text[:at] + letter + text[at + 1 :]
    if wrong != text and at >= len("CRDTPOS-"):
        with pytest.raises(EnrolmentRefused, match="copy it again"):
            Ticket.parse(wrong)


def test_a_ticket_survives_being_typed_in_groups_and_small_letters() -> None:
    text = TICKET.text().lower()
    assert Ticket.parse(" ".join(text[at : at + 5] for at in range(0, len(text), 5))) == TICKET


@pytest.mark.parametrize("text", ["", "hello", "CRDTPOS-", "CRDTPOS-1", "CRDTPOS-" + "A" * 3000])
def test_what_is_no_ticket_is_refused(text: str) -> None:
    with pytest.raises(EnrolmentRefused):
        Ticket.parse(text)


def test_a_ticket_shows_its_secret_to_nobody_who_prints_it() -> None:
    assert repr(TICKET.secret) not in repr(TICKET)
    assert TICKET.secret not in REQUEST
    assert TICKET.secret not in ANSWER


def test_a_request_opens_with_the_secret_of_its_ticket_and_with_no_other() -> None:
    request = Request.decode(REQUEST)
    assert request is not None
    assert (request.company, request.office, request.ticket) == (TICKET.company, TICKET.office, TICKET.id)
    assert request.opened(TICKET.secret) == KEY.public
    assert request.opened(b"t" * 20) is None


@given(st.integers(0, len(REQUEST) - 1), st.integers(1, 255))
def test_a_request_that_was_changed_anywhere_asks_for_nothing(at: int, flipped: int) -> None:
    changed = Request.decode(REQUEST[:at] + bytes([REQUEST[at] ^ flipped]) + REQUEST[at + 1 :])
    assert changed is None or changed.opened(TICKET.secret) is None


@given(st.integers(0, len(ANSWER) - 1), st.integers(1, 255))
def test_an_answer_that_was_changed_anywhere_lets_nobody_in(at: int, flipped: int) -> None:
    changed = ANSWER[:at] + bytes([ANSWER[at] ^ flipped]) + ANSWER[at + 1 :]
    answer = decode_answer(changed, TICKET.secret, REQUEST)
    assert answer is None or answer.outcome in OPEN


@given(st.binary(max_size=300))
def test_bytes_that_nobody_meant_are_neither_request_nor_answer(raw: bytes) -> None:
    request, answer = Request.decode(raw), decode_answer(raw, TICKET.secret, REQUEST)
    assert request is None or request.opened(TICKET.secret) is None
    assert answer is None or answer.outcome in OPEN


def test_an_answer_is_for_its_own_request_only() -> None:
    another = make_request(TICKET, SecretKey(b"l" * 32))
    assert decode_answer(ANSWER, TICKET.secret, another) is None
    assert decode_seed(encode_seed([b"entry"], TICKET.secret, REQUEST), TICKET.secret, another) is None
    assert decode_seed(encode_seed([b"entry"], TICKET.secret, REQUEST), TICKET.secret, REQUEST) == (b"entry",)


@pytest.mark.parametrize("outcome", sorted(OPEN))
def test_who_does_not_know_the_ticket_can_say_no_and_never_yes(outcome: Outcome) -> None:
    assert decode_answer(open_answer(outcome), TICKET.secret, REQUEST) == Answer(outcome)
    assert Outcome.ADMITTED not in OPEN


def test_one_source_is_heard_so_often_a_minute_and_takes_nothing_from_others() -> None:
    pace = Pace(3)
    assert [pace.allows("a", 0) for _ in range(5)] == [True, True, True, False, False]
    assert pace.allows("b", 0)
    assert not pace.allows("a", 59_999)
    assert pace.allows("a", 60_000)


def test_a_clock_that_is_set_back_locks_nobody_out() -> None:
    pace = Pace(1)
    assert pace.allows("a", 10**12)
    assert pace.allows("a", 0)


def by_the_specification(public: bytes, signing: nacl.signing.SigningKey) -> bytes:
    """A request as PROTOCOL.md §12 has it, with the primitives of other people."""
    outside = [TICKET.company, TICKET.office, TICKET.id]
    said = cbor2.dumps(["crdt-pos join", *outside, public], canonical=True)
    plain = cbor2.dumps([public, signing.sign(said).signature], canonical=True)
    box = nacl.secret.Aead(key_for(b"ask")).encrypt(plain, cbor2.dumps(outside, canonical=True))
    return cbor2.dumps([1, *outside, bytes(box)], canonical=True)


def key_for(purpose: bytes, request: bytes = b"") -> bytes:
    return hashlib.blake2b(request, digest_size=32, key=TICKET.secret, person=b"crdt-pos " + purpose).digest()


def test_a_request_made_by_the_specification_alone_is_understood_and_answered() -> None:
    signing = nacl.signing.SigningKey(b"k" * 32)
    raw = by_the_specification(bytes(signing.verify_key), signing)
    request = Request.decode(raw)
    assert request is not None
    assert request.opened(TICKET.secret) == bytes(signing.verify_key) == KEY.public
    answer = cbor2.loads(encode_answer(Answer(Outcome.REFUSED, "No."), TICKET.secret, raw))
    opened = nacl.secret.Aead(key_for(b"answer", raw)).decrypt(answer[1], b"")
    assert (answer[0], cbor2.loads(opened)) == (0, [4, "No.", [], b""])


def test_whoever_has_a_ticket_can_enrol_no_key_but_its_own() -> None:
    request = Request.decode(by_the_specification(KEY.public, nacl.signing.SigningKey(b"x" * 32)))
    assert request is not None
    assert request.opened(TICKET.secret) is None
