"""What stands in signed entries for ever: read strictly, with room for what a newer version writes."""

from __future__ import annotations

import datetime
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_pos.day import Day, Flow, Goods, Numbers, TaxTotals
from crdt_pos.money import AMOUNT_MAX
from crdt_pos.patrons import accounts_of
from crdt_pos.receipt import (
    AccountMovement,
    Consumed,
    Discount,
    DrawerAct,
    Line,
    Opening,
    Receipt,
    ReceiptType,
    StockAct,
    TaxLine,
    Tender,
    TenderLine,
    TenderState,
    Undoes,
)
from crdt_pos.schema import SCHEMA
from crdt_pos.staff import Cashier, StaffRole
from gossip.document import Document, FeedType, ScopeClass
from merge_rules import canonical
from merge_rules.counter_nested import check_map
from merge_rules.errors import InvalidBody

EVERYTHING = Receipt(
    ReceiptType.REFUND,
    17,
    12,
    3,
    "a1",
    "Corner Shop Ltd",
    datetime.date(2026, 11, 20),
    1_795_176_000_000,
    -330,
    "KWD",
    3,
    prices_with_tax=False,
    cashier="c7",
    cashier_signature=b"s" * 64,
    lines=(
        Line(
            1,
            2**64 - 1,
            -3,
            3,
            "kg",
            "Käse",
            "4006381333931",
            1990,
            1,
            1_795_000_000_000,
            -(2**53),
            2,
            -1,
            (Discount(-5, "loyal"),),
            "gift",
            b"gift-001",
            (Consumed(5, -250),),
            2,
            discarded=True,
            expected=-7,
        ),
    ),
    tenders=(TenderLine(Tender.FOREIGN_CASH, -5, 2, "CHF", -6, "auth", TenderState.DECLINED_LATER, b"member-1"),),
    taxes=(TaxLine(2, 190_000, -4, -1),),
    member=b"member-1",
    movements=(AccountMovement("points", b"member-1", 1, 2, 3),),
    undoes=Undoes("12-3-a1-4", b"h" * 32),
    unconfirmed=True,
    reason="broken",
    reference="note 17",
    drawer=DrawerAct.COUNTED,
    drawer_minor=5,
    stock=StockAct.TRANSFERRED_IN,
    other_store=7,
    opening=Opening(datetime.date(2026, 11, 19), b"p" * 8, 9, 8),
)


def test_every_field_of_a_receipt_survives_its_entry() -> None:
    encoded = canonical.encode(EVERYTHING.body())
    assert Receipt.from_body(canonical.decode(encoded)) == EVERYTHING
    assert set(EVERYTHING.body()) == set(range(28))
    assert EVERYTHING.number == "12-3-a1-17"


def test_what_is_zero_or_empty_takes_no_bytes() -> None:
    plain = Receipt(ReceiptType.SALE, 1, 1, 1, "a1", "", datetime.date(2026, 1, 1), 0, 0, "EUR", 0)
    assert len(canonical.encode(plain.body())) < 30
    assert Receipt.from_body(plain.body()) == plain


def test_fields_of_a_newer_version_are_ignored_and_kept() -> None:
    body = EVERYTHING.body()
    body[99] = {1: b"new"}
    line = body[14]
    assert isinstance(line, list)
    line[0][77] = 5
    read = Receipt.from_body(body)
    assert read.extra == ((99, {1: b"new"}),)
    assert read.lines[0].extra == ((77, 5),)
    assert read.body() == body


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (0, 99),
        (0, 0),
        (1, 0),
        (1, -1),
        (1, True),
        (1, "1"),
        (1, 2**53 + 1),
        (4, ""),
        (4, "x" * 500),
        (6, 2**16),
        (8, 1441),
        (11, False),
        (11, 1),
        (13, b"short"),
        (14, []),
        (14, {}),
        (14, [{0: 0}]),
        (14, [{}]),
        (15, [{1: 1.5}]),
        (17, b"seven.."),
        (19, [1]),
        (27, {1: b"123456789"}),
    ],
)
def test_a_receipt_of_any_other_shape_is_refused(key: int, value: object) -> None:
    body = EVERYTHING.body()
    body[key] = value
    with pytest.raises(InvalidBody):
        Receipt.from_body(body)


