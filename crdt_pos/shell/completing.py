"""What completes a line: commands, documents, authors, members, stores, products. Bounded, so that Tab answers at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from crdt_pos.catalogue_views import CatalogueProducts
from crdt_pos.errors import NothingHere
from crdt_pos.inspection import find_document, value_of
from crdt_pos.schema import BALANCE, SCHEMA
from crdt_pos.shell.command import ALL, JSON, Completes
from crdt_pos.shell.fields import fields_of
from crdt_pos.shell.replica import Replica
from crdt_pos.shell.table import COMMANDS
from gossip.log import Reader

FOUND_MAX: Final = 100
DOCUMENTS_LOOKED_MAX: Final = 20_000
_PRODUCTS: Final = CatalogueProducts()


class Candidate(NamedTuple):
    """What may stand in the place of the word that is being typed."""

    text: str
    says: str = ""


def candidates(replica: Replica, typed: str) -> list[Candidate]:
    """What completes the last word of ``typed``, the part of a line before the cursor. Takes a snapshot of its own."""
    words = typed.split(" ")
    word, before = words[-1].lstrip("'\""), [one for one in words[:-1] if one]
    if not before:
        return [Candidate(name, one.says) for name, one in COMMANDS.items() if name.startswith(word)]
    command = COMMANDS.get(before[0])
    if command is None:
        return []
    options = {f"--{one.name}": one for one in (*command.options, ALL, JSON)}
    if word.startswith("-"):
        return [Candidate(name, one.says) for name, one in options.items() if name.startswith(word)]
    last = options.get(before[-1])
    if last is not None and last.takes:
        kind = last.completes
    else:
        given = sum(not one.startswith("-") for one in before[1:])
        arguments = command.arguments
        if not arguments or (given >= len(arguments) and not arguments[-1].many):
            return []
        kind = arguments[min(given, len(arguments) - 1)].completes
    with replica.looked.log.read() as reader:
        return list(islice(_OF[kind](replica, reader, word, before), FOUND_MAX))


_Finder = Callable[[Replica, Reader, str, list[str]], Iterator[Candidate]]


def _nothing(_replica: Replica, _reader: Reader, _word: str, _before: list[str]) -> Iterator[Candidate]:
    yield from ()


def _documents(_replica: Replica, reader: Reader, word: str, _before: list[str]) -> Iterator[Candidate]:
    """Part after part of the name, as with paths."""
    kind, slash, _ = word.partition("/")
    if not slash:
        for name in SCHEMA:
            if name.startswith(kind) and any(True for _ in reader.documents(name)):
                whole = find(reader, name)
                yield Candidate(name if whole else f"{name}/")
        return
    seen: set[str] = set()
    for document in islice(reader.documents(kind), DOCUMENTS_LOOKED_MAX):
        name = str(document)
        if name.startswith(word):
            end = name.find("/", len(word))
            part = name if end < 0 else name[: end + 1]
            if part not in seen:
                seen.add(part)
                yield Candidate(part)


def find(reader: Reader, name: str) -> bool:
    """Whether there is a document of that name."""
    try:
        find_document(reader, name)
    except NothingHere:
        return False
    return True


def _fields(replica: Replica, reader: Reader, word: str, before: list[str]) -> Iterator[Candidate]:
    try:
        state = value_of(reader, SCHEMA, find_document(reader, before[1]))
    except (NothingHere, IndexError):
        return
    for name, value in fields_of(state, replica.name_of).items() if state is not None else ():
        if name.startswith(word):
            yield Candidate(name, str(value)[:40])


def _authors(replica: Replica, _reader: Reader, word: str, _before: list[str]) -> Iterator[Candidate]:
    found = {chain[0].name: str(chain[0].role) for chain in replica.directory.chains.values()}
    yield from (Candidate(name, role) for name, role in sorted(found.items()) if name.startswith(word))


def _members(_replica: Replica, reader: Reader, word: str, _before: list[str]) -> Iterator[Candidate]:
    for document in islice(reader.documents(BALANCE), DOCUMENTS_LOOKED_MAX):
        account = document.keys[-1]
        if isinstance(account, bytes) and account.hex().startswith(word):
            yield Candidate(account.hex(), str(document.keys[0]))


def _stores(replica: Replica, _reader: Reader, word: str, _before: list[str]) -> Iterator[Candidate]:
    for store, records in sorted(replica.directory.stores.items()):
        if str(store).startswith(word):
            yield Candidate(str(store), records[-1].name)


def _products(_replica: Replica, reader: Reader, word: str, _before: list[str]) -> Iterator[Candidate]:
    if word.isdigit():
        known = _PRODUCTS.find(reader, int(word))
        found = [known] if known else []
    else:
        found = list(_PRODUCTS.by_words(reader, word)) if word else []
    yield from (Candidate(str(one.id), one.name) for one in found)


def _commands(_replica: Replica, _reader: Reader, word: str, _before: list[str]) -> Iterator[Candidate]:
    yield from (Candidate(name, one.says) for name, one in COMMANDS.items() if name.startswith(word))


def _paths(_replica: Replica, _reader: Reader, word: str, _before: list[str]) -> Iterator[Candidate]:
    typed = Path(word).expanduser()
    folder, beginning = (typed, "") if word.endswith("/") or not word else (typed.parent, typed.name)
    try:
        found = sorted(folder.iterdir())
    except OSError:
        return
    shown = "" if folder == Path() and not word.startswith("./") else f"{word[: len(word) - len(beginning)]}"
    for one in found:
        if one.name.startswith(beginning) and not (one.name.startswith(".") and not beginning):
            yield Candidate(f"{shown}{one.name}{'/' if one.is_dir() else ''}")


_OF: Final[Mapping[Completes, _Finder]] = {
    Completes.NOTHING: _nothing,
    Completes.DOCUMENT: _documents,
    Completes.FIELD: _fields,
    Completes.AUTHOR: _authors,
    Completes.MEMBER: _members,
    Completes.STORE: _stores,
    Completes.PRODUCT: _products,
    Completes.COMMAND: _commands,
    Completes.PATH: _paths,
}
