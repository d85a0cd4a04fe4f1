"""Who holds a vault: guardians, by way of a head office or a relay; and nobody gets what he may not read by asking for it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from crdt_pos.clock import system_ms
from crdt_pos.enrolment import enrol_relay
from crdt_pos.errors import BadSegment
from crdt_pos.guardians import guardians_of
from crdt_pos.identity import Identity
from crdt_pos.registrar import Registrar
from crdt_pos.replica import RunningReplica
from crdt_pos.requests import LineRequest, SaleRequest
from crdt_pos.schema import VAULT
from crdt_pos.sealing_segments import open_segment
from crdt_pos.vault import vault_document
from gossip import frames
from gossip.document import Scope
from gossip.entry import Entry, FeedId, decode
from gossip.log import Log, Reader, feed_key
from gossip.messages import Entries, Want, Wanted
from gossip.session import Me
from peers.keys import SealingKey
from peers.roster import Closure
from tests.node.company import Company, Stranger, holds, introduce, note, notes, running, settings, until

STORES = (12, 13, 14, 15, 16)


def company_of(at: Path) -> Company:
    """A till in each store, all of which seal every second."""
    company = Company.found(at, *(f"{store}-1" for store in STORES))
    for name, folder in company.tills.items():
        company.tills[name] = replace(folder, settings=replace(folder.settings, vault_every_s=1))
    return company


def guardians_in(replica: RunningReplica, store: int = 12) -> tuple[set[int], set[int]]:
    """The stores that guard ``store``, and those that do not."""
    found = set(guardians_of(store, replica.trust.directory))
    return found, set(STORES) - found - {store}


async def sell(replica: RunningReplica) -> None:
    till = replica.till
    assert till is not None
    if till.open_on is None:
        await replica.node.write(till.open_date)
    await replica.node.write(lambda: till.sell(SaleRequest((LineRequest(0, name="bread", unit_price_minor=250),))))


def sealed(reader: Reader, identity: Identity) -> list[Entry]:
    feed = FeedId(vault_document(identity.store, identity.till), identity.author)
    return [stored.entry for stored in reader.entries(feed)]


def vaults(log: Log) -> set[int]:
    """The stores of which anything sealed is here."""
    with log.read() as reader:
        return {int(str(document.keys[0])) for document in reader.documents(VAULT)}


@pytest.mark.parametrize("by", ["office", "relay"])
async def test_what_a_till_seals_reaches_the_guardians_of_its_store_and_no_other_store(tmp_path: Path, by: str) -> None:
    company = company_of(tmp_path)
    middle = company.office
    if by == "relay":  # no head office runs
        middle = enrol_relay(company.office, 1, tmp_path / "relay", settings(), system_ms())
    async with running(middle, *company.tills.values()) as (between, *tills):
        by_store = {till.certificate.store: till for till in tills}
        burning = by_store[12]
        for till in tills:
            await introduce(till, between)
        await sell(burning)
        guarding, others = guardians_in(burning)
        await until(burning, lambda: not burning.status().outside.waiting and burning.status().outside.until_ms > 0)
        for store in guarding:
            await until(by_store[store], lambda store=store: 12 in vaults(by_store[store].log))
        with by_store[min(guarding)].log.read() as reader:
            (segment,) = sealed(reader, burning.identity())
        assert holds(between, segment)
        for key in (SealingKey.generate(), SealingKey(by_store[min(guarding)].folder.key.seed)):
            with pytest.raises(BadSegment):
                open_segment(segment.body, key)
        # What everybody may read comes after it in every session.
        await note(burning, "after")
        for store in others:
            await until(by_store[store], lambda store=store: notes(by_store[store].log) == {"after"})
            assert 12 not in vaults(by_store[store].log)
        assert not {document for document in _documents(between.log) if document.startswith("journal/")}


async def test_when_a_guardian_store_closes_the_next_takes_over_with_everything_while_all_run(tmp_path: Path) -> None:
    company = company_of(tmp_path)
    async with running(company.office, *company.tills.values()) as (office, *tills):
        by_store = {till.certificate.store: till for till in tills}
        burning = by_store[12]
        for till in tills:
            await introduce(till, office)
        await sell(burning)
        before, _ = guardians_in(office)
        for store in before:
            await until(by_store[store], lambda store=store: 12 in vaults(by_store[store].log))
        closing = min(before)
        await office.state(partial(Registrar(office.folder, office.log, system_ms()).state, [Closure(closing)]))
        after, _ = guardians_in(office)
        (next_one,) = after - before
        assert before - after == {closing}
        with burning.log.read() as reader:
            segments = sealed(reader, burning.identity())
        assert segments
        for segment in segments:
            await until(by_store[next_one], lambda segment=segment: holds(by_store[next_one], segment))
        # The one that was relieved keeps what it has, and can no more open it than before.
        assert holds(by_store[closing], segments[0])
        assert Scope("vault/12") not in office.trust.readable(by_store[closing].certificate)


async def test_a_till_that_asks_for_what_it_may_not_read_gets_nothing_of_it(tmp_path: Path) -> None:
    company = company_of(tmp_path)
    with_vault: set[Entry] = set()
    async with running(company.office, company.tills["12-1"]) as (office, till):
        await introduce(till, office)
        await sell(till)
        await until(till, lambda: not till.status().outside.waiting and till.status().outside.until_ms > 0)
        _, others = guardians_in(office)
        asking = company.tills[f"{min(others)}-1"]
        wished = {Scope(f"{kind}/12") for kind in ("journal", "store", "patrons", "vault")} | {Scope("company")}
        for asked in (office, till):
            own = asking.certificate
            stranger = Stranger(asking, Me(own.company, own.author, frozenset(wished)))
            async with stranger.at(asked):
                await stranger.talk(lambda stranger=stranger: stranger.shared)
                assert stranger.session.shared == {"company"}
                assert stranger.hello is not None
                assert not stranger.hello.scopes & (wished - {"company"})
                # It asks for the feeds by name all the same: the answers bear their number, and nothing else.
                with asked.log.read() as reader:
                    feeds = [
                        FeedId(document, author)
                        for document in reader.documents()
                        if document.keys[:1] == (12,)
                        for author in reader.authors(document)
                    ]
                    with_vault |= {entry for feed in feeds for entry in _all(reader, feed)}
                wants = tuple(Wanted(feed_key(feed), 0) for feed in feeds)
                await stranger.stream.send(frames.encode(Want(1, wants)))
                assert not {one for one in await _answered(stranger, 1) if one.split("/")[1:2] == ["12"]}
            assert not {one for one in _documents(stranger.log) if one.split("/")[1:2] == ["12"]}
        assert {"journal", "vault", "roster-store"} <= {entry.document.kind for entry in with_vault}


async def _answered(stranger: Stranger, want: int) -> list[str]:
    """The documents of what came in ENTRIES until the last that answers a WANT."""
    came: list[str] = []
    while True:
        received = await stranger.stream.receive()
        assert received, "the session ended"
        for message, _ in stranger.session._frames.feed(received):
            if isinstance(message, Entries):
                came += [str(decode(item).document) for item in message.items if isinstance(item, bytes)]
                if message.answers == want:
                    return came


def _all(reader: Reader, feed: FeedId) -> list[Entry]:
    return [stored.entry for stored in reader.entries(feed)]


def _documents(log: Log) -> set[str]:
    with log.read() as reader:
        return set(map(str, reader.documents()))
