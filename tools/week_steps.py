"""What happens in the week in which everything breaks, step by step: real cables, real SIGKILLs, real folders.

``SCHEDULE`` is the week, ``IN_THE_END`` what can only be seen when it is over.
"""

from __future__ import annotations

import datetime
import random
import shutil
import time
from functools import partial
from typing import Final

from crdt_pos import books, sharing
from crdt_pos.books import Books, Query
from crdt_pos.clock import system_ms
from crdt_pos.enrolment import retire_till
from crdt_pos.errors import NothingHere
from crdt_pos.folder import Folder
from crdt_pos.guardians import guardians_of
from crdt_pos.local import LocalRefused
from crdt_pos.looking import identities, look
from crdt_pos.variance import Variance
from crdt_pos.vouched import Vouched, everywhere, vouched
from tools import liar, post, selling, truth
from tools.baskets import CURRENCY, FOOD_TAX, ProductRow
from tools.killing import Moment, kill_amid_a_sale
from tools.reckoning import drift
from tools.repeating import Repeating
from tools.week import EVENING, MORNING, NOON, Schedule, Step, Week

MEMBER: Final = selling.account_of(0)
"""No household of the data has the number 0."""
DEARER_MINOR: Final = 25
JAM: Final = "4006381333931"
LIAR: Final = 9
LIES_MINOR: Final = (100_00, 900_00)
IMAGE: Final = "yesterday.mdb"
UNTIDY: Final = 3
"""Which of the stores has an untidy post,"""
BURNT: Final = 3
"""and which burns."""


# 1 ---------------------------------------------------------------------------------------------------------------------


def cut_the_line(week: Week) -> None:
    store = week.stores[0]
    week.town.sever_wan(store)
    price = week.town.call(f"{store}-1", "product", product=week.milk.product)["product"]["unit_price_minor"]
    week.town.call(
        week.office, "price", product=week.milk.product, amount_minor=price + DEARER_MINOR, currency=CURRENCY
    )
    week.tell(
        f"Store {store}'s line to head office is cut. Head office raises the price of {week.milk.name} from "
        f"{_money(price)} to {_money(price + DEARER_MINOR)}; the store cannot know."
    )
    week.noted["at the old price"] = []
    week.noted["prices"] = price, price + DEARER_MINOR


def sell_at_the_old_price(week: Week) -> None:
    week.noted["at the old price"].append(week.buy(f"{week.stores[0]}-1")["number"])


def mend_the_line(week: Week) -> None:
    store, sold = week.stores[0], sorted(week.noted["at the old price"])
    week.town.mend_wan(store)
    week.tell(f"Store {store}'s line is mended after two days.")

    def listed() -> list[Variance]:
        return [variance for _, _, variance in week.books(week.office, store).variances]

    week.wait(lambda: sorted(one.number for one in listed()) == sold, "Listing the variances")
    found = listed()
    prices = {(one.sold.amount_minor, one.due.amount_minor) for one in found}
    right = sorted(one.number for one in found) == sold and prices == {week.noted["prices"]}
    shown = ", ".join(f"{_money(old)} for {_money(new)}" for old, new in prices)
    week.see(1, f"{len(found)} of {len(sold)} sales at the old price listed ({shown})", right=right)


# 6 ---------------------------------------------------------------------------------------------------------------------


def kill_head_office(week: Week) -> None:
    week.town.kill(week.office)
    week.tell("Head office is killed (SIGKILL). The tills go on selling.")


def restart_head_office(week: Week) -> None:
    week.town.start(week.office)
    week.tell("Head office is started again.")
    others = [store for store in week.stores if store != week.stores[0]]
    week.noted["after the kill"] = week.wait(
        lambda: all(week.takings_minor(week.office, store) == week.due_minor(store) for store in others),
        "Telling head office what it missed",
    )


