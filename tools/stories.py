"""Stories for whoever looks after the shops: ``crdt-pos stories`` makes each fault for real, and has the shell find it.

Writes a page for each into docs/stories, of the commands as they were run and what they printed.
"""

from __future__ import annotations

import logging
import os
import re
import tempfile
from pathlib import Path
from typing import Final

import click
from click.testing import CliRunner

from crdt_pos.cli import Refused, crdt_pos
from crdt_pos.progress import Bar
from merge_rules.dataclass import dataclass
from tools.story_faults import STORIES, Story
from tools.story_shop import StoryShop

COLUMNS: Final = 110
COMMANDS_MAX: Final = 3
ROWS_MAX: Final = 36
"""An answer is shown up to here."""


@dataclass(frozen=True, slots=True)
class Told:
    """A story, and what the shell said."""

    story: Story
    seen: str
    answers: tuple[tuple[str, str], ...]
    """Each command as it would be typed, and what it printed."""

    @property
    def missing(self) -> list[str]:
        """What of the cause no answer says."""
        said = " ".join(text for _, text in self.answers)
        said = " ".join(said.split())
        return [one for one in self.story.cause if not re.search(one, said)]


def tell(story: Story, at: Path) -> Told:
    """Make the fault in the new folder ``at``, and ask the shell."""
    assert len(story.commands) <= COMMANDS_MAX
    at.mkdir(parents=True)
    shop = StoryShop(at, *story.tills)
    seen = story.fault(shop)
    answers: list[tuple[str, str]] = []
    for folder, line in story.commands:
        line = line.format(date=shop.date.isoformat())
        run = line.replace("../", f"{at}{os.sep}")
        asked = CliRunner(env={"COLUMNS": str(COLUMNS)}).invoke(
            crdt_pos, ["shell", "--at", str(at / folder), "-c", run]
        )
        if asked.exception is not None and not isinstance(asked.exception, SystemExit):
            raise asked.exception
        typed = f"crdt-pos shell --at {folder} -c '{line.replace('../', '')}'"
        answers.append((typed, asked.output.replace(f"{at}{os.sep}", "").rstrip()))
    return Told(story, seen, tuple(answers))


def page(told: Told) -> str:
    """In Markdown."""
    story = told.story
    lines = [f"# {story.title}", "", f"> {story.call}", "", f"What was done: {story.happened}", ""]
    if told.seen:
        lines += ["The till said:", "", f"> {told.seen}", ""]
    for typed, said in told.answers:
        rows = said.splitlines()
        more = [f"… {len(rows) - ROWS_MAX} more lines"] if len(rows) > ROWS_MAX else []
        lines += ["```console", f"$ {typed}", *rows[:ROWS_MAX], *more, "```", ""]
    lines += [f"**The cause.** {story.answer}", "", "Written by `crdt-pos stories`, from what was printed.", ""]
    return "\n".join(lines)


def index() -> str:
    """The page that names them all."""
    rows = [f"| [{story.title}]({story.name}.md) | {story.call} | {len(story.commands)} |" for story in STORIES]
    head = [
        "# Stories",
        "",
        "Faults as shops tell them, and what `crdt-pos shell` says of each ([its commands](../shell.md)). Each is made for",
        "real, on disks and over sessions, by `crdt-pos stories`, which writes these pages; `--at DIR` keeps the shops.",
        "",
        "| story | what the shop says | commands to the cause |",
        "|---|---|---|",
    ]
    return "\n".join([*head, *rows, ""])


@click.command()
@click.argument("names", nargs=-1)
@click.option(
    "--to",
    "folder",
    default=Path("docs/stories"),
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the pages go.",
)
@click.option(
    "--at", "at", type=click.Path(path_type=Path), help="Keep the shops in this new folder, to look into them."
)
def stories(names: tuple[str, ...], folder: Path, at: Path | None) -> None:
    """Make the faults of six stories for real, have the shell find each, and write their pages.

    NAMES: four-cents, clone, clock, points, nobody-counts, enrolled-twice; all, if none is named.
    """
    wanted = [story for story in STORIES if not names or story.name in names]
    unknown = set(names) - {story.name for story in STORIES}
    if unknown:
        raise Refused(f"'{min(unknown)}' is no story: there are {', '.join(story.name for story in STORIES)}.")
    if at is not None and at.exists():
        raise Refused(f"{at} exists already: name a folder that does not.")
    folder.mkdir(parents=True, exist_ok=True)
    logging.getLogger("crdt_pos").addHandler(
        logging.NullHandler()
    )  # what replicas say of a fault is no trouble of ours
    bar = Bar()
    with tempfile.TemporaryDirectory(prefix="crdt-pos-stories-") as passing:
        for number, story in enumerate(wanted):
            bar.show("telling", number, len(wanted))
            told = tell(story, (at or Path(passing)) / story.name)
            if told.missing:
                raise Refused(f"The shell does not find the cause of '{story.name}': nothing says {told.missing[0]}.")
            (folder / f"{story.name}.md").write_text(page(told), "utf-8")
    (folder / "README.md").write_text(index(), "utf-8")
    bar.stop()
    click.echo(f"{len(wanted)} pages in {folder}.")
