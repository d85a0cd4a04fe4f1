"""Six faults, each made for real on folders and sessions, and the commands that find it.

Nothing here tells the shell what is wrong: a fault is what happened to a till, a line, a disk or a clock, and ``cause`` is what
the shell's own words must have in them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from crdt_pos.clock import system_ms
from crdt_pos.errors import NotEnoughRights
from crdt_pos.person_commands import writer_of
from crdt_pos.persons import Person, derive, write
from crdt_pos.replica import RunningReplica
from crdt_pos.schema import SCHEMA
from crdt_pos.till import Till
from gossip.document import Document, FeedType
from gossip.entry import sign
from gossip.log import Arrival
from merge_rules.dataclass import dataclass
from tools.story_shop import StoryShop, sale

MEMBER: Final = bytes.fromhex("00f3a91c5e7d2b48")
SECOND_CARD: Final = bytes.fromhex("7712ab09c4d5e6f1")
PHONE: Final = "+41791234567"
HOUR_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True)
class Story:
    """One call to whoever looks after the shops."""

    name: str
    title: str
    call: str
    """What the shop says."""
    happened: str
    """What was done to make it so."""
    tills: tuple[int, ...]
    fault: Callable[[StoryShop], str]
    """Makes it, and says what else was seen, if anything."""
    commands: tuple[tuple[str, str], ...]
    """Folder and line, at most three; ``{date}`` is the business date."""
    cause: tuple[str, ...]
    """What the answers must say, as regular expressions."""
    answer: str
    """What the engineer says."""


def _opens_and_sells(
    shop: StoryShop, cents: int, name: str, *, member: bytes | None = None, publish: bool = False
) -> Callable[[Till], None]:
    def act(till: Till) -> None:
        till.open_date(shop.date)
        till.sell(sale(cents, name, member=member))
        if publish:
            till.publish()

    return act


def _four_cents(shop: StoryShop) -> str:
    shop.at_till("till-12-1", _opens_and_sells(shop, 1250, "Breakfast", publish=True))
    shop.meet("office", "till-12-1", "till-12-2")
    shop.at_till("till-12-1", lambda till: till.sell(sale(4, "Paper bag")))
    shop.meet("till-12-1", "till-12-2")
    return ""


def _clone(shop: StoryShop) -> str:
    shop.copy("till-12-1", "clone")
    shop.at_till("till-12-1", _opens_and_sells(shop, 300, "Lunch", publish=True))
    shop.at_till("clone", _opens_and_sells(shop, 700, "Dinner", publish=True))
    shop.meet("office", "till-12-1")
    shop.meet("office", "clone")
    return ""


def _clock(shop: StoryShop) -> str:
    shop.at_till("till-12-1", _opens_and_sells(shop, 300, "Tea", publish=True))
    shop.at_till("till-12-2", _opens_and_sells(shop, 500, "Cake", publish=True), clock_ahead_ms=2 * HOUR_MS)
    shop.meet("office", "till-12-1", "till-12-2")
    return ""


def _points(shop: StoryShop) -> str:
    shop.at_till("till-12-2", _opens_and_sells(shop, 53_000, "Espresso machine", member=MEMBER))
    shop.meet("till-12-1", "till-12-2")

    def pays(till: Till) -> str:
        till.open_date(shop.date)
        try:
            till.sell(sale(300, "Coffee", member=MEMBER, points=300))
        except NotEnoughRights as error:
            return str(error)
        raise AssertionError("the points were there")

    return shop.at_till("till-12-1", pays)


def _nobody_counts(shop: StoryShop) -> str:
    def writes(replica: RunningReplica) -> None:
        me, key, now_ms = replica.certificate.author, replica.folder.key, system_ms()
        roster = SCHEMA["roster"]
        said = sign(key, me, Document("roster"), FeedType.WHOLE, roster.scope, 1, now_ms << 16, [[1, b"me"]], None)
        replica.log.append([Arrival(said)], received_ms=now_ms)

    shop.at_replica("till-12-1", writes)
    shop.meet("office", "till-12-1")
    return ""


def _enrolled_twice(shop: StoryShop) -> str:
    def enrols(account: bytes) -> Callable[[RunningReplica], None]:
        def act(replica: RunningReplica) -> None:
            with replica.log.read() as reader:
                said = write(reader, writer_of(replica), account, Person("Ada Baker", PHONE), system_ms())
                views = list(derive(reader, said))
            replica.log.append(said, views, received_ms=system_ms())

        return act

    for name, account in (("till-12-1", MEMBER), ("till-12-2", SECOND_CARD)):
        shop.at_replica(name, enrols(account))
        shop.at_till(name, _opens_and_sells(shop, 9_000, "Groceries", member=account))
    shop.meet("office", "till-12-1", "till-12-2")
    return ""


STORIES: Final = (
    Story(
        "four-cents",
        "Head office shows 4 cents less than the store",
        "Our books say 12.54, head office says 12.50. Who is wrong?",
        "Till 12-1 sold a paper bag for 4 cents while the line to head office was down; its neighbour heard of it.",
        (1, 2),
        _four_cents,
        (("office", "takings 12 {date}"), ("till-12-2", "takings 12 {date}")),
        (r": 12\.50 EUR", r": 12\.54 EUR", r"0\.04 not told yet", r"0\.04 EUR in no day yet"),
        "Nobody is wrong. The last act of 12-1 is in its journal, and no summary has told it yet: `told` is one less than "
        "`acts`. Head office has it within a minute of the line's return.",
    ),
    Story(
        "clone",
        "A cloned till",
        "Till 12-1 shows two different sales under one receipt number.",
        "Somebody copied the till's folder to a second machine, and both sold.",
        (1,),
        _clone,
        (("office", "forks"), ("office", "explain day/12/{date}")),
        (
            r"12-1 signed two different days",
            r"takings of (3\.00 EUR and of 7|7\.00 EUR and of 3)\.00 EUR",
            "CONFLICT: 12-1 a1 contradicts itself",
        ),
        "12-1 signed two entries under one number, which an honest till cannot: two machines have one key, or one was set back. "
        "Revoke it as cloned, and enrol the machine that stays.",
    ),
    Story(
        "clock",
        "A till whose clock is two hours wrong",
        "The receipts of till 12-2 are from the future.",
        "Its clock was set two hours ahead, and it sold.",
        (1, 2),
        _clock,
        (("office", "explain day/12/{date}"),),
        (r"entry 1 of 12-2 a1 is stamped \S+, which has not come yet",),
        "The clock of 12-2 is two hours ahead. Its sums count all the same: no counter asks a clock. Set the clock.",
    ),
    Story(
        "points",
        "Points are refused though the balance is enough",
        "She has 530 points, and till 12-1 takes none of them.",
        "The points were earned at 12-2, which is switched off; at 12-1 she wanted to pay with 300 of them.",
        (1, 2),
        _points,
        (("till-12-1", f"member {MEMBER.hex()}"),),
        ("12-2 a1 530 530", "can be redeemed now without asking: 530 at 12-2 a1"),
        "All of the rights lie at 12-2, and only who holds rights may spend them: two tills that are cut off would else spend "
        "the same points. Switch 12-2 on: 12-1 asks it by itself.",
    ),
    Story(
        "nobody-counts",
        "A peer that sends entries nobody counts",
        "Head office's log says that entries of 12-1 do not count.",
        "Somebody with the key of till 12-1 signed an entry of the company's roster.",
        (1,),
        _nobody_counts,
        (("office", "quarantine"),),
        ("rule permission", "roster, by 12-1 a1", "till of store 12 may not author roster"),
        "12-1 signed what only a head office may: whoever sits there has its key. Revoke it.",
    ),
    Story(
        "enrolled-twice",
        "A member enrolled twice",
        "She was given a second card, and her points are on the first.",
        "Two tills that were cut off from each other each enrolled the same phone number.",
        (1, 2),
        _enrolled_twice,
        (("office", f"member {PHONE}"),),
        ("ENROLLED 2 TIMES under one phone number", f"points/{MEMBER.hex()}: 90", f"points/{SECOND_CARD.hex()}: 90"),
        "One phone means two accounts, each with a balance of its own; they are read as one member, and nothing is lost.",
    ),
)
