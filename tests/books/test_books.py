from __future__ import annotations

import datetime
from collections import Counter
from pathlib import Path

import pytest

from crdt_pos.books import Books, Query, read
from crdt_pos.catalogue import price_change
from crdt_pos.directory import load_directory
from crdt_pos.errors import NothingHere
from crdt_pos.products import Price
from crdt_pos.receipt import Receipt, Tender
from crdt_pos.requests import RefundLine, RefundRequest, StockLine
from gossip.entry import FeedId, sign
from gossip.log import Arrival
from merge_rules.claims import Claims, Identities
from tests.books.company import BREAD, DATE, DAY_MS, MILK, NOON_MS, TEA, Company, Replica, basket


def books_at(replica: Replica, query: Query | None = None, identities: Identities | None = None) -> Books:
    with replica.log.read() as reader:
        directory = load_directory(reader, replica.folder.root, [replica.folder.chain])
        return read(reader, directory, query or Query(), identities)


def a_busy_day(company: Company) -> list[Receipt]:
    one, two = company.tills["12-1"].till, company.tills["12-2"].till
    one.replenish([StockLine(MILK, 24), StockLine(BREAD, 10)], "delivery 7")
    receipts = [
        one.sell(basket(MILK, BREAD)),
        two.sell(basket(MILK, TEA, tender="card", cents=121)),
        one.sell(basket(BREAD, quantity=3, tender="card", cents=750)),
        two.sell(basket(TEA, quantity=500)),
    ]
    receipts.append(two.refund(RefundRequest(receipts[1].number, (RefundLine(1),), reason="sour")))
    return receipts


def test_the_offices_books_equal_a_sum_made_from_the_receipts_alone(company: Company) -> None:
    receipts = a_busy_day(company)
    for replica in company.tills.values():
        replica.till.close_date()
    company.gather()
    account = books_at(company.office).accounts[0]
    lines = [line for receipt in receipts for line in receipt.lines]
    assert account.money.takings_minor == sum(line.total_minor for line in lines if line.total_minor > 0) == 2240
    assert account.money.refunds_minor == -sum(line.total_minor for line in lines if line.total_minor < 0) == 119
    tax = Counter[int]()
    for line in lines:
        tax[line.tax_code] += line.tax_minor
    assert {code: one.tax - one.tax_back for code, one in account.money.taxes.items()} == tax
    tenders = Counter[Tender]()
    for receipt in receipts:
        for tender in receipt.tenders:
            tenders[tender.kind] += tender.amount_minor
    assert {Tender(kind): flow.net for kind, flow in account.money.tenders.items()} == tenders
    sold = Counter[int]()
    for line in lines:
        sold[line.product] += line.quantity
    assert {row.product: row.goods.sold - row.goods.returned for row in account.goods} == sold
    assert {row.product: row.stock for row in account.goods} == {MILK: 24 - 1, BREAD: 10 - 4, TEA: -501}
    assert account.money.balanced


def test_a_tills_own_books_are_the_offices_narrowed_to_that_till(company: Company) -> None:
    a_busy_day(company)
    for replica in company.tills.values():
        replica.till.close_date()
    company.gather()
    whole = books_at(company.office).accounts[0].money.takings_minor
    parts = [books_at(company.office, Query(till=till)).accounts[0].money.takings_minor for till in (1, 2)]
    assert sum(parts) == whole
    own = books_at(company.tills["12-2"], Query(till=2)).accounts[0].money.takings_minor
    assert own == parts[1] == 1121


def test_books_wait_for_a_till_until_its_date_is_closed(company: Company) -> None:
    a_busy_day(company)
    company.tills["12-1"].till.close_date()
    company.tills["12-2"].till.publish()
    company.gather()
    waiting = books_at(company.office).accounts[0].waiting
    assert [(one.till, one.date) for one in waiting] == [("12-2", DATE)]
    assert waiting[0].heard_ms == company.office.clock.ms
    company.tills["12-2"].till.close_date()
    company.gather()
    assert books_at(company.office).accounts[0].waiting == ()


def test_books_wait_for_a_till_that_was_never_heard(company: Company) -> None:
    a_busy_day(company)
    company.tills["12-1"].till.close_date()
    company.tills["12-1"].tell(company.office)
    waiting = books_at(company.office).accounts[0].waiting
    assert [(one.till, one.heard_ms) for one in waiting] == [("12-2", 0)]


def test_a_till_that_stayed_closed_all_day_is_not_waited_for_once_it_says_so(company: Company) -> None:
    one, two = company.tills["12-1"], company.tills["12-2"]
    for replica in (one, two):
        replica.till.close_date()
    following = DATE + datetime.timedelta(days=1)
    one.clock.ms += DAY_MS
    one.till.open_date(following)
    one.till.sell(basket(MILK))
    one.till.close_date()
    company.gather()
    asked = Query(following, following)
    assert [waiting.till for waiting in books_at(company.office, asked).accounts[0].waiting] == ["12-2"]
    two.clock.ms += 2 * DAY_MS
    two.till.open_date(DATE + datetime.timedelta(days=2))
    two.till.publish()
    company.gather()
    assert books_at(company.office, asked).accounts[0].waiting == ()


def test_a_day_that_a_later_one_names_and_that_is_not_here_is_waited_for(company: Company) -> None:
    one, two = company.tills["12-1"], company.tills["12-2"]
    two.till.close_date()
    one.till.sell(basket(MILK))
    one.till.close_date()
    two.tell(company.office)
    following = DATE + datetime.timedelta(days=1)
    one.clock.ms += DAY_MS
    one.till.open_date(following)
    one.till.close_date()
    later = [entry for entry in one.entries() if entry.document.kind == "day" and str(following) in str(entry.document)]
    company.office.receive(later, one)
    waiting = books_at(company.office, Query(DATE, DATE)).accounts[0].waiting
    assert [(waited.till, waited.date) for waited in waiting] == [("12-1", DATE)]


