"""A till that is gone is closed by its neighbours: as far as anybody knows it, as often as one likes, and never twice."""

from __future__ import annotations

from crdt_pos.day import Day
from crdt_pos.requests import LineRequest, SaleRequest
from crdt_pos.schema import DAY, SCHEMA
from crdt_pos.turn import day_document
from gossip.document import day_number
from gossip.entry import Entry, sign
from gossip.log import Arrival, Outcome
from merge_rules.counter_covers import CounterCovers, Covers, Summary
from tests.till.shop import BREAD, DATE, DAY_MS, MILK, NOON_MS, Clock, Place, opened

MILK_SALE = SaleRequest((LineRequest(MILK),))


def counts(place: Place, of: Place) -> Summary:
    """What counts of a till's date, as it is known at ``place``."""
    known = CounterCovers.bottom()
    with place.log.read() as reader:
        for stored in reader.head_entries(day_document(12, day_number(DATE))):
            known = known.join(CounterCovers.from_entry(stored.entry.author, stored.entry.seq, stored.entry.body))
    assert not known.conflicts()
    return known.summaries()[of.me.author]


def day(place: Place, of: Place) -> Day:
    return Day.from_counters(counts(place, of).counters)


def one_head(place: Place) -> bool:
    """Whether a till has said one thing of the date, and not two that contradict each other."""
    with place.log.read() as reader:
        entries = list(reader.head_entries(day_document(12, day_number(DATE))))
    return sum(1 for stored in entries if stored.entry.author == place.me.author) == 1


def a_claim(publisher: Place, of: Place, acts: int, claimed: Day) -> Entry:
    """A till signs what it likes of another's journal."""
    me, kind, document = publisher.me, SCHEMA[DAY], day_document(12, day_number(DATE))
    said = CounterCovers.publish(me.author, of.me.author, Covers(acts, b"!" * 16), claimed.counters())
    return sign(me.key, me.author, document, kind.feed, kind.scope, 1, 1, said.entry_body(me.author))


def said_by(publisher: Place, of: Place) -> list[Day]:
    """What a till says of another's date."""
    with publisher.log.read() as reader:
        entries = [stored.entry for stored in reader.head_entries(day_document(12, day_number(DATE)))]
    mine = [one for one in entries if one.author == publisher.me.author]
    known = [summary for one in mine for summary in CounterCovers.from_entry(one.author, one.seq, one.body).published()]
    return [Day.from_counters(one.counters) for one in known if one.subject == of.me.author]


def test_a_neighbours_lie_is_not_signed_again_by_whoever_holds_the_journal() -> None:
    dead, liar, mine = opened(), opened(number=9), opened(number=4)
    dead.till.sell(MILK_SALE)
    dead.tell(mine)
    mine.log.append([Arrival(a_claim(liar, dead, 99, Day(perpetual_sales=1_000_000, closed=True)), liar.me.author)])
    assert [(one.acts, one.takings_minor) for one in mine.till.close_lives([dead.me.author])] == [(2, 119)]
    (said,) = said_by(mine, dead)
    assert (said.takings_minor, said.perpetual_sales, said.closed) == (119, 119, True)


def test_what_is_passed_on_without_the_journal_is_what_the_till_published_itself() -> None:
    dead, liar, mine = opened(), opened(number=9), opened(number=4)
    dead.till.sell(MILK_SALE)
    dead.till.publish()
    with dead.log.read() as reader:
        own = [one.entry for one in reader.arrivals(0, 100) if one.entry.document.kind == DAY]
    lie = a_claim(liar, dead, 99, Day(perpetual_sales=1_000_000))
    mine.log.append([Arrival(entry, entry.author) for entry in (*own, lie)])
    assert [(one.acts, one.takings_minor) for one in mine.till.close_lives([dead.me.author])] == [(2, 119)]
    (said,) = said_by(mine, dead)
    assert said.perpetual_sales == 119


def test_sums_of_a_till_that_contradicts_itself_are_never_mixed_and_signed() -> None:
    dead, mine = opened(), opened(number=4)
    copy = opened(clock=Clock(NOON_MS + 60_000))
    copy.till.sell(MILK_SALE)
    copy.till.publish()
    copy.tell(mine)
    assert len(mine.till.close_lives([dead.me.author])) == 1
    before = said_by(mine, dead)
    for _ in range(3):
        dead.till.sell(SaleRequest((LineRequest(BREAD),)))
    dead.till.publish()
    dead.tell(mine)
    assert mine.till.close_lives([dead.me.author]) == []
    assert said_by(mine, dead) == before


