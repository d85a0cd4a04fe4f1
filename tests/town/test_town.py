"""Three stores with three tills each, two head offices and a relay, every one on a machine of its own, and everything happens.

Cables, uplinks and lines are pulled, processes killed, disks destroyed, in an order that follows from a seed; the cashiers go on.
All the time one more till of store 1, with a valid certificate, spoils what it sends; strangers connect again and again, and
another retailer's till shares a switch. In the end every disk that is left says the same, and what was acknowledged, to the cent,
and every act is sealed in other places than its store.

``CRDT_POS_TOWN_SEEDS=7,8,9`` (or ``100-120``) runs others, ``CRDT_POS_TOWN_ROUNDS=20`` goes on with the same town.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from tests.system.shops import run
from tests.town.cashiers import Cashiers
from tests.town.judge import complaints, unsealed
from tests.town.ledger import Ledger, Place
from tests.town.unwelcome import HOSTILE_STORE, STRANGERS, all_of_them, endings, hosts_refused
from tests.town.wired import CENTRE, OFFICE, SECOND, Wired, store_of
from tests.town.wires import Wires

STORES, TILLS = 3, 3
ROUNDS = int(os.environ.get("CRDT_POS_TOWN_ROUNDS", "1"))
BLOWS = 16
ACTS_BETWEEN = 5
LOST_MAX = 2
ENDED_LEAST = 5
"""Sessions that others ended because of what the hostile till sent."""
REASONS_LEAST = 3


def seeds() -> list[int]:
    """Which are run."""
    found: list[int] = []
    for part in os.environ.get("CRDT_POS_TOWN_SEEDS", "1").split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


@dataclass
class Weather:
    """What happens to a town, at random by a seed, and is told as it happens."""

    town: Wired
    cashiers: Cashiers
    chance: random.Random
    lost: int = 0
    office_lost: bool = False
    images: dict[Place, bytes] = field(default_factory=dict)

    def blow(self) -> None:
        """One thing happens."""
        happen = self.chance.choice(
            [
                self.cable,
                self.cable,
                self.uplink,
                self.line,
                self.loose_contact,
                self.kill,
                self.kill,
                self.stop,
                self.lose,
                self.lose_office,
                self.image,
                self.set_back,
                self.price,
            ]
        )
        happen()

    def cable(self) -> None:
        till = self.chance.choice(self.town.tills())
        if till in self.town.cut:
            self.tell(f"{till} is plugged in", self.town.plug, till)
        else:
            self.tell(f"{till}'s cable is pulled", self.town.pull, till)

    def uplink(self) -> None:
        store = self.chance.randint(1, STORES)
        if store in self.town.cut_off:
            self.tell(f"store {store} is connected", self.town.plug_uplink, store)
        else:
            self.tell(f"store {store} is cut off", self.town.pull_uplink, store)

    def line(self) -> None:
        """Of a head office or the relay: two offices may be cut off from each other, and both go on."""
        name = self.chance.choice(self.town.centre)
        if name in self.town.cut:
            self.tell(f"the {name}'s line is mended", self.town.plug, name)
        else:
            self.tell(f"the {name}'s line is cut", self.town.pull, name)

    def loose_contact(self) -> None:
        till = self.chance.choice(self.town.tills())
        if till not in self.town.cut:
            print(f"{till} has a loose contact")
            for _ in range(5):
                self.town.pull(till)
                self.cashiers.act()
                self.town.plug(till)
                self.cashiers.act()

    def kill(self) -> None:
        name = self.chance.choice(sorted(self.town.folders))
        if not self.town.is_up(name):
            self.restart(name)
        elif name in CENTRE:
            self.tell(f"the {name} is killed", self.town.kill, name)
        else:
            self.tell(f"{name} is killed amid a sale", self.cashiers.sell_while_killed, name)

    def stop(self) -> None:
        name = self.chance.choice(sorted(self.town.folders))
        if self.town.is_up(name):
            self.tell(f"{name} is switched off", self.town.stop, name)
        else:
            self.restart(name)

    def restart(self, name: str) -> None:
        if not self.town.runs(name):
            self.tell(f"{name} is started again", self.town.start, name)

    def lose(self) -> None:
        up = [name for name in self.cashiers.at if self.town.is_up(name)]
        if not up or self.lost == LOST_MAX:
            return self.cable()
        self.lost += 1
        till = self.chance.choice(sorted(up))
        self.tell(f"{till}'s disk is destroyed", self.cashiers.lose, till)
        office = self.chance.choice(self.town.offices())
        if self.town.runs(office):
            self.town.until_up(office)  # whether it runs or not, it enrols; while it starts, it does not
        self.town.enrol_again(till, office)
        print(f"    {till} is enrolled again by the {office}")
        self.town.start(till)
        self.town.until_up(till, meanwhile=self.cashiers.act)
        self.cashiers.open(till)
        return None

    def lose_office(self) -> None:
        """Its folder is gone. The second one knows everything that it has been told; or somebody goes to every store and sees to
        it that one till there can be reached."""
        if self.office_lost:
            return self.cable()
        self.office_lost = True
        self.tell("the head office's disk is destroyed", self.town.destroy, OFFICE)
        if OFFICE in self.town.cut:
            self.town.plug(OFFICE)
        one_each: list[str] = []
        if not self.town.is_up(SECOND) or SECOND in self.town.cut or self.chance.random() < 0.5:
            one_each = [f"{store}-{self.chance.randint(1, TILLS)}" for store in range(1, STORES + 1)]
        for till in one_each:
            if till in self.town.cut:
                self.tell(f"    {till} is plugged in", self.town.plug, till)
            if store_of(till) in self.town.cut_off:
                self.tell(f"    store {store_of(till)} is connected", self.town.plug_uplink, store_of(till))
        self.town.start(*(till for till in one_each if not self.town.runs(till)))
        self.town.rebuild_office(meanwhile=self.cashiers.act)
        self.town.start(OFFICE)
        print("    the head office is rebuilt")
        return None

    def image(self) -> None:
        """Somebody keeps an image of a till's disk."""
        till = self.chance.choice(sorted(self.cashiers.at))
        if self.town.is_up(till):
            print(f"an image is kept of {till}'s disk")
            self.images[self.cashiers.at[till]] = self.town.image(till)

    def set_back(self) -> None:
        """A till's disk is set back to its image, while all of its neighbours are there and hold what it wrote.

        Not beside the hostile till: whoever asks what it wrote last believes the first neighbour that answers.
        """
        for till, place in sorted(self.cashiers.at.items()):
            neighbours = self.town.tills(store_of(till))
            if store_of(till) == HOSTILE_STORE:
                continue
            there = all(self.town.is_up(one) and one not in self.town.cut for one in neighbours)
            if place in self.images and there and till not in self.cashiers.interrupted:
                self.town.until(partial(self.not_held, till, TILLS - 1), f"Telling {till}'s neighbours")
                self.tell(f"{till}'s disk is set back", self.town.set_back, till, self.images.pop(place))
                self.town.start(till)
                return None
        return self.image()

    def not_held(self, till: str, copies: int) -> list[str]:
        safe = self.town.call(till, "status")["safe"]
        return [] if safe["elsewhere"] >= copies else [f"{till} says {safe}"]

    def price(self) -> None:
        office = self.chance.choice(self.town.offices())
        if self.town.is_up(office):
            product, cents = self.chance.randint(1, 3), self.chance.randint(100, 3000)
            change = partial(self.town.call, office, "price", product=product, amount_minor=cents)
            self.tell(f"product {product} costs {cents} from now on", change)

    def end(self) -> None:
        """Everything is mended and started."""
        print("everything is mended")
        for name in list(self.town.cut):
            self.town.plug(name)
        for store in list(self.town.cut_off):
            self.town.plug_uplink(store)
        self.town.start(*(name for name in self.town.folders if not self.town.runs(name)))
        self.town.until_up(*self.town.folders, meanwhile=self.cashiers.act)

    def tell(self, what: str, do: Callable[..., object], *arguments: object) -> None:
        print(what)
        do(*arguments)


