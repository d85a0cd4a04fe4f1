"""A damaged log: what is found, what is derived again, and that the same entries make the same log again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gossip.document import Scope
from gossip.entry import Entry, FeedId
from gossip.errors import EntryLost, LogCorrupt, LogError
from gossip.log import Log, Outcome
from gossip.log_lmdb import LmdbLog
from tests.log.conftest import NewLog
from tests.log.making import (
    AUTHORS,
    COMPANY,
    PEER,
    SCHEMA,
    append,
    append_all,
    balance,
    chain,
    day,
    entry,
    journal,
    patrons,
)

ME, OTHER, THIRD = AUTHORS
SCOPES = ("company", "store/12", "journal/12", "journal/13", "patrons/12", "patrons/13")
MILK, BREAD = b"account1", b"account2"


def entries() -> list[Entry]:
    """Chains, one that goes on in two ways, states with what they replace, contradictions, accounts and their patrons."""
    own, theirs = chain(journal(), 5, ME), chain(journal(), 5, OTHER)
    branch = chain(journal(), 2, OTHER, mark=7, after=theirs[2])
    return [
        *own,
        *theirs,
        *branch,
        *chain(journal(20040, 13), 3, THIRD),
        *(entry(day(), seq, {1: seq}, ME) for seq in (1, 2, 3)),
        *(entry(day(), seq, {1: seq}, OTHER) for seq in (1, 2)),
        entry(day(20001), 1, {1: 5}, THIRD),
        entry(day(20001), 2, {1: 4}, THIRD),
        entry(balance(MILK), 1, {1: 1}, ME),
        entry(balance(BREAD), 1, {1: 2}, OTHER),
        entry(patrons(12), 1, {MILK: 1}, ME),
        entry(patrons(13), 1, {MILK: 1, BREAD: 1}, OTHER),
    ]


def state(log: Log) -> dict[str, Any]:
    """Everything that a log says of its entries, but for the order in which they came."""
    with log.read() as reader:
        feeds = {
            FeedId(document, author): (
                reader.heads(FeedId(document, author)),
                sorted(stored.entry.raw for stored in reader.entries(FeedId(document, author))),
            )
            for document in reader.documents()
            for author in reader.authors(document)
        }
        sums = {
            scope: (reader.fingerprint(scope), list(reader.feeds(scope)), reader.fingerprint(scope, b"\0\1"))
            for scope in map(Scope, SCOPES)
        }
        return {"feeds": feeds, "sums": sums, "lost": list(reader.lost()), "found": len(list(reader.arrivals(0, 999)))}


def filled(log: Log) -> Log:
    for one in entries():
        append(log, one, sender=None if one.author == ME else PEER)
    return log


def looked(log: Log) -> bool:
    """Whether any row of the log is damaged."""
    after = b""
    while True:
        found = log.look(after, 7)
        if found.damaged:
            return True
        if not found.next:
            return False
        after = found.next


def test_nothing_is_damaged_in_a_log_that_nobody_touched(log: Log) -> None:
    assert not looked(filled(log))


def test_a_look_shows_every_entry_once(log: Log) -> None:
    filled(log)
    seen, after = [], b""
    while True:
        found = log.look(after, 5)
        seen += [stored.entry for stored in found.entries]
        if not (after := found.next):
            break
    with log.read() as reader:
        assert seen == [stored.entry for stored in reader.arrivals(0, 999)]


def test_what_follows_from_entries_is_the_same_when_it_is_derived_again(log: Log) -> None:
    before = state(filled(log))
    assert log.mend(ME, derive=True).derived
    assert state(log) == before
    assert not looked(log)


@pytest.mark.parametrize("derive", [False, True])
def test_any_entry_that_was_lost_takes_its_place_again(new_log: NewLog, derive: bool) -> None:
    for number in range(1, 60):
        with new_log() as log:
            before = state(filled(log))
            with log.read() as reader:
                gone = next(
                    (stored.entry for stored in reader.arrivals(number - 1, 1) if stored.arrival == number), None
                )
            if gone is None:
                continue
            mended = log.mend(ME, [number], derive=derive)
            with log.read() as reader:
                assert reader.find(gone.hash) is None
                assert list(reader.lost()) == list(mended.lost)
            assert not looked(log)
            append_all(log, entries())
            after = state(log)
            if before["feeds"][gone.feed_id][1].count(gone.raw) and gone.author == ME and not mended.lost:
                continue  # what a newer one of our own has replaced is needed by nobody
            assert after == before, gone.document


def test_the_author_of_a_chain_goes_on_after_what_was_lost(log: Log) -> None:
    own = chain(journal(), 5, ME)
    append(log, *own, sender=None)
    mended = log.mend(ME, [3, 5])
    assert {head.seq for _, head in mended.lost} == {3, 5}
    with log.read() as reader:
        assert reader.heads(own[0].feed_id) == (own[4].head,)
        assert [stored.entry.seq for stored in reader.entries(own[0].feed_id)] == [1, 2, 4]
        assert reader.is_lost(own[2].hash)
    (sixth,) = chain(journal(), 1, ME, after=own[4])
    assert append(log, sixth, sender=None)[0].outcome is Outcome.NEW
    assert append(log, own[4], own[2])[0].outcome is Outcome.BACK
    with log.read() as reader:
        assert [stored.entry for stored in reader.entries(own[0].feed_id)] == [*own, sixth]
        assert not list(reader.lost())


def test_nothing_is_read_of_an_own_state_that_was_lost_until_it_is_back(log: Log) -> None:
    mine = entry(day(), 4, {1: 4}, ME)
    append(log, mine, sender=None)
    assert [head for _, head in log.mend(ME, [1]).lost] == [mine.head]
    with log.read() as reader:
        assert reader.heads(mine.feed_id) == (mine.head,)
        with pytest.raises(EntryLost):
            list(reader.entries(mine.feed_id))
    append(log, entry(day(), 3, {1: 3}, ME))
    append(log, mine)
    with log.read() as reader:
        assert [stored.entry for stored in reader.entries(mine.feed_id)] == [mine]


def test_anothers_state_that_was_lost_is_not_known_any_more(log: Log) -> None:
    theirs = entry(day(), 4, {1: 4}, OTHER)
    append(log, theirs)
    assert log.mend(ME, [1]).lost == ()
    with log.read() as reader:
        assert not reader.heads(theirs.feed_id)
        assert not reader.fingerprint(Scope("store/12")).feeds
        assert not list(reader.documents())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("flipped") / "log"
    log = LmdbLog.open(folder, SCHEMA, COMPANY)
    before = state(filled(log))
    log.append([], [(b"view/%d" % number, b"seen") for number in range(20)], [(b"d" * 16, 7)])
    log.close()
    return folder, (folder / "data.mdb").read_bytes(), before


@contextmanager
def opened(folder: Path) -> Iterator[LmdbLog]:
    log = LmdbLog.open(folder, SCHEMA, COMPANY, sync=False)
    try:
        yield log
    finally:
        log.close()


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_a_flipped_bit_is_found_and_the_same_entries_make_the_same_log_again(
    whole: tuple[Path, bytes, dict[str, Any]], data: st.DataObject
) -> None:
    folder, content, before = whole
    at = data.draw(st.integers(2 * 4096 * 8, len(content) * 8 - 1))
    spoilt = bytearray(content)
    spoilt[at // 8] ^= 1 << at % 8
    (folder / "data.mdb").write_bytes(spoilt)
    try:
        with opened(folder) as log:
            if looked(log):
                log.mend(ME)
                assert not looked(log)
            append_all(log, entries())
            now = state(log)
            # What a newer entry of our own has replaced is needed by nobody.
            assert now["sums"] == before["sums"]
            assert {feed: heads for feed, (heads, _) in now["feeds"].items()} == {
                feed: heads for feed, (heads, _) in before["feeds"].items()
            }
            assert now["lost"] == []
    except LogCorrupt:
        return  # found when it was opened
    except LogError as error:
        pytest.fail(str(error))


@pytest.mark.parametrize("kind", [b"e", b"h", b"f", b"s", b"D", b"M", b"S", b"A", b"P", b"c", b"v"])
def test_a_flipped_bit_in_a_row_of_any_kind_is_found_and_mended(
    whole: tuple[Path, bytes, dict[str, Any]], kind: bytes
) -> None:
    folder, content, before = whole
    (folder / "data.mdb").write_bytes(content)
    with opened(folder) as log, log._writing() as table:  # the row's bytes as they stand in the file
        key, _ = next(table.scan(kind, bytes([kind[0] + 1])))
        kept = table._transaction.get(key)
    content = (folder / "data.mdb").read_bytes()
    # The newest copy of a page stands anywhere: spoil the row in all.
    spoilt = content.replace(key + kept, key + bytes([kept[0] ^ 4]) + kept[1:])
    assert spoilt != content
    (folder / "data.mdb").write_bytes(spoilt)
    with opened(folder) as log:
        assert looked(log)
        mended = log.mend(ME)
        assert mended.rows == 1
        assert (mended.views == (key[1:],)) is (kind == b"v")
        assert not looked(log)
        append_all(log, entries())
        assert state(log)["sums"] == before["sums"]
