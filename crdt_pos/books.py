"""The books: what stores took and moved, read from the day entries that are here, on any replica.

Every figure comes from what counts of a till's date, as ``crdt_pos.counted`` says: its own summary, its journal's fold, or
what a proxy tells. Nothing is added across legal entities or currencies: a life of a till sells for one legal entity in one
currency, those of its store on its first date, also if it hears late that the store has others. What is not closed, or should
be here and is not, is named with every figure: a till is *waited for* on a date

- while its entry of that date is not closed,
- if its entry of a later date says that there was one and it is not here,
- if it takes part in the store and nothing of that date or a later one has come: it may have been open.

A till whose later entry names an earlier previous date was closed all that day, which is final.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from functools import partial
from typing import Final, NamedTuple

from crdt_pos import settling, variances
from crdt_pos.balance import Balance
from crdt_pos.catalogue_views import CatalogueProducts
from crdt_pos.counted import Claim, counted
from crdt_pos.day import Day, Flow, TaxTotals, days_between
from crdt_pos.errors import NothingHere
from crdt_pos.goods_rows import GoodsRow, GoodsRows, Key, Measure
from crdt_pos.loyalty import POINTS, currency_of
from crdt_pos.schema import BALANCE, DAY, VARIANCES
from crdt_pos.settling import ToSettle
from crdt_pos.variance import Variance
from gossip.document import Document, Scope, date_of, day_number
from gossip.log import Reader, Stored
from merge_rules.claims import Identities
from merge_rules.counter_bounded import CounterBounded
from merge_rules.dataclass import dataclass
from merge_rules.lattice import Author
from peers.roster import Directory

NOTHING: Final = Flow()


@dataclass(frozen=True, slots=True)
class Query:
    """Which days, stores, tills and products; ``None`` for all (of days: the newest date that is here)."""

    date_from: datetime.date | None = None
    date_to: datetime.date | None = None
    store: int | None = None
    till: int | None = None
    product: int | None = None


class Awaited(NamedTuple):
    """A till of which more may come."""

    till: str
    """``12-3``."""
    date: datetime.date
    heard_ms: int
    """When the newest of its entries came; 0 if none did."""


@dataclass(frozen=True, slots=True)
class TillDay:
    """One till's business date, as far as it is known here."""

    author: Author
    store: int
    till: int
    incarnation: str
    date: datetime.date
    day: Day
    covers: int
    """Acts in it."""
    publisher: Author | None
    """Who signed the summary; ``None`` where the journal here was folded."""
    heard_ms: int
    disputed: bool
    """An author contradicts itself, or somebody says of this till what excludes what counts: until a person decides."""
    told_ms: int = 0
    """When its newest summary was signed, by its author's clock."""
    expected: bool = True
    """Whether the roster lets more be expected of this life for this date."""
    claims: tuple[Claim, ...] = ()
    """What others say of it and does not count."""

    @property
    def given_up(self) -> bool:
        """Whether nobody will close it: its figures are final as they are known, and what came after them is lost."""
        return not self.closed and not self.expected

    @property
    def proxy(self) -> Author | None:
        """Who told it, if that was not this till itself: if it is closed, what came after ``covers`` acts is lost."""
        return self.publisher if self.publisher != self.author else None

    @property
    def name(self) -> str:
        """``12-3``."""
        return f"{self.store}-{self.till}"

    @property
    def closed(self) -> bool:
        """Whether nothing more will come."""
        return self.day.closed


