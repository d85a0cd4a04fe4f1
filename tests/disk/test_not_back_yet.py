"""What is lost here and not back yet is neither summed up for another till nor held against its summary."""

from __future__ import annotations

from pathlib import Path

from crdt_pos.directory import load_directory
from crdt_pos.schema import JOURNAL, SCHEMA
from crdt_pos.verify import verify
from tests.books.company import BREAD, MILK, Company, Replica, basket


def lose_an_act(replica: Replica, of: Replica) -> None:
    with replica.log.read() as reader:
        stored = [one for one in reader.arrivals(0, 10_000) if one.entry.document.kind == JOURNAL]
    second = next(one for one in stored if one.entry.author == of.identity.author and one.entry.seq == 2)
    (lost,) = replica.log.mend(replica.identity.author, [second.arrival]).lost
    assert lost == (second.entry.feed_id, second.entry.head)


def findings(replica: Replica) -> set[str]:
    with replica.log.read() as reader:
        directory = load_directory(reader, replica.folder.root, [replica.folder.chain])
        return {found.check for found in verify(reader, directory, SCHEMA).findings}


def test_a_till_does_not_close_for_another_whose_journal_it_has_only_in_part(tmp_path: Path) -> None:
    company = Company.found(tmp_path)
    one, two = company.tills.values()
    one.till.sell(basket(MILK, BREAD))
    one.till.sell(basket(MILK))
    one.tell(two)
    lose_an_act(two, one)
    assert two.till.close_lives([one.identity.author]) == []
    one.tell(two)
    (closed,) = two.till.close_lives([one.identity.author])
    assert closed.acts == 3
    assert findings(two) == set()
    company.close_logs()


def test_a_summary_is_not_accused_of_what_the_disk_here_has_lost(tmp_path: Path) -> None:
    company = Company.found(tmp_path)
    one, two = company.tills.values()
    one.till.sell(basket(MILK, BREAD))
    one.till.close_date()
    one.tell(two)
    lose_an_act(two, one)
    assert findings(two) == {"missing"}
    one.tell(two)
    assert findings(two) == set()
    company.close_logs()
