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
from typing import Final, TypeVar, cast

from rich.cells import cell_len, set_cell_size

from crdt_pos.books import Money
from crdt_pos.books_text import tender_text
from crdt_pos.catalogue_views import CatalogueProducts
from crdt_pos.columns import Column, listing, number, percent, plural, shortened, table
from crdt_pos.day import Day, Goods, days_between
from crdt_pos.looking import Looked
from crdt_pos.products import Product
from crdt_pos.receipt import DrawerAct, Receipt, ReceiptType, Series, StockAct
from crdt_pos.schema import DAY, FORKS, JOURNAL, SCHEMA, STAFF_RULE, VARIANCES
from crdt_pos.staff import Cashier
from crdt_pos.variance import Variance
from gossip.document import Document, date_of
from gossip.entry import Entry, FeedId, decode
from gossip.errors import BadEntry
from gossip.log import Reader
from merge_rules import canonical
from merge_rules.claims import Claims, Identities, Thing
from merge_rules.counter_bounded import CounterBounded
from merge_rules.counter_covers import CounterCovers, Summary
from merge_rules.document_yjs import DocumentYjs
from merge_rules.errors import InvalidBody, NotCanonical
from merge_rules.lattice import AUTHOR_BYTES, Author, Rule
from merge_rules.log_append import LogAppend
from merge_rules.register_lww import RegisterLww
from merge_rules.set_grow import SetGrow
from peers.errors import InvalidElement
from peers.roster import Enrolment, Record, RosterSet, from_element

T = TypeVar("T")

ROWS_SHOWN_MAX: Final = 15
HASH_DIGITS_SHOWN: Final = 12
_TEXT: Final = Column()
_NAME: Final = Column(shorten=True)
_FIGURE: Final = Column(right=True)


