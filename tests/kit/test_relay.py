"""A relay: it keeps and passes on what is for everybody, and what it cannot open; nothing of a store's own."""

from __future__ import annotations

from pathlib import Path

from crdt_pos.clock import system_ms
from crdt_pos.company_keys import CompanyKeys
from crdt_pos.enrolment import add_store, create_company, enrol_relay, enrol_till
from crdt_pos.folder import Folder, Settings
from crdt_pos.replica import RunningReplica
from crdt_pos.requests import LineRequest, SaleRequest
from crdt_pos.schema import CATALOGUE, CLAIMS, FORKS, ROSTER, VAULT
from gossip.address import Address
from gossip.log import Reader
from peers.permissions import Role
from peers.roster import StoreRecord
from tests.node.company import introduce, running, until

SETTINGS = Settings(Address("127.0.0.1", 0), multicast=False, vault_every_s=1)
FOR_EVERYBODY = {ROSTER, CATALOGUE, CLAIMS, FORKS, "notices"}


def founded(at: Path) -> tuple[CompanyKeys, Folder, Folder, dict[str, Folder]]:
    """Keys, office, relay, and a till in each of two stores."""
    now_ms, keys = system_ms(), CompanyKeys.generate()
    office = create_company("Corner Shops", at / "office", SETTINGS, now_ms, keys)
    tills = dict[str, Folder]()
    for store in (12, 13):
        add_store(office, StoreRecord(store, legal_entity="Corner Shops Ltd"), now_ms)
        tills[f"{store}-1"] = enrol_till(office, store, 1, at / f"till-{store}", SETTINGS, now_ms)
    return keys, office, enrol_relay(office, 1, at / "relay", SETTINGS, now_ms), tills


def kinds(replica: RunningReplica) -> set[str]:
    with replica.log.read() as reader:
        return {document.kind for document in reader.documents()}


def stores_in_vault(reader: Reader) -> set[object]:
    return {document.keys[0] for document in reader.documents(VAULT)}


async def test_what_is_sealed_crosses_a_relay_and_nothing_that_it_could_read(tmp_path: Path) -> None:
    _, office, relay_folder, tills = founded(tmp_path)
    async with running(office, relay_folder, tills["12-1"], tills["13-1"]) as (head, relay, seller, guardian):
        await introduce(relay, head)
        await introduce(seller, relay)
        await introduce(guardian, relay)
        till = seller.till
        assert till is not None
        await seller.node.write(till.open_date)
        await seller.node.write(lambda: till.sell(SaleRequest((LineRequest(1, unit_price_minor=119),))))
        await seller.node.write(till.publish)

        def sealed_at(replica: RunningReplica) -> bool:
            with replica.log.read() as reader:
                return 12 in stores_in_vault(reader)

        await until(guardian, lambda: sealed_at(guardian))  # 13 guards 12, and no other way leads there
        assert sealed_at(relay)
        assert kinds(relay) <= FOR_EVERYBODY | {VAULT}
        assert {"journal", "day", "balance"}.isdisjoint(kinds(head))  # the relay did not pass them on either
        assert kinds(seller) >= {"journal", "day"}


async def test_a_relay_signs_nothing_and_is_asked_nothing_but_how_it_is(tmp_path: Path) -> None:
    _, office, relay_folder, _ = founded(tmp_path)
    async with running(office, relay_folder) as (head, relay):
        await introduce(relay, head)
        assert relay.certificate.role is Role.RELAY
        commands = relay._commands
        assert {"price", "enrol_till", "sell", "claim", "person", "cashier"}.isdisjoint(commands)
        told = await commands["health"]({})
        assert (told["replica"], told["role"], told["trouble"]) == ("relay-1", "relay", [])
        assert [peer["name"] for peer in told["peers"]] == ["office-a"]
        with relay.log.read() as reader:
            own = relay.certificate.author
            assert not [document for document in reader.documents() if own in reader.authors(document)]