@dataclass(frozen=True, slots=True)
class Money:
    """Amounts of one legal entity in one currency, in minor units."""

    takings_minor: int = 0
    refunds_minor: int = 0
    tax_not_included_minor: int = 0
    rounding: Flow = NOTHING
    liabilities: Flow = NOTHING
    taxes: Mapping[int, TaxTotals] = field(default_factory=dict[int, TaxTotals])
    tenders: Mapping[int, Flow] = field(default_factory=dict[int, Flow])
    documents: Mapping[int, int] = field(default_factory=dict[int, int])
    """Series → count."""

    @property
    def tax_minor(self) -> int:
        """All tax, less what was given back."""
        return sum(tax.tax - tax.tax_back for tax in self.taxes.values())

    @property
    def tenders_net_minor(self) -> int:
        """Tenders in less out."""
        return sum(flow.net for flow in self.tenders.values())

    @property
    def balanced(self) -> bool:
        """takings − refunds + tax not included + rounding + liabilities sold = tenders in − tenders out."""
        due = self.takings_minor - self.refunds_minor + self.tax_not_included_minor
        return due + self.rounding.net + self.liabilities.net == self.tenders_net_minor

    def plus(self, day: Day) -> Money:
        """With one till's day."""
        taxes, tenders, documents = dict(self.taxes), dict(self.tenders), dict(self.documents)
        for code, tax in day.taxes.items():
            taxes[code] = TaxTotals(*map(sum, zip(taxes.get(code, TaxTotals()), tax, strict=True)))
        for kind, flow in day.tenders.items():
            tenders[kind] = _add(tenders.get(kind, Flow()), flow)
        for series, numbers in day.series.items():
            documents[series] = documents.get(series, 0) + numbers.documents
        return Money(
            self.takings_minor + day.takings_minor,
            self.refunds_minor + day.refunds_minor,
            self.tax_not_included_minor + day.tax_not_included_minor,
            _add(self.rounding, day.rounding),
            _add(self.liabilities, day.liabilities),
            taxes,
            tenders,
            documents,
        )


@dataclass(frozen=True, slots=True)
class TillSum:
    """One till's part in the books of a period."""

    store: int
    till: int
    dates: int = 0
    receipts: int = 0
    takings_minor: int = 0
    refunds_minor: int = 0
    disputed: bool = False
    claimed: bool = False
    """Somebody else says otherwise."""
    given_up: TillDay | None = None
    """The last date that nobody will close."""
    awaited: int = 0
    """Dates."""
    heard: Awaited | None = None
    """The first of them."""

    @property
    def name(self) -> str:
        """``12-3``."""
        return f"{self.store}-{self.till}"


@dataclass(frozen=True, slots=True)
class Brief:
    """What the books of a period say at first sight, without a row for each till's date and each product."""

    days: int
    """Tills' dates."""
    tills: tuple[TillSum, ...]
    """By store and till."""
    notable: tuple[TillDay, ...]
    """Dates that are disputed, given up, or told by others."""
    awaited: tuple[Awaited, ...]
    """Of every till that is waited for the last date."""
    awaited_dates: int
    best: Callable[[int], tuple[Sequence[GoodsRow], int, int]]
    """So many rows of goods by net takings, the largest first; how many more there are, and their net takings."""


@dataclass(frozen=True, slots=True)
class Account:
    """The books of one legal entity in one currency."""

    legal_entity: str
    currency: str
    exponent: int
    stores: tuple[int, ...]
    money: Money
    goods: Sequence[GoodsRow]
    days: Sequence[TillDay]
    waiting: Sequence[Awaited]
    """Empty: every figure is final."""
    known: Brief | None = field(default=None, compare=False, repr=False)
    """In short, where that was known before the rows were."""

    def brief(self) -> Brief:
        """In short."""
        return self.known or _brief(self)


@dataclass(frozen=True, slots=True)
class Owed:
    """A programme's balances as known here, at whatever date: what one legal entity issued and redeemed in one currency.

    Below zero where it redeemed what others issued, who owe it that.
    """

    programme: str
    legal_entity: str
    currency: str
    exponent: int
    """Decimals of the amounts; 0 for points, which are whole."""
    accounts: int
    earned: int
    redeemed: int
    owed: int


@dataclass(frozen=True, slots=True)
class Books:
    """Everything that was asked for."""

    date_from: datetime.date
    date_to: datetime.date
    accounts: tuple[Account, ...]
    owed: tuple[Owed, ...]
    variances: tuple[tuple[datetime.date, int, Variance], ...]
    """Date, store, variance."""
    to_settle: tuple[ToSettle, ...]
    """What was given back too often, or of receipts that are not here: as far as the stores' journals are here."""
    forked: tuple[Document, ...] | None = field(default=None, compare=False)
    """The days of the period in which an author contradicts itself, where that is known."""


