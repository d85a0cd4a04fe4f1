"""Points, as far as a till may spend them: never below zero, whoever is cut off from whom."""

from __future__ import annotations

import random

import pytest

from crdt_pos.balance import Balance
from crdt_pos.errors import MemberMissing, NotEnoughRights
from crdt_pos.loyalty import Programme
from crdt_pos.receipt import Tender
from crdt_pos.requests import LineRequest, RefundLine, RefundRequest, SaleRequest, TenderRequest
from crdt_pos.terms import Terms
from gossip.document import Scope
from tests.till.shop import BREAD, MEMBER, MILK, PIZZA, USD, Place, opened


def spend(place: Place, amount_minor: int, points: int = 0, member: bytes = MEMBER) -> None:
    place.till.sell(SaleRequest((LineRequest(99, total_minor=amount_minor),), member=member, points=points))


def test_a_member_earns_a_point_for_each_whole_unit_of_net_takings(place: Place) -> None:
    receipt = place.till.sell(SaleRequest((LineRequest(PIZZA, 2),), member=MEMBER))
    net = 1800 - receipt.tax_minor
    assert place.till.redeemable(MEMBER).here == place.till.redeemable(MEMBER).company == net // 100 == 15
    assert receipt.movements[0].earned == 15


def test_points_pay_as_a_tender_and_cash_pays_the_rest(place: Place) -> None:
    spend(place, 50_000)
    receipt = place.till.sell(SaleRequest((LineRequest(BREAD, 2),), member=MEMBER, points=340))
    assert [(tender.kind, tender.amount_minor) for tender in receipt.tenders] == [
        (Tender.POINTS, 340),
        (Tender.CASH, 160),
    ]
    assert place.till.redeemable(MEMBER).here == 500 - 340 + 4
    paid = (TenderRequest("points", 100), TenderRequest("cash", 500))
    place.till.sell(SaleRequest((LineRequest(BREAD, 2),), paid, member=MEMBER))
    assert place.till.redeemable(MEMBER).here == 164 - 100 + 4
    assert place.rederived().balanced


def test_too_few_points_are_refused_with_what_can_be_redeemed_now(place: Place) -> None:
    spend(place, 34_000)
    with pytest.raises(NotEnoughRights, match="340 can be redeemed now, the balance is 340") as refused:
        spend(place, 100_000, points=341)
    assert (refused.value.here, refused.value.company) == (340, 340)
    assert place.till.redeemable(MEMBER).here == 340
    assert place.rederived().series[0].documents == 1


def test_points_need_a_member(place: Place) -> None:
    with pytest.raises(MemberMissing):
        place.till.sell(SaleRequest((LineRequest(BREAD),), (TenderRequest("points", 250),)))
    with pytest.raises(MemberMissing):
        place.till.sell(SaleRequest((LineRequest(BREAD),), member=b"short"))


def test_another_till_spends_only_what_was_granted_to_it() -> None:
    mine, theirs = opened(), opened(number=4)
    spend(mine, 50_000)
    mine.tell(theirs)
    assert (theirs.till.redeemable(MEMBER).here, theirs.till.redeemable(MEMBER).company) == (0, 500)
    with pytest.raises(NotEnoughRights, match="0 can be redeemed now, the balance is 500"):
        spend(theirs, 90, points=90)
    assert mine.till.grant(MEMBER, theirs.me.author, 200) == 200
    assert mine.till.redeemable(MEMBER).here == 300
    with pytest.raises(NotEnoughRights):
        spend(theirs, 90, points=90)
    mine.tell(theirs)
    assert theirs.till.redeemable(MEMBER).here == 200
    spend(theirs, 90, points=90)
    theirs.tell(mine)
    assert (theirs.till.redeemable(MEMBER).here, mine.till.redeemable(MEMBER).here) == (110, 300)
    assert mine.till.redeemable(MEMBER).company == 410


