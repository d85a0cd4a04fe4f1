"""Looking into a replica's log, document by document, changing nothing.

Every answer is computed within one short snapshot, so that it is consistent and a running replica is not held up. What the
answers hold is plain enough for JSON: ``plain`` says how.
"""

from __future__ import annotations

import dataclasses
import datetime
import fnmatch
import re
from collections.abc import Callable, Iterator, Mapping
from typing import cast

from crdt_pos import journal
from crdt_pos.counted import counted
from crdt_pos.errors import NothingHere
from crdt_pos.receipt import AccountMovement, Receipt
from crdt_pos.safety import held_by
from crdt_pos.schema import BALANCE, DAY, JOURNAL, VARIANCES, VAULT
from gossip.document import Document, FeedType, Key, day_number
from gossip.entry import Entry, FeedId, Head
from gossip.log import Reader, Stored, entries_of
from gossip.schema import Kind, Schema
from merge_rules.counter_bounded import CounterBounded
from merge_rules.counter_covers import CounterCovers, Summary
from merge_rules.dataclass import dataclass
from merge_rules.errors import InvalidBody
from merge_rules.lattice import Author, Rule
from merge_rules.log_append import LogAppend
from peers.roster import Directory

NameOf = Callable[[Author], str]
"""How a person calls an author: ``12-3 a1``; its 16 hex digits if its certificate is not here."""


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """One document of the list."""

    name: str
    kind: str
    authors: int
    entries: int
    """Held now: in ``latest`` feeds of others only the newest."""
    newest_ms: int
    """When its newest entry was appended here."""
    forks: int
    """Authors with more than one newest entry."""


@dataclass(frozen=True, slots=True)
class EntryRow:
    """One entry and how it came here."""

    author: str
    author_id: str
    seq: int
    hash: str
    stamp_ms: int
    """The author's hybrid logical clock, its milliseconds."""
    received_ms: int
    received_from: str
    """A replica's name; empty for our own."""
    arrival: int
    size_bytes: int
    body: object


@dataclass(frozen=True, slots=True)
class Covered:
    """How far a summary reaches into a journal."""

    subject: str
    """Whose journal; another's, if it was summed up by proxy."""
    seq: int
    hash: str
    """The first 16 bytes of the entry's hash."""
    here: bool | None
    """Whether the journal here has that entry under that number; ``None`` if it does not reach so far."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A feed that two replicas do not hold alike."""

    document: str
    author: str
    here: tuple[tuple[int, str], ...]
    """Heads as (sequence number, hash)."""
    there: tuple[tuple[int, str], ...]
    same_value: bool | None
    """Whether the documents' values are equal all the same; ``None`` for a kind that is not known here."""
    expected: bool
    """Whether the one that lacks it may not read it: a journal stays in its store, a balance with its patrons' stores."""
    author_id: str


def plain(value: object) -> object:
    """``value`` as JSON can say it: bytes as hex digits, keys as text."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value)
        return {key.hex() if isinstance(key, bytes) else str(key): plain(part) for key, part in items.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(part) for part in cast("list[object]", value)]
    if isinstance(value, datetime.date):
        return value.isoformat()
    if value is None or isinstance(value, bool | int | str):
        return value
    return str(value)


def find_document(reader: Reader, text: str) -> Document:
    """The document that a person calls ``text``, e.g. ``day/12/2026-11-22``. Raises ``NothingHere``."""
    kind, *parts = text.strip("/").split("/")
    day = 0
    if parts and (date := _date(parts[-1])):
        day = day_number(date)
        parts.pop()
    guess = Document(kind, day, tuple(_key(part) for part in parts))
    if any(True for _ in reader.authors(guess)):
        return guess
    # A key's type does not show in its text: 12 may be a number or a name.
    for document in reader.documents(kind, day, day or 2**16 - 1):
        if str(document) == text:
            return document
    raise NothingHere(f"There is no document {text} here; 'documents' lists those that are.")


def _date(text: str) -> datetime.date | None:
    try:
        return datetime.date.fromisoformat(text) if len(text) == 10 else None
    except ValueError:
        return None


def _key(text: str) -> Key:
    if text.isascii() and text.isdigit() and len(text) < 16:
        return int(text)
    if len(text) == 16 and all(digit in "0123456789abcdef" for digit in text):
        return bytes.fromhex(text)
    return text


def matcher(pattern: str) -> Callable[[str], bool]:
    """Whether a document's name matches ``pattern`` (``*`` and ``?``; ``day/12/*``)."""
    matches = re.compile(fnmatch.translate(pattern)).match
    return lambda name: matches(name) is not None


