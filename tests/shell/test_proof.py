"""Entries as evidence: what is proven is said to be proven, and what is not is not."""

from __future__ import annotations

from pathlib import Path

import cbor2
import pytest

from crdt_pos.shell import Replica, open_replica
from gossip.document import Document, FeedType, ScopeClass, day_number
from gossip.entry import Entry, decode, sign
from gossip.log import Arrival
from merge_rules.counter_bounded import CounterBounded
from merge_rules.lattice import Author
from peers.keys import SecretKey
from tests.books.company import BREAD, DATE, NOON_MS, Company, basket
from tests.shell.conftest import MEMBER

DAY = f"day/12/{DATE}"
JOURNAL = f"journal/12/{DATE}"
BALANCE = Document("balance", keys=("points", MEMBER))
HOURS_2_MS = 7_200_000


def balance_entry(key: SecretKey, author: Author, seq: int, body: object, stamp_ms: int = NOON_MS) -> Entry:
    return sign(key, author, BALANCE, FeedType.LATEST, ScopeClass.PATRONS, seq, stamp_ms << 16, body)


def test_an_entry_is_shown_whole_and_goes_out_as_the_bytes_that_were_signed(till: Replica, tmp_path: Path) -> None:
    rows = till.entries(JOURNAL, "12-1")["entries"]
    assert [row["chain"] for row in rows] == ["", *["whole"] * (len(rows) - 1)]
    second = rows[1]["hash"]
    shown = till.entry(second[:10], cose=tmp_path / "second.cose")
    raw = (tmp_path / "second.cose").read_bytes()
    entry = decode(raw)
    assert entry.hash.hex() == second
    assert shown["raw"] == raw.hex()
    assert shown["signature"] == "good"
    assert [(one["is"], one["seq"], one["here"]) for one in shown["chain"]] == [("before", 1, True), ("after", 3, True)]
    protected, unprotected, payload, signature = cbor2.loads(raw)
    notation = "\n".join(shown["diagnostic"])
    assert f"<< {{1: -8, 4: h'{entry.author.hex()}'}} >>" in notation
    assert f"h'{signature.hex()}'" in notation
    assert unprotected == {}
    assert cbor2.loads(payload)[0] == "journal"
    assert cbor2.loads(protected)[1] == -8


@pytest.fixture
def spoilt(tmp_path: Path) -> Replica:
    """A head office in whose log stand an entry that nobody of that name signed, one that its author may not write, and a
    grant that was never given."""
    company = Company.found(tmp_path, ("12-1", "12-2"))
    one, two, office = company.tills["12-1"], company.tills["12-2"], company.office
    one.till.sell(basket(BREAD))
    one.till.publish()
    company.gather()
    forger = SecretKey.generate()
    document = Document("day", day_number(DATE), (12,))
    with office.log.read() as reader:
        (true,) = reader.head_entries(document)
    forged = sign(
        forger, two.identity.author, document, FeedType.LATEST, ScopeClass.STORE, 1, NOON_MS << 16, true.entry.body
    )
    received = CounterBounded.bottom().earn(one.identity.author, 100)
    granting = received.grant(one.identity.author, two.identity.author, 40)
    taking = granting.receive(two.identity.author, one.identity.author).entry_body(two.identity.author)
    ahead_ms = NOON_MS + HOURS_2_MS
    office.log.append(
        [
            Arrival(forged, one.identity.author),
            Arrival(balance_entry(two.folder.key, two.identity.author, 1, taking, ahead_ms), two.identity.author),
            Arrival(balance_entry(forger, one.identity.author, 9, {0: 5}), two.identity.author, "it may not"),
        ],
        received_ms=NOON_MS,
    )
    company.close_logs()
    return open_replica(tmp_path / "office")


def test_a_signature_that_is_not_its_author_s_is_said_to_be_bad(spoilt: Replica) -> None:
    with spoilt:
        parts = {part["author"]: part["heads"][0]["signature"] for part in spoilt.explain(DAY)["parts"]}
        assert parts == {"12-1 a1": "good", "12-2 a1": "BAD"}
        (row,) = (one for one in spoilt.entries(DAY)["entries"] if one["author"] == "12-2 a1")
        assert spoilt.entry(row["hash"])["signature"] == "BAD"


def test_what_is_pending_quarantined_or_from_a_clock_that_is_ahead_is_said_with_its_reason(spoilt: Replica) -> None:
    with spoilt:
        spoilt.now_ms = lambda: NOON_MS
        doubts = {one["state"]: one["says"] for one in spoilt.explain(str(BALANCE))["doubts"]}
        assert doubts["pending"] == "40 that 12-2 a1 says it received from 12-1 a1, whose entry is not here yet."
        assert doubts["quarantined"].endswith("it may not.")
        assert doubts["waits"].startswith(
            "entry 1 of 12-2 a1 is stamped 2026-11-20T14:00:00.000Z, which has not come yet"
        )
        spoilt.now_ms = lambda: NOON_MS + 2 * HOURS_2_MS
        doubts = {one["state"]: one["says"] for one in spoilt.explain(str(BALANCE))["doubts"]}
        assert doubts["clock"] == "entry 1 of 12-2 a1 came 120 minutes before its own stamp: that clock is ahead."


def test_an_entry_that_is_kept_apart_is_found_by_its_hash_and_says_why(spoilt: Replica) -> None:
    with spoilt:
        (apart,) = (one for one in spoilt.entries(str(BALANCE))["entries"] if one["place"] == "quarantined")
        shown = spoilt.entry(apart["hash"][:8])
        assert shown["quarantine"] == "it may not"
        assert spoilt.status()["quarantined"] == 1
