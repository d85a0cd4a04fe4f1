"""The roster: who takes part and on what terms, as elements of remove-wins sets.

An element is ``[tag, {field: value}]``; fields that are zero or empty are absent. Elements stand in two kinds of document:
offices, stores, programmes, revocations, closures and sealed keys in the company's roster; enrolments in their store's.

- A replica **takes part** unless its enrolment was removed or a revocation names it. Removing keeps what it has written;
  a revocation also says which of its entries still count.
- A record that changes over time (a store, a programme) has one element for each date from which it is valid.
- Tags and fields that a replica does not know are kept and passed on, and say nothing to it.
- Certificates prove themselves: once stated they are known for ever, so that old entries can always be verified.

Pure.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from enum import IntEnum
from typing import Any, Final, TypeVar, cast

from merge_rules import shape
from merge_rules.dataclass import dataclass
from merge_rules.errors import InvalidBody
from merge_rules.lattice import AUTHOR_BYTES, Author
from merge_rules.set_remove_wins import SetRemoveWins
from peers import incarnation as incarnations
from peers.certificates import CERTIFICATE_BYTES_MAX, Certificate, Root, verify_chain
from peers.errors import CertificateError, InvalidElement, RosterError
from peers.permissions import Role

TEXT_BYTES_MAX: Final = 200
NUMBER_MAX: Final = 2**31
AMOUNT_MAX: Final = 2**53
CUT_OFF_MAX: Final = 100_000
GUARDIANS: Final = 2
"""How many other stores keep each store's sealed journals, unless the roster says otherwise."""
EPOCH: Final = datetime.date(1970, 1, 1)
_FIRST_DAY: Final = EPOCH


class Tag(IntEnum):
    """What an element is. A number never changes its meaning."""

    ENROLMENT = 1
    STORE = 2
    PROGRAMME = 3
    REVOCATION = 4
    READMISSION = 5
    CLOSURE = 6
    SEALED_KEY = 7
    GUARDING = 8
    HORIZON = 9


class Why(IntEnum):
    """Why a replica no longer takes part."""

    RETIRED = 0
    LOST = 1
    STOLEN = 2
    CLONED = 3
    LYING = 4


class BalanceKind(IntEnum):
    """What a programme's balances are."""

    POINTS = 0
    GIFT_CARD = 1
    STORE_CREDIT = 2
    COUPON = 3


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A replica of the company, with the chain that proves it. Offices and relays stand in the company's roster."""

    chain: tuple[bytes, ...]
    """In DER: the replica's certificate, then its office's; of an office, its own only."""


@dataclass(frozen=True, slots=True)
class StoreRecord:
    """A store, from a date on."""

    store: int
    valid_from: datetime.date = _FIRST_DAY
    name: str = ""
    legal_entity: str = ""
    """Books never add across legal entities."""
    tax_id: str = ""
    address: str = ""
    currency: str = "EUR"
    """ISO 4217. Books never add across currencies."""
    exponent: int = 2
    """Decimals of the currency: 2 for cents, 0 for yen."""
    time_zone: str = "UTC"
    """IANA name."""
    cash_step_minor: int = 1
    """The smallest coin in minor units: 5 in Switzerland."""
    prices_without_tax: bool = False
    """Whether shelf prices leave the tax out."""


@dataclass(frozen=True, slots=True)
class ProgrammeRecord:
    """A loyalty programme or another kind of balance, from a date on."""

    programme: str
    valid_from: datetime.date = _FIRST_DAY
    balances: BalanceKind = BalanceKind.POINTS
    points_per_unit: int = 1
    """Points per whole currency unit of net takings; 0: none are earned by buying."""
    minor_per_point: int = 1
    """What one point pays, in minor units."""
    redeem_least: int = 0
    """The fewest points that can be redeemed at once."""
    currency: str = ""
    """ISO 4217, for balances that are money; empty for points."""
    expires_days: int = 0
    """Days after which unused points may be written off; 0: never."""


@dataclass(frozen=True, slots=True)
class Revocation:
    """A replica no longer takes part. Of its entries those count that ``counting`` embeds, and those before them."""

    author: Author
    why: Why = Why.RETIRED
    counting: tuple[bytes, ...] = ()
    """The newest entry of each of its feeds that still counts, complete. Concurrent revocations: the union."""
    heir: Author | None = None
    """Who receives the rights of its final entry; ``None``: whom its certificate names."""
    note: str = ""
    reaches: tuple[bytes, ...] = ()
    """How far those of its ``whole`` feeds count that the office does not hold: document, number and hash of an entry."""


