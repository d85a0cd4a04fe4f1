"""Kept sums: what the day entries of a log add up to, so that a question about the books need not read them all again.

Three layers, each derived from the one before, all of them views of the log:

    life     a till's life: a line for each of its dates, money as running totals
    moved    its goods of a month, by date and product
    date     goods of a date by product, of all lives that sell for one legal entity in one currency
    until    the same from the beginning to the end of a month

``as-of`` says up to which arrival they were derived, and under what else they hold (cut-offs, who is proven to contradict
itself). Law: brought up to date, they are what deriving them from nothing gives (``tests/books/test_kept.py``). A date of which
nothing has arrived since, under the same cut-offs, is as it was; all others are read again. Whoever lacks rows, or holds
journals, of which more follows, keeps nothing and reads everything. Mending the log forgets them: ``gossip.log.AS_OF``.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final, Generic, TypeVar, cast

from crdt_pos import kept_owed, kept_table
from crdt_pos.books import Owing, TillDay, owing, store_money, till_days
from crdt_pos.day import Goods, days_between
from crdt_pos.forks import liars
from crdt_pos.goods_rows import Key
from crdt_pos.kept_owed import Shard
from crdt_pos.kept_table import Name, Table
from crdt_pos.schema import BALANCE, DAY, JOURNAL
from gossip.document import Document, date_of, day_number, month_of
from gossip.log import AS_OF, Reader, View
from merge_rules import canonical
from merge_rules.dataclass import dataclass
from merge_rules.errors import NotCanonical
from merge_rules.lattice import AUTHOR_BYTES, Author
from peers.roster import Directory

VERSION: Final = f"1 {sys.byteorder}"
BEGUN: Final = canonical.encode([VERSION, "begun"])
"""In the place of ``as-of`` while everything is derived for the first time."""
_PREFIX: Final = b"kept/"
_LIFE: Final = b"kept/life/"
_STORE: Final = b"kept/store/"
_MOVED: Final = b"kept/moved/"
ASSIGNED: Final = b"kept/keys"
_DATE: Final = b"kept/date/"
_UNTIL: Final = b"kept/until/"
_OWED: Final = b"kept/owed/"

# Columns of a life: those of a line, and running totals
ON, PREVIOUS, FLAGS, HEARD = Name(0, 0), Name(0, 1), Name(0, 2), Name(0, 3)
OPEN, SKIPS, NOTABLE, RECEIPTS = Name(1, 0), Name(1, 1), Name(1, 2), Name(1, 3)
TAKINGS, REFUNDS, TAX_ON_TOP = Name(1, 4), Name(1, 5), Name(1, 6)
ROUNDED_UP, ROUNDED_DOWN, LIABILITIES_IN, LIABILITIES_OUT = Name(1, 7), Name(1, 8), Name(1, 9), Name(1, 10)
TAX, TENDER, SERIES = 2, 3, 4
"""Running totals too, by code. Part 0: lines that have it; then those of ``TaxTotals`` and ``Flow``, a count of documents."""
NO_DATE: Final = -(2**62)
CLOSED, DISPUTED, CLAIMED, BY_PROXY = 1, 2, 4, 8
_LINE: Final = (ON, PREVIOUS, FLAGS, HEARD)

# Columns of goods
DAY_OF, PRODUCT, COUNT, NET, STOCK = (Name(0, number) for number in range(5))
GOODS: Final = tuple(Name(1, number) for number in range(len(Goods._fields)))

Of = TypeVar("Of")

Life = tuple[int, Author]
"""A store, and who sold there."""
_SUMMED: Final = (COUNT, NET, STOCK, *GOODS)


@dataclass(frozen=True, slots=True)
class AsOf:
    """Up to where sums were derived, and under what they hold."""

    arrival: int
    basis: bytes

    @classmethod
    def read(cls, reader: Reader) -> AsOf | None:
        """``None`` where nothing is kept."""
        try:
            match canonical.decode(reader.view(AS_OF) or b""):
                case [str(version), int(arrival), bytes(basis)] if version == VERSION:
                    return cls(arrival, basis)
                case _:
                    return None
        except NotCanonical:
            return None

    def view(self) -> View:
        """To be written."""
        return AS_OF, canonical.encode([VERSION, self.arrival, self.basis])


def basis(reader: Reader) -> bytes:
    """Digest of all that the sums hang on besides the entries of days."""
    return hashlib.sha256(canonical.encode([reader.cut_off_digest(), sorted(liars(reader))])).digest()[:16]


def _all_travel(reader: Reader) -> bool:
    """Whether days are kept for ever: nobody has said otherwise."""
    return all(kind != DAY for kind, _ in reader.horizons)


class Adding(Generic[Of]):
    """Columns that are added up by what their rows are of."""

    def __init__(self) -> None:
        self.places: dict[Of, int] = {}
        self._columns: dict[tuple[int, int, int], list[int]] = {}

    def add(self, of: Iterable[Of], columns: Iterable[tuple[tuple[int, int, int], Sequence[int]]]) -> None:
        """Some rows, each once for each of its columns that is not zero."""
        places = [self.places.setdefault(one, len(self.places)) for one in of]
        for name, added in columns:
            column = self._columns.setdefault(name, [])
            column.extend([0] * (len(self.places) - len(column)))
            for place, count in zip(places, added, strict=True):
                column[place] += count

    def columns(self) -> dict[tuple[int, int, int], list[int]]:
        """The sums, in the order of ``places``."""
        for column in self._columns.values():
            column.extend([0] * (len(self.places) - len(column)))
        return {name: column for name, column in self._columns.items() if any(column)}


class Rows:
    """Views of the log, with what has been derived since and is not written."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.changed: dict[bytes, bytes | None] = {}

    def get(self, key: bytes) -> bytes | None:
        """A value."""
        return self.changed[key] if key in self.changed else self._reader.view(key)

    def put(self, key: bytes, value: bytes | None) -> None:
        """Change one; ``None`` deletes."""
        self.changed[key] = value

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Those under a prefix, ascending."""
        if not any(key.startswith(prefix) for key in self.changed):
            yield from self._reader.views(prefix)
            return
        found: dict[bytes, bytes | None] = dict(self._reader.views(prefix))
        found.update((key, value) for key, value in self.changed.items() if key.startswith(prefix))
        yield from ((key, value) for key, value in sorted(found.items()) if value is not None)


class Kept:
    """The sums of one snapshot of a log, brought up to date as far as somebody asks."""

    def __init__(
        self,
        reader: Reader,
        directory: Directory,
        rows: Rows,
        stale: Mapping[int, set[Document]],
        balances: Iterable[Document],
        dirty: Iterable[int] = (),
    ) -> None:
        self.rows = rows
        self._balances = set(balances)
        self._reader = reader
        self._directory = directory
        self._stale = {store: set(documents) for store, documents in stale.items()}
        self.dirty = set(dirty)
        """Days whose goods of the company are to be added up again."""

    @classmethod
    def read(cls, reader: Reader, directory: Directory) -> Kept | None:
        """What is kept; ``None`` if that is nothing, or does not hold any more."""
        as_of = AsOf.read(reader)
        if as_of is None or as_of.basis != basis(reader) or not _all_travel(reader):
            return None
        stale: dict[int, set[Document]] = {}
        balances: set[Document] = set()
        for stored in reader.arrivals(as_of.arrival, sys.maxsize):
            document = stored.entry.document
            if document.kind == BALANCE:
                balances.add(document)
            if document.kind == JOURNAL:
                return None
            if document.kind == DAY and (store := _store_of(document)) is not None:
                stale.setdefault(store, set()).add(document)
        return cls(reader, directory, Rows(reader), stale, balances)

    @classmethod
    def anew(cls, reader: Reader, directory: Directory) -> Kept | None:
        """Everything is to be derived; ``None`` where journals are."""
        if next(iter(reader.documents(JOURNAL)), None) is not None or not _all_travel(reader):
            return None
        stale: dict[int, set[Document]] = {}
        for document in reader.documents(DAY):
            if (store := _store_of(document)) is not None:
                stale.setdefault(store, set()).add(document)
        rows = Rows(reader)
        for key, _ in reader.views(_PREFIX):
            rows.put(key, None)
        return cls(reader, directory, rows, stale, reader.documents(BALANCE))

    @property
    def stale(self) -> int:
        """Documents that are to be read again."""
        return sum(map(len, self._stale.values())) + len(self._balances)

    def stores(self) -> list[int]:
        """Those of which something is to be read again."""
        return sorted(self._stale)

    def taken(self) -> tuple[dict[int, set[Document]], set[Document]]:
        """The documents that are to be read again: days by store, and balances."""
        return self._stale, self._balances

    # ---- bringing up to date --------------------------------------------------------------------------------------------

    def refresh(self, store: int | None = None, done: Callable[[int], None] = lambda _: None) -> None:
        """Read again what has changed of a store, or of all. ``done``: documents that are. Raises ``OverflowError``."""
        for one in self.stores() if store is None else [store]:
            documents = self._stale.pop(one, set())
            self._take_in(one, documents)
            done(len(documents))

    def refresh_balances(self) -> None:
        """Read again what has changed of balances. Raises ``OverflowError``."""
        shards: dict[bytes, dict[Document, Owing]] = {}
        for document in self._balances:
            shards.setdefault(kept_owed.place(document), {})[document] = owing(self._reader, document)
        for place, accounts in shards.items():
            self.rows.put(_OWED + place, Shard(self.rows.get(_OWED + place)).replaced(accounts))
        self._balances.clear()

    def owed(self) -> Iterator[tuple[str, Shard]]:
        """What is owed, by programme."""
        for key, value in self.rows.scan(_OWED):
            yield key[len(_OWED) + 1 :].decode(), Shard(value)

    def _take_in(self, store: int, documents: set[Document]) -> None:
        if not documents:
            return
        days = {document.day for document in documents}
        here, forked = ({day for day in known if day not in days} for known in self.documents(store))
        lines: dict[Author, dict[int, TillDay]] = {}
        for document in sorted(documents):
            heads = list(self._reader.head_entries(document))
            here.add(document.day)
            if len({stored.entry.author for stored in heads}) < len(heads):
                forked.add(document.day)
            for day in till_days(self._reader, self._directory, document, heads):
                lines.setdefault(day.author, {})[document.day] = day
        self.rows.put(
            _STORE + _number(store),
            kept_table.encode({ON: sorted(here)}, len(here)) + kept_table.encode({ON: sorted(forked)}, len(forked)),
        )
        for key, value in list(self.rows.scan(_LIFE + _number(store))):
            author = Author(key[-AUTHOR_BYTES:])
            if author in lines or days & set(Table(value).column(ON)):
                self._change_life(store, author, days, lines.pop(author, {}))
        for author, fresh in lines.items():
            self._change_life(store, author, days, fresh)

    def _change_life(self, store: int, author: Author, days: set[int], fresh: dict[int, TillDay]) -> None:
        key = _LIFE + _number(store) + author
        value = self.rows.get(key)
        before = Table(value) if value is not None else None
        self.rows.put(key, _life(before, days, fresh))
        months = {month_of(day) for day in days}
        for month in months:
            self._change_goods(store, author, month, days, fresh)
        self.dirty |= days

    def _change_goods(self, store: int, author: Author, month: int, days: set[int], fresh: dict[int, TillDay]) -> None:
        key = _moved_key(month, store, author)
        value = self.rows.get(key)
        rows = [] if value is None else [row for row in _goods_rows(kept_table.unpressed(value)) if row[0] not in days]
        for day in sorted(day for day in fresh if month_of(day) == month):
            rows += (
                [day, product, goods.net_takings, goods.stock, *goods]
                for product, goods in fresh[day].day.goods.items()
            )
        rows.sort(key=lambda row: row[0])
        columns = kept_table.sparse((DAY_OF, PRODUCT, NET, STOCK, *GOODS), rows)
        self.rows.put(key, kept_table.pressed(kept_table.encode(columns, len(rows))) if rows else None)

    # ---- the company's goods --------------------------------------------------------------------------------------------

    def add_up(self, tables: Mapping[Life, Table] | None = None) -> list[Key]:
        """Bring the goods of the company up to date, and say whose money they are: their places are its numbers below.

        ``tables``: all lives, if they have been read already. Raises ``OverflowError``.
        """
        keys, lives = self.assign(tables)
        for month in self.months(keys):
            self.add_up_month(month, keys, lives)
        self.dirty.clear()
        return keys

    def assign(self, tables: Mapping[Life, Table] | None = None) -> tuple[list[Key], dict[Life, Key]]:
        """Whose money every life takes. The days of lives of which that has changed are to be added up again."""
        lives = {
            life: self._key_of(life, table) for life, table in (self.lives() if tables is None else tables.items())
        }
        keys, known = self._assigned()
        moved = {life for life in lives.keys() | known.keys() if lives.get(life) != known.get(life)}
        for life in moved:
            value = self.rows.get(_LIFE + _number(life[0]) + life[1])
            if value is not None:
                self.dirty |= set(Table(value).column(ON))
        if moved:
            keys += sorted(set(lives.values()) - set(keys))
            self.rows.put(ASSIGNED, _keys_value(keys, lives))
        return keys, lives

    def months(self, keys: Sequence[Key]) -> list[int]:
        """The months that are to be added up again, in this order: from the first that has changed."""
        if not self.dirty:
            return []
        changed = {month_of(day) for day in self.dirty}
        kept = {month_of(day) for number in range(len(keys)) for day in self.days_of(number)}
        return sorted(changed | {month for month in kept if month > min(changed)})

    def _key_of(self, life: Life, table: Table) -> Key:
        return store_money(self._directory, life[0], date_of(table.at(ON, 0)))

    def _assigned(self) -> tuple[list[Key], dict[Life, Key]]:
        value = self.rows.get(ASSIGNED)
        if value is None:
            return [], {}
        keys, lives = cast("tuple[list[list[object]], dict[bytes, int]]", canonical.decode_own(value))
        named = [cast("Key", tuple(key)) for key in keys]
        return named, {_life_at(place): named[number] for place, number in lives.items()}

    def add_up_month(self, month: int, keys: Sequence[Key], lives: Mapping[Life, Key]) -> None:
        """One month, once those before it are added up."""
        days = {day for day in self.dirty if month_of(day) == month}
        if days:
            self._add_up_dates(month, days, keys, lives)
        for number in range(len(keys)):
            self._add_up_until(number, month)

    def _add_up_dates(self, month: int, days: set[int], keys: Sequence[Key], lives: Mapping[Life, Key]) -> None:
        numbers = {key: number for number, key in enumerate(keys)}
        sums: list[Adding[tuple[int, int]]] = [Adding() for _ in keys]
        for place, value in self.rows.scan(_MOVED + _month(month)):
            table = kept_table.unpressed(value)
            rows = [row for row, day in enumerate(table.column(DAY_OF)) if day in days]
            if rows:
                on, products = ([column[row] for row in rows] for column in map(table.column, (DAY_OF, PRODUCT)))
                added = [(COUNT, [1] * len(rows))]
                for name in (NET, STOCK, *GOODS):
                    if table.has(name):
                        column = table.column(name)
                        added.append((name, [column[row] for row in rows]))
                number = numbers[lives[_life_at(place[len(_MOVED) + 2 :])]]
                sums[number].add(list(zip(on, products, strict=True)), added)
        for number, adding in enumerate(sums):
            of_day: dict[int, list[tuple[int, int]]] = {day: [] for day in days}
            for (day, product), row in adding.places.items():
                of_day[day].append((product, row))
            columns = adding.columns()
            for day, places in of_day.items():
                self.rows.put(_DATE + _month(number) + day.to_bytes(4, "big"), _of_date(sorted(places), columns))

    def _add_up_until(self, number: int, month: int) -> None:
        prefix, of_month = _UNTIL + _month(number), (_DATE + _month(number))
        tables = [
            kept_table.unpressed(value)
            for key, value in self.rows.scan(of_month)
            if month_of(int.from_bytes(key[-4:], "big")) == month
        ]
        if not tables:
            self.rows.put(prefix + _month(month), None)
            return
        before = self.until(number, month - 1)
        adding: Adding[int] = Adding()
        for table in tables if before is None else [before, *tables]:
            columns = ((name, table.column(name)) for name in _SUMMED if table.has(name))
            adding.add(table.column(PRODUCT), columns)
        summed = {PRODUCT: list(adding.places), **adding.columns()}
        self.rows.put(prefix + _month(month), kept_table.encode(summed, len(adding.places)))

    # ---- reading --------------------------------------------------------------------------------------------------------

    def lives(self, store: int | None = None) -> Iterator[tuple[Life, Table]]:
        """By store and author."""
        for key, value in self.rows.scan(_LIFE if store is None else _LIFE + _number(store)):
            yield _life_at(key[len(_LIFE) :]), Table(value)

    def documents(self, store: int) -> tuple[list[int], list[int]]:
        """The days of a store's documents here, and of those in which an author contradicts itself; ascending."""
        value = self.rows.get(_STORE + _number(store))
        return ([], []) if value is None else _two(value)

    def all_documents(self) -> Iterator[tuple[int, list[int], list[int]]]:
        """Of every store."""
        for key, value in self.rows.scan(_STORE):
            yield int.from_bytes(key[-8:], "big"), *_two(value)

    def moved(self, life: Life, month: int) -> Table | None:
        """Goods of a life in a month."""
        value = self.rows.get(_moved_key(month, *life))
        return None if value is None else kept_table.unpressed(value)

    def of_date(self, number: int, day: int) -> Table | None:
        """Goods of the company on a day."""
        value = self.rows.get(_DATE + _month(number) + day.to_bytes(4, "big"))
        return None if value is None else kept_table.unpressed(value)

    def days_of(self, number: int) -> list[int]:
        """The days with goods of the company."""
        return [int.from_bytes(key[-4:], "big") for key in self.keys(_DATE + _month(number))]

    def keys(self, prefix: bytes) -> Iterator[bytes]:
        """Of rows."""
        return (key for key, _ in self.rows.scan(prefix))

    def until(self, number: int, month: int) -> Table | None:
        """Goods of the company from the beginning to the end of a month; of the last before it that anything moved in."""
        while month >= 0:
            if (value := self.rows.get(_UNTIL + _month(number) + _month(month))) is not None:
                return Table(value)
            month -= 1
        return None