def test_when_more_of_the_journal_comes_closing_again_says_more() -> None:
    dead, mine = opened(), opened(number=4)
    dead.till.sell(MILK_SALE)
    dead.tell(mine)
    assert [one.takings_minor for one in mine.till.close_lives([dead.me.author])] == [119]
    dead.till.sell(MILK_SALE)
    dead.tell(mine)
    assert [(one.acts, one.takings_minor) for one in mine.till.close_lives([dead.me.author])] == [(3, 238)]
    assert mine.till.close_lives([dead.me.author]) == []
    assert day(mine, dead).takings_minor == 238
    assert one_head(mine)


def test_what_a_neighbour_has_said_already_is_not_said_again() -> None:
    dead, first, mine = opened(), opened(number=5), opened(number=4)
    dead.till.sell(MILK_SALE)
    dead.tell(first)
    first.till.close_lives([dead.me.author])
    first.tell(mine)
    assert mine.till.close_lives([dead.me.author]) == []
    assert counts(mine, dead).publisher == first.me.author


def test_two_dead_tills_are_closed_in_one_entry() -> None:
    one, other, mine = opened(), opened(number=5), opened(number=4)
    for dead in (one, other):
        dead.till.sell(MILK_SALE)
        dead.tell(mine)
    assert len(mine.till.close_lives([one.me.author, other.me.author])) == 2
    assert day(mine, one).closed
    assert day(mine, other).closed
    assert one_head(mine)


def test_whoever_has_closed_for_another_opens_the_date_all_the_same() -> None:
    dead, mine = opened(), Place(number=4)
    dead.till.sell(MILK_SALE)
    dead.tell(mine)
    mine.till.close_lives([dead.me.author])
    mine.till.open_date(DATE)
    mine.till.sell(MILK_SALE)
    mine.till.close_date()
    assert day(mine, mine).takings_minor == day(mine, dead).takings_minor == 119
    assert one_head(mine)


def test_what_was_published_is_closed_where_nobody_has_the_journal() -> None:
    dead, mine = opened(), opened(number=4)
    dead.till.sell(MILK_SALE)
    dead.till.publish()
    with dead.log.read() as reader:
        published = [one.entry for one in reader.arrivals(0, 100) if one.entry.document.kind == "day"]
    mine.log.append([Arrival(entry, dead.me.author) for entry in published])
    (closed,) = mine.till.close_lives([dead.me.author])
    assert (closed.acts, closed.takings_minor, closed.last_ms) == (2, 119, 0)
    assert day(mine, dead).closed
    assert counts(mine, dead).publisher == mine.me.author


def test_dates_that_a_till_has_closed_itself_are_left_alone() -> None:
    dead, mine = opened(), opened(number=4)
    dead.till.sell(MILK_SALE)
    dead.till.close_date()
    dead.clock.ms += DAY_MS
    dead.till.open_date()
    dead.till.sell(SaleRequest((LineRequest(BREAD),)))
    dead.tell(mine)
    assert [one.takings_minor for one in mine.till.close_lives([dead.me.author])] == [270]
    assert counts(mine, dead).publisher == dead.me.author


def test_nobody_closes_his_own_date_by_proxy() -> None:
    mine = opened()
    mine.till.sell(MILK_SALE)
    assert mine.till.close_lives([mine.me.author]) == []
    assert mine.till.open_on == DATE


def test_a_till_that_comes_back_with_more_counts_for_itself_at_every_neighbour() -> None:
    dead, mine, third = opened(), opened(number=4), opened(number=5)
    dead.till.sell(MILK_SALE)
    dead.tell(mine)
    mine.till.close_lives([dead.me.author])
    dead.till.sell(MILK_SALE)
    dead.till.close_date()
    for first, second in ((dead, mine), (mine, third)):
        first.tell(second)
    dead.tell(third)
    for place in (mine, third):
        assert day(place, dead).takings_minor == 238
        assert counts(place, dead).publisher == dead.me.author
    with mine.log.read() as reader:
        entries = [stored.entry for stored in reader.arrivals(0, 100)]
    outcomes = third.log.append([Arrival(entry, mine.me.author) for entry in entries])
    assert {one.outcome for one in outcomes} == {Outcome.KNOWN}
