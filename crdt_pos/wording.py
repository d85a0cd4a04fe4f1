"""What documents say, in words: one reading for each kind, of the whole document or of one author's part of it.

A kind without a reading here, or one that this version does not know, is shown as its entries' bodies.
"""

from __future__ import annotations

import dataclasses
import datetime
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum
from itertools import pairwise, zip_longest
from typing import Final, cast

from rich.cells import cell_len, set_cell_size

from crdt_pos.catalogue_views import CatalogueProducts
from crdt_pos.columns import Column, listing, number, percent, plural, shortened, table
from crdt_pos.contradiction import Contradiction
from crdt_pos.forks import liars
from crdt_pos.page import HASH_DIGITS_SHOWN, Page
from crdt_pos.receipt import Receipt, ReceiptType, StockAct
from crdt_pos.schema import FORKS, JOURNAL, SCHEMA, STAFF_RULE, VARIANCES
from crdt_pos.staff import Cashier, is_id
from crdt_pos.variance import Variance
from crdt_pos.wording_day import DayWording
from gossip.document import Document
from gossip.entry import Entry, FeedId, decode
from gossip.errors import BadEntry
from merge_rules import canonical
from merge_rules.claims import Claims, Identities, Thing
from merge_rules.counter_bounded import CounterBounded
from merge_rules.counter_covers import CounterCovers
from merge_rules.document_yjs import DocumentYjs
from merge_rules.errors import InvalidBody, NotCanonical
from merge_rules.lattice import AUTHOR_BYTES, Author, Rule
from merge_rules.log_append import LogAppend
from merge_rules.register_lww import RegisterLww
from merge_rules.set_grow import SetGrow
from peers.errors import InvalidElement
from peers.roster import Enrolment, Record, RosterSet, from_element

_PRODUCTS: Final = CatalogueProducts()
_TEXT: Final = Column()
_NAME: Final = Column(shorten=True)
_FIGURE: Final = Column(right=True)


