"""The small screens over the till: a question, the menu, a receipt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.events import Key
from textual.screen import ModalScreen
from textual.widgets import Input, Label, OptionList, Static
from textual.widgets.option_list import Option

from crdt_pos.local import Message
from crdt_pos.qr_code import qr_text


class Ask(ModalScreen[str | None]):
    """One question; the answer as typed, or ``None`` after Esc."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape", "dismiss", "Back")]
    DEFAULT_CSS = """
    Ask { align: center middle; }
    Ask > Vertical { width: 60; height: auto; border: round $primary; padding: 1 2; background: $surface; }
    Ask Label { width: 100%; }
    Ask Input { margin: 1 0 0 0; }
    Ask .hint { color: $text-muted; }
    """

    def __init__(self, question: str, hint: str = "", answer: str = "", *, hidden: bool = False) -> None:
        """``hidden``: what is typed is not shown."""
        super().__init__()
        self._question, self._hint, self._answer, self._hidden = question, hint, answer, hidden

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Label(self._question, markup=False)
            yield Input(self._answer, select_on_focus=True, password=self._hidden)
            yield Label(self._hint or "Enter: go on     Esc: back", classes="hint", markup=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.dismiss(event.value.strip())


class Menu(ModalScreen[str | None]):
    """What is done less often; each entry has a letter. The id of the one chosen, or ``None``."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape", "dismiss", "Back")]
    DEFAULT_CSS = """
    Menu { align: center middle; }
    Menu > OptionList { width: 52; height: auto; max-height: 90%; border: round $primary; padding: 1 2; }
    """

    def __init__(self, title: str, entries: Sequence[tuple[str, str, str]]) -> None:
        """``entries``: letter, id, words."""
        super().__init__()
        self._title, self._entries = title, entries

    def compose(self) -> ComposeResult:
        options = [Option(f"[b]{letter.upper()}[/b]  {words}", id=name) for letter, name, words in self._entries]
        listed = OptionList(*options)
        listed.border_title = self._title
        yield listed

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss(event.option_id)

    def on_key(self, event: Key) -> None:
        for letter, name, _ in self._entries:
            if event.character and event.character.lower() == letter:
                event.stop()
                self.dismiss(name)


class Shown(ModalScreen[None]):
    """A receipt or a report, with its QR code where there is one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape", "dismiss", "Next customer"),
        ("enter", "dismiss", "Next customer"),
    ]
    DEFAULT_CSS = """
    Shown { align: center middle; }
    Shown > VerticalScroll { width: auto; max-width: 100%; height: auto; max-height: 100%; border: round $success;
                             background: $surface; padding: 0 1; }
    Shown Horizontal { width: auto; height: auto; }
    Shown #paper { width: 42; height: auto; }
    Shown #qr { width: auto; height: auto; color: black; background: white; margin: 0 0 0 1; }
    Shown #hint { width: auto; color: $text-muted; margin: 1 0 0 0; }
    """

    def __init__(self, answer: Message, hint: str) -> None:
        super().__init__()
        self._text = str(answer["text"])
        self._qr = str(answer.get("qr", ""))
        self._hint = hint

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            with Horizontal():
                yield Static(self._text, id="paper", markup=False)
                if self._qr:
                    yield Static(qr_text(self._qr), id="qr", markup=False)
            yield Static(self._hint, id="hint", markup=False)
