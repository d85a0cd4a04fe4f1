"""The business date is an act, not a clock; numbers have no gaps; the day is the fold of the journal."""

from __future__ import annotations

import datetime
from dataclasses import fields

import pytest

from crdt_pos.day import Day
from crdt_pos.errors import AskForDate, BadQuantity, NotOpen, StillOpen
from crdt_pos.receipt import DrawerAct, Series, Tender
from crdt_pos.requests import LineRequest, RefundLine, RefundRequest, SaleRequest, StockLine, TenderRequest
from crdt_pos.till import Till
from crdt_pos.turn import day_document
from gossip.document import day_number
from gossip.errors import LogFull
from gossip.log import Reader
from gossip.log_memory import MemoryLog
from merge_rules.counter_covers import CounterCovers
from tests.till.shop import BREAD, CHEESE, DATE, DAY_MS, MILK, PRODUCTS, Place, opened

MILK_SALE = SaleRequest((LineRequest(MILK),))


def test_the_clock_names_the_date_and_midnight_does_not_change_it() -> None:
    place = Place()
    assert place.till.open_on is None
    assert place.till.open_date() == DATE == place.till.open_on
    place.clock.ms += DAY_MS
    receipt = place.till.sell(MILK_SALE)
    assert receipt.business_date == DATE
    assert receipt.stamp_ms > place.clock.ms - DAY_MS


def test_a_date_is_opened_once(place: Place) -> None:
    with pytest.raises(StillOpen, match="2026-11-20"):
        place.till.open_date()
    place.till.close_date()
    with pytest.raises(AskForDate, match="closed last: 2026-11-20"):
        place.till.open_date()
    with pytest.raises(AskForDate):
        place.till.open_date(DATE)
    with pytest.raises(NotOpen):
        place.till.close_date()
    assert place.till.open_date(DATE + datetime.timedelta(days=1)) == datetime.date(2026, 11, 21)


def test_a_clock_before_the_last_close_is_asked_about(place: Place) -> None:
    place.till.close_date()
    for wrong_ms in (946_684_800_000, place.clock.ms - 7_200_000):
        place.clock.ms = wrong_ms
        with pytest.raises(AskForDate, match="say which business date it is"):
            place.till.open_date()
    assert place.till.open_date(DATE + datetime.timedelta(days=1)) > DATE
    place.till.sell(MILK_SALE)


def test_a_clock_before_a_late_close_is_asked_about_even_on_a_new_date(place: Place) -> None:
    place.clock.ms += 2 * DAY_MS
    place.till.close_date()
    place.clock.ms -= DAY_MS
    with pytest.raises(AskForDate, match="the clock says 2026-11-21, closed last: 2026-11-20"):
        place.till.open_date()
    place.clock.ms += DAY_MS
    assert place.till.open_date() == datetime.date(2026, 11, 22)


def test_a_date_from_the_future_does_not_lock_the_till_for_ever() -> None:
    place = Place()
    place.till.open_date(datetime.date(2099, 1, 1))
    place.till.close_date()
    with pytest.raises(AskForDate):
        place.till.open_date()
    place.till.open_date(DATE)
    place.till.close_date()
    _, day, _ = place.published(DATE)
    assert DATE - datetime.timedelta(days=day.previous[0]) == datetime.date(2099, 1, 1)


def test_stamps_never_go_back_even_when_the_clock_does(place: Place) -> None:
    place.till.sell(MILK_SALE)
    place.clock.ms -= 10 * DAY_MS
    place.till.sell(MILK_SALE)
    with place.log.read() as reader:
        stamps = [stored.entry.stamp for stored in reader.arrivals(0, 100)]
    assert stamps == sorted(set(stamps))


def test_a_day_names_the_day_before_and_carries_the_totals_on(place: Place) -> None:
    number = place.till.sell(SaleRequest((LineRequest(MILK, 2),))).number
    place.till.refund(RefundRequest(number, (RefundLine(1, 1),)))
    first = place.till.close_date()
    assert (first.perpetual_sales_minor, first.perpetual_refunds_minor) == (238, 119)
    with place.log.read() as reader:
        (entry,) = [stored.entry for stored in reader.head_entries(day_document(12, day_number(DATE)))]
    place.clock.ms += 3 * DAY_MS
    date = place.restart().open_date()
    place.till.sell(MILK_SALE)
    assert place.till.close_date().perpetual_sales_minor == 357
    _, day, _ = place.published(date)
    assert day.previous == (3, entry.hash[:8])
    assert (day.perpetual_sales, day.perpetual_refunds) == (357, 119)
    assert day == place.rederived(date)


def test_numbers_have_no_gaps_across_restarts_and_dates(place: Place) -> None:
    numbers: list[int] = []
    for date in range(3):
        numbers.extend(place.restart().sell(MILK_SALE).n for _ in range(3))
        place.restart().close_date()
        _, day, _ = place.published(DATE + datetime.timedelta(days=date))
        assert tuple(day.series[Series.SALES]) == (3 * date + 1, 3 * date + 3, 3, 0)
        place.clock.ms += DAY_MS
        place.restart().open_date()
    assert numbers == list(range(1, 10))
    assert place.till.drawer(DrawerAct.NO_SALE, 0).number == "12-3-a1-D8"


def test_an_act_that_the_disk_refuses_uses_up_no_number(place: Place) -> None:
    class FullLog(MemoryLog):
        def append(self, *_: object, **__: object) -> list[object]:  # type: ignore[override]
            raise LogFull("no space left")

    place.till.sell(MILK_SALE)
    full = FullLog.__new__(FullLog)
    full.__dict__ = place.log.__dict__
    with pytest.raises(LogFull):
        Till(full, place.me, place.clock, products=PRODUCTS).sell(MILK_SALE)
    assert place.till.sell(MILK_SALE).number == "12-3-a1-2"
    assert place.rederived().series[Series.SALES].documents == 2


