"""What lies before a horizon: in no fingerprint, not taken from peers, and gone where it was dropped."""

from __future__ import annotations

from gossip.document import Scope
from gossip.log import Log, Outcome
from tests.log.conftest import NewLog
from tests.log.making import AUTHORS, append, chain, day, entry, journal

ME, OTHER, _ = AUTHORS
STORE, JOURNAL = Scope("store/12"), Scope("journal/12")
HORIZON = {("journal", 12): 20002}


def filled(log: Log) -> Log:
    for number in range(20000, 20004):
        append(log, *chain(journal(number), 3, ME), sender=None)
        append(log, *chain(journal(number), 2, OTHER), entry(day(number), 1, {1: number}, OTHER))
    append(log, *chain(journal(20000, 13), 2, OTHER))
    return log


def test_who_has_dropped_and_who_has_not_have_the_same_fingerprints(new_log: NewLog) -> None:
    with new_log() as keeps, new_log() as drops, new_log() as never:
        filled(keeps).prune(HORIZON)
        assert filled(drops).prune(HORIZON, [journal(20000), journal(20001)]) == 10
        for number in (20002, 20003):
            append(never, *chain(journal(number), 3, ME), *chain(journal(number), 2, OTHER))
        with keeps.read() as one, drops.read() as two, never.read() as three:
            for reader in (one, two, three):
                assert reader.fingerprint(JOURNAL) == one.fingerprint(JOURNAL)
                assert list(reader.feeds(JOURNAL)) == list(one.feeds(JOURNAL))
                low = b"\x02"
                assert reader.fingerprint(JOURNAL, low) == one.fingerprint(JOURNAL, low)
            assert one.fingerprint(STORE) == two.fingerprint(STORE)
            assert one.fingerprint(STORE).feeds == 4, "days stay"
            assert one.fingerprint(Scope("journal/13")).feeds == 1, "another store's stay"
            assert len(list(one.documents("journal"))) == 5
            assert len(list(two.documents("journal"))) == 3


def test_what_lies_before_the_horizon_travels_no_more_and_is_not_taken(log: Log) -> None:
    filled(log).prune(HORIZON, [journal(20000)])
    dropped, kept = chain(journal(20000), 3, ME), chain(journal(20001), 4, OTHER)
    with log.read() as reader:
        assert reader.find(dropped[0].hash) is None
        assert reader.scopes(kept[0]) == frozenset()
        assert reader.scopes(chain(journal(20002), 1, OTHER)[0]) == {JOURNAL}
    before = state(log)
    assert [one.outcome for one in append(log, *dropped, *kept)] == [Outcome.KNOWN] * 7
    assert state(log) == before


def test_a_horizon_only_moves_on(log: Log) -> None:
    filled(log).prune(HORIZON)
    before = state(log)
    log.prune({("journal", 12): 20001})
    assert state(log) == before
    with log.read() as reader:
        assert reader.horizons == HORIZON


def test_own_entries_that_were_replaced_long_ago_are_dropped_and_the_newest_stays(log: Log) -> None:
    versions = [entry(day(), seq, {1: seq}, ME) for seq in range(1, 6)]  # signed at their number, in milliseconds
    append(log, *versions, sender=None)
    assert log.prune({}, (), 4) == 3
    with log.read() as reader:
        assert [stored.entry for stored in reader.entries(versions[0].feed_id)] == versions[3:]
        assert reader.heads(versions[0].feed_id) == (versions[4].head,)


def test_what_follows_from_entries_is_the_same_after_pruning_when_it_is_derived_again(log: Log) -> None:
    filled(log).prune(HORIZON, [journal(20000)])
    before = state(log)
    log.mend(ME, derive=True)
    assert state(log) == before


def state(log: Log) -> object:
    with log.read() as reader:
        feeds = {scope: (reader.fingerprint(scope), list(reader.feeds(scope))) for scope in (STORE, JOURNAL)}
        return feeds, [stored.entry for stored in reader.arrivals(0, 999)], list(reader.documents())
