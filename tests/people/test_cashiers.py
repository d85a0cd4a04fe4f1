"""Cashiers: keys under a PIN and the store's secret, signatures, wrong PINs, and managers who decide."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from crdt_pos import journal
from crdt_pos.cashiers import FREE_TRIES, TRIES_MAX
from crdt_pos.errors import CashierRefused, NotAllowedHere, NotSignedOn, WrongPin
from crdt_pos.requests import LineRequest, SaleRequest
from crdt_pos.schema import SCHEMA, STAFF, STAFF_RULE
from crdt_pos.staff import SealedPin, StaffRole, join, staff_document
from gossip.document import day_number
from gossip.entry import FeedId
from gossip.log import Arrival
from gossip.own_feed import OwnFeed
from merge_rules.register_lww import RegisterLww
from peers.errors import SealError
from peers.keys import SecretKey, open_with_passphrase
from peers.permissions import Role
from tests.people.shop import DATE, STORE, Company, Place

MILK = SaleRequest((LineRequest(1, total_minor=119),))


@pytest.fixture
def shop() -> tuple[Company, Place, Place, Place]:
    """The company, its office, and tills 1 and 2 that know eva (manager, 9999), whom the office has named."""
    company = Company()
    office, one, two = company.place(Role.OFFICE), company.place(), company.place(number=2)
    office.cashiers.add(office.cashiers.deciding(), "eva", "9999", StaffRole.MANAGER)
    office.tell(one, two)
    return company, office, one, two


def with_anna(one: Place, pin: str = "1234") -> None:
    one.cashiers.add(one.cashiers.deciding("eva", "9999"), "anna", pin)


def test_a_store_without_cashiers_sells_for_anybody() -> None:
    till = Company().place()
    till.till.open_date(DATE)
    assert not till.till.sell(MILK).cashier_signature


def test_a_store_with_cashiers_sells_for_whoever_has_signed_on_and_the_receipt_bears_the_signature(
    shop: tuple[Company, Place, Place, Place],
) -> None:
    _, office, one, two = shop
    with_anna(one)
    with pytest.raises(NotSignedOn):
        one.till.open_date(DATE)
    one.cashiers.sign_on("anna", "1234")
    one.till.open_date(DATE)
    sold = one.till.sell(MILK)
    assert (sold.cashier, len(sold.cashier_signature)) == ("anna", 64)
    with one.log.read() as reader:
        found = journal.find(reader, sold.number)
    assert found is not None
    assert found.receipt == sold
    one.tell(two, office)
    report = two.verified()
    assert (report.findings, report.receipts_signed) == ([], 2)
    one.restart()
    with pytest.raises(NotSignedOn):  # the key was in memory only
        one.till.sell(MILK)


def test_what_one_till_is_told_every_till_of_the_store_knows(shop: tuple[Company, Place, Place, Place]) -> None:
    _, _, one, two = shop
    with_anna(one)
    one.tell(two)
    assert two.cashiers.sign_on("anna", "1234").role is StaffRole.CASHIER


def test_wrong_pins_are_counted_wait_longer_each_time_and_lock_the_key_in_the_whole_store(
    shop: tuple[Company, Place, Place, Place],
) -> None:
    company, _, one, two = shop
    with_anna(one)
    one.tell(two)
    waits: list[int] = []
    for wrong in itertools.count():
        one.restart()  # a restart forgets nothing
        with pytest.raises(WrongPin) as said:
            one.cashiers.sign_on("anna", f"{wrong:04}")
        if "locked" in str(said.value):
            break
        if "try again" in str(said.value):
            waits.append(int(str(said.value).split()[-2]))
            company.clock_ms += waits[-1] * 1000
    assert waits == [2 << step for step in range(TRIES_MAX - FREE_TRIES)]
    with pytest.raises(WrongPin, match="a manager gives a new one"):
        one.cashiers.sign_on("anna", "1234")
    one.tell(two)
    with pytest.raises(WrongPin, match="locked"):
        two.cashiers.sign_on("anna", "1234")
    two.cashiers.reset(two.cashiers.deciding("eva", "9999"), "anna", "5555")
    two.tell(one)
    assert one.cashiers.sign_on("anna", "5555").name == "anna"


def test_a_manager_gives_a_new_pin_at_a_till_that_is_cut_off_and_what_the_old_key_signed_still_verifies(
    shop: tuple[Company, Place, Place, Place],
) -> None:
    _, _, one, two = shop
    with_anna(one)
    one.tell(two)
    one.cashiers.sign_on("anna", "1234")
    one.till.open_date(DATE)
    one.till.sell(MILK)
    with pytest.raises(WrongPin):
        one.cashiers.deciding("eva", "1111")
    with pytest.raises(CashierRefused, match="no manager"):
        one.cashiers.deciding("anna", "1234")
    one.cashiers.reset(one.cashiers.deciding("eva", "9999"), "anna", "4321")  # nobody else was asked
    with pytest.raises(NotSignedOn):  # whoever sits there with the old key does not go on
        one.till.sell(MILK)
    with pytest.raises(WrongPin):
        one.cashiers.sign_on("anna", "1234")
    one.cashiers.sign_on("anna", "4321")
    one.till.sell(MILK)
    one.tell(two)
    assert (two.verified().findings, two.verified().receipts_signed) == ([], 3)
    assert two.cashiers.sign_on("anna", "4321").name == "anna"


def test_the_staff_document_alone_opens_nothing_even_to_who_tries_the_right_pin(
    shop: tuple[Company, Place, Place, Place],
) -> None:
    _, _, one, _ = shop
    with_anna(one)
    staff = one.cashiers.read()
    for stolen in ("1234", "1234/", f"1234/{staff.pins['anna'].secret.hex()}"):
        with pytest.raises(SealError):
            open_with_passphrase(stolen, staff.pins["anna"].sealed)
    with one.log.read() as reader:
        raw = b"".join(stored.entry.raw for stored in reader.arrivals(0, 1000))
    assert one.cashiers.sign_on("anna", "1234").key.seed not in raw


def test_a_till_that_comes_later_is_given_the_secret_by_one_that_holds_it(
    shop: tuple[Company, Place, Place, Place],
) -> None:
    company, _, one, two = shop
    with_anna(one)
    one.tell(two)
    three = company.place(number=3)
    one.tell(three)
    three.till.open_date(DATE)
    assert not three.till.sell(MILK).cashier_signature  # no sale waits for a secret
    with pytest.raises(CashierRefused, match="waits for the store's secret"):
        three.cashiers.sign_on("anna", "1234")
    turns: list[Place] = []
    for place in (one, two):
        with place.log.read() as reader:
            if place.cashiers.lacks(reader):
                turns.append(place)
    (giver,) = turns
    assert giver.cashiers.share()
    giver.tell(three)
    three.cashiers.sign_on("anna", "1234")
    assert three.till.sell(MILK).cashier == "anna"


def test_after_a_till_is_revoked_keys_are_sealed_under_a_secret_that_it_never_had(
    shop: tuple[Company, Place, Place, Place],
) -> None:
    company, _, one, two = shop
    with_anna(one)
    one.tell(two)
    before = one.cashiers.read().pins["anna"]
    company.revoke(two.me.author)
    one.cashiers.sign_on("anna", "1234")
    after = one.cashiers.read()
    assert after.pins["anna"].secret != before.secret
    assert (after.pins["anna"].secret, two.me.author) not in after.copies
    one.tell(two)
    with pytest.raises(CashierRefused):
        two.cashiers.sign_on("anna", "1234")


def test_a_till_that_was_taken_over_invents_no_cashier_and_puts_no_old_record_back(
    shop: tuple[Company, Place, Place, Place],
) -> None:
    company, _, one, two = shop
    with_anna(one)
    old = one.cashiers.read().cashiers["anna"]
    one.cashiers.leave(one.cashiers.deciding("eva", "9999"), "anna")
    one.tell(two)
    rogue = replace(old, public_key=SecretKey.generate().public, role=StaffRole.MANAGER, edition=9)
    with two.log.read() as reader:
        state = join(reader, STORE, STAFF_RULE)
        for name, one_record in (("anna", old), ("mallory", rogue), ("eva", rogue)):
            stamp = company.now_ms() << 20
            register = RegisterLww.bottom().write(two.me.author, stamp, one_record.body())
            state = state.join(STAFF_RULE({name: register}))
        feed = OwnFeed.read(reader, two.key, two.me.author, staff_document(STORE), SCHEMA[STAFF])
        entry = feed.sign(state.entry_body(two.me.author), 1)
    two.log.append([Arrival(entry)])
    two.tell(one)
    staff = one.cashiers.read()
    assert staff.active("anna") is None
    assert "mallory" not in staff.cashiers
    assert {known.name for known in staff.unvouched} == {"mallory", "eva"}
    assert one.cashiers.deciding("eva", "9999").manager is not None
    assert {found.check for found in one.verified().findings} == {"cashier"}


def test_a_receipt_that_its_cashier_has_not_signed_like_this_is_found(
    shop: tuple[Company, Place, Place, Place],
) -> None:
    _, _, one, two = shop
    with_anna(one)
    duty = one.cashiers.sign_on("anna", "1234")
    one.till.open_date(DATE)
    sold = one.till.sell(MILK)
    with one.log.read() as reader:
        feed = OwnFeed.read(
            reader, one.key, one.me.author, journal.journal_document(STORE, day_number(DATE)), SCHEMA["journal"]
        )
        forged = replace(sold, n=sold.n + 1, reference="not hers")  # her signature under other words
        entry = feed.sign(forged.body(), 1)
    assert duty.name == forged.cashier
    one.log.append([Arrival(entry)])
    one.tell(two)
    assert [(found.check, found.seq) for found in two.verified().findings] == [("cashier", entry.seq)]
    assert FeedId(entry.document, one.me.author) == entry.feed_id


def test_a_cashier_does_not_void_alone(shop: tuple[Company, Place, Place, Place]) -> None:
    _, _, one, _ = shop
    with_anna(one)
    one.cashiers.sign_on("anna", "1234")
    one.till.open_date(DATE)
    number = one.till.sell(MILK).number
    with pytest.raises(NotAllowedHere):
        one.till.void(number)
    one.cashiers.sign_on("eva", "9999")
    assert one.till.void(number).cashier == "eva"


def test_changing_ones_own_pin_keeps_the_key(shop: tuple[Company, Place, Place, Place]) -> None:
    _, _, one, _ = shop
    with_anna(one)
    key = one.cashiers.sign_on("anna", "1234").key.public
    with pytest.raises(WrongPin):
        one.cashiers.change_pin("anna", "0000", "7777")
    with pytest.raises(CashierRefused, match="4 to 12 digits"):
        one.cashiers.change_pin("anna", "1234", "77")
    one.cashiers.change_pin("anna", "1234", "7777")
    assert one.cashiers.sign_on("anna", "7777").key.public == key
    assert SealedPin.from_body(one.cashiers.read().pins["anna"].body()).key_id == key[:8]


def test_at_a_till_nobody_but_a_manager_decides_and_the_first_is_named_at_a_head_office() -> None:
    till = Company().place()
    with pytest.raises(CashierRefused, match="head office"):
        till.cashiers.deciding()
