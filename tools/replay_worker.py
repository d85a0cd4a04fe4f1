"""One process of a replay: the tills of its share of the stores, one store after the other.

One till is open at a time, so that memory does not grow with the number of stores; each keeps its folder, to be looked into
afterwards. The process makes the tills' keys and says only their public halves; what it is told back are certificates.
"""

from __future__ import annotations

import datetime
import logging
import resource
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final, cast

import trio

from crdt_pos import folder as folders
from crdt_pos.clock import system_ms
from crdt_pos.folder import Folder, Settings
from crdt_pos.garbage import collect_seldom
from crdt_pos.products import Product, ProductTable
from crdt_pos.schema import SCHEMA
from gossip.address import Address
from gossip.entry import Entry, decode
from gossip.log import Arrival
from gossip.log_lmdb import LmdbLog
from merge_rules.lattice import Author
from peers import certificates
from peers.keys import SecretKey
from tools import baskets as data
from tools.arrow import Table, pc
from tools.baskets import Basket
from tools.replay_tills import TILL, Sold, StoreTill, timed

LOG_FILE: Final = "data.mdb"
COLUMNS: Final = (
    *("store_id", "basket_id", "household_id", "transaction_timestamp", "product_id", "quantity"),
    *("sales_value", "retail_disc", "coupon_disc", "coupon_match_disc"),
)
STRETCH_DAYS: Final = 91
"""After so many days a till tells head office what it has closed."""


@dataclass(frozen=True, slots=True)
class Share:
    """What a process is to replay."""

    at: Path
    date_from: datetime.date
    date_to: datetime.date
    stores: Sequence[int]


@dataclass(frozen=True, slots=True)
class Company:
    """What its tills are given by the head office."""

    root: bytes
    """Certificate, in DER."""
    office: Author
    listens: Address
    roster: Sequence[bytes]
    """The company's, as signed entries."""
    chains: Mapping[int, tuple[bytes, ...]]
    """By store: the certificates that prove its till."""
    store_rosters: Mapping[int, Sequence[bytes]]


def till_folder(at: Path, store: int) -> Path:
    """Where a store's till is."""
    return at / "tills" / f"{store}-{TILL}"


def run(share: Share, parent: Connection) -> None:
    """The process: says its tills' public keys, hears of the company, says how many baskets were sold now and then, and in the
    end ``Sold``."""
    keys = {store: SecretKey.generate() for store in share.stores}
    parent.send({store: bytes(key.public) for store, key in keys.items()})
    company = cast("Company", parent.recv())
    parent.send(replay(share, company, keys, parent.send))


def replay(share: Share, company: Company, keys: Mapping[int, SecretKey], report: Callable[[int], None]) -> Sold:
    """Play every store of the share. Raises ``NotAcknowledged``."""
    sold = Sold()
    with timed(sold, "read the data"):
        table = data.read_transactions(share.date_from, share.date_to, share.stores, COLUMNS).sort_by("store_id")
        products = _products(table)
        rows = _rows_by_store(table)
    # A stretch of dates is one act to the node, and none is quick.
    logging.getLogger("crdt_pos.node").setLevel(logging.ERROR)
    collect_seldom()
    seed = [decode(raw) for raw in company.roster]
    for store in share.stores:
        with timed(sold, "make the folder"):
            folder = _enrolled(share.at, company, store, keys[store], seed)
        with timed(sold, "read the data"):
            baskets = list(data.baskets_of(table.slice(*rows[store])))
        with timed(sold, "sessions"):
            trio.run(_play, folder, company, products, baskets, sold)
        sold.log_bytes += (folder.log_path / LOG_FILE).stat().st_size
        report(len(baskets))
    sold.peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return sold


async def _play(
    folder: Folder, company: Company, products: ProductTable, baskets: Iterable[Basket], sold: Sold
) -> None:
    log = LmdbLog.open(folder.log_path, SCHEMA, folder.root.company)
    try:
        till = StoreTill(folder, log, products)
        async with trio.open_nursery() as nursery:
            await nursery.start(till.node.run, None)
            till.node.want(company.listens)
            for _, stretch in groupby(baskets, key=lambda basket: basket.date.toordinal() // STRETCH_DAYS):
                await till.node.write(partial(till.sell, list(stretch), sold))
            sold.told += await till.all_acknowledged()
            nursery.cancel_scope.cancel()
        with log.read_all() as reader:
            sold.entries += reader.last_arrival()
    finally:
        log.close()


def _enrolled(at: Path, company: Company, store: int, key: SecretKey, seed: Sequence[Entry]) -> Folder:
    """The new folder of a store's till, its log seeded with the roster."""
    root = certificates.parse_root(company.root)
    settings = Settings(Address(company.listens.host, 0), peers=(company.listens,), multicast=False)
    folder = folders.create_folder(till_folder(at, store), settings, key, company.chains[store], root)
    entries = [*seed, *(decode(raw) for raw in company.store_rosters[store])]
    log = LmdbLog.open(folder.log_path, SCHEMA, root.company)
    try:
        log.append([Arrival(entry, company.office) for entry in entries], received_ms=system_ms())
    finally:
        log.close()
    return folder


def _rows_by_store(table: Table) -> dict[int, tuple[int, int]]:
    """Where the rows of each store begin, and how many they are, in a table that is sorted by store."""
    rows: dict[int, tuple[int, int]] = {}
    for run in pc.value_counts(table["store_id"]).to_pylist():
        begins = sum(next(reversed(rows.values()), (0, 0)))
        rows[run["values"]] = begins, run["counts"]
    return rows


def _products(table: Table) -> ProductTable:
    """What the tills of this process sell, in one table that they share."""
    numbers = cast("list[int]", pc.unique(table["product_id"]).to_pylist())
    rows = data.read_products(numbers)
    found = {
        row.product: Product(
            row.product,
            row.name,
            "gal" if row.exponent else "",
            row.exponent,
            tax_code=row.tax_code,
            department=row.department.title(),
        )
        for row in rows
    }
    return ProductTable(found, data.TAX_RATES_PPM)
