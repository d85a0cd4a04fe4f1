"""What a replica decides without an event loop: its terms, what follows from received entries, whom it lends rights to.

``RunningReplica`` is this on trio and a disk, a simulation this on its own heap and disks.
"""

from __future__ import annotations

import datetime
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Protocol, TypeVar

from crdt_pos import (
    catalogue_views,
    forks,
    granting,
    journal,
    own_heads,
    persons,
    projecting_again,
    proxy,
    rights_batch,
    variances,
)
from crdt_pos.accused import Asking
from crdt_pos.balance import Balance
from crdt_pos.cashiers import Cashiers
from crdt_pos.catalogue_views import CatalogueProducts
from crdt_pos.clock import store_clock
from crdt_pos.directory import is_roster, numbered_as
from crdt_pos.folder import Folder
from crdt_pos.healing import Why, set_back, set_back_view
from crdt_pos.homecoming import Homecoming
from crdt_pos.identity import Identity
from crdt_pos.lending import Lending
from crdt_pos.loyalty import Programme, programme_in
from crdt_pos.money import Currency
from crdt_pos.rights import TOPIC, RightsQuestion
from crdt_pos.rights_batch import Wish
from crdt_pos.safety import Safety
from crdt_pos.schema import CATALOGUE, CLAIMS, FORKS
from crdt_pos.terms import Terms
from crdt_pos.till import Till
from crdt_pos.trust import RosterTrust
from crdt_pos.vault import TOPIC as VAULT_TOPIC
from crdt_pos.vault import Outside
from gossip.document import Document, Scope
from gossip.entry import Entry, Hash
from gossip.intake import CERTIFICATE_TIMEOUT_MS, CERTIFICATE_TOPIC, Batch, Derived, learned
from gossip.log import Arrival, Log, Outcome, Reader, View
from gossip.reasons import Reason
from merge_rules.lattice import Author
from peers.certificates import Certificate
from peers.permissions import Role
from peers.roster import StoreRecord

T = TypeVar("T")


class Linked(Protocol):
    """A session with an admitted peer."""

    @property
    def peer(self) -> Certificate: ...

    def ask(self, topic: str, content: bytes, timeout_ms: int) -> Awaitable[bytes | None]:
        """Ask the peer; ``None`` if it does not know, does not answer in time, or the session ends."""
        ...

    def end(self, reason: Reason, why: str = "") -> None:
        """End the session with a reason; the peer is told."""
        ...


