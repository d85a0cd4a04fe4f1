"""What is missing after a recovery is known by numbers and chains, whoever recovered and whatever was lost."""

from __future__ import annotations

import datetime
import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crdt_pos import enrolment
from crdt_pos.clock import system_ms
from crdt_pos.commands.recovered import life_json, life_lines
from crdt_pos.folder import Folder
from crdt_pos.gaps import LifeFound, gaps, lives_found
from crdt_pos.opening import PutBack, Vaulted, open_vaults, put_back, sealed_in
from crdt_pos.receipt import Receipt, Skipped
from crdt_pos.recovering import TILL_SCOPES, Listening
from crdt_pos.replica import RunningReplica
from crdt_pos.requests import LineRequest, SaleRequest
from crdt_pos.vault import Vault
from gossip.entry import SEQ_MAX, Entry, Head, decode, sign
from peers.keys import SealingKey
from tests.node.company import Company
from tests.node.company import settings as folder_settings

KEY = SealingKey(b"r" * 32)
SALES = 6


@dataclass
class Shop:
    """A till with six receipts, each in a segment of its own, and the folder of its next life."""

    company: Company
    next_life: Folder
    vaulted: Vaulted

    def put_back(self, *vaults: Vaulted) -> tuple[PutBack, LifeFound]:
        replica = Listening(self.next_life)
        try:
            put = put_back(replica, sealed_in(vaults), TILL_SCOPES)
            with replica.log.read() as reader, _memory_at_most(1 << 28):
                (life,) = lives_found(reader, replica.trust.directory, vaults, [12])
            return put, life
        finally:
            replica.close()


@pytest.fixture
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    company = Company.found(tmp_path_factory.mktemp("company"), "12-1")
    till = RunningReplica(company.tills["12-1"])
    assert till.till is not None
    vault = Vault(till.log, till.identity(), KEY.public, till.trust.record)
    till.till.open_date()
    for cents in range(SALES):
        till.till.sell(SaleRequest((LineRequest(0, name="bread", unit_price_minor=100 + cents),)))
        assert vault.seal(system_ms()) == 1
    with till.log.read() as reader:
        (vaulted,) = open_vaults(reader, KEY)
    till.close()
    path = company.at / "next"
    new = enrolment.enrol_till(company.office, 12, 1, path, folder_settings(), system_ms(), again=True)
    return Shop(company, new, vaulted)


def _act(vaulted: Vaulted, seq: int) -> Entry:
    return next(one for one in vaulted.entries.values() if one.document.kind == "journal" and one.seq == seq)


def test_what_was_sealed_is_back_with_nothing_missing(shop: Shop) -> None:
    put, life = shop.put_back(shop.vaulted)
    assert put.new["journal"] == SALES + 1
    assert (put.forged, put.unknown, put.refused, put.waiting) == (0, 0, 0, 0)
    assert (life.receipts, life.missing, life.complete) == (SALES, 0, True)
    assert (life.name, life.incarnation, life.segments) == ("12-1", "a1", SALES)
    again, _ = shop.put_back(shop.vaulted)
    assert not again.new


def test_a_segment_that_cannot_be_opened_shows_as_exactly_its_acts_and_numbers(shop: Shop) -> None:
    vaulted = shop.vaulted
    del vaulted.entries[_act(vaulted, 4).hash]
    vaulted.unopened[3] = "damaged"
    put, life = shop.put_back(vaulted)
    assert put.waiting == 3  # what comes after the gap cannot be appended; it is counted all the same
    (date,) = life.dates
    assert date.missing == ((4, 4),)
    assert (date.acts, date.known, date.chained) == (SALES, SALES + 1, True)
    assert [one.missing for one in life.numbers] == [((3, 3),)]
    assert not life.complete


def test_the_newest_segment_says_what_is_missing_at_the_end_though_no_entry_does(shop: Shop) -> None:
    vaulted = shop.vaulted
    vaulted.entries = {hash_: one for hash_, one in vaulted.entries.items() if one.seq < 5 or one.document.day == 0}
    _, life = shop.put_back(vaulted)
    assert [date.missing for date in life.dates] == [((5, SALES + 1),)]
    assert not life.complete


