"""Draws valid messages, entries and bodies of every kind: what mutation starts from.

Everything follows from the dice. Entries bear signatures of random bytes, since decoders and rules do not look at them; whoever
tries ``gossip.ingest.check`` signs.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from random import Random
from typing import Any, Final, cast

from crdt_pos.day import Day, Flow, Goods, Numbers, TaxTotals
from crdt_pos.patrons import PATRONS
from crdt_pos.products import Price
from crdt_pos.receipt import (
    AccountMovement,
    Consumed,
    Discount,
    DrawerAct,
    Line,
    Opening,
    Receipt,
    ReceiptType,
    Series,
    Skipped,
    StockAct,
    TaxLine,
    Tender,
    TenderLine,
    TenderState,
    Undoes,
)
from crdt_pos.schema import BALANCE, CATALOGUE, CLAIMS, DAY, FORKS, JOURNAL, SCHEMA, STAFF, VARIANCES
from crdt_pos.variance import Variance
from gossip import patch
from gossip.document import Document, FeedType, Scope, ScopeClass
from gossip.entry import Entry, FeedId, Hash, Head, assemble
from gossip.ingest import AuthorRecord
from gossip.log import Fingerprint, feed_key
from gossip.messages import (
    Admitted,
    Announce,
    Announcement,
    Answer,
    Ask,
    Bye,
    Cursor,
    Durable,
    Entries,
    Fingerprints,
    Hello,
    Listed,
    Message,
    Named,
    Part,
    Patch,
    Ping,
    Pong,
    Ranges,
    Refused,
    Run,
    Sampled,
    Sketched,
    Want,
    Wanted,
)
from gossip.reasons import Reason
from gossip.schema import KeyType, Kind
from gossip.sketch import CELL_BYTES, STRATA_BYTES
from merge_rules import canonical
from merge_rules.counter_covers import COVERS_HASH_BYTES, CounterCovers, Covers
from merge_rules.document_yjs import DocumentYjs
from merge_rules.lattice import Author, Rule
from peers.keys import SecretKey, Signature, author_of
from peers.permissions import Role
from peers.roster import (
    BalanceKind,
    Closure,
    Enrolment,
    ProgrammeRecord,
    Readmission,
    Record,
    Revocation,
    RosterSet,
    SealedKey,
    StoreRecord,
    Why,
    element,
)

COMPANY: Final = b"acme company 16."
STORE: Final = 12
SCOPES: Final = frozenset(map(Scope, ("company", f"store/{STORE}", f"patrons/{STORE}", f"journal/{STORE}")))
DAY_NUMBER: Final = 20_777
KEYS: Final = tuple(SecretKey(number.to_bytes(32, "big")) for number in range(1, 6))
AUTHORS: Final = tuple(author_of(key.public, "a1") for key in KEYS)
RECORDS: Final = {
    author: AuthorRecord(key.public, role, store)
    for author, key, (role, store) in zip(
        AUTHORS,
        KEYS,
        ((Role.OFFICE, None), (Role.TILL, STORE), (Role.TILL, STORE), (Role.TILL, 13), (Role.RELAY, None)),
        strict=True,
    )
}
"""An office, two tills of the store, one of another, a relay."""
UNKNOWN_KINDS: Final = ("note", "köln")
PRODUCTS: Final = 9


def amount(dice: Random) -> int:
    return dice.randrange(1, 10_000) if dice.random() < 0.9 else dice.choice((2**40, 2**53, 1))


def documents(dice: Random, kind: Kind) -> Document:
    keys: dict[KeyType, Callable[[], Any]] = {
        KeyType.NUMBER: lambda: STORE if dice.random() < 0.95 else dice.randrange(1, 4),
        KeyType.SHARD: lambda: dice.randrange(64),
        KeyType.TEXT: lambda: dice.choice(("points", "gift")),
        KeyType.ACCOUNT: lambda: dice.randrange(20).to_bytes(8, "big"),
    }
    # A kind of key that is newer than this table has a number.
    drawn = tuple(keys.get(key, keys[KeyType.NUMBER])() for key in kind.keys)
    return Document(kind.name, DAY_NUMBER + dice.randrange(3) if kind.dated else 0, drawn)


# --- bodies ----------------------------------------------------------------------------------------------------------


def _balance(dice: Random, _author: Author) -> object:
    earned, spent = dice.randrange(1, 2000), dice.randrange(0, 3)
    body: dict[int, object] = {0: earned}
    if spent:
        body[1] = dice.randrange(1, max(earned // 2, 2)) if earned > 2 else 1
    if dice.random() < 0.4:
        body[2] = {author: 1 + dice.randrange(3) for author in sorted(dice.sample(AUTHORS, 2))} if earned > 900 else {}
    if dice.random() < 0.4:
        body[3] = {dice.choice(AUTHORS): [dice.randrange(1, 50), dice.randrange(1, 9)]}
    return {key: part for key, part in body.items() if part}


def day(dice: Random) -> Day:
    def flow() -> Flow:
        return Flow(dice.randrange(9999), dice.randrange(99))

    return Day(
        taxes={code: TaxTotals(*(dice.randrange(9999) for _ in range(4))) for code in range(1, dice.randrange(2, 4))},
        tenders={int(tender): flow() for tender in dice.sample(list(Tender), 2)},
        series={int(Series.SALES): Numbers(1, dice.randrange(1, 99), 1)},
        perpetual_sales=dice.randrange(10**6),
        goods={
            product: Goods(*(dice.randrange(99) for _ in range(6))) for product in range(1, dice.randrange(1, PRODUCTS))
        },
        drawer={int(DrawerAct.COUNTED): dice.randrange(9999)},
        closed=dice.random() < 0.3,
    )


def _day(dice: Random, author: Author) -> object:
    covers = Covers(dice.randrange(1, 500), dice.randbytes(COVERS_HASH_BYTES))
    subject = author if dice.random() < 0.7 else dice.choice(AUTHORS)
    return CounterCovers.publish(author, subject, covers, day(dice).counters()).entry_body(author)


def cashier(dice: Random) -> object:
    """The value of a cashier's register, as ``crdt_pos.staff`` reads it; fields that it does not know are kept."""
    fields: dict[int, object] = {0: dice.randbytes(32), 1: dice.randbytes(60), 2: 1, 3: dice.randbytes(40)}
    return fields | ({4: True} if dice.random() < 0.2 else {})


