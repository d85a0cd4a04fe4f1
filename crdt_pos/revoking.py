"""Revoking: what a head office states so that a replica takes part no more, and nothing of it counts that comes after.

The office states the newest entry of each of the replica's feeds that it knows, complete: a feed that keeps only its newest entry
would lose what counts to the next one. Summaries go into their store's roster, where only their store and the head offices read
them. Journals never come to a head office; what the store's day entries cover of them counts, by number and hash.

What was signed after is *quarantined* everywhere, whatever came first: kept, passed on, shown, and left out of every sum. A
readmission names it by hash and lets it count again, in a ``whole`` feed with all before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from crdt_pos.counted import counted
from crdt_pos.cut_offs import reach
from crdt_pos.directory import COMPANY_ROSTER, store_roster
from crdt_pos.errors import EnrolmentRefused
from crdt_pos.persons import SHREDDABLE
from crdt_pos.registrar import Registrar
from crdt_pos.schema import DAY, JOURNAL
from gossip.document import Document, FeedType, ScopeClass
from gossip.entry import Entry, FeedId, Hash
from gossip.log import Reader, Stored
from merge_rules.dataclass import dataclass
from merge_rules.lattice import AUTHOR_BYTES, Author
from peers.certificates import Certificate
from peers.roster import CUT_OFF_MAX, Directory, Readmission, Record, Revocation, Why

PART_BYTES_MAX: Final = 256 << 10
"""Embedded in one element. A cut-off that is longer is stated in several, of which the union counts."""
HASHES_MAX: Final = 1000
"""Readmitted at once."""


@dataclass(frozen=True, slots=True)
class Revoked:
    """What was stated."""

    certificate: Certificate
    entries: int
    """Newest entries that still count."""
    journals: int
    """Journals of which the beginning counts."""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """An entry that does not count."""

    entry: Entry
    reason: str
    received_ms: int


def revoke(registrar: Registrar, who: str, why: Why, note: str = "", life: str = "") -> Revoked:
    """State that a replica takes part no more. Raises ``EnrolmentRefused``."""
    revoked = found(registrar.directory, who, life)
    if revoked.author in registrar.directory.revocations:
        raise EnrolmentRefused(f"{revoked.name} {revoked.incarnation} is revoked already.")
    if revoked.author == registrar.author:
        raise EnrolmentRefused("A head office does not revoke itself: let another one do it.")
    embedded: dict[Document, list[bytes]] = {COMPANY_ROSTER: []}
    reaches: dict[Document, list[bytes]] = {}
    by_hash: list[Hash] = []
    with registrar.reading() as reader:
        for document in reader.documents():
            entries = _newest(reader, FeedId(document, revoked.author))
            if document.kind in SHREDDABLE:
                by_hash.extend(entry.hash for entry in entries)
            elif entries:
                place = _place(document, entries[0])
                embedded.setdefault(place, []).extend(entry.raw for entry in entries)
            if document.kind == DAY:
                covered = list(_covered(reader, document, revoked.author))
                if covered:
                    reaches.setdefault(store_roster(_store(document)), []).extend(covered)
    stated: dict[Document, list[Record]] = {
        place: list(_parts(revoked.author, why, note, embedded.get(place, []), reaches.get(place, [])))
        for place in {**embedded, **reaches}
    }
    for at in range(0, len(by_hash), HASHES_MAX):
        counting = tuple(sorted(by_hash[at : at + HASHES_MAX]))
        stated[COMPANY_ROSTER].append(Readmission(revoked.author, counting, note))
    registrar.state_in(list(stated.items()))
    return Revoked(revoked, sum(map(len, embedded.values())) + len(by_hash), sum(map(len, reaches.values())))


def readmit(registrar: Registrar, hashes: Sequence[Hash], who: str = "", note: str = "", life: str = "") -> int:
    """Let quarantined entries count again; how many. ``who`` signed them, where they are not here (acts of journals are not).

    Raises ``EnrolmentRefused``.
    """
    if not 1 <= len(hashes) <= HASHES_MAX:
        raise EnrolmentRefused(f"Name 1 to {HASHES_MAX} entries.")
    with registrar.reading() as reader:
        here = {one.entry.hash: one.entry for one in quarantined(reader)}
        held = {hash_: hash_ in here or reader.find(hash_) is not None for hash_ in hashes}
    by: dict[Author, list[Hash]] = {}
    for hash_ in hashes:
        if hash_ in here:
            by.setdefault(here[hash_].author, []).append(hash_)
        elif held[hash_]:
            raise EnrolmentRefused(f"{hash_.hex()} is not quarantined: it counts.")
        elif not who:
            raise EnrolmentRefused(f"{hash_.hex()} is not here: say with --of who signed it, such as 12-3.")
        else:
            by.setdefault(found(registrar.directory, who, life).author, []).append(hash_)
    places: dict[Document, list[Readmission]] = {}
    for author, named in by.items():
        if author not in registrar.directory.revocations:
            raise EnrolmentRefused("Only what a revoked replica signed can be readmitted.")
        latest = [here[one] for one in named if one in here and _is_embedded(here[one])]
        others = sorted(one for one in named if one not in {entry.hash for entry in latest})
        if others:
            places.setdefault(COMPANY_ROSTER, []).append(Readmission(author, tuple(others), note))
        for entry in latest:
            readmission = Readmission(author, (entry.hash,), note, (entry.raw,))
            places.setdefault(_place(entry.document, entry), []).append(readmission)
    registrar.state_in(list(places.items()))
    return len(hashes)


def quarantined(reader: Reader) -> list[Quarantined]:
    """What is held here and does not count, by author, document and number."""
    found = [Quarantined(stored.entry, reason, stored.received_ms) for stored, reason in reader.quarantined()]
    return sorted(found, key=lambda one: (one.entry.author, str(one.entry.document), one.entry.seq, one.entry.hash))


def found(directory: Directory, who: str, life: str = "") -> Certificate:
    """A replica by name or by author in hexadecimal digits. Raises ``EnrolmentRefused``."""
    everybody = [chain[0] for chain in directory.chains.values()]
    if len(who) == 2 * AUTHOR_BYTES and not who.strip("0123456789abcdef"):
        named = [one for one in everybody if one.author.hex() == who]
    else:
        named = [one for one in everybody if one.name == who and life in ("", one.incarnation)]
        named = [one for one in named if one.author not in directory.revocations] or named
    if not named:
        raise EnrolmentRefused(f"There is no replica {who}{f' with life {life}' if life else ''} in the roster.")
    if len(named) > 1:
        lives = ", ".join(sorted(one.incarnation for one in named))
        raise EnrolmentRefused(f"{who} has lived as {lives}: say which with --life.")
    return named[0]


def _is_embedded(entry: Entry) -> bool:
    return entry.feed is FeedType.LATEST and entry.document.kind not in SHREDDABLE


def _newest(reader: Reader, feed: FeedId) -> list[Entry]:
    found: list[Stored | None] = [reader.find(head.hash) for head in reader.heads(feed)]
    return [stored.entry for stored in found if stored is not None]


def _covered(reader: Reader, document: Document, author: Author) -> Iterator[bytes]:
    """How far a store's day entries cover an author's journal of their date."""
    for one in counted(reader, document):
        covers = one.summary.covers
        if one.subject == author and covers.seq:
            yield reach(Document(JOURNAL, document.day, document.keys), covers.seq, covers.hash)


def _place(document: Document, entry: Entry) -> Document:
    """The roster document whose readers may read an entry of ``document``; balances follow their patrons anywhere."""
    if entry.scope in (ScopeClass.COMPANY, ScopeClass.PATRONS):
        return COMPANY_ROSTER
    store = document.keys[0] if document.keys else None
    return store_roster(store) if isinstance(store, int) else COMPANY_ROSTER


def _store(document: Document) -> int:
    store = document.keys[0]
    assert isinstance(store, int)
    return store


def _parts(
    author: Author, why: Why, note: str, entries: Sequence[bytes], reaches: Sequence[bytes]
) -> Iterator[Revocation]:
    """Elements of a bounded size; at least one."""
    wholes = list(_chunks(entries)) or [()]
    ways = list(_chunks(reaches)) or [()]
    for number in range(max(len(wholes), len(ways))):
        whole = wholes[number] if number < len(wholes) else ()
        way = ways[number] if number < len(ways) else ()
        yield Revocation(author, why, whole, None, note, way)


def _chunks(items: Iterable[bytes]) -> Iterator[tuple[bytes, ...]]:
    part: list[bytes] = []
    size = 0
    for item in items:
        if part and (size + len(item) > PART_BYTES_MAX or len(part) >= CUT_OFF_MAX):
            yield tuple(part)
            part, size = [], 0
        part.append(item)
        size += len(item)
    if part:
        yield tuple(part)
