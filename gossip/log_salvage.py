"""Salvage: the entries in a log's file whose pages cannot be trusted any more.

An entry proves itself, so it does not matter where in the file it is found: its bytes begin like those of every entry and say how
long they are. LMDB keeps the bytes of a value together. Old pages give older entries, which change nothing.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gossip.entry import ENTRY_BYTES_MAX, Entry, beginning, decode, length
from gossip.errors import BadEntry

LEAST_BYTES: Final = 90


def salvage(file: Path) -> Iterator[Entry]:
    """Everything in ``file`` that is an entry, each once, in no order. Their signatures are not looked at."""
    if not file.is_file() or file.stat().st_size < LEAST_BYTES:
        return
    seen: set[bytes] = set()
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
        at = content.find(beginning())
        while at >= 0:
            raw_bytes = length(content[at : at + LEAST_BYTES])
            if 0 < raw_bytes <= ENTRY_BYTES_MAX:
                try:
                    entry = decode(content[at : at + raw_bytes])
                except BadEntry:
                    pass
                else:
                    if entry.hash not in seen:
                        seen.add(entry.hash)
                        yield entry
            at = content.find(beginning(), at + 1)
