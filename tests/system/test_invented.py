"""Two stores that are cut off make one new product each and sell it; they meet: one product, its stock added up, and the price
conflict shown until a person settles it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from crdt_pos import catalogue
from crdt_pos.catalogue_views import tax_rates_ppm
from crdt_pos.local import LocalRefused
from tests.system.shops import DATE, reading, records, run
from tools.cabled import OFFICE, Cabled

JAM = "4006381333931"
NORTH, SOUTH, THIRD = "12-1", "13-1", "14-1"
TILLS = (NORTH, SOUTH, THIRD)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cabled]:
    """Three stores with a till each, all open, and a head office."""
    with Cabled.found(tmp_path_factory.mktemp("town"), "Corner Shops", records(12, 13, 14), tills=1) as made:
        made.town.write_catalogue([catalogue.tax_change(70, 70_000)])
        made.start(OFFICE, *TILLS)
        made.together()
        for till in TILLS:
            made.until(partial(_knows_tax, made, till), f"{till} knows the tax")
            made.call(till, "open", date=DATE)
        yield made


def _knows_tax(town: Cabled, till: str) -> bool:
    with reading(town.folders[till]) as reader:
        return tax_rates_ppm(reader, 0) == {70: 70_000}


def command(town: Cabled, name: str, *words: object) -> str:
    """What a ``crdt-pos`` command prints that is given this replica's folder."""
    done = run(*words, "--at", town.folders[name].path)
    assert done.returncode == 0, done
    return done.stdout


def make(town: Cabled, till: str, name: str, price: str) -> int:
    """Make a product for the code at a till; its number."""
    said = command(town, till, "product", "add", name, "--price", price, "--tax", "7", "--code", JAM, "--json")
    return int(json.loads(said)["product"])


def sell(town: Cabled, till: str, quantity: int = 1) -> dict[str, Any]:
    """Scan the code; the line on the receipt."""
    receipt = town.call(till, "sell", lines=[{"code": JAM, "quantity": quantity}])["receipt"]
    town.call(till, "publish")
    (line,) = receipt["lines"]
    return line


def sold(line: dict[str, Any]) -> tuple[int, str, int]:
    """Which product a line says that it sold, and for how much."""
    return line["product"], line["name"], line["unit_price_minor"]


def goods(town: Cabled, name: str, product: int) -> list[dict[str, Any]]:
    """The rows of goods with a product, by the books of a folder; none while it has not moved there."""
    done = run("books", "--at", town.folders[name].path, "--product", product, "--json")
    return [] if done.returncode else [row for one in json.loads(done.stdout)["accounts"] for row in one["goods"]]


def conflicts(town: Cabled, name: str) -> list[dict[str, Any]]:
    """The open conflicts that a folder shows."""
    found: list[dict[str, Any]] = json.loads(command(town, name, "product", "conflicts", "--json"))
    return found


def means(town: Cabled, till: str) -> list[int]:
    """The products that a scanned code finds at a till, the one that it sells first."""
    return [product["product"] for product in town.call(till, "lookup", text=JAM)["products"]]


