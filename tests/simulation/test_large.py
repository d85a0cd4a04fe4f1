"""The simulation of one day of a large retailer: it converges, its figures are right, and its checkers see what is wrong."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from random import Random
from typing import Any

import pytest
from click.testing import CliRunner

from crdt_pos.schema import DAY, JOURNAL, SCHEMA
from gossip.document import Document
from gossip.entry import Entry, sign, successor
from gossip.ingest import AuthorRecord
from gossip.log_memory import MemoryTable
from merge_rules.lattice import Author
from peers.keys import SIGNATURE_BYTES, SecretKey, Signature, author_of
from peers.permissions import Role
from tools.simulate import simulate
from tools.simulate_report import keep
from tools.simulation.large import checks
from tools.simulation.large.day import Done, run_day
from tools.simulation.large.layered import LayeredTable
from tools.simulation.large.plan import LargePlan
from tools.simulation.large.remembered import remembered
from tools.simulation.large.replica import Verifier
from tools.simulation.large.spreading import Spread, Spreading, ideal_rounds
from tools.simulation.large.world import LargeWorld
from tools.simulation.plan import Plan
from tools.simulation.shopping import account
from tools.simulation.world import World

KEY = SecretKey(bytes(32))
AUTHOR = author_of(KEY.public, "a1")


def entry(seq: int = 1) -> Entry:
    kind = SCHEMA[DAY]
    return sign(KEY, AUTHOR, Document(DAY, 20_000, (1,)), kind.feed, kind.scope, seq, seq, {})


@pytest.fixture(scope="module")
def passed() -> tuple[LargeWorld, Done]:
    """Three stores, the first without its LAN for a while, with every fault there is."""
    world = LargeWorld(LargePlan(5, stores=2, tills=9, sales=1, deaths=0.1), lambda _: None)
    return world, run_day(world, lambda _: None)


# What is measured


def test_rounds_are_those_of_the_last_to_learn_and_time_counts_from_the_author_to_it() -> None:
    spreading, one = Spreading(lambda _: 5, 9), entry()
    spreading.has(0, one, None, 100)
    spreading.has(1, one, 0, 110)  # 0 → 1 → 2 → 3, and 0 → 4
    spreading.has(2, one, 1, 130)
    spreading.has(4, one, 0, 140)
    assert spreading.done == []
    spreading.has(2, one, 4, 150)  # it has it already
    spreading.has(3, one, 2, 190)
    assert spreading.done == [Spread(DAY, 5, rounds=3, born_ms=100, took_ms=90)]
    assert spreading.under_way == 0
    assert ideal_rounds(1024) == 10


def test_a_table_over_another_reads_as_one_table_and_leaves_the_other_alone() -> None:
    dice = Random(7)
    below, whole = MemoryTable(), MemoryTable()
    keys = [bytes([dice.randrange(1, 9), dice.randrange(1, 9)]) for _ in range(60)]
    for key in keys[:30]:
        below.put(key, b"below")
        whole.put(key, b"below")
    below.commit()
    over, before = LayeredTable(below), list(below.scan(b"", b"\xff"))
    for step in range(400):
        key = dice.choice(keys)
        if dice.random() < 0.6:
            over.put(key, b"%d" % step)
            whole.put(key, b"%d" % step)
        else:
            over.delete(key)
            whole.delete(key)
        if dice.random() < 0.2:
            for table in (over, whole):
                if step % 2:
                    table.commit()
                else:
                    table.abort()
        low, high = sorted(dice.choices(keys, k=2))
        assert list(over.scan(low, high)) == list(whole.scan(low, high))
        assert (over.get(key), over.floor(b"\1", key)) == (whole.get(key), whole.floor(b"\1", key))
    assert list(over.copy().scan(b"", b"\xff")) == list(whole.scan(b"", b"\xff"))
    assert list(below.scan(b"", b"\xff")) == before


def test_a_signature_is_checked_once_for_everyone_and_a_forged_one_never_passes() -> None:
    verifier, good = Verifier(), entry()
    forged = successor(good, 2, 2, good.body, None, Signature(bytes(SIGNATURE_BYTES)))

    def known(_author: Author) -> AuthorRecord:
        return AuthorRecord(KEY.public, Role.TILL, 1)

    for _ in range(2):
        checked = verifier.check([good, forged], AUTHOR, known)
        assert [one.entry for one in checked.arrivals] == [good]
        assert checked.forged == (forged,)
    assert verifier.asked == 2
    assert verifier.check([good], AUTHOR, lambda _: None).unknown == (good,)


# The day


def test_after_a_day_with_loss_dying_streams_and_a_cut_everyone_has_everything(passed: tuple[LargeWorld, Done]) -> None:
    world, done = passed
    assert checks.look(world, done) == []
    assert len(done.receipts) == 18
    assert world.network.lost > 10
    assert {one.replicas for one in world.spreading.done} == {9, 10, 19}
    assert max(one.rounds for one in world.spreading.done) <= 9


def test_a_price_reaches_every_till_of_a_whole_network_in_a_moment(passed: tuple[LargeWorld, Done]) -> None:
    price = next(one for one in passed[0].spreading.done if one.replicas == 19)
    assert price.took_ms < 2_000  # also those tills that stand by


def test_idle_sessions_schedule_nothing(passed: tuple[LargeWorld, Done]) -> None:
    world, _ = passed
    world.heap.run(world.heap.now_ms + 600_000)  # the last checkpoints
    before = world.heap.events
    world.heap.run(world.heap.now_ms + 600_000)
    assert world.heap.events == before


def test_the_checkers_see_a_wrong_cent_and_an_act_that_one_disk_lacks(passed: tuple[LargeWorld, Done]) -> None:
    world, done = passed
    number, (store, total_minor) = next(iter(done.receipts.items()))
    more = dataclasses.replace(done, receipts={**done.receipts, number: (store, total_minor + 1)})
    assert any(f"store {store}: the days say" in text for text in checks.look(world, more))
    missing = dataclasses.replace(done, receipts={**done.receipts, "1-1-a1-99": (1, 0)})
    assert any("1-1-a1-99 was given, and is written 0 times" in text for text in checks.look(world, missing))
    machine = world.tills[0]
    act = next(one for one in world.own[machine.disk.number] if one.document.kind == JOURNAL)
    feigned = dataclasses.replace(act, hash=entry(3).hash)
    world.own[machine.disk.number].append(feigned)
    assert any("has lost 1 of" in text for text in checks.look(world, done))
    world.own[machine.disk.number].remove(feigned)


def test_what_is_remembered_for_all_replicas_changes_nothing(passed: tuple[LargeWorld, Done]) -> None:
    world, done = passed
    with remembered():
        other = LargeWorld(world.plan, lambda _: None)
        same = run_day(other, lambda _: None)
        other.heap.run(world.heap.now_ms)
    assert same.receipts == done.receipts
    for name, machine in world.machines.items():
        with machine.disk.read_all() as one, other.machines[name].disk.read_all() as two:
            assert one.last_arrival() == two.last_arrival()
            assert list(one.views(b"")) == list(two.views(b""))
    assert [(one.rounds, one.took_ms) for one in other.spreading.done] == [
        (one.rounds, one.took_ms) for one in world.spreading.done
    ]


# The command


def run_of(replicas: int, more: str = "") -> dict[str, Any]:
    size = dict.fromkeys(("receipts", "messages_each", "bytes_each", "cpu_ms_each", "wall_s", "peak_mb"), 1.5)
    price = {"kind": "catalogue", "network": "whole", "rounds_max": 4, "seconds": 0.3, "exchange_s": 0.02}
    shares = {"share_of_ideal": 0.6, "seconds_share_of_ideal": 1.3}
    size["replicas"] = replicas
    command = f"crdt-pos simulate --stores {replicas}{more}"
    return {"command": command, "violations": [], "size": size, "spread": [price | shares], "targets": []}


def test_the_figures_of_runs_are_kept_beside_one_another_and_a_run_replaces_its_own(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    keep(tmp_path, [run_of(100), run_of(40, " --products 9")])
    again = run_of(100)
    again["size"]["receipts"] = 77
    keep(tmp_path, [again | {"violations": ["a cent is missing"]}, run_of(300) | {"revision": "0123abc"}])
    page = (tmp_path / "simulate.md").read_text()
    assert [line for line in page.splitlines() if line.startswith("## ")] == [
        "## 100 replicas",
        "## 300 replicas",
        "## 40 replicas",
    ]
    assert "| 100 | 77 |" in page
    assert "**WRONG: a cent is missing**" in page
    assert page.count(", at revision ") == page.count("`crdt-pos simulate --stores 300`, at revision 0123abc\n") == 1
    assert "| 40 | 1.5 |" not in page  # the growth is that of one kind of run
    assert "log₂ n exchanges, seconds" in (tmp_path / "simulate.svg").read_text()


def test_many_stores_need_a_number_of_sales_and_nonsense_is_refused_in_a_sentence() -> None:
    for words in (
        ["--seed", "1", "--stores", "500"],
        ["--stores", "many", "--sales", "1"],
        ["--seed", "1", "--tills", "20"],
    ):
        refused = CliRunner().invoke(simulate, words)
        assert refused.exit_code == 2, refused.output


# The smaller simulation


def test_a_till_that_waits_twice_for_rights_does_not_stop_the_clock() -> None:
    world = World(Plan(3, stores=1, tills=2, offices=1), lambda _: None)
    for machine in world.machines.values():
        world.start(machine)
    world.heap.run(10_000)
    machine = world.tills(running=True)[0]
    assert machine.replica is not None
    for deadline_ms in (1_000, 2_000):
        world.heap.spawn(machine.replica.borrow(account(1), 5, deadline_ms), machine.life)
    world.heap.run(world.heap.now_ms + 10_000)
    assert world.heap.events < 100_000
