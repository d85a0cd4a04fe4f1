"""A shopkeeper's list of products: what is read, what is refused, and that only what differs is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from crdt_pos import catalogue_views
from crdt_pos.catalogue_views import CatalogueProducts
from crdt_pos.errors import ProductFileWrong
from crdt_pos.money import Currency
from crdt_pos.product_file import Plan, plan
from crdt_pos.products import Component, Price, Product
from crdt_pos.schema import SCHEMA
from gossip.log import Log
from gossip.log_memory import MemoryLog
from peers.keys import SecretKey, author_of

SAMPLE = Path(__file__).parents[2] / "docs" / "products.csv"
CHF = Currency("CHF", 2)
NOON_MS = 1_795_348_800_000
OFFICE = SecretKey(b"\x0a" * 32)


@pytest.fixture
def log() -> Log:
    return MemoryLog(SCHEMA)


def given(log: Log, file: str | bytes, now_ms: int = NOON_MS, currency: Currency = CHF) -> Plan:
    """The file, taken over."""
    with log.read() as reader:
        planned = plan(reader, file.encode() if isinstance(file, str) else file, currency, now_ms)
    catalogue_views.append(log, OFFICE, author_of(OFFICE.public, "a1"), planned.changes, now_ms)
    return planned


def product(log: Log, number: int, currency: str = "CHF") -> Product | None:
    with log.read() as reader:
        return CatalogueProducts(currency).find(reader, number)


def by_code(log: Log, code: str) -> list[int]:
    with log.read() as reader:
        return [one.id for one in CatalogueProducts("CHF").by_code(reader, code)]


def test_the_sample_in_the_documentation_becomes_a_catalogue(log: Log) -> None:
    planned = given(log, SAMPLE.read_bytes())
    assert (planned.products, planned.new, planned.prices, planned.taxes) == (14, 14, 13, 2)
    cheese = product(log, 104)
    assert cheese == Product(104, "Mountain cheese", "kg", 3, (Price(2190, 1),), 26, (), "Dairy")
    dish = product(log, 113)
    assert dish is not None
    assert dish.recipe == (Component(104, 80), Component(107, 1))
    assert by_code(log, "7610000001177") == [107]
    with log.read() as reader:
        assert CatalogueProducts().tax_rate_ppm(reader, 81, NOON_MS) == 81_000


def test_the_same_file_again_changes_nothing(log: Log) -> None:
    given(log, SAMPLE.read_bytes())
    again = given(log, SAMPLE.read_bytes(), NOON_MS + 1)
    assert again == Plan((), 14, 0, 0, 0, 0)


def test_a_new_price_holds_from_now_on_and_the_old_one_before(log: Log) -> None:
    given(log, "product,name,price\n1,Milk,1.85\n")
    planned = given(log, "product,name,price\n1,Milk,1.95\n", NOON_MS + 1000)
    assert (planned.new, planned.changed, planned.prices) == (0, 0, 1)
    milk = product(log, 1)
    assert milk is not None
    assert milk.prices == (Price(185, 1), Price(195, NOON_MS + 1000))
    assert product(log, 1, "EUR") == Product(1, "Milk")


def test_an_empty_cell_takes_a_fact_away_and_a_missing_column_does_not(log: Log) -> None:
    given(log, "product,name,unit,code\n1,Apples,kg,11 12\n")
    given(log, "product,name,code\n1,Apples,12 13\n")
    apples = product(log, 1)
    assert apples is not None
    assert apples.unit == "kg"
    assert (by_code(log, "11"), by_code(log, "12"), by_code(log, "13")) == ([], [1], [1])
    given(log, "product,name,unit\n1,Apples,\n")
    assert product(log, 1) == Product(1, "Apples")


def test_semicolons_a_byte_order_mark_and_decimal_commas_are_read(log: Log) -> None:
    given(log, '\ufeffName;Product;Price;Tax\r\n"Brot; rund";7;2,50;7%\r\n\r\n')
    assert product(log, 7) == Product(7, "Brot; rund", prices=(Price(250, 1),), tax_code=70)


def test_a_currency_without_decimals_has_none(log: Log) -> None:
    yen = Currency("JPY", 0)
    given(log, "product,name,price\n1,Tea,250\n", currency=yen)
    tea = product(log, 1, "JPY")
    assert tea is not None
    assert tea.prices == (Price(250, 1),)
    with pytest.raises(ProductFileWrong, match="without decimals"):
        given(log, "product,name,price\n1,Tea,2.50\n", currency=yen)


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("", "Line 1: the column 'product' is missing"),
        ("product,price\n1,2\n", "Line 1: the column 'name' is missing"),
        ("product,name,prize\n1,Milk,2\n", "Line 1: the column 'prize' is not known"),
        ("product,name,name\n1,Milk,2\n", "Line 1: the column 'name' stands there twice"),
        ("product,name\n", "no product below"),
        ("product,name\n1,Milk\n,Bread\n", "Line 3: the product's number is missing"),
        ("product,name\n1,\n", "Line 2: the product's name is missing"),
        ("product,name\n-1,Milk\n", "Line 2: '-1' is no product number"),
        ("product,name\n1,Milk,3\n", "Line 2: there are 3 cells"),
        ("product,name\n1,Milk\n\n1,Bread\n", "Line 4: product 1 stands in line 2 already"),
        ("product,name,code\n1,Milk,5\n2,Oat,6 5\n", "Line 3: code 5 stands in line 2 already"),
        ("product,name,price\n1,Milk,1.855\n", "Line 2: '1.855' is no price in CHF: a number with at most 2 decimals"),
        ("product,name,price\n1,Milk,-1\n", "Line 2: '-1' is no price in CHF: it is negative"),
        ("product,name,tax\n1,Milk,high\n", "Line 2: 'high' is no tax in percent"),
        ("product,name,tax\n1,Milk,107\n", "Line 2: '107' is no tax in percent: it is more than 100"),
        ("product,name,decimals\n1,Milk,4\n", "Line 2: '4' is no number of decimals"),
        ("product,name,code\n1,Milk,a/b\n", "Line 2: 'a/b' is no code"),
        ("product,name,components\n1,Roll,2\n", "Line 2: '2' is no component"),
        ("product,name,components\n1,Roll,2:1\n", "Line 2: component 2 is neither in the file"),
        (b"product,name\n1,M\xfcsli\n", "Line 2: this is not UTF-8"),
        ('product,name\n1,"Milk\n', "this is not CSV"),
    ],
)
def test_what_cannot_be_read_is_one_sentence_with_its_line(log: Log, file: str | bytes, said: str) -> None:
    with pytest.raises(ProductFileWrong) as refused:
        given(log, file)
    assert said in str(refused.value)


def test_the_decimals_of_a_product_never_change(log: Log) -> None:
    given(log, "product,name,decimals\n1,Cheese,3\n")
    with pytest.raises(ProductFileWrong, match="Line 2: product 1 has 3 decimals"):
        given(log, "product,name,decimals\n1,Cheese,2\n")
