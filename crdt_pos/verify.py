"""Checking a replica's log again, from the bytes up, trusting nothing that is derived.

- every entry: its bytes canonical, found under its own hash, its author's certificates proven up to the root, its signature
  the author's, its document the author's to write, its body of the shape of its kind;
- every chain: the entries of a ``whole`` feed follow each other without a gap, each naming the one before;
- every receipt and every day: the books' equation;
- every receipt's number: its author's own, and the next of its series but for those that an act states as skipped, from date
  to date as far as the journals are here;
- every day whose journal is here: derived from it again, and compared byte for byte;
- what is said of another's day and its journal is not here to judge: whether it excludes what that till itself or others say;
- every receipt that a cashier has signed, and every record of a cashier: by a key that a manager or a head office vouches for;
- every line that was given back: not more of it than was sold, unless tills that were cut off from each other both did;
- every fingerprint: added up again from the feeds.

What is in quarantine was caught already: it is counted, not found again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import field, replace
from typing import Final, NamedTuple

from crdt_pos import journal
from crdt_pos.contradiction import contradictions
from crdt_pos.day import Day, fold
from crdt_pos.directory import numbered_as
from crdt_pos.money import Currency
from crdt_pos.receipt import Receipt, ReceiptType, Series
from crdt_pos.schema import DAY, FORKS, JOURNAL, STAFF, STAFF_RULE
from crdt_pos.settling import to_settle
from crdt_pos.staff import Staff, is_signed
from gossip.document import Document, FeedType, Scope, day_number, from_order_key, order_key
from gossip.entry import Entry, FeedId, Head, decode
from gossip.errors import BadEntry, GossipError
from gossip.ingest import AuthorRecord, reason_against
from gossip.log import Fingerprint, Reader, Stored, feed_fingerprint
from gossip.schema import Schema
from merge_rules import canonical
from merge_rules.counter_covers import CLOSED, CounterCovers, Summary
from merge_rules.dataclass import dataclass
from merge_rules.errors import InvalidBody, NotCanonical
from merge_rules.lattice import AUTHOR_BYTES, Author
from peers.roster import Directory

FINDINGS_MAX: Final = 1_000

Progress = Callable[[int, int], None]
"""Called with what is done and what there is to do, now and then."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it must be."""

    check: str
    """``bytes``, ``signature``, ``certificate``, ``permission``, ``body``, ``chain``, ``equation``, ``number``, ``day``,
    ``refund``, ``missing``, ``cashier``, ``fingerprint``."""
    document: str
    author: str
    seq: int
    detail: str


@dataclass
class Report:
    """What was checked, and what was found."""

    entries: int = 0
    chains: int = 0
    receipts: int = 0
    receipts_signed: int = 0
    """Of the receipts, those that a cashier has signed as well."""
    days: int = 0
    days_derived: int = 0
    """Of the days, those whose journal is here."""
    fingerprints: int = 0
    quarantined: int = 0
    findings: list[Finding] = field(default_factory=list[Finding])
    left_off: int = 0
    """Findings beyond the first thousand."""

    def add(self, finding: Finding) -> None:
        """Keep a finding."""
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(finding)
        else:
            self.left_off += 1


def _nothing(done: int, total: int) -> None:
    del done, total


def verify(reader: Reader, directory: Directory, schema: Schema, progress: Progress = _nothing) -> Report:
    """Check everything in one snapshot. Costs one signature verification for every entry."""
    checks = _Checks(reader, directory, schema)
    total = reader.last_arrival()
    for done, arrival in enumerate(range(total)):
        checks.entry_at(arrival)
        if done % 200 == 0:
            progress(done, total)
    for document in reader.documents():
        try:
            checks.document(document)
        except GossipError as error:
            checks.found("bytes", document, None, 0, str(error))
    checks.numbers()
    try:
        checks.forks()
    except GossipError as error:
        checks.found("bytes", FORKS, None, 0, str(error))
    checks.refunds()
    checks.missing()
    checks.fingerprints()
    checks.report.quarantined = sum(1 for _ in reader.quarantined())
    progress(total, total)
    return checks.report


