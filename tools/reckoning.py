"""The reckoning after a demo: every replica's books against the truth that was computed apart."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from crdt_pos import books
from crdt_pos.books import Books, Query
from crdt_pos.directory import load_directory
from crdt_pos.folder import Folder
from crdt_pos.looking import look
from crdt_pos.schema import SCHEMA
from gossip.document import Scope
from gossip.log import Fingerprint
from gossip.log_lmdb import LmdbLog
from tools.baskets import POINTS_PROGRAMME
from tools.selling import Ledger
from tools.town import Town
from tools.traffic import Traffic
from tools.truth import Truth


@dataclass(frozen=True, slots=True)
class StoreResult:
    """One store's row; money in cents."""

    store: int
    baskets: int
    data_minor: int
    extra_minor: int
    """Sold beside the data."""
    office_minor: int
    tills_minor: Mapping[str, int]
    stock_drift: int
    """Sum over products of the difference between the books' stock and received − sold of the data."""
    final: bool
    same: bool
    """Whether head office and the store's tills hold the very same entries of what they share."""
    wan_bytes_per_till_day: int
    wan_messages_per_till_day: int | None

    @property
    def right(self) -> bool:
        """Whether every figure is what it must be."""
        due_minor = self.data_minor + self.extra_minor
        right = self.final and self.same and not self.stock_drift and self.office_minor == due_minor
        return right and all(minor == due_minor for minor in self.tills_minor.values())


@dataclass(frozen=True, slots=True)
class Result:
    """All of it."""

    stores: tuple[StoreResult, ...]
    points_earned_data: int
    points_earned: int
    points_redeemed_tills: int
    points_redeemed: int
    points_owed: int
    redemptions_short: int
    sold: int
    lost: tuple[str, ...]
    balanced: bool
    """Whether the equation of the books holds at head office."""

    @property
    def right(self) -> bool:
        """Whether the demo came out."""
        points = self.points_earned == self.points_earned_data and self.points_redeemed == self.points_redeemed_tills
        owed = self.points_owed == self.points_earned - self.points_redeemed >= 0
        return all(row.right for row in self.stores) and points and owed and self.balanced and not self.lost


@contextmanager
def opened_books(folder: Folder) -> Generator[Callable[[Query], Books]]:
    """Answers queries from one snapshot of a folder, beside the running replica or without one."""
    log = LmdbLog.open(folder.log_path, SCHEMA, folder.root.company, read_only=True)
    try:
        with log.read() as reader:
            directory = load_directory(reader, folder.root, [folder.chain])
            yield lambda query: books.read(reader, directory, query)
    finally:
        log.close()


def read_books(folder: Folder, query: Query) -> Books:
    """The books of a folder as they are now."""
    with opened_books(folder) as ask:
        return ask(query)


def reckon(
    town: Town,
    truth: Truth,
    ledger: Ledger,
    period: tuple[datetime.date, datetime.date],
    stores: Sequence[int],
    traffic: Mapping[tuple[int, int], Traffic],
) -> Result:
    """Ask every replica for its books and compare."""
    with opened_books(town.office) as ask:
        whole = ask(Query(*period))
        by_store = {store: ask(Query(*period, store=store)) for store in stores}
    days = (period[1] - period[0]).days + 1
    rows: list[StoreResult] = []
    for store, at_office in by_store.items():
        own = {place: folder for place, folder in town.tills.items() if place[0] == store}
        query = Query(*period, store=store)
        messages = [traffic[place].messages for place in own]
        rows.append(
            StoreResult(
                store,
                sum(count for (number, _), count in truth.baskets.items() if number == store),
                sum(minor for (number, _), minor in truth.takings_minor.items() if number == store),
                sum(extra.total_minor for extra in ledger.extras if extra.store == store),
                _takings(at_office),
                {folder.certificate.name: _takings(read_books(folder, query)) for folder in own.values()},
                drift(at_office, truth, ledger, store),
                not any(account.waiting for account in at_office.accounts),
                same_entries([town.office, *own.values()], store),
                sum(traffic[place].bytes for place in own) // (len(own) * days),
                None if None in messages else sum(one or 0 for one in messages) // (len(own) * days),
            )
        )
    points = [owed for owed in whole.owed if owed.programme == POINTS_PROGRAMME]
    return Result(
        tuple(rows),
        sum(truth.points.values()) + sum(extra.points for extra in ledger.extras),
        sum(one.earned for one in points),
        ledger.redeemed,
        sum(one.redeemed for one in points),
        sum(one.owed for one in points),
        ledger.redemptions_short,
        ledger.sold,
        tuple(ledger.lost),
        all(account.money.balanced for account in whole.accounts),
    )


def _takings(found: Books) -> int:
    return sum(account.money.takings_minor - account.money.refunds_minor for account in found.accounts)


def same_entries(folders: Sequence[Folder], store: int) -> bool:
    """Whether these hold the same: roster, catalogue, claims and proofs, the store's days, and its patrons' balances."""
    scopes = [Scope(scope) for scope in ("company", f"store/{store}", f"patrons/{store}")]
    found: list[list[Fingerprint]] = []
    for folder in folders:
        with look(folder.path) as looked, looked.log.read() as reader:
            found.append([reader.fingerprint(scope) for scope in scopes])
    return all(one == found[0] for one in found)


def drift(found: Books, truth: Truth, ledger: Ledger, store: int) -> int:
    """The sum over products of how far the books' stock is from received − sold."""
    stock = Counter({row.product: row.stock for account in found.accounts for row in account.goods})
    due = Counter({product: amount for (number, product), amount in ledger.received.items() if number == store})
    due.subtract({product: sold for (number, product), sold in truth.quantity.items() if number == store})
    for extra in ledger.extras:
        if extra.store == store:
            due[extra.product] -= extra.quantity
    return sum(abs(stock[product] - due[product]) for product in set(stock) | set(due))
