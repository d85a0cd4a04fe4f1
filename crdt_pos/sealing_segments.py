"""Segments: entries packed, compressed, and sealed to the company's recovery key, as they leave their store. Pure.

    body    = [1, box]                          ; of an entry of vault/<store>/<till>
    box     = seal(recovery key, zlib(content)) ; libsodium's sealed box around RFC 1950
    content = [[*run], {day: [seq, hash]}]
    run     = [entry, *[cut]]                   ; entries of one feed, each the predecessor of the next
    cut     = an entry without its previous hash, which is that of the one before in the run

What a segment covers stands inside: outside it would tell a guardian how many receipts a store gives on which day. That none
is missing shows outside all the same, for a vault is a ``whole`` feed: numbered, each holding the hash of the one before.
``{day: [seq, hash]}`` says how far the till's journals went when it was sealed.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import Final, cast

from crdt_pos.errors import BadSegment
from gossip.entry import ENTRY_BYTES_MAX, HASH_BYTES, Entry, FeedId, Hash, Head, decode
from gossip.errors import BadEntry
from merge_rules import canonical, shape
from merge_rules.dataclass import dataclass
from merge_rules.errors import InvalidBody, NotCanonical
from peers.errors import SealError
from peers.keys import SIGNATURE_BYTES, SealingKey, seal

VERSION: Final = 1
PLAIN_BYTES_MAX: Final = 1 << 18
"""Entries in a segment, before they are compressed, unless a single one is longer."""
CONTENT_BYTES_MAX: Final = 2 * ENTRY_BYTES_MAX
"""What a segment may come to when it is opened: a longer one is refused before it fills the memory."""
_DAY_MAX: Final = 2**16 - 1
_SEQ_MAX: Final = 2**40
_TAIL_BYTES: Final = 2 + SIGNATURE_BYTES
"""The signature's head and the signature, at the end of every entry."""
_PREVIOUS_HEAD: Final = b"\x58\x20"
_CUT_BYTES: Final = len(_PREVIOUS_HEAD) + HASH_BYTES


@dataclass(frozen=True, slots=True)
class Segment:
    """What stands in one."""

    entries: tuple[Entry, ...]
    journals: Mapping[int, Head] = field(default_factory=dict[int, Head])
    """Day → how far the till's own journal of that date had come when this was sealed."""


def split(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """In order, at most ``PLAIN_BYTES_MAX`` bytes a part, unless a single entry is longer."""
    part: list[Entry] = []
    size = 0
    for entry in entries:
        if part and size + len(entry.raw) > PLAIN_BYTES_MAX:
            yield part
            part, size = [], 0
        part.append(entry)
        size += len(entry.raw)
    if part:
        yield part


def seal_segment(segment: Segment, recovery_key: bytes) -> object:
    """The body of the vault's entry."""
    journals = {day: [head.seq, head.hash] for day, head in segment.journals.items()}
    content = canonical.encode([_runs(segment.entries), journals])
    return [VERSION, seal(recovery_key, zlib.compress(content, level=9))]


def open_segment(body: object, key: SealingKey) -> Segment:
    """What was sealed; signatures are not verified here. Raises ``BadSegment``."""
    try:
        parts = shape.array(body, "a segment")
        if len(parts) != 2 or parts[0] != VERSION or not isinstance(parts[1], bytes):
            raise BadSegment("it has another form than this version knows")
        return _segment(canonical.decode(_inflated(key.open(parts[1]))))
    except (SealError, zlib.error, NotCanonical, InvalidBody, BadEntry) as error:
        raise BadSegment(str(error).rstrip(".")) from error


def _inflated(compressed: bytes) -> bytes:
    inflating = zlib.decompressobj()
    content = inflating.decompress(compressed, CONTENT_BYTES_MAX)
    if not inflating.eof:
        raise BadSegment(f"it is cut short, or holds more than {CONTENT_BYTES_MAX} bytes")
    return content


def _runs(entries: Sequence[Entry]) -> list[list[bytes]]:
    runs: list[list[bytes]] = []
    ends: dict[FeedId, tuple[Hash, list[bytes]]] = {}
    for entry in entries:
        end = ends.get(entry.feed_id)
        if end is not None and entry.previous == end[0]:
            run = end[1]
            run.append(entry.raw[: -_TAIL_BYTES - _CUT_BYTES] + entry.raw[-_TAIL_BYTES:])
        else:
            run = [entry.raw]
            runs.append(run)
        ends[entry.feed_id] = entry.hash, run
    return runs


def _segment(content: object) -> Segment:
    parts = shape.array(content, "a segment's content")
    if len(parts) != 2:
        shape.refuse("a segment's content has not two parts")
    entries: list[Entry] = []
    for run in shape.array(parts[0], "the runs"):
        before: Entry | None = None
        for raw in shape.array(run, "a run"):
            before = decode(_spliced(shape.octets(raw, "an entry", ENTRY_BYTES_MAX), before))
            entries.append(before)
    journals: dict[int, Head] = {}
    for day, head in shape.mapping(parts[1], "how far the journals went").items():
        seq, hash_ = _pair(head)
        hash_ = shape.octets(hash_, "a hash", HASH_BYTES)
        journals[shape.integer(day, 1, _DAY_MAX, "a day")] = Head(
            shape.integer(seq, 1, _SEQ_MAX, "a number"), Hash(hash_)
        )
    return Segment(tuple(entries), journals)


def _pair(value: object) -> tuple[object, object]:
    parts = shape.array(value, "a number and a hash")
    if len(parts) != 2:
        shape.refuse("a number and a hash have not two parts")
    return cast("tuple[object, object]", tuple(parts))


def _spliced(raw: bytes, before: Entry | None) -> bytes:
    if before is None:
        return raw
    return raw[:-_TAIL_BYTES] + _PREVIOUS_HEAD + before.hash + raw[-_TAIL_BYTES:]