def test_a_grant_is_at_most_what_is_held(place: Place) -> None:
    spend(place, 30_000)
    neighbour = opened(number=4)
    assert place.till.grant(MEMBER, neighbour.me.author, 1_000) == 300
    assert place.till.grant(MEMBER, neighbour.me.author, 1) == 0
    assert place.till.redeemable(MEMBER).here == 0
    assert place.till.redeemable(MEMBER).company == 300


def test_a_refund_takes_back_the_points_it_earned_as_far_as_they_are_there(place: Place) -> None:
    spend(place, 20_000)
    number = place.till.sell(SaleRequest((LineRequest(99, 2, total_minor=20_000),), member=MEMBER)).number
    refund = place.till.refund(RefundRequest(number, (RefundLine(1, 1),)))
    assert (refund.movements[0].redeemed, refund.movements[0].owing) == (100, 0)
    spend(place, 250, points=250)
    refund = place.till.refund(RefundRequest(number))
    assert (refund.movements[0].redeemed, refund.movements[0].owing) == (52, 48)
    assert place.till.redeemable(MEMBER).company == 0


def test_points_are_taken_back_in_parts_as_they_are_at_once(place: Place) -> None:
    number = place.till.sell(SaleRequest((LineRequest(99, 10, total_minor=990),), member=MEMBER)).number
    assert place.till.redeemable(MEMBER).here == 9
    for left in range(9, 0, -1):
        place.till.refund(RefundRequest(number, (RefundLine(1, 1),)))
        assert place.till.redeemable(MEMBER).here == left * 99 // 100
    voided = place.till.refund(RefundRequest(number))
    assert place.till.redeemable(MEMBER).here == 0
    place.till.void(voided.number)
    place.till.refund(RefundRequest(number))
    assert (place.till.redeemable(MEMBER).here, place.rederived().balanced) == (0, True)


def test_a_void_takes_what_a_sale_earned_from_the_points_that_it_gives_back(place: Place) -> None:
    spend(place, 100_000)
    number = place.till.sell(SaleRequest((LineRequest(99, total_minor=100_000),), member=MEMBER, points=1000)).number
    neighbour = opened(number=4)
    assert place.till.grant(MEMBER, neighbour.me.author, 1000) == 1000
    void = place.till.void(number)
    assert (void.movements[0].redeemed, void.movements[0].owing) == (1000, 0)
    assert place.till.redeemable(MEMBER).company == 1000


def test_what_could_not_be_taken_back_is_kept_from_what_is_earned_next(place: Place) -> None:
    number = place.till.sell(SaleRequest((LineRequest(99, total_minor=20_000),), member=MEMBER)).number
    spend(place, 250, points=150)
    refund = place.till.refund(RefundRequest(number))
    assert (refund.movements[0].redeemed, refund.movements[0].owing) == (52, 148)
    bought = place.restart().sell(SaleRequest((LineRequest(99, total_minor=10_000),), member=MEMBER))
    assert (bought.movements[0].earned, bought.movements[0].settled) == (0, 100)
    spend(place, 10_000)
    assert place.till.redeemable(MEMBER).here == 100 - 48
    place.till.refund(RefundRequest(bought.number))
    assert place.till.redeemable(MEMBER).company == 0
    spend(place, 20_000)
    assert place.till.redeemable(MEMBER).here == 200 - 48
    assert place.rederived().balanced


@pytest.mark.parametrize("kept", [0, 3_000, 30_000])
def test_a_refund_that_is_voided_leaves_points_as_they_were(place: Place, kept: int) -> None:
    number = place.till.sell(SaleRequest((LineRequest(99, total_minor=20_000),), member=MEMBER)).number
    spend(place, 150, points=150)
    refund = place.till.refund(RefundRequest(number))
    spend(place, kept)
    place.till.void(refund.number)
    assert place.till.redeemable(MEMBER).here == 200 - 150 + 1 + kept // 100
    place.till.refund(RefundRequest(number))
    spend(place, 100_000)
    assert place.till.redeemable(MEMBER).here == 1000 + kept // 100 + 1 - 150