class Wording:
    """Words for what one snapshot of a folder says."""

    def __init__(self, looked: Looked, reader: Reader, width: int, *, everything: bool = False) -> None:
        self._looked = looked
        self._reader = reader
        self._width = width
        self._everything = everything
        self._products = CatalogueProducts()

    def lines(self, document: Document, state: Rule) -> Iterator[str]:
        """What ``state`` says: the whole of ``document``, or a part of it. Nothing, for a kind without a reading here."""
        for line in self._read(document, state):
            yield from _wrapped(line, self._width)

    def _read(self, document: Document, state: Rule) -> Iterator[str]:
        match state:
            case CounterCovers():
                yield from self._days(document, state)
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

    # ---- days -----------------------------------------------------------------------------------------------------------

    def _days(self, document: Document, state: CounterCovers) -> Iterator[str]:
        store = document.keys[0]
        date = date_of(document.day)
        record = self._looked.directory.store(store, date) if isinstance(store, int) else None
        exponent, currency = (record.exponent, record.currency) if record else (2, "")
        money, goods = Money(), dict[int, Goods]()
        summaries = [one for _, one in sorted(state.summaries().items())]
        for summary in summaries:
            try:
                day = Day.from_counters(summary.counters)
            except InvalidBody as error:
                yield f"  {self._name(summary.subject)}: {error}"
                continue
            money = money.plus(day)
            for product, moved in day.goods.items():
                goods[product] = goods.get(product, Goods()).plus(moved)
            yield from self._summary(document, summary, day, exponent)
        for subject, rivals in state.conflicts().items():
            count = plural(len(rivals), "summary", "summaries")
            yield f"  CONFLICT: {count} of {self._name(subject)} reach equally far and differ."
        yield from self._money(money, exponent, currency, date)
        yield from self._goods(goods, exponent)

    def _summary(self, document: Document, summary: Summary, day: Day, exponent: int) -> Iterator[str]:
        whose = f"the journal of {self._name(summary.subject)}"
        by = "" if summary.publisher == summary.subject else f", summed up for it by {self._name(summary.publisher)}"
        digits = summary.covers.hash.hex()[:HASH_DIGITS_SHOWN]
        yield f"  covers {whose} up to act {summary.covers.seq} ({digits}…){by}: {self._covered(document, summary)}"
        previous = days_between(day, date_of(document.day))
        if previous is None:
            before = "the first business date of this till"
        else:
            before = f"the business date before was {previous} ({self._previous(document, summary, day)})"
        yield f"  {'closed' if day.closed else 'not closed yet: more may come'}; {before}"
        said: list[str] = []
        for series, numbers in sorted(day.series.items()):
            gap = numbers.last - numbers.first + 1 - numbers.documents
            missing = f", {gap} MISSING" if gap else ", none missing"
            letter = Series(series).letter
            first, last = f"{letter}{numbers.first}", f"{letter}{numbers.last}"
            said.append(f"{Series(series).name.lower()} {first} to {last}{missing}")
        if said:
            yield f"  receipts: {'; '.join(said)}"
        if day.perpetual_sales or day.perpetual_refunds:
            sales, refunds = number(day.perpetual_sales, exponent), number(day.perpetual_refunds, exponent)
            yield f"  since its first date, with tax: sales {sales}, refunds {refunds}"
        moved = [
            f"{DrawerAct(act).name.lower().replace('_', ' ') if act in set(DrawerAct) else act} {number(n, exponent)}"
            for act, n in sorted(day.drawer.items())
        ]
        if moved:
            yield f"  drawer: {', '.join(moved)}"
        if not day.balanced:
            yield "  IT DOES NOT BALANCE: takings and tenders do not agree."

    def _covered(self, document: Document, summary: Summary) -> str:
        feed = FeedId(Document(JOURNAL, document.day, document.keys), summary.subject)
        act = next(iter(self._reader.entries(feed, summary.covers.seq - 1)), None)
        if act is None:
            return "its journal is not here"
        return "it is here" if act.entry.hash.startswith(summary.covers.hash) else "THE ACT HERE IS ANOTHER"

    def _previous(self, document: Document, summary: Summary, day: Day) -> str:
        before = Document(DAY, document.day - day.previous[0], document.keys)
        held = [stored.entry.hash for stored in self._reader.entries(FeedId(before, summary.subject))]
        digits = day.previous[1].hex()[:HASH_DIGITS_SHOWN]
        if any(entry_hash.startswith(day.previous[1]) for entry_hash in held):
            return f"{digits}…: it is here"
        return f"{digits}…: {'another entry of it is here' if held else 'it is not here'}"

    def _money(self, money: Money, exponent: int, currency: str, date: datetime.date) -> Iterator[str]:
        def text(amount_minor: int) -> str:
            return number(amount_minor, exponent)

        sums = {
            "takings": money.takings_minor,
            "refunds": money.refunds_minor,
            "tax not included": money.tax_not_included_minor,
            "rounding": money.rounding.net,
            "gift cards and credit sold": money.liabilities.net,
            "tenders, in less out": money.tenders_net_minor,
        }
        kept = {name: amount for name, amount in sums.items() if amount or name in ("takings", "refunds")}
        yield from table((_NAME, _FIGURE, _TEXT), [(name, text(n), currency) for name, n in kept.items()], self._width)
        noon_ms = (date - datetime.date(1970, 1, 1)).days * 86_400_000 + 43_200_000
        rows: list[Sequence[str]] = []
        for code, tax in sorted(money.taxes.items()):
            rate = self._products.tax_rate_ppm(self._reader, code, noon_ms)
            name = f"tax {code}, {percent(rate)}" if rate else f"tax {code}"
            rows.append((name, *map(text, tax)))
        if rows:
            yield ""
            titles = ("base", "tax", "base back", "tax back")
            rows = [_without_zero_back(row, ("0", text(0))) for row in rows]
            yield from table((_NAME, *(Column(title, right=True) for title in titles)), rows, self._width)
        tenders = [
            (tender_text(kind), text(flow.come_in), text(flow.gone_out), text(flow.net))
            for kind, flow in sorted(money.tenders.items())
        ]
        if tenders:
            yield ""
            columns = (Column("tender", shorten=True), *(Column(title, right=True) for title in ("in", "out", "net")))
            yield from table(columns, tenders, self._width)

    def _goods(self, goods: Mapping[int, Goods], exponent: int) -> Iterator[str]:
        ordered = sorted(goods.items(), key=lambda item: (-item[1].net_takings, item[0]))
        shown = ordered if self._everything else ordered[:ROWS_SHOWN_MAX]
        fields = [name for at, name in enumerate(Goods._fields) if any(row[at] for _, row in ordered)]
        rows: list[Sequence[str]] = []
        for product, moved in shown:
            known = self._product(product)
            decimals = known.quantity_exponent if known else 0
            values = moved._asdict()
            cells = [number(values[name], exponent if name in ("takings", "refunded") else decimals) for name in fields]
            rows.append((str(product), known.name if known else "", *cells, known.unit if known else ""))
        if rows:
            yield ""
            titles = (Column(name.replace("_", " "), right=True) for name in fields)
            columns = (Column("product", right=True), Column("", shorten=True), *titles, Column("unit"))
            yield from table(columns, rows, self._width)
        yield from self._left(len(ordered) - len(shown), "product")

    # ---- balances -------------------------------------------------------------------------------------------------------

    def _balance(self, document: Document, state: CounterBounded) -> Iterator[str]:
        yield f"  owed: {number(state.value())}, as known here"
        yield from self.rights(document, state, state.authors)
        for taker, donors in state.pending().items():
            for donor, amount in donors.items():
                who = self._name(donor)
                yield f"  PENDING: {number(amount)} that {self._name(taker)} says it received; {who}'s entry is not here."
        for lie in state.lies():
            said = f"{self._name(lie.taker)} says {number(lie.received)}, {self._name(lie.donor)} {number(lie.granted)}"
            yield f"  CONFLICT: what was granted: {said}."
        for author, excess in state.overspent().items():
            yield f"  CONFLICT: {self._name(author)} spent {number(excess)} more than it had."

    def rights(self, document: Document, state: CounterBounded, authors: Sequence[Author]) -> Iterator[str]:
        """What ``authors`` did to a balance, and what each may spend without asking: that follows from the whole ``state``."""
        forked = [one for one in authors if len(self._reader.heads(FeedId(document, one))) > 1]
        rows: list[Sequence[str]] = []
        for author in authors:
            counts = (state.earned(author), state.redeemed(author), sum(state.granted(author).values()))
            received = sum(receipt.amount for receipt in state.received(author).values())
            figures = [number(n) if n else "" for n in (*counts, received)]
            rows.append((self._name(author), *figures, number(state.rights(author, forked))))
        titles = ("earned", "redeemed", "granted", "received", "rights now")
        yield from table((Column("by"), *(Column(title, right=True) for title in titles)), rows, self._width)
        for author in authors:
            name = self._name(author)
            for taker, amount in sorted(state.granted(author).items()):
                yield f"  {name} granted {number(amount)} to {self._name(taker)}"
            for donor, receipt in sorted(state.received(author).items()):
                yield f"  {name} received {number(receipt.amount)} from {self._name(donor)}, by its entry {receipt.at}"

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
        for author, chain in self._looked.directory.chains.items():
            if record.chain and chain[0].der == record.chain[0]:
                own = chain[0]
                place = "" if own.store is None else f" of store {own.store}"
                heir = f", its heir is {self._name(own.heir)}" if own.heir != author else ""
                return f"enrolled: {own.name} {own.incarnation}, {own.role.value}{place}, by {own.issuer_name}{heir}"
        return "enrolled: a certificate that does not prove itself here"

    def _fields(self, record: Record) -> Iterator[tuple[str, str]]:
        for one in dataclasses.fields(record):
            value: object = getattr(record, one.name)
            if not value or value == datetime.date(1970, 1, 1):
                continue
            match value:
                case bytes() if len(value) == AUTHOR_BYTES:
                    said = self._name(Author(value))
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
                listing(sorted(map(self._name, state.claimants(code, thing)))),
                "CONFLICT" if code in things.conflicts else "",
            )
            for code, thing in state.claims()
        ]
        if rows:
            columns = (Column("code"), Column("means", shorten=True), Column("says"), _TEXT)
            yield from table(columns, self._some(rows), self._width)
        yield from self._left(len(rows) - len(self._some(rows)), "claim")
        for group in things.groups():
            yield f"  read as one, until a claim is taken back: {listing([self._thing(one) for one in group])}"

    def _thing(self, thing: Thing) -> str:
        if isinstance(thing, bytes):
            return f"member {thing.hex()}"
        found = self._product(thing)
        return f"{thing} {found.name}" if found else str(thing)

    def _set(self, state: SetGrow) -> Iterator[str]:
        elements = state.elements()
        yield f"  {plural(len(elements), 'account')}"
        texts = [one.hex() if isinstance(one, bytes) else str(one) for one in elements]
        shown = self._some(texts)
        for at in range(0, len(shown), 4):
            yield f"  {'  '.join(shown[at : at + 4])}"
        yield from self._left(len(texts) - len(shown), "account")

    def _staff(self, fields: Mapping[object, RegisterLww]) -> Iterator[str]:
        rows: list[Sequence[str]] = []
        for cashier, register in sorted(fields.items(), key=lambda item: str(item[0])):
            writer = register.winner()
            try:
                said = Cashier.from_body(register.value())
                what = (said.role.name.lower(), "left" if said.left else "works here", said.public_key.hex()[:12] + "…")
            except InvalidBody:
                what = ("", "cannot be read", "")
            rows.append((str(cashier), *what, "" if writer is None else self._name(writer)))
        titles = ("cashier", "role", "", "key", "written by")
        if rows:
            yield from table([Column(title) for title in titles], rows, self._width)

    # ---- forks ----------------------------------------------------------------------------------------------------------

    def _forks(self, state: SetGrow) -> Iterator[str]:
        for pair in state.elements():
            raws = cast("list[object]", pair) if isinstance(pair, list) else []
            try:
                entries = [decode(raw) for raw in raws if isinstance(raw, bytes)]
            except BadEntry as error:
                yield f"  a proof that cannot be read: {error}"
                continue
            yield from self.side_by_side(entries)

    def side_by_side(self, entries: Sequence[Entry]) -> Iterator[str]:
        """Entries of one author that contradict each other, two by two; what differs is marked."""
        room = (self._width - 7) // 2
        narrow = Wording(self._looked, self._reader, room, everything=True)
        for first, second in pairwise(entries):
            yield f"  {self._name(first.author)} contradicts itself in {first.document}:"
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
        yield from table((_TEXT, _FIGURE, _TEXT), rates, self._width) if rates else ()
        rows: list[Sequence[str]] = []
        for name, said in sorted(facts.items(), key=lambda item: (len(item[0]), item[0])):
            product = self._products.product(int(name), said) if name.isdigit() else None
            codes = [fact[5:] for fact in said if fact.startswith("code/")]
            prices = [self._price(fact, value) for fact, value in said.items() if fact.startswith("price/")]
            gone = " (retired)" if "retired" in said else ""
            tax = str(product.tax_code) if product else ""
            rows.append((name, (product.name if product else "") + gone, ", ".join(prices), tax, ", ".join(codes)))
        shown = self._some(rows)
        columns = (Column("product", right=True), Column("", shorten=True), Column("price", right=True))
        if rows:
            yield from table((*columns, Column("tax", right=True), Column("codes", shorten=True)), shown, self._width)
        yield from self._left(len(rows) - len(shown), "product")

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
        return f"{self._looked.local(int(ms)):%Y-%m-%d %H:%M}"

    def _log(self, document: Document, state: LogAppend) -> Iterator[str]:
        items = list(state.read())
        if document.kind == JOURNAL:
            yield from self._acts(items)
        elif document.kind == VARIANCES:
            yield from self._variances(items, self._exponent(document))
        else:
            yield f"  {plural(len(items), 'sealed segment')}"

    def _exponent(self, document: Document) -> int:
        store = document.keys[0]
        record = self._looked.directory.store(store, date_of(document.day)) if isinstance(store, int) else None
        return record.exponent if record else 2

    def _acts(self, items: Sequence[tuple[Author, int, object]]) -> Iterator[str]:
        rows: list[Sequence[str]] = []
        kinds: Counter[ReceiptType] = Counter()
        for author, seq, body in items:
            try:
                act = Receipt.from_body(body)
            except InvalidBody as error:
                rows.append((str(seq), self._name(author), "", "", str(error), "", ""))
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
        shown = self._some(rows)
        titles = (Column("act", right=True), Column("number"), Column("time"), Column("what", shorten=True))
        if rows:
            yield from table((*titles, Column("amount", right=True), Column("", right=True)), shown, self._width)
        yield from self._left(len(rows) - len(shown), "act")
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

    # ---- small ----------------------------------------------------------------------------------------------------------

    def _name(self, author: Author) -> str:
        return self._looked.name_of(author)

    def _product(self, product: int) -> Product | None:
        return self._products.find(self._reader, product)

    def _some(self, rows: Sequence[T]) -> Sequence[T]:
        return rows if self._everything else rows[:ROWS_SHOWN_MAX]

    def _left(self, count: int, one: str) -> Iterator[str]:
        if count > 0:
            yield f"  … and {plural(count, one)} more: --all lists them."


def _without_zero_back(row: Sequence[str], zeros: Sequence[str]) -> Sequence[str]:
    """What nothing was given back of needs no columns for it."""
    return [*row[:3], *("" if cell in zeros else cell for cell in row[3:])]


def _differing(first: object, second: object) -> tuple[list[str], list[str]]:
    """What differs in two bodies, as it stands in them."""
    whole = "the body"
    bodies = [cast("dict[object, object]", one) if isinstance(one, dict) else {whole: one} for one in (first, second)]
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
