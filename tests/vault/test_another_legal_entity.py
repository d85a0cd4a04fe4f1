"""A store whose guardian belongs to another legal entity: what leaves it for there is sealed, and nothing else does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from crdt_pos.clock import system_ms
from crdt_pos.enrolment import add_store
from crdt_pos.folder import KEY, Folder
from crdt_pos.guardians import guardians_of
from crdt_pos.opening import open_vaults
from crdt_pos.patrons import PATRONS
from crdt_pos.requests import LineRequest, SaleRequest
from crdt_pos.schema import BALANCE, DAY, JOURNAL
from gossip.log import Log
from peers.keys import SealingKey
from peers.roster import StoreRecord
from tests.node.company import Company, introduce, note, notes, running, until

MEMBER = b"patron-1"


def of_store(log: Log, store: int) -> set[str]:
    with log.read() as reader:
        return {str(one) for one in reader.documents() if one.keys[:1] == (store,)}


def private_keys(folder: Folder) -> list[str]:
    """The files of a folder in which a private key stands."""
    files = (file for file in folder.path.rglob("*") if file.is_file())
    return [file.name for file in files if b"PRIVATE KEY" in file.read_bytes()]


async def test_a_guardian_of_another_legal_entity_holds_of_a_store_its_sealed_vault_and_nothing_else(
    tmp_path: Path,
) -> None:
    company = Company.found(tmp_path)
    for store, legal_entity in ((12, "Corner Shops Ltd"), (13, "Hill Foods Ltd")):
        add_store(company.office, StoreRecord(store, legal_entity=legal_entity), system_ms())
    for name in ("12-1", "13-1"):
        company.enrol(name)
    quick = company.tills["12-1"]
    selling = replace(quick, settings=replace(quick.settings, vault_every_s=1))
    async with running(company.office, selling, company.tills["13-1"]) as (office, till, guardian):
        for one in (till, guardian):
            await introduce(one, office)
        assert guardians_of(12, office.trust.directory) == (13,)
        assert till.till is not None
        sale = SaleRequest((LineRequest(0, name="bread", unit_price_minor=250),), member=MEMBER)
        await till.node.write(till.till.open_date)
        await till.node.write(lambda: till.till and till.till.sell(sale))
        await till.node.write(till.till.close_date)
        await until(till, lambda: till.status().outside.until_ms > 0 and not till.status().outside.waiting)
        # What everybody may read comes after it in every session.
        await note(till, "after")
        await until(guardian, lambda: "after" in notes(guardian.log) and "vault/12/1" in of_store(guardian.log, 12))
        # The store itself has all of it, and head office what it may read: there was something to be told.
        assert {one.split("/")[0] for one in of_store(till.log, 12)} >= {JOURNAL, DAY, PATRONS, "vault"}
        assert {one.split("/")[0] for one in of_store(office.log, 12)} >= {DAY, PATRONS, "vault"}
        assert of_store(guardian.log, 12) == {"vault/12/1"}
        with guardian.log.read() as reader:
            assert not list(reader.documents(BALANCE))
            assert private_keys(guardian.folder) == [KEY]
            (vault,) = open_vaults(reader, SealingKey(guardian.folder.key.seed), {12})
            assert vault.segments == len(vault.unopened) > 0
            assert not vault.entries
            (vault,) = open_vaults(reader, company.keys.recovery, {12})
        assert not vault.unopened
        assert {one.document.kind for one in vault.entries.values()} >= {JOURNAL, DAY, PATRONS}
