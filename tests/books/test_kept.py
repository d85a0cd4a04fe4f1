"""Kept sums never say anything else than the entries that they were derived from."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from crdt_pos import books, keeping, kept, kept_books, kept_table
from crdt_pos.balance import balance_document
from crdt_pos.books import Books, Query
from crdt_pos.day import Day, Flow, Goods, Numbers, TaxTotals
from crdt_pos.directory import load_directory
from crdt_pos.errors import NothingHere
from crdt_pos.kept_table import Name, Table
from crdt_pos.receipt import Series, Tender
from crdt_pos.schema import SCHEMA
from crdt_pos.turn import day_document
from gossip.document import date_of, day_number
from gossip.entry import Entry, sign
from gossip.log import Arrival
from gossip.log_memory import MemoryLog
from merge_rules.claims import Identities
from merge_rules.counter_bounded import CounterBounded
from merge_rules.counter_covers import CounterCovers, Covers
from peers.roster import Closure, Directory, StoreRecord
from tests.books.company import Company
from tests.out.signing import Writer, readmission, revocation

FIRST = day_number(datetime.date(2026, 10, 28))
DAYS = 70
"""The period reaches over the ends of three months."""
PRODUCTS = range(1, 25)
CLOSED = (True, False)
ACCOUNTS = (b"account1", b"account2", b"account3")
SAME_CODE = Identities.of([("4006381333931", 3), ("4006381333931", 4)])


@dataclass(eq=False)
class Town:
    """Who signs, and who is who."""

    directory: Directory
    office: Writer
    tills: list[tuple[int, Writer]]
    """Stores and tills; the last one nobody has enrolled."""


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    company = Company.found(tmp_path_factory.mktemp("kept"), ("12-1", "12-2", "13-1"), {12: "EUR", 13: "CHF"})
    with company.office.log.read() as reader:
        directory = load_directory(reader, company.office.folder.root, [company.office.folder.chain])
    tills = [(int(name.split("-")[0]), writer(name, one)) for name, one in company.tills.items()]
    yield Town(directory, writer("office", company.office), [*tills, (13, Writer("stranger"))])
    company.close_logs()


def writer(name: str, replica: object) -> Writer:
    made = Writer(name)
    identity = getattr(replica, "identity")  # noqa: B009
    made.key, made.author = identity.key, identity.author
    return made


@dataclass
class Shop:
    """A head office's log, and what its tills have signed."""

    town: Town
    log: MemoryLog = field(default_factory=lambda: MemoryLog(SCHEMA))
    days: dict[tuple[int, int], tuple[int, Day]] = field(default_factory=dict)
    signed: list[Entry] = field(default_factory=list)
    balances: dict[tuple[int, bytes], tuple[int, CounterBounded]] = field(default_factory=dict)

    def take(self, entry: Entry) -> None:
        self.signed.append(entry)
        self.log.append([Arrival(entry, self.town.office.author)], received_ms=entry.stamp >> 16)

    def sign_day(self, till: int, day: int, seq: int, said: Day, of: int | None = None, acts: int = 3) -> None:
        store, by = self.town.tills[till]
        subject = self.town.tills[till if of is None else of][1].author
        body = CounterCovers.publish(by.author, subject, Covers(acts, b"!" * 16), said.counters()).entry_body(by.author)
        document, kind = day_document(store, day), SCHEMA["day"]
        self.take(sign(by.key, by.author, document, kind.feed, kind.scope, seq, seq << 20, body))

    def sell(self, till: int, day: int, product: int, amount: int, back: int, *flags: bool) -> None:
        closed, fork = flags
        seq, before = self.days.get((till, day), (0, Day()))
        tax, kind, goods = before.taxes, before.tenders, before.goods
        earlier = [one for of, one in self.days if of == till and one < day]
        code = 1 + product % 2
        moved = Goods(sold=amount, takings=amount * 7, received=back, returned=back, refunded=back)
        total = TaxTotals(amount * 7, amount, back, 0)
        after = Day(
            (day - max(earlier), b"12345678") if earlier and back != 2 else before.previous,
            {**tax, code: TaxTotals(*map(sum, zip(tax.get(code, TaxTotals()), total, strict=True)))},
            {**kind, int(Tender.CASH): Flow(kind.get(int(Tender.CASH), Flow()).come_in + amount * 8, back)},
            {int(Series.SALES): Numbers(1, seq + 1, seq + 1)},
            goods={**goods, product: goods.get(product, Goods()).plus(moved)},
            rounding=Flow(before.rounding.come_in + back),
            closed=closed or before.closed,
        )
        if fork and seq:
            self.sign_day(till, day, seq, after)
            return
        self.days[till, day] = seq + 1, after
        self.sign_day(till, day, seq + 1, after, acts=seq + 3)

    def tell_of(self, till: int, of: int, day: int, amount: int) -> None:
        """One till says something of another's date."""
        if till != of and self.town.tills[till][0] == self.town.tills[of][0]:
            said = Day(
                goods={1: Goods(sold=amount, takings=amount)}, taxes={1: TaxTotals(amount)}, closed=amount % 2 == 0
            )
            seq = 50 + len(self.signed)
            self.sign_day(till, day, seq, said, of, acts=amount + 1)

    def balance(self, till: int, account: int, amount: int, redeemed: int, to: int, fork: bool) -> None:
        _, by = self.town.tills[till]
        key = till, ACCOUNTS[account]
        seq, state = self.balances.get(key, (0, CounterBounded.bottom()))
        state = state.join(state.earn(by.author, amount))
        if redeemed <= amount:
            state = state.join(state.redeem(by.author, redeemed)) if redeemed else state
        if to != till and amount > redeemed:
            state = state.join(state.grant(by.author, self.town.tills[to][1].author, amount - redeemed))
        if not fork:
            self.balances[key] = seq + 1, state
        document, kind = balance_document("points-eur" if account else "points-chf", key[1]), SCHEMA["balance"]
        body = state.entry_body(by.author)
        self.take(sign(by.key, by.author, document, kind.feed, kind.scope, seq + (not (fork and seq)), 1, body))

    def revoke(self, till: int, counting: int) -> None:
        of = self.town.tills[till][1]
        mine = [entry for entry in self.signed if entry.author == of.author]
        self.take(self.town.office.state(revocation(of, *mine[:counting])))

    def readmit(self, till: int, counting: int) -> None:
        mine = [entry for entry in self.signed if entry.author == self.town.tills[till][1].author]
        if mine:
            self.take(self.town.office.state(readmission(*mine[-1 - counting :])))

    def prove(self, till: int) -> None:
        self.log.append([], [(b"forks/liar/" + self.town.tills[till][1].author, b"")])

    def keep(self, directory: Directory) -> None:
        keeping.keep(self.log, directory)
        assert list(keeping.pieces(self.log, directory)) == []


