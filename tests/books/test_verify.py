from __future__ import annotations

from collections.abc import Callable

import pytest

from crdt_pos.directory import load_directory
from crdt_pos.receipt import Receipt
from crdt_pos.requests import RefundLine, RefundRequest, StockLine
from crdt_pos.schema import SCHEMA
from crdt_pos.verify import Report, verify
from gossip.entry import Entry, FeedId, decode, sign
from gossip.log import Arrival, Outcome, feed_key
from tests.books.company import BREAD, DATE, DAY_MS, MILK, Company, Replica, basket


def verified(replica: Replica) -> Report:
    with replica.log.read() as reader:
        directory = load_directory(reader, replica.folder.root, [replica.folder.chain])
        return verify(reader, directory, SCHEMA)


def checks(report: Report) -> set[str]:
    return {finding.check for finding in report.findings}


@pytest.fixture
def sold(company: Company) -> Company:
    one, two = company.tills["12-1"], company.tills["12-2"]
    one.till.replenish([StockLine(MILK, 24)])
    one.till.sell(basket(MILK, BREAD))
    sold = two.till.sell(basket(BREAD))
    two.till.refund(RefundRequest(sold.number, (RefundLine(1),), reason="stale"))
    one.till.close_date()
    two.till.close_date()
    company.gather()
    two.tell(one)
    return company


def a_day(replica: Replica) -> Entry:
    return next(
        entry
        for entry in replica.entries()
        if entry.document.kind == "day" and entry.author == replica.folder.certificate.author
    )


def a_lie(replica: Replica, entry: Entry, body: object) -> Entry:
    """The till signs something else as the entry after its newest."""
    seq, previous = entry.seq + 1, entry.hash if entry.previous or entry.feed == 1 else None
    return sign(
        replica.folder.key, entry.author, entry.document, entry.feed, entry.scope, seq, entry.stamp, body, previous
    )


def test_clean_logs_verify(sold: Company) -> None:
    for replica in (sold.office, *sold.tills.values()):
        report = verified(replica)
        assert report.findings == []
        assert report.entries == len(replica.entries()) > 0
    report = verified(sold.tills["12-1"])
    assert (report.days, report.days_derived) == (2, 2)
    assert report.receipts > 5
    assert verified(sold.office).days_derived == 0, "sale-by-sale detail stays in the store"


def flip(replica: Replica, needle: bytes, at: int) -> None:
    """Change one byte of an entry in the log's file, as rot would."""
    file = replica.folder.log_path / "data.mdb"
    replica.log.close()
    content = bytearray(file.read_bytes())
    found = 0
    start = content.find(needle)
    while start >= 0:
        content[start + at] ^= 1
        found += 1
        start = content.find(needle, start + 1)
    assert found
    file.write_bytes(content)


def test_a_flipped_byte_in_the_file_is_found(sold: Company) -> None:
    one = sold.tills["12-1"]
    entry = next(entry for entry in one.entries() if entry.document.kind == "journal" and b"Rye bread" in entry.raw)
    flip(one, entry.raw, entry.raw.index(b"Rye bread"))
    with sold.reopened(one):
        report = verified(one)
    assert report.findings
    assert checks(report) & {"bytes", "signature"}


def test_a_flipped_byte_in_a_signature_is_found(sold: Company) -> None:
    one = sold.tills["12-1"]
    flip(one, a_day(one).raw, len(a_day(one).raw) - 5)
    with sold.reopened(one):
        assert {"signature", "bytes"} & checks(verified(one))


def test_a_day_that_does_not_balance_is_found_though_its_till_signed_it(sold: Company) -> None:
    one = sold.tills["12-1"]
    entry = a_day(one)
    body = {**entry.body, 3: {**entry.body[3], 1: [9_999_999]}}
    lie = a_lie(one, entry, body)
    sold.office.log.append([Arrival(lie, lie.author)])
    assert checks(verified(sold.office)) == {"equation"}


