"""A till in a process of its own, on a disk: sells until it is killed, and prints each number once the receipt is given."""

from __future__ import annotations

import sys
from pathlib import Path

from crdt_pos.requests import LineRequest, SaleRequest
from crdt_pos.schema import SCHEMA
from gossip.log_lmdb import LmdbLog
from tests.till.shop import BREAD, CHEESE, MEMBER, MILK, Place

COMPANY = b"c" * 32


def on_disk(folder: Path) -> Place:
    """The till whose log is in ``folder``."""
    return Place(log=LmdbLog.open(folder, SCHEMA, COMPANY, map_bytes=1 << 26))


def main(folder: Path) -> None:
    place = on_disk(folder)
    if place.till.open_on is None:
        place.till.open_date()
    while True:
        basket = (LineRequest(MILK, 2), LineRequest(BREAD), LineRequest(CHEESE, 250, quantity_exponent=3))
        print(place.till.sell(SaleRequest(basket, member=MEMBER)).number, flush=True)
        place.till.publish()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
