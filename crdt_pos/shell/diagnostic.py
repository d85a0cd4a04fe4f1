"""CBOR diagnostic notation (RFC 8949 §8, with ``<< >>`` of RFC 8610 §G.3 for CBOR within byte strings). Pure.

>>> print(diagnostic({1: -8, 4: b"\\x0c"}))
{1: -8, 4: h'0c'}
>>> print(diagnostic(["day", [12], True, None, {}]))
["day", [12], true, null, {}]
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, cast

from gossip.entry import Entry, decode
from merge_rules import canonical
from peers.keys import SIGNATURE_BYTES

LINE_CHARACTERS: Final = 100
_INDENT: Final = "  "


def diagnostic(value: object) -> str:
    """One line."""
    match value:
        case bytes():
            return f"h'{value.hex()}'"
        case bool() | None:
            return {True: "true", False: "false", None: "null"}[value]
        case str():
            return json.dumps(value, ensure_ascii=False)
        case Mapping():
            items = cast("Mapping[object, object]", value).items()
            return "{" + ", ".join(f"{diagnostic(key)}: {diagnostic(part)}" for key, part in items) + "}"
        case list() | tuple():
            return "[" + ", ".join(diagnostic(part) for part in cast("Sequence[object]", value)) + "]"
        case _:
            return str(value)


def laid_out(value: object, indent: str = "") -> Iterator[str]:
    """The same over several lines where one would be too long."""
    line = diagnostic(value)
    if len(indent) + len(line) <= LINE_CHARACTERS or not isinstance(value, Mapping | list | tuple) or not value:
        yield f"{indent}{line}"
        return
    inner = indent + _INDENT
    if isinstance(value, Mapping):
        items = [(f"{diagnostic(key)}: ", part) for key, part in cast("Mapping[object, object]", value).items()]
    else:
        items = [("", part) for part in cast("Sequence[object]", value)]
    yield f"{indent}{'{' if isinstance(value, Mapping) else '['}"
    for at, (name, part) in enumerate(items):
        first, *rest = laid_out(part, inner)
        *before, last = [f"{inner}{name}{first.lstrip()}", *rest]
        yield from before
        yield last + ("," if at + 1 < len(items) else "")
    yield f"{indent}{'}' if isinstance(value, Mapping) else ']'}"


def of_entry(entry: Entry) -> Iterator[str]:
    """The COSE_Sign1 of an entry, its protected header and its payload opened."""
    protected, payload = _embedded(entry.raw)
    yield "["
    yield f"{_INDENT}<< {diagnostic(canonical.decode(protected))} >>,"
    yield f"{_INDENT}{{}},"
    first, *rest = laid_out(canonical.decode(payload), _INDENT)
    if rest:
        yield f"{_INDENT}<< {first.lstrip()}"
        yield from rest[:-1]
        yield f"{rest[-1]} >>,"
    else:
        yield f"{_INDENT}<< {first.lstrip()} >>,"
    yield f"{_INDENT}{diagnostic(bytes(entry.signature))}"
    yield "]"


def _embedded(raw: bytes) -> tuple[bytes, bytes]:
    decode(raw)  # so that the positions hold
    protected_bytes = raw[1] & 0x1F
    protected = raw[2 : 2 + protected_bytes]
    payload = raw[3 + protected_bytes : -SIGNATURE_BYTES - 2]
    head = {0x58: 2, 0x59: 3, 0x5A: 5}.get(payload[0], 1)
    return protected, payload[head:]
