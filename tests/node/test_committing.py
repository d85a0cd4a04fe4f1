"""From a session to the disk: committed before it is acknowledged, nothing skipped when the disk is full."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
import trio

from crdt_pos.schema import SCHEMA
from gossip.entry import Head, sign
from gossip.errors import LogFull
from gossip.inbound import cursor_key
from gossip.intake import Commit, Derived, write_group
from gossip.log import Appended, Arrival, Outcome, View
from gossip.log_lmdb import LmdbLog
from gossip.log_memory import MemoryLog
from gossip.reasons import Reason
from tests.node.company import BOARD, NOTE, Bare, Company, Stranger, first_note, notes, roster_of, signed, until


class SmallDisk(MemoryLog):
    """A log on a disk that has room, or not."""

    full = False
    full_for_cursors = False
    """Though entries still fit."""
    refusals = 0

    def append(
        self,
        arrivals: Sequence[Arrival],
        views: Iterable[View] = (),
        cursors: Iterable[tuple[bytes, int]] = (),
        received_ms: int = 0,
    ) -> list[Appended]:
        if self.full or (self.full_for_cursors and not arrivals):
            self.refusals += 1
            raise LogFull("no space is left")
        return super().append(arrivals, views, cursors, received_ms)


async def test_what_a_peer_acknowledges_is_on_its_disk_by_then(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1")
    till, office = company.tills["12-1"], company.office
    disk = LmdbLog.open(office.log_path, SCHEMA, office.root.company)
    mine = MemoryLog(SCHEMA)
    mine.append(roster_of(till))
    found: list[bool] = []
    async with Bare.running(office, disk) as (_, where), Bare.running(till, mine) as (writer, _):

        def look(_feed: object, head: Head) -> None:
            with disk.read() as reader:
                found.append(reader.find(head.hash) is not None)

        writer.on_acknowledged = look
        writer.node.want(where)
        for number in range(20):
            batch = signed(mine, till, BOARD, NOTE, f"note {number}")
            await writer.node.write(lambda batch=batch: mine.append(batch))
        await until(writer.node, lambda: len(set(writer.heads_of(BOARD))) == 20)
    assert len(found) >= 20
    assert all(found)
    disk.close()


async def test_a_full_disk_ends_the_session_says_so_and_takes_everything_when_there_is_room_again(
    tmp_path: Path,
) -> None:
    company = Company.found(tmp_path, "12-1")
    till, office = company.tills["12-1"], company.office
    disk, mine = SmallDisk(SCHEMA), MemoryLog(SCHEMA)
    disk.append(roster_of(office))
    mine.append(roster_of(till))
    async with Bare.running(office, disk) as (reader, where), Bare.running(till, mine) as (writer, _):
        writer.node.want(where)
        await until(writer.node, lambda: office.certificate.author in writer.node.links)
        disk.full = True
        batch = signed(mine, till, BOARD, NOTE, "one", "two")
        await writer.node.write(lambda: mine.append(batch))
        await until(reader.node, lambda: disk.refusals > 1)  # it came back, and there was still no room
        assert reader.node.trouble == "no space is left"
        assert notes(disk) == set()
        assert not any(feed.document == BOARD for feed, _ in writer.acknowledged)
        disk.full = False
        await until(reader.node, lambda: notes(disk) == {"one", "two"})
        assert reader.node.trouble == ""


async def test_after_a_batch_that_was_not_kept_no_later_one_moves_the_cursor_past_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gossip.link.ENTRIES_AT_ONCE_MAX", 1)
    company = Company.found(tmp_path, "12-1", "12-2")
    office, peer, other = company.office, company.tills["12-1"], company.tills["12-2"]
    disk = MemoryLog(SCHEMA)
    disk.append(roster_of(office))
    disk.append(roster_of(other))  # also with the stores' certificates
    forged = sign(peer.key, other.certificate.author, BOARD, NOTE.feed, NOTE.scope, 1, 1, "forged", None)
    good = first_note(peer, "after it", 2)
    async with Bare.running(office, disk) as (reader, where):
        stranger = Stranger(peer)
        async with stranger.at(where):
            await stranger.talk(lambda: stranger.shared)
            said = b""
            for entry in (forged, good):  # two batches, in the queue before the first is checked
                stranger.offers(entry)
                stranger.session.wake()
                said += stranger.session.data_to_send()
            await stranger.stream.send(said)
            assert (await stranger.until_ended()).reason is Reason.BAD_ENTRY
        await until(reader.node, lambda: not reader.node._live)
        with disk.read() as log:
            assert log.find(good.hash) is None
            assert log.cursor(cursor_key(stranger.log.database, stranger.session.shared)) == 0


async def test_many_entries_are_checked_in_parts_and_appended_in_their_order(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1")
    till, office = company.tills["12-1"], company.office
    disk, mine = MemoryLog(SCHEMA), MemoryLog(SCHEMA)
    disk.append(roster_of(office))
    mine.append(roster_of(till))
    mine.append(signed(mine, till, BOARD, NOTE, *map(str, range(300))))
    async with Bare.running(office, disk) as (reader, where), Bare.running(till, mine) as (writer, _):
        writer.node.want(where)

        def outcomes() -> list[str]:
            return [outcome.outcome.value for batch in reader.appended for outcome in batch.outcomes]

        await until(reader.node, lambda: len(outcomes()) >= 300)
        assert set(outcomes()) == {"new"}


async def test_a_node_that_stops_dials_nobody_who_is_found_afterwards(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1")
    log = MemoryLog(SCHEMA)
    async with Bare.running(company.tills["12-1"], log) as (bare, where):
        pass
    bare.node.want(where)
    assert bare.node.troubles() == {}
    await trio.lowlevel.checkpoint()


def test_entries_that_are_on_the_disk_are_not_said_to_be_refused_because_a_cursor_does_not_fit_any_more(
    tmp_path: Path,
) -> None:
    company = Company.found(tmp_path, "12-1")
    till = company.tills["12-1"]
    log = SmallDisk(SCHEMA)
    log.full_for_cursors = True
    first, _, third = signed(MemoryLog(SCHEMA), till, BOARD, NOTE, "1", "2", "3")
    missing_second = Commit([first, third], [(b"database", 7)], ())
    batch = write_group(log, [missing_second], lambda _reader, _arrivals: Derived(), 0)
    assert [one.outcome for one in batch.outcomes] == [Outcome.NEW, Outcome.GAP]
    assert missing_second.outcomes == list(batch.outcomes)
    assert notes(log) == {"1"}
