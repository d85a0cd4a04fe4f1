"""The keyboard till in the terminal: a screen beside the running replica, over its local socket.

The screen holds nothing but the basket that is being typed. What is sold, and whether it is safe, is the replica's to say.
"""

from __future__ import annotations

import asyncio
import secrets
import textwrap
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Final, cast

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import DataTable, Digits, Footer, Input, OptionList, Static
from textual.widgets.option_list import Option

from crdt_pos.counter_basket import (
    Basket,
    BasketLine,
    NotUnderstood,
    checked_cash,
    is_barcode,
    line_of,
    open_price,
    read_decimal,
    read_discount,
    split_quantity,
)
from crdt_pos.counter_dialogs import Menu, Shown
from crdt_pos.counter_link import Bar, LinkedScreen
from crdt_pos.local import ConnectionLost, LocalRefused, Message, NotRunning
from crdt_pos.money import decimal_text, round_to_step
from crdt_pos.products import OPEN_PRICE

SEARCH_AFTER_S: Final = 0.06
FOUND_MAX: Final = 30
TAX_DECIMALS: Final = 4
"""Of percent: millionths."""
_ONCE_BYTES: Final = 8
_PRICE_COLUMNS: Final = 7
_NAME_COLUMNS_MIN: Final = 8
_FOUND_PADDING: Final = 4
"""Columns between the price and the name, and beside the list."""

MENU: Final = (
    ("s", "sign_on", "Sign on or off"),
    ("v", "voucher", "Pay with a voucher"),
    ("r", "refund", "Refund a receipt by its number"),
    ("n", "void", "Void a receipt: the sale never happened"),
    ("l", "last", "Show the last receipt again"),
    ("d", "no_sale", "Open the drawer"),
    ("i", "paid_in", "Cash paid in"),
    ("o", "paid_out", "Cash paid out"),
    ("p", "pick_up", "Pick up cash"),
    ("x", "x_report", "X report: the date so far"),
    ("b", "open", "Begin a business date"),
    ("e", "close", "End the business date: Z report"),
    ("t", "training", "Training on or off"),
    ("q", "quit", "Leave the till"),
)