def test_an_entry_that_was_not_signed_by_whose_name_it_bears_is_left_out(shop: Shop) -> None:
    some = _act(shop.vaulted, 7)
    raw = some.raw[:-1] + bytes([some.raw[-1] ^ 1])
    forged = decode(raw)
    vaulted = shop.vaulted
    del vaulted.entries[some.hash]
    vaulted.entries[forged.hash] = forged
    put, _ = shop.put_back(vaulted)
    assert put.forged == 1
    assert put.new["journal"] == SALES


def test_numbers_that_a_lying_till_claims_cost_neither_time_nor_memory(shop: Shop) -> None:
    newest = _act(shop.vaulted, SALES + 1)
    receipt = Receipt.from_body(newest.body)
    far = replace(receipt, n=2**53 - 1, skipped=(Skipped(receipt.series, 1_000, 2**52), Skipped(receipt.series, 9, 8)))
    claimed = _signed_again(shop, newest, 2**39, far)
    shop.vaulted.entries[claimed.hash] = claimed
    shop.vaulted.journals[newest.document.day] = Head(SEQ_MAX, newest.hash)
    put, life = shop.put_back(shop.vaulted)
    assert put.waiting == 1
    (date,) = life.dates
    assert date.missing == ((SALES + 2, 2**39 - 1), (2**39 + 1, SEQ_MAX))
    assert [one.missing for one in life.numbers] == [((SALES + 1, 999), (2**52 + 1, 2**53 - 2))]
    assert life.missing == SEQ_MAX - SALES - 2
    assert len(json.dumps(life_json(life))) < 2_000


def test_what_is_printed_of_gaps_is_bounded_and_says_what_it_leaves_out(shop: Shop) -> None:
    _, life = shop.put_back(shop.vaulted)
    (date,) = life.dates
    holes = tuple((number, number) for number in range(2, 2_002, 2))
    dates = tuple(
        replace(date, date=datetime.date(2026, 1, 1) + datetime.timedelta(days=day), missing=holes)
        for day in range(300)
    )
    lines = list(life_lines([replace(life, dates=dates)], 80))
    assert len(lines) < 110
    assert "and 900 more stretches" in lines[2]
    assert lines[-1].endswith("200 more dates with gaps: --json lists them.\x1b[0m")
    told = life_json(replace(life, dates=dates))["dates"]
    assert isinstance(told, list)
    assert (len(told), told[0]["missing_acts"], len(told[0]["missing"])) == (300, 1_000, 100)


def test_a_closed_date_does_not_say_that_nothing_came_after(shop: Shop) -> None:
    _, life = shop.put_back(shop.vaulted)
    (date,) = life.dates
    for closed in (True, False):
        found = replace(life, dates=(replace(date, closed=closed),), sealed_ms=1_763_820_000_000)
        said = " ".join(life_lines([found], 120))
        assert "up to its last seal on 2025-11-2" in said
        assert "nothing came after" not in said
        assert life_json(found)["last_seal_heard_ms"] == 1_763_820_000_000
        assert "closed" not in life_json(found)


def test_a_life_of_which_no_seal_was_heard_or_whose_clock_is_out_of_all_bounds_is_told_as_that(shop: Shop) -> None:
    _, life = shop.put_back(shop.vaulted)
    assert "no seal of it was heard" in " ".join(life_lines([replace(life, sealed_ms=0)], 120))
    assert "its last seal, of no date" in " ".join(life_lines([replace(life, sealed_ms=2**48 - 1)], 120))


def _signed_again(shop: Shop, act: Entry, seq: int, receipt: Receipt) -> Entry:
    """Another act in the place of ``act``'s successors, signed by the same till."""
    key = shop.company.tills["12-1"].key
    return sign(key, act.author, act.document, act.feed, act.scope, seq, act.stamp, receipt.body(), previous=act.hash)


@contextmanager
def _memory_at_most(more: int) -> Iterator[None]:
    """A test that fills the memory fails instead of the machine. ``more``: bytes beyond what is mapped now."""
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (mapped + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@given(st.sets(st.tuples(st.integers(1, 100), st.integers(0, 20))), st.integers(100, 150))
@settings(max_examples=50)
def test_gaps_are_exactly_the_numbers_that_are_not_held(held: set[tuple[int, int]], last: int) -> None:
    stretches = [(first, min(first + length, last)) for first, length in held]
    numbers = {number for first, end in stretches for number in range(first, end + 1)}
    found = list(gaps(stretches, last))
    assert [number for first, end in found for number in range(first, end + 1)] == sorted(
        set(range(1, last + 1)) - numbers
    )
