"""Rights are where they are needed before anybody asks at a counter, few questions fetch them, and lost ones are written off."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from crdt_pos.balance import Balance
from crdt_pos.clock import system_ms
from crdt_pos.commands.points import points
from crdt_pos.errors import NotEnoughRights
from crdt_pos.goodwill import Goodwill, give
from crdt_pos.prefetch import LOW_WATER, holder, wishes
from crdt_pos.registrar import Registrar
from crdt_pos.replica import RunningReplica
from crdt_pos.requests import LineRequest, SaleRequest
from crdt_pos.revoking import revoke
from crdt_pos.rights_batch import BURST, TOPIC, WISHES_MAX, Wish, decode_wishes, encode_wishes
from merge_rules.lattice import Author
from peers.roster import Why
from tests.node.company import Company, Stranger, author, introduce, running, until

MEMBERS = [f"member-{number}".encode() for number in range(9)]


async def earns(replica: RunningReplica, *members: bytes, points: int = 300) -> None:
    def sell() -> None:
        assert replica.till is not None
        if replica.till.open_on is None:
            replica.till.open_date()
        for member in members:
            replica.till.sell(SaleRequest((LineRequest(0, total_minor=points * 100),), member=member))

    await replica.act(sell)


def here(replica: RunningReplica, member: bytes, of: RunningReplica | None = None) -> int:
    with replica.log.read() as reader:
        return Balance.read(reader, "points", member).redeemable(author(of or replica)).here


async def test_of_a_stores_tills_one_fetches_each_accounts_rights_in_one_question(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1", "12-2")
    async with running(company.tills["12-1"], company.tills["12-2"]) as (one, two):
        await introduce(one, two)
        await earns(one, *MEMBERS)
        await earns(two)
        mine = [member for member in MEMBERS if holder(member, [author(one), author(two)]) == author(two)]
        assert 0 < len(mine) < len(MEMBERS)
        await until(two, lambda: here(two, MEMBERS[-1], one) == 300)
        await two.prefetching.round()
        assert two.prefetching.fetched == 300 * len(mine)
        await until(two, lambda: all(here(two, member) == 300 for member in mine))
        assert all(here(one, member) == (0 if member in mine else 300) for member in MEMBERS)
        await two.prefetching.round()  # there is nothing more to ask for
        assert two.prefetching.fetched == 300 * len(mine)


async def test_a_till_that_closes_grants_its_rights_to_a_neighbour_and_the_last_one_to_head_office(
    tmp_path: Path,
) -> None:
    company = Company.found(tmp_path, "12-1", "12-2")
    async with running(company.office, company.tills["12-2"]) as (office, two):
        await introduce(two, office)
        async with running(company.tills["12-1"]) as (one,):
            await introduce(one, office)
            await introduce(one, two)
            await earns(one, *MEMBERS)
            await closes(one)
            await until(two, lambda: all(here(two, member) == 300 for member in MEMBERS))
        await until(two, lambda: set(two.node.links) == {author(office)})
        await earns(two)
        await closes(two)
        await until(office, lambda: all(here(office, member) == 300 for member in MEMBERS))


async def closes(replica: RunningReplica) -> None:
    assert replica.till is not None
    await replica.prefetching.round()
    await replica.act(replica.till.close_date)
    await replica.prefetching.round()


async def test_what_is_asked_too_often_is_not_answered(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1", "12-2")
    async with running(company.tills["12-1"]) as (till,):
        asks = Stranger(company.tills["12-2"])
        async with asks.at(till):
            await asks.talk(lambda: asks.shared)
            wish = encode_wishes([Wish("points", MEMBERS[0], 10)])
            for _ in range(3 * BURST):
                asks.session.ask(TOPIC, wish, 0, 60_000)
            await asks.talk(lambda: len(asks.answered) == 3 * BURST)
        answers = [one.content for one in asks.answered]
        assert BURST <= sum(one is not None for one in answers) < 3 * BURST


def test_a_question_for_more_than_its_bound_or_for_one_account_twice_is_none() -> None:
    many = [Wish("points", number.to_bytes(8, "big"), 1) for number in range(WISHES_MAX + 1)]
    assert len(decode_wishes(encode_wishes(many[1:]))) == WISHES_MAX
    assert decode_wishes(encode_wishes(many)) == []
    assert decode_wishes(encode_wishes([many[0], many[0]])) == []


async def test_rights_above_low_water_are_left_where_they_are(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1")
    async with running(company.tills["12-1"]) as (till,):
        await earns(till, MEMBERS[0], points=LOW_WATER)
        stranger = Author(b"somebody")
        with till.log.read() as reader:
            assert wishes(reader, [("points", MEMBERS[0])], author(till), [stranger], []) == {}


async def test_lost_rights_are_written_off_and_goodwill_is_a_cost_of_head_office(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1", "12-2")
    member = MEMBERS[0]
    async with running(company.office, company.tills["12-2"]) as (office, two):
        await introduce(two, office)
        async with running(company.tills["12-1"]) as (lost,):
            await introduce(lost, office)
            await introduce(lost, two)
            await earns(lost, member)
            await earns(two, member, points=50)
            await until(office, lambda: here(office, member, lost) == 300 and here(office, member, two) == 50)

        def decide() -> None:
            revoke(Registrar(office.folder, office.log, system_ms()), "12-1", Why.LOST)

        await office.state(decide)
        await until(two, lambda: not two.trust.directory.takes_part(company.tills["12-1"].certificate.author))
        assert two.till is not None
        assert (two.till.redeemable(member).here, two.till.redeemable(member).company) == (50, 50)
        goodwill = Goodwill("points", member, 300)
        assert await office.act(lambda: give(office.log, office.folder, goodwill, system_ms())) == 350
        await until(two, lambda: two.till is not None and two.till.redeemable(member).company == 350)
        await two.borrow(member, 300, 5000)
        await two.act(lambda: _spends(two, member, 350))
        with pytest.raises(NotEnoughRights):
            await two.act(lambda: _spends(two, member, 200))
    shown = CliRunner().invoke(points, ["show", member.hex(), "--at", str(company.office.path)])
    assert "300 written off" in shown.output
    assert "300 credited by head office" in shown.output


def _spends(replica: RunningReplica, member: bytes, points: int) -> None:
    assert replica.till is not None
    replica.till.sell(SaleRequest((LineRequest(0, total_minor=10_000),), member=member, points=points))
