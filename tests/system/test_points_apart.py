"""Two tills that are cut off from each other redeem one member's points: together never more than there were."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from crdt_pos.balance import Balance
from crdt_pos.local import LocalClient, LocalRefused
from tests.system.shops import DATE, reading, records, run
from tools.cabled import OFFICE, Cabled

ONE, OTHER = "12-1", "12-2"
TILLS = (ONE, OTHER)
EVERYONE = (OFFICE, *TILLS)
_members = itertools.count(1)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cabled]:
    """A store with two tills, and a head office."""
    with Cabled.found(tmp_path_factory.mktemp("town"), "Corner Shops", records(12), tills=2) as made:
        made.start(*EVERYONE)
        for till in TILLS:
            made.call(till, "open", date=DATE)
        yield made


@dataclass
class Member:
    """An account, and what receipts say was earned and redeemed on it."""

    town: Cabled
    account: str = field(default_factory=lambda: (b"patron-%d" % next(_members)).hex())
    earned: int = 0
    redeemed: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def buy(self, till: str, cents: int, points: int = 0) -> int:
        """Buy for so much and pay a part with points; how many were taken. Refused, nothing happens: 0."""
        line = {"product": 0, "name": "cheese", "unit_price_minor": cents}
        with LocalClient(self.town.folders[till].path) as counter:
            try:
                receipt = counter.call("sell", lines=[line], member=self.account, points=points)["receipt"]
            except LocalRefused as no:
                if no.kind != "NotEnoughRights":
                    raise
                return 0
        taken = sum(moved["redeemed"] for moved in receipt["movements"])
        with self._lock:
            self.earned += sum(moved["earned"] for moved in receipt["movements"])
            self.redeemed += taken
        return taken

    def here(self, till: str) -> int:
        """What can be redeemed at a till without asking anyone."""
        with LocalClient(
            self.town.folders[till].path
        ) as counter:  # asked by several threads: each has its own connection
            return int(counter.call("member", account=self.account)["here"])

    def balance(self, name: str) -> int:
        """The balance as a folder has it."""
        with reading(self.town.folders[name]) as reader:
            return Balance.read(reader, "points", bytes.fromhex(self.account)).counter.value()

    def known(self) -> None:
        """Wait until everyone has the same balance: what was earned less what was redeemed."""
        due = self.earned - self.redeemed
        for name in EVERYONE:
            self.town.until(lambda name=name: self.balance(name) == due, f"{name} knows the balance of {due}")


@pytest.fixture
def member(town: Cabled) -> Iterator[Member]:
    """A member with 90 points from one till and 40 from the other, which everybody knows; every cable is plugged again after."""
    made = Member(town)
    town.together()
    made.buy(ONE, 9_000)
    made.buy(OTHER, 4_000)
    made.known()
    assert made.earned == 130
    yield made
    mend(town)


def cut(town: Cabled) -> None:
    """Pull every cable of both tills."""
    town.sever(ONE, OTHER)
    town.sever_wan(12)
    for till in TILLS:
        town.until(lambda till=till: town.peers(till) == set(), f"{till} notices that it is cut off")


def mend(town: Cabled) -> None:
    """Plug them in again."""
    town.mend(ONE, OTHER)
    town.mend_wan(12)
    town.together()


def test_both_redeem_as_much_as_they_can_and_together_it_is_never_more_than_there_was(
    town: Cabled, member: Member
) -> None:
    there_were = member.balance(ONE)
    cut(town)
    # Each has what it earned, and is refused a point more, though the balance that it knows is larger.
    held = {till: member.here(till) for till in TILLS}
    assert held == {ONE: 90, OTHER: 40}
    for till in TILLS:
        assert member.buy(till, 20_000, points=held[till] + 1) == 0
        assert member.buy(till, held[till], points=held[till]) == held[till]
        assert member.buy(till, 500, points=1) == 0
    assert member.redeemed == there_were
    mend(town)
    member.known()
    assert {member.balance(name) for name in EVERYONE} == {member.earned - member.redeemed}
    assert all(run("verify", "--at", town.folders[name].path).returncode == 0 for name in EVERYONE)


def test_each_asks_for_all_of_it_at_the_same_moment_and_neither_gets_what_the_other_holds(
    town: Cabled, member: Member
) -> None:
    there_were = member.balance(ONE)
    cut(town)
    all_at_once([lambda till=till: member.buy(till, there_were, points=there_were) for till in TILLS])
    assert member.redeemed == 0
    # Both were told in time how much it can be, and take that, at the same moment, again and again.
    rests = [lambda till=till: member.buy(till, 90, points=member.here(till)) for till in TILLS]
    all_at_once(rests * 3)
    assert member.redeemed == there_were
    mend(town)
    member.known()


def test_all_of_it_at_one_till_is_redeemed_there_once_and_after_meeting_nowhere_again(
    town: Cabled, member: Member
) -> None:
    # Together: 12-1 borrows what 12-2 has, so that all rights are at 12-1 and 12-2 has none.
    assert member.buy(ONE, 130, points=130) == 130
    member.buy(ONE, 7_000)
    member.known()
    cut(town)
    assert member.here(OTHER) == 0
    all_at_once([lambda till=till: member.buy(till, 70, points=70) for till in TILLS])
    assert member.redeemed == 130 + 70
    assert member.here(ONE) == member.earned - member.redeemed
    mend(town)
    member.known()
    rest = member.earned - member.redeemed
    assert all(member.buy(till, 500, points=rest + 1) == 0 for till in TILLS)


def test_whenever_the_cable_is_pulled_while_one_borrows_from_the_other_no_point_is_spent_twice(
    town: Cabled, member: Member
) -> None:
    for after_s in (0.0, 0.02):
        member.buy(ONE, 5_000)
        member.known()
        there_were = member.balance(OTHER)
        before = member.redeemed
        asking = threading.Thread(target=member.buy, args=(OTHER, there_were, there_were))
        asking.start()
        threading.Event().wait(after_s)
        cut(town)
        asking.join()
        # Whatever of the grant arrived: each takes what it holds, and not one more.
        for till in TILLS:
            member.buy(till, 500, points=member.here(till))
            assert member.buy(till, 50_000, points=there_were + 1) == 0
        assert member.redeemed - before <= there_were
        mend(town)
        member.known()


def all_at_once(acts: list) -> None:
    threads = [threading.Thread(target=act) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
