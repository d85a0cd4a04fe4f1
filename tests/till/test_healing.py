"""A disk that is set back: whatever a till had done meanwhile, it is itself again, and gives no number twice."""

from __future__ import annotations

import random

import pytest

from crdt_pos import own_heads
from crdt_pos.errors import AskForDate, TillError
from crdt_pos.healing import (
    CLOCK_BACK_MS_MAX,
    NUMBERS_AT_LEAST,
    NUMBERS_AT_MOST,
    Healed,
    Why,
    heal,
    healings,
    met_view,
    set_back,
    set_back_view,
)
from crdt_pos.homecoming import (
    ASKING_MS_MAX,
    NEIGHBOUR_MS_MAX,
    QUIET_MS,
    SHOWN_MS_MAX,
    SUSPECTING_MS_MAX,
    Homecoming,
)
from crdt_pos.receipt import Receipt
from crdt_pos.requests import LineRequest, SaleRequest
from crdt_pos.schema import SCHEMA
from gossip.document import Document, FeedType, ScopeClass
from gossip.entry import Entry, FeedId, sign
from gossip.log import Arrival, Outcome
from gossip.log_memory import MemoryLog
from gossip.messages import CONTENT_BYTES_MAX
from merge_rules import canonical
from merge_rules.lattice import Author
from tests.till.shop import BREAD, DATE, DAY_MS, EUR, MEMBER, MILK, Place, opened
from tests.till.test_any_sequence import any_act

MILK_SALE = SaleRequest((LineRequest(MILK),), member=MEMBER)
PEER = Author(b"neighbor")


def own_entries(place: Place, *kinds: str) -> list[Entry]:
    with place.log.read() as reader:
        found = [stored.entry for stored in reader.arrivals(0, 100_000)]
    return [entry for entry in found if entry.author == place.me.author and entry.document.kind in (kinds or ANY)]


ANY = ("journal", "day", "balance", "patrons")


def image_of(place: Place) -> MemoryLog:
    """A log that is as the till's is now."""
    image = MemoryLog(SCHEMA)
    with place.log.read() as reader:
        arrivals = [Arrival(stored.entry, stored.received_from) for stored in reader.arrivals(0, 100_000)]
        image.append(arrivals, list(reader.views(b"")))
    return image


def take_back(place: Place, entries: list[Entry]) -> set[Outcome]:
    """What peers hold comes back: of `latest` feeds the newest only."""
    newest: dict[FeedId, Entry] = {}
    for entry in entries:
        if entry.previous is None and entry.document.kind in ("day", "balance"):
            newest[entry.feed_id] = entry
    held = [one for one in entries if one.feed_id not in newest or newest[one.feed_id] is one]
    return {one.outcome for one in place.log.append([Arrival(entry, PEER) for entry in held])}


def healed(place: Place, why: Why = Why.ENTRIES) -> Healed:
    place.log.append([], [set_back_view(why)])
    done = heal(place.log, why, place.me, place.clock, EUR)
    place.restart()
    return done


def numbers_of(place: Place) -> list[str]:
    return [Receipt.from_body(entry.body).number for entry in own_entries(place, "journal")]


@pytest.mark.parametrize("seed", range(6))
def test_whenever_it_is_set_back_no_number_is_given_twice_and_every_date_adds_up(seed: int) -> None:
    dice = random.Random(seed)
    place = opened()
    given: list[str] = []
    image = image_of(place)
    for step in range(120):
        try:
            act = any_act(place, dice, given[-5:])
            if act is not None:
                given.append(act.number)
            if dice.random() < 0.05:
                place.till.close_date()
                place.clock.ms += DAY_MS
                place.till.open_date()
        except TillError:
            continue
        if step == dice.randrange(60):
            image = image_of(place)
    held = own_entries(place)[: -dice.randrange(1, 6)]  # the last of them nobody has
    place.log = image
    place.restart()
    take_back(place, held)
    assert healed(place).skipped
    if place.till.open_on is None:
        place.till.open_date()
    today = place.till.open_on
    assert today is not None
    for _ in range(3):
        number = place.till.sell(MILK_SALE).number
        assert number not in given
        given.append(number)
    place.till.close_date()
    assert place.published(today)[1].counters() == place.rederived(today).counters()
    assert len(numbers_of(place)) == len(set(numbers_of(place)))
    with place.log.read() as reader:
        assert all(len(reader.heads(entry.feed_id)) == 1 for entry in own_entries(place))