@dataclass(frozen=True, slots=True)
class Readmission:
    """Quarantined entries of a revoked replica that count after all."""

    author: Author
    hashes: tuple[bytes, ...]
    """32 bytes each, ascending. In a ``whole`` feed everything before counts with it."""
    note: str = ""
    counting: tuple[bytes, ...] = ()
    """Those of ``latest`` feeds, complete."""


@dataclass(frozen=True, slots=True)
class Closure:
    """Nothing more is expected of a store, of one till, or of one of its lives, after a date. It never touches takings."""

    store: int
    till: int = 0
    """0: the whole store."""
    last_day: datetime.date = _FIRST_DAY
    note: str = ""
    life: str = ""
    """The incarnation; empty: every life of the till."""


@dataclass(frozen=True, slots=True)
class SealedKey:
    """A copy of the root or recovery key, sealed for one holder, or for whoever knows a passphrase."""

    purpose: str
    """``root`` or ``recovery``."""
    holder: bytes
    """Whose key opens it: a public key of 32 bytes; empty: a passphrase (``peers.keys.open_with_passphrase``)."""
    sealed: bytes


@dataclass(frozen=True, slots=True)
class Guarding:
    """How many other stores keep each store's sealed journals. Of several the highest counts."""

    stores: int


@dataclass(frozen=True, slots=True)
class Horizon:
    """Documents of a kind in a store dated before ``before`` are gossiped no more, and may be dropped by whoever finds that what
    stands for them is at head office: exactly what it holds of that has this fingerprint."""

    kind: str
    store: int
    before: datetime.date
    value: bytes
    """Of the documents that stand for them, dated from ``since`` to before ``before``: the sum of their feeds' fingerprints, 32
    bytes."""
    feeds: int
    """How many feeds that are."""
    since: datetime.date = EPOCH
    """The horizon before."""


Record = Enrolment | StoreRecord | ProgrammeRecord | Revocation | Readmission | Closure | SealedKey | Guarding | Horizon

_TYPES: Final[Mapping[Tag, type[Record]]] = {
    Tag.ENROLMENT: Enrolment,
    Tag.STORE: StoreRecord,
    Tag.PROGRAMME: ProgrammeRecord,
    Tag.REVOCATION: Revocation,
    Tag.READMISSION: Readmission,
    Tag.CLOSURE: Closure,
    Tag.SEALED_KEY: SealedKey,
    Tag.GUARDING: Guarding,
    Tag.HORIZON: Horizon,
}
_TAGS: Final = {kind: tag for tag, kind in _TYPES.items()}


def element(record: Record) -> object:
    """The element that says ``record``: ``[tag, {number of the field from 0: value}]``."""
    values: dict[int, object] = {}
    for number, one in enumerate(dataclasses.fields(record)):
        value = getattr(record, one.name)
        if value != one.default:
            values[number] = _plain(value)
    return [int(_TAGS[type(record)]), values]


def from_element(value: object) -> Record | None:
    """The record that an element says; ``None`` for a tag that is not known here. Raises ``InvalidElement``."""
    try:
        parts = shape.array(value, "an element")
        if len(parts) != 2:
            shape.refuse("an element is not a tag and its fields")
        number = shape.integer(parts[0], 0, NUMBER_MAX, "a tag")
        given = shape.mapping(parts[1], "the fields of an element")
        if number not in set(Tag):
            return None
        return _read(_TYPES[Tag(number)], given)
    except InvalidBody as error:
        raise InvalidElement(str(error)) from error


@dataclass(frozen=True)
class RosterSet(SetRemoveWins):
    """The remove-wins set of a roster document: elements whose tag is known must have its shape."""

    @classmethod
    def check_element(cls, element: object) -> None:
        try:
            from_element(element)
        except InvalidElement as error:
            raise InvalidBody(str(error)) from error


def _plain(value: object) -> object:
    if isinstance(value, datetime.date):
        return (value - EPOCH).days
    if isinstance(value, IntEnum):
        return int(value)
    return list(cast("tuple[object, ...]", value)) if isinstance(value, tuple) else value


