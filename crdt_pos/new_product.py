"""A product that a store makes by itself: sold at once, before head office has heard of it.

It is a product like any other, in the catalogue's shard of its number, and the store *claims* its barcode. So two stores that
are cut off from each other and make one product each have two, with two numbers, which are read as one when they meet.

Its number has 15 digits, drawn by SHA-256 from who made it, when and what: never a barcode, which has 14 at most; exact in
every JSON reader; never another product's, with a probability of 1 in 10 million where a company's shops have made 10,000.
"""

from __future__ import annotations

import hashlib
from typing import Final

from crdt_pos import catalogue, catalogue_views, code_views
from crdt_pos.catalogue_views import CatalogueProducts
from crdt_pos.claiming import Batch, Writer, checked_code
from crdt_pos.columns import listing, percent
from crdt_pos.errors import ProductRefused
from crdt_pos.products import Price, Product
from gossip.log import Arrival, Reader
from merge_rules import canonical
from merge_rules.claims import Claims
from merge_rules.dataclass import dataclass
from merge_rules.lattice import Author

NUMBER_MIN: Final = 10**14
NUMBERS: Final = 9 * 10**14
NAME_CHARACTERS_MAX: Final = 80


@dataclass(frozen=True, slots=True)
class NewProduct:
    """What a cashier says of it."""

    name: str
    price_minor: int
    """Of one whole unit, in the store's currency; it has always been valid."""
    price_exponent: int = 0
    code: str = ""
    """Its barcode; empty: found by words and by its number only."""
    tax_code: int | None = None
    tax_rate_ppm: int | None = None
    """Instead of the code: the catalogue's code with this rate now. Neither: no tax."""
    unit: str = ""
    quantity_exponent: int = 0
    department: str = ""
    once: str = ""
    """Asked for again under the same, with the same name and code: the same product."""


def make(
    reader: Reader, writer: Writer, store: int, wanted: NewProduct, currency: str, now_ms: int
) -> tuple[Product, Batch]:
    """The product, and what to append so that it is sold here. Raises ``ProductRefused``; nothing is written then."""
    number = number_of(writer.author, wanted.once or now_ms, wanted.name, wanted.code)
    known = CatalogueProducts(currency).find(reader, number)
    if known is not None:
        return known, Batch((), ())
    product = Product(
        number,
        _checked_name(wanted.name),
        wanted.unit,
        wanted.quantity_exponent,
        (Price(wanted.price_minor, 1, wanted.price_exponent),),
        _tax_code(reader, wanted, now_ms),
        department=wanted.department,
    )
    if wanted.code:
        _must_be_free(reader, checked_code(wanted.code), store)
    changes = catalogue.product_changes(product, currency=currency)
    entries = catalogue.write(reader, writer.key, writer.author, changes, now_ms << 16)
    arrivals = [Arrival(entry) for entry in entries]
    if wanted.code:
        arrivals.append(writer.sign(reader, store, Claims.claim_body(wanted.code, number), now_ms))
    return product, Batch.of(reader, arrivals)


def number_of(author: Author, moment: str | int, name: str, code: str) -> int:
    """The number of a new product."""
    digest = hashlib.sha256(b"product" + canonical.encode([author, moment, name, code])).digest()
    return NUMBER_MIN + int.from_bytes(digest[:16], "big") % NUMBERS


def _checked_name(name: str) -> str:
    if not name.strip() or not name.isprintable() or len(name) > NAME_CHARACTERS_MAX:
        raise ProductRefused(f"A product needs a name of at most {NAME_CHARACTERS_MAX} characters.")
    return name.strip()


def _must_be_free(reader: Reader, code: str, store: int) -> None:
    for number in code_views.find(reader, code, store):
        found = CatalogueProducts().find(reader, number)
        if found is not None:
            raise ProductRefused(f"{code} is known here: it is {found.name}, product {number}. Sell that one.")


def _tax_code(reader: Reader, wanted: NewProduct, now_ms: int) -> int:
    rates = catalogue_views.tax_rates_ppm(reader, now_ms)
    if wanted.tax_code is not None:
        if wanted.tax_code and wanted.tax_code not in rates:
            known = [f"{code} ({percent(rate)})" for code, rate in rates.items()]
            raise ProductRefused(f"There is no tax code {wanted.tax_code}; there is {listing(known) or 'none'}.")
        return wanted.tax_code
    if not wanted.tax_rate_ppm:
        return 0
    found = [code for code, rate in rates.items() if rate == wanted.tax_rate_ppm]
    if not found:
        known = [percent(rate) for rate in sorted(set(rates.values()))]
        raise ProductRefused(f"No tax is {percent(wanted.tax_rate_ppm)} here; there is {listing(known) or 'none'}.")
    return found[0]