def test_the_next_act_states_the_numbers_that_were_left_out() -> None:
    place = opened()
    place.till.sell(MILK_SALE)
    healed(place)
    sold = place.till.sell(MILK_SALE)
    (stated,) = [one for one in sold.skipped if one.series is sold.series]
    assert stated.first == 2
    assert stated.last >= NUMBERS_AT_LEAST + 1
    assert sold.n == stated.last + 1
    assert place.till.sell(MILK_SALE).skipped == ()
    numbers = place.rederived().series[0]
    assert (numbers.documents, numbers.missing, numbers.skipped) == (3, 0, stated.last - 1)


def test_set_back_twice_before_any_act_one_stretch_is_left_out() -> None:
    place = opened()
    place.till.sell(MILK_SALE)
    healed(place)
    healed(place)
    sold = place.till.sell(MILK_SALE)
    (stated,) = [one for one in sold.skipped if one.series is sold.series]
    assert (stated.first, stated.last) == (2, sold.n - 1)
    with place.log.read() as reader:
        assert len(healings(reader)) == 2
        assert set_back(reader) is None


def test_it_is_healed_though_the_disk_was_too_full_to_remember_what_proved_it() -> None:
    place = opened()
    place.till.sell(MILK_SALE)
    assert heal(place.log, Why.ENTRIES, place.me, place.clock, EUR).why is Why.ENTRIES


def test_more_numbers_are_left_out_the_longer_nobody_knows_what_it_did() -> None:
    place = opened()
    place.till.sell(MILK_SALE)
    place.clock.ms += DAY_MS
    (sales, *_) = healed(place).skipped
    assert sales.last - sales.first >= NUMBERS_AT_LEAST + 86_400


@pytest.mark.parametrize(
    ("clock_ms", "count"),
    [
        (-2_000, NUMBERS_AT_LEAST),
        (-CLOCK_BACK_MS_MAX, NUMBERS_AT_LEAST),
        (-CLOCK_BACK_MS_MAX - 3_000, NUMBERS_AT_MOST),
        (10 * 365 * DAY_MS, NUMBERS_AT_MOST),
    ],
)
def test_a_clock_that_is_set_costs_no_more_numbers_than_are_stated(clock_ms: int, count: int) -> None:
    place = opened()
    place.till.sell(MILK_SALE)
    place.clock.ms += clock_ms
    assert {one.last - one.first + 1 for one in healed(place).skipped} == {count}


def test_where_nobody_has_the_journal_the_date_is_closed_as_it_was_published_and_never_opened_again() -> None:
    place = opened()
    image = image_of(place)
    place.till.sell(MILK_SALE)
    place.till.publish()
    held = own_entries(place, "day", "balance", "patrons")
    place.log = image
    place.restart()
    take_back(place, held)
    assert healed(place).over
    assert place.till.open_on is None
    covers, day, _ = place.published()
    assert (covers.seq, day.takings_minor, day.closed) == (2, 119, True)
    with pytest.raises(AskForDate):
        place.till.open_date(DATE)
    place.clock.ms += DAY_MS
    place.till.open_date()
    assert place.till.sell(MILK_SALE).n > NUMBERS_AT_LEAST
    assert place.till.redeemable(MEMBER).company == 2


def test_a_till_that_has_gone_on_meanwhile_says_that_it_contradicts_itself_and_goes_on() -> None:
    place = opened()
    image = image_of(place)
    before = {place.till.sell(MILK_SALE).number for _ in range(3)}
    held = own_entries(place)
    place.log = image
    place.restart()
    place.till.sell(SaleRequest((LineRequest(BREAD),)))  # nobody could be asked
    assert Outcome.FORK in take_back(place, held)
    done = healed(place)
    assert done.contradicts
    assert "enrol this till again" in done.text()
    after = place.till.sell(MILK_SALE)
    assert after.number not in before
    assert place.till.open_on == DATE


# --- asking ----------------------------------------------------------------------------------------------------------


