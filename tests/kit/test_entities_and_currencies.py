"""Three stores, three legal entities, three currencies: nothing is ever added across them."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from crdt_pos.books import Books, Query, read
from crdt_pos.cli import crdt_pos
from crdt_pos.clock import system_ms
from crdt_pos.directory import load_directory
from crdt_pos.enrolment import add_store, create_company, enrol_till
from crdt_pos.errors import EnrolmentRefused, NotEnoughRights, NotRefundable, OtherMoney
from crdt_pos.folder import Folder, Settings
from crdt_pos.identity import Now
from crdt_pos.money import exponent_of
from crdt_pos.products import Price, Product, ProductTable
from crdt_pos.receipt_text import receipt_text
from crdt_pos.replica import RunningReplica
from crdt_pos.requests import LineRequest, RefundLine, RefundRequest, SaleRequest, TenderRequest
from crdt_pos.till import Till
from gossip.address import Address
from gossip.log import Arrival
from peers.permissions import readable_scopes
from peers.roster import StoreRecord

SETTINGS = Settings(Address("127.0.0.1", 0), multicast=False)
GOODS, CARD = 1, 2
MEMBER, GIFT = b"member-1", b"gift-001"
RECORDS = (
    StoreRecord(
        12, name="North", legal_entity="Laden GmbH", tax_id="DE 123", currency="EUR", time_zone="Europe/Berlin"
    ),
    StoreRecord(13, legal_entity="Laden AG", currency="CHF", cash_step_minor=5, time_zone="Europe/Zurich"),
    StoreRecord(14, legal_entity="Mise KK", currency="JPY", exponent=0, time_zone="Asia/Tokyo"),
    StoreRecord(15, legal_entity="Zweiter Laden GmbH", currency="EUR", time_zone="Europe/Berlin"),
)
TAKINGS = {12: 1_299, 13: 1_298, 14: 1_297, 15: 1_296}


class Shop:
    """One till on its own folder and log, with a clock of its own; never connected."""

    def __init__(self, folder: Folder) -> None:
        self.replica = RunningReplica(folder)
        self.ms = system_ms()
        self.record = folder.certificate.store
        price = Price(TAKINGS[folder.certificate.store or 0])
        products = ProductTable(
            {
                GOODS: Product(GOODS, "Goods", prices=(price,)),
                CARD: Product(CARD, "Gift card", prices=(Price(5_000),), liability="gift"),
            },
            {},
        )
        own = self.replica
        self.till = Till(own.log, own.identity(), self.now, products=products, terms=own.terms)

    def now(self) -> Now:
        self.ms += 1000
        return Now(self.ms, own_offset(self.replica))

    def tell(self, office: Shop | RunningReplica) -> None:
        """What a head office may read arrives there."""
        other = office.replica if isinstance(office, Shop) else office
        me, to = self.replica, other.certificate
        scopes = readable_scopes(to.role, to.store, frozenset({12, 13, 14, 15}))
        with me.log.read() as reader:
            entries = [one.entry for one in reader.arrivals(0, 1 << 40) if reader.scopes(one.entry) & scopes]
        with other.log.read() as reader:
            derived = other.derive(reader, [Arrival(entry, me.certificate.author) for entry in entries])
        other.log.append([Arrival(entry, me.certificate.author) for entry in entries], derived.views)


def own_offset(replica: RunningReplica) -> int:
    return replica.now().offset_minutes


class Company:
    def __init__(self, at: Path) -> None:
        now_ms = system_ms()
        self.folder = create_company("Shops", at / "office", SETTINGS, now_ms)
        for record in RECORDS:
            add_store(self.folder, record, now_ms)
        folders = [
            enrol_till(self.folder, record.store, 1, at / f"till-{record.store}", SETTINGS, now_ms)
            for record in RECORDS
        ]
        self.office = RunningReplica(self.folder)
        self.shops = {folder.certificate.store or 0: Shop(folder) for folder in folders}

    def books(self, query: Query | None = None) -> Books:
        with self.office.log.read() as reader:
            return read(reader, load_directory(reader, self.folder.root, [self.folder.chain]), query or Query())

    def close(self) -> None:
        for replica in (self.office, *(shop.replica for shop in self.shops.values())):
            replica.close()


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Company]:
    made = Company(tmp_path)
    yield made
    made.close()


DATE = datetime.datetime.now(datetime.UTC).date()


def a_day(company: Company) -> None:
    """At each till one sale in cash with a member, and a gift card sold."""
    for shop in company.shops.values():
        shop.till.open_date(DATE)
        shop.till.sell(SaleRequest((LineRequest(GOODS),), (TenderRequest("cash", 2_000),), member=MEMBER))
        shop.till.sell(SaleRequest((LineRequest(CARD, account=GIFT),), (TenderRequest("card", 5_000),)))
        shop.till.close_date()
        shop.tell(company.office)


def test_every_legal_entity_has_books_of_its_own_in_its_currency(company: Company) -> None:
    a_day(company)
    found = company.books()
    accounts = {(one.legal_entity, one.currency, one.exponent): one for one in found.accounts}
    assert set(accounts) == {(one.legal_entity, one.currency, one.exponent) for one in RECORDS}
    for record in RECORDS:
        account = accounts[record.legal_entity, record.currency, record.exponent]
        assert account.stores == (record.store,)
        assert account.money.takings_minor == TAKINGS[record.store]
        assert account.money.liabilities.net == 5_000
        assert account.money.balanced
    francs = accounts["Laden AG", "CHF", 2].money
    assert (francs.rounding.net, francs.tenders_net_minor) == (2, 1_300 + 5_000)  # 12.98 is paid as 13.00


def test_what_is_owed_is_never_one_sum_of_two_legal_entities_or_currencies(company: Company) -> None:
    a_day(company)
    owed = {(one.programme, one.legal_entity): one for one in company.books().owed}
    assert {key: (one.earned, one.owed, one.currency, one.exponent) for key, one in owed.items()} == {
        ("points", "Laden GmbH"): (12, 12, "EUR", 0),
        ("points", "Zweiter Laden GmbH"): (12, 12, "EUR", 0),
        ("points-chf", "Laden AG"): (12, 12, "CHF", 0),
        ("points-jpy", "Mise KK"): (12, 12, "JPY", 0),  # one for 100 yen: a point pays a yen
        ("gift", "Laden GmbH"): (5_000, 5_000, "EUR", 2),
        ("gift", "Zweiter Laden GmbH"): (5_000, 5_000, "EUR", 2),
        ("gift-chf", "Laden AG"): (5_000, 5_000, "CHF", 2),
        ("gift-jpy", "Mise KK"): (5_000, 5_000, "JPY", 0),
    }


def test_a_card_that_was_sold_for_yen_pays_no_francs(company: Company) -> None:
    yen, francs = company.shops[14], company.shops[13]
    for shop in (yen, francs):
        shop.till.open_date(DATE)
    yen.till.sell(SaleRequest((LineRequest(CARD, account=GIFT),), (TenderRequest("card", 5_000),)))
    yen.tell(francs)
    assert yen.till.redeemable(GIFT, "gift").company == 5_000
    assert francs.till.redeemable(GIFT, "gift").company == 0
    with pytest.raises(NotEnoughRights):
        francs.till.sell(SaleRequest((LineRequest(GOODS),), (TenderRequest("gift", 1_298, account=GIFT),)))


def test_what_one_legal_entity_redeems_of_anothers_card_is_a_claim_and_no_sum(company: Company) -> None:
    one, other = company.shops[12], company.shops[15]
    one.till.open_date(DATE)
    one.till.sell(SaleRequest((LineRequest(CARD, account=GIFT),), (TenderRequest("card", 5_000),)))
    one.till.grant(GIFT, other.replica.certificate.author, 1_296, "gift")
    one.tell(company.office)
    with company.office.log.read() as reader:
        entries = [stored.entry for stored in reader.arrivals(0, 1 << 40) if stored.entry.document.kind == "balance"]
    other.replica.log.append([Arrival(entry, one.replica.certificate.author) for entry in entries])
    other.till.open_date(DATE)
    other.till.sell(SaleRequest((LineRequest(GOODS),), (TenderRequest("gift", 1_296, account=GIFT),)))
    other.tell(company.office)
    one.till.publish()
    one.tell(company.office)
    owed = {row.legal_entity: (row.earned, row.redeemed, row.owed) for row in company.books().owed}
    assert owed == {"Laden GmbH": (5_000, 0, 5_000), "Zweiter Laden GmbH": (0, 1_296, -1_296)}


def test_printed_and_as_json_each_figure_stands_under_its_legal_entity_and_with_its_decimals(company: Company) -> None:
    a_day(company)
    company.close()
    shown = CliRunner().invoke(crdt_pos, ["books", "--at", str(company.folder.path), "--all"]).output
    for title, takings in (("Laden GmbH, EUR", "12.99"), ("Laden AG, CHF", "12.98"), ("Mise KK, JPY", "1,297")):
        section = shown.partition(title)[2].partition("tender")[0]
        assert f" {takings} " in section, (title, section)
    sums = {sum(TAKINGS[store] for store in stores) for stores in ((12, 13), (12, 15), (12, 13, 15), tuple(TAKINGS))}
    for total in sums:
        assert f"{total:,}" not in shown
        assert f"{total / 100:.2f}" not in shown
    plain = json.loads(CliRunner().invoke(crdt_pos, ["books", "--at", str(company.folder.path), "--json"]).output)
    assert {
        one["currency"]: one["takings"]["amount_minor"] for one in plain["accounts"] if one["currency"] != "EUR"
    } == {
        "CHF": 1_298,
        "JPY": 1_297,
    }
    assert {(one["programme"], one["legal_entity"]) for one in plain["owed"]} >= {("gift", "Laden GmbH")}


def test_receipts_bear_the_stores_name_legal_entity_and_tax_number_and_amounts_of_their_currency(
    company: Company,
) -> None:
    shop, yen = company.shops[12], company.shops[14]
    for one in (shop, yen):
        one.till.open_date(DATE)
    receipt = shop.till.sell(SaleRequest((LineRequest(GOODS),)))
    text = receipt_text(receipt, shop.replica.terms(receipt.business_date))
    for line in ("Laden GmbH", "North", "Tax no. DE 123", "12.99"):
        assert line in text
    paid = yen.till.sell(SaleRequest((LineRequest(GOODS),)))
    assert (paid.currency, paid.exponent) == ("JPY", 0)
    assert "1297" in receipt_text(paid)


def test_a_stores_other_currency_begins_with_a_business_date_and_another_life_of_its_tills(company: Company) -> None:
    shop = company.shops[12]
    shop.till.open_date(DATE)
    sold = shop.till.sell(SaleRequest((LineRequest(GOODS),), member=MEMBER))
    shop.tell(company.office)
    shop.till.publish()
    shop.tell(company.office)
    tomorrow = DATE + datetime.timedelta(days=1)
    company.office.close()
    later = replace(RECORDS[0], currency="CHF", legal_entity="Neuer Laden AG")
    with pytest.raises(EnrolmentRefused, match="has sold for Laden GmbH in EUR"):
        add_store(company.folder, later, system_ms())
    add_store(company.folder, replace(later, valid_from=tomorrow), system_ms())
    company.office = RunningReplica(company.folder)
    with company.office.log.read() as reader:
        entries = [one.entry for one in reader.arrivals(0, 1 << 40) if one.entry.document.kind == "roster"]
    shop.replica.log.append([Arrival(entry, company.folder.certificate.author) for entry in entries])
    shop.replica.trust.reload()
    shop.ms += 86_400_000  # after midnight, and the date is still open
    assert shop.till.sell(SaleRequest((LineRequest(GOODS),))).currency == "EUR"
    shop.till.close_date()
    with pytest.raises(OtherMoney, match=r"Laden GmbH, EUR until .*; Neuer Laden AG, CHF now"):
        shop.till.open_date(tomorrow)
    company.office.close()
    again = enrol_till(company.folder, 12, 1, company.folder.path.parent / "again", SETTINGS, system_ms(), again=True)
    company.office = RunningReplica(company.folder)
    next_life = company.shops[99] = Shop(again)
    with shop.replica.log.read() as reader:
        journal = [one.entry for one in reader.arrivals(0, 1 << 40) if one.entry.document.kind == "journal"]
    arrivals = [Arrival(entry, shop.replica.certificate.author) for entry in journal]
    with next_life.replica.log.read() as reader:
        derived = next_life.replica.derive(reader, arrivals)
    next_life.replica.log.append(arrivals, derived.views)
    next_life.till.open_date(tomorrow)
    with pytest.raises(NotRefundable, match="was sold by Laden GmbH in EUR"):
        next_life.till.refund(RefundRequest(sold.number, (RefundLine(1),)))
    assert next_life.till.sell(SaleRequest((LineRequest(GOODS),))).currency == "CHF"
    for one in (shop, next_life):
        one.till.publish() if one is next_life else None
        one.tell(company.office)
    takings = {
        (one.legal_entity, one.currency): one.money.takings_minor
        for one in company.books(Query(DATE, tomorrow)).accounts
        if 12 in one.stores
    }
    assert takings == {("Laden GmbH", "EUR"): 2 * 1_299, ("Neuer Laden AG", "CHF"): 1_299}


def test_a_till_that_hears_late_of_another_currency_stays_in_the_books_of_the_old(company: Company) -> None:
    company.office.close()
    later = replace(RECORDS[0], currency="CHF", legal_entity="Neuer Laden AG")
    tomorrow = DATE + datetime.timedelta(days=1)
    shop = company.shops[12]
    for date in (DATE, tomorrow):
        shop.till.open_date(date)
        shop.till.sell(SaleRequest((LineRequest(GOODS),)))
        shop.till.close_date()
    add_store(company.folder, replace(later, valid_from=tomorrow), system_ms())
    company.office = RunningReplica(company.folder)
    shop.tell(company.office)
    takings = {
        (one.legal_entity, one.currency): one.money.takings_minor
        for one in company.books(Query(DATE, tomorrow)).accounts
    }
    assert takings["Laden GmbH", "EUR"] == 2 * 1_299
    assert takings.get(("Neuer Laden AG", "CHF"), 0) == 0


def test_a_currency_has_the_decimals_of_the_standard_unless_told_and_the_same_everywhere(company: Company) -> None:
    assert [exponent_of(code) for code in ("EUR", "JPY", "KWD")] == [2, 0, 3]
    company.office.close()
    with pytest.raises(EnrolmentRefused, match="EUR has 2 decimals in store 12, and not 3"):
        add_store(company.folder, StoreRecord(16, currency="EUR", exponent=3), system_ms())
    add = ["store", "add", "--office", str(company.folder.path), "--store", "17", "--currency", "JPY"]
    assert CliRunner().invoke(crdt_pos, add, catch_exceptions=False).exit_code == 0
    company.office = RunningReplica(company.folder)
    assert company.office.trust.directory.stores[17][0].exponent == 0
