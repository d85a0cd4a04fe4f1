"""X and Z reports: what a till has taken, in the open date (X) and at its close (Z)."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass

from crdt_pos.receipt import Series, Tender


@dataclass(frozen=True, slots=True)
class XReport:
    """Amounts in minor units of ``currency``; every one of them grows only while the date is open."""

    business_date: datetime.date
    store: int
    till: int
    incarnation: str
    currency: str
    exponent: int
    sales_minor: int
    """Totals of lines sold, as priced (with or without tax)."""
    refunds_minor: int
    tax: Mapping[int, tuple[int, int]]
    """Tax code → base and tax, refunds taken off."""
    tax_not_included_minor: int
    rounding_minor: int
    liabilities_sold_minor: int
    tenders: Mapping[Tender, tuple[int, int]]
    """Tender → in and out."""
    documents: Mapping[Series, tuple[int, int, int]]
    """Series → first number, last number, count."""
    covers: int
    """Acts of the date so far."""
    float_minor: int
    pick_ups_minor: int
    paid_in_minor: int
    paid_out_minor: int
    cash_expected_minor: int
    """What should lie in the drawer."""
    perpetual_sales_minor: int
    """Of this incarnation, since its first date, this one included."""
    perpetual_refunds_minor: int


@dataclass(frozen=True, slots=True)
class ZReport(XReport):
    """The report of a closed date."""

    cash_counted_minor: int | None
    closed_ms: int

    @property
    def difference_minor(self) -> int | None:
        """Counted less expected; ``None`` if nobody counted."""
        return None if self.cash_counted_minor is None else self.cash_counted_minor - self.cash_expected_minor
