"""Own heads: what a replica asks every peer after a start, and what it answers when asked.

A disk that was set back does not know it. Peers do: they hold entries of this author that are newer than any that the disk
holds. The question is ``since``, the newest stamp of the asker's own entries as its disk has it; the answer shows those of
the asker's heads, as the answerer holds them, whose stamps are newer: the entries themselves, which bear the asker's own
signature. So nothing that a peer only says is believed. Pure but for reading.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Final, cast

from crdt_pos.schema import SCHEMA
from crdt_pos.till_state import TillState
from gossip.document import FeedType
from gossip.entry import Entry, FeedId, decode
from gossip.errors import BadEntry
from gossip.log import Arrival, Reader, View
from gossip.messages import CONTENT_BYTES_MAX
from merge_rules import canonical
from merge_rules.errors import InvalidBody, NotCanonical
from merge_rules.lattice import Author
from peers.keys import PublicKey

TOPIC: Final = "heads"
HEADS_MAX: Final = 400
SHOWN_BYTES_MAX: Final = CONTENT_BYTES_MAX - (1 << 10)
"""Of the entries in an answer, each with its length."""
LENGTH_BYTES: Final = 5
STAMP_MAX: Final = 2**64 - 1

_NEWEST_PREFIX: Final = b"newest/"
_STAMP_BYTES: Final = 8


def newest_views(reader: Reader, arrivals: Iterable[Arrival]) -> list[View]:
    """The views that remember the newest stamp of every author: written with entries that come in."""
    newest: dict[Author, int] = {}
    for arrival in arrivals:
        entry = arrival.entry
        newest[entry.author] = max(newest.get(entry.author, 0), entry.stamp)
    return [
        (_NEWEST_PREFIX + author, stamp.to_bytes(_STAMP_BYTES, "big"))
        for author, stamp in newest.items()
        if stamp > _newest(reader, author)
    ]


def newest_own(reader: Reader, author: Author) -> int:
    """The newest stamp of this replica's own entries, as its disk has it."""
    return max(_newest(reader, author), TillState.read(reader).stamp)


def encode_question(since: int) -> bytes:
    """The content of the question."""
    return canonical.encode(since)


def answer(reader: Reader, asker: Author, content: bytes) -> bytes | None:
    """The content of the answer: empty at once if nothing here is newer; ``None`` for content that is no question.

    Else a walk over all feeds; the newest ``HEADS_MAX`` heads, as far as ``SHOWN_BYTES_MAX`` goes.
    """
    since = _integer(content)
    if since is None:
        return None
    newer: list[Entry] = []
    if _newest(reader, asker) > since:
        for document in reader.documents():
            for head in reader.heads(FeedId(document, asker)):
                stored = reader.find(head.hash)
                if stored is not None and stored.entry.stamp > since:
                    newer.append(stored.entry)
    shown: list[object] = []
    left = SHOWN_BYTES_MAX
    for entry in sorted(newer, key=lambda one: one.stamp, reverse=True)[:HEADS_MAX]:
        if len(entry.raw) + LENGTH_BYTES <= left:
            left -= len(entry.raw) + LENGTH_BYTES
            shown.append(entry.raw)
    return canonical.encode(shown)


def decode_answer(content: bytes, asker: Author, key: PublicKey) -> list[Entry]:
    """The asker's own entries that a peer shows. What is none, or was not signed with ``key``, says nothing."""
    try:
        items = canonical.decode(content)
    except NotCanonical:
        return []
    shown: list[Entry] = []
    for item in cast("list[object]", items)[:HEADS_MAX] if isinstance(items, list) else []:
        if isinstance(item, bytes):
            with contextlib.suppress(BadEntry):
                entry = decode(item)
                if entry.author == asker and entry.verify(key):
                    shown.append(entry)
    return shown


def is_lost(reader: Reader, entry: Entry) -> bool:
    """Whether an own entry is neither here nor contained in one that is: then this disk has forgotten it.

    Of a ``latest`` feed what was replaced need not be here any more, and peers may still hold it.
    """
    if reader.find(entry.hash) is not None or reader.is_lost(entry.hash) or reader.shredded(entry.document):
        return False  # one that is damaged here has its place, and what was destroyed is not missed
    if entry.feed is FeedType.WHOLE:
        return True
    later = [reader.find(head.hash) for head in reader.heads(entry.feed_id) if head.seq > entry.seq]
    return not any(one is not None and _contains(one.entry, entry) for one in later)


def come_back(reader: Reader, arrivals: Iterable[Arrival], author: Author) -> bool:
    """Whether these bring what ``author`` has signed and this disk has lost. One whose predecessor is missing waits for that."""
    for entry in (arrival.entry for arrival in arrivals if arrival.entry.author == author):
        if is_lost(reader, entry) and (entry.previous is None or reader.find(entry.previous) is not None):
            return True
    return False


def _contains(later: Entry, entry: Entry) -> bool:
    kind = SCHEMA.get(entry.document.kind)
    if kind is None:
        return True
    try:
        upper = kind.rule.from_entry(later.author, later.seq, later.body)
        return kind.rule.from_entry(entry.author, entry.seq, entry.body).precedes(upper)
    except InvalidBody:
        return False


def _newest(reader: Reader, author: Author) -> int:
    return int.from_bytes(reader.view(_NEWEST_PREFIX + author) or b"", "big")


def _integer(content: bytes) -> int | None:
    try:
        value = canonical.decode(content)
    except NotCanonical:
        return None
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= STAMP_MAX else None
