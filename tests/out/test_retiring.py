"""A living till moves to another store: real processes; what it did is with others before its key is destroyed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crdt_pos.balance import Balance
from crdt_pos.directory import load_directory
from crdt_pos.local import LocalRefused
from tests.system.shops import DATE, Shops, reading, refusal, run

MEMBER = b"member-1"


def test_a_till_moves_to_another_store_and_leaves_everything_to_those_who_stay(tmp_path: Path) -> None:
    shops = Shops.found(tmp_path)
    try:
        shops.start("12-1")
        at = ["--at", shops.folders["12-1"].path, "--office", shops.folders["office"].path]
        into = tmp_path / "till-13-7"
        nobody = refusal("till", "move", "12-1", *at, "--to-store", 13, "--till", 7, "--into", into)
        assert "Nobody is in reach" in nobody
        shops.start("office", "12-2")
        shops.until(lambda: shops.peers("12-1") >= {"office-a", "12-2"}, "12-1 has sessions")
        shops.until(lambda: shops._knows_the_products("12-1"), "12-1 has the catalogue")
        shops.call("12-1", "open", date=DATE)
        shops.sell("12-1", quantity=300, member=MEMBER.hex())
        assert "in store 12 already" in refusal("till", "move", "12-1", *at, "--to-store", 12, "--into", into)
        moved = run("till", "move", "12-1", *at, "--to-store", 13, "--till", 7, "--into", into)
        assert moved.returncode == 0, moved
        assert f"Closed {DATE}." in moved.stdout
        assert "It lives on as 13-7, life a1" in moved.stdout
        # Its takings, its journal and its rights are with those who stay.
        shops.until(lambda: shops.takings("office").get("12-1") == 300 * 119, "the office has its day")
        assert shops.takings("12-2")["12-1"] == 300 * 119
        heir = shops.folders["12-2"].certificate.author
        with reading(shops.folders["12-2"]) as reader:
            assert Balance.read(reader, "points", MEMBER).redeemable(heir).here > 300
        old = shops.folders["12-1"]

        def is_out() -> bool:
            with reading(shops.folders["12-2"]) as reader:
                directory = load_directory(reader, old.root)
            return not directory.takes_part(old.certificate.author)

        shops.until(is_out, "its neighbour knows that it takes part no more")
        shops.until(lambda: "12-1" not in shops.peers("12-2"), "its sessions have ended")
        # Nothing is signed any more, and nothing runs from its folder.
        assert not (old.path / "key.pem").exists()
        assert json.loads((old.path / "retired.json").read_text())["replica"] == "12-1"
        assert "12-1 a1 is retired" in shops.call("12-1", "status")["trouble"]
        with pytest.raises(LocalRefused, match="signs nothing"):
            shops.sell("12-1")
        shops.stop("12-1")
        assert "retired and its key destroyed" in refusal("till", "run", "--at", old.path)
        again = refusal("till", "retire", "12-1", "--office", shops.folders["office"].path)
        assert "no till 12-1" in again
    finally:
        shops.close()
