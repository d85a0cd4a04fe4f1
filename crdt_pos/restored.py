"""A till's folder that was restored from an older image: a person says so, and that no other copy of it runs.

A folder that was copied is noticed by its file (``LmdbLog.copied``); one whose file was overwritten in its place is not, and
where no peer can be asked nobody else would know. Either way it is healed before it acts: ``crdt_pos.healing``.
"""

from __future__ import annotations

from crdt_pos.folder import Folder
from crdt_pos.healing import Why, set_back, set_back_view
from crdt_pos.schema import SCHEMA
from gossip.entry import FeedId
from gossip.log import Log
from gossip.log_lmdb import LmdbLog
from merge_rules.lattice import Author


def mark_restored(folder: Folder) -> None:
    """Note in a held folder's log that it is older than what its till has written. Raises ``LogError``.

    One in which the till has never written anything is left alone: there is nothing to contradict.
    """
    log = LmdbLog.open(folder.log_path, SCHEMA, folder.root.company)
    try:
        if log.copied:
            log.adopt()
        with log.read() as reader:
            known = set_back(reader)
        if known is None and has_written(log, folder.certificate.author):
            log.append([], [set_back_view(Why.RESTORED)])
    finally:
        log.close()


def has_written(log: Log, author: Author) -> bool:
    """Whether there is any entry of ``author``'s own in its log."""
    with log.read() as reader:
        return any(reader.heads(FeedId(one, author)) for one in reader.documents())
