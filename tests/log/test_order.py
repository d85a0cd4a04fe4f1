"""Heads, fingerprints and joins do not depend on the order of arrival; forks are kept, gaps wait."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gossip.document import Document, FeedType, ScopeClass
from gossip.entry import Entry, FeedId, sign
from gossip.log import Arrival, Fingerprint, Log, Outcome, feed_fingerprint
from tests.log.conftest import NewLog
from tests.log.making import (
    AUTHORS,
    KEYS,
    PEER,
    Maxima,
    append,
    append_all,
    balance,
    chain,
    day,
    entry,
    journal,
    patrons,
)

bodies = st.dictionaries(st.integers(0, 2), st.integers(1, 3), max_size=2)


@st.composite
def latest_entries(draw: st.DrawFn) -> list[Entry]:
    """Entries of one ``latest`` feed by an author who may say anything, in any order."""
    count = draw(st.integers(1, 7))
    return [entry(day(), draw(st.integers(1, 4)), draw(bodies)) for _ in range(count)]


def maximal(entries: list[Entry]) -> set[Entry]:
    """The definition, word for word."""

    def at_most(one: Entry, other: Entry) -> bool:
        lower, upper = Maxima.from_body(one.body), Maxima.from_body(other.body)
        return one == other or (one.seq < other.seq and lower.precedes(upper))

    return {one for one in entries if not any(at_most(one, other) and one != other for other in entries)}


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_heads_of_a_latest_feed_are_its_maximal_entries_in_every_order_of_arrival(
    new_log: NewLog, data: st.DataObject
) -> None:
    entries = data.draw(latest_entries())
    expected = sorted((one.seq, one.hash) for one in maximal(entries))
    for order in (entries, data.draw(st.permutations(entries))):
        with new_log() as log:
            append_all(log, order)
            with log.read() as reader:
                assert [(head.seq, head.hash) for head in reader.heads(entries[0].feed_id)] == expected
                assert sorted((s.entry.seq, s.entry.hash) for s in reader.head_entries(day())) == expected
                total = feed_fingerprint(entries[0].feed_id, reader.heads(entries[0].feed_id))
                assert reader.fingerprint(next(iter(reader.scopes(entries[0])))) == total


@st.composite
def whole_entries(draw: st.DrawFn) -> list[Entry]:
    """Entries of one ``whole`` feed as a tree: each follows any of those before it."""
    entries = chain(journal(), 1)
    for mark in range(1, draw(st.integers(1, 7))):
        before = draw(st.sampled_from([None, *entries, entries[-1]]))
        entries += chain(journal(), 1, mark=mark, after=before)
    return entries


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_whole_feed_keeps_everything_and_its_heads_are_the_tips_in_every_order_of_arrival(
    new_log: NewLog, data: st.DataObject
) -> None:
    entries = data.draw(whole_entries())
    tips = {one.hash for one in entries} - {one.previous for one in entries}
    fingerprints: set[Fingerprint] = set()
    for order in (entries, data.draw(st.permutations(entries))):
        with new_log() as log:
            append_all(log, order)
            with log.read() as reader:
                assert {head.hash for head in reader.heads(entries[0].feed_id)} == tips
                held = [stored.entry for stored in reader.entries(entries[0].feed_id)]
                assert held == sorted(entries, key=lambda one: (one.seq, one.hash))
                fingerprints.add(reader.fingerprint(next(iter(reader.scopes(entries[0])))))
    assert len(fingerprints) == 1


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_two_logs_with_the_same_entries_agree_on_every_scope(new_log: NewLog, data: st.DataObject) -> None:
    accounts = [b"anna", b"bert"]
    entries = [
        *(
            entry(balance(account), seq, {0: seq}, author)
            for account in accounts
            for seq in (1, 2)
            for author in AUTHORS
        ),
        *(entry(patrons(store), 1, {account: 1}) for store in (1, 2) for account in accounts[:store]),
        *chain(Document("coupons", 0, ("points", b"anna")), 2),
        *chain(journal(), 2),
        *data.draw(latest_entries()),
    ]
    scopes = ["company", "store/1", "store/2", "store/12", "journal/12", "patrons/1", "patrons/2"]
    answers = set()
    for order in (entries, data.draw(st.permutations(entries))):
        with new_log() as log:
            append_all(log, order)
            with log.read() as reader:
                answers.add(tuple((reader.fingerprint(scope), tuple(reader.feeds(scope))) for scope in scopes))
    assert len(answers) == 1


def test_appending_again_changes_nothing(log: Log) -> None:
    entries = [*chain(journal(), 3), entry(day(), 1, {1: 1}), entry(day(), 2, {1: 2})]
    append(log, *entries)
    with log.read() as reader:
        before = reader.last_arrival(), list(reader.arrivals(0, 99)), reader.fingerprint("store/12")
    assert {result.outcome for result in append(log, *entries)} == {Outcome.KNOWN}
    with log.read() as reader:
        assert (reader.last_arrival(), list(reader.arrivals(0, 99)), reader.fingerprint("store/12")) == before


def test_an_entry_without_its_predecessor_waits(log: Log) -> None:
    first, second, third = chain(journal(), 3)
    assert append(log, third)[0].outcome is Outcome.GAP
    assert append(log, first, third)[1].outcome is Outcome.GAP
    with log.read() as reader:
        assert reader.find(third.hash) is None
        assert reader.last_arrival() == 1
    assert [result.outcome for result in append(log, second, third)] == [Outcome.NEW, Outcome.NEW]


def test_an_entry_whose_previous_hash_stands_in_another_feed_waits(log: Log) -> None:
    elsewhere = chain(journal(store=13), 1)
    append(log, *elsewhere, *chain(journal(), 1))
    assert append(log, *chain(journal(), 1, after=elsewhere[0]))[0].outcome is Outcome.GAP


def test_two_entries_with_one_number_are_a_fork_and_both_are_kept(log: Log) -> None:
    first, second = chain(journal(), 2)
    (other,) = chain(journal(), 1, mark=7, after=first)
    append(log, first, second)
    result = append(log, other)[0]
    assert (result.outcome, result.rival) == (Outcome.FORK, second.hash)
    (third,) = chain(journal(), 1, after=second)
    append(log, third)
    with log.read() as reader:
        assert {head.hash for head in reader.heads(first.feed_id)} == {third.hash, other.hash}


def test_a_fork_below_the_tip_is_found(log: Log) -> None:
    entries = chain(journal(), 4)
    append(log, *entries)
    (other,) = chain(journal(), 1, mark=7, after=entries[0])
    result = append(log, other)[0]
    assert (result.outcome, result.rival) == (Outcome.FORK, entries[1].hash)


def test_a_higher_number_with_a_smaller_body_is_a_fork(log: Log) -> None:
    much, little = entry(day(), 1, {1: 5}), entry(day(), 2, {1: 4})
    append(log, much)
    result = append(log, little)[0]
    assert (result.outcome, result.rival) == (Outcome.FORK, much.hash)
    assert append(log, entry(day(), 3, {1: 5}))[0].outcome is Outcome.NEW
    with log.read() as reader:
        assert [head.seq for head in reader.heads(much.feed_id)] == [3]


def test_an_unknown_kind_is_ordered_by_number_alone(log: Log) -> None:
    unknown = Document("horoscope", 0, (1,))
    append(log, entry(unknown, 2, "taurus"))
    assert append(log, entry(unknown, 1, "aries"))[0].outcome is Outcome.KNOWN
    assert append(log, entry(unknown, 3, "leo"))[0].outcome is Outcome.NEW
    with log.read() as reader:
        assert [stored.entry.body for stored in reader.head_entries(unknown)] == ["leo"]


def test_a_body_that_its_rule_refuses_stands_beside_the_others(log: Log) -> None:
    append(log, entry(day(), 1, "no map"), entry(day(), 2, {1: 1}), entry(day(), 3, "no map"))
    with log.read() as reader:
        assert [head.seq for head in reader.heads(FeedId(day(), AUTHORS[0]))] == [1, 2, 3]


def test_entries_of_one_feed_that_differ_in_scope_or_feed_type_are_a_fork(log: Log) -> None:
    def of(feed: FeedType, scope: ScopeClass, seq: int) -> Entry:
        return sign(KEYS[0], AUTHORS[0], day(), feed, scope, seq, 0, {1: seq})

    append(log, of(FeedType.LATEST, ScopeClass.STORE, 1))
    assert append(log, of(FeedType.LATEST, ScopeClass.JOURNAL, 2))[0].outcome is Outcome.FORK
    assert append(log, of(FeedType.WHOLE, ScopeClass.STORE, 1))[0].outcome is Outcome.FORK
    with log.read() as reader:
        assert [len(heads) for _, heads in reader.feeds("store/12")] == [2]
        assert [len(heads) for _, heads in reader.feeds("journal/12")] == [1]
        assert reader.fingerprint("journal/12").feeds == 1


def test_replaced_entries_of_others_are_dropped_and_our_own_are_kept(log: Log) -> None:
    theirs = [entry(day(), seq, {1: seq}, AUTHORS[1]) for seq in (1, 2)]
    ours = [entry(day(), seq, {1: seq}) for seq in (1, 2, 3)]
    append(log, *theirs)
    append(log, *ours, sender=None)
    with log.read() as reader:
        assert reader.find(theirs[0].hash) is None
        assert [stored.entry for stored in reader.entries(theirs[0].feed_id)] == theirs[1:]
        assert [stored.entry for stored in reader.entries(ours[0].feed_id)] == ours
        assert [stored.entry for stored in reader.entries(ours[0].feed_id, 1)] == ours[1:]
        assert reader.find(ours[0].hash) is not None


def test_our_own_head_is_not_evicted_by_older_entries_that_come_back(log: Log) -> None:
    ours = [entry(day(), seq, {1: seq}) for seq in (1, 2, 3)]
    append(log, ours[2], sender=None)
    append(log, ours[0], ours[1])
    with log.read() as reader:
        assert reader.heads(ours[0].feed_id) == (ours[2].head,)


def test_a_quarantined_entry_is_kept_apart_until_it_is_readmitted(log: Log) -> None:
    entries = chain(journal(), 2)
    append(log, entries[0])
    held = Arrival(entries[1], PEER, quarantine="after the cut-off of 12-3")
    assert log.append([held])[0].outcome is Outcome.NEW
    assert log.append([held])[0].outcome is Outcome.KNOWN
    with log.read() as reader:
        assert reader.heads(entries[0].feed_id) == (entries[0].head,)
        assert [stored.entry for stored in reader.arrivals(0, 9)] == entries[:1]
        assert reader.fingerprint("journal/12") == feed_fingerprint(entries[0].feed_id, [entries[0].head])
        assert [(stored.entry, why) for stored, why in reader.quarantined()] == [
            (entries[1], "after the cut-off of 12-3")
        ]
    assert append(log, entries[1])[0].outcome is Outcome.NEW
    with log.read() as reader:
        assert list(reader.quarantined()) == []
        assert reader.heads(entries[0].feed_id) == (entries[1].head,)
