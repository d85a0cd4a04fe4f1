"""Whom the replicas do not take in."""

from __future__ import annotations

import datetime
import shutil
from pathlib import Path

import trio

from crdt_pos.folder import Folder, Settings, open_folder
from crdt_pos.journal import journal_document
from gossip.address import Address
from gossip.document import day_number
from gossip.entry import FeedId
from gossip.reasons import Reason
from tests.system.shops import DATE, MILK, ON_LOOPBACK, Shops, alone, reading, records, refusal, refused, run, run_apart
from tests.system.single import single
from tools.cable import LOOPBACK
from tools.liar import tell as offer
from tools.town import Town


def test_a_till_of_another_company_is_refused_with_a_reason_on_both_sides_and_learns_nothing(
    shops: Shops, tmp_path: Path
) -> None:
    ports = [shops.port("12-1"), shops.port("office")]
    # On the same loopback multicast, and dialling two of ours besides.
    settings = Settings(ON_LOOPBACK.listen, tuple(Address(LOOPBACK, port) for port in ports), interfaces=(LOOPBACK,))
    town = Town.found(tmp_path, "Others", records(12), 1, settings)
    others = Shops(town, {"12-1": town.tills[12, 1]})
    documents = _documents(others.folders["12-1"])
    try:
        others.start("12-1")
        others.call("12-1", "open", date=DATE)
        others.until(lambda: len(others.connections("12-1")["unreachable"]) == 2, "both have answered")
        for why in others.connections("12-1")["unreachable"].values():
            assert "belongs to another company" in why or "we belong to another company" in why
        for name in ("12-1", "office"):
            shops.until(lambda name=name: "refused a connection" in shops.said(name), f"{name} says so")
            assert ": it belongs to another company" in shops.said(name) or (
                "we belong to another company" in shops.said(name)
            )
        # Everyone goes on, each with their own.
        assert others.peers("12-1") == set()
        assert shops.sell("12-1", MILK)["due_minor"] == 119
        shops.together()
    finally:
        others.close()
    assert _documents(others.folders["12-1"]) - documents <= {f"journal/12/{DATE}", "vault/12/1"}
    with reading(shops.folders["12-1"]) as reader:
        assert not reader.heads(FeedId(journal_document(12, TODAY), others.folders["12-1"].certificate.author))
    shops.agreed()


def test_a_second_process_on_a_folder_is_refused_while_the_first_runs(shops: Shops) -> None:
    folder = shops.folders["12-1"]
    said = refusal("till", "run", "--at", folder.path)
    assert said.startswith("12-1 is running (process ")
    assert said.endswith("stop it first.")
    assert shops.sell("12-1", MILK)["due_minor"] == 119


def test_a_copied_folder_does_not_run(shops: Shops, tmp_path: Path) -> None:
    shops.stop("12-1")
    shutil.copytree(shops.folders["12-1"].path, tmp_path / "copy", ignore=shutil.ignore_patterns("local.sock"))
    said = refused(run_apart("till", "run", "--at", tmp_path / "copy"))
    assert "copy" in said
    assert "crdt-pos till enrol" in said
    # To look at it is no harm.
    assert run("verify", "--at", tmp_path / "copy").returncode == 0


def test_a_copied_office_says_how_to_make_a_further_one(tmp_path: Path) -> None:
    town = Town.found(tmp_path, "Corner Shops", records(12), 0, alone())
    shutil.copytree(town.office.path, tmp_path / "copy")
    assert "crdt-pos office add" in refusal("office", "run", "--at", tmp_path / "copy")


def test_a_new_tills_folder_can_be_carried_to_its_machine_once(tmp_path: Path) -> None:
    town = Town.found(tmp_path, "Corner Shops", records(12), 1, alone())
    made = town.tills[12, 1].path
    shutil.copytree(made, tmp_path / "machine")
    with single(open_folder(tmp_path / "machine")) as till:
        till.call("open", date=DATE)
        assert till.sell()["number"] == "12-1-a1-1"
    shutil.copytree(tmp_path / "machine", tmp_path / "another")
    assert "copy" in refusal("till", "run", "--at", tmp_path / "another")


def test_somebody_who_dials_with_the_replicas_own_key_is_turned_away(shops: Shops) -> None:
    peers = shops.peers("12-1")
    ended = trio.run(offer, shops.folders["12-1"], shops.port("12-1"), [])
    assert ended is not None
    assert ended.reason is Reason.SELF
    shops.until(lambda: "no session with 12-1" in shops.said("12-1"), "12-1 says so")
    assert "you are me, or a copy of me" in shops.said("12-1")
    assert shops.peers("12-1") == peers


TODAY = day_number(datetime.date.fromisoformat(DATE))


def _documents(folder: Folder) -> set[str]:
    with reading(folder) as reader:
        return {str(document) for document in reader.documents()}
