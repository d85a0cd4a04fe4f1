"""What a shopkeeper types, on both sides: real processes, killed where it hurts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from crdt_pos.clock import system_ms
from crdt_pos.company_keys import CompanyKeys
from crdt_pos.enrolment import add_store, create_company
from crdt_pos.folder import Folder, open_folder
from crdt_pos.kit import write_kit
from crdt_pos.looking import look
from crdt_pos.ticket_book import State, find
from crdt_pos.tickets import Outcome, Ticket, decode_answer, make_request
from gossip import doorbell
from gossip.address import Address
from peers.keys import SecretKey
from peers.roster import StoreRecord
from tests.system.shops import Done, refused, run, run_apart
from tools.cable import LOOPBACK
from tools.town import Process, Town, loopback_settings

ALONE = ("--listen", f"{LOOPBACK}:0", "--no-multicast")


class Headquarters:
    """A company's head office with its kit; it runs or not."""

    def __init__(self, at: Path) -> None:
        self.at = at
        self.keys = CompanyKeys.generate()
        self.office = create_company("Corner Shops", at / "office", loopback_settings(), system_ms(), self.keys)
        add_store(self.office, StoreRecord(12, legal_entity="Corner Shops Ltd"), system_ms())
        self.town = Town(at, self.office, self.keys)

    def start(self, folder: Folder, role: str = "office") -> Process:
        process = Process(role, [folder])
        process.start()
        self.town.processes.append(process)
        self.town.wait(lambda: self.town.is_up(folder), f"Starting the {role}")
        return process

    def kill(self, process: Process) -> None:
        self.town.hang_up(process.folders[0])
        process.kill()
        self.town.processes.remove(process)

    def invite(self, *words: object) -> Ticket:
        return Ticket.parse(str(said("invite", "--at", self.office.path, *words)["ticket"]))

    def listed(self) -> dict[str, Any]:
        return said("invite", "--at", self.office.path, "--list")


def said(*words: object) -> dict[str, Any]:
    """What a command prints as JSON."""
    done = well(run(*words, "--json"))
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def well(done: Done) -> Done:
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture
def headquarters(tmp_path: Path) -> Iterator[Headquarters]:
    made = Headquarters(tmp_path)
    try:
        yield made
    finally:
        made.town.stop()


def ring(where: Address, request: bytes) -> bytes:
    return trio.run(doorbell.ring, where, request, 20.0)


def test_from_a_ticket_to_the_first_receipt_and_refused_when_it_is_used_again(headquarters: Headquarters) -> None:
    headquarters.start(headquarters.office)
    picture = headquarters.at / "ticket.png"
    ticket = headquarters.invite("--store", 12, "--till", 3, "--png", picture)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_mode & 0o077 == 0
    done = well(run_apart("join", ticket.text(), "--at", headquarters.at / "till", *ALONE))
    assert f"Next: crdt-pos till run --at {headquarters.at / 'till'}" in done.stdout
    assert "asking to be let in" in done.stderr or "taking in" in done.stderr
    till = open_folder(headquarters.at / "till")
    headquarters.start(till, "till")
    headquarters.town.client(till).call("open")
    receipt = headquarters.town.client(till).call(
        "sell", lines=[{"product": 0, "name": "Bread", "unit_price_minor": 250}]
    )
    assert receipt["receipt"]["number"] == "12-3-a1-1"
    sentence = refused(run("join", ticket.text(), "--at", headquarters.at / "thief", *ALONE))
    assert sentence == "This ticket was used already, by another machine: ask for a new one."
    (listed,) = headquarters.listed()["tickets"]
    assert (listed["state"], listed["joined_as"]) == ("used", {"name": "12-3", "life": "a1"})
    assert [one["outcome"] for one in listed["attempts"]] == ["admitted", "used"]
    # A ticket that is taken back, and a head office, which the running one never gets to see the root key for.
    taken_back = headquarters.invite("--store", 12, "--till", 4)
    well(run("invite", "--at", headquarters.office.path, "--withdraw", taken_back.id.hex()))
    sentence = refused(run("join", taken_back.text(), "--at", headquarters.at / "late", *ALONE))
    assert sentence == "This ticket was withdrawn: ask for a new one."
    kit, second = headquarters.at / "kit.txt", headquarters.at / "second"
    write_kit(kit, headquarters.office.root, headquarters.keys)
    office = headquarters.invite("--office")
    sentence = refused(run("join", office.text(), "--at", second, "--wait", 1, *ALONE))
    assert "waits to be admitted with the root key" in sentence
    other = headquarters.invite("--office")
    refused(run("join", other.text(), "--at", headquarters.at / "third", "--wait", 1, *ALONE))
    admit = ("admit", "--at", headquarters.office.path, "--kit", kit)
    assert refused(run(*admit)).startswith("2 head offices wait")
    assert "office-b" in well(run(*admit, "--ticket", office.id.hex())).stdout
    well(run("join", office.text(), "--at", second, *ALONE))
    assert open_folder(second).certificate.name == "office-b"


