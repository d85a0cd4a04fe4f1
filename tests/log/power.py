"""A disk that loses its power: what a process wrote and synced is recorded, and files are made that a cut may have left.

``strace`` records every write and sync of one file. What is not synced when the power goes may be on the disk or not, in any
order, and each of its 512-byte sectors for itself. What was written through a descriptor opened with O_DSYNC is there when
the call returns.
"""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
SECTOR_BYTES = 512
_CALLS = "openat,close,lseek,write,pwrite64,writev,pwritev,pwritev2,fdatasync,fsync,sync_file_range,msync,ftruncate"
_CALL = re.compile(r"^(\w+)\((.*)\) += (-?\d+)")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')


class Write(NamedTuple):
    """Bytes at a place of the file; ``through`` if the call returned only when they were on the disk."""

    at: int
    content: bytes
    through: bool


class Sync(NamedTuple):
    """All writes so far are on the disk when this has returned."""


class Acknowledged(NamedTuple):
    """The process said that something is safe: a line of its output."""

    said: str


Event = Write | Sync | Acknowledged


Judge = Callable[[Path, Sequence[str]], list[str]]
"""Says what is wrong with a log that is left in a folder, given what was acknowledged; nothing if all is well."""


def record(strace: str, folder: Path, command: Sequence[str], trace: Path) -> list[Event]:
    """Run a module of these tests (``command``: its name and arguments), and return what it did to the log in ``folder``."""
    subprocess.run(
        [
            *(strace, "-qq", "-xx", "-s", "10000000", "-e", f"trace={_CALLS}", "-o", str(trace)),
            *(sys.executable, "-m", *command),
        ],
        check=True,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )
    return list(_events(trace.read_text(), str(folder / "data.mdb")))


def cut_often(before: bytes, events: list[Event], place: Path, cuts: int, judge: Judge) -> list[str]:
    """What is wrong after cuts at moments spread over the whole recording."""
    wrong: list[str] = []
    for seed in range(cuts):
        dice = random.Random(seed)
        moment = 1 + seed * len(events) // cuts
        image, acknowledged = after_cut(before, events[:moment], dice)
        left = place / "left"
        left.mkdir()
        (left / "data.mdb").write_bytes(image)
        wrong += [f"cut {seed} at event {moment}: {loss}" for loss in judge(left, acknowledged)]
        shutil.rmtree(left)
    return wrong


@dataclass
class _Descriptor:
    through: bool
    at: int = 0


def _events(trace: str, file: str) -> list[Event]:
    events: list[Event] = []
    descriptors: dict[int, _Descriptor] = {}
    for line in trace.splitlines():
        call = _CALL.match(line)
        if call is None:
            continue
        name, arguments, result = call[1], call[2], int(call[3])
        if name == "openat":
            descriptors.pop(result, None)
            if _bytes(arguments) == file.encode():
                descriptors[result] = _Descriptor("O_DSYNC" in arguments or "O_SYNC" in arguments)
            continue
        number = int(re.split(r"\D", arguments, maxsplit=1)[0] or -1)
        if name == "write" and number == 1:
            events.append(Acknowledged(_bytes(arguments).decode().strip()))
        descriptor = descriptors.get(number)
        if descriptor is None:
            continue
        if name == "close":
            del descriptors[number]
        elif name == "lseek":
            descriptor.at = result
        elif name in ("fdatasync", "fsync"):
            events.append(Sync())
        elif name in ("write", "writev", "pwrite64", "pwritev", "pwritev2"):
            content = _bytes(arguments)
            assert len(content) == result, "the disk was full, or the trace is cut"
            at = int(arguments.rsplit(", ", 1)[1]) if name.startswith("p") else descriptor.at
            descriptor.at = at + result
            events.append(Write(at, content, descriptor.through))
        else:
            raise AssertionError(f"{name} is not expected on the log's file")
    return events


def _bytes(arguments: str) -> bytes:
    return b"".join(bytes.fromhex(text.replace("\\x", "")) for text, _ in _TEXT.findall(arguments))


def after_cut(before: bytes, events: list[Event], dice: random.Random) -> tuple[bytes, list[str]]:
    """A file that may be left if the power goes while the last of ``events`` is under way, and what was acknowledged.

    ``before`` is what was safely on the disk when the recording began.
    """
    image = bytearray(before)
    unsynced: list[Write] = []
    acknowledged: list[str] = []
    for event in events[:-1]:
        if isinstance(event, Acknowledged):
            acknowledged.append(event.said)
        elif isinstance(event, Sync):
            for write in unsynced:
                _put(image, write.at, write.content)
            unsynced.clear()
        elif event.through:
            _put(image, event.at, event.content)
        else:
            unsynced.append(event)
    if isinstance(events[-1], Write):
        unsynced.append(events[-1])
    likely = dice.choice([0.0, 0.1, 0.5, 0.9, 1.0])
    sectors = [(at, piece) for write in unsynced for at, piece in _sectors(write) if dice.random() < likely]
    dice.shuffle(sectors)
    for at, piece in sectors:
        _put(image, at, piece)
    return bytes(image), acknowledged


def _sectors(write: Write) -> list[tuple[int, bytes]]:
    end = write.at + len(write.content)
    edges = [write.at, *range((write.at // SECTOR_BYTES + 1) * SECTOR_BYTES, end, SECTOR_BYTES), end]
    return [(low, write.content[low - write.at : high - write.at]) for low, high in pairwise(edges)]


def _put(image: bytearray, at: int, content: bytes) -> None:
    if len(image) < at + len(content):
        image.extend(bytes(at + len(content) - len(image)))
    image[at : at + len(content)] = content
