"""What the screen shows of the replica beside it: the connection, the lamps, and every refusal as a sentence."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from textual.app import App, ComposeResult
from textual.containers import Horizontal
from textual.screen import Screen
from textual.widgets import Static

from crdt_pos.clock import system_ms
from crdt_pos.counter_basket import NotUnderstood
from crdt_pos.counter_dialogs import Ask
from crdt_pos.local import ConnectionLost, LocalRefused, Message, NotRunning
from crdt_pos.local_async import AsyncLocalClient
from crdt_pos.money import decimal_text
from crdt_pos.outside_text import outside_lamp

STATUS_EVERY_S: Final = 1.0


class Bar(Horizontal):
    """Which till this is, and the lamps: safe here, safe elsewhere, and how far outside of the store."""

    DEFAULT_CSS = """
    Bar { height: 1; background: $primary; color: $text; }
    Bar Static { width: auto; padding: 0 1; }
    Bar #where { width: 1fr; }
    Bar .safe { background: $success; color: $text; }
    Bar .soon { background: $warning; color: $text; }
    Bar .unsafe { background: $error; color: $text; }
    """

    def compose(self) -> ComposeResult:
        yield Static("", id="where", markup=False)
        yield Static("", id="here", markup=False)
        yield Static("", id="elsewhere", markup=False)
        yield Static("", id="outside", markup=False)


class LinkedScreen(App[None]):
    """An application beside a running replica. Its screen has a ``Bar`` and a ``Static`` called ``message``."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.status: Message = {}
        """The replica's last answer to ``status``; empty before the first."""
        self.training = False
        self.cashier = ""
        """Who has signed on at this screen."""
        self._client: AsyncLocalClient | None = None
        self._connecting = asyncio.Lock()

    async def link(self) -> None:
        """Ask for the status, now and every second."""
        await self.poll_status()
        self.set_interval(STATUS_EVERY_S, self.poll_status)

    @property
    def gone(self) -> bool:
        """Whether the screen was taken down while the replica answered."""
        return not self.query("#message")

    @property
    def exponent(self) -> int:
        """Decimals of the till's currency."""
        return int(self.status.get("exponent", 2))

    def money(self, amount_minor: int) -> str:
        """An amount as people write it: ``12.50``."""
        return decimal_text(amount_minor, self.exponent)

    def say(self, sentence: str, *, wrong: bool = False) -> None:
        """Show one sentence until the next."""
        if not self.gone:
            message = self.query_one("#message", Static)
            message.set_class(wrong, "wrong")
            message.update(sentence)

    async def call(self, do: str, /, **fields: object) -> Message:
        """One request to the replica, connecting first if need be. Raises what ``AsyncLocalClient`` raises."""
        async with self._connecting:
            if self._client is None:
                self._client = await AsyncLocalClient.connect(self.folder)
            client = self._client
        try:
            return await client.call(do, **fields)
        except ConnectionLost:
            if self._client is client:
                self._client = None
            await client.close()
            raise

    async def poll_status(self) -> None:
        """Ask for the status once, and show it."""
        try:
            self.status = await self.call("status")
        except (NotRunning, ConnectionLost, OSError):
            self.show_lamps(None)
            self.say(f"The replica has stopped. Start it with: crdt-pos till run --at {self.folder}", wrong=True)
            return
        except LocalRefused as no:
            self.say(no.message, wrong=True)
            return
        self.show_lamps(self.status)

    def show_lamps(self, status: Message | None) -> None:
        """Light the lamps; ``None``: the replica does not answer."""
        if self.gone:
            return
        where, here, elsewhere = (self.query_one(name, Static) for name in ("#where", "#here", "#elsewhere"))
        if status is None:
            _light(here, "unsafe", "✗ replica stopped")
            _light(elsewhere, "soon", "○ safe elsewhere: unknown")
            return
        if here.has_class("unsafe"):
            self.say("The replica is back.")
        date = status["business_date"] or "no date is open"
        training = "  TRAINING" if self.training else ""
        where.update(f"Till {status['replica']}   {status['legal_entity']}   {date}{training}   {self.cashier}".strip())
        _light(here, "safe", "● safe here")
        copies, waiting = status["safe"]["elsewhere"], status["safe"]["waiting"]
        if waiting:
            _light(elsewhere, "soon", f"◐ {waiting} not elsewhere yet")
        elif copies:
            _light(elsewhere, "safe", f"● safe elsewhere: {copies}")
        else:
            _light(elsewhere, "soon", "○ no other replica yet")
        told = status.get("outside")
        if told is not None:
            lamp = outside_lamp(told["until_ms"], told["waiting"], told["vault_every_s"], system_ms())
            _light(self.query_one("#outside", Static), *lamp)

    async def attempt(self, act: Callable[[], Awaitable[None]]) -> None:
        """Run one act of the cashier; whatever goes wrong becomes a sentence, and the basket stays."""
        try:
            await act()
        except (LocalRefused, NotRunning, ConnectionLost) as no:
            self.say(no.message, wrong=True)
        except NotUnderstood as typed:
            self.say(str(typed), wrong=True)
        except OSError as error:
            self.say(f"The replica cannot be reached: {error.strerror}.", wrong=True)

    async def ask(self, question: str, hint: str = "", answer: str = "", *, hidden: bool = False) -> str | None:
        """What the cashier answers, or ``None`` after Esc."""
        dialog: Screen[str | None] = Ask(question, hint, answer, hidden=hidden)
        return await self.push_screen_wait(dialog)


def _light(lamp: Static, colour: str, words: str) -> None:
    lamp.set_classes(colour)
    lamp.update(words)
