"""``crdt-pos office rebuild``: the head office is gone, the stores are not."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from rich.console import Console
from rich.status import Status

from crdt_pos.clock import system_ms
from crdt_pos.columns import Column, listing, number, plural, table
from crdt_pos.commands.key_options import KeySource, key_options
from crdt_pos.commands.replica_options import FOLDER, replica_options
from crdt_pos.errors import FolderError
from crdt_pos.folder import OFFICE_PORT, Settings, load_root, parse_address, refuse_used
from crdt_pos.looking import look
from gossip.errors import GossipError
from peers.roster import SealedKey

if TYPE_CHECKING:
    from crdt_pos.rebuilding import Progress, Rebuilt

PROGRESS_AFTER_S: Final = 2.0
WAIT_S: Final = 60
SHOWN: Final = ("roster", "catalogue", "day", "balance")
"""Kinds with a column of their own; store rosters count as roster."""


@click.command(
    "rebuild",
    epilog="Example: crdt-pos office rebuild --kit kit.txt --root till-12-1/root.pem "
    "--from 10.0.12.1:7431 --from 10.0.13.1:7431 --lost office-a --at office-b",
)
@key_options
@click.option(
    "--root",
    type=FOLDER,
    required=True,
    help="The company's root certificate: root.pem in the folder of any replica. A passphrase opens the sealed copy there.",
)
@click.option(
    "--from",
    "sources",
    multiple=True,
    metavar="HOST:PORT",
    help="A till that runs; one of every store is enough. Those that dial the old office's address come by themselves.",
)
@click.option(
    "--lost",
    multiple=True,
    metavar="NAME",
    help="Which head office is gone for good, like office-a: it is ended for ever.",
)
@click.option("--letter", default="", help="The new office's letter, where not every store can be reached.")
@click.option(
    "--wait",
    type=click.IntRange(1, 3600),
    default=WAIT_S,
    show_default=True,
    help="Seconds to wait while nothing comes.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was taken back from whom as JSON.")
@replica_options(f":{OFFICE_PORT}")
def rebuild_office(
    keys: KeySource,
    root: Path,
    sources: tuple[str, ...],
    lost: tuple[str, ...],
    letter: str,
    wait: int,
    as_json: bool,
    path: Path,
    settings: Settings,
) -> None:
    """Rebuild a head office whose folder is gone from the stores alone, as another life with a letter of its own.

    Everything that the tills hold comes back: roster, catalogue, prices, claims, days, balances, variances. The lost office
    takes part no more. Let it listen where the old one did (--listen), since that is where the tills dial.

    \b
    --json prints: office, path, lost, heard, missing (stores), entries,
      taken: from whom, how many entries of each kind
    """
    from crdt_pos import rebuilding

    refuse_used(path)
    company = load_root(root)
    addresses = tuple(parse_address(source) for source in sources)
    key = keys.root_key(company, _sealed_beside(root))
    wanted = rebuilding.Wanted(company, key, path, settings, addresses, letter, lost, float(wait))
    began = time.monotonic()
    shown = _Shown(began, hidden=as_json)
    try:
        rebuilt = rebuilding.rebuild(wanted, system_ms, shown.show)
    finally:
        shown.stop()
    if as_json:
        click.echo(json.dumps(_plain(rebuilt), indent=2))
    else:
        for line in _lines(rebuilt, time.monotonic() - began):
            click.echo(line)


def _sealed_beside(root: Path) -> tuple[SealedKey, ...]:
    """The roster's copies of the keys, where ``root`` stands in a replica's folder; it may run."""
    try:
        with look(root.parent) as looked:
            return looked.directory.sealed_keys
    except (FolderError, GossipError):
        return ()


class _Shown:
    """One line for who waits longer than two seconds."""

    def __init__(self, began: float, *, hidden: bool) -> None:
        self._began = began
        self._hidden = hidden
        self._status: Status | None = None

    def show(self, progress: Progress) -> None:
        if self._hidden or time.monotonic() - self._began < PROGRESS_AFTER_S:
            return
        stores = f"{progress.stores - len(progress.missing)} of {plural(progress.stores, 'store')} heard"
        said = f"{plural(progress.entries, 'entry', 'entries')} taken back; {stores}"
        if progress.missing:
            said += f", waiting for {listing([str(store) for store in progress.missing])}"
        if self._status is None:
            self._status = Console(stderr=True).status(said)
            self._status.start()
        self._status.update(said)

    def stop(self) -> None:
        if self._status is not None:
            self._status.stop()


def _entries(rebuilt: Rebuilt) -> int:
    return sum(sum(kinds.values()) for kinds in rebuilt.taken.values())


def _plain(rebuilt: Rebuilt) -> dict[str, object]:
    return {
        "office": rebuilt.office.certificate.name,
        "path": str(rebuilt.office.path),
        "lost": list(rebuilt.lost),
        "heard": list(rebuilt.heard),
        "missing": list(rebuilt.missing),
        "entries": _entries(rebuilt),
        "taken": rebuilt.taken,
    }


def _lines(rebuilt: Rebuilt, seconds: float) -> Iterator[str]:
    width = shutil.get_terminal_size().columns
    office = rebuilt.office
    gone = f" {listing(rebuilt.lost)} takes part no more." if rebuilt.lost else ""
    yield f"{office.root.name} has a head office again: {office.certificate.name}, in {office.path}.{gone}"
    yield f"Taken back in {seconds:.1f} s: {plural(_entries(rebuilt), 'entry', 'entries')}."
    yield ""
    figures = (Column(title, right=True) for title in ("entries", *SHOWN, "other"))
    rows = [(name, *(number(count) for count in _row(kinds))) for name, kinds in rebuilt.taken.items()]
    yield from table((Column("from"), *figures), rows, width)
    yield ""
    if rebuilt.missing:
        stores = listing([f"store {store}" for store in rebuilt.missing])
        yield click.style(f"Not heard: {stores}. They give what they have when they meet it.", fg="yellow")
    yield f"Next: crdt-pos office run --at {office.path}"


def _row(kinds: dict[str, int]) -> list[int]:
    counts = [sum(count for kind, count in kinds.items() if kind.partition("-")[0] == shown) for shown in SHOWN]
    return [sum(kinds.values()), *counts, sum(kinds.values()) - sum(counts)]
