"""What a command of the shell is: a row of a table, with a function that answers and one that says it to a person. Pure."""

from __future__ import annotations

import dataclasses
import keyword
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, cast

from crdt_pos.inspection import plain
from merge_rules.dataclass import dataclass

if TYPE_CHECKING:
    from crdt_pos.page import Page


class Completes(Enum):
    """What completes an argument."""

    NOTHING = ""
    DOCUMENT = "document"
    FIELD = "field"
    AUTHOR = "author"
    MEMBER = "member"
    STORE = "store"
    PRODUCT = "product"
    COMMAND = "command"
    PATH = "path"


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument, which the command takes as text under its name."""

    name: str
    says: str
    completes: Completes = Completes.NOTHING
    optional: bool = False
    many: bool = False
    """Takes all that are left, as a tuple; only the last argument."""

    @property
    def text(self) -> str:
        """``DOCUMENT``, ``[FIELD]``, ``[FOLDER]...``."""
        shown = self.name.upper()
        return f"{f'[{shown}]' if self.optional else shown}{'...' if self.many else ''}"


@dataclass(frozen=True, slots=True)
class Option:
    """``--name``, or ``--name VALUE`` where it ``takes`` one."""

    name: str
    says: str
    takes: str = ""
    completes: Completes = Completes.NOTHING

    @property
    def text(self) -> str:
        """``--raw``, ``--svg FILE``."""
        return f"--{self.name} {self.takes}".rstrip()

    @property
    def key(self) -> str:
        """Its name as a Python argument; ``as_`` for a word of the language."""
        return self.name.replace("-", "_") + ("_" if keyword.iskeyword(self.name) else "")


ALL: Final = Option("all", "Every row, not only the first.")
JSON: Final = Option("json", "Print JSON.")


def _never(_answer: Any) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Command:
    """One command."""

    name: str
    says: str
    """What it answers, in a sentence."""
    example: str
    """A whole line that can be typed."""
    answer: Callable[..., object]
    lines: Callable[[Page, Any], Iterable[str]]
    arguments: tuple[Argument, ...] = ()
    options: tuple[Option, ...] = ()
    trouble: Callable[[Any], bool] = _never
    """Whether the answer is of something that is not as it must be: exit code 1."""

    @property
    def words(self) -> list[Argument | Option]:
        """All that can stand behind its name."""
        return [*self.arguments, *self.options]

    @property
    def usage(self) -> str:
        """``explain DOCUMENT [FIELD] [--raw]``."""
        return " ".join([self.name, *(one.text for one in self.arguments), *(f"[{one.text}]" for one in self.options)])


def data(answer: object) -> object:
    """What a command answered, as JSON can say it: dataclasses become objects, bytes hexadecimal digits; names that begin with
    ``_`` are for its ``lines`` only."""
    if dataclasses.is_dataclass(answer) and not isinstance(answer, type):
        return {one.name: data(getattr(answer, one.name)) for one in dataclasses.fields(answer)}
    if isinstance(answer, Mapping):
        items = cast("Mapping[object, object]", answer)
        named = {key.hex() if isinstance(key, bytes) else str(key): value for key, value in items.items()}
        return {name: data(value) for name, value in named.items() if not name.startswith("_")}
    if isinstance(answer, Enum):
        return answer.name.lower()
    if isinstance(answer, list | tuple | set | frozenset | Iterator):
        return [data(value) for value in cast("Iterable[object]", answer)]
    return plain(answer)
