"""A batch is one transaction: entries, views and cursors together or not at all; readers see snapshots."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gossip.errors import LogError
from gossip.log import Arrival, Log, View
from tests.log.making import AUTHORS, PEER, append, chain, day, entry, journal


def test_views_and_cursors_come_with_their_entries(log: Log) -> None:
    one = entry(day(), 1, {1: 1})
    log.append([Arrival(one, PEER)], [(b"fold/1", b"a"), (b"fold/2", b"b")], [(b"database of 12-4", 7)], received_ms=99)
    with log.read() as reader:
        assert reader.view(b"fold/1") == b"a"
        assert reader.cursor(b"database of 12-4") == 7
        assert reader.cursor(b"unknown") == 0
        stored = reader.find(one.hash)
        assert stored is not None
        assert (stored.entry, stored.arrival, stored.received_from, stored.received_ms) == (one, 1, PEER, 99)


def test_a_cursor_stays_where_it_is_while_an_entry_is_missing(log: Log) -> None:
    first, second, third = (Arrival(one, PEER) for one in chain(journal(), 3))
    log.append([first], [(b"fold", b"a")], [(b"peer", 1)])
    log.append([third], [(b"fold", b"b")], [(b"peer", 3), (b"another", 9)])
    with log.read() as reader:
        assert (reader.cursor(b"peer"), reader.cursor(b"another"), reader.view(b"fold")) == (1, 0, b"b")
    log.append([second, third], (), [(b"peer", 3)])
    with log.read() as reader:
        assert reader.cursor(b"peer") == 3


def test_views_are_read_by_prefix_and_start_and_deleted_with_none(log: Log) -> None:
    log.append([], [(b"fold/1", b"a"), (b"fold/2", b"b"), (b"fold/3", b"c"), (b"folder", b"d"), (b"till/1", b"e")])
    log.append([], [(b"fold/2", None), (b"not/there", None)])
    with log.read() as reader:
        assert list(reader.views(b"fold/")) == [(b"fold/1", b"a"), (b"fold/3", b"c")]
        assert list(reader.views(b"fold/", b"fold/2")) == [(b"fold/3", b"c")]
        assert len(list(reader.views(b""))) == 4
        assert reader.view(b"fold/2") is None


def test_a_batch_that_fails_leaves_nothing_behind(log: Log) -> None:
    first, second, third = chain(journal(), 3)
    log.append([Arrival(first, PEER)], [(b"fold", b"before")])

    def failing() -> Iterator[View]:
        yield b"fold", b"after"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        log.append([Arrival(second, PEER)], failing(), [(b"peer", 3)])
    with log.read() as reader:
        assert reader.heads(first.feed_id) == (first.head,)
        assert reader.find(second.hash) is None
        assert reader.view(b"fold") == b"before"
        assert reader.cursor(b"peer") == 0
        assert reader.fingerprint("journal/12").feeds == 1
        assert reader.last_arrival() == 1
    # Its arrival number is given to another entry now: nothing remembered of the failed batch may show.
    other = entry(day(), 1, {}, AUTHORS[1])
    append(log, other)
    append(log, second, third)
    with log.read() as reader:
        assert [stored.entry for stored in reader.arrivals(0, 9)] == [first, other, second, third]


def test_a_snapshot_does_not_change_while_the_log_does(log: Log) -> None:
    entries = chain(journal(), 3)
    append(log, entries[0])
    with log.read() as before:
        append(log, entries[1])
        with log.read() as between:
            append(log, entries[2])
            assert before.last_arrival() == 1
            assert [stored.entry for stored in before.entries(entries[0].feed_id)] == entries[:1]
            assert between.heads(entries[0].feed_id) == (entries[1].head,)
    with log.read() as after:
        assert after.heads(entries[0].feed_id) == (entries[2].head,)


def test_arrivals_are_numbered_in_order_and_left_out_once_replaced(log: Log) -> None:
    entries = [entry(day(number), 1, {1: 1}) for number in (20003, 20001, 20002)]
    append(log, *entries)
    append(log, entry(day(20001), 2, {1: 2}))
    with log.read() as reader:
        assert [stored.arrival for stored in reader.arrivals(0, 99)] == [1, 3, 4]
        assert [stored.arrival for stored in reader.arrivals(1, 1)] == [3]
        assert reader.last_arrival() == 4


def test_the_authors_of_a_document_ascend(log: Log) -> None:
    append(log, *(entry(day(), 1, {}, author) for author in AUTHORS), entry(day(20001), 1, {}))
    with log.read() as reader:
        assert list(reader.authors(day())) == sorted(AUTHORS)
        assert list(reader.authors(day(20002))) == []


def test_each_log_has_an_id_of_its_own(log: Log) -> None:
    assert len(log.database) == 16


def test_a_closed_log_refuses(log: Log) -> None:
    log.close()
    with pytest.raises(LogError, match="closed"):
        append(log, entry(day(), 1, {}))
    with pytest.raises(LogError, match="closed"), log.read():
        pass