def _life(before: Table | None, days: set[int], fresh: Mapping[int, TillDay]) -> bytes | None:
    """A life's lines with those of ``days`` replaced."""
    lines: dict[int, dict[tuple[int, int, int], int]] = {}
    if before is not None:
        ons = before.column(ON)
        columns = {
            name: before.column(name) if name in _LINE else _steps(before.column(name)) for name in before.names()
        }
        lines = {
            day: {name: column[row] for name, column in columns.items()}
            for row, day in enumerate(ons)
            if day not in days
        }
    lines.update((day, _line(told)) for day, told in fresh.items())
    if not lines:
        return None
    ordered = [lines[day] for day in sorted(lines)]
    last: int | None = None
    for line in ordered:
        line[SKIPS] = int(line[PREVIOUS] != NO_DATE and (last is None or line[PREVIOUS] > last))
        last = line[ON]
    names = dict.fromkeys([*_LINE, *(name for line in ordered for name in line)])
    values = {name: [line.get(name, 0) for line in ordered] for name in names}
    running = {name: column if name in _LINE else list(accumulate(column)) for name, column in values.items()}
    return kept_table.encode(running, len(ordered))


def _line(told: TillDay) -> dict[tuple[int, int, int], int]:
    day = told.day
    previous = days_between(day, told.date)
    flags = CLOSED * day.closed | DISPUTED * told.disputed | CLAIMED * bool(told.claims)
    flags |= BY_PROXY * (told.proxy is not None)
    line: dict[tuple[int, int, int], int] = {
        ON: day_number(told.date),
        PREVIOUS: NO_DATE if previous is None else day_number(previous),
        FLAGS: flags,
        HEARD: told.heard_ms,
        OPEN: int(not day.closed),
        NOTABLE: int(flags != CLOSED),
        RECEIPTS: sum(numbers.documents for numbers in day.series.values()),
        TAKINGS: day.takings_minor,
        REFUNDS: day.refunds_minor,
        TAX_ON_TOP: day.tax_not_included_minor,
        ROUNDED_UP: day.rounding.come_in,
        ROUNDED_DOWN: day.rounding.gone_out,
        LIABILITIES_IN: day.liabilities.come_in,
        LIABILITIES_OUT: day.liabilities.gone_out,
    }
    for code, tax in day.taxes.items():
        line.update((Name(TAX, code, part), amount) for part, amount in enumerate((1, *tax)))
    for kind, flow in day.tenders.items():
        line.update((Name(TENDER, kind, part), amount) for part, amount in enumerate((1, *flow)))
    for series, numbers in day.series.items():
        line[Name(SERIES, series, 0)], line[Name(SERIES, series, 1)] = 1, numbers.documents
    return line


