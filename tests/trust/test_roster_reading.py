"""Reading on in the roster, and remembering what was proven, say what reading all of it and proving it again says."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st

from crdt_pos.directory import COMPANY_ROSTER, is_roster, roster_state, store_roster
from crdt_pos.proven_views import ProvenViews
from crdt_pos.roster_reading import RosterReading
from crdt_pos.schema import SCHEMA
from gossip.document import Document
from gossip.entry import Entry, sign
from gossip.log import NOT_HERE, Arrival, Log, Reader, View, entries_of, feed_key
from gossip.log_memory import MemoryLog
from merge_rules.lattice import Author
from merge_rules.set_remove_wins import ELEMENT
from peers import certificates
from peers.certificates import Certificate
from peers.keys import SecretKey
from peers.roster import (
    Closure,
    Directory,
    Enrolment,
    Guarding,
    Horizon,
    ProgrammeRecord,
    Readmission,
    Record,
    Revocation,
    RosterSet,
    SealedKey,
    StoreRecord,
    Why,
    element,
    proven,
)
from tests.trust.material import company, key

OURS, THEIRS = company(), company(100)
SECOND = certificates.issue_office(OURS.root, OURS.root_key, key(40).public, "b")
KEYS = {OURS.office.author: OURS.office_key, SECOND.author: key(40)}
OFFICES = (OURS.office, SECOND)


def till(office: Certificate, secret: SecretKey, store: int, number: int, life: str) -> tuple[bytes, ...]:
    issued = certificates.issue_till(OURS.root, office, KEYS[office.author], secret.public, store, number, life)
    return issued.der, office.der


CHAINS = (
    till(OURS.office, key(3), 12, 3, "a1"),
    till(SECOND, key(4), 12, 3, "b1"),
    till(OURS.office, key(5), 13, 1, "a1"),
    (certificates.issue_relay(OURS.root, SECOND, key(40), key(6).public, 1, "b1").der, SECOND.der),
    (OURS.office.der,),
    (SECOND.der,),
    (THEIRS.till.der, THEIRS.office.der),
)
TILLS = [certificates.parse(chain[0]) for chain in CHAINS[:3]]
HORIZON_DATE = Closure(12).last_day.replace(year=2026)
SAID: tuple[Record, ...] = (
    *map(Enrolment, CHAINS),
    StoreRecord(12),
    StoreRecord(12, name="renamed"),
    StoreRecord(13),
    ProgrammeRecord("points"),
    Closure(12, 3),
    Closure(13),
    SealedKey("root", b"", b"sealed"),
    Guarding(3),
    Horizon("journal", 12, HORIZON_DATE, bytes(32), 1),
    Readmission(TILLS[0].author, (bytes(32),)),
    Revocation(TILLS[0].author, Why.LOST),
    Revocation(SECOND.author, Why.STOLEN),
)
DOCUMENTS = (COMPANY_ROSTER, store_roster(12), store_roster(13))


@dataclass
class Writer:
    """An office that writes in roster documents. Told to contradict itself, it goes on after an entry that is not its last."""

    office: Certificate
    entries: dict[Document, list[Entry]] = field(default_factory=dict[Document, "list[Entry]"])

    def write(self, document: Document, body: object, *, contradicts: bool) -> Entry:
        line = self.entries.setdefault(document, [])
        if contradicts and line:
            line.pop()
        kind, me = SCHEMA[document.kind], self.office.author
        previous = line[-1].hash if line else None
        made = sign(KEYS[me], me, document, kind.feed, kind.scope, len(line) + 1, len(line) + 1, body, previous)
        line.append(made)
        return made


Act = tuple[Certificate, Document, Record, str, bool]
"""Who writes where what, whether it is added, removed or replaces another, and whether its author contradicts itself."""

acts = st.lists(
    st.tuples(
        st.sampled_from(OFFICES),
        st.sampled_from(DOCUMENTS),
        st.sampled_from(SAID),
        st.sampled_from(["add", "add", "add", "remove", "replace"]),
        st.integers(0, 30).map(lambda one: one == 0),
    ),
    max_size=24,
)


def written(chosen: Iterable[Act]) -> list[Entry]:
    """The entries of these acts; each office has seen its own and the other's before."""
    writers = {office.author: Writer(office) for office in OFFICES}
    states = dict.fromkeys(DOCUMENTS, RosterSet.bottom())
    found: list[Entry] = []
    for office, document, record, what, contradicts in chosen:
        said, state = element(record), states[document]
        body = state.remove_body(said) if what == "remove" else state.add_body(said)
        if what == "replace" and record != SAID[0]:
            body = state.replace_body(element(SAID[0]), said)
        entry = writers[office.author].write(document, body, contradicts=contradicts)
        states[document] = state.join(RosterSet.from_entry(entry.author, entry.seq, entry.body))
        found.append(entry)
    return found


