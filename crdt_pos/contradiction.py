"""A contradiction in words: who signed which two things, of which day, under which number, with both amounts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

from crdt_pos.day import Day
from crdt_pos.forks import read_proofs
from crdt_pos.money import Currency
from crdt_pos.schema import DAY
from gossip.document import Document, date_of
from gossip.entry import Entry, FeedId, Hash
from gossip.log import Reader
from merge_rules.counter_covers import CounterCovers
from merge_rules.dataclass import dataclass
from merge_rules.errors import InvalidBody
from merge_rules.lattice import Author
from peers.roster import Directory


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Two entries of one author that cannot both be honest."""

    first: Entry
    second: Entry
    """With the higher number, or the same."""

    @property
    def author(self) -> Author:
        """Who contradicts itself."""
        return self.first.author

    def proven(self, directory: Directory) -> bool | None:
        """Whether both signatures are the author's; ``None`` while its certificate is not here."""
        certificate = directory.certificate(self.author)
        if certificate is None:
            return None
        return all(entry.verify(certificate.public_key) for entry in (self.first, self.second))

    def sentence(self, directory: Directory) -> str:
        """``12-9 signed two different days for 2026-11-19 as number 1, with takings of 12.00 EUR and of 34.00 EUR``."""
        certificate = directory.certificate(self.author)
        name = f"somebody unknown here ({self.author.hex()})" if certificate is None else certificate.name
        numbers = f"as number {self.first.seq}"
        if self.first.seq != self.second.seq:
            numbers = f"that exclude each other, as numbers {self.first.seq} and {self.second.seq}"
        document = self.first.document
        if document.kind != DAY:
            return f"{name} signed two different entries of {document} {numbers}"
        amounts = [_takings(entry, directory) for entry in (self.first, self.second)]
        said = f"{name} signed two different days for {date_of(document.day).isoformat()} {numbers}"
        if "" in amounts:
            return said
        if amounts[0] == amounts[1]:
            return f"{said}, both with takings of {amounts[0]}"
        return f"{said}, with takings of {amounts[0]} and of {amounts[1]}"


def contradictions(reader: Reader, documents: Iterable[Document]) -> list[Contradiction]:
    """Every contradiction that is stated in ``forks`` or stands in one of ``documents`` here, each pair once."""
    forked = [
        FeedId(document, author)
        for document in documents
        for author in reader.authors(document)
        if len(reader.heads(FeedId(document, author))) > 1
    ]
    pairs = list(read_proofs(reader))
    for feed in forked:
        heads = [stored.entry for head in reader.heads(feed) if (stored := reader.find(head.hash)) is not None]
        pairs += pairwise(heads)
    found: dict[frozenset[Hash], Contradiction] = {}
    for pair in pairs:
        found[frozenset(entry.hash for entry in pair)] = Contradiction(
            *sorted(pair, key=lambda one: (one.seq, one.raw))
        )
    return list(found.values())


def _takings(entry: Entry, directory: Directory) -> str:
    """What a day entry says was taken, by the till itself and in others' names; empty if it cannot be read."""
    return " + ".join(_amounts(entry, directory))


def _amounts(entry: Entry, directory: Directory) -> Iterator[str]:
    store, date = entry.document.keys[0], date_of(entry.document.day)
    record = directory.store(store, date) if isinstance(store, int) else None
    currency = Currency(record.currency, record.exponent) if record else Currency("", 2)
    try:
        for summary in CounterCovers.from_entry(entry.author, entry.seq, entry.body).published():
            said = currency.text(Day.from_counters(summary.counters).takings_minor)
            subject = directory.certificate(summary.subject)
            yield said if summary.subject == entry.author else f"{said} of {subject.name if subject else 'another'}"
    except InvalidBody:
        return