def test_two_stores_invent_one_product_sell_it_and_meet(town: Cabled) -> None:
    # Cut off: each makes the product for the barcode that it sees, and sells it at once.
    town.sever_wan(12)
    town.sever_wan(13)
    for till in (NORTH, SOUTH):
        town.until(lambda till=till: town.peers(till) == set(), f"{till} notices that it is cut off")
    north, south = make(town, NORTH, "Fig jam", "4.50"), make(town, SOUTH, "Fig spread", "4.90")
    assert north != south
    for till, product, received in ((NORTH, north, 24), (SOUTH, south, 12)):
        town.call(till, "replenish", lines=[{"product": product, "quantity": received}])
    assert sold(sell(town, NORTH, 3)) == (north, "Fig jam", 450)
    assert sold(sell(town, SOUTH, 2)) == (south, "Fig spread", 490)
    assert [one["product"] for one in town.call(SOUTH, "lookup", text="fig")["products"]] == [south]
    with pytest.raises(LocalRefused, match=f"{JAM} is known here: it is Fig jam, product {north}. Sell that one."):
        town.call(NORTH, "new_product", name="Jam", unit_price_minor=1, code=JAM)

    # They meet: one product everywhere, and at each till that claims it its own price, elsewhere that of the smallest number.
    town.mend_wan(12)
    town.mend_wan(13)
    least, other = sorted((north, south))
    expected = {NORTH: [north, south], SOUTH: [south, north], THIRD: [least, other]}
    for till, products in expected.items():
        town.until(partial(_equal, means, town, till, products), f"{till} knows both")
    assert sold(sell(town, NORTH)) == (north, "Fig jam", 450)
    assert sold(sell(town, SOUTH)) == (south, "Fig spread", 490)
    third = sell(town, THIRD)
    assert sold(third)[0] == least
    assert third["code"] == JAM
    moved = {north: (24, 3 + 1), south: (12, 2 + 1)}
    moved[least] = (moved[least][0], moved[least][1] + 1)
    stock = {product: received - gone for product, (received, gone) in moved.items()}
    town.until(lambda: sum(row["sold"] for row in goods(town, OFFICE, north)) == 8, "head office has every sale")

    # The books add the stock up, with each own number below.
    for asked in (north, south):
        (row,) = goods(town, OFFICE, asked)
        assert (row["product"], row["joined"], row["stock"]) == (least, [least, other], sum(stock.values()))
        assert {part["product"]: part["stock"] for part in row["parts"]} == stock

    # The conflict is open at every folder, with names and prices side by side.
    for name in (OFFICE, *TILLS):
        (conflict,) = conflicts(town, name)
        assert (conflict["codes"], conflict["differ"]) == ([JAM], ["name", "price"])
        shown = {one["name"]: one["prices"][0]["amount_minor"] for one in conflict["products"]}
        assert shown == {"Fig jam": 450, "Fig spread": 490}
    text = command(town, OFFICE, "books")
    for command_text in (text, run("shell", "--at", town.folders[OFFICE].path, "-c", f"claims {JAM}").stdout):
        assert f"{JAM}: names and prices differ" in command_text
        assert f"{north}  Fig jam     4.50 EUR  store 12" in command_text
        assert f"{south}  Fig spread  4.90 EUR  store 13" in command_text

    # Head office changes name and price of one: nothing is left to settle, and every till charges the same.
    command(town, OFFICE, "product", "change", south, "--name", "Fig jam", "--price", "4.50")
    town.until(lambda: all(conflicts(town, name) == [] for name in (OFFICE, *TILLS)), "the conflict is settled")
    assert [sold(sell(town, till))[1:] for till in TILLS] == [("Fig jam", 450)] * 3
    moved[least] = (moved[least][0], moved[least][1] + 1)
    stock = {north: stock[north] - 1, south: stock[south] - 1}
    stock[least] -= 1
    town.until(lambda: sum(row["sold"] for row in goods(town, OFFICE, north)) == 11, "head office has every sale")

    # Or a claim is taken back: the products come apart, each with the stock that it had; claimed again, they are one again.
    command(town, OFFICE, "product", "retract", JAM, south)
    town.until(lambda: all(means(town, till) == [north] for till in TILLS), "no till's code means the other")
    for product in (north, south):
        (row,) = goods(town, OFFICE, product)
        assert (row["product"], row["joined"], row["stock"]) == (product, [], stock[product])
    command(town, SOUTH, "product", "claim", JAM, south)
    town.until(lambda: len(goods(town, OFFICE, north)[0]["joined"]) == 2, "they are one again at head office")
    assert goods(town, OFFICE, north)[0]["stock"] == sum(stock.values())
    for name in (OFFICE, *TILLS):
        assert command(town, name, "verify") != ""


def _equal(read: Any, town: Cabled, name: str, expected: object) -> bool:
    return bool(read(town, name) == expected)


def test_a_store_takes_back_only_what_it_said_itself(town: Cabled) -> None:
    code = "7610000000018"
    made = town.call(NORTH, "new_product", name="Soap", unit_price_minor=300, code=code)["product"]["product"]
    town.until(lambda: _finds(town, SOUTH, code) == [made], "13-1 knows the code")
    refused = run("product", "retract", code, made, "--at", town.folders[SOUTH].path)
    assert refused.returncode == 2
    assert "Only store 12 said that" in refused.stderr
    assert _finds(town, SOUTH, code) == [made]


def _finds(town: Cabled, till: str, code: str) -> list[int]:
    return [product["product"] for product in town.call(till, "lookup", text=code)["products"]]
