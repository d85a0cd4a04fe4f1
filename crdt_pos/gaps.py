"""Gaps: what is here of every life of a store's tills, and what is known to be missing. Pure.

Three things tell that something is missing, each without trust in who recovers: acts are numbered and chained in the journal of
each date; receipts are numbered without gaps through all dates of a life; summaries and sealed segments say how far a journal
had come. What a till did after all of these, nobody knows: so the moment up to which it is known stands beside.
"""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from crdt_pos.books import till_days
from crdt_pos.opening import Vaulted
from crdt_pos.receipt import Receipt, ReceiptType, Series
from crdt_pos.schema import DAY, JOURNAL
from crdt_pos.vouched import FOR_SOMEONE
from gossip.document import date_of
from gossip.entry import Entry, FeedId
from gossip.log import Reader
from merge_rules.dataclass import dataclass
from merge_rules.errors import InvalidBody
from merge_rules.lattice import Author
from peers.certificates import Certificate
from peers.permissions import Role
from peers.roster import Directory

Stretch = tuple[int, int]
"""First and last number, both included."""
STRETCHES_MAX: Final = 100
"""How many stretches of missing numbers are named; and of how many dates."""


@dataclass(frozen=True, slots=True)
class DateFound:
    """One life's business date."""

    date: datetime.date
    acts: int
    """Here, each verified."""
    receipts: int
    """Of them those that were given to someone."""
    known: int
    """How many there were at least, by anybody's signed word."""
    missing: tuple[Stretch, ...]
    """Numbers of acts that are not here."""
    chained: bool
    """Whether each act that is here holds the hash of the one before."""
    closed: bool
    """Whether its closing act is here. That says nothing of later dates."""


@dataclass(frozen=True, slots=True)
class NumbersMissing:
    """Receipt numbers of a series that no act here has, and none states as left out."""

    series: Series
    missing: tuple[Stretch, ...]


@dataclass(frozen=True, slots=True)
class LifeFound:
    """One life of a till."""

    name: str
    incarnation: str
    author: Author
    segments: int
    unopened: tuple[int, ...]
    """Segments that cannot be opened."""
    sealed_ms: int
    """When the newest of its segments that were heard was sealed, by its clock; 0 if there is none. What it did later, closing a
    date or opening the next, nobody here knows."""
    dates: tuple[DateFound, ...]
    numbers: tuple[NumbersMissing, ...]

    @property
    def receipts(self) -> int:
        """Receipts that are here."""
        return sum(one.receipts for one in self.dates)

    @property
    def missing(self) -> int:
        """Acts that are known to be missing."""
        return sum(count(one.missing) for one in self.dates)

    @property
    def complete(self) -> bool:
        """Whether nothing is known to be missing."""
        return not self.missing and not self.numbers and not self.unopened and all(one.chained for one in self.dates)


def lives_found(
    reader: Reader, directory: Directory, vaults: Iterable[Vaulted], stores: Iterable[int]
) -> list[LifeFound]:
    """Every life of the tills of ``stores``, by store, till and certificate. What was opened counts as here."""
    by_author = {vaulted.author: vaulted for vaulted in vaults}
    wanted = set(stores)
    tills = [chain[0] for chain in directory.chains.values()]
    tills = [one for one in tills if one.role is Role.TILL and one.store in wanted]
    acts, known = _acts(reader, by_author), _known(reader, directory, by_author)
    return [
        _life(one, acts.get(one.author, {}), known.get(one.author, {}), by_author.get(one.author))
        for one in sorted(tills, key=lambda one: (one.store or 0, one.till or 0, one.incarnation))
        if one.author in acts or one.author in known or one.author in by_author
    ]


_ByDay = Mapping[int, Mapping[int, Entry]]


