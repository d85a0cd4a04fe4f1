"""A till's disk is set back and it starts again, in real processes: noticed, healed, and no number is used twice."""

from __future__ import annotations

import shutil
from pathlib import Path

from crdt_pos.folder import open_folder
from tests.system.set_back import MEMBER, Shop, shop
from tests.system.shops import refusal
from tests.system.single import single
from tools.cabled import OFFICE

__all__ = ["shop"]


def test_a_disk_that_is_set_back_in_its_place_is_noticed_and_healed(shop: Shop) -> None:
    shop.sell("12-2", member=MEMBER)
    shop.image("12-2")
    for _ in range(3):
        shop.sell("12-2", member=MEMBER)
    shop.town.together()
    shop.safe("12-2")
    for other in (OFFICE, "12-1"):
        shop.town.sever("12-2", other)
    shop.town.until(lambda: not shop.town.peers("12-2"), "cut off")
    for _ in range(2):
        shop.sell("12-2", known=False)  # on paper, and nowhere else
    shop.set_back("12-2")
    database = shop.database("12-2")
    for other in (OFFICE, "12-1"):
        shop.town.mend("12-2", other)
    shop.town.start("12-2")
    after = shop.sell_when_it_may("12-2", member=MEMBER)
    (said,) = shop.healed("12-2")
    assert "set back" in said
    assert "numbers were left out" in said
    assert shop.trouble("12-2") == ""
    assert int(after["number"].rpartition("-")[2]) > 1_000
    assert shop.database("12-2") != database  # how far peers have read in the old log says nothing of this one
    balance = shop.town.call("12-2", "redeemable", account=MEMBER)
    assert balance["here"] == balance["company"] == 5
    shop.town.together()
    shop.safe("12-2")
    for name in ("12-1", "12-2"):
        shop.sell(name)
    shop.safe("12-2")
    shop.agree()


def test_a_till_that_can_ask_nobody_what_it_wrote_sells_all_the_same_and_says_so(shop: Shop) -> None:
    before = int(shop.sell("12-1")["number"].rpartition("-")[2])
    shop.safe("12-1")
    shop.town.stop(OFFICE)
    shop.town.stop("12-2")
    shop.town.kill("12-1")
    shop.town.start("12-1")
    assert shop.sell("12-1")["number"] == f"12-1-a1-{before + 1}"
    assert shop.trouble("12-1").startswith("Nobody could be asked yet")
    shop.town.start(OFFICE, "12-2")
    shop.town.until(lambda: not shop.trouble("12-1"), "asked")
    assert shop.healed("12-1") == []
    assert shop.sell("12-1")["number"] == f"12-1-a1-{before + 2}"


def test_a_restored_copy_of_a_folder_goes_on_when_a_person_says_so(shop: Shop, tmp_path: Path) -> None:
    shop.sell("12-2", member=MEMBER)
    healed = len(shop.healed("12-2"))
    folder = shop.town.folders["12-2"].path
    assert shop.town.stop("12-2") == 0
    shutil.copytree(folder, tmp_path / "backup", ignore=shutil.ignore_patterns("local.sock"))
    shop.town.start("12-2")
    shop.town.together()
    shop.sell("12-2")
    shop.town.call("12-2", "close")
    shop.safe("12-2")
    shop.town.kill("12-2")
    folder.rename(tmp_path / "dead")
    shutil.copytree(tmp_path / "backup", folder)
    assert "--restored" in refusal("till", "run", "--at", folder)
    with single(open_folder(folder), options=["--restored"]) as till:
        shop.town.until(lambda: len(till.call("status")["healed"]) > healed, "healed")
        assert "restored copy" in till.call("status")["healed"][-1]
        assert till.call("status")["business_date"] is None  # that it was closed has come back, too
        till.call("open", date="2026-11-21")
        receipt = till.sell()
        assert receipt["number"] not in shop.printed
    with single(open_folder(folder)) as till:  # once is enough
        assert len(till.call("status")["healed"]) == healed + 1
        assert till.sell()["number"] not in {*shop.printed, receipt["number"]}
    shop.town.start("12-2")
