"""X and Z reports: what a till has taken, in the open date (X) and at its close (Z)."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from crdt_pos.day import Day, drawer_cash_minor
from crdt_pos.receipt import DrawerAct, Receipt, Series, Tender
from merge_rules.dataclass import dataclass


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


def x_report(act: Receipt, day: Day, covers: int) -> XReport:
    """The report of a running fold that covers so many acts; ``act`` says of which till and date."""
    cash = day.tenders.get(Tender.CASH)
    return XReport(
        business_date=act.business_date,
        store=act.store,
        till=act.till,
        incarnation=act.incarnation,
        currency=act.currency,
        exponent=act.exponent,
        sales_minor=day.takings_minor,
        refunds_minor=day.refunds_minor,
        tax={code: (tax.base - tax.base_back, tax.tax - tax.tax_back) for code, tax in day.taxes.items()},
        tax_not_included_minor=day.tax_not_included_minor,
        rounding_minor=day.rounding.net,
        liabilities_sold_minor=day.liabilities.net,
        tenders={Tender(kind): (flow.come_in, flow.gone_out) for kind, flow in day.tenders.items()},
        documents={
            Series(series): (numbers.first, numbers.last, numbers.documents) for series, numbers in day.series.items()
        },
        covers=covers,
        float_minor=day.drawer.get(DrawerAct.FLOAT, 0),
        pick_ups_minor=day.drawer.get(DrawerAct.PICK_UP, 0),
        paid_in_minor=day.drawer.get(DrawerAct.PAID_IN, 0),
        paid_out_minor=day.drawer.get(DrawerAct.PAID_OUT, 0),
        cash_expected_minor=drawer_cash_minor(day, cash.net if cash is not None else 0),
        perpetual_sales_minor=day.perpetual_sales,
        perpetual_refunds_minor=day.perpetual_refunds,
    )
