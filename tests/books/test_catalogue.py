from __future__ import annotations

import time

import pytest

from crdt_pos import catalogue, catalogue_views, words
from crdt_pos.catalogue import Change, code_change, price_change, product_changes, shard_of, tax_change
from crdt_pos.catalogue_views import CatalogueProducts
from crdt_pos.products import Component, Price, Product
from crdt_pos.schema import SCHEMA
from gossip.document import FeedType, ScopeClass
from gossip.entry import Entry, sign
from gossip.log import Arrival, Log
from gossip.log_memory import MemoryLog
from merge_rules.errors import NotAllowed
from merge_rules.lattice import Author
from peers.keys import SecretKey, author_of

PRODUCTS = CatalogueProducts()
PIZZA = Product(
    900, "Pizza Margherita 350 g", "kg", 3, (Price(899, 5), Price(950, 50)), 2, (Component(7, 250),), "Deli", "gift"
)


class Office:
    """A head office: a key, and a log of its own."""

    def __init__(self, number: int = 1) -> None:
        self.key = SecretKey(bytes([number]) * 32)
        self.author = author_of(self.key.public, f"{'abc'[number]}0")
        self.log: Log = MemoryLog(SCHEMA)

    def write(self, *changes: Change) -> list[Entry]:
        with self.log.read() as reader:
            entries = catalogue.write(reader, self.key, self.author, changes, 1)
        receive(self.log, entries)
        return entries

    def entries(self) -> list[Entry]:
        with self.log.read() as reader:
            return [stored.entry for stored in reader.arrivals(0, 100_000)]


def receive(log: Log, entries: list[Entry]) -> int:
    """Append with the views that are derived; how many those were."""
    arrivals = [Arrival(entry) for entry in entries]
    with log.read() as reader:
        views = catalogue_views.derive(reader, arrivals)
    log.append(arrivals, views)
    return len(views)


def test_a_product_reads_as_it_was_written() -> None:
    office = Office()
    office.write(*product_changes(PIZZA, ["4001", "4002"]))
    with office.log.read() as reader:
        assert PRODUCTS.find(reader, 900) == PIZZA
        assert PRODUCTS.by_code(reader, "4002") == [PIZZA]
        assert PRODUCTS.by_words(reader, "pizza") == [PIZZA]
        assert PRODUCTS.find(reader, 901) is None
        assert PRODUCTS.by_code(reader, "400") == []


def test_two_offices_change_different_facts_of_one_product_and_both_changes_stay() -> None:
    north, south, till = Office(0), Office(1), MemoryLog(SCHEMA)
    first = north.write(*product_changes(PIZZA))
    receive(south.log, first)
    renamed = north.write(Change(900, "name", "Pizza Napoli"))
    priced = south.write(price_change(900, Price(777, 60)), code_change(900, "4003"))
    receive(till, [*first, *priced, *renamed])
    with till.read() as reader:
        found = PRODUCTS.by_code(reader, "4003")[0]
        assert found.name == "Pizza Napoli"
        assert found.prices == (Price(899, 5), Price(950, 50), Price(777, 60))
        assert PRODUCTS.by_words(reader, "napoli") == [found]
        assert PRODUCTS.by_words(reader, "margherita") == []


def test_two_offices_change_one_fact_and_every_replica_settles_on_the_same_value() -> None:
    north, south = Office(0), Office(1)
    first = north.write(*product_changes(PIZZA))
    receive(south.log, first)
    one, other = north.write(Change(900, "name", "North")), south.write(Change(900, "name", "South"))
    names: set[str] = set()
    for order in ((first, one, other), (first, other, one), ([*first, *other, *one],)):
        till = MemoryLog(SCHEMA)
        for entries in order:
            receive(till, list(entries))
        with till.read() as reader:
            found = PRODUCTS.find(reader, 900)
            assert found is not None
            names.add(found.name)
            assert PRODUCTS.by_words(reader, found.name) == [found]
    assert len(names) == 1


def test_entries_that_arrive_one_by_one_project_the_same_as_all_at_once() -> None:
    office = Office()
    for number in range(30):
        office.write(
            *product_changes(Product(number, f"Tea number {number}", prices=(Price(number + 1, 1),)), [f"9{number}"])
        )
    office.write(Change(3, "retired", value=True), Change(4, "name", "Coffee"), code_change(5, "95", means=False))
    one_by_one, at_once = MemoryLog(SCHEMA), MemoryLog(SCHEMA)
    for entry in office.entries():
        receive(one_by_one, [entry])
    receive(at_once, office.entries())
    with one_by_one.read() as left, at_once.read() as right:
        assert list(left.views(b"")) == list(right.views(b""))
        assert len(PRODUCTS.by_words(left, "tea", limit=50)) == 28
        assert PRODUCTS.by_code(left, "93") == PRODUCTS.by_code(left, "95") == []


