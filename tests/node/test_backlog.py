"""What is received and not committed yet is bounded, and nobody is kept out by that."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from crdt_pos.replica import RunningReplica
from gossip import tls
from gossip.backlog import SHARE_BYTES_MAX, Backlog
from gossip.document import Document
from gossip.entry import Entry, decode, sign
from gossip.errors import TransportError
from gossip.intake import CERTIFICATE_TOPIC
from merge_rules import canonical
from tests.node.company import (
    NOTE,
    PATIENCE_S,
    Company,
    Stranger,
    author,
    holds,
    introduce,
    note,
    notes,
    running,
    until,
)

LARGE = "a long note " * 20_000
"""One of these fills a batch."""


def large_notes(company: Company, name: str, count: int) -> list[Entry]:
    folder = company.tills[name]
    return [
        sign(
            folder.key,
            folder.certificate.author,
            Document("note", keys=(number,)),
            NOTE.feed,
            NOTE.scope,
            1,
            1,
            f"{number} {LARGE}",
            None,
        )
        for number in range(1, count + 1)
    ]


@asynccontextmanager
async def known(company: Company, name: str, to: RunningReplica, first: Entry) -> AsyncIterator[Stranger]:
    """A stranger whose certificate ``to`` knows, and whose first entry it holds."""
    stranger = Stranger(company.tills[name])
    stranger.certificates[stranger.me.author] = canonical.encode(list(stranger.folder.chain))
    stranger.offers(first)
    async with stranger.at(to):
        await stranger.until_settled(first)
        yield stranger


@asynccontextmanager
async def uncommitted(to: RunningReplica, stranger: Stranger, sent: list[Entry]) -> AsyncIterator[None]:
    """While the stranger sends these, all but the first new, ``to`` commits nothing; after it, until it has them."""
    stranger.offers(*sent[1:])
    stranger.session.wake()
    async with trio.open_nursery() as nursery, to.node._writing:
        nursery.start_soon(stranger.until_settled, *sent)
        yield


async def test_where_hardly_anything_may_wait_all_arrives_and_certificates_are_asked_for(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1", "13-1")
    async with running(company.office, company.tills["12-1"], company.tills["13-1"]) as (office, here, there):
        for replica in (office, here, there):
            replica.node._backlog = Backlog(0)
        await introduce(here, office)
        await introduce(there, office)
        for number in range(5):
            await note(here, f"{number} from 12-1")
            await note(there, f"{number} from 13-1")
        everything = {f"{number} from {name}" for number in range(5) for name in ("12-1", "13-1")}
        for replica in (office, here, there):
            await until(replica, lambda replica=replica: notes(replica.log) == everything)
            await until(replica, lambda replica=replica: replica.node._backlog.bytes == 0)
        assert there.trust.record(author(here)) is not None


async def test_who_has_much_waiting_is_not_listened_to_and_others_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gossip.link.DEAF_S_MAX", 4 * PATIENCE_S)
    company = Company.found(tmp_path, "12-1", "13-1", "13-2")
    sent = large_notes(company, "12-1", 6)
    async with running(company.tills["13-1"], company.tills["13-2"]) as (till, neighbour):
        backlog = till.node._backlog = Backlog(len(sent[0].raw) // 2)
        await introduce(neighbour, till)
        async with known(company, "12-1", till, sent[0]) as stranger, uncommitted(till, stranger, sent):
            await until(till, lambda: backlog.full)
            asking = neighbour.node.links[author(till)]
            for _ in range(200):  # in which all that was sent could have been listened to
                assert await asking.ask(CERTIFICATE_TOPIC, author(till), 1000 * int(PATIENCE_S))
            heard = till.node.links[author(neighbour)].session
            before = heard.came.total()
            await note(neighbour, "one")
            with trio.fail_after(PATIENCE_S):
                while heard.came.total() == before:
                    await trio.sleep(0.01)
            assert backlog.bytes < 2 * len(sent[0].raw)
        assert all(holds(till, one) for one in sent)
        await until(till, lambda: "one" in notes(till.log))
        assert backlog.bytes == 0


async def test_what_waited_behind_a_forged_entry_waits_no_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "crdt_pos.node")
    company = Company.found(tmp_path, "12-1", "13-1")
    first, *others = large_notes(company, "12-1", 3)
    forged = decode(first.raw[:-1] + bytes([first.raw[-1] ^ 1]))
    async with running(company.tills["13-1"]) as (till,):
        backlog = till.node._backlog
        stranger = Stranger(company.tills["12-1"])
        stranger.offers(forged, *others)
        stranger.certificates[stranger.me.author] = canonical.encode(list(stranger.folder.chain))
        async with stranger.at(till):
            with contextlib.suppress(TransportError):  # it is still sending when the other side closes
                await stranger.until_ended()
        await until(till, lambda: not till.node._live)
        assert "BAD_ENTRY" in caplog.text
        assert backlog.bytes == 0


async def test_a_peer_that_is_not_listened_to_for_long_keeps_its_connection(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1", "13-1")
    sent = large_notes(company, "12-1", 12)
    async with running(company.tills["13-1"]) as (till,):
        till.node._backlog = Backlog(len(sent[0].raw) // 2)
        async with known(company, "12-1", till, sent[0]) as stranger:
            link = till.node.links[stranger.me.author]
            async with uncommitted(till, stranger, sent):
                await trio.sleep(tls._DEAD_AFTER["TCP_USER_TIMEOUT"] / 1000 + 3)
            assert till.node.links[stranger.me.author] is link
        assert all(holds(till, one) for one in sent)


async def test_one_session_alone_keeps_nobody_out(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1", "13-1")
    sent = large_notes(company, "12-1", 8)
    async with running(company.tills["13-1"]) as (till,):
        backlog = till.node._backlog
        async with known(company, "12-1", till, sent[0]) as stranger:
            link = till.node.links[stranger.me.author]
            async with uncommitted(till, stranger, sent):
                await until(till, lambda: link._waiting_bytes > 4 * len(sent[0].raw))
                assert backlog.bytes == SHARE_BYTES_MAX
                assert not backlog.full
        await until(till, lambda: backlog.bytes == 0)


async def test_whoever_waits_looks_again_when_anything_waits_no_more() -> None:
    backlog = Backlog(10)
    backlog.change_by(100)
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(backlog.change)
            await trio.testing.wait_all_tasks_blocked()
            backlog.change_by(-1)
    assert backlog.full


def test_the_bound_is_over_all_sessions_and_in_bytes() -> None:
    backlog = Backlog(100)
    backlog.change_by(60)
    backlog.change_by(40)
    assert not backlog.full
    backlog.change_by(1)
    assert backlog.full
    backlog.change_by(-40)
    assert not backlog.full
