"""Products that share a claimed code: they are read as one, and where they differ a person is told.

Beside what stores claim counts what the catalogue says of the same code, so that head office's own product and the one that a
store made for it meantime are one, too. Codes that nobody claims join nothing.

Differing names, prices, taxes or units are an open conflict. It is settled by changing a product at head office until they
agree, or by taking a claim back. Until then a code sells what ``CatalogueProducts.by_code`` says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from crdt_pos import catalogue_views, claims_views, code_views
from crdt_pos.catalogue_views import CatalogueProducts, Facts
from crdt_pos.products import Price, Product
from gossip.log import Reader
from merge_rules.claims import Code, Identities, Thing
from merge_rules.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Meaning:
    """One of the products that a code means."""

    product: Product
    """As the catalogue here has it; one that is not here yet has no name but its number."""
    prices: tuple[tuple[str, Price], ...]
    """What it costs now, by currency (empty: any)."""
    codes: tuple[tuple[str, tuple[int, ...], bool], ...]
    """Of each shared code that means it: the stores that claim so, and whether the catalogue says so."""


@dataclass(frozen=True, slots=True)
class Shared:
    """Products that are read as one."""

    codes: tuple[str, ...]
    meanings: tuple[Meaning, ...]
    """By ascending number; the first names them all."""
    differ: tuple[str, ...]
    """``name``, ``price``, ``tax``, ``unit``: where they do not agree. Empty: there is nothing to settle."""

    @property
    def products(self) -> tuple[int, ...]:
        """Their numbers, ascending."""
        return tuple(meaning.product.id for meaning in self.meanings)


def identities(reader: Reader) -> Identities:
    """What codes mean, by the claims of every store that are here."""
    return Identities.of(said(reader))


def said(reader: Reader) -> set[tuple[Code, Thing]]:
    """Every claim of a store that is here, and what the catalogue says of the same codes."""
    claims: set[tuple[Code, Thing]] = set()
    for store in claims_views.stores(reader):
        claims.update(claims_views.read(reader, store).claims())
    listed = [
        (code, product)
        for code in {code for code, _ in claims if isinstance(code, str)}
        for source, products in code_views.said(reader, code)
        if code_views.store_of(source) is None
        for product in products
    ]
    return claims.union(listed)


def read(reader: Reader, known: Identities, now_ms: int) -> list[Shared]:
    """All products that are read as one, by ascending number."""
    codes = _codes(known)
    found: list[Shared] = []
    for group in known.groups():
        products = [thing for thing in group if isinstance(thing, int)]
        if products:
            found.append(_shared(reader, products, sorted(codes[products[0]]), now_ms))
    return found


def of_code(reader: Reader, known: Identities, code: str, now_ms: int) -> Shared | None:
    """The products that a code means, with all that is one with them; ``None`` for a code that means nothing here."""
    products = code_views.find(reader, code)
    if not products:
        return None
    group = {thing for product in products for thing in known.group(product) if isinstance(thing, int)}
    codes = {code}.union(*(_codes(known).get(product, ()) for product in group))
    return _shared(reader, sorted(group), sorted(codes), now_ms)


def together(reader: Reader, products: Sequence[int], codes: Sequence[str], now_ms: int) -> Shared:
    """Products as they would be if they were read as one."""
    return _shared(reader, sorted(products), sorted(codes), now_ms)


def conflicts(shared: Iterable[Shared], product: int | None = None) -> list[Shared]:
    """Those that a person should settle; with ``product`` only what concerns that one."""
    return [one for one in shared if one.differ and product in (None, *one.products)]


def plain(shared: Shared) -> dict[str, object]:
    """For JSON."""
    return {
        "codes": list(shared.codes),
        "differ": list(shared.differ),
        "products": [
            {
                "product": meaning.product.id,
                "name": meaning.product.name,
                "prices": [
                    {"currency": currency, "amount_minor": price.amount_minor, "exponent": price.exponent}
                    for currency, price in meaning.prices
                ],
                "tax_code": meaning.product.tax_code,
                "unit": meaning.product.unit,
                "quantity_exponent": meaning.product.quantity_exponent,
                "codes": [
                    {"code": code, "claimed_by": list(stores), "in_catalogue": listed}
                    for code, stores, listed in meaning.codes
                ],
            }
            for meaning in shared.meanings
        ],
    }


def _codes(known: Identities) -> dict[Thing, list[str]]:
    """The claimed codes of each group, by the product that names it."""
    codes: dict[Thing, list[str]] = {}
    for code, things in known.by_code.items():
        if isinstance(code, str):
            codes.setdefault(known.same_as(things[0]), []).append(code)
    return codes


def _shared(reader: Reader, products: Sequence[int], codes: Sequence[str], now_ms: int) -> Shared:
    facts = {product: catalogue_views.read_facts(reader, product) for product in products}
    currencies = sorted({currency for one in facts.values() for currency in _currencies(one)} - {""}) or [""]
    said = {code: list(code_views.said(reader, code)) for code in codes}
    meanings = tuple(_meaning(product, facts[product], currencies, said, now_ms) for product in products)
    here = [meaning for meaning in meanings if facts[meaning.product.id]]
    return Shared(tuple(codes), meanings, tuple(_differing(here, currencies)))


def _meaning(
    product: int,
    facts: Facts,
    currencies: Iterable[str],
    said: dict[str, list[tuple[bytes, list[int]]]],
    now_ms: int,
) -> Meaning:
    prices = [(code, CatalogueProducts(code).product(product, facts).price_at(now_ms)) for code in currencies]
    sources = {code: [source for source, means in found if product in means] for code, found in said.items()}
    stores = {code: [code_views.store_of(source) for source in found] for code, found in sources.items() if found}
    return Meaning(
        CatalogueProducts().product(product, facts),
        tuple((currency, price) for currency, price in prices if price is not None),
        tuple(
            (code, tuple(one for one in found if one is not None), None in found)
            for code, found in sorted(stores.items())
        ),
    )


def _currencies(facts: Facts) -> Iterator[str]:
    for fact in facts:
        if fact.startswith("price/"):
            yield fact.split("/")[1]


def _differing(meanings: Sequence[Meaning], currencies: Iterable[str]) -> Iterator[str]:
    products = [meaning.product for meaning in meanings]
    if len({product.name for product in products}) > 1:
        yield "name"
    if any(_prices_differ(meanings, currency) for currency in currencies):
        yield "price"
    if len({product.tax_code for product in products}) > 1:
        yield "tax"
    if len({(product.unit, product.quantity_exponent) for product in products}) > 1:
        yield "unit"


def _prices_differ(meanings: Iterable[Meaning], currency: str) -> bool:
    # A product that has no price in a currency contradicts nobody.
    prices = [price for meaning in meanings for code, price in meaning.prices if code == currency]
    most = max((price.exponent for price in prices), default=0)
    return len({price.amount_minor * 10 ** (most - price.exponent) for price in prices}) > 1