@pytest.mark.parametrize("body", [None, 5, [], {"a": 1}, {-1: 1}, {True: 1}, {}])
def test_what_is_no_map_of_small_integers_is_no_receipt(body: object) -> None:
    with pytest.raises(InvalidBody):
        Receipt.from_body(body)


counts = st.integers(0, AMOUNT_MAX)


def rows(shape: Callable[..., tuple[int, ...]], columns: int) -> st.SearchStrategy[object]:
    return st.builds(shape, *[counts] * columns).filter(any)


days = st.builds(
    Day,
    st.one_of(
        st.just((0, b"")), st.tuples(st.integers(-40_000, 40_000).filter(bool), st.binary(min_size=8, max_size=8))
    ),
    st.dictionaries(st.integers(0, 9), rows(TaxTotals, 4), max_size=3),
    st.dictionaries(st.integers(0, 20), rows(Flow, 2), max_size=3),
    st.dictionaries(st.sampled_from([0, 1]), st.builds(Numbers, *[st.integers(1, 99)] * 3, st.integers(0, 99))),
    counts,
    counts,
    st.dictionaries(st.integers(0, 2**64 - 1), rows(Goods, 12), max_size=3),
    st.builds(Flow, counts, counts),
    st.builds(Flow, counts, counts),
    st.dictionaries(st.integers(0, 5), st.integers(1, 99)),
    st.booleans(),
    st.booleans(),
)


@given(days)
def test_a_day_comes_back_from_its_counters_which_are_in_their_one_form(day: Day) -> None:
    counters = day.counters()
    if counters:
        check_map(counters)
    assert Day.from_counters(counters) == day
    assert Day.from_counters(canonical.decode(canonical.encode(counters))) == day
    assert all(1 <= key <= 22 for key in counters)


@pytest.mark.parametrize(
    "counters", [{2: 5}, {2: {1: {1: 1}}}, {3: {0: [b"x"]}}, {1: 7}, {6: [1]}, {9: {1: [1]}}, {4: b"x"}]
)
def test_counters_of_another_shape_are_no_day(counters: dict[int, object]) -> None:
    with pytest.raises(InvalidBody):
        Day.from_counters(counters)  # type: ignore[arg-type]


def test_columns_and_keys_of_a_newer_day_are_ignored() -> None:
    assert Day.from_counters({6: {1: [1] * 15}, 15: {1: 1}}) == Day(goods={1: Goods(*[1] * 12)})


def test_a_cashier_comes_back_from_the_register() -> None:
    cashier = Cashier(b"k" * 32, StaffRole.MANAGER, left=True, former=(b"f" * 32,), voucher="eva", edition=2)
    assert Cashier.from_body(cashier.body()) == cashier
    with pytest.raises(InvalidBody):
        Cashier.from_body({1: 1})


def test_patrons_are_accounts() -> None:
    assert list(accounts_of([b"member-1"])) == [b"member-1"]
    for wrong in ({}, [b"short"], [5]):
        with pytest.raises(InvalidBody):
            accounts_of(wrong)


def test_the_schema_table_names_every_kind_of_document() -> None:
    assert set(SCHEMA) == {
        *("roster", "roster-store", "catalogue", "claims", "staff", "journal", "day", "balance", "patrons"),
        *("variances", "vault", "forks", "person", "person-key", "erased"),
    }
    assert SCHEMA["day"].names(Document("day", 20_000, (12,)))
    assert not SCHEMA["day"].names(Document("day", 0, (12,)))
    assert SCHEMA["balance"].names(Document("balance", 0, ("points", b"member-1")))
    latest = {"staff", "day", "balance", "person", "person-key"}
    assert {name for name, kind in SCHEMA.items() if kind.feed is FeedType.LATEST} == latest
    assert {name for name, kind in SCHEMA.items() if kind.scope is ScopeClass.JOURNAL} == {"journal"}
