"""Joining over real sockets: at the office, through others, by files, twice, at two offices, and for a head office."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import trio

from crdt_pos import joining
from crdt_pos.admitting import Admitting
from crdt_pos.asking_in import ROUNDS_MIN, ask_in
from crdt_pos.clock import system_ms
from crdt_pos.enrolment import enrol_till
from crdt_pos.errors import EnrolmentRefused, FolderError
from crdt_pos.folder import Folder, Settings, create_folder
from crdt_pos.joining import Wanted, certificate_file, join_by_file, request_file
from crdt_pos.joining_place import begun
from crdt_pos.replica import RunningReplica
from crdt_pos.ticket_book import Seat, State, TicketBook, strangers
from crdt_pos.tickets import Answer, Outcome, Ticket, decode_answer, encode_answer, make_request, open_answer
from gossip import doorbell, tls
from gossip.address import Address
from gossip.errors import PeerUnreachable
from gossip.tls import TlsStream
from peers import certificates
from peers.announcement import PeerAddress
from peers.certificates import Certificate
from peers.discovery import Discovery
from peers.gateways import ranked
from peers.keys import SecretKey
from peers.permissions import Role
from tests.joining.entrance import (
    LOOPBACK,
    book_of,
    invite,
    issue,
    join,
    log_of,
    seat,
    sell,
)
from tests.node.company import Company, address, in_touch, introduce, running, until
from tools.cable import Cable


def closed() -> Address:
    """An address where nobody listens."""
    cable = Cable()
    cable.close()
    return Address("127.0.0.1", cable.port)


async def test_a_till_joins_at_the_office_and_sells(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1")
    async with running(company.office) as [office]:
        ticket = await invite(office, seat("12-3"), address(office))
        folder = await join(ticket, tmp_path / "till")
        assert folder.certificate.name == "12-3"
        assert folder.settings.peers == (address(office),)
        assert office.trust.directory.certificate(folder.certificate.author) is not None
    # It knows the roster, and sells whether or not anybody is there.
    async with running(folder) as [till]:
        assert till.terms().legal_entity == "Corner Shops Ltd"
        assert await sell(till) == "12-3-a1-1"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["12-1", "office-a", "till"]
    assert (folder.path / "key.pem").stat().st_mode & 0o077 == 0


async def test_a_till_joins_through_a_neighbour_while_the_line_to_the_office_is_cut(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1")
    line = Cable()
    async with running(company.office, company.tills["12-1"]) as [office, neighbour]:
        line.plug(address(office).port)
        ticket = await invite(office, seat("12-3"), Address("127.0.0.1", line.port))
        await introduce(neighbour, office)
        line.pull()
        folder = await join(ticket, tmp_path / "till", address(neighbour))
        (issued,) = book_of(office)
        assert [(one.outcome, one.via) for one in issued.attempts] == [(Outcome.ADMITTED, "12-1")]
    async with running(folder) as [till]:
        assert await sell(till) == "12-3-a1-1"
    line.close()


async def test_a_neighbour_is_found_by_multicast_where_no_address_is_known(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1")
    found = Settings(LOOPBACK, interfaces=("127.0.0.1",))
    folder = enrol_till(company.office, 12, 2, tmp_path / "12-2", found, system_ms())
    async with running(company.office, folder) as [office, neighbour]:
        ticket = await invite(office, seat("12-3"))
        await introduce(neighbour, office)
        wanted = Wanted(ticket, tmp_path / "till", found)
        made = await trio.to_thread.run_sync(joining.join, wanted, lambda _progress: None)
        assert made.certificate.name == "12-3"
        (issued,) = book_of(office)
        assert [one.via for one in issued.attempts] == ["12-2"]


async def test_a_neighbour_that_does_not_reach_the_office_itself_asks_one_that_does(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1", "12-2")
    async with running(company.office, company.tills["12-1"], company.tills["12-2"]) as [office, gateway, inner]:
        ticket = await invite(office, seat("12-3"), closed())
        await introduce(gateway, office)
        await introduce(inner, gateway)
        await until(inner, lambda: bool(inner.towards_office()))
        folder = await join(ticket, tmp_path / "till", address(inner))
        (issued,) = book_of(office)
        assert [one.via for one in issued.attempts] == ["12-1"]
        assert folder.certificate.incarnation == "a1"


async def test_another_office_passes_on_a_ticket_that_is_not_its_own(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1")
    async with running(company.office, company.add_office()) as [issuer, other]:
        ticket = await invite(issuer, seat("12-3"))
        alone = await trio.to_thread.run_sync(ring_for, ticket, address(other))
        assert alone == Answer(Outcome.UNREACHABLE)
        await introduce(other, issuer)
        folder = await join(ticket, tmp_path / "till", address(other))
        # The life is counted by who issued the ticket.
        assert folder.certificate.issuer_name == "office-a"
        assert book_of(other) == []


class Lying(Admitting):
    """What a hostile replica answers to whatever is passed on to it."""

    lie = b""

    async def asked(self, peer: Certificate, content: bytes) -> bytes | None:
        return self.lie


async def test_a_neighbour_that_answers_rubbish_does_not_keep_the_office_from_being_asked(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1", "12-2", "12-3")
    tills = [company.tills[name] for name in ("12-1", "12-2")]
    first, second = ranked(till.certificate.author for till in tills)
    tills.sort(key=lambda till: till.certificate.author != first)
    async with running(company.office, *tills, company.tills["12-3"]) as [office, liar, honest, inner]:
        for gateway in (liar, honest):
            await introduce(gateway, office)
            await introduce(inner, gateway)
        await until(inner, lambda: inner.towards_office() == [first, second])
        ticket = await invite(office, seat("12-4"))
        liar.admitting = lying = Lying(liar)
        key = SecretKey.generate()
        for lie in (b"", b"rubbish", b"\x82\x00\x05", *map(open_answer, (Outcome.UNKNOWN, Outcome.OTHER_COMPANY))):
            lying.lie = lie
            answer = await trio.to_thread.run_sync(ring_for, ticket, address(inner), key)
            assert answer is not None
            assert answer.outcome is Outcome.ADMITTED, lie
        # A box that nobody can open can be told from an answer by whoever asked, who asks again.
        lying.lie = b"\x82\x00\x58\x40" + os.urandom(64)
        request = make_request(ticket, key)
        answers = [await doorbell.ring(address(inner), request, 10.0) for _ in range(2)]
        assert answers[0] == lying.lie
        assert decode_answer(answers[1], ticket.secret, request) is not None
        # A ticket that the office does not know: all were asked, and what it says is passed back.
        lying.lie = open_answer(Outcome.OTHER_COMPANY)
        unknown = replace(ticket, secret=os.urandom(20))
        assert await trio.to_thread.run_sync(ring_for, unknown, address(inner)) == Answer(Outcome.UNKNOWN)


def ring_for(ticket: Ticket, where: Address, key: SecretKey | None = None) -> Answer | None:
    """One request, once."""
    request = make_request(ticket, key or SecretKey.generate())
    return decode_answer(trio.run(doorbell.ring, where, request, 10.0), ticket.secret, request)


async def test_a_used_ticket_is_refused_in_one_sentence_and_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1")
    async with running(company.office) as [office]:
        ticket = await invite(office, seat("12-3"), address(office))
        await join(ticket, tmp_path / "till")
        with pytest.raises(EnrolmentRefused, match=r"^This ticket was used already, by another machine: [^.]*\.$"):
            await join(ticket, tmp_path / "thief")
        (issued,) = book_of(office)
        assert [one.outcome for one in issued.attempts] == [Outcome.ADMITTED, Outcome.USED]
        assert not (tmp_path / "thief").exists()
        again = await invite(office, seat("12-4"), address(office))
        assert (await join(again, tmp_path / "thief")).certificate.name == "12-4"


async def test_a_ticket_of_another_company_is_refused_and_the_office_sees_it(tmp_path: Path) -> None:
    ours, theirs = Company.found(tmp_path / "ours", "12-1"), Company.found(tmp_path / "theirs", "12-1")
    with log_of(theirs.office) as log:
        ticket = issue(TicketBook(theirs.office, log, system_ms()), seat("12-3"), system_ms())
    async with running(ours.office, ours.tills["12-1"]) as [office, till]:
        with pytest.raises(EnrolmentRefused, match="belongs to another company than this ticket"):
            await join(ticket, tmp_path / "till", address(office), address(till))
        with office.log.read() as reader:
            assert {one.outcome for one in strangers(reader)} == {Outcome.OTHER_COMPANY}


async def test_a_till_does_not_believe_an_answer_that_is_not_by_the_company_of_its_ticket(tmp_path: Path) -> None:
    """Whoever has seen the ticket can answer in the office's name, and has not the root's key."""
    ours, theirs = Company.found(tmp_path / "ours", "12-1"), Company.found(tmp_path / "theirs", "12-1")
    own = ours.office.certificate
    ticket = Ticket(own.company, own.author, "12-3", os.urandom(20))
    request = await trio.to_thread.run_sync(request_file, ticket, tmp_path / "till")
    key = begun_key(ticket, tmp_path / "till")
    for liar, root in ((theirs, theirs.office.root), (theirs, ours.office.root)):
        made = certificates.issue_till(
            liar.office.root, liar.office.certificate, liar.office.key, key.public, 12, 3, "a1"
        )
        lie = Answer(Outcome.ADMITTED, "", (made.der, *liar.office.chain), root.der)
        file = certificate_file(encode_answer(lie, ticket.secret, request), [], ticket.secret, request)
        with pytest.raises(EnrolmentRefused, match=r"another company"):
            await trio.to_thread.run_sync(join_by_file, file, tmp_path / "till", Settings(LOOPBACK, multicast=False))
    for name, public in (("12-4", key.public), ("12-3", SecretKey.generate().public)):
        till = int(name[-1])
        issuer = ours.office
        made = certificates.issue_till(issuer.root, issuer.certificate, issuer.key, public, 12, till, "a1")
        lie = Answer(Outcome.ADMITTED, "", (made.der, *issuer.chain), issuer.root.der)
        file = certificate_file(encode_answer(lie, ticket.secret, request), [], ticket.secret, request)
        with pytest.raises(EnrolmentRefused, match="does not fit this ticket"):
            await trio.to_thread.run_sync(join_by_file, file, tmp_path / "till", Settings(LOOPBACK, multicast=False))
    assert not (tmp_path / "till").exists()


def begun_key(ticket: Ticket, path: Path) -> SecretKey:
    with begun(ticket, path) as place:
        return place.key


async def test_joining_that_was_broken_off_after_it_was_let_in_goes_on_with_the_same_life(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1")
    async with running(company.office) as [office]:
        ticket = await invite(office, seat("12-3"), address(office))

        def let_in_and_broken_off(*, folder: bool) -> None:
            with begun(ticket, tmp_path / "till") as place:
                raw = trio.run(doorbell.ring, address(office), place.request, 10.0)
                answer = decode_answer(raw, ticket.secret, place.request)
                assert answer is not None
                if folder:
                    settings = Settings(LOOPBACK, (address(office),), multicast=False)
                    create_folder(place.replica_at, settings, place.key, answer.chain, company.office.root)

        # Before the answer was kept; and after, before the roster was learned.
        await trio.to_thread.run_sync(partial(let_in_and_broken_off, folder=False))
        await trio.to_thread.run_sync(partial(let_in_and_broken_off, folder=True))
        other = await invite(office, seat("12-4"), address(office))
        with pytest.raises(EnrolmentRefused, match="let in with another ticket"):
            await join(other, tmp_path / "till")
        folder = await join(ticket, tmp_path / "till")
        assert (folder.certificate.name, folder.certificate.incarnation) == ("12-3", "a1")
        with pytest.raises(FolderError, match="in use already"):
            await join(ticket, tmp_path / "till")


async def test_two_offices_that_are_cut_off_from_each_other_admit_one_till_and_no_numbers_clash(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1")
    async with running(company.office, company.add_office()) as [one, other]:
        tickets = [await invite(office, seat("12-3"), address(office)) for office in (one, other)]
        folders = [await join(ticket, tmp_path / f"till-{n}") for n, ticket in enumerate(tickets)]
        assert [folder.certificate.incarnation for folder in folders] == ["a1", "b1"]
        async with running(*folders) as tills:
            numbers = [[await sell(till) for _ in range(3)] for till in tills]
            assert numbers[0] == ["12-3-a1-1", "12-3-a1-2", "12-3-a1-3"]
            assert set(numbers[0]).isdisjoint(numbers[1])
            await introduce(one, other)
            for office in (one, other):
                await until(office, lambda office=office: knows(office, folders))
            for till in tills:
                await until(till, lambda till=till: in_touch(one, till) or in_touch(other, till))


def knows(office: RunningReplica, folders: list[Folder]) -> bool:
    return all(office.trust.directory.certificate(folder.certificate.author) is not None for folder in folders)


async def test_a_second_head_office_joins_when_a_person_admits_it_with_the_root_key(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1")
    async with running(company.office, company.tills["12-1"]) as [office, till]:
        await introduce(till, office)
        number = await sell(till)
        ticket = await invite(office, Seat(Role.OFFICE), address(office))

        async def admit() -> None:
            await until(office, lambda: [one.state for one in book_of(office)] == [State.WAITING])
            (asked,) = book_of(office)

            def sign() -> None:
                book = TicketBook(office.folder, office.log, system_ms())
                root, key = office.folder.root, certificates.PublicKey(asked.public)
                made = certificates.issue_office(root, company.keys.root, key, book.next_letter())
                book.admit_office(asked.id, [made.der])

            await office.state(sign)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(admit)
            folder = await join(ticket, tmp_path / "office-b")
        assert folder.certificate.name == "office-b"
        assert number == "12-1-a1-1"
    # It issues tickets of its own, and counts lives under its own letter.
    async with running(folder) as [second]:
        own = await invite(second, seat("12-7"), address(second))
        assert (await join(own, tmp_path / "till")).certificate.incarnation == "b1"


async def test_a_head_office_that_nobody_admits_is_told_what_to_do(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1")
    async with running(company.office) as [office]:
        ticket = await invite(office, Seat(Role.OFFICE), address(office))
        with pytest.raises(EnrolmentRefused, match="waits to be admitted with the root key"):
            await join(ticket, tmp_path / "office-b", wait_s=1.0)


async def test_where_nobody_answers_the_sentence_says_who_does_not(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1")
    own = company.office.certificate
    where = closed()
    ticket = Ticket(own.company, own.author, "12-3", os.urandom(20), (where,))
    with pytest.raises(EnrolmentRefused, match=f"Nobody of this ticket's company was reached: {where} does not answer"):
        await join(ticket, tmp_path / "till", wait_s=1.0)


async def test_who_says_no_without_proof_does_not_end_the_search_for_the_office(tmp_path: Path) -> None:
    """The office that the ticket names is out of reach at first; another place that is known says no each time."""
    company = Company.found(tmp_path, "12-1")
    line, rung = Cable(), 0

    async def say_no(_came_from: str, _question: bytes) -> bytes:
        nonlocal rung
        rung += 1
        if rung > ROUNDS_MIN:
            line.plug(address(office).port)
        return open_answer(Outcome.OTHER_COMPANY if rung == 1 else Outcome.UNKNOWN)

    async with running(company.office) as [office], door(company, say_no) as (where, _why):
        ticket = await invite(office, seat("12-3"), Address("127.0.0.1", line.port))
        folder = await join(ticket, tmp_path / "till", where)
        assert folder.certificate.name == "12-3"
        assert rung > ROUNDS_MIN
    line.close()


async def test_an_impostor_that_is_all_that_was_found_is_not_believed_while_there_is_time(tmp_path: Path) -> None:
    company = Company.found(tmp_path)
    own = company.office.certificate
    ticket = Ticket(own.company, own.author, "12-3", os.urandom(20))
    found = Settings(LOOPBACK, interfaces=("127.0.0.1",))
    enough = trio.Event()
    rung = 0

    async def say_no(_came_from: str, _question: bytes) -> bytes:
        nonlocal rung
        rung += 1
        if rung > ROUNDS_MIN:
            enough.set()
        return open_answer(Outcome.UNKNOWN)

    async def ask() -> None:
        with pytest.raises(EnrolmentRefused):
            await ask_in(
                ticket, found, make_request(ticket, SecretKey.generate()), 60.0, lambda _outcome, _trouble: None
            )
        pytest.fail("an impostor was believed")

    async with door(company, say_no) as (where, _why), trio.open_nursery() as nursery:
        impostor = PeerAddress(own.company, "office-a", None, own.author, 1, (where.host,), where.port)
        announce = partial(Discovery, impostor, lambda _peer: None, interfaces=found.interfaces)
        with await trio.to_thread.run_sync(announce):
            nursery.start_soon(ask)
            with trio.fail_after(30.0):
                await enough.wait()
            nursery.cancel_scope.cancel()


async def test_the_office_that_a_ticket_names_is_believed_when_it_says_no_twice(tmp_path: Path) -> None:
    company = Company.found(tmp_path)
    own = company.office.certificate
    async with running(company.office) as [office]:
        ticket = Ticket(own.company, own.author, "12-3", os.urandom(20), (address(office),))
        with trio.fail_after(20.0), pytest.raises(EnrolmentRefused, match="does not know this ticket"):
            await join(ticket, tmp_path / "till", wait_s=60.0)


# --- strangers at the door -------------------------------------------------------------------------------------------


async def test_a_question_that_is_too_long_or_never_ends_is_hung_up_on_and_sessions_go_on(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1")
    async with running(company.office, company.tills["12-1"]) as [office, till]:
        await introduce(till, office)
        with pytest.raises(PeerUnreachable, match="hung up"):
            await doorbell.ring(address(office), b"x" * (doorbell.QUESTION_BYTES_MAX + 1), 10.0)
        for garbage in (b"JOKE", b"GET / HTTP/1.1\r\n\r\n", b"JOIN\xff\xff\xff\xff", b"JOIN\x00\x00\x00\x09half"):
            async with await trio.open_tcp_stream("127.0.0.1", address(office).port) as stream:
                with trio.fail_after(10.0), contextlib.suppress(trio.BrokenResourceError):
                    await stream.send_all(garbage)
                    await stream.send_eof()
                    assert await stream.receive_some(1) == b""
        assert in_touch(till, office)


@asynccontextmanager
async def door(
    company: Company, answer: doorbell.Answer, question_timeout_s: float = 60.0
) -> AsyncIterator[tuple[Address, list[str]]]:
    """A listener with a doorbell: where, and why somebody was sent away."""
    why: list[str] = []

    async def nothing(_stream: TlsStream) -> None:
        raise AssertionError("nobody here has a certificate")

    bell = doorbell.Doorbell(answer, question_timeout_s)
    serve = partial(
        tls.serve,
        LOOPBACK,
        company.office.tls_contexts(),
        nothing,
        lambda _address, reason: why.append(reason),
        on_visitor=bell.rung,
    )
    async with trio.open_nursery() as nursery:
        yield await nursery.start(serve), why
        nursery.cancel_scope.cancel()


async def echo(_came_from: str, question: bytes) -> bytes:
    return question


async def stand_in_silence(where: Address, *hosts: str) -> list[trio.SocketStream]:
    """Send the first byte from each of these addresses of this machine, and no more."""
    silent = [await trio.open_tcp_stream(where.host, where.port, local_address=host) for host in hosts]
    for stream in silent:
        await stream.send_all(b"J")
    return silent


async def sent_away(stream: trio.SocketStream) -> None:
    with contextlib.suppress(trio.BrokenResourceError):
        assert await stream.receive_some(1) == b""
    await stream.aclose()


async def test_one_machine_that_stands_at_the_door_in_silence_keeps_nobody_else_away(tmp_path: Path) -> None:
    async with door(Company.found(tmp_path), echo) as (where, why):
        silent = await stand_in_silence(where, *["127.0.0.2"] * (doorbell.VISITORS_MAX + 4))
        with trio.fail_after(10.0):
            for stream in silent[: -doorbell.VISITORS_OF_ONE_HOST_MAX]:
                await sent_away(stream)
            assert await doorbell.ring(where, b"ring", 5.0) == b"ring"
        assert why == ["others asked to join after it, and there is no room for more"] * 10
        for stream in silent[-doorbell.VISITORS_OF_ONE_HOST_MAX :]:
            await stream.aclose()


async def test_at_a_full_door_the_oldest_makes_room_and_whoever_stays_silent_is_sent_away(tmp_path: Path) -> None:
    hosts = [f"127.0.0.{host}" for host in range(2, 6) for _ in range(doorbell.VISITORS_OF_ONE_HOST_MAX)]
    async with door(Company.found(tmp_path), echo, question_timeout_s=1.0) as (where, why):
        silent = await stand_in_silence(where, *hosts)
        with trio.fail_after(10.0):
            assert await doorbell.ring(where, b"ring", 5.0) == b"ring"
            for stream in silent:
                await sent_away(stream)
        assert await doorbell.ring(where, b"ring", 5.0) == b"ring"
    pushed_out = "others asked to join after it, and there is no room for more"
    assert why == [pushed_out, *["it did not say within 1 s what it wants"] * 7]


# --- by files --------------------------------------------------------------------------------------------------------


async def test_who_changes_the_file_on_its_way_back_achieves_nothing(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1")
    async with running(company.office) as [office]:
        ticket = await invite(office, seat("12-3"))

        def redeem(raw: bytes) -> bytes:
            return TicketBook(office.folder, office.log, system_ms()).answer(raw, "file")

        request = await trio.to_thread.run_sync(request_file, ticket, tmp_path / "till")
        answer = await office.state(lambda: redeem(request))
        with office.log.read() as reader:
            entries = [stored.entry.raw for stored in reader.arrivals(0, 1000)]
    good = certificate_file(answer, entries, ticket.secret, request)
    settings = Settings(LOOPBACK, multicast=False)
    for bad in (good[:-1], good[:40] + b"\x00" + good[41:], good[:-40] + bytes(40), b"", b"\x80"):
        with pytest.raises(EnrolmentRefused):
            await trio.to_thread.run_sync(join_by_file, bad, tmp_path / "till", settings)
    empty = certificate_file(answer, [], ticket.secret, request)
    with pytest.raises(EnrolmentRefused, match="roster in this file does not know"):
        await trio.to_thread.run_sync(join_by_file, empty, tmp_path / "till", settings)
    folder = await trio.to_thread.run_sync(join_by_file, good, tmp_path / "till", settings)
    async with running(folder) as [till]:
        assert await sell(till) == "12-3-a1-1"


def test_what_a_person_asked_for_can_be_printed_without_the_secret(tmp_path: Path) -> None:
    ticket = Ticket(certificates.Company(b"c" * 16), certificates.Author(b"o" * 8), "12-3", b"s" * 20)
    assert "sss" not in repr(Wanted(ticket, tmp_path, Settings(LOOPBACK)))
