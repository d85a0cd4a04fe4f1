"""A till that publishes two different days under one number: everyone has the proof, everyone goes on, and it holds no rights."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from crdt_pos import books
from crdt_pos.balance import Balance, balance_document
from crdt_pos.books import Query
from crdt_pos.clock import system_ms
from crdt_pos.forks import judge, liars, prove, publishers
from crdt_pos.looking import identities, look
from crdt_pos.patrons import patrons_document
from crdt_pos.schema import BALANCE, PATRONS, SCHEMA
from crdt_pos.turn import day_document
from gossip.document import Document, Scope, day_number
from gossip.entry import Entry, FeedId, sign
from gossip.ingest import AuthorLookup, AuthorRecord
from gossip.log import Arrival, View
from gossip.log_memory import MemoryLog
from merge_rules.counter_bounded import CounterBounded
from merge_rules.set_grow import SetGrow
from tests.system.shops import DATE, reading, records, run
from tools.cabled import Cabled
from tools.liar import holders, lie, signed_day, tell

LIAR = "12-9"
LIED_ON = datetime.date(2026, 11, 19)
MEMBER = b"patron-1"
EVERYONE = ["12-1", "12-2", "13-1", "office-a"]
SENTENCE = "12-9 signed two different days for 2026-11-19 as number 1, with takings of 12.00 EUR and of 34.00 EUR"


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Cabled]:
    with Cabled.found(tmp_path, "Corner Shops", records(12, 13), tills=1) as town:
        town.enrol(12, 2)
        town.enrol(12, 9)
        town.start(*EVERYONE)
        town.together()
        for name in EVERYONE[:3]:
            town.call(name, "open", date=DATE)
        yield town


def test_a_till_that_says_two_things_is_proven_a_liar_everywhere_and_all_others_go_on(town: Cabled) -> None:
    town.call("12-1", "sell", lines=[{"product": 1, "unit_price_minor": 500}], member=MEMBER.hex())
    trio.run(tell, town.folders[LIAR], town.port("12-1"), granting(town, "12-1"))
    town.until(lambda: points(town, "12-1")["here"] == 300 + 5, "12-1 may spend what it was granted")
    # Whoever changes its duty on the WAN begins its session anew, which is no fault of anybody's.
    town.until(lambda: duties(town) == ["active", "standby"], "the tills of store 12 have their duties")
    town.together()
    sessions = {name: since(town, name) for name in EVERYONE}

    lie(town, LIAR, LIED_ON, {"12-2": 12_00, "office-a": 34_00})
    town.until(lambda: sorted(holders(town, LIAR)) == EVERYONE, "everyone has the proof")

    # The liar's rights, and what it granted, are worth nothing now; what others earned is.
    assert points(town, "12-1")["here"] == 5
    with reading(town.folders["office-a"]) as reader:
        balance = Balance.read(reader, "points", MEMBER)
        assert balance.redeemable(town.folders[LIAR].certificate.author).here == 0
    scopes = {"company": EVERYONE, "store/12": [EVERYONE[0], EVERYONE[1], EVERYONE[3]], "store/13": EVERYONE[2:]}
    for scope, readers in scopes.items():
        town.until(
            lambda scope=scope, readers=readers: alike(town, scope, readers), f"{readers} hold the same of {scope}"
        )
    # Whoever may read the day has both and says the same of them: a lower bound.
    feed = FeedId(day_document(12, day_number(LIED_ON)), town.folders[LIAR].certificate.author)
    assert {name: held(town, name, feed) for name in EVERYONE} == {"12-1": 2, "12-2": 2, "13-1": 0, "office-a": 2}
    for name in EVERYONE:
        assert SENTENCE in words("verify", town, name)
        assert SENTENCE in words("shell", town, name, "-c", "show forks")
        if name != "13-1":
            said = words("books", town, name, "--date", str(LIED_ON))
            assert f"a lower bound, since {LIAR} contradicts itself" in said
            assert SENTENCE in said
            assert "34.00" in said
            assert "contradicts itself" in words("shell", town, name, "-c", f"explain {feed.document}")
    # Nobody honest was cut off, everyone sells, and the day's books are equal to the cent.
    assert {name: since(town, name) for name in EVERYONE} == sessions
    for name in EVERYONE[1:3]:
        town.call(name, "sell", lines=[{"product": 1, "unit_price_minor": 250}])
    for name in EVERYONE[:3]:
        town.call(name, "close")
    due = {"12-1": 500, "12-2": 250, "13-1": 250}
    town.until(lambda: takings(town, "office-a") == due, "the head office has every day")
    for name in EVERYONE:
        found = json.loads(run("verify", "--at", town.folders[name].path, "--json").stdout)["findings"]
        assert [(one["check"], one["author"]) for one in found] == [("fork", LIAR)]


def test_a_stated_proof_whose_signatures_are_not_the_accused_ones_counts_against_nobody(tmp_path: Path) -> None:
    with Cabled.found(tmp_path, "Corner Shops", records(12), tills=2) as town:
        accused, slanderer = town.folders["12-1"], town.folders["12-2"]
        true = signed_day(accused, LIED_ON, 12_00)
        forged = sign_as(accused.certificate.author, slanderer.key, signed_day(accused, LIED_ON, 34_00))
        known = {
            folder.certificate.author: AuthorRecord(folder.key.public, folder.certificate.role, 12)
            for folder in (accused, slanderer)
        }
        for second, proven in ((forged, False), (signed_day(accused, LIED_ON, 34_00), True)):
            log = MemoryLog(SCHEMA)
            log.append([Arrival(true), Arrival(second)])
            with log.read() as reader:
                log.append(prove(reader, slanderer.key, slanderer.certificate.author, [(true, second.hash)], 1))
            with log.read() as reader:
                assert liars(reader) == frozenset()
            judge_all(log, known.get)
            with log.read() as reader:
                assert liars(reader) == ({accused.certificate.author} if proven else frozenset())
                assert list(publishers(reader)) == []


def judge_all(log: MemoryLog, lookup: AuthorLookup) -> None:
    views: list[View] = [(b"", None)]
    while views:
        with log.read() as reader:
            views = judge(reader, lookup)
        log.append([], views)


def granting(town: Cabled, taker: str) -> list[Entry]:
    """What the liar signs while it is still honest: a patron, who earned 500 points there, 300 of them granted."""
    own = town.folders[LIAR].certificate
    state = CounterBounded.bottom()
    state = state.join(state.earn(own.author, 500))
    state = state.join(state.grant(own.author, town.folders[taker].certificate.author, 300))
    bodies: dict[Document, Any] = {
        patrons_document(12): SetGrow.add_body(MEMBER),
        balance_document("points", MEMBER): state.entry_body(own.author),
    }
    kinds = {document: SCHEMA[document.kind] for document in bodies}
    assert [kind.name for kind in kinds.values()] == [PATRONS, BALANCE]
    return [
        sign(
            town.folders[LIAR].key, own.author, document, kind.feed, kind.scope, 1, system_ms() << 16, bodies[document]
        )
        for document, kind in kinds.items()
    ]


def sign_as(author: Any, key: Any, entry: Entry) -> Entry:
    """The same entry, by another key in the author's name."""
    return sign(key, author, entry.document, entry.feed, entry.scope, entry.seq, entry.stamp, entry.body)


