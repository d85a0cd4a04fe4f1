"""A till in a process of its own, on a disk: sells until it is killed, and prints each number once the receipt is given.

    python -m tests.till.selling FOLDER [SYNC COUNT]

With ``COUNT`` it stops after so many sales; ``SYNC`` is "sync" or "no sync".
"""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path

from crdt_pos.requests import LineRequest, SaleRequest
from crdt_pos.schema import SCHEMA
from gossip.log_lmdb import LmdbLog
from tests.till.shop import BREAD, CHEESE, MEMBER, MILK, Place

COMPANY = b"c" * 32


def on_disk(folder: Path, *, sync: bool = True) -> Place:
    """The till whose log is in ``folder``."""
    return Place(log=LmdbLog.open(folder, SCHEMA, COMPANY, map_bytes=1 << 26, sync=sync))


def main(folder: Path, sync: str = "sync", count: int | None = None) -> None:
    place = on_disk(folder, sync=sync == "sync")
    if place.till.open_on is None:
        place.till.open_date()
    for _ in itertools.count() if count is None else range(count):
        basket = (LineRequest(MILK, 2), LineRequest(BREAD), LineRequest(CHEESE, 250, quantity_exponent=3))
        number = place.till.sell(SaleRequest(basket, member=MEMBER)).number
        os.write(1, f"{number}\n".encode())
        place.till.publish()
    place.log.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:3], *map(int, sys.argv[3:4]))