tills, days, small = st.integers(0, 3), st.integers(0, DAYS - 1).map(FIRST.__add__), st.integers(0, 5)
steps = st.one_of(
    *[st.tuples(st.just("sell"), tills, days, st.sampled_from(PRODUCTS), small, small, st.booleans(), st.booleans())]
    * 6,
    st.tuples(st.just("tell_of"), tills, tills, days, small),
    *[st.tuples(st.just("balance"), tills, st.integers(0, 2), st.integers(1, 9), small, tills, st.booleans())] * 2,
    *[st.tuples(st.just("revoke"), tills, small)] * 2,
    st.tuples(st.just("readmit"), tills, small),
    st.tuples(st.just("prove"), tills),
    *[st.tuples(st.just("keep"))] * 3,
)
dates = st.none() | days.map(date_of)
queries = st.builds(
    Query,
    dates,
    dates,
    st.sampled_from((None, None, 12, 13)),
    st.sampled_from((None, None, 1, 2)),
    st.none() | st.just(3),
)


def moved_on(directory: Directory) -> Directory:
    """Later it is heard that a store had changed hands, and that a till had been closed."""
    sold = StoreRecord(12, date_of(FIRST + 20), legal_entity="Others Ltd", currency="EUR")
    stores = {**directory.stores, 12: (*directory.stores[12], sold)}
    return replace(directory, stores=stores, closures=(Closure(12, 2, date_of(FIRST + 30)),))


def answers(shop: Shop, directory: Directory, query: Query, identities: Identities) -> tuple[object, object]:
    with shop.log.read() as reader:
        plain, summed = (
            said(partial(read, reader, directory, query, identities)) for read in (books.read, kept_books.of_sums)
        )
    return plain, summed


def said(read: object) -> object:
    try:
        found = read()  # type: ignore[operator]
    except NothingHere as error:
        return str(error)
    return None if found is None else whole(found)


def whole(found: Books) -> object:
    """Everything, also what is only known in short."""
    return found, [
        (
            tuple(account.goods),
            tuple(account.days),
            tuple(account.waiting),
            *(getattr(account.brief(), name) for name in ("days", "tills", "notable", "awaited", "awaited_dates")),
            [(tuple(rows), left, takings) for rows, left, takings in map(account.brief().best, (1, 4, 1000))],
        )
        for account in found.accounts
    ]


@settings(
    max_examples=35,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(steps, min_size=4, max_size=24),
    st.lists(queries, min_size=3, max_size=6),
    st.booleans(),
    st.booleans(),
)
def test_sums_that_are_kept_answer_as_the_entries_do(
    town: Town, acts: list[tuple[object, ...]], asked: list[Query], later: bool, joined: bool
) -> None:
    shop = a_shop(town)
    for name, *arguments in acts:
        if name == "keep":
            shop.keep(town.directory)
        else:
            getattr(shop, str(name))(*arguments)
    identities = SAME_CODE if joined else Identities()
    directory = moved_on(town.directory) if later else town.directory
    for query in (Query(), Query(date_of(FIRST), date_of(FIRST + DAYS)), *asked):
        plain, summed = answers(shop, directory, query, identities)
        assert summed in (None, plain)
    shop.keep(directory)
    for query in (Query(), Query(date_of(FIRST), date_of(FIRST + DAYS)), *asked):
        plain, summed = answers(shop, directory, query, identities)
        assert summed == plain


