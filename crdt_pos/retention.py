"""Retention: how long documents stay, and on whose word they go: by acknowledgement, never by age alone.

Age only says from when on a head office *may* state a horizon (``Kind.retention_days``). It does so only when every till of the
store has told it of a later date and every date before is closed, and says which days it holds: their fingerprint. A replica
drops a journal before the horizon only if it holds exactly those days itself, and a closed summary covers that journal to its
last entry; else it keeps it. Days are never dropped: they are the books, with perpetual totals and the hash of the day before, so
the chain of days verifies for ever.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from crdt_pos.columns import plural
from crdt_pos.day import Day, days_between
from crdt_pos.errors import EnrolmentRefused
from crdt_pos.schema import DAY, JOURNAL, SCHEMA, VARIANCES
from gossip.document import Document, Key, date_of, day_number
from gossip.entry import FeedId
from gossip.log import Fingerprint, Log, Reader, feed_fingerprint
from merge_rules.counter_covers import CLOSED, CounterCovers
from merge_rules.dataclass import dataclass
from merge_rules.lattice import Author
from peers.roster import EPOCH, Directory, Horizon

if TYPE_CHECKING:
    from crdt_pos.registrar import Registrar

NAMES: Final[Mapping[str, str]] = {"receipts": JOURNAL, "variances": VARIANCES}
"""Kinds that have a horizon, by the names that a person gives them."""
REPLACED_DAYS: Final = 90
"""How long a replica's own entries stay that a newer one has replaced."""
_DAY_MS: Final = 86_400_000
_STANDS_FOR: Final[Mapping[str, str]] = {JOURNAL: DAY, VARIANCES: VARIANCES}
"""What of a store must be at head office before documents of a kind may go."""

NameOf = Callable[[Author], str]


@dataclass(frozen=True, slots=True)
class Due:
    """What follows from the horizons of the roster here."""

    horizons: Mapping[tuple[str, Key], int]
    drop: tuple[Document, ...]
    kept: tuple[tuple[Document, str], ...]
    """Documents before their horizon that are not known to be safe elsewhere, and why."""


def earliest(kind: str, today: datetime.date) -> datetime.date:
    """The latest horizon that may be stated today: before it, documents of ``kind`` were kept for long enough."""
    days = SCHEMA[kind].retention_days
    assert days is not None
    return today - datetime.timedelta(days=days)


def horizon(
    reader: Reader,
    directory: Directory,
    name_of: NameOf,
    kind: str,
    store: int,
    before: datetime.date,
    today: datetime.date,
) -> Horizon:
    """What a head office may state. Raises ``EnrolmentRefused``: in a sentence, what is missing, of which till."""
    word = next(name for name, one in NAMES.items() if one == kind)
    if before > earliest(kind, today):
        years = (SCHEMA[kind].retention_days or 0) // 365
        raise EnrolmentRefused(
            f"{word.capitalize()} are kept for {years} years: today they may go before {earliest(kind, today)} and no later."
        )
    since = directory.horizon(kind, store)
    if before <= since:
        raise EnrolmentRefused(f"{word.capitalize()} of store {store} before {since} may go already.")
    for document in reader.documents(DAY, 1, day_number(before) - 1):
        if document.keys == (store,):
            for author, date in _open(reader, document, since):
                raise EnrolmentRefused(
                    f"{name_of(author)} has not closed {date}, as far as it is known here: let it meet this head office, or have "
                    f"a neighbour close that date for it."
                )
    for till in directory.tills(store):
        if directory.expects(store, till.till or 0, till.incarnation, before):
            newest = _newest_day(reader, store, till.author)
            if newest is None or newest < before:
                told = f"since {newest}" if newest else "anything yet"
                raise EnrolmentRefused(
                    f"{name_of(till.author)} has not told this head office {told}, and may hold receipts that nobody else "
                    f"knows: let it sell a date after {before}, or retire it."
                )
    held = standing(reader, kind, store, since, before)
    return Horizon(kind, store, before, held.value.to_bytes(32, "big"), held.feeds, since)


def state(
    registrar: Registrar,
    kind: str,
    store: int | None,
    before: datetime.date,
    *,
    dry: bool = False,
    today: datetime.date | None = None,
) -> list[Horizon]:
    """State that documents of ``kind`` before a date may go, in a store or in every store; with ``dry`` only say so.

    ``today`` is that of this machine otherwise. Raises ``EnrolmentRefused``.
    """
    directory = registrar.directory
    today = today or datetime.datetime.now(datetime.UTC).date()
    if store is not None and store not in directory.stores:
        raise EnrolmentRefused(f"There is no store {store} in the roster.")

    def named(author: Author) -> str:
        certificate = directory.certificate(author)
        return author.hex() if certificate is None else f"{certificate.name} ({certificate.incarnation})"

    stores = sorted(directory.stores) if store is None else [store]
    with registrar.reading() as reader:
        stated = [horizon(reader, directory, named, kind, one, before, today) for one in stores]
    if not dry:
        registrar.state(stated)
    return stated


