"""What others say of a till: it counts where nothing better is known, it is marked, and a lie never outbids the till itself."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from crdt_pos.books import TillDay
from crdt_pos.cli import crdt_pos
from crdt_pos.day import Day, Flow, Goods, Numbers, TaxTotals
from crdt_pos.directory import load_directory
from crdt_pos.forks import judge, prove
from crdt_pos.inspection import sale
from crdt_pos.receipt import Series, Tender
from crdt_pos.schema import DAY, SCHEMA
from crdt_pos.stock import store_stock
from crdt_pos.turn import day_document
from crdt_pos.verify import verify
from gossip.document import day_number
from gossip.entry import Entry, FeedId, sign
from gossip.ingest import AuthorRecord
from gossip.log import Arrival
from merge_rules.counter_covers import CounterCovers, Covers
from merge_rules.lattice import Author
from peers.roster import Directory
from tests.books.company import BREAD, DATE, MILK, Company, Replica, basket
from tests.books.test_books import books_at

MANY = 1_000_000


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Company]:
    """12-1 has sold one milk; 12-3 lies, 12-4 too."""
    company = Company.found(tmp_path, ("12-1", "12-2", "12-3", "12-4"))
    company.tills["12-1"].till.sell(basket(MILK))
    yield company
    company.close_logs()


def invented(takings_minor: int, sold: int = 1) -> Day:
    """A closed day that balances."""
    tax = takings_minor * 7 // 107
    return Day(
        taxes={1: TaxTotals(takings_minor - tax, tax)},
        tenders={int(Tender.CASH): Flow(takings_minor)},
        series={int(Series.SALES): Numbers(1, 1, 1)},
        perpetual_sales=takings_minor,
        goods={MILK: Goods(sold=sold, takings=takings_minor - tax)},
        closed=True,
    )


def claim(publisher: Replica, of: Replica, acts: int, day: Day, seq: int = 1) -> Entry:
    """``publisher`` signs what it likes of another's date."""
    me, kind, document = publisher.identity, SCHEMA[DAY], day_document(12, day_number(DATE))
    said = CounterCovers.publish(me.author, of.identity.author, Covers(acts, b"!" * 16), day.counters())
    return sign(me.key, me.author, document, kind.feed, kind.scope, seq, 1, said.entry_body(me.author))


def lie(town: Company, acts: int = 99, takings_minor: int = MANY, by: str = "12-3", *at: Replica) -> None:
    entry = claim(town.tills[by], town.tills["12-1"], acts, invented(takings_minor))
    for replica in at or (town.office, *town.tills.values()):
        replica.receive([entry], town.tills[by])


def read(replica: Replica) -> TillDay:
    """What the books say of 12-1."""
    (day,) = [day for account in books_at(replica).accounts for day in account.days if day.name == "12-1"]
    return day


def of(town: Company, name: str) -> Author:
    return town.tills[name].identity.author


def spread(town: Company) -> None:
    """What 12-1 and 12-2 have reaches the office and each other."""
    town.tills["12-1"].tell(town.tills["12-2"])
    town.gather()


def test_what_a_till_has_closed_itself_counts_over_every_proxy(town: Company) -> None:
    town.tills["12-1"].till.close_date()
    spread(town)
    lie(town)
    for replica in (town.office, *town.tills.values()):
        town.tills["12-1"].tell(replica)
        day = read(replica)
        assert (day.day.takings_minor, day.publisher, day.closed, day.disputed) == (119, of(town, "12-1"), True, True)
        assert [(one.publisher, one.covers, one.takings_minor) for one in day.claims] == [(of(town, "12-3"), 99, MANY)]


def test_where_the_journal_is_a_claim_that_it_does_not_bear_out_counts_for_nothing(town: Company) -> None:
    town.tills["12-1"].till.publish()
    town.tills["12-1"].till.sell(basket(BREAD))
    spread(town)
    lie(town)
    lie(town, 3, MANY, "12-4")
    day = read(town.tills["12-2"])
    assert (day.day.takings_minor, day.covers, day.publisher, day.closed, day.disputed) == (369, 3, None, False, True)
    assert {one.publisher for one in day.claims} == {of(town, "12-3"), of(town, "12-4")}
    town.tills["12-2"].till.close_lives([of(town, "12-1")])
    day = read(town.tills["12-2"])
    assert (day.day.takings_minor, day.publisher, day.proxy, day.closed) == (
        369,
        of(town, "12-2"),
        of(town, "12-2"),
        True,
    )


def test_a_dead_till_is_closed_by_its_neighbour_at_the_office_which_says_so(town: Company) -> None:
    town.tills["12-1"].till.publish()
    town.tills["12-1"].till.sell(basket(BREAD))
    spread(town)
    town.tills["12-2"].till.close_lives([of(town, "12-1")])
    town.gather()
    day = read(town.office)
    assert (day.day.takings_minor, day.proxy, day.closed, day.disputed) == (369, of(town, "12-2"), True, False)


