"""What happens in the week in which everything breaks, step by step: real cables, real SIGKILLs, real folders.

``SCHEDULE`` is the week, ``IN_THE_END`` what can only be seen when it is over.
"""

from __future__ import annotations

import datetime
import random
import shutil
import time
from typing import Final

from crdt_pos import books, sharing
from crdt_pos.books import Books, Query
from crdt_pos.clock import system_ms
from crdt_pos.enrolment import retire_till
from crdt_pos.errors import NothingHere
from crdt_pos.folder import Folder
from crdt_pos.local import LocalRefused
from crdt_pos.looking import identities, look
from crdt_pos.vouched import Vouched, everywhere, vouched
from tools import liar, post, selling
from tools.baskets import CURRENCY, FOOD_TAX, ProductRow
from tools.killing import Moment, kill_amid_a_sale
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
"""Which of the stores has an untidy post."""


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


def sell_at_the_old_price(week: Week) -> None:
    week.noted["at the old price"].append(week.buy(f"{week.stores[0]}-1")["number"])


def mend_the_line(week: Week) -> None:
    store, sold = week.stores[0], week.noted["at the old price"]
    week.town.mend_wan(store)
    week.tell(f"Store {store}'s line is mended after two days.")

    def listed() -> set[str]:
        return {variance.number for _, _, variance in week.books(week.office, store).variances}

    week.town.until(lambda: set(sold) <= listed(), "Listing the variances")
    missing = set(sold) - listed()
    week.see(1, f"{len(listed())} sales at the old price listed, {len(missing)} missing", right=not missing)


# 6 ---------------------------------------------------------------------------------------------------------------------


def kill_head_office(week: Week) -> None:
    week.town.kill(week.office)
    week.tell("Head office is killed (SIGKILL). The tills go on selling.")


def restart_head_office(week: Week) -> None:
    week.town.start(week.office)
    week.tell("Head office is started again.")


