"""The options that every command has which writes a replica's folder."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from crdt_pos.folder import OFFICE_PORT, VAULT_EVERY_S_MAX, WAN, Settings, parse_address

_Command = TypeVar("_Command", bound=Callable[..., Any])

FOLDER: Final = click.Path(path_type=Path)


def replica_options(listen: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """``--at``, which the command takes as ``path``; and ``--listen`` (by default ``listen``), ``--peer``, ``--wan``,
    ``--no-multicast``, ``--interface`` and ``--vault-every``, which it takes together as ``settings``.

    The command raises ``FolderError`` for what is no address.
    """
    options = (
        click.option("--at", "path", type=FOLDER, required=True, help="The new folder in which it will live."),
        click.option(
            "--listen",
            default=listen,
            show_default=True,
            help="Where others reach it, as HOST:PORT. Without HOST: on every network; port 0: any that is free.",
        ),
        click.option(
            "--peer",
            "peers",
            multiple=True,
            metavar="HOST:PORT",
            help="Where to reach the head office, or another that it does not find by itself; may be repeated.",
        ),
        click.option(
            "--wan",
            type=click.Choice(WAN),
            default="live",
            show_default=True,
            help="When a till tells its totals: live, within a minute of a sale; daily, in the morning and at the close.",
        ),
        click.option(
            "--multicast/--no-multicast",
            default=True,
            show_default=True,
            help="Find each other on the shop's own network.",
        ),
        click.option(
            "--interface",
            "interfaces",
            multiple=True,
            metavar="IP",
            help="Find each other through this network address of the machine only; may be repeated.",
        ),
        click.option(
            "--vault-every",
            type=click.IntRange(1, VAULT_EVERY_S_MAX),
            metavar="SECONDS",
            help="How old a till's receipt may become before it is sealed for other stores to keep: that much is lost if the "
            "whole store burns. By default a minute; with --wan daily until the next totals are told.",
        ),
    )

    def add(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def with_settings(
            *,
            listen: str,
            peers: tuple[str, ...],
            wan: str,
            multicast: bool,
            interfaces: tuple[str, ...],
            vault_every: int | None,
            **rest: Any,
        ) -> None:
            dialled = tuple(parse_address(peer, OFFICE_PORT) for peer in peers)
            command(settings=Settings(parse_address(listen), dialled, wan, multicast, interfaces, vault_every), **rest)

        decorated: Callable[..., None] = with_settings
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return add


def office_option(command: _Command) -> _Command:
    """``--office``."""
    return click.option(
        "--office",
        type=FOLDER,
        required=True,
        help="The folder of the head office; it may run meanwhile.",
    )(command)