def _steps(running: Iterable[int]) -> list[int]:
    """What was added at each row of running totals."""
    numbers = list(running)
    return [number - before for number, before in zip(numbers, [0, *numbers], strict=False)]


def _goods_rows(table: Table) -> Iterator[list[int]]:
    columns = [table.column(name) for name in (DAY_OF, PRODUCT, NET, STOCK, *GOODS)]
    return map(list, zip(*columns, strict=True))


def _of_date(places: Sequence[tuple[int, int]], columns: Mapping[tuple[int, int, int], Sequence[int]]) -> bytes | None:
    """Some rows of columns, each with its product; ``None`` for none."""
    if not places:
        return None
    chosen = {name: [column[place] for _, place in places] for name, column in columns.items()}
    return kept_table.pressed(kept_table.encode({PRODUCT: [one for one, _ in places], **chosen}, len(places)))


def _store_of(document: Document) -> int | None:
    """``None``: it is in nobody's books."""
    store = document.keys[0] if document.keys else None
    return store if isinstance(store, int) else None


def _number(store: int) -> bytes:
    return store.to_bytes(8, "big")


def _month(number: int) -> bytes:
    return number.to_bytes(2, "big")


def _moved_key(month: int, store: int, author: Author) -> bytes:
    return _MOVED + _month(month) + _number(store) + author


def _life_at(place: bytes) -> Life:
    return int.from_bytes(place[:-AUTHOR_BYTES], "big"), Author(place[-AUTHOR_BYTES:])


def _two(value: bytes) -> tuple[list[int], list[int]]:
    table = Table(value)
    first = table.column(ON).tolist()
    return first, Table(value[8 * (5 + len(first)) :]).column(ON).tolist()


def _keys_value(keys: Sequence[Key], lives: Mapping[Life, Key]) -> bytes:
    numbers = {key: number for number, key in enumerate(keys)}
    return canonical.encode(
        [[list(key) for key in keys], {_number(store) + author: numbers[key] for (store, author), key in lives.items()}]
    )
