"""The books out of kept sums: what ``crdt_pos.books.read`` gives, without reading the days that the sums hold already.

What a person sees at first is known at once; each till's date and each product by itself are read when somebody asks for them.
Where nothing is kept, or that does not hold any more, everything is read.
"""

from __future__ import annotations

import datetime
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from itertools import pairwise
from operator import add
from typing import Final, Generic, NamedTuple, TypeVar, cast, overload

from crdt_pos import books, kept, kept_table
from crdt_pos.books import Account, Awaited, Books, Brief, Money, Query, TillDay, TillSum
from crdt_pos.day import Flow, TaxTotals
from crdt_pos.goods_rows import GoodsRow, Key
from crdt_pos.kept import Kept, Life
from crdt_pos.kept_goods import Goods, Moved, OfCompany, OfLives
from crdt_pos.kept_table import Table
from crdt_pos.schema import DAY
from gossip.document import Document, date_of, day_number, order_key
from gossip.log import Reader
from merge_rules.claims import Identities
from merge_rules.lattice import Author
from peers.roster import Directory

T = TypeVar("T")
_PARTS: Final = {kept.TAX: len(TaxTotals._fields), kept.TENDER: len(Flow._fields), kept.SERIES: 1}


def read(reader: Reader, directory: Directory, query: Query, identities: Identities | None = None) -> Books:
    """The books. Raises ``NothingHere``."""
    found = of_sums(reader, directory, query, identities)
    return books.read(reader, directory, query, identities) if found is None else found


def of_sums(reader: Reader, directory: Directory, query: Query, identities: Identities | None = None) -> Books | None:
    """The books out of what is kept; ``None`` if that is not enough. Raises ``NothingHere``."""
    sums = Kept.read(reader, directory)
    if sums is None:
        return None
    try:
        sums.refresh(query.store)
        sums.refresh_balances()
        return _Books(reader, directory, query, identities or Identities(), sums).read()
    except OverflowError:
        return None


