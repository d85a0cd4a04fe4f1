"""A revoked replica's live sessions end with a reason, wherever the revocation is heard of, and it is told."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from crdt_pos.clock import system_ms
from crdt_pos.errors import OutOfService
from crdt_pos.registrar import Registrar
from crdt_pos.replica import RunningReplica
from crdt_pos.revoking import revoke
from gossip.document import Document
from gossip.entry import Entry
from gossip.log import Arrival
from gossip.reasons import Reason
from peers.roster import Why
from tests.node.company import BOARD, Company, Stranger, in_touch, introduce, link, note, notes, running, until


async def keep_out(office: RunningReplica, name: str) -> None:
    """As the command does at an office that runs."""

    def decide() -> None:
        registrar = Registrar(office.folder, office.log, system_ms())
        revoke(registrar, name, Why.STOLEN, "from the shop window")

    await office.state(decide)


async def test_every_session_of_a_revoked_till_ends_at_once_and_it_is_told_why(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1", "12-2")
    async with running(company.office, company.tills["12-1"], company.tills["12-2"]) as (office, stolen, other):
        await introduce(stolen, office)
        await introduce(other, office)
        await introduce(stolen, other)
        await note(stolen, "before")
        await until(office, lambda: "before" in notes(office.log))
        await keep_out(office, "12-1")
        await until(office, lambda: link(office, stolen) is None)
        await until(other, lambda: link(other, stolen) is None)
        assert in_touch(office, other)
        await until(stolen, lambda: "revoked as stolen (from the shop window)" in stolen.status().trouble)
        await note(stolen, "after")
    stranger = Stranger(company.tills["12-1"])
    async with running(company.tills["12-2"]) as (alone,):  # nobody else is there to ask
        async with stranger.at(alone):
            ended = await stranger.until_ended()
        assert (ended.reason, ended.by_peer) == (Reason.REVOKED, True)
        assert "revoked as stolen" in ended.why


async def test_a_till_that_was_off_ends_its_session_with_the_thief_once_it_hears(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1", "12-2")
    async with running(company.office) as (office,):
        await keep_out(office, "12-1")
        async with running(company.tills["12-1"], company.tills["12-2"]) as (stolen, other):
            await introduce(stolen, other)  # neither has heard
            await note(stolen, "after")
            await until(other, lambda: "after" in notes(other.log))
            await introduce(other, office)
            await until(other, lambda: link(other, stolen) is None)
            await until(office, lambda: other.certificate.author in office.node.links)
            # Nothing of it counts, at whom it was told and at whom it was passed on to.
            await until(other, lambda: notes(other.log) == set())
            await until(office, partial(_hides, office, BOARD))
            assert notes(office.log) == set()


def _hides(replica: RunningReplica, document: Document) -> bool:
    with replica.log.read() as reader:
        return any(stored.entry.document == document for stored, _ in reader.quarantined())


async def test_a_till_that_knows_that_it_is_revoked_signs_nothing(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1")
    till = company.tills["12-1"]
    async with running(company.office) as (office,):
        await keep_out(office, "12-1")
        with office.log.read() as reader:
            entries = [stored.entry for stored in reader.arrivals(0, 1000)]
    async with running(till) as (stolen,):
        await _hears(stolen, entries, company)
        assert not stolen.may_act()
        with pytest.raises(OutOfService, match="12-1 a1 was revoked as stolen"):
            await stolen.act(lambda: None)
        assert "counts any more. Ask head office" in stolen.status().trouble


async def _hears(replica: RunningReplica, entries: list[Entry], company: Company) -> None:
    arrivals = [Arrival(entry, company.office.certificate.author) for entry in entries]
    await replica.state(lambda: replica.log.append(arrivals))
