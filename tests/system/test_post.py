"""A post that sends one message in five again and one in twenty late and out of order: everything arrives, once."""

from __future__ import annotations

import datetime
import itertools
import random
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from crdt_pos import books
from crdt_pos.books import Books, Query
from crdt_pos.looking import identities, look
from crdt_pos.receipt import Series
from gossip.document import Document, FeedType, Scope, ScopeClass
from gossip.entry import Entry, decode, sign
from gossip.messages import Durable, Entries, Message, Patch
from merge_rules.lattice import Author
from peers.keys import SecretKey
from tests.system.shops import DATE, records, run
from tools.cabled import OFFICE, Cabled
from tools.post import Bag, Counts, counts
from tools.repeating import Repeating

TILLS = ("12-1", "12-2")
SALES = 60
PRICES = 40


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Cabled]:
    with Cabled.found(tmp_path, "Corner Shops", records(12), tills=2, posted=[12], post_seed="untidy") as town:
        town.start(*town.folders)
        town.together()
        yield town


def test_a_store_behind_an_untidy_post_has_the_same_books_as_the_head_office_and_each_sale_once(town: Cabled) -> None:
    assert all(town.peers(till) & {OFFICE, town.post} == {town.post} for till in TILLS)
    dice = random.Random("asked again")
    driver, taken = Repeating(dice), Counter[str]()
    for till in TILLS:
        town.call(till, "open", date=DATE)
    for number, till in zip(range(SALES), itertools.cycle(TILLS), strict=False):
        member = (b"member%02d" % (number % 20)).hex()
        line = {"product": 1 + number % 3, "unit_price_minor": dice.randint(1, 999)}
        receipt = driver.ask(partial(town.call, till), "sell", lines=[line], member=member, once=str(number))["receipt"]
        taken[till] += receipt["due_minor"]
        if number % 6 > 3:
            town.call(till, "publish")
        if number < PRICES:
            town.call(OFFICE, "price", product=1 + number, amount_minor=100 + number)
    for till in TILLS:
        town.call(till, "close")
    town.until(lambda: agreed(town, OFFICE, *TILLS), "the head office holds what the tills hold")
    found = {name: read(town, name) for name in (OFFICE, town.post, *TILLS)}
    for name, known in found.items():
        days = {day.name: day for account in known.accounts for day in account.days}
        assert {till: day.day.takings_minor for till, day in days.items()} == taken, name
        assert sum(sum(goods.sold for goods in day.day.goods.values()) for day in days.values()) == SALES
        assert sum(day.day.series[Series.SALES].documents for day in days.values()) == SALES
        assert known.owed == found[OFFICE].owed
        assert run("verify", "--at", town.folders[name].path).returncode == 0
    assert driver.repeated > SALES // 10
    done = counts(town.folders[town.post])
    assert done.repeated > done.entries // 10, done
    assert done.late >= done.out_of_order > 0


def agreed(town: Cabled, *names: str) -> bool:
    """Whether these hold the same of what all of them may read."""
    sums: list[list[object]] = []
    for name in names:
        with look(town.folders[name].path) as looked, looked.log.read() as reader:
            sums.append([reader.fingerprint(Scope(scope)) for scope in ("company", "store/12", "patrons/12")])
    return all(one == sums[0] for one in sums)


def read(town: Cabled, name: str) -> Books:
    day = datetime.date.fromisoformat(DATE)
    with look(town.folders[name].path) as looked, looked.log.read() as reader:
        return books.read(reader, looked.directory, Query(day, day), identities(reader))


# --- the bag by itself -----------------------------------------------------------------------------------------------

KEY = SecretKey.generate()


def entry(feed: int, seq: int, previous: Entry | None) -> Entry:
    document = Document("patrons", 0, (feed,))
    last = previous.hash if previous else None
    return sign(KEY, Author(b"whoever."), document, FeedType.WHOLE, ScopeClass.STORE, seq, seq << 16, [], last)


def test_the_bag_sends_everything_keeps_each_feeds_order_and_claims_nothing_that_it_holds_back() -> None:
    done, order = Counts(), list[bytes]()
    bag = Bag(random.Random("a bag"), done)
    feeds: dict[int, Entry] = {}
    sent: list[bytes] = []
    settled: list[int] = []
    dice = random.Random("what is sent")

    def post(messages: list[Message], now_ms: int) -> None:
        for message in messages:
            assert isinstance(message, Entries)
            sent.extend(item for item in message.items if not isinstance(item, Patch))
            assert set(order[: message.upto]) <= set(sent), "it claims what it holds back"
            settled.extend(one.batch for one in bag.durable(Durable(message.batch, ())))

    for batch in range(1, 401):
        items: list[bytes] = []
        for _ in range(dice.randint(1, 4)):
            feed = dice.randrange(30)
            before = feeds.get(feed)
            feeds[feed] = entry(feed, before.seq + 1 if before else 1, before)
            items.append(feeds[feed].raw)
        order += items
        post(bag.put(Entries(batch, len(order), 0, tuple(items)), batch, answering=False), batch)
    post(bag.tick(1_000_000), 1_000_000)
    post(bag.tick(2_000_000), 2_000_000)
    assert sorted(settled) == list(range(1, 401))
    assert set(sent) == set(order)
    assert len(sent) == len(order) + done.repeated == done.entries + done.repeated
    firsts = [decode(raw) for raw in dict.fromkeys(sent)]
    for feed in feeds:
        assert [one.seq for one in firsts if one.document.keys == (feed,)] == list(range(1, feeds[feed].seq + 1))
    assert [one.raw for one in firsts] != order
    assert 0.15 < done.repeated / done.entries < 0.25
    assert 0.03 < done.late / done.entries < 0.12
    assert 0 < done.out_of_order <= done.late