def _read(kind: type[Record], given: Mapping[object, object]) -> Record:
    values: dict[str, Any] = {}
    for number, one in enumerate(dataclasses.fields(kind)):
        if number in given:
            values[one.name] = _typed(str(one.type), given[number], f"{kind.__name__}.{one.name}")
            if values[one.name] == one.default:
                shape.refuse(f"{kind.__name__}.{one.name} is written though it is the default")
        elif one.default is dataclasses.MISSING:
            shape.refuse(f"{kind.__name__}.{one.name} is missing")
    return kind(**values)


def _typed(annotation: str, value: object, what: str) -> object:
    read = _READERS[annotation]
    return read(value, what)


def _read_text(value: object, what: str) -> str:
    if not isinstance(value, str) or len(value.encode()) > TEXT_BYTES_MAX:
        shape.refuse(f"{what} is not text of at most {TEXT_BYTES_MAX} bytes")
    return value


def _read_integer(value: object, what: str) -> int:
    return shape.integer(value, 0, NUMBER_MAX, what)


def _read_flag(value: object, what: str) -> bool:
    if not isinstance(value, bool):
        shape.refuse(f"{what} is neither true nor false")
    return value


def _read_date(value: object, what: str) -> datetime.date:
    return EPOCH + datetime.timedelta(days=shape.integer(value, 0, 2**16 - 1, what))


def _read_octets(value: object, what: str) -> bytes:
    return shape.octets(value, what, CERTIFICATE_BYTES_MAX)


def _read_many(value: object, what: str) -> tuple[bytes, ...]:
    items = shape.array(value, what)
    if len(items) > CUT_OFF_MAX:
        shape.refuse(f"{what} has more than {CUT_OFF_MAX} items")
    return tuple(shape.octets(item, what) for item in items)


def _read_author(value: object, what: str) -> Author:
    if not isinstance(value, bytes) or len(value) != AUTHOR_BYTES:
        shape.refuse(f"{what} is no author")
    return Author(value)


def _read_why(value: object, what: str) -> Why:
    return Why(shape.integer(value, 0, max(Why), what))


def _read_balances(value: object, what: str) -> BalanceKind:
    return BalanceKind(shape.integer(value, 0, max(BalanceKind), what))


_READERS: Final = {
    "str": _read_text,
    "int": _read_integer,
    "bool": _read_flag,
    "datetime.date": _read_date,
    "bytes": _read_octets,
    "tuple[bytes, ...]": _read_many,
    "Author": _read_author,
    "Author | None": _read_author,
    "Why": _read_why,
    "BalanceKind": _read_balances,
}

_Dated = TypeVar("_Dated", StoreRecord, ProgrammeRecord)

Chain = tuple[Certificate, ...]
"""Proven: a replica's certificate and its office's; of an office, its own only."""


