"""What a peer may say to a till that has started again: what it shows is believed, what it only says is not."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing

from crdt_pos import own_heads
from crdt_pos.errors import TakingBack
from crdt_pos.folder import Folder
from crdt_pos.healing import Healed, healings
from crdt_pos.journal import journal_document
from crdt_pos.replica import RunningReplica
from crdt_pos.requests import LineRequest, SaleRequest
from crdt_pos.schema import JOURNAL, SCHEMA
from gossip.document import Document
from gossip.entry import Entry, Hash, sign
from gossip.events import Asked, Event
from gossip.inbound import cursor_key
from gossip.log import feed_key
from merge_rules import canonical
from tests.node.company import Company, Stranger, author, running, until

SALE = SaleRequest((LineRequest(1, unit_price_minor=119),))


class Answering(Stranger):
    """A stranger who answers what a till's heads are: in turn these, and the last again and again."""

    def __init__(self, folder: Folder, *answers: bytes | None) -> None:
        super().__init__(folder)
        self.answers = list(answers)
        self.heard = 0
        """Questions for heads."""

    def _hear(self, events: Iterable[Event]) -> None:
        rest = list(events)
        for event in rest:
            if isinstance(event, Asked) and event.topic == own_heads.TOPIC:
                self.heard += 1
                self.session.answer(event.id, self.answers[min(self.heard, len(self.answers)) - 1])
        super()._hear(rest)


async def sell(till: RunningReplica) -> int:
    assert till.till is not None
    return (await till.act(partial(till.till.sell, SALE))).n


async def open_and_sell(folder: Folder, neighbour: Folder) -> list[Entry]:
    """The first life of a till's process, in which a neighbour has it all; what it signed."""
    async with running(folder) as (till,):
        assert till.till is not None
        await till.act(till.till.open_date)
        assert await sell(till) == 1
        entries = own_entries(till)
        stranger = Stranger(neighbour)
        async with stranger.at(till):
            await stranger.talk(lambda: all(holds_it(stranger, entry) for entry in entries))
            returning, home = till.returning, till.home
            assert returning is not None
            assert home is not None
            await until(till, lambda: home.met)
    return entries


def own_entries(till: RunningReplica) -> list[Entry]:
    with till.log.read() as reader:
        found = [stored.entry for stored in reader.arrivals(0, 10_000)]
    return [entry for entry in found if entry.author == author(till)]


def holds_it(stranger: Stranger, entry: Entry) -> bool:
    with stranger.log.read() as reader:
        return reader.find(entry.hash) is not None


def healed(till: RunningReplica) -> list[Healed]:
    with till.log.read() as reader:
        return healings(reader)


def made_up(kind: str, till: Folder, liar: Folder, document: Document) -> bytes:
    """An answer that names, or shows, what the till has never signed."""
    own = till.certificate.author
    if kind == "heads":
        named: object = [feed_key(own_heads.FeedId(document, own)), 99, Hash(bytes(32))]
    elif kind == "entries":
        journal = SCHEMA[JOURNAL]
        forged = sign(liar.key, own, document, journal.feed, journal.scope, 1, 2**63, {0: 1}, None)
        named = forged.raw
    else:
        return canonical.encode([])
    return canonical.encode([named])


@pytest.mark.parametrize("lie", ["heads", "entries", "cursor"])
async def test_what_a_peer_only_says_costs_a_till_no_number_no_life_and_no_time(tmp_path: Path, lie: str) -> None:
    company = Company.found(tmp_path, "12-1", "12-2")
    folder, liar = company.tills["12-1"], company.tills["12-2"]
    (first, *_) = [entry for entry in await open_and_sell(folder, liar) if entry.document.kind == JOURNAL]
    async with running(folder) as (till,):
        database = till.log.database
        for session in range(1, 4):
            stranger = Answering(liar, made_up(lie, folder, liar, journal_document(12, first.document.day)))
            if lie == "cursor":
                shared = cursor_key(database, stranger.me.scopes)
                stranger.log.append([], [], [(shared, 2**40)])
            async with stranger.at(till):
                await stranger.talk(lambda stranger=stranger: bool(stranger.heard))
                assert till.node.links[stranger.me.author].session.read_beyond is (lie == "cursor")
                assert await sell(till) == 1 + session
        assert till.log.database == database
        assert healed(till) == []
        assert till.returning is not None
        assert till.returning.trouble == ""


async def test_a_neighbour_that_is_busy_has_not_said_that_nothing_is_newer_and_is_asked_again(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1", "12-2")
    folder, busy = company.tills["12-1"], company.tills["12-2"]
    await open_and_sell(folder, busy)
    disk = folder.log_path / "data.mdb"
    image = disk.read_bytes()
    async with running(folder) as (till,):
        assert await sell(till) == 2
        lost = own_entries(till)
    disk.write_bytes(image)
    stranger = Answering(busy, None, canonical.encode([entry.raw for entry in reversed(lost)]))
    async with running(folder) as (till,):
        home = till.home
        assert home is not None
        async with stranger.at(till):
            await stranger.talk(lambda: stranger.heard == 2)
            await until(till, lambda: home.why is not None)
            assert not home.may_act(till.system_ms())
            stranger.offers(*lost)
            stranger.session.wake()
            await stranger.until_ended()  # it begins anew, with another log
        await until(till, lambda: bool(healed(till)))
        assert await sell(till) > 1_000


async def test_a_sale_that_waits_for_its_turn_while_the_proof_comes_is_not_signed(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1", "12-2")
    folder, neighbour = company.tills["12-1"], company.tills["12-2"]
    await open_and_sell(folder, neighbour)
    async with running(folder) as (till,):
        home = till.home
        assert home is not None
        await until(till, lambda: home.may_act(till.system_ms()))
        writing, proven = threading.Event(), threading.Event()

        def write() -> None:
            writing.set()
            assert proven.wait(60)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(till.node.write, write)
            await trio.to_thread.run_sync(writing.wait)
            signed = len(own_entries(till))
            told: list[TakingBack] = []

            async def ask_for_a_sale() -> None:
                try:
                    await sell(till)
                except TakingBack as refused:
                    told.append(refused)

            nursery.start_soon(ask_for_a_sale)
            await trio.testing.wait_all_tasks_blocked(0.05)  # it waits for its turn
            home.came_back(till.system_ms())
            proven.set()
        assert told
        assert len(own_entries(till)) == signed
