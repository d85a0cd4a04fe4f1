"""``crdt-pos join``: a new machine joins with a ticket."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from rich.console import Console
from rich.status import Status

from crdt_pos.cli import Refused
from crdt_pos.columns import plural
from crdt_pos.commands.replica_options import replica_options
from crdt_pos.folder import OFFICE_PORT, Folder, Settings
from crdt_pos.joining_place import ticket_of
from crdt_pos.tickets import TEXT_CHARACTERS_MAX, Ticket
from gossip.address import Address
from peers.permissions import Role

if TYPE_CHECKING:
    from crdt_pos.joining import Progress

WAIT_S: Final = 60
ANYWHERE: Final = Address("", 0)


@click.command(epilog="Example: crdt-pos join CRDTPOS-QACVA… --at till-12-3")
@click.argument("ticket", required=False)
@click.option("--request", type=click.Path(path_type=Path), help="No network: write the request for the office here.")
@click.option("--certificate", type=click.Path(path_type=Path), help="No network: the file that the office has made.")
@click.option(
    "--wait",
    type=click.IntRange(1, 86_400),
    default=WAIT_S,
    show_default=True,
    help="Seconds to look for somebody who lets this machine in, and, for a head office, to wait for the root key.",
)
@replica_options(":0")
def join(
    ticket: str | None, request: Path | None, certificate: Path | None, wait: int, path: Path, settings: Settings
) -> None:
    """Join a company with TICKET, which a head office has made with 'crdt-pos invite'; - reads it from the standard input.

    Makes the key of this machine, which never leaves it, asks the head office to be let in (itself, or through any replica of the
    company that is found on this network or named with --peer), takes in roster, catalogue and prices, and is ready to run.
    If it is interrupted, repeat the command: it goes on.

    Without a network: join TICKET --request FILE; 'crdt-pos admit FILE' at the office; join --certificate FILE.
    """
    from crdt_pos import joining

    if certificate is not None:
        if ticket is not None or request is not None:
            raise click.UsageError("--certificate goes on with what was begun: leave TICKET and --request out.")
        known = ticket_of(path)
        _say_ready(joining.join_by_file(_read(certificate), path, _settings(settings, known)))
        return
    if ticket is None:
        raise click.UsageError("Say which TICKET, or --certificate FILE.")
    said = Ticket.parse(sys.stdin.read(TEXT_CHARACTERS_MAX + 1) if ticket == "-" else ticket)
    if request is not None:
        _write(request, joining.request_file(said, path))
        click.echo(f"Made a key, and the request for {said.name} in {request}. Carry that to the head office.")
        click.echo(f"Next, there: crdt-pos admit {request.name} --at DIR --out FILE")
        return
    shown = _Shown()
    try:
        folder = joining.join(joining.Wanted(said, path, _settings(settings, said), float(wait)), shown.show)
    finally:
        shown.stop()
    _say_ready(folder)


def _settings(settings: Settings, ticket: Ticket) -> Settings:
    """A till may listen anywhere; others are dialled where they were last, so they keep to one port."""
    is_till = ticket.name[:1].isdigit()
    return settings if is_till or settings.listen != ANYWHERE else replace(settings, listen=Address("", OFFICE_PORT))


def _say_ready(folder: Folder) -> None:
    own = folder.certificate
    click.echo(f"{own.name}, life {own.incarnation}, has joined {folder.root.name}, in {folder.path}.")
    click.echo(f"Next: crdt-pos {own.role} run --at {folder.path}")
    if own.role is Role.TILL:
        click.echo(f"Then, in another terminal: crdt-pos sell --at {folder.path}")


class _Shown:
    """One line about what goes on, and on a terminal one that moves."""

    def __init__(self) -> None:
        self._status: Status | None = None
        self._said = ""

    def show(self, progress: Progress) -> None:
        said = progress.step.value
        if progress.entries:
            said += f": {plural(progress.entries, 'entry', 'entries')}"
        if progress.trouble:
            said += f" ({progress.trouble})"
        if not sys.stderr.isatty():
            if progress.step.value != self._said:
                click.echo(f"{progress.step.value} …", err=True)
            self._said = progress.step.value
            return
        if self._status is None:
            self._status = Console(stderr=True).status(said)
            self._status.start()
        self._status.update(said)

    def stop(self) -> None:
        if self._status is not None:
            self._status.stop()


def _read(path: Path) -> bytes:
    from crdt_pos.joining import FILE_BYTES_MAX

    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}.") from error
    if len(content) > FILE_BYTES_MAX:
        raise Refused(f"{path} is no certificate's file: it is too large.")
    return content


def _write(path: Path, content: bytes) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    except FileExistsError as error:
        raise Refused(f"{path} is there already: choose another name.") from error
    except OSError as error:
        raise Refused(f"{path} cannot be written: {error.strerror}.") from error