def _staff(dice: Random, _author: Author) -> object:
    return {f"id-{number}": {0: dice.randrange(1, 2**40), 1: cashier(dice)} for number in range(dice.randrange(4))}


def _patrons(dice: Random, _author: Author) -> object:
    return sorted(dice.randbytes(8) for _ in range(dice.randrange(1, 6)))


def _forks(dice: Random, _author: Author) -> object:
    def pair() -> object:
        of = dice.choice(AUTHORS)
        document = Document(DAY, DAY_NUMBER, (STORE,))
        return sorted(assembled(dice, of, document, FeedType.LATEST, ScopeClass.STORE, 1, {0: n}).raw for n in (1, 2))

    return sorted((pair() for _ in range(dice.randrange(1, 3))), key=canonical.encode)


def roster_record(dice: Random) -> Record:
    date = datetime.date(1970, 1, 1) + datetime.timedelta(days=dice.randrange(1, 40_000))
    of, hashes = dice.choice(AUTHORS), tuple(sorted(dice.randbytes(32) for _ in range(dice.randrange(3))))
    made: tuple[Callable[[], Record], ...] = (
        lambda: Enrolment(tuple(dice.randbytes(dice.randrange(1, 99)) for _ in range(dice.randrange(1, 3)))),
        lambda: StoreRecord(dice.randrange(1, 99), date, "North", "Ltd", currency="SEK", time_zone="Europe/Stockholm"),
        lambda: ProgrammeRecord("points", date, dice.choice(list(BalanceKind)), 2, 1, 100),
        lambda: Revocation(of, dice.choice(list(Why)), tuple(dice.randbytes(50) for _ in range(2)), AUTHORS[0], "gone"),
        lambda: Readmission(of, hashes, "found"),
        lambda: Closure(dice.randrange(1, 99), dice.randrange(1, 9), date, "shut", "a1"),
        lambda: SealedKey("root", dice.randbytes(32), dice.randbytes(80)),
    )
    return dice.choice(made)()