def test_a_lie_that_the_office_cannot_see_through_is_marked_as_told_by_another_and_goes_with_the_close(
    town: Company,
) -> None:
    town.tills["12-1"].till.publish()
    spread(town)
    lie(town)
    day = read(town.office)
    assert (day.day.takings_minor, day.proxy, day.disputed) == (MANY, of(town, "12-3"), False)
    town.tills["12-1"].till.close_date()
    spread(town)
    day = read(town.office)
    assert (day.day.takings_minor, day.proxy, day.disputed) == (119, None, True)


def test_a_claim_that_lacks_what_the_till_published_itself_is_a_lie_anywhere(town: Company) -> None:
    town.tills["12-1"].till.publish()
    spread(town)
    lie(town, 99, 5)
    day = read(town.office)
    assert (day.day.takings_minor, day.publisher, day.disputed) == (119, of(town, "12-1"), True)


def test_of_two_proxies_that_exclude_each_other_the_same_counts_in_every_order(town: Company) -> None:
    spread(town)  # nothing of 12-1 is published, and its journal is with 12-1 and 12-2 alone
    office, found = town.office, set[object]()
    claims = [claim(town.tills[by], town.tills["12-1"], *said) for by, *said in (
        ("12-3", 99, invented(700)), ("12-4", 50, invented(800)), ("12-2", 99, invented(600)),
    )]  # fmt: skip
    for order in itertools.permutations(claims):
        state = CounterCovers.bottom()
        for entry in order:
            state = state.join(CounterCovers.from_entry(entry.author, entry.seq, entry.body))
        choice = state.choices()[of(town, "12-1")]
        found.add((choice.counts.publisher, *(one.publisher for one in choice.rivals)))
    assert found == {(of(town, "12-3"), of(town, "12-2"), of(town, "12-4"))}
    office.receive(claims, town.tills["12-3"])
    day = read(office)
    assert (day.day.takings_minor, day.proxy, day.disputed) == (700, of(town, "12-3"), True)


def test_who_is_proven_to_lie_never_counts_ahead_of_the_till_itself(town: Company) -> None:
    town.tills["12-1"].till.publish()
    spread(town)
    lie(town)
    convict(town.office, town.tills["12-3"])
    day = read(town.office)
    assert (day.day.takings_minor, day.publisher, day.disputed) == (119, of(town, "12-1"), True)
    assert [one.publisher for one in day.claims] == [of(town, "12-3")]


def convict(at: Replica, liar: Replica) -> None:
    """The liar signs two things under one number, of another date, and ``at`` has the proof."""
    me, kind, document = liar.identity, SCHEMA[DAY], day_document(12, day_number(DATE) - 5)
    pair = [
        sign(me.key, me.author, document, kind.feed, kind.scope, 1, 1,
             CounterCovers.publish(me.author, me.author, Covers(1, b"!" * 16), invented(n).counters()).entry_body(me.author))
        for n in (5, 6)
    ]  # fmt: skip
    at.receive(pair, liar)
    with at.log.read() as reader:
        proofs = prove(reader, at.folder.key, at.identity.author, [(pair[0], pair[1].hash)], 1)
    at.log.append(proofs)
    while True:
        with at.log.read() as reader:
            directory = load_directory(reader, at.folder.root, [at.folder.chain, liar.folder.chain])
            views = judge(reader, partial(record_of, directory))
        if not views:
            break
        at.log.append([], views)


def record_of(directory: Directory, author: Author) -> AuthorRecord | None:
    one = directory.certificate(author)
    return AuthorRecord(one.public_key, one.role, one.store) if one else None


def test_a_claim_that_is_no_day_hides_nothing(town: Company) -> None:
    town.tills["12-1"].till.publish()
    spread(town)
    me, kind, document = town.tills["12-3"].identity, SCHEMA[DAY], day_document(12, day_number(DATE))
    said = CounterCovers.publish(me.author, of(town, "12-1"), Covers(99, b"!" * 16), {3: 7})
    entry = sign(me.key, me.author, document, kind.feed, kind.scope, 1, 1, said.entry_body(me.author))
    town.office.receive([entry], town.tills["12-3"])
    assert read(town.office).day.takings_minor == 119


def test_what_should_be_on_the_shelf_is_not_what_a_liar_says(town: Company) -> None:
    town.tills["12-1"].till.close_date()
    spread(town)
    two = town.tills["12-2"]
    two.receive([claim(town.tills["12-3"], town.tills["12-1"], 99, invented(MANY, 500))], town.tills["12-3"])
    with two.log.read() as reader:
        assert store_stock(reader, 12, MILK, two.identity.author, day_number(DATE), Goods()) == -1