def destroy_head_office(week: Week) -> None:
    tills, lost = week.town.tills(), week.office
    due_minor = sum(week.due_minor(store) for store in week.stores)
    week.wait(lambda: week.takings_minor(lost) == due_minor, "Telling head office everything")
    week.town.burn(lost)
    week.tell(
        f"Head office burns: its folder is gone. It is rebuilt from the {len(tills)} tills, with the key from the safe."
    )
    # The post is a head office, too, and shall not be the one that gives it all back.
    week.town.stop(week.town.post)
    began = time.monotonic()
    told = week.town.rebuild(lost)
    took_s = time.monotonic() - began
    week.town.start(week.town.post)
    week.office = told["office"]
    back_minor = week.takings_minor(week.office)
    week.town.start(week.office)
    entries = sum(sum(kinds.values()) for kinds in told["taken"].values())
    missed = "nothing" if week.noted["after the kill"] else "something"
    week.see(
        6,
        f"missed {missed}; rebuilt in {took_s:.0f} s with {entries:,} entries from tills alone, takings {_money(back_minor)} of "
        f"{_money(due_minor)}",
        right=week.noted["after the kill"] and back_minor == due_minor and set(told["taken"]) <= set(tills),
    )


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
    week.tell(
        f"Tills {tills[0]} and {tills[1]} are cut off from each other and from everyone. A member with {had} points asks "
        "for all of them at both."
    )
    before = len(week.ledger.extras)
    given = {till: _redeem(week, till, had) for till in tills}
    earned = sum(extra.points for extra in week.ledger.extras[before:])
    week.town.mend_wan(store)
    week.town.mend(*tills)
    left = had - sum(given.values())
    week.wait(lambda: set(_balances(week).values()) == {left + earned}, "Agreeing on what is left")
    agreed = set(_balances(week).values()) == {left + earned}
    figure = " + ".join(str(points) for points in given.values())
    right = agreed and left >= 0 and min(given.values()) > 0
    week.see(8, f"{figure} of {had} points given, {left} of them left", right=right)


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


# 2 ---------------------------------------------------------------------------------------------------------------------


def hire_an_untidy_post(week: Week) -> None:
    week.ledger.repeating = Repeating(random.Random("asked again"))  # noqa: S311  which requests are sent again
    week.tell(
        f"Store {week.stores[UNTIDY]} reaches head office through an untidy post: it sends one entry in five again, and one in "
        "twenty late and out of order. And one request in five is sent to the tills twice."
    )


def count_what_the_post_did(week: Week) -> None:
    store, repeating = week.stores[UNTIDY], week.ledger.repeating
    assert repeating is not None
    same = week.wait(lambda: week.same(store, week.town.post), f"The post of store {store}")
    done = post.counts(week.town.folders[week.town.post])
    again, late = done.repeated / done.entries, done.late / done.entries
    week.tell(
        f"The post of store {store} is looked at: tills, post and head office hold {'the same' if same else 'different'} entries."
    )
    week.see(
        2,
        f"of {done.entries} entries {again:.0%} again, {late:.0%} late ({done.out_of_order} overtaken), of {repeating.requests} "
        f"requests {repeating.repeated} twice; equal books",
        right=same and 0.1 < again < 0.35 and 0.01 < late < 0.15 and done.out_of_order > 0 and repeating.repeated > 0,
    )


# 3 ---------------------------------------------------------------------------------------------------------------------


def kill_a_till_amid_a_sale(week: Week) -> None:
    till, whole, wrong = f"{week.stores[1]}-1", 0, list[str]()
    began = time.monotonic()
    week.buy(till)
    sale_s = time.monotonic() - began
    week.tell(f"Till {till} is killed (SIGKILL) in the middle of a sale, twice, and started again.")
    for moment in (Moment.DURING, Moment.AFTER):
        request = {"lines": [{"product": week.milk.product, "quantity": 1}], "once": f"killed {moment.name}"}
        killed = kill_amid_a_sale(week.town, till, request, moment, sale_s / 2)
        week.ledger.note_extra(week.stores[1], week.milk, 1, killed.receipt, b"")
        whole += killed.there
        wrong += killed.disagreements
        if killed.answered and not killed.there:
            wrong.append("the screen had the receipt, the disk had not")
    figure = f"{whole} whole on the disk, {2 - whole} not at all; asked again: each there once"
    week.see(3, "; ".join(wrong) or figure, right=not wrong)


