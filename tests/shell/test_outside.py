"""Looking into another replica from outside, over a real session."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from crdt_pos.cli import Refused
from crdt_pos.folder import Folder
from crdt_pos.shell import open_peer, open_replica
from crdt_pos.shell.outside import Glance
from gossip.document import Document, FeedType, day_number
from gossip.entry import FeedId
from gossip.events import Acknowledged
from gossip.session import Me, Session
from tests.books.company import DATE
from tests.node.company import Company, address, note, running
from tests.protocol import wire


async def test_a_peer_is_looked_into_with_a_certificate_and_takes_nobody_for_a_holder(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1", "12-2")
    async with running(company.tills["12-1"]) as (till,):
        counter = till.till
        assert counter is not None
        await till.act(lambda: counter.open_date(DATE))
        await note(till, "a kind that nobody knows")

        def look() -> tuple[dict[str, int], list[str]]:
            with open_peer(tmp_path / "12-2", str(address(till))) as seen:
                rows = {one["name"]: one["entries"] for one in seen.documents()["documents"]}
                signed = [one["signature"] for one in seen.entries(f"journal/12/{DATE}")["entries"]]
                assert seen.status()["looked_at"] == str(address(till))
                return rows, signed

        rows, signed = await trio.to_thread.run_sync(look)
        assert rows[f"journal/12/{DATE}"] == 1
        assert rows["note/1"] == 1
        assert signed == ["good"]
        feed = FeedId(Document("journal", day_number(DATE), (12,)), till.certificate.author)
        assert till.safety.count() == (0, 1), "what was only looked at is not safe elsewhere"
        with till.log.read() as reader:
            assert reader.heads(feed)


async def test_whom_nobody_answers_or_who_runs_itself_is_told_so_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    company = Company.found(tmp_path, "12-1", "12-2")
    monkeypatch.setattr("crdt_pos.shell.outside.WAIT_S", 0.3)

    def refused(folder: Folder, place: str) -> str:
        with pytest.raises(Exception) as why:
            open_peer(folder.path, place)
        return str(why.value)

    def nobody() -> str:
        with pytest.raises(Refused) as why:
            open_peer(company.tills["12-1"].path, "127.0.0.1:1")
        return why.value.message

    assert (await trio.to_thread.run_sync(nobody)).startswith("Nothing came from 127.0.0.1:1: ")
    with company.tills["12-1"].held():
        said = await trio.to_thread.run_sync(refused, company.tills["12-1"], "127.0.0.1:1")
    assert "is running" in said


class Onlooker(wire.Replica):
    """Looks, and keeps nothing."""

    def begin(self, now_ms: int = 0) -> Session:
        super().begin(now_ms)
        self.session = Glance(self.log, Me(self.company, self.author, self.scopes), now_ms, self.in_flight)
        return self.session


def test_whatever_an_onlooker_receives_it_never_says_that_it_is_on_its_disk() -> None:
    holder, onlooker = wire.Replica(1), Onlooker(2)
    for number in range(1, 200):
        holder.write("stock", 12, number)
        holder.write("roster", 12, feed=FeedType.WHOLE)
    wire.meet(holder, onlooker)
    assert onlooker.holds() == holder.holds()
    said = [event for event in holder.events if isinstance(event, Acknowledged)]
    assert sum(len(one.refused) for one in said) >= 199
    assert [head for one in said for head in one.heads] == []


def test_a_folder_that_is_looked_into_stays_as_it_is(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1")
    file = company.tills["12-1"].log_path / "data.mdb"
    before = file.read_bytes()
    with open_replica(tmp_path / "12-1") as replica:
        for name in ("status", "peers", "scopes", "topology", "documents", "verify"):
            getattr(replica, name)()
    assert file.read_bytes() == before
