"""``crdt-pos recover office``: the head office is gone, the stores are not."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from crdt_pos.clock import system_ms
from crdt_pos.columns import Column, listing, number, plural, table
from crdt_pos.commands.key_options import KeySource, key_options
from crdt_pos.commands.recovered import Waiting, life_json, life_lines
from crdt_pos.commands.replica_options import FOLDER, replica_options
from crdt_pos.errors import FolderError
from crdt_pos.folder import OFFICE_PORT, Settings, load_root, parse_address, refuse_used
from crdt_pos.looking import look
from gossip.errors import GossipError
from peers.roster import SealedKey

if TYPE_CHECKING:
    from crdt_pos.rebuilding import Progress, Rebuilt

WAIT_S: Final = 60
SHOWN: Final = ("roster", "catalogue", "day", "balance")
"""Kinds with a column of their own; store rosters count as roster."""


@click.command(
    "office",
    epilog="Example: crdt-pos recover office --kit kit.txt --root till-12-1/root.pem "
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
def recover_office(
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
    """Bring back a head office whose folder is gone from the stores alone, as another life with a letter of its own.

    Everything that the tills hold comes back: roster, catalogue, prices, claims, days, balances, variances; of stores that are
    gone, too, what they had sealed for the stores that guard them. The lost office takes part no more. Let it listen where the
    old one did (--listen), since that is where the tills dial.

    \b
    --json prints: office, path, lost, heard, missing (stores), entries,
      taken: from whom, how many entries of each kind,
      lives: of stores of which nobody was heard, what their vaults hold and what is missing
    """
    from crdt_pos import rebuilding

    refuse_used(path)
    company = load_root(root)
    addresses = tuple(parse_address(source) for source in sources)
    both = keys.both(company, _sealed_beside(root))
    wanted = rebuilding.Wanted(company, both.root, path, settings, addresses, letter, lost, float(wait), both.recovery)
    began = time.monotonic()
    with Waiting(hidden=as_json) as waiting:
        rebuilt = rebuilding.rebuild(wanted, system_ms, lambda progress: waiting.say(_said(progress)))
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


def _said(progress: Progress) -> str:
    stores = f"{progress.stores - len(progress.missing)} of {plural(progress.stores, 'store')} heard"
    said = f"{plural(progress.entries, 'entry', 'entries')} taken back; {stores}"
    return said + f", waiting for {listing([str(store) for store in progress.missing])}" if progress.missing else said


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
        "lives": [life_json(life) for life in rebuilt.lives],
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
    if rebuilt.lives:
        yield from life_lines(rebuilt.lives, width)
        yield ""
    yield f"Next: crdt-pos office run --at {office.path}"


def _row(kinds: dict[str, int]) -> list[int]:
    counts = [sum(count for kind, count in kinds.items() if kind.partition("-")[0] == shown) for shown in SHOWN]
    return [sum(kinds.values()), *counts, sum(kinds.values()) - sum(counts)]
