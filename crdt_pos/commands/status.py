"""``crdt-pos status``: how the replica of a folder is, asked of its process; for people, and for whatever watches machines."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from crdt_pos.columns import listing, plural
from crdt_pos.folder import Folder, open_folder
from crdt_pos.local import ConnectionLost, LocalClient, LocalRefused, Message, NotRunning
from crdt_pos.outside_text import outside_text

ANSWER_TIMEOUT_S: Final = 10.0
EXIT_TROUBLE: Final = 1


@click.command()
@click.option("--at", "path", type=click.Path(path_type=Path), required=True, help="The replica's folder.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.pass_context
def status(context: click.Context, path: Path, as_json: bool) -> None:
    """Say how a running till, head office or relay is: since when, with whom, what is safe elsewhere, what is wrong.

    Exit code: 0 all is well, 1 something is wrong or nothing runs there, 2 that is no replica's folder.

    \b
    --json prints: running, trouble (sentences), replica, life, role, company, since_ms, now_ms, listening,
      peers (name, role, since_ms, caught_up), reaches_office, unreachable, entries, behind (peers that have
      not told everything yet), business_date, disk_free_bytes, and of a till safe: copies (replicas that have all it wrote),
      waiting (acts that are only here), outside_until_ms and outside_waiting (outside of the store)
    """
    said = _asked(open_folder(path))
    if as_json:
        click.echo(json.dumps(said, indent=2, ensure_ascii=False))
    else:
        for line in _lines(said):
            click.echo(line)
    if said["trouble"]:
        context.exit(EXIT_TROUBLE)


def _asked(folder: Folder) -> Message:
    role = folder.certificate.role
    who: Message = {"replica": folder.certificate.name, "role": str(role), "running": False}
    try:
        with LocalClient(folder.path, ANSWER_TIMEOUT_S) as client:
            answer = client.call("health")
    except NotRunning:
        start = f"crdt-pos {role} run --at {folder.path}"
        return {**who, "trouble": [f"Nothing runs in {folder.path}. Start it with: {start}"]}
    except (ConnectionLost, LocalRefused) as error:
        silent = f"It runs and does not answer within {ANSWER_TIMEOUT_S:g} s."
        return {**who, "running": True, "trouble": [error.message if isinstance(error, LocalRefused) else silent]}
    del answer["ok"], answer["version"]
    return {"running": True, **answer}


def _lines(said: Message) -> Iterator[str]:
    if "life" in said:
        now = datetime.datetime.fromtimestamp(said["now_ms"] / 1000, datetime.UTC).astimezone()
        since = datetime.datetime.fromtimestamp(said["since_ms"] / 1000, datetime.UTC).astimezone()
        yield f"{said['replica']} {said['life']}, {said['role']} of {said['company']}, runs at {said['listening']}."
        yield f"  since        {since:%Y-%m-%d %H:%M:%S} ({_ago(now - since)})"
        if said["role"] == "till":
            yield f"  open         {said['business_date'] or 'no'}"
        yield f"  with         {listing([peer['name'] for peer in said['peers']]) or 'nobody'}"
        if said["safe"]:
            safe, told = said["safe"], said["safe"]["outside_until_ms"]
            waits = plural(safe["waiting"], "act is", "acts are")
            yield f"  safe         {plural(safe['copies'], 'other has', 'others have')} all it wrote; {waits} only here"
            yield f"  outside      {outside_text(told, safe['outside_waiting'], said['now_ms'])}"
        behind = listing(said["behind"])
        yield f"  behind       {f'{behind} still tell what is missing here' if behind else 'no'}"
        yield f"  holds        {plural(said['entries'], 'entry', 'entries')}"
        for address, why in sorted(said["unreachable"].items()):
            yield f"  unreachable  {address}: {why}"
    for sentence in said["trouble"]:
        yield click.style(sentence, fg="red")
    if not said["trouble"]:
        yield click.style("All is well.", fg="green")


def _ago(passed: datetime.timedelta) -> str:
    minutes = int(passed.total_seconds()) // 60
    days, rest = divmod(minutes, 24 * 60)
    if days:
        return f"{plural(days, 'day')} and {plural(rest // 60, 'hour')}"
    return f"{plural(rest // 60, 'hour')} and {plural(rest % 60, 'minute')}"
