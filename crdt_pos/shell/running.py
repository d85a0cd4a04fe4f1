"""Running one line of the shell: the answer, as a person or a program reads it, and an exit code."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final

import click

from crdt_pos.cli import EXIT_REFUSED, sentence
from crdt_pos.page import Page
from crdt_pos.progress import Bar
from crdt_pos.shell import colours
from crdt_pos.shell.command import data
from crdt_pos.shell.line import parse
from crdt_pos.shell.replica import Replica
from crdt_pos.shell.table import COMMANDS
from merge_rules.dataclass import dataclass

EXIT_TROUBLE: Final = 1


def width() -> int:
    """Columns of the screen."""
    return shutil.get_terminal_size().columns


@dataclass(frozen=True, slots=True)
class Screen:
    """Where answers go."""

    as_json: bool = False
    paged: bool = False
    """Whether long answers are shown page by page."""
    say: Callable[[str], None] = click.echo
    complain: Callable[[str], None] = lambda text: click.echo(text, err=True)


def run(replica: Replica, text: str, screen: Screen | None = None) -> int:
    """Run a line: 0, 1 if it found trouble, 2 if it cannot be answered, which is said in one sentence.

    What is a mistake of ours is raised.
    """
    screen = screen or Screen()
    bar = Bar()
    try:
        line = parse(text, COMMANDS)
        if line is None:
            return 0
        replica.progress = bar.show
        with replica.reading():
            answer = line.command.answer(replica, **line.given)
            bar.stop()
            if line.as_json or screen.as_json:
                screen.say(json.dumps(data(answer), indent=2, ensure_ascii=False))
            else:
                page = Page(replica.looked, replica.reader, width(), line.everything)
                _show(line.command.lines(page, answer), screen)
        return EXIT_TROUBLE if line.command.trouble(answer) else 0
    except Exception as error:
        known = sentence(error)
        if not known:
            raise
        bar.stop()
        screen.complain(colours.broken(known))
        return EXIT_REFUSED
    finally:
        bar.stop()


def _show(lines: Iterable[str], screen: Screen) -> None:
    if not screen.paged:
        for line in lines:
            screen.say(line)
        return
    left = iter(lines)
    first = list(islice(left, shutil.get_terminal_size().lines - 1))
    rest = next(left, None)
    if rest is None:
        for line in first:
            screen.say(line)
        return

    def every() -> Iterator[str]:
        for line in (*first, rest, *left):
            yield f"{line}\n"

    click.echo_via_pager(every())