def home(place: Place, now_ms: int = 0, *, met: bool = True) -> Homecoming:
    if met:
        place.log.append([], [met_view()])
    with place.log.read() as reader:
        return Homecoming(reader, place.me.author, now_ms)


def heard(
    at: Homecoming,
    place: Place,
    shown: list[Entry],
    now_ms: int,
    *,
    peer: Author = PEER,
    neighbour: bool = True,
    beyond: bool = False,
) -> Why | None:
    with place.log.read() as reader:
        return at.heard(reader, peer, shown, neighbour=neighbour, beyond=beyond, now_ms=now_ms)


def complete(at: Homecoming, place: Place, now_ms: int) -> bool:
    with place.log.read() as reader:
        return at.complete(reader, now_ms)


def test_the_first_act_waits_for_a_neighbour_for_so_long_and_no_longer() -> None:
    place = opened()
    asking = home(place)
    assert not asking.may_act(ASKING_MS_MAX - 1)
    assert asking.may_act(ASKING_MS_MAX)
    assert asking.unheard(ASKING_MS_MAX)
    assert heard(asking, place, [], 10, neighbour=False) is None
    assert not asking.may_act(10)
    assert heard(asking, place, [], 20) is None
    assert asking.may_act(20)
    assert not asking.unheard(ASKING_MS_MAX)


def test_a_till_of_which_nobody_ever_had_anything_does_not_wait() -> None:
    assert home(opened(), met=False).may_act(0)


def test_a_peer_shows_the_heads_that_are_newer_than_the_asker_knows_and_no_others() -> None:
    place, peer = opened(), Place(number=4)
    place.till.sell(MILK_SALE)
    image = image_of(place)
    with place.log.read() as reader:
        since = own_heads.newest_own(reader, place.me.author)
    place.till.sell(MILK_SALE)
    arrivals = [Arrival(entry, place.me.author) for entry in own_entries(place)]
    with peer.log.read() as reader:
        views = own_heads.newest_views(reader, arrivals)
    peer.log.append(arrivals, views)
    question = own_heads.encode_question(since)
    with peer.log.read() as reader:
        answer = own_heads.answer(reader, place.me.author, question)
        nothing = own_heads.answer(reader, peer.me.author, question)
    assert answer is not None
    assert nothing is not None
    shown = own_heads.decode_answer(answer, place.me.author, place.me.key.public)
    assert own_heads.decode_answer(nothing, peer.me.author, peer.me.key.public) == []
    assert {entry.document.kind for entry in shown} == {"journal", "balance"}
    with image.read() as reader:
        assert all(own_heads.is_lost(reader, entry) for entry in shown)
    with place.log.read() as reader:
        assert not any(own_heads.is_lost(reader, entry) for entry in shown)


def test_an_answer_shows_the_newest_and_never_more_than_a_message_holds() -> None:
    place, peer = opened(), Place(number=4)
    own = [
        sign(
            place.me.key,
            place.me.author,
            Document("note", keys=(n,)),
            FeedType.LATEST,
            ScopeClass.STORE,
            1,
            n,
            bytes(n),
        )
        for n in range(1, 1_000)
    ]
    arrivals = [Arrival(entry, place.me.author) for entry in own]
    with peer.log.read() as reader:
        views = own_heads.newest_views(reader, arrivals)
    peer.log.append(arrivals, views)
    with peer.log.read() as reader:
        answer = own_heads.answer(reader, place.me.author, own_heads.encode_question(0))
    assert answer is not None
    assert len(answer) <= CONTENT_BYTES_MAX
    shown = own_heads.decode_answer(answer, place.me.author, place.me.key.public)
    assert own[-1] in shown
    assert len(answer) > CONTENT_BYTES_MAX - 4_096


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b"\x01", b"\x81\x01", b"\x81\x83\x41\x00\x01\x41\x00", b"\x81\x41\x00"]
)
def test_an_answer_that_is_none_says_nothing(content: bytes) -> None:
    place = opened()
    assert own_heads.decode_answer(content, place.me.author, place.me.key.public) == []
    with place.log.read() as reader:
        assert content == b"\x01" or own_heads.answer(reader, PEER, content) is None


