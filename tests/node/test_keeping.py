"""A running head office keeps the sums of its books, without being asked and without being in anybody's way."""

from __future__ import annotations

from pathlib import Path

import pytest

from crdt_pos import keeping_run
from crdt_pos.kept import AsOf, Kept
from crdt_pos.replica import RunningReplica
from tests.node.company import Company, note, running, until


def up_to_date(replica: RunningReplica) -> bool:
    with replica.log.read() as reader:
        sums = Kept.read(reader, replica.trust.directory)
        return sums is not None and not sums.stale


async def test_an_office_keeps_its_sums_while_nothing_arrives_and_a_till_keeps_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping_run, "LOOK_EVERY_S", 0.02)
    company = Company.found(tmp_path, "12-1")
    async with running(company.office, company.tills["12-1"]) as (office, till):
        await until(office, lambda: up_to_date(office))
        await note(office, "one more")
        await until(office, lambda: up_to_date(office))
        with till.log.read() as reader:
            assert AsOf.read(reader) is None
