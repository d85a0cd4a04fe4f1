"""A document's value, entry after entry: what each changed, field by field. Cost grows with the entries, not with their square,
where the merge rule allows: what only grows is told by the entry itself, a Yjs document by what an update touched. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from crdt_pos.catalogue import update_of
from crdt_pos.shell.fields import NameOf, changed, decoded, fields_of
from gossip.log import Stored
from gossip.schema import Kind
from merge_rules.dataclass import dataclass
from merge_rules.document_yjs import DocumentYjs, OpenDocument
from merge_rules.errors import InvalidBody
from merge_rules.lattice import Author
from merge_rules.log_append import LogAppend
from merge_rules.set_grow import SetGrow

_GROWS: Final = (LogAppend, SetGrow)

Changes = dict[str, list[object]]
"""Field → what it was and what it is; ``None`` where there was or is nothing."""


@dataclass(frozen=True, slots=True)
class Step:
    """One entry and what it changed."""

    stored: Stored
    changes: Changes


def in_order(held: Iterable[Stored]) -> list[Stored]:
    """As they were signed, as far as their authors' clocks are right."""
    return sorted(held, key=_by_stamp)


def _by_stamp(stored: Stored) -> tuple[int, Author, int]:
    return stored.entry.stamp, stored.entry.author, stored.entry.seq


def steps(kind: Kind, held: Sequence[Stored], name_of: NameOf, since: int = 0) -> Iterator[Step | None]:
    """What the entries of one document, ``in_order``, changed one after the other; ``None`` for those before number ``since``,
    which are only joined, and for those whose body cannot be read."""
    if issubclass(kind.rule, DocumentYjs):
        yield from _touched(held, since)
    elif issubclass(kind.rule, _GROWS):
        yield from _grown(kind, held, name_of, since)
    else:
        yield from _joined(kind, held, name_of, since)


def _touched(held: Sequence[Stored], since: int) -> Iterator[Step | None]:
    opened = OpenDocument()
    known: dict[str, object] = {}
    for at, stored in enumerate(held):
        try:
            keys = sorted(opened.apply(update_of(stored.entry)))
        except InvalidBody:
            yield None
            continue
        after = {key: decoded(value) for key in keys if (value := opened.get(key)) is not None}
        before = {key: known.pop(key) for key in keys if key in known}
        known |= after
        yield Step(stored, changed(before, after)) if at >= since else None


def _grown(kind: Kind, held: Sequence[Stored], name_of: NameOf, since: int) -> Iterator[Step | None]:
    known: set[str] = set()
    for at, stored in enumerate(held):
        try:
            said = fields_of(kind.rule.from_entry(stored.entry.author, stored.entry.seq, stored.entry.body), name_of)
        except InvalidBody:
            yield None
            continue
        new: Changes = {name: [None, value] for name, value in said.items() if name not in known}
        known |= said.keys()
        yield Step(stored, new) if at >= since else None


def _joined(kind: Kind, held: Sequence[Stored], name_of: NameOf, since: int) -> Iterator[Step | None]:
    state = kind.rule.bottom()
    before: dict[str, object] = {}
    for at, stored in enumerate(held):
        try:
            state = state.join(kind.rule.from_entry(stored.entry.author, stored.entry.seq, stored.entry.body))
        except InvalidBody:
            yield None
            continue
        if at < since - 1:
            yield None
            continue
        after = fields_of(state, name_of)
        yield Step(stored, changed(before, after)) if at >= since else None
        before = after
