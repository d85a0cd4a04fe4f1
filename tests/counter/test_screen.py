"""The till's screen, driven by keys, beside a real till on a real local socket."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import DataTable, Digits, Input, OptionList, Static

from crdt_pos.counter_dialogs import Ask, Menu, Shown
from crdt_pos.counter_screen import CounterScreen
from crdt_pos.local import SOCKET_NAME, LocalClient, LocalRefused, decode_line, encode_line
from crdt_pos.local_commands import ReplicaStatus
from crdt_pos.money import Currency
from crdt_pos.terms import Terms
from tools.practice_shop import PracticeShop

MILK, OAT, CHEESE, TULIPS = "4000000000012", "4000000000029", "4000000000043", "4000000000081"
MEMBER = "00f3a91c5e7d2b48"
TRIES_MAX = 500


class Cashier:
    """Presses keys and reads the screen."""

    def __init__(self, app: CounterScreen, pilot: Pilot[None]) -> None:
        self.app, self.pilot = app, pilot

    async def until(self, true: Callable[[], bool]) -> None:
        for _ in range(TRIES_MAX):
            if true():
                return
            await self.pilot.pause()
        raise AssertionError(f"never came; the screen says: {self.said()}")

    async def keys(self, *pressed: str) -> None:
        await self.pilot.press(*pressed)

    async def type(self, text: str) -> None:
        """All at once and Enter, as a scanner does."""
        await self.until(lambda: isinstance(self.app.screen.focused, Input))
        self.app.screen.query_one(Input).value = text
        await self.pilot.press("enter")

    async def answer(self, text: str) -> None:
        await self.until(lambda: isinstance(self.app.screen, Ask))
        asked = self.app.screen
        await self.type(text)
        await self.until(lambda: self.app.screen is not asked)

    async def choose(self, letter: str) -> None:
        await self.pilot.press("f9")
        await self.until(lambda: isinstance(self.app.screen, Menu) and self.app.screen.focused is not None)
        await self.pilot.press(letter)
        await self.until(lambda: not isinstance(self.app.screen, Menu))

    async def paper(self) -> str:
        await self.until(lambda: isinstance(self.app.screen, Shown) and bool(self.app.screen.query("#paper")))
        return str(self.app.screen.query_one("#paper", Static).content)

    async def scan(self, code: str) -> None:
        lines = self.basket()
        await self.type(code)
        await self.until(lambda: self.basket() != lines or isinstance(self.app.screen, Ask) or bool(self.wrong()))

    def _static(self, name: str) -> Static:
        return self.app.screen_stack[0].query_one(name, Static)

    def basket(self) -> list[list[str]]:
        table = self.app.screen_stack[0].query_one(DataTable)
        return [[str(cell).strip() for cell in table.get_row_at(row)] for row in range(table.row_count)]

    def due(self) -> str:
        return self.app.screen_stack[0].query_one(Digits).value

    def found(self) -> list[str]:
        listed = self.app.screen_stack[0].query_one("#found", OptionList)
        return [
            str(listed.get_option_at_index(place).prompt).split(maxsplit=1)[1] for place in range(listed.option_count)
        ]

    def said(self) -> str:
        return str(self._static("#message").content)

    def wrong(self) -> str:
        return self.said() if self._static("#message").has_class("wrong") else ""

    def lamps(self) -> tuple[str, str]:
        return str(self._static("#here").content), str(self._static("#elsewhere").content)


@pytest.fixture
def shop() -> PracticeShop:
    shop = PracticeShop()
    shop.till.open_date()
    return shop


@pytest.fixture
def serving(shop: PracticeShop, tmp_path: Path) -> Iterator[ExitStack]:
    with ExitStack() as stack:
        stack.enter_context(shop.served(tmp_path))
        yield stack


def at_the_counter(folder: Path, scene: Callable[[Cashier], Awaitable[None]]) -> None:
    async def play() -> None:
        app = CounterScreen(folder)
        async with app.run_test(size=(90, 28)) as pilot:
            await scene(Cashier(app, pilot))

    asyncio.run(asyncio.wait_for(play(), 60))


@pytest.mark.usefixtures("serving")
def test_a_code_scanned_into_the_cash_is_asked_about_and_sells_nothing(shop: PracticeShop, tmp_path: Path) -> None:
    async def scene(cashier: Cashier) -> None:
        await cashier.scan(MILK)
        await cashier.keys("f7")
        await cashier.answer(MILK)
        await cashier.until(lambda: "no scanned code" in cashier.wrong())
        assert (cashier.due(), cashier.basket()) == ("1.29", [["1", "Whole milk 1 l", "1.29"]])

    at_the_counter(tmp_path, scene)
    assert shop.till.x_report().sales_minor == 0


@pytest.mark.usefixtures("serving")
def test_words_find_products_and_the_chosen_one_is_sold_for_cash_with_change(
    shop: PracticeShop, tmp_path: Path
) -> None:
    async def scene(cashier: Cashier) -> None:
        await cashier.keys(*"milk")
        await cashier.until(lambda: sorted(cashier.found()) == ["Milk chocolate 100 g", "Whole milk 1 l"])
        await cashier.keys(*(["down"] * cashier.found().index("Whole milk 1 l")), "enter")
        await cashier.until(lambda: cashier.basket() == [["1", "Whole milk 1 l", "1.29"]])
        assert cashier.due() == "1.29"
        await cashier.keys("f7")
        await cashier.answer("5.00")
        paper = await cashier.paper()
        assert "TOTAL EUR" in paper
        assert paper.splitlines()[-3].split() == ["Change", "3.71"]
        assert "▀" in str(cashier.app.screen.query_one("#qr", Static).content)
        await cashier.keys("enter")
        await cashier.until(lambda: cashier.app.screen is cashier.app.screen_stack[0])
        assert cashier.basket() == []

    at_the_counter(tmp_path, scene)
    receipt = shop.till.receipt("12-3-a1-1")
    assert receipt is not None
    assert (receipt.due_minor, receipt.change_minor) == (129, 371)


@pytest.mark.usefixtures("serving")
def test_a_scanner_that_types_faster_than_the_search_gets_every_code(shop: PracticeShop, tmp_path: Path) -> None:
    async def scene(cashier: Cashier) -> None:
        await cashier.scan(MILK)
        await cashier.scan(f"3*{OAT}")
        await cashier.scan(MILK)
        assert [line[:2] for line in cashier.basket()] == [["2", "Whole milk 1 l"], ["3", "Oat drink barista 1 l"]]
        assert cashier.due() == "9.15"

    at_the_counter(tmp_path, scene)


@pytest.mark.usefixtures("serving")
def test_weighed_goods_ask_for_the_weight_and_unpriced_ones_for_the_price(tmp_path: Path) -> None:
    async def scene(cashier: Cashier) -> None:
        await cashier.scan(CHEESE)
        await cashier.answer("0.350")
        await cashier.until(lambda: len(cashier.basket()) == 1)
        await cashier.scan(TULIPS)
        await cashier.answer("4,50")
        await cashier.until(lambda: len(cashier.basket()) == 2)
        assert cashier.basket() == [["0.350 kg", "Mountain cheese", "6.97"], ["1", "Bunch of tulips", "4.50"]]
        await cashier.keys("f8")
        await cashier.answer("11.47")
        assert "Card" in await cashier.paper()

    at_the_counter(tmp_path, scene)


@pytest.mark.usefixtures("serving")
def test_quantity_discount_and_removal_change_the_chosen_line(tmp_path: Path) -> None:
    async def scene(cashier: Cashier) -> None:
        await cashier.scan(MILK)
        await cashier.keys("f2")
        await cashier.answer("10")
        await cashier.until(lambda: cashier.due() == "12.90")
        await cashier.keys("f4")
        await cashier.answer("10% staff")
        await cashier.until(lambda: cashier.due() == "11.61")
        await cashier.scan(OAT)
        await cashier.keys("f6")
        await cashier.until(lambda: cashier.due() == "11.61")

    at_the_counter(tmp_path, scene)


@pytest.mark.usefixtures("serving")
def test_goods_that_nobody_has_listed_are_sold_at_a_typed_price(shop: PracticeShop, tmp_path: Path) -> None:
    async def scene(cashier: Cashier) -> None:
        await cashier.scan("2.50 daisies")
        await cashier.until(lambda: cashier.due() == "2.50")
        await cashier.scan("3*0,40")
        await cashier.until(lambda: cashier.due() == "3.70")
        await cashier.scan("daisies")
        assert "2.50 daisies" in cashier.wrong()
        await cashier.keys("f7")
        await cashier.answer("3.70")
        assert "Daisies" in await cashier.paper()

    at_the_counter(tmp_path, scene)
    receipt = shop.till.receipt("12-3-a1-1")
    assert receipt is not None
    sold = [(line.product, line.name, line.quantity, line.total_minor) for line in receipt.lines]
    assert sold == [(0, "Daisies", 1, 250), (0, "Sundries", 3, 120)]


@pytest.mark.usefixtures("serving")
def test_two_payments_settle_one_sale(shop: PracticeShop, tmp_path: Path) -> None:
    async def scene(cashier: Cashier) -> None:
        await cashier.scan(f"2*{OAT}")
        await cashier.keys("f8")
        await cashier.answer("4.00")
        await cashier.until(lambda: cashier.due() == "0.38")
        await cashier.keys("f7")
        await cashier.answer("0.50")
        await cashier.paper()

    at_the_counter(tmp_path, scene)
    receipt = shop.till.receipt("12-3-a1-1")
    assert receipt is not None
    assert [(paid.kind.text, paid.amount_minor) for paid in receipt.tenders][:2] == [("card", 400), ("cash", 50)]


@pytest.mark.usefixtures("serving")
def test_a_refused_sale_is_a_sentence_and_the_goods_stay_in_the_basket(shop: PracticeShop, tmp_path: Path) -> None:
    shop.till.close_date()

    async def scene(cashier: Cashier) -> None:
        assert "F9" in cashier.said()
        await cashier.scan(MILK)
        await cashier.keys("f7")
        await cashier.answer("1.29")
        await cashier.until(lambda: "open the till first" in cashier.wrong())
        assert len(cashier.basket()) == 1
        assert cashier.due() == "1.29"
        await cashier.choose("b")
        await cashier.answer("2026-11-23")
        await cashier.answer("100.00")
        await cashier.until(lambda: cashier.said() == "2026-11-23 is open.")
        await cashier.keys("f7")
        await cashier.answer("2.00")
        assert "Change" in await cashier.paper()

    at_the_counter(tmp_path, scene)


@pytest.mark.usefixtures("serving")
def test_a_member_earns_and_pays_with_points_and_too_many_are_refused_with_what_is_there(
    shop: PracticeShop, tmp_path: Path
) -> None:
    with LocalClient(tmp_path) as client:
        client.call("sell", lines=[{"product": 106, "quantity": 10}], member=MEMBER)
    here = shop.till.redeemable(bytes.fromhex(MEMBER)).here
    assert here == 75

    async def scene(cashier: Cashier) -> None:
        await cashier.scan(MILK)
        await cashier.keys("f5")
        await cashier.until(lambda: "F3" in cashier.wrong())
        await cashier.keys("f3")
        await cashier.answer(MEMBER)
        await cashier.until(lambda: "75 points can be redeemed" in cashier.said())
        await cashier.keys("f5")
        await cashier.answer("129")
        await cashier.until(lambda: cashier.due() == "0.00")
        await cashier.keys("f7")
        await cashier.until(lambda: "75 can be redeemed here now" in cashier.wrong())
        await cashier.keys("f5")
        await cashier.answer("75")
        await cashier.until(lambda: cashier.due() == "0.54")
        await cashier.keys("f7")
        await cashier.answer("0.54")
        assert "Points redeemed" in await cashier.paper()

    at_the_counter(tmp_path, scene)
    assert shop.till.redeemable(bytes.fromhex(MEMBER)).here < here


@pytest.mark.usefixtures("serving")
def test_the_menu_refunds_voids_moves_cash_and_reports(shop: PracticeShop, tmp_path: Path) -> None:
    with LocalClient(tmp_path) as client:
        for _ in range(2):
            client.call("sell", lines=[{"product": 101, "quantity": 2}, {"product": 105}])

    async def scene(cashier: Cashier) -> None:
        async def done(*words: str) -> None:
            paper = await cashier.paper()
            assert all(word in paper for word in words), paper
            await cashier.keys("enter")
            await cashier.until(lambda: not isinstance(cashier.app.screen, Shown))

        await cashier.choose("r")
        await cashier.answer("12-3-a1-1")
        await cashier.answer("1")
        await cashier.answer("sour")
        await done("REFUND", "for 12-3-a1-1", "sour", "-2.58")
        await cashier.choose("n")
        await cashier.answer("12-3-a1-2")
        await done("VOID", "for 12-3-a1-2")
        await cashier.choose("i")
        await cashier.answer("20")
        await cashier.answer("change from the bank")
        await done("PAID IN", "20.00")
        await cashier.choose("x")
        await done("X REPORT", "Paid in")
        await cashier.choose("r")
        await cashier.answer("12-3-a1-99")
        await cashier.until(lambda: "12-3-a1-99 is not here" in cashier.wrong())
        await cashier.choose("e")
        await cashier.answer("23.45")
        await done("Z REPORT", "Cash counted", "Difference")

    at_the_counter(tmp_path, scene)
    assert shop.till.open_on is None


@pytest.mark.usefixtures("serving")
def test_training_is_shown_and_counts_nowhere(shop: PracticeShop, tmp_path: Path) -> None:
    async def scene(cashier: Cashier) -> None:
        await cashier.choose("t")
        await cashier.until(lambda: "Training" in cashier.said())
        await cashier.scan(MILK)
        await cashier.keys("f7")
        await cashier.answer("1.29")
        assert "TRAINING" in await cashier.paper()

    at_the_counter(tmp_path, scene)
    assert shop.till.x_report().sales_minor == 0


@pytest.mark.usefixtures("serving")
def test_the_lamps_say_what_is_safe_where(shop: PracticeShop, tmp_path: Path) -> None:
    async def scene(cashier: Cashier) -> None:
        assert cashier.lamps() == ("● safe here", "● safe elsewhere: 1")
        shop.replica.shown = replace(shop.replica.shown, waiting=2, copies=0)
        await cashier.app.poll_status()
        assert cashier.lamps()[1] == "◐ 2 not elsewhere yet"
        shop.replica.shown = ReplicaStatus()
        await cashier.app.poll_status()
        assert cashier.lamps()[1] == "○ no other replica yet"

    at_the_counter(tmp_path, scene)


def test_when_the_replica_stops_the_screen_says_so_keeps_the_basket_and_finds_it_again(
    shop: PracticeShop, serving: ExitStack, tmp_path: Path
) -> None:
    async def scene(cashier: Cashier) -> None:
        await cashier.scan(MILK)
        await asyncio.to_thread(serving.close)
        await cashier.app.poll_status()
        assert cashier.lamps()[0] == "✗ replica stopped"
        assert f"crdt-pos till run --at {tmp_path}" in cashier.wrong()
        await cashier.keys("f7")
        await cashier.answer("1.29")
        await cashier.until(lambda: "Start it with" in cashier.wrong())
        await asyncio.to_thread(serving.enter_context, shop.served(tmp_path))
        await cashier.app.poll_status()
        assert cashier.lamps()[0] == "● safe here"
        assert cashier.due() == "1.29"
        await cashier.keys("f7")
        await cashier.answer("1.29")
        assert "TOTAL" in await cashier.paper()

    at_the_counter(tmp_path, scene)


@pytest.mark.parametrize("typed", ["1.29", "1.30", "2.00"])
def test_cash_is_rounded_to_the_coins_of_the_country(tmp_path: Path, typed: str) -> None:
    shop = PracticeShop(Terms("Shop", Currency("CHF", 2), cash_step_minor=5))
    shop.till.open_date()

    async def scene(cashier: Cashier) -> None:
        await cashier.scan(MILK)
        await cashier.keys("f7")
        await cashier.answer(typed)
        assert "Rounding" in await cashier.paper()

    with shop.served(tmp_path):
        at_the_counter(tmp_path, scene)
    receipt = shop.till.receipt("12-3-a1-1")
    assert receipt is not None
    assert receipt.due_minor == 130


@pytest.mark.parametrize(
    ("key", "typed", "paid_minor"), [("f7", "1.38", 140), ("f7", "1.40", 140), ("f8", "1.38", 138)]
)
def test_where_prices_are_without_tax_the_screen_asks_for_what_is_due_with_it(
    tmp_path: Path, key: str, typed: str, paid_minor: int
) -> None:
    shop = PracticeShop(Terms("Shop", Currency("CHF", 2), cash_step_minor=5, prices_with_tax=False))
    shop.till.open_date()

    async def scene(cashier: Cashier) -> None:
        await cashier.scan(MILK)
        assert (cashier.basket()[0][2], cashier.due()) == ("1.29", "1.38")
        await cashier.scan(MILK)
        assert cashier.due() == "2.76"
        await cashier.keys("f2")
        await cashier.answer("1")
        await cashier.until(lambda: cashier.due() == "1.38")
        await cashier.keys(key)
        await cashier.answer(typed)
        await cashier.paper()

    with shop.served(tmp_path):
        at_the_counter(tmp_path, scene)
    receipt = shop.till.receipt("12-3-a1-1")
    assert receipt is not None
    assert (receipt.due_minor, receipt.total_minor, receipt.change_minor) == (paid_minor, 129, 0)


async def pass_on(folder: Path, there: Path) -> asyncio.Server:
    """Serve the till of ``there`` in ``folder``, and hang up on the first sale instead of answering it."""
    sold = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sold
        with LocalClient(there) as client:
            while line := await reader.readline():
                request = decode_line(line)
                try:
                    answer = await asyncio.to_thread(client.call, request.pop("do"), **request)
                except LocalRefused as no:
                    answer = no.answer
                sold += "receipt" in answer
                if "receipt" in answer and sold == 1:
                    break
                writer.write(encode_line(answer))
                await writer.drain()
        writer.close()

    return await asyncio.start_unix_server(serve, folder / SOCKET_NAME)


@pytest.mark.usefixtures("serving")
def test_a_sale_whose_answer_is_lost_is_asked_for_again_and_sold_once(shop: PracticeShop, tmp_path: Path) -> None:
    lossy = tmp_path / "lossy"
    lossy.mkdir()

    async def play() -> None:
        async with await pass_on(lossy, tmp_path):
            app = CounterScreen(lossy)
            async with app.run_test(size=(90, 28)) as pilot:
                await scene(Cashier(app, pilot))

    async def scene(cashier: Cashier) -> None:
        await cashier.scan(MILK)
        await cashier.keys("f8")
        await cashier.answer("1.29")
        await cashier.until(lambda: "sells nothing twice" in cashier.wrong())
        await cashier.type(OAT)
        await cashier.until(lambda: "no answer yet" in cashier.wrong())
        assert len(cashier.basket()) == 1
        await cashier.keys("f7")
        assert "12-3-a1-1" in await cashier.paper()
        await cashier.keys("enter")
        await cashier.until(lambda: cashier.app.screen is cashier.app.screen_stack[0])
        assert cashier.basket() == []

    asyncio.run(asyncio.wait_for(play(), 60))
    assert shop.till.x_report().sales_minor == 129
    assert shop.till.receipt("12-3-a1-2") is None


@pytest.mark.usefixtures("serving")
def test_a_code_that_nobody_knows_becomes_a_product_that_is_sold_at_once_and_found_next_time(
    shop: PracticeShop, tmp_path: Path
) -> None:
    async def scene(cashier: Cashier) -> None:
        await cashier.scan("7612345678900")
        await cashier.answer("Fig jam")
        await cashier.answer("4.50")
        await cashier.answer("7")
        await cashier.until(lambda: cashier.basket() == [["1", "Fig jam", "4.50"]])
        await cashier.scan("7612345678900")
        assert cashier.basket() == [["2", "Fig jam", "9.00"]]

    at_the_counter(tmp_path, scene)
    with shop.log.read() as reader:
        (made,) = shop.products.by_code(reader, "7612345678900")
        assert (made.name, made.tax_code, made.prices[0].amount_minor) == ("Fig jam", 1, 450)


@pytest.mark.usefixtures("serving")
def test_goods_with_a_code_that_nobody_knows_can_be_sold_once_without_a_name(tmp_path: Path) -> None:
    async def scene(cashier: Cashier) -> None:
        await cashier.scan("7612345678900")
        await cashier.answer("")
        await cashier.answer("2.50")
        await cashier.until(lambda: [row[2] for row in cashier.basket()] == ["2.50"])

    at_the_counter(tmp_path, scene)
