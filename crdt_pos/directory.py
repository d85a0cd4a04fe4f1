"""The roster as a replica's log has it: reads roster documents into a ``Directory``, and knows which documents they are."""

from __future__ import annotations

from collections.abc import Iterable

from crdt_pos.roster_reading import RosterReading
from crdt_pos.schema import ROSTER, ROSTER_STORE
from gossip.document import Document
from gossip.log import Reader, entries_of
from merge_rules.lattice import Author
from peers.certificates import Root
from peers.roster import Directory, RosterSet

COMPANY_ROSTER = Document(ROSTER)


def store_roster(store: int) -> Document:
    """The document with a store's enrolments."""
    return Document(ROSTER_STORE, keys=(store,))


def is_roster(document: Document) -> bool:
    """Whether an entry of ``document`` changes the directory: then load it again."""
    return document.kind in (ROSTER, ROSTER_STORE)


def numbered_as(directory: Directory, author: Author) -> tuple[int, int, str] | None:
    """Store, till and incarnation by the certificate of a till: what its receipts are numbered with. ``None`` for others."""
    found = directory.certificate(author)
    if found is None or found.store is None or found.till is None:
        return None
    return found.store, found.till, found.incarnation


def load_directory(reader: Reader, root: Root, chains: Iterable[tuple[bytes, ...]] = ()) -> Directory:
    """The directory of everything in the log, and of ``chains`` shown otherwise (our own, and those of peers).

    Costs one verification of a signature for every enrolment that is not remembered as proven. Raises ``CertificateError`` for a
    chain that does not prove itself.
    """
    reading = RosterReading(root)
    for chain in chains:
        reading.show(chain)
    return reading.follow(reader)


def roster_state(reader: Reader, document: Document) -> RosterSet:
    """The value of one roster document."""
    state = RosterSet.bottom()
    for stored in entries_of(reader, document):
        state = state.join(RosterSet.from_entry(stored.entry.author, stored.entry.seq, stored.entry.body))
    return state