def read(reader: Reader, directory: Directory, query: Query, identities: Identities | None = None) -> Books:
    """The books. ``identities``: the claims, for products that are read as one.

    Raises ``NothingHere`` for a date, store, till or product that nothing here knows.
    """
    documents = day_documents(reader, query)
    date_from, date_to = period(reader, directory, query, {document.day for document in documents})
    known = _TillDays(reader, directory, query, documents)
    chosen = known.between(date_from, date_to)
    if query.till is not None and not known.has_till(query.till):
        raise no_till(query)
    waiting = list(known.waiting(date_from, date_to))
    keys = {known.key(day.author, day.store, day.date): None for day in chosen}
    keys.update({key: None for _, key in waiting})
    goods = GoodsRows(identities or Identities(), partial(measure, reader), query.product)
    for day in known.between(datetime.date.min, date_to):
        goods.add(known.key(day.author, day.store, day.date), day.day.goods, moved=day.date >= date_from)
    if query.product is not None and not goods.anywhere():
        raise never_moved(query)
    accounts = tuple(
        Account(
            *key,
            stores=tuple(sorted({day.store for day in days})),
            money=_money(day.day for day in days),
            goods=goods.rows(key),
            days=tuple(days),
            waiting=tuple(one for one, its_key in waiting if its_key == key),
        )
        for key in sorted(keys)
        for days in [[day for day in chosen if known.key(day.author, day.store, day.date) == key]]
    )
    return Books(
        date_from,
        date_to,
        accounts,
        owed(reader, known.key, directory, query),
        *settled(reader, query, date_from, date_to),
    )


MoneyOf = Callable[[Author, int], Key]
"""Whose money a life takes in a store."""


@dataclass(frozen=True, slots=True)
class Owing:
    """One account of one programme."""

    acted: Mapping[Author, tuple[int, int]]
    """What each issued and redeemed. Whoever only holds rights, such as a head office to which a closing till granted its own,
    owes nobody anything."""
    value: int
    """Less what revoked replicas held: nobody can spend that."""


def owing(reader: Reader, document: Document) -> Owing:
    """What a ``balance`` document says."""
    state = CounterBounded.bottom()
    for stored in reader.head_entries(document):
        state = state.join(CounterBounded.from_entry(stored.entry.author, stored.entry.seq, stored.entry.body))
    lost = Balance(state, frozenset(), reader.revoked()).written_off if reader.revoked() else 0
    said = ((author, (state.earned(author), state.redeemed(author))) for author in sorted(state.authors))
    return Owing({author: both for author, both in said if any(both)}, state.value() - lost)


def owed(reader: Reader, key_of: MoneyOf, directory: Directory, query: Query) -> tuple[Owed, ...]:
    """What is owed to accounts, by programme and legal entity. With a store or till: what was earned and redeemed there."""
    sums = OwedSums(key_of, directory, query)
    for document in reader.documents(BALANCE):
        if any(asked(directory, query, author) for author in reader.authors(document)):
            sums.add(str(document.keys[0]), owing(reader, document))
    return sums.rows()


class OwedSums:
    """What is owed, account by account."""

    def __init__(self, key_of: MoneyOf, directory: Directory, query: Query) -> None:
        self._directory = directory
        self._key_of = key_of
        self._query = query
        self._sums: dict[tuple[str, Key], list[int]] = {}
        self._keys: dict[tuple[str, Author], Key] = {}
        self._asked: dict[Author, bool] = {}

    def asked(self, author: Author) -> bool:
        """Whether what an author did is asked for."""
        if author not in self._asked:
            self._asked[author] = asked(self._directory, self._query, author)
        return self._asked[author]

    def key(self, programme: str, author: Author) -> Key:
        """The legal entity and currency of what an author did to a balance."""
        found = self._keys.get((programme, author))
        if found is None:
            found = self._keys[programme, author] = money_of(self._key_of, self._directory, programme, author)
        return found

    def add(self, programme: str, account: Owing) -> None:
        """One more account."""
        by_key: dict[Key, list[Author]] = {}
        issued_by = {author: self.key(programme, author) for author in account.acted}
        for author, key in issued_by.items():
            if self.asked(author):
                by_key.setdefault(key, []).append(author)
        one_issuer = len(set(issued_by.values())) == 1
        for key, authors in by_key.items():
            earned, redeemed = (sum(account.acted[author][part] for author in authors) for part in (0, 1))
            self.add_sums(programme, key, (1, earned, redeemed, account.value if one_issuer else earned - redeemed))

    def add_sums(self, programme: str, key: Key, sums: Iterable[int]) -> None:
        """Accounts, earned, redeemed and owed of several."""
        row = self._sums.get((programme, key), [0, 0, 0, 0])
        self._sums[programme, key] = [*map(sum, zip(row, sums, strict=True))]

    def rows(self) -> tuple[Owed, ...]:
        """By programme and legal entity."""
        return tuple(Owed(programme, *key, *row) for (programme, key), row in sorted(self._sums.items()))


