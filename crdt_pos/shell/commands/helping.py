"""``help``: what there is to ask, with an example of each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from crdt_pos.page import Page
from crdt_pos.shell import colours
from crdt_pos.shell.command import Argument, Command, Completes
from crdt_pos.shell.line import find
from crdt_pos.shell.replica import Replica


def answer(_replica: Replica, command: str = "") -> dict[str, Any]:
    """One command, or all of them by section."""
    from crdt_pos.shell.table import COMMANDS, SECTIONS

    if command:
        return {"command": _row(find(command, COMMANDS))}
    return {"sections": {title: [_row(one) for one in section] for title, section in SECTIONS.items()}}


def _row(command: Command) -> dict[str, Any]:
    return {
        "name": command.name,
        "usage": command.usage,
        "says": command.says,
        "example": command.example,
        "arguments": {one.text: one.says for one in command.words},
    }


def lines(page: Page, answered: dict[str, Any]) -> Iterator[str]:
    """What a person reads."""
    if "command" in answered:
        one = answered["command"]
        yield colours.title(one["usage"])
        yield from _wrapped(one["says"], page.width)
        for text, says in one["arguments"].items():
            yield from _wrapped(f"{text}  {says}", page.width)
        yield f"  example  {one['example']}"
        yield "  --all shows every row; --json prints it for programs."
        return
    for title, rows in answered["sections"].items():
        yield colours.title(title)
        for one in rows:
            yield f"  {one['usage']}"
            yield from _wrapped(one["says"], page.width, "      ")
    yield colours.title("Colours")
    yield from colours.legend()
    yield "Every command takes --all and --json. 'help explain' shows one with an example; Tab completes; Ctrl-D leaves."


def _wrapped(text: str, width: int, indent: str = "  ") -> list[str]:
    return click.wrap_text(text, width, initial_indent=indent, subsequent_indent=indent + "  ").splitlines()


COMMAND = Command(
    "help",
    "What can be asked, with an example of each.",
    "help explain",
    answer,
    lines,
    (Argument("command", "One command.", Completes.COMMAND, optional=True),),
)
