"""Fingerprints, ranges and the scopes of patrons."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from gossip.document import Document, Scope, order_key
from gossip.entry import Entry
from gossip.log import Fingerprint, Log, Outcome, feed_fingerprint, feed_key, fingerprint_of
from gossip.log_reader import GRAINS
from tests.log.conftest import NewLog
from tests.log.making import AUTHORS, append, balance, chain, day, entry, journal, patrons

STORE = Scope("store/12")

feeds_of_the_store = st.lists(
    st.tuples(st.sampled_from([0, 1, 30, 31, 32, 400, 20000, 20001, 20040]), st.integers(0, 2), st.integers(0, 4)),
    min_size=1,
    max_size=30,
    unique=True,
)


def in_store(number: int, author: int, name: int) -> Entry:
    document = Document("day", number, (12, name)) if number else Document("patrons", 0, (12, name))
    return entry(document, 1, {}, AUTHORS[author])


def ranges(entries: list[Entry]) -> st.SearchStrategy[bytes]:
    """Feed keys, their neighbours, starts of documents and months, and noise."""
    keys = [feed_key(one.feed_id) for one in entries]
    names = [order_key(one.document) for one in entries]
    return st.one_of(
        st.sampled_from(keys),
        st.sampled_from(names),
        st.sampled_from(names).map(lambda name: name[:2]),
        st.sampled_from(keys).map(lambda key: key + b"\0"),
        st.sampled_from(keys).map(lambda key: key[:-3]),
        st.binary(max_size=4),
    )


def by_hand(entries: list[Entry], low: bytes, high: bytes | None) -> Fingerprint:
    total = Fingerprint()
    for one in entries:
        if low <= feed_key(one.feed_id) and (high is None or feed_key(one.feed_id) < high):
            total = total.plus(feed_fingerprint(one.feed_id, [one.head]))
    return total


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_fingerprint_feeds_and_split_of_any_range_equal_those_made_by_hand(
    new_log: NewLog, data: st.DataObject
) -> None:
    entries = [in_store(*feed) for feed in data.draw(feeds_of_the_store)]
    low, high = data.draw(ranges(entries)), data.draw(st.one_of(st.none(), ranges(entries)))
    parts = data.draw(st.integers(1, 20))
    with new_log() as log:
        append(log, *entries, entry(day(store=13), 1, {}), *chain(journal(), 2))
        with log.read() as reader:
            expected = by_hand(entries, low, high)
            assert reader.fingerprint(STORE, low, high) == expected
            within = [key for key, _ in reader.feeds(STORE, low, high)]
            keys = sorted(feed_key(one.feed_id) for one in entries)
            assert within == [key for key in keys if low <= key and (high is None or key < high)]
            split = reader.split(STORE, low, high, parts)
            edges = [low, *(bound for bound, _ in split)]
            assert edges[-1] == high
            inner = [bound for bound, _ in split[:-1] if bound is not None]
            assert [low, *inner] == sorted({low, *inner})
            assert [found for _, found in split] == [reader.fingerprint(STORE, *edge) for edge in pairwise(edges)]
            assert min(parts, len(within), 2) <= len(split) <= parts or not within
            sizes = [found.feeds for _, found in split]
            assert not within or min(sizes) > 0
            assert max(sizes) <= -(-len(within) // parts) + 1 + len(within) // (GRAINS * parts)
            assert sum(sizes) == expected.feeds


def test_the_sum_of_a_scope_follows_every_change(log: Log) -> None:
    total = Fingerprint()
    for seq in range(1, 4):
        for author in AUTHORS:
            append(log, entry(day(), seq, {1: seq}, author))
    with log.read() as reader:
        for author in AUTHORS:
            head = entry(day(), 3, {1: 3}, author)
            total = total.plus(feed_fingerprint(head.feed_id, [head.head]))
        assert reader.fingerprint(STORE) == total
        assert reader.fingerprint(STORE, order_key(day()), order_key(day()) + b"\xff" * 9) == total
        assert total.feeds == 3


def test_a_feed_key_tells_its_feed(log: Log) -> None:
    feed = entry(balance(b"anna"), 1, {}).feed_id
    with log.read() as reader:
        assert reader.feed_at(feed_key(feed)) == feed


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_documents_are_found_by_kind_and_day_in_log_order(new_log: NewLog, data: st.DataObject) -> None:
    days = st.sampled_from([0, 5, 31, 32, 300, 20000, 20001, 65535])
    names = st.builds(
        Document, st.sampled_from(["day", "journal", "b"]), days, st.sampled_from([(), (1,), (1, 2), ("x",)])
    )
    documents = data.draw(st.lists(names, min_size=1, max_size=15, unique=True))
    kind = data.draw(st.sampled_from([None, "day", "journal", "c"]))
    low, high = data.draw(days), data.draw(days)
    unknown = [name._replace(kind=name.kind.upper()) for name in documents]
    wanted = kind and kind.upper()
    with new_log() as log:
        append(log, *(entry(name, 1, {}, author) for name in unknown for author in AUTHORS[:2]))
        with log.read() as reader:
            found = list(reader.documents(wanted, low, high))
    in_order = sorted(unknown, key=order_key)
    assert found == [name for name in in_order if wanted in (None, name.kind) and low <= name.day <= high]


def test_documents_with_long_names_of_many_keys_are_found(log: Log) -> None:
    documents = [Document("long", 0, tuple(range(count))) for count in (3, 21, 22, 23, 30, 40)]
    append(log, *(entry(name, 1, {}) for name in documents))
    with log.read() as reader:
        assert sorted(reader.documents("long")) == sorted(documents)
        assert list(reader.documents("other")) == []


def test_a_balance_travels_nowhere_until_its_account_is_a_patron(log: Log) -> None:
    anna = entry(balance(b"anna"), 1, {})
    append(log, anna)
    with log.read() as reader:
        assert reader.scopes(anna) == frozenset()
        assert reader.fingerprint(Scope("patrons/12")) == Fingerprint()
        assert list(reader.documents("balance")) == [balance(b"anna")]


def test_when_an_account_becomes_a_patron_its_entries_arrive_again_in_that_scope(log: Log) -> None:
    anna, bert = entry(balance(b"anna"), 1, {0: 1}), entry(balance(b"bert"), 1, {0: 1})
    coupons = chain(Document("coupons", 0, ("points", b"anna")), 3, AUTHORS[1])
    append(log, anna, bert, *coupons)
    with log.read() as reader:
        cursor = reader.last_arrival()
    append(log, entry(patrons(12), 1, {b"anna": 1}))
    with log.read() as reader:
        assert reader.scopes(anna) == {Scope("patrons/12")}
        assert reader.scopes(bert) == frozenset()
        expected = feed_fingerprint(anna.feed_id, [anna.head]).plus(
            feed_fingerprint(coupons[0].feed_id, [coupons[2].head])
        )
        assert reader.fingerprint(Scope("patrons/12")) == expected
        arrived = [stored.entry for stored in reader.arrivals(cursor, 99)]
        assert set(arrived) >= {anna, *coupons}
        assert [one for one in arrived if one in coupons] == coupons
        assert [stored.entry for stored in reader.entries(coupons[0].feed_id)] == coupons
        for stored in reader.arrivals(0, 99):
            assert reader.find(stored.entry.hash) == stored
        assert len(list(reader.arrivals(0, 99))) == 6
    assert append(log, anna, *coupons)[0].outcome is Outcome.KNOWN
    assert append(log, *chain(coupons[0].document, 1, AUTHORS[1], after=coupons[2]))[0].outcome is Outcome.NEW


def test_a_patron_of_two_stores_counts_in_both_and_a_later_entry_too(log: Log) -> None:
    append(log, entry(patrons(12), 1, {b"anna": 1}), entry(patrons(13), 1, {b"anna": 1}, AUTHORS[1]))
    anna = [entry(balance(b"anna"), seq, {0: seq}) for seq in (1, 2)]
    append(log, *anna)
    with log.read() as reader:
        assert reader.scopes(anna[1]) == {Scope("patrons/12"), Scope("patrons/13")}
        for store in (12, 13):
            heads = [(key, held) for key, held in reader.feeds(Scope(f"patrons/{store}"))]
            assert heads == [(feed_key(anna[1].feed_id), (anna[1].head,))]
            expected = fingerprint_of(heads[0][0], [anna[1].hash])
            assert reader.fingerprint(Scope(f"patrons/{store}")) == expected


def test_an_entry_and_the_patron_that_moves_it_may_come_in_one_batch(log: Log) -> None:
    anna = entry(balance(b"anna"), 1, {0: 1})
    results = append(log, anna, entry(patrons(12), 1, {b"anna": 1}), entry(patrons(12), 2, {b"anna": 1, b"bert": 1}))
    with log.read() as reader:
        stored = reader.find(anna.hash)
        assert stored is not None
        assert stored.arrival == results[0].arrival
        assert reader.fingerprint(Scope("patrons/12")).feeds == 1


def test_a_balance_that_changes_before_and_after_its_patron_in_one_batch_counts_once(log: Log) -> None:
    anna = [entry(balance(b"anna"), seq, {0: seq}) for seq in (1, 2)]
    append(log, anna[0], entry(patrons(12), 1, {b"anna": 1}), anna[1])
    with log.read() as reader:
        assert reader.fingerprint(Scope("patrons/12")) == feed_fingerprint(anna[1].feed_id, [anna[1].head])
