"""The people at the tills: they sell, take goods back and write some off, all the time, wherever a till answers."""

from __future__ import annotations

import random
import threading
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from crdt_pos.local import ConnectionLost, LocalClient, LocalRefused
from tests.town.ledger import Act, Ledger, Place
from tests.town.wired import PRICES, Wired

DATE = "2026-11-20"
"""The open business date: opening fixes it, not a clock."""
MEMBERS = tuple((b"member-%d" % number).hex() for number in range(3))
DELIVERED = 1_000
"""Of each product, at the opening of every life."""

Sale = dict[str, Any]


@dataclass
class Cashiers:
    """They act at random, by a seed of their own, and write down what was acknowledged."""

    town: Wired
    ledger: Ledger
    chance: random.Random
    at: dict[str, Place] = field(default_factory=dict)
    """The lives whose date is open."""
    given: dict[Place, list[str]] = field(default_factory=dict)
    """Numbers of receipts that can be given back: one unit of one product, no member."""
    interrupted: dict[str, Sale] = field(default_factory=dict)
    """Sales whose answer never came, by till: they are asked for again."""
    sold: int = 0
    asked: int = 0

    def open(self, *names: str) -> None:
        """Open the date, take a delivery in, and say so."""
        for name in names:
            place = name, self.town.folders[name].certificate.incarnation
            self.town.call(name, "open", date=DATE, float_minor=20_000)
            lines = [{"product": product, "quantity": DELIVERED} for product in PRICES]
            self.town.call(name, "replenish", lines=lines)
            self.town.call(name, "publish")
            self.ledger.of(place).acts += [Act(), Act(goods=Counter(dict.fromkeys(PRICES, DELIVERED)))]
            self.at[name] = place

    def say(self, *names: str) -> None:
        """Publish what was taken so far."""
        for name in names:
            self.town.until(partial(self._refused, name, "publish"), f"Publishing at {name}")

    def close(self, *names: str) -> None:
        """Close the date."""
        for name in names:
            self.town.until(partial(self._refused, name, "close"), f"Closing {name}")
            self.ledger.of(self.at[name]).acts.append(Act())

    def _refused(self, name: str, do: str) -> list[str]:
        try:
            self._ask_again(name)
            self.town.call(name, do)
        except LocalRefused as refused:
            return [f"{name}: {refused.format_message()}"]
        return []

    def act(self) -> None:
        """One act, at some till that answers."""
        names = sorted(name for name in self.at if self.town.is_up(name))
        if names:
            name = self.chance.choice(names)
            kinds = (self._sell, self._sell, self._sell, self._with_points, self._give_back, self._write_off)
            kind = self.chance.choice(kinds)
            try:
                self._ask_again(name)
                kind(name)
            except LocalRefused as refused:
                # A till whose disk was set back says so, and does nothing yet; another life must be told of the products first.
                if refused.kind not in ("TakingBack", "UnknownProduct"):
                    raise

    def sell_while_killed(self, name: str) -> None:
        """Kill a till in the middle of a sale: whoever asked does not know whether it was written."""
        self._ask_again(name)
        sale = self._basket()
        self.town.town.hang_up(self.town.folders[name])
        client = LocalClient(self.town.folders[name].path)
        answers: list[dict[str, Any]] = []

        def ask() -> None:
            try:
                answers.append(client.call("sell", **sale))
            except (ConnectionLost, LocalRefused):
                pass

        asking = threading.Thread(target=ask)
        asking.start()
        asking.join(self.chance.uniform(0, 0.015))
        self.town.kill(name)
        asking.join()
        client.close()
        if answers:
            self._note_sale(name, sale, answers[0])
        else:
            self.interrupted[name] = sale

    def lose(self, name: str) -> None:
        """Destroy a till's disk, noting what it says is safe elsewhere."""
        self._ask_again(name)
        place = self.at.pop(name)
        waiting = self.town.call(name, "status")["safe"]["waiting"]
        self.town.destroy(name)
        life = self.ledger.of(place)
        life.safe = len(life.acts) - waiting

    # --- acts --------------------------------------------------------------------------------------------------------

    def _basket(self) -> Sale:
        lines = [{"product": self.chance.choice(list(PRICES)), "quantity": self.chance.randint(1, 3)}]
        if self.chance.random() < 0.3:
            lines.append({"product": self.chance.choice(list(PRICES)), "quantity": 1})
        self.asked += 1
        member = self.chance.choice(MEMBERS) if self.chance.random() < 0.3 else ""
        return {"lines": lines, "member": member, "once": f"sale {self.asked}"}

    def _sell(self, name: str) -> None:
        sale = self._basket()
        try:
            self._note_sale(name, sale, self.town.call(name, "sell", **sale))
        except LocalRefused as refused:
            self._with_prices_typed_in(name, sale, refused)

    def _with_prices_typed_in(self, name: str, sale: Sale, refused: LocalRefused) -> None:
        # A till that has just been enrolled again may not have heard of the catalogue yet, and says so.
        if refused.kind != "UnknownProduct":
            raise refused
        lines = [line | {"unit_price_minor": PRICES[line["product"]]} for line in sale["lines"]]
        sale = sale | {"lines": lines}
        self._note_sale(name, sale, self.town.call(name, "sell", **sale))

    def _with_points(self, name: str) -> None:
        member = self.chance.choice(MEMBERS)
        company = self.town.call(name, "member", account=member)["company"]
        points = min(100, self.chance.randint(0, max(company, 0)))
        sale = self._basket() | {"member": member, "points": points, "deadline_ms": 300}
        try:
            self._note_sale(name, sale, self.town.call(name, "sell", **sale))
        except LocalRefused as refused:
            if refused.kind not in ("NotEnoughRights", "UnknownProduct"):
                raise

    def _give_back(self, name: str) -> None:
        numbers = self.given.get(self.at[name])
        if not numbers:
            return self._sell(name)
        number = self.chance.choice(numbers)
        answer = self.town.call(name, "refund", number=number, lines=[{"line": 1, "quantity": 1}])
        numbers.remove(number)
        receipt = answer["receipt"]
        self._note(name, receipt["due_minor"], Counter({receipt["lines"][0]["product"]: 1}), receipt)
        return None

    def _write_off(self, name: str) -> None:
        product = self.chance.choice(list(PRICES))
        lines = [{"product": product, "quantity": 1}]
        answer = self.town.call(name, "write_off", lines=lines, reason="broken")
        self._note(name, 0, Counter({product: -1}), answer["receipt"])

    def _ask_again(self, name: str) -> None:
        if name in self.interrupted:
            sale = self.interrupted[name]
            self._note_sale(name, sale, self.town.call(name, "sell", **sale))
            del self.interrupted[name]

    def _note_sale(self, name: str, sale: Sale, answer: dict[str, Any]) -> None:
        goods: Counter[int] = Counter()
        for line in sale["lines"]:
            goods[line["product"]] -= line["quantity"]
        receipt = answer["receipt"]
        self.sold += 1
        if not sale["member"] and goods.total() == -1:
            self.given.setdefault(self.at[name], []).append(receipt["number"])
        self._note(name, receipt["due_minor"], goods, receipt)

    def _note(self, name: str, net_minor: int, goods: Counter[int], receipt: dict[str, Any]) -> None:
        earned: Counter[str] = Counter()
        redeemed: Counter[str] = Counter()
        for movement in receipt["movements"]:
            earned[movement["account"]] += movement["earned"]
            redeemed[movement["account"]] += movement["redeemed"]
        self.ledger.of(self.at[name]).acts.append(Act(net_minor, goods, earned, redeemed))
