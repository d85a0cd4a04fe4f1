"""The log as it counts: the same feeds and documents without what lies after a cut-off of its author (``gossip.cut_off``).

Every layer above gossip reads this face, so sums, stock and balances leave out what is quarantined without knowing of it.
Sessions read the other face, ``Log.read_all``: what they compare and pass on does not hang on what counts. Sans-I/O.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from gossip import log_rows as rows
from gossip.cut_off import Counting, Link, Stated, by_author, in_effect, line
from gossip.document import Document, FeedType, order_key
from gossip.entry import Entry, FeedId, Hash, Head
from gossip.log import Stored, feed_key
from gossip.log_reader import LogReader, RecentEntries
from gossip.log_recent import Recent
from gossip.log_table import TableReader, after_prefix
from gossip.schema import CutOff, Reach, Schema
from merge_rules.lattice import AUTHOR_BYTES, Author

QUARANTINED: Final = "its author was revoked, and this came after what still counts"

RecentCutOffs = Recent[Hash, "tuple[CutOff, ...]"]
"""What an entry cuts off, by its hash."""


class CountedReader(LogReader):
    """A ``gossip.log.Reader`` of what counts."""

    def __init__(self, table: TableReader, recent: RecentEntries, schema: Schema, cut_offs: RecentCutOffs) -> None:
        super().__init__(table, recent)
        self._schema = schema
        self._parsed = cut_offs
        self._lines: dict[bytes, set[Hash]] = {}

    # What is cut off

    @functools.cached_property
    def _cut(self) -> Mapping[Author, Counting]:
        """What counts of every author that is cut off."""
        if not self._table.begins(rows.CUT):
            return {}
        stated = [one for key, _ in self._table.scan(rows.CUT, after_prefix(rows.CUT)) for one in self._stated(key)]
        counting = by_author(in_effect(stated, self._counts_under))
        return {author: Counting.union(cuts, self._schema) for author, cuts in counting.items()}

    def _stated(self, key: bytes) -> Iterator[Stated]:
        author, entry_hash = Author(key[1 : 1 + AUTHOR_BYTES]), Hash(key[1 + AUTHOR_BYTES :])
        stored = super().find(entry_hash)
        if stored is None:
            return
        cuts = self._parsed.get(entry_hash)
        if cuts is None:
            kind = self._schema.get(stored.entry.document.kind)
            cuts = tuple(kind.cuts(stored.entry.body)) if kind is not None and kind.cuts is not None else ()
            self._parsed.keep(entry_hash, cuts, len(stored.entry.raw))
        yield from (Stated(cut, stored.entry) for cut in cuts if cut.author == author)

    def _counts_under(self, entry: Entry, cuts: Sequence[CutOff]) -> bool:
        return entry.hash in self._line(feed_key(entry.feed_id), Counting.union(cuts, self._schema))

    def _line(self, feed: bytes, counting: Counting) -> set[Hash]:
        reaches = [*counting.whole.get(feed, ()), *self._readmitted(feed, counting.readmitted)]
        if not reaches:
            return set()
        held = [Link(tip.seq, tip.hash) for tip in self.held(feed)]
        return line(held, reaches, self._previous)

    def _readmitted(self, feed: bytes, hashes: Iterable[Hash]) -> Iterator[Reach]:
        for entry_hash in hashes:
            stored = super().find(entry_hash)
            if stored is not None and feed_key(stored.entry.feed_id) == feed:
                yield Reach(feed, stored.entry.seq, entry_hash)

    def _previous(self, entry_hash: Hash) -> Hash | None:
        stored = super().find(entry_hash)
        return None if stored is None else stored.entry.previous

    def _counted(self, feed: bytes, counting: Counting) -> list[Stored]:
        """Every entry of a feed of an author that is cut off which counts, by (seq, hash)."""
        tips = list(self.held(feed))
        whole = bool(tips) and rows.is_whole(tips[0].form)
        if whole:
            if feed not in self._lines:
                self._lines[feed] = self._line(feed, counting)
            return list(self._here(tip for tip in tips if tip.hash in self._lines[feed]))
        found = {entry.hash: self._embedded(entry) for entry in counting.latest.get(feed, ())}
        for stored in self._here(tip for tip in tips if tip.hash in counting.readmitted):
            found.setdefault(stored.entry.hash, stored)
        return sorted(found.values(), key=lambda one: (one.entry.seq, one.entry.hash))

    def _here(self, tips: Iterable[rows.Tip]) -> Iterator[Stored]:
        return (self._stored_tip(tip) for tip in tips if tip.arrival)

    def _embedded(self, entry: Entry) -> Stored:
        return super().find(entry.hash) or Stored(entry, 0, None, 0)

    # A reader of what counts

    def heads(self, feed: FeedId) -> tuple[Head, ...]:
        if feed.author not in self._cut:
            return super().heads(feed)
        return tuple(stored.entry.head for stored in self._heads(feed))

    def _heads(self, feed: FeedId) -> list[Stored]:
        counted = self._counted(feed_key(feed), self._cut[feed.author])
        if not counted or counted[0].entry.feed is FeedType.LATEST:
            return counted
        followed = {stored.entry.previous for stored in counted}
        return [stored for stored in counted if stored.entry.hash not in followed]

    def authors(self, document: Document) -> Iterator[Author]:
        if not self._cut:
            yield from super().authors(document)
            return
        here = set(super().authors(document))
        prefix = order_key(document)
        here.update(author for author, counting in self._cut.items() if prefix + author in counting.latest)
        for author in sorted(here):
            if author not in self._cut or self._heads(FeedId(document, author)):
                yield author

    def head_entries(self, document: Document) -> Iterator[Stored]:
        if not self._cut:
            yield from super().head_entries(document)
            return
        for author in self.authors(document):
            feed = FeedId(document, author)
            if author in self._cut:
                yield from self._heads(feed)
            else:
                yield from self._here(self.tips(feed_key(feed)))

    def entries(self, feed: FeedId, after_seq: int = 0) -> Iterator[Stored]:
        if feed.author not in self._cut:
            yield from super().entries(feed, after_seq)
            return
        counted = self._counted(feed_key(feed), self._cut[feed.author])
        yield from (stored for stored in counted if stored.entry.seq > after_seq)

    def find(self, entry_hash: Hash) -> Stored | None:
        stored = super().find(entry_hash)
        if not self._cut:
            return stored
        if stored is not None:
            return stored if self.counts(stored.entry) else None
        embedded = (one for counting in self._cut.values() for many in counting.latest.values() for one in many)
        found = next((one for one in embedded if one.hash == entry_hash), None)
        return None if found is None else Stored(found, 0, None, 0)

    def counts(self, entry: Entry) -> bool:
        counting = self._cut.get(entry.author)
        if counting is None:
            return True
        feed = feed_key(entry.feed_id)
        if entry.feed is FeedType.WHOLE and super().find(entry.hash) is None:
            return counting.covers(feed, entry.seq, entry.hash)  # not appended yet
        return any(stored.entry.hash == entry.hash for stored in self._counted(feed, counting))

    def covers(self, feed: FeedId, seq: int, beginning: bytes) -> bool:
        counting = self._cut.get(feed.author)
        return counting is None or counting.covers(feed_key(feed), seq, beginning)

    def revoked(self) -> frozenset[Author]:
        return frozenset(self._cut)

    def hides(self, entry_hash: Hash) -> bool:
        stored = super().find(entry_hash) if self._cut else None
        return stored is not None and not self.counts(stored.entry)

    def quarantined(self) -> Iterator[tuple[Stored, str]]:
        yield from super().quarantined()
        if not self._cut:
            return
        for key, _ in self._table.scan(rows.FEED, after_prefix(rows.FEED)):
            feed = key[1:]
            author = Author(feed[-AUTHOR_BYTES:])
            if author in self._cut:
                counted = self._counted(feed, self._cut[author])
                whole = {stored.entry.hash for stored in counted}
                reached = max((stored.entry.seq for stored in counted), default=0)
                for stored in self._here(self.held(feed)):
                    behind = stored.entry.feed is FeedType.LATEST and stored.entry.seq < reached
                    if stored.entry.hash not in whole and not behind:
                        yield stored, QUARANTINED
