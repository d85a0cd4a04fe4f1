"""``crdt-pos bench return``: a head office comes back, and every store of the company has something for it at once.

A real head office in a process of its own (TLS, certificates, permissions, signatures, synced LMDB), and one gateway for each
store in this process: each with its own key, certificate, log in memory and session machine over TLS, dialling and dialling
again as tills do. A gateway shares its own store's scope alone. First all of them settle; then the head office is killed
(SIGKILL), every store writes on, the head office is started again, and the clock runs from the start of its process until it
has acknowledged, on its disk, all that was written meanwhile.
"""

from __future__ import annotations

import resource
import socket
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import trio

from crdt_pos import enrolment
from crdt_pos.clock import system_ms
from crdt_pos.folder import Folder, Settings
from crdt_pos.identity import Identity, Now
from crdt_pos.local import LocalClient, NotRunning
from crdt_pos.registrar import Registrar
from crdt_pos.requests import LineRequest, SaleRequest
from crdt_pos.schema import DAY, SCHEMA
from crdt_pos.terms import Terms
from crdt_pos.till import Till
from gossip.address import Address
from gossip.document import Scope
from gossip.entry import FeedId, Head
from gossip.ingest import AuthorRecord
from gossip.log import View
from gossip.log_memory import MemoryLog
from gossip.node import Hooks, Node
from gossip.reasons import Reason
from gossip.session import Me
from merge_rules.lattice import Author
from peers import certificates
from peers.certificates import Certificate
from peers.keys import SecretKey
from peers.roster import StoreRecord
from tools.town import LOOPBACK, Process, TookTooLong

FIRST_MS: Final = 1_795_176_000_000
DAY_MS: Final = 86_400_000
DAYS_WRITTEN: Final = 3
SETTLE_TIMEOUT_S: Final = 600.0
LOOK_S: Final = 0.02
FILES_BESIDE: Final = 200
"""File descriptors that a process needs for other things than sessions."""
Row = dict[str, Any]


def returning(stores: int, repeats: int) -> tuple[list[Row], dict[str, Any]]:
    """The table and what stands beside it. Raises ``TookTooLong``."""
    _allow_files(stores + FILES_BESIDE)
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as place:
        return trio.run(_measure, Path(place), stores, repeats)


def _allow_files(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))


class _OnlyTheOffice:
    """A gateway that believes its head office and nobody else. Implements ``gossip.intake.Trust``."""

    def __init__(self, office: Folder, me: Certificate, scopes: frozenset[Scope]) -> None:
        known = (office.certificate, me)
        self._records = {one.author: AuthorRecord(one.public_key, one.role, one.store) for one in known}
        self._scopes = scopes

    def record(self, author: Author) -> AuthorRecord | None:
        return self._records.get(author)

    def objection(self, peer: Certificate) -> Reason | None:
        del peer
        return None

    def said_against(self, peer: Certificate) -> str:
        del peer
        return ""

    def readable(self, peer: Certificate) -> frozenset[Scope]:
        del peer
        return self._scopes

    def chain(self, author: Author) -> Sequence[bytes] | None:
        del author
        return None

    def learn(self, chain: Sequence[bytes]) -> Sequence[View]:
        del chain
        return []


class _Gateway:
    """A store's one till: its books in memory, its sessions on the network."""

    def __init__(self, office: Folder, at: Path, store: int, key: SecretKey, chain: Sequence[bytes]) -> None:
        certificate = certificates.verify_chain(chain, office.root)
        company = office.root.company
        self.log = MemoryLog(SCHEMA)
        self._acknowledged: dict[FeedId, Head] = {}
        self._written: dict[FeedId, Head] = {}
        self._now_ms = FIRST_MS
        self._author = certificate.author
        who = Identity(key, certificate.author, store, 1, certificate.incarnation, company)
        self._till = Till(self.log, who, self._now, terms=Terms("Corner Shops Ltd"))
        files = at / f"{store}.key", at / f"{store}.pem", at / "root.pem"
        certificates.save_key(files[0], key)
        certificates.save_certificates(files[1], chain)
        scopes = frozenset({Scope(f"store/{store}")})
        me = Me(company, certificate.author, scopes)
        trust = _OnlyTheOffice(office, certificate, scopes)
        hooks = Hooks(acknowledged=lambda _peer, heads: self._acknowledged.update(heads))
        self.node = Node(self.log, me, certificates.tls_contexts(company, *files), SCHEMA, trust, system_ms, hooks)

    def sell_a_day(self) -> None:
        """Open, sell, close: the day's summary has to travel, the journal stays."""
        self._now_ms += DAY_MS
        self._till.open_date()
        for product in (1, 2, 3):
            self._till.sell(SaleRequest((LineRequest(product, 1, 199, tax_code=1),)))
        self._till.close_date()
        with self.log.read() as reader:
            for document in reader.documents(DAY):
                feed = FeedId(document, self._author)
                (self._written[feed],) = reader.heads(feed)
        self.node.wake()

    def _now(self) -> Now:
        self._now_ms += 1_000
        return Now(self._now_ms, 60)

    def unsafe(self) -> int:
        """How many days the head office has not acknowledged as they are."""
        return sum(self._acknowledged.get(feed) != head for feed, head in self._written.items())


