"""What it takes to heal a till that was lost with a month of journal, and how much is lost if a whole store burns.

One till sells for ``days`` business dates, spread over ten hours each, and seals once a minute, as in a shop. Then its next life
takes everything back, over TLS on the loopback interface: from a neighbour, which holds the journal; from a guardian store, which
holds the vault, and with the recovery key. The bound on loss is measured by the clock: how old the oldest receipt is that no
replica outside of the store has acknowledged.
"""

from __future__ import annotations

import datetime
import random
import tempfile
import time
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import trio

from crdt_pos import enrolment
from crdt_pos.clock import system_ms
from crdt_pos.company_keys import CompanyKeys
from crdt_pos.folder import Folder, Settings
from crdt_pos.gaps import lives_found
from crdt_pos.identity import Now
from crdt_pos.opening import open_vaults, put_back, sealed_in
from crdt_pos.products import Price, Product, ProductTable
from crdt_pos.recovering import TILL_SCOPES, Listening
from crdt_pos.replica import RunningReplica
from crdt_pos.requests import LineRequest, SaleRequest
from crdt_pos.schema import DAY, JOURNAL, SCHEMA, VAULT
from crdt_pos.till import Till
from crdt_pos.vault import Vault
from gossip.address import Address
from gossip.document import FeedType
from gossip.entry import FeedId
from gossip.log import Reader
from peers.roster import StoreRecord

Row = dict[str, Any]

FIRST: Final = datetime.datetime(2026, 10, 1, 8, tzinfo=datetime.UTC)
OPEN_HOURS: Final = 10
TICK_MS: Final = 60_000
PRODUCTS: Final = 40
MEMBERS_PERCENT: Final = 30
QUIET_S: Final = 1.0
TIMEOUT_S: Final = 600.0
SELL_EVERY_S: Final = 0.5
WATCH_S: Final = 0.02


@dataclass
class _Shop:
    """The folders, and the clock of the till that sells."""

    at: Path
    keys: CompanyKeys = field(default_factory=CompanyKeys.generate)
    folders: dict[str, Folder] = field(default_factory=dict[str, Folder])
    ms: int = 0

    def __post_init__(self) -> None:
        self.settings = Settings(Address("127.0.0.1", 0), multicast=False)
        office = enrolment.create_company("Corner Shops", self.at / "office", self.settings, system_ms(), self.keys)
        self.folders["office"] = office
        for store in (12, 13):
            enrolment.add_store(office, StoreRecord(store), system_ms())
        for name in ("12-1", "12-2", "13-1"):
            self.enrol(name, name)

    def enrol(self, name: str, place: str, *, again: bool = False) -> None:
        store, till = map(int, name.split("-"))
        office, now_ms = self.folders["office"], system_ms()
        made = enrolment.enrol_till(office, store, till, self.at / place, self.settings, now_ms, again=again)
        self.folders[place] = made

    def now(self) -> Now:
        return Now(self.ms, 0)


def heal(days: int, receipts: int) -> list[Row]:
    """A month at one till, and what bringing it back takes."""
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as place:
        shop = _Shop(Path(place))
        rows = _sell(shop, days, receipts)
        count = days * receipts
        met = trio.run(_meet, shop, "12-2", "12-1")
        rows.append(_row("a neighbour takes in journal, summaries and vault", count, *met))
        met = trio.run(_meet, shop, "13-1", "12-1")
        rows.append(_row("a new guardian takes in the vault", count, *met))
        for name, giver, what in (("next", "12-2", "a neighbour"), ("burnt", "13-1", "a guardian")):
            shop.enrol("12-1", name, again=True)
            met = trio.run(_meet, shop, name, giver)
            rows.append(_row(f"the next life takes all back from {what}", count, *met))
        rows.append(_open(shop, count))
        return rows


def _row(what: str, receipts: int, seconds: float, wire_bytes: int) -> Row:
    per_receipt = f"{wire_bytes / receipts:.0f}" if wire_bytes else ""
    return {"what": what, "seconds": f"{seconds:.1f}", "bytes": wire_bytes or "", "bytes a receipt": per_receipt}