def document_row(reader: Reader, document: Document) -> DocumentRow:
    """How much of a document is held. Costs a look at the newest entries, and at those of ``latest`` feeds that were replaced."""
    authors = entries = newest = forks = 0
    for author in reader.authors(document):
        feed = FeedId(document, author)
        heads = [stored for head in reader.heads(feed) if (stored := reader.find(head.hash)) is not None]
        authors += 1
        forks += len(heads) > 1
        newest = max([newest, *(stored.received_ms for stored in heads)])
        if len(heads) == 1 and heads[0].entry.feed is FeedType.WHOLE:
            entries += heads[0].entry.seq
        else:
            entries += sum(1 for _ in reader.entries(feed))
    return DocumentRow(str(document), document.kind, authors, entries, newest, forks)


def value_of(reader: Reader, schema: Schema, document: Document) -> Rule | None:
    """A document's state: the join of its entries; ``None`` for a kind that is not known here."""
    kind = schema.get(document.kind)
    if kind is None:
        return None
    state = kind.rule.bottom()
    for author in reader.authors(document):
        state = state.join(part_of(kind, reader, FeedId(document, author)))
    return state


def part_of(kind: Kind, reader: Reader, feed: FeedId) -> Rule:
    """What one author says in a document: the join of its current entries."""
    state = kind.rule.bottom()
    heads = frozenset(head.hash for head in reader.heads(feed))
    for stored in reader.entries(feed):
        if kind.feed is FeedType.WHOLE or stored.entry.hash in heads:
            state = state.join(_from_entry(kind, stored.entry))
    return state


def _from_entry(kind: Kind, entry: Entry) -> Rule:
    try:
        return kind.rule.from_entry(entry.author, entry.seq, entry.body)
    except InvalidBody:
        return kind.rule.bottom()


def show(reader: Reader, schema: Schema, document: Document, name_of: NameOf) -> dict[str, object]:
    """A document's value, and its entries if it is of a kind whose merge rule is a log or that is not known here."""
    state = value_of(reader, schema, document)
    listed = state is None or document.kind in (JOURNAL, VARIANCES, VAULT)
    shown: dict[str, object] = {"document": str(document)}
    if listed:
        shown["entries"] = [dataclasses.asdict(entry_row(stored, name_of)) for stored in entries_of(reader, document)]
    elif state is not None:
        items = getattr(state, "items", None)
        shown["value"] = plain(items() if callable(items) else state.body())
    return shown


def covers(reader: Reader, entry: Entry, name_of: NameOf) -> Iterator[Covered]:
    """How far into whose journal the summaries of an entry reach; nothing, for an entry that is none."""
    document = entry.document
    if document.kind != DAY:
        return
    try:
        state = CounterCovers.from_entry(entry.author, entry.seq, entry.body)
    except InvalidBody:
        return
    for summary in state.published():
        feed = FeedId(Document(JOURNAL, document.day, document.keys), summary.subject)
        covered = next(iter(reader.entries(feed, summary.covers.seq - 1)), None)
        here = None if covered is None else covered.entry.hash.startswith(summary.covers.hash)
        yield Covered(name_of(summary.subject), summary.covers.seq, summary.covers.hash.hex(), here)


def entry_row(stored: Stored, name_of: NameOf) -> EntryRow:
    """An entry as people and JSON read it."""
    entry = stored.entry
    return EntryRow(
        name_of(entry.author),
        entry.author.hex(),
        entry.seq,
        entry.hash.hex(),
        entry.stamp >> 16,
        stored.received_ms,
        "" if stored.received_from is None else name_of(stored.received_from),
        stored.arrival,
        len(entry.raw),
        plain(entry.body),
    )


def diff(
    here: Reader,
    there: Reader,
    schema: Schema,
    name_of: NameOf,
    readable: tuple[frozenset[str], frozenset[str]] | None = None,
) -> list[Difference]:
    """The feeds that two replicas do not hold alike, in log order. None: they hold the same.

    ``readable``: the scopes that the one and the other may read.
    """
    different: list[Difference] = []
    names = {str(document): document for reader in (here, there) for document in reader.documents()}
    for document in names.values():
        authors = {*here.authors(document), *there.authors(document)}
        feeds = [FeedId(document, author) for author in sorted(authors)]
        unequal = [feed for feed in feeds if set(here.heads(feed)) != set(there.heads(feed))]
        if unequal:
            same = _same_value(here, there, schema, document)
            different += [
                Difference(
                    str(document),
                    name_of(feed.author),
                    _short(here.heads(feed)),
                    _short(there.heads(feed)),
                    same,
                    readable is not None and _expected(feed, here, there, readable),
                    feed.author.hex(),
                )
                for feed in unequal
            ]
    return different


def _same_value(here: Reader, there: Reader, schema: Schema, document: Document) -> bool | None:
    kind = schema.get(document.kind)
    if kind is not None and issubclass(kind.rule, LogAppend):
        return False  # its value is its entries: a year of journals need not be read to know that they differ
    ours, theirs = value_of(here, schema, document), value_of(there, schema, document)
    return None if ours is None or theirs is None else ours.body() == theirs.body()