class _Numbers(NamedTuple):
    """The numbers that one journal gives."""

    document: Document
    previous_day: int
    """Day number of the date before, as the opening says; 0 for a till's first."""
    runs: tuple[tuple[Series, int, int], ...]
    """Series, first and last number of each stretch without a gap that no act states, in the order of the journal."""

    @classmethod
    def of(cls, document: Document, receipts: Sequence[Receipt]) -> _Numbers:
        runs: dict[Series, list[tuple[int, int]]] = {}
        for receipt in receipts:
            stretches = [(skipped.series, skipped.first, skipped.last) for skipped in receipt.skipped]
            for series, first, last in (*stretches, (receipt.series, receipt.n, receipt.n)):
                of_series = runs.setdefault(series, [(first, first - 1)])
                begun, reached = of_series[-1]
                if first == reached + 1:
                    of_series[-1] = begun, last
                else:
                    of_series.append((first, last))
        opening = receipts[0].opening
        previous = opening.previous_date if opening else None
        flat = tuple((series, *run) for series, of_series in runs.items() for run in of_series)
        return cls(document, day_number(previous) if previous else 0, flat)


class _Checks:
    def __init__(self, reader: Reader, directory: Directory, schema: Schema) -> None:
        self.report = Report()
        self._reader = reader
        self._directory = directory
        self._schema = schema
        self._lost = {feed for feed, _ in reader.lost()}
        self._scopes: set[Scope] = set()
        self._undoings: dict[str, list[Receipt]] = {}
        self._numbers: dict[Author, dict[int, _Numbers]] = {}
        self._staff: dict[int, Staff] = {}

    def found(self, check: str, document: Document | str, author: Author | None, seq: int, detail: str) -> None:
        self.report.add(Finding(check, str(document), "" if author is None else self._name(author), seq, detail))

    # ---- entries --------------------------------------------------------------------------------------------------------

    def entry_at(self, before: int) -> None:
        """Check the entry that arrived after number ``before``, if it is still held."""
        try:
            stored = next(iter(self._reader.arrivals(before, 1)), None)
            if stored is None or stored.arrival != before + 1:
                return
            self._entry(stored)
        except (GossipError, NotCanonical) as error:
            self.found("bytes", f"arrival {before + 1}", None, 0, str(error))

    def _entry(self, stored: Stored) -> None:
        # What the reader remembers may be newer than what the disk holds: take the bytes apart again.
        self.report.entries += 1
        try:
            entry = decode(stored.entry.raw)
        except BadEntry as error:
            self.found("bytes", stored.entry.document, stored.entry.author, stored.entry.seq, str(error))
            return
        self._scopes |= self._reader.scopes(entry)
        if self._reader.find(entry.hash) is None and not self._reader.hides(entry.hash):
            self._found("bytes", entry, "it is not found under the hash of its bytes")
        certificate = self._directory.certificate(entry.author)
        if certificate is None:
            self._found("certificate", entry, "no certificate here proves its author up to the company's root")
            return
        if not entry.verify(certificate.public_key):
            self._found("signature", entry, "the signature is not the author's")
            return
        record = AuthorRecord(certificate.public_key, certificate.role, certificate.store)
        reason = reason_against(entry, record, self._schema)
        if reason is not None:
            self._found("permission" if "may not author" in reason else "body", entry, reason)

    def _found(self, check: str, entry: Entry, detail: str) -> None:
        self.found(check, entry.document, entry.author, entry.seq, detail)

    # ---- documents ------------------------------------------------------------------------------------------------------

    def document(self, document: Document) -> None:
        for author in self._reader.authors(document):
            self._feed(FeedId(document, author))
        if document.kind == DAY:
            self._days(document)
        store = document.keys[0] if document.keys else None
        if document.kind == STAFF and isinstance(store, int):
            for one in self._staff_of(store).unvouched:
                self.found("cashier", document, one.author, 0, f"{one.name}: {one.why}")

    def _feed(self, feed: FeedId) -> None:
        heads = self._reader.heads(feed)
        held = list(self._reader.entries(feed))
        reach = max((head.seq for head in heads), default=0)
        missing = {head.hash for head in heads if not self._reader.is_lost(head.hash)}
        missing -= {stored.entry.hash for stored in held}
        if missing:
            self.found("chain", feed.document, feed.author, reach, "the newest entry is not the one that is noted")
        if held and held[0].entry.feed is FeedType.WHOLE:
            self.report.chains += 1
            self._chain(feed, heads, [stored.entry for stored in held])
        if feed.document.kind == JOURNAL:
            receipts = [receipt for stored in held if (receipt := self._receipt(stored.entry)) is not None]
            if len(heads) == 1 and len(receipts) == len(held) == reach:
                numbers = _Numbers.of(feed.document, receipts)
                self._numbers.setdefault(feed.author, {})[feed.document.day] = numbers

    def _chain(self, feed: FeedId, heads: tuple[Head, ...], entries: list[Entry]) -> None:
        hashes = {entry.hash: entry.seq for entry in entries}
        # Where a snapshot stands for what came before, the first entry held may have any number.
        first = min(entry.seq for entry in entries)
        dropped = first > 1 and feed.document.kind != JOURNAL
        for entry in entries:
            if entry.previous is None or (dropped and entry.seq == first):
                continue
            if hashes.get(entry.previous) != entry.seq - 1 and not self._reader.is_lost(entry.previous):
                self._found("chain", entry, f"the entry before it, number {entry.seq - 1}, is not here or is another")
        reach = max((head.seq for head in heads), default=0)
        if reach > max(hashes.values()) and not any(self._reader.is_lost(head.hash) for head in heads):
            self.found(
                "chain", feed.document, feed.author, reach, f"the entries after {max(hashes.values())} are not here"
            )

    def _receipt(self, entry: Entry) -> Receipt | None:
        try:
            receipt = Receipt.from_body(entry.body)
        except InvalidBody as error:
            self._found("body", entry, str(error))
            return None
        self.report.receipts += 1
        own = numbered_as(self._directory, entry.author)
        if own is not None and (receipt.store, receipt.till, receipt.incarnation) != own:
            self._found("number", entry, f"{receipt.number} is no number of its author's")
        if receipt.undoes is not None and receipt.type in (ReceiptType.REFUND, ReceiptType.VOID):
            self._undoings.setdefault(receipt.undoes.number, []).append(receipt)
        self._cashier(entry, receipt)
        wrong = _unbalanced(receipt)
        if wrong:
            self._found("equation", entry, f"{receipt.number}: {wrong}")
        return receipt

    def _cashier(self, entry: Entry, receipt: Receipt) -> None:
        if not receipt.cashier_signature:
            return
        self.report.receipts_signed += 1
        known = self._staff_of(receipt.store).cashiers.get(receipt.cashier)
        if known is None:
            self._found("cashier", entry, f"{receipt.number}: nobody called '{receipt.cashier}' works there")
        elif not is_signed(receipt, self._directory.root.company, known):
            self._found("cashier", entry, f"{receipt.number}: the signature is not {receipt.cashier}'s")

    def _staff_of(self, store: int) -> Staff:
        if store not in self._staff:
            self._staff[store] = Staff.read(self._reader, self._directory, store, STAFF_RULE)
        return self._staff[store]

    def numbers(self) -> None:
        """Check that each series goes on without a gap, within a date and from the date that the opening names."""
        for author, dates in self._numbers.items():
            known_day, complete, last = 0, True, dict[Series, int]()
            for day, (document, previous_day, runs) in sorted(dates.items()):
                if previous_day != known_day:
                    last = {}  # the date before is not here: any number may come first
                complete = not previous_day or (complete and previous_day == known_day)
                for series, first, until in runs:
                    before = last.get(series, 0 if complete else first - 1)
                    if first != before + 1:
                        self.found("number", document, author, 0, f"{series.name.lower()}: {first} follows {before}")
                    last[series] = until
                known_day = day

    def _days(self, document: Document) -> None:
        state = CounterCovers.bottom()
        unjudged: list[tuple[Entry, Summary]] = []
        for stored in self._reader.head_entries(document):
            entry = stored.entry
            try:
                part = CounterCovers.from_entry(entry.author, entry.seq, entry.body)
            except InvalidBody:
                continue  # found by its body already
            state = state.join(part)
            for summary in part.published():
                self.report.days += 1
                if not self._day(document, entry, summary) and summary.subject != summary.publisher:
                    unjudged.append((entry, summary))
        choices = state.choices()
        for entry, summary in unjudged:
            choice = choices[summary.subject]
            if any(one.publisher == summary.publisher for one in choice.rivals):
                self._found("day", entry, self._excluded(summary, choice.counts))

    def _day(self, document: Document, entry: Entry, summary: Summary) -> bool:
        """Whether it could be judged: by itself, or by the journal."""
        of = "" if summary.subject == summary.publisher else f"of {self._name(summary.subject)}: "
        try:
            day = Day.from_counters(summary.counters)
        except InvalidBody as error:
            self._found("body", entry, str(error))
            return True
        if not day.balanced:
            self._found(
                "equation", entry, f"{of}takings, refunds, tax, rounding and liabilities are not what the tenders say"
            )
        feed = FeedId(Document(JOURNAL, document.day, document.keys), summary.subject)
        acts = [act.entry for act in self._reader.entries(feed) if act.entry.seq <= summary.covers.seq]
        if not acts or feed in self._lost:
            return False  # sale-by-sale detail stays in its store, or some of it was damaged
        if acts[-1].seq != summary.covers.seq or not acts[-1].hash.startswith(summary.covers.hash):
            self._found("day", entry, f"{of}it covers act {summary.covers.seq}, which is not in the journal here")
            return True
        try:
            derived = fold(Receipt.from_body(act.body) for act in acts)
        except InvalidBody:
            return False  # found by its receipt already
        self.report.days_derived += 1
        # Whoever closes a date for another says that there is no more, though the journal does not.
        closed_for = summary.publisher != summary.subject and CLOSED in summary.counters
        if canonical.encode(replace(derived, closed=derived.closed or closed_for).counters()) != canonical.encode(
            summary.counters
        ):
            self._found("day", entry, f"{of}it is not what its journal adds up to")
        return True

    def _excluded(self, summary: Summary, counts: Summary) -> str:
        """Why a proxy's word cannot be true, or not beside what counts."""
        subject, said = self._name(summary.subject), f"act {summary.covers.seq}"
        if counts.publisher == summary.subject and CLOSED in counts.counters and summary.covers > counts.covers:
            return f"of {subject}: it covers {said}, and {subject} itself closed the date with act {counts.covers.seq}"
        other, reach = self._name(counts.publisher), f"act {counts.covers.seq}"
        return f"of {subject}: what it says up to {said} does not agree with what {other} says up to {reach}"

    def _name(self, author: Author) -> str:
        certificate = self._directory.certificate(author)
        return author.hex() if certificate is None else certificate.name

    def forks(self) -> None:
        """Who contradicts itself: by the entries here, or by a proof that bears its own two signatures."""
        for one in contradictions(self._reader, self._reader.documents()):
            said, document = one.sentence(self._directory), one.first.document
            match one.proven(self._directory):
                case True:
                    self.found("fork", document, one.author, one.second.seq, said)
                case False:
                    slander = f"slander: it is stated that {said}, and that is not its signature"
                    self.found("fork", FORKS, None, 0, slander)
                case None:
                    self.found("fork", document, one.author, one.second.seq, f"{said}; the proof cannot be judged yet")

    def refunds(self) -> None:
        self._undoings.pop("", None)  # those that name no receipt
        for one in to_settle(self._undoings, lambda number: journal.find_receipt(self._reader, number)):
            if not one.unconfirmed:
                newest = journal.find(self._reader, one.refunds[-1])
                entry = newest.entry if newest else None
                much = Currency(one.currency, one.exponent).text(one.amount_minor)
                self.found(
                    "refund",
                    entry.document if entry else JOURNAL,
                    entry.author if entry else None,
                    entry.seq if entry else 0,
                    f"line {one.line} of {one.receipt} was given back by {' and '.join(one.refunds)}: {much} too much",
                )

    def missing(self) -> None:
        """What was damaged on this disk and has not come back."""
        for feed, head in self._reader.lost():
            said = "it was damaged on this disk, and no peer has brought it back yet"
            self.found("missing", feed.document, feed.author, head.seq, said)

    # ---- fingerprints ---------------------------------------------------------------------------------------------------

    def fingerprints(self) -> None:
        for scope in sorted(self._scopes):
            total = Fingerprint()
            of_documents: dict[bytes, Fingerprint] = {}
            for key, heads in self._reader.feeds(scope):
                feed = self._reader.feed_at(key)
                one = feed_fingerprint(feed, heads)
                total = total.plus(one)
                name = order_key(feed.document)
                of_documents[name] = of_documents.get(name, Fingerprint()).plus(one)
                self.report.fingerprints += 1
            if total != self._reader.fingerprint(scope):
                self.found("fingerprint", str(scope), None, 0, "the sum that is noted is not the sum of the feeds")
            for name, one in of_documents.items():
                if one != self._reader.fingerprint(scope, name, name + b"\xff" * (AUTHOR_BYTES + 1)):
                    document = from_order_key(name)
                    self.found("fingerprint", document, None, 0, "the sum that is noted is not the sum of its feeds")


def _unbalanced(receipt: Receipt) -> str:
    """What does not add up on a receipt; empty if everything does."""
    return "; ".join(_sums(receipt))


def _sums(receipt: Receipt) -> Iterator[str]:
    if receipt.type in (ReceiptType.SALE, ReceiptType.REFUND, ReceiptType.VOID, ReceiptType.TRAINING):
        paid = sum(tender.amount_minor for tender in receipt.tenders)
        if paid != receipt.due_minor:
            yield f"paid {paid}, due {receipt.due_minor}"
        if sum(line.tax_minor for line in receipt.lines) != receipt.tax_minor:
            yield "the tax of the lines is not the tax of the receipt"
