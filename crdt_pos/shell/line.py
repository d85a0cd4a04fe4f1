"""A line of the shell, taken apart: the command, its arguments by name, and how the answer is to be shown. Pure."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Mapping

from crdt_pos.cli import Refused
from crdt_pos.columns import listing
from crdt_pos.shell.command import ALL, JSON, Command, Option
from merge_rules.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """What was typed."""

    command: Command
    given: Mapping[str, str | bool | tuple[str, ...]]
    """The arguments of its answer by name; those that were left out are not there."""
    as_json: bool = False
    everything: bool = False


def parse(text: str, commands: Mapping[str, Command]) -> Line | None:
    """Take a line apart; ``None`` for an empty one. Raises ``Refused``: what is wrong, and how it is written."""
    try:
        words = shlex.split(text, comments=True)
    except ValueError as error:
        raise Refused(f"A quotation mark is not closed in: {text}") from error
    if not words:
        return None
    command = find(words[0], commands)
    return _taken_apart(command, words[1:])


def find(name: str, commands: Mapping[str, Command]) -> Command:
    """The command of a name. Raises ``Refused``."""
    command = commands.get(name)
    if command is None:
        near = difflib.get_close_matches(name, commands, 3)
        meant = f"Did you mean {listing(near).replace(' and ', ' or ')}?" if near else "'help' lists the commands."
        raise Refused(f"There is no command '{name}'. {meant}")
    return command


def _taken_apart(command: Command, words: list[str]) -> Line:
    options = {f"--{one.name}": one for one in (*command.options, ALL, JSON)}
    given: dict[str, str | bool | tuple[str, ...]] = {}
    plain: list[str] = []
    left = list(words)
    while left:
        word = left.pop(0)
        name, equals, value = word.partition("=")
        option = options.get(name)
        if option is None and word.startswith("--") and len(word) > 2:
            raise _refused(command, f"'{command.name}' has no option {name}.")
        if option is None:
            plain.append(word)
        else:
            given[option.key] = _value(command, option, value if equals else None, left)
    as_json, everything = bool(given.pop(JSON.key, False)), bool(given.get(ALL.key, False))
    if ALL not in command.options:
        given.pop(ALL.key, None)
    given |= _named(command, plain)
    return Line(command, given, as_json, everything)


def _value(command: Command, option: Option, value: str | None, left: list[str]) -> str | bool:
    if not option.takes:
        if value is not None:
            raise _refused(command, f"--{option.name} takes no value.")
        return True
    if value is None and not left:
        raise _refused(command, f"--{option.name} needs {option.takes}.")
    return left.pop(0) if value is None else value


def _named(command: Command, words: list[str]) -> dict[str, str | bool | tuple[str, ...]]:
    given: dict[str, str | bool | tuple[str, ...]] = {}
    left = list(words)
    for argument in command.arguments:
        if argument.many:
            given[argument.name], left = tuple(left), []
        elif left:
            given[argument.name] = left.pop(0)
        elif not argument.optional:
            raise _refused(command, f"'{command.name}' needs {argument.text}.")
    if left:
        raise _refused(command, f"'{command.name}' does not know what to do with '{left[0]}'.")
    return given


def _refused(command: Command, why: str) -> Refused:
    return Refused(f"{why} It is written: {command.usage}; for example: {command.example}")
