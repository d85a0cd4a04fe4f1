"""Who costs much rests, while somebody is busy who has cost less."""

from __future__ import annotations

from gossip.fairness import CREDIT_S, OWED_S_MAX, REST_S_MAX, SHARE, USELESS, Fairness


def test_nobody_rests_while_nobody_else_is_busy() -> None:
    fairness = Fairness()
    for step in range(1000):
        fairness.charge("one", 0.01, step * 0.01, useful=False)
        assert fairness.rest_s("one", step * 0.01) == 0


def test_who_has_cost_more_than_its_share_rests_while_another_is_busy_and_not_for_long() -> None:
    fairness = Fairness()
    fairness.charge("one", 1.0, 0.0, useful=False)
    fairness.charge("other", 0.001, 0.0, useful=True)
    assert fairness.rest_s("one", 0.0) == REST_S_MAX
    assert fairness.rest_s("other", 0.0) == 0
    repaid_s = (OWED_S_MAX[False] - CREDIT_S) / SHARE
    fairness.charge("other", 0.001, repaid_s, useful=True)
    assert fairness.rest_s("one", repaid_s - 0.1) > 0
    assert fairness.rest_s("one", repaid_s + 0.001) == 0


def test_what_gives_no_entry_gets_a_sixteenth_of_the_time_beside_others_and_what_does_a_quarter() -> None:
    for useful, share in ((True, SHARE), (False, SHARE / USELESS)):
        fairness, now_s, worked_s = Fairness(), 0.0, 0.0
        while now_s < 60:
            fairness.charge("other", 1e-6, now_s, useful=True)
            if fairness.rest_s("greedy", now_s):
                now_s += 0.001
                continue
            fairness.charge("greedy", 0.001, now_s, useful=useful)
            now_s += 0.001
            worked_s += 0.001
        assert share <= worked_s / 60 < share + 0.01


def test_who_catches_up_does_not_rest_for_an_attack_and_two_who_do_have_their_turns() -> None:
    fairness, now_s = Fairness(), 0.0
    worked_s = dict.fromkeys(("attack", "one", "two"), 0.0)
    while now_s < 60:
        idle = True
        for who in worked_s:
            if not fairness.rest_s(who, now_s):
                fairness.charge(who, 0.005, now_s, useful=who != "attack")
                worked_s[who] += 0.005
                now_s += 0.005
                idle = False
        assert not idle, "there was work, and everybody rested"
    assert worked_s["attack"] < 0.1 * now_s
    assert abs(worked_s["one"] - worked_s["two"]) < 0.05 * now_s


def test_accounts_are_forgotten() -> None:
    fairness = Fairness()
    for number in range(100_000):
        fairness.charge(number, 0.001, number * 0.01, useful=True)
    assert len(fairness._accounts) < 200
    assert len(fairness._busy) < 50