@dataclass(frozen=True)
class Directory:
    """What the roster says, looked up. A value: ``including`` and ``knowing`` return a new one."""

    root: Root
    chains: Mapping[Author, Chain] = field(default_factory=dict[Author, Chain])
    """Of every certificate that was ever stated and is proven."""
    enrolled: frozenset[Author] = frozenset()
    withdrawn: frozenset[Author] = frozenset()
    """Stated once, and removed since."""
    stores: Mapping[int, tuple[StoreRecord, ...]] = field(default_factory=dict[int, tuple[StoreRecord, ...]])
    programmes: Mapping[str, tuple[ProgrammeRecord, ...]] = field(
        default_factory=dict[str, tuple[ProgrammeRecord, ...]]
    )
    revocations: Mapping[Author, tuple[Revocation, ...]] = field(default_factory=dict[Author, tuple[Revocation, ...]])
    readmitted: frozenset[bytes] = frozenset()
    closures: tuple[Closure, ...] = ()
    sealed_keys: tuple[SealedKey, ...] = ()
    guardians: int = GUARDIANS
    """How many other stores keep each store's sealed journals."""
    horizons: tuple[Horizon, ...] = ()
    """By kind, store and date."""
    places: Mapping[int | None, tuple[Certificate, ...]] = field(
        default_factory=dict[int | None, tuple[Certificate, ...]]
    )
    """The same certificates by store, ascending by author; ``None``: those of no store."""

    @classmethod
    def build(
        cls, root: Root, present: Iterable[object], stated: Iterable[object] = (), revoked: Iterable[Author] = ()
    ) -> Directory:
        """From the elements of roster documents: those ``present`` now, and all that were ever ``stated``. What
        ``peers.roll`` keeps up to date as elements come.

        ``revoked`` are authors that are cut off, whatever is present: a cut-off holds even if taken back.

        Elements that prove or say nothing here are passed over: they were checked when they came, and harm nobody.
        """
        records = [record for record in map(_readable, present) if record is not None]
        past = [record for record in map(_readable, stated) if record is not None]
        directory = cls(root)
        chains: dict[Author, Chain] = {}
        enrolled: set[Author] = set()
        for record in (*records, *past):
            if isinstance(record, Enrolment) and (chain := directory._proven(record.chain)) is not None:
                # Of two authors with one id the smaller certificate is known, everywhere the same; enrolment refuses it.
                rival = chains.get(chain[0].author, chain)
                chains[chain[0].author] = min(chain, rival, key=lambda one: [each.der for each in one])
        for record in records:
            if isinstance(record, Enrolment) and (chain := directory._proven(record.chain)) is not None:
                enrolled.add(chain[0].author)
        return cls(
            root,
            chains,
            frozenset(enrolled),
            frozenset(chains) - enrolled,
            stores_of(record for record in records if isinstance(record, StoreRecord)),
            programmes_of(record for record in records if isinstance(record, ProgrammeRecord)),
            revocations_of((record for record in records if isinstance(record, Revocation)), revoked),
            readmitted_of(record for record in records if isinstance(record, Readmission)),
            tuple(record for record in records if isinstance(record, Closure)),
            tuple(record for record in records if isinstance(record, SealedKey)),
            guardians_of(record for record in records if isinstance(record, Guarding)),
            horizons_of(record for record in records if isinstance(record, Horizon)),
            places_of(chains.values()),
        )

    def knowing(self, chain: Iterable[bytes]) -> Directory:
        """With a chain that a peer or our own folder has shown, and its office's. Raises ``CertificateError``."""
        shown = tuple(chain)
        verify_chain(shown, self.root)
        chains = dict(self.chains)
        for first in range(len(shown)):
            proven = self._proven(shown[first:])
            assert proven is not None
            chains.setdefault(proven[0].author, proven)
        return dataclasses.replace(self, chains=chains, places=places_of(chains.values()))

    def certificate(self, author: Author) -> Certificate | None:
        """The certificate of an author; ``None`` if it is not known here."""
        chain = self.chains.get(author)
        return None if chain is None else chain[0]

    def horizon(self, kind: str, store: int) -> datetime.date:
        """Documents of a kind in a store dated before this are gossiped no more; 1970-01-01 if nothing is said."""
        return max((one.before for one in self.horizons if (one.kind, one.store) == (kind, store)), default=EPOCH)

    def takes_part(self, author: Author) -> bool:
        """Whether sessions with this author are allowed. One that the roster here does not know yet proves itself."""
        if author in self.withdrawn or author in self.revocations:
            return False
        # What a revoked office enrolled before counts; what it goes on to issue does not.
        chain = self.chains.get(author, ())
        return author in self.enrolled or not any(one.author in self.revocations for one in chain[1:])

    def store(self, number: int, date: datetime.date) -> StoreRecord | None:
        """The record of a store that is valid on a date; ``None`` if there is none."""
        return _valid(self.stores.get(number, ()), date)

    def programme(self, name: str, date: datetime.date) -> ProgrammeRecord | None:
        """The record of a programme that is valid on a date; ``None`` if there is none."""
        return _valid(self.programmes.get(name, ()), date)

    def tills(self, store: int) -> list[Certificate]:
        """The tills of a store that take part, by till number and incarnation."""
        return sorted(
            (one for one in self._at(store) if one.role is Role.TILL),
            key=lambda one: (one.till or 0, incarnations.split(one.incarnation)),
        )

    def of_store(self, store: int) -> list[Certificate]:
        """The tills and managers of a store that take part, by name and incarnation."""
        return sorted(self._at(store), key=lambda one: (one.name, one.incarnation))

    def _at(self, store: int | None) -> Iterator[Certificate]:
        return (one for one in self.places.get(store, ()) if self.takes_part(one.author))

    def named(self, name: str) -> list[Certificate]:
        """Every life of a replica that is known here, whether it still takes part or not, by incarnation."""
        number = name.partition("-")[0]
        store = int(number) if number.isascii() and number.isdecimal() else None
        found = (one for one in self.places.get(store, ()) if one.name == name)
        return sorted(found, key=lambda one: incarnations.split(one.incarnation))

    def expects(self, store: int, till: int, life: str, date: datetime.date) -> bool:
        """Whether more may still come of a life of a till for a date: no closure says otherwise."""
        return not any(
            one.store == store and one.till in (0, till) and one.life in ("", life) and one.last_day < date
            for one in self.closures
        )

    def next_incarnation(self, letter: str, name: str) -> str:
        """The life that the office ``letter`` would give replica ``name`` next."""
        return incarnations.next_incarnation(letter, (one.incarnation for one in self.named(name)))

    def next_letter(self) -> str:
        """The letter for a further head office; letters of offices that are gone are never used again."""
        return incarnations.next_letter(self.letters())

    def letters(self) -> frozenset[str]:
        """The letters of every head office that is known here, whether it still takes part or not."""
        issuers = {id(chain[-1]): chain[-1] for chain in self.chains.values()}
        return frozenset(one.letter for one in issuers.values())

    def offices(self) -> list[Certificate]:
        """The head offices that take part, by letter."""
        found = (one for one in self._at(None) if one.role is Role.OFFICE)
        return sorted(found, key=lambda one: (len(one.letter), one.letter))

    def refuse_taken(self, certificate: Certificate) -> None:
        """Raise ``RosterError`` if this author's id, or this life of this replica, is another's already."""
        known = self.certificate(certificate.author)
        if known is not None and known.der != certificate.der:
            raise RosterError(f"Another replica, {known.name}, has the same id: make a new key and enrol again.")
        for one in self.named(certificate.name):
            if one.incarnation == certificate.incarnation and one.der != certificate.der:
                raise RosterError(f"{one.name} has lived as {one.incarnation} already: count on.")

    def _proven(self, chain: tuple[bytes, ...]) -> Chain | None:
        return proven(chain, self.root)


