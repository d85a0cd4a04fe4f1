"""Price variances as a person lists them: what each line was sold at, what was due, and the difference in money."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from crdt_pos import variances
from crdt_pos.catalogue_views import CatalogueProducts
from crdt_pos.columns import Column, number, table
from crdt_pos.schema import VARIANCES
from crdt_pos.variance import Variance
from gossip.document import date_of
from gossip.log import Reader
from merge_rules.dataclass import dataclass
from peers.roster import Directory

_CENTS: Final = 2


@dataclass(frozen=True, slots=True)
class Listed:
    """One variance, where and when."""

    date: datetime.date
    store: int
    variance: Variance
    name: str
    """What the catalogue here calls the product; empty if it does not know it."""
    currency: str
    exponent: int

    def plain(self) -> dict[str, object]:
        """For JSON, amounts in minor units."""
        one = self.variance
        return {
            "date": self.date.isoformat(),
            "store": self.store,
            "number": one.number,
            "line": one.line,
            "product": one.product,
            "name": self.name,
            "quantity": one.quantity,
            "quantity_exponent": one.quantity_exponent,
            "sold_minor": one.sold.amount_minor,
            "sold_exponent": one.sold.exponent,
            "due_minor": one.due.amount_minor,
            "due_exponent": one.due.exponent,
            "difference_minor": one.difference_minor,
            "currency": self.currency,
        }


@dataclass(frozen=True, slots=True)
class Total:
    """Of one store in one currency."""

    store: int
    currency: str
    exponent: int
    lines: int
    difference_minor: int


def of(reader: Reader, directory: Directory, date: datetime.date, store: int, variance: Variance) -> Listed:
    """A variance with the names that are known here."""
    record, product = directory.store(store, date), CatalogueProducts().find(reader, variance.product)
    return Listed(
        date,
        store,
        variance,
        product.name if product else "",
        record.currency if record else "",
        record.exponent if record else _CENTS,
    )


def listed(
    reader: Reader, directory: Directory, first: datetime.date, last: datetime.date, store: int | None = None
) -> list[Listed]:
    """Every variance here of business dates from ``first`` to ``last``, by date, store and receipt."""
    found: list[Listed] = []
    for document in reader.documents(VARIANCES):
        place, date = document.keys[0], date_of(document.day)
        if isinstance(place, int) and store in (None, place) and first <= date <= last:
            found += [of(reader, directory, date, place, one) for one in variances.read(reader, document)]
    return sorted(found, key=lambda one: (one.date, one.store, one.variance.number, one.variance.line))


def totals(found: Iterable[Listed]) -> list[Total]:
    """The sums, by store and currency."""
    sums: dict[tuple[int, str, int], list[int]] = {}
    for one in found:
        sums.setdefault((one.store, one.currency, one.exponent), []).append(one.variance.difference_minor)
    return [Total(*key, len(differences), sum(differences)) for key, differences in sorted(sums.items())]


def lines(found: Sequence[Listed], width: int) -> Iterator[str]:
    """A row for each."""
    rows: list[Sequence[str]] = []
    for one in found:
        said = one.variance
        prices = [number(price.amount_minor, one.exponent + price.exponent) for price in (said.sold, said.due)]
        rows.append(
            (
                str(one.date),
                f"{said.number} line {said.line}",
                one.name or f"#{said.product}",
                number(said.quantity, said.quantity_exponent),
                *prices,
                number(said.difference_minor, one.exponent),
            )
        )
    figures = (Column(title, right=True) for title in ("quantity", "sold at", "due", "difference"))
    yield from table((Column("date"), Column("receipt"), Column("product", shorten=True), *figures), rows, width)