def a_shop(town: Town) -> Shop:
    """Three tills have sold for a while, and the sums of that are kept."""
    town.office.entries.clear()
    first = _first_shop(town)
    return Shop(town, MemoryLog(SCHEMA, table=first.log.image()), dict(first.days), list(first.signed))


@lru_cache(maxsize=1)
def _first_shop(town: Town) -> Shop:
    shop = Shop(town)
    for day in range(FIRST, FIRST + DAYS, 3):
        shop.sell(day // 3 % 3, day, 1 + day % 9, 2, 0, *CLOSED)
    shop.keep(town.directory)
    return shop


def test_what_arrived_since_is_read_again_and_nothing_else(town: Town) -> None:
    shop = a_shop(town)
    shop.sell(0, FIRST + 5, 7, 3, 1, *CLOSED)
    with shop.log.read() as reader:
        sums = kept.Kept.read(reader, town.directory)
        assert sums is not None
        assert sums.stale == 1
    plain, summed = answers(shop, town.directory, Query(date_of(FIRST), date_of(FIRST + DAYS)), Identities())
    assert summed == plain


def test_a_log_that_was_mended_keeps_nothing_until_its_sums_are_derived_again(town: Town) -> None:
    shop = a_shop(town)
    with shop.log.read() as reader:
        arrival = next(iter(reader.arrivals(3, 1))).arrival
    shop.log.mend(town.office.author, (arrival,))
    with shop.log.read() as reader:
        assert kept.Kept.read(reader, town.directory) is None
    shop.keep(town.directory)
    plain, summed = answers(shop, town.directory, Query(date_of(FIRST), date_of(FIRST + DAYS)), Identities())
    assert summed == plain
    looked = shop.log.look(b"", 10_000)
    assert not looked.damaged


def test_who_is_cut_off_let_in_again_or_proven_a_liar_leaves_no_trace_in_what_is_kept(town: Town) -> None:
    shop = a_shop(town)
    shop.tell_of(0, 1, FIRST + 1, 3)
    shop.keep(town.directory)
    whole_time = Query(date_of(FIRST), date_of(FIRST + DAYS))
    plain, _ = answers(shop, town.directory, whole_time, Identities())
    steps = (partial(shop.revoke, 2, 1), partial(shop.readmit, 2, 4), partial(shop.prove, 0))
    for step in steps:
        before = plain
        step()
        plain, summed = answers(shop, town.directory, whole_time, Identities())
        assert plain != before
        assert summed is None
        shop.keep(town.directory)
        assert answers(shop, town.directory, whole_time, Identities()) == (plain, plain)


def test_pieces_that_were_under_way_when_the_log_was_mended_are_dropped(town: Town) -> None:
    shop = a_shop(town)
    shop.revoke(0, 2)  # everything is derived anew
    under_way = keeping.pieces(shop.log, town.directory)
    assert next(under_way).write(shop.log)
    shop.log.mend(town.office.author, (5,))
    assert not any(piece.write(shop.log) for piece in under_way)
    plain, summed = answers(shop, town.directory, Query(date_of(FIRST), date_of(FIRST + DAYS)), Identities())
    assert summed is None
    shop.keep(town.directory)
    assert answers(shop, town.directory, Query(date_of(FIRST), date_of(FIRST + DAYS)), Identities()) == (plain, plain)


def test_half_of_what_is_new_may_be_written_and_changes_no_answer(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "DOCUMENTS_AT_ONCE", 1)
    shop = a_shop(town)
    for till in (0, 2):
        shop.sell(till, FIRST + 5, 7, 3, 1, *CLOSED)
    whole_time = Query(date_of(FIRST), date_of(FIRST + DAYS))
    found = [answers(shop, town.directory, whole_time, Identities())]
    for piece in keeping.pieces(shop.log, town.directory):
        assert piece.write(shop.log)
        found.append(answers(shop, town.directory, whole_time, Identities()))
    assert len(found) > 3
    assert all(summed == plain for plain, summed in found)


def test_numbers_of_more_than_64_bits_are_not_kept(town: Town) -> None:
    shop = a_shop(town)
    for till in (0, 1, 2):
        shop.sign_day(till, FIRST + 60, 99, Day(taxes={1: TaxTotals(2**63)}, tenders={1: Flow(2**63)}, closed=True))
    plain, summed = answers(shop, town.directory, Query(), Identities())
    assert summed is None
    assert plain is not None
    keeping.keep(shop.log, town.directory)
    assert answers(shop, town.directory, Query(), Identities()) == (plain, None)


def test_a_table_gives_back_what_was_put_into_it() -> None:
    columns: dict[tuple[int, int, int], list[int]] = {Name(0, 1): [1, 2, 3], Name(5, 2**40, 1): [-4, 0, 2**62]}
    table = Table(kept_table.encode(columns, 3))
    assert {name: table.column(name).tolist() for name in table.names()} == columns
    assert (table.at((0, 1, 0), 2), table.between((0, 1, 0), 1, 3), table.column((9, 9, 9)).tolist()) == (
        3,
        2,
        [0, 0, 0],
    )
