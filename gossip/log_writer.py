"""Appending to the log: one batch in one transaction.

The order of a ``latest`` feed's entries is that of DESIGN's words: e ≤ f iff they are equal, or seq(e) < seq(f) and
body(e) ⊑ body(f). The maximal ones are kept, whatever came first. In ``whole`` feeds an entry follows the one whose hash it
holds; nothing is dropped. Feed type and scope class stand in the entry: entries that differ in them are never compared.

Whatever follows from the entries (heads, hash index, sums, scopes of patrons) is written here and nowhere else.
Sans-I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from gossip import log_rows as rows
from gossip.document import Document, FeedType, Key, Scope, ScopeClass, order_key
from gossip.entry import Entry, Hash
from gossip.errors import LogCorrupt
from gossip.log import NOT_HERE, Appended, Arrival, Outcome, View, fingerprint_value
from gossip.log_reader import LogReader, RecentEntries
from gossip.log_recent import Recent
from gossip.log_rows import Record, Tip
from gossip.log_table import TableWriter, after_prefix
from gossip.schema import Schema
from merge_rules.errors import InvalidBody
from merge_rules.lattice import Rule

VIEW_KEY_BYTES_MAX: Final = 400
HEADS_KEPT_MAX: Final = 8
"""Entries of one ``latest`` feed that contradict each other and are kept: those with the highest numbers, of one number those
with the lowest hashes. Of a ``whole`` feed so many branches are taken from their author; others may bring theirs."""

Body = Rule | InvalidBody
"""What an entry's body contributes alone, or why its rule refuses it: such an entry stands beside all others."""

RecentBodies = Recent[Hash, Body]

_KNOWN: Final = Appended(Outcome.KNOWN)