def money_of(key_of: MoneyOf, directory: Directory, programme: str, author: Author) -> Key:
    """The legal entity and currency of what an author did to a balance; points have no decimals."""
    certificate = directory.certificate(author)
    store = None if certificate is None else certificate.store
    entity, currency, exponent = ("", currency_of(programme), 2) if store is None else key_of(author, store)
    return entity, currency, 0 if programme.startswith(POINTS) else exponent


def store_money(directory: Directory, store: int, date: datetime.date) -> Key:
    """Whose money a store takes on a date."""
    record = directory.store(store, date)
    # Of two stores that are not known here nobody knows that their money is the same.
    return (record.legal_entity, record.currency, record.exponent) if record else (f"unknown, of store {store}", "", 2)


def measure(reader: Reader, product: int) -> Measure:
    """What a product's quantities count."""
    found = CatalogueProducts().find(reader, product)
    return (found.unit, found.quantity_exponent) if found else ("", 0)


def _money(days: Iterable[Day]) -> Money:
    money = Money()
    for day in days:
        money = money.plus(day)
    return money


def _brief(account: Account) -> Brief:
    of_till: dict[tuple[int, int], list[TillDay]] = {}
    for day in account.days:
        of_till.setdefault((day.store, day.till), []).append(day)
    awaited: dict[tuple[int, int], list[Awaited]] = {}
    for one in account.waiting:
        store, till = one.till.split("-")
        awaited.setdefault((int(store), int(till)), []).append(one)
    tills: list[TillSum] = []
    for place in sorted(of_till.keys() | awaited.keys()):
        days, waited = of_till.get(place, []), awaited.get(place, [])
        given_up = [day for day in days if day.given_up]
        tills.append(
            TillSum(
                *place,
                len(days),
                sum(numbers.documents for day in days for numbers in day.day.series.values()),
                sum(day.day.takings_minor for day in days),
                sum(day.day.refunds_minor for day in days),
                any(day.disputed for day in days),
                any(day.claims for day in days),
                given_up[-1] if given_up else None,
                len(waited),
                waited[0] if waited else None,
            )
        )
    notable = tuple(day for day in account.days if is_notable(day))
    last = tuple({one.till: one for one in account.waiting}.values())
    return Brief(len(account.days), tuple(tills), notable, last, len(account.waiting), partial(_best, account.goods))


def is_notable(day: TillDay) -> bool:
    """Whether more is to be said of a till's date than its figures."""
    return day.disputed or day.given_up or bool(day.claims) or day.proxy is not None


def _best(goods: Sequence[GoodsRow], count: int) -> tuple[Sequence[GoodsRow], int, int]:
    ordered = sorted(goods, key=by_takings)
    left = ordered[count:]
    return ordered[:count], len(left), sum(row.goods.net_takings for row in left)


def by_takings(row: GoodsRow) -> tuple[int, int]:
    """Orders rows: what took most comes first."""
    return -row.goods.net_takings, row.product


def _add(a: Flow, b: Flow) -> Flow:
    return Flow(a.come_in + b.come_in, a.gone_out + b.gone_out)


def no_till(query: Query) -> NothingHere:
    """To be raised."""
    return NothingHere(f"There is no till {query.till}{_of_store(query)} here.")


