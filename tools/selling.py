"""Drives the tills of a town through days of real baskets, over their local sockets, as a cashier's screen would."""

from __future__ import annotations

import datetime
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from crdt_pos import catalogue
from crdt_pos.catalogue import Change
from crdt_pos.local import LocalClient, LocalRefused
from crdt_pos.products import Price, Product
from crdt_pos.receipt import ACCOUNT_BYTES
from tools import baskets as data
from tools.baskets import Basket, BasketLine, ProductRow
from tools.repeating import Repeating
from tools.town import Town

REDEEM_EVERY: Final = 3
DELIVERY_LINES_MAX: Final = 1_000
SPARE: Final = 1
"""How many units more than it sells a till receives of each product and day."""

Place = tuple[int, int]
"""Store and till."""


@dataclass(frozen=True, slots=True)
class Extra:
    """A sale that is not in the data: somebody bought something in the course of what happened to the shops."""

    store: int
    product: int
    quantity: int
    total_minor: int
    points: int


@dataclass(slots=True)
class Ledger:
    """What the driver knows of the acts that it asked for and that were acknowledged."""

    sold: int = 0
    lost: list[str] = field(default_factory=list[str])
    """Baskets that no till took, with the reason."""
    redeemed: int = 0
    redemptions_short: int = 0
    """How often fewer points were given than the balance, since other replicas held the rights to the rest."""
    received: Counter[tuple[int, int]] = field(default_factory=Counter[tuple[int, int]])
    """Per store and product."""
    visits: Counter[int] = field(default_factory=Counter[int])
    """Baskets per household."""
    repeating: Repeating | None = None
    """Sends some requests to the tills again, if it is to."""
    extras: list[Extra] = field(default_factory=list[Extra])
    numbers: list[str] = field(default_factory=list[str])
    """Of every receipt that a till gave."""

    def note_extra(self, store: int, row: ProductRow, quantity: int, receipt: Mapping[str, Any], member: bytes) -> None:
        """Note a sale of one product of the catalogue beside the data."""
        total_minor = cast("int", receipt["due_minor"])
        rate_ppm = data.TAX_RATES_PPM[row.tax_code]
        tax_minor = (2 * total_minor * rate_ppm + 1_000_000 + rate_ppm) // (2 * (1_000_000 + rate_ppm))
        points = (total_minor - tax_minor) // 100 if member else 0
        self.extras.append(Extra(store, row.product, quantity, total_minor, points))
        self.note(receipt)

    def note(self, receipt: Mapping[str, Any]) -> None:
        """Note a receipt: its number, and the points that it redeemed."""
        self.numbers.append(receipt["number"])
        self.redeemed += sum(movement["redeemed"] for movement in receipt["movements"])


def account_of(household: int) -> bytes:
    """The member's account of a household of the data: 8 bytes that say nothing by themselves."""
    return hashlib.sha256(b"household %d" % household).digest()[:ACCOUNT_BYTES]


def spread(baskets: Iterable[Basket], tills: int) -> dict[datetime.date, list[tuple[Place, Basket]]]:
    """Days of baskets in order of time, each with its till: the tills of a store take turns."""
    turns: Counter[tuple[int, datetime.date]] = Counter()
    days: dict[datetime.date, list[tuple[Place, Basket]]] = {}
    for basket in baskets:
        turn = turns[basket.store, basket.date]
        turns[basket.store, basket.date] += 1
        days.setdefault(basket.date, []).append(((basket.store, 1 + turn % tills), basket))
    return days


def catalogue_changes(products: Iterable[ProductRow], baskets: Iterable[Basket]) -> Iterator[Change]:
    """The catalogue of these products: names, tax codes, barcodes, and the first shelf price seen in the baskets."""
    shelf: dict[int, Price] = {}
    for basket in baskets:
        for line in basket.lines:
            if line.product not in shelf and line.quantity:
                shelf[line.product] = _shelf_price(line)
    for code, rate_ppm in data.TAX_RATES_PPM.items():
        yield catalogue.tax_change(code, rate_ppm)
    for row in products:
        price = shelf.get(row.product)
        product = Product(
            row.product,
            row.name,
            "gal" if row.exponent else "",
            row.exponent,
            () if price is None else (price,),
            row.tax_code,
            department=row.department.title(),
        )
        yield from catalogue.product_changes(product, [data.ean13(row.product)])