def test_a_void_gives_points_back_that_were_paid_with(place: Place) -> None:
    spend(place, 50_000)
    receipt = place.till.sell(SaleRequest((LineRequest(BREAD, 2),), member=MEMBER, points=500))
    assert place.till.redeemable(MEMBER).here == 4
    place.till.void(receipt.number)
    assert place.till.redeemable(MEMBER).here == 500


def test_money_can_be_given_back_as_store_credit(place: Place) -> None:
    number = place.till.sell(SaleRequest((LineRequest(BREAD),))).number
    credit = b"credit-1"
    place.till.refund(RefundRequest(number, tenders=(TenderRequest("credit", 250, account=credit),)))
    assert place.till.redeemable(credit, "credit").here == 250
    place.till.sell(SaleRequest((LineRequest(BREAD),), (TenderRequest("credit", 250, account=credit),)))
    assert place.till.redeemable(credit, "credit").here == 0
    assert place.rederived().balanced


def test_a_programme_may_pay_more_than_one_minor_unit_a_point() -> None:
    place = opened(terms=Terms(programme=Programme("stars", points_per_unit=2, minor_per_point=5)))
    spend(place, 10_000)
    assert place.till.redeemable(MEMBER, "stars").here == 200
    spend(place, 1_000, points=200)
    assert place.till.redeemable(MEMBER).here == 20


def test_a_new_account_becomes_a_patron_of_the_store_once(place: Place) -> None:
    for _ in range(3):
        spend(place, 500)
    place.restart().sell(SaleRequest((LineRequest(MILK),), member=b"member-2"))
    with place.log.read() as reader:
        patrons = [stored.entry for stored in reader.arrivals(0, 100) if stored.entry.document.kind == "patrons"]
        balances = [stored.entry for stored in reader.arrivals(0, 100) if stored.entry.document.kind == "balance"]
        assert all(reader.scopes(entry) == {Scope("patrons/12")} for entry in balances)
    assert [entry.body for entry in patrons] == [[MEMBER], [b"member-2"]]
    neighbour = opened(number=4)
    place.tell(neighbour)
    spend(neighbour, 500)
    with neighbour.log.read() as reader:
        assert not [stored for stored in reader.arrivals(0, 100) if stored.entry.document.kind == "patrons"][2:]


def test_points_are_earned_on_prices_without_tax() -> None:
    place = opened(terms=USD)
    place.till.sell(SaleRequest((LineRequest(PIZZA),), member=MEMBER))
    assert place.till.redeemable(MEMBER).here == 9


@pytest.mark.parametrize("seed", range(12))
def test_points_never_fall_below_zero_between_tills_that_are_now_and_then_cut_off(seed: int) -> None:
    dice = random.Random(seed)
    tills = [opened(number=number) for number in (1, 2, 3)]
    earned = spent = refused = 0
    for _ in range(60):
        here, there = dice.sample(tills, 2)
        match dice.randrange(5):
            case 0:
                spend(here, dice.randrange(0, 30_000))
            case 1:
                here.tell(there)
            case 2:
                here.till.grant(MEMBER, there.me.author, dice.randrange(1, 100))
            case _:
                points = dice.randrange(1, 200)
                held = here.till.redeemable(MEMBER).here
                try:
                    spend(here, points, points)
                    spent += points
                except NotEnoughRights:
                    refused += 1
                left = here.till.redeemable(MEMBER).here
                assert left == (held if points > held else held - points + points // 100)
    for here in tills:
        for there in tills:
            if here is not there:
                here.tell(there)
    balances = []
    for here in tills:
        with here.log.read() as reader:
            balances.append(Balance.read(reader, "points", MEMBER).counter)
    assert balances[0] == balances[1] == balances[2]
    counter = balances[0]
    earned = sum(counter.earned(author) for author in counter.authors)
    assert spent == sum(counter.redeemed(author) for author in counter.authors) <= earned
    assert (counter.value(), counter.overspent(), counter.lies()) == (earned - spent, {}, ())
    assert refused
    assert spent