class ReplicaCore(ABC):
    """One replica: its folder, log, trust, and till if it is one."""

    def __init__(self, folder: Folder, log: Log, system_ms: Callable[[], int]) -> None:
        self.folder = folder
        self.certificate = folder.certificate
        self.log: Log = log
        self.trust = self._read_roster(folder, log)
        self.safety = Safety(log, self.certificate.author)
        self.outside: Outside | None = None
        """How far what the store's tills sealed is safe outside of it."""
        if self.certificate.store is not None:
            self.outside = Outside(log, self.certificate.store, self.certificate.author)
        self.system_ms = system_ms
        self.now = store_clock(self._time_zone, system_ms)
        self.products = CatalogueProducts(self.terms().currency.code, self.certificate.store)
        self.asking = Asking()
        """Whom proofs accuse that cannot be judged here, for want of a certificate."""
        self.lending = Lending(self)
        store = self.certificate.store
        self.cashiers = None if store is None else self.cashiers_of(store)
        self.till: Till | None = None
        if self.certificate.role is Role.TILL:
            acting = None if self.cashiers is None else self.cashiers.acting
            self.till = Till(log, self.identity(), self.now, products=self.products, terms=self.terms, acting=acting)
        self.home: Homecoming | None = None
        if self.till is not None:
            with log.read() as reader:
                self.home = Homecoming(reader, self.certificate.author, system_ms())

    # --- what is around ----------------------------------------------------------------------------------------------

    @abstractmethod
    async def write(self, act: Callable[[], T]) -> T:
        """Run an act that may append, one at a time, and wake the sessions. Raises ``LogFull``."""

    @abstractmethod
    async def look(self, read: Callable[[Reader], T]) -> T:
        """Run a read on a snapshot."""

    @abstractmethod
    def linked(self) -> Mapping[Author, Linked]:
        """The sessions with admitted peers."""

    def towards_office(self) -> Collection[Author]:
        """Neighbours with a session that say they reach a head office, best first."""
        return ()

    @abstractmethod
    def may_read(self, scopes: frozenset[Scope]) -> None:
        """What this replica may read, perhaps changed."""

    @abstractmethod
    def prove_soon(self, pairs: list[tuple[Entry, Hash]]) -> None:
        """These contradict each other, or there is more to judge, or to judge by: ``settle_forks``, by itself."""

    # --- what the roster says ----------------------------------------------------------------------------------------

    def _read_roster(self, folder: Folder, log: Log) -> RosterTrust:
        return RosterTrust(folder, log)

    def _store_record(self, date: datetime.date | None = None) -> StoreRecord | None:
        store = self.certificate.store
        date = date or datetime.datetime.fromtimestamp(self.system_ms() / 1000, datetime.UTC).date()
        return None if store is None else self.trust.directory.store(store, date)

    def _time_zone(self) -> str:
        record = self._store_record()
        return "UTC" if record is None else record.time_zone

    def terms(self, date: datetime.date | None = None) -> Terms:
        """On what terms the store sells on a business date; without one, by the day in the store."""
        date = date or self.now().date()
        record = self._store_record(date)
        if record is None:
            return Terms()
        name = programme_in("points", record.currency)
        points = self.trust.directory.programme(name, date)
        return Terms(
            record.legal_entity,
            Currency(record.currency, record.exponent),
            record.cash_step_minor,
            not record.prices_without_tax,
            Programme(name) if points is None else Programme(name, points.points_per_unit, points.minor_per_point),
            record.name,
            record.address,
            record.tax_id,
        )

    def identity(self) -> Identity:
        """Of a till."""
        certificate = self.certificate
        assert certificate.store is not None
        assert certificate.till is not None
        return Identity(
            self.folder.key,
            certificate.author,
            certificate.store,
            certificate.till,
            certificate.incarnation,
            certificate.company,
        )

    def cashiers_of(self, store: int) -> Cashiers:
        """The cashiers of a store, as this replica decides about them."""
        me = self.certificate
        return Cashiers(
            self.log, self.folder.key, me.author, me.role, store, lambda: self.trust.directory, self.system_ms
        )

    # --- what follows from received entries --------------------------------------------------------------------------

    def derive(self, reader: Reader, arrivals: Sequence[Arrival]) -> Derived:
        """What is written with received entries that count, in the same transaction."""
        views = self.safety.unsaved() + journal.derive(reader, arrivals, partial(numbered_as, self.trust.directory))
        views += own_heads.newest_views(reader, arrivals) + forks.opened(reader, arrivals)
        views += [*persons.derive(reader, arrivals), *self.trust.roster.unsaved()]
        back = self.home is not None and own_heads.come_back(reader, arrivals, self.certificate.author)
        if back and set_back(reader) is None:
            views.append(set_back_view(Why.ENTRIES))
        goods = [arrival for arrival in arrivals if arrival.entry.document.kind in (CATALOGUE, CLAIMS)]
        if not goods:
            return Derived(views)
        views += catalogue_views.derive(reader, goods)
        if self.till is None:
            return Derived(views)
        now_ms = self.system_ms()
        currency = self.terms().currency.code
        if not self.may_act():
            return Derived([*views, *variances.put_off(reader, goods, currency, now_ms)])
        own = variances.derive(reader, goods, self.identity(), currency, now_ms, now_ms << 16)
        return Derived(views, own)

    def appended(self, batch: Batch) -> None:
        """After a commit of received entries."""
        counting = [
            (arrival, outcome)
            for arrival, outcome in zip(batch.arrivals, batch.outcomes, strict=True)
            if arrival.quarantine is None
        ]
        if counting:
            self.safety.saved()
        if len(counting) < len(batch.arrivals):
            both = zip(batch.arrivals, batch.outcomes, strict=True)
            self.put_apart([one for one, outcome in both if one.quarantine and outcome.outcome is Outcome.NEW])
        grew = (Outcome.NEW, Outcome.FORK, Outcome.BACK)
        new = [arrival for arrival, outcome in counting if outcome.outcome in grew]
        rosters = {arrival.entry.document for arrival in new if is_roster(arrival.entry.document)}
        roster_grew = bool(rosters)
        if roster_grew:
            self.roster_changed(rosters)
            self.asking.hasten()
        taken_back = (Outcome.NEW, Outcome.FORK)  # what only was damaged here says nothing of a disk that was set back
        back = [
            arrival
            for arrival, outcome in counting
            if outcome.outcome in taken_back and arrival.entry.author == self.certificate.author
        ]
        if back and self.home is not None:
            for arrival in back:
                if arrival.received_from is not None:
                    self.safety.acknowledged(arrival.received_from, [(arrival.entry.feed_id, arrival.entry.head)])
            self.came_back()
        pairs = [
            (arrival.entry, outcome.rival)
            for arrival, outcome in counting
            if outcome.outcome is Outcome.FORK and outcome.rival is not None
        ]
        if pairs:
            self.contradicted([entry for entry, _ in pairs])
        again = roster_grew and self._must_project()
        waiting = self.asking.again_ms(self.system_ms()) is not None
        if again or pairs or (roster_grew and waiting) or any(arrival.entry.document.kind == FORKS for arrival in new):
            self.prove_soon(pairs)

    def put_apart(self, arrivals: Sequence[Arrival]) -> None:  # noqa: B027  nobody need listen
        """These came, and do not count."""

    def contradicted(self, entries: Sequence[Entry]) -> None:  # noqa: B027
        """Of each of these another entry of its author is here that contradicts it."""

    def _must_project(self) -> bool:
        with self.log.read() as reader:
            return projecting_again.due(reader)

    def came_back(self) -> None:
        """Own entries have come from a peer, and were not here."""
        assert self.home is not None
        self.home.came_back(self.system_ms())

    def hear_heads(self, reader: Reader, *, peer: Certificate, content: bytes, beyond: bool) -> Why | None:
        """A peer has answered what this till wrote last; what that proves for the first time. ``beyond``: it says that it
        has read further in this log than it reaches."""
        assert self.home is not None
        shown = own_heads.decode_answer(content, self.certificate.author, self.folder.key.public)
        neighbour, now_ms = self.knows_most(peer), self.system_ms()
        return self.home.heard(reader, peer.author, shown, neighbour=neighbour, beyond=beyond, now_ms=now_ms)

    def knows_most(self, peer: Certificate) -> bool:
        """Whether nobody can be expected to hold more of this till's journals: a neighbour, or anybody where it has none."""
        me = self.certificate
        if peer.role is Role.TILL and peer.store == me.store:
            return True
        return me.store is not None and all(one.till == me.till for one in self.trust.directory.tills(me.store))

    def lives(self, reader: Reader, name: str) -> Sequence[Certificate]:
        """Every life of a till of this store, such as ``12-3``, oldest first; none if there is no such till."""
        store, _, till = name.partition("-")
        if store != str(self.certificate.store) or not (till.isascii() and till.isdigit()):
            return ()
        return proxy.lives(reader, self.trust.directory, int(store), int(till))

    def may_act(self) -> bool:
        """Whether this replica may sign anything now."""
        return not self.revoked() and (self.home is None or self.home.may_act(self.system_ms()))

    def revoked(self) -> str:
        """That this replica is revoked, in a sentence for whoever works at it; empty if it is not, as far as it knows."""
        me = self.certificate
        if me.author not in self.trust.directory.revocations:
            return ""
        return f"{self.trust.said_against(me)}: nothing that it signs counts any more. Ask head office."

    def roster_changed(self, documents: Collection[Document] | None = None) -> None:
        """The roster here has grown, in these of its documents if they are known: follow it."""
        self.trust.follow(documents)
        for link in list(self.linked().values()):
            objection = self.trust.objection(link.peer)
            if objection is not None:
                link.end(objection, self.trust.said_against(link.peer))
        self.may_read(self.trust.readable(self.certificate))

    def say_put_off(self) -> None:
        """Sign what was put off while this replica could not act."""
        now_ms = self.system_ms()
        with self.log.read() as reader:
            said, views = variances.catch_up(reader, self.identity(), self.terms().currency.code, now_ms << 16)
        if views:
            self.log.append(said, views, received_ms=now_ms)

    async def settle_forks(self, pairs: list[tuple[Entry, Hash]]) -> None:
        """Sign what is not proven yet, judge what has not been, and ask for those of the accused whose turn it is.

        First, where the roster has cut somebody off, what follows from catalogue and claims is derived again.

        What takes long is read outside of the writers' turn: sales do not wait for it. Raises ``LogFull``.
        """
        if await self.look(projecting_again.due):
            await self.write(partial(projecting_again.project, self.log))
        new = await self.look(partial(forks.unstated, pairs=pairs)) if pairs else []
        if new:
            await self.write(partial(self._append_proofs, new))
        await self._write_judged(partial(forks.judge, lookup=self.trust.record))
        await self._meet_accused()

    def _append_proofs(self, pairs: list[tuple[Entry, Hash]]) -> None:
        now_ms = self.system_ms()
        with self.log.read() as reader:
            proofs = forks.prove(reader, self.folder.key, self.certificate.author, pairs, now_ms << 16)
            views = forks.opened(reader, proofs)
        if proofs:
            self.log.append(proofs, views, received_ms=now_ms)

    async def _write_judged(self, judge: Callable[[Reader], list[View]]) -> None:
        while views := await self.look(judge):
            await self.write(partial(self.log.append, [], views))

    async def _meet_accused(self) -> None:
        """Ask the peers for the certificates of the accused, who may be tills of other stores, and judge those that come."""
        mute = set[Author]()
        for publisher, accused in await self.look(partial(self.asking.round, now_ms=self.system_ms())):
            await self._ask_for(accused, mute)
            if self.trust.record(accused) is not None:
                self.asking.met(publisher)
                await self._write_judged(
                    partial(forks.judge_waiting, lookup=self.trust.record, publisher=publisher, accused=accused)
                )

    async def _ask_for(self, accused: Author, mute: set[Author]) -> None:
        """Ask the peers, but for those that have let a question lapse in this round: ``mute``."""
        for peer, link in list(self.linked().items()):
            if self.trust.record(accused) is not None:
                return
            if peer in mute:
                continue
            asked_ms = self.system_ms()
            shown = await link.ask(CERTIFICATE_TOPIC, accused, CERTIFICATE_TIMEOUT_MS)
            if shown is None and self.system_ms() - asked_ms >= CERTIFICATE_TIMEOUT_MS:
                mute.add(peer)
            views = "" if shown is None else learned(self.trust, shown)
            if views and not isinstance(views, str):
                await self.write(partial(self.log.append, [], views))

    # --- rights ------------------------------------------------------------------------------------------------------

    async def asked(self, peer: Certificate, topic: str, content: bytes) -> bytes | None:
        """Answer a peer's question about anything but certificates."""
        if topic == own_heads.TOPIC:
            return await self.look(partial(own_heads.answer, asker=peer.author, content=content))
        if topic == VAULT_TOPIC and self.outside is not None and peer.store == self.certificate.store:
            return self.outside.table()
        if not self.may_act():
            return None
        if topic == rights_batch.TOPIC:
            return await self.lending.asked_many(peer, content, self.system_ms())
        return await self.lending.asked(peer, content) if topic == TOPIC else None

    def grant_all(self, wishes: Sequence[Wish], to: Author) -> list[int]:
        """Grant own rights in one transaction; how much of each."""
        return granting.grant_all(self.till, self.log, self.folder, wishes, to, self.system_ms())

    def rights(self, reader: Reader, programme: str, account: bytes) -> int:
        """What this replica can redeem of an account without asking."""
        return Balance.read(reader, programme, account).redeemable(self.certificate.author).here

    async def ask_around(self, question: RightsQuestion, without: Collection[Author], timeout_ms: int) -> int:
        """Ask peers, most rights first, then those who are nearer to others; how much was granted."""
        return await self.lending.ask_around(question, without, timeout_ms)
