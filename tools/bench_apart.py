"""``crdt-pos bench apart``: what it costs two replicas to meet again after three business days, in bytes on the wire.

Real folders, logs and TLS sessions over the loopback interface. Bytes are counted beneath TLS, in both directions, from the
first of the handshake to the last word after the comparison. *Missing* is the sum of the bytes of all entries that either side
lacked and may read. The bound: at most 1.2 × missing + 4,000 bytes, handshake included.
"""

from __future__ import annotations

import hashlib
import random
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import trio

from crdt_pos import enrolment
from crdt_pos.balance import Balance, balance_document
from crdt_pos.clock import system_ms
from crdt_pos.folder import Folder, Settings
from crdt_pos.identity import Identity, Now
from crdt_pos.own_heads import newest_views
from crdt_pos.patrons import patrons_document
from crdt_pos.products import Price
from crdt_pos.receipt import ACCOUNT_BYTES
from crdt_pos.replica import RunningReplica
from crdt_pos.requests import LineRequest, SaleRequest
from crdt_pos.schema import SCHEMA, VARIANCES
from crdt_pos.terms import Terms
from crdt_pos.till import Till
from crdt_pos.variance import Variance
from gossip import tls
from gossip.address import Address
from gossip.document import Document, FeedType, Scope
from gossip.entry import Entry
from gossip.inbound import cursor_key
from gossip.log import Arrival, Log, Reader
from gossip.log_lmdb import LmdbLog
from gossip.own_feed import OwnFeed
from gossip.tls import TlsStream
from gossip.transitions import State
from peers.roster import StoreRecord

MISSING_FACTOR_PERCENT: Final = 120
SLACK_BYTES: Final = 4_000
STORE: Final = 12
TILLS: Final = 4
FIRST_DAY: Final = 20_700
FIRST_MS: Final = FIRST_DAY * 86_400_000 + 9 * 3_600_000
DAYS_APART: Final = 3
MEMBERS: Final = 5_000
MEMBERS_CHANGED: Final = 300
REGULARS: Final = 400
"""Members who shop in the store in the days of sales."""
PRODUCTS: Final = 800
PROGRAMME: Final = "points"
QUIET_S: Final = 0.4
"""A session is over with catching up when nothing has passed for so long."""
MEET_TIMEOUT_S: Final = 300.0
Row = dict[str, Any]


def apart(sales: int) -> list[Row]:
    """Every meeting in turn; ``sales`` for each till and day."""
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as place:
        days = _after_days(Path(place) / "days", sales)
        members = _after_members(Path(place) / "members")
        return [meeting.row() for meeting in (*days, *members)]


def bound(missing_bytes: int) -> int:
    """What the wire may carry, in bytes, for so many bytes of missing entries."""
    return missing_bytes * MISSING_FACTOR_PERCENT // 100 + SLACK_BYTES


# --- replicas --------------------------------------------------------------------------------------------------------


@dataclass
class _Company:
    """Folders of one store and its head office."""

    at: Path
    tills: int
    folders: dict[str, Folder] = field(default_factory=dict[str, Folder])

    def __post_init__(self) -> None:
        alone = Settings(Address("127.0.0.1", 0), multicast=False)
        office = enrolment.create_company("Corner Shops", self.at / "office-a", alone, system_ms())
        enrolment.add_store(office, StoreRecord(STORE, legal_entity="Corner Shops Ltd"), system_ms())
        self.folders["office-a"] = office
        for till in range(1, self.tills + 1):
            name = f"{STORE}-{till}"
            self.folders[name] = enrolment.enrol_till(office, STORE, till, self.at / name, alone, system_ms())

    def log(self, name: str) -> Log:
        folder = self.folders[name]
        return LmdbLog.open(folder.log_path, SCHEMA, folder.root.company)

    def feed(self, reader: Reader, name: str, document: Document) -> OwnFeed:
        folder = self.folders[name]
        return OwnFeed.read(reader, folder.key, folder.certificate.author, document, SCHEMA[document.kind])

    def meet(self, *pairs: tuple[str, str]) -> list[_Met]:
        """Let these pairs have a session each, all at once, until they hold the same and have compared."""
        return trio.run(self._meet, pairs)

    async def _meet(self, pairs: Sequence[tuple[str, str]]) -> list[_Met]:
        with ExitStack() as stack:
            replicas: dict[str, RunningReplica] = {}
            for name in sorted({name for pair in pairs for name in pair}):
                replicas[name] = RunningReplica(self.folders[name])
                stack.callback(replicas[name].close)
            met = [_Met(replicas[one], replicas[other]) for one, other in pairs]
            async with trio.open_nursery() as nursery:
                for replica in replicas.values():
                    await nursery.start(replica.run)
                handshakes = [await _handshake_bytes(one.dials.folder, one.listens.folder) for one in met]
                for one, handshake in zip(met, handshakes, strict=True):
                    one.handshake_bytes = handshake
                    one.dials.node.want(one.at)
                with trio.fail_after(MEET_TIMEOUT_S):
                    await _until_quiet(met)
                for one in met:
                    one.end()
                nursery.cancel_scope.cancel()
            return met


