"""A disk that is set back: whatever a till had done meanwhile, it is itself again, and gives no number twice."""

from __future__ import annotations

import random

import pytest

from crdt_pos import own_heads
from crdt_pos.errors import AskForDate, TillError
from crdt_pos.healing import NUMBERS_AT_LEAST, Healed, Why, heal, healings, met_view, set_back, set_back_view
from crdt_pos.homecoming import ASKING_MS_MAX, CLAIM_MS_MAX, NEIGHBOUR_MS_MAX, QUIET_MS, Homecoming
from crdt_pos.own_heads import OwnHead
from crdt_pos.receipt import Receipt
from crdt_pos.requests import LineRequest, SaleRequest
from crdt_pos.schema import SCHEMA
from gossip.entry import Entry, FeedId, Hash
from gossip.log import Arrival, Outcome
from gossip.log_memory import MemoryLog
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
    done = heal(place.log, place.me, place.clock, EUR)
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


def test_more_numbers_are_left_out_the_longer_nobody_knows_what_it_did() -> None:
    place = opened()
    place.till.sell(MILK_SALE)
    place.clock.ms += DAY_MS
    (sales, *_) = healed(place).skipped
    assert sales.last - sales.first >= NUMBERS_AT_LEAST + 86_400


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


def heard(at: Homecoming, place: Place, heads: list[OwnHead], now_ms: int, *, neighbour: bool = True) -> Why | None:
    with place.log.read() as reader:
        return at.heard(reader, heads, neighbour=neighbour, beyond=False, now_ms=now_ms)


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


def test_a_peer_lists_the_heads_that_are_newer_than_the_asker_knows_and_no_others() -> None:
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
        heads = own_heads.decode_answer(own_heads.answer(reader, place.me.author, question), place.me.author)
        nothing = own_heads.answer(reader, peer.me.author, question)
    assert heads is not None
    assert own_heads.decode_answer(nothing, peer.me.author) == []
    with image.read() as reader:
        lacking = own_heads.lacking(reader, heads)
        assert {reader.feed_at(head.feed_key).document.kind for head in lacking} == {"journal", "balance"}
        assert not any(own_heads.reached(reader, head) for head in lacking)
    with place.log.read() as reader:
        assert own_heads.lacking(reader, heads) == []


@pytest.mark.parametrize("content", [b"", b"\xff", b"\x01", b"\x81\x01", b"\x81\x83\x41\x00\x01\x41\x00"])
def test_an_answer_that_is_none_says_nothing(content: bytes) -> None:
    assert own_heads.decode_answer(content, PEER) == []
    with opened().log.read() as reader:
        assert content == b"\x01" or own_heads.answer(reader, PEER, content) is None


def test_it_does_not_act_until_what_peers_say_they_hold_is_here() -> None:
    place = opened()
    image = image_of(place)
    place.till.sell(MILK_SALE)
    (lost,) = own_entries(place, "journal")[1:]
    place.log = image
    with place.log.read() as reader:
        key = next(key for key, heads in reader.feeds(next(iter(reader.scopes(lost)))) if heads)
    asking = home(place)
    assert heard(asking, place, [OwnHead(key, lost.seq, lost.hash)], 0) is Why.ENTRIES
    assert not asking.may_act(ASKING_MS_MAX)
    assert not complete(asking, place, QUIET_MS)
    take_back(place, [lost])
    assert complete(asking, place, QUIET_MS)


def test_heads_that_nobody_shows_hold_a_till_up_for_so_long_and_no_longer() -> None:
    place = opened()
    lie = OwnHead(own_heads.feed_key(own_entries(place, "journal")[0].feed_id), 99, Hash(bytes(32)))
    asking = home(place)
    assert heard(asking, place, [lie], 0) is Why.ENTRIES
    assert not complete(asking, place, CLAIM_MS_MAX - 1)
    assert complete(asking, place, CLAIM_MS_MAX)


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
