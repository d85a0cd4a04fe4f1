"""The week in which everything breaks: the shops of the demo, and what is seen of what happens to them.

What happens, and when, stands in ``tools.week_steps``. Whatever is sold in the course of it is no part of the data: the ledger
counts it apart.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from crdt_pos.books import Books, Query
from crdt_pos.local import LocalRefused
from tools.baskets import ProductRow
from tools.cabled import OFFICE, Cabled
from tools.reckoning import read_books, same_entries
from tools.selling import Ledger
from tools.town import TookTooLong
from tools.truth import Truth

DAYS: Final = 7
STORES: Final = 4
TILLS: Final = 2
WAIT_S: Final = 90.0
MORNING, NOON, EVENING = "morning", "noon", "evening"


@dataclass(slots=True)
class Seen:
    """What was seen of one of the ten."""

    what: str
    figure: str = "did not happen"
    right: bool = False


WHAT: Final[Mapping[int, str]] = {
    1: "A store's line is cut for two days, and a price changes",
    2: "One message in five comes again, one in twenty late and out of order",
    3: "A till is killed in the middle of a sale",
    4: "A till's disk is destroyed",
    5: "A till's disk is set back to yesterday's image",
    6: "Head office is killed; later its folder is destroyed",
    7: "A whole store burns",
    8: "Two tills that are cut off redeem one member's points",
    9: "Two stores invent the same product",
    10: "A till lies",
}


@dataclass(slots=True)
class Week:
    """The town, and what has been seen so far."""

    town: Cabled
    ledger: Ledger
    truth: Truth
    stores: Sequence[int]
    """The first is cut off, in the second a till is killed and one burns, the third is set back, the fourth burns."""
    dates: Sequence[datetime.date]
    milk: ProductRow
    say: Callable[[str], None]
    office: str = OFFICE
    seen: dict[int, Seen] = field(default_factory=lambda: {number: Seen(what) for number, what in WHAT.items()})
    noted: dict[str, Any] = field(default_factory=dict[str, Any])
    """What a later step looks at."""
    today: datetime.date = datetime.date.min

    def at(self, date: datetime.date, hour: str, schedule: Schedule) -> None:
        """Let happen what the schedule says for this hour of this date."""
        self.today = date
        for day, when, step in schedule:
            if (self.dates[day], when) == (date, hour):
                step(self)

    def wait(self, condition: Callable[[], bool], what: str, timeout_s: float = WAIT_S) -> bool:
        """Wait for what should be seen; whether it was. Whoever asks measures afterwards, whatever the answer."""
        try:
            self.town.until(condition, what, timeout_s)
        except TookTooLong:
            return False
        return True

    def tell(self, words: str) -> None:
        """Say what happens, with the date."""
        self.say(f"[bold]{self.today:%a %d}[/bold]  {words}")

    def see(self, number: int, figure: str, *, right: bool) -> None:
        """Note what was seen of one of the ten."""
        self.seen[number].figure, self.seen[number].right = figure, right
        self.say(f"        [{'green' if right else 'red'}]{figure}[/]")

    def buy(self, till: str, quantity: int = 1, member: bytes = b"", points: int = 0) -> dict[str, Any]:
        """Somebody buys milk; the receipt."""
        asked = [{"product": self.milk.product, "quantity": quantity}]
        answer = self.town.call(till, "sell", lines=asked, member=member.hex(), points=points)
        receipt = cast("dict[str, Any]", answer["receipt"])
        self.ledger.note_extra(int(till.partition("-")[0]), self.milk, quantity, receipt, member)
        return receipt

    def books(self, name: str, store: int | None = None) -> Books:
        """The books of the whole week at a replica."""
        return read_books(self.town.folders[name], Query(self.dates[0], self.dates[-1], store=store))

    def takings_minor(self, name: str, store: int | None = None) -> int:
        """Takings of the week so far, less refunds."""
        accounts = self.books(name, store).accounts
        return sum(account.money.takings_minor - account.money.refunds_minor for account in accounts)

    def due_minor(self, store: int) -> int:
        """What a store must have taken so far: by the data, computed apart, and by what was sold beside."""
        data = self.truth.takings_minor.items()
        extras = self.ledger.extras
        return sum(minor for (number, date), minor in data if number == store and date <= self.today) + sum(
            extra.total_minor for extra in extras if extra.store == store
        )

    def same(self, store: int, *more: str) -> bool:
        """Whether head office, the store's tills that run and ``more`` hold the very same of what all of them may read."""
        tills = [name for name in self.town.tills(store) if name in self.town.running()]  # a liar has left
        return same_entries([self.town.folders[name] for name in (self.office, *more, *tills)], store)

    def safe(self, till: str) -> None:
        """Wait until others hold everything that a till has written."""
        self.town.until(lambda: not self.town.call(till, "status")["safe"]["waiting"], f"Safety of what {till} wrote")

    def holds(self, till: str, numbers: Iterable[str]) -> int:
        """How many of these receipts can be looked at at a till."""
        return sum(self._finds(till, number) for number in numbers)

    def holds_product(self, till: str) -> bool:
        """Whether milk can be sold at a till."""
        try:
            return bool(self.town.call(till, "product", product=self.milk.product))
        except LocalRefused:
            return False

    def _finds(self, till: str, number: str) -> bool:
        try:
            return bool(self.town.call(till, "receipt", number=number))
        except LocalRefused:
            return False


Step = Callable[[Week], None]
Schedule = Sequence[tuple[int, str, Step]]
"""Day (0: the first), hour, what happens. Morning is before the tills open, noon amid the day's sales, evening after closing."""
