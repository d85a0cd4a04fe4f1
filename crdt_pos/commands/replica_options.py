"""The options that every command has which writes a replica's folder."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from crdt_pos.folder import OFFICE_PORT, WAN, Folder, Settings, open_folder, parse_address

_Command = TypeVar("_Command", bound=Callable[..., Any])

FOLDER: Final = click.Path(path_type=Path)


def replica_options(listen: str) -> Callable[[_Command], _Command]:
    """``--at``, ``--listen``, ``--peer``, ``--wan``, ``--no-multicast``, ``--interface``; ``listen`` is the default."""
    options = (
        click.option("--at", "path", type=FOLDER, required=True, help="The new folder of the replica."),
        click.option(
            "--listen", default=listen, show_default=True, help="Where it listens, as HOST:PORT; port 0 is any."
        ),
        click.option(
            "--peer",
            "peers",
            multiple=True,
            metavar="HOST:PORT",
            help="A replica to dial, such as the head office. Repeat.",
        ),
        click.option(
            "--wan", type=click.Choice(WAN), default="live", show_default=True, help="How often summaries leave."
        ),
        click.option("--multicast/--no-multicast", default=True, show_default=True, help="Find each other on the LAN."),
        click.option(
            "--interface", "interfaces", multiple=True, metavar="IP", help="Only these for multicast. Repeat."
        ),
    )

    def add(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def office_option(command: _Command) -> _Command:
    """``--office``."""
    return click.option(
        "--office", type=FOLDER, required=True, help="The folder of the head office that decides this."
    )(command)


def settings_of(
    listen: str, peers: tuple[str, ...], wan: str, multicast: bool, interfaces: tuple[str, ...]
) -> Settings:
    """The settings that the options ask for. Raises ``FolderError``."""
    dialled = tuple(parse_address(peer, OFFICE_PORT) for peer in peers)
    return Settings(parse_address(listen), dialled, wan, multicast, interfaces)


def opened(path: Path) -> Folder:
    """The folder at ``path``. Raises ``FolderError``."""
    return open_folder(path)


def clock_ms() -> int:
    """Wall clock, milliseconds since 1970."""
    return time.time_ns() // 1_000_000