def _sell(shop: _Shop, days: int, receipts: int) -> list[Row]:
    dice = random.Random(12)  # noqa: S311  figures, not secrets
    table = {
        number: Product(number, f"Product {number}", prices=(Price(99 + 10 * number),)) for number in range(1, PRODUCTS)
    }
    replica = Listening(shop.folders["12-1"])
    try:
        till = Till(replica.log, replica.identity(), shop.now, products=ProductTable(table, {}))
        vault = Vault(replica.log, replica.identity(), replica.folder.root.recovery_key, replica.trust.record)
        members = [dice.randbytes(8) for _ in range(1000)]
        sealing_s, selling_s, segments = 0.0, 0.0, 0
        for day in range(days):
            shop.ms = int((FIRST + datetime.timedelta(days=day)).timestamp() * 1000)
            ends_ms = shop.ms + OPEN_HOURS * 3_600_000
            moments = sorted(dice.randrange(shop.ms, ends_ms) for _ in range(receipts))
            tick_ms = shop.ms
            till.open_date()
            for moment in moments:
                while tick_ms + TICK_MS <= moment:
                    tick_ms += TICK_MS
                    began = time.perf_counter()
                    segments += vault.seal(tick_ms)
                    sealing_s += time.perf_counter() - began
                shop.ms = moment
                lines = [
                    LineRequest(dice.randrange(1, PRODUCTS), dice.randint(1, 3)) for _ in range(dice.randint(1, 12))
                ]
                member = dice.choice(members) if dice.randrange(100) < MEMBERS_PERCENT else None
                began = time.perf_counter()
                till.sell(SaleRequest(tuple(lines), member=member))
                selling_s += time.perf_counter() - began
            shop.ms = ends_ms
            till.close_date()
            segments += vault.seal(ends_ms)
        count = days * receipts
        with replica.log.read() as reader:
            journal, day_bytes, sealed = (_bytes(reader, kind) for kind in (JOURNAL, DAY, VAULT))
            vaults = open_vaults(reader, shop.keys.recovery)
        plain = sum(len(entry.raw) for one in vaults for entry in one.entries.values())
        acts = sum(
            len(one.raw) for vaulted in vaults for one in vaulted.entries.values() if one.document.kind == JOURNAL
        )
        return [
            _figure("journal on the till's disk", journal, count),
            _figure("summaries of closed dates", day_bytes, count),
            _figure("sealed: entries before compression", plain, count),
            _figure(f"sealed: {segments:,} segments, as they travel and are kept", sealed, count),
            _said(f"compressed {plain / sealed:.2f} : 1, signatures and seals of the segments included"),
            _said(
                f"sealing {1000 * sealing_s / segments:.1f} ms a segment, synced; a sale {1000 * selling_s / count:.1f} ms"
            ),
            *([] if acts == journal else [_figure("MISSING in the vault", journal - acts, count)]),
        ]
    finally:
        replica.close()


def _said(what: str) -> Row:
    return {"what": what, "seconds": "", "bytes": "", "bytes a receipt": ""}


def _figure(what: str, amount: int, receipts: int) -> Row:
    return {"what": what, "seconds": "", "bytes": amount, "bytes a receipt": f"{amount / receipts:.0f}"}


def _bytes(reader: Reader, kind: str) -> int:
    """Of the newest entries in ``latest`` feeds, of all in others."""
    feeds = [FeedId(one, author) for one in reader.documents(kind) for author in reader.authors(one)]
    whole = SCHEMA[kind].feed is FeedType.WHOLE
    heads = {head.hash for feed in feeds for head in reader.heads(feed)}
    entries = [stored.entry for feed in feeds for stored in reader.entries(feed)]
    return sum(len(entry.raw) for entry in entries if whole or entry.hash in heads)