class CounterScreen(LinkedScreen):
    """``crdt-pos sell --at DIR``."""

    TITLE = "crdt-pos"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "add", "Add", show=True),
        Binding("up", "move(-1)", "", show=False, priority=True),
        Binding("down", "move(1)", "", show=False, priority=True),
        Binding("escape", "clear_search", "", show=False),
        Binding("f2", "quantity", "Quantity"),
        Binding("f3", "member", "Member"),
        Binding("f4", "discount", "Discount"),
        Binding("f5", "points", "Points"),
        Binding("f6", "remove", "Remove"),
        Binding("f7", "cash", "Cash"),
        Binding("f8", "card", "Card"),
        Binding("f9", "menu", "More"),
    ]
    CSS = """
    #desk { height: 1fr; }
    #left { width: 1fr; padding: 0 1 0 0; }
    #right { width: 50%; min-width: 51; }
    #found { height: 1fr; border: round $foreground 30%; }
    #basket { height: 1fr; border: round $foreground 30%; }
    #foot { height: 4; padding: 0 1; }
    #total { width: 1fr; text-align: right; color: $text-success; }
    #notes { width: auto; min-width: 20; color: $text-muted; }
    #message { height: 1; padding: 0 1; }
    #message.wrong { background: $error; color: $text; }
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._found: list[Message] = []
        self._found_for = ""
        self._basket = Basket()
        self._last_number = ""
        self._unanswered: Message | None = None
        """A sale that was asked for and not answered: it may be in the till's log, so it is asked for again as it was."""

    # --- layout ---

    def compose(self) -> ComposeResult:
        yield Bar()
        with Horizontal(id="desk"):
            with Vertical(id="left"):
                yield Input(placeholder="Code, words or price", id="search")
                yield OptionList(id="found")
            with Vertical(id="right"):
                yield DataTable[str](id="basket", cursor_type="row", zebra_stripes=True)
                with Horizontal(id="foot"):
                    yield Static("", id="notes", markup=False)
                    yield Digits("0.00", id="total")
        yield Static("", id="message", markup=False)
        yield Footer(compact=True)

    async def on_mount(self) -> None:
        table = self._table
        table.add_column("Quantity", width=9)
        table.add_column("Product", width=22)
        table.add_column("Total", width=9)
        table.can_focus = False
        self.query_one("#found", OptionList).can_focus = False
        self.query_one("#found").border_title = "Found"
        table.border_title = "Basket"
        self._search.focus()
        await self.link()
        self._show_basket()
        if self.status and not self.status["business_date"]:
            self.say("No business date is open. F9, then B, begins one.")

    @property
    def _search(self) -> Input:
        return self.query_one("#search", Input)

    @property
    def _table(self) -> DataTable[str]:
        return cast("DataTable[str]", self.query_one("#basket", DataTable))

    # --- search ---

    def on_input_changed(self, event: Input.Changed) -> None:
        if event.input.id == "search":
            self._look_up(split_quantity(event.value)[1])

    @work(exclusive=True, group="search")
    async def _look_up(self, words: str) -> None:
        await asyncio.sleep(SEARCH_AFTER_S)
        await self.attempt(lambda: self._find(words))

    async def _find(self, words: str) -> None:
        found: list[Message] = []
        if words:
            found = (await self.call("lookup", text=words, limit=FOUND_MAX))["products"]
            typed = open_price(words, self.exponent)
            found += [typed] if typed else []
        if self.gone:
            return
        listed = self.query_one("#found", OptionList)
        # Whoever has moved to a product keeps it while more letters come.
        moved_to = self._found[listed.highlighted]["product"] if listed.highlighted else None
        numbers = [product["product"] for product in found]
        self._found, self._found_for = found, words
        listed.clear_options()
        listed.add_options(Option(self._offer(product)) for product in found)
        listed.highlighted = (numbers.index(moved_to) if moved_to in numbers else 0) if found else None
        listed.border_subtitle = f"{len(found)}" if found else ""

    def _offer(self, product: Message) -> str:
        price = product["unit_price_minor"]
        if product["product"] == OPEN_PRICE and price is not None:
            return f"Sell at {self.money(price)}: {product['name']}".replace("[", "\\[")
        shown = "no price" if price is None else decimal_text(price, self.exponent + product["unit_price_exponent"])
        per = f"/{product['unit']}" if product["unit"] else ""
        return self._hanging(f"{(shown + per):>{_PRICE_COLUMNS}}", product["name"])

    def _hanging(self, price: str, name: str) -> str:
        """A name beside its price, on as many lines as it needs: a narrow terminal cuts nothing off."""
        room = self.query_one("#found", OptionList).scrollable_content_region.width - len(price) - _FOUND_PADDING
        rows = textwrap.wrap(name, max(room, _NAME_COLUMNS_MIN)) or [""]
        under = "\n" + " " * (len(price) + 2)
        return f"{price}  {under.join(rows)}".replace("[", "\\[")

    def action_move(self, step: int) -> None:
        if self.screen is not self.screen_stack[0]:
            top = self.screen.focused
            if isinstance(top, OptionList):
                top.action_cursor_down() if step > 0 else top.action_cursor_up()
            return
        listed = self.query_one("#found", OptionList)
        if self._found:
            listed.action_cursor_down() if step > 0 else listed.action_cursor_up()
        else:
            self._table.action_cursor_down() if step > 0 else self._table.action_cursor_up()

    def action_clear_search(self) -> None:
        self._search.value = ""
        self.say("")

    async def on_input_submitted(self, event: Input.Submitted) -> None:
        if event.input.id == "search":
            self._add(event.value)

    def action_add(self) -> None:
        self._add(self._search.value)

    @work(group="act")
    async def _add(self, typed: str) -> None:
        await self.attempt(lambda: self._add_typed(typed))

    async def _add_typed(self, typed: str) -> None:
        many, words = split_quantity(typed)
        if not words:
            return
        self._must_be_answered()
        if self._found_for != words:
            # A scanner types faster than the search waits.
            await self._find(words)
        if self._found:
            product = self._found[self.query_one("#found", OptionList).highlighted or 0]
        elif is_barcode(words):
            made = await self._new_product(words)
            if made is None:
                return
            product = made
        elif words.isascii() and words.isdigit() and int(words) < 2**64:
            product = _unknown_product(int(words))
        else:
            raise NotUnderstood(f"Nothing is called '{words}' here; with a price it can be sold: 2.50 {words}")
        price = product["unit_price_minor"] if product["product"] == OPEN_PRICE else None
        if product["unit_price_minor"] is None:
            answer = await self.ask(f"{product['name']} has no price here. Price?")
            if answer is None:
                return
            price = read_decimal(answer, self.exponent, "price")
        exponent = int(product["quantity_exponent"])
        if not many and exponent:
            many = await self.ask(f"{product['name']}: how many {product['unit']}?") or ""
            if not many:
                return
        quantity = read_decimal(many, exponent, "quantity") if many else 10**exponent
        if not quantity:
            raise NotUnderstood("The quantity is 0.")
        code = words if words.isdigit() and words != str(product["product"]) else ""
        index = self._basket.add(line_of(product, quantity, code, price))
        self._search.value = ""
        self.say("")
        await self._changed(index)

    async def _new_product(self, code: str) -> Message | None:
        """What is sold under a code that nobody knows here: a product made for it, or goods sold once; ``None``: nothing."""
        hint = "Empty: sell it once, and ask again next time"
        name = await self.ask(f"No product has the code {code}. What is it called?", hint)
        if not name:
            return None if name is None else _unknown_product(int(code))
        price = await self.ask(f"{name}: price of one?")
        tax = await self.ask(f"{name}: tax in percent?", "like 8.1; empty: none") if price else None
        if not price or tax is None:
            return None
        made = await self.call(
            "new_product",
            name=name,
            unit_price_minor=read_decimal(price, self.exponent, "price"),
            tax_rate_ppm=read_decimal(tax or "0", TAX_DECIMALS, "tax"),
            code=code,
            once=secrets.token_hex(_ONCE_BYTES),
        )
        product: Message = made["product"]
        return product

    # --- the basket ---

    def _show_basket(self, index: int | None = None) -> None:
        table, basket = self._table, self._basket
        at = table.cursor_row if index is None else index
        table.clear()
        for line in basket.lines:
            off = f" −{self.money(line.discount_minor)}" if line.discount_minor else ""
            table.add_row(line.quantity_text, f"{line.name}{off}", f"{self.money(line.total_minor):>9}")
        if basket.lines:
            table.move_cursor(row=min(max(at, 0), len(basket.lines) - 1))
        notes = [f"Due {self.status.get('currency', '')}"]
        if basket.member:
            notes.append(f"Member {basket.member}")
        if basket.points:
            notes.append(f"Points {basket.points}")
        notes += [f"{kind.capitalize()} {self.money(amount)}" for kind, amount, _ in basket.tenders]
        if basket.due_minor != basket.total_minor:
            notes[0] += f"   (all: {self.money(basket.total_minor)})"
        self.query_one("#notes", Static).update("\n".join([notes[0], *notes[1:][-3:]]))
        self.query_one("#total", Digits).update(self.money(basket.due_minor))

    async def _changed(self, index: int | None = None) -> None:
        """Show the basket after its lines have changed, with what the till asks for them."""
        basket, lines = self._basket, list(self._basket.lines)
        basket.quoted_minor = None
        try:
            due_minor: int | None = (await self.call("quote", **basket.request()))["due_minor"] if lines else None
        except (LocalRefused, ConnectionLost, NotRunning, OSError):
            due_minor = None  # whoever sells will hear why
        if self.gone:
            return
        if basket.lines == lines:  # else it has changed again, and another quote is on its way
            basket.quoted_minor = due_minor
        self._show_basket(index)

    def _must_be_answered(self) -> None:
        if self._unanswered is not None:
            raise NotUnderstood("The last sale has no answer yet: F7 asks again, and sells nothing twice.")

    def _chosen(self) -> tuple[int, BasketLine]:
        self._must_be_answered()
        row = self._table.cursor_row
        if not 0 <= row < len(self._basket.lines):
            raise NotUnderstood("The basket is empty: type a code or words first.")
        return row, self._basket.lines[row]

    @work(group="act")
    async def action_quantity(self) -> None:
        async def act() -> None:
            row, line = self._chosen()
            answer = await self.ask(f"{line.name}: how many?", answer=line.quantity_text.split()[0])
            if answer:
                quantity = read_decimal(answer, line.quantity_exponent, "quantity")
                if not quantity:
                    raise NotUnderstood("The quantity is 0: F6 removes the line.")
                self._basket.lines[row] = replace(line, quantity=quantity)
                await self._changed(row)

        await self.attempt(act)

    @work(group="act")
    async def action_discount(self) -> None:
        async def act() -> None:
            row, line = self._chosen()
            question = f"{line.name}: discount and reason, like 0.50 bruised, or 10% staff"
            answer = await self.ask(question)
            if answer:
                self._basket.lines[row] = read_discount(answer, line, self.exponent)
                await self._changed(row)

        await self.attempt(act)

    @work(group="act")
    async def action_remove(self) -> None:
        async def act() -> None:
            row, _ = self._chosen()
            del self._basket.lines[row]
            await self._changed(row)

        await self.attempt(act)

    @work(group="act")
    async def action_member(self) -> None:
        async def act() -> None:
            answer = await self.ask("Member: number on the card (empty: none)", answer=self._basket.member)
            if answer is None:
                return
            if answer:
                held = await self.call("member", account=answer)
                self.say(f"{held['here']} points can be redeemed here now; the balance is {held['company']}.")
                answer = held["account"]
            self._basket.member = answer
            self._show_basket()

        await self.attempt(act)

    @work(group="act")
    async def action_points(self) -> None:
        async def act() -> None:
            if not self._basket.member:
                raise NotUnderstood("Points need a member: F3 first.")
            held = await self.call("member", account=self._basket.member)
            hint = f"{held['here']} at once, balance {held['company']}; more than at once asks the other replicas"
            answer = await self.ask("How many points to pay with?", hint)
            if answer:
                self._basket.minor_per_point = int(self.status.get("minor_per_point", 1))
                self._basket.points = read_decimal(answer, 0, "number of points")
                self._show_basket()
                if not self._basket.due_minor:
                    self.say("The points pay everything: F7 finishes the sale.")

        await self.attempt(act)

    # --- paying ---

    @work(group="act")
    async def action_cash(self) -> None:
        await self.attempt(lambda: self._pay("cash", "Cash given"))

    @work(group="act")
    async def action_card(self) -> None:
        await self.attempt(lambda: self._pay("card", "Amount on the card"))

    async def _pay(self, kind: str, question: str) -> None:
        basket, asked = self._basket, self._unanswered
        if asked is None:
            if not basket.lines:
                raise NotUnderstood("The basket is empty: type a code or words first.")
            if basket.quoted_minor is None:
                await self._changed()
            if basket.due_minor and not await self._tender(kind, question):
                return
            asked = {**basket.request(), "training": self.training, "once": secrets.token_hex(_ONCE_BYTES)}
            basket.tenders.clear()  # if the sale is refused, the payment is asked for again; the goods stay
        try:
            answer = await self.call("sell", **asked)
            self._basket, self._unanswered = Basket(), None
        except LocalRefused as no:
            self._unanswered = None
            if no.kind == "NotEnoughRights":
                basket.points = 0
            raise
        except ConnectionLost as lost:
            self._unanswered = asked
            raise ConnectionLost(
                "The replica stopped before it answered: F7 asks again, and sells nothing twice."
            ) from lost
        finally:
            self._show_basket()
        await self._show_receipt(answer)

    async def _tender(self, kind: str, question: str) -> bool:
        """Ask for one payment; whether the basket is paid with it."""
        basket, due_minor = self._basket, self._basket.due_minor
        due = self.money(due_minor)
        typed = await self.ask(f"{question} (due {due})", answer=due)
        if not typed:
            return False
        amount = read_decimal(typed, self.exponent, "amount")
        if kind != "cash" and amount > due_minor:
            raise NotUnderstood("Only cash gives change: the amount is more than what is due.")
        if kind == "cash":
            checked_cash(amount, due_minor, self.exponent)
        if kind == "cash" and amount == due_minor and not basket.tenders and not basket.points:
            return True  # the till itself knows what exact cash is, with tax on top and rounded to coins
        reference = (await self.ask("Number of the voucher") or "") if kind == "voucher" else ""
        if amount:
            basket.tenders.append((kind, amount, reference))
            self._show_basket()
        coins_minor = round_to_step(due_minor, int(self.status.get("cash_step_minor", 1)))
        if not basket.due_minor or (kind == "cash" and amount >= coins_minor):
            return True
        self.say(f"{self.money(basket.due_minor)} is still due.")
        return False

    async def _show_receipt(self, answer: Message) -> None:
        receipt: Message = answer["receipt"]
        self._last_number = receipt["number"]
        change = receipt["change_minor"] if receipt["due_minor"] > 0 else 0
        self.say(f"{receipt['number']}" + (f"   change {self.money(change)}" if change else ""))
        await self.poll_status()
        hint = f"Change {self.money(change)}     Enter: next customer" if change else "Enter: next customer"
        await self.push_screen_wait(Shown(answer, hint))

    # --- the menu ---

    @work(group="act")
    async def action_menu(self) -> None:
        chosen = await self.push_screen_wait(Menu("More", MENU))
        acts: dict[str, Callable[[], Awaitable[None]]] = {
            "sign_on": self._sign_on,
            "voucher": lambda: self._pay("voucher", "Amount on the voucher"),
            "refund": self._refund,
            "void": self._void,
            "last": self._show_last,
            "no_sale": lambda: self._drawer("no_sale", ""),
            "paid_in": lambda: self._drawer("paid_in", "Cash paid in"),
            "paid_out": lambda: self._drawer("paid_out", "Cash paid out"),
            "pick_up": lambda: self._drawer("pick_up", "Cash picked up"),
            "x_report": self._x_report,
            "open": self._open_date,
            "close": self._close_date,
            "training": self._toggle_training,
            "quit": self._leave,
        }
        if chosen:
            await self.attempt(acts[chosen])

    async def _sign_on(self) -> None:
        name = await self.ask("Who are you? Your id; empty: sign off", self.cashier)
        if name is None:
            return
        if not name:
            await self.call("sign_off")
            self.cashier = ""
        else:
            pin = await self.ask(f"PIN of {name}", hidden=True)
            if not pin:
                return
            self.cashier = (await self.call("sign_on", cashier=name, pin=pin))["cashier"]
        await self.poll_status()
        self.say(f"{self.cashier} has signed on." if self.cashier else "Nobody is signed on.")

    async def _refund(self) -> None:
        number = await self.ask("Refund: number of the receipt", answer=self._last_number)
        if not number:
            return
        receipt = (await self.call("receipt", number=number))["receipt"]
        lines = ", ".join(f"{line['number']} {line['name']}" for line in receipt["lines"][:8])
        typed = await self.ask("Which lines? Numbers, or empty for all", lines)
        if typed is None:
            return
        wanted = [{"line": read_decimal(part, 0, "line")} for part in typed.replace(",", " ").split()]
        reason = await self.ask("Why does it come back?")
        if reason is not None:
            await self._show_receipt(await self.call("refund", number=number, lines=wanted, reason=reason))

    async def _void(self) -> None:
        number = await self.ask("Void: number of the receipt", answer=self._last_number)
        if number:
            await self._show_receipt(await self.call("void", number=number))

    async def _show_last(self) -> None:
        number = self._last_number or await self.ask("Number of the receipt")
        if number:
            await self.push_screen_wait(Shown(await self.call("receipt", number=number), "Enter: back"))

    async def _drawer(self, act: str, question: str) -> None:
        amount, reason = 0, ""
        if question:
            typed = await self.ask(question)
            if not typed:
                return
            amount = read_decimal(typed, self.exponent, "amount")
            reason = await self.ask("What for?") or ""
        await self._show_receipt(await self.call("drawer", act=act, amount_minor=amount, reason=reason))

    async def _x_report(self) -> None:
        await self.push_screen_wait(Shown(await self.call("x_report"), "Enter: back"))

    async def _open_date(self) -> None:
        date = await self.ask("Begin which business date? Empty: today", "like 2026-11-22")
        if date is None:
            return
        typed = await self.ask("Float: cash in the drawer", answer=self.money(0))
        if typed is None:
            return
        opened = await self.call("open", date=date, float_minor=read_decimal(typed or "0", self.exponent, "amount"))
        await self.poll_status()
        self.say(f"{opened['business_date']} is open.")

    async def _close_date(self) -> None:
        typed = await self.ask("End the date: cash counted in the drawer (empty: not counted)")
        if typed is None:
            return
        fields: Message = {"counted_minor": read_decimal(typed, self.exponent, "amount")} if typed else {}
        report = await self.call("close", **fields)
        await self.poll_status()
        await self.push_screen_wait(Shown(report, "Enter: back"))

    async def _toggle_training(self) -> None:
        self.training = not self.training
        await self.poll_status()
        self.say("Training: nothing counts." if self.training else "Training is over.")

    async def _leave(self) -> None:
        self.exit()


def _unknown_product(number: int) -> Message:
    return {
        "product": number,
        "name": f"#{number}",
        "unit": "",
        "quantity_exponent": 0,
        "unit_price_minor": None,
        "unit_price_exponent": 0,
    }