def _acts(reader: Reader, vaults: Mapping[Author, Vaulted]) -> dict[Author, dict[int, dict[int, Entry]]]:
    """Author → day → number → act."""
    found: dict[Author, dict[int, dict[int, Entry]]] = defaultdict(lambda: defaultdict(dict))
    for document in reader.documents(JOURNAL):
        for author in reader.authors(document):
            for stored in reader.entries(FeedId(document, author)):
                found[author][document.day].setdefault(stored.entry.seq, stored.entry)
    for author, vaulted in vaults.items():
        for entry in vaulted.entries.values():
            if entry.document.kind == JOURNAL and entry.author == author:
                found[author][entry.document.day].setdefault(entry.seq, entry)
    return found


def _known(reader: Reader, directory: Directory, vaults: Mapping[Author, Vaulted]) -> dict[Author, dict[int, int]]:
    """Author → day → how many acts there were at least."""
    found: dict[Author, dict[int, int]] = defaultdict(dict)
    for document in reader.documents(DAY):
        for told in till_days(reader, directory, document):
            found[told.author][document.day] = told.covers
    for author, vaulted in vaults.items():
        for day, head in vaulted.journals.items():
            found[author][day] = max(found[author].get(day, 0), head.seq)
    return found


def _life(certificate: Certificate, acts: _ByDay, known: Mapping[int, int], vaulted: Vaulted | None) -> LifeFound:
    days = sorted({*acts, *known})
    return LifeFound(
        certificate.name,
        certificate.incarnation,
        certificate.author,
        vaulted.segments if vaulted else 0,
        tuple(vaulted.unopened) if vaulted else (),
        vaulted.sealed_ms if vaulted else 0,
        tuple(_date(day, acts.get(day, {}), known.get(day, 0)) for day in days),
        tuple(_numbers([acts[day] for day in days if day in acts])),
    )


def _date(day: int, acts: Mapping[int, Entry], known: int) -> DateFound:
    known = max(known, max(acts, default=0))
    receipts = [receipt for _, receipt in _receipts(acts)]
    chained = all(acts[seq].previous == acts[seq - 1].hash for seq in acts if seq - 1 in acts)
    return DateFound(
        date_of(day),
        len(acts),
        sum(receipt.series in FOR_SOMEONE for receipt in receipts),
        known,
        tuple(gaps(((seq, seq) for seq in acts), known)),
        chained,
        any(receipt.type is ReceiptType.CLOSING for receipt in receipts),
    )


def _receipts(acts: Mapping[int, Entry]) -> Iterator[tuple[int, Receipt]]:
    for seq in sorted(acts):
        try:
            yield seq, Receipt.from_body(acts[seq].body)
        except InvalidBody:
            continue  # an act of a kind that this version does not know


def _numbers(days: Sequence[Mapping[int, Entry]]) -> Iterator[NumbersMissing]:
    given: dict[Series, list[Stretch]] = defaultdict(list)
    for acts in days:
        for _, receipt in _receipts(acts):
            given[receipt.series].append((receipt.n, receipt.n))
            for skipped in receipt.skipped:
                if skipped.first <= skipped.last:
                    given[skipped.series].append((skipped.first, skipped.last))
    for series, held in sorted(given.items()):
        missing = tuple(gaps(held, max(last for _, last in held)))
        if missing:
            yield NumbersMissing(series, missing)


def count(missing: Iterable[Stretch]) -> int:
    """How many numbers stretches have."""
    return sum(last - first + 1 for first, last in missing)


def gaps(held: Iterable[Stretch], last: int) -> Iterator[Stretch]:
    """The numbers from 1 to ``last`` that no stretch of ``held`` has, in order.

    The numbers are whatever some replica claims: time and memory go by how many stretches are held, not by how far they reach.

    >>> list(gaps([(4, 4), (2, 2)], 2**53))
    [(1, 1), (3, 3), (5, 9007199254740992)]
    """
    following = 1
    for first, end in sorted(held):
        if following < first:
            yield following, first - 1
        following = max(following, end + 1)
    if following <= last:
        yield following, last
