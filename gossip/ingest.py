"""From received entries to the log: certificate, permission, signature, body, then one synced transaction.

What an entry must pass, in order, and whose fault a failure is:

1. its author's certificate is known here, or it waits until a peer has shown one;
2. its signature is the author's: otherwise the peer that sent it is at fault, for nobody honest passes it on;
3. its kind allows this author to write this document, and its body has the shape of its merge rule: otherwise the author is
   at fault, and the entry is quarantined: kept apart as evidence, neither joined nor passed on.

A kind that is not in the schema is stored and passed on once its signature is checked. Sans-I/O except for the log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from gossip.entry import Entry, Hash
from gossip.log import Arrival
from gossip.schema import Schema
from merge_rules.dataclass import dataclass
from merge_rules.errors import InvalidBody
from merge_rules.lattice import Author, Rule
from peers.keys import PublicKey
from peers.permissions import Role, may_author


@dataclass(frozen=True, slots=True)
class AuthorRecord:
    """What the check needs of an author's certificate."""

    public_key: PublicKey
    role: Role
    store: int | None


NONE_VERIFIED: Final[Mapping[Hash, bool]] = {}

AuthorLookup = Callable[[Author], AuthorRecord | None]


@dataclass(frozen=True, slots=True)
class Checked:
    """A batch after its checks."""

    arrivals: tuple[Arrival, ...]
    unknown: tuple[Entry, ...]
    """Their author's certificate is not here yet; nothing is said against them."""
    forged: tuple[Entry, ...]
    """The signature is not the author's."""


def check(
    entries: Sequence[Entry],
    received_from: Author | None,
    lookup: AuthorLookup,
    schema: Schema,
    verified: Mapping[Hash, bool] = NONE_VERIFIED,
) -> Checked:
    """Check a batch. Costs one signature verification per entry of a known author, but for those of which ``verified`` says
    what came of it in another process; may run on any thread."""
    arrivals: list[Arrival] = []
    unknown: list[Entry] = []
    forged: list[Entry] = []
    for entry in entries:
        author = lookup(entry.author)
        if author is None:
            unknown.append(entry)
        # Not by ``get`` with a default: an author that has become known meanwhile was not asked about.
        elif not (verified[entry.hash] if entry.hash in verified else entry.verify(author.public_key)):
            forged.append(entry)
        else:
            reason, body = judged(entry, author, schema)
            reason = reason or _reason_against_embedded(entry, lookup, schema)
            arrivals.append(Arrival(entry, received_from, reason, body))
    return Checked(tuple(arrivals), tuple(unknown), tuple(forged))


def reason_against(entry: Entry, author: AuthorRecord, schema: Schema) -> str | None:
    """Why a correctly signed entry does not count; ``None`` if it does."""
    return judged(entry, author, schema)[0]


def judged(entry: Entry, author: AuthorRecord, schema: Schema) -> tuple[str | None, Rule | None]:
    """The same, and what the rule of its kind makes of its body."""
    kind = schema.get(entry.document.kind)
    if kind is None:
        return None, None
    if not kind.names(entry.document):
        return f"{entry.document} is no name of a {kind.name} document", None
    if entry.feed is not kind.feed or entry.scope is not kind.scope:
        return f"a {kind.name} entry with another feed type or scope than its kind has", None
    store = entry.document.keys[0] if entry.document.keys else None
    # A well-formed name has the store as a number; whatever else stands there is nobody's own store.
    if not may_author(kind.authors, author.role, author.store, store if isinstance(store, int) else None):
        return f"{author.role} of store {author.store} may not author {entry.document}", None
    try:
        body = kind.rule.from_entry(entry.author, entry.seq, entry.body)
        if kind.patrons is not None:  # narrower than its rule; whoever appends reads it
            kind.patrons(entry.body)
    except InvalidBody as error:
        return str(error), None
    return None, body


def _reason_against_embedded(entry: Entry, lookup: AuthorLookup, schema: Schema) -> str | None:
    """A cut-off puts no words into anybody's mouth: what it embeds is signed by the author that it cuts off."""
    kind = schema.get(entry.document.kind)
    for cut in kind.cuts(entry.body) if kind is not None and kind.cuts is not None else ():
        author = lookup(cut.author)
        if author is not None and not all(one.verify(author.public_key) for one in cut.entries):
            return "it embeds an entry whose signature is not its author's"
    return None


def same_order(entries: Iterable[Entry]) -> list[list[Entry]]:
    """Split a batch into runs that must be checked one after the other: an entry of a ``roster`` kind may bring the
    certificates that the entries after it need."""
    runs: list[list[Entry]] = []
    for entry in entries:
        opens = entry.document.kind.startswith("roster")
        if not runs or opens != runs[-1][0].document.kind.startswith("roster"):
            runs.append([])
        runs[-1].append(entry)
    return runs