def test_a_tills_folder_shows_sales_that_no_summary_covers_yet(company: Company) -> None:
    one = company.tills["12-1"]
    one.till.publish()
    one.till.sell(basket(MILK))
    account = books_at(one).accounts[0]
    assert account.money.takings_minor == 119
    assert account.days[0].publisher is None


def test_two_currencies_are_never_added(tmp_path: Path) -> None:
    company = Company.found(tmp_path, ("12-1", "13-1"), {12: "EUR", 13: "CHF"})
    company.tills["12-1"].till.sell(basket(MILK))
    company.tills["13-1"].till.sell(basket(BREAD))
    for replica in company.tills.values():
        replica.till.close_date()
    company.gather()
    accounts = books_at(company.office).accounts
    takings = {(one.legal_entity, one.currency): one.money.takings_minor for one in accounts}
    assert takings == {("Shop EUR Ltd", "EUR"): 119, ("Shop CHF Ltd", "CHF"): 250}
    company.close_logs()


def test_a_price_that_changed_while_the_till_was_cut_off_leaves_a_variance(company: Company) -> None:
    one = company.tills["12-1"]
    one.till.sell(basket(BREAD))
    changed_ms = one.clock.ms
    company.office.write_catalogue([price_change(MILK, Price(129, changed_ms))])
    sold = one.till.sell(basket(MILK, BREAD))
    assert sold.lines[0].unit_price_minor == 119
    company.office.tell(one)
    one.till.close_date()
    company.gather()
    (found,) = books_at(company.office).variances
    date, store, variance = found
    assert (date, store, variance.number, variance.line, variance.product) == (DATE, 12, sold.number, 1, MILK)
    assert (variance.sold.amount_minor, variance.due.amount_minor) == (119, 129)
    before = len(one.entries())
    company.office.tell(one)
    assert len(one.entries()) == before, "learning again says nothing new"


def test_a_price_that_begins_later_leaves_no_variance(company: Company) -> None:
    one = company.tills["12-1"]
    company.office.write_catalogue([price_change(MILK, Price(129, one.clock.ms + DAY_MS))])
    one.till.sell(basket(MILK))
    company.office.tell(one)
    assert not [entry for entry in one.entries() if entry.document.kind == "variances"]
    assert one.till.sell(basket(MILK)).lines[0].unit_price_minor == 119


def test_a_variance_goes_when_the_price_is_taken_back(company: Company) -> None:
    one = company.tills["12-1"]
    changed = price_change(MILK, Price(129, one.clock.ms))
    company.office.write_catalogue([changed])
    one.till.sell(basket(MILK))
    company.office.tell(one)
    one.till.publish()
    assert len(books_at(one).variances) == 1
    company.office.write_catalogue([type(changed)(MILK, changed.fact, None)])
    company.office.tell(one)
    assert books_at(one).variances == ()


def test_products_that_share_a_claimed_code_are_one_row_and_keep_their_ids(company: Company) -> None:
    a_busy_day(company)
    for replica in company.tills.values():
        replica.till.close_date()
    company.gather()
    me = company.office.folder
    claims = Claims.bottom()
    for seq, product in enumerate((MILK, BREAD), 1):
        claims = claims.join(Claims.from_entry(me.certificate.author, seq, Claims.claim_body("777", product)))
    joined = books_at(company.office, identities=Identities.read([claims])).accounts[0].goods
    apart = {row.product: row for row in books_at(company.office).accounts[0].goods}
    assert [row.joined for row in joined] == [(MILK, BREAD), ()]
    assert joined[0].goods.takings == apart[MILK].goods.takings + apart[BREAD].goods.takings
    assert joined[0].stock == apart[MILK].stock + apart[BREAD].stock


def test_an_author_that_contradicts_itself_is_called_disputed(company: Company) -> None:
    one = company.tills["12-1"]
    one.till.sell(basket(MILK))
    one.till.publish()
    (entry,) = [entry for entry in one.entries() if entry.document.kind == "day"]
    company.gather()
    assert not books_at(company.office).accounts[0].days[0].disputed
    body = dict(entry.body)
    body[11] = NOON_MS
    feed = FeedId(entry.document, entry.author)
    rival = sign(
        one.folder.key, feed.author, feed.document, entry.feed, entry.scope, entry.seq, entry.stamp, body, None
    )
    company.office.log.append([Arrival(rival, feed.author)])
    assert books_at(company.office).accounts[0].days[0].disputed


@pytest.mark.parametrize(
    ("query", "said"),
    [
        (Query(date_from=DATE + datetime.timedelta(days=9), date_to=DATE + datetime.timedelta(days=9)), "2026-11-20"),
        (Query(store=99), "stores here: 12"),
        (Query(till=9), "no till 9"),
        (Query(product=9), "Product 9"),
        (Query(date_from=DATE, date_to=DATE - datetime.timedelta(days=1)), "ends before it begins"),
    ],
)
def test_what_is_not_here_is_said_in_one_sentence(company: Company, query: Query, said: str) -> None:
    company.tills["12-1"].till.sell(basket(MILK))
    company.tills["12-1"].till.close_date()
    company.gather()
    with pytest.raises(NothingHere, match=said):
        books_at(company.office, query)


def test_a_new_price_that_equals_the_old_is_no_variance(company: Company) -> None:
    one = company.tills["12-1"]
    company.office.write_catalogue([price_change(MILK, Price(119, one.clock.ms))])
    one.till.sell(basket(MILK))
    company.office.tell(one)
    assert not [entry for entry in one.entries() if entry.document.kind == "variances"]