async def _measure(place: Path, stores: int, repeats: int) -> tuple[list[Row], dict[str, Any]]:
    began_s = time.perf_counter()
    office, gateways = await trio.to_thread.run_sync(_found, place, stores)
    founded_s = time.perf_counter() - began_s
    process = Process("office", [office])
    rows: list[Row] = []
    try:
        async with trio.open_nursery() as nursery:
            for gateway in gateways:
                await nursery.start(gateway.node.run, None)
                gateway.node.want(office.settings.listen)
                gateway.sell_a_day()
            rows.append(await _come_back(process, gateways, "the first time"))
            for repeat in range(1, repeats + 1):
                process.kill()
                for gateway in gateways:
                    for _ in range(DAYS_WRITTEN):
                        gateway.sell_a_day()
                    await trio.lowlevel.checkpoint()
                rows.append(await _come_back(process, gateways, f"after SIGKILL, repeat {repeat}"))
            nursery.cancel_scope.cancel()
    finally:
        process.stop()
    beside = {
        "stores": stores,
        "days written meanwhile, each": DAYS_WRITTEN,
        "founded in s": round(founded_s, 1),
        "all, median s": statistics.median(row["all s"] for row in rows[1:]),
    }
    return rows, beside


async def _come_back(process: Process, gateways: Sequence[_Gateway], what: str) -> Row:
    waiting = sum(gateway.unsafe() for gateway in gateways)
    began_s = time.perf_counter()
    process.start()
    ready_s = 0.0
    safe_s: list[float] = []
    left: list[_Gateway] = list(gateways)
    while left:
        await trio.sleep(LOOK_S)
        process.check()
        if not ready_s and await trio.to_thread.run_sync(_answers, process.folders[0]):
            ready_s = time.perf_counter() - began_s
        now_s = time.perf_counter() - began_s
        if now_s > SETTLE_TIMEOUT_S:
            raise TookTooLong(f"{len(left)} of {len(gateways)} stores are not acknowledged after {now_s:.0f} s")
        still = [gateway for gateway in left if gateway.unsafe()]
        safe_s += [now_s] * (len(left) - len(still))
        left = still
    connections = await trio.to_thread.run_sync(_connections, process.folders[0])
    return {
        "what": what,
        "days waiting": waiting,
        "ready s": round(ready_s, 1),
        "half s": round(statistics.median(safe_s), 1),
        "all s": round(safe_s[-1], 1),
        "sessions": len(connections["sessions"]),
        "queue, most": connections["commits_waiting_max"],
        "peak MB": process.peak_bytes() // 1_000_000,
    }


def _answers(office: Folder) -> bool:
    try:
        LocalClient(office.path).close()
    except NotRunning:
        return False
    return True


def _connections(office: Folder) -> dict[str, Any]:
    client = LocalClient(office.path)
    try:
        return client.call("connections")
    finally:
        client.close()


def _found(place: Path, stores: int) -> tuple[Folder, list[_Gateway]]:
    """A company with so many stores, each with one till, all enrolled at a head office that listens on a port of its own."""
    with socket.create_server((LOOPBACK, 0)) as free:
        port = free.getsockname()[1]
    settings = Settings(Address(LOOPBACK, port), multicast=False)
    office = enrolment.create_company("Corner Shops", place / "office", settings, system_ms())
    certificates.save_certificates(place / "root.pem", [office.root.der])
    gateways: list[_Gateway] = []
    with office.held(), enrolment.open_log(office) as log:
        records = [StoreRecord(store, legal_entity="Corner Shops Ltd") for store in range(1, stores + 1)]
        Registrar(office, log, system_ms()).state(records)
        registrar = Registrar(office, log, system_ms())
        for store in range(1, stores + 1):
            key = SecretKey.generate()
            chain = registrar.enrol_till(store, 1, key.public)
            gateways.append(_Gateway(office, place, store, key, chain))
    return office, gateways