def _roster(dice: Random, _author: Author) -> object:
    state = RosterSet.bottom()
    one, other = element(roster_record(dice)), element(roster_record(dice))
    covered: dict[int, object] = {}
    if dice.random() < 0.3:
        covered = {1: {dice.choice(AUTHORS): sorted({dice.randrange(1, 9) for _ in range(3)})}}
    match dice.randrange(3):
        case 0:
            return {2: one}
        case 1:
            return {0: one, **covered, 2: other}
        case _:
            return state.add_body(one) if not covered else {0: one, **covered}


def _claims(dice: Random, _author: Author) -> object:
    claim: list[object] = [f"40063{dice.randrange(99)}", dice.randrange(1, 999)]
    if dice.random() < 0.3:
        claim = [dice.randbytes(16), dice.randbytes(8)]
    if dice.random() < 0.3:
        return {1: {dice.choice(AUTHORS): [1, dice.randrange(2, 9)]}}
    return {0: claim}


def _catalogue(dice: Random, author: Author) -> object:
    fields = {f"{dice.randrange(5)}/name": dice.randbytes(9), f"{dice.randrange(5)}/price": dice.randbytes(4)}
    return DocumentYjs.bottom().edit_body(author, fields)


def receipt(dice: Random) -> Receipt:
    lines = tuple(
        Line(
            number,
            dice.randrange(1, PRODUCTS),
            dice.randrange(1, 9),
            unit="kg",
            name="milk",
            unit_price_minor=amount(dice),
            total_minor=amount(dice),
            tax_code=1,
            discounts=(Discount(5, "dented"),) if dice.random() < 0.3 else (),
            consumed=(Consumed(3, 2),) if dice.random() < 0.2 else (),
        )
        for number in range(1, dice.randrange(1, 5))
    )
    return Receipt(
        type=dice.choice(list(ReceiptType)),
        n=dice.randrange(1, 999),
        store=STORE,
        till=dice.randrange(1, 4),
        incarnation="a1",
        legal_entity="Shops Ltd",
        business_date=datetime.date(2026, 11, 22),
        stamp_ms=1_795_176_000_000 + dice.randrange(10**6),
        offset_minutes=dice.choice((0, 60, -120)),
        currency="EUR",
        exponent=2,
        cashier="anna" if dice.random() < 0.5 else "",
        cashier_signature=dice.randbytes(64) if dice.random() < 0.3 else b"",
        lines=lines,
        tenders=(TenderLine(dice.choice(list(Tender)), amount(dice), state=dice.choice(list(TenderState))),),
        taxes=(TaxLine(1, 190_000, amount(dice), dice.randrange(99)),),
        member=dice.randbytes(8) if dice.random() < 0.3 else b"",
        movements=(AccountMovement("points", dice.randbytes(8), 5, 0),) if dice.random() < 0.3 else (),
        undoes=Undoes("12-1-a1-4", dice.randbytes(32)) if dice.random() < 0.2 else None,
        drawer=dice.choice(list(DrawerAct)),
        stock=dice.choice(list(StockAct)),
        opening=Opening(datetime.date(2026, 11, 21), dice.randbytes(8), 5) if dice.random() < 0.2 else None,
        skipped=(Skipped(Series.SALES, 5, 1004),) if dice.random() < 0.2 else (),
    )


def _journal(dice: Random, _author: Author) -> object:
    return receipt(dice).body()


def _variance(dice: Random, _author: Author) -> object:
    sold, due = (Price(dice.randrange(1, 999), dice.randrange(1, 10**9)) for _ in range(2))
    return Variance(f"12-1-a1-{dice.randrange(1, 99)}", 1, dice.randrange(1, 9), 2, 0, sold, due).body()


def anything(dice: Random, depth: int = 3) -> object:
    """Any value that an entry may hold."""
    scalars: tuple[Callable[[], object], ...] = (
        lambda: dice.choice((0, 23, 24, 2**53, 2**64 - 1, -1, -(2**63))),
        lambda: dice.randrange(1000),
        lambda: dice.randbytes(dice.randrange(12)),
        lambda: dice.choice(("", "milk", "ü", "x" * 30)),
        lambda: dice.choice((True, False, None)),
    )
    if not depth or dice.random() < 0.5:
        return dice.choice(scalars)()
    size = dice.randrange(4)
    match dice.randrange(3):
        case 0:
            return [anything(dice, depth - 1) for _ in range(size)]
        case 1:
            return {dice.randrange(40): anything(dice, depth - 1) for _ in range(size)}
        case _:
            return {dice.choice("abcdef"): anything(dice, depth - 1) for _ in range(size)}


