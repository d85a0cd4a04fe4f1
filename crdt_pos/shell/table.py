"""The commands of the shell: one row for each, in the order of the help."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Final

from crdt_pos.cli import joined_to_shell
from crdt_pos.shell.command import Command
from crdt_pos.shell.commands import (
    at,
    claims,
    diff,
    documents,
    entries,
    entry,
    explain,
    forks,
    helping,
    history,
    member,
    merge,
    peers,
    python,
    quarantine,
    receipts,
    sale,
    scopes,
    sessions,
    show,
    status,
    stock,
    takings,
    topology,
    trace,
    verify,
    why,
)


def _joined() -> tuple[Command, ...]:
    """Commands of the layers above, which join by an entry point."""
    places = (place.split(":") for _, place in sorted(joined_to_shell().items()))
    return tuple(getattr(import_module(module), name) for module, name in places)


SECTIONS: Final[Mapping[str, tuple[Command, ...]]] = {
    "Who am I, and whom do I see": (
        status.COMMAND,
        peers.COMMAND,
        scopes.COMMAND,
        sessions.COMMAND,
        topology.COMMAND,
        trace.COMMAND,
    ),
    "What is here, and why": (documents.COMMAND, show.COMMAND, explain.COMMAND, history.COMMAND, at.COMMAND),
    "Entries and their proof": (
        entries.COMMAND,
        entry.COMMAND,
        verify.COMMAND,
        forks.COMMAND,
        quarantine.COMMAND,
        why.COMMAND,
    ),
    "Compared": (diff.COMMAND, merge.COMMAND),
    "Sales, members and goods": (
        member.COMMAND,
        sale.COMMAND,
        receipts.COMMAND,
        takings.COMMAND,
        stock.COMMAND,
        claims.COMMAND,
    ),
    "Simulations": _joined(),
    "The shell": (helping.COMMAND, python.COMMAND),
}
"""A command stands in one of them."""

COMMANDS: Final[Mapping[str, Command]] = {command.name: command for section in SECTIONS.values() for command in section}