def test_only_what_changed_is_projected_again() -> None:
    office, till = Office(), MemoryLog(SCHEMA)
    for number in range(40):
        office.write(*product_changes(Product(number, f"Tea {number}")))
    receive(till, office.entries())
    assert receive(till, office.write(price_change(7, Price(5, 9)))) == 1


def test_an_entry_whose_predecessor_is_missing_changes_no_view_until_it_has_come() -> None:
    office, till = Office(), MemoryLog(SCHEMA)
    first = office.write(Change(7, "name", "Tea"))
    second = office.write(Change(7, "name", "Green tea"))
    assert receive(till, second) == 0
    receive(till, first)
    receive(till, second)
    with till.read() as reader:
        found = PRODUCTS.find(reader, 7)
        assert found is not None
        assert found.name == "Green tea"


def test_an_office_that_contradicts_itself_is_projected_alike_in_every_order() -> None:
    office, clone = Office(), Office()
    first = office.write(Change(7, "name", "Tea"))
    receive(clone.log, first)
    one, other = office.write(Change(7, "name", "Left")), clone.write(Change(7, "name", "Right"))
    views: list[list[tuple[bytes, bytes]]] = []
    for order in ((first, one, other), (first, other, one)):
        till = MemoryLog(SCHEMA)
        for entries in order:
            receive(till, entries)
        with till.read() as reader:
            views.append(list(reader.views(b"product/")))
    assert views[0] == views[1]


def test_a_code_that_two_products_have_answers_with_both_smallest_first() -> None:
    office = Office()
    office.write(Change(9, "name", "Tea"), Change(8, "name", "Other tea"), code_change(9, "123"), code_change(8, "123"))
    with office.log.read() as reader:
        assert [found.id for found in PRODUCTS.by_code(reader, "123")] == [8, 9]


def test_tax_rates_hold_from_their_moment_on() -> None:
    office = Office()
    office.write(tax_change(1, 190_000), tax_change(1, 160_000, 100), tax_change(1, 200_000, 300))
    with office.log.read() as reader:
        rates = [PRODUCTS.tax_rate_ppm(reader, 1, ms) for ms in (0, 99, 100, 299, 300)]
        assert rates == [190_000, 190_000, 160_000, 160_000, 200_000]
        assert PRODUCTS.tax_rate_ppm(reader, 2, 500) == 0


def test_a_price_in_another_currency_does_not_exist_here() -> None:
    office = Office()
    office.write(Change(7, "name", "Tea"), price_change(7, Price(199, 5), "EUR"), price_change(7, Price(249, 5), "CHF"))
    with office.log.read() as reader:
        amounts = [CatalogueProducts(code).find(reader, 7) for code in ("EUR", "CHF", "USD")]
    assert [[price.amount_minor for price in one.prices] for one in amounts if one] == [[199], [249], []]


def test_entries_stay_below_64_kib_and_shards_are_bounded() -> None:
    office = Office()
    entries = office.write(*(Change(900, f"promotion/{n}", "x" * 5000) for n in range(60)))
    assert len(entries) > 4
    assert max(len(entry.raw) for entry in entries) < 65_536
    with pytest.raises(NotAllowed, match="longer than"):
        office.write(Change(900, "name", "x" * 9000))


def test_a_shard_takes_no_more_than_its_bound_of_products(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "SHARD_PRODUCTS_MAX", 2)
    office = Office()
    alike = [number for number in range(1000) if shard_of(number) == 1][:3]
    office.write(*(Change(number, "name", "Tea") for number in alike[:2]))
    with pytest.raises(NotAllowed, match="more than 2"):
        office.write(Change(alike[2], "name", "Tea"))


def test_writing_what_is_so_already_writes_nothing() -> None:
    office = Office()
    office.write(*product_changes(PIZZA))
    assert office.write(*product_changes(PIZZA)) == []