async def _meet(shop: _Shop, taking: str, giving: str) -> tuple[float, int]:
    """Let one take in what the other holds; how long until the last entry was there, and how many bytes the wire carried."""
    replicas = [Listening(shop.folders[name]) for name in (taking, giving)]
    taker, giver = replicas
    try:
        async with trio.open_nursery() as nursery:
            for replica in replicas:
                await nursery.start(replica.run)
            assert giver.listening is not None
            began_s = news_s = time.perf_counter()
            taker.node.want(giver.listening)
            news = None
            with trio.fail_after(TIMEOUT_S):
                while True:
                    link = taker.node.links.get(giver.certificate.author)
                    with taker.log.read() as reader:
                        arrived = reader.last_arrival()
                    if news != arrived:
                        news, news_s = arrived, time.perf_counter()
                    caught_up = link is not None and link.facts.caught_up
                    if caught_up and time.perf_counter() - news_s > QUIET_S:
                        break
                    await trio.sleep(WATCH_S)
            assert link is not None
            wire_bytes = link.stream.bytes_sent + link.stream.bytes_received
            nursery.cancel_scope.cancel()
        return news_s - began_s, wire_bytes
    finally:
        for replica in replicas:
            replica.close()


def _open(shop: _Shop, receipts: int) -> Row:
    """Open the vault that came from the guardian, check every signature and chain, and put all back."""
    replica = Listening(shop.folders["burnt"])
    try:
        began_s = time.perf_counter()
        with replica.log.read() as reader:
            vaults = open_vaults(reader, shop.keys.recovery)
        put_back(replica, sealed_in(vaults), TILL_SCOPES)
        with replica.log.read() as reader:
            lives = lives_found(reader, replica.trust.directory, vaults, [12])
        found = sum(life.receipts for life in lives)
        whole = all(life.complete for life in lives)
        seconds = time.perf_counter() - began_s
    finally:
        replica.close()
    said = f"opened, checked and put back: {found:,} of {receipts:,} receipts, {'nothing' if whole else 'SOMETHING'} missing"
    return {"what": said, "seconds": f"{seconds:.1f}", "bytes": "", "bytes a receipt": ""}


# --- the bound -------------------------------------------------------------------------------------------------------


def bound(every_s: int, periods: int) -> list[Row]:
    """Sell twice a second, and watch the oldest receipt that is not safe outside of the store."""
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as place:
        shop = _Shop(Path(place))
        return trio.run(_watch, shop, every_s, periods)


async def _watch(shop: _Shop, every_s: int, periods: int) -> list[Row]:
    folder = shop.folders["12-1"]
    folder = replace(folder, settings=replace(folder.settings, vault_every_s=every_s))
    till, office = RunningReplica(folder), RunningReplica(shop.folders["office"])
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(office.run)
            await nursery.start(till.run)
            assert office.listening is not None
            assert till.till is not None
            till.node.want(office.listening)
            await till.node.write(till.till.open_date)
            oldest, waits = 0.0, list[float]()
            sold: list[float] = []
            ends = trio.current_time() + every_s * periods
            while trio.current_time() < ends:
                sale = SaleRequest((LineRequest(0, name="bread", unit_price_minor=250),))
                await till.node.write(partial(till.till.sell, sale))
                sold.append(trio.current_time())
                with trio.move_on_after(SELL_EVERY_S):
                    while True:
                        waiting = till.status().outside.waiting
                        now = trio.current_time()
                        while len(sold) > waiting:
                            waits.append(now - sold.pop(0))
                        oldest = max([oldest, *(now - one for one in sold[:1])])
                        await trio.sleep(WATCH_S)
            nursery.cancel_scope.cancel()
        return [
            {
                "what": f"segments at most {every_s} s apart: oldest receipt not yet outside, at worst",
                "seconds": f"{oldest:.2f}",
            },
            {
                "what": f"a receipt is outside after, mean of {len(waits):,}",
                "seconds": f"{sum(waits) / max(len(waits), 1):.2f}",
            },
        ]
    finally:
        till.close()
        office.close()
