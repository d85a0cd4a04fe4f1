"""What codes mean, as views of the log: a short list of products for each code and each source that says so.

    b"code/" ‖ code ‖ b"/" ‖ source   →   ids of the products that it means there (8 bytes each, ascending)

A source is ``c`` and the two bytes of a catalogue shard, or ``s`` and the four bytes of a store that claims. Several may say
what one code means, and each takes back only what it said. One read of a prefix finds them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from crdt_pos import catalogue
from gossip.log import Reader, View

CODE: Final = b"code/"
_ID_BYTES: Final = 8
_SHARD, _STORE = b"c", b"s"


def shard_source(shard: int) -> bytes:
    """A shard of the catalogue."""
    return _SHARD + shard.to_bytes(2, "big")


def store_source(store: int) -> bytes:
    """The claims of a store."""
    return _STORE + store.to_bytes(4, "big")


def store_of(source: bytes) -> int | None:
    """The store that claims; ``None``: the catalogue."""
    return int.from_bytes(source[1:], "big") if source.startswith(_STORE) else None


def view(code: str, source: bytes, products: Iterable[int]) -> View:
    """What a source says of a code."""
    return _key(code) + source, b"".join(one.to_bytes(_ID_BYTES, "big") for one in sorted(products)) or None


def said(reader: Reader, code: str) -> Iterator[tuple[bytes, list[int]]]:
    """Each source that knows a code, and the products that it means there, ascending."""
    if catalogue.is_code(code):
        key = _key(code)
        for found, products in reader.views(key):
            yield found[len(key) :], _ids(products)


def said_by(reader: Reader, code: str, source: bytes) -> list[int]:
    """The same of one source."""
    return _ids(reader.view(_key(code) + source) or b"")


def find(reader: Reader, code: str, store: int | None = None) -> list[int]:
    """The products of a code: first those that ``store`` claims, then the others, both ascending."""
    own: list[int] = []
    others: set[int] = set()
    for source, products in said(reader, code):
        if store is not None and source == store_source(store):
            own = products
        else:
            others.update(products)
    return own + sorted(others.difference(own))


def _key(code: str) -> bytes:
    return CODE + code.encode() + b"/"


def _ids(encoded: bytes) -> list[int]:
    return [int.from_bytes(encoded[at : at + _ID_BYTES], "big") for at in range(0, len(encoded), _ID_BYTES)]