def _expected(feed: FeedId, here: Reader, there: Reader, readable: tuple[frozenset[str], frozenset[str]]) -> bool:
    ours, theirs = here.heads(feed), there.heads(feed)
    if bool(ours) is bool(theirs):
        return False
    holder, heads, scopes = (here, ours, readable[1]) if ours else (there, theirs, readable[0])
    held = holder.find(heads[0].hash)
    return held is not None and not holder.scopes(held.entry) & scopes


def _short(heads: tuple[Head, ...]) -> tuple[tuple[int, str], ...]:
    return tuple((head.seq, head.hash.hex()) for head in heads)


@dataclass(frozen=True, slots=True)
class Moved:
    """What a receipt did to a balance, and who wrote that down."""

    document: str
    earned: int
    redeemed: int
    known: int
    """The balance as known here now."""
    entry: EntryRow | None
    """The till's newest entry in that document; ``None`` if it is not here."""

    def text(self) -> str:
        """``balance/points/…: earned 3; the balance known here is 21``."""
        parts = [f"earned {self.earned:,}"] if self.earned else []
        parts += [f"redeemed {self.redeemed:,}"] if self.redeemed else []
        return f"{self.document}: {', '.join(parts) or 'nothing'}; the balance known here is {self.known:,}"


@dataclass(frozen=True, slots=True)
class Trail:
    """Where a receipt stands."""

    receipt: Receipt
    journal: str
    entry: EntryRow
    signed: bool
    """Whether the journal entry's signature is by the key of the author's certificate."""
    day: str | None
    """The day document; ``None`` if no summary of that till and date is here."""
    day_seq: int
    published_by: str
    """Who signed the summary that counts; empty if there is none."""
    covered: bool
    """Whether the summary that counts reaches this act."""
    moved: tuple[Moved, ...]
    held_by: tuple[str, ...]
    """Who has acknowledged to hold this act on its disk; known at the till that wrote it."""

    def plain(self) -> dict[str, object]:
        """For JSON."""
        return {
            "number": self.receipt.number,
            "type": self.receipt.type.name.lower(),
            "business_date": self.receipt.business_date,
            "currency": self.receipt.currency,
            "due_minor": self.receipt.due_minor,
            "tax_minor": self.receipt.tax_minor,
            "receipt": self.receipt.body(),
            "journal": self.journal,
            "entry": dataclasses.asdict(self.entry),
            "signed": self.signed,
            "day": self.day,
            "day_seq": self.day_seq,
            "published_by": self.published_by,
            "covered": self.covered,
            "movements": [one.text() for one in self.moved],
            "balances": [dataclasses.asdict(one) for one in self.moved],
            "held_by": self.held_by,
        }


def sale(reader: Reader, directory: Directory, schema: Schema, number: str, name_of: NameOf) -> Trail:
    """Follow one receipt. Raises ``NothingHere`` if its journal is not here: sale-by-sale detail stays in its store."""
    found = journal.find(reader, number)
    if found is None:
        raise NothingHere(f"The receipt {number} is not here; its journal stays with the tills of its store.")
    entry = found.entry
    stored = reader.find(entry.hash)
    assert stored is not None
    certificate = directory.certificate(entry.author)
    day_document = Document(DAY, entry.document.day, entry.document.keys)
    summary, seq = _published(reader, schema, day_document, entry.author), 0
    if summary is not None:
        seq = max(head.seq for head in reader.heads(FeedId(day_document, summary.publisher)))
    held = held_by(reader, entry.feed_id)
    return Trail(
        found.receipt,
        str(entry.document),
        entry_row(stored, name_of),
        certificate is not None and entry.verify(certificate.public_key),
        None if summary is None else str(day_document),
        seq,
        "" if summary is None else name_of(summary.publisher),
        summary is not None and summary.covers.seq >= entry.seq,
        tuple(_moved(reader, schema, movement, entry.author, name_of) for movement in found.receipt.movements),
        tuple(sorted(name_of(peer) for peer, reach in held.items() if reach >= entry.seq)),
    )


def _published(reader: Reader, schema: Schema, document: Document, subject: Author) -> Summary | None:
    """The summary of a till's date that counts; its own, where the journal here says more than anybody has published."""
    one = next((one for one in counted(reader, document, as_published=True) if one.subject == subject), None)
    if one is None:
        return None
    if one.publisher is not None:
        return one.summary
    state = value_of(reader, schema, document)
    said = state.published() if isinstance(state, CounterCovers) else []
    return next((own for own in said if own.publisher == own.subject == subject), None)


def _moved(reader: Reader, schema: Schema, movement: AccountMovement, author: Author, name_of: NameOf) -> Moved:
    document = Document(BALANCE, keys=(movement.programme, movement.account))
    state = value_of(reader, schema, document)
    newest = list(reader.entries(FeedId(document, author)))
    return Moved(
        str(document),
        movement.earned,
        movement.redeemed,
        state.value() if isinstance(state, CounterBounded) else 0,
        entry_row(newest[-1], name_of) if newest else None,
    )