def test_a_checkpoint_is_published_only_when_there_is_something_to_say(place: Place) -> None:
    assert place.till.publish() is True
    assert place.till.publish() is False
    place.till.sell(MILK_SALE)
    assert place.restart().publish() is True
    assert place.till.publish() is False
    covers, day, _ = place.published()
    assert (covers.seq, day.takings_minor, day.closed) == (2, 119, False)
    place.till.close_date()
    assert place.till.publish() is False
    assert place.published()[1].closed


def test_the_published_day_is_the_fold_of_the_journal_byte_for_byte(place: Place) -> None:
    place.till.replenish([StockLine(MILK, 40), StockLine(CHEESE, 5)])
    place.till.sell(SaleRequest((LineRequest(MILK, 2), LineRequest(CHEESE, 250, quantity_exponent=3)), member=b"m" * 8))
    place.till.drawer(DrawerAct.PICK_UP, 300)
    place.till.close_date(counted_minor=500)
    covers, day, _ = place.published()
    assert day == place.rederived()
    assert day.counters() == place.rederived().counters()
    with place.log.read() as reader:
        (head,) = [stored.entry for stored in reader.arrivals(0, 100) if stored.entry.hash[:16] == covers.hash]
    assert (head.document.kind, head.seq) == ("journal", covers.seq)


def test_the_seed_tills_day_entry_takes_at_most_200_bytes() -> None:
    place = opened()
    for date in range(2):
        place.till.replenish([StockLine(MILK, 100), StockLine(BREAD, 100), StockLine(99, 100)])
        for _ in range(20):
            place.till.sell(
                SaleRequest(
                    (LineRequest(MILK, 2), LineRequest(BREAD), LineRequest(99, unit_price_minor=399, tax_code=1))
                )
            )
        place.till.close_date()
        _, day, entry_bytes = place.published(DATE + datetime.timedelta(days=date))
        assert (len(day.goods), len(day.tenders), day.closed) == (3, 1, True)
        assert 150 < entry_bytes <= 200
        place.clock.ms += DAY_MS
        place.till.open_date()


def test_x_and_z_report_say_what_should_lie_in_the_drawer() -> None:
    place = Place()
    place.till.open_date(float_minor=10_000)
    place.till.sell(SaleRequest((LineRequest(MILK, 10),)))
    place.till.sell(SaleRequest((LineRequest(BREAD),), (TenderRequest("card", 250),)))
    place.till.drawer(DrawerAct.PAID_IN, 500, "change from the bank")
    place.till.drawer(DrawerAct.PAID_OUT, 200, "stamps")
    place.till.drawer(DrawerAct.PICK_UP, 5_000)
    x_report = place.till.x_report()
    assert x_report.cash_expected_minor == 10_000 + 1190 + 500 - 200 - 5_000
    assert x_report.tenders == {Tender.CASH: (1190, 0), Tender.CARD: (250, 0)}
    z_report = place.till.close_date(counted_minor=6_400)
    assert z_report.difference_minor == 6_400 - 6_490
    assert all(
        getattr(z_report, field.name) == getattr(x_report, field.name)
        for field in fields(x_report)
        if field.name != "covers"
    )
    assert place.published()[1].drawer[DrawerAct.COUNTED] == 6_400
    assert place.published()[1].balanced
    for act, amount in ((DrawerAct.PICK_UP, -1), (DrawerAct.COUNTED, 5), (DrawerAct.NO_SALE, 5)):
        place.clock.ms += DAY_MS
        place.till.open_date()
        with pytest.raises(BadQuantity):
            place.till.drawer(act, amount)
        place.till.close_date()


def test_a_neighbour_closes_the_date_of_a_dead_till_and_nothing_counts_twice() -> None:
    dead, mine = opened(), opened(number=4)
    dead.till.sell(MILK_SALE)
    dead.tell(mine)
    mine.till.sell(SaleRequest((LineRequest(BREAD),)))
    assert [one.acts for one in mine.till.close_lives([dead.me.author])] == [2]
    assert mine.till.close_lives([dead.me.author]) == []
    mine.till.publish()
    assert mine.published()[1].takings_minor == 250  # one entry, not a fork: it repeats what was published by proxy
    with mine.log.read() as reader:
        total = store_total(reader)
    assert total == 119 + 250
    dead.till.sell(MILK_SALE)
    dead.till.close_date()
    dead.tell(mine)
    with mine.log.read() as reader:
        assert store_total(reader) == 2 * 119 + 250


def test_a_date_whose_every_act_was_published_is_closed_by_a_neighbour_once_and_for_all() -> None:
    dead, mine = opened(), opened(number=4)
    dead.till.sell(MILK_SALE)
    dead.till.publish()
    dead.tell(mine)
    assert [one.acts for one in mine.till.close_lives([dead.me.author])] == [2]
    assert mine.till.close_lives([dead.me.author]) == []
    with mine.log.read() as reader:
        known = store_days(reader)
        assert store_total(reader) == 119
    assert known.conflicts() == {}
    assert Day.from_counters(known.summaries()[dead.me.author].counters).closed


def store_days(reader: Reader) -> CounterCovers:
    known = CounterCovers.bottom()
    for stored in reader.head_entries(day_document(12, day_number(DATE))):
        known = known.join(CounterCovers.from_entry(stored.entry.author, stored.entry.seq, stored.entry.body))
    return known


def store_total(reader: Reader) -> int:
    return sum(Day.from_counters(one.counters).takings_minor for one in store_days(reader).summaries().values())
