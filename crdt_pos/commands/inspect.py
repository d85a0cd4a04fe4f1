"""``crdt-pos inspect``."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.pretty import Pretty

from crdt_pos import inspection, sharing, sharing_text
from crdt_pos.cli import Refused
from crdt_pos.clock import system_ms
from crdt_pos.columns import Column, listing, number, plural, table
from crdt_pos.commands.inspect_receipts import receipts
from crdt_pos.errors import NothingHere
from crdt_pos.inspection import AuthorPart, Difference, EntryRow, Trail
from crdt_pos.looking import Looked, identities, look
from crdt_pos.page import Page
from crdt_pos.receipt_text import receipt_text
from crdt_pos.schema import SCHEMA
from crdt_pos.wording import Wording
from gossip.document import Document
from gossip.entry import FeedId
from gossip.log import Reader
from merge_rules.counter_bounded import CounterBounded
from peers.permissions import readable_scopes

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


inspect.add_command(receipts)

_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_raw = click.option("--raw", is_flag=True, help="The bare value, as its merge rule encodes it.")
_all = click.option("--all", "everything", is_flag=True, help="Every row, not only the first.")


@inspect.command("documents")
@click.argument("pattern", metavar="[GLOB]", default="*")
@_json
@click.pass_obj
def documents(path: Path, pattern: str, as_json: bool) -> None:
    """The documents that are here; GLOB chooses, such as 'day/12/*'.

    \b
    --json prints a list of: name, kind, authors, entries, size_bytes,
      newest_ms (when the last entry came), forks
    """
    with look(path) as looked, looked.log.read() as reader:
        rows = list(inspection.documents(reader, pattern))
        if as_json:
            _print_json([dataclasses.asdict(row) for row in rows])
            return
        shown = [
            (
                row.name,
                row.kind,
                *(number(n) for n in (row.authors, row.entries, row.size_bytes)),
                _moment(looked, row.newest_ms),
                plural(row.forks, "fork") if row.forks else "",
            )
            for row in rows
        ]
    figures = (Column(title, right=True) for title in ("authors", "entries", "bytes"))
    columns = (Column("document", shorten=True), Column("kind"), *figures, Column("last change"), Column())
    _print(table(columns, shown, _width()) if rows else [])
    kinds = Counter(row.kind for row in rows)
    counts = ": " + ", ".join(f"{count:,} {kind}" for kind, count in sorted(kinds.items())) if rows else ""
    _print([click.wrap_text(f"{plural(len(rows), 'document')}{counts}.", _width())])


@inspect.command("show")
@click.argument("document")
@_all
@_raw
@_json
@click.pass_obj
def show(path: Path, document: str, everything: bool, raw: bool, as_json: bool) -> None:
    """The value of DOCUMENT: what its entries say together, conflicts shown as such.

    \b
    --json prints: document, and value (as its merge rule encodes it) or, of
      journals, variances and kinds that are not known here, entries
    """
    with look(path) as looked, looked.log.read() as reader:
        found = inspection.find_document(reader, document)
        if not as_json and not raw:
            state = inspection.value_of(reader, SCHEMA, found)
            words = Wording(Page(looked, reader, _width(), everything))
            lines = [] if state is None else list(words.lines(found, state))
            if lines:
                forked = [feed for feed in _feeds(reader, found) if len(reader.heads(feed)) > 1]
                _print([click.style(str(found), bold=True), *lines, *_contradictions(looked, forked)])
                return
        shown = inspection.plain(inspection.show(reader, SCHEMA, found, looked.name_of))
    if as_json:
        _print_json(shown)
    else:
        Console(width=_width()).print(Pretty(shown, expand_all=True))


def _contradictions(looked: Looked, forked: Sequence[FeedId]) -> Iterator[str]:
    for feed in forked:
        said = f"  CONFLICT: {looked.name_of(feed.author)} contradicts itself here; 'explain' shows its entries."
        yield click.style(said, fg="red")


@inspect.command("explain")
@click.argument("document")
@_all
@_raw
@_json
@click.pass_obj
def explain(path: Path, document: str, everything: bool, raw: bool, as_json: bool) -> None:
    """Each author's part of DOCUMENT: its entry, when it came and from whom, and what it says.

    \b
    --json prints a list of: author, author_id, entries, fork,
      heads: author, author_id, seq, hash, stamp_ms, received_ms,
        received_from ("": made here), arrival, size_bytes, body
      part: the author's own contribution, as its merge rule encodes it
      covers: subject, seq, hash, here (true, false: another, null: not here)
    """
    with look(path) as looked, looked.log.read() as reader:
        found = inspection.find_document(reader, document)
        parts = inspection.explain(reader, SCHEMA, found, looked.name_of)
        if as_json:
            _print_json([dataclasses.asdict(part) for part in parts])
            return
        words = Wording(Page(looked, reader, _width(), everything))
        _print([click.style(str(found), bold=True)])
        for feed, part in zip(_feeds(reader, found), parts, strict=True):
            _print(["", click.style(f"{part.author} ({part.author_id})", bold=True)])
            _print(_arrived(looked, part))
            if raw:
                Console(width=_width()).print(Pretty(part.part, expand_all=True))
            else:
                _print(_said(reader, words, feed, part))


def _arrived(looked: Looked, part: AuthorPart) -> Iterator[str]:
    held = f", {plural(part.entries, 'entry', 'entries')} held" if part.entries > 1 else ""
    for head in part.heads:
        for line in _entry(looked, head, held if head is part.heads[-1] else ""):
            yield f"  {line}"


def _said(reader: Reader, words: Wording, feed: FeedId, part: AuthorPart) -> Iterator[str]:
    kind = SCHEMA.get(feed.document.kind)
    if kind is None:
        yield "  a kind that this version does not know: stored and passed on"
        return
    if part.fork:
        text = "It contradicts itself: every one of these entries counts, as a lower bound."
        yield click.style(f"  {text}", fg="red")
        heads = [stored.entry for head in reader.heads(feed) if (stored := reader.find(head.hash))]
        yield from words.side_by_side(heads)
        return
    whole = inspection.value_of(reader, SCHEMA, feed.document)
    if isinstance(whole, CounterBounded):
        yield from words.rights(feed.document, whole, [feed.author])
    else:
        yield from words.lines(feed.document, inspection.part_of(kind, reader, feed))


@inspect.command("diff")
@click.argument("other", type=_FOLDER)
@_all
@_json
@click.pass_obj
def diff(path: Path, other: Path, everything: bool, as_json: bool) -> None:
    """What this folder and OTHER do not hold alike.

    A feed that the other may not read is not missing there: a journal stays in its store, a balance with the stores where
    its owner shops. Those are counted, and listed with --all.

    \b
    --json prints a list of: document, author, here and there (lists of
      [number, hash] of the newest entries), same_value, expected
    """
    with look(path) as here, look(other) as there, here.log.read() as ours, there.log.read() as theirs:
        _refuse_strangers(here, there)
        name_of = _either(here, there).name_of
        rows = inspection.diff(ours, theirs, SCHEMA, name_of, (_readable(here), _readable(there)))
        names = here.folder.certificate.name, there.folder.certificate.name
    if as_json:
        _print_json([dataclasses.asdict(row) for row in rows])
        return
    shown = rows if everything else [row for row in rows if not row.expected]
    titles = (Column("document", shorten=True), Column("author"), *(Column(name, right=True) for name in names))
    cells = [(row.document, row.author, *map(_heads, (row.here, row.there)), _difference(row, names)) for row in shown]
    _print(table((*titles, Column()), cells, _width()) if cells else [])
    left = len(rows) - len(shown)
    if shown:
        _print([f"{plural(len(shown), 'feed')} differ{'s' if len(shown) == 1 else ''}."])
    else:
        _print([click.style(f"{names[0]} and {names[1]} hold the same of what both may read.", fg="green")])
    if left:
        _print([f"{plural(left, 'feed')} that only one of the two may read: --all lists them."])


def _refuse_strangers(here: Looked, there: Looked) -> None:
    ours, theirs = here.folder.root, there.folder.root
    if ours.company != theirs.company:
        raise Refused(
            f"{here.folder.path} belongs to {ours.name} and {there.folder.path} to {theirs.name}, another company "
            f"(its id begins {theirs.company.hex()[:8]}): they have nothing in common."
        )


def _difference(row: Difference, names: tuple[str, str]) -> str:
    value = {True: ", value the same", False: "", None: ""}[row.same_value]
    if row.expected:
        return f"not for {names[0] if not row.here else names[1]}"
    if not row.here or not row.there:
        return f"{names[1] if row.here else names[0]} lacks it{value}"
    ours, theirs = (max(seq for seq, _ in heads) for heads in (row.here, row.there))
    if ours == theirs or len(row.here) > 1 or len(row.there) > 1:
        return f"they contradict each other{value}"
    return (
        f"{names[1] if ours > theirs else names[0]} is {plural(abs(ours - theirs), 'entry', 'entries')} behind{value}"
    )


def _readable(looked: Looked) -> frozenset[str]:
    own = looked.folder.certificate
    return readable_scopes(own.role, own.store, frozenset(looked.directory.stores))


@inspect.command("claims")
@click.argument("code", required=False)
@_json
@click.pass_obj
def claims(path: Path, code: str | None, as_json: bool) -> None:
    """Which products CODE means, and who says so; without CODE all that share one, whether they agree or not.

    \b
    --json prints a list of what 'crdt-pos product conflicts --json' does
    """
    with look(path) as looked, looked.log.read() as reader:
        known, now_ms = identities(reader), system_ms()
        found = sharing.read(reader, known, now_ms)
        if code is not None:
            one = sharing.of_code(reader, known, code, now_ms)
            if one is None:
                raise NothingHere(f"No product has the code {code} here.")
            found = [one]
        if as_json:
            _print_json([sharing.plain(one) for one in found])
            return
        for shared in found:
            _print(sharing_text.lines(shared, looked.currencies(), _width()))
        if not found:
            _print(["No code that is claimed means two products here."])


@inspect.command("sale")
@click.argument("number")
@_json
@click.pass_obj
def sale(path: Path, number: str, as_json: bool) -> None:
    """Follow the receipt NUMBER, such as 12-3-a1-17, from the journal to the day and the balances.

    \b
    --json prints: number, type, business_date, currency, due_minor,
      tax_minor, receipt (its body), journal, entry, signed, day, day_seq,
      published_by, covered, movements, held_by,
      balances: document, earned, redeemed, known, entry
    """
    with look(path) as looked, looked.log.read() as reader:
        trail = inspection.sale(reader, looked.directory, SCHEMA, number, looked.name_of)
        if as_json:
            _print_json(inspection.plain(trail.plain()))
        else:
            _print(_trail(looked, trail))


def _trail(looked: Looked, trail: Trail) -> Iterator[str]:
    yield from (f"  {line}" for line in receipt_text(trail.receipt).splitlines())
    yield ""
    yield f"journal    {trail.journal}"
    yield from (f"           {line}" for line in _entry(looked, trail.entry))
    yield f"           hash {trail.entry.hash[:32]}"
    yield f"                {trail.entry.hash[32:]}"
    signed = f"yes, the signature is the author's ({trail.entry.author})"
    told = signed if trail.signed else "NO, THE SIGNATURE IS NOT THE AUTHOR'S"
    yield click.style(f"signed     {told}", fg="green" if trail.signed else "red")
    if trail.day is None:
        yield "day        no summary of that till and date is here yet"
    else:
        covered = "covers it" if trail.covered else "DOES NOT COVER IT YET"
        yield f"day        {trail.day}, entry {trail.day_seq} by {trail.published_by}, {covered}"
    for one in trail.moved:
        yield f"balance    {one.document}"
        moved = [f"earned {one.earned:,}"] if one.earned else []
        moved += [f"redeemed {one.redeemed:,}"] if one.redeemed else []
        yield f"           {', '.join(moved) or 'nothing'}; the balance known here now is {one.known:,}"
        if one.entry is not None:
            yield f"           newest of {one.entry.author}: entry {one.entry.seq}, {_digits(one.entry)}"
    safe = [f"on the disk of {listing(trail.held_by)}"] if trail.held_by else []
    if trail.entry.received_from:
        safe.append(f"here, at {looked.folder.certificate.name}, which had it from {trail.entry.received_from}")
    if not safe:
        safe = ["on this disk; no other replica has said that it holds this act"]
    yield f"safe       {'; '.join(safe)}"


# ---- small --------------------------------------------------------------------------------------------------------------


def _feeds(reader: Reader, document: Document) -> list[FeedId]:
    return [FeedId(document, author) for author in reader.authors(document)]


def _either(here: Looked, there: Looked) -> Looked:
    return here if len(here.directory.chains) >= len(there.directory.chains) else there


def _entry(looked: Looked, row: EntryRow, held: str = "") -> Iterator[str]:
    """Two lines: which entry, and how it came here."""
    came = f"came {_moment(looked, row.received_ms)} from {row.received_from}" if row.received_from else "made here"
    yield f"entry {row.seq} ({_digits(row)}), {row.size_bytes:,} bytes{held}"
    yield f"stamped {_moment(looked, row.stamp_ms)}, {came}"


def _digits(row: EntryRow) -> str:
    return f"{row.hash[:HASH_DIGITS_SHOWN]}…"


def _heads(heads: tuple[tuple[int, str], ...]) -> str:
    return " and ".join(str(seq) for seq, _ in heads) or "–"


def _moment(looked: Looked, ms: int) -> str:
    return f"{looked.local(ms):%Y-%m-%d %H:%M:%S}" if ms else "at an unknown time"


def _width() -> int:
    return shutil.get_terminal_size().columns


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)


def _print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))
