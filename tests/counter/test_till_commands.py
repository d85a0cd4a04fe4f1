"""Requests on the local socket against a real till: what a script or a screen can ask, and what it is refused."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from crdt_pos.cli import Refused
from crdt_pos.commands.sell import sell
from crdt_pos.identity import Now
from crdt_pos.local import LocalClient, LocalRefused, Message
from crdt_pos.money import Currency
from crdt_pos.qr_code import qr_text
from crdt_pos.receipt_text import COLUMNS
from crdt_pos.requests import LineRequest, SaleRequest
from crdt_pos.terms import Terms
from tools.practice_shop import PracticeShop

MEMBER = "00f3a91c5e7d2b48"
MILK, CHEESE = "4000000000012", "4000000000043"


@pytest.fixture
def shop() -> PracticeShop:
    return PracticeShop()


@pytest.fixture
def till(shop: PracticeShop, tmp_path: Path) -> Iterator[LocalClient]:
    with shop.served(tmp_path), LocalClient(tmp_path) as client:
        yield client


def refused(till: LocalClient, do: str, **fields: object) -> LocalRefused:
    with pytest.raises(LocalRefused) as no:
        till.call(do, **fields)
    return no.value


def test_a_day_at_the_till_from_opening_to_z_report(till: LocalClient, shop: PracticeShop) -> None:
    assert till.call("status")["business_date"] is None
    assert till.call("open", date="2026-11-22", float_minor=10_000)["business_date"] == "2026-11-22"
    till.call("replenish", lines=[{"product": 101, "quantity": 24}], reference="delivery 7")
    sold = till.call("sell", lines=[{"code": MILK, "quantity": 2}], tenders=[{"kind": "cash", "amount_minor": 500}])
    assert (sold["receipt"]["due_minor"], sold["receipt"]["change_minor"]) == (258, 242)
    till.call("refund", number=sold["receipt"]["number"], lines=[{"line": 1, "quantity": 1}], reason="sour")
    till.call("write_off", lines=[{"product": 101, "quantity": 1}], reason="broken")
    till.call("count", lines=[{"product": 101, "quantity": 20}])
    till.call("transfer", lines=[{"product": 101, "quantity": 2}], to_store=7)
    till.call("drawer", act="pick_up", amount_minor=5_000, reason="bank")
    assert till.call("publish")["published"] is True
    assert till.call("publish")["published"] is False
    counted = till.call("x_report")["report"]["cash_expected_minor"]
    assert counted == 10_000 + 258 - 129 - 5_000
    closed = till.call("close", counted_minor=counted - 1)["report"]
    assert (closed["sales_minor"], closed["refunds_minor"], closed["difference_minor"]) == (258, 129, -1)
    assert shop.till.open_on is None
    assert shop.replica.commits == 10


def test_every_receipt_names_its_journal_entry_and_its_qr_fits_a_printer(till: LocalClient, shop: PracticeShop) -> None:
    till.call("open")
    first = till.call("sell", lines=[{"product": 101}])
    till.call("sell", lines=[{"product": 102}])
    again = till.call("receipt", number=first["receipt"]["number"])
    assert again == first
    with shop.log.read() as reader:
        entry = next(
            stored.entry for stored in reader.arrivals(0, 1000) if stored.entry.hash.hex() == first["receipt"]["hash"]
        )
    assert entry.signature.hex() == first["receipt"]["signature"]
    assert entry.verify(shop.identity.key.public)
    number, amount, currency, hash_prefix, signature_prefix = first["qr"].split(":")[1:]
    assert (number.lower(), amount, currency) == (first["receipt"]["number"], "129", "EUR")
    assert first["receipt"]["hash"].startswith(hash_prefix.lower())
    assert first["receipt"]["signature"].startswith(signature_prefix.lower())
    assert max(len(row) for row in qr_text(first["qr"]).splitlines()) <= COLUMNS
    assert max(len(row) for row in first["text"].splitlines()) <= COLUMNS


def test_rights_are_asked_for_only_when_short_and_the_sale_then_goes_through(
    till: LocalClient, shop: PracticeShop
) -> None:
    till.call("open")
    till.call("sell", lines=[{"product": 106, "quantity": 10}], member=MEMBER)
    asked: list[tuple[bytes, int]] = []
    shop.replica.lend = lambda account, amount: asked.append((account, amount))
    till.call("sell", lines=[{"product": 101}], member=MEMBER, points=50)
    assert asked == []
    no = refused(till, "sell", lines=[{"product": 101}], member=MEMBER, points=120)
    assert asked == [(bytes.fromhex(MEMBER), 120 - 26)]
    assert (no.kind, no.answer["here"], no.answer["company"]) == ("NotEnoughRights", 26, 26)
    assert "26 can be redeemed here now" in no.message

    def lend(account: bytes, amount: int) -> None:
        # Rights come as points that are earned in the meantime: 151 of them.
        shop.till.sell(SaleRequest((LineRequest(106, 20),), member=account))

    shop.replica.lend = lend
    assert till.call("sell", lines=[{"product": 101}], member=MEMBER, points=120)["receipt"]["due_minor"] == 129


def test_lookup_finds_codes_numbers_and_beginnings_of_words(till: LocalClient) -> None:
    def names(text: str) -> list[str]:
        return [product["name"] for product in till.call("lookup", text=text)["products"]]

    assert names(MILK) == names("101") == ["Whole milk 1 l"]
    assert names("cafe bea") == ["Café crème beans 500 g"]
    assert names("MILK whole") == ["Whole milk 1 l"]
    assert names("nothing like it") == names("") == []


def test_the_price_shown_is_the_one_that_is_valid_now(till: LocalClient, shop: PracticeShop) -> None:
    assert till.call("product", product=101)["product"]["unit_price_minor"] == 129
    assert till.call("product", code="4000000000081")["product"]["unit_price_minor"] is None
    assert refused(till, "product", code="000").kind == "UnknownProduct"


def test_a_sale_asked_for_again_under_its_id_is_the_same_sale(till: LocalClient, shop: PracticeShop) -> None:
    till.call("open")
    first = till.call("sell", lines=[{"product": 101}], once="basket 7")
    assert till.call("sell", lines=[{"product": 101}], once="basket 7") == first
    assert till.call("sell", lines=[{"product": 101}], once="basket 8")["receipt"]["number"] == "12-3-a1-2"
    assert till.call("sell", lines=[{"product": 101}])["receipt"]["number"] == "12-3-a1-3"
    assert till.call("x_report")["report"]["sales_minor"] == 3 * 129


def test_an_act_asked_for_again_under_its_id_is_the_same_act(till: LocalClient) -> None:
    till.call("open")
    number = till.call("sell", lines=[{"product": 101}, {"product": 102}])["receipt"]["number"]
    lines = [{"product": 101, "quantity": 2}]
    for at, (do, fields) in enumerate(
        [
            ("drawer", {"act": "paid_out", "amount_minor": 500, "reason": "milk"}),
            ("refund", {"number": number, "lines": [{"line": 1}]}),
            ("replenish", {"lines": lines}),
            ("write_off", {"lines": lines, "reason": "broken"}),
            ("count", {"lines": lines}),
            ("transfer", {"lines": lines, "to_store": 13}),
        ]
    ):
        first = till.call(do, **fields, once=f"act {at}")
        assert till.call(do, **fields, once=f"act {at}") == first
    assert till.call("x_report")["report"]["paid_out_minor"] == 500
    other = till.call("sell", lines=[{"product": 101}])["receipt"]["number"]
    assert till.call("void", number=other, once="v") == till.call("void", number=other, once="v")


def test_a_quote_says_what_is_due_and_books_nothing(tmp_path: Path) -> None:
    shop = PracticeShop(Terms("Shop", Currency("USD", 2), prices_with_tax=False))
    with shop.served(tmp_path), LocalClient(tmp_path) as till:
        till.call("open")
        asked = {"lines": [{"code": MILK, "quantity": 2}, {"product": 107}], "tenders": [], "points": 0}
        quote = till.call("quote", **asked)
        assert (quote["total_minor"], quote["tax_minor"], quote["due_minor"]) == (407, 46, 453)
        assert shop.replica.commits == 1
        assert till.call("sell", **asked)["receipt"]["due_minor"] == 453


@pytest.mark.parametrize(
    ("do", "fields", "words"),
    [
        ("sell", {"lines": [{"product": 101, "qantity": 2}]}, "'qantity' is not known here"),
        ("sell", {"lines": [{"product": 101, "quantity": "2"}]}, "'quantity' is not an integer"),
        ("sell", {"lines": [{"product": 101, "quantity": True}]}, "'quantity' is not an integer"),
        ("sell", {"lines": [{"product": 2**64}]}, "'product' is not an integer"),
        ("sell", {"lines": [{}]}, "No product has the code ''"),
        ("sell", {"lines": ["milk"]}, "'lines' is not a list"),
        ("sell", {"lines": [{"code": "77"}]}, "No product has the code '77'"),
        ("sell", {"lines": [{"product": 101}], "member": "zz"}, "is no account"),
        ("sell", {"lines": [{"product": 101}], "tenders": [{"kind": "shells", "amount_minor": 129}]}, "choose another"),
        ("sell", {"lines": []}, "add a line"),
        ("sell", {"lines": [{"product": 101}], "once": "x" * 41}, "at most 40 characters"),
        ("sell", {"lines": [{"product": 101, "quantity": -1}]}, "goods that come back are a refund"),
        ("sell", {"lines": [{"product": 101, "discount_minor": 130}]}, "no discount is more than its line"),
        (
            "sell",
            {"lines": [{"product": 101}], "tenders": [{"kind": "cash", "amount_minor": 4_000_000_000_081}]},
            "more cash than anyone gives",
        ),
        ("quote", {"lines": []}, "add a line"),
        ("quote", {"lines": [{"product": 101}], "deadline_ms": 5}, "'deadline_ms' is not known here"),
        ("open", {"date": "22.11.2026"}, "is no date"),
        ("drawer", {"act": "slam"}, "A drawer act is one of"),
        ("drawer", {"act": "paid_in", "amount_minor": -1}, "'amount_minor' is not an integer"),
        ("write_off", {"lines": [{"product": 101, "quantity": 1}]}, "Say why"),
        ("transfer", {"lines": [{"product": 101, "quantity": 1}]}, "either 'to_store' or 'from_store'"),
        ("receipt", {"number": "12-3-a1-99"}, "check the number"),
        ("void", {"number": "nonsense"}, "check the number"),
        ("lookup", {"text": "x" * 500}, "at most 400 characters"),
        ("member", {}, "Say which account"),
    ],
)
def test_a_bad_request_is_refused_in_words_and_nothing_is_booked(
    till: LocalClient, shop: PracticeShop, do: str, fields: Message, words: str
) -> None:
    if do != "open":
        till.call("open")
    commits = shop.replica.commits
    assert words in refused(till, do, **fields).message
    assert shop.replica.commits == commits


def test_a_clock_before_the_last_close_makes_the_till_ask_for_the_date(till: LocalClient, shop: PracticeShop) -> None:
    till.call("open")
    till.call("close")
    shop.now = Now(shop.now.ms - 3 * 86_400_000, 60)
    assert refused(till, "open").kind == "AskForDate"
    assert till.call("open", date="2026-11-23")["business_date"] == "2026-11-23"


def test_currencies_without_and_with_three_decimals_print_as_they_are(tmp_path: Path) -> None:
    for currency, shown in ((Currency("JPY", 0), "129"), (Currency("BHD", 3), "0.129")):
        shop = PracticeShop(Terms("Shop", currency))
        folder = tmp_path / currency.code
        folder.mkdir()
        with shop.served(folder), LocalClient(folder) as till:
            till.call("open", date=datetime.date(2026, 11, 22).isoformat())
            assert f"TOTAL {currency.code}" in (text := till.call("sell", lines=[{"product": 101}])["text"])
            assert shown in text.split()


# --- the command line ---


@pytest.mark.usefixtures("till")
def test_one_sale_on_the_command_line_prints_the_receipt_and_its_qr(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        sell,
        [
            "--at",
            str(tmp_path),
            "--open",
            *("--code", MILK, "--quantity", "2", "--code", CHEESE, "--quantity", "0.5"),
            "--cash",
            "20",
        ],
    )
    assert done.exit_code == 0, done.output
    assert "0.500 kg × 19.90" in done.output
    assert "Change: 7.47" in done.output
    assert "█▀▀▀▀▀█" in done.output


def test_a_code_as_the_cash_is_asked_about_on_the_command_line(tmp_path: Path, till: LocalClient) -> None:
    till.call("open")
    asked = ["--at", str(tmp_path), "--code", MILK, "--cash"]
    done = CliRunner().invoke(sell, [*asked, "1000.01"], standalone_mode=False)
    assert isinstance(done.exception, Refused)
    assert "1000.01 in cash for 1.29?" in done.exception.message
    assert CliRunner().invoke(sell, [*asked, "1000"]).exit_code == 0


@pytest.mark.usefixtures("till")
def test_one_sale_as_json_can_be_read_by_a_script(tmp_path: Path, shop: PracticeShop) -> None:
    done = CliRunner().invoke(sell, ["--at", str(tmp_path), "--open", "--code", MILK, "--card", "1.29", "--json"])
    assert done.exit_code == 0, done.output
    assert '"due_minor": 129' in done.output
    assert shop.till.receipt("12-3-a1-1") is not None


@pytest.mark.usefixtures("till")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--code", "77"], "No product has the code '77'"),
        (["--code", MILK], "open the till first"),
        (["--code", MILK, "--cash", "much"], "'much' is no amount"),
        (["--code", MILK, "--quantity", "1.5"], "'1.5' is no quantity"),
        (["--code", MILK, "--quantity", "0"], "is 0"),
        (["--code", MILK, "--quantity", "1", "--quantity", "2"], "more --quantity than --code"),
        (["--cash", "5"], "Say with --code what to sell"),
        ([], "needs a terminal"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_sentence(tmp_path: Path, arguments: list[str], words: str) -> None:
    done = CliRunner().invoke(sell, ["--at", str(tmp_path), *arguments], standalone_mode=False)
    assert isinstance(done.exception, Refused)
    assert words in done.exception.message


def test_without_a_running_till_it_says_how_to_start_one(tmp_path: Path) -> None:
    done = CliRunner().invoke(sell, ["--at", str(tmp_path)])
    assert done.exit_code == 2
    assert f"Start it with: crdt-pos till run --at {tmp_path}" in done.output