@dataclass
class _Met:
    """Two running replicas that meet: what either lacked before, and what passed between them."""

    dials: RunningReplica
    listens: RunningReplica
    handshake_bytes: int = 0
    wire_bytes: int = 0
    session_bytes: int = 0

    def __post_init__(self) -> None:
        one, other = self.dials, self.listens
        self.shared: frozenset[Scope] = one.trust.readable(one.certificate) & other.trust.readable(other.certificate)
        self.missing = self.lacking()

    @property
    def at(self) -> Address:
        assert self.listens.listening is not None
        return self.listens.listening

    def lacking(self) -> list[int]:
        """The size of every entry that one of the two has and the other lacks."""
        with self.dials.log.read() as one, self.listens.log.read() as other:
            found = [*_missing(one, other, self.shared), *_missing(other, one, self.shared)]
        return [len(entry.raw) for entry in found]

    @property
    def settled(self) -> bool:
        """Whether both have caught up and no comparison is going on."""
        links = [
            one.node.links.get(other.certificate.author)
            for one, other in ((self.dials, self.listens), (self.listens, self.dials))
        ]
        return all(link is not None and link.facts.caught_up and link.session.state is State.SHARING for link in links)

    def end(self) -> None:
        """Note what has passed. Both count the same bytes, so one side's both directions are all."""
        link = self.dials.node.links[self.listens.certificate.author]
        self.wire_bytes = link.stream.bytes_sent + link.stream.bytes_received
        self.session_bytes = link.session.bytes_sent + link.session.bytes_received

    def lose_cursors(self) -> None:
        """Let both forget how far they hold the other's log."""
        for one, other in ((self.dials, self.listens), (self.listens, self.dials)):
            one.log.append([], cursors=[(cursor_key(other.log.database, self.shared), 0)])


async def _until_quiet(met: Sequence[_Met]) -> None:
    passed, before = -1, -2
    while passed != before or not all(one.settled and not one.lacking() for one in met):
        await trio.sleep(QUIET_S)
        links = [link for one in met for link in one.dials.node.links.values()]
        before, passed = passed, sum(link.stream.bytes_sent + link.stream.bytes_received for link in links)


async def _handshake_bytes(dials: Folder, listens: Folder) -> int:
    """The TLS handshake alone, tickets included, both directions."""
    counted: list[int] = []

    async def accepted(stream: TlsStream) -> None:
        await stream.receive()
        counted.append(stream.bytes_sent)

    async with trio.open_nursery() as nursery:
        at = await nursery.start(tls.serve, Address("127.0.0.1", 0), listens.tls_contexts(), accepted)
        stream = await tls.dial(at, dials.tls_contexts())
        sent = stream.bytes_sent
        await stream.send(b"x")
        while not counted:
            await trio.sleep(0.01)
        await stream.aclose()
        nursery.cancel_scope.cancel()
    return sent + counted[0]


def _missing(giver: Reader, taker: Reader, shared: frozenset[Scope]) -> Iterator[Entry]:
    for stored in giver.arrivals(0, 1 << 40):
        entry = stored.entry
        if shared.isdisjoint(giver.scopes(entry)):
            continue
        if entry.feed is FeedType.LATEST:
            # What was replaced, here or there, nobody lacks.
            ahead = any(head.seq >= entry.seq for head in taker.heads(entry.feed_id))
            if ahead or entry.head not in giver.heads(entry.feed_id):
                continue
        if taker.find(entry.hash) is None:
            yield entry


@dataclass(frozen=True, slots=True)
class Meeting:
    """One line of the table."""

    what: str
    met: _Met

    def row(self) -> Row:
        missing = sum(self.met.missing)
        wire = self.met.wire_bytes
        return {
            "what": self.what,
            "entries": len(self.met.missing),
            "missing": missing,
            "handshake": self.met.handshake_bytes,
            "on the wire": wire,
            "÷ missing": f"{wire / missing:.3f}",
            "bound": bound(missing),
            "verdict": "holds" if wire <= bound(missing) else "BROKEN",
        }


# --- three days of sales ---------------------------------------------------------------------------------------------


def _after_days(at: Path, sales: int) -> list[Meeting]:
    """12-1 meets a neighbour, 12-4 the head office; the other two and the office were in touch all the time."""
    company = _Company(at, TILLS)
    dice = random.Random(12)  # noqa: S311  the same sales in every run
    everybody = ("office-a", *(f"{STORE}-{till}" for till in range(1, TILLS + 1)))
    company.meet(*_ring(everybody))
    meetings: list[Meeting] = []
    day = FIRST_DAY
    for cursors in ("cursors", "no cursors"):
        for _ in range(DAYS_APART):
            for till in range(1, TILLS + 1):
                _sell_day(company, till, day, sales, dice)
            company.meet(*_ring((f"{STORE}-2", f"{STORE}-3", "office-a")))
            day += 1
        for one, other, what in (
            (f"{STORE}-1", f"{STORE}-2", "a till and its neighbour"),
            (f"{STORE}-4", "office-a", "a till and the head office"),
        ):
            if cursors == "no cursors":
                _lose_cursors(company, one, other)
            (met,) = company.meet((one, other))
            meetings.append(Meeting(f"3 days of sales: {what}, {cursors}", met))
        company.meet(*_ring(everybody))
    return meetings


