"""A till whose log's file cannot be read any more goes on with its key, and signs nothing that contradicts what it has signed."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import trio

from crdt_pos import erasing, persons
from crdt_pos.person_commands import Desk, writer_of
from crdt_pos.persons import Keyring, Person
from crdt_pos.replica import RunningReplica
from crdt_pos.schema import JOURNAL
from gossip.entry import Entry
from gossip.errors import LogCorrupt
from gossip.log_salvage import salvage
from merge_rules.register_lww import RegisterLww
from peers.permissions import Role
from tests.disk.flipping import file_of
from tests.disk.test_scrub import SALE, everything_acknowledged, own, sell, verified
from tests.node.company import Company, introduce, running, until

PAGE = 4096
ANNA = b"member-1"


def spoil_pages(folder_file: Path) -> None:
    """Overwrite the heads of all pages but the first two, which say where the tree begins."""
    size = folder_file.stat().st_size
    with folder_file.open("r+b") as file:
        for page in range(2, size // PAGE):
            file.seek(page * PAGE)
            file.write(b"\xff" * 12)


async def sold(company: Company) -> list[Entry]:
    """The first life of the till's process: three sales that a neighbour holds, and what it signed."""
    async with running(company.office, *company.tills.values()) as (office, one, two):
        for till in (one, two):
            await introduce(till, office)
            assert till.till is not None
            await till.act(till.till.open_date)
        await introduce(one, two)
        for _ in range(3):
            await sell(one)
        await until(one, lambda: everything_acknowledged(one))
        return own(one, JOURNAL)


@pytest.mark.parametrize("ruined", [False, True])
async def test_a_till_goes_on_once_its_neighbour_has_told_what_it_signed(tmp_path: Path, ruined: bool) -> None:
    company = Company.found(tmp_path, "12-1", "12-2")
    signed = await sold(company)
    file = file_of(company.tills["12-1"])
    if ruined:
        file.write_bytes(b"no log at all" * 1000)
    else:
        spoil_pages(file)
        assert {one.hash for one in signed} <= {one.hash for one in salvage(file)}
    async with running(*company.tills.values()) as (one, two):
        assert (company.tills["12-1"].path / "log.damaged-1" / "data.mdb").exists()
        assert one.returning is not None
        assert "could not be read" in one.returning.trouble
        assert not one.may_act()
        if not ruined:
            assert own(one, JOURNAL) == signed
        one.node.want(two.listening)  # type: ignore[arg-type]
        await until(one, one.may_act)
        assert one.till is not None
        receipt = await one.act(partial(one.till.sell, SALE))
        assert receipt.n > 1_000, "numbers that it may have given are left out"
        mine = own(one, JOURNAL)
        assert {entry.hash for entry in signed} < {entry.hash for entry in mine}
        await until(two, lambda: mine[-1].hash in {entry.hash for entry in _journal_of(two, one)})
        assert verified(one).findings == []
        assert verified(two).findings == []


def _journal_of(replica: RunningReplica, author: RunningReplica) -> list[Entry]:
    with replica.log.read() as reader:
        entries = [stored.entry for stored in reader.arrivals(0, 10_000)]
    return [one for one in entries if one.author == author.certificate.author and one.document.kind == JOURNAL]


async def test_a_head_office_whose_log_cannot_be_read_says_how_it_is_rebuilt(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1")
    file = file_of(company.office)
    spoil_pages(file)
    before = file.read_bytes()
    with pytest.raises(LogCorrupt, match="recover office"):
        RunningReplica(company.office)
    assert file.read_bytes() == before


async def test_who_is_erased_is_not_kept_in_a_damaged_log_that_was_set_aside(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1")
    folder = company.tills["12-1"]
    async with running(folder) as (till,):
        assert till.till is not None
        till.till.welcome(ANNA)
        desk = Desk(till.log, writer_of(till), Role.TILL, till.system_ms, till.till)
        await till.act(
            lambda: desk.append(
                lambda reader: persons.write(reader, desk.writer, ANNA, Person("Anna"), till.system_ms())
            )
        )
        with till.log.read() as reader:
            (entry,) = [stored.entry for stored in reader.head_entries(persons.key_document(ANNA))]
    key = Keyring.from_body(RegisterLww.from_entry(entry.author, entry.seq, entry.body).value()).key
    spoil_pages(file_of(folder))
    aside = folder.path / "log.damaged-1"
    async with running(company.office, folder) as (office, till):
        assert key in (aside / "data.mdb").read_bytes()
        head = Desk(office.log, writer_of(office), Role.OFFICE, office.system_ms)
        await office.act(
            lambda: head.append(lambda reader: erasing.erase(reader, head.writer, ANNA, office.system_ms()))
        )
        await introduce(till, office)
        await until(till, lambda: not aside.exists())
        await until(till, lambda: not till.log.freed)  # type: ignore[attr-defined]
        assert not any(key in file.read_bytes() for file in folder.path.rglob("*") if file.is_file())


async def test_a_file_that_somebody_was_reading_is_written_anew_soon_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gossip.log_lmdb.SNAPSHOT_S_MAX", 0.05)
    monkeypatch.setattr("crdt_pos.people.WIPE_AGAIN_S", 0.1)
    company = Company.found(tmp_path)
    async with running(company.office) as (office,):
        head = Desk(office.log, writer_of(office), Role.OFFICE, office.system_ms)
        with office.log.read():
            refused, at_length = trio.Event(), list[bool]()
            wipe = office.log.wipe  # type: ignore[attr-defined]
            token = trio.lowlevel.current_trio_token()

            def wiped() -> bool:
                at_length.append(office.long_act)
                done = bool(wipe())
                if not done:
                    token.run_sync_soon(refused.set)
                return done

            monkeypatch.setattr(office.log, "wipe", wiped)
            await office.act(
                lambda: head.append(lambda reader: erasing.erase(reader, head.writer, ANNA, office.system_ms()))
            )
            office.people.erased_something()
            office.after_commit()
            await refused.wait()
            assert all(at_length), "the supervisor is told meanwhile that the office lives"
        await until(office, lambda: not office.log.freed)  # type: ignore[attr-defined]
