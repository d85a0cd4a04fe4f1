"""A sale's way to where it is safe, and what a claim joins and pulls apart."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from crdt_pos import claiming
from crdt_pos.claiming import Writer
from crdt_pos.cli import Refused, crdt_pos
from crdt_pos.shell import Replica, open_replica
from crdt_pos.vault import Outside, Vault, vault_document
from gossip.entry import FeedId
from peers.keys import SecretKey
from tests.books.company import BREAD, CODES, MILK, TEA, Company, basket

KEY = SecretKey.generate()
CODE = CODES[MILK]


def test_a_sale_is_followed_into_the_vault_and_out_of_the_store(tmp_path: Path) -> None:
    company = Company.found(tmp_path)
    one, two, office = company.tills["12-1"], company.tills["12-2"], company.office
    one.till.sell(basket(MILK))
    vault = Vault(one.log, one.identity, KEY.public, lambda _: None)
    assert vault.seal(one.clock().ms) == 1
    one.till.sell(basket(BREAD))
    feed = FeedId(vault_document(12, 1), one.identity.author)
    with one.log.read() as reader:
        (head,) = reader.heads(feed)
    one.tell(two)
    folders = [tmp_path / name for name in ("12-1", "12-2")]

    def said(folder: Path, number: int) -> tuple[int, bool, bool]:
        with open_replica(folder) as replica:
            found = replica.sale(f"12-1-a1-{number}")["vault"]
            return found["segment"], found["outside"], found["known"]

    company.close_logs()
    assert said(folders[0], 1) == (1, False, True)
    assert said(folders[0], 2) == (0, False, True)
    assert said(folders[1], 1) == (0, False, False), "nobody else of the store holds the vault"
    with company.reopened(one) as log:
        outside = Outside(log, 12, one.identity.author)
        outside.acknowledged(office.folder.certificate, [(feed, head)])
        log.append((), outside.unsaved())
    one.log.close()
    assert said(folders[0], 1) == (1, True, True)
    shown = CliRunner(env={"COLUMNS": "100"}).invoke(
        crdt_pos, ["shell", "--at", str(folders[0]), "-c", "sale 12-1-a1-1"]
    )
    assert "vault/12/1, segment 1, safe outside of the store" in shown.output
    assert "office     not on this disk" in shown.output


@pytest.fixture
def claimed(tmp_path: Path) -> Path:
    """12-1 claims the code of the catalogue's milk for tea, too."""
    company = Company.found(tmp_path, ("12-1",))
    one = company.tills["12-1"]
    writer = Writer(one.folder.key, one.identity.author)
    with one.log.read() as reader:
        batch = claiming.claim(reader, writer, 12, CODE, TEA, one.clock().ms)
    one.log.append(batch.arrivals, batch.views)
    company.close_logs()
    return tmp_path / "12-1"


def test_a_claim_says_who_makes_it_and_what_taking_it_back_leaves(claimed: Path) -> None:
    with open_replica(claimed) as replica:
        (said,) = replica.claims(CODE)
        assert replica.claims() == [{**said, "joining": None}]
        further = replica.claims(CODE, join=BREAD)[0]["joining"]
    assert [(one["product"], one["by"]) for one in said["claims"]] == [(MILK, ["the catalogue"]), (TEA, ["12-1 a1"])]
    assert said["apart"] == [
        {"code": CODE, "product": MILK, "leaves": [[MILK], [TEA]], "differ": [[], []]},
        {"code": CODE, "product": TEA, "leaves": [[MILK], [TEA]], "differ": [[], []]},
    ]
    assert set(said["differ"]) == {"name", "price", "tax", "unit"}
    assert (further["reads_as_one"], further["named_by"], further["changes"]) == ([MILK, BREAD, TEA], MILK, True)
    shown = CliRunner(env={"COLUMNS": "120"}).invoke(crdt_pos, ["shell", "--at", str(claimed), "-c", f"claims {CODE}"])
    assert f"taking back that {CODE} means 3 leaves 1; 3; each keeps its own stock and sales" in shown.output


def test_joining_is_tried_without_being_done(till: Replica) -> None:
    (said,) = till.claims(CODE, join=BREAD)
    assert said["joining"]["reads_as_one"] == [MILK, BREAD]
    assert said["joining"]["differ"] == ["name", "price"]
    assert till.claims(CODE, join=MILK)[0]["joining"]["changes"] is False
    assert till.claims() == []
    with pytest.raises(Refused, match="the number of a product"):
        till.claims(CODE, join="bread")
