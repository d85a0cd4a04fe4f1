"""Receipts go by acknowledgement: a head office states a horizon, and each replica drops what it finds safe, or keeps it."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest

from crdt_pos import retention
from crdt_pos.directory import load_directory
from crdt_pos.errors import EnrolmentRefused
from crdt_pos.registrar import Registrar
from crdt_pos.schema import DAY, JOURNAL, SCHEMA
from crdt_pos.verify import Report, verify
from gossip.document import Document, Scope, day_number
from gossip.entry import sign
from gossip.log import Arrival, Fingerprint
from peers.roster import Directory, Horizon
from tests.books.company import BREAD, DATE, DAY_MS, MILK, Company, Replica, basket
from tests.system.shops import refusal, run

LATER = DATE + datetime.timedelta(days=2)
TODAY = LATER + datetime.timedelta(days=3653)
JOURNALS = Scope("journal/12")


def directory_of(replica: Replica) -> Directory:
    with replica.log.read() as reader:
        return load_directory(reader, replica.folder.root, [replica.folder.chain])


def verified(replica: Replica) -> Report:
    with replica.log.read() as reader:
        return verify(reader, directory_of(replica), SCHEMA)


def journals(replica: Replica) -> list[datetime.date]:
    with replica.log.read() as reader:
        return [datetime.date(1970, 1, 1) + datetime.timedelta(one.day) for one in reader.documents(JOURNAL)]


def journal_sum(replica: Replica) -> Fingerprint:
    with replica.log.read() as reader:
        return reader.fingerprint(JOURNALS)


def state(
    company: Company, before: datetime.date = LATER, today: datetime.date = TODAY, kind: str = JOURNAL
) -> list[Horizon]:
    office = company.office
    registrar = Registrar(office.folder, office.log, office.clock().ms)
    return retention.state(registrar, kind, 12, before, today=today)


def let_go(replica: Replica) -> int:
    return retention.apply(replica.log, directory_of(replica), replica.clock().ms)


@pytest.fixture
def company(tmp_path: Path):
    """Two tills that have sold on three dates, closed the first two, and are open on the third; everybody has met."""
    company = Company.found(tmp_path)
    yield three_dates(company)
    company.close_logs()


def three_dates(company: Company, *, closing: tuple[str, ...] = ("12-1", "12-2")) -> Company:
    for number in range(3):
        for name, one in company.tills.items():
            if number:
                one.clock.ms += DAY_MS
                if name in closing:
                    one.till.open_date(DATE + datetime.timedelta(days=number))
            if name in closing or not number:
                one.till.sell(basket(MILK, BREAD))
            if number < 2 and name in closing:
                one.till.close_date()
            one.till.publish()
    meet(company)
    return company


def meet(company: Company) -> None:
    one, two = company.tills.values()
    one.tell(two)
    two.tell(one)
    company.gather()
    for till in company.tills.values():
        company.office.tell(till)


def test_receipts_before_the_horizon_go_and_days_and_checks_stay(company: Company) -> None:
    one, two = company.tills.values()
    assert journals(one) == [DATE, DATE + datetime.timedelta(days=1), LATER]
    state(company)
    meet(company)
    assert let_go(one) == let_go(two) > 0
    for till in (one, two):
        assert journals(till) == [LATER]
        assert verified(till).findings == []
        with till.log.read() as reader:
            assert len(list(reader.documents(DAY))) == 3
    assert verified(company.office).findings == []
    assert let_go(one) == 0
    one.till.close_date()
    assert verified(one).findings == []
    (said,) = retention.begins(directory_of(one))
    assert said.startswith(f"Receipts of store 12 begin on {LATER}")


def test_who_has_let_go_and_who_has_not_find_no_difference_and_nothing_comes_back(company: Company) -> None:
    one, two = company.tills.values()
    state(company)
    meet(company)
    old = [entry for entry in two.entries() if entry.document == Document(JOURNAL, day_number(DATE), (12,))]
    let_go(one)
    two.log.prune({(JOURNAL, 12): day_number(LATER)})  # it knows the horizon, and has not dropped anything yet
    assert journals(two) == [DATE, DATE + datetime.timedelta(days=1), LATER]
    assert journal_sum(one) == journal_sum(two)
    one.receive(old, two)
    assert journals(one) == [LATER]


def test_a_replica_that_holds_other_days_than_head_office_keeps_its_receipts(company: Company) -> None:
    one, two = company.tills.values()
    (stated,) = state(company)
    meet(company)
    # A neighbour's word for a date that head office has not heard of.
    late = [entry for entry in one.entries() if entry.document.kind == DAY and entry.document.day == day_number(DATE)]
    with one.log.read() as reader:
        assert retention.standing(reader, JOURNAL, 12, stated.since, stated.before).feeds == stated.feeds
    one.log.mend(one.identity.author, [a_row(one, late[-1].hash)])
    assert let_go(one) == 0
    with one.log.read() as reader:
        found = retention.due(reader, directory_of(one))
    assert "do not hold the same days" in retention.kept_text(found)
    assert journals(one) == [DATE, DATE + datetime.timedelta(days=1), LATER]
    two.tell(one)
    assert let_go(one) > 0


def a_row(replica: Replica, entry_hash: bytes) -> int:
    with replica.log.read() as reader:
        stored = reader.find(entry_hash)  # type: ignore[arg-type]
    assert stored is not None
    return stored.arrival


def test_a_journal_that_its_day_does_not_cover_stays(company: Company) -> None:
    one, _ = company.tills.values()
    mine = [entry for entry in one.entries() if entry.author == one.identity.author and entry.document.kind == JOURNAL]
    last = max((entry for entry in mine if entry.document.day == day_number(DATE)), key=lambda entry: entry.seq)
    state(company)
    meet(company)
    after = last.seq + 1
    more = sign(
        one.folder.key, last.author, last.document, last.feed, last.scope, after, last.stamp + 1, last.body, last.hash
    )
    one.log.append([Arrival(more)])
    assert let_go(one) > 0
    assert journals(one) == [DATE, LATER], "only the date that is covered to its end has gone"
    with one.log.read() as reader:
        assert "does not cover all of it" in retention.kept_text(retention.due(reader, directory_of(one)))


def test_age_alone_lets_nothing_go(company: Company) -> None:
    with pytest.raises(EnrolmentRefused, match="kept for 10 years"):
        state(company, LATER, DATE + datetime.timedelta(days=3600))
    for till in company.tills.values():
        till.clock.ms += 5000 * DAY_MS
        let_go(till)
        assert len(journals(till)) == 3


def test_a_date_that_a_till_has_not_closed_stands_in_the_way_by_name(tmp_path: Path) -> None:
    company = three_dates(Company.found(tmp_path), closing=("12-1",))
    with pytest.raises(EnrolmentRefused, match=rf"12-2 \(a1\) has not closed {DATE}"):
        state(company)
    company.close_logs()


def test_a_till_that_has_told_nothing_of_late_stands_in_the_way_by_name(tmp_path: Path) -> None:
    company = Company.found(tmp_path)
    one, two = company.tills.values()
    two.till.sell(basket(MILK))
    two.till.close_date()
    for number in range(3):
        if number:
            one.clock.ms += DAY_MS
            one.till.open_date(DATE + datetime.timedelta(days=number))
        one.till.sell(basket(MILK))
        one.till.close_date()
    company.gather()
    with pytest.raises(EnrolmentRefused, match=r"12-2 \(a1\) has not told this head office since 2026-11-20"):
        state(company)
    company.close_logs()


def test_the_next_horizon_begins_at_the_last(company: Company) -> None:
    first = DATE + datetime.timedelta(days=1)
    state(company, first)
    meet(company)
    for till in company.tills.values():
        let_go(till)
        assert journals(till) == [first, LATER]
    with pytest.raises(EnrolmentRefused, match="may go already"):
        state(company, first)
    (second,) = state(company)
    assert second.since == first
    meet(company)
    for till in company.tills.values():
        let_go(till)
        assert journals(till) == [LATER]
        assert verified(till).findings == []


def test_own_states_that_were_replaced_long_ago_go(company: Company) -> None:
    one, _ = company.tills.values()
    for _ in range(3):
        one.till.sell(basket(MILK))
        one.till.publish()
    before = [entry for entry in one.entries() if entry.document.kind == DAY]
    one.clock.ms += 91 * DAY_MS
    assert let_go(one) > 0
    after = [entry for entry in one.entries() if entry.document.kind == DAY]
    assert len(after) < len(before)
    with one.log.read() as reader:
        assert all(reader.heads(entry.feed_id) for entry in before)
    assert verified(one).findings == []


def test_a_head_office_prunes_by_command_and_refuses_in_a_sentence(tmp_path: Path) -> None:
    company = three_dates(Company.found(tmp_path))
    company.close_logs()
    office = company.office.folder.path
    assert "Receipts are kept for 10 years" in refusal("office", "prune", "--at", office, "--before", LATER)
    assert "no store 99" in refusal("office", "prune", "--at", office, "--before", "2010-01-01", "--store", 99)
    told = json.loads(run("office", "prune", "--at", office, "--before", "2010-01-01", "--dry-run", "--json").stdout)
    assert told == {"what": "receipts", "before": "2010-01-01", "stores": [12], "stated": False}
    assert "may go now" in run("office", "prune", "--at", office, "--before", "2010-01-01").stdout
    assert "may go already" in refusal("office", "prune", "--at", office, "--before", "2010-01-01")
    checked = run("verify", "--at", office)
    assert checked.returncode == 0
    assert "Receipts of store 12 begin on 2010-01-01" in " ".join(checked.stdout.split())
