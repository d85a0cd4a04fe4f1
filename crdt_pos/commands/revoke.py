"""``crdt-pos revoke``, ``readmit`` and ``quarantine``: keep a replica out, and decide on what it signed after."""

from __future__ import annotations

import datetime
import json
import re
from pathlib import Path
from typing import Final

import click

from crdt_pos.cli import Refused
from crdt_pos.columns import plural
from crdt_pos.commands.replica_options import FOLDER
from crdt_pos.folder import open_folder
from crdt_pos.looking import Looked, look
from crdt_pos.revoking import Quarantined, quarantined
from crdt_pos.revoking_desk import WHYS, readmit_at, revoke_at
from peers.roster import TEXT_BYTES_MAX

_HASH: Final = re.compile(r"[0-9a-f]{64}")
_office = click.option("--at", "path", type=FOLDER, required=True, help="The folder of a head office.")
_note = click.option("--note", default="", help="What should be remembered with it.")
_life = click.option("--life", default="", help="Which of its lives, like a1, of a replica that has lived several.")
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command(epilog="Example: crdt-pos revoke 12-3 --why stolen --at office")
@click.argument("name")
@click.option("--why", type=click.Choice(list(WHYS)), required=True, help="What has happened to it.")
@_office
@_note
@_life
@_json
def revoke(name: str, why: str, path: Path, note: str, life: str, *, as_json: bool) -> None:
    """Keep out the replica NAME, such as 12-3 or office-b, or the author with these 16 hexadecimal digits.

    Its sessions end everywhere as soon as this is heard of, and nobody begins another. What this office knows of it by now
    counts on; whatever it signed besides is put in quarantine on every replica, and can be let in again with 'readmit'.

    \b
    --json prints one object: replica, life, author, entries (newest ones
    that still count), journals (whose beginning counts)
    """
    _refuse_long(note)
    stated = revoke_at(open_folder(path), name, why, note, life)
    if as_json:
        click.echo(json.dumps(stated, indent=2))
        return
    click.echo(f"Revoked {stated['replica']}, life {stated['life']} ({why}): it takes part no more.")
    click.echo(
        f"What is known of it here counts on: {plural(stated['entries'], 'newest entry', 'newest entries')}, "
        f"and the beginning of {plural(stated['journals'], 'journal')}."
    )
    click.echo("What it signed besides is kept apart: crdt-pos quarantine --at FOLDER lists it.")


@click.command(epilog="Example: crdt-pos readmit 9f0c… --of 12-3 --at office")
@click.argument("hashes", nargs=-1, required=True)
@_office
@click.option(
    "--of", "who", default="", help="Who signed them, of entries that this office does not hold, such as 12-3."
)
@_note
@_life
@_json
def readmit(hashes: tuple[str, ...], path: Path, who: str, note: str, life: str, *, as_json: bool) -> None:
    """Let entries of a revoked replica count again, by their HASHES as 'quarantine' lists them.

    Of a journal, or any other log, everything before such an entry counts with it.

    \b
    --json prints one object: entries (how many)
    """
    _refuse_long(note)
    for one in hashes:
        if not _HASH.fullmatch(one):
            raise Refused(f"{one!r} is no hash: write the 64 hexadecimal digits that 'crdt-pos quarantine' shows.")
    count = readmit_at(open_folder(path), hashes, who, note, life)
    click.echo(json.dumps({"entries": count}) if as_json else f"{plural(count, 'entry', 'entries')} will count again.")


@click.command()
@click.option("--at", "path", type=FOLDER, required=True, help="The folder of any replica.")
@_json
def quarantine(path: Path, *, as_json: bool) -> None:
    """What is held here and does not count, and why: entries of revoked replicas, and what nobody may have written.

    \b
    --json prints one object:
      replica
      quarantined: hash, document, author, name, number, signed (by its
        author's clock), reason
    """
    with look(path) as looked, looked.log.read() as reader:
        found = [_plain(looked, one) for one in quarantined(reader)]
        replica = looked.folder.certificate.name
    if as_json:
        click.echo(json.dumps({"replica": replica, "quarantined": found}, indent=2))
    elif not found:
        click.echo(f"Nothing is in quarantine at {replica}.")
    else:
        for one in found:
            click.echo(f"{one['hash']}  {one['document']} number {one['number']}, by {one['name']}: {one['reason']}")
        click.echo(f"{plural(len(found), 'entry', 'entries')} at {replica} do not count.")


def _plain(looked: Looked, one: Quarantined) -> dict[str, object]:
    entry = one.entry
    signed = datetime.datetime.fromtimestamp((entry.stamp >> 16) / 1000, datetime.UTC)
    return {
        "hash": entry.hash.hex(),
        "document": str(entry.document),
        "author": entry.author.hex(),
        "name": looked.name_of(entry.author),
        "number": entry.seq,
        "signed": signed.isoformat(timespec="seconds"),
        "reason": one.reason,
    }


def _refuse_long(note: str) -> None:
    if len(note.encode()) > TEXT_BYTES_MAX:
        raise Refused(f"A note has at most {TEXT_BYTES_MAX} bytes.")
