"""Meeting again after three days apart costs little more than the entries that are missing."""

from __future__ import annotations

import random

import pytest

from gossip.document import COMPANY, FeedType, Scope, ScopeClass
from gossip.entry import Entry
from gossip.events import CaughtUp
from gossip.inbound import cursor_key
from gossip.log import Arrival
from gossip.messages import Want
from gossip.outbound import SCANS_MAX
from merge_rules.lattice import Author
from tests.protocol.wire import FIRST_DAY, SHOP, Replica, meet, part, talk

JOURNAL = Scope("journal/12")
STORE_SCOPES = frozenset({COMPANY, SHOP, JOURNAL})
TLS_BYTES = 3_300
"""Both certificates, tickets and record headers: what a session over TLS adds to the bytes counted here."""
MEMBERS = 5_000
CHANGED = 300


def bound(missing: list[Entry]) -> int:
    return sum(len(entry.raw) for entry in missing) * 12 // 10 + 4_000 - TLS_BYTES


def wire(left: Replica, right: Replica) -> int:
    return left.session.bytes_sent + right.session.bytes_sent


def neighbour(number: int) -> Replica:
    return Replica(number, scopes=STORE_SCOPES, grants=STORE_SCOPES, announce=True)


def sells(replica: Replica, day: int, sales: int = 40) -> list[Entry]:
    """A date's journal, and its summary at the end."""
    acts = [
        replica.write("journal", 12, day=day, feed=FeedType.WHOLE, scope=ScopeClass.JOURNAL, body={0: bytes(150), 1: n})
        for n in range(sales)
    ]
    return [*acts, replica.write("day", 12, day=day, body={n: [n, n] for n in range(60)})]


def shop(replica: Replica, members: range | list[int], points: int) -> list[Entry]:
    """New states of these members' balances, all in one transaction."""
    entries = [replica.sign("balance", 12, member(number), seq=points, body={0: 400 + points}) for number in members]
    replica.log.append([Arrival(entry) for entry in entries])
    return entries


def member(number: int) -> bytes:
    return random.Random(number).randbytes(8)


def test_a_neighbour_gets_three_days_of_the_whole_store_from_one_other_within_the_bound() -> None:
    away, here, third, fourth = (neighbour(number) for number in (1, 2, 3, 4))
    meet(away, here)
    part(away, here)
    missing: list[Entry] = []
    for day in range(FIRST_DAY, FIRST_DAY + 3):
        missing += sells(away, day) + sells(here, day)
        for other in (third, fourth):
            made = sells(other, day)
            here.takes(made, other.author)
            missing += made
    meet(away, here)
    assert away.holds() == here.holds() == {entry.hash for entry in missing}
    assert wire(away, here) <= bound(missing)
    assert len(away.received_entries()) + len(here.received_entries()) == len(missing)
    assert sum(isinstance(message, Want) for message in here.heard) <= 2


def rejoins(away: Replica, here: Replica, missed: list[Entry], author: Author) -> None:
    """They have met before; what ``author`` wrote since has come to one of them."""
    here.write("note", 12)
    meet(away, here)
    part(away, here)
    here.takes(missed, author)
    away.in_flight.meets(author, "its session")
    meet(away, here)


def test_what_is_announced_while_its_author_is_there_is_left_to_the_author() -> None:
    away, here, third = (neighbour(number) for number in (1, 2, 3))
    made = sells(third, FIRST_DAY)
    rejoins(away, here, made, third.author)
    assert away.received_entries() == []
    away.takes(made, third.author)
    away.take(away.session.tick(1_000))
    talk(away, here)
    assert away.received_entries() == []
    assert away.holds() == here.holds()
    assert away.got(CaughtUp)


def test_what_its_author_does_not_bring_in_time_is_wanted_from_the_neighbour() -> None:
    away, here, third = (neighbour(number) for number in (1, 2, 3))
    rejoins(away, here, sells(third, FIRST_DAY), third.author)
    assert away.received_entries() == []
    away.take(away.session.tick(5_000))
    talk(away, here)
    assert len(away.received_entries()) == 41
    assert away.holds() == here.holds()


def test_ten_thousand_arrivals_that_are_not_for_the_peer_are_not_looked_at_in_one_go() -> None:
    left, right = Replica(1), Replica(2)
    meet(left, right)
    elsewhere = [left.sign("balance", 13, n.to_bytes(8, "big"), seq=1) for n in range(10_000)]
    left.log.append([Arrival(entry) for entry in elsewhere])
    left.session.wake()
    turns = [left.session.data_to_send()]
    while turns[-1]:
        turns.append(left.session.data_to_send())
    assert len(turns) == 1 + 10_000 // SCANS_MAX + 1
    assert sum(map(len, turns)) < 100


@pytest.fixture(scope="module")
def patrons() -> tuple[Replica, Replica]:
    """Two that hold the balances of 5,000 members."""
    left, right = Replica(1), Replica(2)
    right.takes(shop(left, range(MEMBERS), 1), left.author)
    meet(left, right)
    part(left, right)
    return left, right


@pytest.mark.parametrize("cursors", [True, False])
@pytest.mark.parametrize("at_left", [CHANGED, CHANGED // 2, 0])
def test_300_of_5_000_members_cost_little_more_than_their_entries(
    patrons: tuple[Replica, Replica], at_left: int, cursors: bool
) -> None:
    left, right = patrons
    points = 2 + len(left.holds() | right.holds()) + at_left
    changed = random.Random(points).sample(range(MEMBERS), CHANGED)
    missing = shop(left, changed[:at_left], points) + shop(right, changed[at_left:], points)
    if not cursors:
        forget(left, right)
        forget(right, left)
    meet(left, right)
    part(left, right)
    assert left.holds() == right.holds()
    assert wire(left, right) <= bound(missing)


def forget(one: Replica, other: Replica) -> None:
    key, _ = reached(one, other)
    one.log.append([], cursors=[(key, 0)])


def test_a_side_whose_disk_was_set_back_gets_what_it_lacks_once() -> None:
    left, right = Replica(1), Replica(2)
    kept = [left.write("day", 12, day=FIRST_DAY + day) for day in range(50)]
    right.write("note", 12)
    meet(left, right)
    kept_cursor = reached(left, right)
    part(left, right)
    missed = [right.write("day", 12, day=FIRST_DAY + day) for day in range(40)]
    lost = [left.write("day", 12, day=FIRST_DAY + 60 + day) for day in range(10)]
    meet(left, right)
    part(left, right)
    left.reset()
    left.takes(kept)
    left.log.append([], cursors=[kept_cursor])
    # A disk takes longer than the peer's next message.
    left.slow = True
    meet(left, right)
    while left.waiting:
        left.append_all()
        talk(left, right)
    assert left.holds() == right.holds()
    assert len(left.received_entries()) == len(missed) + len(lost) + 1
    assert right.received_entries() == []


def reached(one: Replica, other: Replica) -> tuple[bytes, int]:
    """One's cursor of the other's log."""
    key = cursor_key(other.log.database, one.session.shared)
    with one.log.read() as reader:
        return key, reader.cursor(key)
