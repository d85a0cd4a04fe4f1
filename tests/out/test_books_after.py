"""Books, stock and prices after a till was stolen: as the company knew it, and no further, until somebody lets more in."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from crdt_pos import catalogue, projecting_again
from crdt_pos.books import Query, read
from crdt_pos.catalogue_views import CatalogueProducts
from crdt_pos.commands.revoke import quarantine, readmit, revoke
from crdt_pos.commands.verify import verify
from crdt_pos.day import Goods
from crdt_pos.directory import load_directory
from crdt_pos.errors import EnrolmentRefused
from crdt_pos.products import Price
from crdt_pos.registrar import Registrar
from crdt_pos.revoking import quarantined
from crdt_pos.revoking import revoke as state_revoked
from crdt_pos.stock import store_stock
from gossip.document import day_number
from peers.roster import Why
from tests.books.company import BREAD, DATE, MILK, NOON_MS, Company, Replica, basket


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Company]:
    founded = Company.found(tmp_path)
    yield founded
    founded.close_logs()


def takings(replica: Replica) -> dict[str, int]:
    with replica.log.read() as reader:
        found = read(reader, load_directory(reader, replica.folder.root, [replica.folder.chain]), Query(DATE, DATE))
    return {day.name: day.day.takings_minor for account in found.accounts for day in account.days}


def milk(replica: Replica) -> int:
    with replica.log.read() as reader:
        return store_stock(reader, 12, MILK, replica.folder.certificate.author, 0, Goods())


def bread(replica: Replica) -> int:
    with replica.log.read() as reader:
        product = CatalogueProducts("EUR").find(reader, BREAD)
    assert product is not None
    return product.prices[-1].amount_minor


def sells(replica: Replica, pieces: int) -> None:
    replica.till.sell(basket(MILK, quantity=pieces))
    replica.till.publish()


def revoked(company: Company) -> None:
    registrar = Registrar(company.office.folder, company.office.log, NOON_MS)
    state_revoked(registrar, "12-1", Why.STOLEN)


@pytest.mark.parametrize("order", list(itertools.permutations(("thief", "office", "neighbour"))))
def test_books_stock_and_prices_are_those_that_the_office_knew_at_every_replica(
    company: Company, order: tuple[str, ...]
) -> None:
    one, two, office = company.tills["12-1"], company.tills["12-2"], company.office
    sells(one, 2)
    one.tell(office)
    sells(one, 5)  # the office has not heard of this when it revokes
    one.write_catalogue([catalogue.price_change(BREAD, Price(1), "EUR")])
    arrives = {
        "thief": lambda: one.tell(two),
        "office": lambda: (revoked(company), office.tell(two)),
        "neighbour": lambda: sells(two, 1),
    }
    for step in order:
        arrives[step]()
    for sender, other in ((two, office), (one, office), (office, two), (two, office)):
        sender.tell(other)
    for replica in (office, two):
        projecting_again.project(replica.log)
        assert takings(replica) == {"12-1": 238, "12-2": 119}
        assert milk(replica) == -3
        assert bread(replica) == 250
    with two.log.read() as reader:
        kinds = {one.entry.document.kind for one in quarantined(reader)}
    assert kinds >= {"journal", "day", "catalogue"}


def test_a_till_that_covered_more_by_proxy_adds_nothing_that_does_not_count(company: Company) -> None:
    one, two, office = company.tills["12-1"], company.tills["12-2"], company.office
    sells(one, 2)
    one.tell(office)
    one.till.sell(basket(MILK, quantity=5))
    one.tell(two)
    assert [closed.takings_minor for closed in two.till.close_lives([one.folder.certificate.author])] == [833]
    revoked(company)
    two.tell(office)
    office.tell(two)
    assert takings(office)["12-1"] == takings(two)["12-1"] == 238


def test_what_the_office_knows_counts_and_every_check_passes(company: Company) -> None:
    one, two, office = company.tills["12-1"], company.tills["12-2"], company.office
    sells(one, 2)
    one.tell(office)
    sells(one, 5)
    for replica in (office, two):
        one.tell(replica)
    company.close_logs()
    run = CliRunner()
    at_office, at_till = str(office.folder.path), str(two.folder.path)
    stated = run.invoke(revoke, ["12-1", "--why", "stolen", "--at", at_office, "--json"])
    assert (stated.exit_code, json.loads(stated.output)["journals"]) == (0, 1)
    again = run.invoke(revoke, ["12-1", "--why", "lost", "--at", at_office])
    assert "revoked already" in str(again.exception or again.output)
    listed = json.loads(run.invoke(quarantine, ["--at", at_till, "--json"]).output)
    assert listed["quarantined"] == []
    assert run.invoke(verify, ["--at", at_office]).exit_code == 0
    assert run.invoke(readmit, ["12", "--at", at_office]).exit_code == 2


def test_a_readmitted_day_counts_at_the_office_and_its_journal_at_the_store(company: Company) -> None:
    one, two, office = company.tills["12-1"], company.tills["12-2"], company.office
    sells(one, 2)
    one.tell(office)
    revoked(company)
    sells(one, 5)
    one.tell(two)
    office.tell(two)
    two.tell(office)
    assert (takings(office)["12-1"], takings(two)["12-1"]) == (238, 238)
    with two.log.read() as reader:
        held = quarantined(reader)
    days = [entry.entry for entry in held if entry.entry.document.kind == "day"]
    journals = [entry.entry for entry in held if entry.entry.document.kind == "journal"]
    company.close_logs()
    hashes = [days[-1].hash.hex(), journals[-1].hash.hex()]
    run = CliRunner()
    at = ["--at", str(office.folder.path)]
    unknown = run.invoke(readmit, [hashes[1], *at])
    assert isinstance(unknown.exception, EnrolmentRefused)
    assert "--of" in str(unknown.exception)
    assert run.invoke(readmit, [*hashes, "--of", "12-1", *at]).exit_code == 0
    for replica in (office, two):
        with company.reopened(replica):
            pass
    office.tell(two)
    assert (takings(office)["12-1"], takings(two)["12-1"]) == (833, 833)
    two.log.close()
    shown = run.invoke(verify, ["--at", str(two.folder.path)])
    assert shown.exit_code == 0, shown.output
    assert day_number(DATE) in {entry.document.day for entry in days}