def findings(replica: Replica) -> list[tuple[str, str, str]]:
    with replica.log.read() as reader:
        directory = load_directory(reader, replica.folder.root, [replica.folder.chain])
        return [(one.check, one.author, one.detail) for one in verify(reader, directory, SCHEMA).findings]


def test_verify_names_who_claims_what_the_journal_or_the_till_itself_contradicts(town: Company) -> None:
    town.tills["12-1"].till.close_date()
    spread(town)
    assert findings(town.office) == findings(town.tills["12-2"]) == []
    lie(town)
    assert findings(town.tills["12-2"]) == [
        ("day", "12-3", "of 12-1: it covers act 99, which is not in the journal here"),
    ]
    assert findings(town.office) == [
        ("day", "12-3", "of 12-1: it covers act 99, and 12-1 itself closed the date with act 3"),
    ]


def test_verify_finds_proxies_that_exclude_each_other_where_nobody_knows_better(town: Company) -> None:
    town.office.receive(
        [claim(town.tills[by], town.tills["12-1"], 99, invented(n)) for by, n in (("12-3", 700), ("12-4", 800))],
        town.tills["12-3"],
    )
    assert findings(town.office) == [
        ("day", "12-3", "of 12-1: what it says up to act 99 does not agree with what 12-4 says up to act 99"),
    ]


def test_who_holds_the_feed_of_a_proven_liar_can_still_read_it(town: Company) -> None:
    """Nothing better than a liar's word: it is shown, and disputed."""
    lie(town, 99, 700, "12-3", town.office)
    convict(town.office, town.tills["12-3"])
    day = read(town.office)
    assert (day.day.takings_minor, day.proxy, day.disputed) == (700, of(town, "12-3"), True)
    with town.office.log.read() as reader:
        assert reader.heads(FeedId(day_document(12, day_number(DATE)), of(town, "12-3")))


def test_arrivals_of_a_proxy_in_any_order_say_the_same(town: Company) -> None:
    town.tills["12-1"].till.close_date()
    lie(town, 99, MANY, "12-3", town.office)
    before = read(town.office)
    assert before.proxy == of(town, "12-3")
    spread(town)
    lie(town, 99, MANY, "12-3", town.tills["12-2"])
    for replica in (town.office, town.tills["12-2"]):
        assert read(replica).day.takings_minor == 119
    assert town.office.log.append([Arrival(one) for one in town.tills["12-1"].entries() if one.document.kind == DAY])
    assert read(town.office).day.takings_minor == 119


def said(replica: Replica, *command: str) -> str:
    """What a command prints, on one line."""
    done = CliRunner().invoke(
        crdt_pos, [command[0], "--at", str(replica.folder.path), *command[1:]], env={"COLUMNS": "100"}
    )
    assert done.exit_code == 0, done.output
    return " ".join(click.unstyle(done.output).split())


def test_people_and_json_are_told_who_says_what_of_whom(town: Company) -> None:
    town.tills["12-1"].till.close_date()
    spread(town)
    lie(town, 99, MANY, "12-3", town.office)
    town.close_logs()
    text = said(town.office, "books")
    assert "disputed, since others say otherwise of 12-1" in text
    excluded = (
        f"12-3 a1 says that 12-1, life a1, took 10,000.00 EUR on {DATE} in 99 acts. That excludes what counts here"
    )
    assert excluded in text
    (row,) = [
        row for row in json.loads(said(town.office, "books", "--json"))["accounts"][0]["tills"] if row["disputed"]
    ]
    assert (row["till"], row["takings_minor"], row["published_by"]) == ("12-1", 119, "12-1 a1")
    assert row["claims"] == [{"published_by": "12-3 a1", "covers": 99, "takings_minor": MANY}]
    shown = said(town.office, "shell", "-c", f"show day/12/{DATE}")
    assert "CONFLICT: 12-3 a1 sums up the journal of 12-1 a1 up to act 99, which excludes what 12-1 a1 says." in shown


def test_a_receipt_is_not_followed_into_a_summary_that_its_journal_does_not_bear_out(town: Company) -> None:
    town.tills["12-1"].till.publish()
    sold = town.tills["12-1"].till.sell(basket(BREAD))
    spread(town)
    two = town.tills["12-2"]
    lie(town, 99, MANY, "12-3", two)
    with two.log.read() as reader:
        directory = load_directory(reader, two.folder.root, [two.folder.chain])

        def name_of(author: Author) -> str:
            one = directory.certificate(author)
            return one.name if one else author.hex()

        trail = sale(reader, directory, SCHEMA, sold.number, name_of)
    assert (trail.published_by, trail.covered) == ("12-1", False)
