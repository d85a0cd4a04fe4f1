"""Made-up proofs cost their readers once, and are never in the way of a real one."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path

import pytest

from crdt_pos.accused import PAUSE_MAX_MS, PAUSE_MIN_MS, QUOTA, Asking
from crdt_pos.folder import Folder
from crdt_pos.forks import FORKS_DOCUMENT, PAIRS_AT_ONCE, accused_by, judge, judge_waiting, liars, opened, publishers
from crdt_pos.schema import SCHEMA
from gossip.document import Document, FeedType, ScopeClass
from gossip.entry import Entry, sign
from gossip.ingest import AuthorLookup, AuthorRecord
from gossip.log import Arrival, View
from gossip.log_memory import MemoryLog
from merge_rules import canonical
from merge_rules.lattice import Author
from peers.keys import SecretKey, author_of
from peers.permissions import Role
from tests.node.company import Company, Stranger, introduce, running, until
from tools.liar import signed_day

DATE = datetime.date(2026, 11, 19)
MADE_UP = 80
KEYS = {author_of(key.public, "a1"): key for key in (SecretKey(bytes([n] * 32)) for n in (1, 2, 3, 4))}
WITNESS, SLANDERER, LIAR, HONEST = KEYS


def pair(accused: Author, key: SecretKey, number: int = 1) -> list[bytes]:
    """Two entries in the name of ``accused`` that contradict each other."""
    document = Document("note", keys=(number,))
    said = (
        sign(key, accused, document, FeedType.WHOLE, ScopeClass.COMPANY, 1, 1, one, None).raw for one in ("yes", "no")
    )
    return sorted(said)


def stated(publisher: Author, key: SecretKey, pairs: list[list[bytes]]) -> Entry:
    body = sorted(pairs, key=canonical.encode)
    return sign(key, publisher, FORKS_DOCUMENT, FeedType.WHOLE, ScopeClass.COMPANY, 1, 1, body, None)


def made_up(key: SecretKey, count: int = MADE_UP) -> list[list[bytes]]:
    """Pairs that accuse authors who do not exist, whose ids come before all real ones."""
    return [pair(Author(number.to_bytes(8, "big")), key) for number in range(1, count + 1)]


def log_with(*entries: Entry) -> MemoryLog:
    log = MemoryLog(SCHEMA)
    judge_all(log, lambda _: None)
    arrivals = [Arrival(entry) for entry in entries]
    with log.read() as reader:
        views = opened(reader, arrivals)
    log.append(arrivals, views)
    return log


def judge_all(log: MemoryLog, lookup: AuthorLookup) -> int:
    """Judge what is open; in how many goes."""
    for goes in range(1000):
        with log.read() as reader:
            views = judge(reader, lookup)
        if not views:
            return goes
        log.append([], views)
    raise AssertionError


@pytest.fixture(params=[True, False], ids=["opened when they came", "here since before"])
def slandered(request: pytest.FixtureRequest) -> Iterator[MemoryLog]:
    """A log in which an unknown one is accused a thousand times, and one true proof stands."""
    entries = (
        stated(SLANDERER, KEYS[SLANDERER], made_up(KEYS[SLANDERER], 3 * PAIRS_AT_ONCE)),
        stated(WITNESS, KEYS[WITNESS], [pair(LIAR, KEYS[LIAR])]),
    )
    if request.param:
        yield log_with(*entries)
    else:
        log = MemoryLog(SCHEMA)
        log.append([Arrival(entry) for entry in entries])
        yield log


async def test_80_made_up_pairs_do_not_keep_a_real_liar_from_being_judged_in_another_store(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1", "12-2", "13-1")
    liar, slanderer = company.tills["12-1"], company.tills["12-2"]
    slander = stated(slanderer.certificate.author, slanderer.key, made_up(slanderer.key))
    days = [signed_day(liar, DATE, amount) for amount in (12_00, 34_00)]
    async with running(company.office, company.tills["13-1"]) as (office, till):
        await introduce(till, office)
        await tell(slanderer, office, slander)
        await until(till, lambda: till.asking.again_ms(till.system_ms()) is not None)
        await tell(liar, office, *days)
        await until(till, lambda: till.trust.record(liar.certificate.author) is not None)

        def judged() -> bool:
            with till.log.read() as reader:
                return liars(reader) == {liar.certificate.author}

        await until(till, judged)


async def test_proofs_are_judged_while_a_sale_holds_the_writers_turn(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1")
    looked: list[Author] = []
    async with running(company.tills["12-1"]) as (till,):

        def settled() -> bool:
            with till.log.read() as reader:
                return till.may_act() and not judge(reader, till.trust.record)

        await until(till, settled)
        record = till.trust.record

        def watched(author: Author) -> AuthorRecord | None:
            looked.append(author)
            return record(author)

        till.trust.record = watched  # type: ignore[method-assign]
        slander = Arrival(stated(SLANDERER, KEYS[SLANDERER], made_up(KEYS[SLANDERER])))
        async with till.node._writing:
            with till.log.read() as reader:
                views = opened(reader, [slander])
            till.log.append([slander], views)
            till.prove_soon([])
            await until(till, lambda: len(looked) >= MADE_UP)
            with till.log.read() as reader:
                assert list(publishers(reader)) == []
        await until(till, lambda: till.asking.again_ms(till.system_ms()) is not None)


async def tell(folder: Folder, replica: object, *entries: Entry) -> None:
    stranger = Stranger(folder)
    stranger.offers(*entries)
    async with stranger.at(replica):  # type: ignore[arg-type]
        await stranger.until_settled(*entries)


def test_slander_of_a_known_author_is_verified_once_and_counts_against_nobody() -> None:
    log = log_with(stated(SLANDERER, KEYS[SLANDERER], [pair(HONEST, KEYS[SLANDERER], n) for n in range(1, 6)]))
    asked: list[Author] = []

    def lookup(author: Author) -> AuthorRecord:
        asked.append(author)
        return AuthorRecord(KEYS[author].public, Role.TILL, 12)

    assert judge_all(log, lookup) == 1
    assert asked == [HONEST] * 5
    assert judge_all(log, lookup) == 0
    with log.read() as reader:
        assert liars(reader) == frozenset()
        assert list(publishers(reader)) == []


def test_pairs_are_judged_so_many_at_a_time_and_each_once(slandered: MemoryLog) -> None:
    assert judge_all(slandered, lambda _: None) >= 3
    assert judge_all(slandered, lambda _: None) == 0
    with slandered.read() as reader:
        assert set(publishers(reader)) == {SLANDERER, WITNESS}
        assert list(accused_by(reader, WITNESS)) == [LIAR]
        assert len(list(accused_by(reader, SLANDERER))) == 3 * PAIRS_AT_ONCE


def test_a_pair_that_waits_is_judged_when_the_certificate_comes(slandered: MemoryLog) -> None:
    judge_all(slandered, lambda _: None)
    known = {LIAR: AuthorRecord(KEYS[LIAR].public, Role.TILL, 12)}
    with slandered.read() as reader:
        views: list[View] = judge_waiting(reader, known.get, WITNESS, LIAR)
    slandered.append([], views)
    with slandered.read() as reader:
        assert liars(reader) == {LIAR}
        assert list(publishers(reader)) == [SLANDERER]


def test_each_publisher_has_its_quota_in_a_round_its_rotation_and_pauses_that_grow(slandered: MemoryLog) -> None:
    judge_all(slandered, lambda _: None)
    asking, now_ms, seen, pauses = Asking(), 0, list[Author](), list[int]()
    with slandered.read() as reader:
        first = asking.round(reader, now_ms)
        assert (WITNESS, LIAR) in first
        assert len(first) == QUOTA + 1
        assert asking.round(reader, now_ms) == []
        for _ in range(3 * PAIRS_AT_ONCE // QUOTA):
            seen += [accused for publisher, accused in first if publisher == SLANDERER]
            pauses.append(asking.again_ms(now_ms) or 0)
            now_ms += pauses[-1]
            first = asking.round(reader, now_ms)
        assert seen == list(accused_by(reader, SLANDERER))
        assert [accused for publisher, accused in first if publisher == SLANDERER] == seen[:QUOTA]
    assert pauses[:3] == [PAUSE_MIN_MS, 2 * PAUSE_MIN_MS, 4 * PAUSE_MIN_MS]
    assert pauses[-1] == PAUSE_MAX_MS


def test_a_clock_that_is_set_back_does_not_put_off_a_round_by_more_than_its_pause(slandered: MemoryLog) -> None:
    judge_all(slandered, lambda _: None)
    asking = Asking()
    with slandered.read() as reader:
        asking.round(reader, 10**12)
    again_ms = asking.again_ms(0)
    assert again_ms is not None
    assert again_ms <= 2 * PAUSE_MIN_MS
