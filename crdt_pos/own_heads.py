"""Own heads: what a replica asks every peer after a start, and what it answers when asked.

A disk that was set back does not know it. Peers do: they hold entries of this author that are newer than any that the disk
holds. The question is ``since``, the newest stamp of the asker's own entries as its disk has it; the answer lists those of
the asker's heads, as the answerer holds them, whose stamps are newer. Nothing is believed of it but that it is worth waiting
for: the entries themselves travel like all others, and they bear the asker's own signature. Pure but for reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, cast

from crdt_pos.till_state import TillState
from gossip.document import from_order_key
from gossip.entry import HASH_BYTES, SEQ_MAX, FeedId, Hash
from gossip.log import Arrival, Reader, View, feed_key
from gossip.messages import FEED_KEY_BYTES_MAX
from merge_rules import canonical
from merge_rules.errors import NotCanonical
from merge_rules.lattice import AUTHOR_BYTES, Author

TOPIC: Final = "heads"
HEADS_MAX: Final = 400
STAMP_MAX: Final = 2**64 - 1

_NEWEST_PREFIX: Final = b"newest/"
_STAMP_BYTES: Final = 8


class OwnHead(NamedTuple):
    """The head of a feed of the asker's."""

    feed_key: bytes
    seq: int
    hash: Hash


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

    Else a walk over all feeds; at most ``HEADS_MAX`` heads.
    """
    since = _integer(content)
    if since is None:
        return None
    if _newest(reader, asker) <= since:
        return canonical.encode([])
    found: list[list[object]] = []
    for document in reader.documents():
        feed = FeedId(document, asker)
        for head in reader.heads(feed):
            stored = reader.find(head.hash)
            if stored is not None and stored.entry.stamp > since and len(found) < HEADS_MAX:
                found.append([feed_key(feed), head.seq, head.hash])
    return canonical.encode(found)


def decode_answer(content: bytes | None, asker: Author) -> list[OwnHead] | None:
    """The heads that a peer says it holds; ``None`` for no answer. One that is no such list says nothing."""
    if content is None:
        return None
    try:
        items = canonical.decode(content)
    except NotCanonical:
        return []
    heads: list[OwnHead] = []
    for item in cast("list[object]", items) if isinstance(items, list) else []:
        match item:
            case [bytes(key), int(seq), bytes(hash_)] if (
                key.endswith(asker)
                and _names_a_feed(key)
                and not isinstance(seq, bool)
                and 0 < seq <= SEQ_MAX
                and len(hash_) == HASH_BYTES
            ):
                heads.append(OwnHead(key, seq, Hash(hash_)))
            case _:
                continue
    return heads[:HEADS_MAX]


def lacking(reader: Reader, heads: Sequence[OwnHead]) -> list[OwnHead]:
    """Those that are not here."""
    return [head for head in heads if reader.find(head.hash) is None]


def reached(reader: Reader, head: OwnHead) -> bool:
    """Whether the feed here goes as far."""
    return any(one.seq >= head.seq for one in reader.heads(reader.feed_at(head.feed_key)))


def _names_a_feed(key: bytes) -> bool:
    try:
        from_order_key(key[:-AUTHOR_BYTES])
    except (NotCanonical, ValueError):
        return False
    return len(key) <= FEED_KEY_BYTES_MAX


def _newest(reader: Reader, author: Author) -> int:
    return int.from_bytes(reader.view(_NEWEST_PREFIX + author) or b"", "big")


def _integer(content: bytes) -> int | None:
    try:
        value = canonical.decode(content)
    except NotCanonical:
        return None
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= STAMP_MAX else None
