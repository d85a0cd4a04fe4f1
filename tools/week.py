"""The week in which everything breaks: what happens to the shops of the demo, when, and what is seen of it afterwards.

``SCHEDULE`` is the week. A step severs real cables, kills real processes or deletes real folders, says so in plain words, and
notes what was seen. Whatever is sold in the course of it is no part of the data: the ledger counts it apart.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from crdt_pos.books import Query
from crdt_pos.local import LocalRefused
from tools import selling
from tools.baskets import CURRENCY, ProductRow
from tools.cabled import OFFICE, Cabled
from tools.reckoning import read_books
from tools.selling import Ledger

DAYS: Final = 7
STORES: Final = 4
TILLS: Final = 2
MEMBER: Final = selling.account_of(0)
"""No household of the data has the number 0."""
DEARER_MINOR: Final = 25


@dataclass(slots=True)
class Seen:
    """What was seen of one of the ten."""

    what: str
    figure: str = "did not happen"
    right: bool = False


WHAT: Final[Mapping[int, str]] = {
    1: "A store's line is cut for two days; a price changes",
    2: "One message in five comes again, one in twenty late and out of order",
    3: "A till is killed in the middle of a sale",
    4: "A till's disk is destroyed",
    5: "A till's disk is set back to yesterday's image",
    6: "Head office is killed; later its folder is destroyed",
    7: "A whole store burns",
    8: "Two tills cut off from each other redeem one member's points",
    9: "Two stores invent the same product",
    10: "A till lies",
}


@dataclass(slots=True)
class Week:
    """The town, and what has been seen so far."""

    town: Cabled
    ledger: Ledger
    stores: Sequence[int]
    """The first is cut off, in the second a till is killed and one burns, the third is set back, the fourth burns."""
    dates: Sequence[datetime.date]
    milk: ProductRow
    say: Callable[[str], None]
    seen: dict[int, Seen] = field(default_factory=lambda: {number: Seen(what) for number, what in WHAT.items()})
    noted: dict[str, Any] = field(default_factory=dict[str, Any])
    today: datetime.date = datetime.date.min

    def at(self, date: datetime.date, hour: str) -> None:
        """Let happen what the schedule says for this hour of this date."""
        self.today = date
        for day, when, step in SCHEDULE:
            if (self.dates[day], when) == (date, hour):
                step(self)

    def reckon(self) -> None:
        """Look at what can only be seen in the end."""

    def see(self, number: int, figure: str, *, right: bool) -> None:
        """Note what was seen of one of the ten."""
        self.seen[number].figure, self.seen[number].right = figure, right
        self.say(f"    [{'green' if right else 'red'}]{figure}[/]")

    def buy(self, till: str, quantity: int = 1, member: bytes = b"", points: int = 0) -> dict[str, Any]:
        """Somebody buys milk; the receipt."""
        answer = self.town.call(
            till,
            "sell",
            lines=[{"product": self.milk.product, "quantity": quantity}],
            member=member.hex(),
            points=points,
        )
        receipt = cast("dict[str, Any]", answer["receipt"])
        self.ledger.note_extra(int(till.partition("-")[0]), self.milk, quantity, receipt, member)
        return receipt


# 1 ---------------------------------------------------------------------------------------------------------------------


def cut_the_line(week: Week) -> None:
    store = week.stores[0]
    week.town.sever_wan(store)
    price = week.town.call(f"{store}-1", "product", product=week.milk.product)["product"]["unit_price_minor"]
    week.town.call(OFFICE, "price", product=week.milk.product, amount_minor=price + DEARER_MINOR, currency=CURRENCY)
    week.say(
        f"Store {store}'s line to head office is cut. Head office raises the price of {week.milk.name} from "
        f"{_money(price)} to {_money(price + DEARER_MINOR)}; the store cannot know."
    )
    week.noted["at the old price"] = []


def sell_at_the_old_price(week: Week) -> None:
    week.noted["at the old price"].append(week.buy(f"{week.stores[0]}-1")["number"])


def mend_the_line(week: Week) -> None:
    store, sold = week.stores[0], week.noted["at the old price"]
    week.town.mend_wan(store)
    week.say(f"Store {store}'s line is mended after two days.")
    query = Query(week.dates[0], week.dates[-1], store=store)

    def listed() -> set[str]:
        return {variance.number for _, _, variance in read_books(week.town.folders[OFFICE], query).variances}

    week.town.until(lambda: set(sold) <= listed(), "Listing the variances")
    missing = set(sold) - listed()
    week.see(1, f"{len(listed())} sales at the old price listed, {len(missing)} missing", right=not missing)


# 6 ---------------------------------------------------------------------------------------------------------------------


def kill_head_office(week: Week) -> None:
    week.town.kill(OFFICE)
    week.say("Head office is killed (SIGKILL). The tills go on selling.")


def restart_head_office(week: Week) -> None:
    week.town.start(OFFICE)
    week.say("Head office is started again.")


# 8 ---------------------------------------------------------------------------------------------------------------------


def earn_points(week: Week) -> None:
    store = week.stores[1]
    for till, quantity in ((f"{store}-1", 20), (f"{store}-2", 12)):
        week.buy(till, quantity, MEMBER)
    week.town.until(lambda: len(set(_balances(week).values())) == 1, "Agreeing on the member's points")


def redeem_apart(week: Week) -> None:
    store = week.stores[1]
    tills = (f"{store}-1", f"{store}-2")
    (had,) = set(_balances(week).values())
    week.town.sever(*tills)
    week.town.sever_wan(store)
    week.town.until(lambda: not any(week.town.peers(till) for till in tills), "Cutting two tills off")
    week.say(
        f"Tills {tills[0]} and {tills[1]} are cut off from each other and from everyone. A member with {had} points"
    )
    week.say("    asks at both of them to redeem all of them.")
    before = len(week.ledger.extras)
    given = {till: _redeem(week, till, had) for till in tills}
    earned = sum(extra.points for extra in week.ledger.extras[before:])
    week.town.mend_wan(store)
    week.town.mend(*tills)
    left = had - sum(given.values())
    week.town.until(lambda: set(_balances(week).values()) == {left + earned}, "Agreeing on what is left")
    figure = " + ".join(str(points) for points in given.values())
    week.see(8, f"{figure} of {had} points given, {left} of them left", right=left >= 0 and sum(given.values()) > 0)


def _redeem(week: Week, till: str, points: int) -> int:
    try:
        week.buy(till, 20, MEMBER, points)
    except LocalRefused as refusal:
        if refusal.kind != "NotEnoughRights":
            raise
        points = int(refusal.answer["here"])
        week.buy(till, 20, MEMBER, points)
    return points


def _balances(week: Week) -> dict[str, int]:
    store = week.stores[1]
    tills = (f"{store}-1", f"{store}-2")
    return {till: week.town.call(till, "member", account=MEMBER.hex())["company"] for till in tills}


def _money(minor: int) -> str:
    return f"{minor // 100:,}.{minor % 100:02}"


MORNING, NOON, EVENING = "morning", "noon", "evening"

SCHEDULE: Final[tuple[tuple[int, str, Callable[[Week], None]], ...]] = (
    (0, NOON, earn_points),
    (1, MORNING, cut_the_line),
    (1, NOON, sell_at_the_old_price),
    (1, NOON, redeem_apart),
    (2, NOON, kill_head_office),
    (2, NOON, sell_at_the_old_price),
    (2, EVENING, restart_head_office),
    (2, EVENING, mend_the_line),
)
"""Day (0: the first), hour, what happens. Morning is before the tills open, noon amid the day's sales, evening after closing."""