def _shelf_price(line: BasketLine) -> Price:
    gross_minor = line.total_minor + line.discount_minor
    if line.exponent:  # fuel: tenths of a cent
        return Price((gross_minor * 10 ** (line.exponent + 1) + line.quantity // 2) // line.quantity, exponent=1)
    return Price((gross_minor + line.quantity // 2) // line.quantity)


def open_day(
    town: Town, places: Sequence[Place], date: datetime.date, day: Sequence[tuple[Place, Basket]], ledger: Ledger
) -> None:
    """Every till opens the date, receives its goods and publishes the morning's summary."""
    needs: dict[Place, Counter[tuple[int, int]]] = {place: Counter() for place in places}
    for place, basket in day:
        for line in basket.lines:
            needs[place][line.product, line.exponent] += line.quantity
    for place in places:
        client = town.client(town.tills[place])
        client.call("open", date=date.isoformat(), float_minor=20_000)
        lines = [
            {"product": product, "quantity": quantity + SPARE * 10**exponent, "quantity_exponent": exponent}
            for (product, exponent), quantity in sorted(needs[place].items())
        ]
        for start in range(0, len(lines), DELIVERY_LINES_MAX):
            client.call("replenish", lines=lines[start : start + DELIVERY_LINES_MAX], reference=f"delivery {date}")
        for (product, exponent), quantity in needs[place].items():
            ledger.received[place[0], product] += quantity + SPARE * 10**exponent
        client.call("publish")


def sell_day(town: Town, day: Sequence[tuple[Place, Basket]], ledger: Ledger, sold: Callable[[], None]) -> None:
    """Sell every basket of a day in order of time."""
    for place, basket in day:
        client = town.client(town.tills[place])
        ledger.visits[basket.household] += 1
        try:
            _sell(client, basket, ledger)
            ledger.sold += 1
        except LocalRefused as refusal:
            ledger.lost.append(f"basket {basket.number}: {refusal.format_message()}")
        sold()


def close_day(town: Town, places: Sequence[Place]) -> None:
    """Every till closes its date and publishes the evening's summary."""
    for place in places:
        town.client(town.tills[place]).call("close")


def _sell(client: LocalClient, basket: Basket, ledger: Ledger) -> None:
    lines = [_line(line) for line in basket.lines]
    member = account_of(basket.household).hex()
    points = 0
    if ledger.visits[basket.household] % REDEEM_EVERY == 0:
        balance = cast("int", client.call("member", account=member)["company"])
        points = min(balance, basket.total_minor)
    try:
        answer = _call(client, basket, lines, member, points, ledger)
    except LocalRefused as refusal:
        if refusal.kind != "NotEnoughRights":
            raise
        # The screen would say: "no, but so many can be redeemed now". The member takes those.
        ledger.redemptions_short += 1
        points = min(points, cast("int", refusal.answer["here"]))
        answer = _call(client, basket, lines, member, points, ledger)
    ledger.note(answer["receipt"])


def _call(
    client: LocalClient, basket: Basket, lines: list[dict[str, object]], member: str, points: int, ledger: Ledger
) -> dict[str, Any]:
    rest = basket.total_minor - points
    coupons = min(basket.coupon_minor, rest)
    rest -= coupons
    tenders = [{"kind": "voucher", "amount_minor": coupons, "reference": "coupons"}] if coupons else []
    if rest:
        tenders.append({"kind": "cash" if basket.cash else "card", "amount_minor": rest})
    number = str(basket.number)
    sale = {"lines": lines, "tenders": tenders, "member": member, "points": points, "reference": number, "once": number}
    return ledger.repeating.ask(client.call, "sell", **sale) if ledger.repeating else client.call("sell", **sale)


def _line(line: BasketLine) -> dict[str, object]:
    asked: dict[str, object] = {
        "product": line.product,
        "quantity": line.quantity,
        "quantity_exponent": line.exponent,
        "total_minor": line.total_minor,
    }
    if line.discount_minor:
        asked |= {"discount_minor": line.discount_minor, "discount_reason": "loyalty"}
    return asked