def _anything(dice: Random, _author: Author) -> object:
    return anything(dice)


_BODIES: Final[dict[str, Callable[[Random, Author], object]]] = {
    BALANCE: _balance,
    DAY: _day,
    STAFF: _staff,
    PATRONS: _patrons,
    FORKS: _forks,
    CLAIMS: _claims,
    CATALOGUE: _catalogue,
    JOURNAL: _journal,
    VARIANCES: _variance,
}
_BY_RULE: Final[dict[type[Rule], Callable[[Random, Author], object]]] = {
    SCHEMA[kind].rule: draw for kind, draw in _BODIES.items() if kind not in (JOURNAL, VARIANCES)
} | {RosterSet: _roster}


def bodies(dice: Random, kind: Kind, author: Author) -> object:
    """A body of a kind. One that is newer than this table has that of its rule, or any value."""
    draw = _BODIES.get(kind.name) or _BY_RULE.get(kind.rule, _anything)
    return draw(dice, author)


# --- entries ---------------------------------------------------------------------------------------------------------


def assembled(
    dice: Random,
    author: Author,
    document: Document,
    feed: FeedType,
    scope: ScopeClass,
    seq: int,
    body: object,
    previous: Hash | None = None,
) -> Entry:
    """An entry with random bytes for a signature."""
    if previous is None and feed is FeedType.WHOLE and seq > 1:
        previous = Hash(dice.randbytes(32))
    stamp = (1_795_176_000_000 << 16) + dice.randrange(2**40)
    return assemble(author, document, feed, scope, seq, stamp, body, previous, Signature(dice.randbytes(64)))


def entry_of(dice: Random, kind: Kind, seq: int = 0) -> Entry:
    """An entry of a kind by somebody who is likely allowed to write it."""
    allowed = [author for author in AUTHORS[:3] if RECORDS[author].role in kind.authors.roles] or list(AUTHORS)
    author = dice.choice(allowed)
    number = seq or (1 if dice.random() < 0.5 else dice.randrange(1, 40))
    return assembled(dice, author, documents(dice, kind), kind.feed, kind.scope, number, bodies(dice, kind, author))


def entry(dice: Random) -> Entry:
    """An entry of any kind, sometimes one that nobody knows."""
    if dice.random() < 0.1:
        document = Document(dice.choice(UNKNOWN_KINDS), dice.choice((0, DAY_NUMBER)), (STORE,))
        feed = dice.choice(list(FeedType))
        scope = dice.choice((ScopeClass.COMPANY, ScopeClass.STORE))
        return assembled(dice, dice.choice(AUTHORS), document, feed, scope, 1, anything(dice))
    return entry_of(dice, SCHEMA[dice.choice(list(SCHEMA))])


def patched(dice: Random) -> tuple[Entry, Entry, bytes]:
    """An entry, the one after it, and the patch between them."""
    kind = SCHEMA[dice.choice((DAY, BALANCE, STAFF))]
    before = entry_of(dice, kind, seq=1)
    author = before.author
    while True:
        after = assembled(
            dice, author, before.document, kind.feed, kind.scope, 2, _grown(dice, kind, before.body, author)
        )
        changes = patch.diff(before, after)
        if changes is not None:
            return before, after, changes


def _grown(dice: Random, kind: Kind, body: object, author: Author) -> object:
    if not isinstance(body, dict):
        return body
    grown = dict(cast("dict[object, object]", body))
    if not grown or dice.random() < 0.2:
        return grown
    key = dice.choice(list(grown))
    before = grown[key]
    grown[key] = before + 1 if isinstance(before, int) else bodies(dice, kind, author)
    return grown


# --- messages --------------------------------------------------------------------------------------------------------


def _hashed(dice: Random) -> Hash:
    return Hash(dice.randbytes(32))


def _key(dice: Random) -> bytes:
    kind = SCHEMA[dice.choice(list(SCHEMA))]
    return feed_key(FeedId(documents(dice, kind), dice.choice(AUTHORS)))


