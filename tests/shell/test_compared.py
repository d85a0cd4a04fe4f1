"""Two replicas side by side: why they differ, and what would come out."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import trio
from click.testing import CliRunner

from crdt_pos.cli import crdt_pos
from crdt_pos.schema import SCHEMA
from crdt_pos.shell import Replica, open_replica
from gossip.document import Document, day_number
from gossip.entry import sign
from gossip.log import Arrival
from tests.books.company import BREAD, DATE, MILK, NOON_MS, basket
from tests.books.company import Company as Shops
from tests.node.company import Company, address, running
from tests.shell.conftest import MEMBER

DAY = f"day/12/{DATE}"
DAY_DOCUMENT = Document("day", day_number(DATE), (12,))


def rows(replica: Replica, folder: Path) -> dict[tuple[str, str], tuple[str, str]]:
    """(Document, author) → (cause, rule)."""
    found = replica.diff(folder)["differences"]
    return {(one["document"], one["author"]): (one["cause"], one["rule"]) for one in found}


def test_what_has_not_arrived_is_lag_and_what_one_may_not_read_is_scope(till: Replica, shop: Path) -> None:
    found = rows(till, shop / "office")
    assert found[DAY, "12-2 a1"] == ("lag", "")
    assert found[f"journal/12/{DATE}", "12-1 a1"] == ("scope", "")
    assert {cause for cause, _ in found.values()} == {"lag", "scope"}


@pytest.fixture
def disputed(tmp_path: Path) -> Path:
    """Of what 12-1 and the office hold of one date: a fork, nonsense that the office holds apart, and nonsense that it would."""
    company = Shops.found(tmp_path)
    one, two, office = company.tills["12-1"], company.tills["12-2"], company.office
    kind = SCHEMA["day"]
    one.till.sell(basket(BREAD))
    one.till.publish()
    two.till.sell(basket(MILK))
    two.till.publish()
    company.gather()
    with one.log.read() as reader:
        (true,) = (stored.entry for stored in reader.head_entries(DAY_DOCUMENT))
    own = one.identity
    rival = sign(own.key, own.author, DAY_DOCUMENT, kind.feed, kind.scope, true.seq, NOON_MS << 16, true.body)
    office.log.append([Arrival(rival, own.author)])

    def nonsense(shard: int) -> Arrival:
        catalogue, document = SCHEMA["catalogue"], Document("catalogue", keys=(shard,))
        return Arrival(sign(own.key, own.author, document, catalogue.feed, catalogue.scope, 1, NOON_MS << 16, b""))

    apart, unpermitted = nonsense(254), nonsense(255)
    one.log.append([apart, unpermitted])
    office.log.append([Arrival(apart.entry, own.author, "it may not")])
    company.close_logs()
    return tmp_path


def test_a_fork_what_is_held_apart_and_what_breaks_a_rule_are_told_from_lag(disputed: Path) -> None:
    with open_replica(disputed / "office") as office:
        found = {where: said for where, said in rows(office, disputed / "12-1").items() if said[0] != "scope"}
    assert found[DAY, "12-1 a1"] == ("fork", "one number")
    assert found["catalogue/254", "12-1 a1"] == ("quarantine", "body")
    assert found["catalogue/255", "12-1 a1"] == ("permission", "body")
    assert found[DAY, "12-2 a1"] == ("lag", "")


def test_what_would_come_out_is_told_field_by_field_and_nothing_is_changed(shop: Path, till: Replica) -> None:
    files = [shop / name / "log" / "data.mdb" for name in ("12-1", "12-2")]
    before = [file.read_bytes() for file in files]
    said = till.merge(shop / "12-2")
    assert said["names"] == ["12-1", "12-2"]
    documents = {one["document"]: one for one in said["documents"]}
    assert documents[DAY]["changes"][0]["takings"] == [857, 1107]
    assert documents[DAY]["changes"][1]["takings"] == [250, 1107]
    assert documents[f"balance/points/{MEMBER.hex()}"]["changes"] == [
        {},
        {"owed": [0, 4], "earned/12-1 a1": [None, 4], "rights/12-1 a1": [None, 4]},
    ]
    assert [file.read_bytes() for file in files] == before
    other = till.merge(shop / "office", shop / "12-2")
    assert other["names"] == ["office-a", "12-2"]
    assert f"journal/12/{DATE}" not in {one["document"] for one in other["documents"] if one["changes"][0]}


def test_a_merge_with_itself_changes_nothing_and_a_fork_is_foretold(shop: Path, disputed: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(shop / "12-1", tmp_path / "copy")
    said = CliRunner().invoke(crdt_pos, ["shell", "--at", str(shop / "12-1"), "-c", f"merge {copy}"])
    assert "Nothing would change" in said.output
    with open_replica(disputed / "office") as office:
        documents = office.merge(disputed / "12-1")["documents"]
    assert [one["forks"] for one in documents if one["document"] == DAY] == [["12-1 a1"]]


@pytest.mark.parametrize("typed", ["diff", "diff somewhere --peer 127.0.0.1:1", "diff somewhere --as elsewhere"])
def test_it_must_be_said_with_what_to_compare(shop: Path, typed: str) -> None:
    said = CliRunner().invoke(crdt_pos, ["shell", "--at", str(shop / "12-1"), "-c", typed])
    assert said.exit_code == 2
    assert "Compare with a FOLDER" in said.output


async def test_a_running_till_is_compared_from_outside_in_the_name_of_another_folder(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1", "12-2", "12-3")
    async with running(company.tills["12-1"]) as (till,):
        counter = till.till
        assert counter is not None
        await till.act(lambda: counter.open_date(DATE))
        place = str(address(till))

        def compared() -> list[tuple[str, str]]:
            with open_replica(tmp_path / "12-2") as here:
                said = here.diff(peer=place, as_=tmp_path / "12-3")
                assert said["names"] == ["12-2", place]
                return [(one["document"], one["cause"]) for one in said["differences"]]

        assert (f"journal/12/{DATE}", "lag") in await trio.to_thread.run_sync(compared)