def plainly(reader: Reader) -> Directory:
    """All of it read and proven, as the roster is defined."""
    present: list[object] = []
    stated: list[object] = []
    for document in filter(is_roster, reader.documents()):
        present += roster_state(reader, document).elements()
        bodies = (cast("dict[int, object]", one.entry.body) for one in entries_of(reader, document))
        stated += [body[ELEMENT] for body in bodies if ELEMENT in body]
    return Directory.build(OURS.root, present, stated, reader.revoked()).knowing(CHAINS[2])


def reading(remembered_at_once: int = 1) -> RosterReading:
    begun = RosterReading(OURS.root, remembered_at_once)
    begun.show(CHAINS[2])
    return begun


def follow(log: Log, roster: RosterReading, documents: Sequence[Document] | None = None) -> Directory:
    with log.read() as reader:
        return roster.follow(reader, documents)


def taken(log: Log, entry: Entry, views: Iterable[View] = ()) -> bool:
    """Whether the log has taken an entry from a peer: it may wait for the one before."""
    (appended,) = log.append([Arrival(entry, Author(b"somebody"))], views)
    return appended.outcome not in NOT_HERE


@settings(max_examples=40, deadline=None)
@given(acts, st.randoms(use_true_random=False))
def test_reading_on_says_what_reading_all_of_it_says_whatever_comes_first(
    chosen: list[Act], chance: random.Random
) -> None:
    log, kept = MemoryLog(SCHEMA, b"one database id."), reading()
    waiting = written(chosen)
    chance.shuffle(waiting)
    while waiting:
        waiting = [one for one in waiting if not taken(log, one, kept.unsaved())]
        chance.shuffle(waiting)
        now = follow(log, kept)
        with log.read() as reader:
            assert now == plainly(reader)
        assert follow(log, reading()) == now, "what is remembered says the same"


@settings(max_examples=40, deadline=None)
@given(acts)
def test_reading_on_in_the_documents_that_grew_misses_nothing(chosen: list[Act]) -> None:
    log, kept = MemoryLog(SCHEMA, b"one database id."), reading()
    for entry in written(chosen):
        if taken(log, entry, kept.unsaved()):
            now = follow(log, kept, [entry.document])
            with log.read() as reader:
                assert now == plainly(reader)


def enrolled() -> tuple[MemoryLog, list[Entry]]:
    """A log with two enrolments in store 12, both remembered."""
    log, kept = MemoryLog(SCHEMA, b"one database id."), reading()
    entries = written((OURS.office, DOCUMENTS[1], Enrolment(chain), "add", False) for chain in CHAINS[:2])
    assert all(taken(log, one) for one in entries)
    follow(log, kept)
    log.append([], kept.unsaved())
    return log, entries


def feed_of(entry: Entry) -> bytes:
    return feed_key(entry.feed_id)


def test_what_is_remembered_is_read_without_its_entries_and_is_what_the_certificate_says() -> None:
    log, entries = enrolled()
    with log.read() as reader:
        kept = list(ProvenViews(OURS.root).of_feed(reader, feed_of(entries[0])))
    assert [(one.seq, one.hash, one.chain) for one in kept] == [
        (entry.seq, entry.hash, proven(chain, OURS.root)) for entry, chain in zip(entries, CHAINS, strict=False)
    ]


def test_what_is_remembered_of_other_entries_is_not_believed() -> None:
    log, entries = enrolled()
    other = MemoryLog(SCHEMA, b"a second log id.")
    with log.read() as reader:
        foreign = list(reader.views(b"roster/"))
    theirs = written((OURS.office, DOCUMENTS[1], Enrolment(chain), "add", False) for chain in (CHAINS[1], CHAINS[2]))
    assert theirs[0].feed_id == entries[0].feed_id
    assert all(taken(other, one, foreign) for one in theirs)
    assert follow(other, reading()).named("12-3") == [TILLS[1]]


def test_an_enrolment_that_a_disk_lost_is_read_again_when_a_peer_brings_it_back() -> None:
    log, kept = MemoryLog(SCHEMA, b"one database id."), reading()
    entries = written((OURS.office, DOCUMENTS[1], Enrolment(chain), "add", False) for chain in CHAINS[:2])
    assert all(taken(log, one) for one in entries)
    with log.read() as reader:
        first = reader.find(entries[0].hash)
    assert first is not None
    log.mend(TILLS[2].author, (first.arrival,))
    assert follow(log, kept).named("12-3") == [TILLS[1]]
    assert taken(log, entries[0])
    assert follow(log, kept, [DOCUMENTS[1]]).named("12-3") == TILLS[:2]


def test_a_snapshot_from_before_takes_nothing_back() -> None:
    log, kept = MemoryLog(SCHEMA, b"one database id."), reading()
    (entry,) = written([(OURS.office, DOCUMENTS[1], Enrolment(CHAINS[0]), "add", False)])
    with log.read() as earlier:
        assert taken(log, entry)
        assert follow(log, kept).named("12-3") == [TILLS[0]]
        assert kept.follow(earlier).named("12-3") == [TILLS[0]]
