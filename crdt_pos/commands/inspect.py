"""``crdt-pos inspect``."""

from __future__ import annotations

import dataclasses
import datetime
import json
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.pretty import Pretty
from rich.table import Table

from crdt_pos import inspection
from crdt_pos.inspection import EntryRow
from crdt_pos.looking import Looked, look
from crdt_pos.money import decimal_text
from crdt_pos.receipt import Receipt
from crdt_pos.schema import SCHEMA

HASH_DIGITS_SHOWN: Final = 12
_FOLDER = click.Path(path_type=Path)


@click.group("inspect")
@click.option("--at", "path", type=_FOLDER, required=True, help="The folder of any replica.")
@click.pass_context
def inspect(context: click.Context, path: Path) -> None:
    """What is in a replica's folder, document by document.

    Reads only, also while the replica runs.
    """
    context.obj = path


_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@inspect.command("documents")
@click.argument("pattern", metavar="[GLOB]", default="*")
@_json
@click.pass_obj
def documents(path: Path, pattern: str, as_json: bool) -> None:
    """The documents that are here; GLOB chooses, such as 'day/12/*'."""
    with look(path) as looked, looked.log.read() as reader:
        rows = list(inspection.documents(reader, pattern))
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(row) for row in rows], indent=2))
        return
    table = Table("document", "authors", "entries", "bytes", "newest came", "forks")
    for row in rows:
        counts = (row.authors, row.entries, row.size_bytes)
        table.add_row(row.name, *(f"{n:,}" for n in counts), _local(row.newest_ms), str(row.forks or ""))
    console = Console()
    console.print(table)
    console.print(f"{len(rows):,} documents.", highlight=False)


@inspect.command("show")
@click.argument("document")
@_json
@click.pass_obj
def show(path: Path, document: str, as_json: bool) -> None:
    """The value of DOCUMENT: what its entries say together."""
    with look(path) as looked, looked.log.read() as reader:
        found = inspection.find_document(reader, document)
        shown = inspection.plain(inspection.show(reader, SCHEMA, found, looked.name_of))
    if as_json:
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
    else:
        Console().print(Pretty(shown, expand_all=True))


@inspect.command("explain")
@click.argument("document")
@_json
@click.pass_obj
def explain(path: Path, document: str, as_json: bool) -> None:
    """Each author's part of DOCUMENT: its entry, when it came and from whom."""
    with look(path) as looked, looked.log.read() as reader:
        found = inspection.find_document(reader, document)
        parts = inspection.explain(reader, SCHEMA, found, looked.name_of)
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(part) for part in parts], indent=2, ensure_ascii=False))
        return
    console = Console()
    console.print(str(found), style="bold")
    for part in parts:
        console.print(f"{part.author} ({part.author_id}), entries held: {part.entries}", style="bold", highlight=False)
        if part.fork:
            console.print("  contradicts itself: every one of these entries counts, as a lower bound", style="red")
        for head in part.heads:
            console.print(f"  entry {_entry(head)}", highlight=False)
        for covered in part.covers:
            here = {True: "it is here", False: "the entry here is another", None: "not here so far"}[covered.here]
            digits = covered.hash[:HASH_DIGITS_SHOWN]
            console.print(f"  covers the journal of {covered.subject} up to {covered.seq} ({digits}…): {here}")
        console.print(Pretty(part.part))


@inspect.command("diff")
@click.argument("other", type=_FOLDER)
@_json
@click.pass_obj
def diff(path: Path, other: Path, as_json: bool) -> None:
    """What this folder and OTHER do not hold alike."""
    with look(path) as here, look(other) as there, here.log.read() as ours, there.log.read() as theirs:
        rows = inspection.diff(ours, theirs, SCHEMA, lambda author: _either(here, there).name_of(author))
        names = here.folder.certificate.name, there.folder.certificate.name
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(row) for row in rows], indent=2))
        return
    console = Console()
    if not rows:
        console.print(f"{names[0]} and {names[1]} hold the same.")
        return
    table = Table("document", "author", f"newest at {names[0]}", f"newest at {names[1]}", "value")
    for row in rows:
        value = {True: "the same", False: "differs", None: "not known here"}[row.same_value]
        table.add_row(row.document, row.author, _heads(row.here), _heads(row.there), value)
    console.print(table)


@inspect.command("sale")
@click.argument("number")
@_json
@click.pass_obj
def sale(path: Path, number: str, as_json: bool) -> None:
    """Follow the receipt NUMBER, such as 12-3-a1-17, from the journal to the day and the balances."""
    with look(path) as looked, looked.log.read() as reader:
        trail = inspection.sale(reader, looked.directory, SCHEMA, number, looked.name_of)
    if as_json:
        click.echo(json.dumps(inspection.plain(trail.plain()), indent=2, ensure_ascii=False))
        return
    console = Console()
    _receipt(console, trail.receipt)
    console.print(f"journal  {trail.journal}, entry {_entry(trail.entry)}", highlight=False)
    signed = "the signature is the author's" if trail.signed else "THE SIGNATURE IS NOT THE AUTHOR'S"
    console.print(f"         {signed}", style="green" if trail.signed else "red")
    if trail.day is None:
        console.print("day      no summary covers it yet")
    else:
        covered = "which covers it" if trail.covered else "which does not cover it yet"
        console.print(f"day      {trail.day}, entry {trail.day_seq}, {covered}", highlight=False)
    for movement in trail.movements:
        console.print(f"balance  {movement}", highlight=False)


def _either(here: Looked, there: Looked) -> Looked:
    return here if len(here.directory.chains) >= len(there.directory.chains) else there


def _receipt(console: Console, receipt: Receipt) -> None:
    moment = datetime.datetime.fromtimestamp(receipt.stamp_ms / 1000, datetime.UTC)
    local = moment + datetime.timedelta(minutes=receipt.offset_minutes)
    kind = receipt.type.name.lower()
    console.print(f"{receipt.number}  {kind}  {receipt.business_date}  {local:%Y-%m-%d %H:%M:%S}", style="bold")
    table = Table("", "product", "quantity", "price", "total", show_edge=False)

    def text(amount_minor: int) -> str:
        return decimal_text(amount_minor, receipt.exponent)

    for line in receipt.lines:
        table.add_row(
            str(line.number),
            f"{line.product} {line.name}",
            f"{decimal_text(line.quantity, line.quantity_exponent)} {line.unit}".strip(),
            decimal_text(line.unit_price_minor, receipt.exponent + line.unit_price_exponent),
            text(line.total_minor),
        )
    for tender in receipt.tenders:
        table.add_row("", tender.kind.text, "", "", text(tender.amount_minor))
    console.print(table)
    console.print(f"due {text(receipt.due_minor)} {receipt.currency}, tax {text(receipt.tax_minor)}", highlight=False)


def _entry(row: EntryRow) -> str:
    came = f"came {_local(row.received_ms)} from {row.received_from}" if row.received_from else "made here"
    return f"{row.seq}, {row.hash[:HASH_DIGITS_SHOWN]}…, stamped {_local(row.stamp_ms)}, {came}, {row.size_bytes} bytes"


def _heads(heads: tuple[tuple[int, str], ...]) -> str:
    return ", ".join(f"{seq} ({digits[:8]}…)" for seq, digits in heads) or "nothing"


def _local(ms: int) -> str:
    if not ms:
        return "at an unknown time"
    return f"{datetime.datetime.fromtimestamp(ms / 1000, datetime.UTC).astimezone():%Y-%m-%d %H:%M:%S}"
