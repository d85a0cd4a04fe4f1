"""What a till needs to know of a product, whoever keeps the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from crdt_pos.money import round_half_up
from gossip.log import Reader
from merge_rules.dataclass import dataclass

OPEN_PRICE: Final = 0
"""The product of goods that nobody has listed, sold at a price that is typed in. The catalogue may say how it is taxed."""


@dataclass(frozen=True, slots=True)
class Price:
    """A price per whole unit, from a moment on."""

    amount_minor: int
    valid_from_ms: int = 0
    """Milliseconds since 1970 UTC; names this version of the price on receipts."""
    exponent: int = 0
    """Decimals below the minor unit: fuel at 1.789 a litre is ``Price(1789, exponent=1)`` where 100 minor are 1."""


@dataclass(frozen=True, slots=True)
class Component:
    """What one whole unit of a dish consumes: ``quantity`` in the component's own 10**-exponent units."""

    product: int
    quantity: int


@dataclass(frozen=True, slots=True)
class Product:
    """A product as the till sells it."""

    id: int
    """Unsigned, 64 bit."""
    name: str
    unit: str = ""
    """``kg``, ``l``; empty for pieces."""
    quantity_exponent: int = 0
    """Quantities of this product are integers of 10**-exponent units, everywhere and for ever."""
    prices: tuple[Price, ...] = ()
    """By ascending ``valid_from_ms``."""
    tax_code: int = 0
    recipe: tuple[Component, ...] = ()
    department: str = ""
    liability: str = ""
    """The programme (``gift``) whose balance this product tops up: its price is owed, not earned. Else empty."""

    def price_at(self, ms: int) -> Price | None:
        """The price that is valid at ``ms``: the last that has begun."""
        return next((price for price in reversed(self.prices) if price.valid_from_ms <= ms), None)

    def consumed(self, quantity: int) -> tuple[Component, ...]:
        """What ``quantity`` (10**-exponent units) of this product consumes."""
        whole = 10**self.quantity_exponent
        return tuple(
            Component(part.product, round_half_up(part.quantity * quantity, whole))
            for part in self.recipe
            if part.quantity
        )


class Products(Protocol):
    """The catalogue as a till reads it. Both answers come from views: O(1)."""

    def find(self, reader: Reader, product: int) -> Product | None:
        """The product, or ``None``."""
        ...

    def tax_rate_ppm(self, reader: Reader, code: int, ms: int) -> int:
        """The rate of a tax code at ``ms``, in millionths (19 % is 190,000); 0 for an unknown code."""
        ...


@dataclass(frozen=True, slots=True)
class ProductTable:
    """Products that are simply given."""

    products: Mapping[int, Product]
    rates_ppm: Mapping[int, int]

    def find(self, reader: Reader, product: int) -> Product | None:
        del reader
        return self.products.get(product)

    def tax_rate_ppm(self, reader: Reader, code: int, ms: int) -> int:
        del reader, ms
        return self.rates_ppm.get(code, 0)
