"""A process that appends synced commits and says so after each: it is killed, or its disk is, while it does.

    python -m tests.log.appending FOLDER SYNC FIRST COUNT

Commit n appends entry n of a ``whole`` feed, version n of a ``latest`` feed and view ``n``, and prints ``n`` when that has
returned. Without arguments it starts such processes on demand.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from gossip.document import Document, FeedType, ScopeClass
from gossip.entry import Entry, sign
from gossip.log import Arrival
from gossip.log_lmdb import LmdbLog
from peers.keys import SecretKey, author_of

COMPANY = b"company of the tests"
KEY = SecretKey(b"\x07" * 32)
AUTHOR = author_of(KEY.public, "a1")
JOURNAL = Document("journal", 20000, (12,))
DAY = Document("day", 20000, (12,))
VIEW = b"count"
COMMITS_MAX = 1_000_000


def journal_entry(number: int, previous: Entry | None) -> Entry:
    before = previous.hash if previous else None
    # Of different sizes, so that some take pages of their own.
    body = {0: bytes(number * 997 % 5000)}
    return sign(KEY, AUTHOR, JOURNAL, FeedType.WHOLE, ScopeClass.JOURNAL, number, 0, body, before)


def day_entry(number: int) -> Entry:
    return sign(KEY, AUTHOR, DAY, FeedType.LATEST, ScopeClass.STORE, number, 0, {1: number})


def main(folder: str, sync: str, first: int, count: int) -> None:
    log = LmdbLog.open(Path(folder), {}, COMPANY, sync=sync == "sync")
    previous: Entry | None = None
    if first > 1:
        with log.read() as reader:
            (stored,) = reader.head_entries(JOURNAL)
            previous = stored.entry
    for number in range(first, first + count):
        previous = journal_entry(number, previous)
        log.append([Arrival(previous), Arrival(day_entry(number))], [(VIEW, str(number).encode())])
        os.write(1, f"{number}\n".encode())
    log.close()


def serve() -> None:
    """Run a process per line of input that appends until it is killed, and say ``ended`` when it is gone.

    It starts at once, since all is imported; and no log is open where it forks.
    """
    for line in sys.stdin:
        folder, first = line.split()
        child = os.fork()
        if child == 0:
            os.write(1, f"{os.getpid()}\n".encode())
            main(folder, "sync", int(first), COMMITS_MAX)
            os._exit(0)
        os.waitpid(child, 0)
        os.write(1, b"ended\n")


if __name__ == "__main__":
    if sys.argv[1:]:
        main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        serve()
