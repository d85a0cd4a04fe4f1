"""Bytes of a log's file that really change, under a replica that may be running."""

from __future__ import annotations

from pathlib import Path

from crdt_pos.folder import Folder
from gossip import log_rows as rows
from gossip.log_lmdb import sealed

BIT = 4


def file_of(folder: Folder) -> Path:
    return folder.log_path / "data.mdb"


def flip(folder: Folder, content: bytes, at: int = -1) -> int:
    """Flip a bit of byte ``at`` of ``content`` wherever it stands in the file, old pages too; how often it stood there."""
    data = file_of(folder).read_bytes()
    count, place = 0, data.find(content)
    at %= len(content)
    with file_of(folder).open("r+b") as file:
        while place >= 0:
            file.seek(place + at)
            file.write(bytes([data[place + at] ^ BIT]))
            count += 1
            place = data.find(content, place + 1)
    return count


def flip_row(folder: Folder, key: bytes, value: bytes) -> int:
    """Flip a bit of a row's value, or of its sum where it has none."""
    return flip(folder, key + sealed(key, value), len(key))


def flip_view(folder: Folder, key: bytes, value: bytes) -> int:
    """The same of a view."""
    return flip_row(folder, rows.VIEW + key, value)