class Later(Sequence[T], Generic[T]):
    """Rows that are made when somebody looks at them."""

    def __init__(self, make: Callable[[], tuple[T, ...]]) -> None:
        self._make = make

    @cached_property
    def _rows(self) -> tuple[T, ...]:
        return self._make()

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...
    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        return self._rows[index]

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[T]:
        return iter(self._rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._rows == tuple(cast("Sequence[object]", other))

    def __hash__(self) -> int:
        return hash(self._rows)

    def __repr__(self) -> str:
        return repr(self._rows)


class _Known(NamedTuple):
    """A till's life."""

    store: int
    till: int
    name: str
    author: Author
    table: Table | None
    days: Sequence[int]

    @property
    def life(self) -> Life:
        return self.store, self.author


class _Waits(NamedTuple):
    """Dates for which one life is waited for."""

    who: _Known
    heard_ms: int
    days: list[int]

    def rows(self) -> Iterator[Awaited]:
        return (self.row(day) for day in self.days)

    def row(self, day: int) -> Awaited:
        return Awaited(f"{self.who.store}-{self.who.till}", date_of(day), self.heard_ms)


class _Books:
    """One question."""

    def __init__(self, reader: Reader, directory: Directory, query: Query, identities: Identities, sums: Kept) -> None:
        self._reader = reader
        self._directory = directory
        self._query = query
        self._identities = identities
        self._sums = sums
        self._everybody = True
        """Whether all lives of the company are asked for."""
        self._lives: list[_Known] = []
        for (store, author), table in sums.lives(query.store):
            certificate = directory.certificate(author)
            till = (certificate.till if certificate else 0) or 0
            if query.till in (None, till):
                life = certificate.incarnation if certificate else author.hex()
                self._lives.append(_Known(store, till, life, author, table, table.column(kept.ON)))
            else:
                self._everybody = False
        self._keys: dict[tuple[Author, int], Key] = {}
        self._first = {one.author: date_of(one.days[0]) for one in self._lives}

    def _key(self, author: Author, store: int, date: datetime.date = datetime.date.max) -> Key:
        first = self._first.get(author)
        if first is None:
            return books.store_money(self._directory, store, date)
        found = self._keys.get((author, store))
        if found is None:
            found = self._keys[author, store] = books.store_money(self._directory, store, first)
        return found

    def read(self) -> Books | None:
        """``None``: read everything."""
        if len(self._first) < len(self._lives):
            return None  # somebody tells of one life in two stores
        query = self._query
        here: set[int] = set()
        forks: list[Document] = []
        for store, days, forked in self._documents():
            here.update(days)
            forks += [Document(DAY, day, (store,)) for day in forked]
        date_from, date_to = books.period(self._reader, self._directory, query, here)
        first, last = day_number(date_from), day_number(date_to)
        chosen: dict[Key, list[tuple[_Known, int, int]]] = {}
        dates: set[int] = set()
        for one in self._lives:
            low, high = bisect_left(one.days, first), bisect_right(one.days, last)
            if low < high:
                chosen.setdefault(self._key(one.author, one.store), []).append((one, low, high))
                dates.update(one.days[low:high])
        if query.till is not None and not self._has_till(query.till):
            raise books.no_till(query)
        waiting = self._waiting(sorted(dates))
        goods = self._goods(first, last)
        if query.product is not None and not any(one.anywhere() for one in goods.values()):
            raise books.never_moved(query)
        accounts = [
            self._account(key, chosen.get(key, []), waiting.get(key, []), goods.get(key), (first, last))
            for key in sorted(chosen.keys() | waiting.keys())
        ]
        return Books(
            date_from,
            date_to,
            tuple(accounts),
            self._owed(),
            *books.settled(self._reader, query, date_from, date_to),
            tuple(sorted((one for one in forks if first <= one.day <= last), key=order_key)),
        )

    def _owed(self) -> tuple[books.Owed, ...]:
        sums = books.OwedSums(self._key, self._directory, self._query)
        for programme, shard in self._sums.owed():
            shard.add_to(sums, programme)
        return sums.rows()

    def _documents(self) -> Iterator[tuple[int, list[int], list[int]]]:
        if self._query.store is None:
            return self._sums.all_documents()
        return iter([(self._query.store, *self._sums.documents(self._query.store))])

    def _has_till(self, till: int) -> bool:
        return bool(self._lives) or any(
            one.till == till for store in self._stores() for one in self._directory.tills(store)
        )

    def _stores(self) -> list[int]:
        known = {one.store for one in self._lives} | self._directory.stores.keys()
        return sorted(known if self._query.store is None else known & {self._query.store})

    # ---- goods ----------------------------------------------------------------------------------------------------------

    def _goods(self, first: int, last: int) -> dict[Key, Goods]:
        """By whose money; only of those that have moved anything until then."""
        query = self._query
        measure = partial(books.measure, self._reader)
        by_key: dict[Key, list[_Known]] = {}
        for one in self._lives:
            if one.days[0] <= last:
                by_key.setdefault(self._key(one.author, one.store), []).append(one)
        found: dict[Key, Goods] = {}
        tables = {one.life: one.table for one in self._lives if one.table is not None}
        numbers = self._sums.add_up(tables) if query.store is None and self._everybody else None
        for key, lives in by_key.items():
            moved: Moved
            if numbers is None:
                moved = OfLives(self._sums, ((one.life, one.days) for one in lives), first, last)
            else:
                moved = OfCompany(self._sums, numbers.index(key), first, last)
            found[key] = Goods(moved, key, self._identities, measure, query.product)
        return found

    # ---- what is waited for ---------------------------------------------------------------------------------------------

    def _waiting(self, dates: list[int]) -> dict[Key, list[_Waits]]:
        """By whose money, in the order of stores, tills and lives."""
        names = {one.author: one for one in self._lives}
        for store in self._stores():
            for one in self._directory.tills(store):
                if one.till is not None and self._query.till in (None, one.till):
                    known = names.get(one.author)
                    table, days = (None, ()) if known is None else (known.table, known.days)
                    names[one.author] = _Known(store, one.till, one.incarnation, one.author, table, days)
        found: dict[Key, list[_Waits]] = {}
        if not dates:
            return found
        for who in sorted(names.values(), key=lambda one: (one.store, one.till, one.name, one.author)):
            days = _awaited(who, dates)
            for closure in self._directory.closures:
                if closure.store == who.store and closure.till in (0, who.till) and closure.life in ("", who.name):
                    days = days[: bisect_right(days, day_number(closure.last_day))]
            if not days:
                continue
            heard_ms = 0 if who.table is None else max(who.table.column(kept.HEARD))
            for key, of_key in self._by_money(who, days).items():
                found.setdefault(key, []).append(_Waits(who, heard_ms, of_key))
        return found

    def _by_money(self, who: _Known, days: list[int]) -> dict[Key, list[int]]:
        """Ascending dates by whose money a life takes: of one that has told of no date, the money may change with the store's."""
        if who.table is not None:
            return {self._key(who.author, who.store): days}
        changes = {bisect_left(days, day_number(one.valid_from)) for one in self._directory.stores.get(who.store, ())}
        by_key: dict[Key, list[int]] = {}
        for low, high in pairwise(sorted(changes | {0, len(days)})):
            by_key.setdefault(self._key(who.author, who.store, date_of(days[low])), []).extend(days[low:high])
        return by_key

    # ---- accounts -------------------------------------------------------------------------------------------------------

    def _account(
        self,
        key: Key,
        chosen: list[tuple[_Known, int, int]],
        waiting: list[_Waits],
        goods: Goods | None,
        period: tuple[int, int],
    ) -> Account:
        totals = kept_table.summed((one.table, low, high) for one, low, high in chosen if one.table is not None)
        days = partial(self._days, key, *period)
        notable = self._notable(chosen)
        brief = Brief(
            sum(high - low for _, low, high in chosen),
            tuple(_tills(chosen, waiting, notable)),
            notable,
            tuple({one.who[:2]: one.row(one.days[-1]) for one in waiting}.values()),
            sum(len(one.days) for one in waiting),
            _none if goods is None else goods.best,
        )
        rows: Callable[[], tuple[GoodsRow, ...]] = tuple if goods is None else goods.all
        return Account(
            *key,
            stores=tuple(sorted({one.store for one, _, _ in chosen})),
            money=_money(totals),
            goods=Later(rows),
            days=Later(days),
            waiting=Later(lambda: tuple(row for one in waiting for row in one.rows())),
            known=brief,
        )

    def _days(self, key: Key, first: int, last: int) -> tuple[TillDay, ...]:
        """Every till's date, from the entries."""
        authors = {one.author for one in self._lives if self._key(one.author, one.store) == key}
        documents = [
            Document(DAY, day, (store,)) for store, days, _ in self._documents() for day in days if first <= day <= last
        ]
        return tuple(
            day
            for document in sorted(documents, key=order_key)
            for day in books.till_days(self._reader, self._directory, document)
            if day.author in authors
        )

    def _notable(self, chosen: Sequence[tuple[_Known, int, int]]) -> tuple[TillDay, ...]:
        wanted: dict[Document, set[Author]] = {}
        for one, low, high in chosen:
            table = one.table
            if table is not None and table.between(kept.NOTABLE, low, high):
                for row in range(low, high):
                    if table.at(kept.FLAGS, row) != kept.CLOSED:
                        wanted.setdefault(Document(DAY, one.days[row], (one.store,)), set()).add(one.author)
        return tuple(
            day
            for document in sorted(wanted, key=order_key)
            for day in books.till_days(self._reader, self._directory, document)
            if day.author in wanted[document] and books.is_notable(day)
        )


def _none(_count: int) -> tuple[Sequence[GoodsRow], int, int]:
    return (), 0, 0


def _awaited(who: _Known, dates: list[int]) -> list[int]:
    """Those of ascending dates that are not final for a till: as ``books`` says."""
    table, ons = who.table, who.days
    if table is None or not len(ons):
        return dates
    found: list[int] = []
    low, high = bisect_left(ons, dates[0]), bisect_right(ons, dates[-1])
    beyond = min(high + 1, len(ons))
    if table.between(kept.OPEN, low, high) or table.between(kept.SKIPS, low, beyond):
        for row in range(low, beyond):
            after = ons[row - 1] if row else kept.NO_DATE
            until = min(table.at(kept.PREVIOUS, row), ons[row] - 1)
            if until > after:
                found += dates[bisect_right(dates, after) : bisect_right(dates, until)]
            if row < high and not table.at(kept.FLAGS, row) & kept.CLOSED:
                found.append(ons[row])
    return found + dates[bisect_right(dates, ons[-1]) :]


def _tills(
    chosen: Sequence[tuple[_Known, int, int]], waiting: Sequence[_Waits], notable: Sequence[TillDay]
) -> Iterator[TillSum]:
    sums: dict[tuple[int, int], list[int]] = {}
    for one, low, high in chosen:
        assert one.table is not None
        between = one.table.between
        added = (high - low, *(between(name, low, high) for name in (kept.RECEIPTS, kept.TAKINGS, kept.REFUNDS)))
        before = sums.get(one[:2])
        sums[one[:2]] = list(added) if before is None else list(map(add, before, added))
    waits_of: dict[tuple[int, int], list[_Waits]] = {}
    for waits in waiting:
        waits_of.setdefault(waits.who[:2], []).append(waits)
    days_of: dict[tuple[int, int], list[TillDay]] = {}
    for day in notable:
        days_of.setdefault((day.store, day.till), []).append(day)
    for place in sorted(sums.keys() | waits_of.keys()):
        days, waited = days_of.get(place, ()), waits_of.get(place, ())
        dates, receipts, takings, refunds = sums.get(place, (0, 0, 0, 0))
        yield TillSum(
            *place,
            dates,
            receipts,
            takings,
            refunds,
            disputed=any(day.disputed for day in days),
            claimed=any(day.claims for day in days),
            given_up=next((day for day in reversed(days) if day.given_up), None),
            awaited=sum(len(one.days) for one in waited),
            heard=waited[0].row(waited[0].days[0]) if waited else None,
        )


def _money(totals: Mapping[tuple[int, int, int], int]) -> Money:
    by_code: dict[int, dict[int, list[int]]] = {kept.TAX: {}, kept.TENDER: {}, kept.SERIES: {}}
    for what, code, part in totals:
        if what in by_code and not part and totals[what, code, 0]:
            parts = range(1, _PARTS[what] + 1)
            by_code[what][code] = [totals.get((what, code, one), 0) for one in parts]

    def of(name: tuple[int, int, int]) -> int:
        return totals.get(name, 0)

    return Money(
        of(kept.TAKINGS),
        of(kept.REFUNDS),
        of(kept.TAX_ON_TOP),
        Flow(of(kept.ROUNDED_UP), of(kept.ROUNDED_DOWN)),
        Flow(of(kept.LIABILITIES_IN), of(kept.LIABILITIES_OUT)),
        {code: TaxTotals(*parts) for code, parts in by_code[kept.TAX].items()},
        {kind: Flow(*parts) for kind, parts in by_code[kept.TENDER].items()},
        {series: count for series, (count,) in by_code[kept.SERIES].items()},
    )
