"""``crdt-pos recover``: what was lost, brought back from whoever is left, with a list of what is complete and what is missing."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from crdt_pos.cli import Refused
from crdt_pos.clock import system_ms
from crdt_pos.columns import listing, plural
from crdt_pos.commands.key_options import KeySource, key_options
from crdt_pos.commands.recover_office import recover_office
from crdt_pos.commands.recovered import Waiting, life_json, life_lines
from crdt_pos.commands.replica_options import FOLDER, replica_options
from crdt_pos.folder import Folder, Settings, parse_address
from crdt_pos.looking import look
from peers.keys import SealingKey

if TYPE_CHECKING:
    from collections.abc import Callable

    from crdt_pos.recovering import Progress, Recovered

WAIT_S: Final = 60
_NAME: Final = re.compile(r"([1-9][0-9]{0,5})-([1-9][0-9]{0,5})")


@click.group()
def recover() -> None:
    """Bring back a till, a whole store or a head office that was lost.

    What neighbours, guardian stores, relays and head offices still hold goes into new folders, every signature and chain is
    checked, and a list says what is complete and what is missing.
    """


def _options(command: Callable[..., None]) -> Callable[..., None]:
    options = (
        key_options,
        click.option(
            "--office",
            type=FOLDER,
            help="A head office's folder on this machine, which enrols the new lives; it may run. Not needed where the tills "
            "have joined already in the folders named by --at.",
        ),
        click.option(
            "--from",
            "sources",
            multiple=True,
            metavar="HOST:PORT",
            help="A replica that runs: a neighbour, a till of a guardian store, a relay, a head office. It is asked for others.",
        ),
        click.option(
            "--wait",
            type=click.IntRange(1, 3600),
            default=WAIT_S,
            show_default=True,
            help="Seconds to wait while nothing comes.",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print the list as JSON."),
        replica_options(":0"),
    )
    for option in reversed(options):
        command = option(command)
    return command


@recover.command(
    "till",
    epilog="Example: crdt-pos recover till 12-1 --office office --from 10.0.12.2:7431 --kit kit.txt --at till-12-1",
)
@click.argument("name")
@_options
def recover_till(name: str, path: Path, **asked: Any) -> None:
    """Bring back the till NAME, such as 12-1, whose disk is lost, as its next life in the new folder --at.

    Its journal comes back from its neighbours; what they do not hold, from the vault that other stores keep sealed.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise Refused(f"{name!r} is no till: write store and till, like 12-1.")
    _recover(int(match[1]), (int(match[2]),), path, **asked)


@recover.command("store", epilog="Example: crdt-pos recover store 12 --office office --kit kit.txt --at new")
@click.argument("store", type=click.IntRange(1, 999_999))
@_options
def recover_store(store: int, path: Path, **asked: Any) -> None:
    """Bring back the store STORE, of which every till is lost: each gets its next life, in --at/till-STORE-TILL.

    Days, stock and balances come back from head office, receipts from the vault that other stores keep sealed, up to the last
    segment of each till. Carry each folder to its machine before the till runs for the first time.

    \b
    --json prints: store, tills, heard, segments, sealed_bytes, receipts, missing, complete,
      lives: of each life of a till what is here of each date, and which numbers are missing
    """
    _recover(store, (), path, **asked)


recover.add_command(recover_office)


def _recover(
    store: int,
    tills: tuple[int, ...],
    path: Path,
    *,
    keys: KeySource,
    office: Path | None,
    sources: tuple[str, ...],
    wait: int,
    as_json: bool,
    settings: Settings,
) -> None:
    from crdt_pos import recovering

    addresses = tuple(parse_address(source) for source in sources)
    wanted = recovering.Wanted(store, tills, path, settings, office, addresses, float(wait))

    def key_for(folder: Folder) -> SealingKey:
        with look(folder.path) as looked:
            sealed = looked.directory.sealed_keys
        return keys.recovery_key(folder.root, sealed)

    began = time.monotonic()
    with Waiting(hidden=as_json) as waiting:
        recovered = recovering.recover(wanted, key_for, system_ms, lambda progress: waiting.say(_said(progress)))
    if as_json:
        click.echo(json.dumps(_plain(recovered), indent=2))
        return
    for line in _lines(recovered, time.monotonic() - began):
        click.echo(line)


def _said(progress: Progress) -> str:
    heard = f"heard: {listing(progress.heard)}" if progress.heard else "nobody was heard yet"
    return f"{plural(progress.entries, 'entry', 'entries')} taken back; {heard}"


def _plain(recovered: Recovered) -> dict[str, object]:
    return {
        "store": recovered.store,
        "tills": [
            {
                "till": folder.certificate.name,
                "incarnation": folder.certificate.incarnation,
                "path": str(folder.path),
            }
            for folder in recovered.tills
        ],
        "heard": list(recovered.heard),
        "segments": recovered.segments,
        "sealed_bytes": recovered.sealed_bytes,
        "receipts": sum(life.receipts for life in recovered.lives),
        "missing": sum(life.missing for life in recovered.lives),
        "complete": all(life.complete for life in recovered.lives),
        "new_entries": dict(recovered.put.new),
        "forged": recovered.put.forged,
        "unknown": recovered.put.unknown,
        "refused": recovered.put.refused,
        "waiting": recovered.put.waiting,
        "lives": [life_json(life) for life in recovered.lives],
    }


def _lines(recovered: Recovered, seconds: float) -> Iterator[str]:
    names = listing([f"{folder.certificate.name} {folder.certificate.incarnation}" for folder in recovered.tills])
    receipts = sum(life.receipts for life in recovered.lives)
    told = f" Heard: {listing(recovered.heard)}." if recovered.heard else ""
    yield f"Store {recovered.store} has {names} again, with {plural(receipts, 'receipt')}, in {seconds:.1f} s.{told}"
    yield f"Opened: {plural(recovered.segments, 'sealed segment')}, {recovered.sealed_bytes:,} bytes."
    bad = recovered.put.forged + recovered.put.unknown + recovered.put.refused
    if bad:
        yield click.style(
            f"Left out, since they did not prove themselves: {plural(bad, 'entry', 'entries')}.", fg="yellow"
        )
    yield ""
    yield from life_lines(recovered.lives, shutil.get_terminal_size().columns)
    yield ""
    if recovered.lives and all(life.complete for life in recovered.lives):
        yield "Nothing is known to be missing: every number and every chain is whole, as far as was heard."
    for folder in recovered.tills:
        yield f"Next: crdt-pos till run --at {folder.path}"
