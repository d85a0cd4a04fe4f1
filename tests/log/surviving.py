"""Judges what is left of a log that ``appending.py`` was writing when it stopped: all that was acknowledged, nothing half."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from gossip.entry import FeedId
from gossip.errors import LogError
from gossip.log import feed_fingerprint
from gossip.log_lmdb import LmdbLog
from tests.log.appending import AUTHOR, COMPANY, DAY, JOURNAL, KEY, VIEW


def losses(folder: Path, acknowledged: int) -> list[str]:
    """What is wrong with the log in ``folder``, of which ``acknowledged`` commits were reported; nothing if all is well."""
    try:
        log = LmdbLog.open(folder, {}, COMPANY, read_only=True)
    except LogError as error:
        return [f"it does not open: {error}"]
    wrong: list[str] = []
    try:
        with log.read() as reader:
            entries = [stored.entry for stored in reader.entries(FeedId(JOURNAL, AUTHOR))]
            count = len(entries)
            if count < acknowledged:
                wrong.append(f"{acknowledged} commits were acknowledged, {count} are here")
            if [entry.seq for entry in entries] != list(range(1, count + 1)):
                wrong.append("the journal has a hole")
            if not all(entry.verify(KEY.public) for entry in entries):
                wrong.append("a signature does not verify")
            for before, entry in pairwise(entries):
                if entry.previous != before.hash:
                    wrong.append(f"the chain breaks at {entry.seq}")
            if [stored.entry.seq for stored in reader.head_entries(DAY)] != ([count] if count else []):
                wrong.append("the day is not that of the journal")
            if reader.view(VIEW) != (str(count).encode() if count else None):
                wrong.append("the view is not that of the journal")
            heads = reader.heads(FeedId(JOURNAL, AUTHOR))
            if reader.fingerprint(next(iter(reader.scopes(entries[0])))) != feed_fingerprint(
                FeedId(JOURNAL, AUTHOR), heads
            ):
                wrong.append("the fingerprint is not that of the journal")
    except (LogError, IndexError) as error:
        if acknowledged:
            wrong.append(f"it cannot be read: {error}")
    finally:
        log.close()
    return wrong


def committed(folder: Path) -> int:
    """How many commits are in the log."""
    log = LmdbLog.open(folder, {}, COMPANY, read_only=True)
    try:
        with log.read() as reader:
            return int(reader.view(VIEW) or b"0")
    finally:
        log.close()
