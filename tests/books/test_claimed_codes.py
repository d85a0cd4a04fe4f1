"""Products that stores make by themselves, the codes that they claim, and how they are read and sold."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from crdt_pos import books, catalogue_views, claiming, new_product, sharing
from crdt_pos.catalogue import Change, code_change, price_change, product_changes, tax_change
from crdt_pos.catalogue_views import CatalogueProducts
from crdt_pos.claiming import Batch, Writer
from crdt_pos.directory import load_directory
from crdt_pos.errors import ProductRefused
from crdt_pos.new_product import NewProduct
from crdt_pos.products import Price, Product
from crdt_pos.schema import SCHEMA
from gossip.document import FeedType
from gossip.entry import Entry
from gossip.log import Arrival, Log
from gossip.log_memory import MemoryLog
from peers.keys import SecretKey, author_of
from tests.books.company import DATE, NOON_MS, Company, basket

JAM = "4006381333931"
FIG_JAM = NewProduct("Fig jam", 450, code=JAM, tax_rate_ppm=70_000)
FIG_SPREAD = replace(FIG_JAM, name="Fig spread", price_minor=490)


class Shop:
    """A till of a store: a key, and a log of its own."""

    def __init__(self, store: int, currency: str = "EUR") -> None:
        self.store, self.currency = store, currency
        key = SecretKey(bytes([store]) * 32)
        self.writer = Writer(key, author_of(key.public, "a1"))
        self.log: Log = MemoryLog(SCHEMA)
        self.products = CatalogueProducts(currency, store)
        self.state(tax_change(1, 70_000))

    def append(self, batch: Batch) -> Batch:
        self.log.append(batch.arrivals, batch.views)
        return batch

    def state(self, *changes: Change) -> None:
        catalogue_views.append(self.log, self.writer.key, self.writer.author, changes, NOON_MS)

    def make(self, wanted: NewProduct, now_ms: int = NOON_MS) -> int:
        with self.log.read() as reader:
            product, batch = new_product.make(reader, self.writer, self.store, wanted, self.currency, now_ms)
        self.append(batch)
        return product.id

    def claim(self, code: str, product: int) -> Batch:
        with self.log.read() as reader:
            batch = claiming.claim(reader, self.writer, self.store, code, product, NOON_MS)
        return self.append(batch)

    def retract(self, code: str, product: int, *stores: int) -> Batch:
        with self.log.read() as reader:
            batch = claiming.retract(reader, self.writer, stores or [self.store], code, product, NOON_MS)
        return self.append(batch)

    def entries(self) -> list[Entry]:
        with self.log.read() as reader:
            return [stored.entry for stored in reader.arrivals(0, 100_000)]

    def meet(self, other: Shop) -> None:
        for here, there in ((self, other), (other, self)):
            receive(there.log, here.entries())

    def scan(self, code: str = JAM) -> list[int]:
        with self.log.read() as reader:
            return [product.id for product in self.products.by_code(reader, code)]

    def shared(self) -> list[sharing.Shared]:
        with self.log.read() as reader:
            return sharing.read(reader, sharing.identities(reader), NOON_MS)


def receive(log: Log, entries: list[Entry]) -> None:
    arrivals = [Arrival(entry) for entry in entries]
    with log.read() as reader:
        views = catalogue_views.derive(reader, arrivals)
    log.append(arrivals, views)


@pytest.fixture
def shops() -> tuple[Shop, Shop, Shop]:
    """Two stores that each made the product and have met, and a third that has heard of both."""
    north, south, third = Shop(12), Shop(13), Shop(14)
    north.make(FIG_JAM)
    south.make(FIG_SPREAD)
    north.meet(south)
    third.meet(north)
    return north, south, third


def test_a_product_that_a_store_made_is_found_by_its_code_and_by_words_at_once() -> None:
    north = Shop(12)
    number = north.make(FIG_JAM)
    with north.log.read() as reader:
        expected = Product(number, "Fig jam", prices=(Price(450, 1),), tax_code=1)
        assert north.products.by_code(reader, JAM) == [expected]
        assert north.products.by_words(reader, "jam") == [expected]


def test_its_number_has_fifteen_digits_and_is_another_for_every_maker_moment_and_name() -> None:
    authors = [Shop(store).writer.author for store in (12, 13)]
    drawn = {
        new_product.number_of(author, moment, name, code)
        for author, moment, name, code in itertools.product(authors, (NOON_MS, NOON_MS + 1, "once"), "ab", (JAM, ""))
    }
    assert len(drawn) == 2 * 3 * 2 * 2
    assert {len(str(number)) for number in drawn} == {15}
    assert max(drawn) < 2**53


def test_asked_for_again_under_the_same_id_it_is_the_same_product() -> None:
    north = Shop(12)
    wanted = replace(FIG_JAM, once="7f3a")
    first = north.make(wanted)
    count = len(north.entries())
    assert north.make(wanted, NOON_MS + 99) == first
    assert len(north.entries()) == count


def test_a_code_sells_what_the_own_store_claims_else_the_smallest_number(shops: tuple[Shop, Shop, Shop]) -> None:
    north, south, third = shops
    (jam,), (spread,) = [[one for one in shop.scan() if one == shop.scan()[0]] for shop in (north, south)]
    assert jam != spread
    assert north.scan() == [jam, spread]
    assert south.scan() == [spread, jam]
    assert third.scan() == sorted((jam, spread))


def test_a_product_without_a_price_in_the_stores_currency_comes_last() -> None:
    swiss, north = Shop(12, "CHF"), Shop(13)
    there, here = swiss.make(FIG_JAM), north.make(FIG_SPREAD)
    third = Shop(14)
    third.meet(swiss)
    third.meet(north)
    assert third.scan() == [here, there]
    # Two currencies do not contradict each other; the names do.
    assert [one.differ for one in third.shared()] == [("name",)]


def test_differing_names_and_prices_are_a_conflict_until_head_office_makes_them_agree(
    shops: tuple[Shop, Shop, Shop],
) -> None:
    north, south, third = shops
    jam, spread = north.scan()[0], south.scan()[0]
    (shared,) = third.shared()
    assert (shared.codes, shared.differ) == ((JAM,), ("name", "price"))
    assert shared.products == tuple(sorted((jam, spread)))
    said = {meaning.product.name: meaning.codes for meaning in shared.meanings}
    assert said == {"Fig jam": ((JAM, (12,), False),), "Fig spread": ((JAM, (13,), False),)}
    third.state(price_change(spread, Price(450, NOON_MS), "EUR"))
    assert [one.differ for one in third.shared()] == [("name",)]
    third.state(Change(spread, "name", "Fig jam"))
    (shared,) = third.shared()
    assert shared.differ == ()
    assert sharing.conflicts([shared]) == []


def test_head_offices_own_product_for_the_code_is_one_with_it_and_a_code_that_nobody_claims_joins_nothing() -> None:
    north, office = Shop(12), Shop(99)
    made = north.make(FIG_JAM)
    office.state(*product_changes(Product(7, "Fig jam 200 g", prices=(Price(450),)), [JAM, "111"]))
    office.state(*product_changes(Product(8, "Plum jam"), ["111"]))
    north.meet(office)
    assert [one.products for one in north.shared()] == [(7, made)]
    assert north.scan() == [made, 7]
    assert office.scan() == [7, made]
    assert north.scan("111") == [7, 8]
    north.retract(JAM, made)
    assert (north.scan(), north.shared()) == ([7], [])


def test_a_claim_is_taken_back_and_made_again(shops: tuple[Shop, Shop, Shop]) -> None:
    north, south, third = shops
    jam, spread = north.scan()[0], south.scan()[0]
    assert len(south.retract(JAM, spread).arrivals) == 1
    third.meet(south)
    assert (third.scan(), third.shared()) == ([jam], [])
    assert len(south.claim(JAM, spread).arrivals) == 1
    assert south.claim(JAM, spread).arrivals == ()
    third.meet(south)
    assert third.scan() == sorted((jam, spread))


def test_a_retired_product_is_no_longer_sold_by_a_code_that_is_claimed_for_it() -> None:
    north = Shop(12)
    made = north.make(FIG_JAM)
    north.state(Change(made, "retired", value=True))
    assert north.scan() == []


def test_claims_project_the_same_in_every_order_of_arrival(shops: tuple[Shop, Shop, Shop]) -> None:
    north, south, third = shops
    north.retract(JAM, north.scan()[0])
    north.claim("222", south.scan()[0])
    south.claim("222", north.scan("222")[0])
    third.meet(north)
    third.meet(south)
    entries = third.entries()
    projected: list[list[tuple[bytes, bytes]]] = []
    for order in (entries, sorted(entries, key=lambda one: (one.author, one.document.kind, one.seq)), None):
        log = MemoryLog(SCHEMA)
        if order is None:
            receive(log, entries)
        else:
            # A whole feed is appended without a gap.
            for entry in sorted(order, key=lambda one: one.seq) if order is not entries else order:
                receive(log, [entry])
        with log.read() as reader:
            projected.append(list(reader.views(b"code/")))
    assert projected[0] == projected[1] == projected[2]
    assert len(projected[0]) == 3


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (replace(FIG_JAM, name=" "), "A product needs a name"),
        (replace(FIG_JAM, name="x" * 81), "at most 80 characters"),
        (replace(FIG_JAM, code="4006/38"), "is no code"),
        (replace(FIG_JAM, code="4006\n38"), "is no code"),
        (replace(FIG_JAM, tax_rate_ppm=81_000), "No tax is 8.1 % here; there is 7 %."),
        (replace(FIG_JAM, tax_code=9), r"There is no tax code 9; there is 1 \(7 %\)."),
    ],
)
def test_what_cannot_be_made_is_refused_in_a_sentence_and_writes_nothing(wanted: NewProduct, said: str) -> None:
    north = Shop(12)
    before = len(north.entries())
    with pytest.raises(ProductRefused, match=said):
        north.make(wanted)
    assert len(north.entries()) == before


def test_a_code_that_is_known_here_is_not_made_again_and_an_unknown_product_is_not_claimed(
    shops: tuple[Shop, Shop, Shop],
) -> None:
    *_, third = shops
    with pytest.raises(ProductRefused, match=f"{JAM} is known here: it is "):
        third.make(FIG_JAM)
    third.state(code_change(third.scan()[0], "333"))
    with pytest.raises(ProductRefused, match="333 is known here"):
        third.make(replace(FIG_JAM, code="333"))
    with pytest.raises(ProductRefused, match="There is no product 5 here"):
        third.claim(JAM, 5)
    with pytest.raises(ProductRefused, match="Only store 12 said that"):
        third.retract(JAM, shops[0].scan()[0])
    with pytest.raises(ProductRefused, match="Nobody claims that 333 means"):
        third.retract("333", third.scan("333")[0])


def test_claims_are_small_entries_of_a_whole_feed_in_the_stores_document(shops: tuple[Shop, Shop, Shop]) -> None:
    (entry,) = [one for one in shops[0].entries() if one.document.kind == "claims" and one.document.keys == (12,)]
    assert entry.feed is FeedType.WHOLE
    assert len(entry.raw) < 200


def test_pieces_and_kilograms_that_share_a_code_have_rows_of_their_own(company: Company) -> None:
    office = company.office
    kilos = Product(50, "Figs", "kg", 3, (Price(900),), 1)
    pieces = Product(51, "Figs", prices=(Price(30),), tax_code=1)
    more = Product(52, "Figs, small", prices=(Price(20),), tax_code=1)
    changes = [change for product in (kilos, pieces, more) for change in product_changes(product)]
    office.write_catalogue(changes)
    writer = Writer(office.folder.key, office.folder.certificate.author)
    for product in (50, 51, 52):
        with office.log.read() as reader:
            batch = claiming.claim(reader, writer, 12, "777", product, NOON_MS)
        office.log.append(batch.arrivals, batch.views)
    till = company.tills["12-1"]
    office.tell(till)
    for product, quantity in ((50, 2), (51, 3), (52, 4)):
        till.till.sell(basket(product, quantity=quantity))
    till.till.publish()
    company.gather()
    rows = _goods(office.log, company)
    assert [(row.product, row.joined, row.goods.sold) for row in rows] == [(50, (), 2000), (51, (51, 52), 7)]
    assert [(part.product, part.goods.sold) for part in rows[1].parts] == [(51, 3), (52, 4)]


def _goods(log: Log, company: Company):
    with log.read() as reader:
        directory = load_directory(reader, company.office.folder.root, [company.office.folder.chain])
        return books.read(reader, directory, books.Query(DATE, DATE), sharing.identities(reader)).accounts[0].goods


def test_a_store_may_claim_many_codes_and_each_is_found(shops: tuple[Shop, Shop, Shop]) -> None:
    north, south, _ = shops
    (made, *_) = north.scan()
    codes = [f"9{number:06}" for number in range(30)]
    for code in codes:
        north.claim(code, made)
    north.meet(south)
    assert {tuple(south.scan(code)) for code in codes} == {(made,)}
