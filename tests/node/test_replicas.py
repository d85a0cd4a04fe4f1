"""What a running replica makes of what arrives: proofs, rights, acknowledgements, the roster."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_pos.directory import COMPANY_ROSTER
from crdt_pos.folder import Folder
from crdt_pos.forks import FORKS_DOCUMENT, read_proofs
from crdt_pos.receipt import DrawerAct
from crdt_pos.replica import RunningReplica
from crdt_pos.rights import AMOUNT_MAX, ASKED_MAX, TOPIC, RightsQuestion, decode_granted, encode_granted
from crdt_pos.safety import Safety
from gossip.address import Address
from gossip.document import FeedType, ScopeClass
from gossip.entry import Entry, sign
from gossip.reasons import Reason
from merge_rules import canonical
from merge_rules.lattice import Author
from peers.announcement import PeerAddress
from peers.roster import Revocation
from tests.node.company import (
    BOARD,
    Company,
    Stranger,
    address,
    author,
    first_note,
    holds,
    in_touch,
    introduce,
    link,
    note,
    notes,
    running,
    settings,
    until,
)


def two_faced(company: Company, name: str) -> list[Entry]:
    """Two first entries of one feed."""
    till = company.tills[name]
    return [
        sign(till.key, till.certificate.author, BOARD, FeedType.WHOLE, ScopeClass.COMPANY, 1, 1, said, None)
        for said in ("yes", "no")
    ]


async def test_two_entries_that_contradict_each_other_are_proven_once_and_slander_is_in_nobodys_way(
    tmp_path: Path,
) -> None:
    company = Company.found(tmp_path, "12-1", "12-2")
    liar = company.tills["12-1"]
    yes, no = two_faced(company, "12-1")
    rubbish: list[object] = sorted(
        [b"no pair", [b"x", b"y"], [yes.raw, first_note(liar, "2", 2).raw]], key=canonical.encode
    )
    slander = sign(
        liar.key, liar.certificate.author, FORKS_DOCUMENT, FeedType.WHOLE, ScopeClass.COMPANY, 1, 1, rubbish, None
    )
    async with running(company.office, company.tills["12-2"]) as (office, till):
        await introduce(till, office)
        stranger = Stranger(liar)
        stranger.offers(slander, yes, no)
        async with stranger.at(office):
            await stranger.until_settled(slander, yes, no)
        for replica in (office, till):
            await until(replica, lambda replica=replica: proofs(replica) == [{yes.raw, no.raw}])
            with replica.log.read() as reader:
                assert len(list(reader.head_entries(BOARD))) == 2


def proofs(replica: RunningReplica) -> list[set[bytes]]:
    with replica.log.read() as reader:
        return [{one.raw, other.raw} for one, other in read_proofs(reader)]


@given(st.binary(max_size=80))
def test_a_question_or_answer_that_is_none_is_nothing(content: bytes) -> None:
    question = RightsQuestion.decode(content)
    assert question is None or question.encode() == content
    assert 0 <= decode_granted(content) <= AMOUNT_MAX


@pytest.mark.parametrize(
    "fields",
    [
        ["points", b"8 bytes.", 0, b"author.."],
        ["points", b"8 bytes.", -1, b"author.."],
        ["points", b"8 bytes.", AMOUNT_MAX + 1, b"author.."],
        ["points", b"8 bytes.", True, b"author.."],
        ["points", b"7 bytes", 1, b"author.."],
        ["points", b"8 bytes.", 1, b"author"],
        ["", b"8 bytes.", 1, b"author.."],
        ["p" * 41, b"8 bytes.", 1, b"author.."],
        ["points", b"8 bytes.", 1],
        ["points", b"8 bytes.", 1, b"author..", []],
        ["points", b"8 bytes.", 1, b"author..", [b"short"]],
        ["points", b"8 bytes.", 1, b"author..", [b"author.."] * (ASKED_MAX + 1)],
        ["points", b"8 bytes.", 1, b"author..", [b"author.."], 1],
        {0: "points"},
    ],
)
def test_a_question_with_a_field_out_of_bounds_is_none(fields: object) -> None:
    assert RightsQuestion.decode(canonical.encode(fields)) is None


@pytest.mark.parametrize("answer", [-1, AMOUNT_MAX + 1, True, "3", [3], None])
def test_an_answer_that_is_no_amount_grants_nothing(answer: object) -> None:
    assert decode_granted(canonical.encode(answer)) == 0
    assert decode_granted(None) == 0
    assert decode_granted(encode_granted(340)) == 340


async def test_a_till_is_granted_rights_only_for_itself_and_rubbish_is_answered_with_nothing(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1", "12-2")
    async with running(company.tills["12-1"]) as (till,):
        stranger = Stranger(company.tills["12-2"])
        own = RightsQuestion("points", b"8 bytes.", 5, stranger.me.author)
        others = RightsQuestion("points", b"8 bytes.", 5, Author(b"somebody"))
        unknown = RightsQuestion("no programme", b"8 bytes.", 5, stranger.me.author)
        async with stranger.at(till):
            await stranger.talk(lambda: stranger.shared)
            for content in (own.encode(), others.encode(), unknown.encode(), b"\xff"):
                stranger.session.ask(TOPIC, content, 0, 10_000)
            stranger.session.ask("who knows", b"", 0, 10_000)
            stranger.session.ask("certificate", b"short", 0, 10_000)
            await stranger.talk(lambda: len(stranger.answered) == 6)
        answers = {answered.id: answered.content for answered in stranger.answered}
        zero = encode_granted(0)
        assert answers == {1: zero, 2: None, 3: zero, 4: None, 5: None, 6: None}


async def test_what_is_safe_elsewhere_is_known_again_after_a_restart(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1", "12-2")
    async with running(company.tills["12-1"], company.tills["12-2"]) as (till, neighbour):
        assert till.till is not None
        await till.act(lambda: till.till.open_date(None, 10_000))  # type: ignore[union-attr]
        alone = till.safety.count()
        assert alone[0] == 0
        assert alone[1] >= 1
        await introduce(till, neighbour)
        await until(till, lambda: till.safety.count() == (1, 0))
    async with running(company.tills["12-1"]) as (till,):
        assert till.safety.count() == (1, 0)
        assert till.status().copies == 1
        assert till.till is not None
        await till.act(lambda: till.till.drawer(DrawerAct.PAID_IN, 500))  # type: ignore[union-attr]
        assert till.safety.count() == (0, 1)


async def test_an_acknowledgement_goes_with_every_transaction_until_one_has_kept_it(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1")
    async with running(company.tills["12-1"]) as (till,):
        assert till.till is not None
        await till.act(lambda: till.till.open_date(None, 10_000))  # type: ignore[union-attr]
        with till.log.read() as reader:
            (document,) = reader.documents("journal")
            ((feed, head),) = [(stored.entry.feed_id, stored.entry.head) for stored in reader.head_entries(document)]
        safety = Safety(till.log, author(till))
        safety.acknowledged(Author(b"neighbor"), [(feed, head)])
        views = safety.unsaved()
        assert views
        assert safety.unsaved() == views  # the first transaction failed
        till.log.append([], views)
        safety.saved()
        assert safety.unsaved() == []
        assert Safety(till.log, author(till)).count() == (1, 0)


async def test_a_store_that_is_added_is_shared_by_the_sessions_of_those_that_may_read_it_and_disturbs_no_other(
    tmp_path: Path,
) -> None:
    # Of these stores 12 guards the same with store 14 and without.
    company = Company.found(tmp_path, "12-1", "16-1", "17-1")
    second = company.add_office()
    company.add_store(14)
    new = company.enrol("14-1")
    async with running(second, company.tills["12-1"]) as (office, till):
        await introduce(till, office)
        before = link(office, till)
        assert "store/14" not in office.trust.readable(office.certificate)
        async with running(company.office, new) as (first, fresh):
            first.node.want(address(office))

            def shares() -> bool:
                session = link(office, first)
                return session is not None and "store/14" in session.session.shared

            await until(office, shares)
            await introduce(fresh, office)
            fresh_session = link(office, fresh)
            assert fresh_session is not None
            expected = {"company", "store/14", "patrons/14", "vault/14", "vault/16", "vault/17"}
            assert fresh_session.session.shared == expected
            await note(till, "still there")
            await until(fresh, lambda: notes(fresh.log) == {"still there"})
            assert link(office, till) is before


async def test_a_revoked_tills_session_ends_when_the_roster_says_so_and_it_is_not_let_in_again(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1", "12-2")
    second = company.add_office()
    revoked = company.tills["12-1"]
    company.state(Revocation(revoked.certificate.author))
    async with running(second, company.tills["12-2"]) as (office, other):
        await introduce(other, office)
        untouched = link(office, other)
        stranger = Stranger(revoked)
        async with stranger.at(office):
            await stranger.talk(lambda: stranger.shared)
            async with running(company.office) as (first,):
                await introduce(first, office)
                ended = await stranger.until_ended()
        assert (ended.reason, ended.by_peer) == (Reason.REVOKED, True)
        again = Stranger(revoked)
        async with again.at(office):
            assert (await again.until_ended()).reason is Reason.REVOKED
        assert link(office, other) is untouched
        # What a till without the right to be here states of the roster changes nothing.
        assert not office.trust.directory.takes_part(revoked.certificate.author)


async def test_a_quarantined_roster_entry_does_not_make_the_roster_be_read_again(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1")
    liar = company.tills["12-1"]
    roster = sign(liar.key, liar.certificate.author, COMPANY_ROSTER, FeedType.WHOLE, ScopeClass.COMPANY, 1, 1, [], None)
    async with running(company.office) as (office,):
        directory = office.trust.directory
        stranger = Stranger(liar)
        good = first_note(liar, "after it")
        stranger.offers(roster, good)
        async with stranger.at(office):
            await stranger.until_settled(roster, good)
        assert holds(office, good)
        assert office.trust.directory is directory


async def test_an_announcement_that_lapses_does_not_forget_an_address_of_the_settings(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1", "12-2", "12-3")
    async with running(company.tills["12-2"], company.tills["12-3"]) as (named, heard):
        folder = replace(company.tills["12-1"], settings=settings(address(named)))
        async with running(folder) as (till,):
            for other in (named, heard):
                till.neighbourhood.found(announced(other, address(other)))
            await until(till, lambda: in_touch(till, named) and in_touch(till, heard))
            for other in (named, heard):
                till.neighbourhood.gone(author(other))
            assert set(till.node._dialling.wanted) == {address(named)}


async def test_two_neighbours_that_swapped_their_addresses_are_both_dialled(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1", "12-2", "12-3")
    here, there = Address("127.0.0.1", 1), Address("127.0.0.1", 2)
    async with running(company.tills["12-1"]) as (till,):
        one, other = company.tills["12-2"], company.tills["12-3"]
        for folder, at in ((one, here), (other, there), (one, there), (other, here)):
            till.neighbourhood.found(announced(folder, at))
        assert {at: wanted.author for at, wanted in till.node._dialling.wanted.items()} == {
            there: one.certificate.author,
            here: other.certificate.author,
        }


def announced(replica: RunningReplica | Folder, at: Address) -> PeerAddress:
    own = replica.certificate
    return PeerAddress(own.company, own.name, own.store, own.author, 1, (at.host,), at.port)
