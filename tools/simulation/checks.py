"""The checkers: what must hold once there is peace. Their arithmetic is their own; of the product they use only the decoder.

They compare what is on the disks of honest survivors with each other, and with the ledger of what really happened.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

from crdt_pos.patrons import PATRONS
from crdt_pos.schema import BALANCE, DAY, FORKS, JOURNAL
from gossip.document import FeedType, ScopeClass
from gossip.entry import Entry, FeedId, Hash, decode
from merge_rules.lattice import Author
from peers.permissions import Role
from tools.simulation.machine import Machine

if TYPE_CHECKING:
    from tools.simulation.world import World

# Numbers that stand in signed entries, written down here once more.
_SALE, _REFUND, _VOID, _TRAINING, _STOCK = 0, 1, 2, 3, 5
_SERIES: Final = {0: "", 1: "", 2: "", 3: "T", 4: "D", 5: "S", 6: "D", 7: "D", 8: ""}
_RECEIVED, _WRITTEN_OFF, _COUNTED, _OUT, _IN = 1, 2, 3, 4, 5
_STOCK_SIGNS: Final = (-1, 0, 1, -1, 1, 1, 0, -1, 1, -1, -1, 1)
"""What a product's columns in a day do to its stock."""


@dataclass(slots=True)
class Found:
    """What the checkers saw."""

    violations: list[str] = field(default_factory=list[str])
    survivors: int = 0
    entries: int = 0
    given: int = 0
    """Receipts that cashiers were given."""
    takings_minor: int = 0
    """By the days of honest tills, as the survivors hold them."""
    lost_minor: int = 0
    """Of receipts that burnt before anyone else had them."""
    lost_receipts: int = 0
    forks: int = 0

    def says(self, text: str) -> None:
        """Something is wrong."""
        self.violations.append(text)


@dataclass(slots=True)
class Held:
    """What one honest survivor holds."""

    machine: Machine
    heads: dict[FeedId, tuple[Hash, ...]] = field(default_factory=dict[FeedId, tuple[Hash, ...]])
    entries: dict[Hash, Entry] = field(default_factory=dict[Hash, Entry])
    patrons: dict[bytes, set[int]] = field(default_factory=dict[bytes, set[int]])
    """Account → stores whose patron it is."""

    @property
    def name(self) -> str:
        return self.machine.name

    def scopes(self, feed: FeedId, scope: ScopeClass) -> set[str]:
        """Where a feed travels."""
        keys = feed.document.keys
        match scope:
            case ScopeClass.COMPANY:
                return {"company"}
            case ScopeClass.STORE:
                return {f"store/{keys[0]!r}"}
            case ScopeClass.JOURNAL:
                return {f"journal/{keys[0]!r}"}
            case ScopeClass.PATRONS:
                return {f"patrons/{store}" for store in self.patrons.get(cast("bytes", keys[-1]), ())}
            case _:
                return set()

    def reads(self, stores: tuple[int, ...]) -> set[str]:
        """What it may read."""
        certificate = self.machine.folder.certificate
        if certificate.role is Role.OFFICE:
            return {"company", *(f"{what}/{store}" for what in ("store", "patrons") for store in stores)}
        return {"company", *(f"{what}/{certificate.store}" for what in ("store", "journal", "patrons"))}

    def of_kind(self, kind: str) -> Iterator[Entry]:
        """The current entries of a kind: of ``latest`` feeds the heads, of ``whole`` ones all."""
        current = {hash_ for heads in self.heads.values() for hash_ in heads}
        for entry in self.entries.values():
            if entry.document.kind == kind and (entry.feed is FeedType.WHOLE or entry.hash in current):
                yield entry


def look(world: World) -> Found:
    """Look at everything."""
    found = Found()
    held = [_held(machine) for machine in world.machines.values() if machine.running and machine.honest]
    found.survivors, found.given = len(held), len(world.ledger.given)
    found.entries = len({hash_ for one in held for hash_ in one.entries})
    _equal(world, held, found)
    _durable(world, held, found)
    _numbers(world, found)
    _given(world, found)
    _books(world, held, found)
    _points(world, held, found)
    _proofs(world, held, found)
    return found


