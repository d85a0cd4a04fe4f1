"""``receipts``: how many receipts the days vouch for, and how many of them are in a journal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from crdt_pos.columns import Column, number, plural, table
from crdt_pos.looking import Looked, look
from crdt_pos.page import Page
from crdt_pos.shell import colours
from crdt_pos.shell.command import Argument, Command, Completes, Option
from crdt_pos.shell.evidence import moment
from crdt_pos.shell.replica import Replica
from crdt_pos.vouched import Vouched, everywhere, vouched
from gossip.log import Reader
from peers.roster import Directory

ROWS_SHOWN_MAX: Final = 15
STORE = Option("store", "One store.", "STORE", Completes.STORE)


def answer(replica: Replica, folder: Sequence[str] = (), store: str = "") -> dict[str, Any]:
    """Of every till and date; with other folders, what is in any of the journals."""

    def wanted(reader: Reader, directory: Directory) -> list[Vouched]:
        every = replica.counted(vouched(reader, directory), "adding up receipts", reader.last_arrival())
        return [one for one in every if not store or str(one.store) == store]

    held: list[list[Vouched]] = []
    for path in dict.fromkeys(map(Path, folder)):
        with look(path) as looked, looked.log.read() as reader:
            held.append(wanted(reader, looked.directory))
    held.append(wanted(replica.reader, replica.directory))
    rows = everywhere(held)
    return {
        "receipts": sum(row.receipts for row in rows),
        "here": sum(row.receipts - row.missing for row in rows),
        "missing": sum(row.missing for row in rows),
        "tills": [_plain(row) for row in rows],
    }


def _plain(row: Vouched) -> dict[str, Any]:
    return {
        "till": row.name,
        "incarnation": row.incarnation,
        "date": row.date.isoformat(),
        "receipts": row.receipts,
        "here": row.here,
        "missing": row.missing,
        "closed": row.closed,
        "told_ms": row.told_ms,
    }


def lines(page: Page, answered: dict[str, Any]) -> Iterator[str]:
    """The dates of which something is missing."""
    shown = [row for row in answered["tills"] if page.everything or row["missing"]]
    left = 0 if page.everything else max(len(shown) - ROWS_SHOWN_MAX, 0)
    cells = [
        (
            row["till"],
            row["incarnation"],
            row["date"],
            *(number(row[name]) for name in ("receipts", "here", "missing")),
            _open(page.looked, row),
        )
        for row in shown[: len(shown) - left]
    ]
    if cells:
        figures = (Column(title, right=True) for title in ("receipts", "here", "missing"))
        yield from table(
            (Column("till"), Column("life"), Column("date"), *figures, Column("", shorten=True)), cells, page.width
        )
    if left:
        yield f"… and {plural(left, 'date')} more: --all lists them."
    count, missing = answered["receipts"], answered["missing"]
    if missing:
        yield colours.pending(
            f"{missing:,} of {plural(count, 'receipt')} that the days vouch for are in no journal here."
        )
        yield "Where no till of the store has them either, they cannot be recovered yet; the takings are in the books."
    else:
        yield colours.safe(f"All {plural(count, 'receipt')} that the days vouch for are in journals here.")


def _open(looked: Looked, row: dict[str, Any]) -> str:
    return "" if row["closed"] else f"not closed; told {moment(looked, row['told_ms'])[:16]}"


COMMAND = Command(
    "receipts",
    "How many receipts the days vouch for, and how many of them are in journals here, or in the other folders.",
    "receipts",
    answer,
    lines,
    (Argument("folder", "Folders of other replicas.", Completes.PATH, optional=True, many=True),),
    (STORE,),
)