class Wording:
    """Words for what one snapshot of a folder says."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def lines(self, document: Document, state: Rule) -> Iterator[str]:
        """What ``state`` says: the whole of ``document``, or a part of it. Nothing, for a kind without a reading here."""
        for line in self._read(document, state):
            yield from _wrapped(line, self._page.width)

    def _read(self, document: Document, state: Rule) -> Iterator[str]:
        match state:
            case CounterCovers():
                yield from DayWording(self._page).lines(document, state)
            case CounterBounded():
                yield from self._balance(document, state)
            case RosterSet():
                yield from self._roster(state)
            case Claims():
                yield from self._claims(state)
            case DocumentYjs():
                yield from self._catalogue(state)
            case STAFF_RULE():
                yield from self._staff(cast("Mapping[object, RegisterLww]", state.fields))
            case SetGrow() if document.kind == FORKS:
                yield from self._forks(state)
            case SetGrow():
                yield from self._set(state)
            case LogAppend():
                yield from self._log(document, state)
            case _:
                return

    # ---- balances -------------------------------------------------------------------------------------------------------

    def _balance(self, document: Document, state: CounterBounded) -> Iterator[str]:
        yield f"  owed: {number(state.value())}, as known here"
        yield from self.rights(document, state, state.authors)
        for taker, donors in state.pending().items():
            for donor, amount in donors.items():
                who = self._page.name(donor)
                yield f"  PENDING: {number(amount)} that {self._page.name(taker)} says it received; {who}'s entry is not here."
        for lie in state.lies():
            said = f"{self._page.name(lie.taker)} says {number(lie.received)}, {self._page.name(lie.donor)} {number(lie.granted)}"
            yield f"  CONFLICT: what was granted: {said}."
        for author, excess in state.overspent().items():
            yield f"  CONFLICT: {self._page.name(author)} spent {number(excess)} more than it had."

    def rights(self, document: Document, state: CounterBounded, authors: Sequence[Author]) -> Iterator[str]:
        """What ``authors`` did to a balance, and what each may spend without asking: that follows from the whole ``state``."""
        forked = {one for one in authors if len(self._page.reader.heads(FeedId(document, one))) > 1}
        forked |= liars(self._page.reader)
        rows: list[Sequence[str]] = []
        for author in authors:
            counts = (state.earned(author), state.redeemed(author), sum(state.granted(author).values()))
            received = sum(receipt.amount for receipt in state.received(author).values())
            figures = [number(n) if n else "" for n in (*counts, received)]
            rows.append((self._page.name(author), *figures, number(state.rights(author, forked))))
        titles = ("earned", "redeemed", "granted", "received", "rights now")
        yield from table((Column("by"), *(Column(title, right=True) for title in titles)), rows, self._page.width)
        for author in authors:
            name = self._page.name(author)
            for taker, amount in sorted(state.granted(author).items()):
                yield f"  {name} granted {number(amount)} to {self._page.name(taker)}"
            for donor, receipt in sorted(state.received(author).items()):
                yield f"  {name} received {number(receipt.amount)} from {self._page.name(donor)}, by its entry {receipt.at}"

    # ---- sets -----------------------------------------------------------------------------------------------------------

    def _roster(self, state: RosterSet) -> Iterator[str]:
        standing = state.elements()
        for element in standing:
            yield f"  {self._record(element)}"
        gone = [canonical.decode(encoded) for encoded in sorted(state.removed) if encoded not in state.encoded]
        for element in gone:
            yield f"  removed: {self._record(element)}"

    def _record(self, element: object) -> str:
        try:
            record = from_element(element)
        except InvalidElement as error:
            return f"an element that cannot be read: {error}"
        if record is None:
            return "an element that this version does not know"
        if isinstance(record, Enrolment):
            return self._enrolment(record)
        kind = type(record).__name__.removesuffix("Record")
        first, *others = self._fields(record)
        return f"{_spaced(kind)} {first[1]}: " + ", ".join(f"{name} {said}" for name, said in others)

    def _enrolment(self, record: Enrolment) -> str:
        for author, chain in self._page.looked.directory.chains.items():
            if record.chain and chain[0].der == record.chain[0]:
                own = chain[0]
                place = "" if own.store is None else f" of store {own.store}"
                heir = f", its heir is {self._page.name(own.heir)}" if own.heir != author else ""
                return f"enrolled: {own.name} {own.incarnation}, {own.role.value}{place}, by {own.issuer_name}{heir}"
        return "enrolled: a certificate that does not prove itself here"

    def _fields(self, record: Record) -> Iterator[tuple[str, str]]:
        for one in dataclasses.fields(record):
            value: object = getattr(record, one.name)
            if not value or value == datetime.date(1970, 1, 1):
                continue
            match value:
                case bytes() if len(value) == AUTHOR_BYTES:
                    said = self._page.name(Author(value))
                case bytes():
                    said = f"{value.hex()[:HASH_DIGITS_SHOWN]}…"
                case tuple():
                    said = str(len(cast("tuple[object, ...]", value)))
                case IntEnum():
                    said = value.name.lower().replace("_", " ")
                case bool():
                    said = "yes"
                case _:
                    said = str(value)
            yield one.name.replace("_", " "), said

    def _claims(self, state: Claims) -> Iterator[str]:
        things = Identities.read([state])
        rows = [
            (
                code.hex() if isinstance(code, bytes) else code,
                self._thing(thing),
                listing(sorted(map(self._page.name, state.claimants(code, thing)))),
                "CONFLICT" if code in things.conflicts else "",
            )
            for code, thing in state.claims()
        ]
        if rows:
            columns = (Column("code"), Column("means", shorten=True), Column("says"), _TEXT)
            yield from table(columns, self._page.some(rows), self._page.width)
        yield from self._page.left(rows, "claim")
        for group in things.groups():
            yield f"  read as one, until a claim is taken back: {listing([self._thing(one) for one in group])}"

    def _thing(self, thing: Thing) -> str:
        if isinstance(thing, bytes):
            return f"member {thing.hex()}"
        found = self._page.product(thing)
        return f"{thing} {found.name}" if found else str(thing)

    def _set(self, state: SetGrow) -> Iterator[str]:
        elements = state.elements()
        yield f"  {plural(len(elements), 'account')}"
        texts = [one.hex() if isinstance(one, bytes) else str(one) for one in elements]
        shown = self._page.some(texts)
        for at in range(0, len(shown), 4):
            yield f"  {'  '.join(shown[at : at + 4])}"
        yield from self._page.left(texts, "account")

    def _staff(self, fields: Mapping[object, RegisterLww]) -> Iterator[str]:
        rows: list[Sequence[str]] = []
        named = [(str(name), register) for name, register in fields.items()]
        for cashier, register in sorted((each for each in named if is_id(each[0])), key=lambda each: each[0]):
            writer = register.winner()
            try:
                said = Cashier.from_body(register.value())
                what = (said.role.name.lower(), "left" if said.left else "works here", said.public_key.hex()[:12] + "…")
            except InvalidBody:
                what = ("", "cannot be read", "")
            rows.append((cashier, *what, "" if writer is None else self._page.name(writer)))
        titles = ("cashier", "role", "", "key", "written by")
        if rows:
            yield from table([Column(title) for title in titles], rows, self._page.width)

    # ---- forks ----------------------------------------------------------------------------------------------------------

    def _forks(self, state: SetGrow) -> Iterator[str]:
        for pair in state.elements():
            raws = cast("list[object]", pair) if isinstance(pair, list) else []
            try:
                entries = [decode(raw) for raw in raws if isinstance(raw, bytes)]
            except BadEntry as error:
                yield f"  a proof that cannot be read: {error}"
                continue
            if len(entries) == 2:
                yield from self._accusation(Contradiction(*sorted(entries, key=lambda one: one.seq)))
            yield from self.side_by_side(entries)

    def _accusation(self, said: Contradiction) -> Iterator[str]:
        directory = self._page.looked.directory
        proven = said.proven(directory)
        unproven = {
            True: "",
            False: "SLANDER, these are not its signatures: ",
            None: "NOT JUDGED, its certificate is not here: ",
        }
        yield f"  {unproven[proven]}{said.sentence(directory)}."

    def side_by_side(self, entries: Sequence[Entry]) -> Iterator[str]:
        """Entries of one author that contradict each other, two by two; what differs is marked."""
        room = (self._page.width - 7) // 2
        narrow = Wording(dataclasses.replace(self._page, width=room, everything=True))
        for first, second in pairwise(entries):
            yield f"  {self._page.name(first.author)} contradicts itself in {first.document}:"
            heads = [f"entry {one.seq} ({one.hash.hex()[:HASH_DIGITS_SHOWN]}…)" for one in (first, second)]
            rows = [(heads[0], heads[1])]
            rows += zip_longest(narrow.of_entry(first), narrow.of_entry(second), fillvalue="")
            if all(left == right for left, right in rows[1:]):
                rows += zip_longest(*_differing(first.body, second.body), fillvalue="")
            for at, (left, right) in enumerate(rows):
                mark = "≠" if at and left != right else " "
                wrapped = zip_longest(_wrapped(left, room), _wrapped(right, room), fillvalue="")
                for here, there in wrapped:
                    yield f"  {_padded(here, room)} {mark} {there}".rstrip()

    def of_entry(self, entry: Entry) -> list[str]:
        """What one entry says by itself, without indent."""
        kind = SCHEMA.get(entry.document.kind)
        try:
            state = kind.rule.from_entry(entry.author, entry.seq, entry.body) if kind else None
        except InvalidBody as error:
            return [str(error)]
        return [] if state is None else [line.strip() for line in self.lines(entry.document, state)]

    # ---- catalogue and logs ---------------------------------------------------------------------------------------------

    def _catalogue(self, state: DocumentYjs) -> Iterator[str]:
        facts: dict[str, dict[str, object]] = {}
        rates: list[Sequence[str]] = []
        for key, encoded in state.items().items():
            name, _, fact = key.partition("/")
            try:
                value = canonical.decode(encoded)
            except NotCanonical:
                value = None
            if name == "tax" and isinstance(value, int):
                code, _, since = fact.partition("/")
                rates.append((f"tax {code}", percent(value), f"from {self._since(since)}"))
            else:
                facts.setdefault(name, {})[fact] = value
        yield from table((_TEXT, _FIGURE, _TEXT), rates, self._page.width) if rates else ()
        rows: list[Sequence[str]] = []
        for name, said in sorted(facts.items(), key=lambda item: (len(item[0]), item[0])):
            product = _PRODUCTS.product(int(name), said) if name.isdigit() else None
            codes = [fact[5:] for fact in said if fact.startswith("code/")]
            prices = [self._price(fact, value) for fact, value in said.items() if fact.startswith("price/")]
            gone = " (retired)" if "retired" in said else ""
            tax = str(product.tax_code) if product else ""
            rows.append((name, (product.name if product else "") + gone, ", ".join(prices), tax, ", ".join(codes)))
        shown = self._page.some(rows)
        columns = (Column("product", right=True), Column("", shorten=True), Column("price", right=True))
        if rows:
            yield from table(
                (*columns, Column("tax", right=True), Column("codes", shorten=True)), shown, self._page.width
            )
        yield from self._page.left(rows, "product")

    def _price(self, fact: str, value: object) -> str:
        parts = fact.split("/")
        pair = cast("list[object]", value) if isinstance(value, list) else []
        if len(parts) != 3 or len(pair) != 2 or not all(isinstance(part, int) for part in pair):
            return "?"
        amount, exponent = cast("list[int]", pair)
        since = "" if parts[2] in ("0", "1") else f" from {self._since(parts[2])}"
        return " ".join([*([parts[1]] if parts[1] else []), number(amount, 2 + exponent)]) + since

    def _since(self, ms: str) -> str:
        if not ms.isdigit() or not 1 < int(ms) < 2**48:
            return "ever"
        return f"{self._page.looked.local(int(ms)):%Y-%m-%d %H:%M}"

    def _log(self, document: Document, state: LogAppend) -> Iterator[str]:
        items = list(state.read())
        if document.kind == JOURNAL:
            yield from self._acts(items)
        elif document.kind == VARIANCES:
            record = self._page.store(document)
            yield from self._variances(items, record.exponent if record else 2)
        else:
            yield f"  {plural(len(items), 'sealed segment')}"

    def _acts(self, items: Sequence[tuple[Author, int, object]]) -> Iterator[str]:
        rows: list[Sequence[str]] = []
        kinds: Counter[ReceiptType] = Counter()
        for author, seq, body in items:
            try:
                act = Receipt.from_body(body)
            except InvalidBody as error:
                rows.append((str(seq), self._page.name(author), "", str(error), "", ""))
                continue
            kinds[act.type] += 1
            zone = datetime.timezone(datetime.timedelta(minutes=act.offset_minutes))
            moment = datetime.datetime.fromtimestamp(act.stamp_ms / 1000, zone)
            what = act.type.name.lower()
            if act.type is ReceiptType.DRAWER:
                what = act.drawer.name.lower().replace("_", " ")
            if act.type is ReceiptType.STOCK and act.stock is not StockAct.NONE:
                what = act.stock.name.lower().replace("_", " ")
            amount = act.due_minor or act.drawer_minor
            lines = plural(len(act.lines), "line") if act.lines else ""
            due = f"{number(amount, act.exponent)} {act.currency}" if amount or act.tenders else ""
            rows.append((str(seq), act.number, f"{moment:%H:%M:%S}", what, due, lines))
        shown = self._page.some(rows)
        titles = (Column("act", right=True), Column("number"), Column("time"), Column("what", shorten=True))
        if rows:
            yield from table((*titles, Column("amount", right=True), Column("", right=True)), shown, self._page.width)
        yield from self._page.left(rows, "act")
        counts = [f"{count:,} {kind.name.lower()}" for kind, count in sorted(kinds.items())]
        if counts:
            yield f"  {plural(len(items), 'act')}: {', '.join(counts)}"

    def _variances(self, items: Sequence[tuple[Author, int, object]], exponent: int) -> Iterator[str]:
        for _, _, body in items:
            try:
                one = Variance.from_body(body)
            except InvalidBody as error:
                yield f"  {error}"
                continue
            prices = [number(price.amount_minor, exponent + price.exponent) for price in (one.sold, one.due)]
            yield f"  {one.number} line {one.line}: {self._thing(one.product)} sold at {prices[0]}, due was {prices[1]}"


def _differing(first: object, second: object) -> tuple[list[str], list[str]]:
    """What differs in two bodies, as it stands in them."""
    whole = "the body"
    bodies: list[dict[object, object]] = [
        cast("dict[object, object]", one) if isinstance(one, dict) else {whole: one} for one in (first, second)
    ]
    keys = [key for key in dict.fromkeys([*bodies[0], *bodies[1]]) if bodies[0].get(key) != bodies[1].get(key)]
    said = [[f"field {key}: {body[key]}" if key in body else f"no field {key}" for key in keys] for body in bodies]
    return said[0], said[1]


def _wrapped(text: str, room: int) -> list[str]:
    indent = " " * (len(text) - len(text.lstrip()) + 2)
    return textwrap.wrap(text, room, subsequent_indent=indent) if cell_len(text) > room else [text]


def _padded(text: str, room: int) -> str:
    text = shortened(text, room)
    return set_cell_size(text, room) if cell_len(text) < room else text


def _spaced(name: str) -> str:
    """``SealedKey`` as ``sealed key``."""
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).strip()
