"""Mending the log: what is damaged goes, what follows from entries is derived again, what is lost is noted.

A row that is damaged says so by its sum (``log_lmdb``), an entry besides by its hash and signature. Entries prove themselves,
so they may come back from anybody; the index (heads, past entries, hashes, sums, patrons) follows from them; views are for the
layers above to derive. An entry that is gone is *lost*: its place in its feed stays, with 0 for its arrival number, so that its
author goes on after it and fingerprints agree; appending it again fills the place. Sans-I/O.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from gossip import log_rows as rows
from gossip.document import FeedType, from_order_key, order_key
from gossip.entry import Entry, decode
from gossip.errors import BadEntry, LogCorrupt
from gossip.log import AS_OF, Looked, Mended, Outcome, Stored, feed_key
from gossip.log_reader import LogReader
from gossip.log_rows import Tip
from gossip.log_table import TableReader, after_prefix
from gossip.log_writer import LogWriter
from merge_rules.lattice import AUTHOR_BYTES, Author

_SUMS: Final = (rows.DOCUMENT_SUM, rows.MONTH_SUM, rows.SCOPE_SUM)
_INDEX: Final = (*_SUMS, rows.BY_HASH, rows.FEED, rows.PAST, rows.ACCOUNT, rows.PATRON, rows.CUT)
_KNOWN: Final = (*_INDEX, rows.META, rows.ENTRY, rows.CURSOR, rows.VIEW, rows.QUARANTINE, rows.LOST, rows.SHREDDED)
_ROWS_AT_ONCE: Final = 1024


def look(table: TableReader, reader: LogReader, after: bytes, rows_max: int) -> Looked:
    """Look at the next rows of a snapshot; see ``gossip.log.Log.look``."""
    walked = table.walk(after, rows_max)
    entries: list[Stored] = []
    damaged = False
    for key, value in walked:
        if value is None:
            damaged = True
        elif key[:1] == rows.ENTRY:
            stored = _taken_apart(key, value)
            if stored is None or not _is_indexed(table, reader, stored):
                damaged = True
            else:
                entries.append(stored)
    more = len(walked) == rows_max
    return Looked(len(walked), tuple(entries), damaged, walked[-1][0] if more else b"")


def _taken_apart(key: bytes, value: bytes) -> Stored | None:
    record = rows.from_record(value)
    try:
        entry = decode(record.raw)
    except BadEntry:
        return None
    return Stored(entry, rows.from_number(key[1:]), record.received_from, record.received_ms)


def _is_indexed(table: TableReader, reader: LogReader, stored: Stored) -> bool:
    """Whether an entry is found under the hash of its bytes, and in its feed."""
    entry = stored.entry
    try:
        if rows.from_number(table.get(rows.BY_HASH + entry.hash)) != stored.arrival:
            return False
        feed = feed_key(entry.feed_id)
        if any(tip.hash == entry.hash and tip.arrival == stored.arrival for tip in reader.tips(feed)):
            return True
        key = rows.past_key(feed, entry.seq, entry.hash)
        past = table.get(key)
        return past is not None and rows.from_past(key, past).arrival == stored.arrival
    except LogCorrupt:
        return False


def each(table: TableReader, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Rows in order, read ahead, so that the table may be written meanwhile."""
    low, high = prefix, after_prefix(prefix)
    while True:
        chunk = [row for row, _ in zip(table.scan(low, high), range(_ROWS_AT_ONCE), strict=False)]
        yield from chunk
        if len(chunk) < _ROWS_AT_ONCE:
            return
        low = chunk[-1][0] + b"\0"