def _held(machine: Machine) -> Held:
    held = Held(machine)
    with machine.disk.read() as reader:
        for stored in reader.arrivals(0, 1 << 40):
            entry = decode(stored.entry.raw)
            held.entries[entry.hash] = entry
        for entry in held.entries.values():
            if entry.feed_id not in held.heads:
                held.heads[entry.feed_id] = tuple(head.hash for head in reader.heads(entry.feed_id))
    for entry in held.entries.values():
        if entry.document.kind == PATRONS:
            for account in cast("list[bytes]", entry.body):
                held.patrons.setdefault(account, set()).add(cast("int", entry.document.keys[0]))
    return held


def _equal(world: World, held: list[Held], found: Found) -> None:
    """All survivors hold equal heads in every scope that they share."""
    first: dict[str, tuple[str, dict[FeedId, tuple[Hash, ...]]]] = {}
    for one in held:
        by_scope: dict[str, dict[FeedId, tuple[Hash, ...]]] = {scope: {} for scope in one.reads(world.stores)}
        for feed, heads in one.heads.items():
            scope_class = one.entries[heads[0]].scope if heads and heads[0] in one.entries else None
            if scope_class is None:
                found.says(f"{one.name} has heads of {feed.document} that it does not hold")
                continue
            for scope in one.scopes(feed, scope_class):
                by_scope.setdefault(scope, {})[feed] = heads
        for scope, feeds in sorted(by_scope.items()):
            name, other = first.setdefault(scope, (one.name, feeds))
            for feed in sorted(feeds.keys() | other.keys()):
                if feeds.get(feed) != other.get(feed):
                    found.says(f"{name} and {one.name} differ in {feed.document} of {world.name(feed.author)}, {scope}")


def _durable(world: World, held: list[Held], found: Found) -> None:
    """What was once on a disk that survives is still there, or something newer of its feed."""
    for one in held:
        newest = {feed: max(one.entries[h].seq for h in heads) for feed, heads in one.heads.items()}
        for hash_ in world.ledger.disks[one.machine.disk.number]:
            entry = world.ledger.entries[hash_]
            if hash_ in one.entries:
                continue
            if entry.feed is FeedType.WHOLE or newest.get(entry.feed_id, 0) <= entry.seq:
                found.says(f"{one.name} has lost {entry.document} {entry.seq} of {world.name(entry.author)}")


def _numbers(world: World, found: Found) -> None:
    """Each honest life numbers its receipts without a gap, and gives no number twice."""
    next_: dict[tuple[Author, str], int] = {}
    for author, entries in world.ledger.acts.items():
        if author in world.ledger.liars or author in world.ledger.unnoticed:
            continue
        for entry in entries:
            body = body_of(entry)
            series = author, _SERIES[body.get(0, 0)]
            for stretch in body.get(28, []):
                # After a disk was set back: what may have been given, and will not be again.
                skipped = author, _SERIES_OF_SKIPPED[int(stretch.get(0, 0))]
                if author in world.ledger.set_back and stretch[1] <= next_.get(skipped, 1) <= stretch[2] + 1:
                    next_[skipped] = stretch[2] + 1
                else:
                    found.says(f"{world.name(author)} leaves out numbers {stretch[1]} to {stretch[2]}")
            expected = next_.get(series, 1)
            if body[1] != expected:
                found.says(f"{world.name(author)} gives number {series[1]}{body[1]}, {expected} is next")
            next_[series] = body[1] + 1


_SERIES_OF_SKIPPED: Final[tuple[str, ...]] = ("", "T", "D", "S")


def _given(world: World, found: Found) -> None:
    """Every receipt that was given stands in its till's journal, once, and no wish was granted twice."""
    written: dict[tuple[Author, str], int] = {}
    wishes: dict[str, int] = {}
    for feed, entries in world.ledger.own.items():
        if feed.document.kind == JOURNAL and feed.author not in world.ledger.liars:
            for entry in entries:
                body = body_of(entry)
                key = feed.author, number_of(body)
                written[key] = written.get(key, 0) + 1
                if body.get(22, "").startswith("wish-"):
                    wishes[body[22]] = wishes.get(body[22], 0) + 1
    for given in world.ledger.given:
        if given.author in world.ledger.unnoticed:
            continue
        if given.author not in world.ledger.liars and written.get((given.author, given.number), 0) != 1:
            found.says(f"{given.number} was given, and is written {written.get((given.author, given.number), 0)} times")
    found.violations += [f"{wish} was granted {times} times" for wish, times in wishes.items() if times > 1]