def destroy_head_office(week: Week) -> None:
    stores, tills = week.stores, week.town.tills()
    due = {store: week.takings_minor(f"{store}-1", store) for store in stores}
    week.town.until(lambda: {store: week.takings_minor(week.office, store) for store in stores} == due, "Telling all")
    lost = week.office
    week.town.burn(lost)
    week.tell(
        f"Head office burns: its folder is gone. It is rebuilt from the {len(tills)} tills, with the key from the safe."
    )
    began = time.monotonic()
    told = week.town.rebuild(lost, "--lost", lost)
    took_s = time.monotonic() - began
    week.office = told["office"]
    week.town.start(week.office)
    back = {store: week.takings_minor(week.office, store) for store in stores}
    entries = sum(sum(kinds.values()) for kinds in told["taken"].values())
    takings = f"takings {_money(sum(back.values()))} of {_money(sum(due.values()))}"
    week.see(
        6,
        f"rebuilt as {week.office} in {took_s:.0f} s: {entries:,} entries, {takings}",
        right=back == due,
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
    due_minor = week.takings_minor(f"{store}-1", store)
    week.town.until(lambda: week.takings_minor(week.office, store) == due_minor, f"The post of store {store}")
    done = post.counts(week.town.folders[week.town.post])
    week.tell(f"The post of store {store} has brought everything.")
    week.see(
        2,
        f"{done.repeated} of {done.entries} again, {done.late} late, {done.out_of_order} overtaken; "
        f"{repeating.repeated} of {repeating.requests} requests twice; books equal",
        right=min(done.repeated, done.late, done.out_of_order, repeating.repeated) > 0,
    )


# 3 ---------------------------------------------------------------------------------------------------------------------


def kill_a_till_amid_a_sale(week: Week) -> None:
    till, whole, wrong = f"{week.stores[1]}-1", 0, list[str]()
    moments = (Moment.DURING, Moment.AFTER)
    week.tell(f"Till {till} is killed (SIGKILL) in the middle of a sale, twice, and started again.")
    for moment in moments:
        request = {"lines": [{"product": week.milk.product, "quantity": 1}], "once": f"killed {moment.name}"}
        killed = kill_amid_a_sale(week.town, till, request, moment)
        week.ledger.note_extra(week.stores[1], week.milk, 1, killed.receipt, b"")
        whole += killed.there
        wrong += killed.disagreements
    figure = f"{whole} whole on the disk, {len(moments) - whole} not at all; asked again: each there once"
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
        f"Till {till} burns, with {len(given)} receipts on its disk. It is enrolled again, under the same number."
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
    back = week.holds(till, given)

    def closed() -> bool:
        days = [day for account in week.books(week.office, store).accounts for day in account.days]
        own = [day for day in days if day.name == till and day.date == date]
        return len(own) == 2 and all(day.day.closed for day in own)

    week.town.until(closed, f"Closing the last day of {till} by proxy")
    figure = f"{back} of {len(given)} receipts back, its last day closed by proxy"
    week.see(4, figure, right=back == len(given))


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
    store = week.stores[UNTIDY]
    tills = week.town.tills(store)
    due_minor = week.takings_minor(tills[0], store)
    week.town.until(lambda: week.takings_minor(week.office, store) == due_minor, f"Telling what store {store} took")
    week.tell(f"Store {store} burns, with both tills. They are enrolled again.")
    for till in tills:
        week.town.burn(till)
    for till in tills:
        week.town.enrol(store, int(till.partition("-")[2]), again=True)
        week.town.start(till)
    for till in tills:
        week.town.until(lambda till=till: _takings_or_none(week, till) == due_minor, f"Giving {till} its books back")  # type: ignore[misc]
        week.town.until(lambda till=till: week.holds_product(till), f"Giving {till} the catalogue")  # type: ignore[misc]
    lost_minor = due_minor - week.takings_minor(tills[0], store)
    rows = everywhere(_vouched(week.town.folders[till]) for till in tills)
    receipts = sum(row.receipts for row in rows if row.store == store)
    missing = sum(row.missing for row in rows if row.store == store)
    figure = f"{_money(lost_minor)} of {_money(due_minor)} takings lost; {missing} of {receipts} receipts cannot be recovered yet"
    week.see(7, figure, right=not lost_minor)


def _takings_or_none(week: Week, till: str) -> int | None:
    try:
        return week.takings_minor(till, int(till.partition("-")[0]))
    except NothingHere:
        return None


def _vouched(folder: Folder) -> list[Vouched]:
    with look(folder.path) as looked, looked.log.read() as reader:
        return list(vouched(reader, looked.directory))


# 9 ---------------------------------------------------------------------------------------------------------------------


def invent_a_product_twice(week: Week) -> None:
    inventions = ((week.stores[0], "Fig jam", 450, 24, 3), (week.stores[2], "Fig spread", 490, 12, 2))
    for store, *_ in inventions:
        week.town.sever_wan(store)
        week.town.until(lambda store=store: week.office not in week.town.peers(f"{store}-1"), "Cutting two stores off")  # type: ignore[misc]
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


def are_they_one(week: Week) -> None:
    made, due = week.noted["invented"]
    names = [name for name in week.town.running() if name != week.town.post]
    week.town.until(lambda: all(_conflicts(week, name) == [sorted(made)] for name in names), "Meeting over a product")
    (stock,) = {row.stock for account in _joined(week).accounts for row in account.goods if row.product == min(made)}
    figure = f"one product at {len(names)} of {len(names)} replicas, stock {stock} of {due}, the conflict of name and price shown"
    week.see(9, figure, right=stock == due)


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
    week.town.until(lambda: sorted(liar.holders(week.town, till)) == honest, "Proving the lie everywhere")
    week.see(10, f"proof kept at {len(honest)} of {len(honest)} replicas; everyone goes on", right=True)
    # It sells nothing, and nobody waits for it.
    retire_till(week.town.folders[week.office], store, LIAR, system_ms())
    del week.town.folders[till], week.town.town.tills[store, LIAR]


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