def test_a_balanced_lie_is_found_where_the_journal_is(sold: Company) -> None:
    one = sold.tills["12-1"]
    entry = a_day(one)
    body = {**entry.body, 4: [1, 99, 99]}
    lie = a_lie(one, entry, body)
    one.log.append([Arrival(lie)])
    sold.office.log.append([Arrival(lie, lie.author)])
    assert checks(verified(one)) == {"day"}
    assert checks(verified(sold.office)) == set()


def test_a_summary_of_acts_that_are_not_in_the_journal_is_found(sold: Company) -> None:
    one = sold.tills["12-1"]
    entry = a_day(one)
    body = {**entry.body, 0: [99, bytes(16)]}
    one.log.append([Arrival(a_lie(one, entry, body))])
    assert checks(verified(one)) == {"day"}


def test_a_summary_by_proxy_that_reaches_beyond_the_journal_is_found_where_the_journal_is(sold: Company) -> None:
    one, two = sold.tills["12-1"], sold.tills["12-2"]
    entry = a_day(two)
    summary = {key: value for key, value in a_day(one).body.items() if key != 23}
    lie = a_lie(two, entry, {**entry.body, 23: {one.identity.author: {**summary, 0: [2**40, bytes(16)]}}})
    for replica in (one, sold.office):
        replica.receive([lie], two)
    assert [(finding.check, finding.author, finding.detail) for finding in verified(one).findings] == [
        ("day", "12-2", f"of 12-1: it covers act {2**40}, which is not in the journal here")
    ]
    assert checks(verified(sold.office)) == {"day"}, "where the journal is not, the till's own close contradicts it"


def test_a_receipt_that_was_paid_with_another_amount_is_found(sold: Company) -> None:
    one = sold.tills["12-1"]
    acts = [
        entry for entry in one.entries() if entry.document.kind == "journal" and entry.author == one.identity.author
    ]
    newest = max(acts, key=lambda entry: entry.seq)
    sale = next(entry for entry in acts if Receipt.from_body(entry.body).tenders)
    body = {**sale.body, 15: [{0: 1, 1: 1}]}
    one.log.append([Arrival(a_lie(one, newest, body))])
    assert "equation" in checks(verified(one))


def test_a_receipt_in_another_tills_name_is_found(sold: Company) -> None:
    one, two = sold.tills["12-1"], sold.tills["12-2"]
    acts = [
        entry for entry in two.entries() if entry.document.kind == "journal" and entry.author == two.identity.author
    ]
    newest = max(acts, key=lambda entry: entry.seq)
    sale = next(entry for entry in acts if Receipt.from_body(entry.body).tenders)
    lie = a_lie(two, newest, {**sale.body, 3: 1})
    one.receive([lie], two)
    assert {finding.detail for finding in verified(one).findings if finding.check == "number"} == {
        "12-1-a1-1 is no number of its author's",
        "sales: 1 follows 2",
    }
    assert one.till.receipt("12-1-a1-1").till == 1
    assert sold.tills["12-1"].till.receipt("12-1-a1-1").lines[0].product == MILK


def test_a_number_that_was_left_out_is_found_from_date_to_date(sold: Company) -> None:
    one = sold.tills["12-1"]
    one.clock.ms += DAY_MS
    one.till.open_date()
    one.till.sell(basket(BREAD))
    assert verified(one).findings == []
    newest = max(
        (entry for entry in one.entries() if entry.document.kind == "journal" and entry.author == one.identity.author),
        key=lambda entry: (entry.document.day, entry.seq),
    )
    one.log.append([Arrival(a_lie(one, newest, {**newest.body, 1: 4}))])
    assert [(finding.check, finding.detail) for finding in verified(one).findings] == [("number", "sales: 4 follows 2")]


