"""The replay on a small part of the real data, and that it would notice a cent, a piece and a point."""

import copy
import datetime
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from crdt_pos.looking import look
from crdt_pos.schema import DAY, JOURNAL
from gossip.log import entries_of
from tools import replay_sums
from tools.replay import replay
from tools.replay_sums import Compared, Sums, compared
from tools.replay_tills import Sold
from tools.selling import account_of
from tools.truth import NetBasket

pytestmark = pytest.mark.timeout(300)  # four processes, which may have to share a busy machine
FIRST, LAST = datetime.date(2017, 10, 3), datetime.date(2017, 10, 6)
STORES = 2


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two stores that sold for four dates; beside their folders the figures."""
    at = tmp_path_factory.mktemp("replay")
    period = ["--from", str(FIRST), "--to", str(LAST), "--stores", str(STORES), "--processes", "1"]
    answer = CliRunner().invoke(replay, [*period, "--at", str(at / "year"), "--json", str(at / "figures.json")])
    assert answer.exit_code == 0, answer.output
    return at


@pytest.fixture(scope="module")
def figures(at: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((at / "figures.json").read_text())
    return found


@pytest.fixture(scope="module")
def stores(at: Path) -> list[int]:
    return sorted(int(till.name.partition("-")[0]) for till in (at / "year" / "tills").iterdir())


@pytest.fixture(scope="module")
def due(stores: list[int]) -> Sums:
    return replay_sums.due(FIRST, LAST, stores)


@pytest.fixture(scope="module")
def books(at: Path) -> Sums:
    """What head office's books say."""
    with look(at / "year" / "office") as looked, looked.log.read() as reader:
        return replay_sums.found(reader, looked.directory)


def test_some_dates_of_two_stores_comes_out_to_the_cent_by_store_and_date_by_product_and_by_member(
    figures: dict[str, Any], due: Sums
) -> None:
    assert figures["right"] is True
    assert figures["total_minor"] == sum(due.takings_minor.values()) == sum(due.product_minor.values()) > 0
    assert figures["points_redeemed"] == sum(due.redeemed.values()) > 0
    assert [one["differences"] for one in figures["compared"]] == [0] * 9
    assert all(one["sums"] > 0 for one in figures["compared"])
    assert figures["verify_findings"] == 0
    assert figures["sizes"]["baskets"] == sum(due.baskets.values())
    assert figures["sizes"]["store-days"] == len(due.takings_minor)


def test_the_folders_of_head_office_and_tills_stay_and_can_be_looked_into(at: Path, stores: list[int]) -> None:
    assert len(stores) == STORES
    with look(at / "year" / "office") as looked, looked.log.read() as reader:
        days = {document: next(iter(entries_of(reader, document))).entry.hash for document in reader.documents(DAY)}
    assert {document.keys for document in days} == {(store,) for store in stores}
    for store in stores:
        with look(at / "year" / "tills" / f"{store}-1") as looked, looked.log.read() as reader:
            own = {document: next(iter(entries_of(reader, document))).entry.hash for document in reader.documents(DAY)}
            assert own == {document: known for document, known in days.items() if document.keys == (store,)}
            assert any(reader.documents(JOURNAL))


@pytest.mark.parametrize(
    "tamper",
    [
        lambda due: due.takings_minor.update({min(due.takings_minor): 1}),
        lambda due: due.takings_minor.pop(min(due.takings_minor)),
        lambda due: due.baskets.update({max(due.baskets): 0}),
        lambda due: due.quantity.update({min(due.quantity): 1}),
        lambda due: due.earned.update({min(due.earned): 1}),
        lambda due: due.redeemed.update({min(due.earned): 1}),
    ],
    ids=["a cent", "a date", "baskets", "a piece", "a point earned", "a point redeemed"],
)
def test_books_that_differ_from_what_is_due_are_noticed(
    due: Sums, books: Sums, tamper: Callable[[Sums], object]
) -> None:
    assert len(of_books(due, books)) == 5
    assert not any(one.differences for one in of_books(due, books))
    tampered = copy.deepcopy(due)
    tamper(tampered)
    off = [one for one in of_books(tampered, books) if one.differences]
    assert [(one.differences, len(one.different)) for one in off] == [(1, 1)]


def of_books(due: Sums, books: Sums) -> list[Compared]:
    return [one for one in compared(due, books, Sold()) if one.what.endswith(", books")]


def test_receipts_that_say_less_than_the_data_are_noticed(due: Sums, books: Sums) -> None:
    off = {one.what: one.differences for one in compared(due, books, Sold())}
    assert off["takings per product, receipts"] == sum(map(bool, due.product_minor.values()))
    assert off["takings per member, receipts"] == sum(map(bool, due.member_minor.values()))


def test_a_member_redeems_at_every_third_basket_in_a_store_what_was_earned_there_and_no_more_than_is_due() -> None:
    def basket(number: int, store: int, gross_minor: int, net_minor: int) -> NetBasket:
        return NetBasket(7, store, number, number, gross_minor, net_minor)

    sums = Sums()
    visits = [basket(1, 5, 1190, 1000), basket(2, 6, 99_999, 90_000), basket(3, 5, 595, 500), basket(4, 5, 12, 10)]
    replay_sums.redeem(visits, sums)
    assert sums.earned == Counter({account_of(7): 10 + 900 + 5})
    assert sums.redeemed == Counter({account_of(7): 12})  # of 15 points, since 0.12 are due
    replay_sums.redeem([basket(5, 5, 100, 90), basket(6, 5, 100, 90), basket(7, 5, 100, 90)], other := Sums())
    assert other.redeemed[account_of(7)] == 0  # nothing was earned
