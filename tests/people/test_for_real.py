"""Cashiers and persons in real processes: a head office, two tills and the back office of store 12, on the loopback interface."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from textual.widgets import Input

from crdt_pos import enrolment
from crdt_pos.clock import system_ms
from crdt_pos.counter_dialogs import Ask
from crdt_pos.counter_screen import CounterScreen
from crdt_pos.local import LocalRefused
from crdt_pos.persons import PERSON_KEY, Keyring, key_document
from gossip.log import entries_of
from merge_rules.register_lww import RegisterLww
from tests.counter.test_screen import Cashier
from tests.system.shops import DATE, ON_LOOPBACK, Shops, reading, refusal, run
from tools.town import Process

ANNA = b"member-1"
PHONE = "+491701234567"
EVERYONE = ("office", "12-1", "12-2", "12-m1")


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shops]:
    """Everyone runs; 12-m1 is the back office."""
    shops = Shops.found(tmp_path_factory.mktemp("people"))
    del shops.folders["13-1"]
    path = shops.town.office.path.parent / "manager-12"
    made = enrolment.enrol_manager(shops.town.office, 12, 1, path, ON_LOOPBACK, system_ms())
    shops.folders["12-m1"] = made
    process = shops.processes["12-m1"] = Process("manager", [made])
    process.start()
    shops.start("office", "12-1", "12-2")
    shops.until(lambda: shops.town.is_up(made), "12-m1 is up")
    shops.until(lambda: {peer["peer"] for peer in status(shops)["sessions"]} >= {"12-1", "12-2"}, "12-m1 has sessions")
    shops.together()
    yield shops
    shops.close()


def status(shops: Shops) -> dict[str, Any]:
    return shops.call("12-m1", "connections")


def at(shops: Shops, name: str) -> Path:
    return shops.folders[name].path


def done(*words: object) -> str:
    """What a command says that must succeed."""
    finished = run(*words)
    assert finished.returncode == 0, finished
    return finished.stdout


def cashiers(shops: Shops, name: str) -> dict[str, dict[str, Any]]:
    listed = json.loads(done("cashier", "list", "--json", "--store", 12, "--at", at(shops, name)))
    return {one["cashier"]: one for one in listed["cashiers"]}


def signs_on(shops: Shops, name: str, cashier: str, pin: str) -> bool:
    try:
        return bool(shops.call(name, "sign_on", cashier=cashier, pin=pin))
    except LocalRefused:
        return False


def test_cashiers_from_head_office_to_the_verified_receipt(shops: Shops) -> None:
    eva = ("--manager", "eva", "--manager-pin", "9999")
    done("cashier", "add", "eva", "--role", "manager", "--pin", "9999", "--store", 12, "--at", at(shops, "office"))
    shops.until(lambda: "eva" in cashiers(shops, "12-1"), "12-1 knows eva")
    assert "at a head office" in refusal("cashier", "add", "bert", "--pin", "1111", "--at", at(shops, "12-1"))
    done("cashier", "add", "anna", "--pin", "1234", *eva, "--at", at(shops, "12-1"))
    done("cashier", "add", "carl", "--pin", "2468", "--at", at(shops, "12-m1"))  # the back office's word is enough
    shops.until(lambda: set(cashiers(shops, "12-2")) == {"eva", "anna", "carl"}, "12-2 knows all three")
    with pytest.raises(LocalRefused, match="sign on with your id and PIN"):
        shops.call("12-1", "open", date=DATE)
    shops.until(lambda: signs_on(shops, "12-1", "anna", "1234"), "anna signs on at 12-1")
    shops.until(lambda: signs_on(shops, "12-2", "carl", "2468"), "carl signs on at 12-2")
    for till in ("12-1", "12-2"):
        shops.call(till, "open", date=DATE)
    assert shops.sell("12-1")["cashier"] == "anna"
    assert shops.sell("12-2")["cashier"] == "carl"
    # With no network at all: 12-1 alone.
    for name in ("office", "12-2", "12-m1"):
        shops.stop(name)
    done("cashier", "reset", "anna", "--pin", "5678", *eva, "--at", at(shops, "12-1"))
    with pytest.raises(LocalRefused, match="sign on with your id and PIN"):
        shops.sell("12-1")
    with pytest.raises(LocalRefused, match="Wrong PIN for anna"):
        shops.call("12-1", "sign_on", cashier="anna", pin="1234")
    assert cashiers(shops, "12-1")["anna"]["wrong_pins"] == 1
    shops.call("12-1", "sign_on", cashier="anna", pin="5678")
    shops.sell("12-1")
    shops.start("office", "12-2")
    shops.processes["12-m1"].start()
    shops.until(lambda: signs_on(shops, "12-2", "anna", "5678"), "anna signs on at 12-2 with the new PIN")
    shops.until(lambda: verified(shops, "12-m1")["receipts_signed"] == 5, "the back office holds every receipt")


def test_a_cashier_signs_on_at_the_screen(shops: Shops) -> None:
    async def at_the_screen() -> None:
        app = CounterScreen(at(shops, "12-2"))
        async with app.run_test(size=(100, 30)) as pilot:
            cashier = Cashier(app, pilot)
            await cashier.choose("s")
            await cashier.answer("anna")
            await cashier.until(lambda: isinstance(app.screen, Ask))
            assert app.screen.query_one(Input).password
            await cashier.answer("0000")
            await cashier.until(lambda: "Wrong PIN for anna" in cashier.said())
            await cashier.choose("s")
            await cashier.answer("anna")
            await cashier.answer("5678")
            await cashier.until(lambda: "anna has signed on" in cashier.said())

    asyncio.run(at_the_screen())
    listed = json.loads(done("cashier", "list", "--json", "--at", at(shops, "12-2")))
    assert listed["on_duty"] == "anna"


def verified(shops: Shops, name: str) -> dict[str, Any]:
    """What ``verify`` reports; nothing must be found."""
    report = cast("dict[str, Any]", json.loads(done("verify", "--json", "--at", at(shops, name))))
    assert report["findings"] == []
    return report


def in_file(shops: Shops, name: str, secrets: list[bytes]) -> bool:
    """Whether any of these bytes is in any file of a folder."""
    files = [file.read_bytes() for file in at(shops, name).rglob("*") if file.is_file()]
    return any(secret in content for content in files for secret in secrets)


def knows(shops: Shops, name: str) -> bool:
    shown = run("person", "show", PHONE, "--json", "--at", at(shops, name))
    return shown.returncode == 0 and json.loads(shown.stdout)["name"] == "Anna Berg"


def test_an_erased_person_is_in_no_byte_of_any_replica_even_of_one_that_comes_back(shops: Shops) -> None:
    shops.call("12-1", "sign_on", cashier="eva", pin="9999")
    done("person", "set", ANNA.hex(), "--name", "Anna Berg", "--phone", PHONE, "--at", at(shops, "12-1"))
    shops.sell("12-1", member=ANNA.hex())
    for name in EVERYONE:
        shops.until(lambda name=name: knows(shops, name), f"{name} knows who she is")
    with reading(shops.folders["office"]) as reader:
        (entry,) = [stored.entry for stored in entries_of(reader, key_document(ANNA))]
    keyring = Keyring.from_body(RegisterLww.from_entry(entry.author, entry.seq, entry.body).value())
    secrets = [keyring.key, *keyring.phones]
    assert all(in_file(shops, name, secrets) for name in EVERYONE)
    shops.stop("12-2")  # it is away, and holds everything
    assert "head office" in refusal("erase", PHONE, "--at", at(shops, "12-1"))
    done("erase", PHONE, "--at", at(shops, "office"))
    for name in ("office", "12-1", "12-m1"):
        shops.until(lambda name=name: not in_file(shops, name, secrets), f"{name} has destroyed every byte")
    assert in_file(shops, "12-2", secrets)
    shops.start("12-2")
    shops.until(lambda: not in_file(shops, "12-2", secrets), "12-2 has destroyed every byte")
    shops.until(lambda: signs_on(shops, "12-2", "carl", "2468"), "12-2 takes up its work")
    shops.sell("12-2", member=ANNA.hex())
    assert "was erased" in refusal("person", "set", ANNA.hex(), "--name", "Anna", "--at", at(shops, "12-1"))
    for name in EVERYONE:
        verified(shops, name)
        assert not in_file(shops, name, secrets)
        with reading(shops.folders[name]) as reader:
            assert not list(reader.documents(PERSON_KEY))
