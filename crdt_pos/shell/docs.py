"""docs/shell.md, written from the table of commands, so that it says what the shell does. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from crdt_pos.shell import colours
from crdt_pos.shell.command import Command
from crdt_pos.shell.table import SECTIONS

_HEAD = """# The debug shell

`crdt-pos shell` looks into a replica and changes nothing: why is this value so, which entry is missing, who holds what, and what
proves it. This page is written by `crdt-pos shell --write-docs docs/shell.md`.

| | |
|---|---|
| `crdt-pos shell --at DIR` | a replica's folder, while the replica runs or when it is dead |
| `crdt-pos shell --at DIR --attach` | the running replica, too, for what is not on the disk: sessions, queues |
| `crdt-pos shell --at DIR --peer HOST:PORT` | another replica, from outside, with the certificate of `DIR` |
| `-c COMMAND` | runs one command and leaves; may be repeated. `--json` prints what a program reads |

`--attach` speaks to the replica over its local socket, so it is for the folder's owner. `--peer` opens a session in the name
of `DIR`, whose own replica must not run meanwhile, and takes what its certificate may read into memory. It acknowledges
nothing, so that nobody takes it for a copy that is safe.

Exit codes: 0 answered; 1 a command found that something is wrong; 2 it could not be answered, and one sentence says why. Lines
are remembered in `$XDG_STATE_HOME/crdt-pos/shell-history`, for their owner only.

From Python the same commands return plain data (dicts, lists, text, integers), as `--json` prints it:

```python
from crdt_pos.shell import open_replica

with open_replica("till-12-1") as replica:  # attach=True asks the running replica, too
    for part in replica.explain("day/12/2026-11-22")["parts"]:
        print(part["author"], part["heads"][0]["signature"])
```

A command is a method of its name, with `_` for `-`; options are keywords. Colours mean something:
"""


def page() -> str:
    """The whole page."""
    return (
        "\n".join(
            [_HEAD.rstrip(), "", *_colours(), "", *(line for title in SECTIONS for line in _section(title)), ""]
        ).rstrip()
        + "\n"
    )


def _colours() -> Iterator[str]:
    for colour, says in colours.LEGEND:
        yield f"- {colour}: {says}"


def _section(title: str) -> Iterator[str]:
    yield f"## {title}"
    yield ""
    yield "| command | answers | for example |"
    yield "|---|---|---|"
    for command in SECTIONS[title]:
        yield f"| `{command.usage}` | {_says(command)} | `{command.example}` |"
    yield ""


def _says(command: Command) -> str:
    parts = [
        command.says,
        *(f"`{one.text}`: {one.says}" for one in command.words if one.name != "all"),
    ]
    return " ".join(parts).replace("|", "\\|")
