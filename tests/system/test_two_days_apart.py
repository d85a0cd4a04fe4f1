"""A store whose WAN is cut for two business dates while a price changes: it sells on, and afterwards the variances are listed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from crdt_pos import catalogue
from crdt_pos.products import Price, Product
from tests.system.shops import reading, records, run
from tools.cabled import OFFICE, Cabled

FIRST, SECOND = "2026-11-19", "2026-11-20"
BREAD, MILK = 2, 1
ONE, OTHER = "12-1", "12-2"


@pytest.fixture
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cabled]:
    """A store with two tills, and a head office that says what bread and milk cost."""
    with Cabled.found(tmp_path_factory.mktemp("town"), "Corner Shops", records(12), tills=2) as made:
        changes = catalogue.product_changes(Product(BREAD, "Rye bread", prices=(Price(250),)))
        made.town.write_catalogue([*changes, *catalogue.product_changes(Product(MILK, "Milk", prices=(Price(119),)))])
        made.start(OFFICE, ONE, OTHER)
        made.together()
        yield made


def sell(town: Cabled, till: str, product: int, quantity: int, **fields: object) -> str:
    """The number of the receipt."""
    line = {"product": product, "quantity": quantity, **fields}
    return str(town.call(till, "sell", lines=[line])["receipt"]["number"])


def listed(town: Cabled, name: str, *words: object) -> dict[str, Any]:
    """What ``crdt-pos variances`` lists of a folder."""
    done = run("variances", "--at", town.folders[name].path, "--json", *words)
    assert done.returncode == 0, done
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def costs(town: Cabled, till: str) -> int | None:
    """What a till charges for bread; ``None`` while it does not know it."""
    found = town.call(till, "lookup", text=str(BREAD))["products"]
    return int(found[0]["unit_price_minor"]) if found else None


def _costs(town: Cabled, till: str, price_minor: int) -> bool:
    return costs(town, till) == price_minor


def test_a_price_that_changes_while_a_store_is_cut_off_for_two_days_is_listed_afterwards(town: Cabled) -> None:
    for till in (ONE, OTHER):
        town.until(partial(_costs, town, till, 250), f"{till} knows the price")
        town.call(till, "open", date=FIRST)
    sell(town, ONE, BREAD, 7)
    town.sever_wan(12)
    town.until(lambda: OFFICE not in town.peers(ONE) | town.peers(OTHER), "the store is cut off")
    assert OTHER in town.peers(ONE)
    assert run("product", "change", BREAD, "--price", "2.70", "--at", town.folders[OFFICE].path).returncode == 0

    # Two business dates of a store that has not heard of it, each closed at both tills or still open.
    late = [sell(town, ONE, BREAD, 2)]
    sell(town, ONE, MILK, 1)
    for till in (ONE, OTHER):
        town.call(till, "close")
        town.call(till, "open", date=SECOND)
    late += [sell(town, OTHER, BREAD, 3)]
    sell(town, OTHER, BREAD, 1, unit_price_minor=200)  # the cashier's decision, and no variance
    assert {costs(town, till) for till in (ONE, OTHER)} == {250}
    assert [listed(town, name)["variances"] for name in (OFFICE, ONE, OTHER)] == [[], [], []]

    town.mend_wan(12)
    for till in (ONE, OTHER):
        town.until(partial(_costs, town, till, 270), f"{till} knows the new price")
    sell(town, OTHER, BREAD, 1)
    for name in (OFFICE, ONE, OTHER):
        town.until(lambda name=name: len(listed(town, name)["variances"]) == 2, f"{name} has both variances")
        found = listed(town, name)
        rows = [
            (row["date"], row["number"], row["quantity"], row["sold_minor"], row["due_minor"], row["difference_minor"])
            for row in found["variances"]
        ]
        assert rows == [(FIRST, late[0], 2, 250, 270, -40), (SECOND, late[1], 3, 250, 270, -60)]
        assert found["totals"] == [
            {"store": 12, "currency": "EUR", "exponent": 2, "lines": 2, "difference_minor": -100}
        ]
    assert [row["date"] for row in listed(town, OFFICE, "--from", SECOND)["variances"]] == [SECOND]
    said = run("variances", "--at", town.folders[OFFICE].path).stdout
    assert "Store 12: 2 lines, 1.00 EUR less than was due." in said

    # What was sold stands: the books of both dates have what the customers paid, and list the same.
    for till in (ONE, OTHER):
        town.call(till, "close")
    due = 7 * 250 + 2 * 250 + 119 + 3 * 250 + 200 + 270
    town.until(lambda: _books(town)["final"], "the books of both dates are final at head office")
    (account,) = _books(town)["accounts"]
    assert account["takings"]["amount_minor"] == due
    assert [(row["number"], row["sold_minor"], row["due_minor"]) for row in _books(town)["variances"]] == [
        (number, 250, 270) for number in late
    ]
    with reading(town.folders[OFFICE]) as reader:
        assert sum(1 for _ in reader.documents("variances")) == 2


def _books(town: Cabled) -> dict[str, Any]:
    done = run("books", "--at", town.folders[OFFICE].path, "--from", FIRST, "--to", SECOND, "--json")
    found: dict[str, Any] = json.loads(done.stdout)
    return found