def test_an_office_that_is_killed_once_it_has_redeemed_gives_the_same_certificate_when_asked_again(
    headquarters: Headquarters,
) -> None:
    running = headquarters.start(headquarters.office)
    ticket, key = headquarters.invite("--store", 12, "--till", 3), SecretKey.generate()
    request = make_request(ticket, key)

    async def ask_and_not_listen() -> None:
        where = ticket.addresses[0]
        async with await trio.open_tcp_stream(where.host, where.port) as stream:
            await stream.send_all(doorbell.WORD + len(request).to_bytes(4, "big") + request)
            await trio.to_thread.run_sync(headquarters.town.wait, lambda: state() is State.USED, "Redeeming", 60.0)
            headquarters.kill(running)

    def state() -> State:
        with look(headquarters.office.path) as looked, looked.log.read() as reader:
            issued = find(reader, ticket.id)
            return State.OPEN if issued is None else issued.state

    trio.run(ask_and_not_listen)
    headquarters.start(headquarters.office)
    where = Address(
        LOOPBACK, int(headquarters.town.client(headquarters.office).call("status")["listening"].rpartition(":")[2])
    )
    answer = decode_answer(ring(where, request), ticket.secret, request)
    assert answer is not None
    assert answer.outcome is Outcome.ADMITTED
    with look(headquarters.office.path) as looked:
        (life,) = looked.directory.tills(12)
    assert (life.der, life.public_key) == (answer.chain[0], key.public)


def test_by_files_with_the_same_checks(headquarters: Headquarters, tmp_path: Path) -> None:
    """The office does not run, and there is no network."""
    ticket = headquarters.invite("--store", 12, "--till", 3)
    request, certificate, at = tmp_path / "till.request", tmp_path / "till.certificate", tmp_path / "till"
    office = headquarters.office.path
    well(run("join", ticket.text(), "--request", request, "--at", at))
    assert refused(run("join", "--certificate", request, "--at", at)).startswith("This is no certificate's file")
    well(run("admit", request, "--at", office, "--out", certificate))
    assert not at.exists()
    well(run("join", "--certificate", certificate, "--at", at, *ALONE))
    assert open_folder(at).certificate.name == "12-3"
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".joining")] == []
    # Used twice.
    well(run("join", ticket.text(), "--request", tmp_path / "again", "--at", tmp_path / "thief"))
    sentence = refused(run("admit", tmp_path / "again", "--at", office, "--out", tmp_path / "none"))
    assert sentence.startswith("This ticket was used already")
    # Of another company; and nobody began there.
    other = Headquarters(tmp_path / "other")
    sentence = refused(run("admit", tmp_path / "again", "--at", other.office.path, "--out", tmp_path / "none"))
    assert "belongs to another company than this ticket" in sentence
    assert [one["outcome"] for one in other.listed()["strangers"]] == ["other company"]
    assert refused(run("join", "--certificate", certificate, "--at", tmp_path / "x")).startswith("Nothing was begun")
    assert not (tmp_path / "none").exists()


def test_a_second_head_office_by_files_and_a_ticket_that_only_its_issuer_redeems(
    headquarters: Headquarters, tmp_path: Path
) -> None:
    kit = tmp_path / "kit.txt"
    write_kit(kit, headquarters.office.root, headquarters.keys)
    ticket = headquarters.invite("--office")
    request, certificate, second = tmp_path / "request", tmp_path / "certificate", tmp_path / "second"
    well(run("join", ticket.text(), "--request", request, "--at", second))
    well(run("admit", request, "--at", headquarters.office.path, "--out", certificate, "--kit", kit))
    well(run("join", "--certificate", certificate, "--at", second, *ALONE))
    assert open_folder(second).certificate.name == "office-b"
    till = headquarters.invite("--store", 12, "--till", 3)
    well(run("join", till.text(), "--request", tmp_path / "till", "--at", tmp_path / "12-3"))
    sentence = refused(run("admit", tmp_path / "till", "--at", second, "--out", tmp_path / "none"))
    assert sentence == ("This ticket was issued by office-a, which alone can redeem it: admit the request there.")


def test_what_a_person_says_wrongly_is_one_sentence(headquarters: Headquarters, tmp_path: Path) -> None:
    office = headquarters.office.path
    for words, why in (
        ((), "Say who joins"),
        (("--till", 3), "Say who joins"),
        (("--store", 12, "--till", 3, "--relay", 1), "Say who joins"),
        (("--store", 12, "--till", 3, "--expires", "soon"), "'soon' is no time"),
        (("--store", 12, "--till", 3, "--expires", "91d"), "A ticket is good for"),
        (("--store", 13, "--till", 3), "There is no store 13"),
        (("--withdraw", "12"), "'12' is no ticket's id"),
        (("--withdraw", "00" * 8), "There is no ticket 0000000000000000"),
    ):
        assert refused(run("invite", "--at", office, *words)).startswith(why)
    assert refused(run("join", "CRDTPOS-AAAA", "--at", tmp_path / "x")).startswith("This ticket is not whole")
    assert refused(run("join", "--at", tmp_path / "x")).startswith("Say which TICKET")
    assert refused(run("admit", "--at", office)).startswith("No head office waits here")
    (tmp_path / "empty").touch()
    sentence = refused(run("admit", tmp_path / "empty", "--at", office, "--out", tmp_path / "y"))
    assert "is no request" in sentence
