"""What the books of a folder say, read beside the running replica; and acts at a till of a ``Cabled`` town."""

from __future__ import annotations

import datetime

from crdt_pos import books
from crdt_pos.books import Books, Query
from crdt_pos.errors import NothingHere
from crdt_pos.folder import Folder
from crdt_pos.looking import identities, look
from tools.cabled import Cabled


def books_of(folder: Folder, store: int | None = None, *dates: str) -> Books | None:
    """The books of a folder from the first to the last of ``dates`` (none: the newest); ``None`` if there are none."""
    days = [datetime.date.fromisoformat(date) for date in dates]
    query = Query(min(days, default=None), max(days, default=None), store)
    with look(folder.path) as looked, looked.log.read() as reader:
        try:
            return books.read(reader, looked.directory, query, identities(reader))
        except NothingHere:
            return None


def takings(folder: Folder, store: int | None = None, *dates: str) -> dict[tuple[str, str], int]:
    """What each life of a till took, by its name and incarnation."""
    found = books_of(folder, store, *dates)
    sums: dict[tuple[str, str], int] = {}
    for day in [] if found is None else [day for account in found.accounts for day in account.days]:
        sums[day.name, day.incarnation] = sums.get((day.name, day.incarnation), 0) + day.day.takings_minor
    return sums


def sell(town: Cabled, till: str, cents: int, **fields: object) -> str:
    """Sell something for so much, in cash; the receipt's number."""
    line = {"product": 0, "name": "bread", "unit_price_minor": cents}
    return str(town.call(till, "sell", lines=[line], **fields)["receipt"]["number"])