def standing(reader: Reader, kind: str, store: int, since: datetime.date, before: datetime.date) -> Fingerprint:
    """The sum over what stands for documents of ``kind``, as it is here."""
    total = Fingerprint()
    for document in reader.documents(_STANDS_FOR[kind], max(day_number(since), 1), day_number(before) - 1):
        if document.keys == (store,):
            for author in reader.authors(document):
                feed = FeedId(document, author)
                total = total.plus(feed_fingerprint(feed, reader.heads(feed)))
    return total


def due(reader: Reader, directory: Directory) -> Due:
    """What this replica has to do: ``log.prune``."""
    horizons: dict[tuple[str, Key], int] = {}
    drop: dict[Document, None] = {}
    kept: dict[Document, str] = {}
    for one in directory.horizons:
        if one.kind not in NAMES.values():
            continue
        key = one.kind, one.store
        horizons[key] = max(horizons.get(key, 0), day_number(one.before))
        low, high = max(day_number(one.since), 1), day_number(one.before) - 1
        documents = [found for found in reader.documents(one.kind, low, high) if found.keys == (one.store,)]
        if not documents:
            continue
        here = standing(reader, one.kind, one.store, one.since, one.before)
        same = here == Fingerprint(int.from_bytes(one.value, "big"), one.feeds)
        for document in documents:
            why = _unsafe(reader, document) if same else "this replica and head office do not hold the same days"
            if why:
                kept[document] = why
            else:
                drop[document] = None
    return Due(horizons, tuple(drop), tuple((document, why) for document, why in kept.items() if document not in drop))


def apply(log: Log, directory: Directory, now_ms: int) -> int:
    """Do it, in the writer's turn; how many entries were removed. Raises ``LogError``."""
    with log.read_all() as reader:
        found = due(reader, directory)
        moved = any(reader.horizons.get(key, 0) < day for key, day in found.horizons.items())
    replaced_before_ms = max(now_ms - REPLACED_DAYS * _DAY_MS, 0)
    if not moved and not found.drop and not _replaced(log, replaced_before_ms):
        return 0
    return log.prune(found.horizons, found.drop, replaced_before_ms)


def begins(directory: Directory) -> Iterator[str]:
    """Where history begins, in sentences."""
    for word, kind in NAMES.items():
        for store in sorted({one.store for one in directory.horizons if one.kind == kind}):
            date = directory.horizon(kind, store)
            if date != EPOCH:
                yield (
                    f"{word.capitalize()} of store {store} begin on {date}: head office holds the days before, and has let "
                    "go what they sum up."
                )


def kept_text(found: Due) -> str:
    """What is kept though it lies before its horizon, in a sentence; empty if nothing is."""
    if not found.kept:
        return ""
    document, why = found.kept[0]
    count = plural(len(found.kept), "document")
    return f"{count} before the horizon, {document} first, stay here: {why}."


def _replaced(log: Log, before_ms: int) -> bool:
    """Whether any own entry that was replaced is that old."""
    with log.read_all() as reader:
        return any(stamp >> 16 < before_ms for stamp in reader.replaced())


def _open(reader: Reader, document: Document, since: datetime.date) -> Iterator[tuple[Author, datetime.date]]:
    """Tills that have not closed the date of a ``day`` document, and those whose date before that is not here at all."""
    date = date_of(document.day)
    for subject, choice in _summaries(reader, document).choices().items():
        if CLOSED not in choice.counts.counters:
            yield subject, date
        before = days_between(Day.from_counters(choice.counts.counters), date)
        if before is not None and before >= since:
            earlier = _summaries(reader, document._replace(day=day_number(before)))
            if subject not in earlier.choices():
                yield subject, before


def _summaries(reader: Reader, document: Document) -> CounterCovers:
    state = CounterCovers.bottom()
    for stored in reader.head_entries(document):
        state = state.join(CounterCovers.from_entry(stored.entry.author, stored.entry.seq, stored.entry.body))
    return state


def _newest_day(reader: Reader, store: int, author: Author) -> datetime.date | None:
    days = (one.day for one in reader.documents(DAY) if one.keys == (store,) and reader.heads(FeedId(one, author)))
    newest = max(days, default=0)
    return date_of(newest) if newest else None


def _unsafe(reader: Reader, document: Document) -> str:
    """Why a document cannot go, though head office holds what this replica does; empty if it can."""
    if document.kind != JOURNAL:
        return ""
    choices = _summaries(reader, Document(DAY, document.day, document.keys)).choices()
    for author in reader.authors(document):
        heads = reader.heads(FeedId(document, author))
        choice = choices.get(author)
        if choice is None or CLOSED not in choice.counts.counters:
            return "its day is not closed"
        covers = choice.counts.covers
        if len(heads) != 1 or heads[0].seq != covers.seq or not heads[0].hash.startswith(covers.hash):
            return "its day does not cover all of it"
    return ""