def never_moved(query: Query) -> NothingHere:
    """To be raised."""
    return NothingHere(f"Product {query.product} has never moved{_of_store(query)}, as far as it is known here.")


def _of_store(query: Query) -> str:
    return "" if query.store is None else f" of store {query.store}"


def asked(directory: Directory, query: Query, author: Author) -> bool:
    """Whether what an author did is asked for."""
    if query.store is None and query.till is None:
        return True
    certificate = directory.certificate(author)
    return (
        certificate is not None and query.store in (None, certificate.store) and query.till in (None, certificate.till)
    )


def day_documents(reader: Reader, query: Query) -> list[Document]:
    """The ``day`` documents of the stores asked for, whatever the date: of one store without a look at the others'."""
    if query.store is None or reader.revoked():  # of who is cut off more may count than the scopes here name
        return [document for document in reader.documents(DAY) if query.store in (None, document.keys[0])]
    feeds = (reader.feed_at(key).document for key, _ in reader.feeds(Scope(f"store/{query.store}")))
    return list(dict.fromkeys(document for document in feeds if document.kind == DAY))


def period(
    reader: Reader, directory: Directory, query: Query, days: Collection[int]
) -> tuple[datetime.date, datetime.date]:
    """The dates asked for. ``days``: those of the documents here. Raises ``NothingHere``."""
    if query.store is not None and not days and query.store not in directory.stores:
        stores = {document.keys[0] for document in reader.documents(DAY)} | directory.stores.keys()
        known = ", ".join(map(str, sorted(store for store in stores if isinstance(store, int)))) or "none"
        raise NothingHere(f"There is no store {query.store} here; the stores here: {known}.")
    if not days:
        raise NothingHere(f"Nothing has been published{_of_store(query)} yet, as far as it is known here.")
    first, last = date_of(min(days)), date_of(max(days))
    date_to = query.date_to or (last if query.date_from is None else max(last, query.date_from))
    date_from = query.date_from or (date_to if query.date_to is None else min(first, query.date_to))
    if date_from > date_to:
        raise NothingHere(f"The period ends before it begins: {date_from} to {date_to}.")
    if not any(day_number(date_from) <= day <= day_number(date_to) for day in days):
        asked = f"{date_from}" if date_from == date_to else f"{date_from} to {date_to}"
        raise NothingHere(f"There is nothing of {asked} here; the business dates here are {first} to {last}.")
    return date_from, date_to


def settled(
    reader: Reader, query: Query, date_from: datetime.date, date_to: datetime.date
) -> tuple[tuple[tuple[datetime.date, int, Variance], ...], tuple[ToSettle, ...]]:
    """Variances and what is to settle."""
    to_settle = (one for one in settling.read(reader) if _to_settle(query, date_from, date_to, one))
    return _variances(reader, query, date_from, date_to), tuple(to_settle)


def _variances(
    reader: Reader, query: Query, date_from: datetime.date, date_to: datetime.date
) -> tuple[tuple[datetime.date, int, Variance], ...]:
    found: list[tuple[datetime.date, int, Variance]] = []
    for document in reader.documents(VARIANCES, day_number(date_from), day_number(date_to)):
        store = document.keys[0]
        if isinstance(store, int) and query.store in (None, store):
            found.extend(
                (date_of(document.day), store, one)
                for one in variances.read(reader, document)
                if query.product in (None, one.product)
                and (query.till is None or one.number.split("-")[1:2] == [str(query.till)])
            )
    return tuple(found)


def _to_settle(query: Query, date_from: datetime.date, date_to: datetime.date, one: ToSettle) -> bool:
    # Store and till are those that gave it back: a number begins with them.
    places = [tuple(map(int, number.split("-")[:2])) for number in one.refunds]
    return (
        date_from <= one.date <= date_to
        and query.product in (None, one.product)
        and any(query.store in (None, store) and query.till in (None, till) for store, till in places)
    )


