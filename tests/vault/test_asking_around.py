"""A lost till is brought back from any replica that runs: one that holds nothing of it says where others are."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from crdt_pos import enrolment
from crdt_pos.clock import system_ms
from crdt_pos.folder import SETTINGS
from crdt_pos.guardians import guardians_of
from crdt_pos.looking import look
from crdt_pos.schema import VAULT
from gossip.document import Document
from tests.system.figures import sell
from tests.system.shops import alone, records, refusal, run
from tools.cabled import KIT, OFFICE, Cabled

STORES = (12, 13, 14, 15)
OPTIONS = ("--listen", "127.0.0.1:0", "--no-multicast")


def test_a_lost_till_comes_back_from_a_till_that_holds_nothing_of_it_but_knows_where_others_are(tmp_path: Path) -> None:
    with Cabled.found(tmp_path, "Corner Shops", records(*STORES), 1) as town:
        with look(town.folders[OFFICE].path) as looked:
            guarding = guardians_of(12, looked.directory)
        (stranger,) = (f"{store}-1" for store in STORES if store not in (12, *guarding))
        with (town.folders["12-1"].path / SETTINGS).open("a") as settings:
            settings.write("vault_every_s = 1\n")
        town.start(OFFICE, "12-1", stranger)
        town.together("12-1", stranger, OFFICE)
        numbers = [_sold(town, cents) for cents in (100, 200, 300)]
        town.until(partial(_all_outside, town), "12-1 knows that all is safe outside")
        with look(town.folders[stranger].path) as looked, looked.log.read() as reader:
            assert Document(VAULT, keys=(12, 1)) not in list(reader.documents(VAULT))
        town.burn("12-1")

        new = tmp_path / "new"
        known = str(town.port(stranger))
        asked = (
            "recover",
            "till",
            "12-1",
            "--at",
            new,
            "--kit",
            town.safe / KIT,
            "--from",
            f"127.0.0.1:{known}",
            *OPTIONS,
        )
        assert "with --office" in refusal(*asked)
        enrolment.enrol_till(town.folders[OFFICE], 12, 1, new, alone(), system_ms(), again=True)
        done = run(*asked, "--json")
        assert done.returncode == 0, done
        found = json.loads(done.stdout)
        assert found["heard"] == sorted({stranger, OFFICE})
        assert (found["receipts"], found["missing"], found["complete"]) == (len(numbers), 0, True)
        text = " ".join(run(*asked).stdout.split())
        assert "Store 12 has 12-1 a2 again, with 3 receipts" in text
        assert "Nothing is known to be missing" in text


def _sold(town: Cabled, cents: int) -> str:
    if town.call("12-1", "status")["business_date"] is None:
        town.call("12-1", "open", date="2026-11-20")
    return sell(town, "12-1", cents)


def _all_outside(town: Cabled) -> bool:
    outside = town.call("12-1", "status")["outside"]
    return bool(outside["until_ms"]) and not outside["waiting"]
