"""Whether every disk says what was acknowledged, read folder by folder: money, goods, points, and equal heads in every scope.

``complaints`` names who says what instead; none means that all agree with the cashiers and with each other. ``unsealed`` names
what could not be had back if a store burned down: acts that no other place holds sealed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from crdt_pos import books
from crdt_pos.books import Books, Query, TillDay
from crdt_pos.errors import NothingHere
from crdt_pos.guardians import vault_scopes
from crdt_pos.looking import Looked, identities
from crdt_pos.opening import open_vaults
from crdt_pos.schema import BALANCE, FORKS, JOURNAL
from gossip.document import Document
from gossip.entry import FeedId, Hash
from gossip.log import Reader
from merge_rules.counter_bounded import CounterBounded
from merge_rules.lattice import Author
from peers.permissions import Role, readable_scopes
from tests.town.ledger import Ledger, Life, Place, Sum
from tests.town.wired import Wired, store_of

Heads = dict[str, tuple[Hash, ...]]
"""Of one scope: feed, as a person reads it → the hashes of its heads."""


@dataclass
class Said:
    """What one folder says."""

    name: str
    books: Books | None
    points: dict[Place, tuple[Counter[str], Counter[str]]]
    """By life: points earned and redeemed, by account."""
    heads: dict[str, Heads]
    """By scope that this replica may read."""
    stores: frozenset[int]
    """Whose books it has."""
    proofs: int
    """Of authors that contradict themselves."""

    @property
    def days(self) -> dict[Place, TillDay]:
        accounts = self.books.accounts if self.books else ()
        return {(day.name, day.incarnation): day for account in accounts for day in account.days}

    def stock(self) -> dict[int, int]:
        """By product, over everything this replica knows."""
        accounts = self.books.accounts if self.books else ()
        return {row.product: row.stock for account in accounts for row in account.goods}


def complaints(town: Wired, ledger: Ledger) -> list[str]:
    """What is wrong in these folders. Reads them all."""
    said = [_read(town, name) for name in sorted(town.folders)]
    found = [text for one in said for text in (*_money(one, ledger), *_points(one, ledger))]
    found += _overspent(ledger)
    return found + [text for store in _stores(town) for text in _same_days(said, ledger, store)] + list(_heads(said))


def _read(town: Wired, name: str) -> Said:
    with town.reading(name) as (looked, reader):
        try:
            found = books.read(reader, looked.directory, Query(), identities(reader))
        except NothingHere:
            found = None
        certificate = looked.folder.certificate
        role, store, stores = certificate.role, certificate.store, frozenset(_stores(town))
        scopes = readable_scopes(role, store, stores)
        reads = frozenset(one for one in stores if f"store/{one}" in scopes)
        scopes |= vault_scopes(role, store, looked.directory)
        heads = {str(scope): _scope(looked, reader, scope) for scope in sorted(scopes)}
        proofs = sum(
            len(reader.heads(reader.feed_at(key))) for key, _ in reader.feeds("company") if _is_proof(reader, key)
        )
        return Said(name, found, _points_of(looked, reader), heads, reads, proofs)


def _is_proof(reader: Reader, key: bytes) -> bool:
    return reader.feed_at(key).document == Document(FORKS, 0, ())


def _scope(looked: Looked, reader: Reader, scope: str) -> Heads:
    found: Heads = {}
    for key, heads in reader.feeds(scope):
        feed = reader.feed_at(key)
        found[f"{feed.document} of {looked.name_of(feed.author)}"] = tuple(sorted(head.hash for head in heads))
    return found


def _points_of(looked: Looked, reader: Reader) -> dict[Place, tuple[Counter[str], Counter[str]]]:
    found: dict[Place, tuple[Counter[str], Counter[str]]] = {}
    for document in reader.documents(BALANCE):
        account = document.keys[1]
        assert isinstance(account, bytes)
        state = CounterBounded.bottom()
        for stored in reader.head_entries(document):
            state = state.join(CounterBounded.from_entry(stored.entry.author, stored.entry.seq, stored.entry.body))
        for author in state.authors:
            earned, redeemed = found.setdefault(_place(looked, author), (Counter(), Counter()))
            earned[account.hex()] += state.earned(author)
            redeemed[account.hex()] += state.redeemed(author)
    return found


def _place(looked: Looked, author: Author) -> Place:
    name, _, incarnation = looked.name_of(author).partition(" ")
    return name, incarnation


# --- judging ---------------------------------------------------------------------------------------------------------


def _money(said: Said, ledger: Ledger) -> Iterator[str]:
    due = ledger.stores(said.stores)
    stock: Counter[int] = Counter()
    for place, life in sorted(due.items()):
        day = said.days.get(place)
        acts = day.covers if day else 0
        net_minor = day.day.takings_minor - day.day.refunds_minor if day else 0
        of = f"{said.name} of {' '.join(place)}"
        if not life.least <= acts <= len(life.acts):
            yield f"{of}: {acts} acts, acknowledged were {len(life.acts)}, {life.least} of them safe"
        right = Sum.of(life.acts[:acts])
        stock.update(right.goods)
        if net_minor != right.net_minor:
            yield f"{of}: {net_minor} for {acts} acts, acknowledged was {right.net_minor}"
        if day and day.disputed:
            yield f"{of}: disputed"
    if said.books and not all(account.money.balanced for account in said.books.accounts):
        yield f"{said.name}: the books do not balance"
    if said.stock() != stock:
        yield f"{said.name}: the stock is {said.stock()}, the acts come to {dict(stock)}"
    if said.proofs:
        yield f"{said.name}: somebody contradicts itself ({said.proofs} proofs)"


def _points(said: Said, ledger: Ledger) -> Iterator[str]:
    nothing: tuple[Counter[str], Counter[str]] = Counter(), Counter()
    due = ledger.stores(said.stores)
    for place, life in sorted(due.items()):
        for account in ledger.accounts:
            earned, redeemed = (counts[account] for counts in said.points.get(place, nothing))
            if (earned, redeemed) not in _possible(life, account):
                yield (
                    f"{said.name} of {' '.join(place)}: {earned} points earned and {redeemed} redeemed by {account}, "
                    f"acknowledged was one of {sorted(_possible(life, account))}"
                )


def _overspent(ledger: Ledger) -> Iterator[str]:
    """However many tills were cut off from each other: nobody redeemed more points than there were."""
    every = Sum.of(act for life in ledger.lives.values() for act in life.acts)
    for account in sorted(ledger.accounts):
        if every.redeemed[account] > every.earned[account]:
            yield f"{account} earned {every.earned[account]} points and redeemed {every.redeemed[account]}"


def _possible(life: Life, account: str) -> set[tuple[int, int]]:
    """What the points of one life may be: all of them, or of a life that is over those of a beginning of it."""
    sums = [Sum.of(life.acts[:acts]) for acts in range(life.least, len(life.acts) + 1)]
    return {(each.earned[account], each.redeemed[account]) for each in sums}


def _same_days(said: list[Said], ledger: Ledger, store: int) -> Iterator[str]:
    """Everybody who may read a store says the same of each of its lives."""
    readers = [one for one in said if store in one.stores]
    for place in sorted(ledger.stores({store})):
        acts = {one.name: (one.days[place].covers if place in one.days else 0) for one in readers}
        if len(set(acts.values())) > 1:
            yield f"{' '.join(place)}: not everybody has as many of its acts: {acts}"


def _heads(said: list[Said]) -> Iterator[str]:
    holders: dict[str, list[Said]] = {}
    for one in said:
        for scope in one.heads:
            holders.setdefault(scope, []).append(one)
    for scope, readers in sorted(holders.items()):
        for one in readers[1:]:
            yield from _unequal(scope, readers[0], one)


def _unequal(scope: str, one: Said, other: Said) -> Iterator[str]:
    ours, theirs = one.heads[scope], other.heads[scope]
    for feed in sorted({*ours, *theirs}):
        if ours.get(feed) != theirs.get(feed):
            yield f"{scope}: {feed}: {one.name} has {_short(ours, feed)}, {other.name} has {_short(theirs, feed)}"


def _short(heads: Mapping[str, tuple[Hash, ...]], feed: str) -> str:
    return ", ".join(head.hex()[:8] for head in heads.get(feed, ())) or "nothing"


# --- sealed ----------------------------------------------------------------------------------------------------------


def unsealed(town: Wired) -> list[str]:
    """Acts of tills that somebody who keeps their vault does not have, opened with the recovery key; and tills that know so."""
    found = [
        f"{till} says {safe}" for till in town.tills() if (safe := town.call(till, "status")["outside"])["waiting"]
    ]
    journals = {till: _journal(town, till) for till in town.tills()}
    for keeper, folder in sorted(town.folders.items()):
        with town.reading(keeper) as (looked, reader):
            own = folder.certificate.store
            guarded = {int(scope.partition("/")[2]) for scope in vault_scopes(Role.TILL, own, looked.directory)}
            others = set(_stores(town)) if own is None else guarded - {own}
            vaults = open_vaults(reader, town.town.keys.recovery, others)
        sealed = {hash_ for vault in vaults for hash_ in vault.entries}
        for till, journal in journals.items():
            missing = len(journal - sealed) if store_of(till) in others else 0
            found += [f"{keeper} lacks {missing} of {len(journal)} acts of {till}"] if missing else []
        found += [f"{keeper} cannot open {len(vault.unopened)} segments" for vault in vaults if vault.unopened]
    return found


def _journal(town: Wired, till: str) -> set[Hash]:
    """What this life of a till has done, by its own disk."""
    with town.reading(till) as (looked, reader):
        own = looked.folder.certificate.author
        feeds = [FeedId(document, own) for document in reader.documents(JOURNAL)]
        return {stored.entry.hash for feed in feeds for stored in reader.entries(feed)}


def _stores(town: Wired) -> list[int]:
    return sorted({store_of(name) for name in town.tills()})