# 4 ---------------------------------------------------------------------------------------------------------------------


def destroy_a_disk(week: Week) -> None:
    store = week.stores[1]
    till = f"{store}-2"
    week.safe(till)
    week.noted["before the fire"] = given = [one for one in week.ledger.numbers if one.startswith(f"{till}-")]
    week.noted["burnt on"] = week.today
    week.town.burn(till)
    week.tell(
        f"Till {till} burns, with {len(given)} receipts on its disk. A new one joins with a ticket, under the same number."
    )
    week.town.enrol(store, 2, again=True)
    week.town.start(till)
    week.town.until(lambda: week.holds(till, given) == len(given), f"Healing {till}")
    week.tell(f"Till {till} has all of them again, from its neighbour, and opens.")
    week.town.until(lambda: week.holds_product(till), f"Giving {till} the catalogue")
    week.town.call(till, "open", date=week.today.isoformat(), float_minor=20_000)


def was_its_day_closed(week: Week) -> None:
    store, given, date = week.stores[1], week.noted["before the fire"], week.noted["burnt on"]
    till = f"{store}-2"

    def closed() -> bool:
        days = [day for account in week.books(week.office, store).accounts for day in account.days]
        own = [day for day in days if day.name == till and day.date == date]
        return len(own) == 2 and all(day.day.closed for day in own)

    right = week.wait(closed, f"Closing the last day of {till} by proxy")
    back = week.holds(till, given)
    figure = f"{back} of {len(given)} receipts back, its last day {'closed by proxy' if right else 'still open'}"
    week.see(4, figure, right=right and back == len(given))


# 5 ---------------------------------------------------------------------------------------------------------------------


def take_an_image(week: Week) -> None:
    till = f"{week.stores[2]}-1"
    week.town.stop(till)
    data = week.town.folders[till].log_path / "data.mdb"
    shutil.copyfile(data, week.town.town.at / IMAGE)
    week.town.start(till)


def set_a_disk_back(week: Week) -> None:
    till = f"{week.stores[2]}-1"
    week.safe(till)
    week.town.kill(till)
    data = week.town.folders[till].log_path / "data.mdb"
    data.write_bytes((week.town.town.at / IMAGE).read_bytes())
    today = f"{week.today}"
    week.tell(f"Till {till} gets yesterday's image of its disk, and knows nothing of today. It starts.")
    week.town.start(till)
    week.town.until(lambda: bool(week.town.call(till, "status")["healed"]), f"{till} noticing that its disk is old")
    week.noted["set back on"] = today
    week.tell(f"Till {till} has noticed: {week.town.call(till, 'status')['healed'][-1]}")


def were_numbers_used_twice(week: Week) -> None:
    till, numbers = f"{week.stores[2]}-1", week.ledger.numbers
    own = [number for number in numbers if number.startswith(f"{till}-")]
    back, twice = week.holds(till, own), len(numbers) - len(set(numbers))
    figure = f"noticed; {back} of {len(own)} receipts there, {twice} numbers used twice"
    week.see(5, figure, right=back == len(own) and not twice)


# 7 ---------------------------------------------------------------------------------------------------------------------