@dataclass(slots=True)
class Sum:
    """A date of one till: money by tender, takings, goods."""

    takings: int = 0
    tenders: dict[int, int] = field(default_factory=dict[int, int])
    stock: dict[int, int] = field(default_factory=dict[int, int])

    def tidy(self) -> Sum:
        """Without what is 0."""
        return Sum(
            self.takings,
            {kind: amount for kind, amount in sorted(self.tenders.items()) if amount},
            {product: count for product, count in sorted(self.stock.items()) if count},
        )


def _books(world: World, held: list[Held], found: Found) -> None:
    """The days that survivors hold say what the journals say, as far as anyone has them; what is lost, nobody had."""
    for one in held:
        days = _summaries(one)
        for feed, entries in world.ledger.own.items():
            if feed.document.kind != JOURNAL or feed.author in world.ledger.liars:
                continue
            if f"store/{feed.document.keys[0]!r}" not in one.reads(world.stores):
                continue
            reach = _reach(held, entries)
            summary = days.get((feed.author, feed.document.day))
            name = f"{world.name(feed.author)} on day {feed.document.day}"
            if summary is None:
                if reach:
                    found.says(f"{one.name} has no day of {name}, of which {reach} acts are known")
                continue
            covers, tip, said = summary
            if covers < reach:
                found.says(f"{one.name} has a day of {name} that covers {covers} acts, {reach} are known")
            truth = _sum_of(_chain(entries, tip))
            if said.tidy() != truth.tidy():
                found.says(f"{one.name} has a day of {name} that says {said.tidy()}, true is {truth.tidy()}")
    _totals(world, held, found)


def _totals(world: World, held: list[Held], found: Found) -> None:
    best: dict[tuple[Author, int], tuple[int, int]] = {}
    for one in held:
        for (author, day), (covers, _, said) in _summaries(one).items():
            if covers > best.get((author, day), (0, 0))[0]:
                best[author, day] = covers, said.takings
    for feed, entries in world.ledger.own.items():
        if feed.document.kind == JOURNAL and feed.author not in world.ledger.liars:
            covers, takings = best.get((feed.author, feed.document.day), (0, 0))
            found.takings_minor += takings
            found.lost_minor += _sum_of(entries).takings - takings
            found.lost_receipts += len(entries) - covers


def _chain(entries: list[Entry], tip: bytes) -> list[Entry]:
    """The acts up to the one whose hash begins with ``tip``, each following the one before."""
    by_hash = {entry.hash: entry for entry in entries}
    entry = next((entry for entry in entries if entry.hash.startswith(tip)), None)
    found: list[Entry] = []
    while entry is not None:
        found.append(entry)
        entry = by_hash.get(entry.previous) if entry.previous is not None else None
    return found[::-1]


def _reach(held: list[Held], entries: list[Entry]) -> int:
    """How many of a till's acts of a date some survivor holds."""
    known = [entry.seq for one in held for entry in entries if entry.hash in one.entries]
    return max(known, default=0)


def _summaries(one: Held) -> dict[tuple[Author, int], tuple[int, bytes, Sum]]:
    """Till and day → what the day entries say that cover most: how many acts, the hash of the last, and the sums."""
    found: dict[tuple[Author, int], tuple[int, bytes, Sum]] = {}
    for entry in one.of_kind(DAY):
        body = body_of(entry)
        parts: dict[Author, Mapping[int, Any]] = {entry.author: body, **body.get(23, {})}
        for subject, part in parts.items():
            if 0 in part:
                covers, tip = part[0]
                key = subject, entry.document.day
                if key not in found or found[key][0] < covers:
                    found[key] = covers, tip, sum_in(part)
    return found


def sum_in(part: Mapping[int, Any]) -> Sum:
    """What a summary says."""
    said = Sum()
    for row in part.get(2, {}).values():
        base, tax, base_back, tax_back = _padded(row, 4)
        said.takings += base + tax - base_back - tax_back
    for kind, row in part.get(3, {}).items():
        come_in, gone_out = _padded(row, 2)
        said.tenders[kind] = come_in - gone_out
    for product, row in part.get(6, {}).items():
        columns = _padded(row, len(_STOCK_SIGNS))
        said.stock[product] = sum(sign * count for sign, count in zip(_STOCK_SIGNS, columns, strict=True))
    return said