def test_what_a_peer_shows_counts_only_with_the_tills_own_signature() -> None:
    place, other = opened(), opened(number=4)
    (entry,) = own_entries(place, "journal")
    (others,) = own_entries(other, "journal")
    spoilt = entry.raw[:-1] + bytes([entry.raw[-1] ^ 1])
    answer = canonical.encode([spoilt, others.raw, entry.raw])
    assert own_heads.decode_answer(answer, place.me.author, place.me.key.public) == [entry]


def test_it_does_not_act_until_what_peers_show_is_here() -> None:
    place = opened()
    image = image_of(place)
    place.till.sell(MILK_SALE)
    (lost,) = own_entries(place, "journal")[1:]
    place.log = image
    asking = home(place)
    assert heard(asking, place, [lost], 0) is Why.ENTRIES
    assert not asking.may_act(ASKING_MS_MAX)
    assert not complete(asking, place, QUIET_MS)
    take_back(place, [lost])
    assert complete(asking, place, QUIET_MS)


def test_what_is_shown_and_never_brought_holds_a_till_up_for_so_long_and_not_again() -> None:
    place = opened()
    image = image_of(place)
    place.till.sell(MILK_SALE)
    (lost,) = own_entries(place, "journal")[1:]
    place.log = image
    asking = home(place)
    assert heard(asking, place, [lost], 0) is Why.ENTRIES
    assert not complete(asking, place, SHOWN_MS_MAX - 1)
    assert complete(asking, place, SHOWN_MS_MAX)
    healed(place)
    with place.log.read() as reader:
        asking.healed(reader)
    assert heard(asking, place, [lost], SHOWN_MS_MAX) is None
    assert asking.may_act(SHOWN_MS_MAX)
    assert heard(asking, place, [lost], SHOWN_MS_MAX, peer=Author(b"12345678")) is Why.ENTRIES


def test_that_a_peer_says_it_has_read_further_makes_the_first_act_wait_a_little_longer_and_proves_nothing() -> None:
    place = opened()
    asking = home(place)
    assert heard(asking, place, [], 0, neighbour=False, beyond=True) is None
    assert not asking.may_act(SUSPECTING_MS_MAX - 1)
    assert asking.may_act(SUSPECTING_MS_MAX)
    assert heard(asking, place, [], SUSPECTING_MS_MAX, neighbour=False, beyond=True) is None
    assert asking.may_act(SUSPECTING_MS_MAX)
    assert heard(asking, place, [], SUSPECTING_MS_MAX, beyond=True) is None
    assert asking.why is None


def test_an_older_day_that_a_peer_still_holds_is_not_lost() -> None:
    place = opened()
    place.till.publish()
    (older,) = own_entries(place, "day")
    place.till.sell(MILK_SALE)
    place.till.publish()
    newer = max(own_entries(place, "day"), key=lambda entry: entry.seq)
    place.log = MemoryLog(SCHEMA)
    place.log.append([Arrival(newer, PEER)])
    with place.log.read() as reader:
        assert reader.find(older.hash) is None
        assert not own_heads.is_lost(reader, older)
        assert not own_heads.come_back(reader, [Arrival(older, PEER)], place.me.author)


def test_a_peer_that_is_there_and_never_answers_is_not_waited_for_without_end() -> None:
    place = opened()
    asking = home(place)
    asking.unanswered()
    assert not asking.may_act(ASKING_MS_MAX - 1)
    assert asking.may_act(ASKING_MS_MAX)
    assert asking.unheard(ASKING_MS_MAX)  # silence is no answer
    assert asking.came_back(0) is Why.ENTRIES
    assert not complete(asking, place, NEIGHBOUR_MS_MAX - 1)
    assert complete(asking, place, NEIGHBOUR_MS_MAX)


def test_a_restored_copy_waits_for_a_neighbour_and_then_for_anybody() -> None:
    place = opened()
    place.log.append([], [set_back_view(Why.RESTORED)])
    asking = home(place)
    assert not complete(asking, place, 10 * NEIGHBOUR_MS_MAX)
    heard(asking, place, [], 0, neighbour=False)
    assert not complete(asking, place, NEIGHBOUR_MS_MAX - 1)
    assert complete(asking, place, NEIGHBOUR_MS_MAX)
    alone = opened()
    alone.log.append([], [set_back_view(Why.RESTORED)])
    assert complete(home(alone, met=False), alone, QUIET_MS)