@pytest.fixture
def town(wires: Wires, tmp_path: Path, seed: int) -> Iterator[Wired]:
    made = Wired.found(wires, tmp_path, STORES, TILLS, centre=tuple(CENTRE))
    try:
        made.start(*made.folders)
        made.until_up(*made.folders)
        for process in all_of_them(made, seed):
            process.start()
        yield made
    finally:
        made.close()


@pytest.mark.timeout(600 * ROUNDS)
@pytest.mark.parametrize("seed", seeds())
def test_whatever_happens_to_a_town_all_survivors_agree_to_the_cent(town: Wired, seed: int) -> None:
    ledger = Ledger()
    cashiers = Cashiers(town, ledger, random.Random(f"cashiers {seed}"))
    try:
        cashiers.open(*town.tills())
        for number in range(ROUNDS):
            weather = Weather(town, cashiers, random.Random(f"weather {seed} {number}"))
            for _ in range(BLOWS):
                weather.blow()
                for _ in range(ACTS_BETWEEN):
                    cashiers.act()
            weather.end()
            cashiers.say(*town.tills())
            town.until(lambda: complaints(town, ledger), f"Agreeing in round {number}")
            print("everybody agrees")
        cashiers.close(*town.tills())
        town.until(lambda: complaints(town, ledger) or unsealed(town), "Agreeing after the close")
        print("everybody agrees after the close, and every act is sealed elsewhere")
        for name, folder in town.folders.items():
            verified = run("verify", "--at", folder.path)
            assert verified.returncode == 0, f"{name}: {verified.stdout}{verified.stderr}"
        assert cashiers.sold > BLOWS * ROUNDS
        assert hosts_refused(town) >= set(STRANGERS.values())
        ended = endings(town)
        print(f"sessions that were ended with the hostile till: {dict(ended)}")
        assert len(ended) >= REASONS_LEAST
        assert ended.total() >= ENDED_LEAST
    finally:
        for (name, life), acts in sorted(ledger.lives.items()):
            over = "" if acts.safe is None else f", {acts.safe} of them safe before its disk was destroyed"
            print(f"{name} {life}: {len(acts.acts)} acts{over}")
