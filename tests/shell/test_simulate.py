"""A simulated run in the shell: any moment of it, and every command on any of its replicas."""

from __future__ import annotations

import re

import pytest

from crdt_pos.cli import Refused
from crdt_pos.shell import Replica
from tools.simulate_shell import Stepping
from tools.simulation.plan import Plan
from tools.simulation.run import run

SMALL = "--events 12 --stores 1 --tills 2 --offices 1"
PLAN = Plan(3, 12, 1, 2, 1)


def test_a_run_in_steps_is_the_run_itself() -> None:
    stepping = Stepping(PLAN)
    while not stepping.over:
        stepping.step()
    assert stepping.verdict == run(PLAN)


def test_any_moment_is_reached_forward_and_back_and_is_the_same_each_time(till: Replica) -> None:
    early = till.simulate(3, at="12", plan=SMALL)
    assert not early["over"]
    assert early["virtual_ms"] >= 12_000
    late = till.simulate(3, at="20.5", plan=SMALL)
    assert late["virtual_ms"] >= 20_500
    assert sum(one["arrivals"] for one in late["replicas"]) >= sum(one["arrivals"] for one in early["replicas"])
    assert till.simulate(3, at="12", plan=SMALL) == early
    on = till.simulate(3, step=5, plan=SMALL)
    assert on["virtual_ms"] > early["virtual_ms"]
    assert late["command"] == f"crdt-pos simulate --seed 3 {SMALL}"


def test_every_command_answers_on_any_replica_and_compares_with_another(till: Replica) -> None:
    there = till.simulate(3, at="40", on="1-1", ask="status", plan=SMALL)
    assert there["answer"]["replica"] == "1-1"
    documents = till.simulate(3, at="40", on="1-1", ask="documents", plan=SMALL)["answer"]["documents"]
    assert "roster" in {one["name"] for one in documents}
    office = till.simulate(3, at="40", on="1-1", ask="diff office-a", plan=SMALL)["answer"]
    assert office["names"] == ["1-1", "office-a"]


def test_a_run_goes_on_to_where_something_is_wrong(till: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = till.simulate(3, plan=SMALL)
    assert (wrong["over"], wrong["wrong"]) == (True, [])
    monkeypatch.setattr("tools.simulation.shopping.at_a_till", _breaks)
    broken = till.simulate(3, plan=SMALL)
    assert broken["wrong"] == ["broke down: ArithmeticError: the sum is wrong"]
    assert till.simulate(3, step=1, on="1-1", ask="documents", plan=SMALL)["answer"]["documents"]


def _breaks(_world: object) -> None:
    raise ArithmeticError("the sum is wrong")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"seed": "x"}, "is no seed"),
        ({"seed": 3, "at": "soon"}, "is no moment"),
        ({"seed": 3, "plan": "--lies 3"}, "is no option of a run"),
        ({"seed": 3, "ask": "status"}, "Say --on which replica"),
        ({"seed": 3, "at": "1", "plan": SMALL, "on": "9-9", "ask": "status"}, "There is no replica 9-9 in this run"),
        ({"seed": 3, "at": "1", "plan": SMALL, "on": "1-1", "ask": "xyzzy"}, "There is no command 'xyzzy'"),
    ],
)
def test_what_cannot_be_run_is_said_in_a_sentence(till: Replica, given: dict[str, object], why: str) -> None:
    with pytest.raises(Refused, match=re.escape(why)):
        till.simulate(**given)
