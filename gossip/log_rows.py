"""The rows of the log's table: which keys there are and what their values hold.

    m name                        meta: format, company, database id, file identity, last arrival number
    e arrival                     an entry as it came: sender, wall clock, bytes
    h hash                        arrival number of the entry with this hash
    f feed key                    the heads of a feed
    s feed key, seq, hash         arrival number and form of an entry that is no longer a head
    D scope, order key            sum of the fingerprints of a document's feeds
    M scope, month                sum of a month's documents
    S scope                       sum of the scope
    A account, order key          documents that travel with an account's patrons
    P account, store              stores whose patron an account is; the value is the scope
    c database id                 cursor into a peer's log
    v key                         a view
    q hash                        a quarantined entry: reason, entry as it came
    x author, hash                an entry that cuts off an author, or lets more of it count
    t order key                   a shredded document: nothing of it is held, now or later
    l hash                        an entry whose bytes the disk has lost: form, number, feed key; heads and past entries of its
                                  feed name it, with 0 for its arrival number

Numbers are big-endian, so that bytewise order is theirs. ``scope`` stands as 16 bytes of its SHA-256.
"""

from __future__ import annotations

import functools
import hashlib
import struct
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, cast

from gossip.document import FeedType, Key, Scope, ScopeClass
from gossip.entry import HASH_BYTES, Entry, Hash
from gossip.errors import LogCorrupt
from gossip.log import FINGERPRINT_MODULUS, Fingerprint
from merge_rules import canonical
from merge_rules.errors import NotCanonical
from merge_rules.lattice import AUTHOR_BYTES, Author

FORMAT_VERSION: Final = 2

META: Final = b"m"
ENTRY: Final = b"e"
BY_HASH: Final = b"h"
FEED: Final = b"f"
PAST: Final = b"s"
DOCUMENT_SUM: Final = b"D"
MONTH_SUM: Final = b"M"
SCOPE_SUM: Final = b"S"
ACCOUNT: Final = b"A"
PATRON: Final = b"P"
CURSOR: Final = b"c"
VIEW: Final = b"v"
QUARANTINE: Final = b"q"
CUT: Final = b"x"
LOST: Final = b"l"
SHREDDED: Final = b"t"

META_FORMAT: Final = b"mformat"
META_COMPANY: Final = b"mcompany"
META_DATABASE: Final = b"mdatabase"
META_FILE: Final = b"mfile"
META_ARRIVAL: Final = b"marrival"
META_HORIZONS: Final = b"mhorizons"
"""[[kind, store, day], …]: documents of a kind and store before this day travel no more."""
META_FREED: Final = b"mfreed"
"""There, while the file may hold bytes of what was shredded."""

MONTH_BYTES: Final = 2
SCOPE_BYTES: Final = 16

_HEAD: Final = struct.Struct(">B6s32sQ")
_RECORD: Final = struct.Struct(">B8sQ")
_PAST: Final = struct.Struct(">QB")
_LOST: Final = struct.Struct(">B6s")
_SUM: Final = struct.Struct(">32sQ")
_NUMBER: Final = struct.Struct(">Q")
_NOBODY: Final = Author(bytes(AUTHOR_BYTES))


class Tip(NamedTuple):
    """A head as its feed's row holds it. Tips sort by (seq, hash)."""

    seq: int
    hash: Hash
    form: int
    """Feed type and scope class, which one author may contradict: entries of different forms are never compared."""
    arrival: int


class Record(NamedTuple):
    """An entry's bytes as they came."""

    raw: bytes
    received_from: Author | None
    received_ms: int


def form_of(entry: Entry) -> int:
    """Feed type and scope class in one byte."""
    return entry.scope << 1 | entry.feed


@functools.lru_cache
def scope_class_of(form: int) -> ScopeClass:
    return ScopeClass(form >> 1)


def is_whole(form: int) -> bool:
    """Whether the form is of a ``whole`` feed."""
    return bool(form & FeedType.WHOLE)


def number(value: int) -> bytes:
    """Eight bytes, big-endian."""
    return _NUMBER.pack(value)


def from_number(value: bytes | None) -> int:
    """The reverse of ``number``; 0 for a row that is not there."""
    return 0 if value is None else int(_unpacked(_NUMBER, value)[0])


def entry_key(arrival: int) -> bytes:
    return b"e" + _NUMBER.pack(arrival)


def past_key(feed: bytes, seq: int, entry_hash: bytes = b"") -> bytes:
    return b"s" + feed + seq.to_bytes(6, "big") + entry_hash


