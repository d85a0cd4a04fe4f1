"""Live sessions of real replicas: what they exchange, whom they refuse, and what ends with a session and what does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import trio

from crdt_pos.replica import RunningReplica
from gossip import frames
from gossip.document import Document, FeedType, ScopeClass
from gossip.entry import sign
from gossip.intake import STRANGERS_MAX
from gossip.node import CERTIFICATES_AT_ONCE
from gossip.reasons import Reason
from gossip.session import Me
from merge_rules import canonical
from peers.keys import SecretKey, author_of
from peers.roster import StoreRecord
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
    reasons,
    running,
    until,
)


async def test_two_replicas_that_wrote_apart_hold_the_same_after_a_session(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1")
    async with running(company.office, company.tills["12-1"]) as (office, till):
        await note(office, "from the office", "and again")
        await note(till, "from the till")
        till.node.want(address(office))
        everything = {"from the office", "and again", "from the till"}
        await until(office, lambda: notes(office.log) == everything)
        await until(till, lambda: notes(till.log) == everything)
        # What is written while they share travels at once.
        await note(till, "live")
        await until(office, lambda: "live" in notes(office.log))


async def test_three_replicas_agree_through_the_one_in_the_middle_which_shows_their_certificates(
    tmp_path: Path,
) -> None:
    company = Company.found(tmp_path, "12-1", "13-1")
    async with running(company.office, company.tills["12-1"], company.tills["13-1"]) as (office, here, there):
        assert there.trust.record(author(here)) is None
        await introduce(here, office)
        await introduce(there, office)
        await note(here, "from 12-1")
        await note(there, "from 13-1")
        for replica in (office, here, there):
            await until(replica, lambda replica=replica: notes(replica.log) == {"from 12-1", "from 13-1"})
        assert link(here, there) is None
        assert there.trust.record(author(here)) is not None
    # Nobody has to be asked again.
    again = RunningReplica(company.tills["13-1"])
    try:
        record = again.trust.record(company.tills["12-1"].certificate.author)
        assert record is not None
        assert (record.store, record.public_key) == (12, company.tills["12-1"].certificate.public_key)
    finally:
        again.close()


async def test_a_shown_certificate_outlives_a_change_of_the_roster_that_comes_before_it_is_on_the_disk(
    tmp_path: Path,
) -> None:
    company = Company.found(tmp_path, "12-1", "13-1")
    async with running(company.tills["13-1"]) as (till,):
        stranger = company.tills["12-1"]
        (view,) = till.trust.learn(stranger.chain)
        till.trust.reload()
        assert till.trust.record(stranger.certificate.author) is not None
        assert till.trust.learn(stranger.chain) == []
        till.log.append([], [view])
        till.trust.reload()
        assert till.trust.chain(stranger.certificate.author) == list(stranger.chain)


async def test_an_entry_whose_certificate_nobody_shows_is_refused_by_name_and_not_kept(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1", "13-1")
    peer = company.tills["12-1"]
    elsewhere = Company.found(tmp_path / "elsewhere", "12-2", "12-3")
    silent, foreign = elsewhere.tills["12-2"], elsewhere.tills["12-3"]
    orphans = [first_note(silent, "who am I"), first_note(foreign, "of another company")]
    fine = first_note(peer, "me")
    async with running(company.tills["13-1"]) as (till,):
        stranger = Stranger(peer)
        stranger.offers(*orphans, fine)
        stranger.certificates[peer.certificate.author] = canonical.encode(list(peer.chain))
        stranger.certificates[foreign.certificate.author] = canonical.encode(list(foreign.chain))
        async with stranger.at(till):
            await stranger.until_settled(*orphans, fine)
        why = "nobody has shown the certificate of its author"
        assert stranger.refused == {orphan.hash: why for orphan in orphans}
        assert fine.hash in stranger.durable
        assert [holds(till, entry) for entry in (*orphans, fine)] == [False, False, True]


async def test_a_batch_of_many_strangers_asks_for_some_of_them_at_once_and_refuses_the_rest(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1", "13-1")
    peer = company.tills["12-1"]
    keys = [SecretKey(number.to_bytes(32, "big")) for number in range(1, 101)]
    orphans = [
        sign(key, author_of(key.public, "a1"), BOARD, FeedType.WHOLE, ScopeClass.COMPANY, 1, 1, "who am I", None)
        for key in keys
    ]
    async with running(company.tills["13-1"]) as (till,):
        stranger = Stranger(peer)
        stranger.offers(*orphans)
        stranger.together = CERTIFICATES_AT_ONCE
        async with stranger.at(till):
            await stranger.until_settled(*orphans)
        assert set(stranger.refused) == {orphan.hash for orphan in orphans}
        assert len(stranger.asked) == len(set(stranger.asked)) == STRANGERS_MAX


async def test_a_forged_entry_ends_the_session_that_brought_it_and_no_other(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1", "12-2")
    liar, victim = company.tills["12-2"], company.tills["12-1"]
    forged = sign(
        liar.key, victim.certificate.author, BOARD, FeedType.WHOLE, ScopeClass.COMPANY, 1, 1, "not mine", None
    )
    async with running(company.office, victim) as (office, till):
        await introduce(till, office)
        before = link(office, till)
        stranger = Stranger(liar)
        stranger.offers(forged)
        async with stranger.at(office):
            ended = await stranger.until_ended()
        assert (ended.reason, ended.by_peer) == (Reason.BAD_ENTRY, True)
        await note(till, "mine")
        await until(office, lambda: notes(office.log) == {"mine"})
        assert link(office, till) is before


async def test_what_an_author_may_not_write_is_kept_apart_with_the_reason_and_goes_no_further(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1", "13-1")
    liar = company.tills["12-1"]
    roster = Document("roster")
    bad = sign(liar.key, liar.certificate.author, roster, FeedType.WHOLE, ScopeClass.COMPANY, 1, 1, [], None)
    nowhere = Document("claims", keys=("12",))
    nameless = sign(liar.key, liar.certificate.author, nowhere, FeedType.WHOLE, ScopeClass.COMPANY, 1, 1, {}, None)
    good = first_note(liar, "after it")
    async with running(company.office, company.tills["13-1"]) as (office, till):
        await introduce(till, office)
        stranger = Stranger(liar)
        stranger.offers(bad, nameless, good)
        async with stranger.at(office):
            await stranger.until_settled(bad, nameless, good)
        await until(till, lambda: holds(till, good))
        with office.log.read() as reader:
            assert reader.find(bad.hash) is None
            assert reasons(reader) == {
                str(roster): "till of store 12 may not author roster",
                str(nowhere): f"{nowhere} is no name of a claims document",
            }
        with till.log.read() as reader:
            assert reasons(reader) == {}


async def test_a_peer_that_names_another_author_than_its_certificate_is_refused(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1", "12-2")
    async with running(company.office) as (office,):
        stranger = Stranger(company.tills["12-1"])
        stranger = Stranger(
            company.tills["12-1"], replace(stranger.me, author=company.tills["12-2"].certificate.author)
        )
        async with stranger.at(office):
            ended = await stranger.until_ended()
        assert (ended.reason, ended.by_peer) == (Reason.IDENTITY, True)
        assert office.node.links == {}


async def test_a_copy_of_the_replica_is_refused_and_its_own_address_is_dialled_once(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1", "12-2")
    async with running(company.tills["12-1"]) as (till,):
        # The copy knows better than to say who it is; its certificate does.
        other = company.tills["12-2"].certificate.author
        copy = Stranger(company.tills["12-1"])
        lying = Stranger(company.tills["12-1"], Me(copy.me.company, other, copy.me.scopes))
        async with copy.at(till):
            assert (await copy.until_ended()).reason is Reason.SELF
        async with lying.at(till):
            assert (await lying.until_ended()).reason is Reason.IDENTITY
        nursery = till.node._dialling.nursery
        assert nursery is not None
        idle = len(nursery.child_tasks)
        till.node.want(address(till))
        await until(till, lambda: len(nursery.child_tasks) == idle)
        assert till.node.links == {}


async def test_a_head_office_of_457_stores_offers_a_till_only_what_the_till_may_read(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1")
    company.state(*(StoreRecord(store) for store in range(101, 557)))
    async with running(company.office) as (office,):
        everything = office.trust.readable(office.certificate)
        assert len(everything) == 1 + 3 * 457
        till = Stranger(company.tills["12-1"])
        async with till.at(office):
            await till.talk(lambda: till.shared)
        assert till.hello is not None
        assert till.session.shared == {"company", "store/12", "patrons/12", "vault/12"}
        guarded = till.hello.scopes - till.session.shared
        assert all(scope.startswith("vault/") for scope in guarded)
        assert len(guarded) < 12
        assert len(frames.encode(till.hello)) < 256
        assert len(frames.encode(replace(till.hello, scopes=everything))) > 10_000


async def test_dials_that_cross_leave_exactly_one_session(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1", "12-2")
    async with running(company.tills["12-1"], company.tills["12-2"]) as (one, other):
        one.node.want(address(other))
        other.node.want(address(one))
        await until(one, lambda: in_touch(one, other))
        await note(one, "one")
        await note(other, "other")
        for replica in (one, other):
            await until(replica, lambda replica=replica: notes(replica.log) == {"one", "other"})
            await until(replica, lambda replica=replica: len(replica.node._live) == 1)
        here, there = link(one, other), link(other, one)
        assert here is not None
        assert there is not None
        assert here.dialled is not there.dialled
        assert in_touch(one, other)


async def test_where_two_dials_crossed_both_sides_keep_that_of_the_lower_author(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1", "12-2")
    low, high = sorted(company.tills.values(), key=lambda folder: folder.certificate.author)
    for replica, peer in ((low, high), (high, low)):
        async with running(replica) as (till,):
            first, second = Stranger(peer), Stranger(peer)
            async with first.at(till), second.at(till):
                await first.talk(lambda first=first: first.shared)
                await second.talk(lambda second=second: second.shared)
                # ``replica`` has not dialled either, so the newer stays exactly where the peer's dials win.
                refused = second if replica is low else first
                assert (await refused.until_ended()).reason is Reason.DUPLICATE
                assert [first.ended, second.ended].count(None) == 1


async def test_a_later_session_of_a_peer_takes_over_from_one_that_only_seems_alive(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1")
    async with running(company.office) as (office,):
        first, second = Stranger(company.tills["12-1"]), Stranger(company.tills["12-1"])
        async with first.at(office):
            await first.talk(lambda: first.shared)
            # It has stood for long: no dials that cross.
            office.node.links[first.me.author].began_ms -= 60_000
            async with second.at(office):
                await second.talk(lambda: second.shared)
                assert (await first.until_ended()).reason is Reason.DUPLICATE
                assert second.ended is None


async def test_what_a_peer_has_sent_before_its_goodbye_is_kept(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1", "12-2")
    entry = first_note(company.tills["12-2"], "last words")
    async with running(company.office) as (office,):
        stranger = Stranger(company.tills["12-2"])
        async with stranger.at(office):
            await stranger.talk(lambda: stranger.shared)
            stranger.offers(entry)
            stranger.session.wake()
            said = stranger.session.data_to_send()
            stranger.session.end()
            await stranger.stream.send(said + stranger.session.data_to_send())
        await until(office, lambda: holds(office, entry))


async def test_an_address_that_is_not_wanted_any_more_is_not_dialled_when_its_session_ends(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1")
    async with running(company.office, company.tills["12-1"]) as (office, till):
        nursery = till.node._dialling.nursery
        assert nursery is not None
        idle = len(nursery.child_tasks)
        await introduce(till, office)
        for _ in range(3):  # an announcement that flutters
            till.node.unwant(address(office))
            till.node.want(address(office), author(office))
        till.node.unwant(address(office))
        assert in_touch(till, office)
        office.node.end_sessions(Reason.DONE, "for the night")
        await until(till, lambda: not till.node.links)
        await until(till, lambda: len(nursery.child_tasks) == idle)


async def test_an_address_that_changes_hands_is_dialled_for_its_new_owner(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1", "12-2", "12-3")
    async with running(*(company.tills[name] for name in ("12-1", "12-2", "12-3"))) as (one, gone, new):
        # 12-2 is known at an address where 12-3 listens now, and has a session from elsewhere.
        await introduce(gone, one)
        one.node.want(address(new), author(gone))
        one.node.want(address(new), author(new))
        await until(one, lambda: in_touch(one, new))
        assert in_touch(one, gone)


async def test_a_peer_that_asks_without_end_and_does_not_read_is_let_go_and_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The bound is lowered, so that filling the sockets' buffers does it.
    monkeypatch.setattr("gossip.link.UNSENT_BYTES_MAX", 1 << 16)
    monkeypatch.setattr("gossip.link.GOODBYE_TIMEOUT_S", 0.2)
    company = Company.found(tmp_path, "12-1", "12-2")
    async with running(company.office, company.tills["12-1"]) as (office, till):
        stranger = Stranger(company.tills["12-2"])
        async with stranger.at(office):
            await stranger.talk(lambda: stranger.shared)
            held = office.node.links[stranger.me.author]
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stranger.ask_without_end, held.session)
                await introduce(till, office)
                await note(till, "meanwhile")
                await until(office, lambda: "meanwhile" in notes(office.log))
                await held.over.wait()
                nursery.cancel_scope.cancel()
            assert held.facts.ended is not None
            assert held.facts.ended.reason is Reason.TOO_MUCH