def test_rubbish_that_an_office_signed_hides_no_product_and_stops_no_append() -> None:
    office = Office()
    with office.log.read() as reader:
        state = catalogue.read(reader, shard_of(7))
    body = state.edit_body(
        Author(office.author),
        {
            "7/name": b"\x63Tea",
            "7/price//1": b"\xff",
            f"7/code/{'9' * 200}": b"\xf5",
            "seven/name": b"\x01",
            f"{10**30}/name": b"\x01",
            "7/recipe": b"\x01",
            "7/promotion/deep": b"\x81" * 16 + b"\x01",
        },
    )
    document = catalogue.document(shard_of(7))
    entry = sign(office.key, office.author, document, FeedType.WHOLE, ScopeClass.COMPANY, 1, 1, body)
    receive(office.log, [entry])
    with office.log.read() as reader:
        assert [found.name for found in PRODUCTS.by_words(reader, "tea")] == ["Tea"]


@pytest.fixture(scope="module")
def full_shelf() -> Log:
    """3,000 products with names of few words, on their own log."""
    office = Office()
    sorts = ("Green Tea", "Whole Milk", "Milk Chocolate", "Rye Bread", "Café Crème")
    changes = [
        change
        for number in range(3000)
        for change in product_changes(
            Product(number, f"{sorts[number % 5]} {number % 40} oz #{number}", department="Grocery"), [f"400{number}"]
        )
    ]
    office.write(*changes)
    return office.log


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("milk", "Milk Chocolate"),
        ("choc", "Milk Chocolate"),
        ("milk whole", "Whole Milk"),
        ("cafe", "Café Crème"),
        ("CRÈME", "Café Crème"),
        ("br rye", "Rye Bread"),
        ("tea #1500", "Green Tea 20 oz #1500"),
    ],
)
def test_words_prefixes_and_accents_find_the_best_match_first(full_shelf: Log, text: str, first: str) -> None:
    with full_shelf.read() as reader:
        found = PRODUCTS.by_words(reader, text)
    assert found[0].name.startswith(first)


def test_short_names_come_first_whole_words_before_beginnings_and_departments_last() -> None:
    office = Office()
    names = ("Milk chocolate bar", "Milkshake", "Whole milk 1 l", "Milk", "Cereal bar", "Oat and almond milk drink")
    office.write(
        *(
            change
            for number, name in enumerate(names, 1)
            for change in product_changes(Product(number, name, department="Milk" if name == "Cereal bar" else ""))
        )
    )
    with office.log.read() as reader:
        assert [found.name for found in PRODUCTS.by_words(reader, "milk")] == [
            "Milk",
            "Whole milk 1 l",
            "Milk chocolate bar",
            "Oat and almond milk drink",
            "Cereal bar",
            "Milkshake",
        ]


def test_of_very_many_matches_the_best_of_enough_are_found(monkeypatch: pytest.MonkeyPatch, full_shelf: Log) -> None:
    with full_shelf.read() as reader:
        whole = words.search(reader, "grocery tea", 3000)
        assert len(whole) == 600
        monkeypatch.setattr(words, "FOUND_MAX", 100)
        some = words.search(reader, "grocery tea", 3000)
    assert 100 <= len(some) < 600
    assert set(some) < set(whole)


def test_every_word_must_match(full_shelf: Log) -> None:
    with full_shelf.read() as reader:
        assert PRODUCTS.by_words(reader, "tea bread") == []
        assert PRODUCTS.by_words(reader, "  ") == []
        assert len(PRODUCTS.by_words(reader, "grocery", limit=7)) == 7


def test_lookups_are_quick(full_shelf: Log) -> None:
    with full_shelf.read() as reader:
        began = time.process_time()
        for number in range(200):
            assert PRODUCTS.by_code(reader, f"400{number}")[0].id == number
        assert (time.process_time() - began) / 200 < 0.001
        began = time.process_time()
        PRODUCTS.by_words(reader, "gro mi")
        assert time.process_time() - began < 0.03


def test_tokens_are_bounded_and_plain() -> None:
    assert words.tokens("Crème-brûlée 20er_Pack") == ["creme", "brulee", "20er", "pack"]
    assert len(words.tokens("x" * 500)[0].encode()) == words.TOKEN_BYTES_MAX


def test_a_tax_rate_beyond_all_bounds_is_not_believed_whoever_signed_it() -> None:
    office = Office()
    office.write(tax_change(1, 70_000, 1_000), Change(None, "tax/1/2000", 10**9))
    with office.log.read() as reader:
        assert PRODUCTS.tax_rate_ppm(reader, 1, 3_000) == 70_000
    with pytest.raises(NotAllowed):
        tax_change(1, 10**9)
