"""What people read: books and documents in words, at the width of their screen."""

from __future__ import annotations

import datetime
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.cells import cell_len

from crdt_pos import claiming, forks
from crdt_pos.catalogue import price_change, product_changes
from crdt_pos.claiming import Writer
from crdt_pos.cli import crdt_pos
from crdt_pos.columns import Column, table
from crdt_pos.enrolment import add_store
from crdt_pos.products import Price, Product
from crdt_pos.requests import LineRequest, SaleRequest, StockLine, TenderRequest
from gossip.document import Document
from gossip.entry import FeedId, Head, sign
from gossip.log import Arrival, View
from peers.roster import StoreRecord
from tests.books.company import BREAD, DATE, MILK, NOON_MS, Company, basket

MEMBER = b"\x01\x02\x03\x04\x05\x06\x07\x08"
MANY = range(1000, 1030)


def said(*arguments: object, columns: int = 80) -> str:
    result = CliRunner(env={"COLUMNS": str(columns)}).invoke(crdt_pos, [str(one) for one in arguments])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop in Tokyo: 12-1 has closed, 12-2 has not; thirty products; a member; a price that came late."""
    path = tmp_path_factory.mktemp("shop")
    company = Company.found(path)
    one, two = company.tills["12-1"], company.tills["12-2"]
    for product in MANY:
        name = f"A product whose name is far too long for any screen {product}"
        company.office.write_catalogue(
            product_changes(Product(product, name, prices=(Price(1000 + product),), tax_code=1))
        )
    company.office.tell(one)
    one.till.replenish([StockLine(MILK, 24)])
    one.till.sell(SaleRequest((LineRequest(MILK, 2), LineRequest(BREAD, 1)), (), member=MEMBER))
    changed_ms = one.clock.ms
    one.till.sell(SaleRequest((LineRequest(MILK, 1),), (TenderRequest("cash", 500),)))
    for product in MANY:
        one.till.sell(basket(product, quantity=40))
    company.office.write_catalogue([price_change(MILK, Price(129, changed_ms))])
    company.office.tell(one)
    two.till.sell(basket(BREAD))
    one.till.close_date()
    two.till.publish()
    company.gather()
    _claim_one_code_for_two(company)
    company.close_logs()
    tokyo = StoreRecord(12, DATE, legal_entity="Shop EUR Ltd", currency="EUR", time_zone="Asia/Tokyo")
    add_store(company.office.folder, tokyo, NOON_MS + 1)
    return path


def _claim_one_code_for_two(company: Company) -> None:
    own = company.office.folder
    for product in (MILK, BREAD):
        with company.office.log.read() as reader:
            writer = Writer(own.key, own.certificate.author)
            batch = claiming.claim(reader, writer, 12, "4006381333931", product, NOON_MS)
        company.office.log.append(batch.arrivals, batch.views)


def test_no_line_of_the_books_is_wider_than_the_screen_and_no_number_is_cut(folders: Path) -> None:
    for line in said("books", "--at", folders / "office").splitlines():
        assert cell_len(line) <= 80, line
        assert not re.search(r"\d…", line), line


def test_the_second_line_says_whom_the_books_wait_for_in_the_time_of_the_store(folders: Path) -> None:
    _, verdict, *_ = said("books", "--at", folders / "office").splitlines()
    assert re.fullmatch(r"Not final: waiting for 12-2, last heard 21:\d\d\.", verdict)


def test_the_second_line_says_final_once_everybody_has_closed(folders: Path) -> None:
    _, verdict, *_ = said("books", "--at", folders / "12-1", "--till", 1).splitlines()
    assert verdict == "Final."


def test_every_amount_says_whether_it_is_final(folders: Path) -> None:
    output = said("books", "--at", folders / "office")
    money = output[output.index("takings") : output.index("  till ")]
    for line in money.splitlines():
        if re.search(r"\d\.\d\d", line):
            assert line.endswith("waiting for 12-2, last heard 21:00"), line
    row = next(line for line in output.splitlines() if line.startswith("  12-1 "))
    assert row.endswith(" final")


def test_thousands_are_apart_and_the_equation_adds_up(folders: Path) -> None:
    output = said("books", "--at", folders / "office")
    takings = next(line for line in output.splitlines() if line.startswith("  takings"))
    tenders = next(line for line in output.splitlines() if line.startswith("  = tenders"))
    amount = re.search(r"[\d,]+\.\d\d", takings)
    assert amount is not None
    assert amount[0].count(",") == 1
    assert amount[0] in tenders


def test_tax_shows_its_rate(folders: Path) -> None:
    assert re.search(r"^  1, 7 % +[\d,]+\.\d\d +[\d,]+\.\d\d", said("books", "--at", folders / "office"), re.MULTILINE)


def test_fifteen_goods_are_shown_and_all_when_asked(folders: Path) -> None:
    few = said("books", "--at", folders / "office")
    every = said("books", "--at", folders / "office", "--all")
    assert sum("A product whose" in line for line in few.splitlines()) == 15
    assert "… and 16 products more" in few
    assert sum("A product whose" in line for line in every.splitlines()) == len(MANY)
    assert "more" not in every


def test_of_one_product_only_that_one_is_shown(folders: Path) -> None:
    output = said("books", "--at", folders / "office", "--product", MILK)
    assert "Whole milk 1 l" in output
    assert "tender" not in output
    assert re.search(r"stock +19", output)


def test_a_variance_says_what_it_cost(folders: Path) -> None:
    line = next(line for line in said("books", "--at", folders / "12-1").splitlines() if "12-1-a1-2 line 1" in line)
    assert line.split()[-4:] == ["1", "1.19", "1.29", "-0.10"]


def test_products_read_as_one_have_each_own_number_below(folders: Path) -> None:
    output = said("books", "--at", folders / "office", "--all")
    rows = re.findall(r"^ +((?:= )?[12]) +(?:Whole milk 1 l|Rye bread) +(\d+) ", output, re.MULTILINE)
    assert rows == [("1", "5"), ("= 1", "3"), ("= 2", "2")]
    assert "read as one" in output


def test_a_shared_code_shows_names_and_prices_side_by_side(folders: Path) -> None:
    for command in (("books", "--at", folders / "office"), ("product", "conflicts", "--at", folders / "office")):
        output = said(*command)
        assert "4006381333931: names and prices differ" in output
        assert re.search(r"^ +1 +Whole milk 1 l +1\.29 +store 12, catalogue$", output, re.MULTILINE)
        assert re.search(r"^ +2 +Rye bread +2\.50 +store 12$", output, re.MULTILINE)


def test_an_author_that_contradicts_itself_makes_the_books_not_final(tmp_path: Path) -> None:
    company = Company.found(tmp_path, ("12-1",))
    one = company.tills["12-1"]
    one.till.sell(basket(MILK))
    one.till.close_date()
    company.gather()
    (entry,) = [entry for entry in one.entries() if entry.document.kind == "day"][-1:]
    body = {**entry.body, 11: NOON_MS}
    made = (entry.feed, entry.scope, entry.seq, entry.stamp, body, None)
    rival = sign(one.folder.key, entry.author, entry.document, *made)
    office = company.office
    office.log.append([Arrival(rival, entry.author)])
    with office.log.read() as reader:
        own = office.folder
        office.log.append(forks.prove(reader, own.key, own.certificate.author, [(rival, entry.hash)], NOON_MS << 16))
    company.close_logs()
    assert "Not final: a lower bound, since 12-1 contradicts itself." in said("books", "--at", tmp_path / "office")
    for command in ("show forks", f"explain day/12/{DATE}"):
        output = said("shell", "--at", tmp_path / "office", "-c", command)
        assert "12-1 a1 contradicts itself" in output
        assert re.search(rf"(field 11: 1 +≠ field 11: {NOON_MS}|field 11: {NOON_MS} +≠ field 11: 1)", output)
    assert "CONFLICT" in said("shell", "--at", tmp_path / "office", "-c", f"show day/12/{DATE}")
    result = CliRunner().invoke(crdt_pos, ["verify", "--at", str(tmp_path / "office")])
    assert result.exit_code == 1
    assert "What to do:" in result.output


def test_a_day_is_explained_in_words_with_the_names_of_products(folders: Path) -> None:
    output = said("shell", "--at", folders / "12-1", "-c", f"explain day/12/{DATE}")
    assert "covers the journal of 12-1 a1 up to act" in output
    assert "closed; the first business date of this till" in output
    assert "receipts: sales 1 to 32, none missing" in output
    assert re.search(r"tax 1, 7 % +[\d,.]+ +[\d,.]+", output)
    assert "A product whose name" in output
    assert all(cell_len(line) <= 80 for line in output.splitlines())
    assert "'1': " in said("shell", "--at", folders / "12-1", "-c", f"explain day/12/{DATE} --raw")


def test_a_balance_is_explained_as_what_was_earned_and_may_be_spent(folders: Path) -> None:
    output = said("shell", "--at", folders / "office", "-c", f"explain balance/points/{MEMBER.hex()}")
    assert re.search(r"12-1 a1 +4 +4$", output, re.MULTILINE)


def test_a_code_that_is_claimed_twice_is_shown_as_a_conflict(folders: Path) -> None:
    output = said("shell", "--at", folders / "office", "-c", "show claims/12")
    assert output.count("CONFLICT") == 2
    assert "read as one" in output


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("roster", "store 12 : |time zone Asia/Tokyo"),
        ("roster-store/12", "enrolled: 12-1 a1, till of store 12, by office-a"),
        ("patrons/12", MEMBER.hex()),
        ("catalogue/0", r"tax 1 +7 %"),
        (f"variances/12/{DATE}", "sold at 1.19, due was 1.29"),
    ],
)
def test_every_kind_is_shown_in_words(folders: Path, document: str, words: str) -> None:
    assert re.search(words, said("shell", "--at", folders / "office", "-c", f"show {document}"))


def test_a_journal_is_shown_act_by_act(folders: Path) -> None:
    output = said("shell", "--at", folders / "12-1", "-c", f"show journal/12/{DATE} --all")
    assert re.search(r"12-1-a1-1 +\d\d:\d\d:\d\d +sale +4\.88 EUR +2 lines", output)
    assert "32 sale" in output


def test_documents_are_counted_by_kind(folders: Path) -> None:
    output = said("shell", "--at", folders / "office", "-c", "documents day/*")
    assert re.search(rf"day/12/{DATE} +day +2 +2 ", output)
    assert output.endswith("1 document: 1 day.\n")


def test_what_the_other_may_not_read_is_no_difference(folders: Path) -> None:
    output = said("shell", "--at", folders / "12-1", "-c", f"diff {folders / 'office'}")
    assert "journal/" not in output
    assert re.search(rf"day/12/{DATE} +12-2 a1 +– +1 +lag", output)
    assert "not for office-a" in said("shell", "--at", folders / "12-1", "-c", f"diff {folders / 'office'} --all")


def test_a_sale_is_followed_from_the_printed_receipt_to_who_holds_it(tmp_path: Path) -> None:
    from crdt_pos.safety import Safety

    company = Company.found(tmp_path, ("12-1", "12-2"))
    one, two = company.tills["12-1"], company.tills["12-2"]
    one.till.sell(SaleRequest((LineRequest(BREAD, 1),), (), member=MEMBER))
    one.till.publish()
    safety = Safety(one.log, one.identity.author)
    with one.log.read() as reader:
        journal = FeedId(Document("journal", (DATE - datetime.date(1970, 1, 1)).days, (12,)), one.identity.author)
        (head,) = reader.heads(journal)
    safety.acknowledged(two.identity.author, [(journal, Head(head.seq, head.hash))])
    views: list[View] = safety.unsaved()
    one.log.append([], views)
    company.close_logs()
    output = said("shell", "--at", tmp_path / "12-1", "-c", "sale 12-1-a1-1")
    assert "TOTAL EUR" in output
    assert "signed     yes, the signature is the author's (12-1 a1)" in output
    assert f"day        day/12/{DATE}, entry 1 by 12-1 a1, covers it" in output
    assert f"balance/points/{MEMBER.hex()}" in output
    assert "safe       on the disk of 12-2 a1" in output


def test_only_names_are_shortened_and_wide_letters_count_twice() -> None:
    columns = (Column("product", shorten=True), Column("sold", right=True))
    lines = table(columns, [("茶茶茶茶茶茶茶茶", "1,234,567"), ("Tea", "5")], 20)
    assert {cell_len(line) for line in lines} == {20}
    assert lines[1].endswith("1,234,567")
    assert "…" in lines[1]
