"""Reading the log: one snapshot of its table, seen as feeds, documents, scopes and views.

The same for every implementation; ``log_rows`` says which rows there are. Sans-I/O.
"""

from __future__ import annotations

import functools
import hashlib
import heapq
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Final

from gossip import log_rows as rows
from gossip.document import Document, Key, Scope, ScopeClass, fixed_scope, from_order_key, month_of, order_key
from gossip.entry import Entry, FeedId, Hash, Head, decode, decode_held
from gossip.errors import BadEntry, EntryLost, LogCorrupt
from gossip.log import Fingerprint, Stored, feed_key, fingerprint_of
from gossip.log_recent import Recent
from gossip.log_table import TableReader, after_prefix
from merge_rules import canonical
from merge_rules.errors import NotCanonical
from merge_rules.lattice import AUTHOR_BYTES, Author

_LONG_ARRAY: Final = 0x98
GRAINS: Final = 4
"""A part that a range is split into is made of about so many pieces or more: its size is out by no more than one of them."""


RecentEntries = Recent[int, Entry]
"""Entries by arrival number, which names one entry for ever once its transaction is there."""


class LogReader:
    """A ``gossip.log.Reader`` over a snapshot of the table."""

    def __init__(self, table: TableReader, recent: RecentEntries) -> None:
        self._table = table
        self._recent = recent

    # Feeds

    def tips(self, feed: bytes) -> list[rows.Tip]:
        """The heads of a feed as its row holds them, by (seq, hash)."""
        return rows.from_tips(self._table.get(rows.FEED + feed))

    def heads(self, feed: FeedId) -> tuple[Head, ...]:
        return tuple(Head(tip.seq, tip.hash) for tip in self.tips(feed_key(feed)))

    def feed_rows(self, document: bytes) -> Iterator[tuple[bytes, list[rows.Tip]]]:
        """Feed keys and heads under the order key of a document, by author."""
        prefix = rows.FEED + document
        for key, value in self._table.scan(prefix, after_prefix(prefix)):
            yield key[1:], rows.from_tips(value)

    def authors(self, document: Document) -> Iterator[Author]:
        for feed, _ in self.feed_rows(order_key(document)):
            yield Author(feed[-AUTHOR_BYTES:])

    def head_entries(self, document: Document) -> Iterator[Stored]:
        for _, tips in self.feed_rows(order_key(document)):
            yield from self._stored_tips(tips)

    def entries(self, feed: FeedId, after_seq: int = 0) -> Iterator[Stored]:
        return self._stored_tips(self.held(feed_key(feed), after_seq))

    def held(self, feed: bytes, after_seq: int = 0) -> Iterator[rows.Tip]:
        """Everything held of a feed, heads or not, by (seq, hash)."""
        past = self._table.scan(rows.past_key(feed, after_seq + 1), after_prefix(rows.PAST + feed))
        tips = (tip for tip in self.tips(feed) if tip.seq > after_seq)
        yield from heapq.merge((rows.from_past(key, value) for key, value in past), tips)

    def feed_at(self, key: bytes) -> FeedId:
        return FeedId(from_order_key(key[:-AUTHOR_BYTES]), Author(key[-AUTHOR_BYTES:]))

    # Entries

    def stored(self, arrival: int) -> Stored:
        """The entry with an arrival number that is taken."""
        value = self._table.get(rows.entry_key(arrival))
        if value is None:
            raise LogCorrupt(f"entry {arrival} of the log is missing")
        return self._stored(arrival, value)

    def _stored_tips(self, tips: Iterable[rows.Tip]) -> Iterator[Stored]:
        for tip in tips:
            if tip.arrival or not rows.is_whole(tip.form):
                yield self._stored_tip(tip)

    def _stored_tip(self, tip: rows.Tip) -> Stored:
        if not tip.arrival:
            raise EntryLost(
                "what this replica signed last of something was damaged on its disk: it waits until a peer brings it back"
            )
        stored = self.stored(tip.arrival)
        if stored.entry.hash != tip.hash:
            raise LogCorrupt(f"entry {tip.arrival} of the log is damaged: its hash is another")
        return stored

    def lost(self) -> Iterator[tuple[FeedId, Head]]:
        for key, value in self._table.scan(rows.LOST, after_prefix(rows.LOST)):
            feed, tip = rows.from_lost(key, value)
            yield self.feed_at(feed), Head(tip.seq, tip.hash)

    def is_lost(self, entry_hash: Hash) -> bool:
        return self._table.get(rows.LOST + entry_hash) is not None

    def entry(self, arrival: int) -> Entry:
        """The same without how it came; cheaper."""
        return self._recent.get(arrival) or self.stored(arrival).entry

    def _stored(self, arrival: int, value: bytes) -> Stored:
        record = rows.from_record(value)
        entry = self._recent.get(arrival)
        if entry is None:
            try:
                entry = decode_held(record.raw)
            except BadEntry as error:
                raise LogCorrupt(f"entry {arrival} of the log is damaged: {error}") from error
            self._recent.keep(arrival, entry, entry.memory_bytes)
        return Stored(entry, arrival, record.received_from, record.received_ms)

    def find(self, entry_hash: Hash) -> Stored | None:
        arrival = self._table.get(rows.BY_HASH + entry_hash)
        return None if arrival is None else self.stored(rows.from_number(arrival))

    def beginning(self, digits: str, limit: int) -> Iterator[Stored]:
        low = rows.BY_HASH + bytes.fromhex(digits[: len(digits) & ~1])
        arrivals = (
            rows.from_number(value)
            for key, value in self._table.scan(low, after_prefix(low))
            if key[len(rows.BY_HASH) :].hex().startswith(digits)
        )
        return (self.stored(arrival) for arrival in islice(arrivals, limit))

    def last_arrival(self) -> int:
        return rows.from_number(self._table.get(rows.META_ARRIVAL))

    def arrivals(self, after: int, limit: int) -> Iterator[Stored]:
        newer = self._table.scan(rows.entry_key(after + 1), after_prefix(rows.ENTRY))
        for key, value in islice(newer, limit):
            yield self._stored(rows.from_number(key[1:]), value)

    def quarantined(self) -> Iterator[tuple[Stored, str]]:
        for _, value in self._table.scan(rows.QUARANTINE, after_prefix(rows.QUARANTINE)):
            record, reason = rows.from_quarantine(value)
            yield Stored(decode(record.raw), 0, record.received_from, record.received_ms), reason

    def shredded(self, document: Document) -> bool:
        return self._table.get(rows.SHREDDED + order_key(document)) is not None

    def counts(self, entry: Entry) -> bool:
        del entry  # everything counts here
        return True

    def covers(self, feed: FeedId, seq: int, beginning: bytes) -> bool:
        del feed, seq, beginning
        return True

    def revoked(self) -> frozenset[Author]:
        return frozenset()

    def hides(self, entry_hash: Hash) -> bool:
        del entry_hash
        return False

    def cut_off_digest(self) -> bytes:
        keys = [key for key, _ in self._table.scan(rows.CUT, after_prefix(rows.CUT))]
        return hashlib.sha256(b"".join(keys)).digest() if keys else b""

    # Documents

    def documents(self, kind: str | None = None, day_from: int = 0, day_to: int = 2**16 - 1) -> Iterator[Document]:
        low = rows.FEED + month_of(day_from).to_bytes(rows.MONTH_BYTES, "big")
        high = rows.FEED + (month_of(day_to) + 1).to_bytes(rows.MONTH_BYTES, "big")
        while (found := next(self._table.scan(low, high), None)) is not None:
            key = found[0][:-AUTHOR_BYTES]
            document = _name(key[1:])
            skip = _next_wanted(key, document, kind, day_from, day_to)
            if skip is None:
                yield document
            low = skip or key + b"\xff" * (AUTHOR_BYTES + 1)

    # Scopes

    def replaced(self) -> Iterator[int]:
        for key, value in self._table.scan(rows.PAST, after_prefix(rows.PAST)):
            tip = rows.from_past(key, value)
            if not rows.is_whole(tip.form):
                yield self.entry(tip.arrival).stamp

    @property
    def horizons(self) -> Mapping[tuple[str, Key], int]:
        """By kind and store, the day before which documents travel no more."""
        return self._horizons

    @functools.cached_property
    def _horizons(self) -> Mapping[tuple[str, Key], int]:
        return rows.from_horizons(self._table.get(rows.META_HORIZONS))

    def is_past(self, document: Document) -> bool:
        """Whether a document lies before the horizon of its kind and store."""
        if not document.day or not document.keys:
            return False
        return document.day < self.horizons.get((document.kind, document.keys[0]), 0)

    def scopes(self, entry: Entry) -> frozenset[Scope]:
        return frozenset(self.scopes_of(entry.document, entry.scope))

    def scopes_of(self, document: Document, scope: ScopeClass) -> list[Scope]:
        """The scopes of a document's entries of one scope class; none once it is past its horizon."""
        if self.is_past(document):
            return []
        fixed = fixed_scope(document, scope)
        return self.patrons_scopes(document.keys[-1]) if fixed is None else [fixed]

    def patrons_scopes(self, account: Key) -> list[Scope]:
        """The scopes of the stores whose patron an account is."""
        prefix = rows.PATRON + rows.account_key(account)
        return [Scope(value.decode(errors="replace")) for _, value in self._table.scan(prefix, after_prefix(prefix))]

    def tips_in(
        self, scope: Scope, document: Document, tips: Iterable[rows.Tip], known: dict[int, bool] | None = None
    ) -> list[rows.Tip]:
        """Those of a document's heads that travel in a scope. ``known``: what was found of its forms so far."""
        chosen: list[rows.Tip] = []
        in_scope = {} if known is None else known
        for tip in tips:
            travels = in_scope.get(tip.form)
            if travels is None:
                travels = scope in self.scopes_of(document, rows.scope_class_of(tip.form))
                in_scope[tip.form] = travels
            if travels:
                chosen.append(tip)
        return chosen

    def feeds(
        self, scope: Scope, low: bytes = b"", high: bytes | None = None
    ) -> Iterator[tuple[bytes, tuple[Head, ...]]]:
        for document, _ in self._document_sums(scope, low, high):
            for feed, heads in self._feeds_of(scope, document, low, high):
                yield feed, tuple(Head(tip.seq, tip.hash) for tip in heads)

    def fingerprint(self, scope: Scope, low: bytes = b"", high: bytes | None = None) -> Fingerprint:
        if not low and high is None:
            return rows.from_sum(self._table.get(rows.SCOPE_SUM + rows.scope_id(scope)))
        value = feeds = 0
        for _, piece, _ in self._pieces(scope, low, high):
            value += piece.value
            feeds += piece.feeds
        return rows.reduced(value, feeds)

    def split(self, scope: Scope, low: bytes, high: bytes | None, parts: int) -> list[tuple[bytes | None, Fingerprint]]:
        pieces = list(self._pieces(scope, low, high))
        total = sum(piece.feeds for _, piece, _ in pieces)
        cut: list[tuple[bytes | None, Fingerprint]] = []
        before = b""
        value = feeds = seen = 0
        for start, piece in self._grains(pieces, scope, low, high, max(1, total // (GRAINS * parts))):
            if feeds and seen + piece.feeds // 2 >= total * (len(cut) + 1) // parts:
                cut.append((_between(before, start), rows.reduced(value, feeds)))
                value = feeds = 0
            before = start
            value += piece.value
            feeds += piece.feeds
            seen += piece.feeds
        return [*cut, (high, rows.reduced(value, feeds))]

    def _grains(
        self, pieces: Iterable[tuple[bytes, Fingerprint, bool]], scope: Scope, low: bytes, high: bytes | None, most: int
    ) -> Iterator[tuple[bytes, Fingerprint]]:
        """The pieces, those with more feeds than ``most`` taken apart: months into documents, documents into feeds."""
        for start, piece, whole_month in pieces:
            if not piece.feeds:
                continue  # the range begins or ends in the middle of a document
            if piece.feeds <= most:
                yield start, piece
            elif whole_month:
                within = self._document_pieces(scope, start, after_prefix(start))
                yield from self._grains(within, scope, start, after_prefix(start), most)
            else:
                for feed, tips in self._feeds_of(scope, start, low, high):
                    yield feed, fingerprint_of(feed, [tip.hash for tip in tips])

    def _pieces(self, scope: Scope, low: bytes, high: bytes | None) -> Iterator[tuple[bytes, Fingerprint, bool]]:
        """What a range is made of: whole months where it can, else documents, as (start, fingerprint, whole month)."""
        first = _after_month(low[: rows.MONTH_BYTES]) if low > low[: rows.MONTH_BYTES] else low
        last = None if high is None else high[: rows.MONTH_BYTES]
        if first is None or (last is not None and first >= last):
            yield from self._document_pieces(scope, low, high)
            return
        if first > low:
            yield from self._document_pieces(scope, low, first)
        prefix = rows.MONTH_SUM + rows.scope_id(scope)
        for key, value in self._table.scan(prefix + first, after_prefix(prefix) if last is None else prefix + last):
            yield key[len(prefix) :], rows.from_sum(value), True
        if last is not None and high is not None and high > last:
            yield from self._document_pieces(scope, last, high)

    def _document_pieces(
        self, scope: Scope, low: bytes, high: bytes | None
    ) -> Iterator[tuple[bytes, Fingerprint, bool]]:
        for document, held in self._document_sums(scope, low, high):
            if document >= low and (high is None or document + b"\xff" * AUTHOR_BYTES < high):
                yield document, held, False
                continue
            part = Fingerprint()
            for feed, heads in self._feeds_of(scope, document, low, high):
                part = part.plus(fingerprint_of(feed, [tip.hash for tip in heads]))
            yield document, part, False

    def _document_sums(self, scope: Scope, low: bytes, high: bytes | None) -> Iterator[tuple[bytes, Fingerprint]]:
        """Order keys and sums of the documents that have feeds in a range, or may have."""
        prefix = rows.DOCUMENT_SUM + rows.scope_id(scope)
        before = self._table.floor(prefix, prefix + low)
        start = prefix + low
        # The document that the range begins in the middle of.
        if before is not None and low.startswith(before[0][len(prefix) :]):
            start = before[0]
        for key, value in self._table.scan(start, after_prefix(prefix) if high is None else prefix + high):
            yield key[len(prefix) :], rows.from_sum(value)

    def _feeds_of(
        self, scope: Scope, document: bytes, low: bytes, high: bytes | None
    ) -> Iterator[tuple[bytes, list[rows.Tip]]]:
        name = _name(document)
        known: dict[int, bool] = {}
        for feed, tips in self.feed_rows(document):
            if feed >= low and (high is None or feed < high):
                chosen = self.tips_in(scope, name, tips, known)
                if chosen:
                    yield feed, chosen

    # Cursors and views

    def cursor(self, peer_database: bytes) -> int:
        return rows.from_number(self._table.get(rows.CURSOR + peer_database))

    def view(self, key: bytes) -> bytes | None:
        return self._table.get(rows.VIEW + key)

    def views(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        low = rows.VIEW + max(prefix, start)
        for key, value in self._table.scan(low, after_prefix(rows.VIEW + prefix)):
            yield key[1:], value


def _between(before: bytes, start: bytes) -> bytes:
    """The shortest bytes above all that begins with ``before``, not above ``start``; neither is a prefix of the other."""
    alike = next(at for at, (one, other) in enumerate(zip(before, start, strict=False)) if one != other)
    return start[: alike + 1]


def _after_month(month: bytes) -> bytes | None:
    """The least key of the month after; ``None`` after the last."""
    number = int.from_bytes(month.ljust(rows.MONTH_BYTES, b"\0"), "big") + 1
    return None if number >= 1 << 8 * rows.MONTH_BYTES else number.to_bytes(rows.MONTH_BYTES, "big")


def _next_wanted(key: bytes, document: Document, kind: str | None, day_from: int, day_to: int) -> bytes | None:
    """Where to go on if a document is not wanted: the least key after it that may be; ``None`` if it is wanted.

    A feed row's key is month, array head, day, kind, keys: see ``order_key``.
    """
    wanted = day_from <= document.day <= day_to and kind in (None, document.kind)
    if wanted:
        return None
    at = len(rows.FEED) + rows.MONTH_BYTES
    if key[at] == _LONG_ARRAY:
        return key + b"\xff" * (AUTHOR_BYTES + 1)
    names_of_this_length, names_of_next = key[: at + 1], key[:at] + bytes([key[at] + 1])
    if document.day < day_from:
        return names_of_this_length + canonical.encode(day_from)
    if document.day > day_to:
        return names_of_next
    assert kind is not None
    of_this_day = names_of_this_length + canonical.encode(document.day)
    return (
        max(of_this_day + canonical.encode(kind), b"")
        if key < of_this_day + canonical.encode(kind)
        else of_this_day + b"\xff"
    )


@functools.lru_cache(maxsize=65536)
def _name(encoded: bytes) -> Document:
    try:
        return from_order_key(encoded)
    except (NotCanonical, ValueError) as error:
        raise LogCorrupt("the name of a document in the log is damaged") from error