def past_value(tip: Tip) -> bytes:
    return _PAST.pack(tip.arrival, tip.form)


def from_past(key: bytes, value: bytes) -> Tip:
    arrival, form = _unpacked(_PAST, value)
    return Tip(int.from_bytes(key[-HASH_BYTES - 6 : -HASH_BYTES], "big"), Hash(key[-HASH_BYTES:]), form, arrival)


def feed_of_past(key: bytes) -> bytes:
    """The feed key of a past entry."""
    return key[1 : -HASH_BYTES - 6]


def tips_value(tips: list[Tip]) -> bytes:
    return b"".join([_HEAD.pack(tip.form, tip.seq.to_bytes(6, "big"), tip.hash, tip.arrival) for tip in tips])


def from_tips(value: bytes | None) -> list[Tip]:
    if value is None:
        return []
    if not value or len(value) % _HEAD.size:
        raise LogCorrupt("the heads of a feed are damaged")
    return [
        Tip(int.from_bytes(seq, "big"), Hash(entry_hash), form, arrival)
        for form, seq, entry_hash, arrival in _HEAD.iter_unpack(value)
    ]


def record_value(record: Record) -> bytes:
    sender = record.received_from
    return _RECORD.pack(sender is not None, sender or _NOBODY, record.received_ms) + record.raw


def from_record(value: bytes) -> Record:
    sent, sender, received_ms = _unpacked(_RECORD, value[: _RECORD.size])
    return Record(value[_RECORD.size :], Author(sender) if sent else None, received_ms)


def was_received(value: bytes | None) -> bool:
    """Whether a record came from a peer."""
    return bool(value and value[0])


def quarantine_value(record: Record, reason: str) -> bytes:
    text = reason.encode()[:0xFFFF]
    return len(text).to_bytes(2, "big") + text + record_value(record)


def from_quarantine(value: bytes) -> tuple[Record, str]:
    end = 2 + int.from_bytes(value[:2], "big")
    return from_record(value[end:]), value[2:end].decode(errors="replace")


def lost_value(feed: bytes, tip: Tip) -> bytes:
    return _LOST.pack(tip.form, tip.seq.to_bytes(6, "big")) + feed


def from_lost(key: bytes, value: bytes) -> tuple[bytes, Tip]:
    """The feed key and the tip of a lost entry."""
    form, seq = _unpacked(_LOST, value[: _LOST.size])
    return value[_LOST.size :], Tip(int.from_bytes(seq, "big"), Hash(key[1:]), form, 0)


def sum_value(fingerprint: Fingerprint) -> bytes:
    return _SUM.pack(fingerprint.value.to_bytes(32, "big"), fingerprint.feeds)


def from_sum(value: bytes | None) -> Fingerprint:
    if value is None:
        return Fingerprint()
    hashed, feeds = _unpacked(_SUM, value)
    return Fingerprint(int.from_bytes(hashed, "big"), feeds)


def reduced(value: int, feeds: int) -> Fingerprint:
    return Fingerprint(value % FINGERPRINT_MODULUS, feeds)


@functools.lru_cache(maxsize=64)
def from_horizons(value: bytes | None) -> Mapping[tuple[str, Key], int]:
    if value is None:
        return {}
    try:
        return {(kind, store): day for kind, store, day in cast("list[tuple[str, int, int]]", canonical.decode(value))}
    except NotCanonical as error:
        raise LogCorrupt("the horizons of the log are damaged") from error


def horizons_value(horizons: Mapping[tuple[str, Key], int]) -> bytes:
    return canonical.encode([[kind, store, day] for (kind, store), day in sorted(horizons.items(), key=repr)])


@functools.lru_cache(maxsize=4096)
def scope_id(scope: Scope) -> bytes:
    """The 16 bytes that stand for a scope in keys."""
    return hashlib.sha256(scope.encode()).digest()[:SCOPE_BYTES]


@functools.lru_cache(maxsize=65536)
def account_key(account: Key) -> bytes:
    """The bytes that stand for an account in keys; none is a prefix of another."""
    return canonical.encode(account)


def patrons_scope(store: Key) -> Scope:
    """The scope of the accounts of a store."""
    return Scope(f"patrons/{store.hex() if isinstance(store, bytes) else store}")


def _unpacked(layout: struct.Struct, value: bytes) -> tuple[Any, ...]:
    try:
        return layout.unpack(value)
    except struct.error as error:
        raise LogCorrupt("a row of the log is damaged") from error
