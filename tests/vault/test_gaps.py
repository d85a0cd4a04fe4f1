"""What is missing after a recovery is known by numbers and chains, whoever recovered and whatever was lost."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crdt_pos import enrolment
from crdt_pos.clock import system_ms
from crdt_pos.folder import Folder
from crdt_pos.gaps import LifeFound, lives_found, stretches
from crdt_pos.opening import PutBack, Vaulted, open_vaults, put_back, sealed_in
from crdt_pos.recovering import TILL_SCOPES, Listening
from crdt_pos.replica import RunningReplica
from crdt_pos.requests import LineRequest, SaleRequest
from crdt_pos.vault import Vault
from gossip.entry import Entry, decode
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
            with replica.log.read() as reader:
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
    assert (life.receipts, life.missing, life.complete, life.closed) == (SALES, 0, True, False)
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


@given(st.sets(st.integers(1, 200)))
@settings(max_examples=50)
def test_stretches_say_every_number_once(numbers: set[int]) -> None:
    found = list(stretches(numbers))
    assert {number for first, last in found for number in range(first, last + 1)} == numbers
    assert all(last + 1 < first for (_, last), (first, _) in itertools.pairwise(found))