class _TillDays:
    """Every till's day that is here of the stores and tills asked for."""

    def __init__(self, reader: Reader, directory: Directory, query: Query, documents: Sequence[Document]) -> None:
        self._reader = reader
        self._directory = directory
        self._query = query
        self._days = [
            till_day
            for document in documents
            for till_day in till_days(reader, directory, document)
            if query.till in (None, till_day.till)
        ]
        self._first: dict[Author, datetime.date] = {}
        for day in self._days:
            self._first[day.author] = min(day.date, self._first.get(day.author, day.date))

    def key(self, author: Author, store: int, date: datetime.date = datetime.date.max) -> Key:
        """Whose money a life's is: by its first date that is here, or else by ``date``."""
        return store_money(self._directory, store, self._first.get(author, date))

    def between(self, date_from: datetime.date, date_to: datetime.date) -> list[TillDay]:
        return [day for day in self._days if date_from <= day.date <= date_to]

    def has_till(self, till: int) -> bool:
        return bool(self._days) or any(
            one.till == till for store in self._stores() for one in self._directory.tills(store)
        )

    def _stores(self) -> list[int]:
        known = {day.store for day in self._days} | self._directory.stores.keys()
        return sorted(known if self._query.store is None else known & {self._query.store})

    def waiting(self, date_from: datetime.date, date_to: datetime.date) -> Iterator[tuple[Awaited, Key]]:
        """Tills of which more may come for a date of the period, by store, till and date; and whose money that will be."""
        by_author: dict[Author, list[TillDay]] = {}
        for day in self._days:
            by_author.setdefault(day.author, []).append(day)
        names = {author: (days[0].store, days[0].till, days[0].incarnation) for author, days in by_author.items()}
        for store in self._stores():
            for one in self._directory.tills(store):
                if self._query.till in (None, one.till) and one.till is not None:
                    names[one.author] = (store, one.till, one.incarnation)
        dates = sorted({day.date for day in self.between(date_from, date_to)})
        for author, (store, till, life) in sorted(names.items(), key=lambda item: (item[1], item[0])):
            days = sorted(by_author.get(author, ()), key=lambda day: day.date)
            heard_ms = max((day.heard_ms for day in days), default=0)
            for date in _missing(days, dates):
                if self._directory.expects(store, till, life, date):
                    yield Awaited(f"{store}-{till}", date, heard_ms), self.key(author, store, date)


def _missing(days: Sequence[TillDay], dates: Sequence[datetime.date]) -> Iterator[datetime.date]:
    """The ``dates`` that are not final for a till that has ``days``, both ascending."""
    held = {day.date: day for day in days}
    for date in dates:
        if date in held:
            if not held[date].closed:
                yield date
            continue
        later = next((day for day in days if day.date > date), None)
        if later is None:
            yield date
            continue
        previous = days_between(later.day, later.date)
        if previous is not None and previous >= date:
            yield date


def till_days(
    reader: Reader, directory: Directory, document: Document, heads: Sequence[Stored] | None = None
) -> list[TillDay]:
    """The days of one ``day`` document, by till. ``heads``: its newest entries, if they have been read already."""
    store = document.keys[0] if document.keys else None
    if not isinstance(store, int):
        return []  # of no store: it is in nobody's books
    heard: dict[Author, int] = {}
    told: dict[Author, int] = {}
    forked: set[Author] = set()
    heads = list(reader.head_entries(document)) if heads is None else heads
    for stored in heads:
        entry = stored.entry
        if entry.author in heard:
            forked.add(entry.author)
        heard[entry.author] = max(heard.get(entry.author, 0), stored.received_ms or entry.stamp >> 16)
        told[entry.author] = max(told.get(entry.author, 0), entry.stamp >> 16)
    found: list[TillDay] = []
    for one in counted(reader, document, heads):
        certificate = directory.certificate(one.subject)
        till = (certificate.till if certificate else 0) or 0
        life = certificate.incarnation if certificate else one.subject.hex()
        date = date_of(document.day)
        publisher = one.summary.publisher
        found.append(
            TillDay(
                one.subject,
                store,
                till,
                life,
                date,
                one.day,
                one.covers,
                one.publisher,
                heard.get(one.subject, heard.get(publisher, 0)),
                one.disputed or publisher in forked,
                told.get(publisher, 0),
                directory.expects(store, till, life, date),
                one.claims,
            )
        )
    return sorted(found, key=lambda day: (day.till, day.incarnation, day.author))