class LogMender(LogWriter):
    """One transaction. When ``mend`` has returned, the caller commits."""

    def mend(self, dropped: Collection[bytes], me: Author, spoilt: Collection[int], *, derive: bool) -> Mended:
        """``dropped``: keys of the damaged rows, which are gone from the table; see ``gossip.log.Log.mend``."""
        for arrival in spoilt:
            self._writer.delete(rows.entry_key(arrival))
        for key, value in each(self._table, rows.ENTRY):
            if _taken_apart(key, value) is None:
                self._writer.delete(key)
        self._writer.delete(rows.VIEW + AS_OF)
        before = set(self.lost())
        self._lose(me)
        kinds = {key[:1] for key in dropped}
        derived = derive or not kinds <= {rows.ENTRY, rows.VIEW, rows.CURSOR, rows.QUARANTINE} or not self._is_whole()
        if derived:
            self._derive()
        else:
            self._write_sums()
        views = tuple(key[1:] for key in dropped if key[:1] == rows.VIEW)
        # A key that has flipped may be that of anything.
        views += tuple(b"" for key in dropped if key[:1] not in _KNOWN)
        return Mended(len(dropped) + len(spoilt), tuple(set(self.lost()) - before), derived, views)

    def _is_whole(self) -> bool:
        """Whether every entry is found by its hash and in its feed."""
        return all(
            (stored := _taken_apart(key, value)) is not None and _is_indexed(self._table, self, stored)
            for key, value in each(self._table, rows.ENTRY)
        )

    # What is lost

    def _lose(self, me: Author) -> None:
        """Take note of everything that the index names and that is not there."""
        for key, value in each(self._table, rows.PAST):
            tip, feed = rows.from_past(key, value), rows.feed_of_past(key)
            if not self._is_there(tip):
                self._writer.delete(rows.BY_HASH + tip.hash)
                if rows.is_whole(tip.form):
                    self._writer.put(key, rows.past_value(tip._replace(arrival=0)))
                    self._note(feed, tip)
                else:
                    self._writer.delete(key)
        for key, value in each(self._table, rows.FEED):
            feed, tips = key[1:], rows.from_tips(value)
            kept: list[Tip] = []
            for tip in tips:
                if self._is_there(tip):
                    kept.append(tip)
                    continue
                self._writer.delete(rows.BY_HASH + tip.hash)
                if rows.is_whole(tip.form) or feed.endswith(me):
                    kept.append(tip._replace(arrival=0))
                    self._note(feed, tip)
            if len(kept) < len(tips):
                self._account(from_order_key(feed[:-AUTHOR_BYTES]), feed[:-AUTHOR_BYTES], feed, tips, kept)
            if kept:
                self._writer.put(key, rows.tips_value(kept))
            else:
                self._writer.delete(key)

    def _is_there(self, tip: Tip) -> bool:
        return not tip.arrival or self._table.get(rows.entry_key(tip.arrival)) is not None

    def _note(self, feed: bytes, tip: Tip) -> None:
        self._writer.put(rows.LOST + tip.hash, rows.lost_value(feed, tip))

    # What follows from entries

    def _derive(self) -> None:
        """Write the index again: from the entries, and from what is known of those that are lost."""
        lost = [rows.from_lost(key, value) for key, value in each(self._table, rows.LOST)]
        for prefix in (*_INDEX, rows.LOST):
            for key, _ in each(self._table, prefix):
                self._writer.delete(key)
        self._sums.clear()
        self._scopes.clear()
        last = 0
        for key, value in each(self._table, rows.ENTRY):
            stored = _taken_apart(key, value)
            assert stored is not None
            last = stored.arrival
            self._writer.put(rows.BY_HASH + stored.entry.hash, rows.number(last))
            self._place_again(stored)
            self._note_cuts(stored.entry)
            for shredded in self._shredded_by(stored.entry):
                self._writer.put(rows.SHREDDED + order_key(shredded), b"")
            for account in self._new_accounts(stored.entry, []):
                store = stored.entry.document.keys[0]
                self._writer.put(
                    rows.PATRON + rows.account_key(account) + rows.account_key(store),
                    rows.patrons_scope(store).encode(),
                )
        for feed, tip in sorted(lost):
            self._place_lost(feed, tip)
        for key, value in each(self._table, rows.FEED):
            document = key[1:-AUTHOR_BYTES]
            self._account(from_order_key(document), document, key[1:], [], rows.from_tips(value))
        self._write_sums()
        self._arrival = max(last, self._newest())
        self._writer.put(rows.META_ARRIVAL, rows.number(self._arrival))

    def _newest(self) -> int:
        try:
            return rows.from_number(self._table.get(rows.META_ARRIVAL))
        except LogCorrupt:
            return 0

    def _place_again(self, stored: Stored) -> None:
        entry = stored.entry
        feed = feed_key(entry.feed_id)
        tip = Tip(entry.seq, entry.hash, rows.form_of(entry), stored.arrival)
        past = rows.past_key(feed, entry.seq, entry.hash)
        tips = self.tips(feed)
        if entry.feed is FeedType.LATEST:
            outcome_known, replaced = self._contained(entry, tips)
            if outcome_known:
                self._writer.put(past, rows.past_value(tip))
                return
        else:
            replaced = self._follows(entry, feed, tips)
            if self._table.get(past) is not None:  # another has named it as the one before: it is no head
                self._writer.put(past, rows.past_value(tip))
                self._writer.delete(rows.LOST + entry.hash)
                if replaced:
                    self._write_tips(feed, [one for one in tips if one not in replaced])
                return
        self._write_tips(feed, sorted([tip, *(one for one in tips if one not in replaced)]))

    def _contained(self, entry: Entry, tips: list[Tip]) -> tuple[bool, list[Tip]]:
        outcome, replaced, _ = self._place_latest(entry, tips)
        for tip in replaced:
            self._writer.put(rows.past_key(feed_key(entry.feed_id), tip.seq, tip.hash), rows.past_value(tip))
        return outcome is Outcome.KNOWN, replaced

    def _follows(self, entry: Entry, feed: bytes, tips: list[Tip]) -> list[Tip]:
        """Make the entry before a past one, which is lost if it has not been seen yet."""
        if entry.previous is None:
            return []
        before = Tip(entry.seq - 1, entry.previous, rows.form_of(entry), 0)
        heads = [tip for tip in tips if tip.hash == entry.previous]
        key = rows.past_key(feed, before.seq, before.hash)
        if heads:
            self._writer.put(key, rows.past_value(heads[0]))
        elif self._table.get(key) is None:
            self._writer.put(key, rows.past_value(before))
            self._note(feed, before)
        return heads

    def _place_lost(self, feed: bytes, tip: Tip) -> None:
        """Give a lost entry its place again: as a head, unless something here follows it."""
        if self._table.get(rows.BY_HASH + tip.hash) is not None:
            return
        tips = self.tips(feed)
        if rows.is_whole(tip.form):
            # What it followed is not known any more. If several may be it, they stay heads until it is back and says which.
            before = [one for one in tips if one.form == tip.form and one.seq == tip.seq - 1]
            before = before if len(before) == 1 else []
        else:
            before = [one for one in tips if one.form == tip.form and one.seq < tip.seq]
        for one in before:
            self._writer.put(rows.past_key(feed, one.seq, one.hash), rows.past_value(one))
        rest = [one for one in tips if one not in before]
        followed = self._table.get(rows.past_key(feed, tip.seq, tip.hash)) is not None
        self._write_tips(feed, rest if followed else sorted([tip, *rest]))
        self._note(feed, tip)

    def _write_tips(self, feed: bytes, tips: list[Tip]) -> None:
        if tips:
            self._writer.put(rows.FEED + feed, rows.tips_value(tips))
        else:
            self._writer.delete(rows.FEED + feed)
