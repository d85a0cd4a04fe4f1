"""One act of a till, from a snapshot of the log to the batch that is appended: entries, and the views derived with them.

A turn reads, collects and signs; it writes nothing. What it has collected becomes one transaction or nothing at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import field
from typing import Protocol

from crdt_pos import journal
from crdt_pos.balance import Balance, balance_document
from crdt_pos.day import Day, goods_of
from crdt_pos.identity import Identity, Now
from crdt_pos.patrons import patron_key, patrons_document
from crdt_pos.receipt import SERIES_OF, AccountMovement, Receipt, ReceiptType
from crdt_pos.schema import DAY, SCHEMA
from crdt_pos.terms import Terms
from crdt_pos.till_state import TillState, full_day, goods_views, owing_views
from gossip.document import Document, date_of
from gossip.entry import Entry, FeedId, Hash
from gossip.log import Arrival, Reader, View
from gossip.own_feed import OwnFeed
from merge_rules.clock_hybrid import ClockHybrid, Stamp
from merge_rules.counter_covers import COVERS_HASH_BYTES, CounterCovers, Covers
from merge_rules.dataclass import dataclass, replace
from merge_rules.lattice import Author
from merge_rules.set_grow import SetGrow


class Signing(Protocol):
    """A cashier who has signed on: ``crdt_pos.cashiers.OnDuty``."""

    def signed(self, act: Receipt) -> Receipt:
        """The act in the cashier's name. Raises ``NotAllowedHere``."""
        ...


def day_document(store: int, day: int) -> Document:
    """``day/<store>/<date>``."""
    return Document(DAY, day, (store,))


@dataclass(slots=True)
class Turn:
    """What an act reads, and what it will append."""

    identity: Identity
    reader: Reader
    now: Now
    terms: Terms
    state: TillState
    arrivals: list[Arrival] = field(default_factory=list[Arrival])
    views: list[View] = field(default_factory=list[View])
    acting: Callable[[Reader], Signing | None] | None = None
    """Who has signed on; may raise ``NotSignedOn``."""
    _feeds: dict[Document, OwnFeed] = field(default_factory=dict[Document, OwnFeed])
    _told: dict[Document, CounterCovers] = field(default_factory=dict[Document, CounterCovers])

    def receipt(self, kind: ReceiptType) -> Receipt:
        """The next receipt of a kind, still empty."""
        who, terms = self.identity, self.terms
        return Receipt(
            type=kind,
            n=self.state.next_number(SERIES_OF[kind]),
            store=who.store,
            till=who.till,
            incarnation=who.incarnation,
            legal_entity=terms.legal_entity,
            business_date=date_of(self.state.open_day),
            stamp_ms=self.now.ms,
            offset_minutes=self.now.offset_minutes,
            currency=terms.currency.code,
            exponent=terms.currency.exponent,
            prices_with_tax=self.state.day.prices_with_tax if self.state.seq else terms.prices_with_tax,
            skipped=self.state.skipped,
        )

    def enter(self, act: Receipt) -> Receipt:
        """Sign an act into the journal of the open date, with its balances, its fold and the views that find it.

        Returned as it was entered: with the signature of the cashier who has signed on.
        """
        state = self.state
        duty = None if self.acting is None else self.acting(self.reader)
        if duty is not None:
            act = duty.signed(act)
        entry = self._sign(journal.journal_document(self.identity.store, state.open_day), act.body())
        for movement in act.movements:
            if movement.earned or movement.redeemed:
                self.move(movement, undoing=act.undoes is not None)
        self.views.extend(owing_views(self.reader, act.movements))
        self.views.extend(journal.index(act, entry.hash))
        self.views.extend(goods_views(self.reader, goods_of(act)))
        self.state = replace(
            self.state,
            seq=entry.seq,
            head=entry.hash,
            numbers=state.numbered(act.series, act.n),
            skipped=(),
            day=state.day.plus_money(act),
        )
        return act

    def move(self, movement: AccountMovement, *, undoing: bool = False) -> None:
        """Sign a movement into an account's balance, as ``Balance.moved`` does. Raises ``NotEnoughRights``."""
        balance = Balance.read(self.reader, movement.programme, movement.account)
        author = self.identity.author
        self.sign_balance(movement.programme, movement.account, balance.moved(author, movement, undoing=undoing))

    def sign_balance(self, programme: str, account: bytes, balance: Balance) -> None:
        """Sign this replica's part of a balance; the account becomes a patron of the store, if it is not one yet."""
        self.welcome(account)
        self._sign(balance_document(programme, account), balance.body(self.identity.author))

    def welcome(self, account: bytes) -> None:
        """Make an account a patron of the store, so that its balance comes here; does nothing if it is one."""
        patrons = patrons_document(self.identity.store)
        known = patron_key(patrons, account)
        if self.reader.view(known) is None and not any(key == known for key, _ in self.views):
            self._sign(patrons, SetGrow.add_body(account))
            self.views.append((known, b"\1"))

    def publish(self, subject: Author, day: int, covers: Covers, summary: Day) -> Entry:
        """Sign a day entry: what was published before in it, and this summary of ``subject``'s journal."""
        author, document = self.identity.author, day_document(self.identity.store, day)
        known = self._told.get(document, CounterCovers.bottom())
        for stored in self.reader.entries(FeedId(document, author)):
            known = known.join(CounterCovers.from_entry(author, stored.entry.seq, stored.entry.body))
        told = self._told[document] = known.join(CounterCovers.publish(author, subject, covers, summary.counters()))
        return self._sign(document, told.entry_body(author))

    def publish_own(self) -> Entry:
        """Sign the day entry of the open date, as the running fold has it. The last act must be in the log already, or
        have moved no goods."""
        state = self.state
        covers = Covers(state.seq, state.head[:COVERS_HASH_BYTES])
        entry = self.publish(self.identity.author, state.open_day, covers, full_day(self.reader, state))
        self.state = replace(self.state, published=state.seq)
        return entry

    def take(self, arrivals: Sequence[Arrival], views: Sequence[View]) -> None:
        """Append these, too: entries that are signed already, of documents that no other act of a till signs in."""
        self.arrivals.extend(arrivals)
        self.views.extend(views)

    def batch(self) -> tuple[Sequence[Arrival], Sequence[View]]:
        """What to append."""
        return self.arrivals, [*self.views, self.state.view()]

    def _sign(self, document: Document, body: object) -> Entry:
        if document not in self._feeds:
            self._feeds[document] = self._feed(document)
        clock = ClockHybrid(Stamp(self.state.stamp)).tick(self.now.ms)
        entry = self._feeds[document].sign(body, clock.stamp)
        self.state = replace(self.state, stamp=entry.stamp)
        self.arrivals.append(Arrival(entry))
        return entry

    def _feed(self, document: Document) -> OwnFeed:
        who, state, kind = self.identity, self.state, SCHEMA[document.kind]
        if document == journal.journal_document(who.store, state.open_day):
            # Where the state stands, even if a copy of this till has gone on elsewhere.
            last = Hash(state.head) if state.seq else None
            return OwnFeed(who.key, who.author, document, kind, state.seq, last, state.stamp)
        return OwnFeed.read(self.reader, who.key, who.author, document, kind)