def _ring(names: Sequence[str]) -> list[tuple[str, str]]:
    return [*pairwise(names), (names[0], names[-1])] if len(names) > 2 else [(names[0], names[1])]


def _sell_day(company: _Company, till: int, day: int, sales: int, dice: random.Random) -> None:
    name = f"{STORE}-{till}"
    folder = company.folders[name]
    certificate = folder.certificate
    ms = iter(range(FIRST_MS + (day - FIRST_DAY) * 86_400_000, 1 << 60, 1_000))
    log = company.log(name)
    try:
        me = Identity(folder.key, certificate.author, STORE, till, certificate.incarnation, certificate.company)
        selling = Till(log, me, lambda: Now(next(ms), 60), terms=Terms("Corner Shops Ltd"))
        selling.open_date(float_minor=20_000)
        receipts = [selling.sell(_basket(dice)).number for _ in range(sales)]
        document = Document(VARIANCES, day, (STORE,))
        bodies = [
            Variance(number, 1, dice.randrange(1, PRODUCTS), 1, 0, Price(2_000), Price(2_100)).body()
            for number in receipts[::20]
        ]
        with log.read() as reader:
            feed = company.feed(reader, name, document)
        log.append(feed.arrivals(bodies, next(ms) << 16))
        selling.close_date()
    finally:
        log.close()


def _basket(dice: random.Random) -> SaleRequest:
    lines = tuple(
        LineRequest(dice.randrange(1, PRODUCTS), dice.choice((1, 1, 1, 2, 3)), dice.randrange(99, 2_000), tax_code=1)
        for _ in range(dice.randrange(1, 9))
    )
    return SaleRequest(lines, member=_account(dice.randrange(REGULARS)) if dice.random() < 0.6 else None)


# --- five thousand members -------------------------------------------------------------------------------------------


def _after_members(at: Path) -> list[Meeting]:
    """A till and the head office, and two neighbours, of whose members 300 changed: on one side, or half on either."""
    company = _Company(at, 2)
    one, other = f"{STORE}-1", f"{STORE}-2"
    accounts = [_account(number) for number in range(MEMBERS)]
    log = company.log(one)
    try:
        with log.read() as reader:
            patrons = company.feed(reader, one, patrons_document(STORE))
        log.append(patrons.arrivals([sorted(accounts)], 1))
    finally:
        log.close()
    _earn(company, one, accounts)
    company.meet((one, "office-a"), (one, other))
    dice = random.Random(13)  # noqa: S311
    meetings: list[Meeting] = []
    for cursors in ("cursors", "no cursors"):
        for peer, who in (("office-a", "the head office"), (other, "a neighbour")):
            for split, sides in (
                (MEMBERS_CHANGED, "at the till"),
                (0, f"at {who}"),
                (MEMBERS_CHANGED // 2, "half and half"),
            ):
                changed = dice.sample(accounts, MEMBERS_CHANGED)
                _earn(company, one, changed[:split])
                _earn(company, peer, changed[split:])
                if cursors == "no cursors":
                    _lose_cursors(company, one, peer)
                (met,) = company.meet((one, peer))
                meetings.append(Meeting(f"300 of 5,000 members, {sides}, and {who}: {cursors}", met))
                company.meet((one, "office-a"), (one, other))
    return meetings


def _earn(company: _Company, name: str, accounts: Iterable[bytes]) -> None:
    """Sign a new state of these accounts' balances, each one larger."""
    author = company.folders[name].certificate.author
    log = company.log(name)
    try:
        with log.read() as reader:
            arrivals: list[Arrival] = []
            for account in accounts:
                counter = Balance.read(reader, PROGRAMME, account).counter
                counter = counter.join(counter.earn(author, 17))
                feed = company.feed(reader, name, balance_document(PROGRAMME, account))
                arrivals += feed.arrivals([counter.entry_body(author)], system_ms() << 16)
            views = newest_views(
                reader, arrivals
            )  # as a till's own act would: else it asks what it wrote last, and is told
        log.append(arrivals, views)
    finally:
        log.close()


def _account(number: int) -> bytes:
    return hashlib.sha256(b"member %d" % number).digest()[:ACCOUNT_BYTES]


def _lose_cursors(company: _Company, one: str, other: str) -> None:
    left, right = RunningReplica(company.folders[one]), RunningReplica(company.folders[other])
    try:
        _Met(left, right).lose_cursors()
    finally:
        left.close()
        right.close()
