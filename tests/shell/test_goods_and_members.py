"""Members, stock and takings: down to the entry that proves it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from crdt_pos.balance import balance_document
from crdt_pos.cli import crdt_pos
from crdt_pos.schema import BALANCE, SCHEMA
from crdt_pos.shell import Replica, open_replica
from crdt_pos.shell.grants import grants, tree
from gossip.entry import Entry, sign
from gossip.log import Arrival
from merge_rules.counter_bounded import CounterBounded
from merge_rules.lattice import Author
from tests.books.company import BREAD, CODES, DATE, MILK, NOON_MS, Company, basket
from tests.books.company import Replica as Counter
from tests.shell.conftest import MEMBER

WHO = MEMBER.hex()


def said(counter: Counter, seq: int, state: CounterBounded) -> Entry:
    kind, author = SCHEMA[BALANCE], counter.identity.author
    document = balance_document("points", MEMBER)
    return sign(
        counter.folder.key, author, document, kind.feed, kind.scope, seq, NOON_MS << 16, state.entry_body(author)
    )


@pytest.fixture
def overspent(tmp_path: Path) -> Iterator[Replica]:
    """12-1 earned 100 points and granted 40 of them to 12-2; its clone spent all hundred under the same number."""
    company = Company.found(tmp_path)
    one, two = company.tills["12-1"], company.tills["12-2"]
    me, other = one.identity.author, two.identity.author
    earned = CounterBounded.bottom().earn(me, 100)
    granting = earned.join(earned.grant(me, other, 40))
    cloned = earned.join(earned.redeem(me, 100))
    taking = granting.join(granting.receive(other, me))
    entries = [said(one, 2, granting), said(one, 2, cloned), said(two, 1, taking)]
    company.office.log.append([Arrival(entry, me) for entry in entries], received_ms=NOON_MS)
    company.close_logs()
    with open_replica(tmp_path / "office") as replica:
        yield replica


def test_a_member_is_shown_with_who_holds_what_and_where_it_can_be_redeemed(till: Replica, office: Replica) -> None:
    (balance,) = till.member(WHO)["balances"]
    assert balance["balance"] == 4
    assert balance["redeemable"] == {"without_asking": {"12-1 a1": 4}, "by_asking": 4}
    assert [(one["name"], one["earned"], one["rights"]) for one in balance["replicas"]] == [("12-1 a1", 4, 4)]
    assert [one["stores"] for one in till.member(WHO)["accounts"]] == [[12]]
    assert office.member(WHO)["balances"][0]["balance"] == 4


def test_an_overspend_is_proven_by_both_entries_of_who_spent_twice(overspent: Replica) -> None:
    (balance,) = overspent.member(WHO)["balances"]
    (fraud,) = balance["overspent"]
    assert (fraud["name"], fraud["excess"]) == ("12-1 a1", 40)
    assert [(one["seq"], one["signature"]) for one in fraud["proof"]] == [(2, "good"), (2, "good")]
    assert len({one["hash"] for one in fraud["proof"]}) == 2
    assert {one["name"]: (one["rights"], one["state"]) for one in balance["replicas"]} == {
        "12-1 a1": (0, "contradicts itself"),
        "12-2 a1": (40, ""),
    }
    assert balance["grants"] == [
        {"donor": "12-1 a1", "taker": "12-2 a1", "granted": 40, "received": 40, "at": 2, "state": "received"}
    ]


def test_grants_are_drawn_as_a_tree_and_into_a_picture(overspent: Replica, tmp_path: Path) -> None:
    picture = tmp_path / "grants.svg"
    overspent.close()
    shown = CliRunner(env={"COLUMNS": "100"}).invoke(
        crdt_pos, ["shell", "--at", str(tmp_path / "office"), "-c", f"member {WHO} --svg {picture}"]
    )
    assert shown.exit_code == 1, "an overspend is trouble"
    assert "└─ 40 → 12-2 a1  holds 40" in shown.output
    assert "OVERSPENT: 12-1 a1 spent 40 more than it had" in shown.output
    assert picture.read_text("utf-8").count("<line") == 1


def test_who_granted_in_a_circle_is_named_again_and_not_followed() -> None:
    one, two = Author(b"one....."), Author(b"two.....")
    state = CounterBounded.bottom()
    state = state.join(state.earn(one, 9))
    state = state.join(state.grant(one, two, 5))
    state = state.join(state.receive(two, one))
    state = state.join(state.grant(two, one, 2))
    rows = grants(state, lambda author: author.decode().rstrip("."))
    assert [row.state for row in rows] == ["received", "waiting"]
    assert list(tree(rows, {"one": 9}, {"one": 4, "two": 3})) == [
        "one  earned 9, holds 4",
        "└─ 5 → two  holds 3",
        "   └─ 2, waiting → one (above)",
    ]


def test_stock_is_told_by_store_by_day_and_by_receipt(till: Replica, office: Replica) -> None:
    milk = till.stock(CODES[MILK])
    assert (milk["product"], milk["stock"]) == (MILK, 21)
    (store,) = milk["stores"]
    assert store["moved"] == {"sold": 3, "received": 24}
    assert [(one["what"], one["moved"]) for one in store["receipts"]] == [
        ("sale", {"sold": 1}),
        ("sale", {"sold": 2}),
        ("received", {"received": 24}),
    ]
    assert all(one["told"] for one in store["receipts"])
    assert office.stock("milk")["stock"] == 21
    assert office.stock(MILK)["stores"][0]["receipts"] == [], "a head office has no journals"


def test_takings_are_told_by_till_and_by_receipt_and_what_nobody_else_was_told_stands_out(
    tmp_path: Path, office: Replica
) -> None:
    assert [one["takings_minor"] for one in office.takings(12, DATE)["accounts"][0]["tills"]] == [857, 250]
    assert [one["receipts"] for one in office.takings(12, DATE)["accounts"][0]["tills"]] == [[], []]
    company = Company.found(tmp_path, ("12-1",))
    counter = company.tills["12-1"].till
    counter.sell(basket(MILK))
    counter.publish()
    counter.sell(basket(BREAD))
    company.close_logs()
    with open_replica(tmp_path / "12-1") as replica:
        (row,) = replica.takings(12, DATE)["accounts"][0]["tills"]
    assert (row["acts"], row["told_acts"], row["journal_acts"]) == (3, 2, 3)
    assert (row["takings_minor"], row["journal_says_minor"]) == (369, 369)
    assert [(one["adds_minor"], one["told"]) for one in row["receipts"]] == [(0, True), (119, True), (250, False)]


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("member 0102", "is no phone number"),
        ("member 'ffffffffffffffff'", "Nothing is known of the member"),
        ("stock 'unobtainium'", "No product here has the code or the words"),
        ("stock 999", "has never moved"),
        ("takings 12 yesterday", "is no date"),
        ("takings twelve 2026-11-20", "is no store"),
        ("takings 13 2026-11-20", "There is no store 13 here"),
    ],
)
def test_what_is_not_here_is_said_in_a_sentence(shop: Path, typed: str, why: str) -> None:
    shown = CliRunner().invoke(crdt_pos, ["shell", "--at", str(shop / "office"), "-c", typed])
    assert shown.exit_code == 2, shown.output
    assert why in shown.output
