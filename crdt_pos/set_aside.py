"""A till whose log's file cannot be read any more: the file is set aside, and the till goes on with its key and a new log.

The new log begins with every entry in the old file that proves itself, wherever it stands there. That may not be all that the
till has signed, so it is taken for one whose disk was set back: it asks its neighbours for its own heads and does not act before
they have answered (``crdt_pos.homecoming``), then derives what it has to remember and leaves out numbers that it may have given.
All others' entries come back by themselves. The old file is kept for whoever wants to know what became of it, until somebody is
erased: it may hold that person's name and the key to it (``forget``). A head office is rebuilt instead: it must not sign in a
letter that others may have seen it use.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

from crdt_pos import views_again
from crdt_pos.directory import is_roster
from crdt_pos.folder import Folder
from crdt_pos.healing import Why, met_view, set_back_view
from crdt_pos.schema import SCHEMA
from crdt_pos.trust import RosterTrust
from gossip.entry import Entry, FeedId
from gossip.errors import LogCorrupt
from gossip.ingest import check
from gossip.log import feed_key
from gossip.log_lmdb import LmdbLog
from gossip.log_salvage import salvage
from merge_rules.lattice import Author
from peers.permissions import Role

AT_ONCE: Final = 1_000
_log = logging.getLogger("crdt_pos.replica")


def open_log(folder: Folder) -> LmdbLog:
    """A replica's log for writing; of a till whose file is damaged, a new one. Raises ``LogError``."""
    try:
        return LmdbLog.open(folder.log_path, SCHEMA, folder.root.company)
    except LogCorrupt as error:
        role, name = folder.certificate.role, folder.certificate.name
        if role is not Role.TILL:
            way = (
                "rebuild it from the stores with 'crdt-pos recover office'" if role is Role.OFFICE else "enrol it again"
            )
            raise LogCorrupt(f"the log of {name} in {folder.log_path} cannot be read any more: {way}") from error
        aside = _place(folder.log_path)
        folder.log_path.rename(aside)
        log, held = _begin_again(folder, aside)
        _log.warning(
            "The log of %s could not be read any more (%s). It lies in %s now, and a new one begins with %s entries from it: "
            "what others hold is taken back before anything is signed.",
            name,
            error.args[0],
            aside,
            held,
            extra={"event": "log_set_aside", "path": str(aside), "entries": held},
        )
        return log


def forget(folder: Folder) -> int:
    """Remove every log that was set aside; how many. Raises ``OSError``."""
    aside = list(folder.log_path.parent.glob(f"{folder.log_path.name}.damaged-*"))
    for one in aside:
        if one.is_dir() and not one.is_symlink():
            shutil.rmtree(one)
        else:
            one.unlink()
    return len(aside)


def _place(log: Path) -> Path:
    number = 1
    while (place := log.with_name(f"{log.name}.damaged-{number}")).exists():
        number += 1
    return place


def _begin_again(folder: Folder, aside: Path) -> tuple[LmdbLog, int]:
    log = LmdbLog.open(folder.log_path, SCHEMA, folder.root.company)
    # First of all: a till that is killed meanwhile does not take the new log for its own.
    log.append([], [set_back_view(Why.DAMAGED), met_view()])
    trust = RosterTrust(folder, log)
    me = folder.certificate.author
    left = _honest(salvage(aside / "data.mdb"), me)
    before = -1
    while len(left) != before:
        before = len(left)
        # A roster entry may bring the certificates that others need.
        left = _append(log, trust, left, me, roster=True)
        trust.reload()
    _append(log, trust, left, me, roster=False)
    with log.read() as reader:
        views = views_again.of_entries(reader, trust.directory)
        held = reader.last_arrival()
    log.append([], views)
    return log, held


def _honest(entries: Iterable[Entry], me: Author) -> list[Entry]:
    """In the order of their feeds. Of what this till would contradict itself with, the later: the other was never committed."""
    found = sorted(entries, key=lambda one: (feed_key(one.feed_id), one.seq, one.stamp, one.hash))
    newest: dict[tuple[FeedId, int], Entry] = {(one.feed_id, one.seq): one for one in found if one.author == me}
    return [one for one in found if one.author != me or newest[one.feed_id, one.seq] is one]


def _append(log: LmdbLog, trust: RosterTrust, entries: list[Entry], me: Author, *, roster: bool) -> list[Entry]:
    """Append what is proven; what is left."""
    chosen = [one for one in entries if is_roster(one.document) is roster]
    left = [one for one in entries if is_roster(one.document) is not roster]
    for start in range(0, len(chosen), AT_ONCE):
        checked = check(chosen[start : start + AT_ONCE], None, trust.record, SCHEMA)
        left += checked.unknown
        log.append(
            [
                one if one.entry.author == me else replace(one, received_from=one.entry.author)
                for one in checked.arrivals
            ]
        )
    return left
