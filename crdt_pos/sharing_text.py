"""Products that share a claimed code, side by side, for the person who is to settle it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from crdt_pos.columns import Column, listing, number, table
from crdt_pos.sharing import Meaning, Shared

_WORDS = {"name": "names", "price": "prices", "tax": "taxes", "unit": "units"}


def lines(shared: Shared, exponents: dict[str, int], width: int) -> Iterator[str]:
    """One group: its codes and where it differs, then a line for each product. ``exponents``: decimals by currency."""
    differ = f"{listing([_WORDS[word] for word in shared.differ])} differ" if shared.differ else "they agree"
    codes = listing(shared.codes)
    yield f"  {codes}: {differ}" if len(codes) + len(differ) < width - 4 else f"  {codes}:\n  {differ}"
    rows = [_row(meaning, exponents) for meaning in shared.meanings]
    columns = (
        *(Column("product", right=True), Column("name", shorten=True), Column("price", right=True)),
        *(Column("tax", right=True), Column("unit"), Column("says", shorten=True)),
    )
    shown = {"tax": 3, "unit": 4}
    for word, at in shown.items():
        if word not in shared.differ:
            rows = [[*row[:at], "", *row[at + 1 :]] for row in rows]
    yield from table(columns, rows, width)


def advice(width: int) -> Iterator[str]:
    """How a conflict is settled."""
    text = (
        "Settle it: change a name or price at head office (crdt-pos product change), "
        "or take a claim back (crdt-pos product retract)."
    )
    yield from (f"  {line}" for line in click.wrap_text(text, width - 2).splitlines())


def _row(meaning: Meaning, exponents: dict[str, int]) -> Sequence[str]:
    product = meaning.product
    prices = [
        f"{number(price.amount_minor, exponents.get(currency, 2) + price.exponent)} {currency}".strip()
        for currency, price in meaning.prices
    ]
    stores = sorted({store for _, claimed_by, _ in meaning.codes for store in claimed_by})
    says = [f"store{'s' if len(stores) > 1 else ''} {listing([str(store) for store in stores])}"] if stores else []
    says += ["catalogue"] if any(listed for *_, listed in meaning.codes) else []
    per = f"/{product.unit}" if product.unit else ""
    return [
        *(str(product.id), product.name, ", ".join(prices) + per),
        *(str(product.tax_code), f"{product.unit or 'pieces'} ({product.quantity_exponent})", ", ".join(says)),
    ]