def _sum_of(entries: list[Entry]) -> Sum:
    said = Sum()
    for entry in entries:
        body = body_of(entry)
        kind, stock = body.get(0, 0), body.get(25, 0)
        if kind == _TRAINING:
            continue
        for line in body.get(14, []):
            quantity = line.get(2, 0)
            said.takings += line.get(10, 0) if kind != _STOCK else 0
            said.stock[line[1]] = said.stock.get(line[1], 0) + _moved(kind, stock, quantity, line)
        for tender in body.get(15, []):
            said.tenders[tender.get(0, 0)] = said.tenders.get(tender.get(0, 0), 0) + tender.get(1, 0)
    return said


def _moved(kind: int, stock: int, quantity: int, line: Mapping[int, int]) -> int:
    if kind != _STOCK:
        return 0 if line.get(18) else -quantity
    if stock == _COUNTED:
        return quantity - line.get(19, 0)
    return quantity if stock in (_RECEIVED, _IN) else -quantity


def _points(world: World, held: list[Held], found: Found) -> None:
    """No account that honest tills alone have used is overspent, and everyone who has it agrees on its parts."""
    for one in held:
        earned: dict[tuple[Any, ...], int] = {}
        redeemed: dict[tuple[Any, ...], int] = {}
        lied: set[tuple[Any, ...]] = set()
        for entry in one.of_kind(BALANCE):
            keys, body = entry.document.keys, body_of(entry)
            if entry.author in world.ledger.liars:
                lied.add(keys)
            earned[keys] = earned.get(keys, 0) + body.get(0, 0)
            redeemed[keys] = redeemed.get(keys, 0) + body.get(1, 0)
            taken = sum(amount for amount, _ in body.get(3, {}).values())
            if body.get(1, 0) + sum(body.get(2, {}).values()) > body.get(0, 0) + taken:
                found.says(f"{world.name(entry.author)} spent more of {keys} than it had")
        for keys in sorted(earned.keys() - lied):
            if redeemed[keys] > earned[keys] and not _burnt_with(world, held, keys):
                found.says(f"{one.name}: {redeemed[keys]} of {earned[keys]} points of {keys} are redeemed")


def _burnt_with(world: World, held: list[Held], keys: tuple[Any, ...]) -> bool:
    """Whether what was earned on an account is only known by what a burnt till granted of it."""
    known = {hash_ for one in held for hash_ in one.entries}
    return any(
        feed.document.kind == BALANCE and feed.document.keys == keys and entries[-1].hash not in known
        for feed, entries in world.ledger.own.items()
    )


def _proofs(world: World, held: list[Held], found: Found) -> None:
    """Whoever contradicts itself is proven to, everywhere; nobody else is."""
    contradicting = _contradicting(held)
    found.forks = len(contradicting)
    for author in contradicting:
        if author not in world.ledger.liars:
            found.says(f"{world.name(author)} is honest, and contradicts itself")
    for one in held:
        proven = _proven(world, one)
        for author in contradicting:
            if author not in proven:
                found.says(f"{one.name} has no proof against {world.name(author)}")
        for author in proven:
            if author not in world.ledger.liars:
                found.says(f"{one.name} has a proof against {world.name(author)}, who is honest")


def _contradicting(held: list[Held]) -> dict[Author, None]:
    contradicting: dict[Author, None] = {}
    for one in held:
        places: dict[tuple[FeedId, int], Hash] = {}
        for entry in one.entries.values():
            if entry.feed is FeedType.WHOLE and places.setdefault((entry.feed_id, entry.seq), entry.hash) != entry.hash:
                contradicting[entry.author] = None
        for feed, heads in one.heads.items():
            if len(heads) > 1:
                contradicting[feed.author] = None
    return contradicting


def _proven(world: World, one: Held) -> set[Author]:
    proven: set[Author] = set()
    for entry in one.of_kind(FORKS):
        for pair in cast("list[list[bytes]]", entry.body):
            first, second = map(decode, pair)
            # Anyone may state a pair: it proves something if its author has signed both.
            key = world.ledger.keys[first.author]
            if second.author == first.author and first.verify(key) and second.verify(key):
                proven.add(first.author)
    return proven


def body_of(entry: Entry) -> dict[int, Any]:
    """The body of an act or a day."""
    return cast("dict[int, Any]", entry.body)


def _padded(row: Any, size: int) -> list[int]:
    columns = cast("list[int]", row if isinstance(row, list) else [row])
    return [*columns, *[0] * (size - len(columns))]


def number_of(body: Mapping[int, Any]) -> str:
    """The number of the receipt that an act of a journal is."""
    return f"{body[2]}-{body[3]}-{body[4]}-{_SERIES[body.get(0, 0)]}{body[1]}"