class LogWriter(LogReader):
    """One transaction. When ``append`` has returned, the caller commits, then calls ``committed``."""

    def __init__(self, table: TableWriter, schema: Schema, entries: RecentEntries, bodies: RecentBodies) -> None:
        super().__init__(table, Recent(0))
        self._writer = table
        self._schema = schema
        self._shared = entries
        self._bodies = bodies
        self._fresh: dict[int, Entry] = {}
        self._moved: dict[int, int] = {}
        self._sums: dict[tuple[bytes, bytes], list[int]] = {}
        """By scope and document: what to add to the value, not reduced, and to the number of feeds."""
        self._scopes: dict[tuple[bytes, ScopeClass], list[bytes]] = {}
        self._arrival = self.last_arrival()
        self._any_quarantined = table.begins(rows.QUARANTINE)
        self._any_lost = table.begins(rows.LOST)
        self._any_shredded = table.begins(rows.SHREDDED)

    def append(
        self, arrivals: Sequence[Arrival], views: Iterable[View], cursors: Iterable[tuple[bytes, int]], received_ms: int
    ) -> list[Appended]:
        """Write a batch; see ``gossip.log.Log.append``."""
        before = self._arrival
        appended = [self._append(arrival, received_ms) for arrival in arrivals]
        self._write_sums()
        if self._arrival != before:
            self._writer.put(rows.META_ARRIVAL, rows.number(self._arrival))
        for key, value in views:
            assert len(key) <= VIEW_KEY_BYTES_MAX
            if value is None:
                self._writer.delete(rows.VIEW + key)
            else:
                self._writer.put(rows.VIEW + key, value)
        if any(result.outcome in NOT_HERE for result in appended):
            cursors = ()  # they would say that what is missing is here
        for database, number in cursors:
            self._writer.put(rows.CURSOR + database, rows.number(number))
        return [self._as_moved(result) for result in appended] if self._moved else appended

    def committed(self) -> None:
        """Remember the batch's entries: their arrival numbers are theirs for ever now."""
        for arrival, entry in self._fresh.items():
            self._shared.keep(arrival, entry, entry.memory_bytes)

    def _append(self, arrival: Arrival, received_ms: int) -> Appended:
        entry = arrival.entry
        record = Record(entry.raw, arrival.received_from, received_ms)
        document = order_key(entry.document)
        if self._any_shredded and self._table.get(rows.SHREDDED + document) is not None:
            return _KNOWN  # as if a newer entry of the feed were here
        if arrival.received_from is not None and self.is_past(entry.document):
            return _KNOWN  # it was kept for long enough
        if arrival.quarantine is not None:
            return self._quarantine(entry, record, arrival.quarantine)
        feed = document + entry.author
        if self._any_lost and self.is_lost(entry.hash):
            return self._bring_back(entry, record, feed)
        if arrival.body is not None:
            self._bodies.keep(entry.hash, arrival.body, entry.memory_bytes)
        tips = self.tips(feed)
        if tips:
            outcome, replaced, rival = self._place(entry, feed, tips)
            branches = outcome is Outcome.FORK and entry.feed is FeedType.WHOLE and not replaced
            if branches and len(tips) >= HEADS_KEPT_MAX and arrival.received_from == entry.author:
                return Appended(Outcome.TOO_MANY)
        elif entry.previous is not None:
            outcome, replaced, rival = Outcome.GAP, [], None
        else:
            outcome, replaced, rival = Outcome.NEW, [], None
        if outcome in (Outcome.KNOWN, Outcome.GAP):
            return _KNOWN if outcome is Outcome.KNOWN else Appended(Outcome.GAP)
        accounts = self._new_accounts(entry, tips)
        number = self._keep(entry, record)
        tip = Tip(entry.seq, entry.hash, rows.form_of(entry), number)
        for old in replaced:
            self._retire(feed, old)
        after = [tip] if len(replaced) == len(tips) else sorted([tip, *(old for old in tips if old not in replaced)])
        self._writer.put(rows.FEED + feed, rows.tips_value(after))
        self._account(entry.document, document, feed, tips, after)
        if self._any_quarantined:
            self._writer.delete(rows.QUARANTINE + entry.hash)
        for account in accounts:
            self._add_patron(account, entry.document.keys[0])
        self._note_cuts(entry)
        for shredded in self._shredded_by(entry):
            self._shred(shredded)
        return Appended(outcome, number, rival)

    def _bring_back(self, entry: Entry, record: Record, feed: bytes) -> Appended:
        """An entry that was lost takes its place again."""
        number = self._keep(entry, record)
        tips = self.tips(feed)
        tip = Tip(entry.seq, entry.hash, rows.form_of(entry), number)
        followed = [one for one in tips if one.hash == entry.previous]
        for one in followed:
            self._writer.put(rows.past_key(feed, one.seq, one.hash), rows.past_value(one))
        after = [tip if one.hash == entry.hash else one for one in tips if one not in followed]
        if tip not in after:
            self._writer.put(rows.past_key(feed, entry.seq, entry.hash), rows.past_value(tip))
        self._writer.put(rows.FEED + feed, rows.tips_value(after))
        self._account(entry.document, order_key(entry.document), feed, tips, after)
        self._writer.delete(rows.LOST + entry.hash)
        for account in self._new_accounts(entry, []):
            self._add_patron(account, entry.document.keys[0])
        self._note_cuts(entry)
        for shredded in self._shredded_by(entry):
            self._shred(shredded)
        return Appended(Outcome.BACK, number)

    def _note_cuts(self, entry: Entry) -> None:
        kind = self._schema.get(entry.document.kind)
        if kind is not None and kind.cuts is not None:
            for cut in kind.cuts(entry.body):
                self._writer.put(rows.CUT + cut.author + entry.hash, b"")

    def _keep(self, entry: Entry, record: Record) -> int:
        self._arrival += 1
        self._writer.put(rows.entry_key(self._arrival), rows.record_value(record))
        self._writer.put(rows.BY_HASH + entry.hash, rows.number(self._arrival))
        self._fresh[self._arrival] = entry
        return self._arrival

    def _quarantine(self, entry: Entry, record: Record, reason: str) -> Appended:
        key = rows.QUARANTINE + entry.hash
        if self._table.get(key) is not None or self._table.get(rows.BY_HASH + entry.hash) is not None:
            return _KNOWN
        self._writer.put(key, rows.quarantine_value(record, reason))
        self._any_quarantined = True
        return Appended(Outcome.NEW)

    # What is destroyed

    def _shredded_by(self, entry: Entry) -> Iterable[Document]:
        kind = self._schema.get(entry.document.kind)
        return kind.shreds(entry.body) if kind is not None and kind.shreds is not None else ()

    def _shred(self, document: Document) -> None:
        """Remove all that is held of a document, our own and replaced entries too, and note that nothing of it may come."""
        name = order_key(document)
        if self._table.get(rows.SHREDDED + name) is not None:
            return
        self._writer.put(rows.SHREDDED + name, b"")
        self._writer.put(rows.META_FREED, b"")
        self._any_shredded = True
        self._remove(document)

    def _remove(self, document: Document) -> int:
        """Remove all that is held of a document; how many entries that were."""
        name = order_key(document)
        count = 0
        for feed, tips in list(self.feed_rows(name)):
            for tip in list(self.held(feed)):
                count += 1
                self._writer.delete(rows.entry_key(tip.arrival))
                self._writer.delete(rows.past_key(feed, tip.seq, tip.hash))
                self._writer.delete(rows.BY_HASH + tip.hash)
                self._writer.delete(rows.LOST + tip.hash)
                self._fresh.pop(tip.arrival, None)
            self._writer.delete(rows.FEED + feed)
            classes = {rows.scope_class_of(tip.form) for tip in tips}
            for scope in {scope for one in classes for scope in self.scopes_of(document, one)}:
                travelling = self.tips_in(scope, document, tips)
                self._add(rows.scope_id(scope), name, -_sum(feed, travelling), -bool(travelling))
        if document.keys:
            self._writer.delete(rows.ACCOUNT + rows.account_key(document.keys[-1]) + name)
        for stored, _ in list(self.quarantined()):
            if stored.entry.document == document:
                self._writer.delete(rows.QUARANTINE + stored.entry.hash)
        return count

    # The order of a feed

    def _place(self, entry: Entry, feed: bytes, tips: list[Tip]) -> tuple[Outcome, list[Tip], Hash | None]:
        """Outcome, the heads that the entry replaces, and an entry that it contradicts."""
        if any(tip.hash == entry.hash for tip in tips):
            return Outcome.KNOWN, [], None
        if entry.feed is FeedType.LATEST:
            return self._place_latest(entry, tips)
        return self._place_whole(entry, feed, tips)

    def _place_latest(self, entry: Entry, tips: list[Tip]) -> tuple[Outcome, list[Tip], Hash | None]:
        replaced: list[Tip] = []
        rivals: list[Tip] = []
        form = rows.form_of(entry)
        for tip in tips:
            if tip.form != form or tip.seq == entry.seq:
                rivals.append(tip)
            elif not tip.arrival:  # lost: an honest author's higher number contains the lower
                if tip.seq > entry.seq:
                    return Outcome.KNOWN, [], None
                replaced.append(tip)
            elif not self._in_order(tip, entry):
                rivals.append(tip)
            elif tip.seq > entry.seq:
                return Outcome.KNOWN, [], None
            else:
                replaced.append(tip)
        if not rivals:
            return Outcome.NEW, replaced, None
        # The best come first everywhere: whoever is sent what another holds makes the same choice in the end.
        contradicting = sorted((tip for tip in rivals if not rows.is_whole(tip.form)), key=_best_first)
        if len(contradicting) >= HEADS_KEPT_MAX:
            if _best_first(contradicting[HEADS_KEPT_MAX - 1]) < (-entry.seq, entry.hash):
                return Outcome.KNOWN, [], None
            replaced += contradicting[HEADS_KEPT_MAX - 1 :]
        return Outcome.FORK, replaced, min(rivals, key=_best_first).hash

    def _place_whole(self, entry: Entry, feed: bytes, tips: list[Tip]) -> tuple[Outcome, list[Tip], Hash | None]:
        form = rows.form_of(entry)
        rival = next((tip.hash for tip in tips if tip.form != form), None)
        before = [tip for tip in tips if tip.hash == entry.previous and tip.form == form and tip.seq == entry.seq - 1]
        # Every entry held has a tip after it or is one: below all tips' numbers nothing needs to be looked for.
        if tips[-1].seq >= entry.seq:
            if self._table.get(rows.past_key(feed, entry.seq, entry.hash)) is not None:
                return Outcome.KNOWN, [], None
            held = next((tip for tip in self.held(feed, entry.seq - 1)), None)
            if held is not None and held.seq == entry.seq:
                rival = held.hash
        if entry.previous is not None and not before:
            past = rows.past_key(feed, entry.seq - 1, entry.previous)
            value = self._table.get(past)
            if value is None or rows.from_past(past, value).form != form:
                return Outcome.GAP, [], None
        return (Outcome.NEW if rival is None else Outcome.FORK), before, rival

    def _in_order(self, tip: Tip, entry: Entry) -> bool:
        """Whether the lower-numbered of one author's entries in a ``latest`` feed is contained in the higher."""
        kind = self._schema.get(entry.document.kind)
        if kind is None:
            return True
        # Its body is often here where the entry is not any more: that is read and decoded only if not.
        held = self._bodies.get(tip.hash) or self._body(kind.rule, self.entry(tip.arrival))
        new = self._body(kind.rule, entry)
        lower, upper = (held, new) if tip.seq < entry.seq else (new, held)
        if isinstance(lower, InvalidBody) or isinstance(upper, InvalidBody):
            return False
        return lower.precedes(upper)

    def _body(self, rule: type[Rule], entry: Entry) -> Body:
        body = self._bodies.get(entry.hash)
        if body is None:
            try:
                body = rule.from_entry(entry.author, entry.seq, entry.body)
            except InvalidBody as error:
                body = error
            self._bodies.keep(entry.hash, body, entry.memory_bytes)
        return body

    def entry(self, arrival: int) -> Entry:
        entry = self._fresh.get(arrival) or self._shared.get(arrival)
        return self.stored(arrival).entry if entry is None else entry

    def _retire(self, feed: bytes, old: Tip) -> None:
        """Keep a replaced head where all of a feed is kept, and where it is ours; else let it go."""
        if not old.arrival and not rows.is_whole(old.form):
            self._writer.delete(rows.LOST + old.hash)
            return
        if not rows.is_whole(old.form):
            # Nobody asks for it any more, and the heads of many feeds fit in its place.
            self._bodies.drop(old.hash)
            self._shared.drop(old.arrival)
            key = rows.entry_key(old.arrival)
            if rows.was_received(self._table.get(key)):
                self._writer.delete(key)
                self._writer.delete(rows.BY_HASH + old.hash)
                return
        self._writer.put(rows.past_key(feed, old.seq, old.hash), rows.past_value(old))

    def _record(self, tip: Tip) -> Record:
        value = self._table.get(rows.entry_key(tip.arrival))
        if value is None:
            raise LogCorrupt(f"entry {tip.arrival} of the log is missing")
        return rows.from_record(value)

    # Sums

    def _account(self, name: Document, document: bytes, feed: bytes, before: list[Tip], after: list[Tip]) -> None:
        """Change the sums of every scope in which a feed's heads travel."""
        forms = {tip.form for tip in (*before, *after)}
        if len(forms) == 1:
            change = _sum(feed, after) - _sum(feed, before), bool(after) - bool(before)
            for scope in self._scope_ids(name, rows.scope_class_of(forms.pop()), document):
                self._add(scope, document, *change)
        else:
            for scope_class in {rows.scope_class_of(form) for form in forms}:
                for joined in self.scopes_of(name, scope_class):
                    old = self.tips_in(joined, name, before)
                    new = self.tips_in(joined, name, after)
                    change = _sum(feed, new) - _sum(feed, old), bool(new) - bool(old)
                    self._add(rows.scope_id(joined), document, *change)
        if _names_account(after) and not _names_account(before):
            self._writer.put(rows.ACCOUNT + rows.account_key(name.keys[-1]) + document, b"")

    def _scope_ids(self, name: Document, scope_class: ScopeClass, document: bytes) -> list[bytes]:
        key = document, scope_class
        ids = self._scopes.get(key)
        if ids is None:
            ids = [rows.scope_id(scope) for scope in self.scopes_of(name, scope_class)]
            self._scopes[key] = ids
        return ids

    def _add(self, scope: bytes, document: bytes, value: int, feeds: int) -> None:
        known = self._sums.get((scope, document))
        if known is None:
            self._sums[scope, document] = [value, feeds]
        else:
            known[0] += value
            known[1] += feeds

    def _write_sums(self) -> None:
        totals: dict[bytes, list[int]] = {}
        for (scope, document), (value, feeds) in self._sums.items():
            self._write_sum(rows.DOCUMENT_SUM + scope + document, value, feeds)
            for key in (rows.MONTH_SUM + scope + document[: rows.MONTH_BYTES], rows.SCOPE_SUM + scope):
                total = totals.setdefault(key, [0, 0])
                total[0] += value
                total[1] += feeds
        for key, (value, feeds) in totals.items():
            self._write_sum(key, value, feeds)

    def _write_sum(self, key: bytes, value: int, feeds: int) -> None:
        held = rows.from_sum(self._table.get(key))
        changed = rows.reduced(held.value + value, held.feeds + feeds)
        if changed.feeds:
            self._writer.put(key, rows.sum_value(changed))
        else:
            self._writer.delete(key)

    # Patrons

    def _new_accounts(self, entry: Entry, tips: list[Tip]) -> list[Key]:
        """The accounts that an entry names and the feed's heads did not."""
        kind = self._schema.get(entry.document.kind)
        if kind is None or kind.patrons is None or not entry.document.keys:
            return []
        named = set(kind.patrons(entry.body))
        for tip in tips:
            if tip.arrival:
                named -= set(kind.patrons(self.entry(tip.arrival).body))
        return sorted(named, key=rows.account_key)

    def _add_patron(self, account: Key, store: Key) -> None:
        key = rows.PATRON + rows.account_key(account) + rows.account_key(store)
        if self._table.get(key) is not None:
            return
        scope = rows.patrons_scope(store)
        self._writer.put(key, scope.encode())
        self._scopes.clear()
        prefix = rows.ACCOUNT + rows.account_key(account)
        documents = [found[len(prefix) :] for found, _ in self._table.scan(prefix, after_prefix(prefix))]
        for document in documents:
            for feed, tips in list(self.feed_rows(document)):
                self._arrive_again(scope, document, feed, tips)

    def _arrive_again(self, scope: Scope, document: bytes, feed: bytes, tips: list[Tip]) -> None:
        """Let a feed join a scope: give its entries new numbers, so that peers that are past the old ones find them."""
        travelling = [tip for tip in self.held(feed) if rows.scope_class_of(tip.form) is ScopeClass.PATRONS]
        numbers = {tip.hash: self._renumber(tip) if tip.arrival else 0 for tip in travelling}
        moved = [tip._replace(arrival=numbers.get(tip.hash, tip.arrival)) for tip in tips]
        heads = {tip.hash for tip in moved}
        for tip in travelling:
            if tip.hash not in heads:
                value = rows.past_value(tip._replace(arrival=numbers[tip.hash]))
                self._writer.put(rows.past_key(feed, tip.seq, tip.hash), value)
        self._writer.put(rows.FEED + feed, rows.tips_value(moved))
        joining = [tip for tip in moved if tip.hash in numbers]
        self._add(rows.scope_id(scope), document, _sum(feed, joining), bool(joining))

    def _renumber(self, tip: Tip) -> int:
        record = self._record(tip)
        self._arrival += 1
        self._writer.delete(rows.entry_key(tip.arrival))
        self._writer.put(rows.entry_key(self._arrival), rows.record_value(record))
        self._writer.put(rows.BY_HASH + tip.hash, rows.number(self._arrival))
        self._moved[tip.arrival] = self._arrival
        fresh = self._fresh.pop(tip.arrival, None)
        if fresh is not None:
            self._fresh[self._arrival] = fresh
        return self._arrival

    def _as_moved(self, result: Appended) -> Appended:
        arrival = result.arrival
        while arrival in self._moved:
            arrival = self._moved[arrival]
        return Appended(result.outcome, arrival, result.rival)


def _best_first(tip: Tip) -> tuple[int, Hash]:
    return -tip.seq, tip.hash


def _names_account(tips: list[Tip]) -> bool:
    return any(rows.scope_class_of(tip.form) is ScopeClass.PATRONS for tip in tips)


def _sum(feed: bytes, tips: list[Tip]) -> int:
    """Nothing for no heads."""
    return fingerprint_value(feed, [tip.hash for tip in tips])
