"""``crdt-pos inspect receipts``."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import click

from crdt_pos.columns import Column, number, plural, table
from crdt_pos.looking import Looked, look
from crdt_pos.vouched import Vouched, everywhere, vouched

ROWS_SHOWN_MAX: Final = 15


@click.command("receipts")
@click.argument("others", metavar="[FOLDER]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--store", type=int, help="One store.")
@click.option("--all", "everything", is_flag=True, help="Every date, not only those of which something is missing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def receipts(path: Path, others: tuple[Path, ...], store: int | None, everything: bool, as_json: bool) -> None:
    """How many receipts the days vouch for, and how many of them are in journals here, or in the other FOLDERs.

    A store's receipts stay with its tills. Where all of them burnt, the takings are known all the same; the receipts cannot be
    recovered yet. What a till did after its last summary is in nobody's count.

    \b
    --json prints: receipts, here, missing,
      tills: till, incarnation, date, receipts, here, missing, closed,
        told_ms (when the summary was signed)
    """
    held: list[list[Vouched]] = []
    said: list[str] = []
    for folder in dict.fromkeys((*others, path)):
        with look(folder) as looked, looked.log.read() as reader:
            held.append([one for one in vouched(reader, looked.directory) if store in (None, one.store)])
            if folder == path:
                rows = everywhere(held)
                said = (
                    [json.dumps(_plain(rows), indent=2)]
                    if as_json
                    else list(_lines(looked, rows, everything=everything))
                )
    for line in said:
        click.echo(line)


def _plain(rows: Sequence[Vouched]) -> dict[str, object]:
    return {
        "receipts": sum(row.receipts for row in rows),
        "here": sum(row.receipts - row.missing for row in rows),
        "missing": sum(row.missing for row in rows),
        "tills": [
            {
                "till": row.name,
                "incarnation": row.incarnation,
                "date": row.date.isoformat(),
                "receipts": row.receipts,
                "here": row.here,
                "missing": row.missing,
                "closed": row.closed,
                "told_ms": row.told_ms,
            }
            for row in rows
        ],
    }


def _lines(looked: Looked, rows: Sequence[Vouched], *, everything: bool) -> Iterator[str]:
    shown = [row for row in rows if everything or row.missing]
    left = 0 if everything else max(len(shown) - ROWS_SHOWN_MAX, 0)
    figures = (Column(title, right=True) for title in ("receipts", "here", "missing"))
    cells = [
        (
            row.name,
            row.incarnation,
            str(row.date),
            *map(number, (row.receipts, row.here, row.missing)),
            _open(looked, row),
        )
        for row in shown[: len(shown) - left]
    ]
    if cells:
        columns = (Column("till"), Column("life"), Column("date"), *figures, Column("", shorten=True))
        yield from table(columns, cells, shutil.get_terminal_size().columns)
    if left:
        yield f"… and {plural(left, 'date')} more: --all lists them."
    count, missing = sum(row.receipts for row in rows), sum(row.missing for row in rows)
    if missing:
        text = f"{missing:,} of {plural(count, 'receipt')} that the days vouch for are in no journal here."
        yield click.style(text, fg="yellow")
        yield "Where no till of the store has them either, they cannot be recovered yet; the takings are in the books."
    else:
        yield click.style(f"All {plural(count, 'receipt')} that the days vouch for are in journals here.", fg="green")


def _open(looked: Looked, row: Vouched) -> str:
    return "" if row.closed else f"not closed; told {looked.local(row.told_ms, row.store):%Y-%m-%d %H:%M}"
