"""The table of commands: what it promises holds for every row."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from crdt_pos.cli import Refused
from crdt_pos.shell import line
from crdt_pos.shell.command import Command
from crdt_pos.shell.docs import page
from crdt_pos.shell.table import COMMANDS, SECTIONS

EVERY = pytest.mark.parametrize("command", COMMANDS.values(), ids=lambda one: one.name)


def test_every_command_stands_once() -> None:
    assert len(COMMANDS) == sum(map(len, SECTIONS.values()))


@EVERY
def test_an_example_is_a_line_that_can_be_typed(command: Command) -> None:
    parsed = line.parse(command.example, COMMANDS)
    assert parsed is not None
    assert parsed.command is command


@EVERY
def test_what_is_said_of_a_command_is_what_its_answer_takes(command: Command) -> None:
    taken = list(inspect.signature(command.answer).parameters)[1:]
    assert taken == [*(one.name for one in command.arguments), *(one.key for one in command.options)]


def test_the_page_of_the_documentation_is_written_from_the_table() -> None:
    written = Path(__file__).parents[2] / "docs" / "shell.md"
    assert written.read_text("utf-8") == page(), "run: crdt-pos shell --write-docs docs/shell.md"


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("explian day/12/2026-11-20", "Did you mean explain?"),
        ("xyzzy", "'help' lists the commands"),
        ("explain", "'explain' needs DOCUMENT"),
        ("explain a b c", "does not know what to do with 'c'"),
        ("explain a --rwa", "has no option --rwa"),
        ("entry abcd --cose", "--cose needs FILE"),
        ("show a --raw=yes", "--raw takes no value"),
        ("show 'a", "A quotation mark is not closed"),
    ],
)
def test_a_line_that_is_wrong_is_refused_in_a_sentence_that_says_what_to_do(typed: str, why: str) -> None:
    with pytest.raises(Refused, match=re.escape(why)):
        line.parse(typed, COMMANDS)


def test_an_option_stands_anywhere_and_takes_its_value_either_way() -> None:
    for typed in ("entry --cose=a.cose abcd --json", "entry abcd --json --cose a.cose"):
        parsed = line.parse(typed, COMMANDS)
        assert parsed is not None
        assert parsed.given == {"hash": "abcd", "cose": "a.cose"}
        assert parsed.as_json


def test_an_empty_line_and_a_comment_are_nothing() -> None:
    assert line.parse("  ", COMMANDS) is None
    assert line.parse("# later", COMMANDS) is None