def _number(dice: Random) -> int:
    return dice.randrange(1, 9) if dice.random() < 0.9 else dice.randrange(2**53)


def _fingerprint(dice: Random) -> Fingerprint:
    return Fingerprint(dice.getrandbits(256) if dice.random() < 0.8 else 0, dice.randrange(300))


def _hello(dice: Random) -> Message:
    return Hello(
        1,
        dice.choice((1, 1, 2, 65_535)),
        COMPANY,
        AUTHORS[2],
        dice.randbytes(16),
        dice.randrange(500),
        frozenset(dice.sample(sorted(SCOPES), dice.randrange(len(SCOPES) + 1))),
        frozenset({"compare"}) if dice.random() < 0.3 else frozenset(),
        tuple(dice.randbytes(dice.randrange(1, 50)) for _ in range(dice.randrange(3))),
    )


def _entries(dice: Random) -> Message:
    items: list[bytes | Patch] = []
    for _ in range(dice.randrange(4)):
        if dice.random() < 0.25:
            before, _, changes = patched(dice)
            items.append(Patch(feed_key(before.feed_id), changes))
        else:
            items.append(entry(dice).raw)
    return Entries(_number(dice), dice.randrange(500), dice.choice((0, 0, 1, 2)), tuple(items))


def _announce(dice: Random) -> Message:
    items = tuple(Announcement(_key(dice), Head(dice.randrange(1, 9), _hashed(dice))) for _ in range(dice.randrange(5)))
    return Announce(_number(dice), dice.randrange(500), items)


def _ranges(dice: Random) -> Message:
    runs: list[Run] = []
    for _ in range(dice.randrange(1, 4)):
        keys = sorted({_key(dice) for _ in range(dice.randrange(1, 5))})
        low, highs = (keys[0], keys[1:]) if dice.random() < 0.5 else (b"", keys)
        parts: list[Part] = []
        below = low
        for high in [*highs, None]:
            parts.append(Part(high, _said(dice, below, high)))
            below = high or b""
        runs.append(Run(dice.randrange(2), low, tuple(parts)))
    return Ranges(tuple(runs))


def _said(dice: Random, low: bytes, high: bytes | None) -> Any:
    told = _fingerprint(dice)
    inside = sorted({key for key in (_key(dice) for _ in range(3)) if low <= key and (high is None or key < high)})
    match dice.randrange(5):
        case 0:
            return Sampled(told, dice.randbytes(STRATA_BYTES))
        case 1:
            return Sketched(told, dice.randbytes(3 * CELL_BYTES * dice.randrange(1, 5)))
        case 2:
            return Named(dice.randbytes(8), tuple(dice.getrandbits(31) for _ in range(dice.randrange(1, 4))))
        case 3:
            return tuple(Listed(key, (Head(dice.randrange(1, 9), _hashed(dice)),)) for key in inside)
        case _:
            return told


MESSAGES: Final[tuple[Callable[[Random], Message], ...]] = (
    lambda dice: Bye(int(dice.choice(list(Reason))) % 255, dice.choice(("", "enough", "ü" * 20))),
    _hello,
    lambda dice: Admitted(frozenset(dice.sample(sorted(SCOPES), 2))),
    lambda dice: Cursor(dice.randbytes(16), dice.randrange(500)),
    _entries,
    _announce,
    lambda dice: Want(_number(dice), tuple(Wanted(_key(dice), dice.randrange(9)) for _ in range(dice.randrange(1, 4)))),
    lambda dice: Durable(_number(dice), tuple(Refused(_hashed(dice), "no") for _ in range(dice.randrange(3)))),
    lambda dice: Fingerprints(tuple(_fingerprint(dice) for _ in range(dice.randrange(5)))),
    _ranges,
    lambda dice: Ask(
        _number(dice), dice.choice(("certificate", "rights", "heads", "presence", "x")), dice.randbytes(8)
    ),
    lambda dice: Answer(_number(dice), None if dice.random() < 0.3 else dice.randbytes(dice.randrange(40))),
    lambda dice: Ping(_number(dice)),
    lambda dice: Pong(_number(dice)),
)
"""By code: one draw for every message of PROTOCOL.md."""


def message(dice: Random) -> Message:
    """Any message."""
    return dice.choice(MESSAGES)(dice)