def test_a_chain_that_goes_on_in_two_ways_is_found(sold: Company) -> None:
    one = sold.tills["12-1"]
    first, second, *_ = sorted(
        (entry for entry in one.entries() if entry.document.kind == "journal" and entry.author == one.identity.author),
        key=lambda entry: entry.seq,
    )
    body = {**second.body, 21: "another reason"}
    rival = a_lie(one, first, body)
    assert one.log.append([Arrival(rival)])[0].outcome is Outcome.FORK
    assert "fork" in checks(verified(one))


def delete_row(replica: Replica, key: Callable[[Replica], bytes]) -> None:
    with replica.log._writing() as table:
        table.delete(key(replica))


def test_a_missing_journal_entry_is_found(sold: Company) -> None:
    one = sold.tills["12-1"]
    with one.log.read() as reader:
        feed = next(FeedId(document, one.identity.author) for document in reader.documents("journal"))
        second = list(reader.entries(feed))[1]
    delete_row(one, lambda _: b"s" + feed_key(feed) + second.entry.seq.to_bytes(6, "big") + second.entry.hash)
    report = verified(one)
    assert "chain" in checks(report)


def test_a_lost_row_of_an_entry_is_found(sold: Company) -> None:
    one = sold.tills["12-1"]
    with one.log.read() as reader:
        feed = next(FeedId(document, one.identity.author) for document in reader.documents("journal"))
        second = list(reader.entries(feed))[1]
    delete_row(one, lambda _: b"e" + second.arrival.to_bytes(8, "big"))
    with sold.reopened(one):
        assert "bytes" in checks(verified(one))


def test_a_fingerprint_that_is_not_the_sum_is_found(sold: Company) -> None:
    one = sold.tills["12-1"]
    with one.log._writing() as table:
        (key, value), *_ = table.scan(b"S", b"T")
        table.put(key, value[:1] + bytes([value[1] ^ 1]) + value[2:])
    assert checks(verified(one)) == {"fingerprint"}


def test_an_author_that_no_certificate_proves_is_found(sold: Company) -> None:
    one, two = sold.tills["12-1"], sold.tills["12-2"]
    entry = a_day(one)
    stranger = sign(
        two.folder.key, type(entry.author)(b"stranger"), entry.document, entry.feed, entry.scope, 1, 1, entry.body
    )
    one.log.append([Arrival(stranger)])
    assert "certificate" in checks(verified(one))


def test_an_entry_that_its_author_may_not_write_is_found(sold: Company) -> None:
    one = sold.tills["12-1"]
    entry = a_day(one)
    document = entry.document._replace(keys=(13,))
    foreign = sign(one.folder.key, entry.author, document, entry.feed, entry.scope, 1, 1, entry.body)
    one.log.append([Arrival(foreign)])
    assert "permission" in checks(verified(one))


def test_a_signature_that_was_never_the_authors_is_found(sold: Company) -> None:
    one = sold.tills["12-1"]
    entry = a_day(one)
    raw = a_lie(one, entry, {**entry.body, 9: {**entry.body.get(9, {}), 3: 5}}).raw
    forged = decode(raw[:-1] + bytes([raw[-1] ^ 1]))
    sold.office.log.append([Arrival(forged, forged.author)])
    assert checks(verified(sold.office)) == {"signature"}


def test_a_line_that_two_cut_off_tills_both_gave_back_is_found_once_they_meet(company: Company) -> None:
    one, two = company.tills["12-1"], company.tills["12-2"]
    sale = one.till.sell(basket(BREAD, MILK))
    one.tell(two)
    first = one.till.refund(RefundRequest(sale.number, (RefundLine(1),), reason="stale"))
    two.clock.ms += 60_000
    second = two.till.refund(RefundRequest(sale.number, (RefundLine(1),), reason="stale"))
    assert verified(one).findings == verified(two).findings == []
    two.tell(one)
    (found,) = verified(one).findings
    assert (found.check, found.author, found.document) == ("refund", "12-2", f"journal/12/{DATE}")
    assert (
        found.detail
        == f"line 1 of {sale.number} was given back by {first.number} and {second.number}: 2.50 EUR too much"
    )