def burn_a_store(week: Week) -> None:
    store = week.stores[BURNT]
    tills, due_minor = week.town.tills(store), week.due_minor(store)
    given = sum(_store(number) == store for number in week.ledger.numbers)
    week.wait(lambda: week.takings_minor(week.office, store) == due_minor, f"Telling what store {store} took")
    week.town.until(lambda: not any(_only_here(week, till) for till in tills), f"Sealing what store {store} sold")
    for till in tills:
        week.town.burn(till)
    keeps = _guardian(week, store)
    week.tell(
        f"Store {store} burns after it has closed, with both tills. New ones join with tickets; what the old ones had sealed "
        f"comes back from store {_store(keeps)}, which kept it and could not read it, and is opened with the key from the safe."
    )
    told = week.town.recover_store(store, tills, [keeps, week.office])
    week.town.start(*tills)
    so_far = truth.compute(week.dates[0], week.today, [store])

    def back(till: str) -> tuple[int, int]:
        try:
            found = week.books(till, store)
        except NothingHere:
            return due_minor, -1
        taken_minor = sum(account.money.takings_minor for account in found.accounts)
        return due_minor - taken_minor, drift(found, so_far, week.ledger, store)

    week.wait(lambda: all(back(till) == (0, 0) and week.holds_product(till) for till in tills), "Giving a store back")
    lost = {back(till) for till in tills}
    rows = everywhere(_vouched(week.town.folders[till]) for till in tills)
    vouched_for = sum(row.receipts for row in rows if row.store == store)
    missing = sum(row.missing for row in rows if row.store == store)
    lost_minor, drifted = max(lost)
    figure = f"{_money(lost_minor)} of {_money(due_minor)} takings lost, stock drift {drifted}; "
    back_again = min(week.holds(till, [one for one in week.ledger.numbers if _store(one) == store]) for till in tills)
    figure += f"{back_again} of {given} receipts back, from {told['segments']} sealed segments"
    week.see(7, figure, right=lost == {(0, 0)} and vouched_for == back_again == given and not missing)


def _only_here(week: Week, till: str) -> int:
    """How many acts of a till nobody outside of its store keeps yet."""
    return int(week.town.call(till, "status")["outside"]["waiting"])


def _guardian(week: Week, store: int) -> str:
    """A till of a store that keeps this one's sealed receipts."""
    with look(week.town.folders[week.office].path) as looked:
        keeps = guardians_of(store, looked.directory)
    return next(till for guardian in keeps for till in week.town.tills(guardian) if till in week.town.running())


def _vouched(folder: Folder) -> list[Vouched]:
    with look(folder.path) as looked, looked.log.read() as reader:
        return list(vouched(reader, looked.directory))


# 9 ---------------------------------------------------------------------------------------------------------------------


def invent_a_product_twice(week: Week) -> None:
    inventions = ((week.stores[0], "Fig jam", 450, 24, 3), (week.stores[2], "Fig spread", 490, 12, 2))
    for store, *_ in inventions:
        week.town.sever_wan(store)
        week.town.until(partial(_is_apart, week, f"{store}-1"), "Cutting two stores off")
    made: list[int] = []
    for store, name, price_minor, received, sold in inventions:
        till = f"{store}-1"
        answer = week.town.call(
            till, "new_product", name=name, unit_price_minor=price_minor, code=JAM, tax_code=FOOD_TAX
        )
        product = answer["product"]["product"]
        made.append(product)
        week.town.call(till, "replenish", lines=[{"product": product, "quantity": received}])
        week.ledger.received[store, product] += received
        receipt = week.town.call(till, "sell", lines=[{"code": JAM, "quantity": sold}])["receipt"]
        week.ledger.note_extra(store, ProductRow(product, name, "GROCERY", 0, FOOD_TAX), sold, receipt, b"")
    week.noted["invented"] = made, sum(received - sold for *_, received, sold in inventions)
    names = " and ".join(f"store {store} {name} at {_money(minor)}" for store, name, minor, *_ in inventions)
    week.tell(
        f"Cut off, two stores make a product of their own for one barcode: {names}. They sell it, and meet again."
    )
    for store, *_ in inventions:
        week.town.mend_wan(store)


