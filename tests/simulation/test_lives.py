"""The lives of a till stand in the order in which they were enrolled, whatever the clocks of head offices said."""

from __future__ import annotations

from random import Random

from crdt_pos import proxy
from crdt_pos.directory import load_directory
from crdt_pos.schema import SCHEMA
from gossip.log_memory import MemoryLog
from tools.simulation.company import Company, seed

NOW_MS = 1_795_334_400_000
HOUR_MS = 3_600_000


def test_a_life_given_by_an_office_whose_clock_is_behind_comes_after_the_life_that_it_knew() -> None:
    company = Company(Random(1))
    office, log = company.first_office(), MemoryLog(SCHEMA)
    company.state_beginning(office, log, [1], NOW_MS)
    first = company.enrol_till(office, log, 1, 1, NOW_MS)
    other, later = company.add_office(office, log, NOW_MS), MemoryLog(SCHEMA)
    seed(later, office, log, [1], NOW_MS)
    second = company.enrol_till(other, later, 1, 1, NOW_MS - HOUR_MS)
    with later.read() as reader:
        directory = load_directory(reader, other.root)
        assert proxy.lives(reader, directory, 1, 1) == [first.certificate, second.certificate]
        assert list(proxy.earlier_lives(reader, directory, second.certificate)) == [first.certificate.author]
