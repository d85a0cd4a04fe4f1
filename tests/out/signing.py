"""Signed entries of a company on paper: no certificates, no folders; logs in memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from crdt_pos.balance import balance_document
from crdt_pos.cut_offs import reach
from crdt_pos.directory import COMPANY_ROSTER
from crdt_pos.journal import journal_document
from crdt_pos.schema import SCHEMA
from gossip.document import Document, FeedType
from gossip.entry import Entry, FeedId, sign
from gossip.log import Arrival, Outcome, entries_of
from gossip.log_memory import MemoryLog
from merge_rules.counter_bounded import CounterBounded
from merge_rules.lattice import Author
from merge_rules.set_remove_wins import SetRemoveWins
from peers.keys import SecretKey
from peers.roster import Readmission, Record, Revocation, Why, element

ACCOUNT = b"account1"
BALANCE = balance_document("points", ACCOUNT)
JOURNAL = journal_document(12, 20_000)
VARIANCES = Document("variances", 20_000, (12,))


@dataclass
class Writer:
    """One author's feeds; it can go on from any of its entries, which is a fork."""

    name: str
    entries: list[Entry] = field(default_factory=list[Entry])

    def __post_init__(self) -> None:
        self.key = SecretKey(self.name.encode().ljust(32, b"#"))
        self.author = Author(self.name.encode().ljust(8, b".")[:8])

    def sign(self, document: Document, body: object, after: Entry | None = None) -> Entry:
        """The next entry of a feed, or the one ``after`` another."""
        kind = SCHEMA[document.kind]
        mine = [entry for entry in self.entries if entry.document == document]
        last = after or (mine[-1] if mine else None)
        previous = last.hash if last is not None and kind.feed is FeedType.WHOLE else None
        seq = 1 if last is None else last.seq + 1
        entry = sign(self.key, self.author, document, kind.feed, kind.scope, seq, seq << 16, body, previous)
        self.entries.append(entry)
        return entry

    def earned(self, total: int) -> Entry:
        return self.sign(BALANCE, {0: total})

    def acts(self, *texts: str) -> list[Entry]:
        return [self.sign(VARIANCES, text) for text in texts]

    def journals(self, *texts: str) -> list[Entry]:
        return [self.sign(JOURNAL, text) for text in texts]

    def state(self, record: Record) -> Entry:
        return self.sign(COMPANY_ROSTER, SetRemoveWins.bottom().add_body(element(record)))


def revocation(of: Writer, *counting: Entry, journal: Entry | None = None) -> Revocation:
    reaches = () if journal is None else (reach(JOURNAL, journal.seq, journal.hash),)
    return Revocation(of.author, Why.STOLEN, tuple(entry.raw for entry in counting), reaches=reaches)


def readmission(*entries: Entry) -> Readmission:
    latest = tuple(entry.raw for entry in entries if entry.feed is FeedType.LATEST)
    return Readmission(entries[0].author, tuple(sorted(entry.hash for entry in entries)), "", latest)


def log_of(entries: Iterable[Entry]) -> MemoryLog:
    """A log to which entries came in this order; one that came before its predecessor came again."""
    log = MemoryLog(SCHEMA)
    waiting = list(entries)
    while waiting:
        outcomes = log.append([Arrival(entry, Author(b"sender..")) for entry in waiting])
        gaps = [entry for entry, one in zip(waiting, outcomes, strict=True) if one.outcome is Outcome.GAP]
        assert len(gaps) < len(waiting), "an entry whose predecessor nobody has"
        waiting = gaps
    return log


@dataclass(frozen=True)
class Read:
    """What counts, as readers see it."""

    said: tuple[str, ...]
    journal: tuple[str, ...]
    points: int
    roster: tuple[str, ...]
    heads: tuple[tuple[int, bytes], ...]
    quarantined: frozenset[bytes]
    """Of ``whole`` feeds; of ``latest`` ones only the newest is kept."""


def read(log: MemoryLog, author: Author) -> Read:
    with log.read() as reader:
        points = CounterBounded.bottom()
        for stored in reader.head_entries(BALANCE):
            entry = stored.entry
            points = points.join(CounterBounded.from_entry(entry.author, entry.seq, entry.body))
        said, journal = (
            tuple(sorted(str(stored.entry.body) for stored in entries_of(reader, document)))
            for document in (VARIANCES, JOURNAL)
        )
        heads = [head for one in (VARIANCES, JOURNAL, BALANCE) for head in reader.heads(FeedId(one, author))]
        return Read(
            said,
            journal,
            points.value(),
            tuple(sorted(stored.entry.hash.hex() for stored in entries_of(reader, COMPANY_ROSTER))),
            tuple((head.seq, head.hash) for head in heads),
            frozenset(one.entry.hash for one, _ in reader.quarantined() if one.entry.feed is FeedType.WHOLE),
        )
