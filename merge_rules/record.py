"""Records: fields with a rule each, joined field by field. A product of lattices is a lattice.

``Record`` is made from a table of field → rule; ``RecordEach`` has one rule for every field there may ever be (cashiers of a
store, by id). Fields are unsigned integers, text or bytes, of one type within a record. A body is a map from field to the
body of its rule; fields of which nothing was said are absent.

>>> from merge_rules.lattice import Author
>>> from merge_rules.register_lww import RegisterLww
>>> from merge_rules.set_grow import SetGrow
>>> class Cashier(Record):
...     rules = {0: RegisterLww, 1: SetGrow}
>>> class Staff(RecordEach):
...     rule = Cashier
>>> north, south = Author(b"north..."), Author(b"south...")
>>> here = Staff({b"anna": Cashier({0: RegisterLww.bottom().write(north, 1, "Anna")})})
>>> there = Staff({b"anna": Cashier({1: SetGrow.add(south, "refunds")})})
>>> here.join(there) == there.join(here)
True
>>> anna = here.join(there).field(b"anna")
>>> anna.field(0).value(), anna.field(1).elements()
('Anna', ['refunds'])

Reference: Baquero, Almeida, Cunha, Ferreira, Composition in State-based Replicated Data Types (2017).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import field
from typing import Any, ClassVar, Self

from merge_rules import shape
from merge_rules.canonical import INTEGER_MAX
from merge_rules.dataclass import dataclass
from merge_rules.errors import InvalidBody
from merge_rules.lattice import Author, Rule

Field = int | str | bytes


@dataclass(frozen=True)
class _Fields(ABC):
    fields: Mapping[Field, Rule] = field(default_factory=dict[Field, Rule])
    """No bottoms."""

    def __post_init__(self) -> None:
        kept = {name: state for name, state in self.fields.items() if state != self.rule_of(name).bottom()}
        if len({type(name) for name in kept}) > 1:
            raise InvalidBody("fields of more than one type")
        object.__setattr__(self, "fields", kept)

    @classmethod
    @abstractmethod
    def rule_of(cls, name: Field) -> type[Rule]:
        """The rule of a field. Raises ``InvalidBody`` for a field that there is not."""

    @classmethod
    def bottom(cls) -> Self:
        """Nothing said of any field."""
        return cls()

    def join(self, other: Self) -> Self:
        """Field by field."""
        fields = dict(self.fields)
        for name, state in other.fields.items():
            fields[name] = fields[name].join(state) if name in fields else state
        return type(self)(fields)

    def precedes(self, other: Self) -> bool:
        """Whether every field precedes the other's."""
        return all(name in other.fields and state.precedes(other.fields[name]) for name, state in self.fields.items())

    def body(self) -> object:
        """``{field: body of its rule}``."""
        return {name: state.body() for name, state in self.fields.items()}

    @classmethod
    def from_body(cls, body: object) -> Self:
        """The state that ``body`` encodes. Raises ``InvalidBody``."""
        return cls._sparse({name: cls.rule_of(name).from_body(part) for name, part in _named(body).items()})

    @classmethod
    def from_entry(cls, author: Author, seq: int, body: object) -> Self:
        """What one entry says of each field. Raises ``InvalidBody``."""
        author = shape.author(author)
        return cls._sparse(
            {name: cls.rule_of(name).from_entry(author, seq, part) for name, part in _named(body).items()}
        )

    def entry_body(self, author: Author) -> object:
        """What ``author`` says of each field of which it says something."""
        body: dict[Field, object] = {}
        for name, state in self.fields.items():
            part = state.entry_body(author)
            if part != self.rule_of(name).bottom().entry_body(author):
                body[name] = part
        return body

    def field(self, name: Field) -> Any:
        """The state of a field, bottom if nothing was said of it. Raises ``InvalidBody`` for a field that there is not."""
        return self.fields[name] if name in self.fields else self.rule_of(name).bottom()

    @classmethod
    def _sparse(cls, fields: dict[Field, Rule]) -> Self:
        state = cls(fields)
        if len(state.fields) != len(fields):
            shape.refuse("a field of which nothing is said")
        return state


class Record(_Fields):
    """A fixed table of fields. Subclass it with ``rules``, or call ``record``."""

    rules: ClassVar[Mapping[Field, type[Rule]]] = {}

    @classmethod
    def rule_of(cls, name: Field) -> type[Rule]:
        """The rule of a field. Raises ``InvalidBody`` for a field that there is not."""
        if name not in cls.rules:
            raise InvalidBody(f"no field {name!r} in a {cls.__name__}")
        return cls.rules[name]


class RecordEach(_Fields):
    """Any field, all of one rule. Subclass it with ``rule``, or call ``record_each``."""

    rule: ClassVar[type[Rule]]
    names: ClassVar[type[Field] | None] = None
    """The type of the fields. Where it is open, what two authors say may not fit into one record, and joining it fails."""

    @classmethod
    def rule_of(cls, name: Field) -> type[Rule]:
        """The one rule. Raises ``InvalidBody`` for a field of another type."""
        if cls.names is not None and type(name) is not cls.names:
            raise InvalidBody(f"a field of a {cls.__name__} that is not {cls.names.__name__}")
        return cls.rule


def record(title: str, rules: Mapping[Field, type[Rule]]) -> type[Record]:
    """A record with these fields; all unsigned integers, all text or all bytes."""
    return type(title, (Record,), {"rules": dict(rules)})


def record_each(title: str, rule: type[Rule], names: type[Field] | None = None) -> type[RecordEach]:
    """A record of any fields, of the type ``names``, that all have one rule."""
    return type(title, (RecordEach,), {"rule": rule, "names": names})


def _named(body: object) -> dict[Field, object]:
    named: dict[Field, object] = {}
    for name, part in shape.mapping(body, "a record").items():
        if isinstance(name, bool) or not isinstance(name, int | str | bytes):
            shape.refuse("a field that is neither integer, text nor bytes")
        if isinstance(name, int) and not 0 <= name <= INTEGER_MAX:
            shape.refuse("a field that is no unsigned integer")
        named[name] = part
    return named
