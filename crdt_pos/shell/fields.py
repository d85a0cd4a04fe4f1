"""What a document says, field by field, under names that a person can type: ``takings``, ``sold/101``, ``101/name``, ``earned``.

The same names hold for the whole of a document and for one author's part of it, so that the two can be laid side by side. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, cast

from crdt_pos.day import Day
from crdt_pos.inspection import plain
from crdt_pos.receipt import DrawerAct, Tender
from merge_rules import canonical
from merge_rules.claims import Claims
from merge_rules.counter_bounded import CounterBounded
from merge_rules.counter_covers import CounterCovers
from merge_rules.document_yjs import DocumentYjs
from merge_rules.errors import InvalidBody, NotCanonical
from merge_rules.lattice import Author, Rule
from merge_rules.log_append import LogAppend
from merge_rules.record import RecordEach
from merge_rules.register_lww import RegisterLww

_COLUMNS: Final[Mapping[str, str]] = {
    "takings": "net takings",
    "refunded": "net refunded",
    "written_off": "written off",
}
"""Columns of a day's goods under other names: takings without tax, which those of the day may hold."""

NameOf = Callable[[Author], str]


def fields_of(state: Rule, name_of: NameOf) -> dict[str, object]:
    """Name → value, as JSON can say it."""
    match state:
        case CounterCovers():
            return _day(state, name_of)
        case CounterBounded():
            return _balance(state, name_of)
        case DocumentYjs():
            return {key: decoded(value) for key, value in state.items().items()}
        case Claims():
            return _claims(state, name_of)
        case RecordEach():
            return {str(name): _register(part) for name, part in cast("Mapping[object, Rule]", state.fields).items()}
        case RegisterLww():
            return {"value": plain(state.value())}
        case LogAppend():
            return {f"{name_of(author)}/{seq}": plain(item) for author, seq, item in state.read()}
        case _:
            return _elements(state)


def chosen(fields: Mapping[str, object], wanted: str) -> dict[str, object]:
    """The field ``wanted``, and those below it: ``sold`` chooses ``sold/101``, too."""
    return {name: value for name, value in fields.items() if name == wanted or name.startswith(f"{wanted}/")}


def changed(before: Mapping[str, object], after: Mapping[str, object]) -> dict[str, list[object]]:
    """What differs: name → what it was and what it is; ``None`` where there was or is nothing."""
    names = dict.fromkeys((*before, *after))
    return {name: [before.get(name), after.get(name)] for name in names if before.get(name) != after.get(name)}


def _day(state: CounterCovers, name_of: NameOf) -> dict[str, object]:
    total: dict[str, int] = {}
    said: dict[str, object] = {}
    for subject, summary in sorted(state.summaries().items()):
        try:
            day = Day.from_counters(summary.counters)
        except InvalidBody:
            continue
        for name, amount in _amounts(day):
            total[name] = total.get(name, 0) + amount
        who = name_of(subject)
        said[f"acts/{who}"] = summary.covers.seq
        said[f"closed/{who}"] = day.closed
        if summary.publisher != subject:
            said[f"published by/{who}"] = name_of(summary.publisher)
    return {**total, **said}


def _amounts(day: Day) -> Iterator[tuple[str, int]]:
    yield "takings", day.takings_minor
    yield "refunds", day.refunds_minor
    yield "tax", day.tax_minor
    for code, tax in sorted(day.taxes.items()):
        yield f"tax/{code}", tax.tax - tax.tax_back
    for kind, flow in sorted(day.tenders.items()):
        yield f"tenders/{Tender(kind).text if kind in set(Tender) else kind}", flow.net
    for act, amount in sorted(day.drawer.items()):
        yield f"drawer/{DrawerAct(act).name.lower() if act in set(DrawerAct) else act}", amount
    for product, goods in sorted(day.goods.items()):
        for column, count in goods._asdict().items():
            if count:
                yield f"{_COLUMNS.get(column, column)}/{product}", count


def _balance(state: CounterBounded, name_of: NameOf) -> dict[str, object]:
    said: dict[str, object] = {"owed": state.value()}
    for author in state.authors:
        who = name_of(author)
        granted, received = (
            sum(state.granted(author).values()),
            sum(one.amount for one in state.received(author).values()),
        )
        counts = {
            "earned": state.earned(author),
            "redeemed": state.redeemed(author),
            "granted": granted,
            "received": received,
        }
        said |= {f"{name}/{who}": count for name, count in counts.items() if count}
        said[f"rights/{who}"] = state.rights(author)
    return said


def _claims(state: Claims, name_of: NameOf) -> dict[str, object]:
    said: dict[str, object] = {}
    for code, thing in state.claims():
        name = f"{plain(code)}/{plain(thing)}"
        said[name] = ", ".join(sorted(map(name_of, state.claimants(code, thing))))
    return said


def _register(part: Rule) -> object:
    return plain(part.value()) if isinstance(part, RegisterLww) else plain(part.body())


def _elements(state: Rule) -> dict[str, object]:
    elements = getattr(state, "elements", None)
    if not callable(elements):
        return {"value": plain(state.body())}
    return {str(plain(element)): True for element in cast("list[object]", elements())}


def decoded(value: bytes) -> object:
    """A value of the catalogue; hexadecimal digits where it cannot be read."""
    try:
        return plain(canonical.decode(value))
    except NotCanonical:
        return value.hex()