def points(town: Cabled, name: str) -> dict[str, Any]:
    return town.call(name, "member", account=MEMBER.hex())


def duties(town: Cabled) -> list[str]:
    return sorted(town.connections(name)["duty"] for name in EVERYONE[:2])


def since(town: Cabled, name: str) -> dict[str, int]:
    """Since when each of a replica's sessions with honest ones lasts."""
    sessions = town.connections(name)["sessions"]
    return {session["peer"]: session["since_ms"] for session in sessions if session["peer"] != LIAR}


def takings(town: Cabled, name: str) -> dict[str, int]:
    """What each till took on ``DATE``, by the books of a folder."""
    with look(town.folders[name].path) as looked, looked.log.read() as reader:
        day = datetime.date.fromisoformat(DATE)
        found = books.read(reader, looked.directory, Query(day, day), identities(reader))
    return {day.name: day.day.takings_minor for account in found.accounts for day in account.days}


def alike(town: Cabled, scope: str, names: list[str]) -> bool:
    """Whether the logs of these are equal in a scope."""
    sums: list[object] = []
    for name in names:
        with reading(town.folders[name]) as reader:
            sums.append(reader.fingerprint(Scope(scope)))
    return all(one == sums[0] for one in sums)


def held(town: Cabled, name: str, feed: FeedId) -> int:
    with reading(town.folders[name]) as reader:
        return len(reader.heads(feed))


def words(command: str, town: Cabled, name: str, *more: str) -> str:
    """What a command says of a folder, on one line."""
    return " ".join(run(command, "--at", town.folders[name].path, *more).stdout.split())
