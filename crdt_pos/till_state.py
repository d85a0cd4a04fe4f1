"""What a till must remember between two acts: one small view, written with every act, so that a restart costs nothing.

Beside it the running fold of the day's goods, one view for each product that moved, so that an act costs its own lines and
not the products of the day; one view for each act whose request had an id, until the date is closed; and one for each account
that owes points which this till could not take back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from typing import Final, cast

from crdt_pos.codec import Fields, sparse
from crdt_pos.day import Day, Goods
from crdt_pos.receipt import AccountMovement, Series, Skipped
from gossip.log import Reader, View
from gossip.log_recent import Recent
from merge_rules import canonical
from merge_rules.counter_nested import Nested
from merge_rules.dataclass import dataclass, replace

STATE_KEY: Final = b"till/state"
FOLD_PREFIX: Final = b"fold/"
ONCE_PREFIX: Final = b"till/once/"
_OWING_PREFIX: Final = b"till/owing/"
_NUMBER_MAX: Final = 2**64 - 1
_WRITTEN_BYTES_MAX: Final = 1 << 18


@dataclass(frozen=True, slots=True)
class TillState:
    """The state after the last act."""

    open_day: int = 0
    """Day number of the open business date; 0 for none."""
    seq: int = 0
    """Acts in the open date's journal."""
    head: bytes = b""
    """Hash of the last one's entry."""
    stamp: int = 0
    """The hybrid logical clock."""
    numbers: Mapping[int, int] = field(default_factory=dict[int, int])
    """Series → the last number given."""
    day: Day = field(default_factory=Day)
    """The running fold of the open date, goods left out."""
    published: int = 0
    """How many acts the last published day entry covers."""
    closed_day: int = 0
    """Day number of the date closed last; 0 for none."""
    closed_hash: bytes = b""
    """The first 8 bytes of the hash of its closing day entry."""
    closed_ms: int = 0
    """When that was."""
    sales_minor: int = 0
    """Perpetual totals up to the last close."""
    refunds_minor: int = 0
    skipped: tuple[Skipped, ...] = ()
    """Numbers left out that the next act will state."""

    def next_number(self, series: Series) -> int:
        """The number of the next document of a series."""
        return self.numbers.get(int(series), 0) + 1

    def numbered(self, series: Series, n: int) -> Mapping[int, int]:
        """The numbers once ``n`` is given."""
        return {**self.numbers, int(series): n}

    def skipping(self, count: int) -> TillState:
        """The state that leaves out the next ``count`` numbers of every series."""
        given = {series: self.numbers.get(int(series), 0) for series in Series}
        stretches = tuple(Skipped(series, last + 1, last + count) for series, last in given.items())
        numbers = {int(skipped.series): skipped.last for skipped in stretches}
        return replace(self, numbers=numbers, skipped=stretches)

    def view(self) -> View:
        """The view that keeps it."""
        body = sparse(
            {
                0: self.open_day,
                1: self.seq,
                2: self.head,
                3: self.stamp,
                4: dict(self.numbers),
                5: self.day.counters(),
                6: self.published,
                7: self.closed_day,
                8: self.closed_hash,
                9: self.closed_ms,
                10: self.sales_minor,
                11: self.refunds_minor,
                12: [skipped.body() for skipped in self.skipped],
            }
        )
        encoded = canonical.encode(body)
        _written.keep(encoded, self, len(encoded))
        return STATE_KEY, encoded

    @classmethod
    def read(cls, reader: Reader) -> TillState:
        """The state of this log; the first if it has none."""
        kept = reader.view(STATE_KEY)
        return cls() if kept is None else _written.get(kept) or cls._of(kept)

    @classmethod
    def _of(cls, kept: bytes) -> TillState:
        body = cast("dict[int, object]", canonical.decode_own(kept))
        numbers = cast("dict[int, int]", body.pop(4, {}))
        counters = cast("dict[int, Nested]", body.pop(5, {}))
        fields = Fields(body, "till state")
        return cls(
            fields.integer(0),
            fields.integer(1),
            fields.octets(2, 32),
            fields.integer(3, high=_NUMBER_MAX),
            numbers,
            Day.from_counters(counters),
            fields.integer(6),
            fields.integer(7),
            fields.octets(8, 8),
            fields.integer(9),
            fields.integer(10),
            fields.integer(11),
            fields.items(12, Skipped.from_body),
        )


_written: Final = Recent[bytes, TillState](_WRITTEN_BYTES_MAX)
"""States by the bytes that stand, or stood, in a log: whatever became of the transaction, they mean the same."""


def product_key(product: int) -> bytes:
    """The view of a product's running fold."""
    return FOLD_PREFIX + product.to_bytes(8, "big")


def goods_so_far(reader: Reader, product: int) -> Goods:
    """What the open date has moved of a product."""
    kept = reader.view(product_key(product))
    return _goods(kept) if kept else Goods()


def all_goods(reader: Reader) -> Iterator[tuple[int, Goods]]:
    """Every product that the open date has moved."""
    for key, kept in reader.views(FOLD_PREFIX):
        yield int.from_bytes(key[len(FOLD_PREFIX) :], "big"), _goods(kept)


def _goods(kept: bytes) -> Goods:
    return Goods(*cast("list[int]", canonical.decode_own(kept)))


def goods_views(reader: Reader, moved: Mapping[int, Goods]) -> Iterator[View]:
    """The views of the fold after ``moved``."""
    for product, goods in moved.items():
        key = product_key(product)
        kept = reader.view(key)
        yield key, canonical.encode((_goods(kept).plus(goods) if kept else goods).trimmed())


def fold_views(reader: Reader, goods: Mapping[int, Goods]) -> Iterator[View]:
    """The views of a fold that is ``goods``, whatever stands there now."""
    for key, _ in reader.views(FOLD_PREFIX):
        yield key, None
    for product, moved in goods.items():
        yield product_key(product), canonical.encode(moved.trimmed())


def sold_once(reader: Reader, once: str) -> str:
    """The number of the receipt that was made for a request of this id on the open date; empty for none."""
    return (reader.view(ONCE_PREFIX + once.encode()) or b"").decode() if once else ""


def once_view(once: str, number: str) -> Iterator[View]:
    """The view that remembers it until the date is closed."""
    if once:
        yield ONCE_PREFIX + once.encode(), number.encode()


def owing(reader: Reader, programme: str, account: bytes) -> int:
    """What an account still owes by this till's own acts."""
    kept = reader.view(_owing_key(programme, account))
    return cast("int", canonical.decode_own(kept)) if kept else 0


def owing_views(reader: Reader, movements: Iterable[AccountMovement]) -> Iterator[View]:
    """The views of what is owing after an act."""
    for moved in movements:
        if moved.owing != moved.settled:
            left = owing(reader, moved.programme, moved.account) + moved.owing - moved.settled
            yield _owing_key(moved.programme, moved.account), canonical.encode(left) if left else None


def owing_left_views(reader: Reader, left: Mapping[tuple[str, bytes], int]) -> Iterator[View]:
    """The views of what is owing if that is ``left``, by programme and account, whatever stands there now."""
    for key, _ in reader.views(_OWING_PREFIX):
        yield key, None
    for (programme, account), amount in left.items():
        if amount:
            yield _owing_key(programme, account), canonical.encode(amount)


def _owing_key(programme: str, account: bytes) -> bytes:
    return _OWING_PREFIX + account + programme.encode()


def full_day(reader: Reader, state: TillState) -> Day:
    """The running fold, goods included: O(products of the day)."""
    return replace(state.day, goods=dict(all_goods(reader)))
