"""``crdt-pos bench all``: every benchmark of the list one after the other, and ``docs/benchmarks.md`` of what they measured.

The page is made of the files that the benchmarks write themselves, so it says nothing that a command did not print. What takes
too long for a quarter of an hour stands there with its command only.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, cast

from crdt_pos.cli import child_command
from merge_rules.dataclass import dataclass

PAGE: Final = "benchmarks.md"
LIBRARIES: Final = ("cbor2", "cryptography", "lmdb", "pycrdt", "pynacl", "trio", "zeroconf")
Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Part:
    """One benchmark: a chapter of the page."""

    name: str
    title: str
    arguments: tuple[str, ...]
    plot: str = ""
    """The file that it draws beside the page."""
    page: str = ""
    """The page beside this one that it writes itself."""
    place: bool = False
    """Whether it is given a folder of its own to work in."""

    @property
    def command(self) -> str:
        """As a person types it."""
        return " ".join(("crdt-pos", *self.arguments))


ABOUT: Final = (
    "Benchmarks",
    "Written by `make bench` (`crdt-pos bench all --to docs`). Every figure is of the code that runs in shops: signed,",
    "checked, synced. Machines differ; read the ratios.",
)
_HYPERMARKET: Final = (
    *("simulate", "--seed", "1", "--stores", "1", "--tills", "40", "--sales", "300"),
    *("--products", "20000", "--lines", "9", "--on-disk", "4"),
)
PARTS: Final = (
    Part("sizes", "Sizes", ("bench", "sizes")),
    Part("sale", "One sale", ("bench", "sale")),
    Part("till", "One till", ("bench", "till")),
    Part("fleet", "A chain's tills and one head office", ("bench", "fleet", "--repeats", "2"), plot="fleet.svg"),
    Part("sync", "Two logs that differ", ("bench", "sync", "--feeds", "1000,10000"), plot="sync.svg"),
    Part("replay", "A real month", ("replay", "--to", "2017-01-31"), place=True),
)
APART: Final = (Part("year", "A real year", ("replay", "--ask"), page="year.md", place=True),)
"""Run when they are named, each for a page of its own."""
LONG: Final = (
    *APART,
    Part("sync-large", "A million feeds", ("bench", "sync", "--feeds", "1000000")),
    Part(
        "simulate",
        "Ten thousand replicas",
        ("simulate", "--seed", "1", "--stores", "5,15,50,150,500", "--tills", "20", "--sales", "3", "--to", "docs"),
        page="simulate.md",
    ),
    Part(
        "hypermarket",
        "A hypermarket",
        (*_HYPERMARKET, "--to", "docs"),
        page="simulate.md",
    ),
    Part("return", "A head office that comes back to a thousand stores", ("bench", "return")),
)


def report(folder: Path, names: Sequence[str], say: Callable[[str], None]) -> list[str]:
    """Run the parts named, or all that do not stand apart; write the pages and the plots into ``folder``; return the names of
    those that failed."""
    folder.mkdir(parents=True, exist_ok=True)
    chapters: list[str] = []
    failed: list[str] = []
    for part in (*PARTS, *APART):
        if part.name not in (names or [one.name for one in PARTS]):
            continue
        say(f"{part.command} …")
        began_s = time.perf_counter()
        figures, code = _run(part, folder)
        say(f"{part.command}: {time.perf_counter() - began_s:.0f} s")
        if code:
            failed.append(part.name)
        chapter = _chapter(part, figures, code, time.perf_counter() - began_s)
        if part in APART:
            (folder / part.page).write_text(apart(part, chapter))
            continue
        chapters.append(chapter)
        # After each, so that whoever stops it keeps what is done.
        (folder / PAGE).write_text("\n".join((head(*ABOUT), *chapters, _foot())))
    return failed


def apart(part: Part, chapter: str) -> str:
    """The page of a part that stands apart."""
    written = f"Written by `crdt-pos bench all {part.name} --to docs`. Machines differ; read the ratios."
    return "\n".join((head(part.title, written), chapter.partition("\n\n")[2]))


def _run(part: Part, folder: Path) -> tuple[dict[str, Any], int]:
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as place:
        figures = Path(place) / "figures.json"
        command = [*child_command(), *part.arguments, "--json", str(figures)]
        if part.plot:
            command += ["--plot", str(folder / part.plot)]
        if part.place:
            command += ["--at", str(Path(place) / part.name)]
        code = subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode
        return (json.loads(figures.read_text()) if figures.exists() else {}), code


def head(title: str, *about: str) -> str:
    """What a page of figures begins with: what it is, and on which machine and libraries they were measured."""
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return "\n".join(
        (
            f"# {title}",
            "",
            *about,
            "",
            f"Machine: {platform.system()} {platform.machine()}, {os.cpu_count()} cores ({_processor()}).",
            f"Python {platform.python_version()}; {libraries}.",
            "",
        )
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "unknown")


def _chapter(part: Part, figures: Mapping[str, Any], code: int, seconds: float) -> str:
    lines = [f"## {part.title}", "", f"`{part.command}`, {seconds:.0f} s", ""]
    if code:
        lines += [
            f"**It ended with exit code {code}: something that it proves did not hold, or it could not run.**",
            "",
        ]
    for name, value in figures.items():
        if name in ("machine", "cores", "python"):
            continue
        lines += shown(name, value)
    if part.plot:
        lines += [f"![{part.title}]({part.plot})", ""]
    return "\n".join(lines)


def shown(name: str, value: object) -> list[str]:
    """Rows, named figures or one figure, as Markdown."""
    plain = _cell(value)
    rows = cast("list[object]", value) if isinstance(value, list) else []
    if rows and all(isinstance(row, dict) for row in rows):
        return [f"**{name}**", "", *_table(cast("list[Row]", rows)), ""]
    named = cast("dict[str, object]", value) if isinstance(value, dict) else {}
    if named:
        return [f"**{name}**", "", *_table([{"what": key, "figure": one} for key, one in named.items()]), ""]
    return [f"{name}: {plain}", ""]


def _table(rows: Sequence[Row]) -> list[str]:
    headings = list(dict.fromkeys(heading for row in rows for heading in row))
    lines = ["| " + " | ".join(headings) + " |", "|" + "---|" * len(headings)]
    return [*lines, *("| " + " | ".join(_cell(row.get(heading, "")) for heading in headings) + " |" for row in rows)]


def _cell(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value).replace("|", "\\|").replace("\n", " ")


def _foot() -> str:
    lines = ["## What takes longer", ""]
    lines += [
        f"- {part.title}: `{part.command}`" + (f", [what it measured]({part.page})" if part.page else "")
        for part in LONG
    ]
    return "\n".join((*lines, ""))