def _is_apart(week: Week, till: str) -> bool:
    return week.office not in week.town.peers(till)


def are_they_one(week: Week) -> None:
    made, due = week.noted["invented"]
    names = [name for name in week.town.running() if name != week.town.post]
    week.wait(lambda: all(_conflicts(week, name) == [sorted(made)] for name in names), "Meeting over a product")
    one = sum(_conflicts(week, name) == [sorted(made)] for name in names)
    stocks = [row.stock for account in _joined(week).accounts for row in account.goods if row.product == min(made)]
    figure = (
        f"one product at {one} of {len(names)} replicas, stock {sum(stocks)} of {due}, names and prices shown to differ"
    )
    week.see(9, figure, right=one == len(names) and stocks == [due])


def _conflicts(week: Week, name: str) -> list[list[int]]:
    with look(week.town.folders[name].path) as looked, looked.log.read() as reader:
        found = sharing.conflicts(sharing.read(reader, identities(reader), system_ms()))
    return [sorted(meaning.product.id for meaning in shared.meanings) for shared in found]


def _joined(week: Week) -> Books:
    with look(week.town.folders[week.office].path) as looked, looked.log.read() as reader:
        query = Query(week.dates[0], week.dates[-1])
        return books.read(reader, looked.directory, query, identities(reader))


# 10 --------------------------------------------------------------------------------------------------------------------


def lie(week: Week) -> None:
    store = week.stores[2]
    till, date = f"{store}-{LIAR}", week.dates[0] - datetime.timedelta(days=1)
    week.town.enrol(store, LIAR)
    told = dict(zip((f"{store}-1", week.office), LIES_MINOR, strict=True))
    week.town.together(f"{store}-1", week.office)
    liar.lie(week.town, till, date, told)
    amounts = " and ".join(f"{_money(minor)} to {whom}" for whom, minor in told.items())
    week.tell(f"Till {till} lies: under one number it signs two days of {date}, and shows {amounts}.")
    honest = sorted(set(week.town.folders) - {till})
    week.wait(lambda: sorted(liar.holders(week.town, till)) == honest, "Proving the lie everywhere")
    same = week.wait(lambda: all(week.same(one) for one in week.stores), "Agreeing on what the liar said")
    proven = len(list(liar.holders(week.town, till)))
    figure = f"proof at {proven} of {len(honest)} replicas, which hold {'the same' if same else 'different'} entries, and sell on"
    week.see(10, figure, right=same and proven == len(honest))
    # It sells nothing, and nobody waits for it.
    retire_till(week.town.folders[week.office], store, LIAR, system_ms())
    del week.town.folders[till], week.town.town.tills[store, LIAR]


def _store(number: str) -> int:
    return int(number.partition("-")[0])


def _money(minor: int) -> str:
    return f"{minor // 100:,}.{minor % 100:02}"


SCHEDULE: Final[Schedule] = (
    (0, MORNING, hire_an_untidy_post),
    (0, NOON, earn_points),
    (1, MORNING, cut_the_line),
    (1, NOON, sell_at_the_old_price),
    (1, NOON, redeem_apart),
    (2, NOON, kill_head_office),
    (2, NOON, sell_at_the_old_price),
    (2, NOON, kill_a_till_amid_a_sale),
    (2, EVENING, restart_head_office),
    (2, EVENING, mend_the_line),
    (3, NOON, destroy_a_disk),
    (3, EVENING, take_an_image),
    (4, NOON, invent_a_product_twice),
    (4, EVENING, set_a_disk_back),
    (4, EVENING, destroy_head_office),
    (5, EVENING, count_what_the_post_did),
    (5, EVENING, burn_a_store),
    (6, NOON, lie),
)
IN_THE_END: Final[tuple[Step, ...]] = (was_its_day_closed, were_numbers_used_twice, are_they_one)