def proven(chain: tuple[bytes, ...], root: Root) -> Chain | None:
    """What a chain in DER says; ``None`` for one that does not prove itself."""
    try:
        leaf = verify_chain(chain, root)
        return (leaf, *(verify_chain(chain[1:], root) for _ in chain[1:]))
    except CertificateError:
        return None


_Key = TypeVar("_Key", int, str)


def stores_of(records: Iterable[StoreRecord]) -> dict[int, tuple[StoreRecord, ...]]:
    """By store, by date."""
    return _by((record.store, record) for record in records)


def programmes_of(records: Iterable[ProgrammeRecord]) -> dict[str, tuple[ProgrammeRecord, ...]]:
    """By name, by date."""
    return _by((record.programme, record) for record in records)


def revocations_of(records: Iterable[Revocation], revoked: Iterable[Author]) -> dict[Author, tuple[Revocation, ...]]:
    """By whom they name; none for an author that is cut off all the same."""
    found: dict[Author, tuple[Revocation, ...]] = dict.fromkeys(revoked, ())
    for record in records:
        found[record.author] = (*found.get(record.author, ()), record)
    return found


def readmitted_of(records: Iterable[Readmission]) -> frozenset[bytes]:
    """The hashes of what counts after all."""
    return frozenset(one for record in records for one in record.hashes)


def guardians_of(records: Iterable[Guarding]) -> int:
    """How many other stores keep each store's sealed journals."""
    return max((record.stores for record in records), default=GUARDIANS)


def horizons_of(records: Iterable[Horizon]) -> tuple[Horizon, ...]:
    """By kind, store and date."""
    return tuple(sorted(records, key=lambda one: (one.kind, one.store, one.before, one.value)))


def places_of(chains: Iterable[Chain]) -> dict[int | None, tuple[Certificate, ...]]:
    """By store, ascending by author."""
    found: dict[int | None, list[Certificate]] = defaultdict(list)
    for chain in chains:
        found[chain[0].store].append(chain[0])
    return {store: tuple(sorted(many, key=lambda one: one.author)) for store, many in found.items()}


def _by(records: Iterable[tuple[_Key, _Dated]]) -> dict[_Key, tuple[_Dated, ...]]:
    found: dict[_Key, list[_Dated]] = defaultdict(list)
    for key, record in records:
        found[key].append(record)
    # Two records of one date: the last by all their fields counts, everywhere the same.
    return {
        key: tuple(sorted(many, key=lambda one: (one.valid_from, repr(one)) if many[1:] else ()))
        for key, many in found.items()
    }


def _valid(records: tuple[_Dated, ...], date: datetime.date) -> _Dated | None:
    return next((record for record in reversed(records) if record.valid_from <= date), None)


def _readable(value: object) -> Record | None:
    try:
        return from_element(value)
    except InvalidElement:
        return None
